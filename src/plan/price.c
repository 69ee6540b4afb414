#include "plan/price.h"
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "plan/here.h"
#include "plan/price_items.h"

/* Rows at which what depends on rows is computed: each up to 64, then eight to an octave. */
#define EACH_ROW 64
#define OCTAVE 8
#define ROWS_MOST 16384
#define KEYS_BLOCK 256.       /* keys of a row that are worth a unit of their own */
#define HEADS_BLOCK 64.       /* heads that share keys and are computed together (MLA) */
#define QUERY_BLOCK 64.       /* rows of a prompt that are computed together at least */

struct priced {
    struct here *here;                  /* this machine, measured; then nothing else counts */
    struct items s;
    struct price_opts o;
    struct device d;
    struct product_device product;      /* for `compute` */
    double compute_bytes;
    int n_layer, n_point;
    double *body, *head;                /* seconds at each point, of what all rows and of what rows with logits go through */
};

/* ---- one item at so many rows ---- */

struct cost_of { double seconds, flops, bytes, sent, roofline; };

static double reached(const struct device *d) { return d->reach * d->bandwidth; }
static double link_of(const struct device *d) { return d->link > 0 ? d->link : d->network > 0 ? d->network : DBL_MAX; }

/* As if memory were faster where weights have fewer bits than operands: reading `is` bytes takes as long as `as` would then. */
static struct product_device reading(const struct priced *p, double as, double is)
{
    struct product_device d = p->product;
    d.bandwidth *= as / is;
    return d;
}

static struct cost_of product_cost(const struct priced *p, const struct item *it, double rows)
{
    const double x = rows * it->K * p->compute_bytes + rows * it->N * 2, w = it->N * it->K;
    struct cost_of c = { .flops = 2 * rows * it->N * it->K, .bytes = x + w * it->bits / 8 };
    const struct product_device d = reading(p, x + w * p->compute_bytes, c.bytes);
    c.seconds = product_seconds(&d, 1, rows, it->N, it->K, p->compute_bytes);
    c.roofline = fmax(c.flops / device_peak(&p->d, p->o.compute), c.bytes / p->d.bandwidth);
    return c;
}

/* Rows of the device that has most of them, where each row goes to top_k of n_all experts at random: the mean, and what the largest of n such counts lies above it. */
static double busiest(double chosen, double share)
{
    const double n = 1 / share;
    return chosen * share + sqrt(chosen * share * (1 - share) * 2 * log(fmax(n, 1)));
}

static struct cost_of experts_cost(const struct priced *p, const struct item *it, double rows)
{
    const double share = it->n_expert / it->n_all, replicas = p->o.layout.ep > p->o.layout.tp ? (double)p->o.layout.ep / p->o.layout.tp : 1;
    const double chosen = busiest(rows * replicas * it->top_k, share), each = 3 * it->N * it->K;
    const double distinct = it->n_expert * (1 - pow(1 - it->top_k / it->n_all, chosen / (it->top_k * share)));
    const double x = chosen * (2 * it->K + 3 * it->N + 2 * it->K) * p->compute_bytes, w = distinct * each;
    struct cost_of c = { .flops = 2 * chosen * each, .bytes = x + w * it->bits / 8 };
    const struct product_device d = reading(p, x + w * p->compute_bytes, c.bytes);
    /* chosen rows over n_expert here: as tokens that choose k of them each, with the same chance of each expert */
    const double k = it->top_k * share;
    const int whole = k == floor(k) && k >= 1 ? (int)k : 1;
    c.seconds = experts_seconds(&d, ceil(chosen / whole), it->K, it->N, (int)it->n_expert, whole < (int)it->n_expert ? whole : (int)it->n_expert, p->compute_bytes);
    c.roofline = fmax(c.flops / device_peak(&p->d, p->o.compute), c.bytes / p->d.bandwidth);
    return c;
}

