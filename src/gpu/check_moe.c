/* check_moe.c - the kernels of mixtures of experts beside their definitions (nn/op_moe.c) and cpu/ref. */
#include "gpu/check_job.h"
#include "cpu/kernels.h"
#include "gpu/pack.h"
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct cpu_kernels *ref(void) { return cpu_levels()[0]; }
static long ceil_div(long a, long b) { return (a + b - 1) / b; }
static int waves(const struct job *j) { return 256 / gpu_facts(j->g)->wave; }

/* ---- which experts ---- */

struct router { int T, E, k; bool sigmoid, norm_topk, corrected; int n_group, n_group_chosen, group_best; float scale; };

/* Marks the k largest of n, the first of equals first. */
static void mark_largest(const float *p, int n, int k, bool *taken)
{
    memset(taken, 0, (size_t)n * sizeof *taken);
    for (int j = 0; j < k; j++) {
        int best = -1;
        for (int e = 0; e < n; e++)
            best = !taken[e] && (best < 0 || p[e] > p[best]) ? e : best;
        taken[best] = true;
    }
}

static void only_best_groups(const struct router *r, float *score)
{
    float group[GPU_EXPERT_GROUPS_MAX] = { 0 };
    bool kept[GPU_EXPERT_GROUPS_MAX];
    const int size = r->E / r->n_group;
    for (int g = 0; g < r->n_group; g++) {
        float one = -INFINITY, two = -INFINITY;
        for (int e = g * size; e < (g + 1) * size; e++) {
            two = fmaxf(two, fminf(one, score[e]));
            one = fmaxf(one, score[e]);
        }
        group[g] = r->group_best > 1 ? one + two : one;
    }
    mark_largest(group, r->n_group, r->n_group_chosen, kept);
    for (int e = 0; e < r->E; e++)
        score[e] = kept[e / size] ? score[e] : -INFINITY;
}

static void route_token(const struct router *r, const float *x, const float *correction, float *p, int32_t *expert, float *gate)
{
    float score[GPU_EXPERTS_MAX];
    bool taken[GPU_EXPERTS_MAX];
    if (!r->sigmoid)
        ref()->softmax(1, r->E, x, r->E, p, r->E, NULL);
    for (int e = 0; e < r->E; e++) {
        p[e] = r->sigmoid ? (float)(1 / (1 + exp(-(double)x[e]))) : p[e];
        score[e] = p[e] + (correction ? correction[e] : 0);
    }
    if (r->group_best)
        only_best_groups(r, score);
    mark_largest(score, r->E, r->k, taken);
    float sum = r->sigmoid ? 1e-20f : 0;
    int n = 0;
    for (int e = 0; e < r->E; e++)
        if (taken[e])
            sum += p[e], expert[n++] = e;
    for (int i = 0; i < n; i++)
        gate[i] = p[expert[i]] / (r->norm_topk ? sum : 1) * r->scale;
}

