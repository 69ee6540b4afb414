#include "watch/versus.h"
#include <math.h>
#include <string.h>
#include "base/mem.h"

#define CAPITAL_MOST 1e150               /* where it stays: less than it would be, so still valid */
#define MEANS_LEVEL 20.                  /* 1 / (1 - 95 %) */

static const double bets[VERSUS_BETS] = { 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.9 };

/* Capitals of one mean's bets for all that it may be. */
struct side {
    int64_t n; double sum;
    double up[VERSUS_GRID][VERSUS_BETS], down[VERSUS_GRID][VERSUS_BETS];
    bool out[VERSUS_GRID];
};
struct block { int64_t n[2]; double sum[2]; };

struct versus {
    double alpha;
    struct side side[2];
    struct block block;
    int64_t n_block, worse_at;
    double capital[VERSUS_BETS], e, e_max;
    uint64_t *user; int64_t n_user, cap_user;            /* open addressing; 0: free */
};

static double mean_of(int i) { return -1 + (2. * i + 1) / VERSUS_GRID; }
static double times(double capital, double by) { return capital * by < CAPITAL_MOST ? capital * by : CAPITAL_MOST; }

void versus_clear(struct versus *v)
{
    v->block = (struct block){ { 0 }, { 0 } };
    v->n_block = v->worse_at = 0, v->n_user = 0;
    v->e = v->e_max = 1;
    if (v->user)
        memset(v->user, 0, (size_t)v->cap_user * sizeof *v->user);
    for (int k = 0; k < VERSUS_BETS; k++)
        v->capital[k] = 1;
    for (int s = 0; s < 2; s++) {
        memset(&v->side[s], 0, sizeof v->side[s]);
        for (int i = 0; i < VERSUS_GRID; i++)
            for (int k = 0; k < VERSUS_BETS; k++)
                v->side[s].up[i][k] = v->side[s].down[i][k] = 1;
    }
}

int versus_new(struct versus **out, double alpha, struct err *err)
{
    *out = NULL;
    if (!(alpha > 0 && alpha < 1))
        return ERR(err, RANGE, "alpha is %g, expected a number between 0 and 1", alpha);
    struct versus *v = mem_alloc_zero(sizeof *v);
    if (!v)
        return ERR(err, NOMEM, "no memory to compare what is said of two versions");
    v->alpha = alpha;
    versus_clear(v);
    *out = v;
    return 0;
}

void versus_free(struct versus *v)
{
    if (!v)
        return;
    mem_free(v->user);
    mem_free(v);
}

/* ---- users ---- */

static bool put_user(uint64_t *user, int64_t cap, uint64_t who)
{
    for (int64_t i = (int64_t)(who % (uint64_t)cap);; i = (i + 1) % cap) {
        if (user[i] == who)
            return false;
        if (!user[i]) {
            user[i] = who;
            return true;
        }
    }
}

static int grow(struct versus *v, struct err *err)
{
    const int64_t cap = v->cap_user ? 2 * v->cap_user : 1024;
    uint64_t *more = mem_alloc_zero((size_t)cap * sizeof *more);
    if (!more)
        return ERR(err, NOMEM, "no memory for %lld users", (long long)cap);
    for (int64_t i = 0; i < v->cap_user; i++)
        if (v->user[i])
            put_user(more, cap, v->user[i]);
    mem_free(v->user);
    v->user = more, v->cap_user = cap;
    return 0;
}

/* 1: the first of this user. */
static int is_first(struct versus *v, uint64_t who, struct err *err)
{
    if (!who)
        return 1;
    if (2 * (v->n_user + 1) > v->cap_user)
        TRY(grow(v, err));
    const bool first = put_user(v->user, v->cap_user, who);
    v->n_user += first;
    return first;
}

/* ---- bets ---- */

static void bet_on_mean(struct side *s, double x)
{
    s->n++, s->sum += x;
    for (int i = 0; i < VERSUS_GRID; i++) {
        const double m = mean_of(i), above = (x - m) / (1 + m), below = (x - m) / (1 - m);
        double all = 0;
        for (int k = 0; k < VERSUS_BETS; k++) {
            s->up[i][k] = times(s->up[i][k], 1 + bets[k] * above);
            s->down[i][k] = times(s->down[i][k], 1 - bets[k] * below);
            all += s->up[i][k] + s->down[i][k];
        }
        s->out[i] = s->out[i] || all / (2 * VERSUS_BETS) >= MEANS_LEVEL;
    }
}

static void end_block(struct versus *v)
{
    const struct block *b = &v->block;
    const double d = (b->sum[VERSUS_STABLE] / (double)b->n[VERSUS_STABLE] - b->sum[VERSUS_CANDIDATE] / (double)b->n[VERSUS_CANDIDATE]) / 2;
    v->e = 0;
    for (int k = 0; k < VERSUS_BETS; k++) {
        v->capital[k] = times(v->capital[k], 1 + bets[k] * d);
        v->e += v->capital[k] / VERSUS_BETS;
    }
    v->n_block++;
    v->e_max = fmax(v->e_max, v->e);
    if (!v->worse_at && v->e >= 1 / v->alpha)
        v->worse_at = v->n_block;
    v->block = (struct block){ { 0 }, { 0 } };
}

int versus_add(struct versus *v, enum versus_side side, double score, uint64_t who, struct err *err)
{
    const double x = score < -1 ? -1 : score > 1 ? 1 : score;
    const int first = isnan(score) ? 0 : is_first(v, who, err);
    if (first != 1)
        return first;
    bet_on_mean(&v->side[side], x);
    v->block.n[side]++, v->block.sum[side] += x;
    if (v->block.n[VERSUS_STABLE] && v->block.n[VERSUS_CANDIDATE])
        end_block(v);
    return 1;
}

/* ---- told ---- */

/* The points that are within lie side by side, as far as rounding goes: the first and the last, and one more. */
static struct versus_mean tell(const struct side *s)
{
    struct versus_mean m = { .n = s->n, .mean = s->n ? s->sum / (double)s->n : (double)NAN, .low = -1, .high = 1 };
    int first = 0, last = VERSUS_GRID - 1;
    while (first < VERSUS_GRID && s->out[first])
        first++;
    while (last >= 0 && s->out[last])
        last--;
    if (first <= last)
        m.low = first ? mean_of(first - 1) : -1, m.high = last < VERSUS_GRID - 1 ? mean_of(last + 1) : 1;
    else if (s->n)
        m.low = m.high = m.mean;         /* narrower than the points are apart */
    return m;
}

void versus_state(const struct versus *v, struct versus_state *out)
{
    *out = (struct versus_state){ .of = { tell(&v->side[0]), tell(&v->side[1]) }, .n_block = v->n_block, .e = v->e, .p = fmin(1, 1 / v->e_max), .worse = v->worse_at != 0, .worse_at = v->worse_at };
}
