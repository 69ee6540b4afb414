/* facts.c - OUT/run.json: what is known of a run before its first step, written anew at each start, for reports and for people.
 *
 *   version config unix_ms from_step steps        settings {data, upcycle, lora, privacy, train}: all keys, those left out too; given: as the file has them       model: a config.json
 *   parameters active_parameters                  data: [{role, path, bytes, sha256 | files, version}], tokens_train, tokens_valid; gates (gate.h)
 *   plan {bytes, process_bytes, parts}            step {tokens, operations, seconds_at_limits, seconds_expected}    limits */
#include "train/run.h"
#include <lathe.h>
#include <string.h>
#include "base/mem.h"
#include "base/tree.h"
#include "nn/device.h"
#include "train/gate.h"

#define HASHED_MAX ((uint64_t)1 << 30)       /* of a text; the token file made of it is hashed in any case, by the digest of the settings */

static json_t *keys_json(const struct opt *o)
{
    json_t *out = json_object();
    for (; o->type != OPT_END; o++) {
        const char *const *s = o->value;
        json_t *v = o->type == OPT_INT    ? json_integer(*(const int64_t *)o->value)
                    : o->type == OPT_FLOAT ? tree_number(*(const double *)o->value)
                    : o->type == OPT_FLAG  ? json_boolean(*(const bool *)o->value)
                    : *s                   ? json_string(*s)
                                           : json_null();
        json_object_set_new(out, o->name, v);
    }
    return out;
}

/* Who knows the seed of a private run can take its noise out again. */
static void withhold_seed(json_t *section)
{
    if (json_object_get(section, "seed"))
        json_object_set_new(section, "seed", json_string("withheld"));
}

/* Without the paths of data, which are listed by themselves, and which config.c keeps under names that begin with a point. */
static json_t *given_json(const json_t *root)
{
    json_t *out = json_object(), *v;
    const char *key;
    json_object_foreach((json_t *)(uintptr_t)root, key, v)
        if (*key != '.')
            json_object_set(out, key, v);
    return out;
}

static json_t *settings_json(const struct run *r)
{
    struct opt data[TRAIN_KEYS_MAX], train[TRAIN_KEYS_MAX], lora[TRAIN_KEYS_MAX], privacy[TRAIN_KEYS_MAX], upcycle[TRAIN_KEYS_MAX];
    struct train_config c = r->c;
    train_config_keys(&c, data, train);
    tune_keys(&c.tune, lora);
    json_t *o = json_pack("{s:o, s:o}", "data", keys_json(data), "train", keys_json(train));
    if (c.tune.on)
        json_object_set_new(o, "lora", keys_json(lora));
    if (c.upcycle.on) {
        upcycle_keys(&c.upcycle, upcycle);
        json_object_set_new(o, "upcycle", keys_json(upcycle));
    }
    privacy_keys(&c.privacy, privacy);
    json_t *given = given_json(c.root);
    if (c.privacy.on) {
        json_object_set_new(o, "privacy", keys_json(privacy));
        withhold_seed(json_object_get(o, "train"));
        json_object_set_new(given, "train", json_deep_copy(json_object_get(given, "train")));      /* the settings themselves keep it */
        withhold_seed(json_object_get(given, "train"));
    }
    json_object_set_new(o, "given", given);
    return o;
}

static int model_json(const struct run *r, json_t **out, struct err *err)
{
    struct buf b;
    buf_init(&b);
    int rc = config_write(&r->c.model, &b, err);
    if (!rc)
        rc = tree_parse_json(out, b.data, b.len, "config.json", err);
    buf_release(&b);
    return rc;
}

static int describe_folder(json_t *o, const char *path, struct err *err)
{
    struct file_usage use;
    TRY(file_usage_followed(path, &use, err));
    json_object_set_new(o, "bytes", json_integer((json_int_t)use.bytes));
    json_object_set_new(o, "files", json_integer(use.n_file));
    return 0;
}

static int describe_file(json_t *o, const char *path, struct err *err)
{
    struct file_map m;
    char hex[SHA256_HEX];
    TRY(file_map_open(&m, path, err));
    const int rc = m.size <= HASHED_MAX ? sha256_of(m.data, m.size, hex, err) : 0;
    json_object_set_new(o, "bytes", json_integer((json_int_t)m.size));
    if (!rc && m.size <= HASHED_MAX)
        json_object_set_new(o, "sha256", json_string(hex));
    file_map_close(&m);
    return rc;
}

/* The version of a build, by which it is known which runs have read what. */
static int describe_build(json_t *o, const char *path, struct err *err)
{
    json_t *build;
    TRY(train_build_of(path, &build, err));
    json_t *version = json_object_get(build, "version");
    const int rc = json_is_string(version) && json_object_set(o, "version", version) ? ERR(err, NOMEM, "no memory to describe the data") : 0;
    json_decref(build);
    return rc;
}

