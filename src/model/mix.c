#include "model/mix.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "model/gguf.h"

static const struct mix mixes[] = {
#define X(word, type, file_type) { word, TYPE_##type, file_type },
    MIXES(X)
#undef X
};

const struct mix *mix_find(const char *word)
{
    char medium[16];
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < sizeof mixes / sizeof *mixes; i++)
            if (!strcasecmp(mixes[i].word, pass ? medium : word))
                return &mixes[i];
        snprintf(medium, sizeof medium, "%.12s_m", word);
    }
    return NULL;
}

static const char *mixture_of(const struct gguf *g)
{
    int64_t type = -1;
    if (g)
        gguf_get_int(g, "general.file_type", 0, 1000, &type, NULL);
    for (size_t i = 0; i < sizeof mixes / sizeof *mixes; i++)
        if (mixes[i].file_type == type)
            return mixes[i].word;
    return NULL;
}

static const char *most_bytes(const struct source *s)
{
    size_t bytes[N_CPU_TYPE] = { 0 };
    int best = 0;
    for (int i = 0; i < source_count(s); i++)
        if (source_at(s, i)->rank > 1 && source_at(s, i)->type < N_CPU_TYPE)
            bytes[source_at(s, i)->type] += source_at(s, i)->bytes;
    for (int i = 1; i < N_CPU_TYPE; i++)
        best = bytes[i] > bytes[best] ? i : best;
    return bytes[best] ? type_name((enum cpu_type)best) : "";
}

void mix_name(const struct source *s, char out[MIX_NAME])
{
    const char *mixture = mixture_of(source_gguf(s));
    snprintf(out, MIX_NAME, "%s", mixture ? mixture : most_bytes(s));
    for (char *c = out; *c; c++)
        *c = (char)toupper((unsigned char)*c);
}

static bool has(const char *name, const char *part) { return strstr(name, part); }
static bool is(const struct mix *m, const char *word) { return !strcmp(m->word, word); }

/* Matrices that are large and that stand errors. */
static bool is_quantised(const char *name, const struct source_tensor *t)
{
    static const char *const kept[] = { "_norm.weight", "ffn_gate_inp", "position_embd", "token_types", "altup", "laurel", "per_layer_model_proj",
                                        "ssm_conv1d", "shortconv.conv", "attn_rel_b", "attn_sinks" };
    const size_t n = strlen(name);
    int n_dim = 0;
    for (int i = 0; i < t->rank; i++)
        n_dim += t->shape[i] > 1 || n_dim;
    if (n_dim < 2 || n < 6 || strcmp(name + n - 6, "weight"))
        return false;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (has(name, kept[i]))
            return false;
    return true;
}

/* The first and last eighth of the layers, and every third between. */
static bool more_bits(int layer, int n) { return layer < n / 8 || layer >= 7 * n / 8 || (layer - n / 8) % 3 == 2; }

static enum cpu_type of_values(const struct mix *m, const struct mix_model *model, int layer)
{
    const bool shared = model->n_gqa >= 4;
    enum cpu_type t = m->type;
    if (is(m, "q2_k"))
        t = shared ? TYPE_Q4_K : TYPE_Q3_K;
    else if (is(m, "q3_k_m"))
        t = layer < 2 ? TYPE_Q5_K : TYPE_Q4_K;
    else if (is(m, "q3_k_l") || (is(m, "iq4_nl") && shared) || (is(m, "q4_k_s") && layer < 4))
        t = TYPE_Q5_K;
    else if ((is(m, "q4_k_m") || is(m, "q5_k_m")) && more_bits(layer, model->n_layer))
        t = TYPE_Q6_K;
    if (model->n_layer == 80 && (t == TYPE_Q3_K || t == TYPE_Q4_K))
        t = TYPE_Q5_K;             /* the 70B models, where values are an eighth of the queries */
    return model->n_expert == 8 ? TYPE_Q8_0 : t;
}

static enum cpu_type of_down(const struct mix *m, const struct mix_model *model, int layer)
{
    const int n = model->n_layer;
    if (is(m, "q2_k"))
        return TYPE_Q3_K;
    if (is(m, "q3_k_m"))
        return layer < n / 16 ? TYPE_Q5_K : TYPE_Q4_K;
    if (is(m, "q3_k_l") || ((is(m, "q4_k_s") || (is(m, "iq4_nl") && !model->importance)) && layer < n / 8))
        return TYPE_Q5_K;
    if ((is(m, "q4_k_m") || is(m, "q5_k_m")) && more_bits(layer, n))
        return TYPE_Q6_K;
    if (model->importance && layer < n / 8 && (is(m, "q4_0") || is(m, "q5_0")))
        return is(m, "q4_0") ? TYPE_Q4_1 : TYPE_Q5_1;
    return m->type;
}

static enum cpu_type of_attention_output(const struct mix *m, const struct mix_model *model)
{
    if (model->n_expert == 8)
        return is(m, "q2_k") || is(m, "q3_k_s") || is(m, "q3_k_m") || is(m, "iq4_nl") || is(m, "q4_k_s") || is(m, "q4_k_m") ? TYPE_Q5_K : m->type;
    return is(m, "q2_k") ? TYPE_Q3_K : is(m, "q3_k_m") ? TYPE_Q4_K : is(m, "q3_k_l") ? TYPE_Q5_K : m->type;
}

static enum cpu_type by_role(const struct mix *m, const struct mix_model *model, const char *name, const struct source_tensor *t)
{
    int layer = 0;
    const bool embedding = !strcmp(name, "token_embd.weight");
    sscanf(name, "blk.%d.", &layer);
    if (!strcmp(name, "output.weight") || (model->tied && embedding))
        return m->type == TYPE_Q8_0 || m->type == TYPE_MXFP4 || t->shape[t->rank - 1] % type_block(m->type) ? TYPE_Q8_0 : TYPE_Q6_K;
    if (m->type == TYPE_MXFP4)
        return t->rank == 3 ? TYPE_MXFP4 : TYPE_Q8_0;
    if (embedding)
        return m->type;
    if (has(name, "attn_v.weight") || has(name, "attn_qkv.weight") || has(name, "attn_kv_b.weight"))
        return of_values(m, model, layer);
    if (has(name, "attn_k.weight") && model->n_expert == 8)
        return TYPE_Q8_0;
    if (has(name, "ffn_down"))
        return of_down(m, model, layer);
    return has(name, "attn_output.weight") ? of_attention_output(m, model) : m->type;
}

static enum cpu_type fit(enum cpu_type t, int64_t row)
{
    static const struct { enum cpu_type from, to; } smaller[] = {
        { TYPE_Q2_K, TYPE_Q4_0 }, { TYPE_Q3_K, TYPE_Q4_0 }, { TYPE_Q4_K, TYPE_Q5_0 }, { TYPE_Q5_K, TYPE_Q5_1 }, { TYPE_Q6_K, TYPE_Q8_0 },
    };
    for (size_t i = 0; i < sizeof smaller / sizeof *smaller; i++)
        if (row % type_block(t) && t == smaller[i].from)
            t = smaller[i].to;
    return row % type_block(t) ? TYPE_F16 : t;
}

enum cpu_type mix_type(const struct mix *m, const struct mix_model *model, const char *name, const struct source_tensor *t, bool *fell_back)
{
    *fell_back = false;
    if (t->type == N_CPU_TYPE || !is_quantised(name, t))
        return t->type;
    const enum cpu_type want = model->pure || type_block(m->type) == 1 ? m->type : by_role(m, model, name, t);
    const enum cpu_type got = fit(want, t->shape[t->rank - 1]);
    *fell_back = got != want;
    return got;
}
