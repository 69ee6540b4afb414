/* config.c - config.json to struct config and back, by the tables of config_keys.h. */
#include "model/config.h"
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "model/config_keys.h"

#define CONFIG_BYTES_MAX ((size_t)4 << 20)
/* 2^48 numbers: 64 bytes of state for each still fit in 63 bits with room for a factor of 512. */
#define PARAMS_MAX ((int64_t)1 << 48)

static const char *word_of(const struct word *w, int value)
{
    for (; w->name; w++)
        if (w->value == value)
            return w->name;
    return NULL;
}

const char *family_name(enum family f) { return word_of(family_words, (int)f); }
const char *norm_kind_name(enum norm_kind k) { return word_of(norm_words, (int)k); }
const char *place_kind_name(enum place_kind k) { return word_of(place_words, (int)k); }
const char *act_kind_name(enum act_kind k) { return word_of(act_words, (int)k); }
const char *pos_kind_name(enum pos_kind k) { return word_of(pos_words, (int)k); }
const char *qk_norm_kind_name(enum qk_norm_kind k) { return word_of(qk_norm_words, (int)k); }
const char *router_kind_name(enum router_kind k) { return word_of(router_words, (int)k); }

/* ---- fields by offset ---- */

static int *int_at(struct config *c, size_t at) { return (int *)((char *)c + at); }
static int int_of(const struct config *c, size_t at) { return *(const int *)((const char *)c + at); }
static double *num_at(struct config *c, size_t at) { return (double *)((char *)c + at); }
static double num_of(const struct config *c, size_t at) { return *(const double *)((const char *)c + at); }
static bool *bool_at(struct config *c, size_t at) { return (bool *)((char *)c + at); }
static bool bool_of(const struct config *c, size_t at) { return *(const bool *)((const char *)c + at); }

/* ---- keys ---- */

/* The key, or where it is absent another that says the same. */
static const char *key_in_file(const json_t *root, unsigned family, const char *key)
{
    for (size_t i = 0; i < N_ALIAS && !json_object_get(root, key); i++)
        if ((aliases[i].families & family) && !strcmp(aliases[i].key, key) && json_object_get(root, aliases[i].other))
            return aliases[i].other;
    return key;
}

/* What the family's file calls the field.  Where that key is not in the file, or the family has none: those that the field
 * follows from; else the key all the same, or our own word. */
static const char *key_of(const json_t *root, enum family f, size_t at)
{
    const char *key = NULL;
    for (size_t i = 0; i < N_KEY && !key; i++)
        if ((keys[i].families & 1u << f) && keys[i].at == at)
            key = key_in_file(root, 1u << f, keys[i].name);
    for (size_t i = 0; i < N_DERIVED && !(key && (!root || json_object_get(root, key))); i++)
        if ((derived[i].families & 1u << f) && derived[i].at == at)
            return derived[i].name;
    for (size_t i = 0; i < N_SIZE && !key; i++)
        if (sizes[i].at == at)
            key = sizes[i].name;
    for (size_t i = 0; i < N_NUMBER && !key; i++)
        if (numbers[i].at == at)
            key = numbers[i].name;
    return key ? key : "a setting";
}

/* Is fixed[i] the row of its field for this family? */
static bool fixes(size_t i, unsigned family)
{
    for (size_t j = 0; j < i; j++)
        if (fixed[j].at == fixed[i].at && (fixed[j].families & family))
            return false;
    return fixed[i].families & family;
}

/* ---- checking ---- */

struct checked {
    const struct config *c;
    const json_t *root;            /* the file, for the names in it, or NULL */
    const char *where;
    struct err *err;
};

static const char *name_of(const struct checked *q, size_t at) { return key_of(q->root, q->c->family, at); }

static int check_bounds(const struct checked *q)
{
    for (size_t i = 0; i < N_SIZE; i++) {
        const int v = int_of(q->c, sizes[i].at);
        if (v < sizes[i].min || v > sizes[i].max)
            return ERR(q->err, RANGE, "%s: %s is %d, expected %d to %d", q->where, name_of(q, sizes[i].at), v, sizes[i].min, sizes[i].max);
    }
    for (size_t i = 0; i < N_NUMBER; i++) {
        const double v = num_of(q->c, numbers[i].at);
        if (!(v >= numbers[i].min && v <= numbers[i].max))
            return ERR(q->err, RANGE, "%s: %s is %g, expected %g to %g", q->where, name_of(q, numbers[i].at), v, numbers[i].min, numbers[i].max);
    }
    return 0;
}

static double value_of(const struct config *c, enum kind kind, size_t at)
{
    return kind == KIND_BOOL ? bool_of(c, at) : kind == KIND_NUM ? num_of(c, at) : int_of(c, at);
}

static int check_fixed(const struct checked *q)
{
    const struct config *c = q->c;
    for (size_t i = 0; i < N_FIXED; i++) {
        const struct fixed *f = &fixed[i];
        const double v = fixes(i, 1u << c->family) ? value_of(c, f->kind, f->at) : f->value;
        if (v != f->value && f->words)
            return ERR(q->err, UNSUPPORTED, "%s: %s is %s, %s has %s", q->where, f->name, word_of(f->words, (int)v), family_name(c->family),
                       word_of(f->words, (int)f->value));
        if (v != f->value)
            return ERR(q->err, UNSUPPORTED, "%s: %s is %g, %s has %g", q->where, f->name, v, family_name(c->family), f->value);
    }
    for (size_t i = 0; i < N_KEY; i++) {
        const struct key *k = &keys[i];
        if (!(k->families & 1u << c->family))
            continue;
        if (k->kind == KIND_WORD && !word_of(k->words, int_of(c, k->at)))
            return ERR(q->err, UNSUPPORTED, "%s: %s has no %s for this value", q->where, family_name(c->family), k->name);
        for (size_t j = 0; (k->flags & ALSO) && j < i; j++)
            if ((keys[j].families & 1u << c->family) && !strcmp(keys[j].name, k->name) && bool_of(c, keys[j].at) != bool_of(c, k->at))
                return ERR(q->err, UNSUPPORTED, "%s: some of the biases that %s names together by %s are there, some not", q->where, family_name(c->family), k->name);
    }
    return 0;
}

