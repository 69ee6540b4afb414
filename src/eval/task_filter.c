/* task_filter.c - what is done to generated answers before they are compared: the filters of lm-evaluation-harness, and those that its BBH and
 * HumanEval tasks bring along. */
#include <string.h>
#include "base/mem.h"
#include "eval/task_impl.h"
#include "model/unicode.h"

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for an answer"); }

/* ---- Python's strings ---- */

int py_case(const char *s, size_t n, bool upper, struct buf *out, struct err *err)
{
    size_t i = 0;
    while (i < n && (unsigned char)s[i] < 0x80)
        i++;
    if (i == n) {
        TRY(buf_add(out, s, n, err));
        for (char *p = out->data + out->len - n; n; n--, p++)
            if (upper ? *p >= 'a' && *p <= 'z' : *p >= 'A' && *p <= 'Z')
                *p ^= 32;
        return 0;
    }
    /* The engine of templates knows all of Unicode's cases. */
    struct jinja *j;
    json_t *doc = json_pack("{s:s#}", "s", s, (int)n);
    int rc = doc ? template_parse(&j, upper ? "{{ s.upper() }}" : "{{ s.lower() }}", "case", err) : no_memory(err);
    if (!rc) {
        rc = template_text(j, doc, out, err);
        jinja_free(j);
    }
    json_decref(doc);
    return rc;
}

/* Without the characters of Unicode's categories P*. */
static int without_punctuation(struct buf *b, struct err *err)
{
    struct buf out;
    buf_init(&out);
    int rc = 0;
    for (size_t i = 0, k; !rc && i < b->len; i += k)
        if (!(unicode_set_at((const unsigned char *)b->data + i, b->len - i, &k) & IS_P))
            rc = buf_add(&out, b->data + i, k, err);
    buf_release(b);
    *b = out;
    return rc;
}

/* ---- reading ---- */

int pyres_read(struct pyre ***out, int *n, const json_t *list, const char *at, struct err *err)
{
    const size_t count = json_is_array(list) ? json_array_size(list) : list && !json_is_null(list) ? 1 : 0;
    if (!count)
        return 0;
    if (!(*out = mem_alloc_array(count, sizeof **out)))
        return no_memory(err);
    for (size_t i = 0; i < count; i++) {
        const json_t *v = json_is_array(list) ? json_array_get(list, i) : list;
        if (!json_is_string(v))
            return ERR(err, FORMAT, "%s: a pattern is no text", at);
        TRY(pyre_compile(&(*out)[i], json_string_value(v), json_string_length(v), at, err));
        ++*n;
    }
    return 0;
}

void pyres_free(struct pyre **p, int n)
{
    for (int i = 0; i < n; i++)
        pyre_free(p[i]);
    mem_free(p);
}

/* function, which, the keys it takes, the names of dataset_path whose function it is (NULL: any's, by a word) */
static const struct known { const char *name; enum filter_kind kind; const char *keys, *paths; } known[] = {
#define REGEX_KEYS "regex_pattern|group_select|fallback"
#define IGNORE_KEYS "|ignore_case|ignore_punctuation|regexes_to_ignore"
#define BBH "SaylorTwift/bbh|lukaemon/bbh|bbh"
#define HUMANEVAL "openai/openai_humaneval|openai_humaneval"
    { "take_first", FILTER_TAKE_FIRST, "", NULL }, { "take_first_k", FILTER_TAKE_K, "k", NULL }, { "majority_vote", FILTER_MAJORITY, "", NULL },
    { "regex", FILTER_REGEX, REGEX_KEYS, NULL }, { "remove_whitespace", FILTER_STRIP, "", NULL }, { "lowercase", FILTER_LOWER, "", NULL },
    { "uppercase", FILTER_UPPER, "", NULL }, { "map", FILTER_MAP, "mapping_dict|default_value", NULL },
    { "multi_choice_regex", FILTER_CHOICE_REGEX, REGEX_KEYS IGNORE_KEYS, NULL }, { "utils.MultiChoiceRegexFilter", FILTER_CHOICE_REGEX, REGEX_KEYS IGNORE_KEYS, BBH },
    { "utils.ExtendedRegexFilter", FILTER_REGEX, REGEX_KEYS IGNORE_KEYS, BBH }, { "utils.MapRegexFilter", FILTER_MAP_REGEX, "regex_pattern_to_value|group_select|fallback" IGNORE_KEYS, BBH },
    { "utils.WordSortFilter", FILTER_WORD_SORT, "", BBH }, { "utils.build_predictions", FILTER_PROMPT, "", HUMANEVAL },
    { "utils.build_predictions_instruct", FILTER_PROMPT, "", HUMANEVAL },
};

