#include "report/nist.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "card/mark.h"
#include "report/parts.h"

struct subcategory { const char *id, *title, *about, *open; };
static const struct subcategory subcategories[] = {
#define NIST(id, title, about, open) { id, title, about, open },
#include "report/nist.def"
#undef NIST
};
#define N_SUBCATEGORY (sizeof subcategories / sizeof *subcategories)

/* ---- which figures are about what ---- */

static bool begins(const char *s, const char *with) { return s && !strncmp(s, with, strlen(with)); }

/* Tasks whose subject is bias. */
static bool is_bias_task(const json_t *f) { return begins(read_str(f, "of"), "bbq") || begins(read_str(f, "of"), "crows_pairs"); }

static bool is_energy(const json_t *f)
{
    const char *name = read_str(f, "name");
    return name && (strstr(name, "wh_") || strstr(name, "_wh") || strstr(name, "joule") || strstr(name, "energy") || strstr(name, "watt") ||
                    strstr(name, "Wh"));
}

static bool is_about_word(const json_t *f, const char *word)
{
    const char *kind = file_kind(f);
    const struct topic *t = topic_of(kind);
    if (!strcmp(kind, "images") && strcmp(word, "energy"))
        return !strcmp(word, image_subject(f));
    if (!strcmp(kind, word))
        return true;
    if (!strcmp(word, "bias") && !strcmp(kind, "tasks"))
        return is_bias_task(f);
    if (!strcmp(word, "energy"))
        return is_energy(f);
    return t && !strcmp(t->id, word);
}

bool figure_is_about(const json_t *f, const char *about)
{
    char word[40];
    while (*about) {
        const size_t n = strcspn(about, " ");
        snprintf(word, sizeof word, "%.*s", (int)n, about);
        if (is_about_word(f, word))
            return true;
        about += n + (about[n] == ' ');
    }
    return false;
}

static bool has_word(const char *about, const char *word) { return !strcmp(about, word); }

/* ---- evidence ---- */

static void put_file(struct doc *d, json_t *o, const json_t *file)
{
    doc_str(d, o, "file", read_str(file, "file"));
    doc_str(d, o, "sha256", read_str(file, "sha256"));
    if (json_object_get(file, "stopped"))
        doc_put(d, o, "stopped", json_true());
}

static void put_figure(struct doc *d, json_t *list, const json_t *report, const json_t *f)
{
    static const char *const keys[] = { "kind", "name", "of", "value", "low", "high", "n" };
    json_t *o = doc_add(d, list, doc_object(d));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (json_object_get(f, keys[i]))
            doc_put(d, o, keys[i], json_incref(json_object_get(f, keys[i])));
    const json_t *m = model_of(report, f);
    doc_str(d, o, "note", read_str(f, "what"));
    if (m)
        doc_str(d, o, "model", read_str(m, "name"));
    put_file(d, o, json_array_get(json_object_get(report, "files"), (size_t)json_integer_value(json_object_get(f, "file"))));
}

static void figures(struct doc *d, json_t *list, const json_t *report, const char *about)
{
    size_t i;
    json_t *f;
    json_array_foreach(json_object_get(report, "figures"), i, f)
        if (isfinite(read_number(f, "value")) && figure_is_about(f, about))
            put_figure(d, list, report, f);
}

/* A sentence instead of a figure, made in b. */
static void put_said(struct doc *d, json_t *list, struct buf *b, const json_t *file)
{
    json_t *o = doc_add(d, list, doc_object(d));
    doc_text(d, o, "what", b);
    if (file)
        put_file(d, o, file);
    buf_clear(b);
}

static int topics_in_words(struct doc *d, json_t *list, const json_t *report, struct buf *b, struct err *err)
{
    for (int found = 1; found >= 0; found--) {
        int n = 0;
        for (const struct topic *t = topics; t->id; t++)
            if (found ? topic_found(report, t) : topic_missing(report, t))
                TRY(buf_printf(b, err, "%s%s", n++ ? ", " : found ? "Measured: " : "Not measured: ", t->title));
        if (n)
            put_said(d, list, b, NULL);
    }
    return 0;
}

static int one_set(struct doc *d, json_t *list, const json_t *file, const json_t *results, const char *task, const json_t *own, struct buf *b, struct err *err)
{
    const json_t *shots = json_object_get(json_object_get(results, "n-shot"), task);
    TRY(buf_printf(b, err, "%s: %lld items of %s", task, (long long)read_count(own, "items"), read_str(own, "data") ? read_str(own, "data") :
                   "a file that is not named"));
    if (read_str(own, "data_sha256"))
        TRY(buf_printf(b, err, ", SHA-256 %s", read_str(own, "data_sha256")));
    if (json_is_integer(shots))
        TRY(buf_printf(b, err, ", %lld examples before each", (long long)json_integer_value(shots)));
    put_said(d, list, b, file);
    return 0;
}

