/* weights_gguf.c - names and layouts of weights in GGUF files. */
#include "model/weights_gguf.h"
#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

/* ---- names: our weight -> the tensors of its segments, apart and fused (blk.N. in front, .weight or .bias behind) ---- */

#define REST F_ALL
static const struct name { const char *weight; unsigned families; const char *apart[3], *fused; } names[] = {
    { "embed", REST, { "token_embd" }, NULL },
    { "pos", REST, { "position_embd" }, NULL },
    { "type", REST, { "token_types" }, NULL },
    { "embed_norm", REST, { "token_embd_norm" }, NULL },
    { "norm", REST, { "output_norm" }, NULL },
    { "head", REST, { "output" }, NULL },
    { "norm1", REST, { "attn_norm" }, NULL },
    { "norm1_out", F_BERTS, { "attn_output_norm" }, NULL },
    { "norm1_out", REST, { "post_attention_norm" }, NULL },
    { "norm2", F_GPT_OSS, { "post_attention_norm" }, NULL },
    { "norm2", REST, { "ffn_norm" }, NULL },
    { "norm2_out", F_BERTS, { "layer_output_norm" }, NULL },
    { "norm2_out", REST, { "post_ffw_norm" }, NULL },
    { "qkv", REST, { "attn_q", "attn_k", "attn_v" }, "attn_qkv" },
    { "q_norm", REST, { "attn_q_norm" }, NULL },
    { "k_norm", REST, { "attn_k_norm" }, NULL },
    { "sinks", REST, { "attn_sinks" }, NULL },
    { "q", REST, { "attn_q" }, NULL },
    { "q_a", REST, { "attn_q_a" }, NULL },
    { "q_a_norm", REST, { "attn_q_a_norm" }, NULL },
    { "q_b", REST, { "attn_q_b" }, NULL },
    { "kv_a", REST, { "attn_kv_a_mqa" }, NULL },
    { "kv_a_norm", REST, { "attn_kv_a_norm" }, NULL },
    { "kv_b", REST, { "attn_k_b", "attn_v_b" }, "attn_kv_b" },
    { "o", REST, { "attn_output" }, NULL },
    { "gate_up", REST, { "ffn_gate", "ffn_up" }, "ffn_up" },
    { "up", REST, { "ffn_up" }, NULL },
    { "down", REST, { "ffn_down" }, NULL },
    { "router", REST, { "ffn_gate_inp" }, NULL },
    { "correction", REST, { "exp_probs_b" }, NULL },
    { "experts.gate_up", REST, { "ffn_gate_exps", "ffn_up_exps" }, "ffn_gate_up_exps" },
    { "experts.up", REST, { "ffn_up_exps" }, NULL },
    { "experts.down", REST, { "ffn_down_exps" }, NULL },
    { "shared.gate_up", REST, { "ffn_gate_shexp", "ffn_up_shexp" }, NULL },
    { "shared.up", REST, { "ffn_up_shexp" }, NULL },
    { "shared.down", REST, { "ffn_down_shexp" }, NULL },
    { "shared_gate", REST, { "ffn_gate_inp_shexp" }, NULL },
};
#define N_NAME (sizeof names / sizeof *names)

/* Families that we write with their segments in one tensor. */
#define F_FUSED_QKV (F_GPT2 | F_GPT_NEOX | F_PHI3 | F_MODERNBERT)
#define F_FUSED_UP (F_PHI3 | F_MODERNBERT)
/* The rows of q and k take turns: biases too, but not with olmo, which has none. */
#define F_PAIRS (F_LLAMA | F_MISTRAL | F_MIXTRAL | F_SMOLLM3 | F_OLMO)

/* "3.qkv.w" is "qkv". */
static void base_name(char out[WEIGHT_NAME_MAX], const struct weight *w)
{
    const char *p = w->name;
    if (w->layer >= 0)
        p = strchr(p, '.') + 1;
    snprintf(out, WEIGHT_NAME_MAX, "%s", p);
    const size_t n = strlen(out);
    if (n > 2 && out[n - 2] == '.')
        out[n - 2] = 0;
}

