/* emu942_vector.h - vector instructions: 64 lanes at a time, those that exec has.  Part of emu942.c. */

/* Source i of all lanes as 32 bits: with lanes exchanged (DPP), parts chosen (SDWA) and signs changed; `valid`: lanes that have one. */
static void amd_fetch(const struct amd_code *c, const struct amd_wave *w, int i, uint32_t out[64], uint64_t *known, uint64_t *valid)
{
    const struct amd_operand *o = &c->o[i];
    const uint64_t exec = amd_exec(w), k = amd_known(w, o, 0);
    const bool half = c->kind == AMD_IS_HALF || !strncmp(c->text, "v_cvt_f32_f16", 13) || !strcmp(c->type, "f16");
    const uint32_t sign = half ? 0x8000 : 0x80000000;
    uint64_t here = ~UINT64_C(0), seen = k;
    if (c->dpp && i == c->n_written) {
        here = seen = 0;
        for (int l = 0; l < 64; l++) {
            const int from = c->from_lane[l];
            const bool there = from >= 0 && (exec >> from & 1);
            out[l] = there ? w->v[o->reg][from] : 0;
            here |= (uint64_t)there << l, seen |= (there ? k >> from & 1 : 1) << l;
        }
    } else if (o->kind == 'v') {
        memcpy(out, w->v[o->reg], 64 * sizeof *out);
    } else {
        for (int l = 0; l < 64; l++)
            out[l] = amd_raw(w, o, 0, l);
    }
    const int s = c->sdwa && i - c->n_written < 2 ? c->source_select[i - c->n_written] : 6, shift = s < 4 ? 8 * s : 16 * (s - 4), bits = s < 4 ? 8 : 16;
    for (int l = 0; l < 64; l++) {
        if (s < 6) {
            out[l] = out[l] >> shift & ((1u << bits) - 1);
            out[l] = o->sext ? (uint32_t)((int32_t)(out[l] << (32 - bits)) >> (32 - bits)) : out[l];
        }
        out[l] = o->abs ? out[l] & ~sign : out[l];
        out[l] = o->neg ? out[l] ^ sign : out[l];
    }
    *known &= seen, *valid &= here;
}

/* Lanes that are written: of exec, those that DPP's masks leave. */
static uint64_t amd_lanes_written(const struct amd_code *c, uint64_t exec, uint64_t valid)
{
    if (!c->dpp)
        return exec;
    for (int l = 0; l < 64; l++)
        if (!(c->row_mask >> (l / 16) & 1) || !(c->bank_mask >> (l % 16 / 4) & 1))
            exec &= ~(UINT64_C(1) << l);
    return c->bound_zero ? exec : exec & valid;
}
static float amd_output(const struct amd_code *c, float f)
{
    f *= c->scale;
    return c->clamp ? (f > 1 ? 1 : f > 0 ? f : 0) : f;
}
/* The result of a lane into its register: whole, or SDWA's part of it. */
static uint32_t amd_part(const struct amd_code *c, uint32_t old, uint32_t r)
{
    if (c->select == 6)
        return r;
    const int shift = c->select < 4 ? 8 * c->select : 16 * (c->select - 4), bits = c->select < 4 ? 8 : 16;
    const uint32_t mask = ((1u << bits) - 1) << shift, v = r << shift & mask;
    if (c->unused == 'p')
        return (old & ~mask) | v;
    return c->unused == 's' && (r >> (bits - 1) & 1) ? v | ~(mask | ((1u << shift) - 1)) : v;
}

