#include "serve/shadow.h"
#include <limits.h>
#include <string.h>
#include "base/mem.h"
#include "serve/served_model.h"

struct shadow {
    struct served_model *m;
    int32_t *ids; int n, n_prompt, cap;
    bool greedy, lost, differs;          /* lost: there was no memory for a token */
    double logprob;                      /* of the tokens made: the stable version's, less the candidate's so far */
    int n_seen, n_until;
};

struct shadow *shadow_new(struct served_model *candidate, const int32_t *prompt, int n, bool greedy)
{
    struct shadow_counts *c = &candidate->shadow;
    struct shadow *s = NULL;
    if (atomic_fetch_add(&c->flight, 1) < SHADOW_MOST)
        s = mem_alloc_zero(sizeof *s);
    if (s && !(s->ids = mem_alloc_array((size_t)n + 64, sizeof *s->ids))) {
        mem_free(s);
        s = NULL;
    }
    if (!s) {
        atomic_fetch_sub(&c->flight, 1);
        atomic_fetch_add(&c->n_passed, 1);
        return NULL;
    }
    s->m = candidate, s->n = s->n_prompt = n, s->cap = n + 64, s->greedy = greedy;
    memcpy(s->ids, prompt, (size_t)n * sizeof *prompt);
    served_model_hold(candidate);
    return s;
}

void shadow_free(struct shadow *s)
{
    if (!s)
        return;
    struct served_model *m = s->m;
    atomic_fetch_sub(&m->shadow.flight, 1);
    mem_free(s->ids);
    mem_free(s);
    served_model_drop(m);
}

void shadow_add(struct shadow *s, int32_t id)
{
    if (s->n == s->cap) {
        int32_t *more = mem_alloc_array(2 * (size_t)s->cap, sizeof *more);
        if (!more) {
            s->lost = true;
            return;
        }
        memcpy(more, s->ids, (size_t)s->n * sizeof *more);
        mem_free(s->ids);
        s->ids = more, s->cap *= 2;
    }
    s->ids[s->n++] = id;
}

/* Of each token of the whole from the second on. */
static void look(void *ctx, const struct text_token *t)
{
    struct shadow *s = ctx;
    if (t->position < s->n_prompt)
        return;
    s->n_seen++;
    s->logprob -= (double)t->logprob;
    s->differs = s->differs || !t->n_top || t->top[0].id != t->id;
    s->n_until += !s->differs;
}

static void done(void *ctx, enum text_end end, int n_kept, const struct err *err)
{
    struct shadow *s = ctx;
    struct shadow_counts *c = &s->m->shadow;
    (void)n_kept, (void)err;
    if (end == TEXT_CANCELLED || end == TEXT_FAILED) {
        atomic_fetch_add(&c->n_passed, 1);
    } else {
        metrics_add(&c->n_text, 1), metrics_add(&c->n_token, (uint64_t)s->n_seen);
        atomic_store_explicit(&c->log_ratio, atomic_load_explicit(&c->log_ratio, memory_order_relaxed) + s->logprob, memory_order_relaxed);
        if (s->greedy) {
            metrics_add(&c->n_greedy, 1), metrics_add(&c->n_same, !s->differs);
            metrics_add(&c->n_until, (uint64_t)s->n_until), metrics_add(&c->n_greedy_token, (uint64_t)s->n_seen);
        }
    }
    shadow_free(s);
}

void shadow_end(struct shadow *s, double logprob)
{
    struct err err;
    uint64_t id;
    const struct text_request r = { .ids = s->ids, .n = s->n, .n_logprob = 1, .prompt_probs = true, .priority = INT_MAX, .place = served_model_as(s->m, 0).place, .prompt = look, .done = done, .ctx = s };
    s->logprob = logprob;
    if (s->lost || s->n == s->n_prompt || s->n > served_model_ctx(s->m) || batch_submit(s->m->batch, &r, &id, &err) < 0) {
        atomic_fetch_add(&s->m->shadow.n_passed, 1);
        shadow_free(s);
    }
}
