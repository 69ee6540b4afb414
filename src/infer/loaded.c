#include "infer/loaded.h"
#include <stdio.h>
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "infer/engine.h"
#include "model/merge.h"
#include "nn/device.h"

static int open_model(struct loaded *l, const char *path, struct buf *warnings, struct err *err)
{
    struct buf own;
    buf_init(&own);
    const int rc = model_open(&l->model, path, warnings ? warnings : &own, err);
    if (own.len)
        log_warn("%.*s", (int)(own.len - 1), own.data);
    buf_release(&own);
    return rc;
}

static void drop_adapters(struct loaded *l)
{
    for (int i = 0; i < l->n_adapter; i++)
        adapter_free(l->adapter[i]);
    mem_free(l->adapter);
    l->adapter = NULL, l->n_adapter = 0;
}

static int open_adapter(struct loaded *l, const char *folder, const struct weights_list *list, struct err *err)
{
    struct adapter **a = &l->adapter[l->n_adapter];
    TRY(adapter_open(a, folder, err));
    l->n_adapter++;
    if (adapter_has_head(*a))
        return ERR(err, UNSUPPORTED, "%s has a head for classes, expected adapters of a model that continues texts", folder);
    TRY(merge_check(&l->model, *a, err));
    return adapter_bind(*a, list, err);
}

static int open_adapters(struct loaded *l, const struct loaded_opts *o, struct err *err)
{
    struct weights_list *list;               /* whose modules have the names that adapters know */
    if (!o->n_adapter)
        return 0;
    TRY(weights_list_new(&list, &l->model.config, err));
    int rc = (l->adapter = mem_alloc_array((size_t)o->n_adapter, sizeof *l->adapter)) ? 0 : ERR(err, NOMEM, "no memory for %d adapters", o->n_adapter);
    for (int i = 0; i < o->n_adapter && !rc; i++)
        rc = open_adapter(l, o->adapter[i], list, err);
    weights_list_free(list);
    return rc;
}

int loaded_open(struct loaded *l, const char *path, const struct loaded_opts *o, struct err *err)
{
    TRY(open_model(l, path, o->warnings, err));
    struct config *c = &l->model.config;
    if (config_vision(c))
        return ERR(err, UNSUPPORTED, "%s takes images, expected a model of texts; try lathe classify", path);
    if (o->rope_scaling)
        TRY(config_stretch(c, o->rope_scaling, err));
    if (!o->no_tok && !l->tok)
        TRY(tok_load(&l->tok, model_tok_path(&l->model, path), err));
    if (l->tok && tok_vocab_size(l->tok) > c->vocab_size)
        return ERR(err, FORMAT, "%s: vocab_size is %d, expected at least the tokenizer's %d", path, c->vocab_size, tok_vocab_size(l->tok));
    const int most = config_ctx_max(c);
    l->ctx = o->ctx ? o->ctx : c->ctx;
    l->device_layers = o->device_layers, l->cpu_experts = o->cpu_experts;
    if (o->ctx_clip && l->ctx > most)
        l->ctx = most;
    if (l->ctx > most)
        return ERR(err, RANGE, "%d positions asked for; the model was made for %d", l->ctx, most);
    TRY(open_adapters(l, o, err));
    return weights_types(&l->types, l->model.list, l->model.source, o->as, err);
}

/* Between devices: numbers inside an MLP in whole blocks of the weights that read them, and of what kernels read at once. */
static struct division between(const struct loaded *l, int n)
{
    struct division d = { .by = DIVIDE_DEVICES, .n = n, .grain = 16 };
    for (int i = 0; i < l->model.list->n_weight; i++)
        for (int j = 0; strstr(l->model.list->weight[i].name, "down.w") && j < l->types[i].n_segment; j++)
            if (type_block(l->types[i].type[j]) > d.grain)
                d.grain = type_block(l->types[i].type[j]);
    return d;
}

/* ---- a model that is parted between a device and here: by layers, the last ones there, where the head is ---- */

struct planning { struct loaded *l; struct decoder_opts *o; int T, S, n_thread; };

static int plan_with(const struct planning *p, int here, struct err *err)
{
    struct loaded *l = p->l;
    decoder_release(&l->d);
    l->here = p->o->here = here, l->here_experts = p->o->here_experts;
    TRY(decoder_record(&l->d, &l->model.config, p->o, err));
    l->d.g->device = l->device;
    return decoder_plan(&l->d, p->T, p->S, p->n_thread, NULL, err);
}

static int too_large(const struct planning *p, size_t whole, struct err *err)
{
    const struct graph_device *d = p->l->device;
    char room[32], all[32], least[32], weights[32];
    return ERR(err, NOMEM, "%s (%s) has %s of memory free, expected %s, or %s for the last of %d layers and the head alone, %s of them weights", d->name, d->model, fmt_bytes(room, (double)p->l->room),
               fmt_bytes(all, (double)whole), fmt_bytes(least, (double)d->bytes), p->l->model.config.n_layer, fmt_bytes(weights, (double)d->weight_bytes));
}

/* What a driver rounds up, and recorded passes take, is in no plan. */
static size_t with_margin(size_t room) { return room - room / 32; }

/* As few layers here as need be: what each count takes there, its plan says.  The whole and the least there is may have all the room, others leave some. */
static int fit_layers(const struct planning *p, struct err *err)
{
    struct loaded *l = p->l;
    const size_t whole = l->device->bytes;
    int too_few = 0, enough = l->model.config.n_layer - 1;
    if (whole <= l->room || !enough)                      /* what cannot be parted is refused by the device */
        return 0;
    TRY(plan_with(p, enough, err));
    if (l->device->bytes > l->room)
        return too_large(p, whole, err);
    while (enough - too_few > 1) {
        const int here = (enough + too_few) / 2;
        TRY(plan_with(p, here, err));
        *(l->device->bytes <= with_margin(l->room) ? &enough : &too_few) = here;
    }
    return l->here == enough ? 0 : plan_with(p, enough, err);
}

