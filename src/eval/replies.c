#include "eval/replies.h"
#include <string.h>
#include <time.h>
#include "base/base64.h"
#include "base/mem.h"
#include "base/tree.h"

#define FILE_MAX ((size_t)8 << 30)

/* ---- a line ---- */

/* A text that is no UTF-8 is kept as base64. */
static json_t *text_of(const struct reply *y, const char **key)
{
    struct buf b;
    json_t *s = json_stringn(y->text, y->n_text);
    *key = s ? "text" : "base64";
    if (s)
        return s;
    buf_init(&b);
    if (base64_write(&b, y->text, y->n_text, NULL) >= 0)
        s = json_string(b.data);
    buf_release(&b);
    return s;
}

static json_t *reply_json(const struct reply *y)
{
    if (y->error)
        return json_pack("{s:s}", "error", y->error);
    json_t *o = json_pack("{s:f, s:b, s:i, s:i, s:b, s:b}", "loglik", y->loglik, "greedy", y->greedy, "n_token", y->n_token, "n_cut", y->n_cut, "joined",
                          y->joined, "unended", y->unended);
    const char *key;
    if (o && y->text) {
        json_t *s = text_of(y, &key);
        if (json_object_set_new(o, key, s)) {
            json_decref(o);
            return NULL;
        }
    }
    return o;
}

int replies_add(struct replies *r, const char *task, int64_t item, const struct reply *reply, int n, struct err *err)
{
    json_t *a = json_array(), *o = NULL;
    bool all = a;
    for (int i = 0; i < n && all; i++)
        all = !json_array_append_new(a, reply_json(&reply[i]));
    if (all)
        o = json_pack("{s:s, s:I, s:O}", "task", task, "item", (json_int_t)item, "replies", a);
    char *s = o ? tree_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    const int rc = s ? file_log_line(&r->log, s, strlen(s), err) : ERR(err, NOMEM, "no memory for a line of replies");
    mem_free(s);
    json_decref(o);
    json_decref(a);
    return rc;
}

/* ---- reading ---- */

static int read_text(const json_t *o, struct reply *y, const char *where, struct err *err)
{
    const json_t *text = json_object_get(o, "text"), *base64 = json_object_get(o, "base64");
    if (!text && !base64)
        return 0;
    if (!json_is_string(text ? text : base64))
        return ERR(err, FORMAT, "%s: the text of a reply is no string", where);
    struct buf b;
    buf_init(&b);
    const char *s = json_string_value(text ? text : base64);
    const size_t n = json_string_length(text ? text : base64);
    int rc = text ? buf_add(&b, s, n, err) : base64_read(&b, s, n, err);
    if (!rc && !(y->text = mem_alloc(b.len + 1)))
        rc = ERR(err, NOMEM, "no memory for a text of %zu bytes", b.len);
    if (!rc)
        memcpy(y->text, b.data, (y->n_text = b.len) + 1);
    buf_release(&b);
    return rc;
}

static int read_reply(const json_t *o, struct reply *y, const char *where, struct err *err)
{
    const char *error;
    int64_t n_token, n_cut;
    if (!json_is_object(o))
        return ERR(err, FORMAT, "%s: a reply is no object", where);
    TRY(tree_str(o, "error", "", &error, where, err));
    TRY(tree_num(o, "loglik", 0, &y->loglik, where, err));
    TRY(tree_bool(o, "greedy", false, &y->greedy, where, err));
    TRY(tree_int(o, "n_token", 0, 0, INT32_MAX, &n_token, where, err));
    TRY(tree_int(o, "n_cut", 0, 0, INT32_MAX, &n_cut, where, err));
    TRY(tree_bool(o, "joined", false, &y->joined, where, err));
    TRY(tree_bool(o, "unended", false, &y->unended, where, err));
    y->n_token = (int)n_token, y->n_cut = (int)n_cut;
    if (json_object_get(o, "error") && !(y->error = mem_strdup(error)))
        return ERR(err, NOMEM, "no memory for an error");
    return read_text(o, y, where, err);
}

static int read_replies(const json_t *a, struct evaluation *e, int task, int64_t item, const char *where, struct err *err)
{
    const size_t n = json_array_size(a);
    if (!n || n > 1 << 20)
        return ERR(err, FORMAT, "%s: 'replies' has %zu, expected at least one", where, n);
    struct reply *y = mem_alloc_array(n, sizeof *y);
    int rc = y ? 0 : ERR(err, NOMEM, "no memory for %zu replies", n);
    for (size_t i = 0; i < n && !rc; i++)
        rc = read_reply(json_array_get(a, i), &y[i], where, err);
    if (!rc)
        rc = evaluation_take(e, task, item, y, (int)n, err);
    for (size_t i = 0; y && i < n; i++) {
        mem_free(y[i].text);
        mem_free(y[i].error);
    }
    mem_free(y);
    return rc;
}

