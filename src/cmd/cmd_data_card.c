/* cmd_data_card.c - lathe data card: what an audit found, as documents. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "base/when.h"
#include "card/card.h"
#include "cmd/cmd.h"
#include "store/evidence_kind.h"

enum { ANSWERS_MAX = 4 << 20 };

static const char *out_dir, *name, *version, *created, *answers_path, *build_dir;

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for a path"); }

/* FOLDER/LEAF where the path is a folder, else the path itself. */
static int path_of(char **out, const char *path, const char *leaf, struct err *err)
{
    *out = file_is_dir(path) ? file_join(path, leaf) : mem_strdup(path);
    return *out ? 0 : no_memory(err);
}

static size_t without_slashes(const char *path, size_t n)
{
    while (n > 1 && path[n - 1] == '/')
        n--;
    return n;
}

static size_t last_part(const char *path, size_t n)
{
    while (n && path[n - 1] != '/')
        n--;
    return n;
}

/* The last part of the audit's folder: "audit" of runs/audit/ and of runs/audit/report.json; "" where that names none. */
static char *name_of(const char *path)
{
    size_t n = without_slashes(path, strlen(path));
    if (!file_is_dir(path))
        n = last_part(path, n), n = n ? without_slashes(path, n) : 0;
    const size_t from = last_part(path, n);
    return mem_printf("%.*s", (int)(n - from), path + from);
}

/* What a person has answered: the file that is named, else the one that an earlier card has left in the folder. */
static int load_answers(json_t **out, struct err *err)
{
    char *path = answers_path ? mem_strdup(answers_path) : file_join(out_dir, "questions.yaml");
    int rc = path ? 0 : no_memory(err);
    if (!rc && (answers_path || file_exists(path)))
        rc = tree_load(out, path, ANSWERS_MAX, err);
    else if (!rc && !(*out = json_object()))
        rc = no_memory(err);
    if (!rc && version && (!json_is_object(*out) || json_object_set_new(*out, "about.version", json_string(version)) < 0))
        rc = ERR(err, USAGE, "--version '%.40s': found no text, or no answers that it could be put to", version);
    mem_free(path);
    return rc;
}

/* build.json of a build of this very report. */
static int load_build(json_t **out, const char *report_path, struct err *err)
{
    char *path, sum[SHA256_HEX];
    if (!build_dir)
        return 0;
    TRY(path_of(&path, build_dir, "build.json", err));
    int rc = tree_load(out, path, EVIDENCE_BYTES_MAX, err);
    if (!rc)
        rc = sha256_of_file(report_path, sum, err);
    const char *of = json_string_value(json_object_get(json_object_get(*out, "audit"), "report_sha256"));
    if (!rc && (!of || strcmp(of, sum)))
        rc = ERR(err, USAGE, "%s: a build of another audit than '%s'", path, report_path);
    if (!rc && !json_is_array(json_object_get(*out, "files")))
        rc = ERR(err, FORMAT, "%s: files: expected a list", path);
    mem_free(path);
    return rc;
}

/* --created, else what SOURCE_DATE_EPOCH says, as builds of packages set it. */
static int date_of(const char **out, char text[WHEN_TEXT], struct err *err)
{
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    char *end;
    *out = created;
    if (created || !epoch || !*epoch)
        return 0;
    const long long seconds = strtoll(epoch, &end, 10);
    if (*end || seconds < 0 || seconds > WHEN_LAST)
        return ERR(err, USAGE, "SOURCE_DATE_EPOCH: found '%.40s', expected seconds since 1970", epoch);
    when_seconds(text, seconds);
    *out = text;
    return 0;
}

static int print(const struct card_result *r, struct err *err)
{
    if (cmd_json)
        return cmd_print_json(json_pack("{s:s, s:i, s:i, s:s, s:s}", "out", out_dir, "questions", r->n_question, "open", r->n_open, "created", r->created, "created_by", r->created_by), err);
    printf("%s/report.html\n%d of %d questions are open: %s/questions.yaml\ndated %.10s: %s\n", out_dir, r->n_open, r->n_question, out_dir, r->created, r->created_by);
    return 0;
}