static int check_layers(const struct checked *q)
{
    static const struct { unsigned families; int bit; const char *what; } can[] = {
        { F_WINDOWS, LAYER_WINDOW, "a window" }, { F_SMOLLM3 | F_LATHE_GPT, LAYER_NO_ROPE, "no RoPE" },
        { F_QWEN_MOES | F_DEEPSEEKS | F_LATHE_GPT, LAYER_DENSE, "no experts" },
    };
    const struct config *c = q->c;
    for (int i = 0; i < CONFIG_LAYER_MAX; i++) {
        if (c->layer[i] & ~LAYER_ALL || (i >= c->n_layer && c->layer[i]))
            return ERR(q->err, RANGE, "%s: the bits of layer %d are %d, expected none but known ones of layers that are there", q->where, i, c->layer[i]);
        for (size_t j = 0; j < sizeof can / sizeof *can; j++)
            if ((c->layer[i] & can[j].bit) && !(can[j].families & 1u << c->family))
                return ERR(q->err, UNSUPPORTED, "%s: layer %d has %s, %s cannot say that", q->where, i, can[j].what, family_name(c->family));
        if ((c->layer[i] & LAYER_WINDOW) && !c->window)
            return ERR(q->err, FORMAT, "%s: layer %d has a window, but %s is 0", q->where, i, name_of(q, AT(window)));
        if ((c->layer[i] & LAYER_DENSE) && c->d_ff < 1)
            return ERR(q->err, RANGE, "%s: %s is %d, expected at least 1 for layer %d, which has no experts", q->where, name_of(q, AT(d_ff)), c->d_ff, i);
        if (i && (1u << c->family & F_DEEPSEEKS) && (c->layer[i] & LAYER_DENSE) && !(c->layer[i - 1] & LAYER_DENSE))
            return ERR(q->err, UNSUPPORTED, "%s: layer %d has no experts, %s has such layers only before all others", q->where, i, family_name(c->family));
    }
    return 0;
}

/* What the family fixes must be so, and what it says by words must have one: else config.json could not tell it. */
static int check_family(const struct checked *q)
{
    const struct config *c = q->c;
    const unsigned family = 1u << c->family;
    TRY(check_fixed(q));
    TRY(check_layers(q));
    if ((family & F_SQUARE) && (int64_t)c->n_head * c->d_head != c->d_model)
        return ERR(q->err, UNSUPPORTED, "%s: %s is %d and %s %d, %s needs their product to be %s, %d", q->where, name_of(q, AT(n_head)), c->n_head,
                   name_of(q, AT(d_head)), c->d_head, family_name(c->family), name_of(q, AT(d_model)), c->d_model);
    if ((family & (F_FULL_HEADS | F_DEEPSEEKS)) && c->n_kv_head != c->n_head)
        return ERR(q->err, UNSUPPORTED, "%s: %d key/value heads, %s has as many as heads, %d", q->where, c->n_kv_head, family_name(c->family), c->n_head);
    if ((family & F_DEEPSEEKS) && c->d_ff_shared % c->d_ff_expert)
        return ERR(q->err, UNSUPPORTED, "%s: the shared expert's width %d, %s has a multiple of an expert's, %d", q->where, c->d_ff_shared, family_name(c->family), c->d_ff_expert);
    return 0;
}

static int check_groups(const struct checked *q)
{
    const struct config *c = q->c;
    if (!c->group_best)
        return 0;
    if (c->n_group < 1 || c->n_expert % c->n_group || c->n_expert / c->n_group < c->group_best)
        return ERR(q->err, RANGE, "%s: %s is %d, expected groups of %s, %d, of the same size, of at least %d", q->where, name_of(q, AT(n_group)), c->n_group,
                   name_of(q, AT(n_expert)), c->n_expert, c->group_best);
    if (c->n_group_chosen < 1 || c->n_group_chosen > c->n_group || c->n_group_chosen * (c->n_expert / c->n_group) < c->top_k)
        return ERR(q->err, RANGE, "%s: %s is %d, expected 1 to %s, %d, and enough for %s, %d", q->where, name_of(q, AT(n_group_chosen)), c->n_group_chosen,
                   name_of(q, AT(n_group)), c->n_group, name_of(q, AT(top_k)), c->top_k);
    return 0;
}

static int check_experts(const struct checked *q)
{
    const struct config *c = q->c;
    if (!c->n_expert && (1u << c->family & F_MOES))
        return ERR(q->err, RANGE, "%s: %s is 0, expected at least 1 for model_type %s", q->where, name_of(q, AT(n_expert)), family_name(c->family));
    if (!c->n_expert && c->d_ff < 1)
        return ERR(q->err, RANGE, "%s: %s is %d, expected at least 1 for a dense model", q->where, name_of(q, AT(d_ff)), c->d_ff);
    if (!c->n_expert && (c->router_correction || c->expert_bias))
        return ERR(q->err, FORMAT, "%s: %s is true, but there are no experts", q->where, name_of(q, c->expert_bias ? AT(expert_bias) : AT(router_correction)));
    if (!c->n_expert)
        return 0;
    if (c->top_k < 1 || c->top_k > c->n_expert)
        return ERR(q->err, RANGE, "%s: %s is %d, expected 1 to %s, %d", q->where, name_of(q, AT(top_k)), c->top_k, name_of(q, AT(n_expert)), c->n_expert);
    if (c->d_ff_expert < 1)
        return ERR(q->err, RANGE, "%s: %s is %d, expected at least 1", q->where, name_of(q, AT(d_ff_expert)), c->d_ff_expert);
    return check_groups(q);
}

/* The numbers of a head that turn with the position: all, a share, or with MLA a part that has a key of its own. */
static int check_turning(const struct checked *q)
{
    const struct config *c = q->c;
    const int n = config_d_rot(c);
    if (n >= 2 && n % 2 == 0 && n / 2 <= ROPE_PAIRS_MAX)
        return 0;
    const bool part = !c->kv_rank && c->rope_share != 1;
    return ERR(q->err, FORMAT, "%s: %s%s%s: %d numbers of a head turn, expected an even number from 2 to %d", q->where,
               c->kv_rank ? "qk_rope_head_dim" : name_of(q, AT(d_head)), part ? ", " : "", part ? name_of(q, AT(rope_share)) : "", n, 2 * ROPE_PAIRS_MAX);
}

