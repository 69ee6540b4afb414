#include "flow/record.h"
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"

enum { RECORD_BYTES_MAX = 16 << 20 };

/* ---- inputs ---- */

struct inputs { const struct flow *f; const struct flow_stage *s; struct digests *d; json_t *found; struct buf b; };

static int input_set(struct inputs *in, const char *name, const char *hex, struct err *err)
{
    return json_object_set_new(in->found, name, json_string(hex)) ? ERR(err, NOMEM, "no memory for the inputs of stage '%s'", in->s->name) : 0;
}

static int input_stage(struct inputs *in, int which, struct err *err)
{
    char name[80], hex[SHA256_HEX] = "";
    json_t *record;
    TRY(record_load(&record, &in->f->stage[which], err));
    snprintf(name, sizeof name, "$(%s)", in->f->stage[which].name);
    snprintf(hex, sizeof hex, "%s", tree_text_at(record, "output"));
    json_decref(record);
    return input_set(in, name, hex, err);
}

/* A file or a folder that is there.  Those of stages are known by their records. */
static int input_of_path(void *ctx, const char *path, struct err *err)
{
    struct inputs *in = ctx;
    char hex[SHA256_HEX];
    const int owner = flow_owner(in->f, path);
    if (owner >= 0)
        return &in->f->stage[owner] == in->s ? 0 : input_stage(in, owner, err);
    if (json_object_get(in->found, path) || !file_exists(path))
        return 0;
    TRY(digests_of(in->d, path, hex, err));
    TRY(input_set(in, path, hex, err));
    return 1;
}

static int input_of_text(void *ctx, const char *text, struct err *err)
{
    struct inputs *in = ctx;
    TRY(flow_expand(&in->b, in->f, in->s, text, err));
    char *copy = mem_strdup(in->b.data);
    const int rc = copy ? flow_paths(copy, in->s->name, input_of_path, in, err) : ERR(err, NOMEM, "no memory for a path");
    mem_free(copy);
    return rc;
}

static int find_inputs(struct inputs *in, struct err *err)
{
    for (int i = 0; i < in->f->n; i++)
        if (in->s->need[i])
            TRY(input_stage(in, i, err));
    for (size_t i = 0; i < json_array_size(in->s->inputs); i++) {
        TRY(flow_expand(&in->b, in->f, in->s, json_string_value(json_array_get(in->s->inputs, i)), err));
        if (!file_exists(in->b.data) && flow_owner(in->f, in->b.data) < 0)
            return ERR(err, NOTFOUND, "%s: stage '%s': inputs: there is no file or folder '%s'", in->f->path, in->s->name, in->b.data);
    }
    return flow_texts(in->s, true, input_of_text, in, err);
}

int record_wanted(json_t **out, const struct flow *f, const struct flow_stage *s, struct digests *d, struct err *err)
{
    struct words w = { 0 };
    struct inputs in = { .f = f, .s = s, .d = d, .found = json_object() };
    json_t *argv = json_array();
    buf_init(&in.b);
    int rc = in.found && argv ? flow_argv(&w, f, s, err) : ERR(err, NOMEM, "no memory for the record of stage '%s'", s->name);
    for (int i = 0; i < w.n && !rc; i++)
        if (json_array_append_new(argv, json_string(w.at[i])))
            rc = ERR(err, NOMEM, "no memory for the record of stage '%s'", s->name);
    if (!rc)
        rc = find_inputs(&in, err);
    buf_release(&in.b);
    words_release(&w);
    *out = rc ? NULL : json_pack("{s:O, s:O}", "argv", argv, "inputs", in.found);
    json_decref(argv);
    json_decref(in.found);
    return rc ? rc : *out ? 0 : ERR(err, NOMEM, "no memory for the record of stage '%s'", s->name);
}

/* ---- what it wrote elsewhere ---- */

struct made { const struct flow *f; const struct flow_stage *s; struct buf b; json_t *list; };

static int add_made(struct made *m, const char *text, struct err *err)
{
    TRY(flow_expand(&m->b, m->f, m->s, text, err));
    if (!file_exists(m->b.data) || flow_owner(m->f, m->b.data) >= 0)
        return 0;
    return json_array_append_new(m->list, json_string(m->b.data)) ? ERR(err, NOMEM, "no memory for what stage '%s' made", m->s->name) : 0;
}

