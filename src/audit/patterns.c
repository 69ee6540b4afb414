/* patterns.c - ends from Vectorscan, gathered in runs by expression, and PCRE2 over the starts that may lead to them.
 *
 * A run is a stretch of ends of one expression with less than RUN_GAP bytes between them: so their number is bounded by the text's length.
 * A long text is scanned by pieces that overlap by what the longest expression needs; PCRE2 always sees the whole text. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "audit/patterns.h"
#include <hs/hs.h>
#include <limits.h>
#include <pcre2.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

#define PIECE ((size_t)256 << 10)
#define RUN_GAP 64
#define MATCH_LIMIT 1000000
#define JIT_STACK ((size_t)1 << 20)

struct expression { pcre2_code *code; enum pattern_kind kind; uint32_t before; };
struct patterns { pcre2_general_context *memory; hs_database_t *text, *near; struct expression *expr; int n; size_t overlap; };

struct run { int expr; size_t first, last; };
struct patterns_state {
    hs_scratch_t *scratch;
    pcre2_general_context *memory;
    pcre2_match_context *limits;
    pcre2_match_data *match;
    pcre2_jit_stack *stack;
    struct run *run, *window, *sorted;
    size_t n_run, cap_run, n_window, cap_window, cap_sorted;
    size_t *until;              /* by expression: behind its last run, once they are sorted */
    size_t *open;               /* by expression: 1 + its last run, 0 when there is none */
    size_t *from;               /* by expression: starts before it were tried */
    int n, rc;
    size_t base;                /* of the bytes that are scanned, in the text */
    const struct patterns *patterns;
    uint64_t n_given_up;
};

/* ---- memory of the two libraries is ours, and whether some was refused is known ---- */

static _Thread_local bool refused;

static void *take(size_t n)
{
    void *p = mem_alloc(n);
    refused |= !p;
    return p;
}

static void *take_pcre(size_t n, void *ctx) { (void)ctx; return take(n); }
static void give_pcre(void *p, void *ctx) { (void)ctx; mem_free(p); }
static void set_allocator(void) { hs_set_allocator(take, mem_free); }

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for patterns"); }

/* ---- made once ---- */

static int compile_pcre(pcre2_code **out, pcre2_general_context *memory, const char *name, const char *expr, struct err *err)
{
    int code;
    PCRE2_SIZE at;
    pcre2_compile_context *ctx = pcre2_compile_context_create(memory);
    if (!ctx)
        return no_memory(err);
    *out = pcre2_compile((PCRE2_SPTR)expr, PCRE2_ZERO_TERMINATED, PCRE2_USE_OFFSET_LIMIT | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_UTF | PCRE2_NEVER_BACKSLASH_C, &code, &at, ctx);
    pcre2_compile_context_free(ctx);
    if (!*out && refused)
        return no_memory(err);
    if (!*out) {
        char says[120];
        pcre2_get_error_message(code, (PCRE2_UCHAR *)says, sizeof says);
        return ERR(err, FORMAT, "pattern '%s', at its byte %zu: %s", name, (size_t)at, says);
    }
    pcre2_jit_compile(*out, PCRE2_JIT_COMPLETE);        /* without it, only slower */
    return refused ? no_memory(err) : 0;
}

/* From where in front of an end a match may start. */
static int find_width(struct patterns *p, int i, const struct pattern *q, struct err *err)
{
    hs_expr_info_t *info = NULL;
    hs_compile_error_t *e = NULL;
    size_t before = q->before;
    if (!before && hs_expression_info(q->expr, HS_FLAG_PREFILTER, &info, &e) == HS_SUCCESS) {
        before = info->max_width;
        mem_free(info);
    }
    hs_free_compile_error(e);
    if (refused)
        return no_memory(err);
    p->expr[i].before = (uint32_t)(before && before < PATTERN_LONGEST ? before : PATTERN_LONGEST);
    if (q->kind == PATTERN_NEAR && p->expr[i].before > PATTERN_WINDOW)
        return ERR(err, FORMAT, "pattern '%s': as long as %u bytes, expected at most %d", q->name, p->expr[i].before, PATTERN_WINDOW);
    if (q->kind == PATTERN_TEXT && p->expr[i].before > p->overlap)
        p->overlap = p->expr[i].before;
    return 0;
}

