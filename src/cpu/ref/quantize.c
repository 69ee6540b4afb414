/* quantize.c - from floats to blocks.
 *
 * Q8_0 always, and Q4_0, Q4_1, Q5_0, Q5_1 without importance, follow ggml's reference formulas to the byte: a scale from the
 * largest number, then rounding.  All other forms look for the scales of least weighted error: a few scales around the one
 * that just holds the largest number are tried, each followed by the least-squares scale for the integers it gives.  In
 * blocks of 256 the scales are integers times one or two halves; these are then improved by turns, the integers (with those
 * beside them) for given halves and the halves (least squares) for given integers, and the best state is kept.
 * Weights without importance: |x| plus the root mean square of the block, so that large numbers count more, as in ggml. */
#include "cpu/quant.h"
#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>
#include "cpu/ref/bf16.h"

#define HALF_MAX 65504.0f

static void put_half(uint8_t *p, float f)
{
    const uint16_t h = float_to_half(f);
    memcpy(p, &h, sizeof h);
}

static float as_half(float f)
{
    return half_to_float(float_to_half(f > HALF_MAX ? HALF_MAX : f < -HALF_MAX ? -HALF_MAX : f));
}

static float inverse(float d) { return d != 0 ? 1.0f / d : 0.0f; }

/* To nearest within lo .. hi; NaN gives lo. */
static int to_level(float v, int lo, int hi)
{
    v = v > (float)lo ? v : (float)lo;
    return (int)lrintf(v < (float)hi ? v : (float)hi);
}

/* Truncated within 0 .. hi, as ggml's casts; NaN gives 0. */
static int truncated(float v, int hi) { return v > 0 ? v < (float)hi ? (int)v : hi : 0; }

/* The element of largest magnitude, with its sign; the first of several. */
static float extreme(int n, const float *x)
{
    float amax = 0, best = 0;
    for (int j = 0; j < n; j++)
        if (fabsf(x[j]) > amax)
            amax = fabsf(x[j]), best = x[j];
    return best;
}

static void range(int n, const float *x, float *min, float *max)
{
    *min = FLT_MAX, *max = -FLT_MAX;
    for (int j = 0; j < n; j++) {
        *min = x[j] < *min ? x[j] : *min;
        *max = x[j] > *max ? x[j] : *max;
    }
}

static void make_weights(int n, const float *x, const float *importance, float *w)
{
    float sum = 0, total = 0;
    for (int j = 0; j < n; j++)
        sum += x[j] * x[j], total += importance ? importance[j] : 0;
    const float mean = sum / (float)n, rms = sqrtf(mean);
    for (int j = 0; j < n; j++)
        w[j] = total > 0 ? importance[j] * sqrtf(2 * mean + x[j] * x[j]) : rms + fabsf(x[j]);
}

/* ---- ggml's reference formulas ---- */

static void store_nibbles(uint8_t *q, const uint8_t *level)
{
    for (int j = 0; j < 16; j++)
        q[j] = (uint8_t)((level[j] & 15) | (level[j + 16] & 15) << 4);
}

static void store_fifth(uint8_t *high, const uint8_t *level)
{
    memset(high, 0, 4);
    for (int j = 0; j < 32; j++)
        high[j / 8] = (uint8_t)(high[j / 8] | (level[j] >> 4 & 1) << j % 8);
}

static void q8_0(const float *x, const float *importance, uint8_t *b)
{
    (void)importance;
    const float d = fabsf(extreme(32, x)) / 127, inv = inverse(d);
    put_half(b, d);
    for (int j = 0; j < 32; j++) {
        const float v = roundf(x[j] * inv);
        b[2 + j] = (uint8_t)(int8_t)(v > -128 ? v < 127 ? v : 127 : -128);
    }
}

/* bits 4 or 5: x = d*(q - half) */
static void reference_symmetric(const float *x, int half, uint8_t *level, float *d)
{
    *d = extreme(32, x) / (float)-half;
    const float inv = inverse(*d);
    for (int j = 0; j < 32; j++)
        level[j] = (uint8_t)truncated(x[j] * inv + ((float)half + 0.5f), 2 * half - 1);
}

