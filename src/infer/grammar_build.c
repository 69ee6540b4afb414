#include "infer/grammar_build.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "infer/grammar_net.h"

/* ---- what readers share ---- */

int build_read_number(const char **p, const char *end)
{
    int x = -1;
    for (; *p < end && **p >= '0' && **p <= '9'; ++*p)
        x = x < 0 ? **p - '0' : x <= GRAMMAR_REPEAT_MAX ? 10 * x + **p - '0' : x;
    return x;
}

bool build_read_hex(const char **p, const char *end, int n, uint32_t *x)
{
    uint32_t read = 0;
    *x = 0;
    for (int i = 0; i < n; i++, ++*p) {
        if (*p == end || hex_value(**p) < 0)
            return false;
        read = read << 4 | (uint32_t)hex_value(**p);
    }
    *x = read;
    return true;
}

/* ---- growing ---- */

static bool failed(const struct build *b) { return b->rc < 0; }

static int32_t fail(struct build *b, int rc)
{
    b->rc = b->rc < 0 ? b->rc : rc;
    return -1;
}

/* Room for one more of an array; false, and b has failed, where there is none. */
static bool room(struct build *b, void **array, int n, int *cap, size_t size)
{
    if (failed(b))
        return false;
    if (n < *cap)
        return true;
    if (n >= GRAMMAR_NODES_MAX) {
        fail(b, ERR(&b->err, RANGE, "the grammar has more than %d places", GRAMMAR_NODES_MAX));
        return false;
    }
    void *p = mem_realloc_array(*array, (size_t)(*cap ? 2 * *cap : 256), size);
    if (!p) {
        fail(b, ERR(&b->err, NOMEM, "no memory for a grammar of %d places", n));
        return false;
    }
    *array = p, *cap = *cap ? 2 * *cap : 256;
    return true;
}

static int32_t add_node(struct build *b, int kind, int32_t x, int32_t y)
{
    if (!room(b, (void **)&b->node, b->n_node, &b->cap_node, sizeof *b->node))
        return -1;
    b->node[b->n_node] = (struct grammar_node){ kind, x, y, 0 };
    return b->n_node++;
}

static int32_t add_edge(struct build *b, unsigned low, unsigned high, int32_t to)
{
    if (!room(b, (void **)&b->edge, b->n_edge, &b->cap_edge, sizeof *b->edge))
        return -1;
    b->edge[b->n_edge] = (struct grammar_edge){ (unsigned char)low, (unsigned char)high, to };
    return b->n_edge++;
}

static int32_t open_end(struct build *b) { return add_node(b, NODE_SPLIT, -1, -1); }

/* ---- rules ---- */

static bool is_named(const struct grammar_rule *r, const char *name, size_t n) { return r->name && strlen(r->name) == n && !memcmp(r->name, name, n); }

/* The place in the table where the rule of that name is, or would be. */
static int32_t *place_of(const struct build *b, const char *name, size_t n)
{
    uint64_t h = hash64(name, n, 0) & (uint64_t)(b->n_names - 1);
    while (b->names[h] >= 0 && !is_named(&b->rule[b->names[h]], name, n))
        h = (h + 1) & (uint64_t)(b->n_names - 1);
    return &b->names[h];
}

static bool room_for_name(struct build *b)
{
    if (2 * b->n_rule < b->n_names)
        return true;
    const int n = b->n_names ? 2 * b->n_names : 64;
    int32_t *table = mem_alloc_array((size_t)n, sizeof *table);
    if (!table) {
        fail(b, ERR(&b->err, NOMEM, "no memory for %d rules", b->n_rule));
        return false;
    }
    memset(table, -1, (size_t)n * sizeof *table);
    mem_free(b->names);
    b->names = table, b->n_names = n;
    for (int32_t i = 0; i < b->n_rule; i++)
        if (b->rule[i].name)
            *place_of(b, b->rule[i].name, strlen(b->rule[i].name)) = i;
    return true;
}

int build_rule(struct build *b, const char *name, size_t n)
{
    if (failed(b) || !room_for_name(b) || (n && *place_of(b, name, n) >= 0))
        return failed(b) ? -1 : *place_of(b, name, n);
    if (!room(b, (void **)&b->rule, b->n_rule, &b->cap_rule, sizeof *b->rule))
        return -1;
    char *copy = n ? mem_printf("%.*s", (int)n, name) : NULL;
    if (n && !copy)
        return fail(b, ERR(&b->err, NOMEM, "no memory for the name of a rule"));
    b->rule[b->n_rule] = (struct grammar_rule){ .name = copy, .in = -1 };
    if (n)
        *place_of(b, name, n) = b->n_rule;
    return b->n_rule++;
}