/* Those of the near ones, or all others, in one database; none: NULL. */
static int compile_all(hs_database_t **out, const struct pattern *p, int n, bool near, struct err *err)
{
    const char **expr = mem_alloc_array((size_t)n + 1, sizeof *expr);
    unsigned *flags = mem_alloc_array((size_t)n + 1, sizeof *flags), *id = mem_alloc_array((size_t)n + 1, sizeof *id), k = 0;
    hs_compile_error_t *e = NULL;
    int rc = expr && flags && id ? 0 : no_memory(err);
    for (int i = 0; !rc && i < n; i++)
        if ((p[i].kind == PATTERN_NEAR) == near) {
            expr[k] = p[i].hint ? p[i].hint : p[i].expr;
            flags[k] = HS_FLAG_PREFILTER;
            id[k++] = (unsigned)i;
        }
    if (!rc && k && hs_compile_multi(expr, flags, id, k, HS_MODE_BLOCK, NULL, out, &e) != HS_SUCCESS)
        rc = refused || !e ? no_memory(err) : ERR(err, FORMAT, "pattern '%s': %s", e->expression < 0 ? "of all" : p[id[e->expression]].name, e->message);
    hs_free_compile_error(e);
    mem_free(expr);
    mem_free(flags);
    mem_free(id);
    return rc;
}

int patterns_new(struct patterns **out, const struct pattern *p, int n, struct err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_allocator);
    refused = false;
    struct patterns *q = mem_alloc_zero(sizeof *q);
    int rc = q && (q->memory = pcre2_general_context_create(take_pcre, give_pcre, NULL)) && (q->expr = mem_alloc_array((size_t)n, sizeof *q->expr)) ?
             0 : no_memory(err);
    for (int i = 0; !rc && i < n; i++) {
        q->n = i + 1;
        q->overlap = q->overlap ? q->overlap : PATTERN_WINDOW;
        q->expr[i].kind = p[i].kind;
        rc = p[i].kind == PATTERN_OPENS ? 0 : compile_pcre(&q->expr[i].code, q->memory, p[i].name, p[i].expr, err);
        rc = rc || p[i].kind == PATTERN_OPENS ? rc : find_width(q, i, &p[i], err);
    }
    rc = rc ? rc : compile_all(&q->text, p, n, false, err);
    rc = rc ? rc : compile_all(&q->near, p, n, true, err);
    if (rc) {
        patterns_free(q);
        return rc;
    }
    *out = q;
    return 0;
}

void patterns_free(struct patterns *p)
{
    if (!p)
        return;
    hs_free_database(p->text);
    hs_free_database(p->near);
    for (int i = 0; i < p->n; i++)
        pcre2_code_free(p->expr[i].code);
    pcre2_general_context_free(p->memory);
    mem_free(p->expr);
    mem_free(p);
}

/* ---- a thread's ---- */

static int take_scratch(struct patterns_state *s, const hs_database_t *db, struct err *err)
{
    return !db || hs_alloc_scratch(db, &s->scratch) == HS_SUCCESS ? 0 : no_memory(err);
}

int patterns_state_new(struct patterns_state **out, const struct patterns *p, struct err *err)
{
    struct patterns_state *s = mem_alloc_zero(sizeof *s);
    if (!s)
        return no_memory(err);
    s->n = p->n;
    s->patterns = p;
    int rc = 0;
    if (!(s->memory = pcre2_general_context_create(take_pcre, give_pcre, NULL)) || !(s->limits = pcre2_match_context_create(s->memory)) ||
        !(s->match = pcre2_match_data_create(PATTERN_GROUPS, s->memory)) || !(s->stack = pcre2_jit_stack_create(32 << 10, JIT_STACK, s->memory)) ||
        !(s->open = mem_alloc_array((size_t)p->n + 1, sizeof *s->open)) || !(s->from = mem_alloc_array((size_t)p->n + 1, sizeof *s->from)) ||
        !(s->until = mem_alloc_array((size_t)p->n + 2, sizeof *s->until)))
        rc = no_memory(err);
    rc = rc ? rc : take_scratch(s, p->text, err);
    rc = rc ? rc : take_scratch(s, p->near, err);
    if (rc) {
        patterns_state_free(s);
        return rc;
    }
    pcre2_set_match_limit(s->limits, MATCH_LIMIT);
    pcre2_jit_stack_assign(s->limits, NULL, s->stack);
    *out = s;
    return 0;
}

void patterns_state_free(struct patterns_state *s)
{
    if (!s)
        return;
    hs_free_scratch(s->scratch);
    pcre2_jit_stack_free(s->stack);
    pcre2_match_data_free(s->match);
    pcre2_match_context_free(s->limits);
    pcre2_general_context_free(s->memory);
    mem_free(s->run);
    mem_free(s->sorted);
    mem_free(s->until);
    mem_free(s->window);
    mem_free(s->open);
    mem_free(s->from);
    mem_free(s);
}

