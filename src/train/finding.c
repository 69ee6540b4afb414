#include "train/finding.h"
#include <string.h>
#include "base/log.h"
#include "base/tree.h"

#define TEXT_TOKENS 64                   /* of a sample are shown */

const char *cause_word(enum cause cause)
{
    static const char *const words[] = { "none", "data", "hardware", "kernel", "state" };
    return words[cause];
}

int64_t finding_place(const struct run *r, uint64_t s) { return run_classifies(r) ? classes_place(&r->classes, s) : loader_offset(&r->loader, s); }

static int add_text(struct run *r, const struct doctor_sample *s, struct buf *out, struct err *err)
{
    if (run_classifies(r))
        return buf_printf(out, err, config_vision(&r->c.model) ? "image %lld of data/train.img" : "text %lld of data/train.tok", (long long)finding_place(r, (uint64_t)(s->i_micro * r->micro + s->sequence)));
    run_load_micro(r, s->i_micro);
    const int from = r->batch.seq_start[s->sequence], to = r->batch.seq_start[s->sequence + 1], n = to - from < TEXT_TOKENS ? to - from : TEXT_TOKENS;
    TRY(tok_decode(r->data.tok, r->batch.ids + from, (size_t)n, out, err));
    err_tidy(out->data);
    return 0;
}

static int add_sample(struct run *r, json_t *list, const struct doctor_sample *s, bool show, struct err *err)
{
    struct buf text;
    buf_init(&text);
    int rc = buf_add_str(&text, "", err);
    if (!rc)
        rc = add_text(r, s, &text, err);
    const int window = run_classifies(r) ? s->sequence : (int)(r->batch.seq_start[s->sequence] / r->c.ctx);
    json_t *o = rc ? NULL : json_pack("{s:I, s:i, s:i, s:o, s:o, s:s}", "micro", (json_int_t)(s->i_micro % r->n_micro), "window", window,
                                      "sequence", s->sequence, "loss", tree_number(s->loss),
                                      "deviations", tree_number(s->odd), "text", text.data);
    if (!rc && (!o || json_array_append_new(list, o)))
        rc = ERR(err, NOMEM, "no memory to write metrics");
    if (!rc && show)
        log_warn("  sample %d of micro-batch %lld, loss %.3f (%+.1f deviations): \"%.120s\"", s->sequence + 1, (long long)(s->i_micro % r->n_micro) + 1, s->loss, s->odd, text.data);
    buf_release(&text);
    return rc;
}

static void odd_words(unsigned odd, char out[60])
{
    snprintf(out, 60, "%s%s%s%s%s", odd & ODD_BAD ? "not finite, " : "", odd & ODD_LOSS ? "loss, " : "", odd & ODD_NORM ? "gradient norm, " : "", odd & ODD_SAMPLE ? "sample, " : "",
             odd & ODD_REPEAT ? "repeats, " : "");
    const size_t n = strlen(out);
    if (n)
        out[n - 2] = 0;
}

int finding_tell(struct run *r, const struct finding *f, const char *action, struct err *err)
{
    char odd[60];
    odd_words(f->o.odd, odd);
    log_warn("step %lld: %s (loss %.4g, %+.1f deviations; gradient norm %.4g, %+.1f): %s: %s%s%s; %s", (long long)r->state.step + 1, f->o.odd ? odd : "differs", f->loss, f->o.loss, f->norm,
             f->o.norm, cause_word(f->cause), f->what, f->where[0] ? "; " : "", f->where, action);
    json_t *samples = json_array();
    int rc = samples ? 0 : ERR(err, NOMEM, "no memory to write metrics");
    const int n_high = f->o.n_high || f->o.n_low || f->o.odd & ODD_REPEAT ? f->o.n_high : f->seen.n_high;      /* none is odd by itself: those with the highest loss */
    for (int i = 0; i < n_high && !rc; i++)
        rc = add_sample(r, samples, &f->seen.high[i], f->cause == CAUSE_DATA, err);
    for (int i = 0; i < f->o.n_low && !rc; i++)
        rc = add_sample(r, samples, &f->seen.low[i], f->cause == CAUSE_DATA, err);
    for (int i = 0; f->o.odd & ODD_REPEAT && i < f->seen.n_repeat && !rc; i++)
        rc = add_sample(r, samples, &f->seen.repeat[i], f->cause == CAUSE_DATA, err);
    if (rc) {
        json_decref(samples);
        return rc;
    }
    return run_write_metric(r, json_pack("{s:I, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:s, s:s, s:s, s:o}", "step", (json_int_t)r->state.step + 1, "event", "spike", "cause",
                                         cause_word(f->cause), "odd", odd, "loss", tree_number(f->loss), "loss_deviations", tree_number(f->o.loss), "grad_norm",
                                         tree_number(f->norm), "norm_deviations", tree_number(f->o.norm), "what", f->what, "where", f->where, "action", action,
                                         "samples", samples), err);
}
