/* How the trees are summed.  Of a node, with everything below it, two numbers are kept: what a bettor has made of 1 if the node is active, and if it is idle.
 *     active = learned/chance of its own turns * product over children of (active + idle) / 2
 *     idle   =                                   product over children of (1 - p) idle + p active,  p = 2^-depth / 4
 * A value changes the nodes of one path, from the leaf up.  Levels forget by a stamp: a node of an older life is as new. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "watch/martingale.h"
#include "base/mem.h"
#include "eval/dist.h"
#include "watch/cells.h"

#define MOST 1e90
enum { LEVELS = 5, FOCUS = 16 };
static const int64_t life_of[LEVELS] = { 0, 64, 512, 4096, 32768 };         /* 0: for ever */
static const double shift_of[] = { 0.1, 0.2, 0.4, 0.8, 1.6, -0.1, -0.2, -0.4, -0.8, -1.6 }, spread_of[] = { 0.1, 0.25, 0.4, -0.15, -0.4, -1.2 };
static const double edge_of[] = { 0, 1. / 256, 1. / 64, 1. / 16 }, edge_theta[] = { 1, 2.2 };      /* shares of the reference; 0: the last cell alone */
static const double focus_theta[] = { 0.35, 0.9, -0.35, -1 };
#define N(array) ((int)(sizeof(array) / sizeof *(array)))
enum { ORDERED = 10 + 6 + 16, TILTS = 4 * FOCUS + 8 };
static_assert(sizeof shift_of / sizeof *shift_of + sizeof spread_of / sizeof *spread_of + 4 * sizeof edge_of / sizeof *edge_of == ORDERED && ORDERED <= TILTS, "all tilts have a place");

struct node { int child[2]; double seen[2], idle_to_active; };        /* child: a node, or < 0: a cell; seen: gaps of the reference and values so far */
struct learned { double n[2], ratio, active, idle; int64_t life; };
struct level { int64_t life, age; double stake, unspent, capital, root; int64_t stamp; struct learned *node; };
struct tilt { double stake, capital, sum, *weight; };                        /* weight[cell] = exp(theta score) */

struct martingale {
    int n_cell, n_node, n_tilt;
    bool arl;
    int64_t n;                       /* values seen */
    double m1;                       /* m + 1 */
    int64_t *mass;
    struct node *node;
    int *leaf_of, *side_of;          /* of a cell: the node above it, and on which side */
    int *parent_of;                  /* of a node: 2 * node + side; -1: it is the root */
    struct tilt tilt[TILTS];
    struct level level[LEVELS];
    double *memory, value;
    struct learned *learned;
};

/* ---- the tree ---- */

/* Over cells lo..hi-1, of which there are two at least; returns its place. */
static int grow(struct martingale *m, int lo, int hi, int depth, int parent)
{
    const int at = m->n_node++;
    int64_t all = 0, left = 0;
    for (int c = lo; c < hi; c++)
        all += m->mass[c];
    int mid = lo + 1;
    left = m->mass[lo];
    while (mid < hi - 1 && llabs(2 * (left + m->mass[mid]) - all) <= llabs(2 * left - all))
        left += m->mass[mid++];
    m->node[at].idle_to_active = depth ? ldexp(0.25, -depth) : 0.5;
    m->parent_of[at] = parent;
    for (int s = 0; s < 2; s++) {
        const int from = s ? mid : lo, to = s ? hi : mid;
        if (to - from == 1)
            m->node[at].child[s] = -1 - from, m->leaf_of[from] = at, m->side_of[from] = s;
        else
            m->node[at].child[s] = grow(m, from, to, depth + 1, 2 * at + s);
    }
    return at;
}

static void seen_as_new(struct martingale *m)
{
    for (int i = 0; i < m->n_node; i++)
        m->node[i].seen[0] = m->node[i].seen[1] = 0;
    for (int c = 0; c < m->n_cell && m->n_node; c++)
        for (int at = 2 * m->leaf_of[c] + m->side_of[c]; at >= 0; at = m->parent_of[at / 2])
            m->node[at / 2].seen[at % 2] += (double)m->mass[c];
}

/* What a child gives its parent, if it is active with this chance. */
static double mixed(const struct level *l, int child, double active)
{
    if (child < 0 || l->node[child].life != l->stamp)
        return 1;
    const struct learned *x = &l->node[child];
    return (1 - active) * x->idle + active * x->active;
}

