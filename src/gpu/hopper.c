/* hopper.c - tensor maps, grids and arguments of gemm_sm90 and gemm_cdna3, of attn_sm90, attn_sm80 and attn_cdna3. */
#include "gpu/hopper.h"
#include <stdint.h>

enum { U8 = 0, BF16 = 9 };                        /* CUtensorMapDataType of cuda.h */
static long ceil_div(long a, long b) { return (a + b - 1) / b; }

/* Boxes of n dimensions, the first without gaps; size and box in elements, stride of the others in bytes; swizzle of 128 bytes (3), L2 fetches
 * 256 (3).  map: aligned to 64. */
static int tensor_map(struct gpu *g, void *map, int type, const void *p, unsigned n, const uint64_t *size, const uint64_t *stride, const unsigned *box, struct err *err)
{
    static const unsigned step[] = { 1, 1, 1 };
    const struct gpu_api *api = gpu_calls(g);
    if (!api->tensor_map)
        return ERR(err, UNSUPPORTED, "%s has no tensor maps", api->word);
    if ((uintptr_t)p % 16)
        return ERR(err, UNSUPPORTED, "a matrix at %p, expected one aligned to 16 bytes", p);
    const int rc = api->tensor_map(map, type, n, (void *)(uintptr_t)p, size, stride, box, step, 0, 3, 3, 0);
    return rc ? ERR(err, UNSUPPORTED, "a tensor map of %llu x %llu: %s (%d)", (unsigned long long)size[0], (unsigned long long)size[n - 1], api->error_text(rc), rc) : 0;
}
static int map_gaps(struct gpu *g, void *map, const void *p, bool bytes, int n_row, int n_col, int ld, unsigned box_cols, unsigned box_rows, struct err *err)
{
    const uint64_t size[] = { (uint64_t)n_col, (uint64_t)n_row }, stride[] = { (uint64_t)ld * (bytes ? 1 : 2) };
    return tensor_map(g, map, bytes ? U8 : BF16, p, 2, size, stride, (const unsigned[]){ box_cols, box_rows }, err);
}
static int map_rows(struct gpu *g, void *map, const void *p, bool bytes, int n_row, int n_col, unsigned box_cols, unsigned box_rows, struct err *err)
{
    return map_gaps(g, map, p, bytes, n_row, n_col, n_col, box_cols, box_rows, err);
}
/* [token][head][d], tokens ld apart, in boxes of 64 of d, one head, box_tokens. */
static int map_heads(struct gpu *g, void *map, const void *p, int n_token, int n_head, int d, long ld, unsigned box_tokens, struct err *err)
{
    const uint64_t size[] = { (uint64_t)d, (uint64_t)n_head, (uint64_t)n_token }, stride[] = { (uint64_t)d * 2, (uint64_t)ld * 2 };
    return tensor_map(g, map, BF16, p, 3, size, stride, (const unsigned[]){ 64, 1, box_tokens }, err);
}

int gpu_call_launch(struct gpu *g, void *stream, const struct gpu_call *c, struct err *err)
{
    TRY(gpu_launch(g, stream, c->kernel, c->gx, c->gy, c->gz, &c->args, err));
    return c->join_blocks ? gpu_launch(g, stream, GPU_split_sum, c->join_blocks, 1, 1, &c->join, err) : 0;
}

/* gfx942's: no tensor maps. */
static int gemm_cdna3_call(struct gpu *g, const struct gpu_gemm *p, struct gpu_call *out, struct err *err)
{
    const int unit = p->e4m3 ? 16 : 8;
    const bool narrow = !p->e4m3 && (p->n_tile == 128 || (p->n_tile == 0 && ceil_div(p->M, 256) * ceil_div(p->N, 256) < gpu_facts(g)->n_unit));
    const int tile = narrow ? 128 : 256;
    if (p->M < 1 || p->N < 8 || p->N % 8 || p->K < unit || p->K % unit || p->K > 1 << 22)
        return ERR(err, UNSUPPORTED, "a product of M %d, N %d, K %d, expected N in multiples of 8 and K of %d, up to %d", p->M, p->N, p->K, unit, 1 << 22);
    *out = (struct gpu_call){ .kernel = p->e4m3 ? GPU_gemm_cdna3_fp8 : narrow ? GPU_gemm_cdna3_128 : GPU_gemm_cdna3, .gx = ceil_div(p->M, tile) * ceil_div(p->N, tile), .gy = 1, .gz = 1 };
    out->args.cdna3 = (struct gemm_cdna3_args){ .c16 = p->c, .a = p->a, .b = p->b, .ld_a = p->K, .ld_b = p->K, .ld_c = p->N, .M = p->M, .N = p->N, .K = p->K, .scale = p->scale };
    return 0;
}

