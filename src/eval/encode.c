#include "eval/encode.h"
#include <string.h>
#include "base/utf8.h"
#include "infer/loaded.h"
#include "model/chat.h"
#include "model/jinja_value.h"

void encoded_release(struct encoded *s)
{
    tok_ids_release(&s->ids);
    tok_ids_release(&s->work);
}

static int32_t named(const struct chat_files *f, const char *name, const struct tok *t)
{
    const char *text = json_string_value(json_object_get(chat_files_tokens(f), name));
    return text ? tok_special(t, text) : -1;
}

int encoder_prefix(int32_t *out, const char *model, const struct tok *t, struct err *err)
{
    struct chat_files *f;
    TRY(chat_files_open(&f, model, false, err));
    const int32_t first[] = { named(f, "bos_token", t), tok_bos(t), named(f, "eos_token", t), tok_eot(t) };
    *out = -1;
    for (int i = 0; i < 4 && *out < 0; i++)
        *out = first[i];
    chat_files_close(f);
    return 0;
}

static bool begins_with(const struct encoder *e, const char *text, size_t n)
{
    size_t k = 0;
    const char *bytes = e->prefix >= 0 ? tok_bytes(e->tok, e->prefix, &k) : NULL;
    return bytes && k && n >= k && !memcmp(text, bytes, k);
}

/* A text with what begins it. */
static int encode(const struct encoder *e, const char *text, size_t n, struct tok_ids *ids, struct err *err)
{
    const bool bare = e->begin == ENCODE_NOTHING || begins_with(e, text, n);
    const size_t at = ids->n;
    TRY(loaded_encode(e->config, e->tok, text, n, bare ? TOK_SPECIALS : TOK_SPECIALS | TOK_ADD, ids, err));
    if (bare || e->begin != ENCODE_PREFIX || e->prefix < 0 || (ids->n > at && ids->id[at] == e->prefix))
        return 0;
    ids->n = at;
    TRY(tok_ids_add(ids, e->prefix, err));
    return tok_encode(e->tok, text, n, TOK_SPECIALS, ids, err);
}

int encoder_adds(const struct encoder *e, bool *adds, struct err *err)
{
    struct tok_ids ids = { 0 };
    const int rc = encode(e, "", 0, &ids, err);
    *adds = ids.n > 0;
    tok_ids_release(&ids);
    return rc;
}

/* Bytes before the white space at the end (Python's str.rstrip). */
static size_t stripped(const char *text, size_t n)
{
    while (n) {
        size_t k = n - 1;
        while (k && n - k < 4 && ((unsigned char)text[k] & 0xc0) == 0x80)
            k--;
        uint32_t c = (unsigned char)text[k];
        if (n - k > 1) {
            if (utf8_length(text + k, text + n) != (int)(n - k))
                return n;
            c &= 0x3fu >> (n - k - 1);
            for (size_t i = k + 1; i < n; i++)
                c = c << 6 | ((unsigned char)text[i] & 0x3f);
        }
        if (!jchar_space(c))
            return n;
        n = k;
    }
    return 0;
}

/* The last max_length + 1 of them. */
static int cut(const struct encoder *e, struct encoded *s, struct err *err)
{
    if (s->n_scored > e->max_length)
        return ERR(err, RANGE, "the continuation has %d tokens, expected at most the %d that the model may look at", s->n_scored, e->max_length);
    const size_t most = (size_t)e->max_length + 1;
    if (s->ids.n > most) {
        s->n_cut = (int)(s->ids.n - most);
        memmove(s->ids.id, s->ids.id + s->n_cut, most * sizeof *s->ids.id);
        s->ids.n = most;
    }
    return 0;
}

static int scored_behind(struct encoded *s, size_t n_context, struct err *err)
{
    if (s->ids.n > INT32_MAX)
        return ERR(err, RANGE, "%zu tokens, expected fewer", s->ids.n);
    s->n_scored = (int)(s->ids.n - n_context);
    return 0;
}

/* The prefix stands for the context; a continuation that begins with it gives it away. */
static int without_context(const struct encoder *e, const char *text, size_t n, struct encoded *s, struct err *err)
{
    if (e->prefix < 0)
        return ERR(err, RANGE, "there is no context, and the tokenizer has no token that begins or ends a text");
    TRY(tok_ids_add(&s->ids, e->prefix, err));
    TRY(tok_encode(e->tok, text, n, TOK_SPECIALS, &s->ids, err));
    if (s->ids.n > 1 && s->ids.id[1] == e->prefix)
        memmove(s->ids.id, s->ids.id + 1, --s->ids.n * sizeof *s->ids.id);
    return scored_behind(s, 1, err);
}

