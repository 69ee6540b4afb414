/* emu942.c - runs gfx942 code objects: decoded by LLVM's disassembler, executed here, a wave of 64 lanes an instruction.  Included by a test.
 *
 * vcc is s[106:107], m0 s124, exec s[126:127], accumulators are v256 and up.  Found and counted in amd_bad: accesses outside of the blocks that
 * amd_block() named or of the kernel's shared memory, misaligned ones, shared memory that nobody wrote, and races: two waves at the same
 * byte with no barrier between, one of them writing.  Not seen: missing s_waitcnt, the rounding of MFMA's sums. */
#include <stdint.h>
#ifdef HAVE_LLVM_19                /* without: nothing but these types, as ISO C has no empty translation unit */
#include <elf.h>
#include <llvm-c/Disassembler.h>
#include <llvm-c/Target.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cpu/quant.h"

#define AMD_SHARED 65536
#define AMD_OPS(X) \
    X(ds_bpermute_b32) X(ds_read_b32) X(ds_read_b64) X(ds_read_b128) X(ds_read2_b32) X(ds_read2_b64) X(ds_read2st64_b32) X(ds_write_b32) X(ds_write_b64) X(ds_write_b128) X(ds_write2_b32) \
    X(ds_write2_b64) X(ds_write2st64_b32) X(ds_write_b16) X(global_load_ushort) X(global_load_dword) X(global_load_dwordx2) X(global_load_dwordx4) X(global_store_short) X(global_store_short_d16_hi) \
    X(global_store_dword) X(global_store_dwordx2) X(global_store_dwordx4) X(s_load_dword) X(s_load_dwordx2) X(s_load_dwordx4) X(s_load_dwordx8) X(s_load_dwordx16) X(s_endpgm) X(s_barrier) \
    X(s_waitcnt) X(s_nop) X(s_setprio) X(s_branch) X(s_cbranch_execz) X(s_cbranch_execnz) X(s_cbranch_vccz) X(s_cbranch_vccnz) X(s_cbranch_scc0) X(s_cbranch_scc1) X(s_mov_b32) X(s_mov_b64) \
    X(s_movk_i32) X(s_add_i32) X(s_add_u32) X(s_addc_u32) X(s_sub_i32) X(s_sub_u32) X(s_subb_u32) X(s_addk_i32) X(s_mulk_i32) X(s_mul_i32) X(s_mul_hi_u32) X(s_mul_hi_i32) X(s_lshl_b32) \
    X(s_lshr_b32) X(s_ashr_i32) X(s_lshl_b64) X(s_lshr_b64) X(s_ashr_i64) X(s_and_b32) X(s_or_b32) X(s_xor_b32) X(s_and_b64) X(s_or_b64) X(s_xor_b64) X(s_andn2_b64) X(s_orn2_b64) X(s_min_i32) \
    X(s_max_i32) X(s_abs_i32) X(s_not_b32) X(s_cselect_b32) X(s_cselect_b64) X(s_and_saveexec_b64) X(s_or_saveexec_b64) X(s_andn2_saveexec_b64) X(v_mov_b32) X(v_mov_b64) X(v_accvgpr_read_b32) \
    X(v_accvgpr_write_b32) X(v_add_f32) X(v_sub_f32) X(v_subrev_f32) X(v_mul_f32) X(v_max_f32) X(v_min_f32) X(v_max3_f32) X(v_fma_f32) X(v_fmac_f32) X(v_fmamk_f32) X(v_fmaak_f32) X(v_fma_mix_f32) X(v_pk_add_f32) X(v_pk_mul_f32) \
    X(v_pk_fma_f32) X(v_exp_f32) X(v_log_f32) X(v_rcp_f32) X(v_rcp_iflag_f32) X(v_rsq_f32) X(v_rndne_f32) X(v_trunc_f32) X(v_ldexp_f32) X(v_frexp_mant_f32) X(v_frexp_exp_i32_f32) \
    X(v_div_scale_f32) X(v_div_fmas_f32) X(v_div_fixup_f32) X(v_cvt_f32_i32) X(v_cvt_f32_u32) X(v_cvt_i32_f32) X(v_cvt_u32_f32) X(v_cvt_f32_f16) X(v_cvt_f32_f16_sdwa) X(v_cvt_f32_ubyte0) \
    X(v_cvt_f32_ubyte1) X(v_add_u32) X(v_sub_u32) X(v_subrev_u32) X(v_add3_u32) X(v_add_lshl_u32) X(v_lshl_add_u32) X(v_lshl_or_b32) X(v_and_or_b32) X(v_or3_b32) X(v_xad_u32) X(v_and_b32) X(v_or_b32) \
    X(v_xor_b32) X(v_not_b32) X(v_bfe_u32) X(v_bfe_i32) X(v_bfrev_b32) X(v_perm_b32) X(v_alignbit_b32) X(v_lshlrev_b32) X(v_lshrrev_b32) X(v_ashrrev_i32) X(v_lshlrev_b64) X(v_lshrrev_b64) X(v_ashrrev_i64) X(v_lshl_add_u64) \
    X(v_mul_lo_u32) X(v_mul_hi_u32) X(v_mul_u32_u24) X(v_mad_u32_u24) X(v_mad_u64_u32) X(v_mad_i64_i32) X(v_max_i32) X(v_min_i32) X(v_min_u32) X(v_add_co_u32) X(v_addc_co_u32) X(v_sub_co_u32) X(v_subrev_co_u32) \
    X(v_subb_co_u32) X(v_subbrev_co_u32) X(v_cndmask_b32) X(v_mbcnt_lo_u32_b32) X(v_mbcnt_hi_u32_b32) X(v_readlane_b32) X(v_writelane_b32) X(v_readfirstlane_b32) X(v_dot4c_i32_i8) X(v_mfma_f32_32x32x8_bf16) X(v_mfma_f32_16x16x16_bf16) X(v_mfma_f32_16x16x32_fp8_fp8)
