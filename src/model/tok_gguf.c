/* tok_gguf.c - the vocabulary in a GGUF file: keys tokenizer.ggml.*, as llama.cpp reads them.
 *
 * model "llama" is SentencePiece's BPE, "t5" Unigram, "gpt2" byte-level BPE (or, by its pre-tokenizer, BPE over characters),
 * "bert" WordPiece.  token_type has SentencePiece's numbers. */
#include <string.h>
#include "base/mem.h"
#include "model/gguf.h"
#include "model/tok_files.h"
#include "model/tok_impl.h"

#define KEY(name) "tokenizer.ggml." name

static int get_id(const struct gguf *g, const char *key, int otherwise, int *out, struct err *err)
{
    int64_t v = otherwise;
    TRY(gguf_get_int(g, key, -1, UINT32_MAX, &v, err));
    *out = v == UINT32_MAX ? -1 : v > TOK_VOCAB_MAX ? TOK_VOCAB_MAX : (int)v;
    return 0;
}

/* Defaults that llama.cpp has for files that do not say. */
static int read_flags(const struct gguf *g, struct tok_vocab *v, struct err *err)
{
    const bool spm = v->kind == TOK_VOCAB_SPM, unigram = v->kind == TOK_VOCAB_UNIGRAM, words = v->kind == TOK_VOCAB_WORDPIECE;
    static const char *const bos_pre[] = { "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano", "tekken", "chameleon" };
    v->add_bos = spm || words, v->add_eos = unigram || words;
    for (size_t i = 0; i < sizeof bos_pre / sizeof *bos_pre; i++)
        v->add_bos |= v->kind == TOK_VOCAB_BYTES && !strcmp(v->pre, bos_pre[i]);
    v->add_prefix = spm || unigram, v->escape = true, v->byte_fallback = true;
    TRY(gguf_get_bool(g, KEY("add_bos_token"), &v->add_bos, err));
    TRY(gguf_get_bool(g, KEY("add_eos_token"), &v->add_eos, err));
    TRY(gguf_get_bool(g, KEY("add_space_prefix"), &v->add_prefix, err));
    TRY(gguf_get_bool(g, KEY("remove_extra_whitespaces"), &v->join_spaces, err));
    TRY(get_id(g, KEY("bos_token_id"), spm ? 1 : -1, &v->bos, err));
    TRY(get_id(g, KEY("eos_token_id"), spm ? 2 : unigram ? 1 : -1, &v->eos, err));
    TRY(get_id(g, KEY("unknown_token_id"), spm ? 0 : unigram ? 2 : words ? 100 : -1, &v->unk, err));
    TRY(get_id(g, KEY("cls_token_id"), words ? 101 : -1, &v->cls, err));
    TRY(get_id(g, KEY("seperator_token_id"), words ? 102 : -1, &v->sep, err));      /* spelt so */
    return 0;
}

static int read_pieces(const struct gguf *g, struct tok_vocab *v, struct tok_piece **list, struct err *err)
{
    const struct gguf_pair *tokens = NULL, *scores = NULL, *types = NULL;
    TRY(gguf_get_strs(g, KEY("tokens"), &tokens, err));
    TRY(gguf_get_nums(g, KEY("scores"), &scores, err));
    TRY(gguf_get_ints(g, KEY("token_type"), &types, err));
    if (!tokens || tokens->n < 1 || tokens->n > TOK_VOCAB_MAX)
        return ERR(err, FORMAT, "%s: it has no vocabulary (" KEY("tokens") ")", v->name);
    if ((scores && scores->n < tokens->n) || (types && types->n < tokens->n))
        return ERR(err, FORMAT, "%s: fewer scores or token types than tokens", v->name);
    if (!(*list = mem_alloc_array((size_t)tokens->n, sizeof **list)))
        return ERR(err, NOMEM, "%s: no memory for its vocabulary", v->name);
    for (int64_t i = 0; i < tokens->n; i++) {
        const struct gguf_str s = gguf_str_at(tokens, i);
        const int64_t type = types ? gguf_int_at(types, i) : TOK_PIECE_NORMAL;
        (*list)[i] = (struct tok_piece){ s.p, s.n, scores ? (float)gguf_num_at(scores, i) : 0, (uint8_t)(type >= 1 && type <= 6 ? type : 1) };
    }
    v->piece = *list, v->n_piece = (int)tokens->n;
    return 0;
}

