#include "infer/pace.h"
#include <math.h>
#include <stdbool.h>

#define CHUNK 16                 /* rows of prompts in a step, if any */
#define LEAST 2                  /* rows of prompts to a step in the mean, however little time there is */
#define FIRST 64                 /* while no time is known */
#define BUSY 8                   /* steps, all with prompts, after which there is one without */
#define STEPS 64.                /* steps that the slope remembers */
#define ALONE 32.                /* those of steps without rows of prompts */
#define EXTRAS 8.                /* and those of what rows of prompts add */

double pace_slope(const struct pace *p)
{
    const double var = p->rows2 * p->n - p->rows * p->rows;
    return var > 0 ? (p->rows_t * p->n - p->rows * p->t) / var : 0;
}

/* A step of n rows being continued and nothing else. */
static double alone_of(const struct pace *p, int n)
{
    const double t = p->alone + pace_slope(p) * (n - p->alone_rows);
    return fmax(t, p->alone / 4);
}

/* One step that another program held up says little: each counts for a quarter more or less at most. */
static void add_alone(struct pace *p, int n, double t)
{
    const double share = 1 / fmin(++p->n_alone, ALONE), most = p->n_alone > 1 ? p->alone * share / 4 : t;
    p->alone += fmax(fmin((t - p->alone) * share, most), -most);
    p->alone_rows += (n - p->alone_rows) * share;
}

static void add_extra(struct pace *p, int n_prompt, double added)
{
    p->extra += added - p->extra / EXTRAS;
    p->extra_rows += n_prompt - p->extra_rows / EXTRAS;
    p->credit = fmax(p->credit - added, -p->alone);
}

void pace_add(struct pace *p, int n, int n_prompt, double t)
{
    const double keep = 1 - 1 / STEPS, x = n + n_prompt;
    if (!n_prompt)
        add_alone(p, n, t);
    else if (n && p->alone > 0)
        add_extra(p, n_prompt, t - alone_of(p, n));
    p->n = p->n * keep + 1, p->rows = p->rows * keep + x, p->rows2 = p->rows2 * keep + x * x;
    p->t = p->t * keep + t, p->rows_t = p->rows_t * keep + x * t;
}

double pace_alone(const struct pace *p, int n, int n_prompt, double t) { return !n ? 0 : !n_prompt || p->alone <= 0 ? t : fmin(t, alone_of(p, n)); }

/* The limit, wider the more wait for each that is continued, of this engine alone: two share out what one would have, and one that is loaded slows all. */
static double stretch_of(const struct pace *p, const struct pace_limit *limit, int n, int n_wait)
{
    const double press = p->others <= 0 && !p->loading && n > 0 ? 1 + PACE_PRESS * n_wait / n : 1;
    return 1 + (limit->stretch - 1) * fmin(press, PACE_PRESS_MOST);
}

/* Seconds of prompts in this step.  A pass over the weights is what a step takes beside its rows. */
static double for_prompts(const struct pace *p, const struct pace_limit *limit, double stretch, double alone, double cost)
{
    const double all = alone + p->others, pass = alone > 0 ? fmin(fmax(p->alone - pace_slope(p) * p->alone_rows, 0), fmin(alone, p->others)) : 0;
    const double aim = limit->step_s > 0 ? limit->step_s : stretch * (all - pass);
    return p->others > 0 ? fmax(aim - all, PACE_LEAST * all) / 2 : fmax(aim - all, LEAST * cost);
}

/* What steps without rows of prompts may have saved up before the next is given its own: a chunk, or nothing where each may have one. */
static double saved_most(double more, double cost) { return more < CHUNK * cost ? CHUNK * cost : 0; }

static double cost_of(const struct pace *p)
{
    return p->extra > 0 ? p->extra / p->extra_rows : p->others > 0 && p->rows > 0 ? p->t / p->rows : 0;
}

/* A row of a prompt costs what those of the last steps did: not the slope, which says little where all steps have as many rows. */
int pace_rows(struct pace *p, const struct pace_limit *limit, int n, int n_wait, int most)
{
    if ((!n && p->others <= 0) || (limit->step_s <= 0 && limit->stretch < 1))
        return most;
    const double cost = cost_of(p);
    const int first = p->others > 0 ? CHUNK : FIRST;
    if (n && p->alone <= 0 && p->n >= BUSY)          /* prompts since the first step: one without says what that takes */
        return n;
    if (cost <= 0 || (n && p->alone <= 0))
        return n + first < most ? n + first : most;
    const double more = for_prompts(p, limit, stretch_of(p, limit, n, n_wait), n ? alone_of(p, n) : 0, cost);
    p->credit = fmin(p->credit, saved_most(more, cost)) + more;
    const double rows = p->credit < CHUNK * cost * (1 - 1e-9) ? n : n + p->credit / cost;
    return rows < most ? (int)rows : most;
}

/* x' = x q + first + j step, for j = 0 .. k - 1.  q < 1. */
static double decayed(double x, double q, double qk, double first, double step, double k)
{
    const double sum = (1 - qk) / (1 - q);
    return x * qk + first * sum + step * (k - sum) / (1 - q);
}

/* Is each step within a quarter of what is known by then, as add_alone() wants it?  How far it is goes from that of the first to ALONE dt. */
static bool is_usual(const struct pace *p, const struct pace_steps *r)
{
    return p->n_alone >= ALONE && fabs(r->t - p->alone) < p->alone / 4 && fabs(r->dt) * ALONE < p->alone / 4;
}

void pace_run(struct pace *p, const struct pace_limit *limit, const struct pace_steps *run)
{
    struct pace_steps r = *run;
    for (; r.k > 0 && !is_usual(p, &r); r.k--, r.t += r.dt) {
        pace_rows(p, limit, r.n, 0, r.n);
        pace_add(p, r.n, 0, r.t);
    }
    if (r.k <= 0)
        return;
    const double q = 1 - 1 / STEPS, k = (double)r.k, qk = pow(q, k), x = r.n, a = 1 - 1 / ALONE, ak = pow(a, k);
    p->n = decayed(p->n, q, qk, 1, 0, k), p->rows = decayed(p->rows, q, qk, x, 0, k), p->rows2 = decayed(p->rows2, q, qk, x * x, 0, k);
    p->t = decayed(p->t, q, qk, r.t, r.dt, k), p->rows_t = decayed(p->rows_t, q, qk, x * r.t, x * r.dt, k);
    p->alone = decayed(p->alone, a, ak, r.t / ALONE, r.dt / ALONE, k), p->alone_rows = decayed(p->alone_rows, a, ak, x / ALONE, 0, k);
    p->n_alone += k;
    const double cost = cost_of(p);
    if ((limit->step_s <= 0 && limit->stretch < 1) || cost <= 0 || p->alone <= 0)
        return;
    const double more = for_prompts(p, limit, limit->stretch, alone_of(p, r.n), cost);
    p->credit = fmin(p->credit + (k - 1) * more, saved_most(more, cost)) + more;
}
