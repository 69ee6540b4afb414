#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "cmd/cmd.h"
#include "eval/evidence.h"
#include "eval/wrong.h"
#include "report/card.h"
#include "report/nist.h"
#include "report/report.h"
#include "train/page.h"

static const char *out, *name, *card, *facts, *nist, *model;
static struct opt_list data_cards;

#define MAX_BYTES ((size_t)64 << 20)

/* ---- where it goes ---- */

/* Two names of one file, which need not be there. */
static int same_place(bool *same, const char *a, const char *b, struct err *err)
{
    const char *x = file_last_part(a), *y = file_last_part(b);
    char *in_a = file_parent(a), *in_b = file_parent(b);
    const int rc = in_a && in_b ? 0 : ERR(err, NOMEM, "no memory for a path");
    *same = !rc && (!strcmp(a, b) || file_same(a, b) || (!strcmp(x, y) && file_same(in_a, in_b)));
    mem_free(in_a), mem_free(in_b);
    return rc;
}

struct place { const char *option, *path; };

/* Each output has a file of its own, and none is what an evaluation or a run left, or what is read here. */
static int check_places(const struct place *to, int n, struct err *err)
{
    for (int i = 0; i < n; i++) {
        bool same = false;
        if (!to[i].path)
            continue;
        if (evidence_is_name(file_last_part(to[i].path)) || file_name_ends(to[i].path, ".jsonl"))
            return ERR(err, USAGE, "%s: found %s, which is named as evidence of an evaluation or a run, expected another name", to[i].option, to[i].path);
        if (facts)
            TRY(same_place(&same, to[i].path, facts, err));
        if (same)
            return ERR(err, USAGE, "%s: found %s, which --facts reads, expected another file", to[i].option, to[i].path);
        for (int k = 0; k < i && !same; k++) {
            if (to[k].path)
                TRY(same_place(&same, to[i].path, to[k].path, err));
            if (same)
                return ERR(err, USAGE, "%s: found %s, where %s goes too, expected a file for each", to[i].option, to[i].path, to[k].option);
        }
    }
    return 0;
}

/* ---- a training run ---- */

static bool is_run(const char *folder)
{
    char *path = file_join(folder, "metrics.jsonl");
    const bool is = path && file_exists(path);
    mem_free(path);
    return is;
}

static int of_run(const char *folder, struct err *err)
{
    TRY(check_places(&(struct place){ "--out", out }, 1, err));
    TRY(page_of_folder(folder, out, err));
    if (out)
        log_info("report: %s", out);
    else
        log_info("report: %s/report.html", folder);
    return 0;
}

/* ---- evaluations ---- */

/* The model's name where there is one model, else the folder's. */
static const char *name_of(const json_t *report, const char *folder)
{
    const json_t *models = json_object_get(report, "models");
    const char *only = json_string_value(json_object_get(json_array_get(models, 0), "name"));
    return name ? name : json_array_size(models) == 1 && only ? only : folder;
}

/* report.html -> report.json */
static char *json_beside(const char *page)
{
    const size_t n = strlen(page), cut = file_name_ends(page, ".html") ? 5 : 0;
    return mem_printf("%.*s.json", (int)(n - cut), page);
}

static int write_json(const json_t *tree, const char *path, struct err *err)
{
    char *text = path ? tree_dumps(tree, JSON_INDENT(1)) : NULL;
    const int rc = text ? file_write_all(path, text, strlen(text), err) : ERR(err, NOMEM, "no memory for a report");
    mem_free(text);
    return rc;
}

static int write_page(const json_t *report, const char *folder, const char *path, struct err *err)
{
    struct buf b;
    buf_init(&b);
    int rc = report_page(report, name_of(report, folder), &b, err);
    if (!rc)
        rc = file_write_all(path, b.data, b.len, err);
    buf_release(&b);
    return rc;
}

static int check_documents(const char *folder, struct err *err)
{
    char *page = out ? mem_strdup(out) : file_join(folder, "report.html"), *beside = page ? json_beside(page) : NULL;
    const struct place to[] = { { "--out", page }, { "report.json beside the page", beside }, { "--card", card }, { "--nist", nist } };
    const int rc = beside ? check_places(to, sizeof to / sizeof *to, err) : ERR(err, NOMEM, "no memory for a path");
    mem_free(page), mem_free(beside);
    return rc;
}

static int write_documents(const json_t *report, const char *folder, struct err *err)
{
    char *page = out ? mem_strdup(out) : file_join(folder, "report.html"), *beside = page ? json_beside(page) : NULL;
    int rc = beside ? write_page(report, folder, page, err) : ERR(err, NOMEM, "no memory for a path");
    if (!rc)
        rc = write_json(report, beside, err);
    if (!rc)
        log_info("report: %s, %s", page, beside);
    mem_free(page), mem_free(beside);
    return rc;
}

/* ---- the model card ---- */

