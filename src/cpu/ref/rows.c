/* rows.c - the row and array kernels as they are defined: plain loops, arithmetic in double. */
#include "cpu/kernels.h"
#include "cpu/ref/bf16.h"
#include <math.h>
#include <string.h>

static void put(void *y, bool b16, ptrdiff_t at, double v)
{
    if (b16)
        ((bf16 *)y)[at] = bf16_of((real)v);
    else
        ((real *)y)[at] = (real)v;
}

/* ---- norms ---- */

static void norm_fwd(const struct norm *p, bool layer)
{
    for (int i = 0; i < p->n_row; i++) {
        const real *x = p->x + i * p->ld_x;
        double mean = 0, square = 0;
        for (int c = 0; layer && c < p->C; c++)
            mean += (double)x[c] / p->C;
        for (int c = 0; c < p->C; c++)
            square += ((double)x[c] - mean) * ((double)x[c] - mean);
        const double rstd = 1 / sqrt(square / p->C + (double)p->eps);
        for (int c = 0; c < p->C; c++)
            put(p->y, p->y_bf16, i * p->ld_y + c, ((double)x[c] - mean) * rstd * (p->w ? (double)p->w[c] : 1) + (p->b ? (double)p->b[c] : 0));
        if (p->mean)
            p->mean[i] = (real)mean;
        if (p->rstd)
            p->rstd[i] = (real)rstd;
    }
}

static void norm_bwd(const struct norm *p, bool layer)
{
    for (int i = 0; i < p->n_row; i++) {
        const real *x = p->x + i * p->ld_x, *dy = p->dy + i * p->ld_dy;
        real *dx = p->dx ? p->dx + i * p->ld_dx : NULL;
        const double mean = layer ? (double)p->mean[i] : 0, rstd = (double)p->rstd[i];
        double g_mean = 0, gx_mean = 0;
        for (int c = 0; c < p->C; c++) {
            const double g = (double)dy[c] * (p->w ? (double)p->w[c] : 1);
            g_mean += layer ? g / p->C : 0;
            gx_mean += g * ((double)x[c] - mean) * rstd / p->C;
        }
        for (int c = 0; c < p->C; c++) {
            const double xh = ((double)x[c] - mean) * rstd, d = (double)dy[c];
            if (p->dw)
                p->dw[c] += (real)(d * xh);
            if (p->db)
                p->db[c] += (real)d;
            if (dx)
                dx[c] = (real)((p->add_dx ? (double)dx[c] : 0) + rstd * (d * (p->w ? (double)p->w[c] : 1) - g_mean - xh * gx_mean));
        }
    }
}

static void layernorm_fwd(const struct norm *p) { norm_fwd(p, true); }
static void layernorm_bwd(const struct norm *p) { norm_bwd(p, true); }
static void rmsnorm_fwd(const struct norm *p) { norm_fwd(p, false); }
static void rmsnorm_bwd(const struct norm *p) { norm_bwd(p, false); }

/* ---- activations: value and slope at h ---- */

struct slope { double y, d; };

static struct slope gelu(double h)
{
    const double cdf = 0.5 * (1 + erf(h / sqrt(2)));
    return (struct slope){ h * cdf, cdf + h * exp(-h * h / 2) / sqrt(2 * 3.14159265358979323846) };
}

static struct slope gelu_tanh(double h)
{
    const double k = sqrt(2 / 3.14159265358979323846), t = tanh(k * (h + 0.044715 * h * h * h));
    return (struct slope){ 0.5 * h * (1 + t), 0.5 * (1 + t) + 0.5 * h * (1 - t * t) * k * (1 + 3 * 0.044715 * h * h) };
}

static void act_fwd(const struct act *p, struct slope (*f)(double))
{
    for (int i = 0; i < p->n_row; i++)
        for (int c = 0; c < p->F; c++)
            put(p->y, p->y_bf16, i * p->ld_y + c, f((double)p->h[i * p->ld_h + c]).y * (p->scale ? (double)p->scale[i] : 1));
}

