#include "flow/flow.h"
#include <limits.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"

enum { FILE_BYTES_MAX = 1 << 20, NAME_MAX_BYTES = 40, DEPTH_MAX = 5 };     /* of files that name each other */

/* ---- lists of words ---- */

int words_add(struct words *w, const char *text, size_t n, struct err *err)
{
    if (w->n + 1 >= w->cap) {
        const int cap = w->cap ? 2 * w->cap : 16;
        char **at = mem_realloc_array(w->at, (size_t)cap, sizeof *at);
        if (!at)
            return ERR(err, NOMEM, "no memory for %d words of a command", cap);
        w->at = at, w->cap = cap;
    }
    if (!(w->at[w->n] = mem_printf("%.*s", (int)n, text)))
        return ERR(err, NOMEM, "no memory for the words of a command");
    w->at[++w->n] = NULL;
    return 0;
}

void words_release(struct words *w)
{
    for (int i = 0; i < w->n; i++)
        mem_free(w->at[i]);
    mem_free(w->at);
    *w = (struct words){ 0 };
}

/* ---- reading ---- */

int flow_index(const struct flow *f, const char *name, size_t n)
{
    for (int i = 0; i < f->n; i++)
        if (strlen(f->stage[i].name) == n && !memcmp(f->stage[i].name, name, n))
            return i;
    return -1;
}

/* Names are those of folders and of references. */
static bool name_ok(const char *name)
{
    const size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    return n && !name[n] && n <= NAME_MAX_BYTES && strcmp(name, "this") && name[0] != '-';
}

static int add_word(struct flow_stage *s, const char *word, const char *path, struct err *err)
{
    if (s->n_word == FLOW_WORDS_MAX)
        return ERR(err, RANGE, "%s: stage '%s': run has more than %d words", path, s->name, FLOW_WORDS_MAX);
    s->word[s->n_word++] = word;
    return 0;
}

/* A text is cut at blanks, into a copy of it that the tree keeps. */
static int split_words(struct flow_stage *s, json_t *stage, const char *path, struct err *err)
{
    json_t *run = json_object_get(stage, "run");
    if (json_is_array(run)) {
        for (size_t i = 0; i < json_array_size(run); i++) {
            const char *w = json_string_value(json_array_get(run, i));
            if (!w)
                return ERR(err, FORMAT, "%s: stage '%s': run: expected words, found something else at %zu", path, s->name, i + 1);
            TRY(add_word(s, w, path, err));
        }
        return 0;
    }
    if (!json_is_string(run))
        return ERR(err, FORMAT, "%s: stage '%s': expected run, a command of lathe with its arguments", path, s->name);
    json_t *list = json_array();
    int rc = list ? 0 : ERR(err, NOMEM, "no memory for %s", path);
    const char *at = json_string_value(run);
    while (!rc && *(at += strspn(at, " \t\n"))) {
        const size_t n = strcspn(at, " \t\n");
        if (json_array_append_new(list, json_stringn(at, n)))
            rc = ERR(err, NOMEM, "no memory for %s", path);
        else
            rc = add_word(s, json_string_value(json_array_get(list, json_array_size(list) - 1)), path, err);
        at += n;
    }
    if (!rc && json_object_set(stage, "run", list))
        rc = ERR(err, NOMEM, "no memory for %s", path);
    json_decref(list);
    return rc;
}

static int check_keys(const json_t *o, const char *const *known, int n_known, const char *path, const char *where, struct err *err)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)o, key, v) {
        bool found = false;
        for (int i = 0; i < n_known; i++)
            found |= !strcmp(key, known[i]);
        if (!found) {
            const char *near = word_nearest(key, known, n_known);
            return ERR(err, FORMAT, "%s: %sunknown key '%s'%s%s%s", path, where, key, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
        }
    }
    return 0;
}

