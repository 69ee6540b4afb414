/* weights.c - the list of a model's weights, and copying them out of and into safetensors files. */
#include "model/weights.h"
#include <assert.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"

/* ---- names in the file: '#' is the layer, '@' the expert; NULL in the third column: as in the second ---- */

#define SLOTS(X)                                                                                                         \
    X(EMBED, "transformer.wte", "model.embed_tokens", NULL)                                                              \
    X(POS, "transformer.wpe", "model.embed_positions", NULL)                                                             \
    X(NORM1, "transformer.h.#.ln_1", "model.layers.#.input_layernorm", NULL)                                             \
    X(QKV, "transformer.h.#.attn.c_attn", NULL, NULL)                                                                    \
    X(Q, NULL, "model.layers.#.self_attn.q_proj", NULL)                                                                  \
    X(K, NULL, "model.layers.#.self_attn.k_proj", NULL)                                                                  \
    X(V, NULL, "model.layers.#.self_attn.v_proj", NULL)                                                                  \
    X(Q_NORM, NULL, "model.layers.#.self_attn.q_norm", NULL)                                                             \
    X(K_NORM, NULL, "model.layers.#.self_attn.k_norm", NULL)                                                             \
    X(O, "transformer.h.#.attn.c_proj", "model.layers.#.self_attn.o_proj", NULL)                                         \
    X(NORM2, "transformer.h.#.ln_2", "model.layers.#.post_attention_layernorm", NULL)                                    \
    X(GATE, NULL, "model.layers.#.mlp.gate_proj", NULL)                                                                  \
    X(UP, "transformer.h.#.mlp.c_fc", "model.layers.#.mlp.up_proj", NULL)                                                \
    X(DOWN, "transformer.h.#.mlp.c_proj", "model.layers.#.mlp.down_proj", NULL)                                          \
    X(ROUTER, NULL, "model.layers.#.mlp.gate", "model.layers.#.block_sparse_moe.gate")                                   \
    X(E_GATE, NULL, "model.layers.#.mlp.experts.@.gate_proj", "model.layers.#.block_sparse_moe.experts.@.w1")            \
    X(E_UP, NULL, "model.layers.#.mlp.experts.@.up_proj", "model.layers.#.block_sparse_moe.experts.@.w3")                \
    X(E_DOWN, NULL, "model.layers.#.mlp.experts.@.down_proj", "model.layers.#.block_sparse_moe.experts.@.w2")            \
    X(NORM, "transformer.ln_f", "model.norm", NULL)                                                                      \
    X(HEAD, "lm_head", "lm_head", NULL)
enum slot {
#define X(name, ...) SLOT_##name,
    SLOTS(X)
#undef X
    N_SLOT
};
static const struct { const char *gpt2, *llama, *mixtral; } slot_names[N_SLOT] = {
#define X(name, gpt2, llama, mixtral) { gpt2, llama, mixtral },
    SLOTS(X)
#undef X
};
#define GPT2_PREFIX "transformer."

/* Constants that old files carry beside the weights; the model computes them itself. */
static const char *const buffers[] = { "transformer.h.#.attn.bias", "transformer.h.#.attn.masked_bias", "h.#.attn.bias",
                                       "h.#.attn.masked_bias", "model.layers.#.self_attn.rotary_emb.inv_freq" };

static const char *slot_name(const struct config *c, int slot)
{
    if (c->family == FAMILY_GPT2)
        return slot_names[slot].gpt2;
    const char *mixtral = c->family == FAMILY_MIXTRAL ? slot_names[slot].mixtral : NULL;
    return mixtral ? mixtral : slot_names[slot].llama;
}

static void part_name(char out[PART_NAME_MAX], const char *pattern, int layer, int expert, bool bias)
{
    char *p = out;
    for (; *pattern; pattern++) {
        assert(p - out < PART_NAME_MAX - 24);      /* a number and the suffix fit */
        if (*pattern == '#' || *pattern == '@')
            p += sprintf(p, "%d", *pattern == '#' ? layer : expert);
        else
            *p++ = *pattern;
    }
    strcpy(p, bias ? ".bias" : ".weight");
}

/* ---- the list ---- */

/* Segments of one expert: slots and their rows, ended by rows 0. */
struct segments { struct { int slot; int64_t n_row; } s[3]; };

