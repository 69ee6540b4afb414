#include "model/rope.h"
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <string.h>
#include "base/tree.h"

static const char *const kind_names[] = {
#define X(name, word) word,
    ROPE_KINDS(X)
#undef X
};
const char *rope_kind_name(enum rope_kind k) { return (unsigned)k < N_ROPE_KIND ? kind_names[k] : NULL; }

struct rope_config rope_plain(double theta)
{
    return (struct rope_config){ .theta = theta, .low_freq = 1, .high_freq = 4, .beta_fast = 32, .beta_slow = 1, .truncate = true };
}

/* ---- settings: which kinds have them, and whether they must be said ---- */

enum {
#define X(name, word) K_##name = 1 << name,
    ROPE_KINDS(X)
#undef X
};
#define AT(field) offsetof(struct rope_config, field)
static const struct setting { const char *name; unsigned kinds, needed; size_t at; double min, max; } numbers[] = {
    { "rope_theta", ~0u, 0, AT(theta), 1, 1e15 },
    { "factor", ~0u, K_ROPE_LINEAR | K_ROPE_DYNAMIC | K_ROPE_LLAMA3, AT(factor), 1e-3, 1e6 },
    { "low_freq_factor", K_ROPE_LLAMA3, K_ROPE_LLAMA3, AT(low_freq), 1e-6, 1e6 },
    { "high_freq_factor", K_ROPE_LLAMA3, K_ROPE_LLAMA3, AT(high_freq), 1e-6, 1e6 },
    { "beta_fast", K_ROPE_YARN, 0, AT(beta_fast), 1e-6, 1e6 },
    { "beta_slow", K_ROPE_YARN, 0, AT(beta_slow), 1e-6, 1e6 },
    { "mscale", K_ROPE_YARN, 0, AT(mscale), 0, 1e6 },
    { "mscale_all_dim", K_ROPE_YARN, 0, AT(mscale_all_dim), 0, 1e6 },
    { "attention_factor", K_ROPE_YARN | K_ROPE_LONG, 0, AT(attention_factor), 0, 1e6 },
};
#define N_NUMBER (sizeof numbers / sizeof *numbers)
static double *num_at(struct rope_config *r, size_t at) { return (double *)((char *)r + at); }
static double num_of(const struct rope_config *r, size_t at) { return *(const double *)((const char *)r + at); }

struct reader { struct rope_config *r; const json_t *o; const char *key, *where; struct err *err; };

/* "type" is the older key; Phi-3's first files say "su" (and, for the same numbers, "yarn") for longrope. */
static int read_kind(const struct reader *q)
{
    const char *type;
    TRY(tree_str(q->o, "type", "default", &type, q->where, q->err));
    TRY(tree_str(q->o, "rope_type", type, &type, q->where, q->err));
    const bool lists = json_object_get(q->o, "long_factor") != NULL;
    if (lists && (!strcmp(type, "su") || !strcmp(type, "yarn")))
        type = "longrope";
    for (int k = 0; k < N_ROPE_KIND; k++)
        if (!strcmp(type, kind_names[k])) {
            q->r->kind = (enum rope_kind)k;
            return 0;
        }
    return ERR(q->err, UNSUPPORTED, "%s: %s of type '%.60s', expected one of: default, linear, dynamic, yarn, llama3, longrope", q->where, q->key, type);
}

static int read_list(const struct reader *q, const char *name, double *out)
{
    const json_t *list = json_object_get(q->o, name);
    const size_t n = json_array_size(list);
    if (!json_is_array(list) || !n || n > ROPE_LIST_MAX)
        return ERR(q->err, FORMAT, "%s: %s.%s: found no list of 1 to %d numbers, expected one for longrope", q->where, q->key, name, ROPE_LIST_MAX);
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, i);
        if (!json_is_number(v) || !(json_number_value(v) >= 1e-3 && json_number_value(v) <= 1e6))
            return ERR(q->err, FORMAT, "%s: %s.%s[%zu] is not a number from 0.001 to 1e6", q->where, q->key, name, i);
        out[i] = json_number_value(v);
    }
    if (q->r->n_list && q->r->n_list != (int)n)
        return ERR(q->err, FORMAT, "%s: %s: long_factor and short_factor differ in length, expected as many", q->where, q->key);
    q->r->n_list = (int)n;
    return 0;
}

static int read_number(const struct reader *q, const struct setting *s)
{
    const json_t *v = json_object_get(q->o, s->name);
    const unsigned kind = 1u << q->r->kind;
    if (!v || json_is_null(v)) {
        if (s->needed & kind)
            return ERR(q->err, FORMAT, "%s: %s: found no %s, expected it for type %s", q->where, q->key, s->name, kind_names[q->r->kind]);
        return 0;
    }
    double x;
    TRY(tree_num(q->o, s->name, 0, &x, q->where, q->err));
    if (!(x >= s->min && x <= s->max))
        return ERR(q->err, RANGE, "%s: %s.%s is %g, expected %g to %g", q->where, q->key, s->name, x, s->min, s->max);
    if (s->kinds & kind)
        *num_at(q->r, s->at) = x;
    return 0;
}

