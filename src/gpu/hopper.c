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
static int map_rows(struct gpu *g, void *map, const void *p, bool bytes, int n_row, int n_col, unsigned box_cols, unsigned box_rows, struct err *err)
{
    const uint64_t size[] = { (uint64_t)n_col, (uint64_t)n_row }, stride[] = { (uint64_t)n_col * (bytes ? 1 : 2) };
    return tensor_map(g, map, bytes ? U8 : BF16, p, 2, size, stride, (const unsigned[]){ box_cols, box_rows }, err);
}
/* [token][head][d] in boxes of 64 of d, one head, box_tokens. */
static int map_heads(struct gpu *g, void *map, const void *p, int n_token, int n_head, int d, unsigned box_tokens, struct err *err)
{
    const uint64_t size[] = { (uint64_t)d, (uint64_t)n_head, (uint64_t)n_token }, stride[] = { (uint64_t)d * 2, (uint64_t)n_head * (uint64_t)d * 2 };
    return tensor_map(g, map, BF16, p, 3, size, stride, (const unsigned[]){ 64, 1, box_tokens }, err);
}

int gpu_call_launch(struct gpu *g, void *stream, const struct gpu_call *c, struct err *err) { return gpu_launch(g, stream, c->kernel, c->gx, c->gy, c->gz, &c->args, err); }

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

int gpu_prefill_call(struct gpu *g, void *stream, void *maps, const struct gpu_prefill *p, struct gpu_call *out, struct err *err)
{
    _Alignas(64) unsigned char host[GPU_MAPS_BYTES];
    char *at = maps;
    if ((p->d != 64 && p->d != 128) || p->n_kv_head < 1 || p->n_head % p->n_kv_head)
        return ERR(err, UNSUPPORTED, "heads of %d, %d of queries and %d of keys, expected heads of 64 or 128 and a multiple of the keys'", p->d, p->n_head, p->n_kv_head);
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
                                                  .ld_o = (long)p->n_head * p->d, .ld_q = (long)p->n_head * p->d, .ld_kv = (long)p->n_kv_head * p->d, .n_head = p->n_head,
                                                  .n_kv_head = p->n_kv_head, .n_lse = p->n_q, .causal = p->causal, .scale = p->scale };
        return 0;
    }
    const unsigned n_key = p->d == 128 ? ATTN_SM90_128_KEYS : ATTN_SM90_64_KEYS;
    TRY(map_heads(g, host, p->q, p->n_q, p->n_head, p->d, (unsigned)n_query, err));
    TRY(map_heads(g, host + 128, p->k, p->n_k, p->n_kv_head, p->d, n_key, err));
    TRY(map_heads(g, host + 256, p->v, p->n_k, p->n_kv_head, p->d, n_key, err));
    TRY(gpu_put(g, stream, maps, host, sizeof host, err));
    out->args.sm90 = (struct attn_sm90_args){ .o = p->o, .lse = p->lse, .map_q = at, .map_k = at + 128, .map_v = at + 256, .q_start = p->q_start, .k_start = p->k_start,
                                              .ld_o = (long)p->n_head * p->d, .n_head = p->n_head, .n_kv_head = p->n_kv_head, .n_lse = p->n_q, .causal = p->causal,
                                              .scale = p->scale };
    return gpu_wait(g, stream, err);
}
