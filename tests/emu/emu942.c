/* emu942.c - runs gfx942 code objects: decoded by LLVM's disassembler, executed here, a wave of 64 lanes an instruction.  Included by a test.
 *
 * vcc is s[106:107], m0 s124, exec s[126:127], accumulators are v256 and up.  Found and counted in amd_bad, with a line on stderr for the first few:
 *   memory outside of the blocks that amd_block() named, shared memory outside of the kernel's; misaligned accesses;
 *   registers and shared memory that nobody wrote, where they decide an address, a comparison, a product of matrices, or are stored;
 *   registers, or shared memory, that a load still has (a missing s_waitcnt), and stores whose registers are overwritten at once (a missing s_nop);
 *   races: two waves at the same byte of shared memory with no barrier between, one of them writing, accesses on their way across a barrier too.
 * What each kernel did is counted (amd_counts_of).  Not seen: the rounding of MFMA's sums, wait states between MFMA and what uses it, time. */
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
#include "emu942_ops.h"

#define AMD_SHARED 65536
#define AMD_FLIGHTS 64
#define AMD_KERNELS 256
enum amd_op {
#define X(name, n, e) AMD_##name,
    AMD_LANES(X) AMD_WIDES(X) AMD_HALVES(X) AMD_PACKEDS(X) AMD_SCALARS(X)
#undef X
#define X(name) AMD_##name,
    AMD_OTHERS(X)
#undef X
};
enum amd_kind { AMD_IS_LANE, AMD_IS_WIDE, AMD_IS_HALF, AMD_IS_PACKED, AMD_IS_SCALAR, AMD_IS_OTHER, AMD_IS_VCMP, AMD_IS_SCMP, AMD_IS_MFMA, AMD_IS_GLOBAL, AMD_IS_BUFFER, AMD_IS_DS, AMD_IS_SMEM };
enum { AMD_VCC = 106, AMD_M0 = 124, AMD_EXEC = 126 };
struct amd_operand { char kind; int reg, n; uint32_t value; uint64_t value64; bool neg, abs, sext; };           /* 'v', 's', 'c' constant, 'o' off */
struct amd_mfma { int M, N, K, blocks, bits; char a, b, out; };
struct amd_code {
    enum amd_op op;
    enum amd_kind kind;
    int n, n_written, n_source, size, offset, offset0, offset1, bytes, places, unit, op_sel, op_sel_hi, neg_lo, neg_hi, wait_vm, wait_lgkm;
    int source_select[2], select, row_mask, bank_mask;           /* SDWA's parts: 0-3 bytes, 4-5 halves, 6 all; DPP's */
    bool reads_old, clamp, offen, to_shared, dpp, sdwa, bound_zero, writes_exec;
    char what, unused, how[8], type[4], text[100];               /* how, type: of compares */
    signed char from_lane[64];
    float scale;
    struct amd_mfma mfma;
    struct amd_operand o[6];
};
/* On its way: registers it will write, places of shared memory it reads or writes. */
struct amd_flight { int reg, n, n_place; bool scalar, write; uint32_t bytes, place[128]; };
struct amd_queue { int n; struct amd_flight flight[AMD_FLIGHTS]; };
struct amd_wave {
    uint32_t v[512][64], s[128];
    uint64_t known[512];
    bool known_s[128], scc;
    unsigned char busy_v[512], busy_s[128];
    struct amd_queue vm, lgkm;
    int stored, stored_n, state;                                 /* registers of the instruction before, if it stores */
    size_t pc;
};
struct amd_shadow { uint32_t write_round, read_round; int writer, reader; bool written, readers, atomic; };
/* Instructions of waves by kind; floating point operations of matrix instructions; bytes that lanes asked for, lines of 128 bytes they lie in;
 * cycles of shared memory and those of them that conflicts cost. */
