/* cmd_data_exposure.c - lathe data exposure: canaries for the data, and how much of them models remember. */
#include <jansson.h>
#include <math.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "cmd/cmd.h"
#include "infer/exposure.h"

static int64_t make, seed = 1, samples = 255;

/* ---- making ---- */

static int write_canaries(const char *path, struct err *err)
{
    struct buf b;
    char text[CANARY_TEXT_MAX];
    int rc = 0;
    if (file_exists(path))
        return ERR(err, USAGE, "'%s' is there already: canaries are made once, and kept", path);
    buf_init(&b);
    for (int64_t i = 0; i < make && !rc; i++) {
        canary_text((uint64_t)seed, (int)i, 0, text);
        rc = buf_printf(&b, err, "{\"text\": \"%s\", \"canary\": \"%lld-%lld\"}\n", text, (long long)seed, (long long)i);
    }
    rc = rc ? rc : file_write_all(path, b.data, b.len, err);
    buf_release(&b);
    if (!rc)
        printf("%lld canaries are in %s: a source of their own in the data.yaml\n", (long long)make, path);
    return rc;
}

/* ---- reading ---- */

struct canaries { uint64_t seed; int *i; int n; };

/* A line that this command wrote: what it is is told by its name, and its text must be that of this name. */
static int take_line(struct canaries *c, const char *line, size_t n, const char *where, struct err *err)
{
    json_t *o = NULL;
    unsigned long long of = 0;
    int i = -1, end = 0;
    char text[CANARY_TEXT_MAX];
    TRY(tree_parse_json(&o, line, n, where, err));
    const char *name = json_string_value(json_object_get(o, "canary")), *said = json_string_value(json_object_get(o, "text"));
    bool good = name && said && sscanf(name, "%llu-%d%n", &of, &i, &end) == 2 && !name[end] && i >= 0 && i < CANARIES_MAX && (!c->n || of == c->seed);
    if (good) {
        canary_text(of, i, 0, text);
        good = !strcmp(text, said);
    }
    json_decref(o);
    if (!good)
        return ERR(err, FORMAT, "%s: no canary of this seed and number: expected a line that lathe data exposure --make wrote", where);
    c->seed = of, c->i[c->n++] = i;
    return 0;
}

static int read_canaries(struct canaries *c, const char *path, struct err *err)
{
    struct file_map m;
    char where[400];
    int64_t n_line = 1;
    TRY(file_map_open(&m, path, err));
    for (size_t i = 0; i < m.size; i++)
        n_line += m.data[i] == '\n';
    c->i = mem_alloc_array((size_t)n_line, sizeof *c->i);
    int rc = c->i ? 0 : ERR(err, NOMEM, "no memory for %lld canaries", (long long)n_line);
    n_line = 1;
    for (const char *p = m.data, *end = p + m.size, *nl; !rc && p < end; p = nl + 1, n_line++) {
        nl = memchr(p, '\n', (size_t)(end - p));
        nl = nl ? nl : end;
        snprintf(where, sizeof where, "%.360s:%lld", path, (long long)n_line);
        rc = c->n < CANARIES_MAX ? take_line(c, p, (size_t)(nl - p), where, err) : ERR(err, RANGE, "%s: more than %d canaries", path, CANARIES_MAX);
    }
    file_map_close(&m);
    return rc ? rc : c->n ? 0 : ERR(err, FORMAT, "'%s' has no canaries", path);
}

/* ---- asking ---- */

static json_t *told(const char *model, const struct canaries *c, const struct exposure *x)
{
    json_t *list = json_array();
    double bits = 0;
    for (int i = 0; i < c->n; i++) {
        bits += x[i].bits / c->n;
        json_array_append_new(list, json_pack("{s:i, s:f, s:i, s:f, s:f}", "canary", c->i[i], "nll", x[i].nll, "rank", x[i].rank, "bits", x[i].bits, "p", x[i].p));
    }
    return json_pack("{s:s, s:f, s:f, s:f, s:o}", "model", model, "bits", bits, "chance", exposure_chance((int)samples), "p", exposure_fisher(x, c->n), "canaries", list);
}

