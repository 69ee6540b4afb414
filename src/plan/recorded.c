#include "plan/recorded.h"
#include <limits.h>
#include "base/mem.h"
#include "plan/workload.h"

struct reading { struct recorded *out; int cap; int64_t first; };

static int add(void *ctx, const struct event *ev, struct err *err)
{
    struct reading *r = ctx;
    struct recorded *o = r->out;
    if (ev->prompt_tokens < 1 || ev->answer_tokens < 1 || ev->prompt_tokens > LENGTH_MOST || ev->answer_tokens > LENGTH_MOST) {
        o->left_out++;
        return 0;
    }
    if (o->n == r->cap) {
        const int cap = r->cap > INT_MAX / 2 ? INT_MAX : r->cap ? 2 * r->cap : 1024;
        struct trace_row *more = o->n < cap ? mem_realloc_array(o->rows, (size_t)cap, sizeof *more) : NULL;
        if (!more)
            return ERR(err, NOMEM, "no memory for %d requests", o->n);
        o->rows = more, r->cap = cap;
    }
    r->first = o->n ? r->first : ev->t;
    o->rows[o->n++] = (struct trace_row){ (double)(ev->t - r->first) / 1e9, (int)ev->prompt_tokens, (int)ev->answer_tokens };
    o->prompt += ev->prompt_tokens, o->kept += ev->cached_tokens > 0 ? ev->cached_tokens : 0;
    return 0;
}

int recorded_read(struct recorded *out, struct events *e, const struct events_where *w, struct err *err)
{
    struct reading r = { .out = out };
    *out = (struct recorded){ 0 };
    int rc = events_read(e, w, add, &r, err);
    if (rc >= 0 && !out->n)
        rc = ERR(err, NOTFOUND, "%s has no answers whose tokens are known%s", events_name(e), out->left_out ? ", but others" : "");
    if (rc < 0) {
        mem_free(out->rows);
        *out = (struct recorded){ 0 };
        return rc;
    }
    trace_sort(out->rows, out->n);
    return 0;
}
