/* The backward pass of a mixture of experts, but for its products (train_product.c): rows between tokens and experts, and the router; and its statistics.
 * Sorted row i belongs to token row[i]; slot[t][j] are the rows of token t, experts ascending (nn/op_moe.c). */
#include "gpu/dk.h"
#include "gpu/args.h"
#include "gpu/kern/math.h"
#define N_THREAD 256
#define N_WAVE (N_THREAD / DK_WAVE)

/* A wave a sorted row. */
DK_BOUNDS(N_THREAD) DK_KERNEL void combine_back(struct combine_back_args a)
{
    const int i = dk_bx() * N_WAVE + dk_wave(), there = i < a.n_row;
    const long from = there ? (long)a.row[i] * a.C : 0, to = there ? (long)i * a.C : 0;
    const float gate = a.gate && there ? a.gate[i] : 1.0f;
    float sum = 0;
    for (int c = dk_lane(); there && c < a.C; c += DK_WAVE) {
        const float d = a.dy[from + c];
        if (a.gate)
            sum += d * a.x[to + c];
        a.dx[to + c] = gate * d;
    }
    sum = dk_wave_sum(sum);
    if (there && a.gate && a.dgate && dk_lane() == 0)
        a.dgate[i] = sum;
}

/* A thread a number; grid: (rows, C / 256), as of rows there may be more than a grid's y holds. */
DK_BOUNDS(N_THREAD) DK_KERNEL void sum_listed(struct sum_listed_args a)
{
    const int c = dk_by() * N_THREAD + dk_tid();
    const long t = dk_bx();
    if (c >= a.C)
        return;
    float s = a.add ? a.add[t * a.C + c] : 0.0f;
    for (int j = 0; j < a.k; j++) {
        const long i = a.index[t * a.k + j];
        s += a.x[i * a.C + c] * (a.weight ? a.weight[i] : 1.0f);
    }
    a.y[t * a.C + c] = s;
}

/* A wave a token, its lanes the experts.  As op_moe.c: dlogits from dgate, L = aux * E * sum f_i P_i with f constant, and z * mean lse^2. */
DK_BOUNDS(N_THREAD) DK_KERNEL void route_back(struct route_back_args a)
{
    const int at = dk_bx() * N_WAVE + dk_wave(), there = at < a.n_row, t = there ? at : 0, E = a.E;
    const DK_GLOBAL float *p = a.probs + (long)t * E;
    const DK_GLOBAL int *slot = a.slot + (long)t * a.k;
    DK_GLOBAL float *d = a.dx + (long)t * E;
    const float T = (float)a.n_row, each = a.aux * (float)E / (T * (float)a.k) / T;      /* g_e = each * rows of e */
    float dot = 0, chosen = 0, all = 0, norm = 0;
    for (int e = dk_lane(); e < E; e += DK_WAVE) {
        dot += p[e] * (each * (float)(a.start[e + 1] - a.start[e]));
        all += p[e];
    }
    dot = dk_wave_sum(dot);
    all = dk_wave_sum(all);
    for (int j = 0; j < a.k; j++)
        chosen += a.gate[slot[j]] * a.dgate[slot[j]];
    if (a.sigmoid || a.norm_topk)
        chosen /= a.scale;
    else
        dot += chosen;
    if (a.sigmoid) {
        for (int e = dk_lane(); e < E; e += DK_WAVE) {
            for (int j = 0; j < a.k; j++)
                norm += slot[j] >= a.start[e] && slot[j] < a.start[e + 1] ? p[e] : 0.0f;
        }
        norm = dk_wave_sum(norm) + 1e-20f;
    }
    for (int e = dk_lane(); there && e < E; e += DK_WAVE) {
        const float g = each * (float)(a.start[e + 1] - a.start[e]);
        float slope = 0, gate = 0;
        int in = 0;
        for (int j = 0; j < a.k; j++) {
            if (slot[j] >= a.start[e] && slot[j] < a.start[e + 1]) {
                in = 1;
                slope = a.dgate[slot[j]];
                gate = a.gate[slot[j]];
            }
        }
        if (a.sigmoid) {
            float ds = all > 0 ? (g - dot / all) / all : 0.0f;
            if (in)
                ds += a.norm_topk ? a.scale / norm * (slope - chosen) : a.scale * slope;
            d[e] = ds * p[e] * (1.0f - p[e]);
        } else {
            d[e] = p[e] * (g - dot) + (in ? gate * (slope - (a.norm_topk ? chosen : 0.0f)) : 0.0f) + 2.0f * a.z / T * a.lse[t] * p[e];
        }
    }
}

/* A block a chunk of tokens: a wave each of them, then a thread each column, over the chunk's tokens in order. */
DK_BOUNDS(N_THREAD) DK_KERNEL void route_chunk(struct route_stats_args a)
{
    DK_SHARED(float, of, 2 * GPU_CHUNK);         /* of each token: 1 / sum of its scores, entropy */
    const int first = dk_bx() * GPU_CHUNK, left = a.n_row - first, n = left < GPU_CHUNK ? left : GPU_CHUNK, E = a.E;
    for (int i = dk_wave(); i < GPU_CHUNK; i += N_WAVE) {
        const DK_GLOBAL float *p = a.probs + (long)(first + (i < n ? i : 0)) * E;
        float all = 0, entropy = 0;
        for (int e = dk_lane(); e < E; e += DK_WAVE)
            all += p[e];
        all = dk_wave_sum(all);
        const float share = !a.sigmoid ? 1.0f : all > 0 ? 1.0f / all : 0.0f;
        for (int e = dk_lane(); e < E; e += DK_WAVE) {
            const float q = p[e] * share;
            entropy -= q > 1e-30f ? q * (dk_log2(q) * DK_LN2) : 0.0f;
        }
        entropy = dk_wave_sum(entropy);
        if (dk_lane() == 0) {
            of[2 * i] = share;
            of[2 * i + 1] = entropy;
        }
    }
    dk_barrier();
    DK_GLOBAL float *to = a.partial + (long)dk_bx() * (E + 2);
    for (int c = dk_tid(); c < E + 2; c += N_THREAD) {
        float s = 0;
        for (int i = 0; i < n; i++) {
            const long t = first + i;
            s += c < E ? a.probs[t * E + c] * of[2 * i] : c == E ? a.lse[t] * a.lse[t] : of[2 * i + 1];
        }
        to[c] = s;
    }
}

/* One block, a thread a number. */
DK_BOUNDS(N_THREAD) DK_KERNEL void route_stats(struct route_stats_args a)
{
    const int E = a.E, n_chunk = (a.n_row + GPU_CHUNK - 1) / GPU_CHUNK;
    for (int c = dk_tid(); c < 2 * E + 3; c += N_THREAD) {
        float sum = c < E ? (float)(a.start[c + 1] - a.start[c]) : c == 2 * E + 2 ? (float)a.n_row : 0.0f, low = 0, error;
        for (int i = 0; c >= E && c < 2 * E + 2 && i < n_chunk; i++) {
            sum = two_sum(sum, a.partial[(long)i * (E + 2) + c - E], &error);
            low += error;
        }
        a.out[2 * c] = two_sum(sum, low, &error);
        a.out[2 * c + 1] = error;
    }
}