struct amd_counts { long launches, blocks, vector, scalar, mfma, memory, shared, scalar_load, wait, barrier, bytes_read, bytes_written, bytes_scalar, lines, shared_cycles, conflicts; double flop; };
struct amd_loaded {
    const char *object;
    char name[64];
    unsigned char *image, *first;                                /* of the code */
    size_t image_size, n_code;
    struct amd_code *code;
    uint32_t shared_bytes;
    int user_sgpr, id_on[3], n_v, n_a;
    struct amd_counts counts;
};
static struct {
    struct amd_loaded loaded[AMD_KERNELS];
    int n_loaded;
    const struct amd_loaded *kernel;
    const char *name;
    struct amd_code *code;
    size_t n_code;
    unsigned char *first;
    struct amd_counts *counts;
    uint32_t shared_bytes;
    int id[3], n_block;
    struct { uintptr_t begin, end; } block[512];
    unsigned char shared[AMD_SHARED];
    struct amd_shadow shadow[AMD_SHARED];
    uint32_t round;
    long n_step;
} amd;
static int amd_bad, amd_loud = 4;
/* Planted: the n-th instruction (from 1) of the kernel whose text begins so is replaced: by s_nop where `by` is NULL, else in its text `from` by `by`. */
static struct { const char *kernel, *instruction, *from, *by; int n; bool found; uint32_t shared_bytes; } amd_fault;

#include "emu942_values.h"
#include "emu942_watch.h"
#include "emu942_mfma.h"
#include "emu942_decode.h"
#include "emu942_memory.h"
#include "emu942_vector.h"
#include "emu942_scalar.h"

/* ---- code objects ---- */

/* Segments as they lie in memory, with room before the end for scalar loads that reach to the next 16 bytes. */
static void amd_map(struct amd_loaded *k, const char *object, const Elf64_Ehdr *h)
{
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < h->e_phnum; i++) {
            Elf64_Phdr p;
            memcpy(&p, object + h->e_phoff + (size_t)i * sizeof p, sizeof p);
            if (p.p_type == PT_LOAD && pass == 0)
                k->image_size = p.p_vaddr + p.p_memsz > k->image_size ? p.p_vaddr + p.p_memsz : k->image_size;
            else if (p.p_type == PT_LOAD)
                memcpy(k->image + p.p_vaddr, object + p.p_offset, p.p_filesz);
        }
        k->image = k->image ? k->image : calloc(1, k->image_size + 64);
    }
}
/* Address of the symbol, 0 where there is none. */
static uint64_t amd_symbol(const char *object, const Elf64_Ehdr *h, const char *symbol, uint64_t *bytes)
{
    for (int i = 0; i < h->e_shnum; i++) {
        Elf64_Shdr s, names;
        memcpy(&s, object + h->e_shoff + (size_t)i * sizeof s, sizeof s);
        if (s.sh_type != SHT_DYNSYM)
            continue;
        memcpy(&names, object + h->e_shoff + s.sh_link * sizeof names, sizeof names);
        for (size_t j = 0; j < s.sh_size / sizeof(Elf64_Sym); j++) {
            Elf64_Sym y;
            memcpy(&y, object + s.sh_offset + j * sizeof y, sizeof y);
            if (!strcmp(object + names.sh_offset + y.st_name, symbol))
                return *bytes = y.st_size, y.st_value;
        }
    }
    return 0;
}
/* The i-th kernel of a code object, or NULL. */
static inline const char *amd_kernel_name(const char *object, int i)
{
    static char name[64];
    Elf64_Ehdr h;
    memcpy(&h, object, sizeof h);
    for (int j = 0; j < h.e_shnum; j++) {
        Elf64_Shdr s, names;
        memcpy(&s, object + h.e_shoff + (size_t)j * sizeof s, sizeof s);
        if (s.sh_type != SHT_DYNSYM)
            continue;
        memcpy(&names, object + h.e_shoff + s.sh_link * sizeof names, sizeof names);
        for (size_t k = 0; k < s.sh_size / sizeof(Elf64_Sym); k++) {
            Elf64_Sym y;
            memcpy(&y, object + s.sh_offset + k * sizeof y, sizeof y);
            const char *t = object + names.sh_offset + y.st_name;
            const size_t n = strlen(t);
            if (n > 3 && n < sizeof name && !strcmp(t + n - 3, ".kd") && i-- == 0)
                return snprintf(name, sizeof name, "%.*s", (int)n - 3, t), name;
        }
    }
    return NULL;
}
/* Instruction i of the code, decoded; its size in words, or -1. */
static int amd_disassemble(LLVMDisasmContextRef d, unsigned char *at, uint64_t left, struct amd_code *c)
{
    char text[256];
    uint32_t word[2] = { 0, 0 };
    const size_t n = LLVMDisasmInstruction(d, at, left, 0, text, sizeof text);
    memcpy(word, at, left < 8 ? left : 8);
    if (!n || amd_decode(c, text, word))
        return -1;
    return c->size = (int)(n / 4);
}
static LLVMDisasmContextRef amd_disassembler(void)
{
    static bool ready;
    if (!ready) {
        LLVMInitializeAMDGPUTargetInfo();
        LLVMInitializeAMDGPUTargetMC();
        LLVMInitializeAMDGPUDisassembler();
        ready = true;
    }
    return LLVMCreateDisasmCPU("amdgcn-amd-amdhsa", "gfx942", NULL, 0, NULL, NULL);
}
static void amd_registers_used(struct amd_loaded *k)
{
    for (size_t i = 0; i < k->n_code; i++)
        for (int j = 0; j < k->code[i].n; j++) {
            const struct amd_operand *o = &k->code[i].o[j];
            int *n = o->reg < 256 ? &k->n_v : &k->n_a, last = o->reg % 256 + o->n;
            *n = o->kind == 'v' && last > *n ? last : *n;
        }
}
static void amd_unload(struct amd_loaded *k)
{
    free(k->image);
    free(k->code);
    memset(k, 0, sizeof *k);
}