static void reference_min(const float *x, int top, uint8_t *level, float *d, float *min)
{
    float max;
    range(32, x, min, &max);
    *d = (max - *min) / (float)top;
    const float inv = inverse(*d);
    for (int j = 0; j < 32; j++)
        level[j] = (uint8_t)truncated((x[j] - *min) * inv + 0.5f, top);
}

/* ---- the search for one scale ---- */

/* The scale d of least sum of w*(x - d*q)^2 over integers q in lo .. hi; it may be negative. */
static float fit_scale(int n, int lo, int hi, const float *x, const float *w)
{
    const float top = extreme(n, x);
    if (!(fabsf(top) > 1e-30f))
        return 0;
    float best = 0, best_gain = 0;
    for (int k = -9; k <= 16; k++) {
        /* the largest becomes lo, or hi; the last two go on from the best */
        const float inv = (k < 10 ? (float)lo - 0.1f * (float)k : (float)hi + 0.3f * (float)(k - 11)) / top, from = k < 15 ? inv : inverse(best);
        float xq = 0, qq = 0;
        for (int j = 0; j < n; j++) {
            const float q = (float)to_level(x[j] * from, lo, hi);
            xq += w[j] * x[j] * q;
            qq += w[j] * q * q;
        }
        if (qq > 0 && xq * xq > best_gain * qq)
            best_gain = xq * xq / qq, best = xq / qq;
    }
    return best;
}

/* The scale d >= 0 and minimum m of least sum of w*(x - d*q - m)^2 over q in 0 .. top; m <= 0 unless any_min. */
static float fit_scale_min(int n, int top, bool any_min, const float *x, const float *w, float *m)
{
    float lo, hi, best = 0, best_error = FLT_MAX, sw = 0, sx = 0, sxx = 0;
    range(n, x, &lo, &hi);
    lo = any_min || lo < 0 ? lo : 0;
    *m = lo;
    if (!(hi - lo > 1e-30f))
        return 0;
    for (int j = 0; j < n; j++)
        sw += w[j], sx += w[j] * x[j], sxx += w[j] * x[j] * x[j];
    for (int k = 0; k <= 22; k++) {
        const float from = k <= 20 ? lo : *m, inv = k <= 20 ? ((float)top - 1 + 0.1f * (float)k) / (hi - lo) : 1 / best;
        float sq = 0, sqq = 0, sxq = 0;
        if (k > 20 && best <= 0)
            break;
        for (int j = 0; j < n; j++) {
            const float q = (float)to_level((x[j] - from) * inv, 0, top), wq = w[j] * q;
            sq += wq, sqq += wq * q, sxq += wq * x[j];
        }
        const float det = sw * sqq - sq * sq;
        if (!(det > 0))
            continue;
        float d = (sw * sxq - sx * sq) / det, min = (sqq * sx - sq * sxq) / det;
        if (min > 0 && !any_min)
            min = 0, d = sxq / sqq;
        const float error = sxx + d * d * sqq + min * min * sw + 2 * (d * min * sq - d * sxq - min * sx);
        if (error < best_error && d > 0)
            best_error = error, best = d, *m = min;
    }
    return best;
}

/* ---- blocks of 32 by search ---- */

static void search_symmetric(const float *x, const float *importance, int half, uint8_t *level, float *d)
{
    float w[32];
    make_weights(32, x, importance, w);
    *d = as_half(fit_scale(32, -half, half - 1, x, w));
    const float inv = inverse(*d);
    for (int j = 0; j < 32; j++)
        level[j] = (uint8_t)(to_level(x[j] * inv, -half, half - 1) + half);
}

static void search_min(const float *x, const float *importance, int top, uint8_t *level, float *d, float *m)
{
    float w[32];
    make_weights(32, x, importance, w);
    *d = as_half(fit_scale_min(32, top, true, x, w, m));
    *m = as_half(*m);
    const float inv = inverse(*d);
    for (int j = 0; j < 32; j++)
        level[j] = (uint8_t)to_level((x[j] - *m) * inv, 0, top);
}

