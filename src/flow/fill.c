#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "flow/flow.h"

enum { RESULT_BYTES_MAX = 64 << 20 };

/* ---- values of what a stage printed ---- */

static int add_value(struct buf *b, const json_t *v, const char *text, struct err *err)
{
    if (json_is_string(v))
        return buf_add(b, json_string_value(v), json_string_length(v), err);
    if (json_is_integer(v))
        return buf_printf(b, err, "%lld", (long long)json_integer_value(v));
    if (json_is_real(v))
        return buf_add_number(b, json_real_value(v), err);
    if (json_is_boolean(v))
        return buf_add_str(b, json_is_true(v) ? "true" : "false", err);
    return ERR(err, FORMAT, "%s: expected a text, a number, true or false there", text);
}

/* KEY or KEY.KEY..., where a key of an array is a place in it from 0. */
static const json_t *value_at(const json_t *v, const char *keys, size_t n)
{
    while (v && n) {
        const char *dot = memchr(keys, '.', n);
        const size_t one = dot ? (size_t)(dot - keys) : n;
        v = !json_is_array(v) ? json_object_getn(v, keys, one) : strspn(keys, "0123456789") >= one ? json_array_get(v, strtoul(keys, NULL, 10)) : NULL;
        keys += one, n -= one;
        if (n)
            keys++, n--;
    }
    return v;
}

/* Of the record: when its last run began, or ended. */
static int add_moment(struct buf *b, const struct flow_stage *s, const char *reference, const char *key, struct err *err)
{
    char *path = file_join(s->folder, "stage.json");
    json_t *record = NULL;
    int rc = !path ? ERR(err, NOMEM, "no memory for a path") : file_exists(path) ? tree_load(&record, path, RESULT_BYTES_MAX, err) : 0;
    if (!rc)
        rc = *tree_text_at(record, key) ? buf_add_str(b, tree_text_at(record, key), err) : ERR(err, NOTFOUND, "%s: stage '%s' has not run yet", reference, s->name);
    json_decref(record);
    mem_free(path);
    return rc;
}

static int add_printed(struct buf *b, const struct flow_stage *s, const char *reference, const char *keys, size_t n, struct err *err)
{
    char *path = file_join(s->folder, "result.json");
    json_t *result = NULL;
    int rc = !path ? ERR(err, NOMEM, "no memory for a path") : !file_exists(path) ? ERR(err, NOTFOUND, "%s: stage '%s' has not printed anything yet", reference, s->name) : tree_load(&result, path, RESULT_BYTES_MAX, err);
    if (!rc) {
        const json_t *v = value_at(result, keys, n);
        rc = v ? add_value(b, v, reference, err) : ERR(err, NOTFOUND, "%s: %s has no such value", reference, path);
    }
    json_decref(result);
    mem_free(path);
    return rc;
}

int flow_expand(struct buf *b, const struct flow *f, const struct flow_stage *s, const char *text, struct err *err)
{
    buf_clear(b);
    for (const char *open; (open = strstr(text, "$(")); ) {
        const char *name = open + 2, *end = strchr(name, ')');
        if (!end)
            return ERR(err, FORMAT, "'%s': a $( without its )", text);
        const size_t n = (size_t)(end - name), n_name = strcspn(name, ".)");
        const int which = n_name == 4 && !memcmp(name, "this", 4) ? (int)(s - f->stage) : flow_index(f, name, n_name);
        char reference[200];
        if (which < 0)
            return ERR(err, FORMAT, "'%s': there is no stage '%.*s'", text, (int)n_name, name);
        snprintf(reference, sizeof reference, "$(%.*s)", (int)n, name);
        TRY(buf_add(b, text, (size_t)(open - text), err));
        if (n == n_name)
            TRY(buf_add_str(b, f->stage[which].out, err));
        else {
            const char *key = name + n_name + 1;
            const size_t n_key = n - n_name - 1;
            if (n_key == 5 && (!memcmp(key, "began", 5) || !memcmp(key, "ended", 5)))
                TRY(add_moment(b, &f->stage[which], reference, *key == 'b' ? "began" : "ended", err));
            else
                TRY(add_printed(b, &f->stage[which], reference, key, n_key, err));
        }
        text = end + 1;
    }
    return buf_add_str(b, text, err);
}

