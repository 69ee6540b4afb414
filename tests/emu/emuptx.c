/* emuptx.c - runs the PTX that ships, one thread at a time, and looks at every access.  Included by a test.
 *
 * Each thread has its own place in the program; what concerns a warp (shfl, ldmatrix, mma) waits until its 32 lanes are there, a barrier until
 * the block's threads are.  Found and counted in ptx_bad, with a line on stderr for the first few: accesses outside of the blocks that
 * ptx_block() named, or of shared memory; misaligned ones; shared memory that is read before anything wrote it; races: two threads at
 * the same shared byte, one of them writing, with no barrier between; what is asynchronous (emuptx_async.h) and not waited for.  Arithmetic is
 * the host's, in float, exact where PTX is approximate. */
#include <ctype.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cpu/quant.h"

#define PTX_SHARED (227 * 1024)
#define PTX_OPERANDS 144
#define PTX_POOL 400000                /* operands of a kernel */
#define PTX_CODES 20000
#define PTX_NAMES 32768
#define PTX_OPS(X) \
    X(add) X(sub) X(mul) X(mad) X(fma) X(neg) X(abs) X(min) X(max) X(div) X(rem) X(and) X(or) X(xor) X(not) X(shl) X(shr) X(bfe) X(mov) X(selp) X(setp) X(cvt) X(ld) X(st) \
    X(dp4a) X(ex2) X(lg2) X(rsqrt) X(rcp) X(sqrt) X(bra) X(ret) X(bar) X(shfl) X(ldmatrix) X(stmatrix) X(mma) \
    X(fence) X(prefetch) X(setmaxnreg) X(mbarrier) X(wgmma) X(cp)
enum ptx_op {
#define X(name) PTX_##name,
    PTX_OPS(X)
#undef X
    PTX_none
};
/* What is said of an instruction, found once in its text. */
#define PTX_WORDS(X) \
    X(bf16x2, "bf16x2") X(i8, ".s32.s8.s8.s32") X(e4m3, "e4m3") X(arrive_only, "bar.arrive") X(try_wait, "try_wait") X(init, ".init") X(expect_tx, "expect_tx") \
    X(bulk, "bulk") X(bulk_group, "bulk_group") X(commit_group, "commit_group") X(wait_group, "wait_group") X(mma_async, "mma_async")
struct ptx_words {
#define X(name, text) bool name;
    PTX_WORDS(X)
#undef X
};
/* Of setp: the relations that make it true, of numbers; and whether NaN does. */
struct ptx_relation { bool less, equal, greater, unordered; };
enum ptx_kind { PTX_REG, PTX_IMM, PTX_SPECIAL, PTX_MEM };
struct ptx_operand { enum ptx_kind kind; int reg; int64_t value; };              /* PTX_MEM: reg (-1: none) + value */
struct ptx_type { char letter; int bits; };                                       /* 'f', 's', 'u', 'b', 'p' */
struct ptx_code {
    enum ptx_op op;
    struct ptx_type type, from;
    struct ptx_words is;
    struct ptx_relation when;
    bool wide, high, shared, param, negated, approx, integer, transposed, split;  /* split: mov of {low, high} */
    int vector, predicate, n, target;
    struct ptx_operand *o;                                                        /* of ptx.pool */
    char label[48], text[100];
};
struct ptx_shadow { int writer, reader; bool readers, written; uint32_t write_round, read_round; };

static struct {
    struct ptx_code *code;
    struct ptx_operand *pool;
    int n_code, n_reg, n_symbol, n_label, n_block, n_pool;
    char (*names)[24];
    int of_name[PTX_NAMES];                                                       /* hashed; register + 1 */
    struct { char name[96]; int64_t at; } symbol[64], label[4096];
    struct { uintptr_t begin, end; } block[256];
    int64_t shared_bytes, param_bytes, dynamic_bytes;                             /* dynamic: what a launch asks for */
    uint64_t *reg;
    int *pc, *state, n_thread, id[3], grid_x;
    uint32_t round;
    unsigned char shared[PTX_SHARED];
    struct ptx_shadow shadow[PTX_SHARED];
    const char *param;
    uint16_t *busy[8];                                                            /* by warpgroup: registers of products not waited for, their group + 1 */
    int n_busy;
    uint64_t n_step;
} ptx;
static int ptx_bad, ptx_loud = 4;

static void ptx_report(const struct ptx_code *c, int thread, const char *what, int64_t at)
{
    if (ptx_bad++ < ptx_loud)
        fprintf(stderr, "emuptx: thread %d of block %d,%d,%d: %s at %#llx: %s\n", thread, ptx.id[0], ptx.id[1], ptx.id[2], what, (unsigned long long)at, c->text);
}

/* ---- reading ---- */