static void act_bwd(const struct act *p, struct slope (*f)(double))
{
    for (int i = 0; i < p->n_row; i++) {
        double sum = 0;
        for (int c = 0; c < p->F; c++) {
            const struct slope s = f((double)p->h[i * p->ld_h + c]);
            const double dy = (double)p->dy[i * p->ld_dy + c];
            sum += dy * s.y;
            p->dh[i * p->ld_dh + c] = (real)(dy * s.d * (p->scale ? (double)p->scale[i] : 1));
        }
        if (p->dscale)
            p->dscale[i] = (real)sum;
    }
}

static void gelu_fwd(const struct act *p) { act_fwd(p, gelu); }
static void gelu_bwd(const struct act *p) { act_bwd(p, gelu); }
static void gelu_tanh_fwd(const struct act *p) { act_fwd(p, gelu_tanh); }
static void gelu_tanh_bwd(const struct act *p) { act_bwd(p, gelu_tanh); }

static void swiglu_fwd(const struct act *p)
{
    for (int i = 0; i < p->n_row; i++)
        for (int c = 0; c < p->F; c++) {
            const double a = (double)p->h[i * p->ld_h + c], u = (double)p->h[i * p->ld_h + p->F + c];
            put(p->y, p->y_bf16, i * p->ld_y + c, a / (1 + exp(-a)) * u * (p->scale ? (double)p->scale[i] : 1));
        }
}

static void swiglu_bwd(const struct act *p)
{
    for (int i = 0; i < p->n_row; i++) {
        double sum = 0;
        const double scale = p->scale ? (double)p->scale[i] : 1;
        for (int c = 0; c < p->F; c++) {
            const double a = (double)p->h[i * p->ld_h + c], u = (double)p->h[i * p->ld_h + p->F + c], dy = (double)p->dy[i * p->ld_dy + c];
            const double s = 1 / (1 + exp(-a));
            sum += dy * a * s * u;
            p->dh[i * p->ld_dh + c] = (real)(dy * u * s * (1 + a * (1 - s)) * scale);
            p->dh[i * p->ld_dh + p->F + c] = (real)(dy * a * s * scale);
        }
        if (p->dscale)
            p->dscale[i] = (real)sum;
    }
}

static void gated_fwd(const struct act *p, struct slope (*f)(double))
{
    for (int i = 0; i < p->n_row; i++)
        for (int c = 0; c < p->F; c++)
            put(p->y, p->y_bf16, i * p->ld_y + c,
                f((double)p->h[i * p->ld_h + c]).y * (double)p->h[i * p->ld_h + p->F + c] * (p->scale ? (double)p->scale[i] : 1));
}

static void gated_bwd(const struct act *p, struct slope (*f)(double))
{
    for (int i = 0; i < p->n_row; i++) {
        double sum = 0;
        const double scale = p->scale ? (double)p->scale[i] : 1;
        for (int c = 0; c < p->F; c++) {
            const struct slope s = f((double)p->h[i * p->ld_h + c]);
            const double u = (double)p->h[i * p->ld_h + p->F + c], dy = (double)p->dy[i * p->ld_dy + c];
            sum += dy * s.y * u;
            p->dh[i * p->ld_dh + c] = (real)(dy * u * s.d * scale);
            p->dh[i * p->ld_dh + p->F + c] = (real)(dy * s.y * scale);
        }
        if (p->dscale)
            p->dscale[i] = (real)sum;
    }
}

static void geglu_fwd(const struct act *p) { gated_fwd(p, gelu); }
static void geglu_bwd(const struct act *p) { gated_bwd(p, gelu); }
static void geglu_tanh_fwd(const struct act *p) { gated_fwd(p, gelu_tanh); }
static void geglu_tanh_bwd(const struct act *p) { gated_bwd(p, gelu_tanh); }