/* Four bits of each level; the fifth bits, where there are any, before them. */
static void store_levels(uint8_t *b, const uint8_t *level, int bits)
{
    if (bits == 5)
        store_fifth(b, level);
    store_nibbles(b + (bits == 5 ? 4 : 0), level);
}

static void symmetric(const float *x, const float *importance, int bits, uint8_t *b)
{
    const int half = 1 << (bits - 1);
    uint8_t level[32];
    float d;
    importance ? search_symmetric(x, importance, half, level, &d) : reference_symmetric(x, half, level, &d);
    put_half(b, d);
    store_levels(b + 2, level, bits);
}
static void q4_0(const float *x, const float *importance, uint8_t *b) { symmetric(x, importance, 4, b); }
static void q5_0(const float *x, const float *importance, uint8_t *b) { symmetric(x, importance, 5, b); }

static void with_min(const float *x, const float *importance, int bits, uint8_t *b)
{
    const int top = (1 << bits) - 1;
    uint8_t level[32];
    float d, m;
    importance ? search_min(x, importance, top, level, &d, &m) : reference_min(x, top, level, &d, &m);
    put_half(b, d);
    put_half(b + 2, m);
    store_levels(b + 4, level, bits);
}
static void q4_1(const float *x, const float *importance, uint8_t *b) { with_min(x, importance, 4, b); }
static void q5_1(const float *x, const float *importance, uint8_t *b) { with_min(x, importance, 5, b); }

static void q4_g(const float *x, const float *importance, uint8_t *b)
{
    uint8_t level[32];
    float w[32], m;
    make_weights(32, x, importance, w);
    const float d = fit_scale_min(32, 15, true, x, w, &m), inv = inverse(d);
    for (int j = 0; j < 32; j++)
        level[j] = (uint8_t)to_level((x[j] - m) * inv, 0, 15);
    memcpy(b, &d, sizeof d);
    memcpy(b + 4, &m, sizeof m);
    store_nibbles(b + 8, level);
}

static int nearest_nl(float v)
{
    static const float middle[15] = { -115.5f, -93.5f, -74, -57, -42, -28.5f, -16, -4.5f, 7, 19, 31.5f, 45.5f, 61, 79, 101 };
    int i = 0;
    for (int k = 0; k < 15; k++)
        i += v > middle[k];
    return i;
}

static void iq4_nl(const float *x, const float *importance, uint8_t *b)
{
    static const float value[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };
    uint8_t level[32];
    float w[32], best = 0, best_gain = 0;
    const float top = extreme(32, x);
    make_weights(32, x, importance, w);
    for (int k = -9; k <= 19 && top != 0; k++) {
        const float inv = k < 9 ? (value[0] - (float)k) / top : k < 18 ? (value[15] + 3 * (float)(k - 11)) / top : inverse(best);
        float xq = 0, qq = 0;
        for (int j = 0; j < 32; j++) {
            const float q = value[nearest_nl(x[j] * inv)];
            xq += w[j] * x[j] * q;
            qq += w[j] * q * q;
        }
        if (qq > 0 && xq * xq > best_gain * qq)
            best_gain = xq * xq / qq, best = xq / qq;
    }
    best = as_half(best);
    for (int j = 0; j < 32; j++)
        level[j] = (uint8_t)nearest_nl(x[j] * inverse(best));
    put_half(b, best);
    store_nibbles(b + 2, level);
}

/* To the nearest of 0 .5 1 1.5 2 3 4 6, the even code at a tie. */
static uint8_t nearest_mx(float v)
{
    const float a = fabsf(v);
    const int m = (a > 0.25f) + (a >= 0.75f) + (a > 1.25f) + (a >= 1.75f) + (a > 2.5f) + (a >= 3.5f) + (a > 5);
    return (uint8_t)(m | (signbit(v) ? 8 : 0));
}