enum amd_op {
#define X(name) AMD_##name,
    AMD_OPS(X)
#undef X
    AMD_s_cmp, AMD_v_cmp, AMD_none
};
enum { AMD_VCC = 106, AMD_M0 = 124, AMD_EXEC = 126 };
struct amd_operand { char kind; int reg, n; uint32_t value; bool neg, abs; };           /* 'v', 's', 'c' constant, 'o' off */
struct amd_code {
    enum amd_op op;
    int n, size, offset, offset0, offset1, op_sel, op_sel_hi, neg_lo, neg_hi;
    bool word1, wide;                                                                    /* a scalar instruction of 64 bits */
    char how[4], type[4], text[100];                                                     /* of compares */
    struct amd_operand o[6];
};
struct amd_wave { uint32_t v[512][64], s[128]; bool scc; size_t pc; int state; };
struct amd_shadow { uint32_t write_round, read_round; int writer, reader; bool written, readers; };
static struct {
    unsigned char *image;
    struct amd_code *code;
    size_t n_code;
    uint32_t shared_bytes;
    int user_sgpr, id_on[3], id[3], n_block;
    struct { uintptr_t begin, end; } block[256];
    unsigned char shared[AMD_SHARED];
    struct amd_shadow shadow[AMD_SHARED];
    uint32_t round;
} amd;
static int amd_bad, amd_loud = 4;

static void amd_report(const struct amd_code *c, int wave, int lane, const char *what, uint64_t at)
{
    if (amd_bad++ < amd_loud)
        fprintf(stderr, "emu942: wave %d lane %d of block %d,%d,%d: %s at %#llx: %s\n", wave, lane, amd.id[0], amd.id[1], amd.id[2], what, (unsigned long long)at, c->text);
}

/* ---- reading ---- */

static bool amd_operand(struct amd_operand *o, const char *t)
{
    *o = (struct amd_operand){ .n = 1 };
    if (*t == '-' && strchr("vsa|", t[1]))
        o->neg = true, t++;
    if (*t == '|')
        o->abs = true, t++;
    static const struct { const char *name; int reg, n; } named[] = { { "vcc_lo", AMD_VCC, 1 }, { "vcc_hi", AMD_VCC + 1, 1 }, { "vcc", AMD_VCC, 2 }, { "exec_lo", AMD_EXEC, 1 },
                                                                      { "exec_hi", AMD_EXEC + 1, 1 }, { "exec", AMD_EXEC, 2 }, { "m0", AMD_M0, 1 } };
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        if (!strncmp(t, named[i].name, strlen(named[i].name))) {
            o->kind = 's', o->reg = named[i].reg, o->n = named[i].n;
            return true;
        }
    if (!strcmp(t, "off"))
        return o->kind = 'o', true;
    if (strchr("vsa", *t) && (t[1] == '[' || (t[1] >= '0' && t[1] <= '9'))) {
        int last;
        o->kind = *t == 's' ? 's' : 'v';
        if (sscanf(t + 1, "[%d:%d]", &o->reg, &last) == 2)
            o->n = last - o->reg + 1;
        else
            o->reg = atoi(t + 1);
        o->reg += *t == 'a' ? 256 : 0;
        return true;
    }
    if (*t == '-' || (*t >= '0' && *t <= '9')) {
        o->kind = 'c';
        const float f = strtof(t, NULL);
        if (strchr(t, '.') && strncmp(t, "0x", 2) != 0)
            memcpy(&o->value, &f, 4);
        else
            o->value = (uint32_t)strtoll(t, NULL, 0);
        return true;
    }
    return false;
}

static int amd_field(const char *text, const char *name)
{
    const char *p = strstr(text, name);
    return p ? atoi(p + strlen(name)) : 0;
}
static int amd_bits(const char *text, const char *name, int otherwise)
{
    const char *p = strstr(text, name);
    int a = 0, b = 0, c = 0;
    return p ? (sscanf(p + strlen(name), "%d,%d,%d", &a, &b, &c), a | b << 1 | c << 2) : otherwise;
}

static int amd_decode(struct amd_code *c, const char *text)
{
    static const char *const names[] = {
#define X(name) #name,
        AMD_OPS(X)
#undef X
    };
    while (*text == '\t' || *text == ' ')
        text++;
    snprintf(c->text, sizeof c->text, "%.*s", (int)sizeof c->text - 1, text);
    char name[64];
    size_t n = strcspn(text, " ");
    snprintf(name, sizeof name, "%.*s", (int)n, text);
    if (n > 4 && (!strcmp(name + n - 4, "_e32") || !strcmp(name + n - 4, "_e64")))
        name[n - 4] = 0;
    c->wide = strstr(name, "64") != NULL;
    c->op = AMD_none;
    for (int i = 0; i < AMD_s_cmp; i++)
        if (!strcmp(names[i], name))
            c->op = (enum amd_op)i;
    if (sscanf(name, "s_cmp_%3[a-z]_%3s", c->how, c->type) == 2 || sscanf(name, "s_cmpk_%3[a-z]_%3s", c->how, c->type) == 2)
        c->op = AMD_s_cmp;
    else if (sscanf(name, "v_cmp_%3[a-z]_%3s", c->how, c->type) == 2)
        c->op = AMD_v_cmp;
    if (c->op == AMD_none)
        return fprintf(stderr, "emu942: no '%s'\n", text), -1;
    c->offset = amd_field(text, " offset:"), c->offset0 = amd_field(text, "offset0:"), c->offset1 = amd_field(text, "offset1:");
    c->op_sel = amd_bits(text, "op_sel:[", 0), c->op_sel_hi = amd_bits(text, "op_sel_hi:[", c->op == AMD_v_fma_mix_f32 ? 0 : 7);
    c->neg_lo = amd_bits(text, "neg_lo:[", 0), c->neg_hi = amd_bits(text, "neg_hi:[", 0);
    c->word1 = strstr(text, "src0_sel:WORD_1") != NULL;
    if (c->op == AMD_s_waitcnt || c->op == AMD_s_nop)
        return 0;
    char copy[160], *rest = copy, *one;
    snprintf(copy, sizeof copy, "%s", text + n);
    while ((one = strsep(&rest, ", ")))
        if (*one && c->n < 6 && amd_operand(&c->o[c->n], one))
            c->n++;
    return 0;
}