static void swiglu_clamped_fwd(const struct act *p)
{
    for (int i = 0; i < p->n_row; i++)
        for (int c = 0; c < p->F; c++) {
            const double h = (double)p->h[i * p->ld_h + c], v = (double)p->h[i * p->ld_h + p->F + c];
            const double a = h > 7 ? 7 : h, u = v > 7 ? 7 : v < -7 ? -7 : v;
            put(p->y, p->y_bf16, i * p->ld_y + c, (u + 1) * a / (1 + exp(-1.702 * a)) * (p->scale ? (double)p->scale[i] : 1));
        }
}

static void swiglu_clamped_bwd(const struct act *p)
{
    for (int i = 0; i < p->n_row; i++) {
        double sum = 0;
        const double scale = p->scale ? (double)p->scale[i] : 1;
        for (int c = 0; c < p->F; c++) {
            const double h = (double)p->h[i * p->ld_h + c], v = (double)p->h[i * p->ld_h + p->F + c], dy = (double)p->dy[i * p->ld_dy + c];
            const double a = h > 7 ? 7 : h, u = v > 7 ? 7 : v < -7 ? -7 : v, s = 1 / (1 + exp(-1.702 * a));
            sum += dy * (u + 1) * a * s;
            p->dh[i * p->ld_dh + c] = (real)(h > 7 ? 0 : dy * (u + 1) * s * (1 + 1.702 * a * (1 - s)) * scale);
            p->dh[i * p->ld_dh + p->F + c] = (real)(v > 7 || v < -7 ? 0 : dy * a * s * scale);
        }
        if (p->dscale)
            p->dscale[i] = (real)sum;
    }
}

static void softcap(size_t n, real cap, const real *x, real *y, real *slope)
{
    for (size_t i = 0; i < n; i++) {
        const double t = tanh((double)x[i] / (double)cap);
        y[i] = (real)((double)cap * t);
        if (slope)
            slope[i] = (real)(1 - t * t);
    }
}

/* ---- rope ---- */

static void turn(real *x, real *y, double cosine, double sine)
{
    const double a = (double)*x, b = (double)*y;
    *x = (real)(a * cosine - b * sine);
    *y = (real)(b * cosine + a * sine);
}

static void rope(const struct rope *p, int step, int apart)
{
    for (int h = 0; h < p->n_head; h++)
        for (int i = 0; i < p->d_rot / 2; i++) {
            real *x = p->x + h * p->d_head + i * step;
            turn(x, x + apart, (double)p->cos_sin[2 * i], (p->inverse ? -1 : 1) * (double)p->cos_sin[2 * i + 1]);
        }
}

static void rope_half(const struct rope *p) { rope(p, 1, p->d_rot / 2); }
static void rope_pairs(const struct rope *p) { rope(p, 2, 1); }

/* ---- softmax and cross-entropy ---- */

struct exps { double max, sum; };      /* sum of e^(x - max) */

static struct exps exps(int n, const real *x)
{
    struct exps e = { -INFINITY, 0 };
    for (int i = 0; i < n; i++)
        e.max = (double)x[i] > e.max || x[i] != x[i] ? (double)x[i] : e.max;
    for (int i = 0; i < n; i++)
        e.sum += exp((double)x[i] - e.max);
    return e;
}

static void softmax(int n_row, int n, const real *x, ptrdiff_t ld_x, real *y, ptrdiff_t ld_y, real *lse)
{
    for (int r = 0; r < n_row; r++) {
        const struct exps e = exps(n, x + r * ld_x);
        for (int i = 0; i < n; i++)
            y[r * ld_y + i] = (real)(exp((double)x[r * ld_x + i] - e.max) / e.sum);
        if (lse)
            lse[r] = (real)(e.max + log(e.sum));
    }
}

static void cross_entropy(const struct ce *p)
{
    for (int r = 0; r < p->n_row; r++) {
        real *x = p->x + r * p->ld;
        const int target = p->target[r];
        const struct exps e = exps(target < 0 ? 0 : p->V, x);
        p->nll[r] = target < 0 ? 0 : (real)(e.max - (double)x[target] + log(e.sum));
        for (int i = 0; p->grad && i < p->V; i++)
            x[i] = target < 0 ? 0 : (real)((exp((double)x[i] - e.max) / e.sum - (i == target)) * (double)p->scale);
    }
}