static void route(struct job *j, struct router r)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "%d of %d experts, %d tokens, %s%s%s, %d of %d groups", r.k, r.E, r.T, r.sigmoid ? "sigmoids" : "softmax", r.norm_topk ? ", to sum 1" : "",
             r.corrected ? ", corrected" : "", r.n_group_chosen, r.n_group);
    const size_t n = (size_t)r.T * (size_t)r.E, n_k = (size_t)r.T * (size_t)r.k;
    float *x = job_floats(j, n), *correction = job_floats(j, (size_t)r.E), *probs = job_host(j, n * 4), *want_probs = job_host(j, n * 4), *gate = job_host(j, n_k * 4), *want_gate = job_host(j, n_k * 4);
    int32_t *expert = job_host(j, n_k * 4), *want = job_host(j, n_k * 4);
    for (size_t i = 0; !j->rc && i < n; i++) {
        const size_t t = i / (size_t)r.E, e = i % (size_t)r.E;          /* every fourth token has equals, another one what is no number */
        x[i] = t % 4 == 1 ? (float)(int)(e % 3) : t % 4 == 2 ? 1 : t % 8 == 7 ? NAN : 6 * x[i];
    }
    struct moe_route_args a = { .probs = job_device(j, n * 4), .expert = job_device(j, n_k * 4), .gate = job_device(j, n_k * 4), .logits = job_upload(j, x, n * 4),
                                .correction = r.corrected ? job_upload(j, correction, (size_t)r.E * 4) : NULL, .T = r.T, .E = r.E, .k = r.k, .sigmoid = r.sigmoid,
                                .norm_topk = r.norm_topk, .n_group = r.n_group, .n_group_chosen = r.n_group_chosen, .group_best = r.group_best, .scale = r.scale };
    job_launch(j, GPU_moe_route, ceil_div(r.T, waves(j)), 1, 1, &a);
    job_download(j, probs, a.probs, n * 4);
    job_download(j, expert, a.expert, n_k * 4);
    job_download(j, gate, a.gate, n_k * 4);
    for (int t = 0; t < r.T && !j->rc; t++)
        route_token(&r, x + (size_t)t * (size_t)r.E, r.corrected ? correction : NULL, want_probs + (size_t)t * (size_t)r.E, want + (size_t)t * (size_t)r.k, want_gate + (size_t)t * (size_t)r.k);
    job_compare_bits(j, "moe_route experts", expert, want, n_k * 4);
    job_compare(j, "moe_route probabilities", probs, want_probs, n, job_tolerance("softmax"));
    job_compare(j, "moe_route gates", gate, want_gate, n_k, 2 * job_tolerance("softmax"));
    job_end(j, "moe_route");
}

/* ---- their order ---- */

/* Which experts the tokens of a case go to. */
enum spread { SPREAD_SOME, SPREAD_ALL_TO_LAST, SPREAD_HALF };        /* some: of every second expert; half: the first k */
static void spread(struct job *j, enum spread how, int T, int E, int k, int32_t *expert)
{
    for (int t = 0; t < T; t++) {
        const int least = how == SPREAD_SOME && 2 * k < E ? 2 : 1, first = how == SPREAD_ALL_TO_LAST ? E - k : how == SPREAD_HALF ? 0 : (int)((job_random(j) + 1) / 2 * (float)(E - least * (k - 1)));
        for (int i = 0; i < k; i++)
            expert[t * k + i] = first + least * i < E ? first + least * i : E - k + i;
    }
}

struct sorted { int T, E, k; int32_t *expert, *start, *row, *slot; float *gate, *sorted_gate; void *d_start, *d_row, *d_slot, *d_sorted_gate; };
static struct sorted sorted(struct job *j, int T, int E, int k, enum spread how)
{
    const size_t n = (size_t)T * (size_t)k;
    struct sorted s = { .T = T, .E = E, .k = k, .expert = job_host(j, n * 4), .start = job_host(j, (size_t)E * 4 + 4), .row = job_host(j, n * 4), .slot = job_host(j, n * 4),
                        .gate = job_floats(j, n), .sorted_gate = job_host(j, n * 4) };
    if (j->rc)
        return s;
    spread(j, how, T, E, k, s.expert);
    for (int e = 0, at = 0; e < E; e++) {
        s.start[e] = at;
        for (int i = 0; i < T * k; i++)
            if (s.expert[i] == e)
                s.row[at] = i / k, s.slot[i] = at, s.sorted_gate[at++] = s.gate[i];
        s.start[e + 1] = at;
    }
    s.d_start = job_device(j, (size_t)E * 4 + 4), s.d_row = job_device(j, n * 4), s.d_slot = job_device(j, n * 4), s.d_sorted_gate = job_device(j, n * 4);
    const struct moe_sort_args a = { .start = s.d_start, .row = s.d_row, .slot = s.d_slot, .sorted_gate = s.d_sorted_gate, .expert = job_upload(j, s.expert, n * 4),
                                     .gate = job_upload(j, s.gate, n * 4), .T = T, .E = E, .k = k };
    job_launch(j, GPU_moe_sort, ceil_div(E, waves(j)), 1, 1, &a);
    return s;
}

