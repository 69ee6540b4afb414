#include "serve/fit.h"
#include <stdint.h>
#include <stdio.h>
#include "base/log.h"
#include "nn/device.h"
#include "serve/served_model.h"

#define STEP 512
#define STEP_LEAST 16
#define RESERVE ((size_t)64 << 20)
#define FIT_PARTED 4              /* texts of FIT_LEAST tokens that a parted model is to have room for */

static int64_t pages_for(int64_t n) { return (n + KV_TOKENS - 1) / KV_TOKENS; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most_of(int64_t a, int64_t b) { return a > b ? a : b; }

/* What everything but pages takes, and a page; the same of the host's memory where layers of a device's model run here. */
struct price { size_t base, page, base_here, page_here; int n_layer; };

static void from_two(size_t few, size_t more, size_t *base, size_t *page)
{
    *page = more > few ? (more - few + 63) / 64 : 1;
    *base = few > 64 * *page ? few - 64 * *page : 0;
}

/* The size of a page is known when the model is: it is asked of plans with few. */
static int price_of(struct price *out, const struct served_model_opts *o, const struct engine_opts *e, struct err *err)
{
    struct engine_opts few = *e, more = *e;
    struct engine_sizes a, b = { 0 };
    struct buf dropped;
    buf_init(&dropped);
    few.warnings = more.warnings = &dropped;
    few.n_page = 64, more.n_page = 128;
    int rc = engine_plan_sizes(&a, o->path, &few, o->n_thread, err);
    rc = rc ? rc : engine_plan_sizes(&b, o->path, &more, o->n_thread, err);
    buf_release(&dropped);
    TRY(rc);
    *out = (struct price){ .n_layer = a.n_layer };
    from_two(e->device ? a.device : a.total, e->device ? b.device : b.total, &out->base, &out->page);
    if (e->device && b.total > a.total)
        from_two(a.total, b.total, &out->base_here, &out->page_here);
    else if (e->device)                          /* pages are all there; experts may be here */
        out->base_here = a.total;
    return 0;
}

int fit_cache(const struct served_model_opts *o, struct engine_opts *e, struct err *err)
{
    struct price p;
    struct engine_opts whole = *e;               /* a page is of all layers, wherever they are */
    whole.device_layers = 0;
    TRY(price_of(&p, o, &whole, err));
    int64_t n = o->cache_bytes ? (int64_t)(o->cache_bytes / p.page) : 16 * pages_for(1024);
    if (!o->cache_bytes && o->ctx > n * KV_TOKENS)
        n = pages_for(o->ctx);
    if (n < 2 || n > INT32_MAX / 64)
        return ERR(err, USAGE, "a cache of %zu bytes has room for %lld pages of 64 tokens, each of %zu bytes; expected 2 to %d", o->cache_bytes, (long long)n, p.page, INT32_MAX / 64);
    e->n_page = (int)n;
    return 0;
}

size_t fit_budget(size_t free_bytes)
{
    const size_t reserve = free_bytes / 10 > RESERVE ? free_bytes / 10 : RESERVE;
    return free_bytes > reserve ? free_bytes - reserve : 0;
}

/* Pages that fit beside the rest; < 0: not even that fits. */
static int64_t room_of(const struct price *p, size_t budget) { return p->base <= budget ? (int64_t)((budget - p->base) / p->page) : -1; }

/* Here, where layers of a device's model are. */
static int64_t room_here(const struct served_model_opts *o, const struct price *p)
{
    return p->base_here > o->share ? -1 : p->page_here ? (int64_t)((o->share - p->base_here) / p->page_here) : INT64_MAX;
}

/* As many layers on the device as leave room for `wanted` pages, one at least. */
static int fit_layers(const struct served_model_opts *o, size_t budget, int64_t wanted, struct engine_opts *e, struct price *p, struct err *err)
{
    int few = 1, many = p->n_layer;
    while (many - few > 1) {
        e->device_layers = (few + many) / 2;
        TRY(price_of(p, o, e, err));
        *(room_of(p, budget) >= wanted ? &few : &many) = e->device_layers;
    }
    e->device_layers = few;
    return price_of(p, o, e, err);
}

/* Smaller steps, while the pages do not fit beside them. */
static int fit_step(const struct served_model_opts *o, size_t budget, int64_t wanted, struct engine_opts *e, struct price *p, struct err *err)
{
    while (!o->step_tokens && e->step_tokens > STEP_LEAST && room_of(p, budget) < wanted) {
        e->step_tokens /= 2;
        TRY(price_of(p, o, e, err));
    }
    return 0;
}

static int too_small(const struct served_model_opts *o, const struct price *p, const struct engine_opts *e, size_t budget, int64_t n_page, struct err *err)
{
    char base[32], pages[32], page[32], have[32];
    if (p->base_here && n_page <= room_of(p, budget))
        return ERR(err, NOMEM, "%s does not fit: beside %d layers on %s the rest and a step of %d tokens of %d texts take %s here, and %lld pages of 64 tokens %s, but %s may be used", o->path, e->device_layers > 0 ? e->device_layers : p->n_layer,
                   e->device->name, e->step_tokens, e->n_slot, fmt_bytes(base, (double)p->base_here), (long long)n_page, fmt_bytes(pages, (double)n_page * (double)p->page_here), fmt_bytes(have, (double)o->share));
    return ERR(err, NOMEM, "%s does not fit%s%s: the weights and a step of %d tokens of %d texts take %s, and %lld pages of 64 tokens %s (%s each), but %s may be used", o->path, e->device ? " on " : "", e->device ? e->device->name : "", e->step_tokens, e->n_slot,
               fmt_bytes(base, (double)p->base), (long long)n_page, fmt_bytes(pages, (double)n_page * (double)p->page), fmt_bytes(page, (double)p->page), fmt_bytes(have, (double)budget));
}

static int tell(const struct served_model_opts *o, const struct price *p, const struct engine_opts *e, size_t budget, int ctx_model, int64_t n_all, struct buf *why, struct err *err)
{
    char have[32], base[32], pages[32], page[32], experts[40] = "";
    const int ctx = o->ctx ? o->ctx : ctx_model;
    if (e->cpu_experts)
        snprintf(experts, sizeof experts, " and the experts of %d", e->cpu_experts);
    if (e->device && (e->device_layers > 0 || e->cpu_experts))
        TRY(buf_printf(why, err, "%d of %d layers on %s%s, the others%s here, with %s for weights and steps and %s a page; ", e->device_layers > 0 ? e->device_layers : p->n_layer, p->n_layer, e->device->name,
                       o->device_layers > 0 ? " (as asked)" : " (what fits)", experts, fmt_bytes(base, (double)p->base_here), fmt_bytes(page, (double)p->page_here)));
    TRY(buf_printf(why, err, "of %s%s%s, weights and steps of %d tokens%s take %s; ", fmt_bytes(have, (double)budget), e->device ? " of " : "", e->device ? e->device->name : "", e->step_tokens, o->step_tokens ? " (as asked)" : e->step_tokens < STEP ? " (smaller, to leave room)" : "",
                   fmt_bytes(base, (double)p->base)));
    TRY(buf_printf(why, err, "%d pages of %s%s %s; ", e->n_page, fmt_bytes(page, (double)p->page), o->cache_bytes ? " (as asked)" : e->n_page < n_all ? " (what is left)" : " (all that the texts can have)",
                   fmt_bytes(pages, (double)e->n_page * (double)p->page)));
    return buf_printf(why, err, "%d positions a text%s, %d text%s at once%s", e->ctx, o->ctx ? " (as asked)" : e->ctx < ctx ? " (what the pages hold)" : " (the model's)", e->n_slot, e->n_slot > 1 ? "s" : "",
                      o->n_text ? " (as asked)" : e->n_slot == FIT_TEXTS ? " (no more are of use)" : " (1,024 tokens for each)");
}

int fit_all(const struct served_model_opts *o, int ctx_model, struct engine_opts *e, struct buf *why, struct err *err)
{
    struct price p;
    size_t budget = o->share;
    if (e->device) {
        TRY(e->device->room(e->device, &budget, err));
        budget = fit_budget(budget) / (size_t)(o->n_device > 1 ? o->n_device : 1);
    }
    const int ctx = o->ctx ? o->ctx : ctx_model;
    const int64_t whole = pages_for(ctx), need = o->ctx ? whole : 1;
    e->ctx = o->ctx, e->n_slot = o->n_text ? o->n_text : FIT_TEXTS;
    const int64_t n_all = least(whole * e->n_slot, INT32_MAX / 64);
    const bool fits = e->device && e->device_layers == ENGINE_LAYERS_FIT;
    if (fits)
        e->device_layers = 0;
    const int step = e->step_tokens = o->step_tokens ? o->step_tokens : STEP;
    TRY(price_of(&p, o, e, err));
    const int64_t some = least(whole, pages_for(FIT_LEAST));
    TRY(fit_step(o, budget, some, e, &p, err));
    const int64_t asked = o->cache_bytes ? (int64_t)(o->cache_bytes / (p.page + p.page_here)) : most_of(need, some), several = o->cache_bytes ? asked : most_of(asked, least(FIT_PARTED * some, n_all));
    if (fits && e->device->n_part == 1 && room_of(&p, budget) < most_of(asked, 2) && p.n_layer > 1) {
        e->step_tokens = step;                   /* smaller ones were of no use, and read what is here once each */
        TRY(fit_layers(o, budget, most_of(several, 2), e, &p, err));
        TRY(fit_step(o, budget, some, e, &p, err));
    }
    const int64_t most = least(room_of(&p, budget), room_here(o, &p)), n = o->cache_bytes ? (int64_t)(o->cache_bytes / (p.page + p.page_here)) : least(most, n_all > 2 ? n_all : 2);
    if (n > most || n < 2 || n < need || n > INT32_MAX / 64)
        return too_small(o, &p, e, budget, o->cache_bytes ? n : need > 2 ? need : 2, err);
    e->n_page = (int)n;
    e->ctx = (int)least(ctx, n * KV_TOKENS);
    if (!o->n_text)
        e->n_slot = (int)(n * KV_TOKENS / 1024 < 1 ? 1 : least(n * KV_TOKENS / 1024, FIT_TEXTS));
    return tell(o, &p, e, budget, ctx_model, n_all, why, err);
}