/* The nodes of a cell's path learn it; `chance` of each turn as it was before. */
static void learn(struct martingale *m, struct level *l, int cell, const double *chance)
{
    int i = 0;
    for (int at = 2 * m->leaf_of[cell] + m->side_of[cell]; at >= 0; at = m->parent_of[at / 2], i++) {
        const struct node *x = &m->node[at / 2];
        struct learned *v = &l->node[at / 2];
        if (v->life != l->stamp)
            *v = (struct learned){ .ratio = 1, .life = l->stamp };
        v->ratio = fmin(MOST, v->ratio * (v->n[at % 2] + 0.5) / (v->n[0] + v->n[1] + 1) / chance[i]);
        v->n[at % 2]++;
        double active = v->ratio, idle = 1;
        for (int s = 0; s < 2; s++) {
            const double p = x->child[s] < 0 ? 0 : m->node[x->child[s]].idle_to_active;
            active *= mixed(l, x->child[s], 0.5);
            idle *= mixed(l, x->child[s], p);
        }
        v->active = fmin(MOST, active), v->idle = fmin(MOST, idle);
        if (m->parent_of[at / 2] < 0)
            l->root = 0.5 * v->active + 0.5 * v->idle;
    }
}

/* ---- stakes ---- */

/* Half of a stake is there at first, the rest comes with time. */
static double first_part(const struct martingale *m, double stake) { return m->arl ? 0 : stake / 2; }

void martingale_clear(struct martingale *m)
{
    m->n = 0;
    seen_as_new(m);
    for (int i = 0; i < m->n_tilt; i++) {
        struct tilt *t = &m->tilt[i];
        t->capital = first_part(m, t->stake), t->sum = 0;
        for (int c = 0; c < m->n_cell; c++)
            t->sum += (double)m->mass[c] * t->weight[c];
    }
    for (int i = 0; i < LEVELS; i++) {
        struct level *l = &m->level[i];
        l->age = 0, l->root = 1, l->unspent = 0, l->stamp++;
        l->capital = l->life ? first_part(m, l->stake) : m->arl ? 0 : l->stake;
    }
    m->value = m->arl ? 0 : 1;
}

/* A tilt more, whose weights the caller sets. */
static double *tilt_new(struct martingale *m, double stake)
{
    m->tilt[m->n_tilt].stake = stake;
    return m->tilt[m->n_tilt++].weight;
}

/* The last cells, on one side, that together are no more than a share of the reference. */
static void edges_init(struct martingale *m, bool lower, double stake)
{
    for (int e = 0; e < N(edge_of); e++)
        for (int i = 0; i < N(edge_theta); i++) {
            double *weight = tilt_new(m, stake / (N(edge_of) * N(edge_theta))), mass = 0;
            for (int k = 0; k < m->n_cell; k++) {
                const int c = lower ? k : m->n_cell - 1 - k;
                mass += (double)m->mass[c];
                weight[c] = k == 0 || mass <= edge_of[e] * m->m1 ? exp(edge_theta[i]) : 1;
            }
        }
}

static void ordered_init(struct martingale *m)
{
    double before = 0;
    for (int i = 0; i < N(shift_of) + N(spread_of); i++, before = 0) {
        const bool shift = i < N(shift_of);
        double *weight = tilt_new(m, shift ? 0.25 / N(shift_of) : 0.1 / N(spread_of));
        for (int c = 0; c < m->n_cell; c++) {
            const double z = dist_normal_quantile((before + 0.5 * (double)m->mass[c]) / m->m1);
            before += (double)m->mass[c];
            weight[c] = exp(shift ? shift_of[i] * z : spread_of[i - N(shift_of)] * (z * z - 1));
        }
    }
    edges_init(m, false, 0.075), edges_init(m, true, 0.075);
}

/* A few tilts for each of the largest cells, and what is rare or new. */
static void named_init(struct martingale *m)
{
    bool taken[CELLS_MAX] = { false };
    const int n = m->n_cell < FOCUS ? m->n_cell : FOCUS;
    for (int i = 0; i < n; i++) {
        int largest = -1;
        for (int c = 0; c < m->n_cell; c++)
            if (!taken[c] && (largest < 0 || m->mass[c] > m->mass[largest]))
                largest = c;
        taken[largest] = true;
        for (int f = 0; f < N(focus_theta); f++) {
            double *weight = tilt_new(m, 0.35 / (n * N(focus_theta)));
            for (int c = 0; c < m->n_cell; c++)
                weight[c] = c == largest ? exp(focus_theta[f]) : 1;
        }
    }
    edges_init(m, false, 0.15);
}

