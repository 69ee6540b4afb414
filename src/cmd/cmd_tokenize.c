#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "cmd/cmd.h"
#include "model/tok.h"

#define TEXT_MAX ((size_t)4 << 30)

static bool decode, specials, add;

static int print_ids(const struct tok_ids *ids, struct err *err)
{
    if (cmd_json) {
        json_t *list = json_array();
        for (size_t i = 0; i < ids->n; i++)
            json_array_append_new(list, json_integer(ids->id[i]));
        return cmd_print_json(json_pack("{s:o}", "ids", list), err);
    }
    for (size_t i = 0; i < ids->n; i++)
        printf("%d\n", ids->id[i]);
    return 0;
}

static int read_input(const char *path, struct buf *out, struct err *err)
{
    if (path && strcmp(path, "-"))
        return file_read(path, TEXT_MAX, out, err);
    char part[65536];
    for (size_t n; (n = fread(part, 1, sizeof part, stdin)) > 0;) {
        if (out->len > TEXT_MAX)
            return ERR(err, RANGE, "standard input: more than %zu bytes", TEXT_MAX);
        TRY(buf_add(out, part, n, err));
    }
    return ferror(stdin) ? ERR(err, IO, "cannot read standard input") : 0;
}

static int add_id(struct tok_ids *ids, long long id, struct err *err)
{
    if (id < 0 || id > INT32_MAX)
        return ERR(err, RANGE, "token id %lld, expected 0 to %d", id, INT32_MAX);
    if (ids->n == ids->cap) {
        const size_t cap = ids->cap ? 2 * ids->cap : 1024;
        int32_t *more = mem_realloc_array(ids->id, cap, sizeof *more);
        if (!more)
            return ERR(err, NOMEM, "no memory for %zu token ids", cap);
        ids->id = more, ids->cap = cap;
    }
    ids->id[ids->n++] = (int32_t)id;
    return 0;
}

/* {"ids": [...]}, a list, or numbers with anything but digits between them. */
static int read_ids(const struct buf *text, const char *name, struct tok_ids *ids, struct err *err)
{
    const char *at = text->data + strspn(text->data, " \t\r\n");
    if (*at == '{' || *at == '[') {
        json_t *root, *v;
        size_t i;
        TRY(tree_parse_json(&root, text->data, text->len, name, err));
        const json_t *list = json_is_array(root) ? root : json_object_get(root, "ids");
        int rc = json_is_array(list) ? 0 : ERR(err, FORMAT, "%s: expected a list of ids, or \"ids\" with one", name);
        json_array_foreach(list, i, v)
            if (!rc)
                rc = json_is_integer(v) ? add_id(ids, json_integer_value(v), err) : ERR(err, FORMAT, "%s: id %zu is not an integer", name, i);
        json_decref(root);
        return rc;
    }
    for (char *end; *at; at = end) {
        const long long id = strtoll(at, &end, 10);
        if (end == at)
            return ERR(err, FORMAT, "%s: expected token ids, found '%.20s'", name, at);
        TRY(add_id(ids, id, err));
        end += strspn(end, " \t\r\n,");
    }
    return 0;
}

static int print_text(const struct buf *text, struct err *err)
{
    if (cmd_json) {
        json_t *s = json_stringn(text->data, text->len);
        if (!s)
            return ERR(err, FORMAT, "the text is not UTF-8: JSON cannot hold it");
        return cmd_print_json(json_pack("{s:o}", "text", s), err);
    }
    return fwrite(text->data, 1, text->len, stdout) == text->len ? 0 : ERR(err, IO, "cannot write the text");
}

static int run_tokenize(const char *const *args, int n_args, struct err *err)
{
    const char *path = n_args > 1 ? args[1] : NULL;
    struct tok *t = NULL;
    struct tok_ids ids = { 0 };
    struct buf in, out;
    buf_init(&in);
    buf_init(&out);
    int rc = decode && (specials || add) ? ERR(err, USAGE, "--specials and --add are for encoding, not for --decode") : tok_load(&t, args[0], err);
    if (!rc)
        rc = read_input(path, &in, err);
    if (!rc && decode) {
        if (!(rc = read_ids(&in, path ? path : "standard input", &ids, err)) && !(rc = tok_decode(t, ids.id, ids.n, &out, err)))
            rc = print_text(&out, err);
    } else if (!rc) {
        if (!(rc = tok_encode(t, in.data, in.len, (specials ? TOK_SPECIALS : 0u) | (add ? TOK_ADD : 0u), &ids, err)))
            rc = print_ids(&ids, err);
    }
    buf_release(&in);
    buf_release(&out);
    tok_ids_release(&ids);
    tok_free(t);
    return rc;
}

static const struct opt opts[] = {
    { OPT_FLAG, "decode", &decode, NULL, "from ids to text", 0, 0 },
    { OPT_FLAG, "specials", &specials, NULL, "special tokens written in the text are special tokens", 0, 0 },
    { OPT_FLAG, "add", &add, NULL, "with what the tokenizer puts around every text (bos, eos)", 0, 0 },
    OPT_JSON, OPT_LAST,
};
const struct command command_tokenize = {
    "tokenize", "MODEL [FILE]", "the token ids of a text, or the text of ids",
    TEXT("MODEL is a model folder or any tokenizer: tokenizer.json, a SentencePiece model, tiktoken ranks (the name says which: r50k, "
    "cl100k, o200k, ...), GGUF.  Without FILE, or with -, standard input is read.  Special tokens written in the text are plain text "
    "unless --specials is given.  Ids for --decode are numbers, a JSON list, or what --json printed."),
    opts, run_tokenize, 1, 2,
};