static int check_attention(const struct checked *q)
{
    const struct config *c = q->c;
    if (c->n_head % c->n_kv_head)
        return ERR(q->err, FORMAT, "%s: %s is %d, expected a divisor of %s, %d", q->where, name_of(q, AT(n_kv_head)), c->n_kv_head, name_of(q, AT(n_head)), c->n_head);
    if (c->kv_rank && (c->d_nope >= c->d_head || c->qk_norm != QK_NORM_NONE || c->pos != POS_ROPE || c->rope_share != 1))
        return ERR(q->err, FORMAT, "%s: %d of %d numbers of a head do not turn, expected fewer than all, and no norm of q and k", q->where, c->d_nope, c->d_head);
    if (!c->kv_rank && (c->d_v != c->d_head || c->d_nope || c->q_rank))
        return ERR(q->err, FORMAT, "%s: values of %d numbers, expected %d as of keys", q->where, c->d_v, c->d_head);
    if (c->pos != POS_ROPE)
        return 0;
    TRY(check_turning(q));
    return rope_check(&c->rope, config_d_rot(c), c->ctx, q->where, q->err);
}

/* Images: whole patches, and what the head of classes reads. */
static int check_images(const struct checked *q)
{
    const struct config *c = q->c;
    if (c->family != FAMILY_VIT)
        return 0;
    if (c->patch_size < 1 || c->image_size < 1 || c->n_channel < 1 || c->image_size % c->patch_size)
        return ERR(q->err, RANGE, "%s: image_size is %d, patch_size %d and num_channels %d, expected whole patches and at least one of each", q->where, c->image_size,
                   c->patch_size, c->n_channel);
    if (c->ctx != config_n_patch(c) + 1)
        return ERR(q->err, RANGE, "%s: %d positions, expected %d: cls and the patches", q->where, c->ctx, config_n_patch(c) + 1);
    return 0;
}

static int check_ids(const struct checked *q)
{
    const struct config *c = q->c;
    if (c->bos_id >= c->vocab_size)
        return ERR(q->err, RANGE, "%s: bos_token_id is %d, expected less than vocab_size, %d", q->where, c->bos_id, c->vocab_size);
    if (c->n_eos < 0 || c->n_eos > CONFIG_EOS_MAX)
        return ERR(q->err, RANGE, "%s: eos_token_id has %d ids, expected 0 to %d", q->where, c->n_eos, CONFIG_EOS_MAX);
    for (int i = 0; i < c->n_eos; i++)
        if (c->eos_id[i] < 0 || c->eos_id[i] >= c->vocab_size)
            return ERR(q->err, RANGE, "%s: eos_token_id is %d, expected 0 to less than vocab_size, %d", q->where, c->eos_id[i], c->vocab_size);
    return 0;
}

static int check(const struct checked *q)
{
    const struct config *c = q->c;
    if ((unsigned)c->family >= N_FAMILY || (unsigned)c->norm >= N_NORM_KIND || (unsigned)c->act >= N_ACT_KIND || (unsigned)c->place >= N_PLACE_KIND ||
        (unsigned)c->pos >= N_POS_KIND || (unsigned)c->qk_norm >= N_QK_NORM_KIND || (unsigned)c->router >= N_ROUTER_KIND || !word_of(dtype_words, (int)c->dtype))
        return ERR(q->err, RANGE, "%s: family, norm, act, place, pos, qk_norm, router or dtype is not one of its values", q->where);
    TRY(check_bounds(q));
    TRY(check_attention(q));
    if ((c->norm == NORM_RMS || !c->norm_gain) && c->norm_bias)
        return ERR(q->err, FORMAT, "%s: norm_bias is true, %s has none", q->where, c->norm == NORM_RMS ? "rmsnorm" : "a norm without weights");
    if (c->parallel && c->place != PLACE_BEFORE)
        return ERR(q->err, UNSUPPORTED, "%s: %s is true, but norm_place is %s, expected before", q->where, name_of(q, AT(parallel)), place_kind_name(c->place));
    TRY(check_experts(q));
    TRY(check_images(q));
    TRY(check_family(q));
    TRY(check_ids(q));
    int64_t total;
    config_params(c, &total, NULL);
    return total <= PARAMS_MAX ? 0 : ERR(q->err, RANGE, "%s: %lld parameters, expected at most 2^48", q->where, (long long)total);
}

int config_validate(const struct config *c, const char *where, struct err *err) { return check(&(struct checked){ c, NULL, where, err }); }

/* ---- reading ---- */

struct reader {
    struct config *c;
    const json_t *root;
    const char *where;
    struct buf *warnings;
    struct err *err;
    unsigned family;               /* bit of c->family */
};

static int warn(const struct reader *r, const char *key, const char *what)
{
    char shown[104];
    snprintf(shown, sizeof shown, "%s", key);
    err_tidy(shown);
    return r->warnings ? buf_printf(r->warnings, r->err, "%s: %s: %s\n", r->where, shown, what) : 0;
}

static int read_word(const struct reader *r, const char *key, const struct word *words, int fallback, int *out)
{
    const char *s;
    *out = fallback;
    TRY(tree_str(r->root, key, NULL, &s, r->where, r->err));
    if (!s)
        return 0;
    char known[200] = "";
    for (const struct word *w = words; w->name; w++) {
        if (!strcmp(s, w->name)) {
            *out = w->value;
            return 0;
        }
        const size_t n = strlen(known);
        snprintf(known + n, sizeof known - n, "%s%s", n ? ", " : "", w->name);
    }
    return ERR(r->err, UNSUPPORTED, "%s: %s is '%.60s', expected one of: %s", r->where, key, s, known);
}

static void bounds_of(size_t at, int64_t *min, int64_t *max)
{
    *min = 0, *max = INT_MAX;
    for (size_t i = 0; i < N_SIZE; i++)
        if (sizes[i].at == at)
            *min = sizes[i].min, *max = sizes[i].max;
}

