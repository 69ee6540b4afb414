#include "train/checkpoint.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "model/adapter.h"
#include "model/vision.h"

/* ---- writing ---- */

/* Written, read back and compared. */
static int write_in(const char *dir, const char *name, const void *text, size_t n, struct err *err)
{
    char *path = file_join(dir, name);
    struct buf back;
    buf_init(&back);
    int rc = path ? file_write_all(path, text, n, err) : ERR(err, NOMEM, "no memory for a path");
    if (!rc)
        rc = file_read(path, n, &back, err);
    if (!rc && (back.len != n || memcmp(back.data, text, n)))
        rc = ERR(err, CORRUPT, "%s was read back with other bytes than were written", path);
    buf_release(&back);
    mem_free(path);
    return rc;
}

int model_save(const char *dir, struct decoder *d, const struct weights_list *l, const struct tok *tok, struct weight_digest **digest,
               int *n_digest, struct err *err)
{
    struct buf b;
    if (d->n_site)
        return adapter_save(dir, d, l, digest, n_digest, err);
    buf_init(&b);
    struct config c = d->config;
    c.dtype = ST_F32;
    char *path = file_join(dir, "model.safetensors");
    int rc = path ? 0 : ERR(err, NOMEM, "no memory for a path");
    if (!rc)
        rc = weights_save(l, path, ST_F32, decoder_weight_source, d, NULL, 0, digest, n_digest, err);
    if (rc && d->parts && d->parts->rc)
        *err = d->parts->err, rc = d->parts->rc;
    if (!rc && !(rc = config_write(&c, &b, err)))
        rc = write_in(dir, "config.json", b.data, b.len, err);
    buf_clear(&b);
    if (!rc && d->vision && !(rc = vision_write(d->vision, &c, &b, err)))
        rc = write_in(dir, "preprocessor_config.json", b.data, b.len, err);
    buf_clear(&b);
    if (!rc && tok && !(rc = tok_write(tok, &b, err)))
        rc = write_in(dir, "tokenizer.json", b.data, b.len, err);
    mem_free(path);
    buf_release(&b);
    return rc;
}

/* A tensor of the optimiser's and the weight that it belongs to. */
struct moment { int weight, id; };
static enum st_dtype file_type(const struct tensor *moment) { return moment->dtype == DT_BF16 ? ST_BF16 : ST_F32; }

/* The tensors m.w and v.w that the optimiser has, and the averages, weight by weight, in *out, which the caller frees.  Returns how many. */
static int moments(const struct decoder *d, struct moment **out, struct err *err)
{
    int n = 0;
    *out = mem_alloc_array((size_t)(3 * d->g->n_tensor), sizeof **out);
    if (!*out)
        return ERR(err, NOMEM, "no memory for the optimiser's tensors");
    for (int i = 0; i < 2 * d->g->n_tensor; i++)
        if (d->g->tensor[i / 2].moment[i % 2] >= 0)
            (*out)[n++] = (struct moment){ i / 2, d->g->tensor[i / 2].moment[i % 2] };
    for (int i = 0; i < d->g->n_tensor; i++)
        if (d->g->tensor[i].average >= 0)
            (*out)[n++] = (struct moment){ i, d->g->tensor[i].average };
    return n;
}

/* As a file has it: of the whole weight, where there is only a part of it here. */
static struct st_decl decl_of(const struct decoder *d, const struct weights_list *l, struct moment m)
{
    const struct tensor *t = &d->g->tensor[m.id];
    struct st_decl s = { .name = t->name, .dtype = file_type(t), .rank = t->rank };
    for (int j = 0; j < t->rank; j++)
        s.shape[j] = d->parts ? l->weight[m.weight].shape[j] : t->shape[j].n;
    return s;
}

static int64_t count_of(const struct st_decl *s)
{
    int64_t n = 1;
    for (int j = 0; j < s->rank; j++)
        n *= s->shape[j];
    return n;
}

static int save_moment(struct st_writer *w, int i, const struct decoder *d, struct moment m, const struct st_decl *decl, struct err *err)
{
    const struct tensor *t = &d->g->tensor[m.id];
    if (d->parts)
        TRY(d->parts->collect(d->parts->ctx, m.weight, m.id, err));
    return st_writer_add(w, i, d->parts ? d->parts->whole : t->data, (size_t)count_of(decl) * dtype_size(t->dtype), err);
}