/* The kernel of a code object, to be run by amd_launch(). */
static int amd_load(const char *object, const char *kernel)
{
    static bool ready;
    if (!ready) {
        LLVMInitializeAMDGPUTargetInfo();
        LLVMInitializeAMDGPUTargetMC();
        LLVMInitializeAMDGPUDisassembler();
        ready = true;
    }
    Elf64_Ehdr h;
    memcpy(&h, object, sizeof h);
    size_t size = 0;
    for (int i = 0; i < h.e_phnum; i++) {
        Elf64_Phdr p;
        memcpy(&p, object + h.e_phoff + (size_t)i * sizeof p, sizeof p);
        size = p.p_type == PT_LOAD && p.p_vaddr + p.p_memsz > size ? p.p_vaddr + p.p_memsz : size;
    }
    free(amd.image);
    free(amd.code);
    amd.image = calloc(1, size);
    for (int i = 0; i < h.e_phnum; i++) {
        Elf64_Phdr p;
        memcpy(&p, object + h.e_phoff + (size_t)i * sizeof p, sizeof p);
        if (p.p_type == PT_LOAD)
            memcpy(amd.image + p.p_vaddr, object + p.p_offset, p.p_filesz);
    }
    uint64_t descriptor = 0, bytes = 0;
    char symbol[96];
    snprintf(symbol, sizeof symbol, "%s.kd", kernel);
    for (int i = 0; i < h.e_shnum; i++) {
        Elf64_Shdr s, names;
        memcpy(&s, object + h.e_shoff + (size_t)i * sizeof s, sizeof s);
        if (s.sh_type != SHT_DYNSYM)
            continue;
        memcpy(&names, object + h.e_shoff + s.sh_link * sizeof names, sizeof names);
        for (size_t j = 0; j < s.sh_size / sizeof(Elf64_Sym); j++) {
            Elf64_Sym y;
            memcpy(&y, object + s.sh_offset + j * sizeof y, sizeof y);
            const char *name = object + names.sh_offset + y.st_name;
            descriptor = !strcmp(name, symbol) ? y.st_value : descriptor;
            bytes = !strcmp(name, kernel) ? y.st_size : bytes;
        }
    }
    if (!descriptor || !bytes)
        return -1;
    /* The kernel descriptor: LLVM's AMDGPUUsage, "Kernel Descriptor". */
    int64_t entry;
    uint32_t rsrc2;
    uint16_t properties;
    memcpy(&amd.shared_bytes, amd.image + descriptor, 4);
    memcpy(&entry, amd.image + descriptor + 16, 8);
    memcpy(&rsrc2, amd.image + descriptor + 52, 4);
    memcpy(&properties, amd.image + descriptor + 56, 2);
    if ((properties & 0x7f) != 8)
        return fprintf(stderr, "emu942: %s wants more than its arguments (%#x)\n", kernel, properties), -1;
    amd.user_sgpr = rsrc2 >> 1 & 31;
    for (int i = 0; i < 3; i++)
        amd.id_on[i] = rsrc2 >> (7 + i) & 1;
    amd.n_code = bytes / 4;
    amd.code = calloc(amd.n_code, sizeof *amd.code);
    LLVMDisasmContextRef d = LLVMCreateDisasmCPU("amdgcn-amd-amdhsa", "gfx942", NULL, 0, NULL, NULL);
    int rc = d ? 0 : -1;
    unsigned char *code = amd.image + descriptor + entry;
    for (uint64_t at = 0; at < bytes && rc == 0;) {
        char text[256];
        const size_t n = LLVMDisasmInstruction(d, code + at, bytes - at, 0, text, sizeof text);
        rc = n ? amd_decode(&amd.code[at / 4], text) : -1;
        amd.code[at / 4].size = (int)(n / 4);
        at += n;
    }
    LLVMDisasmDispose(d);
    return rc;
}
static void amd_block(const void *p, size_t n)
{
    amd.block[amd.n_block].begin = (uintptr_t)p;
    amd.block[amd.n_block++].end = (uintptr_t)p + n;
}

/* ---- values ---- */

static float amd_float(uint32_t u)
{
    float f;
    memcpy(&f, &u, 4);
    return f;
}
static uint32_t amd_u32(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}
static uint32_t amd_raw(const struct amd_wave *w, const struct amd_operand *o, int i, int lane)
{
    return o->kind == 'v' ? w->v[o->reg + i][lane] : o->kind == 's' ? w->s[o->reg + i] : o->value;
}
static uint32_t amd_get(const struct amd_wave *w, const struct amd_operand *o, int i, int lane)
{
    uint32_t v = amd_raw(w, o, i, lane);
    v = o->abs ? v & 0x7fffffff : v;
    return o->neg ? v ^ 0x80000000 : v;
}
static uint64_t amd_get64(const struct amd_wave *w, const struct amd_operand *o, int lane)
{
    return o->kind == 'c' ? (uint64_t)(int64_t)(int32_t)o->value : amd_raw(w, o, 0, lane) | (uint64_t)amd_raw(w, o, 1, lane) << 32;
}
static void amd_set64(struct amd_wave *w, const struct amd_operand *o, int lane, uint64_t v)
{
    if (o->kind == 'v')
        w->v[o->reg][lane] = (uint32_t)v, w->v[o->reg + 1][lane] = (uint32_t)(v >> 32);
    else
        w->s[o->reg] = (uint32_t)v, w->s[o->reg + 1] = (uint32_t)(v >> 32);
}
static uint64_t amd_exec(const struct amd_wave *w) { return w->s[AMD_EXEC] | (uint64_t)w->s[AMD_EXEC + 1] << 32; }

static bool amd_compare(const char *how, const char *type, uint64_t x, uint64_t y)
{
    bool less, equal;
    if (*type == 'f') {
        const float a = amd_float((uint32_t)x), b = amd_float((uint32_t)y);
        const bool negated = how[0] == 'n' && how[1] != 'e';                 /* ngt: not greater, true for NaN */
        const char *h = negated ? how + 1 : how;
        less = a < b, equal = a == b;
        const bool greater = a > b;
        const bool r = !strcmp(h, "lt") ? less : !strcmp(h, "le") ? less || equal : !strcmp(h, "gt") ? greater : !strcmp(h, "ge") ? greater || equal : !strcmp(h, "eq") ? equal : less || greater;
        return r != negated;
    }
    const bool wide = !strcmp(type + 1, "64");
    if (*type == 'i') {
        const int64_t a = wide ? (int64_t)x : (int32_t)x, b = wide ? (int64_t)y : (int32_t)y;
        less = a < b, equal = a == b;
    } else {
        const uint64_t a = wide ? x : (uint32_t)x, b = wide ? y : (uint32_t)y;
        less = a < b, equal = a == b;
    }
    return !strcmp(how, "lt") ? less : !strcmp(how, "le") ? less || equal : !strcmp(how, "gt") ? !less && !equal : !strcmp(how, "ge") ? !less : !strcmp(how, "eq") ? equal : !equal;
}