static int ptx_register(const char *name)
{
    uint32_t h = 2166136261u;
    for (const char *p = name; *p; p++)
        h = (h ^ (unsigned char)*p) * 16777619u;
    int *at;
    while (*(at = &ptx.of_name[h % PTX_NAMES]) && strcmp(ptx.names[*at - 1], name) != 0)
        h++;
    if (!*at) {
        snprintf(ptx.names[ptx.n_reg], sizeof *ptx.names, "%s", name);
        *at = ++ptx.n_reg;
    }
    return *at - 1;
}
static bool ptx_symbol(const char *name, int64_t *at)
{
    for (int i = 0; i < ptx.n_symbol; i++)
        if (!strcmp(ptx.symbol[i].name, name))
            return *at = ptx.symbol[i].at, true;
    return false;
}
static void ptx_define(const char *name, int64_t at)
{
    snprintf(ptx.symbol[ptx.n_symbol].name, sizeof ptx.symbol->name, "%s", name);
    ptx.symbol[ptx.n_symbol++].at = at;
}
static char *ptx_trim(char *s)
{
    while (isspace((unsigned char)*s))
        s++;
    for (char *e = s + strlen(s); e > s && isspace((unsigned char)e[-1]);)
        *--e = 0;
    return s;
}

static int ptx_operand(struct ptx_code *c, char *s)
{
    static const char *const special[] = { "%tid.x", "%ctaid.x", "%ctaid.y", "%ctaid.z", "%nctaid.x" };
    s = ptx_trim(s);
    if (!*s)
        return 0;
    if (c->n == PTX_OPERANDS)
        return -1;
    struct ptx_operand *o = &c->o[c->n++];
    *o = (struct ptx_operand){ .reg = -1 };
    if (*s == '[') {
        o->kind = PTX_MEM;
        s++;
        s[strcspn(s, "]")] = 0;
        char *more = strchr(s, ',');                                             /* coordinates of a tensor: operands of their own */
        if (more)
            *more++ = 0;
        char *plus = strchr(s, '+');
        if (plus) {
            *plus = 0;
            o->value = strtoll(plus + 1, NULL, 0);
        }
        int64_t at;
        s = ptx_trim(s);
        if (*s == '%')
            o->reg = ptx_register(s);
        else if (ptx_symbol(s, &at))
            o->value += at;
        else
            return -1;
        for (char *one; (one = strsep(&more, ","));)
            if (ptx_operand(c, one))
                return -1;
        return 0;
    }
    for (int i = 0; i < 5; i++)
        if (!strcmp(s, special[i])) {
            *o = (struct ptx_operand){ .kind = PTX_SPECIAL, .reg = i };
            return 0;
        }
    if (*s == '%' || !strcmp(s, "tmp") || (s[1] == 0 && strchr("pqab_", *s))) {
        o->reg = ptx_register(s);
        return 0;
    }
    o->kind = PTX_IMM;
    if (!strncmp(s, "0f", 2) || !strncmp(s, "0d", 2))
        o->value = (int64_t)strtoull(s + 2, NULL, 16);
    else if (isdigit((unsigned char)*s) || *s == '-')
        o->value = strtoll(s, NULL, 0);
    else if (!ptx_symbol(s, &o->value))
        snprintf(c->label, sizeof c->label, "%s", s);
    return 0;
}

static bool ptx_typed(const char *word, struct ptx_type *t)
{
    if (!strcmp(word, "pred"))
        return *t = (struct ptx_type){ 'p', 1 }, true;
    if (!strchr("fsub", *word) || !isdigit((unsigned char)word[1]))
        return false;
    return *t = (struct ptx_type){ *word, atoi(word + 1) }, true;
}

static struct ptx_relation ptx_relation(const char *word)
{
    static const struct { const char *name; struct ptx_relation r; } all[] = {
        { "lt", { .less = true } }, { "le", { .less = true, .equal = true } }, { "gt", { .greater = true } }, { "ge", { .greater = true, .equal = true } },
        { "lo", { .less = true } }, { "ls", { .less = true, .equal = true } }, { "hi", { .greater = true } }, { "hs", { .greater = true, .equal = true } },
        { "eq", { .equal = true } }, { "ne", { .less = true, .greater = true } }, { "num", { .less = true, .equal = true, .greater = true } },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct ptx_relation r = all[i].r;
        const size_t n = strlen(all[i].name);
        r.unordered = word[n] == 'u';                                        /* ltu, geu, ... */
        if (!strncmp(word, all[i].name, n) && !word[n + r.unordered])
            return r;
    }
    return (struct ptx_relation){ .unordered = true };                       /* nan */
}

static int ptx_opcode(struct ptx_code *c, char *op)
{
    static const char *const names[] = {
#define X(name) #name,
        PTX_OPS(X)
#undef X
    };
    char *rest = op, *word = strsep(&rest, ".");
    c->op = PTX_none;
    for (int i = 0; i < PTX_none; i++)
        if (!strcmp(word, names[i]))
            c->op = (enum ptx_op)i;
    c->vector = 1;
    bool compared = c->op != PTX_setp;
    while ((word = strsep(&rest, "."))) {
        struct ptx_type t;
        if (ptx_typed(word, &t)) {
            c->from = c->type.bits ? t : c->from;                            /* cvt.TO.FROM; setp.cmp.T; mma has four */
            c->type = c->type.bits ? c->type : t;
        }
        c->transposed |= !strcmp(word, "trans");
        c->wide |= !strcmp(word, "wide");
        c->high |= !strcmp(word, "hi");
        c->shared |= !strcmp(word, "shared");
        c->param |= !strcmp(word, "param");
        c->integer |= !strcmp(word, "rni") || !strcmp(word, "rzi");
        c->approx |= !strcmp(word, "rzi");                                   /* toward zero */
        if (*word == 'v' && isdigit((unsigned char)word[1]))
            c->vector = atoi(word + 1);
        if (!compared)
            c->when = ptx_relation(word), compared = true;
    }
    return c->op == PTX_none ? -1 : 0;
}

