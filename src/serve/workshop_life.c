#include "serve/workshop_life.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "serve/workshop_texts.h"

#define RECIPE(goal, name, title, sentence, model, data, train, batch, epochs, least, most) { GOAL_##goal, name, title, sentence, model, data, train, batch, epochs, least, most, false, NULL },
#define TUNE(goal, name, title, sentence, lora, train, batch, epochs, least, most) { GOAL_##goal, name, title, sentence, NULL, NULL, train, batch, epochs, least, most, true, lora },
#define GOAL_TEXTS "texts"
#define GOAL_CLASSES "classes"
#define GOAL_IMAGES "images"
const char *const life_stages[] = { "audit", "card", "build", "train", "merge", "errors", "held-out", "sample", "data", "register", NULL };

const struct workshop_recipe workshop_recipes[] = {
#include "serve/workshop_recipes.def"
};
#undef RECIPE
#undef TUNE
const int workshop_n_recipe = sizeof workshop_recipes / sizeof *workshop_recipes;

#define DOCUMENTS_LEAST 60               /* of which a tenth is held out */
#define TOKEN_BYTES 4                    /* of a text, about */

bool workshop_recipe_fits(const struct workshop_recipe *r, const json_t *p) { return !strcmp(r->goal, tree_text_at(p, "goal")) && r->tunes == (*tree_text_at(p, "base") != 0); }

const struct workshop_recipe *workshop_recipe_find(const json_t *p, const char *name)
{
    for (int i = 0; i < workshop_n_recipe; i++)
        if (workshop_recipe_fits(&workshop_recipes[i], p) && !strcmp(workshop_recipes[i].name, name))
            return &workshop_recipes[i];
    return NULL;
}

bool life_base_is_file(const json_t *p) { return file_name_ends(tree_text_at(p, "base_path"), ".gguf") && !file_is_dir(tree_text_at(p, "base_path")); }

json_t *workshop_recipes_json(void)
{
    json_t *list = json_array();
    for (int i = 0; i < workshop_n_recipe && list; i++) {
        const struct workshop_recipe *r = &workshop_recipes[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "goal", r->goal, "name", r->name, "title", r->title, "sentence", r->sentence));
    }
    return list;
}

/* ---- writing ---- */

static bool is(const json_t *p, const char *key, const char *value) { return !strcmp(tree_text_at(p, key), value); }

static int64_t whole(const json_t *p, const char *key) { return json_integer_value(json_object_get(p, key)); }