/* Of a folder of lathe data card: what its croissant.json says. */
static int read_data_card(json_t *list, const char *folder, struct err *err)
{
    char *path = file_join(folder, "croissant.json"), hex[SHA256_HEX];
    json_t *o = NULL;
    int rc = path ? tree_load(&o, path, MAX_BYTES, err) : ERR(err, NOMEM, "no memory for a path");
    const char *license = json_string_value(json_object_get(o, "license"));
    if (!rc && !json_is_string(json_object_get(o, "name")))
        rc = ERR(err, FORMAT, "%s: found no name, expected what lathe data card writes", path);
    if (!rc)
        rc = sha256_of_file(path, hex, err);
    if (!rc && json_array_append_new(list, json_pack("{s:O, s:s?, s:s}", "name", json_object_get(o, "name"), "license", license, "sha256", hex)))
        rc = ERR(err, NOMEM, "no memory for a card");
    json_decref(o);
    mem_free(path);
    return rc;
}

static bool names(const json_t *m, const char *given)
{
    static const char *const keys[][3] = { { "name", "model", "sha256" }, { "name", "adapter", "adapter_sha256" } };      /* with an adapter path and SHA-256 of the model are the base's */
    const bool adapted = json_object_get(m, "adapter_sha256");
    for (size_t i = 0; i < 3; i++) {
        const char *s = json_string_value(json_object_get(m, keys[adapted][i]));
        if (s && !strcmp(s, given))
            return true;
    }
    return false;
}

/* Which model the card is of; -1: nothing here names one. */
static int choose_model(int *out_i, const json_t *report, struct err *err)
{
    const json_t *models = json_object_get(report, "models");
    const int n = (int)json_array_size(models);
    *out_i = n - 1;
    if (!model)
        return n > 1 ? ERR(err, USAGE, "--card: found %d models in the folder, expected --model with the path or SHA-256 of one", n) : 0;
    for (int i = 0; i < n; i++)
        if (names(json_array_get(models, (size_t)i), model))
            return *out_i = i, 0;
    return ERR(err, USAGE, "--model: found '%.200s', expected the name, path or SHA-256 of a model that was evaluated", model);
}

static int write_card(const json_t *report, struct err *err)
{
    struct card_of_model c = { .report = report };
    json_t *said = NULL, *cards = json_array();
    struct buf b;
    buf_init(&b);
    int rc = cards ? choose_model(&c.i_model, report, err) : ERR(err, NOMEM, "no memory for a card");
    if (!rc && facts)
        rc = tree_load(&said, facts, MAX_BYTES, err);
    if (!rc && facts)
        rc = card_facts_check(said, facts, err);
    for (int i = 0; i < data_cards.n && !rc; i++)
        rc = read_data_card(cards, data_cards.item[i], err);
    c.facts = said, c.data_cards = data_cards.n ? cards : NULL;
    if (!rc)
        rc = report_card(&c, &b, err);
    if (!rc)
        rc = file_write_all(card, b.data, b.len, err);
    buf_release(&b);
    json_decref(said), json_decref(cards);
    return rc;
}

/* ---- NIST's framework ---- */

static int write_nist(const json_t *report, struct err *err)
{
    json_t *o;
    struct buf b;
    TRY(nist_make(&o, report, err));
    buf_init(&b);
    int rc = file_name_ends(nist, ".json") ? write_json(o, nist, err) : nist_text(o, &b, err);
    if (!rc && b.len)
        rc = file_write_all(nist, b.data, b.len, err);
    buf_release(&b);
    json_decref(o);
    return rc;
}

/* Files that could not be read are said, here and on the page; the others make the report. */
static int look_at(const json_t *files, const char *folder, struct err *err)
{
    size_t i, n = 0;
    json_t *f;
    json_array_foreach(files, i, f) {
        const char *error = json_string_value(json_object_get(f, "error"));
        if (error)
            log_warn("%s", error);
        n += !error;
    }
    if (!n)
        return ERR(err, NOTFOUND, "%s: found neither metrics.jsonl nor results_DATE.json nor KIND_DATE.json that can be read, expected the folder of lathe "
                   "train or of lathe eval --out", folder);
    return 0;
}

/* A few items of each task that were answered wrong, where samples were kept. */
static int add_examples(json_t *files, const char *folder, struct err *err)
{
    size_t i;
    json_t *f;
    json_array_foreach(files, i, f) {
        const json_t *results = json_object_get(json_object_get(f, "evidence"), "results");
        json_t *list;
        if (!json_is_object(results))
            continue;
        TRY(wrong_answers(&list, folder, json_string_value(json_object_get(f, "file")), results, err));
        if (json_object_set_new(f, "examples", list))
            return ERR(err, NOMEM, "no memory for examples");
    }
    return 0;
}

/* Names that are nearly those of evidence. */
static int say_passed_over(const char *folder, struct err *err)
{
    json_t *names, *s;
    size_t i;
    TRY(evidence_passed_over(&names, folder, err));
    json_array_foreach(names, i, s)
        log_warn("%s/%s: passed over, expected a name such as KIND_2026-11-26T21-14-27.123456.json, with microseconds", folder, json_string_value(s));
    json_decref(names);
    return 0;
}

