#include "model/composite.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"

enum kind { GPTQ, AWQ, PACKED, SCALED, MX };
struct composite {
    enum kind kind;
    char *name;
    const struct st_tensor *main, *scale, *zero, *group_of;
    int bits, i_main;
    bool plus_one;
    int64_t N, K, group, n_group;              /* of one matrix; group: inputs that share a scale */
    int64_t block_n, block_k;                  /* scaled: rows and columns that share a scale */
    struct source_tensor t;
};

/* What config.json says. */
struct scheme { const char *method; int64_t bits, group; bool plus_one, symmetric; int64_t block[2]; };

/* ---- the configuration ---- */

static int read_gptq(const json_t *q, struct scheme *s, const char *where, struct err *err)
{
    const char *form;
    TRY(tree_int(q, "bits", 4, 2, 8, &s->bits, where, err));
    TRY(tree_int(q, "group_size", 128, -1, 1 << 20, &s->group, where, err));
    TRY(tree_str(q, "checkpoint_format", "gptq", &form, where, err));
    if (strcmp(form, "gptq") && strcmp(form, "gptq_v2"))
        return ERR(err, UNSUPPORTED, "%s: checkpoint_format '%s', expected gptq or gptq_v2", where, form);
    s->plus_one = !strcmp(form, "gptq");
    return 0;
}

static int read_awq(const json_t *q, struct scheme *s, const char *where, struct err *err)
{
    const char *version;
    TRY(tree_int(q, json_object_get(q, "w_bit") ? "w_bit" : "bits", 4, 4, 4, &s->bits, where, err));
    TRY(tree_int(q, json_object_get(q, "q_group_size") ? "q_group_size" : "group_size", 128, -1, 1 << 20, &s->group, where, err));
    TRY(tree_str(q, "version", "gemm", &version, where, err));
    if (strcasecmp(version, "gemm"))
        return ERR(err, UNSUPPORTED, "%s: AWQ version '%s', expected gemm", where, version);
    return 0;
}

static int read_packed(const json_t *q, struct scheme *s, const char *where, struct err *err)
{
    const json_t *groups = json_object_get(q, "config_groups"), *weights = NULL;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)groups, key, value) {
        if (weights)
            return ERR(err, UNSUPPORTED, "%s: quantization_config has several config_groups, expected one", where);
        weights = json_object_get(value, "weights");
    }
    TRY(tree_int(weights, "num_bits", 4, 2, 8, &s->bits, where, err));
    TRY(tree_int(weights, "group_size", -1, -1, 1 << 20, &s->group, where, err));
    return tree_bool(weights, "symmetric", true, &s->symmetric, where, err);
}

static int read_scheme(const json_t *root, struct scheme *s, const char *where, struct err *err)
{
    static const char *const plain[] = { "fp8", "mxfp4", "fbgemm_fp8" };
    const json_t *q = json_object_get(root, "quantization_config");
    *s = (struct scheme){ .block = { 128, 128 } };
    if (!json_is_object(q))
        return 0;
    const json_t *block = json_object_get(q, "weight_block_size");
    for (size_t i = 0; i < 2 && json_array_size(block) == 2; i++) {
        s->block[i] = json_integer_value(json_array_get(block, i));
        if (s->block[i] < 1 || s->block[i] > 1 << 20)
            return ERR(err, FORMAT, "%s: weight_block_size is not two numbers of 1 or more", where);
    }
    TRY(tree_str(q, "quant_method", "", &s->method, where, err));
    if (!strcmp(s->method, "gptq"))
        return read_gptq(q, s, where, err);
    if (!strcmp(s->method, "awq"))
        return read_awq(q, s, where, err);
    if (!strcmp(s->method, "compressed-tensors"))
        return read_packed(q, s, where, err);
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (!strcmp(s->method, plain[i]))
            return 0;
    return ERR(err, UNSUPPORTED, "%s: quant_method '%s', expected gptq, awq, compressed-tensors, fp8, fbgemm_fp8 or mxfp4", where, s->method);
}

/* ---- parts and their shapes ---- */

struct finder { const struct safetensors *st; bool *used; struct scheme scheme; struct composite *out; int n, cap; struct err *err; };