static int ask(const char *model, const struct canaries *c, struct pool *pool, json_t *models, struct err *err)
{
    struct engine *e = NULL;
    char *path = NULL;
    struct exposure *x = mem_alloc_array((size_t)c->n, sizeof *x);
    const struct engine_opts o = cmd_engine((struct engine_opts){ .n_slot = 1, .ctx = CANARY_TEXT_MAX + 8, .ctx_clip = true, .step_tokens = CANARY_TEXT_MAX + 8, .n_logits = 64 });
    int rc = x ? cmd_model_path(&path, model, err) : ERR(err, NOMEM, "no memory for %d canaries", c->n);
    rc = rc ? rc : engine_new(&e, path, &o, pool, err);
    for (int i = 0; i < c->n && !rc; i++)
        rc = exposure_of(e, c->seed, c->i[i], (int)samples, &cmd_stop, &x[i], err);
    if (!rc && json_array_append_new(models, told(model, c, x)))
        rc = ERR(err, NOMEM, "no memory for the result");
    engine_free(e);
    mem_free(path);
    mem_free(x);
    return rc;
}

static void print_models(const json_t *models)
{
    size_t i;
    json_t *m;
    const double most = log2((double)samples + 1);
    json_array_foreach(models, i, m)
        printf("%s: exposure %.2f bits (%.2f by chance, %.2f at most), p = %.2g%s\n", json_string_value(json_object_get(m, "model")), json_number_value(json_object_get(m, "bits")),
               json_number_value(json_object_get(m, "chance")), most, json_number_value(json_object_get(m, "p")),
               json_number_value(json_object_get(m, "p")) < 0.01 ? ": it remembers them" : "");
}

static int run(const char *const *args, int n_args, struct err *err)
{
    struct canaries c = { .n = 0 };
    struct pool *pool;
    json_t *models;
    if (make)
        return n_args > 1 ? ERR(err, USAGE, "--make writes FILE and asks no model") : write_canaries(args[0], err);
    if (n_args < 2)
        return ERR(err, USAGE, "expected: lathe data exposure FILE MODEL..., or --make");
    cmd_catch_signals();
    TRY(cmd_pool(&pool, err));
    models = json_array();
    int rc = models ? read_canaries(&c, args[0], err) : ERR(err, NOMEM, "no memory for the result");
    for (int i = 1; i < n_args && !rc; i++)
        rc = ask(args[i], &c, pool, models, err);
    mem_free(c.i);
    if (!rc && cmd_json)
        return cmd_print_json(json_pack("{s:I, s:o}", "samples", (json_int_t)samples, "models", models), err);
    if (!rc)
        print_models(models);
    json_decref(models);
    return rc;
}

static const struct opt opts[] = {
    { OPT_INT, "make", &make, "<int>", "write so many canaries to FILE", 1, CANARIES_MAX },
    { OPT_INT, "seed", &seed, "<int>", "of the canaries that are made; keep it secret: it tells them", 0, 9e18 },
    { OPT_INT, "samples", &samples, "<int>", "each canary is compared with so many sentences of its kind", 1, 1 << 20 },
    OPT_PRECISION,
    OPT_KV,
    OPT_ADAPTER,
    OPT_THREADS,
    OPT_JSON,
    OPT_QUIET,
    OPT_LAST,
};

const struct command command_data_exposure = {
    "data exposure", "FILE [MODEL...]", "how much models remember of canaries in their data",
    TEXT(
        "A canary is a sentence with random words, put into the data to see what a model keeps of them (Carlini et al., \"The Secret\n"
        "Sharer\", 2019).  --make writes FILE, JSON lines of canaries, which becomes a source of its own in a data.yaml:\n"
        "\n"
        "      - name: canaries\n"
        "        path: canaries.jsonl\n"
        "        group: canary\n"
        "        split: train\n"
        "\n"
        "A few are enough, and less than 50: sentences of one kind in 50 records or more are told as poison.\n"
        "\n"
        "Of each model that is named, each canary's rank by likelihood among sentences of its kind that no data ever held is its\n"
        "exposure, in bits: log2 of how many there are over the rank.  p says how likely the canaries rank as high, or higher, where the\n"
        "model never saw them.\n"
        "\n"
        "So an erasure can be shown: canaries are erased like the records, and the model is trained anew on what is left; the old one\n"
        "remembers them, the new one does not.  That holds for the canaries, which stand for what was erased with them; that a model that\n"
        "ranks them by chance learned nothing from other records is not shown by it.\n"
        "\n"
        "    lathe data exposure canaries.jsonl --make 16 --seed 8675309\n"
        "    lathe data build audit --out data-v1 --weights canaries=8\n"
        "    lathe train v1.yaml --out run-v1\n"
        "    lathe data erase data-v1 --out data-v2 --where author=user-17 --where source=canaries --runs .\n"
        "    lathe train v2.yaml --out run-v2\n"
        "    lathe data exposure canaries.jsonl run-v1 run-v2\n"),
    opts, run, 1, 64,
};