static int save_optimizer(const char *path, const struct decoder *d, const struct weights_list *l, json_t *digests, struct err *err)
{
    struct moment *moment;
    const int n = moments(d, &moment, err);
    TRY(n);
    struct st_decl *decl = mem_alloc_array((size_t)n, sizeof *decl);
    struct st_writer *w = NULL;
    int rc = decl ? 0 : ERR(err, NOMEM, "no memory to write %s", path);
    for (int i = 0; i < n && !rc; i++)
        decl[i] = decl_of(d, l, moment[i]);
    if (!rc)
        rc = st_writer_new(&w, path, decl, n, NULL, 0, err);
    for (int i = 0; i < n && !rc; i++)
        rc = save_moment(w, i, d, moment[i], &decl[i], err);
    if (!rc)
        rc = st_writer_prove(w, err);
    if (!rc)
        rc = st_writer_commit(w, err);
    for (int i = 0; i < n && !rc; i++)
        if (json_object_set_new(digests, decl[i].name, json_string(st_writer_sha256(w, i))))
            rc = ERR(err, NOMEM, "no memory to write %s", path);
    st_writer_free(w);
    mem_free(decl);
    mem_free(moment);
    return rc;
}

#define FORMAT 3
#define OWN_DIGEST "state_sha256"

/* Of the state itself, whatever the order of its members and the white space between them. */
static int state_digest(const json_t *o, char hex[SHA256_HEX], struct err *err)
{
    char *text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
    const int rc = text ? sha256_of(text, strlen(text), hex, err) : ERR(err, NOMEM, "no memory for the digest of the state");
    mem_free(text);
    return rc;
}

static int save_state(const char *dir, const struct train_state *s, json_t *digests, struct err *err)
{
    char hex[SHA256_HEX], *text = NULL;
    json_t *o = json_pack("{s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:s, s:O}", "format", FORMAT, "step", (json_int_t)s->step, "updates", (json_int_t)s->n_update, "skipped",
                          (json_int_t)s->n_skipped, "bad_in_a_row", (json_int_t)s->n_bad, "shift", (json_int_t)s->shift, "times_shifted", (json_int_t)s->n_shift,
                          "rollbacks", (json_int_t)s->n_rollback, "doctor", doctor_write(&s->doctor), "settings", s->settings, "sha256", digests);
    if (o && s->n_evaluated)
        json_object_set_new(o, "early_stopping", json_pack("{s:I, s:I, s:I, s:I, s:f}", "evaluations", (json_int_t)s->n_evaluated, "worse", (json_int_t)s->n_worse, "best_step",
                                                           (json_int_t)s->best_step, "best_kept", (json_int_t)s->best_kept, "best_loss", s->best_loss));
    if (o && *s->device)
        json_object_set_new(o, "device", json_string(s->device));
    int rc = o ? state_digest(o, hex, err) : ERR(err, NOMEM, "no memory to write the state");
    if (!rc && (json_object_set_new(o, OWN_DIGEST, json_string(hex)) || !(text = json_dumps(o, JSON_INDENT(1)))))
        rc = ERR(err, NOMEM, "no memory to write the state");
    if (!rc)
        rc = write_in(dir, "state.json", text, strlen(text), err);
    mem_free(text);
    json_decref(o);
    return rc;
}

static int save_parts(const char *dir, struct decoder *d, const struct weights_list *l, const struct tok *tok, const struct train_state *s, struct err *err)
{
    struct weight_digest *digest = NULL;
    int n = 0;
    json_t *digests = json_object();
    char *optimizer = file_join(dir, "optimizer.safetensors");
    int rc = digests && optimizer ? file_mkdirs(dir, err) : ERR(err, NOMEM, "no memory to save");
    if (!rc)
        rc = model_save(dir, d, l, tok, &digest, &n, err);
    for (int i = 0; i < n && !rc; i++)
        if (json_object_set_new(digests, digest[i].name, json_string(digest[i].sha256)))
            rc = ERR(err, NOMEM, "no memory to save");
    if (!rc)
        rc = save_optimizer(optimizer, d, l, digests, err);
    if (!rc)
        rc = save_state(dir, s, digests, err);
    if (!rc)
        rc = file_sync_dir(dir, err);
    mem_free(digest);
    mem_free(optimizer);
    json_decref(digests);
    return rc;
}

