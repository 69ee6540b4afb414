#include "report/card.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/opt.h"
#include "base/utf8.h"
#include "card/licences.h"
#include "card/mark.h"
#include "report/parts.h"

struct fact { const char *key; bool list, yaml; const char *section, *question; };
static const struct fact facts[] = {
#define FACT(key, list, yaml, section, question) { #key, list, yaml, section, question },
#include "report/facts.def"
#undef FACT
};
#define N_FACT (sizeof facts / sizeof *facts)

/* ---- what a person said ---- */

static const struct fact *fact_of(const char *key)
{
    for (size_t i = 0; i < N_FACT; i++)
        if (!strcmp(facts[i].key, key))
            return &facts[i];
    return NULL;
}

static bool are_texts(const json_t *v)
{
    size_t i;
    json_t *s;
    bool all = json_is_array(v);
    json_array_foreach(v, i, s)
        all = all && json_is_string(s);
    return all;
}

int card_facts_check(const json_t *o, const char *where, struct err *err)
{
    const char *key, *known[N_FACT];
    json_t *v;
    for (size_t i = 0; i < N_FACT; i++)
        known[i] = facts[i].key;
    if (!json_is_object(o))
        return ERR(err, FORMAT, "%s: found no keys with values, expected such as license: apache-2.0", where);
    read_each(o, key, v) {
        const struct fact *f = fact_of(key);
        const char *near = f ? NULL : word_nearest(key, known, N_FACT);
        if (!f)
            return ERR(err, FORMAT, "%s: found the key '%.60s', expected %s%s", where, key, near ? "perhaps " : "one of doc/report.md", near ? near : "");
        if (!json_is_string(v) && !(f->list && are_texts(v)))
            return ERR(err, FORMAT, "%s: %s: expected a text%s", where, key, f->list ? " or a list of texts" : "");
    }
    return 0;
}

static const char *said(const struct card_of_model *c, const char *key) { return read_str(c->facts, key); }

static const json_t *model(const struct card_of_model *c)
{
    return c->i_model < 0 ? NULL : json_array_get(json_object_get(c->report, "models"), (size_t)c->i_model);
}

static const char *name_of(const struct card_of_model *c)
{
    const char *name = said(c, "name") ? said(c, "name") : c->name ? c->name : read_str(model(c), "name");
    return name ? name : "model";
}

/* Of this model, or of answers that name none. */
static bool is_own(const struct card_of_model *c, const json_t *f)
{
    const json_t *i = json_object_get(f, "model");
    return !json_is_integer(i) || json_integer_value(i) == c->i_model;
}

/* ---- YAML ---- */

static int yaml_line(struct buf *b, const char *before, const char *text, struct err *err)
{
    TRY(buf_add_str(b, before, err));
    TRY(yaml_text(b, text, err));
    return buf_add_char(b, '\n', err);
}

static int yaml_list(struct buf *b, const char *key, const json_t *v, struct err *err)
{
    size_t i;
    json_t *s;
    if (json_is_string(v) && json_string_length(v)) {
        TRY(buf_printf(b, err, "%s:\n", key));
        return yaml_line(b, "- ", json_string_value(v), err);
    }
    if (json_array_size(v))
        TRY(buf_printf(b, err, "%s:\n", key));
    json_array_foreach(v, i, s)
        TRY(yaml_line(b, "- ", json_string_value(s), err));
    return 0;
}

/* A name that the Hub knows, or "other" with its own name. */
static int licence(struct buf *b, const char *s, struct err *err)
{
    const char *id = licence_hub_id(s);
    if (id)
        return buf_printf(b, err, "license: %s\n", id);
    return yaml_line(b, "license: other\nlicense_name: ", s, err);
}

static int front_facts(const struct card_of_model *c, struct buf *b, struct err *err)
{
    for (size_t i = 0; i < N_FACT; i++) {
        const json_t *v = json_object_get(c->facts, facts[i].key);
        if (!facts[i].yaml || !v || (!strcmp(facts[i].key, "datasets") && c->data_cards))
            continue;
        if (!strcmp(facts[i].key, "license"))
            TRY(said(c, "license") ? licence(b, said(c, "license"), err) : 0);
        else if (facts[i].list)
            TRY(yaml_list(b, facts[i].key, v, err));
        else if (read_str(c->facts, facts[i].key)) {
            TRY(buf_printf(b, err, "%s: ", facts[i].key));
            TRY(yaml_line(b, "", json_string_value(v), err));
        }
    }
    return 0;
}