static struct cost_of collective_cost(const struct priced *p, const struct item *it, double rows)
{
    const double copies = it->distinct ? it->n * (1 - pow(1 - 1. / it->n, it->top_k)) : 1;      /* devices that have an expert of the row */
    struct cost_of c = { .sent = rows * it->bytes * copies };
    c.seconds = collective_seconds(&p->d, it->collective, c.sent, it->n);
    c.roofline = c.sent * (it->collective == SEND ? 1 : (it->n - 1.) / it->n) / link_of(&p->d);
    return c;
}

static struct cost_of item_cost(const struct priced *p, const struct item *it, double rows)
{
    if (it->kind == ITEM_PRODUCT)
        return product_cost(p, it, rows);
    if (it->kind == ITEM_EXPERTS)
        return experts_cost(p, it, rows);
    if (it->kind == ITEM_COLLECTIVE)
        return collective_cost(p, it, rows);
    const double bytes = rows * it->bytes;
    return (struct cost_of){ .seconds = it->launches * p->d.kernel + bytes / reached(&p->d), .bytes = bytes, .roofline = bytes / p->d.bandwidth };
}

/* ---- tables over rows ---- */

static double point_rows(int i) { return i < EACH_ROW ? i + 1 : floor(EACH_ROW * exp2((double)(i + 1 - EACH_ROW) / OCTAVE) + 0.5); }

static int points_for(int rows) { return rows <= EACH_ROW ? EACH_ROW + 1 : EACH_ROW + 1 + (int)ceil(OCTAVE * log2((double)rows / EACH_ROW)); }

static double at_rows(const struct priced *p, const double *table, double rows)
{
    if (!(rows > 0))
        return 0;
    if (rows <= 1)
        return table[0];
    int i = rows < EACH_ROW ? (int)rows - 1 : EACH_ROW - 1 + (int)(OCTAVE * log2(rows / EACH_ROW));
    i = i < p->n_point - 2 ? i : p->n_point - 2;
    while (i > 0 && point_rows(i) > rows)      /* points are rounded */
        i--;
    const double a = point_rows(i), b = point_rows(i + 1);
    return table[i] + (table[i + 1] - table[i]) * (rows - a) / (b - a);
}

/* Beyond the last point the last step goes on.  A product of more rows may use more units and be faster: then fewer rows are as fast, by rows of zeros. */
static void fill(const struct priced *p, double *table, bool head)
{
    for (int i = 0; i < p->n_point; i++)
        for (int j = 0; j < p->s.n; j++)
            if (p->s.item[j].head == head)
                table[i] += p->s.item[j].count * item_cost(p, &p->s.item[j], point_rows(i)).seconds;
    for (int i = p->n_point - 1; i > 0; i--)
        table[i - 1] = fmin(table[i - 1], table[i]);
}

/* ---- attention ---- */

static double attention_peak(const struct priced *p)
{
    return p->d.mma * device_peak(&p->d, NUMBER_BF16) * fmin(1, 64 / p->d.ridge);      /* of a tile of 128 by 128 */
}

static double keys_of(const struct attending *a, double keys) { return a->window && a->window < keys ? a->window : keys; }

static struct cost_of prompt_cost(const struct priced *p, const struct attending *a, const struct step_load *s)
{
    const double keys = keys_of(a, s->prompt_keys), rows = fmax(s->prompt_rows, QUERY_BLOCK), of_key = 2 * (a->dk + a->dv);
    const double blocks = fmax(1, rows / 128) * a->heads * fmax(1, keys / KEYS_BLOCK), cache = (a->latent ? a->latent : a->kv_heads * (a->dk + a->dv)) * number_bytes(p->o.cache);
    struct cost_of c = { .flops = s->prompt_rows * keys * a->heads * of_key, .bytes = keys * cache + s->prompt_rows * a->heads * (a->dk + a->dv) * 2 };
    c.seconds = p->d.launch + fmax(rows * keys * a->heads * of_key / (attention_peak(p) * fmin(1, blocks / p->d.units)), c.bytes / reached(&p->d));
    c.roofline = fmax(c.flops / device_peak(&p->d, NUMBER_BF16), c.bytes / p->d.bandwidth);
    return c;
}

