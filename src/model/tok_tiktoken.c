/* tok_tiktoken.c - OpenAI's rank files: a line is base64 of a token's bytes, a space, its rank, which is its id.
 *
 * The file does not hold how text is split nor the special tokens; both are known by name here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/base64.h"
#include "base/mem.h"
#include "model/tok_files.h"
#include "model/tok_impl.h"

#define GPT2_SPLIT "'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++|\\s++$|\\s+(?!\\S)|\\s"
#define CL100K_SPLIT "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s"
#define FOLD "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define LLAMA3_SPLIT FOLD "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define QWEN_SPLIT FOLD "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define UP "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOW "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define O200K_SPLIT "[^\\r\\n\\p{L}\\p{N}]?" UP "*" LOW "+" FOLD "?|[^\\r\\n\\p{L}\\p{N}]?" UP "+" LOW "*" FOLD "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/* Special tokens: text and id, or id -1: the next after the one before it, beginning after the last rank. */
struct special { const char *text; int id; };
static const struct kind { const char *name, *split; struct special special[12]; int reserved; } kinds[] = {
    { "r50k", GPT2_SPLIT, { { "<|endoftext|>", 50256 } }, 0 },
    { "p50k", GPT2_SPLIT, { { "<|endoftext|>", 50256 } }, 0 },
    { "cl100k", CL100K_SPLIT, { { "<|endoftext|>", 100257 }, { "<|fim_prefix|>", 100258 }, { "<|fim_middle|>", 100259 }, { "<|fim_suffix|>", 100260 }, { "<|endofprompt|>", 100276 } }, 0 },
    { "o200k", O200K_SPLIT, { { "<|endoftext|>", 199999 }, { "<|endofprompt|>", 200018 } }, 0 },
    { "qwen", QWEN_SPLIT, { { "<|endoftext|>", -1 }, { "<|im_start|>", -1 }, { "<|im_end|>", -1 } }, 0 },
    { "llama4", O200K_SPLIT, { { "<|begin_of_text|>", -1 }, { "<|end_of_text|>", -1 } }, 0 },
    { "llama3", LLAMA3_SPLIT,
      { { "<|begin_of_text|>", -1 }, { "<|end_of_text|>", -1 }, { "<|reserved_special_token_0|>", -1 }, { "<|reserved_special_token_1|>", -1 }, { "<|finetune_right_pad_id|>", -1 },
        { "<|step_id|>", -1 }, { "<|start_header_id|>", -1 }, { "<|end_header_id|>", -1 }, { "<|eom_id|>", -1 }, { "<|eot_id|>", -1 }, { "<|python_tag|>", -1 } }, 245 },
};
#define N_KINDS (sizeof kinds / sizeof *kinds)

const char *tok_tiktoken_kind(const char *path)
{
    char part[256];
    for (size_t end = strlen(path), at; end; end = at ? at - 1 : 0) {
        for (at = end; at && path[at - 1] != '/'; at--)
            ;
        snprintf(part, sizeof part, "%.*s", end - at < sizeof part ? (int)(end - at) : (int)sizeof part - 1, path + at);
        for (size_t i = 0; i < N_KINDS; i++)
            if (strcasestr(part, kinds[i].name))
                return kinds[i].name;
    }
    return NULL;
}