/* Known, though perhaps of another kind (DeepSeek's and Qwen's files leave such behind; the library that wrote them passes
 * over them too). */
static bool known(const char *name)
{
    static const char *const others[] = { "type", "rope_type", "original_max_position_embeddings", "partial_rotary_factor", "truncate",
                                          "short_factor", "long_factor", "short_mscale", "long_mscale" };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (!strcmp(name, others[i]))
            return true;
    for (size_t i = 0; i < N_NUMBER; i++)
        if (!strcmp(name, numbers[i].name))
            return true;
    return false;
}

int rope_read(struct rope_config *r, double *share, const json_t *o, const char *key, const char *where, struct err *err)
{
    const struct reader q = { r, o, key, where, err };
    const char *name;
    json_t *v;
    if (!json_is_object(o))
        return ERR(err, FORMAT, "%s: %s is not an object, expected one or null", where, key);
    json_object_foreach((json_t *)(uintptr_t)o, name, v)
        if (!known(name))
            return ERR(err, UNSUPPORTED, "%s: %s.%.60s is not implemented", where, key, name);
    TRY(read_kind(&q));
    for (size_t i = 0; i < N_NUMBER; i++)
        TRY(read_number(&q, &numbers[i]));
    int64_t original;
    TRY(tree_int(o, "original_max_position_embeddings", r->original_ctx, 0, 1 << 24, &original, where, err));
    r->original_ctx = (int)original;
    TRY(tree_bool(o, "truncate", r->truncate, &r->truncate, where, err));
    TRY(tree_num(o, "partial_rotary_factor", *share, share, where, err));
    if (!(*share >= 1e-3 && *share <= 1))
        return ERR(err, RANGE, "%s: %s.partial_rotary_factor is %g, expected 0.001 to 1", where, key, *share);
    if (r->kind != ROPE_LONG)
        return 0;
    r->n_list = 0;
    TRY(read_list(&q, "short_factor", r->short_factor));
    return read_list(&q, "long_factor", r->long_factor);
}

int rope_check(const struct rope_config *r, int d_rot, int ctx, const char *where, struct err *err)
{
    if ((unsigned)r->kind >= N_ROPE_KIND)
        return ERR(err, RANGE, "%s: the kind of RoPE scaling is not one of its values", where);
    if (!(r->theta >= 1 && r->theta <= 1e15))
        return ERR(err, RANGE, "%s: rope_theta is %g, expected 1 to 1e15", where, r->theta);
    if (r->kind == ROPE_LONG && r->n_list != d_rot / 2)
        return ERR(err, FORMAT, "%s: short_factor and long_factor have %d numbers, expected one for each pair that turns, %d", where, r->n_list, d_rot / 2);
    if (r->kind == ROPE_DYNAMIC && d_rot < 4)
        return ERR(err, FORMAT, "%s: dynamic RoPE scaling needs at least 4 numbers that turn", where);
    if (r->kind == ROPE_DYNAMIC && r->original_ctx && r->original_ctx > ctx)
        return ERR(err, FORMAT, "%s: original_max_position_embeddings is %d, expected at most max_position_embeddings, %d", where, r->original_ctx, ctx);
    if (r->kind == ROPE_LLAMA3 && !(r->high_freq > r->low_freq))
        return ERR(err, FORMAT, "%s: high_freq_factor is %g, expected more than low_freq_factor, %g", where, r->high_freq, r->low_freq);
    return 0;
}

/* ---- writing ---- */

static int write_list(struct buf *out, const char *name, int n, const double *x, struct err *err)
{
    TRY(buf_printf(out, err, ", \"%s\": [", name));
    for (int i = 0; i < n; i++) {
        TRY(buf_add_str(out, i ? ", " : "", err));
        TRY(buf_add_number(out, x[i], err));
    }
    return buf_add_str(out, "]", err);
}