/* The tensor named like t with `from` at its end replaced by `to`; NULL when there is none. */
static const struct st_tensor *sibling(const struct finder *f, const struct st_tensor *t, const char *from, const char *to)
{
    char name[ST_NAME_BYTES_MAX + 40];
    snprintf(name, sizeof name, "%.*s%s", (int)(strlen(t->name) - strlen(from)), t->name, to);
    return safetensors_find(f->st, name);
}

static void use(const struct finder *f, const struct st_tensor *t)
{
    if (t)
        f->used[t - f->st->tensor] = true;
}

static int64_t up(int64_t a, int64_t b) { return a / b + (a % b != 0); }

static int expect(const struct finder *f, const struct st_tensor *t, enum st_dtype type, int64_t a, int64_t b)
{
    if (t->dtype == type && t->rank == 2 && t->shape[0] == a && t->shape[1] == b)
        return 0;
    return ERR(f->err, FORMAT, "tensor '%s': %s of rank %d [%lld, %lld], expected %s [%lld, %lld]", t->name, st_dtype_name(t->dtype), t->rank,
               t->rank > 0 ? (long long)t->shape[0] : 1, t->rank > 1 ? (long long)t->shape[1] : 1, st_dtype_name(type), (long long)a, (long long)b);
}

static bool is_float(enum st_dtype t) { return t == ST_F32 || t == ST_F16 || t == ST_BF16; }

static int expect_scales(const struct finder *f, const struct st_tensor *t, int64_t a, int64_t b)
{
    return expect(f, t, is_float(t->dtype) ? t->dtype : ST_F16, a, b);
}

static int needs_config(const struct finder *f, const struct st_tensor *t, const char *method)
{
    return ERR(f->err, FORMAT, "tensor '%s': packed integers%s%s, expected a config.json with the quantization_config of %s", t->name,
               f->scheme.method ? " in a model of quant_method " : "", f->scheme.method ? f->scheme.method : "", method);
}

static int finish(struct finder *f, struct composite *c, const char *suffix, const char *end)
{
    const struct st_tensor *m = c->main;
    if (f->n == f->cap) {
        const int cap = f->cap ? 2 * f->cap : 64;
        struct composite *p = mem_realloc_array(f->out, (size_t)cap, sizeof *p);
        if (!p)
            return ERR(f->err, NOMEM, "no memory for %d packed weights", cap);
        f->out = p, f->cap = cap;
    }
    if (!(c->name = mem_printf("%.*s%s", (int)(strlen(m->name) - strlen(suffix)), m->name, end)))
        return ERR(f->err, NOMEM, "no memory for a name");
    c->i_main = (int)(m - f->st->tensor);
    c->t.name = c->name;
    c->t.bytes = type_bytes(c->t.type, c->t.n);
    use(f, m), use(f, c->scale), use(f, c->zero), use(f, c->group_of);
    f->out[f->n++] = *c;
    return 0;
}

/* The group of each input: within range; true when 32 inputs that follow each other always share one. */
static int check_groups(const struct finder *f, struct composite *c, bool *aligned)
{
    *aligned = c->K % 32 == 0 && c->group % 32 == 0;
    if (!c->group_of)
        return 0;
    const struct st_tensor *t = c->group_of;
    if (t->dtype != ST_I32 || t->n != c->K)
        return ERR(f->err, FORMAT, "tensor '%s': %s of %lld elements, expected I32 of %lld", t->name, st_dtype_name(t->dtype), (long long)t->n, (long long)c->K);
    bool trivial = true;
    for (int64_t k = 0; k < c->K; k++) {
        int32_t g;
        memcpy(&g, (const char *)t->data + 4 * k, sizeof g);
        if (g < 0 || g >= c->n_group)
            return ERR(f->err, FORMAT, "tensor '%s': element %lld is %d, expected a group below %lld", t->name, (long long)k, g, (long long)c->n_group);
        trivial = trivial && g == k / c->group;
    }
    *aligned = *aligned && trivial;
    if (trivial)
        use(f, t), c->group_of = NULL;
    return 0;
}