static int check_options(const struct flow_stage *s, const char *path, struct err *err)
{
    const char *key;
    json_t *v;
    if (s->options && !json_is_object(s->options))
        return ERR(err, FORMAT, "%s: stage '%s': options: expected a mapping", path, s->name);
    json_object_foreach(s->options, key, v) {
        const struct opt *o = opt_find(s->command.opts, key);
        if (!o) {
            const char *near = opt_nearest(s->command.opts, key);
            return ERR(err, USAGE, "%s: stage '%s': lathe %s has no option --%s%s%s%s", path, s->name, s->command.name, key, near ? "; did you mean --" : "", near ? near : "", near ? "?" : "");
        }
        const bool list = json_is_array(v);
        for (size_t i = 0; i < (list ? json_array_size(v) : 1); i++) {
            const json_t *one = list ? json_array_get(v, i) : v;
            if (!(json_is_string(one) || json_is_number(one) || (json_is_boolean(one) && !list)))
                return ERR(err, FORMAT, "%s: stage '%s': options: %s: expected a text, a number, true, false or a list of texts and numbers", path, s->name, key);
        }
        if ((o->type == OPT_FLAG) != json_is_boolean(v))
            return ERR(err, FORMAT, "%s: stage '%s': options: %s: expected %s", path, s->name, key, o->type == OPT_FLAG ? "true or false" : "a value, not true or false");
    }
    return 0;
}

/* From the root, without ".", ".." and empty parts; links are not looked at.  false: too long. */
static bool normal(char out[PATH_MAX], const char *path)
{
    size_t n = 0;
    if (path[0] != '/') {
        if (!getcwd(out, PATH_MAX))
            return false;
        n = strlen(out) > 1 ? strlen(out) : 0;       /* "/" is what each part begins with */
    }
    while (*path) {
        const size_t part = strcspn(path, "/");
        if (part == 2 && path[0] == '.' && path[1] == '.')
            while (n && out[--n] != '/')
                ;
        else if (part && !(part == 1 && path[0] == '.')) {
            if (n + part + 2 > PATH_MAX)
                return false;
            out[n++] = '/';
            memcpy(out + n, path, part);
            n += part;
        }
        path += part + (path[part] == '/');
    }
    out[n] = '\0';
    return true;
}

static int read_stage(struct flow *f, struct flow_stage *s, json_t *stage, flow_find *find, struct err *err)
{
    static const char *const known[] = { "run", "options", "inputs", "needs", "stays", "gate" };
    char where[80];
    const char *gate;
    snprintf(where, sizeof where, "stage '%s': ", s->name);
    if (!name_ok(s->name))
        return ERR(err, FORMAT, "%s: stage '%s': expected a name of letters, digits, _ and -, at most %d, not 'this'", f->path, s->name, NAME_MAX_BYTES);
    if (!json_is_object(stage))
        return ERR(err, FORMAT, "%s: %sexpected a mapping with run", f->path, where);
    TRY(check_keys(stage, known, 6, f->path, where, err));
    TRY(split_words(s, stage, f->path, err));
    if (!s->n_word || !find(&s->command, s->word, s->n_word))
        return ERR(err, USAGE, "%s: %srun: lathe has no command '%s'; lathe help lists them", f->path, where, s->n_word ? s->word[0] : "");
    for (int i = 0; i < s->n_word; i++)
        if (s->word[i][0] == '-' && s->word[i][1])
            return ERR(err, FORMAT, "%s: %srun: found the option '%s', expected it under options", f->path, where, s->word[i]);
    s->options = json_object_get(stage, "options"), s->inputs = json_object_get(stage, "inputs");
    TRY(check_options(s, f->path, err));
    if (s->inputs && !json_is_array(s->inputs))
        return ERR(err, FORMAT, "%s: %sinputs: expected a list of paths", f->path, where);
    for (size_t i = 0; i < json_array_size(s->inputs); i++)
        if (!json_is_string(json_array_get(s->inputs, i)))
            return ERR(err, FORMAT, "%s: %sinputs: expected paths, found something else at %zu", f->path, where, i + 1);
    snprintf(where, sizeof where, "stage '%s'", s->name);
    if (tree_bool(stage, "stays", false, &s->stays, where, err) < 0 || tree_str(stage, "gate", "stop", &gate, where, err) < 0)
        return err_context(err, "%s", f->path);
    snprintf(where, sizeof where, "stage '%s': ", s->name);
    if (strcmp(gate, "stop") && strcmp(gate, "warn"))
        return ERR(err, FORMAT, "%s: %sgate: expected stop or warn, found '%s'", f->path, where, gate);
    s->gate_warns = !strcmp(gate, "warn");
    if (s->stays && !opt_find(s->command.opts, "port-file"))
        return ERR(err, USAGE, "%s: %sstays: lathe %s is no command that goes on", f->path, where, s->command.name);
    s->folder = mem_printf("%s/%s", f->out, s->name), s->out = mem_printf("%s/%s/out", f->out, s->name);
    char whole[PATH_MAX];
    s->whole = s->folder && normal(whole, s->folder) ? mem_strdup(whole) : NULL;
    return s->folder && s->out && s->whole ? 0 : ERR(err, NOMEM, "no memory for the stages of %s, or more than %d bytes for their folders", f->path, PATH_MAX);
}