static void amd_lane_op(const struct amd_code *c, struct amd_wave *w)
{
    static const uint32_t zero[64];
    uint32_t s[3][64], r[64];
    uint64_t known = ~UINT64_C(0), valid = ~UINT64_C(0);
    const uint32_t *in[3] = { zero, zero, zero }, *was = w->v[c->o[0].reg];
    for (int i = 0; i < c->n_source && c->n_written + i < c->n; i++)
        amd_fetch(c, w, c->n_written + i, s[i], &known, &valid), in[i] = s[i];
    if (c->reads_old)
        known &= amd_known(w, &c->o[0], 0);
    switch (c->op) {
#define X(name, n, e) \
    case AMD_##name: \
        for (int lane = 0; lane < 64; lane++) { \
            const uint32_t a = in[0][lane], b = in[1][lane], d = in[2][lane], old = was[lane]; \
            const float x = amd_float(a), y = amd_float(b), z = amd_float(d); \
            (void)a, (void)b, (void)d, (void)old, (void)x, (void)y, (void)z; \
            r[lane] = (e); \
        } \
        break;
        AMD_LANES(X)
#undef X
#define X(name, n, e) \
    case AMD_##name: \
        for (int lane = 0; lane < 64; lane++) { \
            const float x = half_to_float((uint16_t)in[0][lane]), y = half_to_float((uint16_t)in[1][lane]), z = half_to_float((uint16_t)in[2][lane]); \
            (void)x, (void)y, (void)z; \
            r[lane] = float_to_half(amd_output(c, (e))); \
        } \
        break;
        AMD_HALVES(X)
#undef X
    default: return;
    }
    const uint64_t lanes = amd_lanes_written(c, amd_exec(w), valid);
    const bool shaped = (c->clamp || c->scale != 1) && c->kind == AMD_IS_LANE && strstr(c->text, "_f32");
    for (int l = 0; l < 64; l++)
        if (lanes >> l & 1)
            w->v[c->o[0].reg][l] = amd_part(c, was[l], shaped ? amd_u32(amd_output(c, amd_float(r[l]))) : r[l]);
    amd_mark(w, &c->o[0], lanes, known);
}

static void amd_wide_op(const struct amd_code *c, struct amd_wave *w)
{
    const uint64_t exec = amd_exec(w), known = amd_sources_known(c, w);
    const bool halves = c->op == AMD_v_mov_b64 || c->op == AMD_v_lshlrev_b64 || c->op == AMD_v_lshl_add_u64;
    if (halves)
        amd_mark_halves(c, w, exec);
    for (int l = 0; l < 64; l++) {
        if (!(exec >> l & 1))
            continue;
        uint64_t in[4] = { 0, 0, 0, 0 }, r = 0;
        for (int i = 0; i < c->n_source && i + 1 < c->n; i++) {
            const struct amd_operand *o = &c->o[1 + i];
            const uint64_t sign = o->n == 2 || o->kind == 'c' ? UINT64_C(1) << 63 : UINT64_C(1) << 31;
            in[i] = o->n == 2 || o->kind == 'c' ? amd_get64(w, o, l) : amd_raw(w, o, 0, l);
            in[i] = o->abs ? in[i] & ~sign : in[i];
            in[i] = o->neg ? in[i] ^ sign : in[i];
        }
        const uint64_t A = in[0], B = in[1], D = in[2], old = c->reads_old ? amd_get64(w, &c->o[0], l) : 0;
        (void)D, (void)B, (void)old;
        switch (c->op) {
#define X(name, n, e) case AMD_##name: r = (e); break;
            AMD_WIDES(X)
#undef X
        default: break;
        }
        if (c->o[0].n == 2)
            amd_set64(w, &c->o[0], l, r);
        else
            w->v[c->o[0].reg][l] = (uint32_t)r;
    }
    if (!halves)
        amd_mark(w, &c->o[0], exec, known);
}