static uint32_t amd_permute(uint32_t a, uint32_t b, uint32_t sel)
{
    const uint64_t both = (uint64_t)a << 32 | b;
    uint32_t out = 0;
    for (int i = 0; i < 4; i++) {
        const uint32_t s = sel >> (8 * i) & 255;
        out |= (s < 8 ? (uint32_t)(both >> (8 * s)) & 255 : s == 12 ? 0 : 255) << (8 * i);
    }
    return out;
}
static uint32_t amd_reverse(uint32_t v)
{
    uint32_t r = 0;
    for (int i = 0; i < 32; i++)
        r |= (v >> i & 1) << (31 - i);
    return r;
}
static float amd_fixup(float q, float b, float a)
{
    return b == 0 || a == 0 || !isfinite(a) || !isfinite(b) ? a / b : q;
}

/* What one lane's 32-bit result is; false where the instruction is none of these. */
static bool amd_lane(const struct amd_code *c, uint32_t a, uint32_t b, uint32_t d, uint32_t old, int lane, uint32_t *out)
{
    const float x = amd_float(a), y = amd_float(b), z = amd_float(d);
    int e = 0;
    switch (c->op) {
    case AMD_v_mov_b32: case AMD_v_accvgpr_read_b32: case AMD_v_accvgpr_write_b32: *out = a; break;
    case AMD_v_add_f32: *out = amd_u32(x + y); break;
    case AMD_v_sub_f32: *out = amd_u32(x - y); break;
    case AMD_v_subrev_f32: *out = amd_u32(y - x); break;
    case AMD_v_mul_f32: *out = amd_u32(x * y); break;
    case AMD_v_max_f32: *out = amd_u32(fmaxf(x, y)); break;
    case AMD_v_max3_f32: *out = amd_u32(fmaxf(fmaxf(x, y), z)); break;
    case AMD_v_min_f32: *out = amd_u32(fminf(x, y)); break;
    case AMD_v_fma_f32: case AMD_v_div_fmas_f32: *out = amd_u32(fmaf(x, y, z)); break;
    case AMD_v_fmac_f32: *out = amd_u32(fmaf(x, y, amd_float(old))); break;
    case AMD_v_fmamk_f32: case AMD_v_fmaak_f32: *out = amd_u32(fmaf(x, y, z)); break;            /* a * K + b, a * b + K: as they are written */
    case AMD_v_exp_f32: *out = amd_u32(exp2f(x)); break;
    case AMD_v_log_f32: *out = amd_u32(log2f(x)); break;
    case AMD_v_rcp_f32: case AMD_v_rcp_iflag_f32: *out = amd_u32(1 / x); break;
    case AMD_v_rsq_f32: *out = amd_u32(1 / sqrtf(x)); break;
    case AMD_v_rndne_f32: *out = amd_u32(rintf(x)); break;
    case AMD_v_trunc_f32: *out = amd_u32(truncf(x)); break;
    case AMD_v_ldexp_f32: *out = amd_u32(ldexpf(x, (int32_t)b)); break;
    case AMD_v_frexp_mant_f32: *out = amd_u32(frexpf(x, &e)); break;
    case AMD_v_frexp_exp_i32_f32: frexpf(x, &e), *out = (uint32_t)e; break;
    case AMD_v_div_fixup_f32: *out = amd_u32(amd_fixup(x, y, z)); break;
    case AMD_v_cvt_f32_i32: *out = amd_u32((float)(int32_t)a); break;
    case AMD_v_cvt_f32_u32: *out = amd_u32((float)a); break;
    case AMD_v_cvt_i32_f32: *out = (uint32_t)(int32_t)x; break;
    case AMD_v_cvt_u32_f32: *out = x <= 0 ? 0 : x >= 4294967296.0f ? 0xffffffff : (uint32_t)x; break;
    case AMD_v_cvt_f32_ubyte0: *out = amd_u32((float)(a & 255)); break;
    case AMD_v_cvt_f32_ubyte1: *out = amd_u32((float)(a >> 8 & 255)); break;
    case AMD_v_add_u32: *out = a + b; break;
    case AMD_v_sub_u32: *out = a - b; break;
    case AMD_v_subrev_u32: *out = b - a; break;
    case AMD_v_add3_u32: *out = a + b + d; break;
    case AMD_v_add_lshl_u32: *out = (a + b) << (d & 31); break;
    case AMD_v_lshl_add_u32: *out = (a << (b & 31)) + d; break;
    case AMD_v_lshl_or_b32: *out = (a << (b & 31)) | d; break;
    case AMD_v_and_or_b32: *out = (a & b) | d; break;
    case AMD_v_or3_b32: *out = a | b | d; break;
    case AMD_v_xad_u32: *out = (a ^ b) + d; break;
    case AMD_v_and_b32: *out = a & b; break;
    case AMD_v_or_b32: *out = a | b; break;
    case AMD_v_xor_b32: *out = a ^ b; break;
    case AMD_v_not_b32: *out = ~a; break;
    case AMD_v_bfe_u32: *out = a >> (b & 31) & ((1u << (d & 31)) - 1); break;
    case AMD_v_bfe_i32: *out = (d & 31) == 0 ? 0 : (uint32_t)((int32_t)(a >> (b & 31) << (32 - (d & 31))) >> (32 - (d & 31))); break;
    case AMD_v_bfrev_b32: *out = amd_reverse(a); break;
    case AMD_v_perm_b32: *out = amd_permute(a, b, d); break;
    case AMD_v_alignbit_b32: *out = (uint32_t)(((uint64_t)a << 32 | b) >> (d & 31)); break;
    case AMD_v_lshlrev_b32: *out = b << (a & 31); break;
    case AMD_v_lshrrev_b32: *out = b >> (a & 31); break;
    case AMD_v_ashrrev_i32: *out = (uint32_t)((int32_t)b >> (a & 31)); break;
    case AMD_v_mul_lo_u32: *out = a * b; break;
    case AMD_v_mul_hi_u32: *out = (uint32_t)((uint64_t)a * b >> 32); break;
    case AMD_v_mul_u32_u24: *out = (a & 0xffffff) * (b & 0xffffff); break;
    case AMD_v_mad_u32_u24: *out = (a & 0xffffff) * (b & 0xffffff) + d; break;
    case AMD_v_max_i32: *out = (int32_t)a > (int32_t)b ? a : b; break;
    case AMD_v_min_i32: *out = (int32_t)a < (int32_t)b ? a : b; break;
    case AMD_v_min_u32: *out = a < b ? a : b; break;
    case AMD_v_mbcnt_lo_u32_b32: *out = b + (uint32_t)__builtin_popcount(a & (lane >= 32 ? ~0u : (1u << lane) - 1)); break;
    case AMD_v_mbcnt_hi_u32_b32: *out = b + (lane < 32 ? 0 : (uint32_t)__builtin_popcount(a & ((1u << (lane - 32)) - 1))); break;
    case AMD_v_dot4c_i32_i8:
        *out = old;
        for (int i = 0; i < 32; i += 8)
            *out += (uint32_t)((int8_t)(a >> i) * (int8_t)(b >> i));
        break;
    default: return false;
    }
    return true;
}