static struct weight *add(struct weights_list *l, int layer, const char *name, const char *suffix, int rank, int64_t a, int64_t b,
                          int64_t c, struct segments segments)
{
    struct weight *w = &l->weight[l->n_weight++];
    *w = (struct weight){ .rank = rank, .shape = { a, b, c }, .layer = layer };
    w->n = a * (rank > 1 ? b : 1) * (rank > 2 ? c : 1);
    if (layer < 0)
        snprintf(w->name, sizeof w->name, "%s%s", name, suffix);
    else
        snprintf(w->name, sizeof w->name, "%d.%s%s", layer, name, suffix);
    for (int i = 0; i < 3 && segments.s[i].n_row; i++) {
        w->segment[i].slot = segments.s[i].slot;
        w->segment[i].n_row = segments.s[i].n_row;
        w->n_segment++;
    }
    w->n_part = w->n_segment * (rank > 2 ? (int)a : 1);
    return w;
}

static void add_norm(struct weights_list *l, int layer, const char *name, int slot)
{
    const int64_t C = l->config.d_model;
    const struct segments s = { { { slot, C } } };
    add(l, layer, name, ".w", 1, C, 0, 0, s)->init = INIT_ONES;
    if (!l->config.norm_bias)
        return;
    struct weight *b = add(l, layer, name, ".b", 1, C, 0, 0, s);
    b->init = INIT_ZEROS;
    b->bias = true;
}

static void add_gain(struct weights_list *l, int layer, const char *name, int slot, int64_t n)
{
    add(l, layer, name, "", 1, n, 0, 0, (struct segments){ { { slot, n } } })->init = INIT_ONES;
}

/* rank 2: [a,b]; rank 3: [a,b,c]. */
static struct weight *add_matrix(struct weights_list *l, int layer, const char *name, const char *suffix, int64_t a, int64_t b,
                                 int64_t c, struct segments s)
{
    struct weight *w = add(l, layer, name, suffix, c ? 3 : 2, a, b, c, s);
    w->std = l->config.init_std;
    w->decay = true;
    return w;
}

enum { BRANCH_BEGIN, BRANCH_END };

static void add_linear(struct weights_list *l, int layer, const char *name, int64_t n_out, int64_t n_in, int where,
                       struct segments s)
{
    const struct config *c = &l->config;
    struct weight *w = add_matrix(l, layer, name, ".w", n_out, n_in, 0, s);
    w->transposed = c->family == FAMILY_GPT2;
    if (where == BRANCH_END)
        w->std /= sqrt(2.0 * c->n_layer);
    if (!c->linear_bias)
        return;
    struct weight *b = add(l, layer, name, ".b", 1, n_out, 0, 0, s);
    b->init = INIT_ZEROS;
    b->bias = true;
}

static void add_attention(struct weights_list *l, int layer)
{
    const struct config *c = &l->config;
    const int64_t q = (int64_t)c->n_head * c->d_head, kv = (int64_t)c->n_kv_head * c->d_head;
    const struct segments fused = { { { SLOT_QKV, q + 2 * kv } } }, split = { { { SLOT_Q, q }, { SLOT_K, kv }, { SLOT_V, kv } } };
    add_norm(l, layer, "norm1", SLOT_NORM1);
    add_linear(l, layer, "qkv", q + 2 * kv, c->d_model, BRANCH_BEGIN, c->family == FAMILY_GPT2 ? fused : split);
    if (c->qk_norm != QK_NORM_NONE) {
        add_gain(l, layer, "q_norm", SLOT_Q_NORM, c->qk_norm == QK_NORM_FULL ? q : c->d_head);
        add_gain(l, layer, "k_norm", SLOT_K_NORM, c->qk_norm == QK_NORM_FULL ? kv : c->d_head);
    }
    add_linear(l, layer, "o", c->d_model, q, BRANCH_END, (struct segments){ { { SLOT_O, c->d_model } } });
}