struct reading { const struct task_yaml *y; const char *path; struct err *err; };

static const char *place(const struct reading *r, const char *key)
{
    char where[200];
    snprintf(where, sizeof where, "%.120s/%.70s", r->path, key);
    return task_yaml_at(r->y, where);
}

static int read_flag(const struct reading *r, const json_t *c, const char *key, bool *out)
{
    const json_t *v = json_object_get(c, key);
    if (v && !json_is_boolean(v))
        return ERR(r->err, FORMAT, "%s: %s is neither true nor false", place(r, key), key);
    *out = json_is_true(v);
    return 0;
}

static int read_small(const struct reading *r, const json_t *c, const char *key, int min, int max, int *out)
{
    const json_t *v = json_object_get(c, key);
    if (!v)
        return 0;
    if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max)
        return ERR(r->err, RANGE, "%s: %s is not a whole number from %d to %d", place(r, key), key, min, max);
    *out = (int)json_integer_value(v);
    return 0;
}

static int read_regex(const struct reading *r, const json_t *c, struct filter *f)
{
    const json_t *v = json_object_get(c, "regex_pattern"), *fallback = json_object_get(c, "fallback");
    const char *pattern = v ? json_string_value(v) : "#### (\\-?[0-9\\.\\,]+)";
    if (!pattern || (fallback && !json_is_string(fallback)))
        return ERR(r->err, FORMAT, "%s: regex_pattern and fallback are texts", place(r, "regex_pattern"));
    f->fallback = fallback ? json_string_value(fallback) : "[invalid]";
    TRY(read_small(r, c, "group_select", -1000, 1000, &f->group_select));
    TRY(read_flag(r, c, "ignore_case", &f->ignore_case));
    TRY(read_flag(r, c, "ignore_punctuation", &f->ignore_punctuation));
    TRY(pyres_read(&f->ignore, &f->n_ignore, json_object_get(c, "regexes_to_ignore"), place(r, "regexes_to_ignore"), r->err));
    return pyre_compile(&f->re, pattern, strlen(pattern), place(r, "regex_pattern"), r->err);
}

/* The patterns together, and each for itself. */
static int read_map_regex(const struct reading *r, const json_t *c, struct filter *f)
{
    const char *key, *at = place(r, "regex_pattern_to_value");
    json_t *v, *all = json_object_get(c, "regex_pattern_to_value");
    struct buf b;
    buf_init(&b);
    if (!json_is_object(all) || !json_object_size(all))
        return ERR(r->err, FORMAT, "%s: regex_pattern_to_value takes patterns with their values", at);
    f->map = all;
    int rc = (f->map_re = mem_alloc_array(json_object_size(all), sizeof *f->map_re)) ? 0 : no_memory(r->err);
    json_object_foreach(all, key, v) {
        rc = rc ? rc : pyre_compile(&f->map_re[f->n_map], key, strlen(key), at, r->err);
        f->n_map += !rc;
        rc = rc || !b.len ? rc : buf_add_char(&b, '|', r->err);
        rc = rc ? rc : buf_add_str(&b, key, r->err);
    }
    json_t *pattern = rc ? NULL : json_pack("{s:s}", "regex_pattern", b.data);
    rc = rc ? rc : !pattern || task_yaml_inherit(pattern, c) ? no_memory(r->err) : 0;
    rc = rc ? rc : read_regex(r, pattern, f);
    /* What read_regex borrows must be the task's. */
    f->fallback = json_is_string(json_object_get(c, "fallback")) ? json_string_value(json_object_get(c, "fallback")) : "[invalid]";
    json_decref(pattern);
    buf_release(&b);
    return rc;
}

