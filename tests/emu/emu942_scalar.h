/* emu942_scalar.h - scalar instructions and what steers a wave.  Part of emu942.c. */

static void amd_scalar_op(const struct amd_code *c, struct amd_wave *w, uint64_t A, uint64_t B, uint64_t known)
{
    const struct amd_operand *to = &c->o[0];
    const uint32_t a = (uint32_t)A, b = (uint32_t)B, old = w->s[to->reg];
    const int32_t i = (int32_t)a, j = (int32_t)b;
    const bool scc = w->scc;
    uint64_t R = 0;
    switch (c->op) {
#define X(name, e, s) case AMD_##name: R = (e), R = to->n == 1 ? (uint32_t)R : R, w->scc = (s); break;
        AMD_SCALARS(X)
#undef X
    default: break;
    }
    if (to->n == 2)
        amd_set64(w, to, 0, R);
    else
        w->s[to->reg] = (uint32_t)R;
    amd_mark(w, to, ~UINT64_C(0), known);
}

static int amd_scalar(const struct amd_code *c, struct amd_wave *w, int wave)
{
    const struct amd_operand *o = c->o;
    const int first = c->n_written;
    const uint64_t A = first < c->n ? amd_get64(w, &o[first], 0) : 0, B = first + 1 < c->n ? amd_get64(w, &o[first + 1], 0) : 0;
    const uint32_t a = (uint32_t)A, b = (uint32_t)B;
    const uint64_t exec = amd_exec(w), known = amd_sources_known(c, w);
    uint64_t R;
    if (c->kind == AMD_IS_SCALAR)
        return amd_scalar_op(c, w, A, B, known), 0;
    if (c->kind == AMD_IS_SCMP) {
        amd_must_know(c, wave, ~known, "a comparison of a register that nobody wrote");
        return w->scc = amd_compare(c->how, c->type, A, !strncmp(c->text, "s_cmpk", 6) && *c->type == 'i' ? (uint64_t)(int16_t)b : B), 0;
    }
    switch (c->op) {
    case AMD_s_and_saveexec_b64: case AMD_s_or_saveexec_b64: case AMD_s_andn2_saveexec_b64: case AMD_s_andn1_saveexec_b64: case AMD_s_xor_saveexec_b64:
        amd_must_know(c, wave, ~known, "lanes chosen by a register that nobody wrote");
        amd_set64(w, &o[0], 0, exec);
        R = c->op == AMD_s_and_saveexec_b64 ? A & exec : c->op == AMD_s_or_saveexec_b64 ? A | exec : c->op == AMD_s_xor_saveexec_b64 ? A ^ exec : c->op == AMD_s_andn2_saveexec_b64 ? A & ~exec : ~A & exec;
        w->s[AMD_EXEC] = (uint32_t)R, w->s[AMD_EXEC + 1] = (uint32_t)(R >> 32), w->scc = R != 0;
        break;
    case AMD_s_getpc_b64: amd_set64(w, &o[0], 0, (uint64_t)(uintptr_t)amd.first + 4 * (w->pc + 1)); break;
    case AMD_s_bitcmp0_b32: return w->scc = !(a >> (b & 31) & 1), 0;
    case AMD_s_bitcmp1_b32: return w->scc = a >> (b & 31) & 1, 0;
    case AMD_s_bitcmp1_b64: return w->scc = A >> (b & 63) & 1, 0;
    case AMD_s_memtime: case AMD_s_memrealtime: amd_set64(w, &o[0], 0, (uint64_t)amd.n_step), amd_leave(w, &w->lgkm, &o[0]); break;
    default: return fprintf(stderr, "emu942: cannot run %s\n", c->text), -1;
    }
    return amd_mark(w, &o[0], ~UINT64_C(0), ~UINT64_C(0)), 0;
}

static int amd_execute(const struct amd_code *c, struct amd_wave *w, int wave)
{
    switch (c->kind) {
    case AMD_IS_GLOBAL: case AMD_IS_BUFFER: return amd_memory(c, w, wave), 0;
    case AMD_IS_DS: return amd_shared_op(c, w, wave), 0;
    case AMD_IS_SMEM: return amd_scalar_load(c, w, wave), 0;
    case AMD_IS_SCALAR: case AMD_IS_SCMP: return amd_scalar(c, w, wave);
    case AMD_IS_OTHER:
        if (*c->text == 'd')
            return amd_exchange(c, w, wave), 0;
        return *c->text == 's' ? amd_scalar(c, w, wave) : amd_vector(c, w, wave);
    default: return amd_vector(c, w, wave);
    }
}