static int set_groups(const struct finder *f, struct composite *c)
{
    bool aligned;
    c->bits = (int)f->scheme.bits;
    c->group = f->scheme.group < 1 ? c->K : f->scheme.group;
    c->n_group = up(c->K, c->group);
    c->t = (struct source_tensor){ .rank = 2, .shape = { c->N, c->K }, .n = c->N * c->K };
    if (c->bits != 2 && c->bits != 4 && c->bits != 8)
        return ERR(f->err, UNSUPPORTED, "tensor '%s': %d bits, expected 2, 4 or 8", c->main->name, c->bits);
    TRY(check_groups(f, c, &aligned));
    c->t.type = aligned && c->bits <= 4 ? TYPE_Q4_G : TYPE_F16;
    return 0;
}

static int add_int4(struct finder *f, const struct st_tensor *m)
{
    const bool awq = f->scheme.method && !strcmp(f->scheme.method, "awq");
    struct composite c = { .kind = awq ? AWQ : GPTQ, .main = m, .scale = sibling(f, m, "qweight", "scales"), .zero = sibling(f, m, "qweight", "qzeros"),
                           .group_of = awq ? NULL : sibling(f, m, "qweight", "g_idx"), .plus_one = f->scheme.plus_one };
    if (!awq && (!f->scheme.method || strcmp(f->scheme.method, "gptq")))
        return needs_config(f, m, "gptq or awq");
    if (!c.scale || !c.zero)
        return ERR(f->err, NOTFOUND, "tensor '%s' is there without its scales and qzeros", m->name);
    const int64_t pack = 32 / f->scheme.bits;
    if (m->dtype != ST_I32 || m->rank != 2 || m->shape[0] < 1 || m->shape[1] < 1 || m->n > INT64_MAX / 1024)
        return ERR(f->err, FORMAT, "tensor '%s': %s of rank %d, expected I32 of rank 2", m->name, st_dtype_name(m->dtype), m->rank);
    c.N = awq ? m->shape[1] * pack : m->shape[1];
    c.K = awq ? m->shape[0] : m->shape[0] * pack;
    TRY(set_groups(f, &c));
    TRY(expect_scales(f, c.scale, c.n_group, c.N));
    TRY(expect(f, c.zero, ST_I32, c.n_group, up(c.N, pack)));
    return finish(f, &c, "qweight", "weight");
}

static int add_packed(struct finder *f, const struct st_tensor *m)
{
    if (!f->scheme.method || strcmp(f->scheme.method, "compressed-tensors"))
        return needs_config(f, m, "compressed-tensors");
    struct composite c = { .kind = PACKED, .main = m, .scale = sibling(f, m, "_packed", "_scale"), .zero = sibling(f, m, "_packed", "_zero_point"),
                           .group_of = sibling(f, m, "_packed", "_g_idx") };
    const struct st_tensor *shape = sibling(f, m, "_packed", "_shape");
    const int64_t pack = 32 / f->scheme.bits;
    if (!c.scale || !shape || shape->n != 2 || (shape->dtype != ST_I64 && shape->dtype != ST_I32))
        return ERR(f->err, NOTFOUND, "tensor '%s' is there without its weight_scale and a weight_shape of two numbers", m->name);
    if (!f->scheme.symmetric && !c.zero)
        return ERR(f->err, NOTFOUND, "tensor '%s' is there without its weight_zero_point", m->name);
    const size_t size = st_dtype_size(shape->dtype);
    memcpy(&c.N, shape->data, size);
    memcpy(&c.K, (const char *)shape->data + size, size);
    if (c.N < 1 || c.K < 1 || c.N > INT32_MAX || c.K > INT32_MAX)
        return ERR(f->err, FORMAT, "tensor '%s': [%lld, %lld], expected sizes of 1 or more", shape->name, (long long)c.N, (long long)c.K);
    TRY(set_groups(f, &c));
    TRY(expect(f, m, ST_I32, c.N, up(c.K, pack)));
    TRY(expect_scales(f, c.scale, c.N, c.n_group));
    if (c.zero)
        TRY(expect(f, c.zero, ST_I32, up(c.N, pack), c.n_group));
    use(f, shape);
    return finish(f, &c, "_packed", "");
}

static bool is_fp8(enum st_dtype t) { return t == ST_F8_E4M3 || t == ST_F8_E5M2 || t == ST_F8_E4M3FNUZ || t == ST_F8_E5M2FNUZ; }
static bool is_fnuz(enum st_dtype t) { return t == ST_F8_E4M3FNUZ || t == ST_F8_E5M2FNUZ; }