/* The OCP rule's exponent, or one beside it when its error is smaller. */
static void mxfp4(const float *x, const float *importance, uint8_t *b)
{
    static const float value[8] = { 0, 0.5f, 1, 1.5f, 2, 3, 4, 6 };
    const float top = fabsf(extreme(32, x));
    float w[32], best_error = FLT_MAX;
    uint8_t level[32] = { 0 };
    int best = 0, e;
    make_weights(32, x, importance, w);
    frexpf(top, &e);
    for (int k = -1; k <= 1 && top > 0 && top <= FLT_MAX; k++) {
        const int s = e - 3 + k < -127 ? -127 : e - 3 + k;
        float error = 0;
        for (int j = 0; j < 32; j++) {
            const float miss = x[j] - copysignf(ldexpf(value[nearest_mx(ldexpf(x[j], -s)) & 7], s), x[j]);
            error += w[j] * miss * miss;
        }
        if (error < best_error)
            best_error = error, best = s + 127;
    }
    for (int j = 0; j < 32 && top > 0; j++)
        level[j] = nearest_mx(ldexpf(x[j], 127 - best));
    b[0] = (uint8_t)best;
    store_nibbles(b + 1, level);
}

/* ---- blocks of 256 with scales and minimums: x = (d*scale)*q - dmin*min ---- */

struct form { int n_sub, sub, lo, hi, scale_lo, scale_hi; };
struct super { float d, dmin; int scale[16], min[16]; int8_t q[256]; double error; };

/* Error of one part with the scale a and minimum m; q may be NULL. */
static float try_part(const struct form *f, const float *x, const float *w, float a, float m, int8_t *q)
{
    const float inv = inverse(a);
    float error = 0;
    for (int j = 0; j < f->sub; j++) {
        const int level = to_level((x[j] + m) * inv, f->lo, f->hi);
        const float miss = x[j] + m - a * (float)level;
        error += w[j] * miss * miss;
        if (q)
            q[j] = (int8_t)level;
    }
    return error;
}

/* Integers for given halves: those nearest to a/d and m/dmin, or beside them. */
static void choose_integers(const struct form *f, const float *x, const float *w, const float *a, const float *m, struct super *s)
{
    s->error = 0;
    for (int i = 0; i < f->n_sub; i++) {
        const float *xi = x + i * f->sub, *wi = w + i * f->sub;
        const int s0 = to_level(a[i] * inverse(s->d), f->scale_lo, f->scale_hi), m0 = to_level(m[i] * inverse(s->dmin), 0, f->scale_hi);
        float best = FLT_MAX;
        s->scale[i] = s0, s->min[i] = m0;      /* also when no error is finite */
        for (int sc = s0 - 1; sc <= s0 + 1; sc++)
            for (int mn = m0 - (s->dmin > 0); mn <= m0 + (s->dmin > 0); mn++) {
                if (sc < f->scale_lo || sc > f->scale_hi || mn < 0 || mn > f->scale_hi)
                    continue;
                const float error = try_part(f, xi, wi, s->d * (float)sc, s->dmin * (float)mn, NULL);
                if (error < best)
                    best = error, s->scale[i] = sc, s->min[i] = mn;
            }
        s->error += (double)try_part(f, xi, wi, s->d * (float)s->scale[i], s->dmin * (float)s->min[i], s->q + i * f->sub);
    }
}

/* Halves for given integers, by least squares of x = d*u - dmin*v with u = scale*q, v = min.  False when there are none. */
static bool choose_halves(const struct form *f, const float *x, const float *w, struct super *s)
{
    double uu = 0, uv = 0, vv = 0, xu = 0, xv = 0;
    for (int j = 0; j < 256; j++) {
        const double u = s->scale[j / f->sub] * s->q[j], v = s->min[j / f->sub], wj = (double)w[j], xj = (double)x[j];
        uu += wj * u * u, uv += wj * u * v, vv += wj * v * v, xu += wj * xj * u, xv += wj * xj * v;
    }
    const double det = uu * vv - uv * uv;
    double d = uu > 0 ? xu / uu : 0, dmin = 0;
    if (det > 1e-9 * uu * vv)
        d = (xu * vv - xv * uv) / det, dmin = (xu * uv - xv * uu) / det;
    if (d == 0 || dmin < 0 || (f->scale_lo == 0 && d < 0))
        return false;
    s->d = as_half((float)d), s->dmin = as_half((float)dmin);
    return s->d != 0;
}