static int amd_read_kernel(struct amd_loaded *k, const char *object, const char *kernel)
{
    Elf64_Ehdr h;
    char symbol[96];
    uint64_t bytes = 0, ignored;
    memcpy(&h, object, sizeof h);
    snprintf(symbol, sizeof symbol, "%s.kd", kernel);
    const uint64_t descriptor = amd_symbol(object, &h, symbol, &ignored);
    if (!descriptor || !amd_symbol(object, &h, kernel, &bytes) || !bytes)
        return -1;
    amd_map(k, object, &h);
    /* The kernel descriptor: LLVM's AMDGPUUsage, "Kernel Descriptor". */
    int64_t entry;
    uint32_t rsrc2;
    uint16_t properties;
    memcpy(&k->shared_bytes, k->image + descriptor, 4);
    memcpy(&entry, k->image + descriptor + 16, 8);
    memcpy(&rsrc2, k->image + descriptor + 52, 4);
    memcpy(&properties, k->image + descriptor + 56, 2);
    if ((properties & 0x7f) != 8)
        return fprintf(stderr, "emu942: %s wants more than its arguments (%#x)\n", kernel, properties), -1;
    k->user_sgpr = rsrc2 >> 1 & 31;
    for (int i = 0; i < 3; i++)
        k->id_on[i] = rsrc2 >> (7 + i) & 1;
    k->object = object, k->n_code = bytes / 4, k->first = k->image + descriptor + entry;
    snprintf(k->name, sizeof k->name, "%s", kernel);
    k->code = calloc(k->n_code, sizeof *k->code);
    LLVMDisasmContextRef d = amd_disassembler();
    int rc = d && k->code ? 0 : -1;
    for (uint64_t at = 0; at < bytes && rc == 0;) {
        const int n = amd_disassemble(d, k->first + at, bytes - at, &k->code[at / 4]);
        rc = n < 0 ? -1 : 0;
        at += 4 * (uint64_t)(n < 0 ? 1 : n);
    }
    LLVMDisasmDispose(d);
    amd_registers_used(k);
    return rc;
}

static void amd_plant(struct amd_loaded *k)
{
    int n = 0;
    for (size_t i = 0; i < k->n_code; i++) {
        struct amd_code *c = &k->code[i];
        if (!c->size || strncmp(c->text, amd_fault.instruction, strlen(amd_fault.instruction)) != 0 || (amd_fault.by && !strstr(c->text, amd_fault.from)) || ++n != amd_fault.n)
            continue;
        char text[256];
        const uint32_t word[2] = { 0, 0 };
        const int size = c->size;
        const char *p = amd_fault.by ? strstr(c->text, amd_fault.from) : NULL;
        snprintf(text, sizeof text, "%.*s%s%s", p ? (int)(p - c->text) : 0, c->text, p ? amd_fault.by : "s_nop 0", p ? p + strlen(amd_fault.from) : "");
        uint32_t at[2];
        memcpy(at, k->first + 4 * i, 8);
        memset(c, 0, sizeof *c);
        amd_fault.found = amd_decode(c, text, p ? at : word) == 0;
        for (const char *q = p ? strstr(text, " offset:") : NULL; q; q = NULL)
            c->offset = atoi(q + 8);
        c->size = size;
    }
}