/* One scale; one for each row; one for each block.  Leading dimensions are matrices of their own. */
static int set_blocks(const struct finder *f, struct composite *c)
{
    const struct st_tensor *m = c->main, *s = c->scale;
    const int64_t n_matrix = c->N && c->K ? m->n / (c->N * c->K) : 0, rows = c->N * n_matrix;
    c->block_n = c->N, c->block_k = c->K;
    if (!s || !m->n)
        return 0;
    if (!is_float(s->dtype))
        return ERR(f->err, UNSUPPORTED, "tensor '%s': %s, expected F32, F16 or BF16", s->name, st_dtype_name(s->dtype));
    if (s->n == 1) {
        c->n_group = 0;            /* the same for all matrices */
        return 0;
    }
    if (s->n == n_matrix && n_matrix > 1) {
        c->n_group = 1;
        return 0;
    }
    if (s->n == rows && (s->rank < 2 || s->shape[s->rank - 1] == 1 || c->K == 1)) {
        c->block_n = 1, c->n_group = c->N;
        return 0;
    }
    c->block_n = f->scheme.block[0], c->block_k = f->scheme.block[1];
    const int64_t bn = up(c->N, c->block_n), bk = up(c->K, c->block_k);
    c->n_group = bn * bk;
    if (m->rank > 1 && s->rank == m->rank && s->shape[s->rank - 2] == bn && s->shape[s->rank - 1] == bk && s->n == n_matrix * bn * bk)
        return 0;
    return ERR(f->err, FORMAT, "tensor '%s': %lld scales for %lld rows of %lld, expected 1, one for each row or one for each block of %lld x %lld", s->name,
               (long long)s->n, (long long)rows, (long long)c->K, (long long)c->block_n, (long long)c->block_k);
}

static int add_scaled(struct finder *f, const struct st_tensor *m)
{
    static const char *const dropped[] = { "input_scale", "activation_scale", "input_scale_ub" };
    struct composite c = { .kind = SCALED, .main = m, .scale = sibling(f, m, "", "_scale_inv") };
    if (!c.scale)
        c.scale = sibling(f, m, "", "_scale");
    if (!c.scale && !is_fnuz(m->dtype))
        return 0;                  /* plain fp8, or integers that are no weights */
    if (m->rank < 1 || m->rank > 3)
        return ERR(f->err, FORMAT, "tensor '%s': rank %d, expected 1 to 3", m->name, m->rank);
    c.K = m->shape[m->rank - 1];
    c.N = m->rank > 1 ? m->shape[m->rank - 2] : 1;
    TRY(set_blocks(f, &c));
    c.t = (struct source_tensor){ .type = m->dtype == ST_I8 && c.scale->dtype == ST_F32 ? TYPE_F32 : TYPE_BF16, .rank = m->rank, .n = m->n };
    memcpy(c.t.shape, m->shape, sizeof m->shape);
    for (size_t i = 0; i < sizeof dropped / sizeof *dropped && file_name_ends(m->name, ".weight"); i++)
        use(f, sibling(f, m, "weight", dropped[i]));
    return finish(f, &c, "", "");
}

static int add_mx(struct finder *f, const struct st_tensor *m)
{
    struct composite c = { .kind = MX, .main = m, .scale = sibling(f, m, "_blocks", "_scales") };
    if (!c.scale)
        return 0;
    const int r = m->rank - 1;     /* of the weight */
    bool fits = r >= 2 && r <= SOURCE_RANK_MAX && m->shape[r] == 16 && m->n > 0 && m->n <= INT64_MAX / 4 && c.scale->dtype == ST_U8 && c.scale->rank == r;
    for (int i = 0; i < r && fits; i++)
        fits = c.scale->shape[i] == m->shape[i];
    if (!fits)
        return ERR(f->err, FORMAT, "tensor '%s': expected U8 [.., rows, groups, 16] and scales U8 [.., rows, groups]", m->name);
    c.t = (struct source_tensor){ .type = TYPE_MXFP4, .rank = r, .n = 2 * m->n };
    memcpy(c.t.shape, m->shape, (size_t)r * sizeof *m->shape);
    c.K = c.t.shape[r - 1] *= 32;
    return finish(f, &c, "_blocks", "");
}