/* Half h of source i, as op_sel and op_sel_hi say, its sign as neg_lo and neg_hi. */
static uint32_t amd_packed_half(const struct amd_code *c, const struct amd_wave *w, int i, int h, int lane, bool real)
{
    const struct amd_operand *o = &c->o[1 + i];
    const uint32_t v = amd_raw(w, o, 0, lane) >> ((h ? c->op_sel_hi : c->op_sel) >> i & 1 ? 16 : 0) & 0xffff;
    const uint32_t k = o->kind == 'c' && real && amd_raw(w, o, 0, lane) > 0xffff ? float_to_half(amd_float(o->value)) : v;
    return real && ((h ? c->neg_hi : c->neg_lo) >> i & 1) ? k ^ 0x8000 : k;
}
static void amd_packed_op(const struct amd_code *c, struct amd_wave *w)
{
    const uint64_t exec = amd_exec(w), known = amd_sources_known(c, w);
    const bool real = strstr(c->text, "_f16") != NULL;
    for (int l = 0; l < 64; l++) {
        uint32_t both = 0;
        for (int h = 0; h < 2 && (exec >> l & 1); h++) {
            const uint32_t a = amd_packed_half(c, w, 0, h, l, real), b = amd_packed_half(c, w, 1, h, l, real), d = c->n_source > 2 ? amd_packed_half(c, w, 2, h, l, real) : 0;
            const float x = half_to_float((uint16_t)a), y = half_to_float((uint16_t)b), z = half_to_float((uint16_t)d);
            uint32_t r = 0;
            (void)z, (void)d;
            switch (c->op) {
#define X(name, n, e) case AMD_##name: r = (e); break;
                AMD_PACKEDS(X)
#undef X
            default: break;
            }
            both |= (r & 0xffff) << 16 * h;
        }
        if (exec >> l & 1)
            w->v[c->o[0].reg][l] = both;
    }
    amd_mark(w, &c->o[0], exec, known);
}

/* v_pk_add_f32 and its like: pairs of registers, of which op_sel and op_sel_hi say what each half takes. */
static int amd_pair_half(const struct amd_code *c, int i, int h) { return c->o[1 + i].n < 2 ? 0 : (h ? c->op_sel_hi : c->op_sel) >> i & 1; }
static void amd_pair_op(const struct amd_code *c, struct amd_wave *w)
{
    const uint64_t exec = amd_exec(w);
    const int n = c->n - 1 < 3 ? c->n - 1 : 3;
    uint32_t r[2][64];
    uint64_t known[2] = { ~UINT64_C(0), ~UINT64_C(0) };
    for (int h = 0; h < 2; h++) {
        if (c->op == AMD_v_pk_mov_b32) {                         /* the first source gives the lower half, the second the upper */
            const int half = c->o[1 + h].n < 2 ? 0 : c->op_sel >> h & 1;
            for (int l = 0; l < 64; l++)
                r[h][l] = amd_raw(w, &c->o[1 + h], half, l);
            known[h] = amd_known(w, &c->o[1 + h], half);
            continue;
        }
        for (int i = 0; i < n; i++)
            known[h] &= amd_known(w, &c->o[1 + i], amd_pair_half(c, i, h));
        for (int l = 0; l < 64; l++) {
            float x[3] = { 0, 0, 0 };
            for (int i = 0; i < n; i++) {
                x[i] = amd_float(amd_raw(w, &c->o[1 + i], amd_pair_half(c, i, h), l));
                x[i] = (h ? c->neg_hi : c->neg_lo) >> i & 1 ? -x[i] : x[i];
            }
            r[h][l] = amd_u32(c->op == AMD_v_pk_add_f32 ? x[0] + x[1] : c->op == AMD_v_pk_mul_f32 ? x[0] * x[1] : fmaf(x[0], x[1], x[2]));
        }
    }
    for (int h = 0; h < 2; h++) {
        struct amd_operand to = c->o[0];
        to.reg += h, to.n = 1;
        for (int l = 0; l < 64; l++)
            if (exec >> l & 1)
                w->v[to.reg][l] = r[h][l];
        amd_mark(w, &to, exec, known[h]);
    }
}

