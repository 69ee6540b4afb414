/* tok_vocab.c - a tokenizer from a list of pieces, as SentencePiece and GGUF have it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "model/tok_files.h"
#include "model/tok_impl.h"
#include "model/tok_pre_names.h"

#define LINES_SPLIT LINES_PATTERN

/* What llama.cpp's converter writes for an id that nothing has. */
static bool is_filler(const struct tok_piece *p, int id)
{
    char filler[24];
    return p->type == TOK_PIECE_UNUSED && p->n == (size_t)snprintf(filler, sizeof filler, "[PAD%d]", id) && !memcmp(p->text, filler, p->n);
}

static int set_piece(struct tok *t, const struct tok_vocab *v, int id, struct buf *b, struct err *err)
{
    const struct tok_piece *p = &v->piece[id];
    const bool special = p->type == TOK_PIECE_CONTROL || p->type == TOK_PIECE_UNKNOWN;
    buf_clear(b);
    if (t->byte_level && !special && p->type != TOK_PIECE_USER) {
        TRY(buf_reserve(b, p->n + 1, err));
        const int n = tok_unmap_bytes(p->text, p->n, b->data);
        b->len = n > 0 ? (size_t)n : 0;
    } else if (v->kind == TOK_VOCAB_WORDPIECE && !special && p->n && !(p->n > 2 && p->text[0] == '[' && p->text[p->n - 1] == ']')) {
        const bool word = p->n > 3 && !memcmp(p->text, TOK_SPACE, 3);
        TRY(buf_add_str(b, word ? "" : "##", err));
        TRY(buf_add(b, p->text + (word ? 3 : 0), p->n - (word ? 3 : 0), err));
    }
    const bool as_is = !b->len;                           /* also byte-level pieces that are not written in its characters */
    if (as_is)
        TRY(buf_add(b, p->text, p->n, err));
    if (!b->len)
        TRY(buf_printf(b, err, "[EMPTY_%d]", id));
    TRY(tok_set_entry(t, id, b->data, b->len, special, err));
    const bool hidden = special || p->type == TOK_PIECE_UNUSED || !p->n || (as_is && t->byte_level) || (p->type == TOK_PIECE_USER && t->model == TOK_MODEL_BPE);
    t->entry[id].hidden = hidden;
    t->entry[id].used = !is_filler(p, id);
    if (hidden && b->len == 1 && t->byte_level && t->byte_id[(unsigned char)b->data[0]] == id)
        t->byte_id[(unsigned char)b->data[0]] = -1;
    if (p->type == TOK_PIECE_USER && t->model == TOK_MODEL_BPE)
        return tok_add_added(t, (struct tok_added){ .id = id, .normalized = t->n_norm > 0 }, b->data, b->len, err);
    return 0;
}

/* ---- SentencePiece's kinds ---- */

static int set_norm(struct tok *t, const struct tok_vocab *v, struct err *err)
{
    struct tok_norm *f = &t->norm[t->n_norm++];
    *f = (struct tok_norm){ .kind = NORM_SPM, .join_spaces = v->join_spaces, .dummy_prefix = v->add_prefix, .suffix = v->suffix, .escape = v->escape };
    t->strip_space = v->add_prefix && !v->suffix;
    if (v->n_charsmap && !tok_charsmap_init(&f->map, v->charsmap, v->n_charsmap, err)) {
        err_context(err, "%s", v->name);
        return err ? err->code : ERR_FORMAT;
    }
    return 0;
}

struct order { int32_t id; float score; uint32_t n; };
static int by_score(const void *a, const void *b)
{
    const struct order *const x = a, *const y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->n != y->n ? (x->n > y->n) - (x->n < y->n) : x->id - y->id;
}

static int rank_by_score(struct tok *t, const struct tok_vocab *v, struct err *err)
{
    struct order *o = mem_alloc_array((size_t)v->n_piece + 1, sizeof *o);
    int32_t *ids = mem_alloc_array((size_t)v->n_piece + 1, sizeof *ids);
    bool *equal = mem_alloc_array((size_t)v->n_piece + 1, sizeof *equal);
    int n = 0, rc = o && ids && equal ? 0 : ERR(err, NOMEM, "%s: no memory for its scores", v->name);
    for (int id = 0; id < v->n_piece && !rc; id++)
        if (!t->entry[id].hidden)
            o[n++] = (struct order){ id, v->piece[id].score, t->entry[id].n };
    if (!rc && n)
        qsort(o, (size_t)n, sizeof *o, by_score);
    for (int i = 0; i < n; i++)
        ids[i] = o[i].id, equal[i] = i && o[i].score == o[i - 1].score;
    if (!rc)
        rc = tok_bpe_from_ranks(t, ids, equal, n, v->name, err);
    mem_free(o);
    mem_free(ids);
    mem_free(equal);
    return rc;
}