static int choose_parts(const struct planning *p, struct err *err)
{
    struct loaded *l = p->l;
    const struct config *c = &l->model.config;
    const bool parted = l->device && (l->device_layers > 0 || l->cpu_experts);
    if (parted && l->device->n_part > 1)
        return ERR(err, UNSUPPORTED, "%s: several devices share the whole model, none of it runs on the CPU; expected one device", l->device->name);
    if (parted && (l->device_layers > c->n_layer || l->cpu_experts > c->n_layer))
        return ERR(err, RANGE, "%d layers asked for, but the model has %d", l->device_layers > c->n_layer ? l->device_layers : l->cpu_experts, c->n_layer);
    if (parted && l->cpu_experts && !c->n_expert)
        return ERR(err, USAGE, "the experts of %d layers are to run on the CPU, but the model has no experts", l->cpu_experts);
    p->o->here_experts = l->device ? l->cpu_experts : 0;
    TRY(plan_with(p, l->device && l->device_layers > 0 ? c->n_layer - l->device_layers : 0, err));
    if (!l->device || l->device->n_part > 1)
        return 0;
    TRY(l->device->room(l->device, &l->room, err));
    return l->device_layers == ENGINE_LAYERS_FIT ? fit_layers(p, err) : 0;
}

int loaded_plan(struct loaded *l, const struct decoder_opts *d, int T, int S, int n_thread, struct err *err)
{
    struct decoder_opts o = *d;
    o.adapter = (const struct adapter *const *)l->adapter, o.n_adapter = l->n_adapter, o.floats = l->device != NULL;
    if (l->device && l->device->n_part > 1)
        o.division = between(l, l->device->n_part);
    return choose_parts(&(struct planning){ l, &o, T, S, n_thread }, err);
}

void loaded_tell(const struct loaded *l, const char *path)
{
    const struct graph_plan *p = &l->d.g->plan;
    const int n = l->model.config.n_layer;
    char there[32], room[32], weights[32], cache[32], all[32], text[400];
    if (!l->device || (!l->here && !l->here_experts))
        return;
    int at = snprintf(text, sizeof text, "%d of %d layers on %s (%s of %s), %d on the CPU", n - l->here, n, l->device->name, fmt_bytes(there, (double)l->device->bytes), fmt_bytes(room, (double)l->room), l->here);
    if (l->here_experts)
        at += snprintf(text + at, sizeof text - (size_t)at, ", where the experts of the first %d are", l->here_experts);
    snprintf(text + at, sizeof text - (size_t)at, " (%s of weights, %s of keys and values)", fmt_bytes(weights, (double)p->here[TENSOR_PACKED]), fmt_bytes(cache, (double)p->here[TENSOR_CACHE]));
    if (l->device_layers == ENGINE_LAYERS_FIT && l->here)
        log_warn("%s does not fit on %s whole: %s; keys and values of %d positions (--ctx) are %s in all", path, l->device->name, text, l->ctx,
                 fmt_bytes(all, (double)(p->bytes[TENSOR_CACHE] + p->here[TENSOR_CACHE])));
    else
        log_info("%s: %s", path, text);
}

int loaded_fill(struct loaded *l, const char *path, struct pool *pool, struct err *err)
{
    const size_t need = l->d.g->plan.total, free_bytes = mem_available();
    if (need > free_bytes)
        return ERR(err, NOMEM, "%s needs %zu MB of memory for %d positions, %zu MB are free", path, need >> 20, l->ctx, free_bytes >> 20);
    TRY(decoder_bind(&l->d, pool, NULL, err));
    decoder_fill_adapters(&l->d, (const struct adapter *const *)l->adapter);
    drop_adapters(l);
    TRY(weights_fill(&l->d, l->model.list, l->types, l->model.source, pool, err));
    if (l->device)
        TRY(l->device->fill(l->device, l->d.g, err));
    source_rest(l->model.source);            /* the panels are copies; of the file only rows of the embedding are looked at now */
    return 0;
}

int loaded_leave_device(struct loaded *l, const char *path, const struct decoder_opts *d, int T, int S, struct err *err)
{
    const struct graph *g = l->d.g;
    struct pool *pool = g->pool;
    void (*const watch)(void *, const struct graph *, const struct node *, const struct step *) = g->watch;
    void *const watch_ctx = g->watch_ctx;
    decoder_release(&l->d);
    l->device->free(l->device);
    l->device = NULL;
    TRY(loaded_plan(l, d, T, S, pool_n_thread(pool), err));
    l->d.g->watch = watch, l->d.g->watch_ctx = watch_ctx;
    return loaded_fill(l, path, pool, err);
}

int loaded_encode(const struct config *c, const struct tok *t, const char *text, size_t n, unsigned flags, struct tok_ids *ids, struct err *err)
{
    const int eot = c->family == FAMILY_LATHE_GPT ? tok_eot(t) : -1;
    size_t n_eot;
    const char *bytes = (flags & TOK_ADD) && eot >= 0 ? tok_bytes(t, eot, &n_eot) : NULL;
    if (bytes)
        TRY(tok_encode(t, bytes, n_eot, TOK_SPECIALS, ids, err));
    return tok_encode(t, text, n, flags, ids, err);
}

void loaded_release(struct loaded *l)
{
    drop_adapters(l);
    decoder_release(&l->d);
    if (l->device)
        l->device->free(l->device);
    mem_free(l->types);
    model_release(&l->model);
    tok_free(l->tok);
    *l = (struct loaded){ 0 };
}