/* ---- memory ---- */

static bool amd_global(const struct amd_code *c, int wave, int lane, uint64_t at, uint64_t n)
{
    if (at % (n < 4 ? n : 4))
        return amd_report(c, wave, lane, "a misaligned access", at), false;
    for (int i = 0; i < amd.n_block; i++)
        if (at >= amd.block[i].begin && at + n <= amd.block[i].end)
            return true;
    return amd_report(c, wave, lane, "outside of every block of memory", at), false;
}
static void amd_shared(const struct amd_code *c, int wave, int lane, uint32_t at, uint32_t n, uint32_t *value, bool write)
{
    if (at + n > amd.shared_bytes || at % (n < 16 ? n : 16)) {
        amd_report(c, wave, lane, at + n > amd.shared_bytes ? "outside of shared memory" : "a misaligned access of shared memory", at);
        return;
    }
    for (uint32_t i = at; i < at + n; i++) {
        struct amd_shadow *s = &amd.shadow[i];
        const bool other_wrote = s->written && s->write_round == amd.round && s->writer != wave;
        const bool other_read = s->read_round == amd.round && (s->readers || s->reader != wave);
        if (!write && !s->written) {
            amd_report(c, wave, lane, "shared memory that nobody wrote is read", at);
            break;
        }
        if (other_wrote || (write && other_read)) {
            amd_report(c, wave, lane, "a race for shared memory", at);
            break;
        }
        if (write) {
            s->written = true, s->writer = wave, s->write_round = amd.round;
        } else {
            s->readers = s->read_round == amd.round && (s->readers || s->reader != wave);
            s->reader = wave, s->read_round = amd.round;
        }
    }
    if (write)
        memcpy(amd.shared + at, value, n);
    else
        memcpy(value, amd.shared + at, n);
}

static void amd_ds(const struct amd_code *c, struct amd_wave *w, int wave, int lane)
{
    const char *name = c->text;
    const bool write = !strncmp(name, "ds_write", 8), two = name[write ? 8 : 7] == '2';
    const uint32_t step = strstr(name, "st64") ? 64 : 1;
    const struct amd_operand *address = write ? &c->o[0] : &c->o[1];
    const uint32_t base = amd_raw(w, address, 0, lane);
    uint32_t t[4] = { 0 };
    if (c->op == AMD_ds_write_b16) {
        t[0] = amd_raw(w, &c->o[1], 0, lane);
        amd_shared(c, wave, lane, base + (uint32_t)c->offset, 2, t, true);
        return;
    }
    const int n = write ? c->o[1].n : two ? c->o[0].n / 2 : c->o[0].n;
    for (int part = 0; part < 1 + two; part++) {
        const uint32_t at = base + (two ? (uint32_t)(part ? c->offset1 : c->offset0) * step * 4 * (uint32_t)n : (uint32_t)c->offset);
        for (int i = 0; i < n && write; i++)
            t[i] = amd_raw(w, &c->o[1 + part], i, lane);
        amd_shared(c, wave, lane, at, 4 * (uint32_t)n, t, write);
        for (int i = 0; i < n && !write; i++)
            w->v[c->o[0].reg + part * n + i][lane] = t[i];
    }
}

static void amd_global_op(const struct amd_code *c, struct amd_wave *w, int wave, int lane)
{
    const bool store = !strncmp(c->text, "global_store", 12), half = strstr(c->text, "short") != NULL;
    const struct amd_operand *address = &c->o[store ? 0 : 1], *data = &c->o[store ? 1 : 0], *base = &c->o[2];
    const uint64_t at = (base->kind == 'o' ? amd_get64(w, address, lane) : amd_get64(w, base, lane) + amd_raw(w, address, 0, lane)) + (uint64_t)(int64_t)c->offset;
    const uint64_t n = half ? 2 : 4 * (uint64_t)data->n;
    uint32_t t[4] = { 0 };
    if (!amd_global(c, wave, lane, at, n))
        return;
    if (store) {
        for (int i = 0; i < data->n; i++)
            t[i] = amd_raw(w, data, i, lane) >> (c->op == AMD_global_store_short_d16_hi ? 16 : 0);
        memcpy((void *)(uintptr_t)at, t, n);
        return;
    }
    memcpy(t, (const void *)(uintptr_t)at, n);
    for (int i = 0; i < data->n; i++)
        w->v[data->reg + i][lane] = t[i];
}

/* ---- instructions ---- */

/* A lane has k 4(lane/32) .. +3 of row, of column, lane%32; accumulator i is row 8(i/4) + 4(lane/32) + i%4, column lane%32. */
static void amd_mfma(const struct amd_code *c, struct amd_wave *w)
{
    static float a[32][8], b[32][8];
    static uint32_t d[16][64];
    for (int l = 0; l < 64; l++)
        for (int j = 0; j < 4; j++) {
            a[l & 31][4 * (l >> 5) + j] = amd_float(amd_raw(w, &c->o[1], j >> 1, l) >> (16 * (j & 1)) << 16);
            b[l & 31][4 * (l >> 5) + j] = amd_float(amd_raw(w, &c->o[2], j >> 1, l) >> (16 * (j & 1)) << 16);
        }
    for (int l = 0; l < 64; l++)
        for (int i = 0; i < 16; i++) {
            float s = amd_float(amd_raw(w, &c->o[3], c->o[3].kind == 'v' ? i : 0, l));
            for (int k = 0; k < 8; k++)
                s = fmaf(a[8 * (i >> 2) + 4 * (l >> 5) + (i & 3)][k], b[l & 31][k], s);
            d[i][l] = amd_u32(s);
        }
    for (int i = 0; i < 16; i++)
        memcpy(w->v[c->o[0].reg + i], d[i], sizeof d[i]);
}

