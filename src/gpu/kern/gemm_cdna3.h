/* gemm_cdna3.h - one kernel of gemm_cdna3.c, which defines NAME, BM, BN, WAVES_M, WAVES_N and, for fp8, FP8. */
#ifdef FP8
#define BYTES 1
#define product dk_mfma_fp8
#else
#define BYTES 2
#define product dk_mfma_bf16
#endif
#define OWN_OF(name, what) name##_##what
#define OWN_NAMED(name, what) OWN_OF(name, what)
#define OWN(what) OWN_NAMED(NAME, what)
#define N_WAVE (WAVES_M * WAVES_N)
#define N_THREAD (64 * N_WAVE)
#define BK (128 / BYTES)
#define PASSES_A (BM * 4 / N_THREAD)      /* of the block's threads over the rows of a half, 16 bytes each */
#define PASSES_B (BN * 4 / N_THREAD)
#define FM (BM / WAVES_M / 16)
#define FN (BN / WAVES_N / 16)
#define HALF ((BM + BN) * 64)
/* Two halves of a block of K on their way to shared memory; of a wave's rows what is being multiplied, b's also of the next half. */
struct OWN(state) {
    u32x4 way_a[2][PASSES_A], way_b[2][PASSES_B], a[FM], b[2][FN];
    f32x4 c[FM][FN];
};
struct OWN(places) { DK_LOCAL char *put_a, *put_b, *get_a, *get_b; };

DK_INLINE void OWN(put)(const struct OWN(state) *s, struct OWN(places) p, int h)
{
    DK_UNROLL
    for (int i = 0; i < PASSES_A; i++)
        *(DK_LOCAL u32x4 *)(p.put_a + h * HALF + i * N_THREAD * 16) = s->way_a[h][i];
    DK_UNROLL
    for (int i = 0; i < PASSES_B; i++)
        *(DK_LOCAL u32x4 *)(p.put_b + h * HALF + i * N_THREAD * 16) = s->way_b[h][i];
}
DK_INLINE void OWN(get_a)(struct OWN(state) *s, struct OWN(places) p, int h, int from)
{
    DK_UNROLL
    for (int i = 0; i < FM / 2; i++)
        s->a[from + i] = *(const DK_LOCAL u32x4 *)(p.get_a + h * HALF + (from + i) * 1024);
}
DK_INLINE void OWN(get_b)(struct OWN(state) *s, struct OWN(places) p, int h)
{
    DK_UNROLL
    for (int j = 0; j < FN; j++)
        s->b[h][j] = *(const DK_LOCAL u32x4 *)(p.get_b + h * HALF + j * 1024);
}
DK_INLINE void OWN(products)(struct OWN(state) *s, int h, int from)
{
    DK_UNROLL
    for (int i = from; i < from + FM / 2; i++)
        DK_UNROLL
        for (int q = 0; q < 2; q++)
            DK_UNROLL
            for (int j = 0; j < FN; j++)
                s->c[i][j] = product(dk_half(s->b[h][j], q), dk_half(s->a[i], q), s->c[i][j]);
}

/* n instructions of a kind, each behind one product. */
#define BETWEEN(kind, n)                        \
    DK_UNROLL                                   \
    for (int i_ = 0; i_ < (n); i_++) {          \
        dk_order(DK_MATRIX, 1);                 \
        dk_order(kind, 1);                      \
    }