/* Test sets by their files, and the program that asked. */
static int sets_in_words(struct doc *d, json_t *list, const json_t *report, struct buf *b, struct err *err)
{
    size_t i;
    json_t *file, *own;
    const char *task;
    json_array_foreach(json_object_get(report, "files"), i, file) {
        const json_t *evidence = json_object_get(file, "evidence"), *results = json_object_get(evidence, "results"), *seed = json_object_get(evidence, "seed");
        const char *tool = read_str(evidence, "lathe") ? read_str(evidence, "lathe") : read_str(results, "lathe.build");
        if (!evidence || json_is_true(json_object_get(file, "replaced")))
            continue;
        read_each(read_at(results, "lathe.tasks"), task, own)
            TRY(one_set(d, list, file, results, task, own, b, err));
        if (!tool)
            continue;
        TRY(buf_printf(b, err, "%s: by %s%s", file_kind(file), begins(tool, "lathe") ? "" : "lathe ", tool));
        if (json_is_integer(seed))
            TRY(buf_printf(b, err, ", seed %lld", (long long)json_integer_value(seed)));
        put_said(d, list, b, file);
    }
    return 0;
}

static int one_process(struct doc *d, json_t *list, const json_t *file, struct buf *b, struct err *err)
{
    const json_t *evidence = json_object_get(file, "evidence"), *c = json_object_get(evidence, "calibration") ? json_object_get(evidence, "calibration") :
        evidence;
    const json_t *ece = json_object_get(json_object_get(c, "metrics"), "ece.equal_width.15");
    const char *task;
    json_t *own;
    char value[32], limit[32];
    if (ece) {
        TRY(buf_printf(b, err, "The calibration error, %s, stands beside %s, below which 95 of 100 calibrated models with the same confidences are",
                       figure_text(value, read_number(ece, "value")),
                       figure_text(limit, read_number(ece, "null_q95"))));
        put_said(d, list, b, file);
    }
    read_each(read_at(evidence, "results.lathe.tasks"), task, own) {
        TRY(buf_printf(b, err, "%s: of %lld items %lld were scored, %lld failed, %lld were not answered, %lld contexts were cut", task,
                       (long long)read_count(own, "items"),
                       (long long)read_count(own, "scored"), (long long)read_count(own, "failed"), (long long)read_count(own, "not_answered"),
                           (long long)read_count(own, "contexts_cut")));
        put_said(d, list, b, file);
    }
    return 0;
}

static int process_in_words(struct doc *d, json_t *list, const json_t *report, struct buf *b, struct err *err)
{
    size_t i;
    json_t *file;
    json_array_foreach(json_object_get(report, "files"), i, file)
        if (!json_is_true(json_object_get(file, "replaced")))
            TRY(one_process(d, list, file, b, err));
    return 0;
}

static int subcategory(struct doc *d, json_t *all, const json_t *report, const struct subcategory *s, struct buf *b, struct err *err)
{
    char id[24];
    json_t *o = doc_add(d, all, doc_object(d)), *list = doc_list(d);
    snprintf(id, sizeof id, "MEASURE %s", s->id);
    doc_str(d, o, "id", id);
    doc_str(d, o, "title", s->title);
    int rc = 0;
    if (has_word(s->about, "*"))
        rc = topics_in_words(d, list, report, b, err);
    else if (has_word(s->about, "sets"))
        rc = sets_in_words(d, list, report, b, err);
    else if (has_word(s->about, "process"))
        rc = process_in_words(d, list, report, b, err);
    else
        figures(d, list, report, s->about);
    doc_str(d, o, "status", json_array_size(list) ? "evidence" : "open");
    doc_put(d, o, "evidence", list);
    doc_str(d, o, "open", s->open);
    return rc;
}

int nist_make(json_t **out, const json_t *report, struct err *err)
{
    struct doc d = { 0 };
    struct buf b;
    buf_init(&b);
    json_t *o = doc_object(&d);
    doc_str(&d, o, "framework", "NIST AI Risk Management Framework 1.0 (NIST AI 100-1), MEASURE");
    doc_put(&d, o, "models", json_incref(json_object_get(report, "models")));
    json_t *all = doc_put(&d, o, "subcategories", doc_list(&d));
    int rc = 0;
    for (size_t i = 0; i < N_SUBCATEGORY && !rc; i++)
        rc = subcategory(&d, all, report, &subcategories[i], &b, err);
    if (!rc && d.failed)
        rc = ERR(err, NOMEM, "no memory for the evidence");
    buf_release(&b);
    if (rc)
        json_decref(o);
    else
        *out = o;
    return rc;
}

/* ---- as Markdown ---- */