static void compare_ints(struct job *j, const char *name, const void *device, const int32_t *want, size_t n)
{
    int32_t *got = job_host(j, n * 4);
    job_download(j, got, device, n * 4);
    job_compare_bits(j, name, got, want, n * 4);
}

/* The pieces of the experts' rows, and what they should be. */
static int tiles(struct job *j, const struct sorted *s, int size, bool compare, void **tile)
{
    const int n_tile = GPU_MOE_TILES(s->T * s->k, s->E, size);
    struct moe_tiles_args a = { .tile = *tile = job_device(j, (size_t)n_tile * 16), .start = s->d_start, .E = s->E, .size = size, .n_tile = n_tile };
    job_launch(j, GPU_moe_tiles, 1, 1, 1, &a);
    int32_t *want = compare ? job_host(j, (size_t)n_tile * 16) : NULL;
    for (int e = 0, n = 0; want && e < s->E; e++)
        for (int at = s->start[e]; at < s->start[e + 1]; at += size, n++) {
            assert(n < n_tile);
            const int left = s->start[e + 1] - at;
            want[4 * n] = e, want[4 * n + 1] = at, want[4 * n + 2] = left < size ? left : size;
        }
    if (want)
        compare_ints(j, "moe_tiles", a.tile, want, (size_t)n_tile * 4);
    return n_tile;
}

static void order(struct job *j, int T, int E, int k, enum spread how)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "%d tokens, %d of %d experts%s", T, k, E, how == SPREAD_ALL_TO_LAST ? ", all to the last" : how == SPREAD_HALF ? ", all to the first" : "");
    const struct sorted s = sorted(j, T, E, k, how);
    const size_t n = (size_t)T * (size_t)k;
    compare_ints(j, "moe_sort start", s.d_start, s.start, (size_t)E + 1);
    compare_ints(j, "moe_sort row", s.d_row, s.row, n);
    compare_ints(j, "moe_sort slot", s.d_slot, s.slot, n);
    compare_ints(j, "moe_sort gate", s.d_sorted_gate, (const int32_t *)(const void *)s.sorted_gate, n);
    void *tile;
    static const int sizes[] = { 1, 4, GPU_MOE_ROWS };
    for (int i = 0; i < 3; i++)
        tiles(j, &s, sizes[i], true, &tile);
    job_end(j, "moe_sort");
}

static void combine(struct job *j, int T, int E, int k, int C, bool gated, bool add)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "%d tokens, %d rows each, C %d%s%s", T, k, C, gated ? ", gated" : "", add ? ", added" : "");
    const struct sorted s = sorted(j, T, E, k, SPREAD_SOME);
    const size_t n = (size_t)T * (size_t)C;
    float *x = job_floats(j, n * (size_t)k), *plus = job_floats(j, n), *y = job_host(j, n * 4), *want = job_host(j, n * 4);
    struct moe_combine_args a = { .y = job_device(j, n * 4), .x = job_upload(j, x, n * (size_t)k * 4), .add = add ? job_upload(j, plus, n * 4) : NULL,
                                  .gate = gated ? s.d_sorted_gate : NULL, .slot = s.d_slot, .ld_y = C, .ld_x = C, .ld_add = C, .T = T, .k = k, .C = C };
    job_launch(j, GPU_moe_combine, ceil_div((long)n / 4, 256), 1, 1, &a);
    job_download(j, y, a.y, n * 4);
    if (!j->rc)
        ref()->sum_rows(&(struct sum_rows){ .n_row = T, .k = k, .C = C, .src = x, .ld_src = C, .index = s.slot, .weight = gated ? s.sorted_gate : NULL, .add = add ? plus : NULL, .ld_add = C,
                                            .y = want, .ld_y = C });
    job_compare(j, "moe_combine", y, want, n, job_tolerance("sum_rows"));
    job_end(j, "moe_combine");
}