/* Those that were said, and those that have a data card. */
static int front_data(const struct card_of_model *c, struct buf *b, struct err *err)
{
    const json_t *v = json_object_get(c->facts, "datasets");
    size_t i;
    json_t *o;
    if (!json_array_size(c->data_cards))
        return 0;
    TRY(buf_add_str(b, "datasets:\n", err));
    if (json_is_string(v))
        TRY(yaml_line(b, "- ", json_string_value(v), err));
    json_array_foreach(v, i, o)
        TRY(yaml_line(b, "- ", json_string_value(o), err));
    json_array_foreach(c->data_cards, i, o)
        if (read_str(o, "name"))
            TRY(yaml_line(b, "- ", read_str(o, "name"), err));
    return 0;
}

/* ---- model-index ---- */

enum { INDEX = 300 };

static const json_t *config_of(const struct card_of_model *c, const json_t *f)
{
    const json_t *file = json_array_get(json_object_get(c->report, "files"), (size_t)json_integer_value(json_object_get(f, "file")));
    const char *of = read_str(f, "of");
    return of ? json_object_get(read_at(file, "evidence.results.configs"), of) : NULL;
}

/* "json" and the like name a format, not a data set. */
static const char *data_set(const json_t *config)
{
    static const char *const formats[] = { "json", "csv", "text", "parquet", "arrow" };
    const char *path = read_str(config, "dataset_path");
    for (size_t i = 0; path && i < sizeof formats / sizeof *formats; i++)
        if (!strcmp(path, formats[i]))
            return NULL;
    return path;
}

static int index_head(const struct card_of_model *c, const json_t *f, struct buf *b, struct err *err)
{
    const json_t *config = config_of(c, f);
    const bool images = !strcmp(file_kind(f), "images");
    const char *of = read_str(f, "of") ? read_str(f, "of") : file_kind(f), *split = read_str(config, "test_split") ? read_str(config, "test_split") :
        read_str(config, "validation_split");
    TRY(buf_printf(b, err, "  - task:\n      type: %s\n", images ? "image-classification" : "text-generation"));
    TRY(yaml_line(b, "      name: ", of, err));
    TRY(yaml_line(b, "    dataset:\n      type: ", data_set(config) ? data_set(config) : of, err));
    TRY(yaml_line(b, "      name: ", of, err));
    if (read_str(config, "dataset_name"))
        TRY(yaml_line(b, "      config: ", read_str(config, "dataset_name"), err));
    if (split)
        TRY(yaml_line(b, "      split: ", split, err));
    return buf_add_str(b, "    metrics:\n", err);
}

static int index_metric(const json_t *f, struct buf *b, struct err *err)
{
    char name[400], low[32], high[32], n[32];
    TRY(yaml_line(b, "    - type: ", read_str(f, "name"), err));
    TRY(buf_printf(b, err, "      value: %.6g\n", read_number(f, "value")));
    utf8_fit(name, 201, read_str(f, "name"), strlen(read_str(f, "name")));
    int k = (int)strlen(name);
    if (figure_has_interval(f))
        k += snprintf(name + k, sizeof name - (size_t)k, ", 95 %% interval %s to %s", figure_text(low, read_number(f, "low")),
                      figure_text(high, read_number(f, "high")));
    snprintf(name + k, sizeof name - (size_t)k, ", n %s", read_thousands(n, read_count(f, "n")));
    return yaml_line(b, "      name: ", name, err);
}

static bool in_index(const struct card_of_model *c, const json_t *f)
{
    const char *kind = file_kind(f);
    return is_own(c, f) && !json_object_get(f, "stopped") && isfinite(read_number(f, "value")) &&
        (!strcmp(kind, "tasks") || (!strcmp(kind, "images") && !strcmp(read_str(f, "name"), "accuracy") && !read_str(f, "of")));
}

static bool same_task(const json_t *a, const json_t *b)
{
    const char *x = read_str(a, "of"), *y = read_str(b, "of");
    return json_equal(json_object_get(a, "file"), json_object_get(b, "file")) && (x && y ? !strcmp(x, y) : !x && !y);
}

