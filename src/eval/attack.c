#include "eval/attack.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/rng.h"

enum { B = CLASSIFY_BATCH };

/* Images of one call side by side.  Those that fool it already are computed along with the others, and what they give is dropped. */
struct attacker {
    struct classifier *c;
    int K;                           /* classes */
    int64_t N;                       /* numbers of an image */
    float *image, *x, *found, *last, *slope, *trial, *worst, *worst_slope;     /* [B][N] */
    float *logits, *target;          /* [B][K] */
    double *ratio;                   /* [K] */
};

/* One call. */
struct job {
    struct attacker *a;
    const struct attack *how;
    const int32_t *label;
    int64_t first;
    int n;
    struct attacked *out;
    uint64_t key;
};

static float *of(float *x, const struct job *j, int i) { return x + (size_t)i * (size_t)j->a->N; }
static float *logits_of(const struct job *j, int i) { return j->a->logits + (size_t)i * (size_t)j->a->K; }
static uint64_t item_key(const struct job *j, int i, uint64_t what) { return rng_u64(rng_u64(j->key, (uint64_t)(j->first + i)), what); }

/* ---- what the model says ---- */

/* The likeliest, the first of equals. */
static int likeliest(const float *z, int K)
{
    int best = 0;
    for (int k = 1; k < K; k++)
        best = z[k] > z[best] ? k : best;
    return best;
}

/* Takes note of those that fool it now, as they are in x. */
static void note(const struct job *j, const float *x)
{
    for (int i = 0; i < j->n; i++) {
        if (j->out[i].fooled)
            continue;
        j->out[i].n_query++;
        const int class_found = likeliest(logits_of(j, i), j->a->K);
        if (class_found == j->label[i])
            continue;
        j->out[i].fooled = true, j->out[i].class_found = class_found;
        memcpy(of(j->a->found, j, i), x + (size_t)i * (size_t)j->a->N, (size_t)j->a->N * sizeof *x);
    }
}

static bool all_fooled(const struct job *j)
{
    for (int i = 0; i < j->n; i++)
        if (!j->out[i].fooled)
            return false;
    return true;
}

static void look(const struct job *j, const float *x)
{
    classifier_logits(j->a->c, x, j->n, j->a->logits);
    note(j, x);
}

/* ---- losses: how harmful an image is, and the slope of that ---- */

/* aim: the class aimed at, -1 for cross-entropy. */
static double cross_entropy(const float *z, int K, int label)
{
    const double most = z[likeliest(z, K)];
    double sum = 0;
    for (int k = 0; k < K; k++)
        sum += exp(z[k] - most);
    return most + log(sum) - z[label];
}

/* The four likeliest classes, the last again where there are fewer. */
static void four_likeliest(const float *z, int K, int at[4])
{
    for (int r = 0; r < 4; r++) {
        at[r] = -1;
        for (int k = 0; k < K; k++) {
            bool taken = false;
            for (int q = 0; q < r; q++)
                taken = taken || at[q] == k;
            if (!taken && (at[r] < 0 || z[k] > z[at[r]]))
                at[r] = k;
        }
        at[r] = at[r] < 0 ? at[r - 1] : at[r];
    }
}

/* -(z_y - z_t) / (z_1 - (z_3 + z_4) / 2), z_1 the highest; and, where d is there, its slope by each logit. */
static double targeted_ratio(const float *z, int K, int label, int aim, double *d)
{
    int at[4];
    four_likeliest(z, K, at);
    const double spread = z[at[0]] - (z[at[2]] + z[at[3]]) / 2., gap = (double)z[aim] - z[label], under = spread + 1e-12;
    if (d) {
        memset(d, 0, (size_t)K * sizeof *d);
        d[aim] += 1 / under, d[label] -= 1 / under;
        d[at[0]] -= gap / (under * under), d[at[2]] += gap / (2 * under * under), d[at[3]] += gap / (2 * under * under);
    }
    return gap / under;
}

static double harm(const struct job *j, int i, int aim)
{
    const float *z = logits_of(j, i);
    return aim < 0 ? cross_entropy(z, j->a->K, j->label[i]) : targeted_ratio(z, j->a->K, j->label[i], aim, NULL);
}

