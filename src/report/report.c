#include "report/report.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "base/mem.h"
#include "base/tree.h"
#include "report/parts.h"

const char *file_kind(const json_t *file)
{
    const char *kind = read_str(file, "kind");
    return kind ? kind : "";
}

static bool is_open(const json_t *o) { return json_is_false(json_object_get(o, "complete")); }

bool was_stopped(const json_t *evidence)
{
    const char *key;
    json_t *part, *item;
    size_t i;
    bool open = is_open(evidence) || is_open(read_at(evidence, "results.lathe"));
    read_each(evidence, key, part) {
        open = open || is_open(part);
        json_array_foreach(part, i, item)
            open = open || is_open(item);
    }
    return open;
}

const json_t *model_of(const json_t *report, const json_t *o)
{
    const json_t *i = json_object_get(o, "model");
    return json_is_integer(i) && json_integer_value(i) >= 0 ? json_array_get(json_object_get(report, "models"), (size_t)json_integer_value(i)) : NULL;
}

/* ---- models ---- */

/* The last two parts of a path say more than "model.safetensors". */
static const char *short_name(const char *path)
{
    const size_t n = strlen(path);
    size_t i = n, slashes = 0;
    while (i > 0 && slashes < 2)
        slashes += path[--i] == '/' && i + 1 < n;
    const char *last = strrchr(path, '/');
    if (last && last[1] && strncmp(last + 1, "model", 5))
        return last + 1;
    return path + i + (slashes == 2);
}

static const char *path_of_model(const json_t *evidence)
{
    const char *s = read_str(evidence, "model");
    return s ? s : read_str(evidence, "results.model_name") ? read_str(evidence, "results.model_name") : read_str(evidence, "results.config.model_args");
}

static const char *sha_of_model(const json_t *evidence)
{
    const char *s = read_str(evidence, "model_sha256");
    return s ? s : read_str(evidence, "results.config.model_sha");
}

static const char *path_of_adapter(const json_t *evidence)
{
    const char *s = read_str(evidence, "adapter");
    return s ? s : read_str(evidence, "results.lathe.adapter");
}

static const char *sha_of_adapter(const json_t *evidence)
{
    const char *s = read_str(evidence, "adapter_sha256");
    return s ? s : read_str(evidence, "results.config.peft_sha");
}

static bool same_text(const char *a, const char *b) { return a && b ? !strcmp(a, b) : !a && !b; }

static void put_name(struct doc *d, json_t *m, const char *path, const char *sha, const json_t *evidence)
{
    const char *adapter = path_of_adapter(evidence) ? short_name(path_of_adapter(evidence)) : sha_of_adapter(evidence), *name = path ? short_name(path) : sha;
    char *both = adapter ? mem_printf("%s with %s", name, adapter) : NULL;
    d->failed = d->failed || (adapter && !both);
    doc_str(d, m, "name", both ? both : name);
    mem_free(both);
}

/* Its place in the list, which it is added to where it is new: the same bytes are the same model, wherever they lay; with an adapter it is another one. */
static json_t *model_index(struct doc *d, json_t *models, const json_t *evidence)
{
    const char *path = path_of_model(evidence), *sha = sha_of_model(evidence), *adapter = sha_of_adapter(evidence);
    size_t i;
    json_t *m;
    if (!path && !sha)
        return json_null();
    json_array_foreach(models, i, m) {
        const char *other = read_str(m, "sha256"), *other_path = read_str(m, "model");
        if (same_text(adapter, read_str(m, "adapter_sha256")) && (sha && other ? !strcmp(sha, other) : !sha && !other && other_path && !strcmp(path, other_path)))
            return json_integer((json_int_t)i);
    }
    m = doc_add(d, models, doc_object(d));
    put_name(d, m, path, sha, evidence);
    doc_str(d, m, "model", path);
    doc_str(d, m, "sha256", sha);
    doc_str(d, m, "adapter", path_of_adapter(evidence));
    doc_str(d, m, "adapter_sha256", adapter);
    return json_integer((json_int_t)json_array_size(models) - 1);
}

/* ---- files ---- */

/* Seconds since 1970; lm-evaluation-harness's files have them too. */
static double date_of(const json_t *evidence) { return read_number(evidence, "date"); }

static json_t *file_entry(struct doc *d, json_t *models, const json_t *file)
{
    json_t *o = doc_object(d), *evidence = json_object_get(file, "evidence");
    doc_str(d, o, "file", read_str(file, "file"));
    if (!json_is_object(evidence)) {
        doc_str(d, o, "error", read_str(file, "error") ? read_str(file, "error") : "it is not there");
        return o;
    }
    doc_str(d, o, "sha256", read_str(file, "sha256"));
    doc_int(d, o, "bytes", read_count(file, "bytes"));
    doc_str(d, o, "kind", read_str(evidence, "kind") ? read_str(evidence, "kind") : "unnamed");
    doc_put(d, o, "date", tree_number(date_of(evidence)));
    doc_put(d, o, "model", model_index(d, models, evidence));
    if (was_stopped(evidence))
        doc_put(d, o, "stopped", json_true());
    doc_put(d, o, "evidence", json_incref(evidence));
    if (json_array_size(json_object_get(file, "examples")))
        doc_put(d, o, "examples", json_incref(json_object_get(file, "examples")));
    return o;
}