static bool known(const struct reader *r, const char *name)
{
    for (size_t i = 0; i < N_KEY; i++)
        if ((keys[i].families & r->family) && !strcmp(keys[i].name, name))
            return true;
    for (size_t i = 0; i < N_MUST; i++)
        if ((musts[i].families & r->family) && !strcmp(musts[i].name, name))
            return true;
    for (size_t i = 0; i < N_TRAINING; i++)
        if ((training[i].families & r->family) && !strcmp(training[i].name, name))
            return true;
    for (size_t i = 0; i < N_ALIAS; i++)
        if ((aliases[i].families & r->family) && !strcmp(aliases[i].other, name))
            return true;
    for (size_t i = 0; i < N_HARMLESS; i++)
        if (!strcmp(harmless[i], name))
            return true;
    return false;
}

/* An unknown key that is nearly this one was most likely meant to be it. */
static int missing_key(const struct reader *r, const char *key)
{
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)r->root, name, v)
        if (!known(r, name) && word_nearest(name, &key, 1))
            return ERR(r->err, FORMAT, "%s: unknown key '%.60s'; did you mean '%s'?", r->where, name, key);
    return ERR(r->err, FORMAT, "%s: found no %s, expected it for model_type %s", r->where, key, family_name(r->c->family));
}

static int read_key(const struct reader *r, const struct key *k)
{
    const char *name = key_in_file(r->root, r->family, k->name);
    const json_t *v = json_object_get(r->root, name);
    if (isnan(k->fallback) && (!v || json_is_null(v)))
        return missing_key(r, k->name);
    if ((k->flags & NULL_IS_0) && v && json_is_null(v)) {
        if (k->kind == KIND_INT)
            *int_at(r->c, k->at) = 0;
        else
            *num_at(r->c, k->at) = 0;
        return 0;
    }
    int64_t n, min, max;
    switch (k->kind) {
    case KIND_INT:
        bounds_of(k->at, &min, &max);
        TRY(tree_int(r->root, name, isnan(k->fallback) ? 0 : (int64_t)k->fallback, min, max, &n, r->where, r->err));
        *int_at(r->c, k->at) = (int)n;
        return 0;
    case KIND_NUM:
        return tree_num(r->root, name, k->fallback, num_at(r->c, k->at), r->where, r->err);
    case KIND_BOOL:
        return tree_bool(r->root, name, k->fallback != 0, bool_at(r->c, k->at), r->where, r->err);
    default:
        return read_word(r, name, k->words, (int)k->fallback, int_at(r->c, k->at));
    }
}

static int read_family(struct reader *r)
{
    const char *type;
    TRY(tree_str(r->root, "model_type", NULL, &type, r->where, r->err));
#define X(name, word, class) " " word
    if (!type)
        return ERR(r->err, FORMAT, "%s: found no model_type, expected one of:" FAMILIES(X), r->where);
    for (const struct word *w = family_words; w->name; w++)
        if (!strcmp(type, w->name)) {
            r->c->family = (enum family)w->value;
            r->family = 1u << w->value;
            return 0;
        }
    return ERR(r->err, UNSUPPORTED, "%s: model_type is '%.60s', expected one of:" FAMILIES(X), r->where, type);
#undef X
}

static int read_id(const struct reader *r, const char *key, const json_t *v, int *out)
{
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) >= 1 << 24)
        return ERR(r->err, FORMAT, "%s: %s is not a token id, expected a whole number from 0 to %d", r->where, key, (1 << 24) - 1);
    *out = (int)json_integer_value(v);
    return 0;
}

/* Defaults of the configuration classes, for absent keys; null is no id. */
static int read_ids(const struct reader *r)
{
    static const struct { unsigned families; int bos, eos; } fallbacks[] = {
        { F_GPT2, 50256, 50256 }, { F_LLAMA | F_MISTRAL | F_MIXTRAL | F_DEEPSEEK2, 1, 2 }, { F_OLMO | F_OLMO2 | F_OLMOE, -1, 50279 },
        { F_GEMMAS, 2, 1 }, { F_PHI3, 1, 32000 }, { F_SMOLLM3, 128000, 128001 }, { F_GPT_NEOX | F_ROBERTA | F_XLM_ROBERTA, 0, 2 },
        { F_DEEPSEEK3, 0, 1 }, { F_ALL, -1, -1 },
    };
    size_t f = 0;
    while (!(fallbacks[f].families & r->family))
        f++;
    struct config *c = r->c;
    const json_t *bos = json_object_get(r->root, "bos_token_id"), *eos = json_object_get(r->root, "eos_token_id");
    c->bos_id = bos ? -1 : fallbacks[f].bos;
    if (c->bos_id >= c->vocab_size)
        c->bos_id = -1;
    if (bos && !json_is_null(bos))
        TRY(read_id(r, "bos_token_id", bos, &c->bos_id));
    c->n_eos = 0;
    if (!eos && fallbacks[f].eos >= 0 && fallbacks[f].eos < c->vocab_size)
        c->eos_id[c->n_eos++] = fallbacks[f].eos;
    if (!eos || json_is_null(eos))
        return 0;
    if (!json_is_array(eos))
        return read_id(r, "eos_token_id", eos, &c->eos_id[c->n_eos++]);
    if (json_array_size(eos) > CONFIG_EOS_MAX)
        return ERR(r->err, RANGE, "%s: eos_token_id has %zu ids, expected at most %d", r->where, json_array_size(eos), CONFIG_EOS_MAX);
    for (size_t i = 0; i < json_array_size(eos); i++)
        TRY(read_id(r, "eos_token_id", json_array_get(eos, i), &c->eos_id[c->n_eos++]));
    return 0;
}

/* Newer files say dtype for torch_dtype. */
static int read_dtype(const struct reader *r)
{
    int dtype, torch_dtype;
    TRY(read_word(r, "torch_dtype", dtype_words, ST_F32, &torch_dtype));
    TRY(read_word(r, "dtype", dtype_words, torch_dtype, &dtype));
    r->c->dtype = (enum st_dtype)dtype;
    return 0;
}

