#include "serve/served_model.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "model/adapter.h"
#include "model/unicode.h"
#include "serve/fit.h"
#include "serve/served_device.h"

#define WAIT_S 0.5
#define LOGITS 64                /* rows at once */
#define TEXTS 16
#define STEP_TOKENS 512

/* ---- names of what makes the bytes ---- */

/* The fingerprint and the root that a text stands for, which tells of all that decides the bytes.  arch: of a device, or "". */
static void name_one(const char *text, const char *arch, char fingerprint[40], struct block_key *root)
{
    sha256_bytes(text, strlen(text), root->sha256);
    int n = snprintf(fingerprint, 40, "lathe-%.8s%s", arch, *arch ? "-" : "");
    for (int i = 0; i < 12; i++)
        n += snprintf(fingerprint + n, 40 - (size_t)n, "%02x", root->sha256[i]);
}

static const char *folder_of(const char *adapter) { return strchr(adapter, '=') + 1; }

static int name_all(struct served_model *s, const struct served_model_opts *o, struct err *err)
{
    char text[400], rest[200];
    TRY(model_digest(o->path, s->digest, err));
    snprintf(rest, sizeof rest, "model %s, kept as %d, keys and values as %d, context %d", s->digest, (int)o->as, s->engine ? (int)engine_kv(s->engine) : 0, served_model_ctx(s));
    const int n = snprintf(text, sizeof text, "%s, %s, %s", o->build, cpu_kernels()->level, rest);
    name_one(text, "", s->fingerprint, &s->root);
    if (s->device) {
        const int used = snprintf(text, sizeof text, "%s, %s, %s, %s", o->build, s->device->arch, cpu_kernels()->level, rest);
        if (s->device->layers < s->device->n_layer || s->device->cpu_experts)
            snprintf(text + used, sizeof text - (size_t)used, ", %d layers there, experts of %d here", s->device->layers, s->device->cpu_experts);
        name_one(text, s->device->arch, s->device->fingerprint, &s->device->root);
    }
    for (int i = 0; i < s->n_adapter; i++) {
        struct served_adapter *a = &s->adapter[i];
        TRY(adapter_digest(a->digest, folder_of(o->adapter[i]), err));
        snprintf(text + n, sizeof text - (size_t)n, ", adapter %s", a->digest);
        name_one(text, "", a->fingerprint, &a->root);
    }
    return 0;
}

/* ---- the model ---- */

/* Those that are not asked for. */
static int choose_sizes(struct served_model *s, const struct served_model_opts *o, struct engine_opts *e, struct err *err)
{
    struct buf why;
    if (!o->fit)
        return fit_cache(o, e, err);
    buf_init(&why);
    const int rc = fit_all(o, s->ctx_model, e, &why, err);
    if (!rc)
        log_info("%s: %s", s->name, why.data);
    buf_release(&why);
    return rc;
}

static int check_memory(const struct served_model *s, const struct served_model_opts *o, struct err *err)
{
    char needs[32], left[32];
    if (!o->memory || s->bytes <= o->memory)
        return 0;
    return ERR(err, NOMEM, "%s takes %s, and %s is left", s->name, fmt_bytes(needs, (double)s->bytes), fmt_bytes(left, (double)o->memory));
}

static int plan_texts(struct served_model *s, const struct served_model_opts *o, struct engine_opts *e, struct err *err)
{
    struct buf dropped;                  /* who loads it warns */
    buf_init(&dropped);
    e->warnings = &dropped;
    struct engine_sizes sizes;
    const int rc = engine_plan_sizes(&sizes, o->path, e, o->n_thread, err);
    if (!rc && e->device && e->device_layers == ENGINE_LAYERS_FIT)      /* what is loaded is what was planned */
        e->device_layers = sizes.device_layers < sizes.n_layer ? sizes.device_layers : 0;
    if (!rc && e->device)
        served_device_note(s, o, e, &sizes);
    e->warnings = NULL;
    buf_release(&dropped);
    s->bytes = sizes.total;
    if (o->sizes)
        *o->sizes = sizes;
    return rc ? rc : check_memory(s, o, err);
}

#define QUIET_NICE 19            /* beside a busy thread of another: a seventieth of a core */