bool build_defined(const struct build *b, int rule) { return !failed(b) && b->rule[rule].in >= 0; }

void build_define(struct build *b, int rule, struct frag f)
{
    const int32_t end = add_node(b, NODE_END, rule, -1);
    if (failed(b))
        return;
    b->node[f.out].a = end;
    b->rule[rule].in = f.in;
}

/* ---- fragments ---- */

static const struct frag none = { -1, -1 };

struct frag build_empty(struct build *b)
{
    const int32_t x = open_end(b);
    return (struct frag){ x, x };
}

struct frag build_then(struct build *b, struct frag x, struct frag y)
{
    if (failed(b))
        return none;
    b->node[x.out].a = y.in;
    return (struct frag){ x.in, y.out };
}

struct frag build_or(struct build *b, struct frag x, struct frag y)
{
    const int32_t in = add_node(b, NODE_SPLIT, x.in, y.in), out = open_end(b);
    if (failed(b))
        return none;
    b->node[x.out].a = b->node[y.out].a = out;
    return (struct frag){ in, out };
}

struct frag build_optional(struct build *b, struct frag x)
{
    const int32_t out = open_end(b), in = add_node(b, NODE_SPLIT, x.in, out);
    if (failed(b))
        return none;
    b->node[x.out].a = out;
    return (struct frag){ in, out };
}

struct frag build_star(struct build *b, struct frag x)
{
    const int32_t out = open_end(b), in = add_node(b, NODE_SPLIT, x.in, out);
    if (failed(b))
        return none;
    b->node[x.out].a = in;
    return (struct frag){ in, out };
}

struct frag build_call(struct build *b, int rule)
{
    const int32_t out = open_end(b), in = add_node(b, NODE_CALL, rule, out);
    return failed(b) ? none : (struct frag){ in, out };
}

struct frag build_bytes(struct build *b, const char *bytes, size_t n)
{
    struct frag f = build_empty(b);
    for (size_t i = 0; i < n && !failed(b); i++) {
        const int32_t out = open_end(b), at = (unsigned char)bytes[i], e = add_edge(b, (unsigned)at, (unsigned)at, out), in = add_node(b, NODE_BYTES, e, 1);
        f = build_then(b, f, (struct frag){ in, out });
    }
    return failed(b) ? none : f;
}

int32_t build_place(struct build *b) { return open_end(b); }

void build_way(struct build *b, int32_t from, int32_t to)
{
    if (failed(b))
        return;
    assert(b->node[from].kind == NODE_SPLIT && b->node[from].b < 0);
    *(b->node[from].a < 0 ? &b->node[from].a : &b->node[from].b) = to;
}

/* ---- words ---- */

#define WORDS_DEPTH 100          /* of words that begin with words; beyond that they are alternatives */

static int by_text(const void *a, const void *b)
{
    const struct word *x = a, *y = b;
    const int c = memcmp(x->text, y->text, x->n < y->n ? x->n : y->n);
    return c ? c : x->n != y->n ? (x->n < y->n ? -1 : 1) : 0;
}

/* What follows the first `done` bytes, which all n have.  Where the last of it leads: to out. */
static int32_t words_from(struct build *b, const struct word *w, int n, size_t done, int depth, int32_t out)
{
    const struct word *const end = w + n;
    struct { unsigned char byte; int32_t to; } way[256];
    int n_way = 0;
    size_t same = done;
    while (same < w->n && same < end[-1].n && w->text[same] == end[-1].text[same])
        same++;                              /* sorted: what the first and the last have, all have */
    const struct frag head = build_bytes(b, w->text + done, same - done);
    const bool ends = w->n == same;
    while (w < end && w->n == same)
        w++;
    if (failed(b))
        return -1;
    if (w == end) {
        b->node[head.out].a = out;
        return head.in;
    }
    if (depth == WORDS_DEPTH) {
        struct frag all = build_bytes(b, w->text + same, w->n - same);
        while (++w < end)
            all = build_or(b, all, build_bytes(b, w->text + same, w->n - same));
        build_way(b, head.out, all.in);
        build_way(b, all.out, out);
    } else {
        while (w < end) {
            const struct word *next = w + 1;
            while (next < end && next->text[same] == w->text[same])
                next++;
            way[n_way].byte = (unsigned char)w->text[same];
            way[n_way++].to = words_from(b, w, (int)(next - w), same + 1, depth + 1, out);
            w = next;
        }
        const int32_t first = b->n_edge;
        for (int i = 0; i < n_way; i++)
            add_edge(b, way[i].byte, way[i].byte, way[i].to);
        build_way(b, head.out, add_node(b, NODE_BYTES, first, n_way));
    }
    if (ends)
        build_way(b, head.out, out);
    return head.in;
}