/* Targets whose cross-entropy has the slope of the ratio by the logits, less by a constant of the image: softmax less that slope. */
static void aim_targets(const struct job *j, int i, int aim)
{
    const int K = j->a->K;
    const float *z = logits_of(j, i);
    float *target = j->a->target + (size_t)i * (size_t)K;
    double *slope = j->a->ratio;
    targeted_ratio(z, K, j->label[i], aim, slope);
    const double lse = cross_entropy(z, K, 0) + z[0];
    for (int k = 0; k < K; k++)
        target[k] = (float)(exp(z[k] - lse) - slope[k]);
}

/* Logits and slopes of the harm at x; aim[i] as above, NULL: cross-entropy. */
static void slopes(const struct job *j, const float *x, const int *aim)
{
    struct attacker *a = j->a;
    if (aim)
        classifier_logits(a->c, x, j->n, a->logits);
    memset(a->target, 0, (size_t)B * (size_t)a->K * sizeof *a->target);
    for (int i = 0; i < j->n; i++) {
        if (aim)
            aim_targets(j, i, aim[i]);
        else
            a->target[i * a->K + j->label[i]] = 1;
    }
    classifier_slopes(a->c, x, a->target, j->n, a->slope, a->logits);
    note(j, x);
}

static void note_zero_slopes(const struct job *j)
{
    for (int i = 0; i < j->n; i++) {
        bool zero = true;
        for (int64_t k = 0; k < j->a->N; k++)
            zero = zero && of(j->a->slope, j, i)[k] == 0;
        j->out[i].no_slope = zero;
    }
}

/* ---- steps ---- */

static float within(double v, double image, double eps)
{
    v = fmin(fmax(v, image - eps), image + eps);
    return (float)fmin(fmax(v, 0), 1);
}

static double sign(float v) { return v > 0 ? 1 : v < 0 ? -1 : 0; }

/* x += by * sign(slope), within the ball. */
static void move(const struct job *j, int i, double by, const float *from, float *to)
{
    const float *image = of(j->a->image, j, i), *slope = of(j->a->slope, j, i);
    for (int64_t k = 0; k < j->a->N; k++)
        to[k] = within(from[k] + by * sign(slope[k]), image[k], j->how->eps);
}

static void begin_at_random(const struct job *j, int start)
{
    for (int i = 0; i < j->n; i++) {
        const uint64_t key = item_key(j, i, (uint64_t)start);
        const float *image = of(j->a->image, j, i);
        for (int64_t k = 0; k < j->a->N; k++)
            of(j->a->x, j, i)[k] = within(image[k] + j->how->eps * (2 * rng_uniform(key, (uint64_t)k) - 1), image[k], j->how->eps);
    }
}

static void fgsm(const struct job *j)
{
    slopes(j, j->a->image, NULL);
    note_zero_slopes(j);
    for (int i = 0; i < j->n; i++)
        move(j, i, j->how->eps, of(j->a->image, j, i), of(j->a->x, j, i));
    look(j, j->a->x);
}

static void pgd(const struct job *j)
{
    const double step = j->how->step > 0 ? j->how->step : 2.5 * j->how->eps / j->how->n_step;
    for (int start = 0; start < j->how->n_start && !all_fooled(j); start++) {
        begin_at_random(j, start);
        for (int s = 0; s < j->how->n_step && !all_fooled(j); s++) {
            slopes(j, j->a->x, NULL);
            if (!s && !start)
                note_zero_slopes(j);
            for (int i = 0; i < j->n; i++)
                move(j, i, step, of(j->a->x, j, i), of(j->a->x, j, i));
        }
        if (!all_fooled(j))
            look(j, j->a->x);
    }
}

/* ---- APGD: steps that halve ---- */

/* Of one image: what its steps have come to. */
struct pace { double step, best, best_then, last; int n_better; bool halved, begun; };

/* After s steps of n: should the step halve, at this one of the checkpoints? */
struct checkpoints { int next, length, least, shorter; };
static struct checkpoints checkpoints_of(int n)
{
    const int first = (int)fmax(.22 * n, 1);
    return (struct checkpoints){ first, first, (int)fmax(.06 * n, 1), (int)fmax(.03 * n, 1) };
}

