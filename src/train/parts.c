#include "train/parts.h"
#include <assert.h>
#include "base/mem.h"

enum what { COLLECT, GIVE, DONE };
struct order { int32_t what, tensor; };

static bool collects(const struct run *r) { return comm_size(r->holders) > 1 && !comm_rank(r->comm); }

/* What holder p has of weight i. */
static struct weight_held held_by(const struct run *r, int i, int p)
{
    struct division d = r->division;
    d.i = p;
    return weight_held(r->weights, &r->weights->weight[i], &d);
}

/* Of the largest weight, and of the largest part of one. */
static void sizes(const struct run *r, size_t *whole, size_t *part)
{
    *whole = *part = 0;
    for (int i = 0; i < r->weights->n_weight; i++)
        for (int p = 0; p < comm_size(r->holders); p++) {
            const size_t n = (size_t)r->weights->weight[i].n * sizeof(float), held = (size_t)held_by(r, i, p).n * sizeof(float);
            *whole = n > *whole ? n : *whole, *part = held > *part ? held : *part;
        }
}

size_t parts_bytes(const struct run *r)
{
    size_t whole, part;
    if (!collects(r))
        return 0;
    sizes(r, &whole, &part);
    return mem_map_size(whole) + mem_map_size(part);
}

static int ask(struct run *r, int p, enum what what, int tensor, struct err *err)
{
    const struct order o = { (int32_t)what, tensor };
    return comm_exchange(r->holders, p, &o, sizeof o, NULL, 0, err);
}

static int collect(void *ctx, int i_weight, int tensor, struct err *err)
{
    struct run *r = ctx;
    const struct tensor *t = &r->model.g->tensor[tensor];
    const size_t size = dtype_size(t->dtype);
    for (int p = 0; p < comm_size(r->holders); p++) {
        const struct weight_held h = held_by(r, i_weight, p);
        if (p && !h.part)                        /* rank 0 has it all */
            continue;
        if (p) {
            TRY(ask(r, p, COLLECT, tensor, err));
            TRY(comm_exchange(r->holders, p, NULL, 0, r->part_room, (size_t)h.n * size, err));
        }
        weight_put(&h, p ? r->part_room : t->data, r->parts.whole, size);
    }
    return 0;
}

static int give(void *ctx, int i_weight, int tensor, struct err *err)
{
    struct run *r = ctx;
    const struct tensor *t = &r->model.g->tensor[tensor];
    const size_t size = dtype_size(t->dtype);
    for (int p = 0; p < comm_size(r->holders); p++) {
        const struct weight_held h = held_by(r, i_weight, p);
        if (p && !h.part && r->division.by == DIVIDE_EXPERTS)
            continue;                            /* ranks_begin() gives it to all */
        if (!p || h.part)
            weight_take(&h, r->parts.whole, p ? r->part_room : t->data, size);
        if (!p)
            continue;
        TRY(ask(r, p, GIVE, tensor, err));
        TRY(comm_exchange(r->holders, p, h.part ? r->part_room : r->parts.whole, (size_t)h.n * size, NULL, 0, err));
    }
    return 0;
}

int parts_take(struct run *r, struct err *err)
{
    size_t whole, part;
    if (!collects(r))
        return 0;
    sizes(r, &whole, &part);
    r->parts = (struct decoder_parts){ .ctx = r, .whole = mem_map(whole), .collect = collect, .give = give };
    r->part_room = mem_map(part);
    if (!r->parts.whole || !r->part_room)
        return ERR(err, NOMEM, "no memory to collect the largest weight");
    r->model.parts = &r->parts;
    return 0;
}

void parts_release(struct run *r)
{
    size_t whole, part;
    if (!r->weights || (!r->parts.whole && !r->part_room))
        return;
    sizes(r, &whole, &part);
    mem_unmap(r->parts.whole, whole);
    mem_unmap(r->part_room, part);
}

/* Until rank 0 is done. */
static int serve(struct run *r, struct err *err)
{
    for (;;) {
        struct order o;
        TRY(comm_exchange(r->holders, 0, NULL, 0, &o, sizeof o, err));
        if (o.what == DONE)
            return 0;
        assert(o.tensor >= 0 && o.tensor < r->model.g->n_tensor);
        const struct tensor *t = &r->model.g->tensor[o.tensor];
        const bool sends = o.what == COLLECT;
        TRY(comm_exchange(r->holders, 0, t->data, sends ? t->bytes : 0, t->data, sends ? 0 : t->bytes, err));
    }
}

int parts_settle(struct run *r, struct err *err)
{
    if (comm_size(r->holders) == 1 || (r->division.by == DIVIDE_LAYERS && comm_rank(r->copies)))
        return 0;
    if (comm_rank(r->holders))
        return serve(r, err);
    for (int p = 1; p < comm_size(r->holders); p++)
        TRY(ask(r, p, DONE, 0, err));
    return 0;
}