/* Threads inherit the priority of who makes them: the engine is filled by a pool of the quiet thread, and steps are computed by the model's own. */
static int fill_quietly(struct served_model *s, const struct served_model_opts *o, const struct engine_opts *e, struct err *err)
{
    struct pool *quiet;
    TRY(pool_new(&quiet, o->n_thread, err));
    const int rc = engine_new(&s->engine, o->path, e, quiet, err);
    if (!rc) {
        engine_touch(s->engine);
        engine_use_pool(s->engine, s->pool);
    }
    pool_free(quiet);
    return rc;
}

static int load_engine(struct served_model *s, const struct served_model_opts *o, struct engine_opts *e, struct err *err)
{
    const char **folder = mem_alloc_array((size_t)o->n_adapter + 1, sizeof *folder);
    for (int i = 0; folder && i < o->n_adapter; i++)
        folder[i] = folder_of(o->adapter[i]);
    e->adapter = folder, e->n_adapter = o->n_adapter;
    int rc = folder ? 0 : ERR(err, NOMEM, "no memory for the names of adapters");
    rc = rc || !o->device ? rc : served_device_open(s, o, &e->device, err);
    rc = rc ? rc : choose_sizes(s, o, e, err);
    rc = rc ? rc : plan_texts(s, o, e, err);
    if (rc && e->device)
        e->device->free(e->device);
    if (!rc)
        rc = o->quiet ? fill_quietly(s, o, e, err) : engine_new(&s->engine, o->path, e, s->pool, err);
    mem_free(folder);
    return rc;
}

static int load_texts(struct served_model *s, const struct served_model_opts *o, struct err *err)
{
    struct engine_opts e = { .n_slot = o->n_text ? o->n_text : TEXTS, .ctx = o->ctx, .ctx_clip = !o->ctx, .step_tokens = o->step_tokens ? o->step_tokens : STEP_TOKENS, .n_logits = LOGITS, .as = o->as, .kv = o->kv,
                             .device_layers = o->device_layers, .cpu_experts = o->device ? o->cpu_experts : 0 };
    TRY(load_engine(s, o, &e, err));
    if (!engine_tok(s->engine))
        return ERR(err, UNSUPPORTED, "%s has no tokenizer", o->path);
    TRY(metrics_new(&s->metrics, engine_ctx(s->engine), err));
    if (engine_config(s->engine)->n_expert && !s->device)
        TRY(metrics_experts(s->metrics, engine_config(s->engine)->n_expert, err));
    const struct batch_opts b = { .e = s->engine, .pool = s->pool, .n_queue = o->n_queue, .lookup = o->lookup, .watch = metrics_watch(s->metrics), .timed = o->timed, .timed_ctx = o->timed_ctx };
    TRY(batch_new(&s->batch, &b, err));
    const int rc = chat_load(&s->chat, o->path, NULL, err);
    if (rc == ERR_NOTFOUND)
        log_warn("%s has no chat template: /v1/chat/completions cannot be asked of it", s->name);
    return rc == ERR_NOTFOUND ? 0 : rc;
}

/* What a model is for follows from its configuration. */
static int find_kind(struct served_model *s, const struct served_model_opts *o, struct err *err)
{
    struct model m;
    struct buf dropped;                  /* who loads it warns */
    buf_init(&dropped);
    int rc = model_open(&m, o->path, &dropped, err);
    buf_release(&dropped);
    TRY(rc);
    s->ctx_model = m.config.ctx, s->gguf = source_kind(m.source) == SOURCE_GGUF;
    mix_name(m.source, s->level);
    s->kind = m.config.n_label || config_vision(&m.config) ? SERVED_CLASSES : m.config.encoder ? SERVED_VECTORS : SERVED_TEXTS;
    if (s->kind != SERVED_CLASSES)
        rc = embed_read(&s->pooling, &s->normalizes, o->path, &m, err);
    model_release(&m);
    return rc;
}

#define CONFIG_MAX ((size_t)1 << 22)

/* Models that were trained so that the first numbers of a vector do for the whole say so by vLLM's keys of config.json: is_matryoshka,
 * or matryoshka_dimensions, which lists the lengths that do. */
