#include "audit/facts.h"
#include <string.h>
#include "base/mem.h"

struct facts_thread { struct record_place place; };

struct facts { int n_thread; struct facts_thread thread[]; };

int facts_new(struct facts **out, int n_thread, struct err *err)
{
    struct facts *f = *out = mem_alloc_zero(sizeof *f + (size_t)n_thread * sizeof *f->thread);
    if (!f)
        return ERR(err, NOMEM, "no memory for an audit by %d threads", n_thread);
    f->n_thread = n_thread;
    return 0;
}

void facts_free(struct facts *f) { mem_free(f); }

static struct record_place place_of(int file, const struct pass_record *r)
{
    struct record_place p = { .at = r->at, .line = r->line, .number = r->number, .n_raw = r->raw_bytes, .n_text = r->n, .file = (uint32_t)file, .fault = r->fault };
    if (r->text)
        sha256_bytes(r->text, r->n, p.sha256);
    return p;
}

#define PUT(name, data, count) (out->of[SECTION_##name].p = (data), out->of[SECTION_##name].n = (count))

int facts_row(struct facts *f, int file, const struct pass_record *r, int i_thread, struct row *out, struct err *err)
{
    struct facts_thread *t = &f->thread[i_thread];
    (void)err;
    *out = (struct row){ 0 };
    t->place = place_of(file, r);
    PUT(place, &t->place, 1);
    if (r->fault) {
        PUT(why, r->why, strlen(r->why));
        return 0;
    }
    PUT(label, r->x->mark[MARK_LABEL].p, r->x->mark[MARK_LABEL].n);
    PUT(group, r->x->mark[MARK_GROUP].p, r->x->mark[MARK_GROUP].n);
    PUT(time, r->x->mark[MARK_TIME].p, r->x->mark[MARK_TIME].n);
    return 0;
}
