#include "eval/wrong.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"

/* PROMPT: bytes of a prompt that are kept; LINES: that are looked at in a file; LINE: bytes of one. */
enum { ALL = 20, EACH = 5, PROMPT = 800, LINES = 10000, LINE = 1 << 20 };

/* ---- one line ---- */

static const json_t *argument(const json_t *line, int i)
{
    char key[32];
    snprintf(key, sizeof key, "gen_args_%d", i);
    return json_object_get(json_object_get(line, "arguments"), key);
}

/* The text that an item's i-th request has for an answer; NULL: requests that are no choices. */
static const char *choice(const json_t *line, int i) { return json_string_value(json_object_get(argument(line, i), "arg_1")); }

/* A log-likelihood is the first of a pair, as a text. */
static double likelihood(const json_t *line, size_t i)
{
    const json_t *v = json_array_get(json_array_get(json_object_get(line, "filtered_resps"), i), 0);
    return json_is_string(v) ? strtod(json_string_value(v), NULL) : json_is_number(v) ? json_number_value(v) : (double)NAN;
}

static const char *answer_of(const json_t *line)
{
    const json_t *replies = json_object_get(line, "filtered_resps");
    int best = -1;
    for (int i = 0; i < (int)json_array_size(replies) && choice(line, i); i++)
        if (isfinite(likelihood(line, (size_t)i)) && (best < 0 || likelihood(line, (size_t)i) > likelihood(line, (size_t)best)))
            best = i;
    return best >= 0 ? choice(line, best) : json_string_value(json_array_get(replies, 0));
}

static const char *expected_of(const json_t *line)
{
    const char *target = json_string_value(json_object_get(line, "target"));
    const bool number = target && *target && strspn(target, "0123456789") == strlen(target) && strlen(target) < 6;
    return number && choice(line, 0) && choice(line, atoi(target)) ? choice(line, atoi(target)) : target;
}

/* The end of a text, from a whole character on. */
static json_t *end_of(const char *s)
{
    const size_t n = strlen(s);
    const char *from = n > PROMPT ? s + n - PROMPT : s;
    while (((unsigned char)*from & 0xc0) == 0x80)
        from++;
    return json_string(from);
}

static const char *wrong_metric(const json_t *line)
{
    const char *metric = json_string_value(json_array_get(json_object_get(line, "metrics"), 0));
    const json_t *v = metric ? json_object_get(line, metric) : NULL;
    return (json_is_number(v) && json_number_value(v) == 0) || json_is_false(v) ? metric : NULL;
}

/* NULL: it is right, or there is nothing to show of it; *lost: there was no memory. */
static json_t *example(const char *task, const json_t *line, bool *lost)
{
    const char *metric = wrong_metric(line), *prompt = json_string_value(json_object_get(argument(line, 0), "arg_0")), *expected = expected_of(line),
        *answer = answer_of(line);
    if (!metric || !prompt || !expected || !answer)
        return NULL;
    const json_t *id = json_object_get(line, "doc_id");
    json_t *o = json_pack("{s:s, s:I, s:s, s:o, s:s, s:s}", "task", task, "item", json_integer_value(id), "metric", metric, "prompt", end_of(prompt),
                          "expected", expected, "answer", answer);
    *lost = *lost || !o;
    return o;
}

/* ---- a file ---- */

static int of_lines(json_t *list, const char *task, const char *s, size_t n, int most, struct err *err)
{
    bool lost = false;
    const char *end = s + n;
    for (int i = 0; i < LINES && s < end && most > 0; i++) {
        const char *stop = memchr(s, '\n', (size_t)(end - s));
        const size_t len = (size_t)((stop ? stop : end) - s);
        json_t *line = NULL;
        struct err own;
        const int rc = len && len < LINE ? tree_parse_json(&line, s, len, "a sample", &own) : ERR_FORMAT;
        if (rc == ERR_NOMEM)
            return ERR(err, NOMEM, "no memory for a sample");
        json_t *o = rc ? NULL : example(task, line, &lost);
        lost = lost || (o && json_array_append_new(list, o));
        most -= o != NULL;
        json_decref(line);
        s += len + 1;
    }
    return lost ? ERR(err, NOMEM, "no memory for a sample") : 0;
}

static int of_task(json_t *list, const char *folder, const char *task, const char *date, int most, struct err *err)
{
    struct file_map m;
    struct err own = { 0 };
    char *name = strchr(task, '/') ? NULL : mem_printf("samples_%s_%.26s.jsonl", task, date), *path = name ? file_join(folder, name) : NULL;
    int rc = path || strchr(task, '/') ? 0 : ERR(err, NOMEM, "no memory for a path");
    if (path && file_exists(path)) {
        rc = file_map_open(&m, path, &own);
        if (!rc) {
            rc = of_lines(list, task, m.data, m.size, most, err);
            file_map_close(&m);
        } else if (rc == ERR_NOMEM)
            *err = own;
        else
            rc = 0;                      /* examples are beside the point: what cannot be read has none */
    }
    mem_free(name), mem_free(path);
    return rc;
}

int wrong_answers(json_t **out, const char *folder, const char *results_file, const json_t *results, struct err *err)
{
    const json_t *tasks = json_object_get(results, "results");
    const size_t n = json_object_size(tasks);
    const char *task, *date = strchr(results_file, '_');
    json_t *score, *list = json_array();
    int rc = list ? 0 : ERR(err, NOMEM, "no memory for examples");
    json_object_foreach((json_t *)(uintptr_t)tasks, task, score) {
        const int left = ALL - (int)json_array_size(list), each = n > ALL / 2 ? 1 : EACH;
        if (!rc && date && left > 0)
            rc = of_task(list, folder, task, date + 1, left < each ? left : each, err);
    }
    if (rc)
        json_decref(list);
    else
        *out = list;
    return rc;
}