/* At a checkpoint: too few of the steps since the last one were better (rho 0.75), or nothing has come of a step that was not halved then. */
static void review(const struct job *j, int i, struct pace *p, int length)
{
    const bool stuck = p->n_better <= .75 * length, idle = !p->halved && p->best <= p->best_then;
    p->halved = stuck || idle, p->n_better = 0, p->best_then = p->best;
    if (!p->halved)
        return;
    p->step /= 2;
    memcpy(of(j->a->x, j, i), of(j->a->worst, j, i), (size_t)j->a->N * sizeof(float));
    memcpy(of(j->a->slope, j, i), of(j->a->worst_slope, j, i), (size_t)j->a->N * sizeof(float));
}

/* The image at x was just looked at: is it the most harmful so far? */
static void keep_worst(const struct job *j, int i, int aim, struct pace *p)
{
    const double now = harm(j, i, aim);
    p->n_better += p->begun && now > p->last;
    p->last = now;
    if (p->begun && !(now > p->best))
        return;
    p->best = now, p->begun = true;
    memcpy(of(j->a->worst, j, i), of(j->a->x, j, i), (size_t)j->a->N * sizeof(float));
    memcpy(of(j->a->worst_slope, j, i), of(j->a->slope, j, i), (size_t)j->a->N * sizeof(float));
}

/* A step along the sign of the slope, three quarters of it after the first one, and a quarter of the last move. */
static void move_on(const struct job *j, int i, double step, double share)
{
    float *x = of(j->a->x, j, i), *last = of(j->a->last, j, i), *z = of(j->a->trial, j, i);
    const float *image = of(j->a->image, j, i);
    move(j, i, step, x, z);
    for (int64_t k = 0; k < j->a->N; k++) {
        const float was = x[k];
        x[k] = within(was + share * ((double)z[k] - was) + (1 - share) * ((double)was - last[k]), image[k], j->how->eps);
        last[k] = was;
    }
}

/* One start; aim[i]: the class aimed at, NULL: by cross-entropy. */
static void apgd(const struct job *j, const int *aim)
{
    struct attacker *a = j->a;
    struct pace pace[B];
    struct checkpoints at = checkpoints_of(j->how->n_step);
    for (int i = 0; i < j->n; i++)
        pace[i] = (struct pace){ .step = 2 * j->how->eps, .best_then = -INFINITY };
    memcpy(a->last, a->x, (size_t)j->n * (size_t)a->N * sizeof *a->x);
    for (int s = 0; !all_fooled(j); s++) {
        slopes(j, a->x, aim);
        for (int i = 0; i < j->n; i++)
            keep_worst(j, i, aim ? aim[i] : -1, &pace[i]);
        if (s && !--at.next) {
            for (int i = 0; i < j->n; i++)
                review(j, i, &pace[i], at.length);
            at.length = (int)fmax(at.length - at.shorter, at.least);
            at.next = at.length;
        }
        if (s == j->how->n_step)
            break;
        for (int i = 0; i < j->n; i++)
            move_on(j, i, pace[i].step, s ? .75 : 1);
    }
}

static void apgd_ce(const struct job *j)
{
    slopes(j, j->a->image, NULL);
    note_zero_slopes(j);
    for (int start = 0; start < j->how->n_start && !all_fooled(j); start++) {
        begin_at_random(j, start);
        apgd(j, NULL);
    }
}

/* The r-th likeliest class (from 0) that is not the label. */
static int other_class(const float *z, int K, int label, int r)
{
    for (int k = 0; k < K; k++) {
        int before = 0;
        for (int q = 0; q < K; q++)
            before += q != label && q != k && (z[q] > z[k] || (z[q] == z[k] && q < k));
        if (k != label && before == r)
            return k;
    }
    return -1;
}

