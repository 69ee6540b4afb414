#include "card/card.h"
#include "base/when.h"
#include "card/bom.h"
#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "base/utf8.h"
#include "card/licences.h"
#include "card/parts.h"
#include "card/questions.h"
#include "card/read.h"
#include "card/shape.h"

/* ---- dates ---- */

bool card_is_date(const char *s)
{
    static const char form[] = "0000-00-00T00:00:00Z";
    const size_t n = s ? strlen(s) : 0;
    if (n != 10 && n != 20)
        return false;
    for (size_t i = 0; i < n; i++)
        if (form[i] == '0' ? !isdigit((unsigned char)s[i]) : s[i] != form[i])
            return false;
    struct tm tm = { 0 }, same;
    if (sscanf(s, "%d-%d-%dT%d:%d:%d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec) < 3)
        return false;
    tm.tm_year -= 1900, tm.tm_mon--, same = tm;
    /* A day that there is: mktime's brother would carry the 31st of June into July. */
    return timegm(&same) != (time_t)-1 && same.tm_mon == tm.tm_mon && same.tm_mday == tm.tm_mday && same.tm_hour == tm.tm_hour && same.tm_min == tm.tm_min && same.tm_sec == tm.tm_sec;
}

static void date_put(char out[21], const char *s) { snprintf(out, 21, "%.10s%s", s, strlen(s) == 20 ? s + 10 : "T00:00:00Z"); }

/* The last day on which something of it was collected; NULL: no source says one. */
static const char *last_collected(const json_t *report)
{
    const char *last = NULL;
    size_t i;
    json_t *source;
    json_array_foreach(read_at(report, "sources"), i, source) {
        const char *day = read_str(source, "collected");
        if (card_is_date(day) && (!last || strcmp(day, last) > 0))
            last = day;
    }
    return last;
}

/* The date of the newest of the sources' files that are still there. */
static bool newest_file(const json_t *report, char out[WHEN_TEXT])
{
    const json_t *sources = json_object_get(report, "sources"), *files;
    time_t newest = 0;
    struct stat st;
    for (size_t i = 0; i < json_array_size(sources); i++) {
        files = json_object_get(json_array_get(sources, i), "files");
        for (size_t j = 0; j < json_array_size(files); j++) {
            const char *path = read_str(json_array_get(files, j), "path");
            if (path && !stat(path, &st) && st.st_mtime > newest)
                newest = st.st_mtime;
        }
    }
    return newest > 0 && newest <= WHEN_LAST && (when_seconds(out, (int64_t)newest), true);
}

static int date_of(struct card *c, const struct card_opts *o, struct err *err)
{
    const char *day = o->created ? o->created : last_collected(c->report);
    char newest[WHEN_TEXT];
    c->created_by = o->created ? "as given" : day ? "that of the last collection of a source" : "that of the newest file of the sources";
    if (!day && newest_file(c->report, newest))
        day = newest;
    if (!day)
        return ERR(err, USAGE, "no date: found no source with a date of collection, and none of their files, expected --created YYYY-MM-DD");
    if (!card_is_date(day))
        return ERR(err, USAGE, "date '%.40s': expected YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ", day);
    date_put(c->created, day);
    return 0;
}

/* ---- what it is about ---- */

static int name_of(struct card *c, const struct card_opts *o, struct err *err)
{
    const json_t *sources = json_object_get(c->report, "sources");
    c->name = o->name ? o->name : json_array_size(sources) == 1 ? read_str(json_array_get(sources, 0), "name") : NULL;
    if (c->name && !utf8_is_plain(c->name, strlen(c->name)))
        return ERR(err, USAGE, "name '%.60s': expected a line of UTF-8", c->name);
    return c->name && *c->name ? 0 : ERR(err, USAGE, "no name: found %zu sources, expected --name for what they are together", json_array_size(sources));
}

void card_urn(const struct card *c, char out[46]) { bom_urn(c->digest, out); }

static int add_tree(struct sha256 *sum, const json_t *v, struct err *err)
{
    char *text = tree_dumps(v, JSON_COMPACT | JSON_SORT_KEYS);
    if (text)
        sha256_add(sum, text, strlen(text) + 1);
    mem_free(text);
    return text ? 0 : ERR(err, NOMEM, "no memory for a report's digest");
}

/* All that the documents are made from, as one number.  An answer that is empty is none. */
static int digest_of(struct card *c, struct err *err)
{
    struct sha256 sum;
    TRY(sha256_init(&sum, err));
    int rc = add_tree(&sum, c->report, err);
    if (!rc && c->files)
        rc = add_tree(&sum, c->files, err);
    for (int i = 0; i < question_count(); i++)
        if (question_answer(c, i)) {
            sha256_add(&sum, question_id(i), strlen(question_id(i)) + 1);
            sha256_add(&sum, question_answer(c, i), strlen(question_answer(c, i)) + 1);
        }
    sha256_add(&sum, c->name, strlen(c->name) + 1);
    sha256_add(&sum, c->created, strlen(c->created));
    sha256_end(&sum, c->digest);
    return rc;
}

static int card_of(struct card *c, const json_t *report, const struct card_opts *o, struct err *err)
{
    TRY(shape_check(report, "report.json", err));
    if (o->files)
        TRY(shape_check_files(o->files, "files of the build", err));
    if (o->answers)
        TRY(questions_check(o->answers, err));
    *c = (struct card){ .report = report, .answers = o->answers, .files = o->files };
    TRY(name_of(c, o, err));
    TRY(date_of(c, o, err));
    return digest_of(c, err);
}

/* ---- documents ---- */

static int dump(const json_t *v, struct buf *out, struct err *err)
{
    char *text = tree_dumps(v, JSON_INDENT(1));
    const int rc = text ? buf_add_str(out, text, err) : ERR(err, NOMEM, "no memory for a document");
    mem_free(text);
    return rc ? rc : buf_add_char(out, '\n', err);
}

static int report_of_card(const struct card *c, struct buf *out, struct err *err) { return dump(c->report, out, err); }

static const struct document { const char *name; int (*write)(const struct card *c, struct buf *out, struct err *err); } documents[] = {
    { "report.html", page_of_card },   { "report.json", report_of_card },      { "datasheet.md", datasheet_of_card },
    { "README.md", hub_of_card },      { "questions.yaml", questions_of_card }, { "croissant.json", croissant_of_card },
    { "spdx.json", spdx_of_card },     { "cyclonedx.json", cyclonedx_of_card },
};
static_assert(sizeof documents / sizeof *documents == CARD_DOCUMENTS, "card.h says how many");

/* A README.md of somebody else's is not written over: where a card is, its questions are. */
static int is_ours(const char *dir, struct err *err)
{
    char *readme = file_join(dir, "README.md"), *questions = file_join(dir, "questions.yaml");
    int rc = readme && questions ? 0 : ERR(err, NOMEM, "no memory for a path");
    if (!rc && file_exists(readme) && !file_exists(questions))
        rc = ERR(err, USAGE, "'%s' has a README.md that is no card's: a card would take its place", dir);
    mem_free(readme), mem_free(questions);
    return rc;
}

static int save(const char *dir, const struct buf text[CARD_DOCUMENTS], struct err *err)
{
    TRY(is_ours(dir, err));
    TRY(file_mkdirs(dir, err));
    for (int i = 0; i < CARD_DOCUMENTS; i++) {
        char *path = file_join(dir, documents[i].name);
        const int rc = path ? file_write_all(path, text[i].data, text[i].len, err) : ERR(err, NOMEM, "no memory for a path");
        mem_free(path);
        TRY(rc);
    }
    return 0;
}

static int make(struct card *c, struct buf text[CARD_DOCUMENTS], struct card_result *out, struct err *err)
{
    TRY(licences_of_sources(c->report, &c->licences, err));
    for (int i = 0; i < CARD_DOCUMENTS; i++)
        TRY(documents[i].write(c, &text[i], err));
    if (!out)
        return 0;
    *out = (struct card_result){ .created_by = c->created_by, .n_question = question_count() };
    memcpy(out->created, c->created, sizeof c->created);
    return questions_open(c, &out->n_open, err);
}

int card_make(const json_t *report, const struct card_opts *o, struct buf text[CARD_DOCUMENTS], struct card_result *out, struct err *err)
{
    struct card c;
    TRY(card_of(&c, report, o, err));
    const int rc = make(&c, text, out, err);
    json_decref(c.licences);
    return rc;
}

int card_write(const json_t *report, const struct card_opts *o, const char *dir, struct card_result *out, struct err *err)
{
    struct buf text[CARD_DOCUMENTS];
    for (int i = 0; i < CARD_DOCUMENTS; i++)
        buf_init(&text[i]);
    int rc = card_make(report, o, text, out, err);
    if (!rc)
        rc = save(dir, text, err);
    for (int i = 0; i < CARD_DOCUMENTS; i++)
        buf_release(&text[i]);
    return rc;
}