static int read_filter(const struct reading *r, const json_t *c, const char *dataset_path, struct filter *f)
{
    const json_t *v = json_object_get(c, "function"), *custom = json_object_get(c, "filter_fn");
    const char *name = json_string_value(v), *key;
    json_t *each;
    if (name && !strcmp(name, "custom"))
        v = custom;
    const bool is_function = json_is_object(v);
    if (is_function)
        name = json_string_value(json_object_get(v, TASK_FUNCTION));
    const struct known *k = NULL;
    for (size_t i = 0; name && i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i].name, name) && is_function == (known[i].paths != NULL) && (!is_function || (dataset_path && words_have(known[i].paths, dataset_path))))
            k = &known[i];
    if (!k)
        return ERR(r->err, UNSUPPORTED, "%s: the filter %s%s is not supported", place(r, "function"), is_function ? "function " : "", name ? name : "without a name");
    json_object_foreach((json_t *)(uintptr_t)c, key, each)
        if (strcmp(key, "function") && strcmp(key, "filter_fn") && !words_have(k->keys, key))
            return ERR(r->err, USAGE, "%s: unknown key '%s' of the filter %s", place(r, key), key, k->name);
    *f = (struct filter){ .kind = k->kind, .k = 1, .choices_of_text = is_function, .map = json_object_get(c, "mapping_dict"), .otherwise = json_object_get(c, "default_value") };
    f->cut = !strcmp(k->name, "utils.build_predictions_instruct") ? "```" : NULL;
    TRY(read_small(r, c, "k", 1, 1024, &f->k));
    if (k->kind == FILTER_REGEX || k->kind == FILTER_CHOICE_REGEX)
        return read_regex(r, c, f);
    return k->kind == FILTER_MAP_REGEX ? read_map_regex(r, c, f) : 0;
}

int filters_read(struct filters *out, const json_t *one, const struct task_yaml *y, const char *path, const char *dataset_path, struct err *err)
{
    const json_t *list = json_object_get(one, "filter");
    const char *name = json_string_value(json_object_get(one, "name")), *key;
    json_t *v;
    char where[200];
    struct reading r = { y, path, err };
    bool single = false;
    if (!name || !json_is_array(list))
        return ERR(err, FORMAT, "%s: an entry of filter_list has no name, or no list of filters", task_yaml_at(y, path));
    json_object_foreach((json_t *)(uintptr_t)one, key, v)
        if (strcmp(key, "name") && strcmp(key, "filter"))
            return ERR(err, USAGE, "%s: unknown key '%s' of filter_list", place(&r, key), key);
    if (!(out->name = mem_strdup(name)) || !(out->f = mem_alloc_array(json_array_size(list) + 1, sizeof *out->f)))
        return no_memory(err);
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct filter *f = &out->f[out->n++];
        snprintf(where, sizeof where, "%.120s/filter/%zu", path, i);
        r.path = where;
        TRY(read_filter(&r, json_array_get(list, i), dataset_path, f));
        if (single)
            return ERR(err, UNSUPPORTED, "%s: a filter behind take_first would see one character after the other; take_first goes last", place(&r, "function"));
        single = f->kind == FILTER_TAKE_FIRST;
        out->extracts |= f->re != NULL;
    }
    return 0;
}

void filters_release(struct filters *f)
{
    for (int i = 0; i < f->n; i++) {
        pyre_free(f->f[i].re);
        pyres_free(f->f[i].ignore, f->f[i].n_ignore);
        pyres_free(f->f[i].map_re, f->f[i].n_map);
    }
    mem_free(f->f);
    mem_free(f->name);
    *f = (struct filters){ 0 };
}

/* ---- running ---- */

/* findall(s)[select], stripped: 1 and the text (which may be empty), 0 where there is no such match. */
static int find(const struct pyre *re, const char *s, size_t n, int select, struct buf *out, struct err *err)
{
    struct pyre_match m = { .next = 0 }, *kept = NULL;
    size_t count = 0;
    int rc, got = 0;
    buf_clear(out);
    if (select < 0) {                    /* how many there are, first */
        while ((rc = pyre_next(re, s, n, &m, err)) > 0)
            count++;
        TRY(rc);
        if (count < (size_t)-select)
            return 0;
        select += (int)count;
        m = (struct pyre_match){ .next = 0 };
    }
    for (int i = 0; (rc = pyre_next(re, s, n, &m, err)) > 0 && i < select; i++)
        ;
    TRY(rc);
    if (rc)
        kept = &m, got = 1;
    const int groups = pyre_n_group(re);
    for (int g = groups ? 1 : 0; kept && g <= groups; g++) {
        if (kept->group[g].from < 0 || (kept->group[g].from == kept->group[g].to && groups > 1))
            continue;
        const char *t = s + kept->group[g].from;
        const size_t k = py_strip(&t, (size_t)(kept->group[g].to - kept->group[g].from));
        TRY(buf_add(out, t, k, err));
        break;
    }
    return got;
}