static void add_mlp(struct weights_list *l, int layer)
{
    const struct config *c = &l->config;
    const int64_t C = c->d_model, F = c->d_ff;
    add_norm(l, layer, "norm2", SLOT_NORM2);
    if (config_gated(c))
        add_linear(l, layer, "gate_up", 2 * F, C, BRANCH_BEGIN, (struct segments){ { { SLOT_GATE, F }, { SLOT_UP, F } } });
    else
        add_linear(l, layer, "up", F, C, BRANCH_BEGIN, (struct segments){ { { SLOT_UP, F } } });
    add_linear(l, layer, "down", C, F, BRANCH_END, (struct segments){ { { SLOT_DOWN, C } } });
}

static void add_experts(struct weights_list *l, int layer)
{
    const struct config *c = &l->config;
    const int64_t C = c->d_model, E = c->n_expert, F = c->d_ff_expert;
    add_norm(l, layer, "norm2", SLOT_NORM2);
    add_matrix(l, layer, "router", ".w", E, C, 0, (struct segments){ { { SLOT_ROUTER, E } } });
    if (config_gated(c))
        add_matrix(l, layer, "experts.gate_up", ".w", E, 2 * F, C, (struct segments){ { { SLOT_E_GATE, F }, { SLOT_E_UP, F } } });
    else
        add_matrix(l, layer, "experts.up", ".w", E, F, C, (struct segments){ { { SLOT_E_UP, F } } });
    struct weight *down = add_matrix(l, layer, "experts.down", ".w", E, C, F, (struct segments){ { { SLOT_E_DOWN, C } } });
    down->std /= sqrt(2.0 * c->n_layer);
}

#define PER_LAYER_MAX 14       /* norm1 2, qkv 2, q_norm, k_norm, o 2, norm2 2, up 2, down 2 */
#define OUTSIDE_MAX 5          /* embed, pos, norm 2, head */

int weights_list_new(struct weights_list **out, const struct config *c, struct err *err)
{
    *out = NULL;
    struct weights_list *l = mem_alloc_array(1, sizeof *l);
    const size_t n = (size_t)c->n_layer * PER_LAYER_MAX + OUTSIDE_MAX;
    if (!l || !(l->weight = mem_alloc_array(n, sizeof *l->weight))) {
        mem_free(l);
        return ERR(err, NOMEM, "no memory for the list of %zu weights", n);
    }
    l->config = *c;
    const int64_t V = c->vocab_size, C = c->d_model;
    add_matrix(l, -1, "embed", "", V, C, 0, (struct segments){ { { SLOT_EMBED, V } } });
    if (c->pos == POS_LEARNED)
        add_matrix(l, -1, "pos", "", c->ctx, C, 0, (struct segments){ { { SLOT_POS, c->ctx } } });
    for (int layer = 0; layer < c->n_layer; layer++) {
        add_attention(l, layer);
        (c->n_expert ? add_experts : add_mlp)(l, layer);
    }
    add_norm(l, -1, "norm", SLOT_NORM);
    if (!c->tie_embeddings)
        add_matrix(l, -1, "head", ".w", V, C, 0, (struct segments){ { { SLOT_HEAD, V } } });
    assert((size_t)l->n_weight <= n);
    *out = l;
    return 0;
}

void weights_list_free(struct weights_list *l)
{
    if (!l)
        return;
    mem_free(l->weight);
    mem_free(l);
}

struct weight_part weight_part(const struct weights_list *l, const struct weight *w, int i_part)
{
    assert(i_part >= 0 && i_part < w->n_part);
    const int expert = i_part / w->n_segment, i = i_part % w->n_segment;
    struct weight_part p = { .n_row = w->segment[i].n_row, .transposed = w->transposed, .rank = w->rank == 1 ? 1 : 2 };
    p.n_col = w->rank == 1 ? 1 : w->shape[w->rank - 1];
    p.row = w->rank == 3 ? expert * w->shape[1] : 0;
    for (int j = 0; j < i; j++)
        p.row += w->segment[j].n_row;
    part_name(p.name, slot_name(&l->config, w->segment[i].slot), w->layer, expert, w->bias);
    return p;
}

/* ---- the file against the list ---- */

struct matched {
    const struct weights_list *l;
    const struct safetensors *st;
    bool bare;                 /* gpt2 without the prefix "transformer." */
    bool *seen;                /* [st->n_tensor] */
    struct err *err;
};

