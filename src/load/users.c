#include "load/users.h"
#include <math.h>
#include <stdbool.h>
#include "base/mem.h"
#include "base/rng.h"

static double exponential(double mean, uint64_t key, uint64_t i) { return -mean * log1p(-rng_uniform(key, i)); }
static bool before(const struct user *a, const struct user *b) { return a->at < b->at || (!(b->at < a->at) && a->id < b->id); }

static void add(struct users *u, int id, double at)
{
    const struct user x = { at + exponential(u->o.way, u->way_key, (uint64_t)id << 32 | (uint64_t)u->n_asked[id]), id };
    int i = u->n++;
    for (; i && before(&x, &u->next[(i - 1) / 2]); i = (i - 1) / 2)
        u->next[i] = u->next[(i - 1) / 2];
    u->next[i] = x;
}

int users_ask(struct users *u)
{
    const int id = u->next[0].id;
    const struct user last = u->next[--u->n];
    int i = 0;
    for (int k; (k = 2 * i + 1) < u->n; i = k) {
        k += k + 1 < u->n && before(&u->next[k + 1], &u->next[k]);
        if (!before(&u->next[k], &last))
            break;
        u->next[i] = u->next[k];
    }
    u->next[i] = last;
    u->n_asked[id]++;
    return id;
}

void users_answered(struct users *u, int id, double at) { add(u, id, at + exponential(u->o.think, u->think_key, (uint64_t)id << 32 | (uint64_t)u->n_asked[id])); }

double users_next(const struct users *u) { return u->n ? u->next[0].at : INFINITY; }

int users_init(struct users *u, const struct users_opts *o, struct err *err)
{
    *u = (struct users){ .o = *o, .ramp_key = rng_key(o->seed, "ramp"), .think_key = rng_key(o->seed, "think"), .way_key = rng_key(o->seed, "way") };
    u->next = mem_alloc_array((size_t)o->n + 1, sizeof *u->next), u->n_asked = mem_alloc_array((size_t)o->n + 1, sizeof *u->n_asked);
    if (!u->next || !u->n_asked)
        return ERR(err, NOMEM, "no memory for %d users", o->n);
    double first = 1;
    for (int i = 0; i < o->n; i++)
        first = fmin(first, rng_uniform(u->ramp_key, (uint64_t)i));
    for (int i = 0; i < o->n; i++)
        add(u, i, o->ramp * (rng_uniform(u->ramp_key, (uint64_t)i) - first));
    return 0;
}

void users_release(struct users *u)
{
    mem_free(u->next);
    mem_free(u->n_asked);
    *u = (struct users){ 0 };
}