/* ---- which comes before which ---- */

int flow_owner(const struct flow *f, const char *path)
{
    char whole[PATH_MAX];
    if (!normal(whole, path))
        return -1;
    for (int i = 0; i < f->n; i++) {
        const size_t n = strlen(f->stage[i].whole);
        if (!strncmp(whole, f->stage[i].whole, n) && (!whole[n] || whole[n] == '/'))
            return i;
    }
    return -1;
}

bool flow_is_written(const char *command, const char *option)
{
    static const struct { const char *command, *option; } known[] = {
        { NULL, "out" }, { NULL, "registry" }, { NULL, "record" }, { NULL, "port-file" }, { NULL, "new-key" }, { NULL, "card" }, { NULL, "nist" },
        { "serve", "audit" }, { "serve", "workshop" }, { "serve", "checkpoints" }, { "watch", "events" }, { "watch", "evidently" }, { "eval", "diagram" }, { "bench", "save" }, { "plan", "html" }, { "perplexity", "save-logits" },
    };
    const size_t n = strlen(option);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(option, known[i].option) && (!known[i].command || !strcmp(command, known[i].command)))
            return true;
    return n > 4 && !strcmp(option + n - 4, "-out");
}

bool flow_writes(const struct flow_stage *s, const char *option)
{
    return flow_is_written(s->command.name, option) || (!strcmp(s->command.name, "data audit") && !strcmp(option, "index") && json_object_get(s->options, "index-add"));
}

/* Commands whose first argument is made, always or where an option says so. */
static bool makes_its_argument(const struct flow_stage *s)
{
    return !strcmp(s->command.name, "registry backup") || (!strcmp(s->command.name, "data exposure") && json_object_get(s->options, "make"));
}

int flow_texts(const struct flow_stage *s, bool read_only, int (*each)(void *ctx, const char *text, struct err *err), void *ctx, struct err *err)
{
    const char *key;
    json_t *v;
    for (int i = s->command.n_word + (read_only && makes_its_argument(s)); i < s->n_word; i++)
        TRY(each(ctx, s->word[i], err));
    json_object_foreach(s->options, key, v) {
        if (read_only && flow_writes(s, key))
            continue;
        if (json_is_string(v))
            TRY(each(ctx, json_string_value(v), err));
        for (size_t i = 0; i < json_array_size(v); i++)
            if (json_is_string(json_array_get(v, i)))
                TRY(each(ctx, json_string_value(json_array_get(v, i)), err));
    }
    for (size_t i = 0; i < json_array_size(s->inputs); i++)
        TRY(each(ctx, json_string_value(json_array_get(s->inputs, i)), err));
    return 0;
}