/* One settings object, or one for each kind of layer (Gemma 3): what it says about windowed layers must be plain. */
static int read_rope_object(const struct reader *r, const char *key)
{
    const json_t *o = json_object_get(r->root, key), *full = json_object_get(o, "full_attention"), *local = json_object_get(o, "sliding_attention");
    struct config *c = r->c;
    if (!o || json_is_null(o))
        return 0;
    double theta = c->rope.theta, share;
    if (json_is_object(local)) {
        struct rope_config plain = rope_plain(c->rope_local_theta ? c->rope_local_theta : theta);
        share = c->rope_share;
        TRY(rope_read(&plain, &share, local, key, r->where, r->err));
        if (plain.kind != ROPE_PLAIN || share != c->rope_share)
            return ERR(r->err, UNSUPPORTED, "%s: %s.sliding_attention is scaled, expected the default type", r->where, key);
        c->rope_local_theta = plain.theta;
    }
    if (json_is_object(local) || json_is_object(full))
        o = full;
    if (!o || json_is_null(o))
        return 0;
    TRY(rope_read(&c->rope, &c->rope_share, o, key, r->where, r->err));
    const json_t *v = json_object_get(r->root, "rope_theta");
    if (json_is_number(v) && json_number_value(v) != c->rope.theta)
        return ERR(r->err, FORMAT, "%s: rope_theta is %g here and %g in %s, expected one number", r->where, theta, c->rope.theta, key);
    return 0;
}

static bool absent(const struct reader *r, const char *key)
{
    const json_t *v = json_object_get(r->root, key);
    return !v || json_is_null(v);
}

static int read_rope(const struct reader *r)
{
    struct rope_config *rope = &r->c->rope;
    if (r->family == F_GPT_OSS && absent(r, "rope_scaling") && absent(r, "rope_parameters"))
        rope->kind = ROPE_YARN, rope->factor = 32, rope->original_ctx = 4096, rope->truncate = false;
    TRY(read_rope_object(r, "rope_scaling"));
    return read_rope_object(r, "rope_parameters");
}

/* ---- layers ---- */

static void mark(struct config *c, int layer, int bit, bool on) { c->layer[layer] = (uint8_t)(on ? c->layer[layer] | bit : c->layer[layer] & ~bit); }

/* NULL in *list when it is absent; else it has one entry for each layer. */
static int layer_list(const struct reader *r, const char *key, const json_t **list)
{
    *list = absent(r, key) ? NULL : json_object_get(r->root, key);
    if (*list && !json_is_array(*list))
        return ERR(r->err, FORMAT, "%s: %s is not a list, expected one or null", r->where, key);
    if (*list && json_array_size(*list) != (size_t)r->c->n_layer)
        return ERR(r->err, FORMAT, "%s: %s has %zu entries, expected one for each of %d layers", r->where, key, json_array_size(*list), r->c->n_layer);
    return 0;
}

static int read_no_rope(const struct reader *r)
{
    const json_t *list;
    int64_t interval;
    if (!(r->family & (F_SMOLLM3 | F_LATHE_GPT)))
        return 0;
    TRY(layer_list(r, "no_rope_layers", &list));
    TRY(tree_int(r->root, "no_rope_layer_interval", 4, 1, INT_MAX, &interval, r->where, r->err));
    for (int i = 0; i < r->c->n_layer; i++) {
        const json_t *v = json_array_get(list, (size_t)i);
        if (list && !json_is_integer(v))
            return ERR(r->err, FORMAT, "%s: no_rope_layers[%d] is not a whole number, expected 0 or 1", r->where, i);
        mark(r->c, i, LAYER_NO_ROPE, list ? !json_integer_value(v) : r->family == F_SMOLLM3 && (i + 1) % interval == 0);
    }
    return 0;
}

/* A window of ctx or more never hides a token; one that a family has not is fine then. */
static int check_no_window(const struct reader *r, const json_t *types)
{
    int64_t window;
    bool use;
    TRY(tree_bool(r->root, "use_sliding_window", true, &use, r->where, r->err));
    TRY(tree_int(r->root, "sliding_window", INT_MAX, 1, INT64_MAX, &window, r->where, r->err));
    if (use && window < r->c->ctx)
        return ERR(r->err, UNSUPPORTED, "%s: sliding_window is %lld, expected none or at least max_position_embeddings, %d: %s has no window", r->where,
                   (long long)window, r->c->ctx, family_name(r->c->family));
    for (size_t i = 0; i < json_array_size(types); i++) {
        const char *s = json_string_value(json_array_get(types, i));
        if (!s || strcmp(s, "full_attention"))
            return ERR(r->err, UNSUPPORTED, "%s: layer_types[%zu] is '%.60s', expected full_attention", r->where, i, s ? s : "");
    }
    return 0;
}

static bool window_by_rule(const struct config *c, enum window_rule rule, int64_t number, int i)
{
    switch (rule) {
    case WINDOW_FROM_MAX: return i >= number;
    case WINDOW_EVEN: return i % 2 == 0;
    case WINDOW_EVEN_BELOW_MAX: return i % 2 == 0 && i < number;
    case WINDOW_PATTERN: return (i + 1) % number != 0;
    case WINDOW_BETWEEN: return i % number != 0;
    case WINDOW_NO_ROPE: return c->layer[i] & LAYER_NO_ROPE;
    default: return true;
    }
}

static int read_windows(const struct reader *r)
{
    struct config *c = r->c;
    const json_t *types;
    bool use, any = false;
    TRY(layer_list(r, "layer_types", &types));
    if (!(r->family & F_WINDOWS))
        return check_no_window(r, types);
    size_t w = 0;
    while (!(windows[w].families & r->family))
        w++;
    int64_t number = windows[w].number;
    if (windows[w].key)
        TRY(tree_int(r->root, windows[w].key, number, 1, INT_MAX, &number, r->where, r->err));
    TRY(tree_bool(r->root, "use_sliding_window", !(r->family & F_USE_WINDOWS), &use, r->where, r->err));
    for (int i = 0; i < c->n_layer; i++) {
        bool on = window_by_rule(c, windows[w].rule, number, i);
        if (types) {
            const char *s = json_string_value(json_array_get(types, (size_t)i));
            if (!s || (strcmp(s, "full_attention") && strcmp(s, "sliding_attention")))
                return ERR(r->err, UNSUPPORTED, "%s: layer_types[%d] is '%.60s', expected full_attention or sliding_attention", r->where, i, s ? s : "");
            on = !strcmp(s, "sliding_attention");
            if (on && use && !c->window)
                return ERR(r->err, FORMAT, "%s: layer_types[%d] is sliding_attention, but found no sliding_window", r->where, i);
        }
        on = on && use && c->window;
        mark(c, i, LAYER_WINDOW, on);
        any = any || on;
    }
    if (!any)
        c->window = 0;
    return 0;
}

