/* blaslt.c - cuBLASLt and hipBLASLt: the same calls under two names, with other numbers for the same words. */
#include "gpu/blaslt.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKSPACE ((size_t)32 << 20)              /* what cuBLAS takes by default on Hopper */
#define CHOICES_MAX 4096
#define CHOICES_BYTES ((size_t)2 << 20)
#define FIRST_WORDS "lathe blaslt 2 "

/* ---- the library ---- */

struct algo_cuda { uint64_t data[8]; };
struct algo_hip { uint8_t data[16]; size_t workspace_max; };
struct found_cuda { struct algo_cuda algo; size_t workspace; int state; float waves; int reserved[4]; };
struct found_hip { struct algo_hip algo; size_t workspace; int state; float waves; int reserved[4]; };
_Static_assert(sizeof(struct algo_cuda) == GPU_BLAS_ALGO && sizeof(struct algo_hip) <= GPU_BLAS_ALGO, "choices hold both");

#define CALLS(X)                                                                                                       \
    X(create, Create, (void **handle))                                                                                  \
    X(destroy, Destroy, (void *handle))                                                                                 \
    X(desc_new, MatmulDescCreate, (void **desc, int compute, int scale))                                                \
    X(desc_free, MatmulDescDestroy, (void *desc))                                                                       \
    X(desc_set, MatmulDescSetAttribute, (void *desc, int attribute, const void *value, size_t n))                       \
    X(layout_new, MatrixLayoutCreate, (void **layout, int type, uint64_t rows, uint64_t cols, int64_t ld))              \
    X(layout_free, MatrixLayoutDestroy, (void *layout))                                                                 \
    X(wish_new, MatmulPreferenceCreate, (void **wish))                                                                  \
    X(wish_free, MatmulPreferenceDestroy, (void *wish))                                                                 \
    X(wish_set, MatmulPreferenceSetAttribute, (void *wish, int attribute, const void *value, size_t n))                 \
    X(heuristic, MatmulAlgoGetHeuristic, (void *handle, void *desc, void *a, void *b, void *c, void *d, void *wish, int n_wanted, void *found, int *n_found)) \
    X(matmul, Matmul, (void *handle, void *desc, const void *alpha, const void *a, void *la, const void *b, void *lb, const void *beta, const void *c, void *lc, void *d, void *ld, \
                       const void *algo, void *workspace, size_t n_workspace, void *stream))

struct calls {
#define X(field, name, params) int (*field) params;
    CALLS(X)
#undef X
};
struct symbol { const char *cuda, *hip; size_t at; };
/* Numbers of cublasLt.h and cublas_api.h (CUDA 13), of hipblaslt.h and hipblas-common.h (ROCm 6): operations, descriptor attributes, compute types; the types of
 * elements (CUDA_R_16BF, HIP_R_16BF, ..), a bias as epilogue and the limit of the workspace are the same in both. */
struct vendor { const char *word, *variable, *names[4]; int op_n, op_t, trans_a, trans_b, epilogue, bias, compute_32f; };
enum { REAL_32F = 0, REAL_16BF = 14, WISH_WORKSPACE = 1, EPILOGUE_BIAS = 4 };
static const struct vendor cuda = { "cuBLASLt", "LATHE_CUBLASLT_LIB", { "libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so", NULL }, 0, 1, 3, 4, 7, 8, 68 };
static const struct vendor hip = { "hipBLASLt", "LATHE_HIPBLASLT_LIB", { "libhipblaslt.so.1", "libhipblaslt.so.0", "libhipblaslt.so", NULL }, 111, 112, 0, 1, 2, 3, 2 };

/* A choice in use: the product's description, layouts of its matrices; of a file: chosen by another run, so that a refusal is no surprise. */
struct known { struct gpu_blas_choice c; void *desc, *la, *lb, *lc; bool of_file; };
struct gpu_blas {
    struct gpu *g;
    const struct vendor *v;
    struct calls call;
    void *lib, *handle, *wish, *workspace;
    struct known *known;
    int n_known;
    bool is_new;
    char name[64], owner[256], *choices;
};