static int first_largest(int n, const float *x)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        best = x[i] > x[best] ? i : best;
    return best;
}

static void divergence(int n, const float *x, const float *y, struct divergence *out)
{
    *out = (struct divergence){ .best = { first_largest(n, x), first_largest(n, y) } };
    for (int i = 0; i < n; i++) {
        const double d = (double)x[i] - (double)y[i];
        const double e[2] = { exp((double)x[i] - (double)x[out->best[0]]), exp((double)y[i] - (double)y[out->best[1]]) };
        for (int j = 0; j < 2; j++)
            out->sum[j] += e[j], out->cross[j] += e[j] * d;
    }
}

static void logit_moments(int n, const float *x, struct logit_moments *out)
{
    *out = (struct logit_moments){ .best = first_largest(n, x) };
    for (int i = 0; i < n; i++) {
        const double d = (double)x[i] - (double)x[out->best], e = exp(d);
        out->sum += e;
        if (e != 0)
            out->first += e * d, out->second += e * d * d;
    }
}

/* ---- attention ---- */

static double score(const struct attn *p, int i, int g, int j)
{
    double s = 0;
    for (int c = 0; c < p->d; c++)
        s += (double)p->q[i * p->ld_q + g * p->d + c] * (double)p->k[j * p->ld_k + c];
    s *= (double)p->scale;
    return p->cap > 0 ? (double)p->cap * tanh(s / (double)p->cap) : s;
}

/* Row i sees keys first_key() .. end_key() - 1. */
static int end_key(const struct attn *p, int i)
{
    return !p->all ? p->pos0 + i + 1 : p->window && i + p->window < p->n_q ? i + p->window : p->n_q;
}
static int first_key(const struct attn *p, int i)
{
    const int n = p->pos0 + i + 1;
    return p->window && n > p->window ? n - p->window : 0;
}

static double o_value(const struct attn *p, int i, int g, int c)
{
    const ptrdiff_t at = i * p->ld_o + g * attn_dv(p) + c;
    return p->o_bf16 ? (double)bf16_to_real(((const bf16 *)p->o)[at]) : (double)((const real *)p->o)[at];
}

static void attn_fwd(const struct attn *p)
{
    const int dv = attn_dv(p);
    for (int i = 0; i < p->n_q; i++)
        for (int g = 0; g < p->n_group; g++) {
            const int first = first_key(p, i), end = end_key(p, i);
            double max = p->sink ? (double)p->sink[g] : -INFINITY;
            for (int j = first; j < end; j++) {
                const double s = score(p, i, g, j);
                max = s > max || s != s ? s : max;
            }
            double sum = p->sink ? exp((double)p->sink[g] - max) : 0;
            for (int j = first; j < end; j++)
                sum += exp(score(p, i, g, j) - max);
            for (int c = 0; c < dv; c++) {
                double o = 0;
                for (int j = first; j < end; j++)
                    o += exp(score(p, i, g, j) - max) / sum * (double)p->v[j * p->ld_v + c];
                put(p->o, p->o_bf16, i * p->ld_o + g * dv + c, o);
            }
            if (p->lse)
                p->lse[i * p->ld_lse + g] = (real)(max + log(sum));
        }
}

static void attn_zero(const struct attn *p, int i)
{
    for (int c = 0; c < p->d; c++) {
        p->dk[i * p->ld_dk + c] = 0;
        for (int g = 0; g < p->n_group; g++)
            p->dq[i * p->ld_dq + g * p->d + c] = 0;
    }
    for (int c = 0; c < attn_dv(p); c++)
        p->dv[i * p->ld_dv + c] = 0;
}