/* Figures of a task stand together. */
static int model_index(const struct card_of_model *c, struct buf *b, struct err *err)
{
    const json_t *before = NULL;
    size_t i, n = 0;
    json_t *f;
    json_array_foreach(json_object_get(c->report, "figures"), i, f) {
        if (!in_index(c, f) || n++ >= INDEX)
            continue;
        if (!before) {
            TRY(yaml_line(b, "model-index:\n- name: ", name_of(c), err));
            TRY(buf_add_str(b, "  results:\n", err));
        }
        if (!before || !same_task(before, f))
            TRY(index_head(c, f, b, err));
        TRY(index_metric(f, b, err));
        before = f;
    }
    return 0;
}

/* ---- the text ---- */

static int open_line(const struct fact *f, struct buf *b, struct err *err) { return buf_printf(b, err, "**Open**: %s (`%s`).\n\n", f->question, f->key); }

static int said_list(struct buf *b, const json_t *v, struct err *err)
{
    size_t i;
    json_t *s;
    if (json_is_string(v))
        return md_lines(b, json_string_value(v), err);
    json_array_foreach(v, i, s) {
        TRY(buf_add_str(b, i ? ", " : "", err));
        TRY(md_text(b, json_string_value(s), err));
    }
    return buf_add_char(b, '\n', err);
}

static bool is_said(const json_t *v) { return json_string_length(v) || json_array_size(v); }

/* What was said and what is open of a section. */
static int section(const struct card_of_model *c, const char *level, const char *title, struct buf *b, struct err *err)
{
    TRY(buf_printf(b, err, "%s %s\n\n", level, title));
    for (size_t i = 0; i < N_FACT; i++) {
        const json_t *v = json_object_get(c->facts, facts[i].key);
        if (!facts[i].section || strcmp(facts[i].section, title))
            continue;
        if (!is_said(v) && !strcmp(facts[i].key, "datasets") && json_array_size(c->data_cards))
            continue;                    /* the cards name them */
        if (!is_said(v)) {
            TRY(open_line(&facts[i], b, err));
            continue;
        }
        if (facts[i].yaml || facts[i].list)
            TRY(buf_printf(b, err, "%s: ", facts[i].key));
        TRY(said_list(b, v, err));
        TRY(buf_add_char(b, '\n', err));
    }
    return 0;
}

static int about_model(const struct card_of_model *c, struct buf *b, struct err *err)
{
    if (!model(c))
        return 0;
    TRY(buf_add_str(b, "File that was evaluated: ", err));
    TRY(md_text(b, read_str(model(c), "model"), err));
    TRY(buf_add_str(b, ", SHA-256 ", err));
    TRY(md_text(b, read_str(model(c), "sha256"), err));
    if (read_str(model(c), "adapter_sha256")) {
        TRY(buf_add_str(b, ", with the adapter ", err));
        TRY(md_text(b, read_str(model(c), "adapter"), err));
        TRY(buf_add_str(b, ", SHA-256 ", err));
        TRY(md_text(b, read_str(model(c), "adapter_sha256"), err));
    }
    return buf_add_str(b, "\n\n", err);
}

static int data_cards(const struct card_of_model *c, struct buf *b, struct err *err)
{
    size_t i;
    json_t *o;
    json_array_foreach(c->data_cards, i, o) {
        TRY(buf_add_str(b, i ? "| " : "| data card | licence | SHA-256 of its croissant.json |\n|---|---|---|\n| ", err));
        TRY(md_cell(b, read_str(o, "name"), err));
        TRY(md_cell(b, read_str(o, "license"), err));
        TRY(md_text(b, read_str(o, "sha256"), err));
        TRY(buf_add_str(b, " |\n", err));
    }
    return json_array_size(c->data_cards) ? buf_add_char(b, '\n', err) : 0;
}

enum { ROWS = 60 };