static void apgd_t(const struct job *j)
{
    const int K = j->a->K, n_aim = j->how->n_start < K - 1 ? j->how->n_start : K - 1;
    int aim[B];
    for (int r = 0; r < n_aim && !all_fooled(j); r++) {
        classifier_logits(j->a->c, j->a->image, j->n, j->a->logits);
        for (int i = 0; i < j->n; i++)
            aim[i] = other_class(logits_of(j, i), K, j->label[i], r);
        if (!r) {
            slopes(j, j->a->image, aim);
            note_zero_slopes(j);
        }
        begin_at_random(j, r);
        apgd(j, aim);
    }
}

/* ---- squares ---- */

/* How far the label's logit is above the next: below 0, it errs. */
static double margin(const struct job *j, int i)
{
    const float *z = logits_of(j, i);
    double most = -INFINITY;
    for (int k = 0; k < j->a->K; k++)
        most = k == j->label[i] ? most : fmax(most, z[k]);
    return z[j->label[i]] - most;
}

/* The share of the image that a square has, after query q of n: 0.8, halved where the paper's schedule of 10,000 queries halves it. */
static double square_share(int q, int n)
{
    static const int halve[] = { 10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000 };
    const double at = (double)q / n * 10000;
    double share = .8;
    for (size_t i = 0; i < sizeof halve / sizeof *halve; i++)
        share = at > halve[i] ? share / 2 : share;
    return share;
}

/* Columns of eps up or down. */
static void stripes(const struct job *j, int i, uint64_t key)
{
    const struct config *m = classifier_config(j->a->c);
    const int side = m->image_size;
    const float *image = of(j->a->image, j, i);
    for (int64_t k = 0; k < j->a->N; k++) {
        const int64_t column = k / (side * side) * side + k % side;
        of(j->a->trial, j, i)[k] = within(image[k] + (rng_u64(key, (uint64_t)column) & 1 ? 1 : -1) * j->how->eps, image[k], j->how->eps);
    }
}

static void one_square(const struct job *j, int i, int q, uint64_t key)
{
    const struct config *m = classifier_config(j->a->c);
    const int side = m->image_size, wanted = (int)lrint(sqrt(square_share(q, j->how->n_step) * side * side)), length = wanted < 1 ? 1 : wanted;
    const int top = (int)rng_below(key, 0, (uint64_t)(side - length + 1)), left = (int)rng_below(key, 1, (uint64_t)(side - length + 1));
    const float *image = of(j->a->image, j, i);
    float *x = of(j->a->trial, j, i);
    memcpy(x, of(j->a->x, j, i), (size_t)j->a->N * sizeof *x);
    for (int c = 0; c < m->n_channel; c++) {
        const double by = (rng_u64(key, 2 + (uint64_t)c) & 1 ? 2 : -2) * j->how->eps;
        for (int row = top; row < top + length; row++)
            for (int column = left; column < left + length; column++) {
                const int k = (c * side + row) * side + column;
                x[k] = within(x[k] + by, image[k], j->how->eps);
            }
    }
}

static void square(const struct job *j)
{
    double least[B];
    for (int start = 0; start < j->how->n_start && !all_fooled(j); start++)
        for (int q = 0; q < j->how->n_step && !all_fooled(j); q++) {
            for (int i = 0; i < j->n; i++) {
                const uint64_t key = rng_u64(item_key(j, i, (uint64_t)start), (uint64_t)q);
                if (q)
                    one_square(j, i, q, key);
                else
                    stripes(j, i, key);
            }
            look(j, j->a->trial);
            for (int i = 0; i < j->n; i++) {
                const double now = margin(j, i);
                if (q && now >= least[i])
                    continue;
                least[i] = now;
                memcpy(of(j->a->x, j, i), of(j->a->trial, j, i), (size_t)j->a->N * sizeof(float));
            }
        }
}

/* ---- the kinds ---- */

static const struct { const char *name, *what; void (*how)(const struct job *j); } kind[] = {
#define ATTACK(name, word, how, what) { word, what, how },
#include "eval/attack.def"
#undef ATTACK
};

const char *attack_name(enum attack_kind k) { return kind[k].name; }
const char *attack_what(enum attack_kind k) { return kind[k].what; }