static int open_library(struct gpu_blas *b, struct err *err)
{
    const char *own = getenv(b->v->variable);
    if (own && *own) {
        b->lib = dlopen(own, RTLD_NOW | RTLD_LOCAL);
        return b->lib ? 0 : ERR(err, NOTFOUND, "%s=%s: %s", b->v->variable, own, dlerror());
    }
    for (int i = 0; b->v->names[i] && !b->lib; i++)
        b->lib = dlopen(b->v->names[i], RTLD_NOW | RTLD_LOCAL);
    return b->lib ? 0 : ERR(err, NOTFOUND, "no %s on this machine: %s is not installed", b->v->names[0], b->v->word);
}
static int find(const struct gpu_blas *b, const char *name, void *to, struct err *err)
{
    void *p = dlsym(b->lib, name);
    if (!p)
        return ERR(err, UNSUPPORTED, "%s has no %s: it is too old", b->v->word, name);
    memcpy(to, &p, sizeof p);
    return 0;
}
static int find_all(struct gpu_blas *b, struct err *err)
{
    static const struct symbol symbols[] = {
#define X(field, name, params) { "cublasLt" #name, "hipblasLt" #name, offsetof(struct calls, field) },
        CALLS(X)
#undef X
    };
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
        TRY(find(b, b->v == &cuda ? symbols[i].cuda : symbols[i].hip, (char *)&b->call + symbols[i].at, err));
    return 0;
}
static int failed(const struct gpu_blas *b, int status, const char *doing, struct err *err)
{
    return status == 0 ? 0 : ERR(err, IO, "%s: %s: status %d", b->v->word, doing, status);
}
static int ask_version(struct gpu_blas *b, struct err *err)
{
    long version = 0;
    if (b->v == &cuda) {
        size_t (*get)(void);
        TRY(find(b, "cublasLtGetVersion", &get, err));
        version = (long)get();
    } else {
        int (*get)(void *, int *), n = 0;
        TRY(find(b, "hipblasLtGetVersion", &get, err));
        TRY(failed(b, get(b->handle, &n), "its version", err));
        version = n;
    }
    const struct gpu_facts *f = gpu_facts(b->g);
    snprintf(b->name, sizeof b->name, "%s %ld", b->v->word, version);
    snprintf(b->owner, sizeof b->owner, "%s %s %s", b->name, f->arch, f->name);
    for (char *p = b->owner; *p; p++)
        *p = *p == '\n' ? ' ' : *p;
    return 0;
}

/* ---- choices ---- */