static void fit_super(const struct form *f, const float *x, const float *importance, struct super *best)
{
    float w[256], a[16], m[16] = { 0 }, top_m = 0;
    make_weights(256, x, importance, w);
    for (int i = 0; i < f->n_sub; i++) {
        const float *xi = x + i * f->sub, *wi = w + i * f->sub;
        a[i] = f->scale_lo ? fit_scale(f->sub, f->lo, f->hi, xi, wi) : fit_scale_min(f->sub, f->hi, false, xi, wi, &m[i]);
        m[i] = -m[i];
        top_m = m[i] > top_m ? m[i] : top_m;
    }
    struct super s = { .d = as_half(extreme(f->n_sub, a) / (float)(f->scale_lo ? f->scale_lo : f->scale_hi)), .dmin = as_half(top_m / (float)f->scale_hi) };
    for (int round = 0; round < 3; round++) {
        choose_integers(f, x, w, a, m, &s);
        if (!round || s.error < best->error)
            *best = s;
        if (round == 2 || !choose_halves(f, x, w, &s))
            break;
    }
}

static void store_two_bits(uint8_t *q, const int8_t *level)
{
    memset(q, 0, 64);
    for (int j = 0; j < 256; j++)
        q[j / 128 * 32 + j % 32] = (uint8_t)(q[j / 128 * 32 + j % 32] | (level[j] & 3) << 2 * (j / 32 % 4));
}

static void q2_k(const float *x, const float *importance, uint8_t *b)
{
    static const struct form form = { 16, 16, 0, 3, 0, 15 };
    struct super s;
    fit_super(&form, x, importance, &s);
    for (int i = 0; i < 16; i++)
        b[i] = (uint8_t)(s.scale[i] | s.min[i] << 4);
    store_two_bits(b + 16, s.q);
    put_half(b + 80, s.d);
    put_half(b + 82, s.dmin);
}

static void q3_k(const float *x, const float *importance, uint8_t *b)
{
    static const struct form form = { 16, 16, -4, 3, -32, 31 };
    struct super s;
    fit_super(&form, x, importance, &s);
    memset(b, 0, 110);
    for (int j = 0; j < 256; j++)
        b[j % 32] = (uint8_t)(b[j % 32] | (s.q[j] >= 0) << j / 32);
    store_two_bits(b + 32, s.q);
    for (int i = 0; i < 16; i++) {
        const int v = s.scale[i] + 32;
        b[96 + i % 8] = (uint8_t)(b[96 + i % 8] | (v & 15) << i / 8 * 4);
        b[104 + i % 4] = (uint8_t)(b[104 + i % 4] | v >> 4 << i / 4 * 2);
    }
    put_half(b + 108, s.d);
}

/* Fits eight parts of 32 with levels 0 .. top, and stores all but the levels. */
static void fit_eight(const float *x, const float *importance, int top, struct super *s, uint8_t *b)
{
    const struct form form = { 8, 32, 0, top, 0, 63 };
    uint8_t *p = b + 4;
    fit_super(&form, x, importance, s);
    put_half(b, s->d);
    put_half(b + 2, s->dmin);
    for (int i = 0; i < 4; i++) {
        p[i] = (uint8_t)(s->scale[i] | (s->scale[i + 4] >> 4) << 6);
        p[i + 4] = (uint8_t)(s->min[i] | (s->min[i + 4] >> 4) << 6);
        p[i + 8] = (uint8_t)((s->scale[i + 4] & 15) | (s->min[i + 4] & 15) << 4);
    }
}

static void store_nibbles_of_64(uint8_t *q, const int8_t *level)
{
    for (int j = 0; j < 128; j++)
        q[j] = (uint8_t)((level[j / 32 * 64 + j % 32] & 15) | (level[j / 32 * 64 + 32 + j % 32] & 15) << 4);
}

static void q4_k(const float *x, const float *importance, uint8_t *b)
{
    struct super s;
    fit_eight(x, importance, 15, &s, b);
    store_nibbles_of_64(b + 16, s.q);
}