#define UNKNOWN_PENALTY 10.0f

static int set_scores(struct tok *t, const struct tok_vocab *v, struct err *err)
{
    t->score = mem_alloc_array((size_t)v->n_piece + 1, sizeof *t->score);
    t->user = mem_alloc_array((size_t)v->n_piece + 1, sizeof *t->user);
    if (!t->score || !t->user)
        return ERR(err, NOMEM, "%s: no memory for its scores", v->name);
    float least = HUGE_VALF, most = -HUGE_VALF;
    for (int id = 0; id < v->n_piece; id++) {
        const struct tok_piece *p = &v->piece[id];
        t->score[id] = p->score, t->user[id] = p->type == TOK_PIECE_USER;
        if (p->type == TOK_PIECE_NORMAL) {
            least = p->score < least ? p->score : least;
            most = p->score > most ? p->score : most;
        }
    }
    if (least > most)
        return ERR(err, FORMAT, "%s: the vocabulary has no normal pieces", v->name);
    t->single = true;
    t->unk_score = least - UNKNOWN_PENALTY;
    t->user_score = most;
    return 0;
}

/* ---- merges ---- */

static int find_part(const struct tok *t, const char *s, size_t n, struct buf *b, struct err *err)
{
    if (!t->byte_level)
        return tok_by_bytes(t, s, n);
    TRY(buf_reserve(b, n + 1, err));
    const int len = tok_unmap_bytes(s, n, b->data);
    return len > 0 ? tok_by_bytes(t, b->data, (size_t)len) : -1;
}

static int set_merges(struct tok *t, const struct tok_vocab *v, struct err *err)
{
    struct buf b, both;
    buf_init(&b);
    buf_init(&both);
    int rc = 0;
    for (int i = 0; i < v->n_merge && !rc; i++) {
        const char *s = v->merge[i], *space = v->merge_n[i] > 1 ? memchr(s + 1, ' ', v->merge_n[i] - 1) : NULL;
        if (!space) {
            rc = ERR(err, FORMAT, "%s: merge %d is not two tokens", v->name, i);
            break;
        }
        const size_t na = (size_t)(space - s), nb = v->merge_n[i] - na - 1;
        buf_clear(&both);
        if ((rc = buf_add(&both, s, na, err)) || (rc = buf_add(&both, space + 1, nb, err)))
            break;
        const int left = find_part(t, s, na, &b, err), right = find_part(t, space + 1, nb, &b, err), into = find_part(t, both.data, both.len, &b, err);
        if (left == ERR_NOMEM || right == ERR_NOMEM || into == ERR_NOMEM)
            rc = ERR_NOMEM;
        else if (left < 0 || right < 0)
            rc = ERR(err, FORMAT, "%s: merge %d ('%.40s') names a token that the vocabulary lacks", v->name, i, both.data);
        else if (into >= 0)                               /* else what it makes is special: no text may become that */
            rc = tok_add_merge(t, left, right, into, i, err);
    }
    buf_release(&b);
    buf_release(&both);
    return rc;
}

static int add_split(struct tok *t, const char *pattern, const char *name, struct err *err)
{
    struct tok_pre *p = &t->pre[t->n_pre++];
    *p = (struct tok_pre){ .kind = PRE_SPLIT, .behavior = BEHAVIOR_ISOLATED };
    return tok_split_new(&p->split, pattern, strlen(pattern), name, err);
}

static int set_splits(struct tok *t, const struct tok_vocab *v, struct err *err)
{
    for (size_t i = 0; i < sizeof pre_names / sizeof *pre_names; i++) {
        const struct pre_name *p = &pre_names[i];
        if (strcmp(p->name, v->pre))
            continue;
        t->ignore_merges = p->ignore_merges;
        for (size_t k = 0; k < sizeof p->pattern / sizeof *p->pattern && p->pattern[k]; k++)
            TRY(add_split(t, p->pattern[k], v->name, err));
        return 0;
    }
    return ERR(err, UNSUPPORTED, "%s: the pre-tokenizer '%.60s' is not known", v->name, v->pre);
}