static int read_item(const json_t *o, struct evaluation *e, const char *where, struct err *err)
{
    const char *name;
    int64_t item;
    TRY(tree_str(o, "task", "", &name, where, err));
    for (int i = 0; i < e->n_task; i++)
        if (!strcmp(task_name(e->task[i].t), name)) {
            TRY(tree_int(o, "item", -1, 0, e->task[i].n - 1, &item, where, err));
            if (item < 0)
                return ERR(err, FORMAT, "%s: no 'item'", where);
            return read_replies(json_object_get(o, "replies"), e, i, item, where, err);
        }
    return ERR(err, FORMAT, "%s: task '%s' is not asked", where, name);
}

/* Does the first line tell of the same evaluation? */
static int check_head(const json_t *o, const json_t *of, double *begun, const char *where, struct err *err)
{
    const char *key;
    const json_t *mine;
    const json_t *theirs = json_object_get(o, "evaluation");
    TRY(tree_num(o, "begun", 0, begun, where, err));
    if (!json_is_object(theirs))
        return ERR(err, FORMAT, "%s: no 'evaluation'", where);
    json_object_foreach((json_t *)(uintptr_t)of, key, mine)
        if (!json_equal(mine, json_object_get(theirs, key))) {
            char *a = tree_dumps(json_object_get(theirs, key), JSON_ENCODE_ANY), *b = tree_dumps(mine, JSON_ENCODE_ANY);
            const int rc = ERR(err, USAGE, "%s: it belongs to another evaluation: '%s' is %.150s there, and %.150s now; choose another folder", where, key,
                               a ? a : "missing", b ? b : "?");
            mem_free(a);
            mem_free(b);
            return rc;
        }
    return 0;
}

static int read_all(const char *path, const json_t *of, struct evaluation *e, double *begun, struct err *err)
{
    struct buf b;
    buf_init(&b);
    int rc = file_read(path, FILE_MAX, &b, err), n_line = 0;
    for (const char *p = b.data, *end; !rc && p < b.data + b.len; p = end + 1, n_line++) {
        char where[700];
        json_t *o = NULL;
        end = memchr(p, '\n', (size_t)(b.data + b.len - p));
        if (!end)
            break;                       /* torn */
        snprintf(where, sizeof where, "%.600s:%d", path, n_line + 1);
        rc = tree_parse_json(&o, p, (size_t)(end - p), where, err);
        if (!rc && !json_is_object(o))
            rc = ERR(err, FORMAT, "%s: found no object", where);
        if (!rc)
            rc = n_line ? read_item(o, e, where, err) : check_head(o, of, begun, where, err);
        json_decref(o);
    }
    buf_release(&b);
    return rc < 0 ? rc : n_line;
}

static int write_head(struct replies *r, const json_t *of, double begun, struct err *err)
{
    json_t *o = json_pack("{s:O, s:f}", "evaluation", of, "begun", begun);
    char *s = o ? tree_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    const int rc = s ? file_log_line(&r->log, s, strlen(s), err) : ERR(err, NOMEM, "no memory for a line of replies");
    mem_free(s);
    json_decref(o);
    return rc;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-6 * (double)(t.tv_nsec / 1000);
}

static int open_log(struct replies *r, const char *path, const json_t *of, struct evaluation *e, double *begun, struct err *err)
{
    const int n = file_exists(path) ? read_all(path, of, e, begun, err) : 0;
    TRY(n);
    TRY(file_log_open(&r->log, path, err));
    if (n)
        return 0;
    *begun = now();
    return write_head(r, of, *begun, err);
}

int replies_open(struct replies *r, const char *folder, const json_t *of, struct evaluation *e, double *begun, struct err *err)
{
    *r = (struct replies){ .log.fd = -1, .lock = -1 };
    TRY(file_mkdirs(folder, err));
    TRY(file_lock(folder, &r->lock, err));
    char *path = file_join(folder, "replies.jsonl");
    const int rc = path ? open_log(r, path, of, e, begun, err) : ERR(err, NOMEM, "no memory for the name of a file");
    mem_free(path);
    if (rc < 0)
        replies_close(r);
    return rc;
}

void replies_close(struct replies *r)
{
    if (r->log.path)
        file_log_close(&r->log);
    if (r->lock > 0)
        file_unlock(&r->lock);
    *r = (struct replies){ .log.fd = -1, .lock = -1 };
}