static const struct name *find(const struct config *c, const char *base)
{
    for (size_t i = 0; i < N_NAME; i++)
        if ((names[i].families & 1u << c->family) && !strcmp(names[i].weight, base))
            return &names[i];
    return NULL;
}

static void tensor_name(char out[PART_NAME_MAX], const struct weight *w, const char *name)
{
    const char *suffix = w->bias || !strcmp(name, "exp_probs_b") ? "bias" : "weight";
    if (w->layer >= 0)
        snprintf(out, PART_NAME_MAX, "blk.%d.%s.%s", w->layer, name, suffix);
    else
        snprintf(out, PART_NAME_MAX, "%s.%s", name, suffix);
}

/* ---- parts ---- */

struct builder { struct weights_list *l; const struct gguf *g; struct weight_part *part; int n; };

static bool has(const struct builder *b, const struct weight *w, const char *name)
{
    char full[PART_NAME_MAX];
    tensor_name(full, w, name);
    return gguf_find_tensor(b->g, full) != NULL;
}

static bool is_fused(const struct builder *b, const struct weight *w, const struct name *n)
{
    const unsigned f = 1u << b->l->config.family;
    if (!n->fused)
        return false;
    if (!b->g)
        return !strcmp(n->weight, "qkv") ? (f & F_FUSED_QKV) != 0 : !strcmp(n->weight, "gate_up") && (f & F_FUSED_UP);
    return !has(b, w, n->apart[0]) && has(b, w, n->fused);
}

/* Rows of the segments; returns how many there are. */
static int segment_rows(const struct config *c, const struct weight *w, const char *base, int64_t n_row[3])
{
    const int64_t rows = w->rank == 3 || (w->rank == 2 && w->bias) ? w->shape[1] : w->shape[0];
    if (!strcmp(base, "qkv")) {
        n_row[0] = (int64_t)c->n_head * c->d_head, n_row[1] = n_row[2] = (int64_t)c->n_kv_head * c->d_head;
        return 3;
    }
    const size_t n = strlen(base);
    if (n >= 7 && !strcmp(base + n - 7, "gate_up")) {
        n_row[0] = n_row[1] = rows / 2;
        return 2;
    }
    n_row[0] = rows;
    return 1;
}

/* In the first pass they are only counted. */
static void push(struct builder *b, struct weight_part p)
{
    if (b->part)
        b->part[b->n] = p;
    b->n++;
}

/* A segment in the tensor: from row `first` of `total` on; of all experts or of none. */
static void add_segment(struct builder *b, const struct weight *w, const char *name, int64_t first, int64_t total, int64_t row,
                        int64_t n_row, int expert, bool pairs)
{
    const bool stacked = w->rank == 3 || (w->rank == 2 && w->bias);
    const int64_t n_expert = stacked ? w->shape[0] : 1, n_col = w->rank == 1 || w->bias ? 1 : w->shape[w->rank - 1];
    struct weight_part p = { .row = expert * (stacked ? w->shape[1] : 0) + row, .n_row = n_row, .n_col = n_col,
                             .at = (expert * total + first) * n_col };
    tensor_name(p.name, w, name);
    if (stacked)
        p.shape[p.rank++] = n_expert;
    p.shape[p.rank++] = total;
    if (w->rank > 1 && !w->bias)
        p.shape[p.rank++] = n_col;
    if (pairs && b->l->config.d_head % 2 == 0)
        p.fold = 2, p.inner = 1, p.period = b->l->config.d_head;
    push(b, p);
}

/* kv_b is [H * (nope + v), rank]; k_b [H, rank, nope], v_b [H, v, rank]. */
static void add_split_kv(struct builder *b, const struct weight *w, const struct name *n)
{
    const struct config *c = &b->l->config;
    const int64_t nope = c->d_nope, d_v = c->d_v, rank = c->kv_rank;
    for (int h = 0; h < c->n_head; h++) {
        struct weight_part k = { .row = h * (nope + d_v), .n_row = nope, .n_col = rank, .rank = 3, .shape = { c->n_head, rank, nope },
                                 .at = h * rank * nope, .transposed = true };
        struct weight_part v = { .row = h * (nope + d_v) + nope, .n_row = d_v, .n_col = rank, .rank = 3, .shape = { c->n_head, d_v, rank },
                                 .at = h * d_v * rank };
        tensor_name(k.name, w, n->apart[0]);
        tensor_name(v.name, w, n->apart[1]);
        push(b, k);
        push(b, v);
    }
}