static int add_source(json_t *list, const char *role, const char *path, struct err *err)
{
    json_t *o = json_pack("{s:s, s:s}", "role", role, "path", path);
    if (json_array_append_new(list, o))
        return ERR(err, NOMEM, "no memory to describe the data");
    TRY(describe_build(o, path, err));
    return file_is_dir(path) ? describe_folder(o, path, err) : describe_file(o, path, err);
}

static int add_sources(json_t *list, const char *role, const json_t *paths, struct err *err)
{
    size_t i;
    json_t *p;
    json_array_foreach(paths, i, p)
        TRY(add_source(list, role, json_string_value(p), err));
    return 0;
}

static json_t *plan_json(const struct run *r, const struct train_result *result)
{
    const struct graph_plan *p = &r->model.g->plan;
    json_t *parts = json_object();
    for (int k = 0; k < N_TENSOR_KIND; k++)
        if (p->bytes[k])
            json_object_set_new(parts, tensor_kind_name(k), json_integer((json_int_t)p->bytes[k]));
    if (r->o->device)
        json_object_set_new(parts, r->o->device->name, json_integer((json_int_t)r->o->device->bytes));
    if (run_save_bytes(r))
        json_object_set_new(parts, "copy for checkpoints", json_integer((json_int_t)run_save_bytes(r)));
    return json_pack("{s:I, s:I, s:I, s:o}", "bytes", (json_int_t)result->planned_bytes, "process_bytes", (json_int_t)PROCESS_BYTES, "expected_bytes", (json_int_t)result->expected_bytes, "parts", parts);
}

static json_t *limits_json(const struct run *r)
{
    const struct limits *l = &r->limits;
    if (r->o->device)
        return json_pack("{s:s, s:s, s:I}", "device", r->o->device->name, "arch", r->o->device->arch, "device_bytes_free", (json_int_t)r->o->device->bytes_free);
    return json_pack("{s:s, s:s, s:i, s:f, s:f, s:f, s:f}", "cpu", l->cpu, "level", l->level, "threads", l->n_thread, "f32_flops", l->f32, "bf16_flops", l->bf16,
                     "read_bytes_per_s", l->read, "cache_read_bytes_per_s", l->read_cache);
}

static int collect(const struct run *r, const struct train_result *result, json_t *o, struct err *err)
{
    json_t *model, *gates, *data = json_array();
    int rc = data && !json_object_set_new(o, "data", data) ? 0 : ERR(err, NOMEM, "no memory to describe the run");
    if (!rc && !(rc = add_sources(data, "train", r->c.train_paths, err)) && !(rc = add_sources(data, "valid", r->c.valid_paths, err)))
        rc = train_gates_told(&r->c, &gates, err);
    if (!rc && (json_object_set_new(o, "gates", gates)))
        rc = ERR(err, NOMEM, "no memory to describe the run");
    rc = rc ? rc : model_json(r, &model, err);
    if (rc)
        return rc;
    json_object_set_new(o, "model", model);
    json_object_set_new(o, "settings", settings_json(r));
    json_object_set_new(o, "plan", plan_json(r, result));
    json_object_set_new(o, "limits", limits_json(r));
    json_object_set_new(o, "step", json_pack("{s:f, s:f, s:o, s:o}", "tokens", run_step_tokens(r), "operations", run_step_flops(r), "seconds_at_limits", tree_number(run_step_seconds(r)),
                                             "seconds_expected", tree_number(r->predicted)));
    if (!run_classifies(r)) {
        json_object_set_new(o, "tokens_train", json_integer(r->data.train.n));
        json_object_set_new(o, "tokens_valid", json_integer(r->data.valid.n));
    }
    return 0;
}

int run_write_facts(const struct run *r, const struct train_result *result, struct err *err)
{
    json_t *o = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "version", LATHE_VERSION, "config", r->o->config, "unix_ms", (json_int_t)run_unix_ms(), "from_step", (json_int_t)r->state.step,
                          "steps", (json_int_t)r->c.steps, "parameters", (json_int_t)result->n_param, "active_parameters", (json_int_t)result->n_active);
    char *path = run_out_path(r, "run.json"), *text = NULL;
    int rc = o && path ? collect(r, result, o, err) : ERR(err, NOMEM, "no memory to describe the run");
    if (!rc && !(text = json_dumps(o, JSON_INDENT(1) | JSON_REAL_PRECISION(9))))
        rc = ERR(err, NOMEM, "no memory to describe the run");
    if (!rc)
        rc = file_write_all(path, text, strlen(text), err);
    mem_free(text);
    mem_free(path);
    json_decref(o);
    return rc;
}