static float amd_e4m3fnuz(uint32_t u)
{
    const int e = u >> 3 & 15, m = u & 7;
    const float f = e ? ldexpf((float)(8 + m), e - 11) : ldexpf((float)m, -10);
    return u == 0x80 ? NAN : u & 0x80 ? -f : f;
}
/* Of 16 x 16: a lane has 8 bytes of row, of column, lane%16, the (lane/16)-th; accumulator i is row 4(lane/16) + i, column lane%16. */
static void amd_mfma16(const struct amd_code *c, struct amd_wave *w)
{
    static float a[16][32], b[16][32];
    static uint32_t d[4][64];
    const int n = c->op == AMD_v_mfma_f32_16x16x16_bf16 ? 4 : 8;
    for (int l = 0; l < 64; l++)
        for (int j = 0; j < n; j++)
            for (int x = 0; x < 2; x++) {
                const uint32_t v = amd_raw(w, &c->o[1 + x], j / (n / 2), l);
                (x ? b : a)[l & 15][n * (l >> 4) + j] = n == 4 ? amd_float(v >> (16 * (j & 1)) << 16) : amd_e4m3fnuz(v >> (8 * (j & 3)) & 255);
            }
    for (int l = 0; l < 64; l++)
        for (int i = 0; i < 4; i++) {
            float s = amd_float(amd_raw(w, &c->o[3], c->o[3].kind == 'v' ? i : 0, l));
            for (int k = 0; k < 4 * n; k++)
                s = fmaf(a[4 * (l >> 4) + i][k], b[l & 15][k], s);
            d[i][l] = amd_u32(s);
        }
    for (int i = 0; i < 4; i++)
        memcpy(w->v[c->o[0].reg + i], d[i], sizeof d[i]);
}

/* A source of v_fma_mix_f32: a float, or one of the halves of a register. */
static float amd_mix(const struct amd_code *c, const struct amd_wave *w, int i, int lane)
{
    const struct amd_operand *o = &c->o[1 + i];
    const uint32_t raw = amd_raw(w, o, 0, lane);
    float f = c->op_sel_hi >> i & 1 ? half_to_float((uint16_t)(raw >> (c->op_sel >> i & 1 ? 16 : 0))) : amd_float(raw);
    f = o->abs ? fabsf(f) : f;
    return o->neg ? -f : f;
}

/* Sums with carries: d, carry, a, b[, carry]. */
static bool amd_carry(const struct amd_code *c, struct amd_wave *w, uint64_t exec)
{
    const bool with = c->op == AMD_v_addc_co_u32 || c->op == AMD_v_subb_co_u32 || c->op == AMD_v_subbrev_co_u32;
    const bool add = c->op == AMD_v_add_co_u32 || c->op == AMD_v_addc_co_u32, reversed = c->op == AMD_v_subrev_co_u32 || c->op == AMD_v_subbrev_co_u32;
    if (!with && !add && c->op != AMD_v_sub_co_u32 && !reversed)
        return false;
    const uint64_t in = with ? amd_get64(w, &c->o[4], 0) : 0;
    uint64_t out = 0;
    for (int l = 0; l < 64; l++)
        if (exec >> l & 1) {
            const uint64_t a = amd_get(w, &c->o[reversed ? 3 : 2], 0, l), b = amd_get(w, &c->o[reversed ? 2 : 3], 0, l), r = add ? a + b + (in >> l & 1) : a - b - (in >> l & 1);
            out |= (r >> 32 & 1) << l;
            w->v[c->o[0].reg][l] = (uint32_t)r;
        }
    amd_set64(w, &c->o[1], 0, out);
    return true;
}