static bool is_step(const char *name) { return !strncmp(name, "step-", 5) && !strchr(name, '.'); }

static void name_of(int64_t step, char out[64]) { snprintf(out, 64, "step-%010lld", (long long)step); }

bool checkpoint_is_there(const char *dir, int64_t step)
{
    char name[64];
    name_of(step, name);
    char *path = file_join(dir, name);
    const bool there = path && file_exists(path);
    mem_free(path);
    return there;
}

/* Keeps `newest`, the keep - 1 before it, and `also`.  Others go: older ones, what a crash left half written, and later steps that a
 * crash left without being named in latest, or a run that has gone back. */
static int remove_old(const char *dir, const char *newest, int keep, const char *also, struct err *err)
{
    char **names;
    int n, n_kept = 0, rc = 0;
    TRY(file_list(dir, &names, &n, err));
    for (int i = n - 1; i >= 0 && !rc; i--) {       /* sorted: the highest step first */
        const bool step = is_step(names[i]), later = step && strcmp(names[i], newest) > 0, partial = strstr(names[i], ".partial") != NULL;
        if (!partial && !later && (!step || n_kept++ < keep || !strcmp(names[i], also)))
            continue;
        char *path = file_join(dir, names[i]);
        rc = path ? file_remove_tree(path, err) : ERR(err, NOMEM, "no memory for a path");
        mem_free(path);
    }
    file_list_free(names, n);
    return rc;
}

int checkpoint_save(const char *dir, const struct decoder *d, const struct weights_list *l, const struct tok *tok,
                    const struct train_state *s, int keep, int64_t every, struct err *err)
{
    char name[64], also[64];
    name_of(s->step, name);
    name_of(every ? s->step - s->step % every : s->step, also);
    char *final = file_join(dir, name), *partial = final ? mem_printf("%s.partial", final) : NULL, *latest = file_join(dir, "latest");
    struct err ignored;
    int rc = final && partial && latest ? file_mkdirs(dir, err) : ERR(err, NOMEM, "no memory to save");
    if (!rc)
        rc = file_remove_tree(partial, err);
    if (!rc)
        rc = save_parts(partial, (struct decoder *)(uintptr_t)d, l, tok, s, err);
    if (!rc)
        rc = file_remove_tree(final, err);           /* the same step saved again */
    if (!rc)
        rc = file_rename(partial, final, err);
    if (!rc)
        rc = file_sync_dir(dir, err);
    if (!rc)
        rc = file_write_all(latest, name, strlen(name), err);
    if (!rc && remove_old(dir, name, keep, also, &ignored))        /* the new one is there all the same */
        log_warn("old checkpoints stay: %s", ignored.msg);
    if (rc && partial)
        file_remove_tree(partial, &ignored);
    mem_free(final);
    mem_free(partial);
    mem_free(latest);
    return rc;
}

/* ---- reading ---- */

/* Every tensor's bytes against the digest that was kept for it. */
static int verify(const struct safetensors *st, const json_t *digests, const char *path, struct err *err)
{
    for (int i = 0; i < st->n_tensor; i++) {
        const struct st_tensor *t = &st->tensor[i];
        const char *want = json_string_value(json_object_get(digests, t->name));
        char got[SHA256_HEX];
        if (!want)
            return ERR(err, CORRUPT, "%s: tensor '%s' is not in state.json", path, t->name);
        TRY(sha256_of(t->data, (size_t)(t->end - t->begin), got, err));
        if (strcmp(got, want))
            return ERR(err, CORRUPT, "%s: tensor '%s' was altered: SHA-256 is %.12s..., expected %.12s...", path, t->name, got, want);
    }
    return 0;
}

static int give_weight(void *decoder, int i, struct err *err)
{
    const struct decoder *d = decoder;
    return d->parts->give(d->parts->ctx, i, i, err);
}

static int load_model(const char *path, struct decoder *d, const struct weights_list *l, const json_t *digests, struct err *err)
{
    struct safetensors *st;
    TRY(safetensors_open(&st, path, err));
    int rc = verify(st, digests, path, err);
    if (!rc && !d->n_site)
        rc = d->parts ? weights_load_each(l, st, d->parts->whole, give_weight, d, err) : weights_load(l, st, decoder_weight, d, err);
    safetensors_free(st);
    return rc;
}