void build_sort_words(struct word *w, int n) { qsort(w, (size_t)n, sizeof *w, by_text); }

struct frag build_words(struct build *b, struct word *w, int n)
{
    build_sort_words(w, n);
    const int32_t out = open_end(b), in = failed(b) ? -1 : words_from(b, w, n, 0, 0, out);
    return failed(b) ? none : (struct frag){ in, out };
}

/* ---- characters as bytes ---- */

#define SEQUENCES_MAX 4096
struct sequences { struct { int n; unsigned char low[4], high[4]; } s[SEQUENCES_MAX]; int n; };

/* Characters low .. high of one length, cut where a byte before the last differs and those behind it are not all there are. */
static bool cut(struct sequences *q, uint32_t low, uint32_t high)
{
    char a[4] = { 0 }, z[4] = { 0 };
    const int n = utf8_put(low, a);
    utf8_put(high, z);
    for (int i = 1; i < n; i++) {
        const uint32_t rest = (1u << 6 * i) - 1;             /* of the last i bytes */
        if ((low & ~rest) == (high & ~rest))
            continue;
        if (low & rest)
            return cut(q, low, low | rest) && cut(q, (low | rest) + 1, high);
        if ((high & rest) != rest)
            return cut(q, low, (high & ~rest) - 1) && cut(q, high & ~rest, high);
    }
    if (q->n == SEQUENCES_MAX)
        return false;
    q->s[q->n].n = n;
    memcpy(q->s[q->n].low, a, sizeof a), memcpy(q->s[q->n].high, z, sizeof z);
    q->n++;
    return true;
}

static bool add_range(struct sequences *q, uint32_t low, uint32_t high)
{
    static const uint32_t bound[][2] = { { 0, 0x7F }, { 0x80, 0x7FF }, { 0x800, 0xD7FF }, { 0xE000, 0xFFFF }, { 0x10000, 0x10FFFF } };
    for (size_t i = 0; i < sizeof bound / sizeof *bound; i++) {
        const uint32_t a = low > bound[i][0] ? low : bound[i][0], z = high < bound[i][1] ? high : bound[i][1];
        if (a <= z && !cut(q, a, z))
            return false;
    }
    return true;
}

static int by_low(const void *a, const void *b)
{
    const struct code_range *x = a, *y = b;
    return x->low != y->low ? (x->low < y->low ? -1 : 1) : 0;
}

static bool sequences_of(struct sequences *q, struct code_range *r, int n, bool negated)
{
    uint32_t next = 0;                                       /* the first character that no range has had */
    qsort(r, (size_t)n, sizeof *r, by_low);
    for (int i = 0; i < n; i++) {
        const uint32_t low = r[i].low > next ? r[i].low : next;
        if (negated ? low > next && !add_range(q, next, low - 1) : r[i].high >= low && !add_range(q, low, r[i].high))
            return false;
        next = r[i].high + 1 > next ? r[i].high + 1 : next;
    }
    return !negated || next > 0x10FFFF || add_range(q, next, 0x10FFFF);
}

/* A node behind the first byte of each sequence; then the node of first bytes. */
static struct frag class_of(struct build *b, const struct sequences *q)
{
    int32_t behind[SEQUENCES_MAX];
    const int32_t out = open_end(b);
    int32_t any[3] = { out, -1, -1 };                        /* so many bytes of any value that continues a character */
    for (int i = 0; i < q->n; i++) {
        behind[i] = out;
        for (int k = q->s[i].n - 1, left = 1; k > 0; k--, left++) {
            const bool whole = q->s[i].low[k] == 0x80 && q->s[i].high[k] == 0xBF && behind[i] == any[left - 1] && left < 3;
            if (whole && any[left] >= 0) {
                behind[i] = any[left];
                continue;
            }
            const int32_t e = add_edge(b, q->s[i].low[k], q->s[i].high[k], behind[i]);
            behind[i] = add_node(b, NODE_BYTES, e, 1);
            if (whole)
                any[left] = behind[i];
        }
    }
    const int32_t first = b->n_edge;
    for (int i = 0; i < q->n; i++)
        add_edge(b, q->s[i].low[0], q->s[i].high[0], behind[i]);
    const int32_t in = add_node(b, NODE_BYTES, first, q->n);
    return failed(b) ? none : (struct frag){ in, out };
}

