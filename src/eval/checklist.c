#include "eval/checklist.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/tree.h"
#include "data/unpack.h"

#define BYTES_MAX ((size_t)1 << 30)
enum { LABELS_MAX = 1000 };

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for a suite of tests"); }

/* ---- what is expected ---- */

static const struct { const char *name; enum checklist_expect expect; int label; } known[] = {
#define KNOWN(name, expect, label) { name, EXPECT_##expect, label },
#include "eval/checklist.def"
#undef KNOWN
};

static int read_expect(struct checklist_test *t, const json_t *e, const char *where, struct err *err)
{
    const char *confidence, *towards;
    bool same;
    int64_t label, except;
    TRY(tree_str(e, "confidence", NULL, &confidence, where, err));
    TRY(tree_str(e, "towards", NULL, &towards, where, err));
    TRY(tree_bool(e, "same", false, &same, where, err));
    TRY(tree_int(e, "not", -1, 0, LABELS_MAX, &label, where, err));
    TRY(tree_int(e, "except", -1, 0, LABELS_MAX, &except, where, err));
    TRY(tree_num(e, "tolerance", t->tolerance, &t->tolerance, where, err));
    const int which = confidence ? word_index(confidence, strlen(confidence), "up|down") : towards ? word_index(towards, strlen(towards), "last|first")
            : same || label >= 0 ? 0 : -1;
    if (which < 0 || (confidence != NULL) + (towards != NULL) + same + (label >= 0) != 1 || !(t->tolerance >= 0 && t->tolerance <= 1))
        return ERR(err, FORMAT,
                   "%s: \"expect\" is none of {\"not\": LABEL}, {\"same\": true}, {\"confidence\": \"up\" or \"down\"}, {\"towards\": \"last\" or \"first\"}, with a tolerance of 0 to 1", where);
    if (confidence)
        t->expect = which ? EXPECT_DOWN : EXPECT_UP, t->label = (int)except;
    else if (towards)
        t->expect = which ? EXPECT_TOWARDS_FIRST : EXPECT_TOWARDS_LAST;
    else
        t->expect = same ? EXPECT_SAME : EXPECT_NOT, t->label = (int)label;
    return 0;
}

static int find_expect(struct checklist_test *t, const json_t *line, const char *where, struct err *err)
{
    const json_t *e = json_object_get(line, "expect"), *labels = json_object_get(line, "labels");
    t->expect = EXPECT_UNKNOWN, t->label = -1, t->tolerance = 0.1;
    if (e && !json_is_null(e))
        return json_is_object(e) ? read_expect(t, e, where, err) : ERR(err, FORMAT, "%s: \"expect\" is no object", where);
    if (!strcmp(t->type, "INV"))
        t->expect = EXPECT_SAME;
    else if (!strcmp(t->type, "MFT") && labels && !json_is_null(labels))
        t->expect = EXPECT_LABEL;
    for (size_t i = 0; i < sizeof known / sizeof *known && t->expect == EXPECT_UNKNOWN; i++)
        if (!strcmp(t->name, known[i].name))
            t->expect = known[i].expect, t->label = known[i].label;
    return 0;
}

/* ---- cases ---- */

static bool is_pair(enum checklist_expect e) { return e == EXPECT_SAME || (e >= EXPECT_UP && e <= EXPECT_TOWARDS_FIRST); }

/* Texts of a case that may be used; 0: it may not. */
static int n_texts(const struct checklist_test *t, const json_t *data)
{
    const size_t n = json_array_size(data);
    if (json_is_string(data))
        return !is_pair(t->expect);
    for (size_t i = 0; i < n; i++)
        if (!json_is_string(json_array_get(data, i)))
            return 0;
    return n > 100000 || (is_pair(t->expect) && n < 2) ? 0 : (int)n;
}

static int label_of(const json_t *line, int64_t i)
{
    const json_t *v = json_object_get(line, "labels");
    v = json_is_array(v) ? json_array_get(v, (size_t)i) : v;
    return json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) < LABELS_MAX ? (int)json_integer_value(v) : -1;
}