static void q5_k(const float *x, const float *importance, uint8_t *b)
{
    struct super s;
    fit_eight(x, importance, 31, &s, b);
    memset(b + 16, 0, 32);
    for (int j = 0; j < 256; j++)
        b[16 + j % 32] = (uint8_t)(b[16 + j % 32] | s.q[j] >> 4 << j / 32);
    store_nibbles_of_64(b + 48, s.q);
}

static void q6_k(const float *x, const float *importance, uint8_t *b)
{
    static const struct form form = { 16, 16, -32, 31, -128, 127 };
    struct super s;
    int8_t high[256];
    fit_super(&form, x, importance, &s);
    for (int j = 0; j < 256; j++) {
        s.q[j] = (int8_t)(s.q[j] + 32);
        high[j] = s.q[j] >> 4;
    }
    for (int j = 0; j < 128; j++)
        b[j] = (uint8_t)((s.q[j / 64 * 128 + j % 64] & 15) | (s.q[j / 64 * 128 + 64 + j % 64] & 15) << 4);
    store_two_bits(b + 128, high);
    for (int i = 0; i < 16; i++)
        b[192 + i] = (uint8_t)(int8_t)s.scale[i];
    put_half(b + 208, s.d);
}

/* ---- plain types ---- */

/* To nearest even of a float with `bits` of mantissa and the smallest exponent emin; magnitude in units of the last place
 * of a subnormal, exponent included, which is its code.  Beyond `top` it is `top`. */
static uint8_t fp8(float f, int bits, int emin, float top, uint8_t nan)
{
    const uint8_t sign = signbit(f) ? 0x80 : 0;
    const float a = fabsf(f);
    int e;
    if (isnan(f))
        return sign | nan;
    frexpf(a < top ? a : top, &e);
    e = a > 0 && e - 1 > emin ? e - 1 : emin;
    const int m = (int)lrintf(ldexpf(a < top ? a : top, bits - e));      /* 2^bits is the hidden bit: it counts up the exponent */
    return (uint8_t)(sign | (((e - emin) << bits) + m));
}

static void plain(enum cpu_type t, int64_t n, const float *x, uint8_t *b)
{
    for (int64_t i = 0; i < n; i++) {
        const uint16_t h = t == TYPE_F16 ? float_to_half(x[i]) : bf16_of(x[i]);
        if (t == TYPE_F8_E4M3)
            b[i] = fp8(x[i], 3, -6, 448, 0x7F);
        else if (t == TYPE_F8_E5M2)
            b[i] = fp8(x[i], 2, -14, 57344, 0x7E);
        else
            memcpy(b + 2 * i, &h, sizeof h);
    }
}

void type_quantize(enum cpu_type t, int64_t n, const float *x, const float *importance, void *dst)
{
    static void (*const block[N_CPU_TYPE])(const float *, const float *, uint8_t *) = {
        [TYPE_Q4_0] = q4_0, [TYPE_Q4_1] = q4_1, [TYPE_Q5_0] = q5_0, [TYPE_Q5_1] = q5_1, [TYPE_Q8_0] = q8_0, [TYPE_Q2_K] = q2_k,
        [TYPE_Q3_K] = q3_k, [TYPE_Q4_K] = q4_k, [TYPE_Q5_K] = q5_k, [TYPE_Q6_K] = q6_k, [TYPE_IQ4_NL] = iq4_nl, [TYPE_MXFP4] = mxfp4,
        [TYPE_Q4_G] = q4_g,
    };
    const int size = type_block(t);
    assert(t < N_CPU_TYPE && n >= 0 && n % size == 0);
    if (t == TYPE_F32 && n)
        memcpy(dst, x, (size_t)n * sizeof *x);
    else if (size == 1 && t != TYPE_F32)
        plain(t, n, x, dst);
    else if (t != TYPE_F32)
        for (int64_t i = 0; i < n / size; i++)
            block[t](x + i * size, importance ? importance + i * size : NULL, (uint8_t *)dst + (size_t)i * type_block_bytes(t));
}