static void amd_vector_compare(const struct amd_code *c, struct amd_wave *w, int wave)
{
    const uint64_t exec = amd_exec(w);
    const int first = c->writes_exec && c->n == 2 ? 0 : 1;
    const bool wide = !strcmp(c->type + 1, "64");
    uint64_t r = 0, known = ~UINT64_C(0), valid = ~UINT64_C(0);
    uint32_t s[2][64];
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < c->o[first + i].n; j++)
            known &= amd_known(w, &c->o[first + i], j);
    amd_must_know(c, wave, exec & ~known, "a comparison of a register that nobody wrote");
    for (int i = 0; i < 2 && !wide; i++)
        amd_fetch(c, w, first + i, s[i], &known, &valid);
    for (int l = 0; l < 64; l++)
        if (exec >> l & 1)
            r |= (uint64_t)(wide ? amd_compare(c->how, c->type, amd_get64(w, &c->o[first], l), amd_get64(w, &c->o[first + 1], l)) : amd_compare(c->how, c->type, s[0][l], s[1][l])) << l;
    if (first)
        amd_set64(w, &c->o[0], 0, r), amd_mark(w, &c->o[0], ~UINT64_C(0), ~UINT64_C(0));
    if (c->writes_exec)
        w->s[AMD_EXEC] = (uint32_t)r, w->s[AMD_EXEC + 1] = (uint32_t)(r >> 32);
}

/* Sums with carries: d, carry, a, b[, carry]. */
static void amd_carry(const struct amd_code *c, struct amd_wave *w)
{
    const bool with = c->op == AMD_v_addc_co_u32 || c->op == AMD_v_subb_co_u32 || c->op == AMD_v_subbrev_co_u32;
    const bool add = c->op == AMD_v_add_co_u32 || c->op == AMD_v_addc_co_u32, reversed = c->op == AMD_v_subrev_co_u32 || c->op == AMD_v_subbrev_co_u32;
    const uint64_t exec = amd_exec(w), in = with ? amd_get64(w, &c->o[4], 0) : 0, known = amd_sources_known(c, w);
    uint64_t out = 0;
    for (int l = 0; l < 64; l++)
        if (exec >> l & 1) {
            const uint64_t a = amd_raw(w, &c->o[reversed ? 3 : 2], 0, l), b = amd_raw(w, &c->o[reversed ? 2 : 3], 0, l), r = add ? a + b + (in >> l & 1) : a - b - (in >> l & 1);
            out |= (r >> 32 & 1) << l;
            w->v[c->o[0].reg][l] = (uint32_t)r;
        }
    amd_set64(w, &c->o[1], 0, out);
    amd_mark(w, &c->o[0], exec, known);
    amd_mark(w, &c->o[1], ~UINT64_C(0), (exec & ~known) ? 0 : ~UINT64_C(0));
}

/* A source of v_fma_mix_f32 and its like: a float, or one of the halves of a register. */
static float amd_mix(const struct amd_code *c, const struct amd_wave *w, int i, int lane)
{
    const struct amd_operand *o = &c->o[1 + i];
    const uint32_t raw = amd_raw(w, o, 0, lane);
    float f = c->op_sel_hi >> i & 1 ? half_to_float((uint16_t)(raw >> (c->op_sel >> i & 1 ? 16 : 0))) : amd_float(raw);
    f = o->abs ? fabsf(f) : f;
    return o->neg ? -f : f;
}
static uint32_t amd_mixed(const struct amd_code *c, const struct amd_wave *w, uint32_t old, int lane)
{
    const float f = fmaf(amd_mix(c, w, 0, lane), amd_mix(c, w, 1, lane), amd_mix(c, w, 2, lane));
    if (c->op == AMD_v_fma_mix_f32)
        return amd_u32(amd_output(c, f));
    return c->op == AMD_v_fma_mixlo_f16 ? (old & 0xffff0000u) | float_to_half(f) : (old & 0xffff) | (uint32_t)float_to_half(f) << 16;
}

