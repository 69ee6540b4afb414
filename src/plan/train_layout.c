/* train_layout.c - which layouts a model has, and what a stage of one holds. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "plan/layout.h"
#include "plan/train_parts.h"

int train_layout_check_counts(const struct train_layout *l, struct err *err)
{
    const struct { const char *name; int n, least; } counts[] = { { "tp", l->tp, 1 }, { "pp", l->pp, 1 }, { "dp", l->dp, 1 }, { "ep", l->ep, 1 },
        { "interleave", l->interleave, 1 }, { "micro-batch", l->micro, 1 }, { "ZeRO stage", l->zero, 0 } };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (counts[i].n < counts[i].least || counts[i].n > 1 << 20)
            return ERR(err, USAGE, "%s %d, expected %d or more", counts[i].name, counts[i].n, counts[i].least);
    if ((double)l->tp * l->pp * l->dp > 1 << 20)
        return ERR(err, USAGE, "tp %d, pp %d and dp %d are %g devices, expected %d at most", l->tp, l->pp, l->dp, (double)l->tp * l->pp * l->dp, 1 << 20);
    if (l->again < 0 || (l->again && l->recompute != TRAIN_RECOMPUTE_FULL))
        return ERR(err, USAGE, "%d layers are to be computed again, expected a number of layers with recompute full, else 0", l->again);
    return (unsigned)l->recompute < N_TRAIN_RECOMPUTE ? 0 : ERR(err, USAGE, "recompute %d, expected 0 to %d", (int)l->recompute, N_TRAIN_RECOMPUTE - 1);
}

int train_job_check(const struct train_job *j, struct err *err)
{
    if (j->ctx < 1)
        return ERR(err, USAGE, "sequences of %d tokens, expected 1 or more", j->ctx);
    if (!(j->batch >= 1 && j->batch < 1e12))
        return ERR(err, USAGE, "a batch of %g sequences, expected 1 or more", j->batch);
    if (j->compute != NUMBER_F32 && j->compute != NUMBER_BF16 && j->compute != NUMBER_FP8)
        return ERR(err, USAGE, "training in %s, expected f32, bf16 or fp8", (unsigned)j->compute < N_NUMBER ? number_name(j->compute) : "?");
    if (j->gradient_bytes != 2 && j->gradient_bytes != 4)
        return ERR(err, USAGE, "gradients of %d bytes, expected 2 or 4", j->gradient_bytes);
    if (!(j->imbalance >= 1 && j->imbalance < 1e3))
        return ERR(err, USAGE, "imbalance %g, expected 1 or more: rows of the fullest experts over the mean", j->imbalance);
    if (!(j->state_bytes > 0 && j->state_bytes <= 64))
        return ERR(err, USAGE, "an optimiser of %g bytes a number, expected more than 0, as 12 of Adam", j->state_bytes);
    if (j->lora_rank < 0 || j->lora_rank > 1 << 16 || !(j->frozen_bytes > 0 && j->frozen_bytes <= 4))
        return ERR(err, USAGE, "adapters of rank %d on weights of %g bytes, expected a rank of 0 or more and up to 4 bytes", j->lora_rank, j->frozen_bytes);
    return 0;
}

int train_devices_check(const struct device *d, double n, struct err *err)
{
    const int most = d->node > 1 ? d->node : 1;
    if (n > most && !d->network)
        return ERR(err, USAGE, "%g %s: no network between them is known, so %d at most", n, d->name, most);
    return 0;
}

static int check_pipeline(const struct train_case *c, struct err *err)
{
    const struct train_layout *l = c->l;
    const int layers = c->m->config.n_layer;
    if (l->interleave == 1)
        return 0;
    if (l->pp == 1)
        return ERR(err, USAGE, "interleave %d without a pipeline: with pp 1 only 1 is possible", l->interleave);
    if (layers % l->pp || layers / l->pp % l->interleave) {
        char some[128];
        size_t n = (size_t)snprintf(some, sizeof some, "1");
        for (int v = 2; layers % l->pp == 0 && v <= layers / l->pp && n < 100; v++)
            n += layers / l->pp % v ? 0 : (size_t)snprintf(some + n, sizeof some - n, ", %d", v);
        return ERR(err, USAGE, "interleave %d: %d layers do not fall into %d pieces for each of %d stages; with pp %d possible: %s", l->interleave, layers,
                   l->interleave, l->pp, l->pp, some);
    }
    if (fmod(c->micros, l->pp) != 0)
        return ERR(err, USAGE, "interleave %d wants micro-batches in multiples of pp %d, but there are %g: another batch or micro-batch, or interleave 1",
                   l->interleave, l->pp, c->micros);
    return 0;
}

int train_layout_check(const struct train_case *c, struct err *err)
{
    const struct train_layout *l = c->l;
    TRY(train_job_check(c->job, err));
    TRY(train_devices_check(c->d, (double)l->tp * l->pp * l->dp, err));
    TRY(layout_check_train(&c->m->config, &(struct layout){ l->tp, l->ep, l->pp, l->dp }, err));
    if (l->sequence && l->tp == 1)
        return ERR(err, USAGE, "the stream is divided between tp devices, but tp is 1: without sequence, or with tp of 2 or more");
    if (l->sequence && c->job->ctx % l->tp)
        return ERR(err, USAGE, "sequences of %d tokens are not divided by tp %d: without sequence, or another ctx", c->job->ctx, l->tp);
    if (l->ep > 1 && l->tp > 1 && !l->sequence)
        return ERR(err, USAGE, "with ep %d and tp %d each device would send the same rows to experts: with sequence, or one of the two 1", l->ep, l->tp);
    if (l->zero > 3 || (l->zero >= 2 && l->pp > 1))
        return ERR(err, USAGE, "ZeRO %d with pp %d: %s are possible", l->zero, l->pp,
                   l->pp > 1 ? "stages keep gradients from micro-batch to micro-batch; 0 and 1" : "0 to 3");
    if ((double)l->micro * l->dp > c->job->batch)
        return ERR(err, USAGE, "%d copies with micro-batches of %d are %g sequences a step, but a batch has %g: fewer copies, or a larger batch", l->dp,
                   l->micro, (double)l->micro * l->dp,
                   c->job->batch);
    return check_pipeline(c, err);
}

/* Where layers are left over the stages after the first have one more: the first has the embedding, the last the head. */
static int layer_stage(const struct train_case *c, int layer)
{
    const int pp = c->l->pp, layers = c->m->config.n_layer, per = layers / pp, more = layers % pp;
    if (c->l->interleave > 1)
        return layer / (per / c->l->interleave) % pp;
    if (layer < per || pp == 1)
        return 0;
    const int after = layer - per;                       /* the first has `per` */
    return after < more * (per + 1) ? 1 + after / (per + 1) : 1 + more + (after - more * (per + 1)) / per;
}

struct train_stage train_stage(const struct train_case *c, int i)
{
    struct train_stage s = { .first = i == 0, .last = i == c->l->pp - 1 };
    for (int layer = 0; layer < c->m->config.n_layer; layer++)
        if (layer_stage(c, layer) == i)
            s.kind[c->m->kind_of[layer]]++, s.layers++;
    return s;
}