/* What is ignored goes, as the filters of choices and BBH do. */
static int filter_ignores(const struct filter *f, const char *s, size_t n, struct buf *out, struct err *err)
{
    buf_clear(out);
    TRY(buf_add(out, s, n, err));
    for (int i = 0; i < f->n_ignore; i++) {
        struct buf b;
        buf_init(&b);
        const int rc = pyre_sub(f->ignore[i], out->data, out->len, "", 0, 0, &b, err);
        buf_release(out);
        *out = b;
        TRY(rc);
    }
    if (f->ignore_case) {
        struct buf b;
        buf_init(&b);
        const int rc = py_case(out->data, out->len, false, &b, err);
        buf_release(out);
        *out = b;
        TRY(rc);
    }
    return f->ignore_punctuation ? without_punctuation(out, err) : 0;
}

/* A plain match, which is the answer, or the fallback. */
static int run_regex(const struct filter *f, const char *s, size_t n, struct buf *out, struct err *err)
{
    const int got = find(f->re, s, n, f->group_select, out, err);
    TRY(got);
    /* An empty match is an answer where the pattern has at most one group. */
    return got && (out->len || pyre_n_group(f->re) < 2) ? 0 : (buf_clear(out), buf_add_str(out, f->fallback, err));
}

/* ---- choices ---- */

#define CHOICES_MAX 26
struct choices { struct buf text[CHOICES_MAX]; int n; };

static int add_choice(const struct filter *f, struct choices *c, const char *s, size_t n, struct err *err)
{
    if (c->n == CHOICES_MAX)
        return 0;
    n = py_strip(&s, n);
    return filter_ignores(f, s, n, &c->text[c->n++], err);
}

/* Of the document's list `choices`, or of its `input`: what follows (A), (B), ... up to a line's end or the next. */
static int read_choices(const struct filter *f, const json_t *doc, struct choices *c, struct err *err)
{
    const json_t *list = json_object_get(doc, "choices");
    for (size_t i = 0; !f->choices_of_text && i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        TRY(add_choice(f, c, json_is_string(v) ? json_string_value(v) : "", json_string_length(v), err));
    }
    const char *p = f->choices_of_text ? json_string_value(json_object_get(doc, "input")) : NULL;
    while (p && (p = strchr(p, '('))) {
        if (p[1] >= 'A' && p[1] <= 'Z' && p[2] == ')') {
            const size_t n = strcspn(p + 3, "\n^(");
            TRY(add_choice(f, c, p + 3, n, err));
            p += 3 + n;
        } else {
            p++;
        }
    }
    return 0;
}

/* The first place where a choice's text stands; of several there the longest. */
static int find_choice(const struct choices *c, const char *s, size_t n, int select)
{
    int found = -1;
    for (size_t at = 0; at < n;) {
        int best = -1;
        for (int i = 0; i < c->n; i++)
            if (c->text[i].len && c->text[i].len <= n - at && !memcmp(s + at, c->text[i].data, c->text[i].len) && (best < 0 || py_chars(c->text[i].data, c->text[i].len) > py_chars(c->text[best].data, c->text[best].len)))
                best = i;
        if (best >= 0) {
            found = best;
            if (select >= 0 && !select--)
                return best;
            at += c->text[best].len;
        } else {
            at++;
        }
    }
    return select < 0 ? found : -1;
}

/* The last choice with the same text: a dictionary by the text has that one. */
static int last_equal(const struct choices *c, int i)
{
    for (int k = c->n - 1; k > i; k--)
        if (c->text[k].len == c->text[i].len && !memcmp(c->text[k].data, c->text[i].data, c->text[i].len))
            return k;
    return i;
}

/* ":", white space, a letter of a choice. */
static int find_letter(const struct choices *c, const char *s, size_t n, int select)
{
    int found = -1;
    for (size_t at = 0; at < n; at++) {
        if (s[at] != ':')
            continue;
        const char *p = s + at + 1;
        py_strip(&p, n - at - 1);
        const int letter = p < s + n ? *p - 'A' : -1;
        if (letter < 0 || letter >= c->n)
            continue;
        found = letter;
        if (select >= 0 && !select--)
            return letter;
        at = (size_t)(p - s);
    }
    return select < 0 ? found : -1;
}