static void attn_bwd(const struct attn *p)
{
    const int dv = attn_dv(p);
    for (int i = 0; i < p->n_q; i++)
        attn_zero(p, i);
    for (int g = 0; p->dsink && g < p->n_group; g++)
        p->dsink[g] = 0;
    for (int i = 0; i < p->n_q; i++)
        for (int g = 0; g < p->n_group; g++) {
            const real *d_o = p->d_o + i * p->ld_do + g * dv;
            double D = 0;
            for (int c = 0; c < dv; c++)
                D += (double)d_o[c] * o_value(p, i, g, c);
            if (p->dsink)                               /* its probability, whose value is 0 */
                p->dsink[g] -= (real)(exp((double)p->sink[g] - (double)p->lse[i * p->ld_lse + g]) * D);
            for (int j = first_key(p, i); j < end_key(p, i); j++) {
                const double s = score(p, i, g, j), P = exp(s - (double)p->lse[i * p->ld_lse + g]);
                const double slope = p->cap > 0 ? 1 - s / (double)p->cap * (s / (double)p->cap) : 1;
                double dP = 0;
                for (int c = 0; c < dv; c++) {
                    dP += (double)d_o[c] * (double)p->v[j * p->ld_v + c];
                    p->dv[j * p->ld_dv + c] += (real)(P * (double)d_o[c]);
                }
                const double dS = P * (dP - D) * slope * (double)p->scale;
                for (int c = 0; c < p->d; c++) {
                    p->dq[i * p->ld_dq + g * p->d + c] += (real)(dS * (double)p->k[j * p->ld_k + c]);
                    p->dk[j * p->ld_dk + c] += (real)(dS * (double)p->q[i * p->ld_q + g * p->d + c]);
                }
            }
        }
}

/* ---- sums and arrays ---- */

static void sum_rows(const struct sum_rows *p)
{
    for (int i = 0; i < p->n_row; i++)
        for (int c = 0; c < p->C; c++) {
            real sum = p->add ? p->add[i * p->ld_add + c] : 0;
            for (int j = 0; j < p->k; j++)
                sum += p->src[p->index[i * p->k + j] * p->ld_src + c] * (p->weight ? p->weight[p->index[i * p->k + j]] : 1);
            p->y[i * p->ld_y + c] = sum;
        }
}

static void col_sum(int n_row, int n, const real *x, ptrdiff_t ld, real *y)
{
    for (int i = 0; i < n_row; i++)
        for (int c = 0; c < n; c++)
            y[c] += x[i * ld + c];
}

static void add(size_t n, const real *a, const real *b, real *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}

static void scale(size_t n, real s, real *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] *= s;
}

/* The 32-bit draw of element i: two rounds of a multiply-xorshift mixer (constants of C. Wellons' hash32 search) over the
 * low word of i, keyed by the rest. */
static uint32_t draw(uint64_t key, uint64_t i)
{
    uint32_t x = (uint32_t)i ^ (uint32_t)key;
    x ^= x >> 16, x *= 0x7feb352dU, x ^= x >> 15, x *= 0x846ca68bU, x ^= x >> 16;
    x ^= (uint32_t)(key >> 32) + (uint32_t)(i >> 32) * 0x9e3779b9U;
    x ^= x >> 16, x *= 0x7feb352dU, x ^= x >> 15, x *= 0x846ca68bU, x ^= x >> 16;
    return x;
}

static void dropout(size_t n, const real *x, real *y, uint64_t key, uint64_t i0, real p, bool adds)
{
    const uint32_t limit = (uint32_t)((double)p * 4294967296.0);
    const real keep = (real)(1 / (1 - (double)p));
    for (size_t i = 0; i < n; i++) {
        const real v = draw(key, i0 + i) < limit ? 0 : x[i] * keep;
        y[i] = adds ? y[i] + v : v;
    }
}

static double sum_squares(size_t n, const real *x)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sum;
}