int record_made(json_t **out, const struct flow *f, const struct flow_stage *s, struct err *err)
{
    struct made m = { .f = f, .s = s, .list = json_array() };
    const char *key;
    json_t *v;
    buf_init(&m.b);
    int rc = m.list ? 0 : ERR(err, NOMEM, "no memory for what stage '%s' made", s->name);
    json_object_foreach(s->options, key, v)
        if (!rc && flow_writes(s, key) && json_is_string(v))
            rc = add_made(&m, json_string_value(v), err);
    buf_release(&m.b);
    if (rc)
        json_decref(m.list);
    *out = rc ? NULL : m.list;
    return rc;
}

/* ---- records ---- */

int record_load(json_t **out, const struct flow_stage *s, struct err *err)
{
    char *path = file_join(s->folder, "stage.json");
    *out = NULL;
    if (!path)
        return ERR(err, NOMEM, "no memory for a path");
    if (file_exists(path) && tree_load(out, path, RECORD_BYTES_MAX, NULL) < 0)
        *out = NULL;
    mem_free(path);
    return 0;
}

int record_save(const json_t *record, const struct flow_stage *s, struct err *err)
{
    char *path = file_join(s->folder, "stage.json");
    char *text = path ? tree_dumps(record, JSON_INDENT(1) | JSON_SORT_KEYS) : NULL;
    const int rc = text ? file_write_all(path, text, strlen(text), err) : ERR(err, NOMEM, "no memory for the record of stage '%s'", s->name);
    mem_free(text), mem_free(path);
    return rc;
}

int record_output(const struct flow_stage *s, struct digests *d, char hex[SHA256_HEX], struct err *err)
{
    char both[2 * SHA256_HEX], *printed = file_join(s->folder, "result.json");
    int rc = printed ? digests_of(d, s->out, both, err) : ERR(err, NOMEM, "no memory for a path");
    if (!rc)
        rc = digests_of(d, printed, both + strlen(both), err);
    mem_free(printed);
    return rc ? rc : sha256_of(both, strlen(both), hex, err);
}

/* The first input that is another, has gone or is new. */
static int differing(struct buf *b, const json_t *before, const json_t *now, bool *differs, struct err *err)
{
    const char *name;
    json_t *v;
    *differs = true;
    json_object_foreach((json_t *)(uintptr_t)now, name, v) {
        const json_t *old = json_object_get(before, name);
        if (!old || !json_equal(old, v))
            return buf_printf(b, err, "%s %s", name, old ? "changed" : "is new");
    }
    json_object_foreach((json_t *)(uintptr_t)before, name, v)
        if (!json_object_get(now, name))
            return buf_printf(b, err, "%s is not there any more", name);
    *differs = false;
    return 0;
}

int record_compare(enum record_why *why, struct buf *b, const json_t *before, const json_t *wanted, const struct flow_stage *s, struct digests *d, struct err *err)
{
    char hex[SHA256_HEX];
    const json_t *made;
    size_t i;
    bool differs;
    buf_clear(b);
    if (!before) {
        *why = RECORD_NEW;
        return buf_add_str(b, "it never ran", err);
    }
    if (!json_equal(json_object_get(before, "argv"), json_object_get(wanted, "argv"))) {
        *why = RECORD_ARGV;
        return buf_add_str(b, "its command line changed", err);
    }
    *why = RECORD_INPUT;
    TRY(differing(b, json_object_get(before, "inputs"), json_object_get(wanted, "inputs"), &differs, err));
    if (differs)
        return 0;
    const char *state = tree_text_at(before, "state");
    if (strcmp(state, "done") && !(s->gate_warns && !strcmp(state, "refused"))) {
        *why = RECORD_UNFINISHED;
        return buf_printf(b, err, "it %s", !strcmp(state, "running") ? "was cut off" : !strcmp(state, "stopped") ? "was stopped" : !strcmp(state, "refused") ? "was refused" : "failed");
    }
    *why = RECORD_OUTPUT;
    TRY(record_output(s, d, hex, err));
    if (strcmp(hex, tree_text_at(before, "output")))
        return buf_add_str(b, "what it made was changed", err);
    json_array_foreach(json_object_get(before, "made"), i, made)
        if (json_is_string(made) && !file_exists(json_string_value(made)))
            return buf_printf(b, err, "%s, which it made, is not there any more", json_string_value(made));
    *why = RECORD_SAME;
    return 0;
}