uint64_t patterns_given_up(const struct patterns_state *s) { return s->n_given_up; }

/* ---- ends ---- */

static int grow(struct run **run, size_t n, size_t *cap)
{
    if (n < *cap)
        return 0;
    const size_t more = *cap ? 2 * *cap : 256;
    struct run *r = mem_realloc_array(*run, more, sizeof *r);
    if (!r)
        return ERR_NOMEM;
    *run = r;
    *cap = more;
    return 0;
}

/* Called by Vectorscan for an end; anything but 0 stops it. */
static int end_found(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *ctx)
{
    struct patterns_state *s = ctx;
    const size_t end = s->base + (size_t)to;
    (void)from, (void)flags;
    struct run *r = s->open[id] ? &s->run[s->open[id] - 1] : NULL;
    if (r && end <= r->last + RUN_GAP && end + RUN_GAP >= r->first) {
        r->last = end > r->last ? end : r->last;
        r->first = end < r->first ? end : r->first;
        return 0;
    }
    if ((s->rc = grow(&s->run, s->n_run, &s->cap_run)) < 0)
        return 1;
    s->run[s->n_run++] = (struct run){ (int)id, end, end };
    s->open[id] = s->n_run;
    return 0;
}

static int scan(struct patterns_state *s, const hs_database_t *db, const char *text, size_t from, size_t to, struct err *err)
{
    s->base = from;
    const hs_error_t rc = db ? hs_scan(db, text + from, (unsigned)(to - from), 0, s->scratch, end_found, s) : HS_SUCCESS;
    if (s->rc)
        return no_memory(err);
    return rc == HS_SUCCESS ? 0 : ERR(err, UNSUPPORTED, "Vectorscan refused a text of %zu bytes: its error %d", to - from, rc);
}

static int by_place(const void *a, const void *b)
{
    const struct run *x = a, *y = b;
    return x->expr != y->expr ? (x->expr < y->expr ? -1 : 1) : x->first != y->first ? (x->first < y->first ? -1 : 1) : 0;
}

/* By expression, counted, and within one by place, as they have come most of the time. */
static int sort_runs(struct patterns_state *s, struct err *err)
{
    memset(s->until, 0, ((size_t)s->n + 1) * sizeof *s->until);
    if (s->n_run > s->cap_sorted) {
        struct run *r = mem_realloc_array(s->sorted, s->cap_run, sizeof *r);
        if (!r)
            return no_memory(err);
        s->sorted = r;
        s->cap_sorted = s->cap_run;
    }
    for (size_t i = 0; i < s->n_run; i++)
        s->until[s->run[i].expr + 1]++;
    for (int e = 0; e < s->n; e++)
        s->until[e + 1] += s->until[e];
    for (size_t i = 0; i < s->n_run; i++)
        s->sorted[s->until[s->run[i].expr]++] = s->run[i];
    for (size_t i = 1, from = 0; i <= s->n_run; i++) {
        if (i < s->n_run && s->sorted[i].expr == s->sorted[i - 1].expr)
            continue;
        bool right = true;
        for (size_t k = from + 1; k < i; k++)
            right &= s->sorted[k - 1].first <= s->sorted[k].first;
        if (!right)
            qsort(s->sorted + from, i - from, sizeof *s->sorted, by_place);
        from = i;
    }
    return 0;
}

/* The windows that this piece opened, in order and apart from each other, are scanned for the near ones. */
static int scan_windows(struct patterns_state *s, const char *text, size_t n, struct err *err)
{
    s->n_window = 0;
    for (size_t i = 0; i < s->n_run; i++) {
        const struct run r = s->run[i];
        if (s->patterns->expr[r.expr].kind != PATTERN_OPENS)
            continue;
        if (grow(&s->window, s->n_window, &s->cap_window) < 0)
            return no_memory(err);
        s->window[s->n_window++] = (struct run){ 0, r.first > PATTERN_WINDOW ? r.first - PATTERN_WINDOW : 0,
                                                 r.last + PATTERN_WINDOW < n ? r.last + PATTERN_WINDOW : n };
    }
    if (s->n_window > 1)
        qsort(s->window, s->n_window, sizeof *s->window, by_place);
    for (size_t i = 0, k; i < s->n_window; i = k) {
        size_t to = s->window[i].last;
        for (k = i + 1; k < s->n_window && s->window[k].first <= to; k++)
            to = s->window[k].last > to ? s->window[k].last : to;
        TRY(scan(s, s->patterns->near, text, s->window[i].first, to, err));
    }
    return 0;
}