static int read_matryoshka(struct served_model *s, const struct served_model_opts *o, struct err *err)
{
    json_t *config = NULL;
    char *path = file_is_dir(o->path) ? file_join(o->path, "config.json") : NULL;
    const int rc = path && file_exists(path) ? tree_load(&config, path, CONFIG_MAX, err) : 0;
    const json_t *list = json_object_get(config, "matryoshka_dimensions");
    if (json_array_size(list))
        s->dimensions = json_incref((json_t *)(uintptr_t)list);
    s->matryoshka = o->matryoshka || s->dimensions || json_is_true(json_object_get(config, "is_matryoshka"));
    json_decref(config);
    mem_free(path);
    return rc;
}

static int load(struct served_model *s, const struct served_model_opts *o, struct err *err)
{
    TRY(pool_new(&s->pool, o->n_thread, err));
    if (o->quiet && setpriority(PRIO_PROCESS, 0, QUIET_NICE))        /* of this thread alone */
        log_warn("%s is loaded at full priority: %s", s->name, strerror(errno));
    if (o->may_load)
        TRY(o->may_load(o->path, err));
    TRY(find_kind(s, o, err));
    TRY(read_matryoshka(s, o, err));
    if (s->kind == SERVED_TEXTS)
        return load_texts(s, o, err);
    if (o->device)
        return ERR(err, UNSUPPORTED, "%s does not continue texts, which is all that %s does: it runs on the CPU alone (--device NAME=cpu)", s->name, o->device);
    if (s->n_adapter)
        return ERR(err, UNSUPPORTED, "%s does not continue texts, which adapters are for here (--adapter)", o->path);
    const struct embed_opts e = { .ctx = o->ctx, .as = o->as };
    const struct classify_opts c = { .ctx = o->ctx };
    TRY(s->kind == SERVED_VECTORS ? embedder_new(&s->embedder, o->path, &e, s->pool, err) : classifier_new(&s->classifier, o->path, &c, s->pool, err));
    s->bytes = served_model_weight_bytes(s);
    TRY(check_memory(s, o, err));
    return metrics_new(&s->metrics, served_model_ctx(s), err);
}

/* Special tokens whose letters say what a reply is made of. */
static void find_marks(struct served_model *s)
{
    static const char *const marks[] = { "<think>", "</think>", "<tool_call>", "</tool_call>", "[TOOL_CALLS]", "[ARGS]", "<|channel|>", "<|message|>", "<|end|>", "<|start|>" };
    const struct tok *t = engine_tok(s->engine);
    for (int id = 0; id < tok_vocab_size(t) && s->n_mark < VOCAB_MARKS_MAX; id++) {
        size_t n;
        const char *text = tok_is_special(t, id) && !ends_at(&s->ends, s->engine, id) ? tok_bytes(t, id, &n) : NULL;
        for (size_t i = 0; text && i < sizeof marks / sizeof *marks; i++)
            if (n == strlen(marks[i]) && !memcmp(text, marks[i], n))
                s->mark[s->n_mark++] = id;
    }
}

static int find_ends(struct served_model *s, const char *path, struct err *err)
{
    const int V = engine_config(s->engine)->vocab_size;
    int n = 0;
    TRY(ends_load(&s->ends, path, err));
    for (int i = 0; i < V; i++)
        n += ends_at(&s->ends, s->engine, i);
    if (!(s->end = mem_alloc_array((size_t)n + 1, sizeof *s->end)))
        return ERR(err, NOMEM, "no memory for %d tokens", n);
    n = 0;
    for (int i = 0; i < V; i++)
        if (ends_at(&s->ends, s->engine, i))
            s->end[n++] = i;
    find_marks(s);
    TRY(vocab_new(&s->vocab, engine_tok(s->engine), V, s->end, n, s->mark, s->n_mark, err));
    TRY(grammars_new(&s->grammars, GRAMMARS_USE_MAX, err));
    s->answers = (struct answer_model){ .tok = engine_tok(s->engine), .V = V, .end = s->end, .n_end = n, .vocab = s->vocab, .mark = s->mark, .n_mark = s->n_mark };
    return 0;
}

