/* emu942_memory.h - loads, stores and atomics of memory and of shared memory, exchanges through it.  Part of emu942.c. */

static uint32_t amd_bf16_rounded(float f)
{
    const uint32_t u = amd_u32(f);
    return isnan(f) ? 0x7fc0 : (u + 0x7fff + (u >> 16 & 1)) >> 16;
}
static uint64_t amd_atomic(char what, int bytes, uint64_t old, uint64_t v, uint64_t compared)
{
    const int32_t i = (int32_t)old, j = (int32_t)v;
    switch (what) {
    case '+': return old + v;
    case '-': return old - v;
    case '=': return v;
    case '?': return old == compared ? v : old;
    case '&': return old & v;
    case '|': return old | v;
    case '^': return old ^ v;
    case '>': return i > j ? old : v;
    case '<': return i < j ? old : v;
    case ')': return old > v ? old : v;
    case '(': return old < v ? old : v;
    case 'f': return bytes == 8 ? amd_u64(amd_double(old) + amd_double(v)) : amd_u32(amd_float((uint32_t)old) + amd_float((uint32_t)v));
    case 'p': return float_to_half(half_to_float((uint16_t)old) + half_to_float((uint16_t)v)) | (uint32_t)float_to_half(half_to_float((uint16_t)(old >> 16)) + half_to_float((uint16_t)(v >> 16))) << 16;
    default: return amd_bf16_rounded(amd_float((uint32_t)old << 16) + amd_float((uint32_t)v << 16))
                    | amd_bf16_rounded(amd_float((uint32_t)old & 0xffff0000u) + amd_float((uint32_t)v & 0xffff0000u)) << 16;
    }
}
static bool amd_is_atomic(char what) { return !strchr("lshdwuL", what); }

/* What is at p to or from registers `data` of a lane, or an atomic: data, and for comparisons `other`; the old value to `back` where there is one. */
static void amd_move(const struct amd_code *c, struct amd_wave *w, unsigned char *p, const struct amd_operand *data, int skip, const struct amd_operand *other, const struct amd_operand *back, int lane)
{
    uint32_t t[4] = { 0 };
    const int n = (c->bytes + 3) / 4;
    uint32_t *r = data->kind == 'v' ? &w->v[data->reg + skip][lane] : NULL;
    if (amd_is_atomic(c->what)) {
        uint64_t old = 0, v = 0, compared = 0;
        memcpy(&old, p, (size_t)c->bytes);
        for (int i = 0; i < n; i++)
            v |= (uint64_t)amd_raw(w, data, i, lane) << 32 * i;
        if (c->what == '?')                                      /* memory: data, compared in one operand; shared: compared, data in two */
            compared = other ? v : amd_raw(w, data, 1, lane), v = other ? amd_raw(w, other, 0, lane) : v;
        v = amd_atomic(c->what, c->bytes, old, v, compared);
        memcpy(p, &v, (size_t)c->bytes);
        for (int i = 0; i < n && back; i++)
            w->v[back->reg + i][lane] = (uint32_t)(old >> 32 * i);
        return;
    }
    if (c->what == 'w' || c->what == 'u') {
        for (int i = 0; i < n; i++)
            t[i] = amd_raw(w, data, skip + i, lane) >> (c->what == 'u' ? 16 : 0);
        memcpy(p, t, (size_t)c->bytes);
        return;
    }
    memcpy(t, p, (size_t)c->bytes);
    if (c->what == 's')
        t[0] = c->bytes == 1 ? (uint32_t)(int8_t)t[0] : (uint32_t)(int16_t)t[0];
    if (c->what == 'h' || c->what == 'd')
        *t = c->what == 'h' ? (*r & 0xffff) | *t << 16 : (*r & 0xffff0000u) | *t;
    for (int i = 0; i < n; i++)
        r[64 * i] = t[i];
}