int gpu_gemm_call(struct gpu *g, void *stream, void *maps, const struct gpu_gemm *p, struct gpu_call *out, struct err *err)
{
    _Alignas(64) unsigned char host[GPU_MAPS_BYTES];
    char *at = maps;
    if (gpu_has(g, GPU_gemm_cdna3))
        return gemm_cdna3_call(g, p, out, err);
    const int n_unit = gpu_facts(g)->n_unit, unit = p->e4m3 ? 16 : 8;
    const bool narrow = !p->e4m3 && (p->n_tile == 128 || (p->n_tile == 0 && ceil_div(p->M, 128) * ceil_div(p->N, 256) < n_unit));
    const enum gpu_kernel kernel = p->e4m3 ? GPU_gemm_sm90_e4m3 : narrow ? GPU_gemm_sm90_n128 : GPU_gemm_sm90;
    if (!gpu_has(g, kernel))
        return ERR(err, UNSUPPORTED, "no kernel %s for %s", gpu_kernel_name(kernel), gpu_facts(g)->arch);
    if (p->M < 1 || p->N < 8 || p->N % 8 || p->K < unit || p->K % unit)
        return ERR(err, UNSUPPORTED, "a product of M %d, N %d, K %d, expected N in multiples of 8 and K of %d", p->M, p->N, p->K, unit);
    const unsigned box = p->e4m3 ? 128 : 64;
    TRY(map_rows(g, host, p->a, p->e4m3, p->M, p->K, box, 128, err));
    TRY(map_rows(g, host + 128, p->b, p->e4m3, p->N, p->K, box, 128, err));
    TRY(map_rows(g, host + 256, p->c, false, p->M, p->N, 64, 64, err));
    TRY(gpu_put(g, stream, maps, host, sizeof host, err));
    const long n_tile = ceil_div(p->M, 128) * ceil_div(p->N, narrow ? 128 : 256);
    *out = (struct gpu_call){ .kernel = kernel, .gx = n_tile < n_unit ? n_tile : n_unit, .gy = 1, .gz = 1 };
    out->args.gemm = (struct gemm_sm90_args){ .map_a = at, .map_b = at + 128, .map_c = at + 256, .M = p->M, .N = p->N, .K = p->K, .scale = p->scale };
    return gpu_wait(g, stream, err);                       /* host goes out of use */
}