static void take_turn(struct served_model *s)
{
    if (atomic_load_explicit(&s->spare, memory_order_relaxed))
        machine_take_spare(s->machine, &s->quit);
    else
        machine_take(s->machine);
}

static void *steps(void *ctx)
{
    struct served_model *s = ctx;
    while (!atomic_load(&s->quit))
        if (batch_wait(s->batch, WAIT_S)) {
            const double from = machine_continued(s->machine);
            take_turn(s);
            batch_others(s->batch, machine_continued(s->machine) - from, machine_loads(s->machine));
            batch_step(s->batch);
            machine_give(s->machine, batch_alone(s->batch));
            if (engine_lost(s->engine))
                served_device_lost(s);
            if (s->after_step)
                s->after_step(s->ctx);
        }
    return NULL;
}

char *served_model_called(const struct served_model_opts *o)
{
    if (o->name)
        return mem_strdup(o->name);
    size_t n;
    const char *name = file_last_name(o->path, &n);
    if (n > 5 && !memcmp(name + n - 5, ".gguf", 5))
        n -= 5;
    return mem_printf("%.*s", (int)n, name);
}

static int check_name(const char *name, const char *option, struct err *err)
{
    if (!*name || strcspn(name, "\"\\\n\r") != strlen(name) || !unicode_is_utf8(name, strlen(name)))
        return ERR(err, USAGE, "the model would be called '%.60s': give it a name of UTF-8 without quotes, \\ and line ends (%s)", name, option);
    return 0;
}

static int name_adapters(struct served_model *s, const struct served_model_opts *o, struct err *err)
{
    if (o->n_adapter && !(s->adapter = mem_alloc_array((size_t)o->n_adapter, sizeof *s->adapter)))
        return ERR(err, NOMEM, "no memory for %d adapters", o->n_adapter);
    for (int i = 0; i < o->n_adapter; i++) {
        const char *equals = strchr(o->adapter[i], '=');
        if (!equals || equals == o->adapter[i] || !equals[1])
            return ERR(err, USAGE, "--adapter is '%.100s', expected NAME=FOLDER", o->adapter[i]);
        char *name = mem_printf("%.*s", (int)(equals - o->adapter[i]), o->adapter[i]);
        if (!name)
            return ERR(err, NOMEM, "no memory for the name of an adapter");
        const bool taken = served_model_find(s, name) >= 0;
        s->adapter[s->n_adapter++].name = name;
        TRY(check_name(name, "--adapter", err));
        if (taken)
            return ERR(err, USAGE, "two models would be called '%.60s' (--name, --adapter)", name);
    }
    return 0;
}

static int open_all(struct served_model *s, const struct served_model_opts *o, struct err *err)
{
    s->since = time(NULL), s->n_queue = o->n_queue, s->after_step = o->after_step, s->ctx = o->ctx_of_step, s->machine = o->machine, s->recorder = o->recorder;
    if (!(s->path = mem_strdup(o->path)))
        return ERR(err, NOMEM, "no memory for the path of a model");
    if (!(s->name = served_model_called(o)))
        return ERR(err, NOMEM, "no memory for the name of a model");
    TRY(check_name(s->name, "--name", err));
    s->number = o->number;
    if (o->number) {
        snprintf(s->version, sizeof s->version, "%s@%lld", s->name, (long long)o->number);
        snprintf(s->version_root, sizeof s->version_root, "%s", o->version_root ? o->version_root : "");
    }
    TRY(name_adapters(s, o, err));
    machine_load_begin(o->machine);
    const int rc = load(s, o, err);
    machine_load_end(o->machine);
    TRY(rc);
    if (s->engine)
        TRY(find_ends(s, o->path, err));
    if (s->engine && s->number)
        TRY(tok_digest(engine_tok(s->engine), true, s->tok_digest, err));
    return name_all(s, o, err);
}

int served_model_start(struct served_model *s, struct err *err)
{
    if (!s->engine)
        return turns_new(&s->turns, s->n_queue, s->machine, s->after_step, s->ctx, err);
    if (pthread_create(&s->thread, NULL, steps, s))
        return ERR(err, NOMEM, "cannot start a thread for %s", s->name);
    s->has_thread = true;
    return 0;
}