static void put_dates(struct doc *d, json_t *report)
{
    double from = INFINITY, to = -INFINITY;
    size_t i;
    json_t *f;
    json_array_foreach(json_object_get(report, "files"), i, f) {
        const double t = read_number(f, "date");
        from = t < from ? t : from, to = t > to ? t : to;
    }
    doc_put(d, report, "from", tree_number(from));
    doc_put(d, report, "to", tree_number(to));
}

/* ---- figures ---- */

static void copy_number(struct doc *d, json_t *to, const json_t *from, const char *key)
{
    const double v = read_number(from, key);
    doc_put(d, to, key, tree_number(v));
}

/* What of a kind's own figures has the form of one. */
static void figures_of_evidence(struct doc *d, json_t *list, const json_t *evidence)
{
    size_t i;
    json_t *f;
    json_array_foreach(json_object_get(evidence, "figures"), i, f) {
        if (!read_str(f, "name"))
            continue;
        json_t *o = doc_add(d, list, doc_object(d));
        doc_str(d, o, "name", read_str(f, "name"));
        doc_str(d, o, "of", read_str(f, "of"));
        copy_number(d, o, f, "value"), copy_number(d, o, f, "low"), copy_number(d, o, f, "high");
        doc_int(d, o, "n", read_count(f, "n"));
        doc_str(d, o, "better", read_str(f, "better"));
        doc_str(d, o, "what", read_str(f, "what"));
    }
}

static char *key_of(const json_t *file, const json_t *figure)
{
    const json_t *model = json_object_get(file, "model");
    const char *of = read_str(figure, "of");
    return mem_printf("%s\x1f%lld\x1f%lld\x1f%s\x1f%s", file_kind(file), json_is_integer(model) ? (long long)json_integer_value(model) : -1LL,
                      (long long)read_count(figure, "shots"),
                      read_str(figure, "name"), of ? of : "");
}

/* Which file has a figure last: key -> index.  A run that was stopped does not replace one that was not. */
static void note_owners(struct doc *d, json_t *owner, const json_t *files, size_t i_file, const json_t *figures)
{
    const json_t *file = json_array_get(files, i_file);
    size_t i;
    json_t *f;
    json_array_foreach(figures, i, f) {
        char *key = key_of(file, f);
        const json_t *before = key ? json_object_get(owner, key) : NULL;
        const bool keep = before && json_object_get(file, "stopped") && !json_object_get(json_array_get(files, (size_t)json_integer_value(before)), "stopped");
        if (key && !keep)
            doc_int(d, owner, key, (int64_t)i_file);
        d->failed = d->failed || !key;
        mem_free(key);
    }
}

static size_t take_owned(struct doc *d, json_t *all, const json_t *owner, const json_t *file, size_t i_file, json_t *figures)
{
    size_t i, n = 0;
    json_t *f;
    json_array_foreach(figures, i, f) {
        char *key = key_of(file, f);
        d->failed = d->failed || !key;
        if (key && json_integer_value(json_object_get(owner, key)) == (json_int_t)i_file) {
            doc_str(d, f, "kind", file_kind(file));
            doc_int(d, f, "file", (int64_t)i_file);
            doc_put(d, f, "model", json_incref(json_object_get(file, "model")));
            if (json_object_get(file, "stopped"))
                doc_put(d, f, "stopped", json_true());
            doc_add(d, all, json_incref(f));
            n++;
        }
        mem_free(key);
    }
    return n;
}

static void put_figures(struct doc *d, json_t *report)
{
    json_t *files = json_object_get(report, "files"), *all = doc_put(d, report, "figures", doc_list(d)), *owner = doc_object(d), *of = doc_list(d), *file;
    size_t i;
    json_array_foreach(files, i, file) {
        json_t *list = doc_add(d, of, doc_list(d)), *evidence = json_object_get(file, "evidence");
        if (!strcmp(file_kind(file), "tasks"))
            figures_of_tasks(d, list, json_object_get(evidence, "results"));
        else
            figures_of_evidence(d, list, evidence);
        note_owners(d, owner, files, i, list);
    }
    json_array_foreach(files, i, file) {
        json_t *list = json_array_get(of, i);
        const size_t n = take_owned(d, all, owner, file, i, list);
        if (json_object_get(file, "kind"))
            doc_put(d, file, "replaced", json_boolean(json_array_size(list) && !n));
    }
    json_decref(owner), json_decref(of);
}

int report_make(json_t **out, const json_t *files, struct err *err)
{
    struct doc d = { 0 };
    json_t *o = doc_object(&d), *models = doc_put(&d, o, "models", doc_list(&d)), *to = doc_put(&d, o, "files", doc_list(&d)), *file;
    size_t i;
    json_array_foreach(files, i, file)
        doc_add(&d, to, file_entry(&d, models, file));
    put_dates(&d, o);
    put_figures(&d, o);
    if (!d.failed) {
        *out = o;
        return 0;
    }
    json_decref(o);
    return ERR(err, NOMEM, "no memory for a report on %zu files", json_array_size(files));
}