static struct cost_of decode_cost(const struct priced *p, const struct attending *a, const struct step_load *s)
{
    const double keys = keys_of(a, s->decode_keys), all = s->decode_rows * keys, of_key = a->heads * 2 * (a->latent ? a->latent + a->latent_v : a->dk + a->dv);
    const double cache = (a->latent ? a->latent : a->kv_heads * (a->dk + a->dv)) * number_bytes(p->o.cache);
    const double groups = a->latent ? fmax(1, a->heads / HEADS_BLOCK) : a->kv_heads, blocks = fmax(1, s->decode_rows) * groups * fmax(1, keys / KEYS_BLOCK), busy = fmin(1, blocks / p->d.units);
    struct cost_of c = { .flops = all * of_key, .bytes = all * cache };
    c.seconds = p->d.launch + fmax(c.bytes / (reached(&p->d) * busy), c.flops / (attention_peak(p) * busy));
    c.roofline = fmax(c.flops / device_peak(&p->d, NUMBER_BF16), c.bytes / p->d.bandwidth);
    return c;
}

/* ---- a step ---- */

static double rows_of(const struct step_load *s) { return s->prompt_rows + s->decode_rows; }
static double head_rows_of(const struct step_load *s) { return s->decode_rows + fmin(1, s->prompt_rows); }      /* the end of a prompt, in most steps */

double priced_seconds(const struct priced *p, const struct step_load *s)
{
    if (p->here)
        return here_seconds(p->here, s);
    double sum = at_rows(p, p->body, rows_of(s)) + at_rows(p, p->head, head_rows_of(s)) + (rows_of(s) > 0 ? p->o.host : 0);
    for (int i = 0; i < p->s.n_attending; i++) {
        const struct attending *a = &p->s.attending[i];
        sum += a->count * ((s->prompt_rows > 0 ? prompt_cost(p, a, s).seconds : 0) + (s->decode_rows > 0 ? decode_cost(p, a, s).seconds : 0));
    }
    return sum;
}

double priced_interval(const struct priced *p, const struct step_load *s)
{
    const int pp = p->here ? 1 : p->o.layout.pp, most = (p->n_layer + pp - 1) / pp;
    return pp == 1 ? priced_seconds(p, s) : (priced_seconds(p, s) - p->o.host) * most / p->n_layer + p->o.host;
}

static void put_row(struct price_row *rows, int most, int *n, const char *what, int count, const struct cost_of *c)
{
    if (*n < most) {
        struct price_row *r = &rows[*n];
        *r = (struct price_row){ .count = count, .flops = c->flops * count, .bytes = c->bytes * count, .sent = c->sent * count, .seconds = c->seconds * count, .roofline = c->roofline * count };
        snprintf(r->what, sizeof r->what, "%s", what);
    }
    ++*n;
}

int priced_rows(const struct priced *p, const struct step_load *s, struct price_row *rows, int most)
{
    int n = 0;
    if (p->here)
        return here_rows(p->here, s, rows, most);
    for (int i = 0; i < p->s.n; i++) {
        const struct item *it = &p->s.item[i];
        const double r = it->head ? head_rows_of(s) : rows_of(s);
        if (!(r > 0))
            continue;
        const struct cost_of c = item_cost(p, it, fmax(r, 1));
        put_row(rows, most, &n, it->what, it->count, &c);
    }
    for (int i = 0; i < p->s.n_attending; i++) {
        const struct attending *a = &p->s.attending[i];
        const struct cost_of of_prompt = prompt_cost(p, a, s), of_decode = decode_cost(p, a, s);
        if (s->prompt_rows > 0)
            put_row(rows, most, &n, a->window ? "attention of prompts in a window" : "attention of prompts", a->count, &of_prompt);
        if (s->decode_rows > 0)
            put_row(rows, most, &n, a->window ? "attention of continued rows in a window" : "attention of continued rows", a->count, &of_decode);
    }
    return n < most ? n : most;
}