/* Runs of the k's: what 132 multiprocessors are done with first, each run more costing 3 % of a tile; of 8 blocks of k's at least.  A number of the sizes, not of the device. */
static int splits(int M, int N, int K)
{
    const long n_tile = ceil_div(M, 128) * ceil_div(N, 256), n_k = ceil_div(K, 64);
    int best = 1;
    double least = (double)ceil_div(n_tile, 132);
    for (int s = 2; s <= 16 && n_k / s >= 8; s++) {
        const double cost = (double)ceil_div(n_tile * s, 132) * (1.0 / s + 0.03);
        if (cost < least)
            least = cost, best = s;
    }
    return best;
}
bool gpu_product_can(struct gpu *g)
{
    return gpu_has(g, GPU_product_sm90_nt) && gpu_has(g, GPU_product_sm90_nn) && gpu_has(g, GPU_product_sm90_tn) && gpu_has(g, GPU_split_sum) && gpu_calls(g)->tensor_map;
}
size_t gpu_product_work(int M, int N, int K)
{
    const int n = splits(M, N, K);
    return n > 1 ? (size_t)n * (size_t)M * (size_t)N * sizeof(float) : 0;
}
int gpu_product_call(struct gpu *g, void *stream, void *maps, const struct gpu_product *p, struct gpu_call *out, struct err *err)
{
    _Alignas(64) unsigned char host[GPU_MAPS_BYTES] = { 0 };
    char *at = maps;
    const enum gpu_kernel kernel = p->a_cols ? GPU_product_sm90_tn : p->b_cols ? GPU_product_sm90_nn : GPU_product_sm90_nt;
    const int ld_a = !p->a_cols ? p->K : p->ld_a ? p->ld_a : p->M, n_split = p->a_cols ? splits(p->M, p->N, p->K) : 1;
    if (!gpu_product_can(g))
        return ERR(err, UNSUPPORTED, "no kernel %s for %s", gpu_kernel_name(kernel), gpu_facts(g)->arch);
    if (p->M < 1 || p->N < 8 || p->N % 8 || p->K < 1 || ld_a % 8 || (!p->b_cols && p->K % 8) || (p->a_cols && !p->b_cols) || (p->c16 && (p->add || p->a_cols)))
        return ERR(err, UNSUPPORTED, "a product of M %d, N %d, K %d%s%s, expected N and rows in multiples of 8, and columns of both operands where those of the first, without a sum to bf16",
                   p->M, p->N, p->K, p->a_cols ? ", a by columns" : "", p->b_cols ? ", b by columns" : "");
    if (p->a_cols)
        TRY(map_gaps(g, host, p->a, false, p->K, p->M, ld_a, 64, 64, err));
    else
        TRY(map_rows(g, host, p->a, false, p->M, p->K, 64, 128, err));
    TRY(p->b_cols ? map_rows(g, host + 128, p->b, false, p->K, p->N, 64, 64, err) : map_rows(g, host + 128, p->b, false, p->N, p->K, 64, 128, err));
    if (p->c16)
        TRY(map_rows(g, host + 256, p->c16, false, p->M, p->N, 64, 64, err));
    TRY(gpu_put(g, stream, maps, host, sizeof host, err));
    const long n_unit = ceil_div(p->M, 128) * ceil_div(p->N, 256) * n_split, n = (long)p->M * p->N;
    *out = (struct gpu_call){ .kernel = kernel, .gx = n_unit < gpu_facts(g)->n_unit ? n_unit : gpu_facts(g)->n_unit, .gy = 1, .gz = 1 };
    out->args.product = (struct product_sm90_args){ .map_a = at, .map_b = at + 128, .map_c = at + 256, .c = p->c16 ? NULL : n_split > 1 ? p->work : p->c, .bias = p->bias, .add = p->add,
                                                    .M = p->M, .N = p->N, .K = p->K, .n_split = n_split };
    if (n_split > 1) {
        out->join = (struct split_sum_args){ .c = p->c, .part = p->work, .add = p->add, .bias = p->bias, .n = n, .N = p->N, .n_split = n_split };
        out->join_blocks = ceil_div(n, 1024);
    }
    return gpu_wait(g, stream, err);                       /* host goes out of use */
}