int served_model_load(struct served_model **out, const struct served_model_opts *o, struct err *err)
{
    *out = NULL;
    struct served_model *s = mem_alloc_zero(sizeof *s);
    if (!s)
        return ERR(err, NOMEM, "no memory for a model");
    const int rc = open_all(s, o, err);
    if (rc < 0)
        served_model_close(s);
    else
        *out = s;
    return rc;
}

int served_model_open(struct served_model **out, const struct served_model_opts *o, struct err *err)
{
    TRY(served_model_load(out, o, err));
    const int rc = served_model_start(*out, err);
    if (rc < 0) {
        served_model_close(*out);
        *out = NULL;
    }
    return rc;
}

void served_model_hold(struct served_model *s) { atomic_fetch_add(&s->n_user, 1); }
void served_model_drop(struct served_model *s) { atomic_fetch_sub(&s->n_user, 1); }

const struct config *served_model_config(const struct served_model *s)
{
    return s->engine ? engine_config(s->engine) : s->embedder ? embedder_config(s->embedder) : classifier_config(s->classifier);
}

size_t served_model_weight_bytes(const struct served_model *s)
{
    return s->engine ? engine_weight_bytes(s->engine) : s->embedder ? embedder_weight_bytes(s->embedder) : classifier_weight_bytes(s->classifier);
}

int served_model_ctx(const struct served_model *s)
{
    return s->engine ? engine_ctx(s->engine) : s->embedder ? embedder_ctx(s->embedder) : classifier_ctx(s->classifier);
}

void served_model_counts(const struct served_model *s, struct batch_counts *out)
{
    *out = (struct batch_counts){ 0 };
    if (s->batch)
        batch_counts(s->batch, out);
    else
        out->n_waiting = turns_count(s->turns);
}

int served_model_find(const struct served_model *s, const char *name)
{
    if (!strcmp(name, s->name))
        return 0;
    for (int i = 0; i < s->n_adapter; i++)
        if (!strcmp(name, s->adapter[i].name))
            return i + 1;
    return -1;
}

int served_model_find_latest(const struct served_model *s, const char *name)
{
    const int exact = served_model_find(s, name);
    for (int which = 0; exact < 0 && which <= s->n_adapter; which++) {
        const char *known = served_model_as(s, which).name;
        if (!strncmp(name, known, strlen(known)) && !strcmp(name + strlen(known), ":latest"))
            return which;
    }
    return exact;
}

struct served_as served_model_as(const struct served_model *s, int which)
{
    if (!which && s->device && !atomic_load(&s->device->is_lost))
        return (struct served_as){ s->name, s->digest, s->device->fingerprint, 0, 0, s->device->root, s->version, s->version_root };
    if (!which)
        return (struct served_as){ s->name, s->digest, s->fingerprint, 0, s->device != NULL, s->root, s->version, s->version_root };
    const struct served_adapter *a = &s->adapter[which - 1];
    return (struct served_as){ a->name, a->digest, a->fingerprint, which, 0, a->root, s->version, s->version_root };
}

void served_model_halt(struct served_model *s)
{
    if (s->turns)
        turns_halt(s->turns);
    if (!s->has_thread)
        return;
    batch_close(s->batch);
    atomic_store(&s->quit, true);
    pthread_join(s->thread, NULL);
    s->has_thread = false;
    batch_cancel(s->batch, 0);
    while (batch_step(s->batch))
        ;
}

void served_model_close(struct served_model *s)
{
    if (!s)
        return;
    served_model_halt(s);
    turns_free(s->turns);
    embedder_free(s->embedder);
    classifier_free(s->classifier);
    json_decref(s->dimensions);
    batch_free(s->batch);
    metrics_free(s->metrics);
    grammars_free(s->grammars);
    vocab_free(s->vocab);
    chat_free(s->chat);
    engine_free(s->engine);
    served_device_close(s);
    pool_free(s->pool);
    for (int i = 0; i < s->n_adapter; i++)
        mem_free(s->adapter[i].name);
    mem_free(s->adapter);
    mem_free(s->end);
    mem_free(s->name);
    mem_free(s->path);
    mem_free(s);
}