static int read_lines(struct tok *t, const char *text, size_t n, const char *name, struct err *err)
{
    struct buf b;
    buf_init(&b);
    int rc = 0, line = 0;
    for (const char *at = text, *end = text + n, *eol; at < end && !rc; at = eol + 1) {
        eol = memchr(at, '\n', (size_t)(end - at));
        eol = eol ? eol : end;
        size_t len = (size_t)(eol - at);
        len -= len && at[len - 1] == '\r';
        line++;
        if (!len)
            continue;
        const char *space = memchr(at, ' ', len);
        int64_t rank = 0;
        bool ok = space && space + 1 < at + len;
        for (const char *c = space ? space + 1 : at; ok && c < at + len; c++)
            ok = *c >= '0' && *c <= '9' && (rank = 10 * rank + (*c - '0')) < TOK_VOCAB_MAX;
        buf_clear(&b);
        if (!ok)
            rc = ERR(err, FORMAT, "%s:%d: expected base64, a space and a rank below %d", name, line, TOK_VOCAB_MAX);
        else if ((rc = base64_read(&b, at, (size_t)(space - at), err)) < 0)
            err_context(err, "%s:%d", name, line);
        else if (!b.len)
            rc = ERR(err, FORMAT, "%s:%d: a token without bytes", name, line);
        else if ((rc = tok_set_entry(t, (int)rank, b.data, b.len, false, err)) < 0)
            err_context(err, "%s:%d", name, line);
    }
    buf_release(&b);
    return rc;
}

static int add_specials(struct tok *t, const struct kind *k, struct err *err)
{
    int id = t->n_entry;
    char reserved[60];
    t->id_end = 0;                                       /* these are ours */
    for (size_t i = 0; i < sizeof k->special / sizeof *k->special && k->special[i].text; i++) {
        const struct special *s = &k->special[i];
        id = s->id >= 0 ? s->id : id;
        TRY(tok_set_entry(t, id++, s->text, strlen(s->text), true, err));
    }
    for (int i = 0; i < k->reserved; i++) {              /* llama3: up to 256 special tokens */
        snprintf(reserved, sizeof reserved, "<|reserved_special_token_%d|>", i + 2);
        TRY(tok_set_entry(t, id++, reserved, strlen(reserved), true, err));
    }
    t->bos = tok_special(t, "<|begin_of_text|>");
    return t->bos >= 0 ? tok_set_ids(&t->before, &t->n_before, &t->bos, 1, err) : 0;
}

static int rank_by_id(struct tok *t, const char *name, struct err *err)
{
    int32_t *order = mem_alloc_array((size_t)t->n_entry + 1, sizeof *order);
    if (!order)
        return ERR(err, NOMEM, "%s: no memory for its ranks", name);
    int n = 0;
    for (int id = 0; id < t->n_entry; id++)
        if (t->entry[id].used && !t->entry[id].hidden)
            order[n++] = id;
    const int rc = tok_bpe_from_ranks(t, order, NULL, n, name, err);
    mem_free(order);
    return rc;
}

static int build(struct tok *t, const char *text, size_t n, const struct kind *k, const char *name, struct err *err)
{
    t->byte_level = true;
    t->id_end = tok_id_end(n / 6);                       /* "IQ== 0" is the shortest line */
    t->ignore_merges = true;                             /* a piece that is a token is that token */
    t->pre[t->n_pre++] = (struct tok_pre){ .kind = PRE_SPLIT, .behavior = BEHAVIOR_ISOLATED };
    TRY(tok_split_new(&t->pre[0].split, k->split, strlen(k->split), name, err));
    TRY(read_lines(t, text, n, name, err));
    if (!t->n_entry)
        return ERR(err, FORMAT, "%s: the vocabulary is empty", name);
    TRY(add_specials(t, k, err));
    TRY(tok_index(t, name, err));
    TRY(rank_by_id(t, name, err));
    return tok_finish(t, name, err);
}

int tok_parse_tiktoken(struct tok **out, const char *text, size_t n, const char *kind, const char *name, struct err *err)
{
    *out = NULL;
    for (size_t i = 0; i < N_KINDS; i++)
        if (!strcmp(kind, kinds[i].name)) {
            struct tok *t;
            TRY(tok_new(&t, err));
            const int rc = build(t, text, n, &kinds[i], name, err);
            if (rc < 0)
                tok_free(t);
            else
                *out = t;
            return rc;
        }
    return ERR(err, UNSUPPORTED, "%s: ranks of kind '%.40s' are not known", name, kind);
}