static int load_adapters(const char *folder, struct decoder *d, const struct weights_list *l, struct err *err)
{
    struct adapter *a;
    TRY(adapter_open(&a, folder, err));
    const int rc = adapter_load(a, d, l, err);
    adapter_free(a);
    return rc;
}

static int load_moment(const struct st_tensor *f, struct decoder *d, struct moment m, struct err *err)
{
    const struct tensor *t = &d->g->tensor[m.id];
    memcpy(d->parts ? d->parts->whole : t->data, f->data, (size_t)f->n * dtype_size(t->dtype));
    return d->parts ? d->parts->give(d->parts->ctx, m.weight, m.id, err) : 0;
}

static int load_optimizer(const char *path, struct decoder *d, const struct weights_list *l, const json_t *digests, struct err *err)
{
    struct safetensors *st;
    TRY(safetensors_open(&st, path, err));
    struct moment *moment = NULL;
    int rc = verify(st, digests, path, err);
    const int n = rc ? rc : moments(d, &moment, err);
    for (int i = 0; i < n && !rc; i++) {
        const struct st_decl want = decl_of(d, l, moment[i]);
        const struct st_tensor *f = safetensors_find(st, want.name);
        if (!f || f->n != count_of(&want) || f->dtype != want.dtype)
            rc = ERR(err, FORMAT, "%s: tensor '%s' is %s", path, want.name, !f ? "missing" : f->dtype != want.dtype ? "of another type" : "of another size");
        else
            rc = load_moment(f, d, moment[i], err);
    }
    mem_free(moment);
    safetensors_free(st);
    return rc ? rc : n < 0 ? n : 0;
}

static int load_early_stopping(const json_t *o, struct train_state *s, const char *path, struct err *err)
{
    s->n_evaluated = s->n_worse = s->best_step = s->best_kept = 0, s->best_loss = 0;
    if (!o)
        return 0;
    TRY(tree_int(o, "evaluations", 0, 0, INT64_MAX, &s->n_evaluated, path, err));
    TRY(tree_int(o, "worse", 0, 0, INT64_MAX, &s->n_worse, path, err));
    TRY(tree_int(o, "best_step", 0, 0, INT64_MAX, &s->best_step, path, err));
    TRY(tree_int(o, "best_kept", s->best_step, 0, INT64_MAX, &s->best_kept, path, err));
    return tree_num(o, "best_loss", 0, &s->best_loss, path, err);
}

/* A flipped bit in a counter would lead to other numbers without a word, one in the digest of the settings to "another run". */
static int verify_state(json_t *o, const char *path, struct err *err)
{
    char want[SHA256_HEX], got[SHA256_HEX];
    int64_t format;
    TRY(tree_int(o, "format", 0, 0, INT32_MAX, &format, path, err));
    if (format != FORMAT)
        return ERR(err, FORMAT, "%s: format %lld, expected %d", path, (long long)format, FORMAT);
    const char *own = json_string_value(json_object_get(o, OWN_DIGEST));
    snprintf(want, sizeof want, "%s", own ? own : "");
    json_object_del(o, OWN_DIGEST);
    TRY(state_digest(o, got, err));
    return strcmp(want, got) ? ERR(err, CORRUPT, "%s was altered: SHA-256 is %.12s..., expected %.12s...", path, got, *want ? want : "one in " OWN_DIGEST) : 0;
}

static int load_state(const char *path, struct train_state *s, json_t **root, struct err *err)
{
    TRY(tree_load(root, path, (size_t)256 << 20, err));
    TRY(verify_state(*root, path, err));
    const char *settings, *device;
    TRY(tree_int(*root, "step", -1, 0, INT64_MAX, &s->step, path, err));
    TRY(tree_int(*root, "updates", -1, 0, INT64_MAX, &s->n_update, path, err));
    TRY(tree_int(*root, "skipped", 0, 0, INT64_MAX, &s->n_skipped, path, err));
    TRY(tree_int(*root, "bad_in_a_row", 0, 0, INT64_MAX, &s->n_bad, path, err));
    TRY(tree_int(*root, "shift", 0, 0, INT64_MAX / 4, &s->shift, path, err));
    TRY(tree_int(*root, "times_shifted", 0, 0, INT64_MAX, &s->n_shift, path, err));
    TRY(tree_int(*root, "rollbacks", 0, 0, INT64_MAX, &s->n_rollback, path, err));
    TRY(load_early_stopping(json_object_get(*root, "early_stopping"), s, path, err));
    TRY(doctor_read(&s->doctor, json_object_get(*root, "doctor"), path, err));
    TRY(tree_str(*root, "settings", "", &settings, path, err));
    TRY(tree_str(*root, "device", "", &device, path, err));
    if (s->step < 0 || s->n_update < 0 || !json_is_object(json_object_get(*root, "sha256")))
        return ERR(err, FORMAT, "%s: step, updates or sha256 is missing", path);
    snprintf(s->settings, sizeof s->settings, "%s", settings);
    snprintf(s->device, sizeof s->device, "%s", device);
    return 0;
}