static void stakes_init(struct martingale *m)
{
    const double forever = m->arl ? 0 : 0.2, others = 0.5 - forever;         /* tilts have the other half */
    for (int i = 0; i < LEVELS; i++) {
        m->level[i].life = life_of[i];
        m->level[i].stake = life_of[i] ? others / (LEVELS - 1) : forever;
    }
}

int martingale_new(struct martingale **out, const int64_t *mass, int n_cell, bool ordered, bool arl, struct err *err)
{
    assert(n_cell >= 1 && n_cell <= CELLS_MAX);
    const size_t n = (size_t)n_cell, n_tilt = ordered ? ORDERED : TILTS;
    struct martingale *m = *out = mem_alloc_zero(sizeof *m);
    if (!m)
        return ERR(err, NOMEM, "no memory for a test of %d cells", n_cell);
    m->n_cell = n_cell, m->arl = arl;
    m->mass = mem_alloc_array(n, sizeof *m->mass);
    m->node = mem_alloc_array(n, sizeof *m->node);
    m->leaf_of = mem_alloc_array(3 * n, sizeof *m->leaf_of);
    m->memory = mem_alloc_array(n_tilt * n + 1, sizeof *m->memory);
    m->learned = mem_alloc_array(LEVELS * n, sizeof *m->learned);
    if (!m->mass || !m->node || !m->leaf_of || !m->memory || !m->learned) {
        martingale_free(m);
        *out = NULL;
        return ERR(err, NOMEM, "no memory for a test of %d cells", n_cell);
    }
    m->side_of = m->leaf_of + n, m->parent_of = m->side_of + n;
    memcpy(m->mass, mass, n * sizeof *mass);
    for (int c = 0; c < n_cell; c++)
        m->m1 += (double)mass[c];
    for (size_t i = 0; i < n_tilt; i++)
        m->tilt[i].weight = m->memory + i * n;
    for (int i = 0; i < LEVELS; i++)
        m->level[i].node = m->learned + (size_t)i * n;
    if (n_cell > 1)
        grow(m, 0, n_cell, 0, -1);
    ordered ? ordered_init(m) : named_init(m);
    stakes_init(m);
    martingale_clear(m);
    return 0;
}

void martingale_free(struct martingale *m)
{
    if (!m)
        return;
    mem_free(m->mass), mem_free(m->node), mem_free(m->leaf_of), mem_free(m->memory), mem_free(m->learned);
    mem_free(m);
}

/* ---- a value ---- */

/* The share of a stake that comes before the value with n before it. */
static double comes(const struct martingale *m) { return m->arl ? 1 : 0.5 * (1 / log2((double)m->n + 2) - 1 / log2((double)m->n + 3)); }

static double tilts_add(struct martingale *m, int cell, double share)
{
    const double all = m->m1 + (double)m->n;
    double sum = 0;
    for (int i = 0; i < m->n_tilt; i++) {
        struct tilt *t = &m->tilt[i];
        const double w = t->weight[cell];
        t->capital = fmin(MOST, (t->capital + share * t->stake) * (w * all / t->sum));
        t->sum += w;
        sum += t->capital;
    }
    return sum;
}

static double level_add(struct martingale *m, struct level *l, int cell, const double *chance, double share)
{
    if (l->life) {
        l->unspent += share * l->stake;
        if (l->age == l->life || (m->arl && !m->n)) {
            l->capital = fmin(MOST, l->capital * l->root) + l->unspent;
            l->unspent = 0, l->age = 0, l->root = 1, l->stamp++;
        }
    }
    l->age++;
    learn(m, l, cell, chance);
    return fmin(MOST, l->capital * l->root) + l->unspent;
}

double martingale_add(struct martingale *m, int cell)
{
    assert(cell >= 0 && cell < m->n_cell);
    const double share = comes(m);
    double chance[CELLS_MAX], sum = tilts_add(m, cell, share);
    if (m->n_cell > 1) {
        int depth = 0;
        for (int at = 2 * m->leaf_of[cell] + m->side_of[cell]; at >= 0; at = m->parent_of[at / 2], depth++) {
            struct node *x = &m->node[at / 2];
            chance[depth] = x->seen[at % 2] / (x->seen[0] + x->seen[1]);
            x->seen[at % 2]++;
        }
        for (int i = 0; i < LEVELS; i++)
            sum += level_add(m, &m->level[i], cell, chance, share);
    }
    m->n++;
    return m->value = sum;
}

double martingale_capital(const struct martingale *m) { return m->value; }