/* ---- the command line ---- */

struct filling { struct words *w; const struct flow *f; const struct flow_stage *s; struct buf b; };

static int add_text(struct filling *l, const char *text, struct err *err)
{
    TRY(flow_expand(&l->b, l->f, l->s, text, err));
    return words_add(l->w, l->b.data, l->b.len, err);
}

static int add_name(struct words *w, const char *before, const char *name, struct err *err)
{
    char option[80];
    const int n = snprintf(option, sizeof option, "%s%s", before, name);
    return words_add(w, option, (size_t)n, err);
}

static const char *dashes(const char *name) { return name[1] ? "--" : "-"; }

static int add_option(struct filling *l, const struct opt *o, const json_t *v, struct err *err)
{
    if (json_is_boolean(v))
        return json_is_true(v) ? add_name(l->w, dashes(o->name), o->name, err) : add_name(l->w, "--no-", o->name, err);
    const bool list = json_is_array(v);
    const size_t n = list ? json_array_size(v) : 1;
    struct buf all;
    int rc = 0;
    buf_init(&all);
    for (size_t i = 0; i < n && !rc; i++) {
        const json_t *one = list ? json_array_get(v, i) : v;
        struct buf text;
        buf_init(&text);
        rc = add_value(&text, one, o->name, err);
        if (!rc && o->type == OPT_LIST) {
            rc = add_name(l->w, dashes(o->name), o->name, err);
            rc = rc ? rc : add_text(l, text.data, err);
        } else if (!rc)
            rc = buf_printf(&all, err, "%s%s", i ? "," : "", text.data);
        buf_release(&text);
    }
    if (!rc && o->type != OPT_LIST) {
        rc = add_name(l->w, dashes(o->name), o->name, err);
        rc = rc ? rc : add_text(l, all.data, err);
    }
    buf_release(&all);
    return rc;
}

static int sees_itself(void *ctx, const char *text, struct err *err)
{
    (void)err;
    *(bool *)ctx |= strstr(text, "$(this)") != NULL;
    return 0;
}

bool flow_names_itself(const struct flow_stage *s)
{
    bool names = false;
    (void)flow_texts(s, false, sees_itself, &names, NULL);
    return names;
}

static int fill(struct filling *l, struct err *err)
{
    const struct flow_stage *s = l->s;
    const struct opt *out = opt_find(s->command.opts, "out");
    const char *key;
    json_t *v;
    TRY(words_add(l->w, "lathe", 5, err));
    for (int i = 0; i < s->n_word; i++)
        TRY(i < s->command.n_word ? words_add(l->w, s->word[i], strlen(s->word[i]), err) : add_text(l, s->word[i], err));
    json_object_foreach(s->options, key, v)
        TRY(add_option(l, opt_find(s->command.opts, key), v, err));
    if (out && !strcmp(out->values, "<folder>") && !json_object_get(s->options, "out") && !flow_names_itself(s)) {
        TRY(words_add(l->w, "--out", 5, err));
        TRY(words_add(l->w, s->out, strlen(s->out), err));
    }
    if (opt_find(s->command.opts, "json") && !json_object_get(s->options, "json"))
        TRY(words_add(l->w, "--json", 6, err));
    if (s->stays && opt_find(s->command.opts, "port-file") && !json_object_get(s->options, "port-file")) {
        TRY(words_add(l->w, "--port-file", 11, err));
        char *port = file_join(s->folder, "port");
        const int rc = port ? words_add(l->w, port, strlen(port), err) : ERR(err, NOMEM, "no memory for a path");
        mem_free(port);
        TRY(rc);
    }
    return 0;
}

int flow_argv(struct words *out, const struct flow *f, const struct flow_stage *s, struct err *err)
{
    struct filling l = { .w = out, .f = f, .s = s };
    *out = (struct words){ 0 };
    buf_init(&l.b);
    const int rc = fill(&l, err);
    buf_release(&l.b);
    if (rc < 0) {
        words_release(out);
        return err_context(err, "%s: stage '%s'", f->path, s->name);
    }
    return 0;
}