static int read_merges(const struct gguf *g, struct tok_vocab *v, const char ***list, size_t **lengths, struct err *err)
{
    const struct gguf_pair *m = NULL;
    TRY(gguf_get_strs(g, KEY("merges"), &m, err));
    if (!m)
        return ERR(err, FORMAT, "%s: it has no merges (" KEY("merges") ")", v->name);
    *list = mem_alloc_array((size_t)m->n + 1, sizeof **list);
    *lengths = mem_alloc_array((size_t)m->n + 1, sizeof **lengths);
    if (!*list || !*lengths)
        return ERR(err, NOMEM, "%s: no memory for its merges", v->name);
    for (int64_t i = 0; i < m->n; i++) {
        const struct gguf_str s = gguf_str_at(m, i);
        (*list)[i] = s.p, (*lengths)[i] = s.n;
    }
    v->merge = *list, v->merge_n = *lengths, v->n_merge = (int)m->n;
    return 0;
}

static int read_charsmap(const struct gguf *g, struct tok_vocab *v, struct err *err)
{
    const struct gguf_pair *p = gguf_find(g, KEY("precompiled_charsmap"));
    if (!p)
        return 0;
    if (!p->is_array || (p->kind != GGUF_U8 && p->kind != GGUF_I8))
        return ERR(err, FORMAT, "%s: precompiled_charsmap is not a list of bytes", v->name);
    v->charsmap = p->data, v->n_charsmap = (size_t)p->n;
    return 0;
}

static int set_kind(struct tok_vocab *v, const char *model, struct err *err)
{
    static const struct { const char *model; int kind; } kinds[] = {
        { "llama", TOK_VOCAB_SPM }, { "t5", TOK_VOCAB_UNIGRAM }, { "gpt2", TOK_VOCAB_BYTES }, { "bert", TOK_VOCAB_WORDPIECE }, { "gemma4", TOK_VOCAB_CHARS },
    };
    static const char *const chars[] = { "gemma4", "granite-embed-multi-311m", "sarvam-moe" };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(model, kinds[i].model)) {
            v->kind = kinds[i].kind;
            for (size_t k = 0; k < sizeof chars / sizeof *chars && v->kind == TOK_VOCAB_BYTES; k++)
                if (!strcmp(v->pre, chars[k]))
                    v->kind = TOK_VOCAB_CHARS;
            return 0;
        }
    return ERR(err, UNSUPPORTED, "%s: tokenizer model '%.60s', expected llama, gpt2, t5, bert or gemma4", v->name, model);
}

int tok_from_gguf(struct tok **out, const struct gguf *g, const char *name, struct err *err)
{
    struct tok_vocab v = { .name = name, .pre = "default" };
    struct tok_piece *pieces = NULL;
    const char *model = "", **merges = NULL;
    size_t *lengths = NULL;
    int more[2] = { -1, -1 };
    *out = NULL;
    TRY(gguf_get_str(g, KEY("model"), &model, err));
    TRY(gguf_get_str(g, KEY("pre"), &v.pre, err));
    if (!*model)
        return ERR(err, FORMAT, "%s: it has no tokenizer (" KEY("model") ")", name);
    TRY(set_kind(&v, model, err));
    TRY(read_flags(g, &v, err));
    TRY(get_id(g, KEY("eot_token_id"), -1, &more[0], err));
    TRY(get_id(g, KEY("eom_token_id"), -1, &more[1], err));
    TRY(read_charsmap(g, &v, err));
    v.eog = (int32_t *)more, v.n_eog = 2;
    int rc = read_pieces(g, &v, &pieces, err);
    if (!rc && (v.kind == TOK_VOCAB_BYTES || v.kind == TOK_VOCAB_CHARS))
        rc = read_merges(g, &v, &merges, &lengths, err);
    if (!rc)
        rc = tok_from_vocab(out, &v, err);
    mem_free(pieces);
    mem_free(merges);
    mem_free(lengths);
    return rc;
}