/* ---- products ---- */

/* rows: of a tile, 1 or 4, or GPU_MOE_ROWS: by matrix instructions. */
struct product { enum cpu_type type; int rows, T, E, k, N, K; enum spread how; bool listed, act, biased; };
static enum gpu_kernel product_kernel(const struct product *p)
{
    if (p->type == TYPE_F32)
        return p->rows > 1 ? GPU_moe_gemv_f32_4 : GPU_moe_gemv_f32_1;
    const int type = p->type == TYPE_BF16 ? 0 : p->type == TYPE_Q8_0 ? 1 : p->type == TYPE_Q4_0 ? 2 : 3;
    return (enum gpu_kernel)(p->rows == GPU_MOE_ROWS ? GPU_moe_gemm_bf16 + type : GPU_moe_gemv_bf16_1 + 2 * type + (p->rows > 1));
}

/* h[i] = bias[e] + x[row i] * w[e]^T by cpu/ref, the rows of x as the kernel takes them. */
static void reference(struct job *j, const struct product *p, const struct sorted *s, const float *x, const void *blocks, const float *bias, float *h)
{
    const size_t K = (size_t)p->K, N = (size_t)p->N, expert = N * type_bytes(p->type, p->K), panel = cpu_panel_size(K, PANEL), a8_row = a8_row_bytes(p->K);
    const bool matrix = p->rows == GPU_MOE_ROWS, b16 = p->type == TYPE_BF16 || p->type == TYPE_F32;
    const int n_x = p->listed ? p->T : p->T * p->k;
    void *panels = job_host(j, b16 ? cpu_panel_size(K, N) * 4 : panel_bytes(panel_of(p->type), p->K, p->N)), *a8 = job_host(j, (size_t)n_x * a8_row);
    uint16_t *x16 = job_host(j, (size_t)n_x * K * 2);
    if (j->rc)
        return;
    ref()->to_bf16((size_t)n_x * K, x, x16);
    if (!b16)
        ref()->quantize_a8(&(struct a8){ .M = n_x, .K = p->K, .x = x, .ld_x = p->K, .out = a8, .stride = a8_row });
    for (int e = 0; e < p->E; e++) {
        const void *w = (const char *)blocks + (size_t)e * expert;
        const real *b = bias ? bias + (size_t)e * N : NULL;
        if (b16)
            (matrix ? ref()->pack_rows_bf16 : ref()->pack_rows)(&(struct pack){ .K = p->K, .N = p->N, .src = w, .ld = p->K, .src_bf16 = p->type == TYPE_BF16, .out = panels, .panel = (ptrdiff_t)panel });
        else
            ref()->pack_panels(&(struct panel_pack){ .type = p->type, .K = p->K, .N = p->N, .src = w, .stride = type_bytes(p->type, p->K), .out = panels });
        for (int i = s->start[e]; i < s->start[e + 1]; i++) {
            const size_t at = (size_t)(p->listed ? s->row[i] : i);
            if (!b16)
                ref()->gemm_q(&(struct gemm_q){ .type = panel_of(p->type), .M = 1, .N = p->N, .K = p->K, .a = (const char *)a8 + at * a8_row, .a_stride = a8_row, .b = panels, .bias = b,
                                                .c = h + (size_t)i * N, .ldc = p->N });
            else
                (matrix ? ref()->gemm_bf16 : ref()->gemm)(&(struct gemm){ .M = 1, .N = p->N, .K = p->K, .a = matrix ? (const void *)(x16 + at * K) : x + at * K, .a_row = p->K,
                                                                          .a_col = matrix ? 2 : 1, .b = panels, .b_panel = (ptrdiff_t)panel, .bias = b, .c = h + (size_t)i * N, .ldc = p->N });
        }
    }
}