struct frag build_class(struct build *b, const struct code_range *r, int n, bool negated)
{
    struct sequences *q = mem_alloc_zero(sizeof *q);
    struct code_range *sorted = mem_alloc_array((size_t)n + 1, sizeof *sorted);
    struct frag f = none;
    if (!q || !sorted) {
        fail(b, ERR(&b->err, NOMEM, "no memory for a class of characters"));
    } else {
        if (n)
            memcpy(sorted, r, (size_t)n * sizeof *r);
        if (!sequences_of(q, sorted, n, negated))
            fail(b, ERR(&b->err, RANGE, "a class of characters has more than %d parts", SEQUENCES_MAX));
        else if (!q->n)
            fail(b, ERR(&b->err, FORMAT, "a class of characters is empty"));
        else
            f = class_of(b, q);
    }
    mem_free(q);
    mem_free(sorted);
    return f;
}

/* ---- again and again ---- */

/* The nodes from `from` to `end` are the fragment's, and only they: once more, behind all that is there. */
static struct frag copy(struct build *b, struct frag x, int32_t from, int32_t end)
{
    const int32_t by = b->n_node - from;
    for (int32_t i = from; i < end && !failed(b); i++) {
        struct grammar_node n = b->node[i];
        if (n.kind == NODE_BYTES) {
            const int32_t first = b->n_edge;
            for (int32_t e = 0; e < n.b; e++) {
                const struct grammar_edge old = b->edge[n.a + e];
                add_edge(b, old.low, old.high, old.to + by);
            }
            n.a = first;
        } else if (n.kind == NODE_SPLIT) {
            n.a = i == x.out || n.a < 0 ? -1 : n.a + by, n.b = n.b < 0 ? -1 : n.b + by;
        } else {
            n.b += by;
        }
        if (add_node(b, n.kind, n.a, n.b) >= 0)
            b->node[b->n_node - 1].like = n.like ? n.like + by : 0;
    }
    return failed(b) ? none : (struct frag){ x.in + by, x.out + by };
}

/* The end cannot be come to without reading, as far as can be seen. */
static bool reads_something(const struct build *b, struct frag x)
{
    int32_t todo[64] = { x.in }, n = 1;
    for (int looks = 0; n && looks < 1000; looks++) {
        const int32_t i = todo[--n];
        if (i < 0 || b->node[i].kind == NODE_BYTES)
            continue;
        if (i == x.out || b->node[i].kind != NODE_SPLIT || n + 2 > (int32_t)(sizeof todo / sizeof *todo))
            return false;
        todo[n++] = b->node[i].a, todo[n++] = b->node[i].b;
    }
    return !n;
}

/* n nodes from `at` on are like those from `first` on, or these themselves.  What they are like already stays for the first. */
static void mark_alike(struct build *b, int32_t first, int32_t at, int32_t n)
{
    for (int32_t i = 0; i < n && !failed(b); i++)
        if (at != first || !b->node[at + i].like)
            b->node[at + i].like = first + i + 1;
}

/* max - min optional ones are nested, x (x (x)?)?, so that there is one way to read so many. */
struct frag build_repeat(struct build *b, struct frag x, int32_t from, int min, int max)
{
    const int32_t end = b->n_node;
    const int n = max < 0 ? min + 1 : max;
    struct frag all = none, last = none;
    if (failed(b))
        return none;
    if (n > GRAMMAR_REPEAT_MAX || (max >= 0 && max < min)) {
        fail(b, ERR(&b->err, RANGE, "{%d,%d}: expected at most %d, and no less than the first", min, max, GRAMMAR_REPEAT_MAX));
        return none;
    }
    if (!n)
        return build_empty(b);
    const int32_t out = open_end(b);
    const bool marks = n > ALIKE_BYTES && reads_something(b, x);
    int32_t first[2] = { -1, -1 };               /* of the copies that must be, and of those that may; the first is like all but the last few */
    for (int i = 0; i < n && !failed(b); i++) {
        const int32_t at = b->n_node, left = i < min ? min - i : max - i;
        struct frag next = i + 1 < n ? copy(b, x, from, end) : x;      /* the first itself goes last: copies are of one that is still open */
        if (marks && i + 1 < n && left > ALIKE_BYTES + 2) {
            int32_t *const f = &first[i >= min];
            *f = *f < 0 ? at : *f;
            mark_alike(b, *f, at, end - from);
        }
        if (i >= min && max < 0)
            next = build_star(b, next);
        const int32_t in = i >= min && max >= 0 ? add_node(b, NODE_SPLIT, next.in, out) : next.in;
        if (failed(b))
            return none;
        if (i)
            b->node[last.out].a = in;
        all.in = i ? all.in : in;
        last = next;
    }
    if (failed(b))
        return none;
    b->node[last.out].a = out;
    return (struct frag){ all.in, out };
}