/* Layers that have no experts though others have. */
static int read_dense(const struct reader *r)
{
    struct config *c = r->c;
    int64_t first = 0, step = 1;
    if (r->family & F_DEEPSEEKS)
        TRY(tree_int(r->root, "first_k_dense_replace", r->family == F_DEEPSEEK3 ? 3 : 0, 0, CONFIG_LAYER_MAX, &first, r->where, r->err));
    if (r->family & F_QWEN_MOES)
        TRY(tree_int(r->root, "decoder_sparse_step", 1, 1, INT_MAX, &step, r->where, r->err));
    for (int i = 0; i < c->n_layer; i++)
        mark(c, i, LAYER_DENSE, c->n_expert && (i < first || (i + 1) % step));
    if (!(r->family & (F_QWEN_MOES | F_LATHE_GPT)) || absent(r, "mlp_only_layers"))
        return 0;
    const json_t *list = json_object_get(r->root, "mlp_only_layers");
    if (!json_is_array(list))
        return ERR(r->err, FORMAT, "%s: mlp_only_layers is not a list, expected one or null", r->where);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) >= c->n_layer)
            return ERR(r->err, FORMAT, "%s: mlp_only_layers[%zu] is not a layer, expected a whole number from 0 to %d", r->where, i, c->n_layer - 1);
        mark(c, (int)json_integer_value(v), LAYER_DENSE, c->n_expert != 0);
    }
    return 0;
}

static int check_musts(const struct reader *r)
{
    for (size_t i = 0; i < N_MUST; i++) {
        const json_t *v = json_object_get(r->root, musts[i].name);
        if (!(musts[i].families & r->family) || !v || json_is_null(v))
            continue;
        char expected[64];
        bool fine = false;
        switch (musts[i].must) {
        case MUST_NULL: snprintf(expected, sizeof expected, "null"); break;
        case MUST_FALSE: snprintf(expected, sizeof expected, "false"), fine = json_is_false(v); break;
        case MUST_TRUE: snprintf(expected, sizeof expected, "true"), fine = json_is_true(v); break;
        case MUST_NUMBER: snprintf(expected, sizeof expected, "%g", musts[i].number), fine = json_is_number(v) && json_number_value(v) == musts[i].number; break;
        default: snprintf(expected, sizeof expected, "'%s'", musts[i].word), fine = json_is_string(v) && !strcmp(json_string_value(v), musts[i].word);
        }
        if (!fine)
            return ERR(r->err, UNSUPPORTED, "%s: %s: %s is not implemented, expected %s", r->where, musts[i].name, musts[i].why, expected);
    }
    return 0;
}

/* gpt2 has three dropouts, each 0.1 when absent; ours is the residual one and is used for the embedding too. */
static int check_training(const struct reader *r)
{
    char text[160];
    double v;
    for (size_t i = 0; i < N_TRAINING; i++) {
        if (!(training[i].families & r->family) || r->c->encoder)
            continue;
        TRY(tree_num(r->root, training[i].name, r->family == F_GPT2 ? 0.1 : 0, &v, r->where, r->err));
        snprintf(text, sizeof text, "%s (%g) is not implemented and is left out in training", training[i].why, v);
        if (v != 0)
            TRY(warn(r, training[i].name, text));
    }
    if (r->family != F_GPT2)
        return 0;
    TRY(tree_num(r->root, "embd_pdrop", 0.1, &v, r->where, r->err));
    snprintf(text, sizeof text, "%g differs from resid_pdrop %g, which is used for both in training", v, r->c->dropout);
    return v != r->c->dropout ? warn(r, "embd_pdrop", text) : 0;
}

/* The key of the family that a misspelt one was most likely meant to be, or NULL. */
static const char *nearest_key(const struct reader *r, const char *name)
{
    const char *list[N_KEY];
    int n = 0;
    for (size_t i = 0; i < N_KEY; i++)
        if (keys[i].families & r->family)
            list[n++] = keys[i].name;
    return word_nearest(name, list, n);
}

static int warn_unknown(const struct reader *r)
{
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)r->root, name, v) {
        if (known(r, name))
            continue;
        const char *near = nearest_key(r, name);
        char text[120] = "unknown key, not used";
        if (near)
            snprintf(text, sizeof text, "unknown key, not used; did you mean '%s'?", near);
        TRY(warn(r, name, text));
    }
    return 0;
}

static void set_fixed(struct config *c)
{
    for (size_t i = 0; i < N_FIXED; i++)
        if (!fixes(i, 1u << c->family))
            continue;
        else if (fixed[i].kind == KIND_BOOL)
            *bool_at(c, fixed[i].at) = fixed[i].value != 0;
        else if (fixed[i].kind == KIND_NUM)
            *num_at(c, fixed[i].at) = fixed[i].value;
        else
            *int_at(c, fixed[i].at) = (int)fixed[i].value;
}

/* Classes: as many as num_labels says or id2label names; 2 where a class with such a head says nothing, as in Hugging Face's. */
static int read_labels(const struct reader *r)
{
    const json_t *names = json_object_get(r->root, "id2label"), *class = json_array_get(json_object_get(r->root, "architectures"), 0);
    const char *end = json_is_string(class) ? strstr(json_string_value(class), "For") : NULL;
    const bool said = json_is_object(names) || json_object_get(r->root, "num_labels");
    const char *head = r->family == F_VIT ? "ForImageClassification" : "ForSequenceClassification";
    const bool can = !(r->family & (F_DISTILBERT | F_MODERNBERT)), has = can && (class ? end && !strcmp(end, head) : r->family == F_VIT && said);
    int64_t n;
    if (names && !json_is_null(names) && !json_is_object(names))
        return ERR(r->err, FORMAT, "%s: id2label is no object, expected the name of each class by its number", r->where);
    TRY(tree_int(r->root, "num_labels", json_is_object(names) ? (int64_t)json_object_size(names) : 2, 0, 1 << 20, &n, r->where, r->err));
    if (json_is_object(names) && n != (int64_t)json_object_size(names))
        return ERR(r->err, FORMAT, "%s: num_labels is %lld, but id2label names %zu", r->where, (long long)n, json_object_size(names));
    r->c->n_label = has ? (int)n : 0;
    return has && !n ? ERR(r->err, RANGE, "%s: %s has no classes, expected at least 1", r->where, json_string_value(class)) : 0;
}

