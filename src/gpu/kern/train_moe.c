/* The backward pass of a mixture of experts, but for its products (train_product.c): rows between tokens and experts, and the router.
 * Sorted row i belongs to token row[i]; slot[t][j] are the rows of token t, experts ascending (nn/op_moe.c). */
#include "gpu/dk.h"
#include "gpu/args.h"
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

/* A thread a number; grid: (C / 256, rows). */
DK_BOUNDS(N_THREAD) DK_KERNEL void sum_listed(struct sum_listed_args a)
{
    const int c = dk_bx() * N_THREAD + dk_tid();
    const long t = dk_by();
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