/* The checkpoint in one folder. */
static int load_from(const char *dir, const char *name, struct decoder *d, const struct weights_list *l, struct train_state *s, struct err *err)
{
    char *folder = file_join(dir, name), *state = folder ? file_join(folder, "state.json") : NULL;
    char *model = folder ? file_join(folder, d->n_site ? "adapter_model.safetensors" : "model.safetensors") : NULL, *optimizer = folder ? file_join(folder, "optimizer.safetensors") : NULL;
    json_t *root = NULL;
    int rc = state && model && optimizer ? load_state(state, s, &root, err) : ERR(err, NOMEM, "no memory for a path");
    if (!rc)
        rc = load_model(model, d, l, json_object_get(root, "sha256"), err);
    if (!rc && d->n_site)
        rc = load_adapters(folder, d, l, err);
    if (!rc)
        rc = load_optimizer(optimizer, d, l, json_object_get(root, "sha256"), err);
    if (rc == ERR_NOTFOUND)                         /* named in latest, but not there: not the same as no checkpoint */
        rc = err_code(0, ERR_CORRUPT);
    json_decref(root);
    mem_free(folder);
    mem_free(state);
    mem_free(model);
    mem_free(optimizer);
    return rc;
}

/* The newest checkpoint before `name` (NULL: of all) into out; false where there is none. */
static bool older(char *const *names, int n, const char *name, char out[64])
{
    for (int i = n - 1; i >= 0; i--)                /* sorted: the highest step first */
        if (is_step(names[i]) && strlen(names[i]) < 64 && (!name || strcmp(names[i], name) < 0)) {
            snprintf(out, 64, "%s", names[i]);
            return true;
        }
    return false;
}

/* What latest says, into out; true when it names a checkpoint. */
static int read_latest(const char *dir, char out[64], bool *names_one, struct err *err)
{
    char *latest = file_join(dir, "latest");
    struct buf b;
    buf_init(&b);
    const int rc = latest ? file_read(latest, 63, &b, err) : ERR(err, NOMEM, "no memory for a path");
    if (!rc)
        snprintf(out, 64, "%s", b.data);
    *names_one = !rc && is_step(out) && !strchr(out, '/') && strlen(out) == b.len;
    mem_free(latest);
    buf_release(&b);
    return rc;
}

int checkpoint_load(const char *dir, int64_t step, struct decoder *d, const struct weights_list *l, struct train_state *s, struct buf *passed, struct err *err)
{
    char name[64], **names = NULL;
    bool there = true;
    int n = 0, rc = 0;
    if (step == CHECKPOINT_LATEST)
        rc = read_latest(dir, name, &there, err);
    else
        name_of(step, name);
    if (rc == ERR_NOTFOUND || rc == ERR_NOMEM)
        return rc;
    if (!rc && !there)
        rc = ERR(err, CORRUPT, "%s/latest does not name a checkpoint", dir);
    else if (!rc && (!(rc = load_from(dir, name, d, l, s, err)) || rc == ERR_NOMEM))
        return rc;
    if (file_list(dir, &names, &n, NULL))
        return rc;
    struct err later;
    int again = rc;
    for (bool more = older(names, n, there ? name : NULL, name); more && again && again != ERR_NOMEM; more = older(names, n, name, name))
        again = load_from(dir, name, d, l, s, &later);
    file_list_free(names, n);
    if (again == ERR_NOMEM)
        *err = later;
    return again == ERR_NOMEM ? again : again ? rc : buf_printf(passed, err, "%s", err->msg);
}