/* joint: the bytes of context and continuation, of which n_context are the former's. */
static int with_context(const struct encoder *e, const char *joint, size_t n_context, size_t n, struct encoded *s, struct err *err)
{
    TRY(encode(e, joint, n_context, &s->ids, err));
    const size_t n_before = s->ids.n;
    s->work.n = 0;
    TRY(encode(e, joint, n, &s->work, err));
    if (!n_before && e->prefix < 0)      /* the context was white space, and no token begins a text */
        return ERR(err, RANGE, "the context is white space, and the tokenizer has no token that begins or ends a text");
    if (!n_before)
        TRY(tok_ids_add(&s->ids, e->prefix, err));
    for (size_t i = n_before; i < s->work.n; i++)
        TRY(tok_ids_add(&s->ids, s->work.id[i], err));
    s->joined = s->work.n <= n_before;
    if (s->joined)
        TRY(tok_encode(e->tok, joint + n_context, n - n_context, TOK_SPECIALS, &s->ids, err));
    return scored_behind(s, n_before ? n_before : 1, err);
}

int encode_pair(const struct encoder *e, const struct request *q, struct encoded *out, struct err *err)
{
    out->ids.n = 0, out->n_scored = out->n_cut = 0, out->joined = false;
    if (!q->n_context) {
        TRY(without_context(e, q->continuation, q->n_continuation, out, err));
    } else {
        struct buf joint;
        buf_init(&joint);
        int rc = buf_add(&joint, q->context, q->n_context, err);
        if (!rc)
            rc = buf_add(&joint, q->continuation, q->n_continuation, err);
        if (!rc)
            rc = with_context(e, joint.data, q->as_is ? q->n_context : stripped(q->context, q->n_context), joint.len, out, err);
        buf_release(&joint);
        TRY(rc);
    }
    if (out->n_scored < 1)
        return ERR(err, RANGE, "the continuation has no token");
    return cut(e, out, err);
}

int encode_prompt(const struct encoder *e, const struct request *q, struct encoded *out, struct err *err)
{
    const int most = e->max_length - q->generation->max_tokens;
    out->ids.n = 0, out->n_scored = out->n_cut = 0, out->joined = false;
    if (q->generation->max_tokens < 1)
        return ERR(err, RANGE, "%d tokens to be made, expected at least 1", q->generation->max_tokens);
    if (most < 1)
        return ERR(err, RANGE, "%d tokens to be made leave no room for a prompt within the %d that the model may look at", q->generation->max_tokens,
                   e->max_length);
    if (q->input)
        TRY(tok_encode_marked(e->tok, q->context, q->input, q->n_context, TOK_SPECIALS, &out->ids, err));
    else
        TRY(encode(e, q->context, q->n_context, &out->ids, err));
    if (!out->ids.n && e->prefix >= 0)
        TRY(tok_ids_add(&out->ids, e->prefix, err));
    if (!out->ids.n)
        return ERR(err, RANGE, "the prompt is empty, and the tokenizer has no token that begins or ends a text");
    if (out->ids.n > (size_t)most) {
        if (out->ids.n > INT32_MAX)
            return ERR(err, RANGE, "%zu tokens, expected fewer", out->ids.n);
        out->n_cut = (int)out->ids.n - most;
        memmove(out->ids.id, out->ids.id + out->n_cut, (size_t)most * sizeof *out->ids.id);
        out->ids.n = (size_t)most;
    }
    return 0;
}

int encode_text(const struct encoder *e, const struct request *q, struct tok_ids *ids, struct err *err)
{
    ids->n = 0;
    if (e->prefix < 0)
        return ERR(err, RANGE, "the tokenizer has no token that begins or ends a text, which the first one needs before it");
    return encode(e, q->continuation, q->n_continuation, ids, err);
}

bool encode_window(const struct encoder *e, size_t n_ids, size_t i, int64_t *from, int *n, int *n_scored)
{
    const size_t most = (size_t)e->max_length, begin = i * most;
    if (begin >= n_ids)
        return false;
    const size_t end = n_ids - begin < most ? n_ids : begin + most;
    *n_scored = (int)(end - begin);
    *from = i ? (int64_t)(end - most) - 1 : -1;
    *n = i ? e->max_length + 1 : (int)end + 1;
    return true;
}