/* One statement, without its semicolon. */
static int ptx_statement(char *s)
{
    while (isspace((unsigned char)*s) || (*s == '{' && s[1] == ' '))
        s++;
    s = ptx_trim(s);
    if (!*s || *s == '.' || *s == '}' || *s == '{' || *s == ')' || *s == '(')
        return 0;
    struct ptx_code *c = &ptx.code[ptx.n_code];
    memset(c, 0, sizeof *c);
    if (ptx.n_code + 1 >= PTX_CODES || ptx.n_pool + PTX_OPERANDS >= PTX_POOL)
        return fprintf(stderr, "emuptx: a kernel of more than %d instructions\n", PTX_CODES), -1;
    c->o = ptx.pool + ptx.n_pool;
    c->predicate = -1;
    snprintf(c->text, sizeof c->text, "%s", s);
#define X(name, word) c->is.name = strstr(c->text, word) != NULL;
    PTX_WORDS(X)
#undef X
    c->split = strchr(c->text, '{') < strchr(c->text, ',');
    if (*s == '@') {
        s++;
        c->negated = *s == '!';
        s += c->negated;
        char *end = s + strcspn(s, " \t");
        *end = 0;
        c->predicate = ptx_register(s);
        s = ptx_trim(end + 1);
    }
    char *arg = s + strcspn(s, " \t");
    if (*arg)
        *arg++ = 0;
    if (ptx_opcode(c, s))
        return fprintf(stderr, "emuptx: no '%s'\n", c->text), -1;
    char one[128];
    size_t n = 0;
    bool inside = false;
    for (;; arg++) {
        inside = *arg == '[' || (inside && *arg != ']');
        if (!*arg || (*arg == ',' && !inside)) {
            one[n] = 0;
            n = 0;
            if (ptx_operand(c, one))
                return fprintf(stderr, "emuptx: operands of '%s'\n", c->text), -1;
            if (!*arg)
                break;
        } else if (*arg != '{' && *arg != '}' && n < sizeof one - 1) {
            one[n++] = *arg;
        }
    }
    ptx.n_code++, ptx.n_pool += c->n;
    return 0;
}

static void ptx_declare(const char *line)
{
    int align = 0, n = 0;
    char name[96];
    if (sscanf(line, ".param .align %d .b8 %95[^[][%d]", &align, name, &n) == 3) {
        ptx_define(name, ptx.param_bytes);
        ptx.param_bytes += n;
    } else if (sscanf(line, ".shared .align %d .b8 %95[^[][%d]", &align, name, &n) == 3) {
        ptx.shared_bytes = (ptx.shared_bytes + align - 1) / align * align;
        ptx_define(name, ptx.shared_bytes);
        ptx.shared_bytes += n;
    }
}

/* The kernel of a module's text; -1: it has none of the name, or something in it is not known here. */
static int ptx_load(const char *text, const char *kernel)
{
    char entry[96];
    snprintf(entry, sizeof entry, ".entry %s(", kernel);
    const char *p = strstr(text, entry);
    if (!p)
        return -1;
    ptx.code = ptx.code ? ptx.code : malloc(PTX_CODES * sizeof *ptx.code);
    ptx.pool = ptx.pool ? ptx.pool : malloc(PTX_POOL * sizeof *ptx.pool);
    ptx.names = ptx.names ? ptx.names : malloc(16384 * sizeof *ptx.names);
    ptx.n_code = ptx.n_reg = ptx.n_symbol = ptx.n_label = ptx.n_pool = 0;
    ptx.shared_bytes = ptx.param_bytes = 0;
    memset(ptx.of_name, 0, sizeof ptx.of_name);
    if (strstr(text, "dk_dynamic[]"))
        ptx_define("dk_dynamic", 0);                             /* no kernel has static shared memory too */
    for (int depth = 0; *p;) {
        char line[2048];
        const size_t n = strcspn(p, "\n");
        snprintf(line, sizeof line, "%.*s", (int)n, p);
        p += n + (p[n] == '\n');
        char *comment = strstr(line, "//");
        if (comment)
            *comment = 0;
        char *s = ptx_trim(line);
        if (!strcmp(s, "{") || !strcmp(s, "}")) {
            depth += *s == '{' ? 1 : -1;
            if (depth == 0)
                break;
            continue;
        }
        const bool body = depth > 0;
        if (*s == '.') {
            ptx_declare(s);
            continue;
        }
        if (body && *s && s[strlen(s) - 1] == ':') {
            s[strlen(s) - 1] = 0;
            snprintf(ptx.label[ptx.n_label].name, sizeof ptx.label->name, "%s", s);
            ptx.label[ptx.n_label++].at = ptx.n_code;
            continue;
        }
        for (char *rest = s, *one; body && (one = strsep(&rest, ";"));)
            if (ptx_statement(one))
                return -1;
    }
    for (int i = 0; i < ptx.n_code; i++)
        for (int l = 0, near = INT_MAX; l < ptx.n_label && ptx.code[i].op == PTX_bra; l++) {
            const int far = abs((int)ptx.label[l].at - i);      /* those of inline assembly have the same names: the nearest */
            if (far < near && !strcmp(ptx.label[l].name, ptx.code[i].label))
                near = far, ptx.code[i].target = (int)ptx.label[l].at;
        }
    return ptx.n_label < (int)(sizeof ptx.label / sizeof *ptx.label) ? 0 : -1;
}

