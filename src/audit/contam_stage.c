/* contam_stage.c - what evaluation sets the data hold: from the hits and marks of each record, in their order. */
#include <math.h>
#include <string.h>
#include "audit/stage.h"
#include "base/mem.h"

#define EXAMPLES 5

struct set_found { int64_t n_record, last; json_t *examples; };

struct counting { struct audit *a; const struct contam *c; struct contam_tally *t; struct set_found *set; };

static double rounded(double x) { return round(x * 1e6) / 1e6; }

static int add_example(struct counting *x, struct set_found *s, int64_t record, const struct contam_hit *h, struct err *err)
{
    json_t *o = json_pack("{s:I, s:s, s:f}", "item", (json_int_t)contam_refs(x->c)->item[h->item].line, "method", contam_method_name((enum contam_method)h->method), "score",
                          rounded((double)h->score));
    if (!o || json_array_append_new(s->examples, o))
        return ERR(err, NOMEM, "no memory for an example");
    return audit_example(x->a, o, record, h->at, h->n, err);
}

/* An example of a record is the hit of the highest score, of equal ones the first. */
static int add_record(struct counting *x, const struct segment *g, int i, struct err *err)
{
    struct contam_found f = { 0 };
    const struct refs *r = contam_refs(x->c);
    const int64_t record = g->first + i;
    f.hit = SEGMENT_ROW(g, contam_hit, struct contam_hit, i, &f.n_hit);
    f.mark = SEGMENT_ROW(g, contam_mark, struct contam_mark, i, &f.n_mark);
    contam_tally_add(x->t, &f);
    if (f.n_hit)
        audit_drop(x->a, record, DROP_contaminated);
    for (size_t k = 0; k < f.n_hit; k++) {
        struct set_found *s = &x->set[r->item[f.hit[k].item].set];
        if (s->last == record + 1)
            continue;
        size_t best = k;
        for (size_t j = k; j < f.n_hit; j++)
            if (r->item[f.hit[j].item].set == r->item[f.hit[k].item].set && f.hit[j].score > f.hit[best].score)
                best = j;
        s->last = record + 1;
        if (s->n_record++ < EXAMPLES)
            TRY(add_example(x, s, record, &f.hit[best], err));
    }
    return 0;
}

static json_t *methods_of(const struct counting *x, int set)
{
    json_t *methods = json_object();
    for (int m = 0; m < N_CONTAM_METHOD; m++) {
        const struct contam_set s = contam_tally_set(x->t, set, (enum contam_method)m);
        if (contam_options(x->c)->methods >> m & 1)
            json_object_set_new(methods, contam_method_name((enum contam_method)m), json_pack("{s:I, s:I, s:I}", "items", (json_int_t)s.n_dirty, "records", (json_int_t)s.n_record, "short", (json_int_t)s.n_short));
    }
    return methods;
}

static const char *file_of(const struct refs *r, int set)
{
    for (int64_t i = 0; i < r->n_item; i++)
        if (r->item[i].set == set)
            return r->file[r->item[i].file];
    return "";
}

static int64_t items_hit(const struct counting *x, int set)
{
    const struct refs *r = contam_refs(x->c);
    int64_t n = 0;
    for (int64_t i = 0; i < r->n_item; i++) {
        bool dirty = false;
        for (int m = 0; m < N_CONTAM_METHOD && r->item[i].set == set; m++)
            dirty = dirty || contam_tally_item(x->t, i, (enum contam_method)m).dirty;
        n += dirty;
    }
    return n;
}

static int report_sets(struct counting *x, struct err *err)
{
    const struct refs *r = contam_refs(x->c);
    json_t *list = json_array();
    for (int i = 0; i < r->n_set; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:O}", "set", r->set[i].name, "path", file_of(r, i), "items", (json_int_t)r->set[i].n_item,
                                              "items_hit", (json_int_t)items_hit(x, i), "items_same", (json_int_t)r->set[i].n_same, "items_without_question", (json_int_t)r->set[i].n_without,
                                              "records", (json_int_t)x->set[i].n_record, "methods", methods_of(x, i), "examples", x->set[i].examples));
    return audit_report(x->a, "contamination", list, err);
}

static int count(struct counting *x, struct err *err)
{
    for (int i = 0; i < x->a->store.n_segment; i++) {
        struct segment g;
        TRY(store_segment(&x->a->store, i, &g, err));
        int rc = 0;
        for (int k = 0; !rc && k < g.n; k++)
            rc = add_record(x, &g, k, err);
        segment_release(&g);
        TRY(rc);
    }
    return report_sets(x, err);
}

static int write_items(const struct counting *x, struct err *err)
{
    char *path = file_join(x->a->o->dir, "contamination.jsonl");
    const int rc = path ? contam_write_items(x->t, path, err) : ERR(err, NOMEM, "no memory for a path");
    mem_free(path);
    return rc;
}

int stage_contam(struct audit *a, struct err *err)
{
    struct counting x = { .a = a, .c = a->o->contam };
    if (!x.c)
        return 0;
    const int n = contam_refs(x.c)->n_set;
    x.set = mem_alloc_array((size_t)n, sizeof *x.set);
    int rc = x.set ? contam_tally_new(&x.t, x.c, err) : ERR(err, NOMEM, "no memory for %d evaluation sets", n);
    for (int i = 0; i < n && !rc; i++)
        if (!(x.set[i].examples = json_array()))
            rc = ERR(err, NOMEM, "no memory for examples");
    rc = rc ? rc : count(&x, err);
    rc = rc ? rc : write_items(&x, err);
    for (int i = 0; x.set && i < n; i++)
        json_decref(x.set[i].examples);
    contam_tally_free(x.t);
    mem_free(x.set);
    return rc;
}