static int add_any(struct finder *f, const struct st_tensor *m)
{
    if (file_name_ends(m->name, ".qweight"))
        return add_int4(f, m);
    if (file_name_ends(m->name, ".weight_packed"))
        return add_packed(f, m);
    if (m->dtype == ST_U8 && file_name_ends(m->name, "_blocks"))
        return add_mx(f, m);
    if (is_fp8(m->dtype) || (m->dtype == ST_I8 && file_name_ends(m->name, ".weight")))
        return add_scaled(f, m);
    return 0;
}

int composites_find(struct composite **out, int *n, bool *used, const struct safetensors *st, const json_t *config, const char *where,
                    struct err *err)
{
    struct finder f = { .st = st, .used = used, .err = err };
    *out = NULL, *n = 0;
    TRY(read_scheme(config, &f.scheme, where, err));
    for (int i = 0; i < st->n_tensor; i++) {
        const int rc = add_any(&f, &st->tensor[i]);
        if (rc < 0) {
            composites_free(f.out, f.n);
            return rc;
        }
    }
    *out = f.out, *n = f.n;
    return 0;
}

void composites_free(struct composite *c, int n)
{
    for (int i = 0; i < n; i++)
        mem_free(c[i].name);
    mem_free(c);
}

struct composite *composite_at(struct composite *c, int i) { return c + i; }
int composite_main(const struct composite *c) { return c->i_main; }
struct source_tensor composite_tensor(const struct composite *c) { return c->t; }

/* ---- reading ---- */

static uint32_t word_at(const struct st_tensor *t, int64_t i)
{
    uint32_t v;
    memcpy(&v, (const char *)t->data + 4 * i, sizeof v);
    return v;
}

static float float_at(const struct st_tensor *t, int64_t i)
{
    float v;
    st_read_f32(t, i, 1, &v, NULL);        /* a float type: checked when it was found */
    return v;
}

/* Nibble of AWQ's packing that holds output n. */
static int awq_shift(int64_t n)
{
    static const int nibble[8] = { 0, 4, 1, 5, 2, 6, 3, 7 };
    return 4 * nibble[n % 8];
}

static int code_at(const struct composite *c, int64_t n, int64_t k)
{
    const int64_t pack = 32 / c->bits;
    const uint32_t mask = (1u << c->bits) - 1;
    switch (c->kind) {
    case GPTQ: return (int)(word_at(c->main, k / pack * c->N + n) >> c->bits * (k % pack) & mask);
    case AWQ: return (int)(word_at(c->main, k * (c->N / 8) + n / 8) >> awq_shift(n) & 15);
    default: return (int)(word_at(c->main, n * up(c->K, pack) + k / pack) >> c->bits * (k % pack) & mask);
    }
}

static int zero_at(const struct composite *c, int64_t n, int64_t g)
{
    const int64_t pack = 32 / c->bits;
    const uint32_t mask = (1u << c->bits) - 1;
    switch (c->kind) {
    case GPTQ: return (int)(word_at(c->zero, g * up(c->N, pack) + n / pack) >> c->bits * (n % pack) & mask) + c->plus_one;
    case AWQ: return (int)(word_at(c->zero, g * (c->N / 8) + n / 8) >> awq_shift(n) & 15);
    default: return c->zero ? (int)(word_at(c->zero, n / pack * c->n_group + g) >> c->bits * (n % pack) & mask) : 1 << (c->bits - 1);
    }
}

static float scale_at(const struct composite *c, int64_t n, int64_t g)
{
    return float_at(c->scale, c->kind == PACKED ? n * c->n_group + g : g * c->N + n);
}

/* Rows first .. first+n-1 as Q4_G.  Along the inputs outside, since codes of neighbouring rows lie side by side. */
static void read_q4_g(const struct composite *c, int64_t first, int64_t n, uint8_t *out)
{
    const size_t row_bytes = type_bytes(TYPE_Q4_G, c->K);
    for (int64_t k0 = 0; k0 < c->K; k0 += 32) {
        const int64_t g = k0 / c->group;
        for (int64_t r = 0; r < n; r++) {
            uint8_t *b = out + (size_t)r * row_bytes + (size_t)(k0 / 32) * 24;
            const float d = scale_at(c, first + r, g), m = -(float)zero_at(c, first + r, g) * d;
            memcpy(b, &d, sizeof d);
            memcpy(b + 4, &m, sizeof m);
            for (int j = 0; j < 16; j++)
                b[8 + j] = (uint8_t)(code_at(c, first + r, k0 + j) | code_at(c, first + r, k0 + 16 + j) << 4);
        }
    }
}