static void ptx_block(const void *p, size_t n)
{
    ptx.block[ptx.n_block].begin = (uintptr_t)p;
    ptx.block[ptx.n_block++].end = (uintptr_t)p + n;
}

/* ---- values ---- */

static inline uint64_t *ptx_reg(int thread, int reg) { return &ptx.reg[(size_t)thread * (size_t)ptx.n_reg + (size_t)reg]; }
static uint64_t ptx_get_other(int thread, const struct ptx_operand *o)
{
    switch (o->kind) {
    case PTX_REG:
        if (ptx.busy[thread / 128][o->reg])
            ptx_report(&ptx.code[ptx.pc[thread]], thread, "a register of a product not waited for is read", o->reg);
        return *ptx_reg(thread, o->reg);
    case PTX_SPECIAL: return (uint64_t)(o->reg == 0 ? thread : o->reg == 4 ? ptx.grid_x : ptx.id[o->reg - 1]);
    default: return (uint64_t)o->value;
    }
}
static inline uint64_t ptx_get(int thread, const struct ptx_operand *o) { return o->kind == PTX_REG && !ptx.n_busy ? *ptx_reg(thread, o->reg) : ptx_get_other(thread, o); }
static float ptx_float(uint64_t v)
{
    const uint32_t u = (uint32_t)v;
    float f;
    memcpy(&f, &u, 4);
    return f;
}
static uint64_t ptx_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}
static uint64_t ptx_cut(uint64_t v, int bits) { return bits >= 64 ? v : v & ((UINT64_C(1) << bits) - 1); }
static int64_t ptx_signed(uint64_t v, int bits) { return bits >= 64 ? (int64_t)v : (int64_t)(v << (64 - bits)) >> (64 - bits); }
static uint64_t ptx_widen(uint64_t v, struct ptx_type t) { return t.letter == 's' ? (uint64_t)ptx_signed(v, t.bits) : ptx_cut(v, t.bits); }

static double ptx_double(uint64_t v)
{
    double d;
    memcpy(&d, &v, 8);
    return d;
}
static uint64_t ptx_double_bits(double d)
{
    uint64_t u;
    memcpy(&u, &d, 8);
    return u;
}
static uint64_t ptx_double_op(const struct ptx_code *c, uint64_t x, uint64_t y, uint64_t z)
{
    const double a = ptx_double(x), b = ptx_double(y);
    switch (c->op) {
    case PTX_add: return ptx_double_bits(a + b);
    case PTX_sub: return ptx_double_bits(a - b);
    case PTX_mul: return ptx_double_bits(a * b);
    case PTX_fma: return ptx_double_bits(fma(a, b, ptx_double(z)));
    case PTX_neg: return ptx_double_bits(-a);
    case PTX_abs: return ptx_double_bits(fabs(a));
    case PTX_min: return ptx_double_bits(fmin(a, b));
    case PTX_max: return ptx_double_bits(fmax(a, b));
    case PTX_sqrt: return ptx_double_bits(sqrt(a));
    default: return ptx_double_bits(a / b);
    }
}

static uint64_t ptx_float_op(const struct ptx_code *c, uint64_t x, uint64_t y, uint64_t z)
{
    const float a = ptx_float(x), b = ptx_float(y);
    switch (c->op) {
    case PTX_add: return ptx_bits(a + b);
    case PTX_sub: return ptx_bits(a - b);
    case PTX_mul: return ptx_bits(a * b);
    case PTX_fma: return ptx_bits(fmaf(a, b, ptx_float(z)));
    case PTX_neg: return ptx_bits(-a);
    case PTX_abs: return ptx_bits(fabsf(a));
    case PTX_min: return ptx_bits(fminf(a, b));
    case PTX_max: return ptx_bits(fmaxf(a, b));
    case PTX_div: return ptx_bits(a / b);
    case PTX_ex2: return ptx_bits(exp2f(a));
    case PTX_lg2: return ptx_bits(log2f(a));
    case PTX_rsqrt: return ptx_bits(1 / sqrtf(a));
    case PTX_sqrt: return ptx_bits(sqrtf(a));
    default: return ptx_bits(1 / a);
    }
}

static uint64_t ptx_high(uint64_t a, uint64_t b, bool is_signed)
{
    __extension__ const unsigned __int128 product = (unsigned __int128)a * b;
    const uint64_t high = (uint64_t)(product >> 64);
    return is_signed ? high - ((int64_t)a < 0 ? b : 0) - ((int64_t)b < 0 ? a : 0) : high;
}