static int run_choice(const struct filter *f, const char *s, size_t n, const json_t *doc, struct buf *out, struct err *err)
{
    const int got = find(f->re, s, n, f->group_select, out, err);
    TRY(got);
    if (got && out->len)
        return 0;
    struct choices *c = mem_alloc_zero(sizeof *c);
    struct buf text;
    int which = -1;
    buf_init(&text);
    if (!c)
        return no_memory(err);
    for (int i = 0; i < CHOICES_MAX; i++)
        buf_init(&c->text[i]);
    int rc = read_choices(f, doc, c, err);
    rc = rc ? rc : filter_ignores(f, s, n, &text, err);
    if (!rc && (which = find_choice(c, text.data, text.len, f->group_select)) >= 0)
        which = last_equal(c, which);
    if (!rc && which < 0)
        which = find_letter(c, s, n, f->group_select);
    buf_clear(out);
    if (!rc)
        rc = which < 0 ? buf_add_str(out, f->fallback, err) : buf_printf(out, err, "(%c)", 'A' + which);
    for (int i = 0; i < CHOICES_MAX; i++)
        buf_release(&c->text[i]);
    buf_release(&text);
    mem_free(c);
    return rc;
}

static int run_map_regex(const struct filter *f, const char *s, size_t n, struct buf *out, struct err *err)
{
    struct buf text, whole;
    const char *key;
    json_t *v;
    int i = 0, done = 0;
    buf_init(&text);
    buf_init(&whole);
    int rc = filter_ignores(f, s, n, &text, err);
    rc = rc ? rc : find(f->re, text.data, text.len, f->group_select, &whole, err);
    const bool got = rc > 0 && whole.len;
    rc = rc < 0 || !got ? (rc < 0 ? rc : 0) : filter_ignores(f, whole.data, whole.len, &text, err);
    json_object_foreach((json_t *)(uintptr_t)f->map, key, v) {
        if (rc >= 0 && got && !done) {
            rc = find(f->map_re[i], text.data, text.len, f->group_select, out, err);
            if (rc > 0 && out->len) {
                buf_clear(out);
                rc = buf_add_str(out, json_is_string(v) ? json_string_value(v) : "", err);
                done = 1;
            }
        }
        i++;
    }
    if (rc >= 0 && !done) {
        buf_clear(out);
        rc = buf_add_str(out, f->fallback, err);
    }
    buf_release(&text);
    buf_release(&whole);
    return rc < 0 ? rc : 0;
}

/* ---- words ---- */

/* The words of the document's list that the answer has, each where it stands last. */
static int run_word_sort(const char *s, size_t n, const json_t *doc, struct buf *out, struct err *err)
{
    const char *input = json_string_value(json_object_get(doc, "input")), *list = input ? strstr(input, "List:") : NULL;
    if (!list)
        return ERR(err, FORMAT, "the document's input has no 'List:'");
    struct buf pattern;
    struct pyre *re = NULL;
    buf_init(&pattern);
    int rc = 0;
    for (const char *p = list + 5; !rc && *(p += strspn(p, " \t\r\n")) && strncmp(p, "List:", 5); p += strcspn(p, " \t\r\n"))
        rc = buf_printf(&pattern, err, "%s\\b%.*s\\b", pattern.len ? "|" : "", (int)strcspn(p, " \t\r\n"), p);
    rc = rc ? rc : pyre_compile(&re, pattern.data, pattern.len, "the words of a document", err);
    struct pyre_match m = { .next = 0 };
    json_t *found = rc ? NULL : json_array();
    while (!rc && found && (rc = pyre_next(re, s, n, &m, err)) > 0) {
        json_t *w = json_stringn(s + m.group[0].from, (size_t)(m.group[0].to - m.group[0].from));
        for (size_t i = 0; w && i < json_array_size(found); i++)
            if (json_equal(json_array_get(found, i), w))
                json_array_remove(found, i--);
        rc = w && !json_array_append_new(found, w) ? 0 : no_memory(err);
    }
    for (size_t i = 0; !rc && i < json_array_size(found); i++) {
        rc = i ? buf_add_char(out, ' ', err) : 0;
        rc = rc ? rc : buf_add_str(out, json_string_value(json_array_get(found, i)), err);
    }
    json_decref(found);
    pyre_free(re);
    buf_release(&pattern);
    return rc;
}