static const struct st_tensor *find_part(const struct matched *m, const struct weight_part *p)
{
    const bool strip = m->bare && !strncmp(p->name, GPT2_PREFIX, strlen(GPT2_PREFIX));
    return safetensors_find(m->st, p->name + (strip ? strlen(GPT2_PREFIX) : 0));
}

static void shape_text(char out[200], int rank, const int64_t *shape)
{
    size_t n = (size_t)snprintf(out, 200, "[");
    for (int i = 0; i < rank; i++)
        n += (size_t)snprintf(out + n, 200 - n, "%s%lld", i ? ", " : "", (long long)shape[i]);
    snprintf(out + n, 200 - n, "]");
}

static bool readable(enum st_dtype t) { return t == ST_F32 || t == ST_F16 || t == ST_BF16 || t == ST_F64; }

static int check_part(const struct matched *m, const struct weight_part *p, const struct st_tensor *t)
{
    const int64_t want[2] = { p->transposed ? p->n_col : p->n_row, p->transposed ? p->n_row : p->n_col };
    if (!readable(t->dtype))
        return ERR(m->err, UNSUPPORTED, "%s: tensor '%s': dtype %s, expected F32, F16, BF16 or F64",
                   safetensors_file_name(m->st, t->i_file), t->name, st_dtype_name(t->dtype));
    if (t->rank == p->rank && !memcmp(t->shape, want, (size_t)p->rank * sizeof *want))
        return 0;
    char found[200], expected[200];
    shape_text(found, t->rank, t->shape);
    shape_text(expected, p->rank, want);
    return ERR(m->err, FORMAT, "%s: tensor '%s': shape %s, expected %s", safetensors_file_name(m->st, t->i_file), t->name, found,
               expected);
}

/* Each part is there; those seen are marked. */
static int check_parts(struct matched *m)
{
    const struct weights_list *l = m->l;
    char missing[PART_NAME_MAX] = "";
    long long n_missing = 0;
    for (int i = 0; i < l->n_weight; i++)
        for (int j = 0; j < l->weight[i].n_part; j++) {
            const struct weight_part p = weight_part(l, &l->weight[i], j);
            const struct st_tensor *t = find_part(m, &p);
            if (!t) {
                if (!n_missing++)
                    memcpy(missing, p.name, sizeof missing);
                continue;
            }
            m->seen[t - m->st->tensor] = true;
            TRY(check_part(m, &p, t));
        }
    const char *file = m->st->n_file ? safetensors_file_name(m->st, 0) : "";
    if (n_missing == 1)
        return ERR(m->err, FORMAT, "%s: tensor '%s' is missing, expected for this config.json", file, missing);
    if (n_missing)
        return ERR(m->err, FORMAT, "%s: tensor '%s' and %lld more are missing, expected for this config.json", file, missing,
                   n_missing - 1);
    return 0;
}

/* A tied head may be in the file too, if it has the embedding's values. */
static int check_tied_head(struct matched *m)
{
    const struct weight_part embed = weight_part(m->l, &m->l->weight[0], 0);
    struct weight_part head = embed;
    part_name(head.name, slot_name(&m->l->config, SLOT_HEAD), -1, 0, false);
    const struct st_tensor *a = find_part(m, &embed), *b = find_part(m, &head);
    if (!m->l->config.tie_embeddings || !b)
        return 0;
    m->seen[b - m->st->tensor] = true;
    TRY(check_part(m, &head, b));
    float x[1024], y[1024];
    for (int64_t i = 0; i < a->n; i += 1024) {
        const int64_t n = a->n - i < 1024 ? a->n - i : 1024;
        TRY(st_read_f32(a, i, n, x, m->err));
        TRY(st_read_f32(b, i, n, y, m->err));
        if (memcmp(x, y, (size_t)n * sizeof *x))
            return ERR(m->err, FORMAT, "%s: tensor '%s' differs from '%s', expected the same values as tie_word_embeddings is true",
                       safetensors_file_name(m->st, b->i_file), b->name, a->name);
    }
    return 0;
}

static bool matches(const char *pattern, const char *s)
{
    for (; *pattern; pattern++) {
        if (*pattern != '#') {
            if (*s++ != *pattern)
                return false;
            continue;
        }
        if (!isdigit((unsigned char)*s))
            return false;
        while (isdigit((unsigned char)*s))
            s++;
    }
    return !*s;
}