/* ---- checks, and the end ---- */

static const char *name_of(const struct build *b, int rule) { return b->rule[rule].name ? b->rule[rule].name : "?"; }

static void check_names(struct build *b)
{
    for (int i = 0; i < b->n_rule && !failed(b); i++)
        if (b->rule[i].in < 0)
            fail(b, ERR(&b->err, FORMAT, "rule '%s' is named but not there", name_of(b, i)));
}

/* Nodes and rules, looked at each once.  call[r]: the last node that calls rule r, next[i]: the one before it. */
struct walk { int32_t *todo, *call, *next, *owner; unsigned char *seen, *flag; int n; };

static bool walk_init(struct walk *w, const struct build *b)
{
    const size_t n = (size_t)b->n_node + 1, rules = (size_t)b->n_rule + 1;
    *w = (struct walk){ .todo = mem_alloc_array(3 * n + (size_t)b->n_edge + rules, sizeof *w->todo), .call = mem_alloc_array(rules, sizeof *w->call), .next = mem_alloc_array(n, sizeof *w->next),
                        .owner = mem_alloc_array(n, sizeof *w->owner), .seen = mem_alloc_array(n, 1), .flag = mem_alloc_array(rules, 1) };
    if (!w->todo || !w->call || !w->next || !w->owner || !w->seen || !w->flag)
        return false;
    memset(w->call, -1, rules * sizeof *w->call);
    for (int32_t i = 0; i < b->n_node; i++)
        if (b->node[i].kind == NODE_CALL)
            w->next[i] = w->call[b->node[i].a], w->call[b->node[i].a] = i;
    return true;
}

static void walk_release(struct walk *w)
{
    mem_free(w->todo);
    mem_free(w->call);
    mem_free(w->next);
    mem_free(w->owner);
    mem_free(w->seen);
    mem_free(w->flag);
}

/* Seen: nodes that are come to from the beginning of their rule, without reading unless `reading`, by calls of rules whose end is come
 * to likewise, which are the flagged ones. */
static void spread(const struct build *b, struct walk *w, bool reading)
{
    memset(w->seen, 0, (size_t)b->n_node);
    memset(w->flag, 0, (size_t)b->n_rule);
    w->n = 0;
    for (int i = 0; i < b->n_rule; i++)
        w->todo[w->n++] = b->rule[i].in;
    while (w->n) {
        const int32_t i = w->todo[--w->n];
        if (i < 0 || w->seen[i])
            continue;
        const struct grammar_node *x = &b->node[i];
        w->seen[i] = 1;
        if (x->kind == NODE_SPLIT)
            w->todo[w->n++] = x->a, w->todo[w->n++] = x->b;
        else if (x->kind == NODE_CALL && w->flag[x->a])
            w->todo[w->n++] = x->b;
        for (int32_t e = 0; reading && x->kind == NODE_BYTES && e < x->b; e++)
            w->todo[w->n++] = b->edge[x->a + e].to;
        if (x->kind != NODE_END || w->flag[x->a])
            continue;
        w->flag[x->a] = 1;
        for (int32_t c = w->call[x->a]; c >= 0; c = w->next[c])
            if (w->seen[c])
                w->todo[w->n++] = b->node[c].b;
    }
}

static void check_ends(struct build *b, struct walk *w)
{
    spread(b, w, true);
    for (int i = 0; i < b->n_rule && !failed(b); i++)
        if (!w->flag[i])
            fail(b, ERR(&b->err, FORMAT, "rule '%s' never ends", name_of(b, i)));
}