static uint64_t ptx_integer_op(const struct ptx_code *c, uint64_t x, uint64_t y, uint64_t z)
{
    const struct ptx_type t = c->type;
    const uint64_t a = ptx_widen(x, t), b = ptx_widen(y, t);
    const bool s = t.letter == 's';
    switch (c->op) {
    case PTX_add: return a + b;
    case PTX_sub: return a - b;
    case PTX_mul:
        if (c->high)
            return t.bits == 64 ? ptx_high(a, b, s) : s ? (uint64_t)((int64_t)a * (int64_t)b >> t.bits) : a * b >> t.bits;
        return a * b;
    case PTX_mad: return a * b + z;
    case PTX_neg: return -a;
    case PTX_abs: return (int64_t)a < 0 ? -a : a;
    case PTX_min: return (s ? (int64_t)a < (int64_t)b : a < b) ? a : b;
    case PTX_max: return (s ? (int64_t)a > (int64_t)b : a > b) ? a : b;
    case PTX_div: return b == 0 ? ~UINT64_C(0) : s ? (uint64_t)((int64_t)a / (int64_t)b) : a / b;
    case PTX_rem: return b == 0 ? a : s ? (uint64_t)((int64_t)a % (int64_t)b) : a % b;
    case PTX_and: return a & b;
    case PTX_or: return a | b;
    case PTX_xor: return a ^ b;
    case PTX_not: return t.letter == 'p' ? !a : ~a;
    case PTX_shl: return (uint32_t)y >= (uint32_t)t.bits ? 0 : a << (uint32_t)y;
    case PTX_shr: return (uint32_t)y >= (uint32_t)t.bits ? (s ? (uint64_t)((int64_t)a >> 63) : 0) : s ? (uint64_t)((int64_t)a >> (uint32_t)y) : a >> (uint32_t)y;
    case PTX_bfe:
        if (s)
            return z & 255 ? (uint64_t)ptx_signed(a >> (y & 255), (int)(z & 63)) : 0;
        return (ptx_cut(a, t.bits) >> (y & 255)) & ((UINT64_C(1) << (z & 63)) - 1);
    default: return a;
    }
}

static bool ptx_compare(const struct ptx_code *c, uint64_t x, uint64_t y)
{
    const struct ptx_relation when = c->when;
    bool less, equal;
    if (c->type.letter == 'f') {
        const bool wide = c->type.bits == 64;
        const double a = wide ? ptx_double(x) : (double)ptx_float(x), b = wide ? ptx_double(y) : (double)ptx_float(y);
        if (isnan(a) || isnan(b))
            return when.unordered;
        less = a < b, equal = a == b;
    } else {
        const uint64_t a = ptx_widen(x, c->type), b = ptx_widen(y, c->type);
        less = c->type.letter == 's' ? (int64_t)a < (int64_t)b : a < b, equal = a == b;
    }
    return less ? when.less : equal ? when.equal : when.greater;
}

static uint64_t ptx_convert(const struct ptx_code *c, uint64_t v)
{
    const struct ptx_type to = c->type, from = c->from.bits ? c->from : c->type;
    if (from.letter == 'f' && from.bits == 64)
        return to.letter == 'f' ? ptx_bits((float)ptx_double(v)) : (uint64_t)(int64_t)(c->approx ? trunc(ptx_double(v)) : rint(ptx_double(v)));
    if (to.letter == 'f' && to.bits == 64)
        return ptx_double_bits(from.letter == 'f' ? (double)ptx_float(v) : from.letter == 's' ? (double)ptx_signed(v, from.bits) : (double)ptx_cut(v, from.bits));
    if (from.letter == 'f') {
        float f = ptx_float(v);
        if (from.bits == 16) {
            f = half_to_float((uint16_t)v);
        }
        if (c->integer)
            f = c->approx ? truncf(f) : rintf(f);
        if (to.letter == 'f' && to.bits == 16)
            return float_to_half(f);
        return to.letter == 'f' ? ptx_bits(f) : to.letter == 's' ? (uint64_t)(int64_t)f : (uint64_t)f;
    }
    if (to.letter == 'f')
        return ptx_bits(from.letter == 's' ? (float)ptx_signed(v, from.bits) : (float)ptx_cut(v, from.bits));
    return ptx_widen(v, from);
}

/* ---- memory ---- */

/* same: what is written is there already; two threads that clear one place do each other no harm. */
static bool ptx_shared_access(const struct ptx_code *c, int thread, int64_t at, int64_t n, bool write, bool same)
{
    if (at < 0 || at + n > ptx.shared_bytes)
        return ptx_report(c, thread, "outside of shared memory", at), false;
    for (int64_t i = at; i < at + n; i++) {
        struct ptx_shadow *s = &ptx.shadow[i];
        const bool new_write = s->written && s->write_round == ptx.round && s->writer != thread;
        const bool new_read = s->read_round == ptx.round && (s->readers || s->reader != thread);
        if (!write && !s->written)
            return ptx_report(c, thread, "shared memory that nobody wrote is read", at), true;
        if ((new_write && !same) || (write && new_read && !same))
            return ptx_report(c, thread, "a race for shared memory", at), true;
        if (write) {
            s->written = true, s->writer = thread, s->write_round = ptx.round;
        } else {
            s->readers = s->read_round == ptx.round && (s->readers || s->reader != thread);
            s->reader = thread, s->read_round = ptx.round;
        }
    }
    return true;
}
static bool ptx_global_access(const struct ptx_code *c, int thread, uint64_t at, uint64_t n)
{
    for (int i = 0; i < ptx.n_block; i++)
        if (at >= ptx.block[i].begin && at + n <= ptx.block[i].end)
            return true;
    return ptx_report(c, thread, "outside of every block of memory", (int64_t)at), false;
}