/* ---- all of it ---- */

static int set_bert(struct tok *t, struct err *err)
{
    t->norm[t->n_norm++] = (struct tok_norm){ .kind = NORM_BERT, .clean = true, .chinese = true, .accents = true, .lower = true };
    t->pre[t->n_pre++] = (struct tok_pre){ .kind = PRE_BERT, .behavior = BEHAVIOR_REMOVED };
    t->max_chars = 100, t->wordpiece_text = true;
    if (!(t->continuation = mem_strdup("##")))
        return ERR(err, NOMEM, "no memory for a tokenizer");
    t->n_continuation = 2;
    return 0;
}

static int check_id(const struct tok_vocab *v, const char *what, int id, struct err *err)
{
    return id >= -1 && id < v->n_piece ? 0 : ERR(err, FORMAT, "%s: the %s token has id %d, expected one of the %d of the vocabulary", v->name, what, id, v->n_piece);
}

static int build(struct tok *t, const struct tok_vocab *v, struct err *err)
{
    const bool spm = v->kind == TOK_VOCAB_SPM || v->kind == TOK_VOCAB_UNIGRAM || v->kind == TOK_VOCAB_CHARS;
    t->byte_level = v->kind == TOK_VOCAB_BYTES;
    t->byte_fallback = v->byte_fallback && spm;
    t->fuse_unk = true;
    t->model = v->kind == TOK_VOCAB_UNIGRAM ? TOK_MODEL_UNIGRAM : v->kind == TOK_VOCAB_WORDPIECE ? TOK_MODEL_WORDPIECE : TOK_MODEL_BPE;
    if (spm)
        TRY(set_norm(t, v, err));
    if (v->kind == TOK_VOCAB_CHARS)
        TRY(add_split(t, LINES_SPLIT, v->name, err));
    if (v->kind == TOK_VOCAB_BYTES)
        TRY(set_splits(t, v, err));
    if (v->kind == TOK_VOCAB_WORDPIECE)
        TRY(set_bert(t, err));
    struct buf b;
    buf_init(&b);
    int rc = 0;
    for (int id = 0; id < v->n_piece && !rc; id++)
        rc = set_piece(t, v, id, &b, err);
    buf_release(&b);
    if (!rc && !t->byte_level)
        rc = tok_set_texts(t, spm, err);
    TRY(rc);
    TRY(tok_index(t, v->name, err));
    TRY(check_id(v, "bos", v->bos, err));
    TRY(check_id(v, "eos", v->eos, err));
    TRY(check_id(v, "unknown", v->unk, err));
    TRY(check_id(v, "cls", v->cls, err));
    TRY(check_id(v, "separator", v->sep, err));
    t->bos = v->bos, t->eos = v->eos, t->unk = v->unk;
    if (t->model == TOK_MODEL_UNIGRAM)
        TRY(set_scores(t, v, err));
    else if (v->kind == TOK_VOCAB_SPM)
        TRY(rank_by_score(t, v, err));
    else
        TRY(set_merges(t, v, err));
    const int32_t first = v->kind == TOK_VOCAB_WORDPIECE ? v->cls : v->bos, last = v->kind == TOK_VOCAB_WORDPIECE ? v->sep : v->eos;
    if (v->add_bos && first >= 0)
        TRY(tok_set_ids(&t->before, &t->n_before, &first, 1, err));
    if (v->add_eos && last >= 0)
        TRY(tok_set_ids(&t->after, &t->n_after, &last, 1, err));
    for (int i = 0; i < v->n_eog; i++)
        if (v->eog[i] >= 0 && v->eog[i] < t->n_entry)
            t->entry[v->eog[i]].eog = true;
    return tok_finish(t, v->name, err);
}

int tok_from_vocab(struct tok **out, const struct tok_vocab *v, struct err *err)
{
    *out = NULL;
    struct tok *t;
    TRY(tok_new(&t, err));
    const int rc = build(t, v, err);
    if (rc < 0)
        tok_free(t);
    else
        *out = t;
    return rc;
}