static int add_weight(struct builder *b, struct weight *w, struct err *err)
{
    const struct config *c = &b->l->config;
    char base[WEIGHT_NAME_MAX];
    base_name(base, w);
    const struct name *n = find(c, base);
    if (!n)
        return ERR(err, UNSUPPORTED, "GGUF has no name for the weight '%s' of %s", w->name, family_name(c->family));
    const int first_part = b->n;
    const bool fused = is_fused(b, w, n), qkv = !strcmp(base, "qkv");
    int64_t n_row[3], total = 0;
    const int n_segment = segment_rows(c, w, base, n_row);
    for (int i = 0; i < n_segment; i++)
        total += n_row[i];
    if (!strcmp(base, "kv_b") && !fused) {
        add_split_kv(b, w, n);
    } else {
        const int n_expert = w->rank == 3 || (w->rank == 2 && w->bias) ? (int)w->shape[0] : 1;
        const int first = !strcmp(base, "pos") ? c->pos_first : 0;        /* rows that no position uses are not there */
        n_row[0] -= first, total -= first;
        for (int e = 0; e < n_expert; e++)
            for (int i = 0, row = first; i < n_segment; row += (int)n_row[i++])
                add_segment(b, w, fused ? n->fused : n->apart[i], fused ? row - first : 0, fused ? total : n_row[i], row, n_row[i], e,
                            qkv && i < 2 && (1u << c->family & F_PAIRS));
    }
    if (!b->part)
        return 0;
    w->first_part = first_part;
    w->n_part = b->n - first_part;
    w->n_segment = n_segment;
    for (int i = 0; i < n_segment; i++)
        w->segment[i].n_row = n_row[i];
    w->transposed = w->plus_one = false;
    w->fold = 0;
    return 0;
}

int weights_gguf_parts(struct weights_list *l, const struct gguf *g, struct err *err)
{
    assert(!l->part);
    struct builder b = { .l = l, .g = g };
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < l->n_weight; i++)
            TRY(add_weight(&b, &l->weight[i], err));
        if (pass)
            break;
        if (!(b.part = mem_alloc_array((size_t)b.n, sizeof *b.part)))
            return ERR(err, NOMEM, "no memory for the list of %d parts of weights", b.n);
        b.n = 0;
    }
    l->part = b.part;
    return 0;
}

/* ---- the file against the list ---- */

/* Dimensions of 1 are written by some and left out by others. */
static bool same_shape(const struct source_tensor *t, const struct weight_part *p)
{
    int i = 0, j = 0;
    for (;;) {
        while (i < t->rank && t->shape[i] == 1)
            i++;
        while (j < p->rank && p->shape[j] == 1)
            j++;
        if (i >= t->rank || j >= p->rank)
            return i >= t->rank && j >= p->rank;
        if (t->shape[i++] != p->shape[j++])
            return false;
    }
}

static int check_part(const struct gguf *g, const struct weight_part *p, const struct source_tensor *t, struct err *err)
{
    const char *file = gguf_file_name(g, 0);
    if (t->type == N_CPU_TYPE)
        return ERR(err, UNSUPPORTED, "%s: tensor '%s': type %s, expected one that lathe knows", file, t->name, gguf_type_name(g, t));
    const bool whole_rows = t->rank > 0 && p->n_row * p->n_col % t->shape[t->rank - 1] == 0 && p->at % t->shape[t->rank - 1] == 0;
    if (same_shape(t, p) && (whole_rows || type_block(t->type) == 1))
        return 0;
    if (same_shape(t, p))
        return ERR(err, UNSUPPORTED, "%s: tensor '%s': type %s, expected numbers that can be cut", file, t->name, type_name(t->type));
    char found[WEIGHTS_SHAPE], expected[WEIGHTS_SHAPE];
    return ERR(err, FORMAT, "%s: tensor '%s': shape %s, expected %s", file, t->name, weights_shape(found, t->rank, t->shape), weights_shape(expected, p->rank, p->shape));
}