static void product(struct job *j, struct product p)
{
    job_begin(j);
    snprintf(j->shape, sizeof j->shape, "%d rows of %d experts%s, N %d, K %d%s%s%s", p.T * p.k, p.E, p.how == SPREAD_SOME ? "" : ", unevenly", p.N, p.K, p.act ? ", SwiGLU" : "",
             p.listed ? ", by a list" : "", p.biased ? ", biased" : "");
    const enum gpu_kernel kernel = product_kernel(&p);
    const struct sorted s = sorted(j, p.T, p.E, p.k, p.how);
    void *tile;
    const int n_tile = tiles(j, &s, p.rows, false, &tile), n_row = p.T * p.k, n_x = p.listed ? p.T : n_row, F = p.act ? p.N / 2 : p.N, all_N = p.E * p.N;
    const size_t n_w = (size_t)all_N * (size_t)p.K, n_in = (size_t)n_x * (size_t)p.K, n_y = (size_t)n_row * (size_t)F;
    float *x = job_floats(j, n_in), *w = job_floats(j, n_w), *bias = job_floats(j, (size_t)all_N), *y = job_host(j, n_y * 4), *want = job_host(j, n_y * 4), *h = job_host(j, (size_t)n_row * (size_t)p.N * 4);
    void *blocks = job_host(j, n_w * 4), *packed = job_host(j, gpu_pack_bytes(p.type, p.K, all_N)), *scale = job_host(j, gpu_pack_scale_bytes(p.type, p.K, all_N) + 16);
    if (!j->rc) {
        type_quantize(p.type, (int64_t)n_w, w, NULL, blocks);
        gpu_pack(p.type, p.K, all_N, blocks, packed, scale);
    }
    struct moe_product_args a = { .y = job_device(j, n_y * 4), .x = job_upload(j, x, n_in * 4), .w = job_upload(j, packed, gpu_pack_bytes(p.type, p.K, all_N)),
                                  .scale = job_upload(j, scale, gpu_pack_scale_bytes(p.type, p.K, all_N) + 16), .bias = p.biased ? job_upload(j, bias, (size_t)all_N * 4) : NULL,
                                  .gate = p.act && p.listed ? s.d_sorted_gate : NULL, .tile = tile, .row = p.listed ? s.d_row : NULL, .ld_y = F, .ld_x = p.K, .ld_bias = p.N, .N = p.N, .K = p.K, .act = p.act };
    if (p.type != TYPE_BF16 && p.type != TYPE_F32) {
        int8_t *q = job_device(j, n_in);
        float *ds = job_device(j, n_in / 4);
        a.xq = q, a.xds = ds;
        job_launch(j, GPU_quantize_a8, ceil_div((long)n_in / 4, 256), 1, 1, &(struct quantize_args){ .q = q, .ds = ds, .x = a.x, .ld_x = p.K, .n_row = n_x, .K = p.K });
    }
    const int columns = p.rows == GPU_MOE_ROWS ? GPU_MOE_COLS : waves(j) * GPU_GEMV_ROWS(p.rows);
    job_launch(j, kernel, ceil_div(p.N, columns), n_tile, 1, &a);
    job_download(j, y, a.y, n_y * 4);
    reference(j, &p, &s, x, blocks, p.biased ? bias : NULL, p.act ? h : want);
    if (p.act && !j->rc)
        ref()->swiglu_fwd(&(struct act){ .n_row = n_row, .F = F, .h = h, .ld_h = p.N, .scale = a.gate ? s.sorted_gate : NULL, .y = want, .ld_y = F });
    const double tolerance = job_tolerance(p.type == TYPE_BF16 || p.type == TYPE_F32 ? "gemm" : "gemm_q");
    job_compare(j, gpu_kernel_name(kernel), y, want, n_y, p.act ? 2 * tolerance + job_tolerance("swiglu_fwd") : tolerance);
    job_end(j, gpu_kernel_name(kernel));
}