/* The kernel of a code object, to be run by amd_launch(); it is kept until amd_release(), but one with a planted fault. */
static inline int amd_load(const char *object, const char *kernel)
{
    const bool faulty = amd_fault.kernel && !strcmp(amd_fault.kernel, kernel);
    struct amd_loaded *k = NULL;
    static struct amd_loaded faulted;
    for (int i = 0; i < amd.n_loaded && !faulty; i++)
        if (amd.loaded[i].object == object && !strcmp(amd.loaded[i].name, kernel))
            k = &amd.loaded[i];
    if (!k) {
        if (amd.n_loaded == AMD_KERNELS)
            return -1;
        k = faulty ? &faulted : &amd.loaded[amd.n_loaded];
        amd_unload(k);
        if (amd_read_kernel(k, object, kernel))
            return amd_unload(k), -1;
        if (faulty && amd_fault.instruction)
            amd_plant(k);
        if (faulty && amd_fault.shared_bytes)
            k->shared_bytes = amd_fault.shared_bytes;
        amd.n_loaded += !faulty;
    }
    amd.kernel = k, amd.name = k->name, amd.code = k->code, amd.n_code = k->n_code, amd.first = k->first, amd.shared_bytes = k->shared_bytes, amd.counts = &k->counts;
    return 0;
}
static void amd_block(const void *p, size_t n)
{
    amd.block[amd.n_block].begin = (uintptr_t)p;
    amd.block[amd.n_block++].end = (uintptr_t)p + n;
}

/* ---- running ---- */

enum { AMD_RUNS, AMD_AT_BARRIER, AMD_DONE };

/* Whether a branch goes; -1: c is none. */
static int amd_branches(const struct amd_code *c, const struct amd_wave *w)
{
    const uint64_t vcc = w->s[AMD_VCC] | (uint64_t)w->s[AMD_VCC + 1] << 32;
    if (c->kind != AMD_IS_OTHER)
        return -1;
    switch (c->op) {
    case AMD_s_branch: return 1;
    case AMD_s_cbranch_execz: return amd_exec(w) == 0;
    case AMD_s_cbranch_execnz: return amd_exec(w) != 0;
    case AMD_s_cbranch_vccz: return vcc == 0;
    case AMD_s_cbranch_vccnz: return vcc != 0;
    case AMD_s_cbranch_scc0: return !w->scc;
    case AMD_s_cbranch_scc1: return w->scc;
    default: return -1;
    }
}

/* Until a barrier or the end. */
static int amd_run_wave(struct amd_wave *w, int wave)
{
    for (;;) {
        const struct amd_code *c = &amd.code[w->pc];
        size_t next = w->pc + (size_t)c->size;
        amd_count(c, amd_exec(w));
        amd.n_step++;
        const int taken = amd_branches(c, w);
        if (taken >= 0) {
            next = taken ? (size_t)((int64_t)w->pc + 1 + (int16_t)c->o[0].value) : next;
            w->stored_n = 0;
        } else if (c->kind == AMD_IS_OTHER && c->op == AMD_s_endpgm) {
            return w->state = AMD_DONE, 0;
        } else if (c->kind == AMD_IS_OTHER && c->op == AMD_s_barrier) {
            w->pc = next, w->stored_n = 0;
            return w->state = AMD_AT_BARRIER, 0;
        } else if (c->kind == AMD_IS_OTHER && c->op == AMD_s_waitcnt) {
            amd_wait(w, c->wait_vm, c->wait_lgkm);
            w->stored_n = 0;
        } else if (c->kind == AMD_IS_OTHER && (c->op == AMD_s_nop || c->op == AMD_s_setprio || c->op == AMD_s_sleep || c->op == AMD_buffer_wbl2 || c->op == AMD_buffer_inv || c->op == AMD_s_dcache_wb
                                               || c->op == AMD_s_dcache_inv || c->op == AMD_s_icache_inv)) {
            w->stored_n = 0;
        } else {
            amd_check_waits(c, w, wave);
            if (amd_execute(c, w, wave))
                return -1;
        }
        w->pc = next;
        if (w->pc >= amd.n_code)
            return fprintf(stderr, "emu942: ran out of the code\n"), -1;
    }
}