/* ---- paths within texts ---- */

struct paths { int (*each)(void *ctx, const char *path, struct err *err); void *ctx; const char *stage; json_t *seen; int depth; };

static bool is_tree(const char *path) { return file_name_ends(path, ".yaml") || file_name_ends(path, ".yml") || file_name_ends(path, ".json"); }

/* "." and the like are words of a tokenizer more often than folders; "/" is never what somebody learns from. */
static bool may_be_path(const char *text, bool json)
{
    const size_t n = strspn(text, "./");
    return text[n] || (!json && strchr(text, '.'));
}

static int visit_path(struct paths *p, const char *path, struct err *err);

static int visit_tree(struct paths *p, const json_t *v, bool json, struct err *err)
{
    const char *key;
    json_t *one;
    size_t i;
    if (json_is_string(v) && may_be_path(json_string_value(v), json))
        TRY(visit_path(p, json_string_value(v), err));
    json_object_foreach((json_t *)(uintptr_t)v, key, one)
        TRY(visit_tree(p, one, json, err));
    json_array_foreach(v, i, one)
        TRY(visit_tree(p, one, json, err));
    return 0;
}

static int visit_path(struct paths *p, const char *path, struct err *err)
{
    if (!*path || strlen(path) >= PATH_MAX || json_object_get(p->seen, path))
        return 0;
    if (json_object_set_new(p->seen, path, json_null()))
        return ERR(err, NOMEM, "no memory for a path");
    const int deeper = p->each(p->ctx, path, err);
    if (deeper < 1 || !is_tree(path) || p->depth == DEPTH_MAX || !file_exists(path) || file_is_dir(path))
        return deeper < 0 ? deeper : 0;
    json_t *tree = NULL;
    struct err why;
    int rc = tree_load(&tree, path, FILE_BYTES_MAX, &why);
    if (rc < 0 && p->stage)
        log_warn("stage '%s': what %s names is not looked for: %s", p->stage, path, why.msg);
    p->depth++;
    rc = rc < 0 ? 0 : visit_tree(p, tree, file_name_ends(path, ".json"), err);
    p->depth--;
    json_decref(tree);
    return rc;
}

int flow_paths(const char *text, const char *stage, int (*each)(void *ctx, const char *path, struct err *err), void *ctx, struct err *err)
{
    struct paths p = { .each = each, .ctx = ctx, .stage = stage, .seen = json_object() };
    const char *equals = strchr(text, '=');
    const int rc = p.seen ? visit_path(&p, equals && !file_exists(text) ? equals + 1 : text, err) : ERR(err, NOMEM, "no memory for paths");
    json_decref(p.seen);
    return rc;
}

/* ---- which stages a stage needs ---- */

struct needing { struct flow *f; struct flow_stage *s; };

static int need_of_path(void *ctx, const char *path, struct err *err)
{
    (void)err;
    struct needing *n = ctx;
    const int owner = flow_owner(n->f, path);
    if (owner >= 0 && &n->f->stage[owner] != n->s)
        n->s->need[owner] = true;
    return owner < 0;
}

/* $(STAGE) and $(STAGE.KEY), and those whose folders it names. */
static int need_of_text(void *ctx, const char *text, struct err *err)
{
    struct needing *n = ctx;
    for (const char *at = text; (at = strstr(at, "$(")); at += 2) {
        const size_t length = strcspn(at + 2, ".)");
        if (!strchr(at, ')'))
            return ERR(err, FORMAT, "%s: stage '%s': '%s': a $( without its )", n->f->path, n->s->name, text);
        if (length == 4 && !strncmp(at + 2, "this", 4))
            continue;
        const int which = flow_index(n->f, at + 2, length);
        if (which < 0)
            return ERR(err, FORMAT, "%s: stage '%s': there is no stage '%.*s'", n->f->path, n->s->name, (int)length, at + 2);
        n->s->need[which] = true;
    }
    return flow_paths(text, NULL, need_of_path, n, err);
}