/* To and from fp8: op_sel's last bit chooses the half, of single ones its last two the byte. */
static void amd_to_fp8(const struct amd_code *c, struct amd_wave *w)
{
    const uint64_t exec = amd_exec(w);
    const bool pair = c->op == AMD_v_cvt_pk_fp8_f32 || c->op == AMD_v_cvt_pk_bf8_f32;
    const int mantissa = strstr(c->text, "bf8") ? 2 : 3;
    uint32_t s[2][64];
    uint64_t known = amd_known(w, &c->o[0], 0) | exec, valid = known;
    for (int i = 0; i < 2; i++)
        amd_fetch(c, w, 1 + i, s[i], &known, &valid);
    for (int l = 0; l < 64; l++) {
        uint32_t *d = &w->v[c->o[0].reg][l];
        const int shift = pair ? 16 * (c->op_sel >> 2 & 1) : 8 * (c->op_sel >> 2 & 3);
        const uint32_t r = pair ? amd_fp8_rounded(amd_float(s[0][l]), mantissa) | amd_fp8_rounded(amd_float(s[1][l]), mantissa) << 8 : amd_fp8_stochastic(amd_float(s[0][l]), s[1][l], mantissa);
        if (exec >> l & 1)
            *d = (*d & ~((pair ? 0xffffu : 0xffu) << shift)) | r << shift;
    }
    amd_mark(w, &c->o[0], exec, known);
}
static void amd_from_fp8(const struct amd_code *c, struct amd_wave *w)
{
    const uint64_t exec = amd_exec(w);
    uint32_t s[64];
    uint64_t known = ~UINT64_C(0), valid = known;
    amd_fetch(c, w, 1, s, &known, &valid);
    for (int l = 0; l < 64; l++)
        for (int h = 0; h < 2 && (exec >> l & 1); h++)
            w->v[c->o[0].reg + h][l] = amd_u32(amd_fp8(s[l] >> (8 * h + (c->op_sel & 1 ? 16 : 0)) & 255, c->op == AMD_v_cvt_pk_f32_bf8 ? 2 : 3));
    amd_mark(w, &c->o[0], exec, known);
}

/* Those whose lanes each give one result by rules of their own. */
static int amd_single(const struct amd_code *c, struct amd_wave *w)
{
    const uint64_t exec = amd_exec(w);
    const struct amd_operand *o = c->o;
    uint64_t known = amd_sources_known(c, w), valid = ~UINT64_C(0);
    uint32_t s[2][64];
    if (c->op == AMD_v_cndmask_b32) {
        uint64_t k[2] = { ~UINT64_C(0), ~UINT64_C(0) };
        const uint64_t which = amd_get64(w, &o[3], 0);
        amd_fetch(c, w, 1, s[0], &k[0], &valid), amd_fetch(c, w, 2, s[1], &k[1], &valid);
        known = (which & k[1]) | (~which & k[0]);
        known &= amd_known(w, &o[3], 0) & amd_known(w, &o[3], 1);
        for (int l = 0; l < 64; l++)
            if (exec >> l & 1)
                w->v[o[0].reg][l] = amd_part(c, w->v[o[0].reg][l], s[which >> l & 1][l]);
        return amd_mark(w, &o[0], exec, known), 0;
    }
    const bool halves = c->op == AMD_v_mad_u64_u32 || c->op == AMD_v_mad_i64_i32;
    if (halves)
        amd_mark_halves(c, w, exec);
    for (int l = 0; l < 64; l++) {
        if (!(exec >> l & 1))
            continue;
        uint32_t *d = &w->v[o[0].reg][l];
        switch (c->op) {
        case AMD_v_fma_mix_f32: case AMD_v_fma_mixlo_f16: case AMD_v_fma_mixhi_f16: *d = amd_mixed(c, w, *d, l); break;
        case AMD_v_mad_u64_u32: amd_set64(w, &o[0], l, (uint64_t)amd_raw(w, &o[2], 0, l) * amd_raw(w, &o[3], 0, l) + amd_get64(w, &o[4], l)); break;
        case AMD_v_mad_i64_i32: amd_set64(w, &o[0], l, (uint64_t)((int64_t)(int32_t)amd_raw(w, &o[2], 0, l) * (int32_t)amd_raw(w, &o[3], 0, l)) + amd_get64(w, &o[4], l)); break;
        case AMD_v_div_scale_f32: *d = amd_raw(w, &o[2], 0, l); break;           /* no scaling: the operands are far from the ends of the range */
        case AMD_v_div_scale_f64: amd_set64(w, &o[0], l, amd_get64(w, &o[2], l)); break;
        case AMD_v_swap_b32: { const uint32_t t = *d; *d = w->v[o[1].reg][l]; w->v[o[1].reg][l] = t; break; }
        default: return fprintf(stderr, "emu942: cannot run %s\n", c->text), -1;
        }
    }
    if (c->op == AMD_v_div_scale_f32 || c->op == AMD_v_div_scale_f64 || halves)
        amd_set64(w, &o[1], 0, 0), amd_mark(w, &o[1], ~UINT64_C(0), ~UINT64_C(0));
    if (!halves)
        amd_mark(w, &o[0], exec, known);
    return 0;
}