static void products(struct job *j, enum cpu_type type, int rows, bool large)
{
    if (large) {
        product(j, (struct product){ type, rows, 64, 8, 2, 512, 2048, SPREAD_SOME, true, true, false });
        product(j, (struct product){ type, rows, 96, 32, 4, 264, 1024, SPREAD_SOME, false, false, false });
        return;
    }
    const int step = type == TYPE_Q4_K ? 256 : type == TYPE_BF16 ? 8 : type == TYPE_F32 ? 4 : 32, T = rows == GPU_MOE_ROWS ? 35 : 5;
    const int deep = type == TYPE_BF16 ? 2120 : type == TYPE_F32 ? 1060 : type == TYPE_Q4_0 ? 8256 : type == TYPE_Q8_0 ? 4160 : 4352;      /* beyond `depth` steps of a wave of 64 */
    product(j, (struct product){ type, rows, T, 3, 2, rows == GPU_MOE_ROWS ? 140 : 26, 3 * step, SPREAD_HALF, true, true, true });       /* 0 rows for the last expert, and all to both others */
    product(j, (struct product){ type, rows, T, 6, 2, 13, step, SPREAD_SOME, false, false, true });
    product(j, (struct product){ type, rows, 1, 1, 1, 6, 5 * step, SPREAD_SOME, true, true, false });
    if (rows == GPU_MOE_ROWS)
        product(j, (struct product){ type, rows, 66, 2, 1, 130, 72 / step * step, SPREAD_ALL_TO_LAST, true, false, false });
    else if (rows == 1)
        product(j, (struct product){ type, rows, 1, 2, 1, 3, deep, SPREAD_ALL_TO_LAST, true, false, false });
}

void check_moe(struct job *j, bool large)
{
    const int many = large ? 64 : 1;
    route(j, (struct router){ .T = 1, .E = 1, .k = 1, .norm_topk = true, .scale = 1 });
    route(j, (struct router){ .T = 11 * many, .E = 8, .k = 2, .norm_topk = true, .scale = 1 });
    route(j, (struct router){ .T = 8 * many, .E = 256, .k = 8, .sigmoid = true, .norm_topk = true, .corrected = true, .n_group = 8, .n_group_chosen = 4, .group_best = 2, .scale = 2.5f });
    route(j, (struct router){ .T = 4 * many, .E = 60, .k = 4, .scale = 1 });
    route(j, (struct router){ .T = 3 * many, .E = 160, .k = 6, .n_group = 8, .n_group_chosen = 3, .group_best = 1, .scale = 16 });
    route(j, (struct router){ .T = 4 * many, .E = 70, .k = 70, .norm_topk = true, .scale = 1 });
    route(j, (struct router){ .T = 3 * many, .E = GPU_EXPERTS_MAX, .k = 10, .sigmoid = true, .corrected = true, .scale = 1 });
    order(j, 1, 1, 1, SPREAD_SOME);
    order(j, 9 * many, 8, 2, SPREAD_SOME);
    order(j, 70 * many, 5, 1, SPREAD_ALL_TO_LAST);
    order(j, 67 * many, 4, 3, SPREAD_HALF);
    order(j, 9 * many, 256, 8, SPREAD_SOME);
    order(j, 3, 33, 33, SPREAD_SOME);
    order(j, 2, 257, 3, SPREAD_SOME);
    combine(j, 1, 1, 1, 4, true, false);
    combine(j, 7 * many, 8, 2, 68, true, true);
    combine(j, 5 * many, 16, 8, 1028, false, true);
    static const enum cpu_type types[] = { TYPE_F32, TYPE_BF16, TYPE_Q8_0, TYPE_Q4_0, TYPE_Q4_K };
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        products(j, types[t], 1, large);
        products(j, types[t], 4, large);
        if (types[t] != TYPE_Q4_K && types[t] != TYPE_F32)
            products(j, types[t], GPU_MOE_ROWS, large);
    }
}