/* The address of a lane; of a buffer: *inside tells whether it is (else loads give 0 and stores nothing, as the descriptor says). */
static uint64_t amd_address(const struct amd_code *c, const struct amd_wave *w, const struct amd_operand *address, const struct amd_operand *base, int lane, bool *inside)
{
    *inside = true;
    if (c->kind == AMD_IS_GLOBAL)
        return (!base || base->kind == 'o' ? amd_get64(w, address, lane) : amd_get64(w, base, lane) + amd_raw(w, address, 0, lane)) + (uint64_t)(int64_t)c->offset;
    const struct amd_operand *scalar = base + 1;
    const uint64_t first = amd_get64(w, base, lane) & UINT64_C(0xffffffffffff);
    const uint64_t at = (c->offen ? amd_raw(w, address, 0, lane) : 0) + (uint64_t)c->offset;
    *inside = at + (uint64_t)c->bytes <= amd_raw(w, base, 2, 0);                /* of raw buffers: stride 0 */
    return first + at + amd_raw(w, scalar, 0, 0);
}

static void amd_memory(const struct amd_code *c, struct amd_wave *w, int wave)
{
    const uint64_t exec = amd_exec(w);
    const bool write = c->what == 'w' || c->what == 'u', atomic = amd_is_atomic(c->what), buffer = c->kind == AMD_IS_BUFFER, back = c->n_written > 0 && !c->to_shared;
    /* global: store address, data, base; load to, address, base; atomic [to,] address, data, base.  buffer: data, address, base, scalar. */
    const int first = !buffer && back ? 1 : 0;
    const struct amd_operand *address = buffer ? &c->o[c->to_shared ? 0 : 1] : &c->o[first], *data = buffer ? &c->o[0] : write || atomic ? &c->o[first + 1] : &c->o[0];
    const struct amd_operand *base = buffer ? address + 1 : &c->o[first + (write || atomic ? 2 : 1)];
    uint64_t at[64], touched = 0, known = ~UINT64_C(0);
    for (int i = c->n_written; i < c->n; i++)
        for (int j = 0; j < (&c->o[i] == data && (write || atomic) ? (c->bytes + 3) / 4 : c->o[i].n); j++)
            known &= amd_known(w, &c->o[i], j);
    amd_must_know(c, wave, exec & ~known, write ? "a store of, or to, a register that nobody wrote" : "an address in a register that nobody wrote");
    struct amd_flight *f = amd_leave(w, &w->vm, back && !(buffer && write) ? &c->o[0] : NULL);
    f->write = true, f->bytes = (uint32_t)c->bytes;
    for (int l = 0; l < 64; l++) {
        if (!(exec >> l & 1))
            continue;
        bool inside;
        at[l] = amd_address(c, w, address, base, l, &inside);
        static unsigned char nothing[16];
        if (inside && !amd_global(c, wave, l, at[l], (uint64_t)c->bytes))
            continue;
        touched |= inside ? UINT64_C(1) << l : 0;
        unsigned char *p = inside ? (unsigned char *)(uintptr_t)at[l] : memset(nothing, 0, sizeof nothing);
        if (!c->to_shared) {
            amd_move(c, w, p, data, 0, NULL, back ? &c->o[0] : NULL, l);
            continue;
        }
        const uint32_t to = w->s[AMD_M0] + (uint32_t)c->offset + 4 * (uint32_t)l;
        if (amd_shared(c, wave, l, to, (uint32_t)c->bytes, true, false))
            memcpy(amd.shared + to, p, (size_t)c->bytes), f->place[f->n_place++] = to;
    }
    if (back)
        amd_mark(w, &c->o[0], exec, ~UINT64_C(0));
    if (write && c->bytes > 8)
        w->stored = data->reg, w->stored_n = data->n;
    amd_count_bytes(at, touched, c->bytes, write || atomic);
}