/* The same of a command that writes into what it is given: the stage that made that would be run again, its results removed first. */
static int check_argument(const struct flow *f, const struct flow_stage *s, struct err *err)
{
    struct buf b;
    struct err none;
    if (!s->command.into_argument || s->n_word == s->command.n_word || json_object_get(s->options, "out"))
        return 0;
    buf_init(&b);
    const int owner = flow_expand(&b, f, s, s->word[s->command.n_word], &none) < 0 ? -1 : flow_owner(f, b.data);
    const int rc = owner < 0 || &f->stage[owner] == s ? 0 :
                   ERR(err, FORMAT, "%s: stage '%s': lathe %s writes into %s, within the folder of stage '%s', which that one alone writes; expected %s", f->path, s->name, s->command.name, b.data,
                       f->stage[owner].name, opt_find(s->command.opts, "out") ? "options: {out: $(this)/FILE}" : "what that stage can be told itself");
    buf_release(&b);
    return rc;
}

/* What a stage writes to is no other's folder. */
static int check_written(const struct flow *f, const struct flow_stage *s, struct err *err)
{
    const char *key;
    json_t *v;
    struct buf b;
    int rc = 0;
    buf_init(&b);
    json_object_foreach(s->options, key, v) {
        struct err none;
        if (rc || !flow_writes(s, key) || !json_is_string(v) || flow_expand(&b, f, s, json_string_value(v), &none) < 0)     /* not known yet */
            continue;
        const int owner = flow_owner(f, b.data);
        if (owner >= 0 && &f->stage[owner] != s)
            rc = ERR(err, FORMAT, "%s: stage '%s': %s: %s is within the folder of stage '%s', which that one alone writes", f->path, s->name, key, b.data, f->stage[owner].name);
    }
    buf_release(&b);
    return rc;
}

static int read_needs(struct flow *f, struct flow_stage *s, const json_t *stage, struct err *err)
{
    const json_t *needs = json_object_get(stage, "needs");
    if (needs && !json_is_array(needs))
        return ERR(err, FORMAT, "%s: stage '%s': needs: expected a list of stages", f->path, s->name);
    for (size_t i = 0; i < json_array_size(needs); i++) {
        const char *name = json_string_value(json_array_get(needs, i));
        const int which = name ? flow_index(f, name, strlen(name)) : -1;
        if (which < 0)
            return ERR(err, FORMAT, "%s: stage '%s': needs: there is no stage '%s'", f->path, s->name, name ? name : "");
        s->need[which] = true;
    }
    struct needing n = { .f = f, .s = s };
    TRY(check_written(f, s, err));
    TRY(check_argument(f, s, err));
    return flow_texts(s, false, need_of_text, &n, err);
}

/* The first in the file that needs none that is left, again and again. */
static int put_in_order(struct flow *f, struct err *err)
{
    struct flow_stage *sorted = mem_alloc_array((size_t)f->n, sizeof *sorted);
    int place[FLOW_STAGES_MAX], n = 0;
    if (!sorted)
        return ERR(err, NOMEM, "no memory for %d stages", f->n);
    for (int i = 0; i < f->n; i++)
        place[i] = -1;
    while (n < f->n) {
        int next = -1;
        for (int i = 0; i < f->n && next < 0; i++) {
            bool ready = place[i] < 0;
            for (int j = 0; j < f->n && ready; j++)
                ready = !f->stage[i].need[j] || place[j] >= 0;
            next = ready ? i : -1;
        }
        if (next < 0)
            break;
        sorted[n] = f->stage[next], place[next] = n++;
    }
    if (n < f->n) {
        struct buf b;
        buf_init(&b);
        for (int i = 0; i < f->n; i++)
            if (place[i] < 0)
                (void)buf_printf(&b, NULL, "%s'%s'", b.len ? ", " : "", f->stage[i].name);
        mem_free(sorted);
        const int rc = ERR(err, FORMAT, "%s: these stages need each other, or one that does: %s", f->path, b.data);
        buf_release(&b);
        return rc;
    }
    for (int i = 0; i < n; i++) {
        bool need[FLOW_STAGES_MAX] = { false };
        for (int j = 0; j < n; j++)
            if (sorted[i].need[j])
                need[place[j]] = true;
        memcpy(sorted[i].need, need, sizeof need);
    }
    mem_free(f->stage);
    f->stage = sorted;
    return 0;
}