static bool is_buffer(const char *name)
{
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        if (matches(buffers[i], name))
            return true;
    return false;
}

static int check_unexpected(const struct matched *m)
{
    const struct st_tensor *first = NULL;
    int n = 0;
    for (int i = 0; i < m->st->n_tensor; i++)
        if (!m->seen[i] && !is_buffer(m->st->tensor[i].name)) {
            first = first ? first : &m->st->tensor[i];
            n++;
        }
    if (!n)
        return 0;
    char more[40] = "";
    if (n > 1)
        snprintf(more, sizeof more, " and %d more", n - 1);
    return ERR(m->err, FORMAT, "%s: tensor '%s'%s: not part of this config.json, expected no other tensors",
               safetensors_file_name(m->st, first->i_file), first->name, more);
}

static int match(struct matched *m, const struct weights_list *l, const struct safetensors *st, struct err *err)
{
    *m = (struct matched){ .l = l, .st = st, .err = err };
    m->bare = l->config.family == FAMILY_GPT2 && !safetensors_find(st, GPT2_PREFIX "wte.weight");
    if (!(m->seen = mem_alloc_array((size_t)st->n_tensor + 1, sizeof *m->seen)))
        return ERR(err, NOMEM, "no memory to match %d tensors", st->n_tensor);
    int rc = check_parts(m);
    if (!rc)
        rc = check_tied_head(m);
    if (!rc)
        rc = check_unexpected(m);
    mem_free(m->seen);
    m->seen = NULL;
    return rc;
}

int weights_check(const struct weights_list *l, const struct safetensors *st, struct err *err)
{
    struct matched m;
    return match(&m, l, st, err);
}

/* ---- copying.  A transposed part passes through CHUNK elements in the file's order ---- */

#define CHUNK ((int64_t)1 << 16)

/* Elements first .. first+n-1 of the file's [n_col, n_row], to or from rows of `out` [.., n_col]. */
static void scatter(float *out, const struct weight_part *p, int64_t first, int64_t n, const float *chunk)
{
    int64_t r = first % p->n_row, c = first / p->n_row;
    for (int64_t i = 0; i < n; i++) {
        out[(p->row + r) * p->n_col + c] = chunk[i];
        if (++r == p->n_row)
            r = 0, c++;
    }
}

static void gather(const float *in, const struct weight_part *p, int64_t first, int64_t n, float *chunk)
{
    int64_t r = first % p->n_row, c = first / p->n_row;
    for (int64_t i = 0; i < n; i++) {
        chunk[i] = in[(p->row + r) * p->n_col + c];
        if (++r == p->n_row)
            r = 0, c++;
    }
}

static int load_part(const struct st_tensor *t, const struct weight_part *p, float *out, float *chunk, struct err *err)
{
    if (!p->transposed)
        return st_read_f32(t, 0, t->n, out + p->row * p->n_col, err);
    for (int64_t i = 0; i < t->n; i += CHUNK) {
        const int64_t n = t->n - i < CHUNK ? t->n - i : CHUNK;
        TRY(st_read_f32(t, i, n, chunk, err));
        scatter(out, p, i, n, chunk);
    }
    return 0;
}

int weights_load(const struct weights_list *l, const struct safetensors *st, float *(*place)(void *ctx, int i), void *ctx,
                 struct err *err)
{
    struct matched m;
    TRY(match(&m, l, st, err));
    float *chunk = mem_alloc_array((size_t)CHUNK, sizeof *chunk);
    if (!chunk)
        return ERR(err, NOMEM, "no memory to read weights");
    int rc = 0;
    for (int i = 0; i < l->n_weight && !rc; i++) {
        const struct weight *w = &l->weight[i];
        float *out = place(ctx, i);
        for (int j = 0; out && j < w->n_part && !rc; j++) {
            const struct weight_part p = weight_part(l, w, j);
            rc = load_part(find_part(&m, &p), &p, out, chunk, err);
        }
    }
    mem_free(chunk);
    return rc;
}

/* ---- saving ---- */

static int n_parts(const struct weights_list *l)
{
    int n = 0;
    for (int i = 0; i < l->n_weight; i++)
        n += l->weight[i].n_part;
    return n;
}