int rope_write(const struct rope_config *r, struct buf *out, struct err *err)
{
    const struct rope_config plain = rope_plain(r->theta);
    TRY(buf_printf(out, err, "{\"rope_type\": \"%s\", \"type\": \"%s\"", kind_names[r->kind], kind_names[r->kind]));
    for (size_t i = 1; i < N_NUMBER; i++) {            /* theta has a key of its own */
        const double v = num_of(r, numbers[i].at);
        if (!(numbers[i].kinds & 1u << r->kind) || (v == num_of(&plain, numbers[i].at) && !(numbers[i].needed & 1u << r->kind)))
            continue;
        TRY(buf_printf(out, err, ", \"%s\": ", numbers[i].name));
        TRY(buf_add_number(out, v, err));
    }
    if (r->original_ctx)
        TRY(buf_printf(out, err, ", \"original_max_position_embeddings\": %d", r->original_ctx));
    if (r->kind == ROPE_YARN && !r->truncate)
        TRY(buf_add_str(out, ", \"truncate\": false", err));
    if (r->kind == ROPE_LONG) {
        TRY(write_list(out, "short_factor", r->n_list, r->short_factor, err));
        TRY(write_list(out, "long_factor", r->n_list, r->long_factor, err));
    }
    return buf_add_str(out, "}", err);
}

/* ---- frequencies ---- */

static double factor_of(const struct rope_config *r, int ctx)
{
    return r->factor > 0 ? r->factor : r->original_ctx ? (double)ctx / r->original_ctx : 1;
}

static double yarn_mscale(double factor, double mscale) { return factor <= 1 ? 1 : 0.1 * mscale * log(factor) + 1; }

/* Pairs above `high` rotate slowly and are interpolated by the factor, those below `low` are left, a ramp between. */
static double yarn(const struct rope_config *r, int d_rot, int ctx, double *frequency)
{
    const double pi = 3.14159265358979323846, factor = factor_of(r, ctx), original = r->original_ctx ? r->original_ctx : ctx;
    double low = d_rot * log(original / (r->beta_fast * 2 * pi)) / (2 * log(r->theta));
    double high = d_rot * log(original / (r->beta_slow * 2 * pi)) / (2 * log(r->theta));
    if (r->truncate)
        low = floor(low), high = ceil(high);
    low = fmax(low, 0), high = fmin(high, d_rot - 1);
    if (low == high)
        high += 0.001;
    for (int i = 0; i < d_rot / 2; i++) {
        const double ramp = fmin(fmax((i - low) / (high - low), 0), 1);
        frequency[i] = frequency[i] / factor * ramp + frequency[i] * (1 - ramp);
    }
    if (r->attention_factor > 0)
        return r->attention_factor;
    return r->mscale > 0 && r->mscale_all_dim > 0 ? yarn_mscale(factor, r->mscale) / yarn_mscale(factor, r->mscale_all_dim) : yarn_mscale(factor, 1);
}

static void llama3(const struct rope_config *r, int d_rot, int ctx, double *frequency)
{
    const double pi = 3.14159265358979323846, original = r->original_ctx ? r->original_ctx : ctx;
    for (int i = 0; i < d_rot / 2; i++) {
        const double turns = original * frequency[i] / (2 * pi);       /* over the original context */
        const double s = fmin(fmax((turns - r->low_freq) / (r->high_freq - r->low_freq), 0), 1);
        frequency[i] = (1 - s) * frequency[i] / r->factor + s * frequency[i];
    }
}

static double longrope(const struct rope_config *r, int d_rot, int ctx, int64_t longest, double *frequency)
{
    const double original = r->original_ctx ? r->original_ctx : ctx, factor = factor_of(r, ctx);
    const double *list = (double)longest > original ? r->long_factor : r->short_factor;
    for (int i = 0; i < d_rot / 2; i++)
        frequency[i] /= list[i];
    if (r->attention_factor > 0)
        return r->attention_factor;
    return factor <= 1 || original <= 1 ? 1 : sqrt(1 + log(factor) / log(original));
}

double rope_frequencies(const struct rope_config *r, int d_rot, int ctx, int64_t longest, double *frequency)
{
    double theta = r->theta;
    const double original = r->original_ctx ? r->original_ctx : ctx;
    if (r->kind == ROPE_DYNAMIC && (double)longest > original)
        theta *= pow(r->factor * (double)longest / original - (r->factor - 1), d_rot / (d_rot - 2.0));
    for (int i = 0; i < d_rot / 2; i++)
        frequency[i] = pow(theta, -2.0 * i / d_rot) / (r->kind == ROPE_LINEAR ? r->factor : 1);
    switch (r->kind) {
    case ROPE_YARN: return yarn(r, d_rot, ctx, frequency);
    case ROPE_LLAMA3: llama3(r, d_rot, ctx, frequency); return 1;
    case ROPE_LONG: return longrope(r, d_rot, ctx, longest, frequency);
    default: return 1;
    }
}

double rope_scale_factor(const struct rope_config *r, int ctx)
{
    const double m = r->kind == ROPE_YARN && r->mscale_all_dim > 0 ? yarn_mscale(factor_of(r, ctx), r->mscale_all_dim) : 1;
    return m * m;
}