static int amd_vector(const struct amd_code *c, struct amd_wave *w, int wave)
{
    const struct amd_operand *o = c->o;
    switch (c->kind) {
    case AMD_IS_LANE: case AMD_IS_HALF: return amd_lane_op(c, w), 0;
    case AMD_IS_WIDE: return amd_wide_op(c, w), 0;
    case AMD_IS_PACKED: return amd_packed_op(c, w), 0;
    case AMD_IS_VCMP: return amd_vector_compare(c, w, wave), 0;
    case AMD_IS_MFMA: return amd_mfma(c, w, wave), 0;
    default: break;
    }
    switch (c->op) {
    case AMD_v_nop: return 0;
    case AMD_v_readlane_b32: case AMD_v_readfirstlane_b32: {
        const uint64_t exec = amd_exec(w);
        const int lane = c->op == AMD_v_readlane_b32 ? (int)(amd_raw(w, &o[2], 0, 0) & 63) : exec ? __builtin_ctzll(exec) : 0;
        w->s[o[0].reg] = amd_raw(w, &o[1], 0, lane);
        w->known_s[o[0].reg] = amd_known(w, &o[1], 0) >> lane & 1;
        return 0;
    }
    case AMD_v_writelane_b32: {
        const int lane = (int)(amd_raw(w, &o[2], 0, 0) & 63);
        w->v[o[0].reg][lane] = amd_raw(w, &o[1], 0, 0);
        return amd_mark(w, &o[0], UINT64_C(1) << lane, amd_known(w, &o[1], 0)), 0;
    }
    case AMD_v_pk_add_f32: case AMD_v_pk_mul_f32: case AMD_v_pk_fma_f32: case AMD_v_pk_mov_b32: return amd_pair_op(c, w), 0;
    case AMD_v_add_co_u32: case AMD_v_addc_co_u32: case AMD_v_sub_co_u32: case AMD_v_subrev_co_u32: case AMD_v_subb_co_u32: case AMD_v_subbrev_co_u32: return amd_carry(c, w), 0;
    case AMD_v_cvt_pk_fp8_f32: case AMD_v_cvt_pk_bf8_f32: case AMD_v_cvt_sr_fp8_f32: case AMD_v_cvt_sr_bf8_f32: return amd_to_fp8(c, w), 0;
    case AMD_v_cvt_pk_f32_fp8: case AMD_v_cvt_pk_f32_bf8: return amd_from_fp8(c, w), 0;
    default: return amd_single(c, w);
    }
}