static int of_evaluations(const char *folder, struct err *err)
{
    json_t *files, *report = NULL;
    TRY(check_documents(folder, err));
    TRY(say_passed_over(folder, err));
    TRY(evidence_files(&files, folder, err));
    int rc = look_at(files, folder, err);
    if (!rc)
        rc = add_examples(files, folder, err);
    if (!rc)
        rc = report_make(&report, files, err);
    if (!rc)
        rc = write_documents(report, folder, err);
    if (!rc && card)
        rc = write_card(report, err);
    if (!rc && nist)
        rc = write_nist(report, err);
    json_decref(report), json_decref(files);
    return rc;
}

static int run_report(const char *const *args, int n_args, struct err *err)
{
    (void)n_args;
    if (!card && (facts || data_cards.n || model))
        return ERR(err, USAGE, "--facts, --data-card and --model are of --card");
    return is_run(args[0]) && !card && !nist ? of_run(args[0], err) : of_evaluations(args[0], err);
}

static const struct opt opts[] = {
    { OPT_STR, "out", &out, "<file>", "where the page goes; FOLDER/report.html when it is not given", 0, 0 },
    { OPT_STR, "name", &name, "<text>", "of an evaluation: what its page calls it; the model's name when it is not given", 0, 0 },
    { OPT_STR, "card", &card, "<file>", "of an evaluation: a model card too, README.md in the Hugging Face Hub's form", 0, 0 },
    { OPT_STR, "facts", &facts, "<file>", "of --card: JSON or YAML with what a person knows: license, base_model, datasets, intended_use, ...", 0, 0 },
    { OPT_LIST, "data-card", &data_cards, "<folder>", "of --card: of lathe data card for the data that the model was trained on; may be given several times",
     0, 0 },
    { OPT_STR, "model", &model, "<path>", "of --card: which one, by path, name or SHA-256, where several were evaluated", 0, 0 },
    { OPT_STR, "nist", &nist, "<file>", "of an evaluation: what it is evidence for in MEASURE of NIST's AI RMF, as Markdown, or .json", 0, 0 },
    OPT_QUIET,
    OPT_LAST,
};
const struct command command_report = {
    "report", "FOLDER", "what a training run did, or what evaluations found, as one HTML page",
    TEXT("Of a run's folder, one that is going on or was killed too, it reads metrics.jsonl and run.json and writes a page: loss and held-out\n"
    "loss, learning rate, norm of the gradient, throughput, the load and entropy of each layer's experts, skipped steps and checkpoints\n"
    "that failed, memory and time as planned and as they were, the data with their SHA-256, all settings, and the machine's limits.\n"
    "Whatever numbers the lines of metrics.jsonl have are drawn.  lathe train writes the same page when it ends.\n\n",
    "Of the folder of lathe eval --out it reads results_DATE.json (lm-evaluation-harness's own too) and KIND_DATE.json, and writes a page: what\n"
    "was measured and what was not, each score with its interval and its number of items, groups of tasks and what is below them, items\n"
    "that failed or were cut, some that were answered wrong with their texts (where --log-samples kept them), reliability diagrams and\n"
    "calibration beside what chance gives, accuracy by strength of a change, attacks, groups with the worst one named, examples with their\n"
    "texts, speed and cost, conventions, and the files with their SHA-256.  A kind that is not known here is shown by its figures.  Where\n"
    "several files have the same figure of a model the newest counts.  A file that cannot be read is said on the page, and the others make\n"
    "it.  DATE is YYYY-MM-DDThh-mm-ss.ffffff; a name that begins as evidence but has another is passed over with a warning.  What was stopped before\n"
    "its end is said to be.  report.json beside it has all of it for programs; both are the same to the byte when they are made again.\n\n",
    "--card writes a model card: YAML with model-index (task, data set, metrics), then sections that are filled from what was measured and from\n"
    "--facts.  What neither knows is \"Open\", with what is asked; nothing is made up.  --facts has the keys name, license, license_link,\n"
    "base_model, datasets, language, pipeline_tag, library_name, tags, description, developers, repository, intended_use, downstream_use,\n"
    "out_of_scope, limitations, recommendations, training_data, training_procedure, environment, citation and contact.\n\n"
    "--nist writes, for each of the 22 subcategories of MEASURE (NIST AI 100-1), the figures that are evidence with intervals, files and their\n"
    "SHA-256, and what stays open.  That a subcategory is met is never said.\n\n",
    "The page is one file without scripts, fetches nothing, and can be read on a phone and in the dark.  Names and texts in it are\n"
    "never markup.  run.json has settings (all keys; given: as the file has them), model, data with SHA-256, plan (bytes, parts), step\n"
    "(tokens, operations, seconds_at_limits, seconds_expected or null) and limits, and is written anew when a run begins or goes on.\n\n"
    "Long runs are drawn as 256 to 512 points: each the mean of its steps, in a band from the lowest to the highest."),
    opts, run_report, 1, 1,
};
