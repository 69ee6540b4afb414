/* licence.c - an expression is nodes in one piece of memory: the operands of a node are a list by index.  Operators' operands are
 * flattened, sorted and thinned out when they have been read; judging goes over the nodes once. */
#include "audit/licence.h"
#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "audit/licence_ids.h"
#include "base/mem.h"
#include "base/opt.h"

enum node_kind { NODE_ID, NODE_AND, NODE_OR };
/* id, with: of the tables, or in `texts`.  first, next: indices of nodes, -1: none.  at: byte of the expression. */
struct node { enum node_kind kind; const char *id, *with; bool later, special, unchosen; int first, next; size_t at; };
struct licence { int root, n; char *texts; struct node node[]; };

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* ---- words of the tables ---- */

const char *const licence_right_words[] = {
#define X(name, word, what) word,
    LICENCE_RIGHTS(X)
#undef X
};
static const char *const right_whats[] = {
#define X(name, word, what) what,
    LICENCE_RIGHTS(X)
#undef X
};
const char *const licence_duty_words[] = {
#define X(name, word, what) word,
    LICENCE_DUTIES(X)
#undef X
};
static const char *const duty_whats[] = {
#define X(name, word, what) what,
    LICENCE_DUTIES(X)
#undef X
};

const char *licence_right_word(enum licence_right r) { return licence_right_words[r]; }
const char *licence_right_what(enum licence_right r) { return right_whats[r]; }
const char *licence_duty_word(enum licence_duty d) { return licence_duty_words[d]; }
const char *licence_duty_what(enum licence_duty d) { return duty_whats[d]; }

enum licence_right licence_right_find(const char *word)
{
    int r = 0;
    while (r < N_LICENCE_RIGHT && strcmp(licence_right_words[r], word))
        r++;
    return (enum licence_right)r;
}

/* ---- ids ---- */

static int compare_id(const char *word, size_t n, const char *id)
{
    const int c = strncasecmp(word, id, n);
    return c ? c : -(int)(unsigned char)id[n];
}