static int ptx_memory(const struct ptx_code *c, int thread)
{
    const bool store = c->op == PTX_st;
    const struct ptx_operand *m = store ? &c->o[0] : &c->o[c->vector];
    const int size = c->type.bits / 8;
    const uint64_t at = (m->reg >= 0 ? *ptx_reg(thread, m->reg) : 0) + (uint64_t)m->value, n = (uint64_t)(size * c->vector);
    unsigned char *p;
    if (at % n)
        return ptx_report(c, thread, "a misaligned access", (int64_t)at), 0;
    if (c->param) {
        if (at + n > (uint64_t)ptx.param_bytes)
            return ptx_report(c, thread, "outside of the arguments", (int64_t)at), 0;
        p = (unsigned char *)(uintptr_t)ptx.param + at;
    } else if (c->shared) {
        bool same = store;
        for (int i = 0; i < c->vector && same && (int64_t)(at + n) <= ptx.shared_bytes; i++) {
            const uint64_t v = ptx_get(thread, &c->o[1 + i]);
            same = !memcmp(&v, ptx.shared + at + (size_t)(i * size), (size_t)size);
        }
        if (!ptx_shared_access(c, thread, (int64_t)at, (int64_t)n, store, same))
            return 0;
        p = ptx.shared + at;
    } else {
        if (!ptx_global_access(c, thread, at, n))
            return 0;
        p = (unsigned char *)(uintptr_t)at;
    }
    for (int i = 0; i < c->vector; i++, p += size) {
        if (store) {
            const uint64_t v = ptx_get(thread, &c->o[1 + i]);
            memcpy(p, &v, (size_t)size);
        } else {
            uint64_t v = 0;
            memcpy(&v, p, (size_t)size);
            *ptx_reg(thread, c->o[i].reg) = ptx_widen(v, c->type);
        }
    }
    return 0;
}

/* ---- running ---- */

enum { PTX_RUNS, PTX_AT_WARP, PTX_AT_BARRIER, PTX_WAITS, PTX_DONE };

static void ptx_move(const struct ptx_code *c, int thread)
{
    if (c->n == 3 && c->o[2].kind == PTX_REG) {          /* mov.b32 {low, high}, x  or  mov.b32 x, {low, high}; b64 likewise */
        const int half = c->type.bits / 2;
        if (c->split) {
            const uint64_t v = ptx_get(thread, &c->o[2]);
            *ptx_reg(thread, c->o[0].reg) = ptx_cut(v, half);
            *ptx_reg(thread, c->o[1].reg) = ptx_cut(v >> half, half);
        } else {
            *ptx_reg(thread, c->o[0].reg) = ptx_cut(ptx_get(thread, &c->o[1]), half) | ptx_cut(ptx_get(thread, &c->o[2]), half) << half;
        }
        return;
    }
    if (ptx.n_busy && c->o[1].kind == PTX_REG) {                /* the assembler makes these one register */
        ptx.busy[thread / 128][c->o[0].reg] = ptx.busy[thread / 128][c->o[1].reg];
        *ptx_reg(thread, c->o[0].reg) = ptx_cut(*ptx_reg(thread, c->o[1].reg), c->type.bits);
        return;
    }
    *ptx_reg(thread, c->o[0].reg) = ptx_cut(ptx_get(thread, &c->o[1]), c->type.bits);
}

static uint64_t ptx_bf16_bits(float f)
{
    const uint64_t u = ptx_bits(f);
    return isnan(f) ? 0x7fff : (u + 0x7fff + (u >> 16 & 1)) >> 16;
}
static void ptx_compute(const struct ptx_code *c, int thread)
{
    uint64_t v[3] = { 0, 0, 0 };
    for (int i = 1; i < c->n && i < 4; i++)
        v[i - 1] = ptx_get(thread, &c->o[i]);
    uint64_t out;
    switch (c->op) {
    case PTX_setp: out = ptx_compare(c, v[0], v[1]); break;
    case PTX_selp: out = (v[2] & 1) ? v[0] : v[1]; break;
    case PTX_cvt: out = c->is.bf16x2 ? ptx_bf16_bits(ptx_float(v[1])) | ptx_bf16_bits(ptx_float(v[0])) << 16 : ptx_convert(c, v[0]); break;
    case PTX_dp4a:
        out = v[2];
        for (int i = 0; i < 32; i += 8)
            out += (uint64_t)((int64_t)(int8_t)(v[0] >> i) * (int8_t)(v[1] >> i));
        break;
    default: out = c->type.letter == 'f' && c->type.bits == 64 ? ptx_double_op(c, v[0], v[1], v[2]) : c->type.letter == 'f' ? ptx_float_op(c, v[0], v[1], v[2]) : ptx_integer_op(c, v[0], v[1], v[2]);
    }
    if (c->op == PTX_cvt && c->type.letter == 's' && c->type.bits == 8)             /* in a register of 16 bits, with its sign */
        out = (uint64_t)ptx_signed(out, 8) & 0xffff;
    const int bits = c->op == PTX_cvt && c->type.bits == 8 ? 16 : c->op == PTX_setp ? 1 : c->is.bf16x2 ? 32 : c->wide ? 2 * c->type.bits : c->type.bits;
    *ptx_reg(thread, c->o[0].reg) = ptx_cut(out, bits);
}