/* ---- memory ---- */

static double cache_bytes_of(const struct priced *p, double numbers) { return numbers * number_bytes(p->o.cache); }
double priced_weight_bytes(const struct priced *p) { return p->here ? here_weight_bytes(p->here) : p->s.weight_bytes; }
double priced_cache_bytes_token(const struct priced *p) { return p->here ? here_cache_bytes_token(p->here) : cache_bytes_of(p, p->s.cache_full + p->s.cache_windowed); }
double priced_cache_bytes(const struct priced *p, double T)
{
    return p->here ? here_cache_bytes_token(p->here) * T : cache_bytes_of(p, p->s.cache_full * T + p->s.cache_windowed * fmin(T, p->s.window));      /* ours keeps all */
}

/* The stream twice, the widest operands and results of a layer in 2 bytes; logits in floats. */
double priced_work_bytes(const struct priced *p, double rows, double n_logits)
{
    if (p->here)
        return here_work_bytes(p->here, rows);
    return rows * 2 * (2 * p->s.flow + fmax(p->s.row_widest, p->s.expert_widest)) + n_logits * 4 * p->s.logits;
}

/* ---- making ---- */

static void complete(struct price_opts *o)
{
    o->layout = layout_ones(&o->layout);
    double *const bits[] = { &o->bits.experts, &o->bits.matrices, &o->bits.ends, &o->bits.vectors };
    for (int i = 0; i < 4; i++)
        if (!(*bits[i] > 0))
            *bits[i] = number_bits(i < 2 ? o->weights : NUMBER_BF16);
    o->rows_most = o->rows_most > 0 ? o->rows_most : ROWS_MOST;
}

int priced_new(struct priced **out, const struct config *c, const struct price_opts *o, const struct device *d, struct err *err)
{
    *out = NULL;
    TRY(layout_check(c, &o->layout, err));
    struct priced *p = mem_alloc_array(1, sizeof *p);
    if (!p)
        return ERR(err, NOMEM, "no memory to price a model");
    p->o = *o, p->d = *d, p->n_layer = c->n_layer;
    complete(&p->o);
    if (p->d.units <= 0)      /* not known: no waves */
        p->d.units = 1, p->d.tile = 0;
    p->product = device_product(&p->d, o->compute), p->compute_bytes = number_bytes(o->compute);
    int rc = items_of(&p->s, c, &p->o, err);
    p->n_point = points_for(p->o.rows_most);
    if (!rc && !(p->body = mem_alloc_array(2 * (size_t)p->n_point, sizeof *p->body)))
        rc = ERR(err, NOMEM, "no memory to price a model");
    if (rc < 0) {
        priced_free(p);
        return rc;
    }
    p->head = p->body + p->n_point;
    fill(p, p->body, false), fill(p, p->head, true);
    if (!isfinite(p->body[0]) || !isfinite(p->head[0])) {
        priced_free(p);
        return ERR(err, UNSUPPORTED, "%s has no links that its devices could share a model over, as tp %d, ep %d, pp %d want to", d->name, o->layout.tp, o->layout.ep, o->layout.pp);
    }
    *out = p;
    return 0;
}

int priced_here(struct priced **out, const struct config *c, const struct here_opts *o, struct pool *pool, struct err *err)
{
    struct priced *p = *out = mem_alloc_array(1, sizeof *p);
    if (!p)
        return ERR(err, NOMEM, "no memory to price a model");
    const int rc = here_new(&p->here, c, o, pool, err);
    if (rc < 0) {
        mem_free(p);
        *out = NULL;
    }
    return rc;
}

void priced_free(struct priced *p)
{
    if (p)
        here_free(p->here), mem_free(p->body);
    mem_free(p);
}