static void read_f16(const struct composite *c, int64_t first, int64_t n, uint8_t *out)
{
    for (int64_t k = 0; k < c->K; k++) {
        const int64_t g = c->group_of ? (int64_t)word_at(c->group_of, k) : k / c->group;
        for (int64_t r = 0; r < n; r++) {
            const uint16_t h = float_to_half((float)(code_at(c, first + r, k) - zero_at(c, first + r, g)) * scale_at(c, first + r, g));
            memcpy(out + 2 * (r * c->K + k), &h, sizeof h);
        }
    }
}

static float code_value(const struct st_tensor *t, int64_t i)
{
    const uint8_t v = ((const uint8_t *)t->data)[i];
    float f;
    if (t->dtype == ST_I8)
        return (float)(int8_t)v;
    if (is_fnuz(t->dtype) && v == 0x80)
        return __builtin_nanf("");
    /* fnuz: the bias is one more and the code of infinity and NaN are numbers */
    if (t->dtype == ST_F8_E4M3FNUZ && (v & 0x7F) == 0x7F)
        return v & 0x80 ? -240.0f : 240.0f;
    if (t->dtype == ST_F8_E5M2FNUZ && (v & 0x7C) == 0x7C)
        return (v & 0x80 ? -1.0f : 1.0f) * (float)(4 + (v & 3)) * 8192.0f;
    type_dequantize(t->dtype == ST_F8_E5M2 || t->dtype == ST_F8_E5M2FNUZ ? TYPE_F8_E5M2 : TYPE_F8_E4M3, 1, &v, &f);
    return is_fnuz(t->dtype) ? f / 2 : f;
}

static void read_scaled(const struct composite *c, int64_t first, int64_t n, uint8_t *out)
{
    const int64_t per_row = c->block_k < c->K ? up(c->K, c->block_k) : 1;
    for (int64_t r = 0; r < n; r++) {
        const int64_t matrix = (first + r) / c->N, row = (first + r) % c->N;
        for (int64_t k = 0; k < c->K; k++) {
            const int64_t s = matrix * c->n_group + (c->n_group > 1 ? row / c->block_n * per_row + k / c->block_k : 0);
            const float v = code_value(c->main, (first + r) * c->K + k) * (c->scale ? float_at(c->scale, s) : 1);
            const uint16_t h = st_bf16(v);
            if (c->t.type == TYPE_F32)
                memcpy(out + 4 * (r * c->K + k), &v, sizeof v);
            else
                memcpy(out + 2 * (r * c->K + k), &h, sizeof h);
        }
    }
}

static void read_mx(const struct composite *c, int64_t first, int64_t n, uint8_t *out)
{
    for (int64_t i = first * (c->K / 32); i < (first + n) * (c->K / 32); i++, out += 17) {
        const uint8_t *from = (const uint8_t *)c->main->data + 16 * i;
        out[0] = ((const uint8_t *)c->scale->data)[i];
        for (int j = 0; j < 16; j++) {
            const uint8_t low = from[j / 2] >> 4 * (j % 2) & 15, high = from[8 + j / 2] >> 4 * (j % 2) & 15;
            out[1 + j] = (uint8_t)(low | high << 4);
        }
    }
}

void composite_read_rows(const struct composite *c, int64_t first, int64_t n, void *out)
{
    enum { TILE = 16 };
    const size_t row_bytes = type_bytes(c->t.type, c->K);
    for (int64_t r = 0; r < n; r += TILE) {
        const int64_t m = n - r < TILE ? n - r : TILE;
        uint8_t *to = (uint8_t *)out + (size_t)r * row_bytes;
        if (c->kind == MX)
            read_mx(c, first + r, m, to);
        else if (c->kind == SCALED)
            read_scaled(c, first + r, m, to);
        else if (c->t.type == TYPE_Q4_G)
            read_q4_g(c, first + r, m, to);
        else
            read_f16(c, first + r, m, to);
    }
}
