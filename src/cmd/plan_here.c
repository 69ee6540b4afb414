#include "cmd/plan_here.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/cmd.h"
#include "infer/pace.h"
#include "model/model.h"
#include "model/weights_pack.h"
#include "nn/limits.h"
#include "plan/here.h"

#define SLOTS 16
#define TEXT_TOKENS 1024
#define STEP_TOKENS 512

/* Its integers are q8_0; it has q4_0 where accelerators have fp4, and no fp8. */
static enum cpu_type type_of(enum number n)
{
    static const enum cpu_type types[N_NUMBER] = { [NUMBER_F32] = TYPE_F32, [NUMBER_BF16] = TYPE_BF16, [NUMBER_INT8] = TYPE_Q8_0, [NUMBER_FP4] = TYPE_Q4_0 };
    return types[n];
}

static int check_numbers(enum number weights, bool as_files, enum number cache, struct err *err)
{
    if (weights == NUMBER_FP8 && !as_files)
        return ERR(err, UNSUPPORTED, "--weights fp8: this machine has no such products, expected f32, bf16, int8 (q8_0) or fp4 (q4_0)");
    return cache == NUMBER_FP8 ? ERR(err, UNSUPPORTED, "--kv fp8: on this machine keys and values are kept as f32, bf16 or int8") : 0;
}

static enum dtype cache_of(enum number n) { return n == NUMBER_F32 ? DT_F32 : n == NUMBER_BF16 ? DT_BF16 : DT_I8; }

static int measure(struct priced **out, const struct plan_model *m, const struct here_opts *ho, bool as_files, struct pool *pool, struct err *err)
{
    if (!as_files || !(m->file_bits > 0))
        return priced_here(out, &m->config, ho, pool, err);
    struct model files;
    struct weight_type *types = NULL;
    TRY(model_open(&files, m->path, NULL, err));
    int rc = weights_types(&types, files.list, files.source, WEIGHTS_FILE, err);
    if (!rc) {
        struct here_opts of_files = *ho;
        of_files.types = types;
        rc = priced_here(out, &files.config, &of_files, pool, err);
    }
    mem_free(types);
    model_release(&files);
    return rc;
}

int plan_here(struct priced **out, struct serve_opts *o, struct device *d, const struct plan_model *m, enum number weights, bool as_files, struct err *err)
{
    static struct limits l;                  /* d->name stays its cpu */
    struct pool *pool;
    TRY(check_numbers(weights, as_files, o->cache, err));
    TRY(cmd_pool(&pool, err));
    TRY(limits_get(&l, pool, err));
    log_info("measuring this machine for this model");
    d->name = l.cpu, d->units = l.n_thread, d->bandwidth = l.read, d->peak[NUMBER_F32] = l.f32, d->peak[NUMBER_BF16] = l.bf16, d->peak[NUMBER_INT8] = l.int8;
    d->fitted = "each kind of operation measured here, just now";
    o->n = 1, o->n_slot = o->n_slot > 0 ? o->n_slot : SLOTS, o->step_tokens = o->step_tokens > 0 ? o->step_tokens : STEP_TOKENS;
    o->cache_tokens = (double)o->n_slot * TEXT_TOKENS, o->stretch = PACE_STRETCH, o->spare = 0, o->runtime = 20e6;
    const struct here_opts ho = { .type = type_of(weights), .cache = cache_of(o->cache), .limits = &l };
    TRY(measure(out, m, &ho, as_files, pool, err));
    o->priced = *out;
    return 0;
}
