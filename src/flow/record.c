#include "flow/record.h"
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "store/manifest.h"

enum { RECORD_BYTES_MAX = 16 << 20, DIGESTS_BYTES_MAX = 256 << 20, TREE_BYTES_MAX = 1 << 20, DEPTH_MAX = 4 };

/* ---- digests ---- */

int digests_open(struct digests *d, const char *folder, struct err *err)
{
    *d = (struct digests){ .path = file_join(folder, "digests.json") };
    if (!d->path)
        return ERR(err, NOMEM, "no memory for a path");
    if (file_exists(d->path) && tree_load(&d->known, d->path, DIGESTS_BYTES_MAX, NULL) < 0)
        d->known = NULL;
    if (d->known && !json_is_object(d->known)) {
        json_decref(d->known);
        d->known = NULL;
    }
    if (!d->known && !(d->known = json_object())) {
        digests_close(d);
        return ERR(err, NOMEM, "no memory for digests");
    }
    return 0;
}

static int save_tree(const json_t *o, const char *path, struct err *err)
{
    char *text = tree_dumps(o, JSON_INDENT(1) | JSON_SORT_KEYS);
    const int rc = text ? file_write_all(path, text, strlen(text), err) : ERR(err, NOMEM, "no memory for %s", path);
    mem_free(text);
    return rc;
}

int digests_save(struct digests *d, struct err *err)
{
    if (!d->changed)
        return 0;
    d->changed = false;
    return save_tree(d->known, d->path, err);
}

void digests_close(struct digests *d)
{
    json_decref(d->known);
    mem_free(d->path);
    *d = (struct digests){ 0 };
}

/* What tells that a file is as it was; false where it changed so lately that another change would not show in its times. */
static bool state_of(const struct stat *st, char out[120])
{
    snprintf(out, 120, "%llu %llu %lld %lld.%09ld %lld.%09ld", (unsigned long long)st->st_dev, (unsigned long long)st->st_ino, (long long)st->st_size, (long long)st->st_mtim.tv_sec,
             st->st_mtim.tv_nsec, (long long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
    return time(NULL) - st->st_ctim.tv_sec > 1;
}

static int digest_of_file(struct digests *d, const char *path, char hex[SHA256_HEX], struct err *err)
{
    struct stat st;
    char state[120];
    if (stat(path, &st))
        return ERR_ERRNO(err, "%s", path);
    const bool keep = state_of(&st, state);
    const json_t *known = json_object_get(d->known, path);
    if (keep && !strcmp(tree_text_at(known, "state"), state) && strlen(tree_text_at(known, "sha256")) == SHA256_HEX - 1) {
        strcpy(hex, tree_text_at(known, "sha256"));
        return 0;
    }
    TRY(sha256_of_file(path, hex, err));
    if (keep) {
        if (json_object_set_new(d->known, path, json_pack("{s:s, s:s}", "state", state, "sha256", hex)))
            return ERR(err, NOMEM, "no memory for digests");
        d->changed = true;
    }
    return 0;
}

/* Names, sizes and contents; a folder without files has a digest of its own. */
static int digest_of_folder(struct digests *d, const char *path, char hex[SHA256_HEX], struct err *err)
{
    struct manifest m = { 0 };
    int rc = manifest_list(&m, path, NULL, true, err);
    if (rc == ERR_NOTFOUND)
        return sha256_of("", 0, hex, err);
    for (int i = 0; i < m.n && !rc; i++) {
        char *file = manifest_path(path, m.file[i].name);
        rc = file ? digest_of_file(d, file, m.file[i].sha256, err) : ERR(err, NOMEM, "no memory for a path");
        mem_free(file);
    }
    if (!rc) {
        json_t *list = manifest_json(&m);
        char *text = list ? tree_dumps(list, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
        rc = text ? sha256_of(text, strlen(text), hex, err) : ERR(err, NOMEM, "no memory for the list of files of %s", path);
        mem_free(text);
        json_decref(list);
    }
    manifest_release(&m);
    return rc;
}

int digests_of(struct digests *d, const char *path, char hex[SHA256_HEX], struct err *err)
{
    hex[0] = '\0';
    if (!file_exists(path))
        return 0;
    return file_is_dir(path) ? digest_of_folder(d, path, hex, err) : digest_of_file(d, path, hex, err);
}

/* ---- inputs ---- */

struct inputs { const struct flow *f; const struct flow_stage *s; struct digests *d; json_t *found; struct buf b; int depth; };

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

static int input_of_path(struct inputs *in, const char *path, struct err *err);

static int input_of_tree(struct inputs *in, const json_t *v, struct err *err)
{
    const char *key;
    json_t *one;
    size_t i;
    if (json_is_string(v))
        TRY(input_of_path(in, json_string_value(v), err));
    json_object_foreach((json_t *)(uintptr_t)v, key, one)
        TRY(input_of_tree(in, one, err));
    json_array_foreach(v, i, one)
        TRY(input_of_tree(in, one, err));
    return 0;
}

/* A text that names a file or a folder.  Those of stages are known by their records. */
static int input_of_path(struct inputs *in, const char *path, struct err *err)
{
    char hex[SHA256_HEX];
    const int owner = flow_owner(in->f, path);
    if (owner >= 0)
        return &in->f->stage[owner] == in->s ? 0 : input_stage(in, owner, err);
    if (!*path || strlen(path) > 4000 || json_object_get(in->found, path) || !file_exists(path))
        return 0;
    TRY(digests_of(in->d, path, hex, err));
    TRY(input_set(in, path, hex, err));
    json_t *tree = NULL;
    int rc = 0;
    struct err why;
    if (flow_is_tree(path) && !file_is_dir(path) && in->depth < DEPTH_MAX && tree_load(&tree, path, TREE_BYTES_MAX, &why) < 0)
        log_warn("stage '%s': what %s names is not looked for: %s", in->s->name, path, why.msg);
    else if (tree) {
        in->depth++;
        rc = input_of_tree(in, tree, err);
        in->depth--;
    }
    json_decref(tree);
    return rc;
}

/* As it is, or what comes after the = of NAME=PATH. */
static int input_of_text(void *ctx, const char *text, struct err *err)
{
    struct inputs *in = ctx;
    TRY(flow_expand(&in->b, in->f, in->s, text, err));
    char *copy = mem_strdup(in->b.data);
    if (!copy)
        return ERR(err, NOMEM, "no memory for a path");
    const char *equals = strchr(copy, '=');
    const int rc = input_of_path(in, equals && !file_exists(copy) ? equals + 1 : copy, err);
    mem_free(copy);
    return rc;
}

static int find_inputs(struct inputs *in, struct err *err)
{
    for (int i = 0; i < in->f->n; i++)
        if (in->s->need[i])
            TRY(input_stage(in, i, err));
    for (size_t i = 0; i < json_array_size(in->s->inputs); i++) {
        const char *text = json_string_value(json_array_get(in->s->inputs, i));
        TRY(flow_expand(&in->b, in->f, in->s, text ? text : "", err));
        if (!text || (!file_exists(in->b.data) && flow_owner(in->f, in->b.data) < 0))
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
    const int rc = path ? save_tree(record, path, err) : ERR(err, NOMEM, "no memory for a path");
    mem_free(path);
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
    *why = RECORD_SAME;
    return 0;
}