/* In double quotes, which YAML reads as JSON does. */
static int add_quoted(struct buf *b, const char *text, struct err *err)
{
    json_t *s = json_string(text);
    char *out = s ? tree_dumps(s, JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;
    const int rc = out ? buf_add_str(b, out, err) : ERR(err, NOMEM, "no memory to write a text");
    mem_free(out);
    json_decref(s);
    return rc;
}

static int add_entry(struct buf *b, const char *before, const char *text, const char *after, struct err *err)
{
    TRY(buf_add_str(b, before, err));
    TRY(add_quoted(b, text, err));
    return buf_add_str(b, after, err);
}

/* What somebody wrote: lathe run would fill in $(..). */
static int add_said(struct buf *b, const char *before, const char *text, const char *after, struct err *err)
{
    struct buf said;
    buf_init(&said);
    int rc = 0;
    for (const char *at = text; *at && !rc; at++) {
        rc = buf_add_char(&said, *at, err);
        if (!rc && at[0] == '$' && at[1] == '(')
            rc = buf_add_char(&said, ' ', err);
    }
    rc = rc ? rc : add_entry(b, before, said.data, after, err);
    buf_release(&said);
    return rc;
}

static int write_to(const char *folder, const char *name, struct buf *b, int rc, struct err *err)
{
    char *path = rc ? NULL : file_join(folder, name);
    if (!rc)
        rc = path ? file_write_all(path, b->data, b->len, err) : ERR(err, NOMEM, "no memory for a path");
    mem_free(path);
    buf_release(b);
    return rc;
}

/* ---- data ---- */

static int put_data(struct buf *b, const json_t *p, struct err *err)
{
    const char *file = tree_text_at(p, "file"), *licence = tree_text_at(p, "licence");
    TRY(buf_add_str(b, "# What was brought, for lathe data audit.\nsources:\n  - name: brought\n", err));
    TRY(*file ? buf_add_str(b, "    path: ", err) : buf_add_str(b, "    path: files\n", err));
    if (*file) {
        char *path = mem_printf("files/%s", file);
        const int rc = path ? add_quoted(b, path, err) : ERR(err, NOMEM, "no memory for a path");
        mem_free(path);
        TRY(rc);
        TRY(buf_add_str(b, "\n", err));
        TRY(add_entry(b, "    field: ", tree_text_at(p, "text"), "\n", err));
    }
    if (*file && is(p, "goal", GOAL_CLASSES))
        TRY(add_entry(b, "    label: ", tree_text_at(p, "label"), "\n", err));
    return *licence ? add_entry(b, "    licence: ", licence, "\n", err) : 0;
}

int life_write_data(const char *folder, const json_t *p, struct err *err)
{
    struct buf b;
    buf_init(&b);
    return write_to(folder, "data.yaml", &b, put_data(&b, p, err), err);
}

/* A reader learns from lines that were chosen of the build's (workshop_labels.h). */
static bool are_chosen(const json_t *p) { return is(p, "goal", GOAL_CLASSES) && json_is_true(json_object_get(p, "chosen")); }

bool life_cuts_texts(const json_t *p) { return is(p, "goal", GOAL_TEXTS) && whole(p, "kept") < DOCUMENTS_LEAST; }

/* ---- recipes ---- */

int64_t life_steps(const json_t *p, const struct workshop_recipe *r)
{
    int ctx = 1;
    double n = (double)whole(p, "train");
    const char *at = strstr(r->train, "ctx: ");
    if (at && is(p, "goal", GOAL_TEXTS)) {
        sscanf(at, "ctx: %d", &ctx);
        n = (double)whole(p, "text_bytes") / TOKEN_BYTES / ctx;
    }
    const double steps = n * r->epochs / r->batch;
    return steps < (double)r->least ? r->least : steps > (double)r->most ? r->most : (int64_t)steps;
}

static int put_paths(struct buf *b, const json_t *p, struct err *err)
{
    if (is(p, "goal", GOAL_IMAGES))
        return buf_add_str(b, "train: images/train, valid: images/valid", err);
    TRY(buf_add_str(b, life_cuts_texts(p) || are_chosen(p) ? "train: texts/train.jsonl, valid: texts/valid.jsonl" : "train: life.run/build/out/train, valid: life.run/build/out/valid", err));
    if (!is(p, "goal", GOAL_CLASSES))
        return 0;
    char *fields = mem_printf("label=%s", tree_text_at(p, "label"));
    const int rc = fields ? add_entry(b, ", fields: ", fields, "", err) : ERR(err, NOMEM, "no memory for a column's name");
    mem_free(fields);
    return rc;
}

static int put_model(struct buf *b, const json_t *p, const struct workshop_recipe *r, struct err *err)
{
    TRY(buf_printf(b, err, "# %s: %s\nmodel: {", r->title, r->sentence));
    if (!r->tunes)
        return buf_printf(b, err, "%s}\n", r->model);
    TRY(add_entry(b, "from: ", tree_text_at(p, "base_path"), "}\n", err));
    return r->lora ? buf_printf(b, err, "lora: {%s}\n", r->lora) : 0;
}

static int put_recipe(struct buf *b, const json_t *p, const struct workshop_recipe *r, struct err *err)
{
    const int64_t steps = life_steps(p, r), often = steps / 10 > 10 ? steps / 10 : 10;
    const char *data = !r->tunes ? r->data : is(p, "goal", GOAL_CLASSES) ? "form: label, too_long: cut" : "form: plain";
    TRY(put_model(b, p, r, err));
    TRY(buf_add_str(b, "data: {", err));
    TRY(put_paths(b, p, err));
    return buf_printf(b, err, ", %s}\ntrain: {steps: %lld, batch: %d, %s, eval_every: %lld, save_every: %lld}\n", data, (long long)steps, r->batch, r->train, (long long)often,
                      (long long)often);
}

int life_write_recipe(const char *folder, const json_t *p, const struct workshop_recipe *r, struct err *err)
{
    struct buf b;
    char name[40];
    char *dir = file_join(folder, "recipes");
    int rc = dir ? file_mkdirs(dir, err) : ERR(err, NOMEM, "no memory for a path");
    mem_free(dir);
    buf_init(&b);
    snprintf(name, sizeof name, "recipes/%s.yaml", r->name);
    return write_to(folder, name, &b, rc ? rc : put_recipe(&b, p, r, err), err);
}

/* ---- stages ---- */

/* What was held out, lines of {"text"}, by the bits that the model needs for a byte of it. */
static int write_held_out(const char *folder, const json_t *p, struct err *err)
{
    struct buf b;
    buf_init(&b);
    const int rc = buf_printf(&b, err, "task: held-out\noutput_type: loglikelihood_rolling\ntest_split: test\ndataset_path: json\n"
                              "dataset_kwargs: {data_files: {test: %s}}\ndoc_to_text: ''\ndoc_to_target: '{{text}}'\nmetric_list: [{metric: bits_per_byte}]\nmetadata: {version: 1}\n",
                              life_cuts_texts(p) ? "texts/valid.jsonl" : "life.run/build/out/valid/00000.jsonl");
    return write_to(folder, "held-out.yaml", &b, rc, err);
}

/* What came of the training, as commands that take a model name it. */
static const char *model_of(const json_t *p)
{
    const struct workshop_recipe *r = workshop_recipe_find(p, tree_text_at(p, "recipe"));
    return !r || !r->lora ? "$(train)" : life_base_is_file(p) ? "$(merge)/model.gguf" : "$(merge)";
}

static int put_merge(struct buf *b, const json_t *p, struct err *err)
{
    const struct workshop_recipe *r = workshop_recipe_find(p, tree_text_at(p, "recipe"));
    if (!r || !r->lora)
        return 0;
    TRY(add_said(b, "  merge: {run: [merge, ", tree_text_at(p, "base_path"), "", err));
    return buf_printf(b, err, ", $(train)], options: {out: $(this)%s}}\n", life_base_is_file(p) ? "/model.gguf" : "");
}

static int put_judging(struct buf *b, const json_t *p, struct err *err)
{
    const bool images = is(p, "goal", GOAL_IMAGES), texts = is(p, "goal", GOAL_TEXTS);
    const char *model = model_of(p);
    if (images)
        return buf_add_str(b, "  errors: {run: classify $(train), options: {judge: images/valid, fit: crop}}\n", err);
    if (!texts) {
        char *fields = mem_printf("label=%s", tree_text_at(p, "label"));
        int rc = fields ? buf_printf(b, err, "  errors: {run: classify %s, options: {judge: %s, fields: ", model, are_chosen(p) ? "texts/valid.jsonl" : "life.run/build/out/valid") : ERR(err, NOMEM, "no memory for a column's name");
        rc = rc ? rc : add_quoted(b, fields, err);
        mem_free(fields);
        return rc ? rc : buf_add_str(b, "}}\n", err);
    }
    TRY(buf_printf(b, err, "  held-out: {run: eval %s, options: {tasks: held-out.yaml, log-samples: true}, inputs: [%s]}\n", model,
                   life_cuts_texts(p) ? "texts/valid.jsonl" : "life.run/build/out/valid"));
    return buf_printf(b, err, "  sample: {run: generate %s, options: {p: \"\\n\", n: 120, seed: 1}}\n", model);
}

static int put_why(struct buf *b, const json_t *p, const char *registry, struct err *err)
{
    TRY(add_said(b, "reason: ", tree_text_at(p, "reason"), "", err));
    return registry ? add_entry(b, ", registry: ", registry, "}}\n", err) : buf_add_str(b, "}}\n", err);
}

/* What it learned from is a version too. */
static int put_register(struct buf *b, const json_t *p, const char *registry, struct err *err)
{
    const bool texts = is(p, "goal", GOAL_TEXTS);
    char *data = mem_printf("%s" LIFE_DATA, tree_text_at(p, "version_name"));
    int rc = data ? add_entry(b, "  data: {run: [registry, add, ", data, "", err) : ERR(err, NOMEM, "no memory for a name");
    mem_free(data);
    TRY(rc);
    TRY(buf_printf(b, err, ", %s], options: {kind: data, evidence: [$(audit)/report.json], ", is(p, "goal", GOAL_IMAGES) ? "images" : "$(build)"));
    TRY(put_why(b, p, registry, err));
    TRY(add_entry(b, "  register: {run: [registry, add, ", tree_text_at(p, "version_name"), ", ", err));
    TRY(buf_printf(b, err, "%s], options: {ignore: [data, tensorboard], from: [$(data.name)@$(data.number)", model_of(p)));
    if (*tree_text_at(p, "base")) {
        char *base = mem_printf("base=%s", tree_text_at(p, "base"));
        rc = base ? add_said(b, ", ", base, "", err) : ERR(err, NOMEM, "no memory for a name");
        mem_free(base);
        TRY(rc);
    }
    TRY(buf_printf(b, err, "], evidence: [$(audit)/report.json%s], ", texts ? ", life.run/held-out/result.json" : ", life.run/errors/result.json"));
    return put_why(b, p, registry, err);
}

/* A tenth is held out, and of texts no more than it takes to judge a writer by: `held-out` reads all of them, as a policy asks for. */
static int put_build(struct buf *b, const json_t *p, struct err *err)
{
    double share = 0.1;
    if (is(p, "goal", GOAL_TEXTS) && share * (double)whole(p, "kept") > TEXTS_HELD_OUT)
        share = floor(1e9 * TEXTS_HELD_OUT / (double)whole(p, "kept")) / 1e9;
    TRY(buf_add_str(b, "  build: {run: data build $(audit), options: {splits: \"", err));
    TRY(life_cuts_texts(p) ? buf_add_str(b, "train=1", err) : buf_printf(b, err, "train=%.9g,valid=%.9g", 1 - share, share));
    return buf_add_str(b, "\"}}\n", err);
}

static int put_life(struct buf *b, const json_t *p, enum life_part last, const char *registry, struct err *err)
{
    TRY(buf_add_str(b, "# Made by the workshop of lathe serve.  In this folder: lathe run life.yaml\nname: life\nout: life.run\nstages:\n"
                       "  audit: {run: data audit data.yaml, inputs: [files], options: {records: true}}\n", err));
    TRY(add_said(b, "  card: {run: data card $(audit), options: {out: $(this), name: ", tree_text_at(p, "name"), "}}\n", err));
    if (last >= LIFE_BUILD && !is(p, "goal", GOAL_IMAGES))
        TRY(put_build(b, p, err));
    if (last >= LIFE_TRAIN) {
        TRY(buf_printf(b, err, "  train: {run: train recipes/%s.yaml, needs: [%s]}\n", tree_text_at(p, "recipe"), is(p, "goal", GOAL_IMAGES) ? "audit" : "build"));
        TRY(put_merge(b, p, err));
        TRY(put_judging(b, p, err));
    }
    return last >= LIFE_REGISTER ? put_register(b, p, registry, err) : 0;
}

int life_write(const char *folder, const json_t *p, enum life_part last, const char *registry, struct err *err)
{
    struct buf b;
    buf_init(&b);
    int rc = last >= LIFE_TRAIN && is(p, "goal", GOAL_TEXTS) ? write_held_out(folder, p, err) : 0;
    return write_to(folder, "life.yaml", &b, rc ? rc : put_life(&b, p, last, registry, err), err);
}