int gpu_prefill_call(struct gpu *g, void *stream, void *maps, const struct gpu_prefill *p, struct gpu_call *out, struct err *err)
{
    _Alignas(64) unsigned char host[GPU_MAPS_BYTES];
    char *at = maps;
    if ((p->d != 64 && p->d != 128) || p->n_kv_head < 1 || p->n_head % p->n_kv_head)
        return ERR(err, UNSUPPORTED, "heads of %d, %d of queries and %d of keys, expected heads of 64 or 128 and a multiple of the keys'", p->d, p->n_head, p->n_kv_head);
    const long ld_q = p->ld_q ? p->ld_q : (long)p->n_head * p->d, ld_kv = p->ld_kv ? p->ld_kv : (long)p->n_kv_head * p->d;
    const bool cdna3 = gpu_has(g, GPU_attn_cdna3_128);
    const enum gpu_kernel best = p->d == 128 ? GPU_attn_sm90_128 : GPU_attn_sm90_64, mma = p->d == 128 ? GPU_attn_sm80_128 : GPU_attn_sm80_64;
    const enum gpu_kernel plain = !cdna3 ? mma : p->d == 128 ? GPU_attn_cdna3_128 : GPU_attn_cdna3_64;
    const bool sm90 = !p->sm80 && p->n_q > 0 && p->n_k > 0 && gpu_has(g, best) && gpu_calls(g)->tensor_map;
    if (!sm90 && !gpu_has(g, plain))
        return ERR(err, UNSUPPORTED, "no kernel %s for %s", gpu_kernel_name(plain), gpu_facts(g)->arch);
    *out = (struct gpu_call){ .kernel = sm90 ? best : plain, .gy = p->n_head, .gz = p->n_seq };
    const int n_query = sm90 && p->d == 64 ? ATTN_SM90_64_QUERIES : 128;
    out->gx = ceil_div(p->longest, n_query);
    if (cdna3)
        out->gy = out->gx, out->gx = p->n_head;
    if (!sm90) {
        out->args.sm80 = (struct attn_sm80_args){ .o = p->o, .lse = p->lse, .q = p->q, .k = p->k, .v = p->v, .q_start = p->q_start, .k_start = p->k_start,
                                                  .ld_o = (long)p->n_head * p->d, .ld_q = ld_q, .ld_kv = ld_kv, .n_head = p->n_head,
                                                  .n_kv_head = p->n_kv_head, .n_lse = p->n_q, .causal = p->causal, .scale = p->scale };
        return 0;
    }
    const unsigned n_key = p->d == 128 ? ATTN_SM90_128_KEYS : ATTN_SM90_64_KEYS;
    TRY(map_heads(g, host, p->q, p->n_q, p->n_head, p->d, ld_q, (unsigned)n_query, err));
    TRY(map_heads(g, host + 128, p->k, p->n_k, p->n_kv_head, p->d, ld_kv, n_key, err));
    TRY(map_heads(g, host + 256, p->v, p->n_k, p->n_kv_head, p->d, ld_kv, n_key, err));
    TRY(gpu_put(g, stream, maps, host, sizeof host, err));
    out->args.sm90 = (struct attn_sm90_args){ .o = p->o, .lse = p->lse, .map_q = at, .map_k = at + 128, .map_v = at + 256, .q_start = p->q_start, .k_start = p->k_start,
                                              .ld_o = (long)p->n_head * p->d, .n_head = p->n_head, .n_kv_head = p->n_kv_head, .n_lse = p->n_q, .causal = p->causal,
                                              .scale = p->scale };
    return gpu_wait(g, stream, err);
}

bool gpu_attn_back_can(struct gpu *g) { return gpu_has(g, GPU_attn_back_sm90_dq) && gpu_has(g, GPU_attn_back_sm90_dkv) && gpu_calls(g)->tensor_map; }
int gpu_attn_back_call(struct gpu *g, void *stream, void *maps, const struct gpu_attn_back *p, struct gpu_call out[2], struct err *err)
{
    _Alignas(64) unsigned char host[GPU_MAPS_BYTES] = { 0 };
    char *at = maps;
    const int heads = p->n_head + 2 * p->n_kv_head;
    if (!gpu_attn_back_can(g))
        return ERR(err, UNSUPPORTED, "no kernel %s for %s", gpu_kernel_name(GPU_attn_back_sm90_dq), gpu_facts(g)->arch);
    if (p->n_row < 1 || p->n_kv_head < 1 || p->n_head % p->n_kv_head)
        return ERR(err, UNSUPPORTED, "%d rows, %d heads of queries and %d of keys, expected some rows and a multiple of the keys'", p->n_row, p->n_head, p->n_kv_head);
    TRY(map_heads(g, host, p->qkv, p->n_row, heads, 64, (long)heads * 64, 64, err));
    TRY(map_heads(g, host + 128, p->d_o, p->n_row, p->n_head, 64, (long)p->n_head * 64, 64, err));
    TRY(gpu_put(g, stream, maps, host, sizeof host, err));
    const struct attn_back_args a = { .map_qkv = at, .map_do = at + 128, .lse = p->lse, .delta = p->delta, .dqkv = p->dqkv, .d16 = p->d16, .start = p->start, .n_row = p->n_row,
                                      .n_head = p->n_head, .n_kv_head = p->n_kv_head, .causal = p->causal, .scale = p->scale };
    out[0] = (struct gpu_call){ .kernel = GPU_attn_back_sm90_dq, .gx = ceil_div(p->longest, ATTN_BACK_QUERIES), .gy = p->n_head, .gz = p->n_seq, .args = { .back = a } };
    out[1] = (struct gpu_call){ .kernel = GPU_attn_back_sm90_dkv, .gx = ceil_div(p->longest, ATTN_BACK_KEYS), .gy = p->n_kv_head, .gz = p->n_seq, .args = { .back = a } };
    return gpu_wait(g, stream, err);
}