static const struct licence_id *find_id(const struct licence_id *table, size_t n_table, const char *word, size_t n)
{
    size_t lo = 0, hi = n_table;
    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;
        const int c = compare_id(word, n, table[mid].id);
        if (!c)
            return &table[mid];
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

static const char *nearest_id(const struct licence_id *table, int n_table, const char *word)
{
    const char *names[COUNT(licence_ids) > COUNT(licence_exceptions) ? COUNT(licence_ids) : COUNT(licence_exceptions)];
    for (int i = 0; i < n_table; i++)
        names[i] = table[i].id;
    return word_nearest(word, names, n_table);
}

/* ---- reading ---- */

struct parser { const char *text; size_t n, at; struct licence *l; size_t n_texts; int depth; struct err *err; };

#define FAULT(p, place, ...) ((p)->at = (place), ERR((p)->err, FORMAT, __VA_ARGS__))

static bool is_space(char c) { return c == ' ' || c == '\t'; }
static bool is_idchar(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.'; }
static bool is_alnum(char c) { return is_idchar(c) && c != '-' && c != '.'; }
static bool at_end(const struct parser *p) { return p->at == p->n; }
static char here(const struct parser *p) { return p->text[p->at]; }

static void skip_space(struct parser *p)
{
    while (!at_end(p) && is_space(here(p)))
        p->at++;
}

static int add_node(struct parser *p, struct node n)
{
    n.first = n.first ? n.first : -1, n.next = -1;
    p->l->node[p->l->n] = n;
    return p->l->n++;
}

/* Bytes of an id and what may stand before it, with the ':' of a DocumentRef; of the '+' behind it. */
static size_t word_length(const struct parser *p, size_t from)
{
    size_t n = from;
    while (n < p->n && (is_idchar(p->text[n]) || p->text[n] == ':'))
        n++;
    return n - from;
}

static bool has_prefix(const char *w, size_t n, const char *prefix) { return n >= strlen(prefix) && !memcmp(w, prefix, strlen(prefix)); }

static bool is_idstring(const char *w, size_t n)
{
    bool alnum = false;
    for (size_t i = 0; i < n; i++) {
        if (!is_idchar(w[i]))
            return false;
        alnum = alnum || is_alnum(w[i]);
    }
    return alnum;
}

/* A name of one's own: [DocumentRef-x:]<kind>y; 1 when the word is one, and *out its text. */
static int read_ref(struct parser *p, const char *w, size_t n, const char *kind, const char **out)
{
    const char *colon = memchr(w, ':', n), *name = colon ? colon + 1 : w;
    const size_t from = p->at, n_name = n - (size_t)(name - w);
    if (!has_prefix(name, n_name, kind))
        return colon ? FAULT(p, from + (size_t)(name - w), "character %zu: '%.*s' does not begin with %s", from + (size_t)(name - w) + 1, (int)(n_name < 60 ? n_name : 60), name, kind) : 0;
    if (colon && (!has_prefix(w, n, "DocumentRef-") || !is_idstring(w + 12, (size_t)(colon - w) - 12)))
        return FAULT(p, from, "character %zu: before ':' stands '%.*s', expected DocumentRef- and letters, digits, '-' or '.'", from + 1, (int)(colon - w < 60 ? colon - w : 60), w);
    if (!is_idstring(name + strlen(kind), n_name - strlen(kind)))
        return FAULT(p, from, "character %zu: after %s stands no name of letters, digits, '-' and '.'", from + 1, kind);
    char *text = p->l->texts + p->n_texts;
    memcpy(text, w, n);
    text[n] = 0;
    p->n_texts += n + 1;
    *out = text;
    return 1;
}

static bool is_operator(const char *w, size_t n, const char *capitals)
{
    return n == strlen(capitals) && !strncasecmp(w, capitals, n);
}

static int unexpected(struct parser *p, const char *expected)
{
    const size_t from = p->at, n = word_length(p, from);
    if (at_end(p))
        return FAULT(p, from, "it ends after character %zu, expected %s", from, expected);
    const unsigned char c = (unsigned char)here(p);
    if (c < ' ' || c > '~')
        return FAULT(p, from, "character %zu is 0x%02x, expected %s", from + 1, c, expected);
    return FAULT(p, from, "character %zu: '%.*s', expected %s", from + 1, n ? (int)(n < 60 ? n : 60) : 1, p->text + from, expected);
}

/* "A WITH B", which stands for a deprecated id. */
static void split_became(const char *became, char *texts, size_t *n_texts, struct node *out)
{
    const char *with = strstr(became, " WITH ");
    if (!with) {
        out->id = became;
        return;
    }
    char *id = texts + *n_texts;
    memcpy(id, became, (size_t)(with - became));
    id[with - became] = 0;
    *n_texts += (size_t)(with - became) + 1;
    out->id = id, out->with = with + 6;
}

static int unknown_id(struct parser *p, const char *what, const char *w, size_t n, const char *near)
{
    const size_t from = p->at;
    return FAULT(p, from, "character %zu: unknown %s '%.*s'%s%s%s", from + 1, what, (int)(n < 80 ? n : 80), w, near ? ", did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* An id of the list, with its '+'. */
static int read_id(struct parser *p, const char *w, size_t n, struct node *out)
{
    char word[81];
    const bool plus = p->at + n < p->n && w[n] == '+';
    const struct licence_id *id = plus ? find_id(licence_ids, COUNT(licence_ids), w, n + 1) : NULL;
    if (!id) {
        id = find_id(licence_ids, COUNT(licence_ids), w, n);
        out->later = plus;
    }
    if (!id) {
        snprintf(word, sizeof word, "%.*s", (int)(n < 80 ? n : 80), w);
        return unknown_id(p, find_id(licence_exceptions, COUNT(licence_exceptions), w, n) ? "licence (it is an exception, which stands after WITH)" : "licence", w, n,
                          nearest_id(licence_ids, COUNT(licence_ids), word));
    }
    out->id = id->id;
    if (id->became)
        split_became(id->became, p->l->texts, &p->n_texts, out);
    if (out->later && strlen(out->id) > 9 && !strcmp(out->id + strlen(out->id) - 9, "-or-later"))
        out->later = false;
    p->at += n + plus;
    return 0;
}

static int read_simple(struct parser *p, struct node *out)
{
    const char *w = p->text + p->at;
    const size_t n = word_length(p, p->at);
    if (!n || is_operator(w, n, "AND") || is_operator(w, n, "OR") || is_operator(w, n, "WITH"))
        return unexpected(p, "a licence or '('");
    if ((n == 4 && !memcmp(w, "NONE", 4)) || (n == 11 && !memcmp(w, "NOASSERTION", 11))) {
        out->id = n == 4 ? "NONE" : "NOASSERTION", out->special = true;
        p->at += n;
        return 0;
    }
    const int ref = read_ref(p, w, n, "LicenseRef-", &out->id);
    if (ref > 0)
        p->at += n;
    return ref > 0 ? 0 : ref < 0 ? ref : read_id(p, w, n, out);
}

static int read_addition(struct parser *p, struct node *out)
{
    const char *w = p->text + p->at;
    const size_t n = word_length(p, p->at);
    char word[81];
    if (!n)
        return unexpected(p, "an exception");
    const int ref = read_ref(p, w, n, "AdditionRef-", &out->with);
    if (ref < 0)
        return ref;
    if (!ref) {
        const struct licence_id *id = find_id(licence_exceptions, COUNT(licence_exceptions), w, n);
        snprintf(word, sizeof word, "%.*s", (int)(n < 80 ? n : 80), w);
        if (!id)
            return unknown_id(p, "exception", w, n, nearest_id(licence_exceptions, COUNT(licence_exceptions), word));
        out->with = id->became ? id->became : id->id;
    }
    p->at += n;
    return 0;
}

/* Is the next word this operator?  Steps over it and the spaces around, of which there must be one on either side. */
static int take_operator(struct parser *p, const char *capitals)
{
    const size_t before = p->at;
    skip_space(p);
    const size_t from = p->at, n = word_length(p, from);
    const char *w = p->text + from;
    if (!is_operator(w, n, capitals)) {
        p->at = before;
        return 0;
    }
    bool lower = true, upper = true;
    for (size_t i = 0; i < n; i++)
        lower = lower && islower((unsigned char)w[i]), upper = upper && isupper((unsigned char)w[i]);
    if (!lower && !upper)
        return FAULT(p, from, "character %zu: '%.*s', expected %s in capitals or small letters alone", from + 1, (int)n, w, capitals);
    if (from == before)
        return FAULT(p, from, "character %zu: a space is missing before '%.*s'", from + 1, (int)n, w);
    p->at += n;
    if (!at_end(p) && !is_space(here(p)))
        return FAULT(p, p->at, "character %zu: a space is missing after '%.*s'", p->at + 1, (int)n, w);
    skip_space(p);
    return 1;
}

static int read_or(struct parser *p, int *out);

static int read_group(struct parser *p, int *out)
{
    const size_t from = p->at++;
    if (++p->depth > LICENCE_DEPTH_MAX)
        return FAULT(p, from, "character %zu: more than %d parentheses in one another", from + 1, LICENCE_DEPTH_MAX);
    skip_space(p);
    TRY(read_or(p, out));
    skip_space(p);
    if (at_end(p) || here(p) != ')')
        return unexpected(p, "AND, OR or ')'");
    p->at++, p->depth--;
    return 0;
}

static int read_term(struct parser *p, int *out)
{
    if (!at_end(p) && here(p) == '(')
        return read_group(p, out);
    struct node n = { .kind = NODE_ID };
    const size_t from = p->at;
    TRY(read_simple(p, &n));
    n.at = from;
    const int with = take_operator(p, "WITH");
    TRY(with);
    if (with && (n.with || n.special))
        return FAULT(p, from, "character %zu: %s cannot have WITH behind it", from + 1, n.special ? n.id : "an id that names its exception");
    if (with)
        TRY(read_addition(p, &n));
    *out = add_node(p, n);
    return 0;
}

static int read_list(struct parser *p, enum node_kind kind, const char *operator, int (*operand)(struct parser *, int *), int *out)
{
    TRY(operand(p, out));
    int op = -1, last = *out, taken;
    while ((taken = take_operator(p, operator)) > 0) {
        int more;
        if (op < 0)
            op = add_node(p, (struct node){ .kind = kind, .first = -1 }), p->l->node[op].first = last;
        TRY(operand(p, &more));
        p->l->node[last].next = more;
        last = more;
    }
    TRY(taken);
    if (op < 0)
        return 0;
    for (int i = p->l->node[op].first; kind == NODE_OR && i >= 0; i = p->l->node[i].next)
        if (p->l->node[i].special)
            return FAULT(p, p->l->node[i].at, "character %zu: %s cannot be an alternative of OR", p->l->node[i].at + 1, p->l->node[i].id);
    *out = op;
    return 0;
}

static int read_and(struct parser *p, int *out) { return read_list(p, NODE_AND, "AND", read_term, out); }
static int read_or(struct parser *p, int *out) { return read_list(p, NODE_OR, "OR", read_and, out); }

/* ---- one form ---- */

static int compare_text(const char *a, const char *b)
{
    const int c = a && b ? strcasecmp(a, b) : (a != NULL) - (b != NULL);
    return c;
}

static int compare_nodes(const struct licence *l, int a, int b)
{
    const struct node *x = &l->node[a], *y = &l->node[b];
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    int c = 0;
    if (x->kind == NODE_ID) {
        c = compare_text(x->id, y->id);
        c = c ? c : x->later - y->later;
        return c ? c : compare_text(x->with, y->with);
    }
    a = x->first, b = y->first;
    for (; !c && a >= 0 && b >= 0; a = l->node[a].next, b = l->node[b].next)
        c = compare_nodes(l, a, b);
    return c ? c : (a >= 0) - (b >= 0);
}

/* Merge sort of a list; equal ones keep one. */
static int sort_list(struct licence *l, int list)
{
    if (list < 0 || l->node[list].next < 0)
        return list;
    int half = list;
    for (int end = l->node[list].next; end >= 0 && l->node[end].next >= 0; end = l->node[l->node[end].next].next)
        half = l->node[half].next;
    int b = l->node[half].next, a, sorted = -1, *tail = &sorted;
    l->node[half].next = -1;
    a = sort_list(l, list), b = sort_list(l, b);
    while (a >= 0 && b >= 0) {
        const int c = compare_nodes(l, a, b);
        int *from = c > 0 ? &b : &a;
        if (!c)
            b = l->node[b].next;
        *tail = *from;
        tail = &l->node[*from].next;
        *from = *tail;
    }
    *tail = a >= 0 ? a : b;
    return sorted;
}

/* Is each operand of `few` one of `many`?  A node of another kind is its own only operand. */
static bool within(const struct licence *l, enum node_kind inner, int few, int many)
{
    const bool lists[2] = { l->node[few].kind == inner, l->node[many].kind == inner };
    for (int i = lists[0] ? l->node[few].first : few; i >= 0; i = lists[0] ? l->node[i].next : -1) {
        bool found = false;
        for (int j = lists[1] ? l->node[many].first : many; j >= 0 && !found; j = lists[1] ? l->node[j].next : -1)
            found = !compare_nodes(l, i, j);
        if (!found)
            return false;
    }
    return true;
}

/* A OR (A AND B) is A, and so is A AND (A OR B). */
static void absorb(struct licence *l, int op)
{
    const enum node_kind inner = l->node[op].kind == NODE_AND ? NODE_OR : NODE_AND;
    for (int *at = &l->node[op].first; *at >= 0;) {
        bool implied = false;
        if (l->node[*at].kind == inner)
            for (int j = l->node[op].first; j >= 0 && !implied; j = l->node[j].next)
                implied = j != *at && within(l, inner, j, *at);
        if (implied)
            *at = l->node[*at].next;
        else
            at = &l->node[*at].next;
    }
}

/* The node that stands for this one. */
static int normalise(struct licence *l, int at)
{
    struct node *op = &l->node[at];
    if (op->kind == NODE_ID)
        return at;
    int flat = -1, *tail = &flat;
    for (int i = op->first, next; i >= 0; i = next) {
        next = l->node[i].next;
        int one = normalise(l, i);
        *tail = l->node[one].kind == op->kind ? l->node[one].first : one;
        if (*tail == one)
            l->node[one].next = -1;
        while (*tail >= 0)
            tail = &l->node[*tail].next;
    }
    op->first = sort_list(l, flat);
    absorb(l, at);
    return l->node[op->first].next < 0 ? op->first : at;
}

/* Nodes: an operand takes at least one character and, but for the first, an operator of two and its two spaces.  Texts: each word of the
 * expression once, and for a deprecated id with an exception no more than three times its length. */
static struct licence *new_licence(size_t n)
{
    const size_t n_node = 2 * (n / 3 + 2), n_texts = 4 * n + 64;
    struct licence *l = mem_alloc(sizeof *l + n_node * sizeof *l->node + n_texts);
    if (l)
        *l = (struct licence){ .root = -1, .texts = (char *)(l->node + n_node) };
    return l;
}

int licence_parse(struct licence **out, const char *text, size_t n, size_t *at, struct err *err)
{
    *out = NULL, *at = 0;
    if (n > LICENCE_MAX)
        return ERR(err, FORMAT, "a licence expression of %zu bytes, expected at most %d", n, LICENCE_MAX);
    struct parser p = { .text = text, .n = n, .l = new_licence(n), .err = err };
    if (!p.l)
        return ERR(err, NOMEM, "no memory for a licence expression");
    skip_space(&p);
    int rc = read_or(&p, &p.l->root);
    if (!rc) {
        skip_space(&p);
        rc = at_end(&p) ? 0 : unexpected(&p, "AND, OR or the end");
    }
    if (rc) {
        *at = p.at;
        mem_free(p.l);
        return rc;
    }
    p.l->root = normalise(p.l, p.l->root);
    p.l->node[p.l->root].next = -1;
    *out = p.l;
    return 0;
}

void licence_free(struct licence *l) { mem_free(l); }

/* ---- writing ---- */

static int write_node(const struct licence *l, int at, bool chosen, enum node_kind around, struct buf *out, struct err *err)
{
    const struct node *n = &l->node[at];
    if (n->kind == NODE_ID) {
        TRY(buf_printf(out, err, "%s%s", n->id, n->later ? "+" : ""));
        return n->with ? buf_printf(out, err, " WITH %s", n->with) : 0;
    }
    int n_shown = 0, shown = 0;
    for (int i = n->first; i >= 0; i = l->node[i].next)
        n_shown += !chosen || !l->node[i].unchosen;
    const bool parentheses = n_shown > 1 && around != NODE_ID && around != n->kind;
    if (parentheses)
        TRY(buf_add_char(out, '(', err));
    for (int i = n->first; i >= 0; i = l->node[i].next) {
        if (chosen && l->node[i].unchosen)
            continue;
        if (shown++)
            TRY(buf_add_str(out, n->kind == NODE_AND ? " AND " : " OR ", err));
        TRY(write_node(l, i, chosen, n_shown > 1 ? n->kind : around, out, err));
    }
    return parentheses ? buf_add_char(out, ')', err) : 0;
}

int licence_text(const struct licence *l, struct buf *out, struct err *err) { return write_node(l, l->root, false, NODE_ID, out, err); }
int licence_chosen(const struct licence *l, struct buf *out, struct err *err) { return write_node(l, l->root, true, NODE_ID, out, err); }

int licence_caret(const char *text, size_t n, size_t at, struct buf *out, struct err *err)
{
    const size_t from = at > 60 ? at - 60 : 0, to = n - from > 100 ? from + 100 : n;
    for (size_t i = from; i < to; i++)
        TRY(buf_add_char(out, (unsigned char)text[i] < ' ' || (unsigned char)text[i] > '~' ? '?' : text[i], err));
    return buf_printf(out, err, "\n%*s^\n", (int)(at - from), "");
}

static void each_node(const struct licence *l, int at, void (*each)(void *ctx, const char *id), void *ctx)
{
    if (l->node[at].kind == NODE_ID)
        each(ctx, l->node[at].id);
    else
        for (int i = l->node[at].first; i >= 0; i = l->node[i].next)
            each_node(l, i, each, ctx);
}

void licence_each(const struct licence *l, void (*each)(void *ctx, const char *id), void *ctx) { each_node(l, l->root, each, ctx); }

/* ---- what a licence gives ---- */

#define TARGETS(X)                                                                                                                      \
    X(OWN_TERMS) X(CC_BY_SA_1_0) X(CC_BY_SA_2_0) X(CC_BY_SA_2_5) X(CC_BY_SA_3_0) X(CC_BY_SA_4_0) X(CC_SA_1_0) X(CC_BY_NC_SA_1_0)        \
    X(CC_BY_NC_SA_2_0) X(CC_BY_NC_SA_2_5) X(CC_BY_NC_SA_3_0) X(CC_BY_NC_SA_4_0) X(ODBL_1_0) X(CDLA_SHARING_1_0) X(GPL_1_0) X(GPL_2_0)   \
    X(GPL_3_0) X(LGPL_2_1) X(LGPL_3_0) X(AGPL_1_0) X(AGPL_3_0) X(GFDL) X(EUPL) X(OSL) X(SSPL_1_0)
enum {
#define X(name) TARGET_##name,
    TARGETS(X)
#undef X
    N_TARGET
};
static_assert(N_TARGET <= 64 && TARGET_OWN_TERMS == 0, "targets are bits, one's own terms the first");

#define T(name) (UINT64_C(1) << TARGET_##name)
#define ALL LICENCE_TARGETS_ALL
#define OWN T(OWN_TERMS)
#define NONCOMMERCIAL (OWN | T(CC_BY_NC_SA_1_0) | T(CC_BY_NC_SA_2_0) | T(CC_BY_NC_SA_2_5) | T(CC_BY_NC_SA_3_0) | T(CC_BY_NC_SA_4_0))
#define NO_GPL_2 (ALL & ~(T(GPL_1_0) | T(GPL_2_0) | T(LGPL_2_1)))
#define NO_GPL (NO_GPL_2 & ~(T(GPL_3_0) | T(LGPL_3_0) | T(AGPL_1_0) | T(AGPL_3_0)))

static const struct { const char *id, *rights; unsigned duties; uint64_t targets; } rows[] = {
#define L(id, rights, duties, targets) { id, rights, duties, targets },
#include "audit/licence.def"
#undef L
};

/* How much of an id a row's name fits: 0 not at all. */
static size_t row_fits(const char *name, const char *id)
{
    const size_t n = strlen(name);
    if (name[n - 1] == '*')
        return !strncasecmp(name, id, n - 1) ? n : 0;
    return !strcasecmp(name, id) ? n + 1000 : 0;
}

bool licence_terms_of(const char *id, struct licence_terms *out)
{
    size_t best = 0;
    *out = (struct licence_terms){ .id = id, .targets = OWN };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const size_t fits = row_fits(rows[i].id, id);
        if (fits <= best)
            continue;
        best = fits;
        *out = (struct licence_terms){ .id = strchr(rows[i].id, '*') ? id : rows[i].id, .duties = rows[i].duties, .targets = rows[i].targets };
        for (int r = 0; r < N_LICENCE_RIGHT; r++) {
            out->yes |= (rows[i].rights[r] == 'y') * (1u << r);
            out->no |= (rows[i].rights[r] == 'n') * (1u << r);
        }
    }
    return best > 0;
}

/* ---- judging ---- */

struct judge { struct licence *l; unsigned use; const struct licence_terms *own; int n_own; };

static int n_bits(unsigned x) { return __builtin_popcount(x); }

static void why_not(struct licence_verdict *v, unsigned use, const char *id, bool known)
{
    int r = 0;
    const unsigned worst = use & v->no ? use & v->no : use & ~v->yes;
    while (r < N_LICENCE_RIGHT && !(worst & (1u << r)))
        r++;
    if (r == N_LICENCE_RIGHT)
        return;
    if (!known)
        snprintf(v->why, sizeof v->why, "nothing is known here of what %.100s allows, and unknown is not allowed", id);
    else if (worst & v->no)
        snprintf(v->why, sizeof v->why, "%.100s does not allow %s", id, right_whats[r]);
    else
        snprintf(v->why, sizeof v->why, "it is not known that %.100s allows %s, and unknown is not allowed", id, right_whats[r]);
}

static struct licence_verdict judge_id(const struct judge *j, const char *id)
{
    struct licence_terms t;
    bool known = false;
    for (int i = 0; i < j->n_own && !known; i++)
        if (!strcasecmp(j->own[i].id, id))
            t = j->own[i], known = true;
    if (!known)
        known = licence_terms_of(id, &t);
    struct licence_verdict v = { .yes = t.yes, .no = t.no, .duties = t.duties, .targets = t.targets };
    v.allowed = !(j->use & ~t.yes);
    why_not(&v, j->use, id, known);
    return v;
}

/* Is a better than b, both alternatives of one choice?  Equal ones: the first. */
static bool better(const struct judge *j, const struct licence_verdict *a, const struct licence_verdict *b)
{
    if (a->allowed != b->allowed)
        return a->allowed;
    const int yes = n_bits(a->yes & j->use) - n_bits(b->yes & j->use);
    if (yes)
        return yes > 0;
    return n_bits(a->duties) < n_bits(b->duties);
}

static struct licence_verdict judge_node(const struct judge *j, int at)
{
    struct node *op = &j->l->node[at];
    if (op->kind == NODE_ID)
        return judge_id(j, op->id);
    struct licence_verdict all = { .allowed = true, .yes = ~0u, .targets = ALL }, best = { .allowed = false };
    uint64_t targets = 0;
    int chosen = -1;
    for (int i = op->first; i >= 0; i = j->l->node[i].next) {
        const struct licence_verdict v = judge_node(j, i);
        if (all.allowed && !v.allowed)
            memcpy(all.why, v.why, sizeof all.why);
        all.allowed = all.allowed && v.allowed;
        all.yes &= v.yes, all.no |= v.no, all.duties |= v.duties, all.targets &= v.targets;
        if (v.allowed)
            targets |= v.targets;
        if (op->kind == NODE_OR && (chosen < 0 || better(j, &v, &best)))
            best = v, chosen = i;
    }
    if (op->kind == NODE_AND)
        return all;
    for (int i = op->first; i >= 0; i = j->l->node[i].next)
        j->l->node[i].unchosen = i != chosen;
    if (best.allowed)
        best.targets = targets;
    return best;
}

void licence_judge(struct licence *l, unsigned use, const struct licence_terms *own, int n_own, struct licence_verdict *out)
{
    const struct judge j = { l, use, own, n_own };
    *out = judge_node(&j, l->root);
}

int licence_together(const struct licence_verdict *v, int n, int *with)
{
    uint64_t common = ALL;
    *with = -1;
    for (int i = 0; i < n; i++) {
        if (!(common & v[i].targets)) {
            for (int k = 0; k < i && *with < 0; k++)
                if (!(v[k].targets & v[i].targets))
                    *with = k;
            return i;
        }
        common &= v[i].targets;
    }
    return 0;
}