/* ---- what it is ---- */

struct finding { const char *text; size_t n; patterns_found *found; void *ctx; };

/* The next match of expr that starts in from..last; false: none. */
static bool match(struct patterns_state *s, const struct finding *f, int expr, size_t from, size_t last, struct pattern_group group[PATTERN_GROUPS])
{
    const size_t end = last + PATTERN_LONGEST < f->n ? last + PATTERN_LONGEST : f->n;
    pcre2_set_offset_limit(s->limits, last);
    const int rc = pcre2_match(s->patterns->expr[expr].code, (PCRE2_SPTR)f->text, end, from, PCRE2_NOTEMPTY, s->match, s->limits);
    s->n_given_up += rc < 0 && rc != PCRE2_ERROR_NOMATCH;
    if (rc < 0)
        return false;
    const PCRE2_SIZE *o = pcre2_get_ovector_pointer(s->match);
    const int n = rc ? rc : PATTERN_GROUPS;             /* 0: it has more groups */
    memset(group, 0, PATTERN_GROUPS * sizeof *group);
    for (int k = 0; k < n; k++)
        if (o[2 * k] != PCRE2_UNSET && o[2 * k + 1] > o[2 * k])
            group[k] = (struct pattern_group){ o[2 * k], o[2 * k + 1] - o[2 * k] };
    return group[0].n > 0;
}

static void confirm(struct patterns_state *s, const struct finding *f, struct run r)
{
    const uint32_t before = s->patterns->expr[r.expr].before;
    const size_t first = r.first > before ? r.first - before : 0, tried = s->from[r.expr];
    struct pattern_group group[PATTERN_GROUPS];
    size_t from = first > tried ? first : tried;
    while (from <= r.last && match(s, f, r.expr, from, r.last, group)) {
        const size_t taken = f->found(f->ctx, r.expr, group);
        from = group[0].at + (taken ? taken : 1);
    }
    s->from[r.expr] = from > r.last ? from : r.last + 1;
}

int patterns_scan(const struct patterns *p, struct patterns_state *s, const char *text, size_t n, patterns_found *found, void *ctx, struct err *err)
{
    const struct finding f = { text, n, found, ctx };
    memset(s->from, 0, (size_t)p->n * sizeof *s->from);
    for (size_t at = 0; at < n; at += PIECE) {
        s->n_run = 0;
        s->rc = 0;
        memset(s->open, 0, (size_t)p->n * sizeof *s->open);
        TRY(scan(s, p->text, text, at > p->overlap ? at - p->overlap : 0, n - at < PIECE ? n : at + PIECE, err));
        TRY(scan_windows(s, text, n, err));
        TRY(sort_runs(s, err));
        for (size_t i = 0; i < s->n_run; i++)
            if (p->expr[s->sorted[i].expr].kind != PATTERN_OPENS)
                confirm(s, &f, s->sorted[i]);
    }
    return 0;
}

/* ---- one alone ---- */

struct pattern_alone { pcre2_general_context *memory; pcre2_code *code; };

int pattern_alone_new(struct pattern_alone **out, const char *name, const char *expr, struct err *err)
{
    refused = false;
    struct pattern_alone *p = mem_alloc_zero(sizeof *p);
    int rc = p && (p->memory = pcre2_general_context_create(take_pcre, give_pcre, NULL)) ? 0 : no_memory(err);
    rc = rc ? rc : compile_pcre(&p->code, p->memory, name, expr, err);
    if (rc) {
        pattern_alone_free(p);
        return rc;
    }
    *out = p;
    return 0;
}

void pattern_alone_free(struct pattern_alone *p)
{
    if (!p)
        return;
    pcre2_code_free(p->code);
    pcre2_general_context_free(p->memory);
    mem_free(p);
}

bool pattern_alone_in(const struct pattern_alone *p, struct patterns_state *s, const char *text, size_t n)
{
    pcre2_set_offset_limit(s->limits, PCRE2_UNSET);
    const int rc = pcre2_match(p->code, (PCRE2_SPTR)text, n, 0, 0, s->match, s->limits);
    s->n_given_up += rc < 0 && rc != PCRE2_ERROR_NOMATCH;
    return rc >= 0;
}