/* Why a case is unusable, of the first one. */
static int tell_unusable(struct checklist *c, const struct checklist_test *t, const json_t *line, int64_t i, const char *where, struct err *err)
{
    const json_t *data = json_array_get(json_object_get(line, "data"), (size_t)i), *labels = json_object_get(line, "labels");
    const json_t *label = json_is_array(labels) ? json_array_get(labels, (size_t)i) : labels;
    struct err *why = &c->first_unusable;
    if (why->code)
        return 0;
    if (json_is_null(data)) {
        (void)ERR(why, FORMAT, "%s, case %lld is null", where, (long long)i);
    } else if (!n_texts(t, data)) {
        (void)ERR(why, FORMAT, "%s, case %lld: expected %s", where, (long long)i, is_pair(t->expect) ? "a list of two texts or more" : "a text, or a list of texts");
    } else {
        char *found = label ? tree_dumps(label, JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;
        if (label && !found)
            return no_memory(err);
        (void)ERR(why, FORMAT, "%s, case %lld: its label is %.40s, expected a whole number from 0 to %d", where, (long long)i, found ? found : "missing", LABELS_MAX - 1);
        mem_free(found);
    }
    return 0;
}

static int add_texts(struct checklist *c, const json_t *data, int n, struct err *err)
{
    if (c->n_text + n > c->cap_text) {
        const int64_t cap = 2 * (c->n_text + n) + 64;
        const json_t **p = mem_realloc_array(c->text, (size_t)cap, sizeof *p);
        if (!p)
            return no_memory(err);
        c->text = p, c->cap_text = cap;
    }
    for (int i = 0; i < n; i++)
        c->text[c->n_text++] = json_is_string(data) ? data : json_array_get(data, (size_t)i);
    return 0;
}

static int add_cases(struct checklist *c, struct checklist_test *t, const json_t *line, const char *where, int64_t limit, struct err *err)
{
    const json_t *data = json_object_get(line, "data");
    const int64_t all = (int64_t)json_array_size(data);
    t->n = limit > 0 && limit < all ? limit : all;
    if (!(t->c = mem_alloc_array((size_t)t->n + 1, sizeof *t->c)))
        return no_memory(err);
    for (int64_t i = 0; i < t->n; i++) {
        struct checklist_case *x = &t->c[i];
        const json_t *of = json_array_get(data, (size_t)i);
        *x = (struct checklist_case){ c->n_text, n_texts(t, of), label_of(line, i), false };
        x->usable = x->n_text && (t->expect != EXPECT_LABEL || x->label >= 0);
        t->n_unusable += !x->usable;
        if (!x->usable)
            TRY(tell_unusable(c, t, line, i, where, err));
        if (x->usable && t->expect == EXPECT_LABEL && x->label >= c->n_label)
            c->n_label = x->label + 1;
        if (x->usable && t->expect != EXPECT_UNKNOWN)
            TRY(add_texts(c, of, x->n_text, err));
    }
    if (t->label >= c->n_label)
        c->n_label = t->label + 1;
    return 0;
}

static int add_line(struct checklist *c, const char *text, size_t n, const char *where, int64_t limit, struct err *err)
{
    json_t **line = mem_realloc_array(c->line, (size_t)c->n_test + 1, sizeof *line);
    c->line = line ? line : c->line;
    struct checklist_test *test = mem_realloc_array(c->test, (size_t)c->n_test + 1, sizeof *test);
    c->test = test ? test : c->test;
    if (!line || !test)
        return no_memory(err);
    struct checklist_test *t = &test[c->n_test];
    *t = (struct checklist_test){ .n = 0 };
    TRY(tree_parse_json(&line[c->n_test], text, n, where, err));
    const json_t *o = line[c->n_test++];
    if (!json_is_object(o))
        return ERR(err, FORMAT, "%s: found no object, expected {\"test\": ..., \"type\": ..., \"data\": [...]}", where);
    TRY(tree_str(o, "test", NULL, &t->name, where, err));
    TRY(tree_str(o, "type", "", &t->type, where, err));
    TRY(tree_str(o, "capability", "", &t->capability, where, err));
    if (!t->name || !json_is_array(json_object_get(o, "data")))
        return ERR(err, FORMAT, "%s: found no %s, expected {\"test\": ..., \"type\": ..., \"data\": [...]}", where, t->name ? "list \"data\"" : "\"test\"");
    if (word_index(t->type, strlen(t->type), "MFT|INV|DIR") < 0)
        return ERR(err, FORMAT, "%s: type is '%.40s', expected MFT, INV or DIR", where, t->type);
    TRY(find_expect(t, o, where, err));
    return add_cases(c, t, o, where, limit, err);
}

int checklist_parse(struct checklist **out, const char *text, size_t n, const char *name, int64_t limit, struct err *err)
{
    struct checklist *c = mem_alloc_zero(sizeof *c);
    int64_t number = 1;
    int rc = c ? 0 : no_memory(err);
    *out = NULL;
    for (const char *at = text, *stop = text + n, *end; !rc && at < stop; at = end + 1, number++) {
        char where[300];
        end = memchr(at, '\n', (size_t)(stop - at));
        end = end ? end : stop;
        snprintf(where, sizeof where, "%.250s:%lld", name, (long long)number);
        size_t k = (size_t)(end - at);
        while (k && strchr(" \r\t", at[k - 1]) && at[k - 1])
            k--;
        rc = k ? add_line(c, at, k, where, limit, err) : 0;
    }
    if (!rc && !c->n_test)
        rc = ERR(err, FORMAT, "%s: found no test, expected a line of JSON for each", name);
    if (rc)
        checklist_free(c);
    else
        *out = c;
    return rc;
}

int checklist_open(struct checklist **out, const char *path, int64_t limit, struct err *err)
{
    struct buf b;
    buf_init(&b);
    *out = NULL;
    int rc = unpack_all(path, BYTES_MAX, &b, err);
    if (!rc)
        rc = checklist_parse(out, b.data, b.len, path, limit, err);
    buf_release(&b);
    return rc;
}

void checklist_free(struct checklist *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->n_test; i++) {
        mem_free(c->test[i].c);
        json_decref(c->line[i]);
    }
    mem_free(c->test);
    mem_free(c->line);
    mem_free(c->text);
    mem_free(c);
}

