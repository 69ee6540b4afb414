/* layout.c - how a model may be divided between devices. */
#include <stdio.h>
#include "plan/price.h"

#define EACH_MOST 16384       /* so that products of two stay numbers */

static int at_least_one(int n) { return n > 0 ? n : 1; }

static bool divides(int n, int by) { return n % by == 0; }

static bool has_dense(const struct config *c)
{
    for (int i = 0; i < c->n_layer; i++)
        if (config_dense(c, i))
            return true;
    return false;
}

/* Heads and MLPs by tp; ep of its devices have whole experts, the others parts. */
static bool tensor_possible(const struct config *c, int tp, int ep)
{
    const int kv = c->n_kv_head, within = tp % ep ? 1 : tp / ep;
    return divides(c->n_head, tp) && (c->kv_rank || divides(kv, tp) || divides(tp, kv)) && (!has_dense(c) || divides(c->d_ff, tp)) &&
           divides(c->d_ff_shared, tp) && (!c->n_expert || divides(c->d_ff_expert, within));
}

static bool experts_possible(const struct config *c, const struct layout *l)
{
    return divides(c->n_expert, l->ep) && (divides(l->tp, l->ep) || (divides(l->ep, l->tp) && divides(l->tp * l->dp, l->ep)));
}

/* "1, 2, 4": up to `most`, those for which `possible` holds. */
static void list_possible(const struct config *c, const struct layout *l, bool experts, char *out, size_t n)
{
    size_t at = 0;
    out[0] = 0;
    for (int i = 1; i <= (experts ? c->n_expert : c->n_head) && i <= EACH_MOST && at + 8 < n; i++) {
        const struct layout with = { l->tp, i, l->pp, l->dp };
        if (experts ? experts_possible(c, &with) : tensor_possible(c, i, c->n_expert ? l->ep : 1))
            at += (size_t)snprintf(out + at, n - at, "%s%d", at ? ", " : "", i);
    }
}

struct layout layout_ones(const struct layout *l)
{
    return (struct layout){ at_least_one(l->tp), at_least_one(l->ep), at_least_one(l->pp), at_least_one(l->dp) };
}

int layout_check(const struct config *c, const struct layout *given, struct err *err)
{
    const struct layout l = layout_ones(given);
    char possible[200];
    const int each[] = { given->tp, given->ep, given->pp, given->dp };
    for (int i = 0; i < 4; i++)
        if (each[i] < 0 || each[i] > EACH_MOST)
            return ERR(err, USAGE, "a layout of tp %d, ep %d, pp %d, dp %d; expected numbers from 1 to %d", given->tp, given->ep, given->pp, given->dp, EACH_MOST);
    if (!tensor_possible(c, l.tp, c->n_expert ? l.ep : 1)) {
        list_possible(c, &l, false, possible, sizeof possible);
        return ERR(err, USAGE, "%d devices are to divide each layer, but it has %d heads, %d of keys and values and %d numbers inside its MLP; possible: %s", l.tp, c->n_head,
                   c->n_kv_head, has_dense(c) ? c->d_ff : c->d_ff_expert, possible);
    }
    if (l.ep > 1 && !c->n_expert)
        return ERR(err, USAGE, "%d devices are to divide the experts, but this %s has none; expected ep 1", l.ep, family_name(c->family));
    if (c->n_expert && !experts_possible(c, &l)) {
        list_possible(c, &l, true, possible, sizeof possible);
        return ERR(err, USAGE, "%d devices are to divide %d experts, with tp %d and dp %d; possible: %s", l.ep, c->n_expert, l.tp, l.dp, possible);
    }
    if (l.pp > c->n_layer)
        return ERR(err, USAGE, "%d stages of a pipeline for %d layers; possible: 1 to %d", l.pp, c->n_layer, c->n_layer);
    return 0;
}