static int amd_vector(const struct amd_code *c, struct amd_wave *w, int wave)
{
    const uint64_t exec = amd_exec(w);
    const struct amd_operand *o = c->o;
    if (c->op == AMD_v_mfma_f32_32x32x8_bf16)
        return amd_mfma(c, w), 0;
    if (c->op == AMD_v_mfma_f32_16x16x16_bf16 || c->op == AMD_v_mfma_f32_16x16x32_fp8_fp8)
        return amd_mfma16(c, w), 0;
    if (c->op == AMD_v_readlane_b32 || c->op == AMD_v_readfirstlane_b32) {
        const int lane = c->op == AMD_v_readlane_b32 ? (int)(amd_raw(w, &o[2], 0, 0) & 63) : exec ? __builtin_ctzll(exec) : 0;
        return w->s[o[0].reg] = amd_raw(w, &o[1], 0, lane), 0;
    }
    if (c->op == AMD_v_writelane_b32)
        return w->v[o[0].reg][amd_raw(w, &o[2], 0, 0) & 63] = amd_raw(w, &o[1], 0, 0), 0;
    if (amd_carry(c, w, exec))
        return 0;
    if (c->op == AMD_v_cmp) {
        uint64_t r = 0;
        for (int l = 0; l < 64; l++)
            if (exec >> l & 1)
                r |= (uint64_t)(strcmp(c->type + 1, "64") ? amd_compare(c->how, c->type, amd_get(w, &o[1], 0, l), amd_get(w, &o[2], 0, l))
                                                          : amd_compare(c->how, c->type, amd_get64(w, &o[1], l), amd_get64(w, &o[2], l))) << l;
        return amd_set64(w, &o[0], 0, r), 0;
    }
    if (c->op == AMD_ds_bpermute_b32) {
        uint32_t t[64];
        for (int l = 0; l < 64; l++) {
            const int from = (int)(amd_raw(w, &o[1], 0, l) >> 2 & 63);
            t[l] = exec >> from & 1 ? amd_raw(w, &o[2], 0, from) : 0;
        }
        for (int l = 0; l < 64; l++)
            if (exec >> l & 1)
                w->v[o[0].reg][l] = t[l];
        return 0;
    }
    if (c->op == AMD_v_div_scale_f32)                                  /* no scaling: the operands are far from the ends of the range */
        amd_set64(w, &o[1], 0, 0);
    for (int l = 0; l < 64; l++) {
        if (!(exec >> l & 1))
            continue;
        uint32_t *d = w->v[o[0].reg] + l, out;
        if (!strncmp(c->text, "global_", 7)) {
            amd_global_op(c, w, wave, l);
        } else if (!strncmp(c->text, "ds_", 3)) {
            amd_ds(c, w, wave, l);
        } else if (c->op == AMD_v_cndmask_b32) {
            *d = amd_get64(w, &o[3], 0) >> l & 1 ? amd_get(w, &o[2], 0, l) : amd_get(w, &o[1], 0, l);
        } else if (c->op == AMD_v_div_scale_f32) {
            *d = amd_get(w, &o[2], 0, l);
        } else if (c->op == AMD_v_cvt_f32_f16 || c->op == AMD_v_cvt_f32_f16_sdwa) {
            const float f = half_to_float((uint16_t)(amd_raw(w, &o[1], 0, l) >> (c->word1 ? 16 : 0)));
            *d = amd_u32(o[1].neg ? -f : f);
        } else if (c->op == AMD_v_fma_mix_f32) {
            *d = amd_u32(fmaf(amd_mix(c, w, 0, l), amd_mix(c, w, 1, l), amd_mix(c, w, 2, l)));
        } else if (c->op == AMD_v_pk_add_f32 || c->op == AMD_v_pk_mul_f32 || c->op == AMD_v_pk_fma_f32) {
            float r[2];
            for (int h = 0; h < 2; h++) {
                float x[3] = { 0, 0, 0 };
                for (int i = 0; i < c->n - 1 && i < 3; i++) {
                    x[i] = amd_float(amd_raw(w, &o[1 + i], o[1 + i].kind == 'c' ? 0 : (h ? c->op_sel_hi : c->op_sel) >> i & 1, l));
                    x[i] = (h ? c->neg_hi : c->neg_lo) >> i & 1 ? -x[i] : x[i];
                }
                r[h] = c->op == AMD_v_pk_add_f32 ? x[0] + x[1] : c->op == AMD_v_pk_mul_f32 ? x[0] * x[1] : fmaf(x[0], x[1], x[2]);
            }
            d[0] = amd_u32(r[0]), d[64] = amd_u32(r[1]);
        } else if (c->op == AMD_v_mov_b64) {
            amd_set64(w, &o[0], l, amd_get64(w, &o[1], l));
        } else if (c->op == AMD_v_lshl_add_u64) {
            amd_set64(w, &o[0], l, (amd_get64(w, &o[1], l) << (amd_raw(w, &o[2], 0, l) & 7)) + amd_get64(w, &o[3], l));
        } else if (c->op == AMD_v_lshlrev_b64) {
            amd_set64(w, &o[0], l, amd_get64(w, &o[2], l) << (amd_raw(w, &o[1], 0, l) & 63));
        } else if (c->op == AMD_v_lshrrev_b64) {
            amd_set64(w, &o[0], l, amd_get64(w, &o[2], l) >> (amd_raw(w, &o[1], 0, l) & 63));
        } else if (c->op == AMD_v_ashrrev_i64) {
            amd_set64(w, &o[0], l, (uint64_t)((int64_t)amd_get64(w, &o[2], l) >> (amd_raw(w, &o[1], 0, l) & 63)));
        } else if (c->op == AMD_v_mad_u64_u32) {
            amd_set64(w, &o[0], l, (uint64_t)amd_raw(w, &o[2], 0, l) * amd_raw(w, &o[3], 0, l) + amd_get64(w, &o[4], l));
        } else if (c->op == AMD_v_mad_i64_i32) {
            amd_set64(w, &o[0], l, (uint64_t)((int64_t)(int32_t)amd_raw(w, &o[2], 0, l) * (int32_t)amd_raw(w, &o[3], 0, l)) + amd_get64(w, &o[4], l));
        } else if (amd_lane(c, amd_get(w, &o[1], 0, l), c->n > 2 ? amd_get(w, &o[2], 0, l) : 0, c->n > 3 ? amd_get(w, &o[3], 0, l) : 0, *d, l, &out)) {
            *d = out;
        } else {
            return fprintf(stderr, "emu942: cannot run %s\n", c->text), -1;
        }
    }
    return 0;
}

static int amd_scalar(const struct amd_code *c, struct amd_wave *w, int wave)
{
    const struct amd_operand *o = c->o;
    const uint32_t a = c->n > 1 ? amd_raw(w, &o[1], 0, 0) : 0, b = c->n > 2 ? amd_raw(w, &o[2], 0, 0) : 0;
    const bool wide = c->wide;
    const uint64_t A = wide && c->n > 1 ? amd_get64(w, &o[1], 0) : 0, B = wide && c->n > 2 ? amd_get64(w, &o[2], 0) : 0, exec = amd_exec(w);
    uint32_t *d = &w->s[o[0].reg];
    uint64_t r = 0;
    int64_t s;
    switch (c->op) {
    case AMD_s_load_dword: case AMD_s_load_dwordx2: case AMD_s_load_dwordx4: case AMD_s_load_dwordx8: case AMD_s_load_dwordx16: {
        const uint64_t at = amd_get64(w, &o[1], 0) + b, n = 4 * (uint64_t)o[0].n;
        if (amd_global(c, wave, 0, at, n))
            memcpy(d, (const void *)(uintptr_t)at, n);
        return 0;
    }
    case AMD_s_cmp: w->scc = wide ? amd_compare(c->how, c->type, amd_get64(w, &o[0], 0), A) : amd_compare(c->how, c->type, amd_raw(w, &o[0], 0, 0), a); return 0;
    case AMD_s_mov_b32: *d = a; return 0;
    case AMD_s_mov_b64: amd_set64(w, &o[0], 0, A); return 0;
    case AMD_s_movk_i32: *d = (uint32_t)(int16_t)a; return 0;
    case AMD_s_add_i32: s = (int64_t)(int32_t)a + (int32_t)b, w->scc = s != (int32_t)s, *d = (uint32_t)s; return 0;
    case AMD_s_sub_i32: s = (int64_t)(int32_t)a - (int32_t)b, w->scc = s != (int32_t)s, *d = (uint32_t)s; return 0;
    case AMD_s_addk_i32: s = (int64_t)(int32_t)*d + (int16_t)a, w->scc = s != (int32_t)s, *d = (uint32_t)s; return 0;
    case AMD_s_mulk_i32: *d = *d * (uint32_t)(int16_t)a; return 0;
    case AMD_s_add_u32: r = (uint64_t)a + b, w->scc = r >> 32, *d = (uint32_t)r; return 0;
    case AMD_s_addc_u32: r = (uint64_t)a + b + w->scc, w->scc = r >> 32, *d = (uint32_t)r; return 0;
    case AMD_s_sub_u32: r = (uint64_t)a - b, w->scc = r >> 32 & 1, *d = (uint32_t)r; return 0;
    case AMD_s_subb_u32: r = (uint64_t)a - b - w->scc, w->scc = r >> 32 & 1, *d = (uint32_t)r; return 0;
    case AMD_s_mul_i32: *d = a * b; return 0;
    case AMD_s_mul_hi_u32: *d = (uint32_t)((uint64_t)a * b >> 32); return 0;
    case AMD_s_mul_hi_i32: *d = (uint32_t)((int64_t)(int32_t)a * (int32_t)b >> 32); return 0;
    case AMD_s_min_i32: w->scc = (int32_t)a < (int32_t)b, *d = w->scc ? a : b; return 0;
    case AMD_s_max_i32: w->scc = (int32_t)a > (int32_t)b, *d = w->scc ? a : b; return 0;
    case AMD_s_cselect_b32: *d = w->scc ? a : b; return 0;
    case AMD_s_cselect_b64: amd_set64(w, &o[0], 0, w->scc ? A : B); return 0;
    case AMD_s_lshl_b32: *d = a << (b & 31); break;
    case AMD_s_lshr_b32: *d = a >> (b & 31); break;
    case AMD_s_ashr_i32: *d = (uint32_t)((int32_t)a >> (b & 31)); break;
    case AMD_s_and_b32: *d = a & b; break;
    case AMD_s_or_b32: *d = a | b; break;
    case AMD_s_xor_b32: *d = a ^ b; break;
    case AMD_s_not_b32: *d = ~a; break;
    case AMD_s_abs_i32: *d = (int32_t)a < 0 ? -a : a; break;
    case AMD_s_lshl_b64: r = A << (b & 63); break;
    case AMD_s_lshr_b64: r = A >> (b & 63); break;
    case AMD_s_ashr_i64: r = (uint64_t)((int64_t)A >> (b & 63)); break;
    case AMD_s_and_b64: r = A & B; break;
    case AMD_s_or_b64: r = A | B; break;
    case AMD_s_xor_b64: r = A ^ B; break;
    case AMD_s_andn2_b64: r = A & ~B; break;
    case AMD_s_orn2_b64: r = A | ~B; break;
    case AMD_s_and_saveexec_b64: case AMD_s_or_saveexec_b64: case AMD_s_andn2_saveexec_b64:
        amd_set64(w, &o[0], 0, exec);
        r = c->op == AMD_s_and_saveexec_b64 ? A & exec : c->op == AMD_s_or_saveexec_b64 ? A | exec : A & ~exec;
        w->s[AMD_EXEC] = (uint32_t)r, w->s[AMD_EXEC + 1] = (uint32_t)(r >> 32);
        return w->scc = r != 0, 0;
    default: return fprintf(stderr, "emu942: cannot run %s\n", c->text), -1;
    }
    if (wide)
        amd_set64(w, &o[0], 0, r);
    else
        r = *d;
    return w->scc = r != 0, 0;
}

