#include "plan/layout.h"
#include <stdio.h>

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

/* Parts that each expert is in.  whole: where experts are divided at all (training). */
static int expert_parts(const struct layout *l, bool whole) { return whole && l->ep > 1 ? 1 : l->tp % l->ep ? 1 : l->tp / l->ep; }

static bool tensor_possible(const struct config *c, const struct layout *l, bool whole)
{
    const int tp = l->tp, kv = c->n_kv_head;
    return divides(c->n_head, tp) && (c->kv_rank || divides(kv, tp) || divides(tp, kv)) && divides(c->d_ff_shared, tp) &&
           (!c->n_expert || divides(c->d_ff_expert, expert_parts(l, whole))) && (divides(c->d_ff, tp) || !has_dense(c));
}

static bool experts_possible(const struct config *c, const struct layout *l, bool whole)
{
    const bool within = !whole && divides(l->tp, l->ep), over = divides(l->tp * l->dp, l->ep) && (whole || divides(l->ep, l->tp));
    return c->n_expert ? divides(c->n_expert, l->ep) && (within || over) : l->ep == 1;
}

/* "1, 2, 4": of tp or of ep, those that are possible with the rest as it is. */
static void list_possible(const struct config *c, const struct layout *l, bool whole, bool experts, char *out, size_t n)
{
    size_t at = 0;
    out[0] = 0;
    for (int i = 1; i <= (experts ? c->n_expert : c->n_head) && i <= EACH_MOST && at + 8 < n; i++) {
        const struct layout with = { experts ? l->tp : i, experts ? i : l->ep, l->pp, l->dp };
        if (experts ? experts_possible(c, &with, whole) : tensor_possible(c, &with, whole))
            at += (size_t)snprintf(out + at, n - at, "%s%d", at ? ", " : "", i);
    }
}

static int check(const struct config *c, const struct layout *l, bool whole, struct err *err)
{
    const bool tensor = tensor_possible(c, l, whole), experts = experts_possible(c, l, whole);
    char possible[200];
    if (tensor && experts && l->pp <= c->n_layer)
        return 0;
    if (!err)
        return ERR_USAGE;
    if (l->ep > 1 && !c->n_expert)
        return ERR(err, USAGE, "%d devices are to divide the experts, but this %s has none; expected ep 1", l->ep, family_name(c->family));
    if (!tensor) {
        list_possible(c, l, whole, false, possible, sizeof possible);
        return ERR(err, USAGE, "%d devices are to divide each layer, but it has %d heads, %d of keys and values and %d numbers inside its %s; possible: %s", l->tp, c->n_head, c->n_kv_head,
                   has_dense(c) ? c->d_ff : c->d_ff_expert, has_dense(c) ? "MLP" : "experts", possible);
    }
    if (!experts) {
        list_possible(c, l, whole, true, possible, sizeof possible);
        return ERR(err, USAGE, "%d devices are to divide %d experts, with tp %d and dp %d; possible: %s", l->ep, c->n_expert, l->tp, l->dp, possible);
    }
    return ERR(err, USAGE, "%d stages of a pipeline for %d layers; possible: 1 to %d", l->pp, c->n_layer, c->n_layer);
}

struct layout layout_ones(const struct layout *l)
{
    return (struct layout){ at_least_one(l->tp), at_least_one(l->ep), at_least_one(l->pp), at_least_one(l->dp) };
}

int layout_check(const struct config *c, const struct layout *given, struct err *err)
{
    const struct layout l = layout_ones(given);
    const int each[] = { given->tp, given->ep, given->pp, given->dp };
    for (int i = 0; i < 4; i++)
        if (each[i] < 0 || each[i] > EACH_MOST)
            return ERR(err, USAGE, "a layout of tp %d, ep %d, pp %d, dp %d; expected numbers from 1 to %d", given->tp, given->ep, given->pp, given->dp, EACH_MOST);
    return check(c, &l, false, err);
}

int layout_check_train(const struct config *c, const struct layout *l, struct err *err) { return check(c, l, true, err); }
