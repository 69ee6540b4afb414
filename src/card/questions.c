#include "card/questions.h"
#include <ctype.h>
#include <string.h>
#include "base/opt.h"
#include "card/evidence.h"
#include "card/mark.h"
#include "card/read.h"

enum how { PART, WHOLE };
#define evidence_NONE NULL
static const struct question {
    const char *id, *section;
    enum how how;
    int (*evidence)(const struct card *c, struct buf *out, struct err *err);
    const char *text;
} questions[] = {
#define QUESTION(id, section, how, evidence, text) { id, section, how, evidence_##evidence, text },
#include "card/questions.def"
#undef QUESTION
};
enum { N_QUESTION = sizeof questions / sizeof *questions };

int question_count(void) { return N_QUESTION; }
const char *question_id(int i) { return questions[i].id; }
const char *question_section(int i) { return questions[i].section; }
const char *question_text(int i) { return questions[i].text; }

int question_evidence(const struct card *c, int i, struct buf *out, struct err *err) { return questions[i].evidence ? questions[i].evidence(c, out, err) : 0; }

/* Ids have points in them, which read_str() takes for steps. */
const char *card_answer(const struct card *c, const char *id)
{
    const char *s = json_string_value(json_object_get(c->answers, id));
    return s && *s ? s : NULL;
}

const char *question_answer(const struct card *c, int i) { return card_answer(c, questions[i].id); }

int question_state(const struct card *c, int i, enum question_state *out, struct err *err)
{
    struct buf b;
    buf_init(&b);
    const int rc = question_evidence(c, i, &b, err);
    *out = question_answer(c, i) || (b.len && questions[i].how == WHOLE) ? QUESTION_ANSWERED : b.len ? QUESTION_PART : QUESTION_OPEN;
    buf_release(&b);
    return rc;
}

int questions_open(const struct card *c, int *n, struct err *err)
{
    *n = 0;
    for (int i = 0; i < N_QUESTION; i++) {
        enum question_state state;
        TRY(question_state(c, i, &state, err));
        *n += state != QUESTION_ANSWERED;
    }
    return 0;
}

/* ---- answers ---- */

static int find(const char *id)
{
    for (int i = 0; i < N_QUESTION; i++)
        if (!strcmp(questions[i].id, id))
            return i;
    return -1;
}

static int unknown(const char *id, struct err *err)
{
    const char *ids[N_QUESTION];
    for (int i = 0; i < N_QUESTION; i++)
        ids[i] = questions[i].id;
    const char *near = word_nearest(id, ids, N_QUESTION);
    return ERR(err, FORMAT, "questions.yaml: found '%.60s', expected the name of a question%s%s%s", id, near ? ", perhaps '" : "", near ? near : "", near ? "'" : "");
}

static bool is_url(const char *s)
{
    if (strncmp(s, "http://", 7) && strncmp(s, "https://", 8))
        return false;
    for (; *s; s++)
        if ((unsigned char)*s <= 0x20 || (unsigned char)*s >= 0x7f || strchr("<>\"{}|\\^`", *s))
            return false;
    return true;
}

static bool is_creator(const char *s) { return (!strncmp(s, "Organization: ", 14) && s[14]) || (!strncmp(s, "Person: ", 8) && s[8]); }

static bool is_version(const char *s)
{
    int parts = 0;
    for (; parts < 3; parts++) {
        const size_t n = strspn(s, "0123456789");
        if (!n || n > 9 || (n > 1 && *s == '0'))
            return false;
        s += n;
        if (parts < 2 && *s++ != '.')
            return false;
    }
    return !*s;
}

static bool is_day(const char *s) { return card_is_date(s) && strlen(s) == 10; }

static const struct { const char *id; bool (*is)(const char *s); const char *expected; } forms[] = {
    { "about.creator", is_creator, "'Organization: NAME' or 'Person: NAME'" }, { "about.url", is_url, "a URL with http or https" }, { "about.download", is_url, "a URL with http or https" },
    { "about.version", is_version, "MAJOR.MINOR.PATCH" }, { "about.published", is_day, "YYYY-MM-DD" },
};

int questions_check(const json_t *answers, struct err *err)
{
    const char *id;
    json_t *v;
    if (!json_is_object(answers))
        return ERR(err, FORMAT, "questions.yaml: expected answers by the names of questions");
    read_each(answers, id, v) {
        if (find(id) < 0)
            return unknown(id, err);
        if (json_is_string(v) ? strlen(json_string_value(v)) != json_string_length(v) : !json_is_null(v))
            return ERR(err, FORMAT, "questions.yaml: %s: expected a text in quotes", id);
        for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
            if (!strcmp(forms[i].id, id) && json_string_length(v) && !forms[i].is(json_string_value(v)))
                return ERR(err, FORMAT, "questions.yaml: %s: found '%.80s', expected %s", id, json_string_value(v), forms[i].expected);
    }
    return 0;
}

static int to_fill_in(const struct card *c, int i, struct buf *out, struct err *err)
{
    struct buf known;
    buf_init(&known);
    int rc = question_evidence(c, i, &known, err);
    if (!rc)
        rc = buf_printf(out, err, "\n# %s\n", questions[i].text);
    if (!rc && known.len)
        rc = buf_add_str(out, "# The audit knows:\n", err);
    if (!rc)
        rc = yaml_comment(out, known.data, err);
    if (!rc)
        rc = buf_printf(out, err, "%s: ", questions[i].id);
    if (!rc)
        rc = yaml_text(out, question_answer(c, i) ? question_answer(c, i) : "", err);
    buf_release(&known);
    return rc ? rc : buf_add_char(out, '\n', err);
}

int questions_of_card(const struct card *c, struct buf *out, struct err *err)
{
    TRY(buf_add_str(out, "# What only a person can answer. Write between the quotes, then make the card again into this folder: this file is read, and\n"
                         "# what it says goes into all documents. What stays empty is told as open.\n", err));
    for (int i = 0; i < N_QUESTION; i++) {
        enum question_state state;
        TRY(question_state(c, i, &state, err));
        if (state != QUESTION_ANSWERED || question_answer(c, i))
            TRY(to_fill_in(c, i, out, err));
    }
    return 0;
}