enum { AMD_RUNS, AMD_AT_BARRIER, AMD_DONE };

/* Until a barrier or the end. */
static int amd_run_wave(struct amd_wave *w, int wave)
{
    for (;;) {
        const struct amd_code *c = &amd.code[w->pc];
        const uint64_t exec = amd_exec(w), vcc = w->s[AMD_VCC] | (uint64_t)w->s[AMD_VCC + 1] << 32;
        size_t next = w->pc + (size_t)c->size;
        bool taken = false;
        switch (c->op) {
        case AMD_s_endpgm: return w->state = AMD_DONE, 0;
        case AMD_s_barrier: w->pc = next; return w->state = AMD_AT_BARRIER, 0;
        case AMD_s_waitcnt: case AMD_s_nop: case AMD_s_setprio: break;
        case AMD_s_branch: taken = true; break;
        case AMD_s_cbranch_execz: taken = exec == 0; break;
        case AMD_s_cbranch_execnz: taken = exec != 0; break;
        case AMD_s_cbranch_vccz: taken = vcc == 0; break;
        case AMD_s_cbranch_vccnz: taken = vcc != 0; break;
        case AMD_s_cbranch_scc0: taken = !w->scc; break;
        case AMD_s_cbranch_scc1: taken = w->scc; break;
        default:
            if (*c->text == 's' ? amd_scalar(c, w, wave) : amd_vector(c, w, wave))
                return -1;
        }
        w->pc = taken ? (size_t)((int64_t)w->pc + 1 + (int16_t)c->o[0].value) : next;
        if (w->pc >= amd.n_code)
            return fprintf(stderr, "emu942: ran out of the code\n"), -1;
    }
}

static int amd_run_block(struct amd_wave *w, int n_wave, uint64_t args)
{
    memset(amd.shadow, 0, sizeof amd.shadow);
    memset(amd.shared, 0xcd, sizeof amd.shared);
    amd.round = 1;
    for (int i = 0; i < n_wave; i++) {
        memset(&w[i], 0, sizeof w[i]);
        memset(w[i].v, 0x7f, sizeof w[i].v);
        w[i].s[AMD_EXEC] = w[i].s[AMD_EXEC + 1] = ~0u;
        for (int l = 0; l < 64; l++)
            w[i].v[0][l] = (uint32_t)(64 * i + l);
        w[i].s[0] = (uint32_t)args, w[i].s[1] = (uint32_t)(args >> 32);
        for (int k = 0, s = amd.user_sgpr; k < 3; k++)
            if (amd.id_on[k])
                w[i].s[s++] = (uint32_t)amd.id[k];
    }
    for (int live = n_wave; live > 0; amd.round++) {
        live = 0;
        for (int i = 0; i < n_wave; i++)
            if (w[i].state != AMD_DONE) {
                if (amd_run_wave(&w[i], i))
                    return -1;
                live += w[i].state == AMD_AT_BARRIER;
            }
    }
    return 0;
}

static int amd_launch(int gx, int gy, int gz, int n_thread, const void *args, size_t n_args)
{
    static _Alignas(64) char block[512];              /* scalar loads may reach to the next 16 bytes */
    memcpy(block, args, n_args);
    amd_block(block, (n_args + 15) / 16 * 16);
    struct amd_wave *w = malloc((size_t)(n_thread / 64) * sizeof *w);
    int rc = w && n_thread % 64 == 0 && amd.shared_bytes <= AMD_SHARED ? 0 : -1;
    for (amd.id[2] = 0; amd.id[2] < gz && !rc; amd.id[2]++)
        for (amd.id[1] = 0; amd.id[1] < gy && !rc; amd.id[1]++)
            for (amd.id[0] = 0; amd.id[0] < gx && !rc; amd.id[0]++)
                rc = amd_run_block(w, n_thread / 64, (uint64_t)(uintptr_t)block);
    free(w);
    return rc;
}
static void amd_release(void)
{
    free(amd.image);
    free(amd.code);
    amd.image = NULL, amd.code = NULL;
}
#endif