#include "emuptx_async.h"

/* Until the thread waits for others, or ends. */
static void ptx_run_thread(int thread)
{
    for (;;) {
        const struct ptx_code *c = &ptx.code[ptx.pc[thread]];
        ptx.n_step++;
        if (c->predicate >= 0 && (*ptx_reg(thread, c->predicate) & 1) == (uint64_t)c->negated) {
            ptx.pc[thread]++;
            continue;
        }
        switch (c->op) {
        case PTX_bra: ptx.pc[thread] = c->target; continue;
        case PTX_ret: ptx.state[thread] = PTX_DONE; return;
        case PTX_bar:
            if (ptx_arrive_only(c, thread))
                break;
            ptx.state[thread] = PTX_AT_BARRIER;
            return;
        case PTX_shfl: case PTX_ldmatrix: case PTX_stmatrix: case PTX_mma: case PTX_wgmma: ptx.state[thread] = PTX_AT_WARP; return;
        case PTX_fence: case PTX_prefetch: case PTX_setmaxnreg: break;
        case PTX_mbarrier:
            if (ptx_mbarrier(c, thread))
                break;
            ptx.state[thread] = PTX_WAITS;
            return;
        case PTX_cp: ptx_copy(c, thread); break;
        case PTX_ld: case PTX_st: ptx_memory(c, thread); break;
        case PTX_mov: ptx_move(c, thread); break;
        default: ptx_compute(c, thread);
        }
        ptx.pc[thread]++;
    }
}

static float ptx_bf16(uint64_t pair, int high) { return ptx_float(high ? pair & 0xffff0000u : pair << 16 & 0xffff0000u); }

/* d[4] = a[16][16] * b[16][8] + c[4]: PTX ISA, "Matrix fragments for mma.m16n8k16". */
static void ptx_mma_i8_warp(const struct ptx_code *c, int first);
static void ptx_mma_warp(const struct ptx_code *c, int first)
{
    if (c->is.i8) {
        ptx_mma_i8_warp(c, first);
        return;
    }
    float a[16][16], b[16][8], d[32][4];
    for (int l = 0; l < 32; l++) {
        const int row = l / 4, k = 2 * (l % 4);
        for (int h = 0; h < 2; h++) {
            for (int i = 0; i < 4; i++)
                a[row + 8 * (i & 1)][k + h + 8 * (i >> 1)] = ptx_bf16(ptx_get(first + l, &c->o[4 + i]), h);
            for (int i = 0; i < 2; i++)
                b[k + h + 8 * i][row] = ptx_bf16(ptx_get(first + l, &c->o[8 + i]), h);
        }
    }
    for (int l = 0; l < 32; l++)
        for (int i = 0; i < 4; i++) {
            float s = ptx_float(ptx_get(first + l, &c->o[10 + i]));
            for (int k = 0; k < 16; k++)
                s += a[l / 4 + 8 * (i / 2)][k] * b[k][2 * (l % 4) + (i & 1)];
            d[l][i] = s;
        }
    for (int l = 0; l < 32; l++)
        for (int i = 0; i < 4; i++)
            *ptx_reg(first + l, c->o[i].reg) = ptx_bits(d[l][i]);
}

/* d[4] = a[16][32] * b[32][8] + c[4] of int8: "Matrix fragments for mma.m16n8k32", .s8. */
static void ptx_mma_i8_warp(const struct ptx_code *c, int first)
{
    int8_t a[16][32], b[32][8];
    uint32_t d[32][4];
    for (int l = 0; l < 32; l++)
        for (int j = 0; j < 4; j++) {
            for (int i = 0; i < 4; i++)
                a[l / 4 + 8 * (i & 1)][4 * (l % 4) + j + 16 * (i >> 1)] = (int8_t)(ptx_get(first + l, &c->o[4 + i]) >> 8 * j);
            for (int i = 0; i < 2; i++)
                b[4 * (l % 4) + j + 16 * i][l / 4] = (int8_t)(ptx_get(first + l, &c->o[8 + i]) >> 8 * j);
        }
    for (int l = 0; l < 32; l++)
        for (int i = 0; i < 4; i++) {
            d[l][i] = (uint32_t)ptx_get(first + l, &c->o[10 + i]);
            for (int k = 0; k < 32; k++)
                d[l][i] += (uint32_t)(a[l / 4 + 8 * (i / 2)][k] * b[k][2 * (l % 4) + (i & 1)]);
        }
    for (int l = 0; l < 32; l++)
        for (int i = 0; i < 4; i++)
            *ptx_reg(first + l, c->o[i].reg) = d[l][i];
}

/* ldmatrix and stmatrix, x4: row r of matrix i is at the address that lane 8i+r has; a lane has two elements of row lane/4, or transposed of two
 * rows and column lane/4. */