/* ---- looking for figures ---- */

json_t *figures_of_file(const json_t *report, size_t i_file)
{
    json_t *list = json_array(), *f;
    size_t i;
    json_array_foreach(json_object_get(report, "figures"), i, f)
        if (list && json_integer_value(json_object_get(f, "file")) == (json_int_t)i_file && json_array_append(list, f))
            json_decref(list), list = NULL;
    return list;
}

/* ---- words ---- */

char *date_text(char out[40], double t)
{
    struct tm tm;
    const time_t whole = fabs(t) < 2.5e11 ? (time_t)t : -1;
    if (whole == -1 || !gmtime_r(&whole, &tm) || !strftime(out, 40, "%Y-%m-%d %H:%M UTC", &tm))
        return strcpy(out, "–");
    return out;
}

char *figure_text(char out[32], double v)
{
    if (!isfinite(v))
        return strcpy(out, "–");
    const double a = fabs(v);
    snprintf(out, 32, a != 0 && a < 0.001 ? "%.2e" : a < 100 ? "%.4f" : a < 1e5 ? "%.1f" : "%.4g", v);
    return out;
}

bool figure_has_interval(const json_t *figure) { return isfinite(read_number(figure, "low")) && isfinite(read_number(figure, "high")); }

char *figure_interval(char out[96], const json_t *figure)
{
    char v[32], low[32], high[32];
    figure_text(v, read_number(figure, "value"));
    if (figure_has_interval(figure))
        snprintf(out, 96, "%s (%s to %s)", v, figure_text(low, read_number(figure, "low")), figure_text(high, read_number(figure, "high")));
    else
        strcpy(out, v);
    return out;
}

/* In the order of the page.  kinds: with spaces around each. */
const struct topic topics[] = {
    { "tasks", "Scores on tasks", " tasks ", "lathe eval MODEL --tasks LIST" },
    { "images", "A classifier of images", " images ", "lathe eval MODEL --images SET" },
    { "calibration", "Calibration", " calibration ", "lathe eval --logits FILE, or --images" },
    { "robustness", "Robustness to changed inputs", " robustness checklist ", "lathe eval MODEL --tasks LIST --perturb all, --checklist, or --images with "
     "--corruptions" },
    { "attacks", "Attacks", " attacks injections ", "lathe eval MODEL --attack LIST, --injections FILE" },
    { "ood", "Inputs from elsewhere", " ood ", "lathe eval MODEL --texts FILE --ood FILE, or --images" },
    { "bias", "Groups and bias", " bias groups ", "lathe eval MODEL --tasks bbq,crows_pairs, or --groups FIELD" },
    { "membership", "What was memorised", " membership exposure ", "lathe eval MODEL --membership FILE --non-members FILE, lathe data exposure" },
    { "speed", "Speed and cost", " speed cost bench ", "lathe bench" },
    { "choice", "Which model to take", " select sweep ", "" },
    { 0 },
};

static bool has_kind(const char *kinds, const char *kind)
{
    char word[80];
    return snprintf(word, sizeof word, " %s ", kind) < (int)sizeof word && strstr(kinds, word);
}

const struct topic *topic_of(const char *kind)
{
    for (const struct topic *t = topics; t->id; t++)
        if (*kind && has_kind(t->kinds, kind))
            return t;
    return NULL;
}

/* A classifier of images is looked at in one file, with a part for each thing that was asked for. */
static bool images_have(const json_t *evidence, const char *topic)
{
    return json_object_get(evidence, !strcmp(topic, "robustness") ? "corruptions" : topic) != NULL;
}

bool topic_found(const json_t *report, const struct topic *t)
{
    size_t i;
    json_t *f;
    json_array_foreach(json_object_get(report, "files"), i, f) {
        const char *kind = file_kind(f);
        if (topic_of(kind) == t || (!strcmp(kind, "images") && images_have(json_object_get(f, "evidence"), t->id)))
            return true;
    }
    return false;
}

bool topic_missing(const json_t *report, const struct topic *t)
{
    const bool images = topic_found(report, topic_of("images"));
    return !topic_found(report, t) && *t->how && strcmp(t->id, "images") && !(images && !strcmp(t->id, "tasks"));
}

const char *image_subject(const json_t *figure)
{
    static const struct { const char *part, *subject; } parts[] = {
        { "ece", "calibration" }, { "brier", "calibration" }, { "nll", "calibration" }, { "temperature", "calibration" }, { "coverage", "calibration" },
            { "robust", "attacks" },
        { "success", "attacks" }, { "auroc", "ood" }, { "fpr95", "ood" }, { "aupr", "ood" }, { "corrupt", "robustness" }, { "retained", "robustness" },
    };
    const char *name = read_str(figure, "name"), *of = read_str(figure, "of");
    if (name && of && !strcmp(name, "accuracy"))         /* under corruptions, or under an attack */
        return !strncmp(of, "corruptions", 11) ? "robustness" : "attacks";
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (name && strstr(name, parts[i].part))
            return parts[i].subject;
    return "images";
}