static int compare(const struct gpu_blas_choice *x, const struct gpu_blas_choice *y)
{
    const int a[] = { x->M, x->N, x->K, x->ld_a, x->form }, b[] = { y->M, y->N, y->K, y->ld_a, y->form };
    for (int i = 0; i < 5; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}
/* Where the choice for these sizes is, or would be. */
static int place(const struct gpu_blas *b, const struct gpu_blas_choice *c)
{
    int low = 0, high = b->n_known;
    while (low < high) {
        const int mid = (low + high) / 2;
        if (compare(&b->known[mid].c, c) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}
static void forget(struct gpu_blas *b, int i)
{
    struct known *k = &b->known[i];
    void *const layouts[] = { k->la, k->lb, k->lc };
    for (int j = 0; j < 3; j++)
        if (layouts[j])
            b->call.layout_free(layouts[j]);
    if (k->desc)
        b->call.desc_free(k->desc);
    memmove(k, k + 1, (size_t)(--b->n_known - i) * sizeof *k);
}
/* Room at i; where there is none all choices are forgotten, and i is 0. */
static struct known *insert(struct gpu_blas *b, int i, const struct gpu_blas_choice *c)
{
    if (b->n_known == CHOICES_MAX)
        for (i = 0; b->n_known > 0;)
            forget(b, b->n_known - 1);
    struct known *k = &b->known[i];
    memmove(k + 1, k, (size_t)(b->n_known++ - i) * sizeof *k);
    *k = (struct known){ .c = *c };
    return k;
}

static int digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }
/* One line, its newline not with it. */
static bool read_choice(const char *line, struct gpu_blas_choice *c)
{
    static const long least[] = { 1, 1, 1, 0, 0, 0 }, most[] = { 0x7fffffff, 0x7fffffff, 0x7fffffff, 0x7fffffff, GPU_BLAS_FORMS - 1, (long)WORKSPACE };
    long v[6];
    char *end = (char *)(uintptr_t)line;
    for (int i = 0; i < 6; i++) {
        const char *from = end;
        if (*from < '0' || *from > '9')
            return false;
        v[i] = strtol(from, &end, 10);
        if (*end++ != ' ' || v[i] < least[i] || v[i] > most[i])
            return false;
    }
    *c = (struct gpu_blas_choice){ .M = (int)v[0], .N = (int)v[1], .K = (int)v[2], .ld_a = (int)v[3], .form = (int)v[4], .workspace = (uint64_t)v[5] };
    for (int i = 0; i < GPU_BLAS_ALGO; i++) {
        const int high = digit(end[0]), low = high < 0 ? -1 : digit(end[1]);
        if (low < 0)
            return false;
        c->algo[i] = (unsigned char)(high * 16 + low);
        end += 2;
    }
    return *end == '\n';
}

int gpu_blas_read_choices(const char *text, size_t n, const char *owner, struct gpu_blas_choice **out, int *n_out, struct err *err)
{
    *out = NULL, *n_out = 0;
    /* The last line: "end ", 16 digits, a newline. */
    char last[32];
    const size_t n_last = 4 + 16 + 1, n_first = strlen(FIRST_WORDS), n_owner = strlen(owner);
    if (n < n_first + 1 + n_last || memchr(text, 0, n))
        return ERR(err, CORRUPT, "%zu bytes are no choices of algorithms", n);
    snprintf(last, sizeof last, "end %016llx\n", (unsigned long long)hash64(text, n - n_last, 0));
    if (memcmp(text + n - n_last, last, n_last) != 0)
        return ERR(err, CORRUPT, "its last line is not '%.20s'", last);
    if (memcmp(text, FIRST_WORDS, n_first) != 0)
        return ERR(err, CORRUPT, "it does not begin with '%s'", FIRST_WORDS);
    const char *at = text + n_first, *end = text + n - n_last;
    if ((size_t)(end - at) < n_owner + 1 || memcmp(at, owner, n_owner) != 0 || at[n_owner] != '\n')
        return ERR(err, NOTFOUND, "its choices are not of %s", owner);
    struct gpu_blas_choice *c = mem_alloc_array(CHOICES_MAX, sizeof *c);
    if (!c)
        return ERR(err, NOMEM, "choices of %d algorithms", CHOICES_MAX);
    int n_choice = 0, rc = 0;
    for (at += n_owner + 1; at < end && rc == 0; n_choice++) {
        if (n_choice == CHOICES_MAX || !read_choice(at, &c[n_choice]) || (n_choice > 0 && compare(&c[n_choice - 1], &c[n_choice]) >= 0))
            rc = ERR(err, CORRUPT, "choice %d is not one, not in order, or one too many", n_choice + 1);
        else
            at = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1;
    }
    if (rc) {
        mem_free(c);
        return rc;
    }
    *out = c, *n_out = n_choice;
    return 0;
}

/* What another run chose.  No file, and one that is not for us, are no errors. */
static int load_choices(struct gpu_blas *b, struct err *err)
{
    struct buf text;
    struct gpu_blas_choice *c = NULL;
    int n = 0;
    if (!b->choices || !file_exists(b->choices))
        return 0;
    buf_init(&text);
    int rc = file_read(b->choices, CHOICES_BYTES, &text, err);
    rc = rc ? rc : gpu_blas_read_choices(text.data, text.len, b->owner, &c, &n, err);
    if (rc && rc != ERR_NOMEM) {
        log_warn("%s is not used, algorithms are chosen anew: %s", b->choices, err->msg);
        rc = 0, b->is_new = true;
    }
    for (int i = 0; i < n; i++)
        insert(b, i, &c[i])->of_file = true;
    mem_free(c);
    buf_release(&text);
    return rc;
}

int gpu_blas_save(struct gpu_blas *b, struct err *err)
{
    if (!b->choices || !b->is_new)
        return 0;
    struct buf text;
    buf_init(&text);
    int rc = buf_printf(&text, err, FIRST_WORDS "%s\n", b->owner);
    for (int i = 0; i < b->n_known && rc == 0; i++) {
        const struct gpu_blas_choice *c = &b->known[i].c;
        char hex[2 * GPU_BLAS_ALGO + 1];
        for (int j = 0; j < GPU_BLAS_ALGO; j++)
            snprintf(hex + 2 * j, 3, "%02x", c->algo[j]);
        rc = buf_printf(&text, err, "%d %d %d %d %d %llu %s\n", c->M, c->N, c->K, c->ld_a, c->form, (unsigned long long)c->workspace, hex);
    }
    rc = rc ? rc : buf_printf(&text, err, "end %016llx\n", (unsigned long long)hash64(text.data, text.len, 0));
    rc = rc ? rc : file_write_all(b->choices, text.data, text.len, err);
    buf_release(&text);
    b->is_new = rc != 0;
    return rc;
}

/* ---- products.  The libraries think in columns: c's rows are their columns, so that they are asked for b times a, b transposed where it lies by rows ---- */

static int describe(struct gpu_blas *b, struct known *k, struct err *err)
{
    const int32_t op_b = k->c.form & GPU_BLAS_B_COLS ? b->v->op_n : b->v->op_t, op_a = k->c.form & GPU_BLAS_A_COLS ? b->v->op_t : b->v->op_n, epilogue = EPILOGUE_BIAS;
    TRY(failed(b, b->call.desc_new(&k->desc, b->v->compute_32f, REAL_32F), "a product's description", err));
    TRY(failed(b, b->call.desc_set(k->desc, b->v->trans_a, &op_b, sizeof op_b), "its first operand", err));
    TRY(failed(b, b->call.desc_set(k->desc, b->v->trans_b, &op_a, sizeof op_a), "its second operand", err));
    return k->c.form & GPU_BLAS_BIAS ? failed(b, b->call.desc_set(k->desc, b->v->epilogue, &epilogue, sizeof epilogue), "its bias", err) : 0;
}

static int layouts(struct gpu_blas *b, struct known *k, struct err *err)
{
    const uint64_t M = (uint64_t)k->c.M, N = (uint64_t)k->c.N, K = (uint64_t)k->c.K;
    const bool a_cols = k->c.form & GPU_BLAS_A_COLS, b_cols = k->c.form & GPU_BLAS_B_COLS;
    if (k->lc)
        return 0;
    TRY(describe(b, k, err));
    int status = a_cols ? b->call.layout_new(&k->la, REAL_16BF, M, K, k->c.ld_a) : b->call.layout_new(&k->la, REAL_16BF, K, M, (int64_t)K);
    status = status ? status : b_cols ? b->call.layout_new(&k->lb, REAL_16BF, N, K, (int64_t)N) : b->call.layout_new(&k->lb, REAL_16BF, K, N, (int64_t)K);
    status = status ? status : b->call.layout_new(&k->lc, k->c.form & GPU_BLAS_C32 ? REAL_32F : REAL_16BF, N, M, (int64_t)N);
    return failed(b, status, "a matrix", err);
}
static int choose(struct gpu_blas *b, struct known *k, struct err *err)
{
    union { struct found_cuda cuda; struct found_hip hip; } f = { 0 };
    int n = 0;
    const int status = b->call.heuristic(b->handle, k->desc, k->lb, k->la, k->lc, k->lc, b->wish, 1, &f, &n);
    const bool is_cuda = b->v == &cuda;
    if (status || n < 1 || (is_cuda ? f.cuda.state : f.hip.state))
        return ERR(err, UNSUPPORTED, "%s has no algorithm for M %d, N %d, K %d (status %d)", b->v->word, k->c.M, k->c.N, k->c.K, status);
    k->c.workspace = is_cuda ? f.cuda.workspace : f.hip.workspace;
    memcpy(k->c.algo, is_cuda ? (void *)&f.cuda.algo : (void *)&f.hip.algo, is_cuda ? sizeof f.cuda.algo : sizeof f.hip.algo);
    if (k->c.workspace > WORKSPACE)
        return ERR(err, UNSUPPORTED, "%s wants %llu bytes beside M %d, N %d, K %d, more than %zu", b->v->word, (unsigned long long)k->c.workspace, k->c.M, k->c.N, k->c.K, WORKSPACE);
    b->is_new = true;
    return 0;
}
static int multiply(struct gpu_blas *b, void *stream, const struct gpu_blas_product *p, const struct known *k)
{
    static const float one = 1, zero = 0;
    _Alignas(16) unsigned char algo[GPU_BLAS_ALGO];
    memcpy(algo, k->c.algo, sizeof algo);
    const int status = p->bias ? b->call.desc_set(k->desc, b->v->bias, &p->bias, sizeof p->bias) : 0;
    return status ? status : b->call.matmul(b->handle, k->desc, &one, p->b, k->lb, p->a, k->la, p->add ? &one : &zero, p->add ? p->add : p->c, k->lc, p->c, k->lc, algo, b->workspace,
                                            WORKSPACE, stream);
}

int gpu_blas_run(struct gpu_blas *b, void *stream, const struct gpu_blas_product *p, struct err *err)
{
    const struct gpu_blas_choice want = { .M = p->M, .N = p->N, .K = p->K, .ld_a = !p->a_cols ? 0 : p->ld_a ? p->ld_a : p->M,
                                          .form = (p->c32 ? GPU_BLAS_C32 : 0) | (p->a_cols ? GPU_BLAS_A_COLS : 0) | (p->b_cols ? GPU_BLAS_B_COLS : 0) | (p->add ? GPU_BLAS_ADD : 0) |
                                                  (p->bias ? GPU_BLAS_BIAS : 0) };
    if (p->M < 1 || p->N < 1 || p->K < 1 || (p->bias && !p->c32))
        return ERR(err, UNSUPPORTED, "a product of M %d, N %d, K %d%s", p->M, p->N, p->K, p->bias && !p->c32 ? " to bf16, with a bias" : "");
    int i = place(b, &want);
    bool there = i < b->n_known && compare(&b->known[i].c, &want) == 0;
    if (there && b->known[i].of_file) {
        /* Another run's choice is tried once; if the library no longer takes it, it is asked again. */
        b->known[i].of_file = false;
        TRY(layouts(b, &b->known[i], err));
        if (multiply(b, stream, p, &b->known[i]) == 0)
            return 0;
        forget(b, i);
        there = false;
    }
    if (!there) {
        struct known *k = insert(b, i, &want);
        i = (int)(k - b->known);
        int rc = layouts(b, k, err);
        rc = rc ? rc : choose(b, k, err);
        if (rc) {
            forget(b, i);
            return rc;
        }
    }
    return failed(b, multiply(b, stream, p, &b->known[i]), "a product", err);
}

/* ---- open, close ---- */

static int begin(struct gpu_blas *b, struct err *err)
{
    const uint64_t most = WORKSPACE;
    TRY(open_library(b, err));
    TRY(find_all(b, err));
    const int status = b->call.create(&b->handle);
    if (status)
        return ERR(err, UNSUPPORTED, "%s does not take %s: status %d", b->v->word, gpu_facts(b->g)->arch, status);
    TRY(ask_version(b, err));
    TRY(failed(b, b->call.wish_new(&b->wish), "a preference", err));
    TRY(failed(b, b->call.wish_set(b->wish, WISH_WORKSPACE, &most, sizeof most), "the workspace's size", err));
    TRY(gpu_alloc(b->g, &b->workspace, WORKSPACE, err));
    return load_choices(b, err);
}

int gpu_blas_open(struct gpu_blas **out, struct gpu *g, const char *choices, struct err *err)
{
    *out = NULL;
    const bool is_hip = !strncmp(gpu_facts(g)->arch, "gfx", 3);
    struct gpu_blas *b = mem_alloc_zero(sizeof *b);
    if (!b)
        return ERR(err, NOMEM, "%s: %zu bytes", is_hip ? hip.word : cuda.word, sizeof *b);
    b->g = g, b->v = is_hip ? &hip : &cuda;
    b->known = mem_alloc_array(CHOICES_MAX, sizeof *b->known);
    b->choices = choices ? mem_strdup(choices) : NULL;
    const int rc = b->known && (b->choices || !choices) ? begin(b, err) : ERR(err, NOMEM, "%s: choices of %d algorithms", b->v->word, CHOICES_MAX);
    if (rc) {
        gpu_blas_close(b);
        return rc;
    }
    *out = b;
    return 0;
}

void gpu_blas_close(struct gpu_blas *b)
{
    if (!b)
        return;
    while (b->n_known > 0)
        forget(b, b->n_known - 1);
    if (b->wish)
        b->call.wish_free(b->wish);
    if (b->handle)
        b->call.destroy(b->handle);
    gpu_free(b->g, b->workspace);
    if (b->lib)
        dlclose(b->lib);
    mem_free(b->known);
    mem_free(b->choices);
    mem_free(b);
}
const char *gpu_blas_name(const struct gpu_blas *b) { return b->name; }