static int derive(const struct reader *r)
{
    struct config *c = r->c;
    if (c->n_kv_head <= 0)
        c->n_kv_head = c->n_head;
    if (c->kv_rank) {
        int64_t d_rot, shared;
        TRY(tree_int(r->root, "qk_rope_head_dim", 64, 2, 1 << 10, &d_rot, r->where, r->err));
        TRY(tree_int(r->root, "n_shared_experts", r->family == F_DEEPSEEK3 ? 1 : 2, 0, 1 << 10, &shared, r->where, r->err));
        c->d_head = c->d_nope + (int)d_rot;
        c->d_ff_shared = c->d_ff_expert <= (1 << 20) / (shared ? shared : 1) ? (int)shared * c->d_ff_expert : INT_MAX;
        c->n_kv_head = c->n_head;          /* as many keys and values, made from what they share */
    }
    if (r->family == F_MODERNBERT) {       /* both sides together, without the token itself */
        int64_t local;
        TRY(tree_int(r->root, "local_attention", 128, 0, INT_MAX, &local, r->where, r->err));
        c->window = (int)local / 2 + 1;
    }
    if (c->d_head <= 0) {
        if (c->d_model % c->n_head)
            return ERR(r->err, FORMAT, "%s: %s is %d, expected a divisor of %s, %d", r->where, key_of(r->root, c->family, AT(n_head)), c->n_head,
                       key_of(r->root, c->family, AT(d_model)), c->d_model);
        c->d_head = c->d_model / c->n_head;
    }
    if (!c->kv_rank)
        c->d_v = c->d_head;
    if (!c->group_best)
        c->n_group = c->n_group_chosen = 0;
    if (c->d_ff == DERIVED)
        c->d_ff = 4 * c->d_model;
    if (c->d_ff_expert == DERIVED)
        c->d_ff_expert = c->n_expert ? c->d_ff : 0;
    c->ctx -= c->pos_first;
    if (c->patch_size > 0 && c->image_size >= c->patch_size)
        c->ctx = config_n_patch(c) + 1;
    return read_labels(r);
}

int config_read(struct config *c, const json_t *root, const char *where, struct buf *warnings, struct err *err)
{
    *c = (struct config){ .rope = rope_plain(10000) };
    struct reader r = { c, root, where, warnings, err, 0 };
    if (!json_is_object(root))
        return ERR(err, FORMAT, "%s: found no object, expected { with the keys of a config.json", where);
    TRY(read_family(&r));
    TRY(check_musts(&r));
    for (size_t i = 0; i < N_KEY; i++)
        if (keys[i].families & r.family)
            TRY(read_key(&r, &keys[i]));
    set_fixed(c);
    TRY(derive(&r));
    TRY(read_ids(&r));
    TRY(read_dtype(&r));
    TRY(read_rope(&r));
    TRY(read_no_rope(&r));
    TRY(read_windows(&r));
    TRY(read_dense(&r));
    TRY(check_training(&r));
    TRY(warn_unknown(&r));
    return check(&(struct checked){ c, root, where, err });
}

int config_parse(struct config *c, const char *text, size_t n, const char *where, struct buf *warnings, struct err *err)
{
    json_t *root;
    TRY(tree_parse_json(&root, text, n, where, err));
    const int rc = config_read(c, root, where, warnings, err);
    json_decref(root);
    return rc;
}

int config_load(struct config *c, const char *path, struct buf *warnings, struct err *err)
{
    char *inner = file_is_dir(path) ? file_join(path, "config.json") : mem_strdup(path);
    if (!inner)
        return ERR(err, NOMEM, "no memory to open %s", path);
    json_t *root;
    int rc = tree_load(&root, inner, CONFIG_BYTES_MAX, err);
    if (!rc) {
        rc = config_read(c, root, inner, warnings, err);
        json_decref(root);
    }
    mem_free(inner);
    return rc;
}

/* ---- writing ---- */

static int add_key(struct buf *b, const struct config *c, const struct key *k, struct err *err)
{
    const double v = value_of(c, k->kind, k->at);
    if ((k->flags & (UNWRITTEN | ALSO)) || ((k->flags & OURS) && v == k->fallback))
        return 0;
    TRY(buf_printf(b, err, ",\n  \"%s\": ", k->name));
    if ((k->flags & NULL_IS_0) && v == 0)
        return buf_add_str(b, "null", err);
    if ((k->flags & WHOLE) && v == rint(v))
        return buf_printf(b, err, "%.0f", v);
    switch (k->kind) {
    case KIND_INT: return buf_printf(b, err, "%d", int_of(c, k->at) + (k->at == AT(ctx) ? c->pos_first : 0));
    case KIND_NUM: return buf_add_number(b, num_of(c, k->at), err);
    case KIND_BOOL: return buf_add_str(b, bool_of(c, k->at) ? "true" : "false", err);
    default: return buf_printf(b, err, "\"%s\"", word_of(k->words, int_of(c, k->at)));
    }
}

/* Where it is not written transformers takes this one, which must be in the vocabulary. */
static int add_pad(struct buf *b, const struct config *c, struct err *err)
{
    const int fallback = c->family == FAMILY_PHI3 ? 32000 : c->family == FAMILY_SMOLLM3 ? 128004 : 0;
    return fallback >= c->vocab_size ? buf_add_str(b, ",\n  \"pad_token_id\": null", err) : 0;
}

static int add_ids(struct buf *b, const struct config *c, struct err *err)
{
    TRY(add_pad(b, c, err));
    TRY(buf_add_str(b, ",\n  \"bos_token_id\": ", err));
    TRY(c->bos_id < 0 ? buf_add_str(b, "null", err) : buf_printf(b, err, "%d", c->bos_id));
    TRY(buf_add_str(b, ",\n  \"eos_token_id\": ", err));
    if (c->n_eos < 2)
        return c->n_eos ? buf_printf(b, err, "%d", c->eos_id[0]) : buf_add_str(b, "null", err);
    for (int i = 0; i < c->n_eos; i++)
        TRY(buf_printf(b, err, "%s%d", i ? ", " : "[", c->eos_id[i]));
    return buf_add_char(b, ']', err);
}