/* A wave at its start: its arguments' address, its block, its lanes' threads; nothing else is known. */
static void amd_begin(struct amd_wave *w, int wave, uint64_t args)
{
    const struct amd_loaded *k = amd.kernel;
    memset(w->v, 0x7f, (size_t)k->n_v * sizeof *w->v);
    memset(w->v[256], 0x7f, (size_t)k->n_a * sizeof *w->v);
    memset(w->s, 0x7f, sizeof w->s);
    memset(w->known, 0, sizeof w->known);
    memset(w->known_s, 0, sizeof w->known_s);
    memset(w->busy_v, 0, sizeof w->busy_v);
    memset(w->busy_s, 0, sizeof w->busy_s);
    w->vm.n = w->lgkm.n = w->stored_n = 0, w->state = AMD_RUNS, w->pc = 0, w->scc = false;
    w->s[AMD_EXEC] = w->s[AMD_EXEC + 1] = ~0u;
    w->known_s[AMD_EXEC] = w->known_s[AMD_EXEC + 1] = w->known_s[0] = w->known_s[1] = true;
    w->s[0] = (uint32_t)args, w->s[1] = (uint32_t)(args >> 32);
    w->known[0] = ~UINT64_C(0);
    for (int l = 0; l < 64; l++)
        w->v[0][l] = (uint32_t)(64 * wave + l);
    for (int i = 0, s = k->user_sgpr; i < 3; i++)
        if (k->id_on[i])
            w->known_s[s] = true, w->s[s++] = (uint32_t)amd.id[i];
}

static int amd_run_block(struct amd_wave *w, int n_wave, uint64_t args)
{
    memset(amd.shadow, 0, amd.shared_bytes * sizeof *amd.shadow);
    memset(amd.shared, 0xcd, amd.shared_bytes);
    amd.round = 1, amd.counts->blocks++;
    for (int i = 0; i < n_wave; i++)
        amd_begin(&w[i], i, args);
    for (int live = n_wave; live > 0;) {
        live = 0;
        for (int i = 0; i < n_wave; i++)
            if (w[i].state != AMD_DONE) {
                if (amd_run_wave(&w[i], i))
                    return -1;
                live += w[i].state == AMD_AT_BARRIER;
            }
        amd.round++;
        for (int i = 0; i < n_wave && live > 0; i++)
            amd_carry_over(&w[i], i);
    }
    return 0;
}

static inline int amd_launch(int gx, int gy, int gz, int n_thread, const void *args, size_t n_args)
{
    static _Alignas(64) char block[1024];             /* scalar loads may reach to the next 16 bytes */
    memcpy(block, args, n_args);
    amd_block(block, (n_args + 15) / 16 * 16);
    amd_block(amd.kernel->image, amd.kernel->image_size);
    struct amd_wave *w = malloc((size_t)(n_thread / 64) * sizeof *w);
    int rc = w && n_thread % 64 == 0 && amd.shared_bytes <= AMD_SHARED ? 0 : -1;
    amd.counts->launches++;
    for (amd.id[2] = 0; amd.id[2] < gz && !rc; amd.id[2]++)
        for (amd.id[1] = 0; amd.id[1] < gy && !rc; amd.id[1]++)
            for (amd.id[0] = 0; amd.id[0] < gx && !rc; amd.id[0]++)
                rc = amd_run_block(w, n_thread / 64, (uint64_t)(uintptr_t)block);
    free(w);
    return rc;
}
/* Of all launches of the kernel since it was loaded; NULL where it was not. */
static inline const struct amd_counts *amd_counts_of(const char *kernel)
{
    for (int i = 0; i < amd.n_loaded; i++)
        if (!strcmp(amd.loaded[i].name, kernel))
            return &amd.loaded[i].counts;
    return NULL;
}
static inline void amd_release(void)
{
    for (int i = 0; i < amd.n_loaded; i++)
        amd_unload(&amd.loaded[i]);
    amd.n_loaded = 0;
}
#endif