static int run_prompt(const struct filter *f, const char *s, size_t n, const json_t *doc, struct buf *out, struct err *err)
{
    const json_t *prompt = json_object_get(doc, "prompt");
    const char *cut = f->cut ? memmem(s, n, f->cut, strlen(f->cut)) : NULL;
    if (!json_is_string(prompt))
        return ERR(err, FORMAT, "the field 'prompt' is missing");
    TRY(buf_add(out, json_string_value(prompt), json_string_length(prompt), err));
    return buf_add(out, s, cut ? (size_t)(cut - s) : n, err);
}

/* ---- one answer, all answers ---- */

static int run_one(const struct filter *f, const json_t *answer, const json_t *doc, json_t **out, struct err *err)
{
    const char *s = json_is_string(answer) ? json_string_value(answer) : "";
    size_t n = json_is_string(answer) ? json_string_length(answer) : 0;
    struct buf b;
    int rc = 0;
    buf_init(&b);
    switch (f->kind) {
    case FILTER_REGEX: rc = run_regex(f, s, n, &b, err); break;
    case FILTER_STRIP: n = py_strip(&s, n), rc = buf_add(&b, s, n, err); break;
    case FILTER_LOWER: rc = py_case(s, n, false, &b, err); break;
    case FILTER_UPPER: rc = py_case(s, n, true, &b, err); break;
    case FILTER_CHOICE_REGEX: rc = run_choice(f, s, n, doc, &b, err); break;
    case FILTER_MAP_REGEX: rc = run_map_regex(f, s, n, &b, err); break;
    case FILTER_WORD_SORT: rc = run_word_sort(s, n, doc, &b, err); break;
    case FILTER_PROMPT: rc = run_prompt(f, s, n, doc, &b, err); break;
    case FILTER_MAP: {
        const json_t *v = json_object_get(f->map, s);
        *out = json_incref((json_t *)(uintptr_t)(v ? v : f->otherwise ? f->otherwise : json_null()));
        break;
    }
    default: break;
    }
    if (!rc && f->kind != FILTER_MAP && !(*out = json_stringn(b.data, b.len)))
        rc = no_memory(err);
    buf_release(&b);
    return rc;
}

/* The answer given most often, of equals the first. */
static const json_t *majority(const json_t *list)
{
    size_t best = 0, best_count = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        size_t count = 0;
        for (size_t k = i; k < json_array_size(list); k++)
            count += json_equal(json_array_get(list, i), json_array_get(list, k)) == 1;
        if (count > best_count)
            best = i, best_count = count;
    }
    return json_array_get(list, best);
}

static int run(const struct filter *f, const json_t *list, const json_t *doc, json_t **out, struct err *err)
{
    const size_t n = json_array_size(list);
    if (f->kind == FILTER_TAKE_FIRST) {
        *out = json_incref(json_array_get(list, 0));
        return *out ? 0 : ERR(err, FORMAT, "there is no answer");
    }
    if (f->kind == FILTER_TAKE_K && (size_t)f->k > n)
        return ERR(err, RANGE, "take_first_k wants %d answers, there are %zu; repeats says how many there are", f->k, n);
    if (!(*out = json_array()))
        return no_memory(err);
    if (f->kind == FILTER_MAJORITY)
        return n && !json_array_append(*out, (json_t *)(uintptr_t)majority(list)) ? 0 : no_memory(err);
    for (size_t i = 0; i < (f->kind == FILTER_TAKE_K ? (size_t)f->k : n); i++) {
        json_t *v = NULL;
        int rc = f->kind == FILTER_TAKE_K ? (v = json_incref(json_array_get(list, i)), 0) : run_one(f, json_array_get(list, i), doc, &v, err);
        if (!rc && json_array_append(*out, v))
            rc = no_memory(err);
        json_decref(v);
        TRY(rc);
    }
    return 0;
}

int filters_run(const struct filters *f, const json_t *answers, const json_t *doc, json_t **out, bool *failed, struct err *err)
{
    json_t *at = json_incref((json_t *)(uintptr_t)answers);
    *failed = false, *out = NULL;
    /* Where a task has no filters the first answer counts. */
    const struct filter first = { .kind = FILTER_TAKE_FIRST };
    for (int i = 0; i < (f->n ? f->n : 1); i++) {
        json_t *next = NULL;
        const int rc = run(f->n ? &f->f[i] : &first, at, doc, &next, err);
        json_decref(at);
        at = next;
        if (rc) {
            json_decref(at);
            return rc;
        }
    }
    for (int i = 0; i < f->n; i++)
        *failed |= f->f[i].fallback && json_is_string(at) && !strcmp(json_string_value(at), f->f[i].fallback);
    *out = at;
    return 0;
}