static bool is_passed_over(const struct config *c, const char *name)
{
    static const char *const factors[] = { "rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight" };
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++)
        if (!strcmp(factors[i], name))
            return true;
    if (c->encoder && !strncmp(name, "cls.", 4))
        return true;
    return !strncmp(name, "blk.", 4) && isdigit((unsigned char)name[4]) && strtol(name + 4, NULL, 10) >= c->n_layer;
}

static int check_unexpected(const struct weights_list *l, const struct gguf *g, const bool *seen, struct err *err)
{
    for (int i = 0; i < gguf_n_tensor(g); i++)
        if (!seen[i] && !is_passed_over(&l->config, gguf_tensor(g, i)->name))
            return ERR(err, FORMAT, "%s: tensor '%s': not part of this model, expected no other tensors", gguf_file_name(g, 0),
                       gguf_tensor(g, i)->name);
    return 0;
}

static int check_parts(const struct weights_list *l, const struct gguf *g, bool *seen, struct err *err)
{
    for (int i = 0; i < l->n_weight; i++)
        for (int j = 0; j < l->weight[i].n_part; j++) {
            const struct weight_part p = weight_part(l, &l->weight[i], j);
            const struct source_tensor *t = gguf_find_tensor(g, p.name);
            if (!t)
                return ERR(err, FORMAT, "%s: tensor '%s' is missing, expected for this model's configuration", gguf_file_name(g, 0), p.name);
            seen[t - gguf_tensor(g, 0)] = true;
            TRY(check_part(g, &p, t, err));
        }
    return 0;
}

int weights_gguf_check(const struct weights_list *l, const struct gguf *g, struct err *err)
{
    assert(l->part);
    bool *seen = mem_alloc_array((size_t)gguf_n_tensor(g) + 1, sizeof *seen);
    if (!seen)
        return ERR(err, NOMEM, "no memory to match %d tensors", gguf_n_tensor(g));
    int rc = check_parts(l, g, seen, err);
    if (!rc)
        rc = check_unexpected(l, g, seen, err);
    mem_free(seen);
    return rc;
}

/* ---- reading as floats ---- */

/* Row by row of the file: a row of a quantised tensor is whole blocks, and parts begin and end with rows. */
static void load_part(const struct weight_part *p, const struct source_tensor *t, float *row, float *out)
{
    const int64_t K = t->shape[t->rank - 1], n = p->n_row * p->n_col;
    if (n % K || p->at % K) {                       /* a vector that is cut: floats */
        for (int64_t i = 0; i < n; i++) {
            type_dequantize(t->type, 1, (const char *)t->data + type_bytes(t->type, p->at + i), row);
            out[weight_part_place(p, i)] = row[0];
        }
        return;
    }
    for (int64_t i = 0; i < n; i += K) {
        type_dequantize(t->type, K, (const char *)t->data + type_bytes(t->type, p->at + i), row);
        for (int64_t k = 0; k < K; k++)
            out[weight_part_place(p, i + k)] = row[k];
    }
}

int weights_gguf_load(const struct weights_list *l, const struct gguf *g, float *(*place)(void *ctx, int i), void *ctx, struct err *err)
{
    TRY(weights_gguf_check(l, g, err));
    int64_t widest = 1;
    for (int i = 0; i < gguf_n_tensor(g); i++) {
        const struct source_tensor *t = gguf_tensor(g, i);
        if (t->rank > 0 && t->shape[t->rank - 1] > widest)
            widest = t->shape[t->rank - 1];
    }
    float *row = mem_alloc_array((size_t)widest, sizeof *row);
    if (!row)
        return ERR(err, NOMEM, "no memory to read rows of %lld", (long long)widest);
    for (int i = 0; i < l->n_weight; i++) {
        float *out = place(ctx, i);
        for (int j = 0; out && j < l->weight[i].n_part; j++) {
            const struct weight_part p = weight_part(l, &l->weight[i], j);
            load_part(&p, gguf_find_tensor(g, p.name), row, out);
        }
    }
    mem_free(row);
    return 0;
}
