/* emu942_mfma.h - matrix instructions of gfx942, all dense ones, told by their names.  Part of emu942.c.
 *
 * Layouts, of A[M][K] (B[N][K] likewise) and D[M][N], `blocks` products side by side: a lane holds consecutive k of row lane % M; lane / M counts
 * blocks, then groups of k.  Accumulator r holds rows 4 (lane / N) + r % 4 of each 4 (64 / N) rows, column lane % N; those of 4 x 4 and of doubles
 * are their own.  Held beside AMD's matrix instruction calculator by tests/unit/test_gpu_isa.c. */

static bool amd_mfma_named(struct amd_mfma *m, const char *name)
{
    static const struct { const char *name; char letter; int bits; } types[] = { { "bf16", 'h', 16 }, { "f16", 'f', 16 }, { "fp8", '8', 8 }, { "bf8", 'b', 8 }, { "i8", 'i', 8 }, { "xf32", 'x', 32 },
                                                                                 { "f32", 's', 32 }, { "f64", 'd', 64 } };
    char out[8], a[12] = "", b[12] = "";
    int blocks = 1, at = 0;
    if (sscanf(name, "v_mfma_%7[^_]_%dx%dx%d_%n", out, &m->M, &m->N, &m->K, &at) != 4 || !at)
        return false;
    int skip = 0;
    if (sscanf(name + at, "%db_%n", &blocks, &skip) == 1 && skip)
        at += skip;
    else
        blocks = 1;
    if (sscanf(name + at, "%11[^_]_%11[^_]", a, b) < 1)
        return false;
    if (!*b || !strcmp(b, "1k"))
        snprintf(b, sizeof b, "%s", a);
    m->blocks = blocks, m->a = m->b = 0;
    m->out = !strcmp(out, "i32") ? 'i' : !strcmp(out, "f64") ? 'd' : 's';
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (!strcmp(types[i].name, a))
            m->a = types[i].letter, m->bits = types[i].bits;
        if (!strcmp(types[i].name, b))
            m->b = types[i].letter;
    }
    return m->a && m->b;
}

static double amd_element(char type, const uint32_t *reg, int i)
{
    switch (type) {
    case 'h': return amd_float(reg[i / 2] >> 16 * (i & 1) << 16);
    case 'f': return half_to_float((uint16_t)(reg[i / 2] >> 16 * (i & 1)));
    case '8': return amd_fp8(reg[i / 4] >> 8 * (i & 3) & 255, 3);
    case 'b': return amd_fp8(reg[i / 4] >> 8 * (i & 3) & 255, 2);
    case 'i': return (int8_t)(reg[i / 4] >> 8 * (i & 3));
    case 'd': return amd_double(reg[2 * i] | (uint64_t)reg[2 * i + 1] << 32);
    case 'x': return amd_float((reg[i] + 0xfff + (reg[i] >> 13 & 1)) & ~0x1fffu);            /* 10 bits of mantissa */
    default: return amd_float(reg[i]);
    }
}
/* Row and block of accumulator r (of a double: the r-th) of a lane; column: lane % N. */
static void amd_place(const struct amd_mfma *m, int lane, int r, int *row, int *block)
{
    const int groups = 64 / m->N;                                /* of lanes */
    if (m->out == 'd')
        *row = m->M == 4 ? lane / 16 : 4 * r + lane / 16, *block = m->M == 4 ? lane % 16 / 4 : 0;
    else if (m->M == 4)
        *row = r, *block = lane / 4;
    else
        *row = (4 * groups * (r / 4) + 4 * (lane / m->N) + r % 4) % m->M, *block = (4 * groups * (r / 4)) / m->M;
}

/* B's row of the lane whose column of D is `column`. */
static void amd_mfma(const struct amd_code *c, struct amd_wave *w, int wave)
{
    static double a[16][64][64], b[16][64][64];                  /* block, row, k */
    static uint32_t d[64][64];
    const struct amd_mfma *m = &c->mfma;
    const struct amd_operand *o = c->o;
    const int each = o[1].n * 32 / m->bits, wide = m->out == 'd' ? 2 : 1;
    uint64_t known = ~UINT64_C(0);
    for (int i = 1; i < c->n; i++)
        for (int j = 0; j < o[i].n; j++)
            known &= amd_known(w, &o[i], j);
    amd_must_know(c, wave, ~known, "a matrix of registers that nobody wrote");
    for (int l = 0; l < 64; l++) {
        const int g = l / m->M, block = g % m->blocks, first = g / m->blocks * each;
        uint32_t ra[8], rb[8];
        for (int i = 0; i < o[1].n; i++)
            ra[i] = amd_raw(w, &o[1], i, l), rb[i] = amd_raw(w, &o[2], i, l);
        for (int j = 0; j < each; j++) {
            a[block][l % m->M][first + j] = amd_element(m->a, ra, j);
            b[block][l % m->N][first + j] = amd_element(m->b, rb, j);
        }
    }
    for (int l = 0; l < 64; l++)
        for (int r = 0; r < o[0].n / wide; r++) {
            int row, block;
            amd_place(m, l, r, &row, &block);
            const int col = l % m->N;
            const uint32_t old = o[3].kind == 'c' ? o[3].value : amd_raw(w, &o[3], wide * r, l);
            if (m->out == 'd') {
                double s = amd_double(o[3].kind == 'c' ? o[3].value64 : old | (uint64_t)amd_raw(w, &o[3], 2 * r + 1, l) << 32);
                for (int k = 0; k < m->K; k++)
                    s = fma(a[block][row][k], b[block][col][k], s);
                d[2 * r][l] = (uint32_t)amd_u64(s), d[2 * r + 1][l] = (uint32_t)(amd_u64(s) >> 32);
            } else if (m->out == 'i') {
                int64_t s = (int32_t)old;
                for (int k = 0; k < m->K; k++)
                    s += (int64_t)a[block][row][k] * (int64_t)b[block][col][k];
                d[r][l] = (uint32_t)s;
            } else {
                float s = amd_float(old);
                for (int k = 0; k < m->K; k++)
                    s = fmaf((float)a[block][row][k], (float)b[block][col][k], s);
                d[r][l] = amd_u32(s);
            }
        }
    for (int r = 0; r < o[0].n; r++)
        memcpy(w->v[o[0].reg + r], d[r], sizeof d[r]);
    amd_mark(w, &o[0], ~UINT64_C(0), ~UINT64_C(0));
}
