#include <jansson.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "cmd/cmd.h"
#include "model/folder_from_gguf.h"
#include "model/merge.h"

static const char *out = "", *to = "file";
static bool any_base;

static enum st_dtype float_type(const struct config *c, const struct mix *mix)
{
    if (mix)
        return mix->type == TYPE_F16 ? ST_F16 : mix->type == TYPE_BF16 ? ST_BF16 : ST_F32;
    return c->dtype == ST_F16 || c->dtype == ST_BF16 ? c->dtype : ST_F32;
}

/* Weights and configuration, and what else the folder has. */
static int to_folder(const struct model *m, struct adapter *a, const char *base, const struct mix *mix, struct err *err)
{
    struct err why;
    if (mix && type_block(mix->type) != 1)
        return ERR(err, USAGE, "--to is '%s', expected f32, f16 or bf16 for safetensors; lathe quantize makes a GGUF file of the merged folder", to);
    TRY(merge_folder(m, base, a, out, float_type(&m->config, mix), err));
    if (config_vision(&m->config))
        return 0;
    if (folder_put_tokenizer(m, base, out, &why) < 0)
        log_warn("no tokenizer.json was written: %s", why.msg);
    return folder_put_chat(m, base, out, err);
}

static int merge(const struct model *m, const char *base, const char *folder, const struct mix *mix, struct err *err)
{
    struct adapter *a;
    struct pool *pool;
    TRY(adapter_open(&a, folder, err));
    int rc = any_base ? 0 : merge_check(m, a, err);
    if (!rc)
        rc = cmd_pool(&pool, err);
    if (!rc)
        rc = source_gguf(m->source) ? merge_gguf(m, a, out, mix, pool, err) : to_folder(m, a, base, mix, err);
    adapter_free(a);
    return rc;
}

static int run_merge(const char *const *args, int n_args, struct err *err)
{
    (void)n_args;
    struct model m;
    struct buf warnings;
    const struct mix *mix = strcmp(to, "file") ? mix_find(to) : NULL;
    if (!*out)
        return ERR(err, USAGE, "expected --out");
    if (!mix && strcmp(to, "file"))
        return ERR(err, USAGE, "--to is '%s', expected file or one of %s", to, MIX_WORDS);
    for (int i = 0; i < 2; i++)
        if (file_same(args[i], out))
            return ERR(err, USAGE, "--out is %s itself: %s would be overwritten", i ? "the folder of the adapters" : "the model", out);
    buf_init(&warnings);
    int rc = model_open(&m, args[0], &warnings, err);
    if (warnings.len)
        log_warn("%.*s", (int)(warnings.len - 1), warnings.data);
    buf_release(&warnings);
    TRY(rc);
    rc = merge(&m, args[0], args[1], mix, err);
    model_release(&m);
    TRY(rc);
    if (cmd_json)
        return cmd_print_json(json_pack("{s:s, s:s}", "out", out, "type", to), err);
    printf("%s: %s with %s in its weights\n", out, args[0], args[1]);
    return 0;
}

static const struct opt opts[] = {
    { OPT_STR, "out", &out, "<path>", "the file to write, or the folder where MODEL is one", 0, 0 },
    { OPT_STR, "to", &to, "<type>", "types of the merged weights: file (those that MODEL has), or one of " MIX_WORDS, 0, 0 },
    { OPT_FLAG, "any-base", &any_base, NULL, "merge also when the adapters say that they belong to another model", 0, 0 },
    OPT_THREADS, OPT_JSON, OPT_QUIET, OPT_LAST,
};
const struct command command_merge = {
    "merge", "MODEL ADAPTERS", "put adapters into a model's weights",
    TEXT("MODEL is a GGUF file or a folder of safetensors, ADAPTERS a folder with adapter_config.json and adapter_model.safetensors, as\n"
    "lathe train and peft write them (plain LoRA and rsLoRA).  Each matrix becomes W + scale * B A, computed in double and rounded\n"
    "once to its type.  What is written has the form of MODEL, and its tokenizer and chat templates.  A head for classes that the\n"
    "adapters bring is taken over, with the names of the classes, into a folder; a GGUF file has no place for it.  A number that would\n"
    "not be finite is an error that names its tensor.\n\n"
    "Adapters that lathe train made know the model that they were trained on by its norms and shapes, which every type of it has in\n"
    "common: what was trained on a quantised file may be merged into the original.  Another model is refused."),
    opts, run_merge, 2, 2,
};