int attack_find(const char *name)
{
    for (int k = 0; k < N_ATTACK; k++)
        if (!strcmp(kind[k].name, name))
            return k;
    return -1;
}

struct attack attack_usual(enum attack_kind k, double eps, uint64_t seed)
{
    static const struct { int n_step, n_start; } usual[N_ATTACK] = {
        [ATTACK_FGSM] = { 1, 1 }, [ATTACK_PGD] = { 40, 1 }, [ATTACK_APGD_CE] = { 100, 1 }, [ATTACK_APGD_T] = { 100, 9 }, [ATTACK_SQUARE] = { 5000, 1 },
    };
    return (struct attack){ .kind = k, .eps = eps, .n_step = usual[k].n_step, .n_start = usual[k].n_start, .seed = seed };
}

int attacker_new(struct attacker **out, struct classifier *c, struct err *err)
{
    const struct config *m = classifier_config(c);
    struct attacker *a = mem_alloc_zero(sizeof *a);
    if (!a)
        return ERR(err, NOMEM, "no memory for attacks");
    a->c = c, a->K = m->n_label, a->N = (int64_t)m->n_channel * m->image_size * m->image_size;
    float **const rows[] = { &a->image, &a->x, &a->found, &a->last, &a->slope, &a->trial, &a->worst, &a->worst_slope };
    bool all = (a->logits = mem_alloc_array((size_t)B * (size_t)a->K, sizeof(float))) && (a->target = mem_alloc_array((size_t)B * (size_t)a->K, sizeof(float))) &&
               (a->ratio = mem_alloc_array((size_t)a->K, sizeof(double)));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        all = (*rows[i] = mem_alloc_array((size_t)B * (size_t)a->N, sizeof(float))) && all;
    if (!all) {
        attacker_free(a);
        return ERR(err, NOMEM, "no memory for attacks on images of %lld numbers", (long long)m->n_channel * m->image_size * m->image_size);
    }
    *out = a;
    return 0;
}

void attacker_free(struct attacker *a)
{
    if (!a)
        return;
    void *const parts[] = { a->image, a->x, a->found, a->last, a->slope, a->trial, a->worst, a->worst_slope, a->logits, a->target, a->ratio, a };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        mem_free(parts[i]);
}

static int check(const struct attacker *a, const struct attack *how, const int32_t *label, int64_t first, int n, struct err *err)
{
    if (!(how->eps > 0) || how->eps > 1 || how->n_step < 1 || how->n_start < 1 || !(how->step >= 0))
        return ERR(err, USAGE, "%s: eps %g, step %g, %d steps, %d starts; expected eps over 0 and at most 1, and at least one of both", kind[how->kind].name, how->eps, how->step,
                   how->n_step, how->n_start);
    if (a->K < 2)
        return ERR(err, RANGE, "%s: a model of %d class, expected at least 2", kind[how->kind].name, a->K);
    for (int i = 0; i < n; i++)
        if (label[i] < 0 || label[i] >= a->K)
            return ERR(err, RANGE, "image %lld has label %d, expected 0 to %d", (long long)first + i, (int)label[i], a->K - 1);
    return 0;
}

int attacker_run(struct attacker *a, const struct attack *how, const uint8_t *pixels, const int32_t *label, int64_t first, int n, struct attacked *out, float *found,
                 struct err *err)
{
    const size_t all = (size_t)n * (size_t)a->N;
    assert(n >= 1 && n <= B);
    TRY(check(a, how, label, first, n, err));
    for (size_t k = 0; k < all; k++)
        a->image[k] = (float)(pixels[k] / 255.);
    memcpy(a->found, a->image, all * sizeof *a->found);
    for (int i = 0; i < n; i++)
        out[i] = (struct attacked){ .class_found = -1 };
    const struct job j = { a, how, label, first, n, out, rng_key(how->seed, kind[how->kind].name) };
    look(&j, a->image);
    for (int i = 0; i < n; i++)
        out[i].n_query = 0;                      /* the image itself is none of the attack's */
    if (!all_fooled(&j))
        kind[how->kind].how(&j);
    if (found)
        memcpy(found, a->found, all * sizeof *found);
    return 0;
}