static int run(const char *const *args, int n_args, struct err *err)
{
    json_t *report = NULL, *answers = NULL, *build = NULL;
    struct card_opts o = { .name = name };
    struct card_result result;
    char *path = NULL, *of = name_of(args[0]), date[WHEN_TEXT];
    (void)n_args;
    int rc = !out_dir ? ERR(err, USAGE, "--out is missing: the folder for the documents") : of ? date_of(&o.created, date, err) : no_memory(err);
    rc = rc ? rc : path_of(&path, args[0], "report.json", err);
    rc = rc ? rc : tree_load(&report, path, EVIDENCE_BYTES_MAX, err);
    rc = rc ? rc : load_answers(&answers, err);
    rc = rc ? rc : load_build(&build, path, err);
    o.name = name ? name : of && *of ? of : NULL;
    o.answers = answers;
    o.files = json_object_get(build, "files");
    rc = rc ? rc : card_write(report, &o, out_dir, &result, err);
    json_decref(report), json_decref(answers), json_decref(build);
    mem_free(path), mem_free(of);
    return rc ? rc : print(&result, err);
}

static const struct opt opts[] = {
    { OPT_STR, "out", &out_dir, "<folder>", "where the documents go; that of a build makes it a data set that the Hub can read", 0, 0 },
    { OPT_STR, "build", &build_dir, "<folder>", "of a lathe data build of this audit: its files are described, not the sources'", 0, 0 },
    { OPT_STR, "name", &name, "<text>", "of the data set; the last part of AUDIT when it is not given", 0, 0 },
    { OPT_STR, "version", &version, "<text>", "MAJOR.MINOR.PATCH, as about.version in questions.yaml", 0, 0 },
    { OPT_STR, "created", &created, "<date>", "YYYY-MM-DD; SOURCE_DATE_EPOCH, the last collection or the newest file when it is not given", 0, 0 },
    { OPT_STR, "answers", &answers_path, "<file>", "what a person says; questions.yaml in the folder when it is not given", 0, 0 },
    OPT_JSON,
    OPT_QUIET,
    OPT_LAST,
};

const struct command command_data_card = {
    "data card", "AUDIT", "say what an audit found, in a page and in the forms that others read",
    TEXT(
        "AUDIT is the folder of a `lathe data audit`, or its report.json.  Into the folder go:\n"
        "\n"
        "    report.html       what a person reads: one file, no script, nothing fetched, light and dark, fit to print\n"
        "    report.json       what a program reads\n"
        "    datasheet.md      the 57 questions of \"Datasheets for Datasets\" (Gebru et al.)\n"
        "    README.md         a dataset card of the Hugging Face Hub\n"
        "    croissant.json    Croissant 1.1 with its properties of responsible AI\n"
        "    spdx.json         SPDX 3.0.1, dataset profile\n"
        "    cyclonedx.json    CycloneDX 1.7, machine-learning bill of materials\n"
        "    questions.yaml    what only a person can answer\n"
        "\n"
        "All of them say what the audit measured and what a person has said, and nothing else.  A question that neither answers is told as\n"
        "open; write between the quotes of questions.yaml and give the same command again.  A text there is never lost: it is written back.\n"
        "\n"
        "What the audit did not look at is said to be unknown, never to be none.  Examples of personal data and of secrets are masked as the\n"
        "report masks them.  The same report, answers and date give the same bytes; ids are made from their digest.  The dataset profile of\n"
        "SPDX is claimed where about.creator, about.published and about.download are answered, which it wants.  Croissant wants a SHA-256\n"
        "of each file: one that could not be read to its end has none there and is left out.\n"
        "\n"
        "    lathe data card audit --out card --name \"tales of three sources\"\n"
        "    lathe data card audit --build data-v1 --out data-v1\n"),
    opts, run, 1, 1,
};