static int add_list(struct buf *b, const struct config *c, const char *key, int bit, const char *yes, const char *no, struct err *err)
{
    TRY(buf_printf(b, err, ",\n  \"%s\": [", key));
    for (int i = 0; i < c->n_layer; i++)
        TRY(buf_printf(b, err, "%s%s", i ? ", " : "", c->layer[i] & bit ? yes : no));
    return buf_add_char(b, ']', err);
}

static bool any_layer(const struct config *c, int bit, bool has)
{
    for (int i = 0; i < c->n_layer; i++)
        if (!(c->layer[i] & bit) != has)
            return true;
    return false;
}

static int add_layers(struct buf *b, const struct config *c, struct err *err)
{
    const unsigned family = 1u << c->family;
    const bool window = any_layer(c, LAYER_WINDOW, true);
    if (family & F_USE_WINDOWS)
        TRY(buf_printf(b, err, ",\n  \"use_sliding_window\": %s", window ? "true" : "false"));
    if (family == F_MODERNBERT && window)
        TRY(buf_printf(b, err, ",\n  \"local_attention\": %d", 2 * (c->window - 1)));
    if (family == F_MODERNBERT || (window && ((family & F_TYPES) || any_layer(c, LAYER_WINDOW, false))))
        TRY(add_list(b, c, "layer_types", LAYER_WINDOW, "\"sliding_attention\"", "\"full_attention\"", err));
    if (family == F_SMOLLM3 || any_layer(c, LAYER_NO_ROPE, true))
        TRY(add_list(b, c, "no_rope_layers", LAYER_NO_ROPE, "0", "1", err));
    int n_dense = 0;
    if ((family & (F_QWEN_MOES | F_LATHE_GPT)) && any_layer(c, LAYER_DENSE, true)) {
        TRY(buf_add_str(b, ",\n  \"mlp_only_layers\": [", err));
        for (int i = 0; i < c->n_layer; i++)
            if (c->layer[i] & LAYER_DENSE)
                TRY(buf_printf(b, err, "%s%d", n_dense++ ? ", " : "", i));
        TRY(buf_add_char(b, ']', err));
    }
    if (!(family & F_DEEPSEEKS))
        return 0;
    while (n_dense < c->n_layer && (c->layer[n_dense] & LAYER_DENSE))
        n_dense++;
    return buf_printf(b, err, ",\n  \"first_k_dense_replace\": %d,\n  \"qk_rope_head_dim\": %d,\n  \"n_shared_experts\": %d", n_dense, config_d_rot(c),
                      c->d_ff_shared / c->d_ff_expert);
}

static int add_rope(struct buf *b, const struct config *c, struct err *err)
{
    if (c->pos != POS_ROPE || (c->rope.kind == ROPE_PLAIN && c->family != FAMILY_GPT_OSS))
        return 0;
    TRY(buf_add_str(b, ",\n  \"rope_scaling\": ", err));
    return rope_write(&c->rope, b, err);
}

/* Letters of a class's name before its head: LlamaForCausalLM, GPT2LMHeadModel, BertModel. */
static int stem_of(const char *name)
{
    static const char *const heads[] = { "ForCausalLM", "LMHeadModel", "Model" };
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        if (strstr(name, heads[i]))
            return (int)(strstr(name, heads[i]) - name);
    return (int)strlen(name);
}

static int add_json_string(struct buf *b, const char *s, struct err *err)
{
    json_t *v = json_string(s);
    char *text = v ? json_dumps(v, JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;
    const int rc = text ? buf_add_str(b, text, err) : ERR(err, NOMEM, "no memory to write a name");
    mem_free(text);
    json_decref(v);
    return rc;
}

/* The names both ways, as Hugging Face's files have them. */
static int add_labels(struct buf *b, const struct config *c, struct err *err)
{
    for (int way = 0; way < 2; way++) {
        TRY(buf_printf(b, err, ",\n  \"%s\": {", way ? "label2id" : "id2label"));
        for (int i = 0; i < c->n_label; i++) {
            char plain[32];
            snprintf(plain, sizeof plain, "LABEL_%d", i);
            TRY(buf_add_str(b, i ? ", " : "", err));
            if (!way)
                TRY(buf_printf(b, err, "\"%d\": ", i));
            TRY(add_json_string(b, c->label ? c->label[i] : plain, err));
            if (way)
                TRY(buf_printf(b, err, ": %d", i));
        }
        TRY(buf_add_char(b, '}', err));
    }
    return 0;
}

int config_write(const struct config *c, struct buf *out, struct err *err)
{
    static const char *const class[N_FAMILY] = {
#define X(name, type, class) class,
        FAMILIES(X)
#undef X
    };
    const char *name = class[c->family], *head = !c->n_label ? "" : config_vision(c) ? "ForImageClassification" : "ForSequenceClassification";
    TRY(buf_printf(out, err, "{\n  \"architectures\": [\"%.*s%s\"],\n  \"model_type\": \"%s\"", c->n_label ? stem_of(name) : (int)strlen(name), name, head,
                   family_name(c->family)));
    for (size_t i = 0; i < N_KEY; i++)
        if (keys[i].families & 1u << c->family)
            TRY(add_key(out, c, &keys[i], err));
    if (c->family == FAMILY_GPT2) {
        TRY(buf_add_str(out, ",\n  \"attn_pdrop\": 0.0,\n  \"embd_pdrop\": ", err));
        TRY(buf_add_number(out, c->dropout, err));
    }
    TRY(add_rope(out, c, err));
    TRY(add_layers(out, c, err));
    if (c->n_label)
        TRY(add_labels(out, c, err));
    if (!config_vision(c))
        TRY(add_ids(out, c, err));
    return buf_printf(out, err, ",\n  \"torch_dtype\": \"%s\"\n}\n", word_of(dtype_words, (int)c->dtype));
}

int config_save(const struct config *c, enum st_dtype dtype, const char *folder, struct err *err)
{
    struct config of = *c;
    struct buf b;
    char *path = file_join(folder, "config.json");
    of.dtype = dtype;
    buf_init(&b);
    int rc = path ? config_write(&of, &b, err) : ERR(err, NOMEM, "no memory to write %s", folder);
    if (!rc)
        rc = file_write_all(path, b.data, b.len, err);
    buf_release(&b);
    mem_free(path);
    return rc;
}