/* A rule that can begin with itself would be followed for ever.  All ends can be come to, so every node has been seen: whose is it? */
static void check_circles(struct build *b, struct walk *w)
{
    for (int r = 0; r < b->n_rule; r++) {
        w->n = 0;
        w->todo[w->n++] = b->rule[r].in;
        while (w->n) {
            const int32_t i = w->todo[--w->n];
            if (i < 0 || w->seen[i] == 2)
                continue;
            const struct grammar_node *x = &b->node[i];
            w->seen[i] = 2, w->owner[i] = r;
            if (x->kind == NODE_SPLIT)
                w->todo[w->n++] = x->a, w->todo[w->n++] = x->b;
            else if (x->kind == NODE_CALL)
                w->todo[w->n++] = x->b;
            for (int32_t e = 0; x->kind == NODE_BYTES && e < x->b; e++)
                w->todo[w->n++] = b->edge[x->a + e].to;
        }
    }
    spread(b, w, false);
    /* of calls that are come to without reading: a list for each rule they stand in */
    int32_t *first = w->call, *next = w->next, *chain = w->todo;
    memset(first, -1, (size_t)b->n_rule * sizeof *first);
    for (int32_t i = 0; i < b->n_node; i++)
        if (b->node[i].kind == NODE_CALL && w->seen[i])
            next[i] = first[w->owner[i]], first[w->owner[i]] = i;
    memset(w->flag, 0, (size_t)b->n_rule);                   /* 1: in the chain, 2: done */
    for (int root = 0; root < b->n_rule && !failed(b); root++) {
        int depth = 0;
        if (w->flag[root])
            continue;
        chain[0] = root, w->flag[root] = 1;
        while (depth >= 0 && !failed(b)) {
            const int32_t r = chain[depth], c = first[r];
            if (c < 0) {
                w->flag[r] = 2, depth--;
                continue;
            }
            first[r] = next[c];
            const int32_t to = b->node[c].a;
            if (w->flag[to] == 1)
                fail(b, ERR(&b->err, FORMAT, "rule '%s' can begin with itself", name_of(b, to)));
            else if (!w->flag[to])
                w->flag[to] = 1, chain[++depth] = to;
        }
    }
}

/* Where a chain of nodes that only lead on ends. */
static bool leads_on(const struct build *b, int32_t i) { return i >= 0 && b->node[i].kind == NODE_SPLIT && b->node[i].b < 0 && b->node[i].a >= 0; }

/* All of the chain then lead there at once.  There is no circle: its end can be come to. */
static int32_t skip(struct build *b, int32_t i)
{
    int32_t end = i;
    while (leads_on(b, end))
        end = b->node[end].a;
    while (i != end) {
        const int32_t next = b->node[i].a;
        b->node[i].a = end;
        i = next;
    }
    return end;
}

static void shorten(struct build *b)
{
    for (int i = 0; i < b->n_node; i++) {
        struct grammar_node *x = &b->node[i];
        if (x->kind == NODE_SPLIT && x->a >= 0)
            x->a = skip(b, x->a);
        if (x->kind == NODE_SPLIT || x->kind == NODE_CALL)
            x->b = skip(b, x->b);
    }
    for (int i = 0; i < b->n_edge; i++)
        b->edge[i].to = skip(b, b->edge[i].to);
    for (int i = 0; i < b->n_rule; i++)
        b->rule[i].in = skip(b, b->rule[i].in);
    for (int i = 0; i < b->n_node; i++)
        if (b->node[i].kind == NODE_CALL)
            b->node[i].a = b->rule[b->node[i].a].in;
}

static void check(struct build *b)
{
    struct walk w;
    if (!walk_init(&w, b))
        fail(b, ERR(&b->err, NOMEM, "no memory for a grammar of %d places", b->n_node));
    if (!failed(b))
        check_names(b);
    if (!failed(b))
        check_ends(b, &w);
    if (!failed(b))
        check_circles(b, &w);
    walk_release(&w);
}

int build_end(struct build *b, int root, struct grammar **out, struct err *err)
{
    *out = NULL;
    if (!failed(b))
        check(b);
    if (!failed(b)) {
        shorten(b);
        b->rc = grammar_take(out, b, root, &b->err);
    }
    const int rc = b->rc;
    if (rc < 0)
        *err = b->err;
    build_release(b);
    return rc;
}

void build_release(struct build *b)
{
    for (int i = 0; i < b->n_rule; i++)
        mem_free(b->rule[i].name);
    mem_free(b->rule);
    mem_free(b->names);
    mem_free(b->node);
    mem_free(b->edge);
    *b = (struct build){ 0 };
}