enum { ROWS = 40 };

static int text_row(struct buf *b, const json_t *e, struct err *err)
{
    char text[96], n[32];
    const bool stopped = json_object_get(e, "stopped");
    TRY(buf_add_str(b, "| ", err));
    if (read_str(e, "what")) {
        TRY(md_cell(b, read_str(e, "what"), err));
        TRY(buf_add_str(b, stopped ? "| stopped run | " : "| | ", err));
    } else {
        TRY(md_text(b, read_str(e, "kind"), err));
        TRY(buf_add_str(b, ": ", err));
        TRY(md_text(b, read_str(e, "name"), err));
        TRY(buf_add_str(b, read_str(e, "of") ? ", " : "", err));
        TRY(read_str(e, "of") ? md_text(b, read_str(e, "of"), err) : 0);
        TRY(buf_add_str(b, read_str(e, "note") ? " - " : "", err));
        TRY(read_str(e, "note") ? md_text(b, read_str(e, "note"), err) : 0);
        TRY(buf_printf(b, err, " | %s | %s%s | ", figure_interval(text, e), read_thousands(n, read_count(e, "n")), stopped ? ", stopped run" : ""));
    }
    TRY(read_str(e, "file") ? md_text(b, read_str(e, "file"), err) : 0);
    return buf_add_str(b, " |\n", err);
}

static int text_of(struct buf *b, const json_t *s, struct err *err)
{
    const json_t *list = json_object_get(s, "evidence");
    size_t i;
    json_t *e;
    TRY(buf_printf(b, err, "\n## %s\n\n%s\n\n", read_str(s, "id"), read_str(s, "title")));
    if (json_array_size(list))
        TRY(buf_add_str(b, "| evidence | value (95 % interval) | n | file |\n|---|---:|---:|---|\n", err));
    json_array_foreach(list, i, e)
        if (i < ROWS)
            TRY(text_row(b, e, err));
    if (json_array_size(list) > ROWS)
        TRY(buf_printf(b, err, "\nand %zu more in the JSON form.\n", json_array_size(list) - ROWS));
    return buf_printf(b, err, "%s**Open**: %s.\n", json_array_size(list) ? "\n" : "", read_str(s, "open"));
}

/* Each file once, with its digest. */
static int digests(struct buf *b, const json_t *nist, struct err *err)
{
    struct doc d = { 0 };
    json_t *seen = doc_object(&d), *s, *e;
    size_t i, j;
    const char *file;
    json_t *sha;
    json_array_foreach(json_object_get(nist, "subcategories"), i, s)
        json_array_foreach(json_object_get(s, "evidence"), j, e)
            if (read_str(e, "file"))
                doc_str(&d, seen, read_str(e, "file"), read_str(e, "sha256") ? read_str(e, "sha256") : "–");
    int rc = d.failed ? ERR(err, NOMEM, "no memory for the evidence") : buf_add_str(b, "\n## Files\n\n| file | SHA-256 |\n|---|---|\n", err);
    json_object_foreach(seen, file, sha) {
        rc = rc ? rc : buf_add_str(b, "| ", err);
        rc = rc ? rc : md_cell(b, file, err);
        rc = rc ? rc : buf_printf(b, err, "`%s` |\n", json_string_value(sha));
    }
    json_decref(seen);
    return rc;
}

int nist_text(const json_t *nist, struct buf *b, struct err *err)
{
    size_t i, n = 0;
    json_t *s, *m;
    TRY(buf_printf(b, err, "# Evidence for MEASURE\n\n%s: what was measured for each subcategory, and what is open.\nThat a subcategory is met is for people "
                   "to decide; nothing here says it.\n\n",
                   read_str(nist, "framework")));
    json_array_foreach(json_object_get(nist, "models"), i, m) {
        TRY(buf_add_str(b, "- model ", err));
        TRY(md_text(b, read_str(m, "name"), err));
        TRY(buf_add_str(b, ", SHA-256 ", err));
        TRY(md_text(b, read_str(m, "sha256"), err));
        if (read_str(m, "adapter_sha256")) {
            TRY(buf_add_str(b, ", adapter ", err));
            TRY(md_text(b, read_str(m, "adapter_sha256"), err));
        }
        TRY(buf_add_char(b, '\n', err));
    }
    json_array_foreach(json_object_get(nist, "subcategories"), i, s)
        n += json_array_size(json_object_get(s, "evidence")) > 0;
    TRY(buf_printf(b, err, "\n%zu of %zu subcategories have evidence here; something is open in each.\n", n,
                   json_array_size(json_object_get(nist, "subcategories"))));
    json_array_foreach(json_object_get(nist, "subcategories"), i, s)
        TRY(text_of(b, s, err));
    return digests(b, nist, err);
}