static int figure_row(const json_t *f, struct buf *b, struct err *err)
{
    char v[32], low[32], high[32], n[32];
    TRY(buf_add_str(b, "| ", err));
    TRY(md_cell(b, read_str(f, "of") ? read_str(f, "of") : file_kind(f), err));
    TRY(md_cell(b, read_str(f, "name"), err));
    TRY(buf_printf(b, err, "%s | ", figure_text(v, read_number(f, "value"))));
    if (figure_has_interval(f))
        TRY(buf_printf(b, err, "%s to %s", figure_text(low, read_number(f, "low")), figure_text(high, read_number(f, "high"))));
    return buf_printf(b, err, " | %s%s |\n", read_thousands(n, read_count(f, "n")), json_object_get(f, "stopped") ? ", stopped run" : "");
}

/* t NULL: of kinds that no topic knows. */
static int measured(const struct card_of_model *c, const struct topic *t, struct buf *b, struct err *err)
{
    size_t i, n = 0;
    json_t *f;
    json_array_foreach(json_object_get(c->report, "figures"), i, f) {
        if (!is_own(c, f) || topic_of(file_kind(f)) != t || n++ >= ROWS)
            continue;
        if (n == 1)
            TRY(buf_printf(b, err, "\n### %s\n\n| of | measure | value | 95 %% interval | n |\n|---|---|---:|---:|---:|\n", t ? t->title : "Other measures"));
        TRY(figure_row(f, b, err));
    }
    return n > ROWS ? buf_printf(b, err, "\nand %zu more in report.json.\n", n - ROWS) : 0;
}

static bool any_stopped(const struct card_of_model *c)
{
    size_t i;
    json_t *f;
    bool any = false;
    json_array_foreach(json_object_get(c->report, "figures"), i, f)
        any = any || (is_own(c, f) && json_object_get(f, "stopped"));
    return any;
}

static int evaluation(const struct card_of_model *c, struct buf *b, struct err *err)
{
    bool any = false;
    TRY(buf_add_str(b, "## Evaluation\n\nIntervals are of 95 %; n counts items. `report.html` has conventions, failed and cut items, diagrams and "
                    "examples.\n", err));
    if (any_stopped(c))
        TRY(buf_add_str(b, "\n**Incomplete**: figures of a \"stopped run\" are of what was done before it was stopped, and are not in model-index.\n", err));
    for (const struct topic *t = topics; t->id; t++)
        TRY(measured(c, t, b, err));
    TRY(measured(c, NULL, b, err));
    for (const struct topic *t = topics; t->id; t++) {
        if (!topic_missing(c->report, t))
            continue;
        TRY(buf_printf(b, err, "%s%s", any ? ", " : "\n**Open**: not measured were ", t->title));
        any = true;
    }
    return buf_add_str(b, any ? ".\n\n" : "\n", err);
}

int report_card(const struct card_of_model *c, struct buf *b, struct err *err)
{
    static const struct { const char *level, *title; } sections[] = { { "###", "Direct Use" }, { "###", "Downstream Use" }, { "###", "Out-of-Scope Use" } };
    TRY(buf_add_str(b, "---\n", err));
    const size_t begin = b->len;
    TRY(front_facts(c, b, err));
    TRY(front_data(c, b, err));
    TRY(model_index(c, b, err));
    if (b->len == begin)                 /* the Hub's reader takes an empty one for text */
        TRY(buf_add_str(b, "# No licence, data set or score is known.\n", err));
    TRY(buf_add_str(b, "---\n\n# ", err));
    TRY(md_text(b, name_of(c), err));
    TRY(buf_add_str(b, "\n\n", err));
    TRY(section(c, "##", "Model Details", b, err));
    TRY(about_model(c, b, err));
    TRY(section(c, "###", "Model Description", b, err));
    TRY(buf_add_str(b, "## Uses\n\n", err));
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        TRY(section(c, sections[i].level, sections[i].title, b, err));
    TRY(section(c, "##", "Bias, Risks, and Limitations", b, err));
    TRY(section(c, "###", "Recommendations", b, err));
    TRY(buf_add_str(b, "## Training Details\n\n", err));
    TRY(section(c, "###", "Training Data", b, err));
    TRY(data_cards(c, b, err));
    TRY(section(c, "###", "Training Procedure", b, err));
    TRY(evaluation(c, b, err));
    TRY(section(c, "##", "Environmental Impact", b, err));
    TRY(section(c, "##", "Citation", b, err));
    return section(c, "##", "Model Card Contact", b, err);
}