DK_BOUNDS(N_THREAD) DK_OCC(2) DK_KERNEL void NAME(struct gemm_cdna3_args g)
{
    DK_SHARED(char, shared, 2 * HALF);
    const int t = dk_tid(), l = dk_lane(), w = dk_wave(), wm = w / WAVES_N, wn = w % WAVES_N;
    const int n_m = (g.M + BM - 1) / BM, n_n = (g.N + BN - 1) / BN, id = tile_of(dk_bx(), n_m * n_n);
    const int band = id / (BAND * n_n), in_band = id - band * BAND * n_n, high = n_m - band * BAND < BAND ? n_m - band * BAND : BAND;
    const int m0 = (band * BAND + in_band % high) * BM, n0 = in_band / high * BN;
    const int n_block = g.K > BK ? (g.K + BK - 1) / BK : 1, first = g.K - (n_block - 1) * BK;
    const DK_GLOBAL char *a = (const DK_GLOBAL char *)g.a + (long)m0 * g.ld_a * BYTES, *b = (const DK_GLOBAL char *)g.b + (long)n0 * g.ld_b * BYTES;
    const int row = t / 4, piece = t % 4;
    u32 from_a[PASSES_A], from_b[PASSES_B];
    struct OWN(state) s;
    DK_UNROLL
    for (int i = 0; i < PASSES_A; i++) {
        const int r = row + i * N_THREAD / 4;
        from_a[i] = (u32)(m0 + r < g.M ? r : g.M - 1 - m0) * (u32)g.ld_a * BYTES + (u32)piece * 16;
    }
    DK_UNROLL
    for (int i = 0; i < PASSES_B; i++) {
        const int r = row + i * N_THREAD / 4;
        from_b[i] = (u32)(n0 + r < g.N ? r : g.N - 1 - n0) * (u32)g.ld_b * BYTES + (u32)piece * 16;
    }
    DK_UNROLL
    for (int i = 0; i < FM; i++)
        DK_UNROLL
        for (int j = 0; j < FN; j++)
            s.c[i][j] = (f32x4){ 0, 0, 0, 0 };
    const int row_b = (row & ~31) + (row >> 2 & 1) * 16 + (row >> 3 & 3) * 4 + (row & 3), lane = (l & 15) * 64 + ((l >> 4) ^ (l >> 1 & 3)) * 16;
    const struct OWN(places) p = {
        .put_a = shared + row * 64 + (piece ^ (row >> 1 & 3)) * 16, .put_b = shared + BM * 64 + row_b * 64 + (piece ^ (row_b >> 1 & 3)) * 16,
        .get_a = shared + wm * FM * 1024 + lane, .get_b = shared + BM * 64 + wn * FN * 1024 + lane,
    };
    /* What is beyond whole blocks of K. */
    DK_UNROLL
    for (int h = 0; h < 2; h++) {
        const bool there = (h * 64 + piece * 16) / BYTES < first;
        const u32x4 zero = { 0, 0, 0, 0 };
        DK_UNROLL
        for (int i = 0; i < PASSES_A; i++)
            s.way_a[h][i] = there ? *(const DK_GLOBAL u32x4 *)(a + from_a[i] + h * 64) : zero;
        DK_UNROLL
        for (int i = 0; i < PASSES_B; i++)
            s.way_b[h][i] = there ? *(const DK_GLOBAL u32x4 *)(b + from_b[i] + h * 64) : zero;
    }
    a += first * BYTES;
    b += first * BYTES;
    OWN(put)(&s, p, 0);
    dk_barrier_shared();
    OWN(get_b)(&s, p, 0);
    OWN(get_a)(&s, p, 0, 0);
    DK_ROLLED
    for (int i_block = 1; i_block < n_block; i_block++) {
        OWN(put)(&s, p, 1);
        dk_uniform(a);
        dk_uniform(b);
        DK_UNROLL
        for (int i = 0; i < PASSES_A; i++) {
            dk_opaque(from_a[i]);
            DK_UNROLL
            for (int h = 0; h < 2; h++)
                s.way_a[h][i] = *(const DK_GLOBAL u32x4 *)(a + from_a[i] + h * 64);
        }
        DK_UNROLL
        for (int i = 0; i < PASSES_B; i++) {
            dk_opaque(from_b[i]);
            DK_UNROLL
            for (int h = 0; h < 2; h++)
                s.way_b[h][i] = *(const DK_GLOBAL u32x4 *)(b + from_b[i] + h * 64);
        }
        a += 128;
        b += 128;
        OWN(get_a)(&s, p, 0, FM / 2);
        OWN(products)(&s, 0, 0);
        BETWEEN(DK_SHARED_WRITE, PASSES_A + PASSES_B);
        BETWEEN(DK_READ, 2 * (PASSES_A + PASSES_B));
        BETWEEN(DK_SHARED_READ, FM / 2);
        dk_order(DK_MATRIX, FM * FN - FM / 2 - 3 * (PASSES_A + PASSES_B));
        dk_fixed();
        dk_barrier_shared();
        OWN(get_b)(&s, p, 1);
        OWN(get_a)(&s, p, 1, 0);
        OWN(products)(&s, 0, FM / 2);
        BETWEEN(DK_SHARED_READ, FN + FM / 2);
        dk_order(DK_MATRIX, FM * FN - FN - FM / 2);
        dk_fixed();

        OWN(get_a)(&s, p, 1, FM / 2);
        OWN(products)(&s, 1, 0);
        OWN(put)(&s, p, 0);
        BETWEEN(DK_SHARED_READ, FM / 2);
        dk_order(DK_MATRIX, FM * FN - FM / 2 - (PASSES_A + PASSES_B));
        BETWEEN(DK_SHARED_WRITE, PASSES_A + PASSES_B);
        dk_fixed();
        dk_barrier_shared();
        OWN(get_b)(&s, p, 0);
        OWN(get_a)(&s, p, 0, 0);
        OWN(products)(&s, 1, FM / 2);
        BETWEEN(DK_SHARED_READ, FN + FM / 2);
        dk_order(DK_MATRIX, FM * FN - FN - FM / 2);
    }
    OWN(get_a)(&s, p, 0, FM / 2);
    OWN(put)(&s, p, 1);
    OWN(products)(&s, 0, 0);
    dk_barrier_shared();
    OWN(get_b)(&s, p, 1);
    OWN(get_a)(&s, p, 1, 0);
    OWN(products)(&s, 0, FM / 2);
    OWN(get_a)(&s, p, 1, FM / 2);
    OWN(products)(&s, 1, 0);
    OWN(products)(&s, 1, FM / 2);

    u32 u = (u32)t;                           /* once more from the thread's number: what is kept over the loop would need registers */
    dk_opaque(u);
    const int m1 = m0 + (int)(u / 64 / WAVES_N * (FM * 16) + (u & 15)), n1 = n0 + (int)(u / 64 % WAVES_N * (FN * 16) + (u >> 4 & 3) * 8);
    DK_UNROLL
    for (int i = 0; i < FM; i++)
        DK_UNROLL
        for (int j = 0; j < FN; j += 2) {
            const int m = m1 + 16 * i, n = n1 + 16 * j;
            if (m >= g.M || n >= g.N)
                continue;
            const f32x4 x = s.c[i][j] * g.scale, y = s.c[i][j + 1] * g.scale;
            const long at = (long)m * g.ld_c + n;
            if (g.c16) {
                *(DK_GLOBAL u32x4 *)(g.c16 + at) = (u32x4){ dk_bf16_pair(x[0], x[1]), dk_bf16_pair(x[2], x[3]), dk_bf16_pair(y[0], y[1]), dk_bf16_pair(y[2], y[3]) };
            } else {
                *(DK_GLOBAL f32x4 *)(g.c32 + at) = x;
                *(DK_GLOBAL f32x4 *)(g.c32 + at + 4) = y;
            }
        }
}
#undef NAME
#undef BM
#undef BN
#undef WAVES_M
#undef WAVES_N
#undef BYTES
#undef product
#undef OWN_OF
#undef OWN_NAMED
#undef OWN
#undef N_WAVE
#undef N_THREAD
#undef BK
#undef PASSES_A
#undef PASSES_B
#undef FM
#undef FN
#undef HALF
#undef BETWEEN
