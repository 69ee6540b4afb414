#include "cmd/foretold_serve.h"
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "cmd/cmd.h"
#include "cmd/foretold.h"
#include "cmd/plan_here.h"

/* Steps that only continue texts, and those with rows of prompts. */
struct tally { int64_t n; double said, was; };
struct foretold_serve { struct priced *here; struct tally alone, mixed; };

static enum number weights_word(void) { return !strcmp(cmd_precision, "fp32") ? NUMBER_F32 : NUMBER_BF16; }
static enum number cache_word(void) { return !strcmp(cmd_kv, "fp32") ? NUMBER_F32 : !strcmp(cmd_kv, "int8") ? NUMBER_INT8 : NUMBER_BF16; }

static int measure(struct foretold_serve *f, const char *path, struct err *err)
{
    struct serve_opts so = { .cache = cache_word() };
    struct device d = { .name = "" };
    struct plan_model *m = mem_alloc(sizeof *m);
    if (!m)
        return ERR(err, NOMEM, "no memory to look at the model");
    int rc = plan_model_open(m, path, err);
    rc = rc ? rc : plan_here(&f->here, &so, &d, m, weights_word(), !strcmp(cmd_precision, "file"), err);
    mem_free(m);
    return rc;
}

int foretold_serve_open(struct foretold_serve **out, bool wanted, const struct model_place *place, int n, struct err *err)
{
    *out = NULL;
    if (!wanted)
        return 0;
    if (n != 1 || !place[0].path)
        return ERR(err, USAGE, "--foretell is of one model that is there from the beginning, found %d", n);
    *out = mem_alloc_zero(sizeof **out);
    if (!*out)
        return ERR(err, NOMEM, "no memory for what is foretold");
    const int rc = measure(*out, place[0].path, err);
    if (rc) {
        foretold_serve_close(*out);
        *out = NULL;
        return err_context(err, "--foretell");
    }
    return 0;
}

void foretold_serve_step(void *ctx, const struct batch_step *s)
{
    struct foretold_serve *f = ctx;
    const struct step_load l = { s->n_prompt, s->n_prompt ? s->prompt_keys / s->n_prompt : 0, s->n, s->n ? s->keys / s->n : 0 };
    struct tally *t = s->n_prompt ? &f->mixed : &f->alone;
    t->n++, t->said += priced_seconds(f->here, &l), t->was += s->seconds;
}

static void tell(const struct tally *t, const char *what, enum planned kind, const char *model)
{
    char a[32], b[32];
    if (!t->n)
        return;
    const double said = t->said / (double)t->n, was = t->was / (double)t->n;
    log_info("%s: %lld, foretold %s each, they took %s (%+.1f %%)", what, (long long)t->n, fmt_seconds_fine(a, said), fmt_seconds_fine(b, was), 100 * (was / said - 1));
    foretold(kind, model, said, was);
}

void foretold_serve_tell(const struct foretold_serve *f, const char *model, double planned_bytes)
{
    char a[32], b[32];
    if (f) {
        tell(&f->alone, "steps that continue texts", PLANNED_SERVE_STEP, model);
        tell(&f->mixed, "steps with rows of prompts", PLANNED_SERVE_PROMPTS, model);
    }
    log_info("memory: planned %s, and at most 20 MB for the process itself; taken %s (private)", fmt_bytes(a, planned_bytes), fmt_bytes(b, (double)mem_private_peak()));
}

void foretold_serve_close(struct foretold_serve *f)
{
    if (!f)
        return;
    priced_free(f->here);
    mem_free(f);
}