/* Of a file "dir/lathe.yaml": "lathe", and "dir/lathe.run". */
static int name_it(struct flow *f, struct err *err)
{
    const char *base = file_last_part(f->path), *dot = strrchr(base, '.'), *name, *out;
    const int n_base = dot ? (int)(dot - base) : (int)strlen(base);
    TRY(tree_str(f->tree, "name", "", &name, f->path, err));
    TRY(tree_str(f->tree, "out", "", &out, f->path, err));
    if (*name && !name_ok(name))
        return ERR(err, FORMAT, "%s: name: found '%.60s', expected letters, digits, _ and -, at most %d, not 'this'", f->path, name, NAME_MAX_BYTES);
    f->name = *name ? mem_strdup(name) : mem_printf("%.*s", n_base, base);
    f->out = *out ? mem_strdup(out) : f->name ? mem_printf("%.*s%s.run", (int)(base - f->path), f->path, f->name) : NULL;
    return f->name && f->out ? 0 : ERR(err, NOMEM, "no memory for the name of %s", f->path);
}

static int read_all(struct flow *f, flow_find *find, struct err *err)
{
    static const char *const known[] = { "name", "out", "stages" };
    const char *key;
    json_t *stage, *stages;
    TRY(tree_load(&f->tree, f->path, FILE_BYTES_MAX, err));
    if (!json_is_object(f->tree))
        return ERR(err, FORMAT, "%s: expected a mapping with stages", f->path);
    TRY(check_keys(f->tree, known, 3, f->path, "", err));
    stages = json_object_get(f->tree, "stages");
    if (!json_is_object(stages) || !json_object_size(stages))
        return ERR(err, FORMAT, "%s: expected stages, a mapping of at least one name to a stage", f->path);
    if (json_object_size(stages) > FLOW_STAGES_MAX)
        return ERR(err, RANGE, "%s: found %zu stages, expected at most %d", f->path, json_object_size(stages), FLOW_STAGES_MAX);
    TRY(name_it(f, err));
    if (!(f->stage = mem_alloc_array(json_object_size(stages), sizeof *f->stage)))
        return ERR(err, NOMEM, "no memory for %zu stages", json_object_size(stages));
    json_object_foreach(stages, key, stage) {
        f->stage[f->n].name = key;
        TRY(read_stage(f, &f->stage[f->n++], stage, find, err));
    }
    for (int i = 0; i < f->n; i++)
        TRY(read_needs(f, &f->stage[i], json_object_get(stages, f->stage[i].name), err));
    return put_in_order(f, err);
}

int flow_read(struct flow *f, const char *path, flow_find *find, struct err *err)
{
    *f = (struct flow){ .path = path };
    const int rc = read_all(f, find, err);
    if (rc < 0)
        flow_release(f);
    return rc;
}

void flow_release(struct flow *f)
{
    for (int i = 0; i < f->n; i++) {
        mem_free(f->stage[i].folder);
        mem_free(f->stage[i].out);
        mem_free(f->stage[i].whole);
    }
    mem_free(f->stage);
    mem_free(f->name);
    mem_free(f->out);
    json_decref(f->tree);
    *f = (struct flow){ 0 };
}
