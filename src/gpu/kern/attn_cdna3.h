/* attn_cdna3.h - one kernel of attn_cdna3.c, which defines NAME and D. */
#define N_D (D / 16)                       /* tiles of d */
#define DV (D / 16)                        /* d's of the 4 x DV values that a thread turns */
#define ROW_BYTES (2 * D)
#define K_PASSES (D / 32)
#define K_ROWS (N_THREAD / (D / 8))        /* keys of a pass: 16 bytes a thread */

DK_BOUNDS(N_THREAD) DK_OCC(2) DK_KERNEL void NAME(struct attn_sm80_args a)
{
    DK_SHARED(char, keys, N_KEY * ROW_BYTES);
    DK_SHARED(char, values, D * N_KEY * 2);
    const int b = dk_bz(), head = tile_of(dk_bx(), a.n_head), kv_head = head / (a.n_head / a.n_kv_head);
    const int t = dk_tid(), l = dk_lane(), w = t / 64, low = l & 15, g = l >> 4;
    const int q0 = a.q_start[b], n_q = a.q_start[b + 1] - q0, k0 = a.k_start[b], n_key = a.k_start[b + 1] - k0, beyond = n_key - n_q + 1;
    const int first = ((n_q + N_QUERY - 1) / N_QUERY - 1 - dk_by()) * N_QUERY, row0 = first + 32 * w;
    if (first < 0)
        return;
    int n_see = n_key;
    if (a.causal && first + N_QUERY - 1 + beyond < n_see)
        n_see = first + N_QUERY - 1 + beyond;
    const int n_block = n_see > 0 ? (n_see + N_KEY - 1) / N_KEY : 0, clear = a.causal && row0 + beyond < n_key ? row0 + beyond : n_key;
    const DK_GLOBAL char *k = (const DK_GLOBAL char *)(a.k + k0 * a.ld_kv + kv_head * D), *v = (const DK_GLOBAL char *)(a.v + k0 * a.ld_kv + kv_head * D);
    const float c = a.scale * DK_LOG2E;

    /* Where this thread writes and reads: the head of attn_cdna3.c. */
    const int k_row = t / (D / 8), k_piece = t % (D / 8), v_col = (4 * w + g) * DV;
    DK_LOCAL char *const k_put = keys + k_row * ROW_BYTES + (k_piece ^ (k_row & 7)) * 16;
    const int v_row = (v_col & ~31) + (v_col >> 2 & 1) * 16 + (v_col >> 3 & 3) * 4, v_piece = 4 * (low >> 3) + (low & 3);
    const int v_put = v_row * 128 + (v_piece ^ (v_row & 7)) * 16 + (low >> 2 & 1) * 8;
    const int turned = (g ^ (low & 7)) * 16, k_get = low * ROW_BYTES + turned, v_get = low * 128 + turned;

    u32x4 q[2][D / 32], k_way[K_PASSES];
    u32 v_way[4][DV / 2];
    f32x4 o[N_D][2];
    float top[2] = { MINUS_INF, MINUS_INF }, sum[2] = { 0, 0 };
    DK_UNROLL
    for (int n = 0; n < 2; n++) {
        const int row = row0 + 16 * n + low < n_q ? row0 + 16 * n + low : n_q - 1;
        const DK_GLOBAL u16 *from = a.q + (q0 + row) * a.ld_q + head * D + 8 * g;
        DK_UNROLL
        for (int i = 0; i < D / 32; i++)
            q[n][i] = *(const DK_GLOBAL u32x4 *)(from + 32 * i);
        DK_UNROLL
        for (int i = 0; i < N_D; i++)
            o[i][n] = (f32x4){ 0, 0, 0, 0 };
    }
    const u32 ld = (u32)a.ld_kv * 2, k_from = (u32)k_row * ld + (u32)k_piece * 16, v_from = (u32)low * 4 * ld + (u32)v_col * 2;
    /* Keys and values of block j, or of the last one, on their way; rows beyond the last are the last. */
#define BLOCK(j) ((j) < n_block ? (j) : n_block - 1)
#define LEFT(j) (n_key - 1 - BLOCK(j) * N_KEY)
#define LAST(j) ((u32)(LEFT(j) < N_KEY ? LEFT(j) : N_KEY - 1) * ld)      /* within the block: 32 bits hold it */
#define LOAD_KEYS(j)                                                                                      \
    DK_UNROLL                                                                                             \
    for (int i = 0; i < K_PASSES; i++)                                                                    \
        k_way[i] = *(const DK_GLOBAL u32x4 *)(k + BLOCK(j) * N_KEY * (long)ld + dk_least(k_from + (u32)i * (K_ROWS * ld), LAST(j) + (u32)k_piece * 16))
#define LOAD_VALUES(j)                                                                                    \
    DK_UNROLL                                                                                             \
    for (int r = 0; r < 4; r++) {                                                                         \
        const DK_GLOBAL u32x2 *from = (const DK_GLOBAL u32x2 *)(v + BLOCK(j) * N_KEY * (long)ld + dk_least(v_from + (u32)r * ld, LAST(j) + (u32)v_col * 2)); \
        DK_UNROLL                                                                                         \
        for (int x = 0; x < DV / 4; x++) {                                                                \
            const u32x2 two = from[x];                                                                    \
            v_way[r][2 * x] = two[0], v_way[r][2 * x + 1] = two[1];                                       \
        }                                                                                                 \
    }
#define PUT_KEYS()                                                                                        \
    DK_UNROLL                                                                                             \
    for (int i = 0; i < K_PASSES; i++)                                                                    \
        *(DK_LOCAL u32x4 *)(k_put + i * K_ROWS * ROW_BYTES) = k_way[i]
    if (n_block > 0) {
        LOAD_KEYS(0);
        LOAD_VALUES(0);
        PUT_KEYS();
    }
    DK_ROLLED
    for (int j = 0; j < n_block; j++) {
        f32x4 s[N_KEY / 16][2];
        u32x2 p[N_KEY / 16][2];
        dk_barrier_shared();
        /* Four keys of d side by side. */
        DK_UNROLL
        for (int x = 0; x < DV / 2; x++)
            DK_UNROLL
            for (int h = 0; h < 2; h++) {
                const int d = 2 * x + h;
                const u32x2 four = { h ? dk_highs(v_way[0][x], v_way[1][x]) : dk_lows(v_way[0][x], v_way[1][x]), h ? dk_highs(v_way[2][x], v_way[3][x]) : dk_lows(v_way[2][x], v_way[3][x]) };
                *(DK_LOCAL u32x2 *)(values + (v_put ^ (d & 3) * 16) + ((d >> 2) * 16 + (d & 3)) * 128) = four;
            }
        LOAD_KEYS(j + 1);
        DK_UNROLL
        for (int i = 0; i < N_KEY / 16; i++)
            s[i][0] = s[i][1] = (f32x4){ 0, 0, 0, 0 };
        dk_priority(1);
        DK_UNROLL
        for (int x = 0; x < D / 32; x++)
            DK_UNROLL
            for (int i = 0; i < N_KEY / 16; i++) {
                const u32x4 f = *(const DK_LOCAL u32x4 *)(keys + (k_get ^ (x & 1) * 64) + (x >> 1) * 128 + i * 16 * ROW_BYTES);
                DK_UNROLL
                for (int h = 0; h < 2; h++)
                    DK_UNROLL
                    for (int n = 0; n < 2; n++)
                        s[i][n] = dk_mfma_bf16(dk_half(f, h), dk_half(q[n][x], h), s[i][n]);
            }
        dk_priority(0);
        if ((j + 1) * N_KEY > clear) {
            DK_UNROLL
            for (int n = 0; n < 2; n++) {
                const int sees = row0 + 16 * n + low + beyond, end = (a.causal && sees < n_key ? sees : n_key) - j * N_KEY - 4 * g;
                DK_UNROLL
                for (int i = 0; i < N_KEY / 16; i++)
                    DK_UNROLL
                    for (int e = 0; e < 4; e++)
                        s[i][n][e] = 16 * i + e >= end ? MINUS_INF : s[i][n][e];
            }
        }
        DK_UNROLL
        for (int n = 0; n < 2; n++) {
            float m = top[n], m1 = top[n];              /* in threes, as v_max3_f32 takes them */
            DK_UNROLL
            for (int i = 0; i < N_KEY / 16; i++) {
                m = __builtin_fmaxf(__builtin_fmaxf(m, s[i][n][0]), s[i][n][1]);
                m1 = __builtin_fmaxf(__builtin_fmaxf(m1, s[i][n][2]), s[i][n][3]);
            }
            m = __builtin_fmaxf(m, m1);
            m = __builtin_fmaxf(m, dk_shfl_xor(m, 16));
            m = __builtin_fmaxf(m, dk_shfl_xor(m, 32));
            const float mc = m == MINUS_INF ? 0 : m * c, alpha = dk_exp2(__builtin_fmaf(top[n], c, -mc));
            float total = 0;
            top[n] = m;
            DK_UNROLL
            for (int i = 0; i < N_KEY / 16; i++) {
                f32x4 e;
                DK_UNROLL
                for (int x = 0; x < 4; x++) {
                    e[x] = dk_exp2(__builtin_fmaf(s[i][n][x], c, -mc));
                    total += e[x];
                }
                p[i][n] = (u32x2){ dk_highs(dk_bits(e[0]) + 0x8000u, dk_bits(e[1]) + 0x8000u), dk_highs(dk_bits(e[2]) + 0x8000u, dk_bits(e[3]) + 0x8000u) };
            }
            sum[n] = sum[n] * alpha + total;
            DK_UNROLL
            for (int i = 0; i < N_D; i++)
                o[i][n] *= alpha;
        }
        dk_barrier_shared();
        PUT_KEYS();
        LOAD_VALUES(j + 1);
        dk_priority(1);
        DK_UNROLL
        for (int x = 0; x < N_KEY / 32; x++)
            DK_UNROLL
            for (int i = 0; i < N_D; i++) {
                const u32x4 f = *(const DK_LOCAL u32x4 *)(values + (v_get ^ x * 64) + i * 16 * 128);
                DK_UNROLL
                for (int h = 0; h < 2; h++)
                    DK_UNROLL
                    for (int n = 0; n < 2; n++)
                        o[i][n] = dk_mfma_bf16(dk_half(f, h), p[2 * x + h][n], o[i][n]);
            }
        dk_priority(0);
    }
    DK_UNROLL
    for (int n = 0; n < 2; n++) {
        const int row = row0 + 16 * n + low;
        float all = sum[n] + dk_shfl_xor(sum[n], 16);
        all += dk_shfl_xor(all, 32);
        const float scale = all > 0 ? 1 / all : 0;
        if (row >= n_q)
            continue;
        if (a.lse && g == 0)
            a.lse[(long)head * a.n_lse + q0 + row] = all > 0 ? top[n] * a.scale + dk_log2(all) * DK_LN2 : MINUS_INF;
        DK_GLOBAL u16 *to = a.o + (q0 + row) * a.ld_o + head * D + 8 * g;
        DK_UNROLL
        for (int i = 0; i < N_D; i += 2) {
            const f32x4 x = o[i][n] * scale, y = o[i + 1][n] * scale;
            *(DK_GLOBAL u32x4 *)(to + 16 * i) = (u32x4){ dk_bf16_pair(x[0], x[1]), dk_bf16_pair(x[2], x[3]), dk_bf16_pair(y[0], y[1]), dk_bf16_pair(y[2], y[3]) };
        }
    }
}
#undef NAME
#undef D
#undef N_D
#undef DV
#undef ROW_BYTES
#undef K_PASSES
#undef K_ROWS
#undef BLOCK
#undef LAST
#undef LEFT
#undef LOAD_KEYS
#undef LOAD_VALUES
#undef PUT_KEYS