static int save_part(struct st_writer *w, int i_tensor, const struct weight_part *p, enum st_dtype dtype, const float *in,
                     float *chunk, struct err *err)
{
    const int64_t n_all = p->n_row * p->n_col;
    for (int64_t i = 0; i < n_all; i += CHUNK) {
        const int64_t n = n_all - i < CHUNK ? n_all - i : CHUNK;
        const float *v = in + p->row * p->n_col + i;
        if (p->transposed) {
            gather(in, p, i, n, chunk);
            v = chunk;
        }
        if (dtype == ST_F32) {
            TRY(st_writer_add(w, i_tensor, v, (size_t)n * sizeof *v, err));
            continue;
        }
        uint16_t *half = (uint16_t *)(chunk + CHUNK);
        for (int64_t k = 0; k < n; k++)
            half[k] = st_bf16(v[k]);
        TRY(st_writer_add(w, i_tensor, half, (size_t)n * sizeof *half, err));
    }
    return 0;
}

static int save_all(const struct weights_list *l, struct st_writer *w, enum st_dtype dtype, const float *(*source)(void *ctx, int i),
                    void *ctx, struct err *err)
{
    float *chunk = mem_alloc_array((size_t)(2 * CHUNK), sizeof *chunk);
    if (!chunk)
        return ERR(err, NOMEM, "no memory to write weights");
    int rc = 0, i_tensor = 0;
    for (int i = 0; i < l->n_weight && !rc; i++) {
        const float *in = source(ctx, i);
        for (int j = 0; j < l->weight[i].n_part && !rc; j++, i_tensor++) {
            const struct weight_part p = weight_part(l, &l->weight[i], j);
            rc = save_part(w, i_tensor, &p, dtype, in, chunk, err);
        }
    }
    mem_free(chunk);
    return rc ? rc : st_writer_commit(w, err);
}

/* names: of all parts, in the order of the file. */
static void declare(const struct weights_list *l, enum st_dtype dtype, struct weight_digest *names, struct st_decl *decl)
{
    for (int i = 0, k = 0; i < l->n_weight; i++)
        for (int j = 0; j < l->weight[i].n_part; j++, k++) {
            const struct weight_part p = weight_part(l, &l->weight[i], j);
            memcpy(names[k].name, p.name, sizeof p.name);
            decl[k] = (struct st_decl){ names[k].name, dtype, p.rank, { p.n_row, p.n_col } };
            if (p.transposed)
                decl[k].shape[0] = p.n_col, decl[k].shape[1] = p.n_row;
        }
}

int weights_save(const struct weights_list *l, const char *path, enum st_dtype dtype, const float *(*source)(void *ctx, int i),
                 void *ctx, const struct st_pair *metadata, int n_metadata, struct weight_digest **digest, int *n_digest,
                 struct err *err)
{
    if (digest)
        *digest = NULL, *n_digest = 0;
    if (dtype != ST_F32 && dtype != ST_BF16)
        return ERR(err, UNSUPPORTED, "%s: dtype %s, expected F32 or BF16", path, st_dtype_name(dtype));
    const int n = n_parts(l);
    struct st_writer *w = NULL;
    struct st_decl *decl = mem_alloc_array((size_t)n, sizeof *decl);
    struct weight_digest *names = mem_alloc_array((size_t)n, sizeof *names);
    struct st_pair *pair = mem_alloc_array((size_t)n_metadata + 1, sizeof *pair);
    int rc;
    if (!decl || !names || !pair) {
        rc = ERR(err, NOMEM, "no memory to write %d tensors", n);
        goto out;
    }
    pair[0] = (struct st_pair){ "format", "pt" };
    for (int i = 0; i < n_metadata; i++)
        pair[i + 1] = metadata[i];
    declare(l, dtype, names, decl);
    if ((rc = st_writer_new(&w, path, decl, n, pair, n_metadata + 1, err)) || (rc = save_all(l, w, dtype, source, ctx, err)))
        goto out;
    for (int i = 0; i < n; i++)
        memcpy(names[i].sha256, st_writer_sha256(w, i), SHA256_HEX);
    if (digest) {
        *digest = names, *n_digest = n;
        names = NULL;
    }
out:
    st_writer_free(w);
    mem_free(pair);
    mem_free(names);
    mem_free(decl);
    return rc;
}
