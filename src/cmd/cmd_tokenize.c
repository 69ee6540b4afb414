#include <jansson.h>
#include "base/file.h"
#include "base/mem.h"
#include "cmd/cmd.h"
#include "model/tok.h"

#define TEXT_MAX ((size_t)4 << 30)

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

static int run_tokenize(const char *const *args, int n_args, struct err *err)
{
    (void)n_args;
    struct tok *t = NULL;
    struct tok_ids ids = { 0 };
    struct buf text;
    buf_init(&text);
    int rc = tok_load(&t, args[0], err);
    if (!rc)
        rc = file_read(args[1], TEXT_MAX, &text, err);
    if (!rc)
        rc = tok_encode(t, text.data, text.len, TOK_PLAIN, &ids, err);
    if (!rc)
        rc = print_ids(&ids, err);
    buf_release(&text);
    tok_ids_release(&ids);
    tok_free(t);
    return rc;
}

static const struct opt opts[] = { OPT_JSON, OPT_LAST };
const struct command command_tokenize = {
    "tokenize", "MODEL FILE", "the token ids of a text",
    "MODEL is a model folder or a tokenizer.json.  Special tokens written in the text are plain text here.",
    opts, run_tokenize, 2, 2,
};
