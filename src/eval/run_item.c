#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "eval/run_impl.h"

void item_free(struct item *x)
{
    if (!x)
        return;
    for (int i = 0; i < x->n_reply; i++) {
        mem_free(x->reply[i].text);
        mem_free(x->reply[i].error);
        mem_free(x->reply[i].token);
    }
    mem_free(x->reply);
    mem_free(x->ids);
    mem_free(x->segment);
    mem_free(x->target);
    mem_free(x->prompt);
    mem_free(x);
}

static int common(const int32_t *a, int n_a, const int32_t *b, int n_b)
{
    int i = 0;
    while (i < n_a && i < n_b && a[i] == b[i])
        i++;
    return i;
}

int item_common(const struct item *a, const struct item *b)
{
    return a->n_segment && b->n_segment ? common(a->ids + a->segment[0].at, a->n_prefix, b->ids + b->segment[0].at, b->n_prefix) : 0;
}

/* What is fed of a sequence, as a word of its tokens. */
struct word { const int32_t *ids; int n, n_scored, request, first; };

static int by_tokens(const void *a_, const void *b_)
{
    const struct word *a = a_, *b = b_;
    const int k = common(a->ids, a->n, b->ids, b->n);
    if (k < a->n && k < b->n)
        return a->ids[k] < b->ids[k] ? -1 : 1;
    return a->n != b->n ? (a->n > b->n) - (a->n < b->n) : (a->request > b->request) - (a->request < b->request);
}

static int by_place(const void *a_, const void *b_)
{
    const struct target *a = a_, *b = b_;
    if (a->segment != b->segment)
        return a->segment < b->segment ? -1 : 1;
    if (a->row != b->row)
        return a->row < b->row ? -1 : 1;
    return (a->request > b->request) - (a->request < b->request);
}

/* A word's tokens behind `shared` of the one before it, and its targets: each lies in the last segment that begins at or before it,
 * as the word has all in common with the path that leads there. */
static void add_word(struct item *x, const struct word *w, int shared)
{
    if (w->n > shared) {
        x->segment[x->n_segment++] = (struct segment){ .pos = shared, .n = w->n - shared, .at = x->n_ids };
        memcpy(x->ids + x->n_ids, w->ids + shared, (size_t)(w->n - shared) * sizeof *x->ids);
        x->n_ids += (size_t)(w->n - shared);
        x->depth = w->n > x->depth ? w->n : x->depth;
        x->n_fed += w->n - shared;
    }
    int s = x->n_segment - 1;
    for (int i = w->n - 1; i >= w->n - w->n_scored; i--) {
        while (x->segment[s].pos > i)
            s--;
        x->target[x->n_target++] = (struct target){ s, i - x->segment[s].pos, w->ids[i + 1], w->request, w->first + i - (w->n - w->n_scored) };
    }
}

static void place_targets(struct item *x)
{
    qsort(x->target, (size_t)x->n_target, sizeof *x->target, by_place);
    for (int i = 0; i < x->n_target; i++) {
        struct segment *s = &x->segment[x->target[i].segment];
        if (!s->n_target++)
            s->first_target = i;
        const int at = s->pos + x->target[i].row;
        x->n_prefix = at < x->n_prefix ? at : x->n_prefix;
    }
    for (int i = 1; i < x->n_segment; i++)
        x->n_prefix = x->segment[i].pos < x->n_prefix ? x->segment[i].pos : x->n_prefix;
}

int item_build(struct item *x, struct sequence *s, int n, const int32_t *ids, bool apart, struct err *err)
{
    size_t n_token = 0, n_target = 0;
    for (int i = 0; i < n; i++)
        n_token += (size_t)s[i].n - 1, n_target += (size_t)s[i].n_scored;
    if (n_target > INT32_MAX || n_token > INT32_MAX)
        return ERR(err, RANGE, "an item of %zu tokens, expected fewer", n_token);
    struct word *w = mem_alloc_array((size_t)n, sizeof *w);
    x->segment = mem_alloc_array((size_t)n, sizeof *x->segment);
    x->target = mem_alloc_array(n_target, sizeof *x->target);
    int32_t *all = mem_realloc_array(x->ids, x->n_ids + n_token, sizeof *all);
    x->ids = all ? all : x->ids;
    if (!w || !x->segment || !x->target || !all) {
        mem_free(w);
        return ERR(err, NOMEM, "no memory for an item of %zu tokens", n_token);
    }
    for (int i = 0; i < n; i++)
        w[i] = (struct word){ ids + s[i].at, s[i].n - 1, s[i].n_scored, s[i].request, s[i].first };
    qsort(w, (size_t)n, sizeof *w, by_tokens);
    for (int i = 0; i < n; i++)
        add_word(x, &w[i], i && !apart ? common(w[i - 1].ids, w[i - 1].n, w[i].ids, w[i].n) : 0);
    mem_free(w);
    x->n_prefix = apart ? 0 : x->depth;
    place_targets(x);
    return 0;
}