/* ---- answers ---- */

int checklist_answers_init(struct checklist_answers *a, const struct checklist *c, int n_label, struct err *err)
{
    *a = (struct checklist_answers){ .n_label = n_label, .prob = mem_alloc_array((size_t)c->n_text + 1, (size_t)n_label * sizeof *a->prob),
                                     .state = mem_alloc_array((size_t)c->n_text + 1, 1) };
    return a->prob && a->state ? 0 : no_memory(err);
}

void checklist_answers_release(struct checklist_answers *a)
{
    mem_free(a->prob);
    mem_free(a->state);
    mem_free(a->why);
    *a = (struct checklist_answers){ 0 };
}

static int likeliest(const double *p, int n)
{
    int best = 0;
    for (int k = 1; k < n; k++)
        best = p[k] > p[best] ? k : best;
    return best;
}

/* By how much a text fails (> 0), or passes; NAN: it is not judged.  p: of the text, first: of the case's first one. */
static double fails_by(const struct checklist_test *t, int label, const double *first, const double *p, int n)
{
    const int was = likeliest(first, n), now = likeliest(p, n);
    const double change = p[was] - first[was], towards_last = first[0] - p[0] + p[n - 1] - first[n - 1];
    switch (t->expect) {
    case EXPECT_LABEL: return now == label ? -1 : p[now] - (label < n ? p[label] : 0) + 1e-300;
    case EXPECT_NOT: return now == t->label ? p[now] : -1;
    case EXPECT_SAME: return was == now ? -1 : fabs(change) - t->tolerance;
    case EXPECT_UP: return was == t->label || first[was] <= t->tolerance ? NAN : -change - t->tolerance;
    case EXPECT_DOWN: return was == t->label || first[was] >= 1 - t->tolerance ? NAN : change - t->tolerance;
    case EXPECT_TOWARDS_LAST: return -towards_last - t->tolerance;
    case EXPECT_TOWARDS_FIRST: return towards_last - t->tolerance;
    case EXPECT_UNKNOWN: break;
    }
    return NAN;
}

enum checklist_verdict checklist_judge(const struct checklist_test *t, const struct checklist_case *c, const struct checklist_answers *a, int *worst)
{
    bool judged = false, open = false;
    double most = -INFINITY;
    *worst = 0;
    if (!c->usable)
        return CHECKLIST_UNUSABLE;
    if (t->expect == EXPECT_UNKNOWN)
        return CHECKLIST_SKIPPED;
    for (int i = 0; i < c->n_text; i++) {
        if (a->state[c->first + i] == CHECKLIST_FAILED)
            return CHECKLIST_ERROR;
        open = open || a->state[c->first + i] == CHECKLIST_OPEN;
    }
    if (open)
        return CHECKLIST_NO_ANSWER;
    for (int i = is_pair(t->expect); i < c->n_text; i++) {
        const double by = fails_by(t, c->label, a->prob + c->first * a->n_label, a->prob + (c->first + i) * a->n_label, a->n_label);
        if (isnan(by))
            continue;
        judged = true;
        if (by > most)
            most = by, *worst = i;
    }
    return !judged ? CHECKLIST_SKIPPED : most > 0 ? CHECKLIST_WRONG : CHECKLIST_PASSED;
}