static void adamw(size_t n, real *w, const real *g, real *m, real *v, const struct adamw *p)
{
    for (size_t i = 0; i < n; i++) {
        const double d = (double)g[i] * (double)p->grad_scale, b1 = (double)p->beta1, b2 = (double)p->beta2, lr = (double)p->lr;
        m[i] = (real)(b1 * (double)m[i] + (1 - b1) * d);
        v[i] = (real)(b2 * (double)v[i] + (1 - b2) * d * d);
        const double decayed = (double)w[i] - lr * (double)p->wd * (double)w[i];
        w[i] = (real)(decayed - lr / (double)p->correction1 * (double)m[i] / (sqrt((double)v[i]) / sqrt((double)p->correction2) + (double)p->eps));
    }
}

static void sgd(size_t n, real *w, const real *g, real *m, const struct momentum *p)
{
    for (size_t i = 0; i < n; i++) {
        m[i] = (real)((double)p->momentum * (double)m[i] + ((double)p->grad_scale * (double)g[i] + (double)p->wd * (double)w[i]));
        w[i] = (real)((double)w[i] - (double)p->lr * (double)m[i]);
    }
}

static void nesterov(size_t n, const real *g, real *m, real *u, const struct momentum *p)
{
    for (size_t i = 0; i < n; i++) {
        const double d = (double)p->grad_scale * (double)g[i], b = (double)p->momentum, mi = (double)m[i] + (1 - b) * (d - (double)m[i]);
        m[i] = (real)mi;
        u[i] = (real)(d + b * (mi - d));
    }
}

static void descend(size_t n, real *w, const real *u, real keep, real rate)
{
    for (size_t i = 0; i < n; i++)
        w[i] = (real)((double)keep * (double)w[i] - (double)rate * (double)u[i]);
}

static void to_bf16(size_t n, const real *x, bf16 *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = bf16_of(x[i]);
}

static void to_bf16_random(size_t n, const real *x, bf16 *y, const uint32_t *draw, uint32_t more)
{
    for (size_t i = 0; i < n; i++) {
        const float f = (float)x[i];
        uint32_t u;
        memcpy(&u, &f, sizeof u);
        y[i] = (bf16)((u + ((draw[i] + more) >> 16)) >> 16);
    }
}

static void from_bf16(size_t n, const bf16 *x, real *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = bf16_to_real(x[i]);
}

void cpu_ref_fill_rows(struct cpu_kernels *k)
{
    k->layernorm_fwd = layernorm_fwd;
    k->layernorm_bwd = layernorm_bwd;
    k->rmsnorm_fwd = rmsnorm_fwd;
    k->rmsnorm_bwd = rmsnorm_bwd;
    k->gelu_fwd = gelu_fwd;
    k->gelu_bwd = gelu_bwd;
    k->gelu_tanh_fwd = gelu_tanh_fwd;
    k->gelu_tanh_bwd = gelu_tanh_bwd;
    k->swiglu_fwd = swiglu_fwd;
    k->swiglu_bwd = swiglu_bwd;
    k->geglu_fwd = geglu_fwd;
    k->geglu_bwd = geglu_bwd;
    k->geglu_tanh_fwd = geglu_tanh_fwd;
    k->geglu_tanh_bwd = geglu_tanh_bwd;
    k->swiglu_clamped_fwd = swiglu_clamped_fwd;
    k->swiglu_clamped_bwd = swiglu_clamped_bwd;
    k->softcap = softcap;
    k->rope_half = rope_half;
    k->rope_pairs = rope_pairs;
    k->softmax = softmax;
    k->cross_entropy = cross_entropy;
    k->divergence = divergence;
    k->logit_moments = logit_moments;
    k->attn_fwd = k->attn_fwd_bf16 = attn_fwd;
    k->attn_bwd = k->attn_bwd_bf16 = attn_bwd;
    k->sum_rows = sum_rows;
    k->col_sum = col_sum;
    k->add = add;
    k->scale = scale;
    k->dropout = dropout;
    k->sum_squares = sum_squares;
    k->adamw = adamw;
    k->sgd = sgd;
    k->nesterov = nesterov;
    k->descend = descend;
    k->to_bf16 = to_bf16;
    k->to_bf16_random = to_bf16_random;
    k->from_bf16 = from_bf16;
}