static void ptx_matrices(const struct ptx_code *c, int first)
{
    const bool store = c->op == PTX_stmatrix;
    const struct ptx_operand *m = store ? &c->o[0] : &c->o[4], *r = store ? &c->o[1] : &c->o[0];
    for (int i = 0; i < 4; i++)
        for (int l = 0; l < 32; l++) {
            uint32_t v = store ? (uint32_t)ptx_get(first + l, &r[i]) : 0;
            for (int h = 0; h < 2; h++) {
                const int row = c->transposed ? 2 * (l % 4) + h : l / 4, col = c->transposed ? l / 4 : 2 * (l % 4) + h;
                const int64_t line = (int64_t)(*ptx_reg(first + 8 * i + row, m->reg) + (uint64_t)m->value), at = line + 2 * col;
                if (line % 16)
                    ptx_report(c, first + l, "a misaligned row", line);
                else if (!ptx_shared_access(c, first + l, at, 2, store, false))
                    continue;
                else if (store)
                    memcpy(ptx.shared + at, (char *)&v + 2 * h, 2);
                else
                    memcpy((char *)&v + 2 * h, ptx.shared + at, 2);
            }
            if (!store)
                *ptx_reg(first + l, r[i].reg) = v;
        }
}

static void ptx_warp(int first)
{
    const struct ptx_code *c = &ptx.code[ptx.pc[first]];
    if (c->op == PTX_shfl) {
        uint64_t v[32];
        for (int l = 0; l < 32; l++)
            v[l] = ptx_get(first + l, &c->o[1]);
        for (int l = 0; l < 32; l++)
            *ptx_reg(first + l, c->o[0].reg) = v[(uint64_t)l ^ (ptx_get(first + l, &c->o[2]) & 31)];
    } else if (c->op == PTX_ldmatrix || c->op == PTX_stmatrix) {
        ptx_matrices(c, first);
    } else {
        ptx_mma_warp(c, first);
    }
    for (int l = 0; l < 32; l++) {
        ptx.pc[first + l]++;
        ptx.state[first + l] = PTX_RUNS;
    }
}

/* Whether the threads from `first` on are together at what concerns n of them. */
static bool ptx_together(int first, int n)
{
    for (int l = 0; l < n; l++)
        if (ptx.state[first + l] != PTX_AT_WARP || ptx.pc[first + l] != ptx.pc[first])
            return false;
    return true;
}
static bool ptx_collectives(void)
{
    bool moved = false;
    for (int w = 0; w < ptx.n_thread; w += 32) {
        const bool group = ptx.state[w] == PTX_AT_WARP && ptx.code[ptx.pc[w]].op == PTX_wgmma;
        if ((group && w % 128) || !ptx_together(w, group ? 128 : 32))
            continue;
        if (group)
            ptx_warpgroup(w);
        else
            ptx_warp(w);
        moved = true;
    }
    return moved;
}

static int ptx_run_block(void)
{
    const int n = ptx.n_thread;
    memset(ptx.pc, 0, (size_t)n * sizeof *ptx.pc);
    memset(ptx.state, 0, (size_t)n * sizeof *ptx.state);
    memset(ptx.reg, 0x5a, (size_t)n * (size_t)ptx.n_reg * sizeof *ptx.reg);
    memset(ptx.shadow, 0, (size_t)ptx.shared_bytes * sizeof *ptx.shadow);
    ptx.round = 1;
    ptx_async_begin();
    for (;;) {
        bool moved = false;
        int n_done = 0;
        for (int t = 0; t < n; t++)
            if (ptx.state[t] == PTX_RUNS) {
                ptx_run_thread(t);
                moved = true;
            }
        moved |= ptx_collectives();
        for (int t = 0; t < n; t++)
            n_done += ptx.state[t] == PTX_DONE;
        if (n_done == n)
            return ptx_async_end(), 0;
        /* What is asynchronous comes as late as it may: when nobody can go on without it. */
        if (!ptx_barriers() && !ptx_waiters() && !moved && !ptx_deliver())
            return fprintf(stderr, "emuptx: threads wait for others that never come\n"), -1;
    }
}

/* args: of ptx.param_bytes, which are the kernel's. */
static int ptx_launch(int gx, int gy, int gz, int n_thread, const void *args)
{
    ptx.n_thread = n_thread, ptx.param = args, ptx.grid_x = gx;
    ptx.shared_bytes += ptx.dynamic_bytes;
    ptx.reg = malloc((size_t)n_thread * (size_t)ptx.n_reg * sizeof *ptx.reg);
    ptx.pc = malloc((size_t)n_thread * sizeof *ptx.pc);
    ptx.state = malloc((size_t)n_thread * sizeof *ptx.state);
    bool there = n_thread <= 1024;
    for (int i = 0; i < 8; i++)
        there &= (ptx.busy[i] = calloc((size_t)ptx.n_reg, sizeof **ptx.busy)) != NULL;
    ptx.n_busy = 0;
    int rc = !there || ptx.shared_bytes > PTX_SHARED || !ptx.reg || !ptx.pc || !ptx.state ? -1 : 0;
    for (ptx.id[2] = 0; ptx.id[2] < gz && !rc; ptx.id[2]++)
        for (ptx.id[1] = 0; ptx.id[1] < gy && !rc; ptx.id[1]++)
            for (ptx.id[0] = 0; ptx.id[0] < gx && !rc; ptx.id[0]++)
                rc = ptx_run_block();
    for (int i = 0; i < 8; i++)
        free(ptx.busy[i]);
    free(ptx.reg);
    free(ptx.pc);
    free(ptx.state);
    return rc;
}
static void ptx_release(void)
{
    free(ptx.code);
    free(ptx.names);
    free(ptx.pool);
    ptx.code = NULL, ptx.names = NULL, ptx.pool = NULL;
}