static void amd_shared_op(const struct amd_code *c, struct amd_wave *w, int wave)
{
    const uint64_t exec = amd_exec(w);
    const bool write = c->what == 'w' || c->what == 'u', atomic = amd_is_atomic(c->what), back = c->n_written > 0;
    const struct amd_operand *address = &c->o[back ? 1 : 0], *data = write || atomic ? address + 1 : &c->o[0];
    const uint64_t known = amd_sources_known(c, w);
    amd_must_know(c, wave, exec & ~known, write ? "a store of, or to, a register that nobody wrote" : "an address in a register that nobody wrote");
    struct amd_flight *f = amd_leave(w, &w->lgkm, back ? &c->o[0] : NULL);
    f->write = write || atomic, f->bytes = (uint32_t)c->bytes;
    uint32_t first[64];                                          /* the address may be what is loaded to */
    for (int l = 0; l < 64; l++)
        first[l] = amd_raw(w, address, 0, l);
    for (int part = 0; part < c->places; part++) {
        uint32_t at[64] = { 0 };
        for (int l = 0; l < 64; l++) {
            if (!(exec >> l & 1))
                continue;
            at[l] = first[l] + (uint32_t)(c->places == 1 ? c->offset : (part ? c->offset1 : c->offset0) * c->unit);
            if (!amd_shared(c, wave, l, at[l], (uint32_t)c->bytes, write || atomic, atomic))
                continue;
            f->place[f->n_place++] = at[l];
            for (int i = 0; i < w->vm.n && !write; i++)                          /* what a load brings there must have come */
                for (int p = 0; p < w->vm.flight[i].n_place; p++)
                    if (w->vm.flight[i].place[p] / 4 == at[l] / 4)
                        amd_report(c, wave, l, "shared memory that a load still fills is read (s_waitcnt)", at[l]);
            amd_move(c, w, amd.shared + at[l], write ? data + part : data, write || atomic ? 0 : part * c->bytes / 4, c->what == '?' ? data + 1 : NULL, back ? &c->o[0] : NULL, l);
        }
        amd_count_banks(at, exec, c->bytes, write || atomic);
    }
    if (back)
        amd_mark(w, &c->o[0], exec, ~UINT64_C(0));
}

static int amd_swizzle(int offset, int l)
{
    if (offset & 0x8000)
        return (l & ~3) | (offset >> 2 * (l & 3) & 3);
    return (((l & 31 & (offset & 31)) | (offset >> 5 & 31)) ^ (offset >> 10 & 31)) | (l & 32);
}
/* Exchanges of 32 bits between lanes, through the hardware of shared memory. */
static void amd_exchange(const struct amd_code *c, struct amd_wave *w, int wave)
{
    const uint64_t exec = amd_exec(w);
    uint32_t t[64] = { 0 };
    uint64_t known = 0, address = ~UINT64_C(0);
    const struct amd_operand *data = c->op == AMD_ds_swizzle_b32 ? &c->o[1] : &c->o[2];
    if (c->op != AMD_ds_swizzle_b32)
        address = amd_known(w, &c->o[1], 0);
    amd_must_know(c, wave, exec & ~address, "a lane in a register that nobody wrote");
    const uint64_t from = amd_known(w, data, 0);
    if (c->op == AMD_ds_permute_b32)
        known = ~UINT64_C(0);
    for (int l = 0; l < 64; l++) {
        const int other = c->op == AMD_ds_swizzle_b32 ? amd_swizzle(c->offset, l) : (int)((amd_raw(w, &c->o[1], 0, l) + (uint32_t)c->offset) >> 2 & 63);
        if (c->op != AMD_ds_permute_b32) {
            t[l] = exec >> other & 1 ? amd_raw(w, data, 0, other) : 0;
            known |= (exec >> other & 1 ? from >> other & 1 : 1) << l;
        } else if (exec >> l & 1) {
            t[other] = amd_raw(w, data, 0, l);
            known = (known & ~(UINT64_C(1) << other)) | (from >> l & 1) << other;
        }
    }
    for (int l = 0; l < 64; l++)
        if (exec >> l & 1)
            w->v[c->o[0].reg][l] = t[l];
    amd_mark(w, &c->o[0], exec, known);
    amd_leave(w, &w->lgkm, &c->o[0]);
}

static void amd_scalar_load(const struct amd_code *c, struct amd_wave *w, int wave)
{
    const uint64_t at = amd_get64(w, &c->o[1], 0) + amd_raw(w, &c->o[2], 0, 0), n = (uint64_t)c->bytes;
    amd_must_know(c, wave, ~amd_sources_known(c, w), "an address in a register that nobody wrote");
    if (amd_global(c, wave, 0, at, n))
        memcpy(&w->s[c->o[0].reg], (const void *)(uintptr_t)at, n);
    amd.counts->bytes_scalar += (long)n;
    amd_mark(w, &c->o[0], ~UINT64_C(0), ~UINT64_C(0));
    amd_leave(w, &w->lgkm, &c->o[0]);
}
