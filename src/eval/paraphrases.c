#include <string.h>
#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "eval/robust.h"

#define BYTES_MAX ((size_t)1 << 30)

struct paraphrases { json_t *of; int n_form; };      /* of: text -> list of its paraphrases */

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for paraphrases"); }

static int add_line(struct paraphrases *p, const char *line, size_t n, const char *where, struct err *err)
{
    json_t *o = NULL;
    const char *text, *to;
    TRY(tree_parse_json(&o, line, n, where, err));
    int rc = json_is_object(o) ? tree_str(o, "text", NULL, &text, where, err) : ERR(err, FORMAT, "%s: expected {\"text\": ..., \"paraphrase\": ...}", where);
    rc = rc ? rc : tree_str(o, "paraphrase", NULL, &to, where, err);
    if (!rc && (!text || !to))
        rc = ERR(err, FORMAT, "%s: found no \"%s\", expected {\"text\": ..., \"paraphrase\": ...}", where, text ? "paraphrase" : "text");
    json_t *list = rc ? NULL : json_object_get(p->of, text);
    if (!rc && !list && (!(list = json_array()) || json_object_set_new(p->of, text, list)))
        rc = no_memory(err);
    if (!rc && json_array_append(list, json_object_get(o, "paraphrase")))
        rc = no_memory(err);
    const int n_form = rc ? 0 : (int)json_array_size(list);
    if (n_form > PARAPHRASE_FORMS)
        rc = ERR(err, RANGE, "%s: found a text with more than %d paraphrases, expected fewer", where, PARAPHRASE_FORMS);
    p->n_form = !rc && n_form > p->n_form ? n_form : p->n_form;
    json_decref(o);
    return rc;
}

int paraphrases_parse(struct paraphrases **out, const char *text, size_t n, const char *name, struct err *err)
{
    struct paraphrases *p = mem_alloc_zero(sizeof *p);
    *out = NULL;
    if (!p)
        return no_memory(err);
    int rc = (p->of = json_object()) ? 0 : no_memory(err);
    int64_t number = 1;
    for (const char *at = text, *stop = text + n, *end; !rc && at < stop; at = end + 1, number++) {
        char where[300];
        end = memchr(at, '\n', (size_t)(stop - at));
        end = end ? end : stop;
        size_t k = (size_t)(end - at);
        while (k && (at[k - 1] == '\r' || at[k - 1] == ' '))
            k--;
        snprintf(where, sizeof where, "%.250s:%lld", name, (long long)number);
        rc = k ? add_line(p, at, k, where, err) : 0;
    }
    if (!rc && !p->n_form)
        rc = ERR(err, FORMAT, "%s: found no paraphrase, expected lines of {\"text\": ..., \"paraphrase\": ...}", name);
    if (rc)
        paraphrases_free(p);
    else
        *out = p;
    return rc;
}

int paraphrases_open(struct paraphrases **out, const char *path, struct err *err)
{
    struct buf b;
    buf_init(&b);
    *out = NULL;
    int rc = file_read(path, BYTES_MAX, &b, err);
    if (!rc)
        rc = paraphrases_parse(out, b.data, b.len, path, err);
    buf_release(&b);
    return rc;
}

void paraphrases_free(struct paraphrases *p)
{
    if (!p)
        return;
    json_decref(p->of);
    mem_free(p);
}

int paraphrases_n_form(const struct paraphrases *p) { return p->n_form; }

const char *paraphrase_of(const struct paraphrases *p, const char *text, size_t n, int form, size_t *len)
{
    const json_t *v = json_array_get(json_object_getn(p->of, text, n), (size_t)form);
    *len = json_string_length(v);
    return json_string_value(v);
}
