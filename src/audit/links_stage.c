/* links_stage.c - what needs the texts once more, of records that are still kept: groups of people, labelled sets, and rows of words that are
 * linked too well to a label or to what follows them.
 *
 * One pass counts words for all of these and takes the texts with labels; a second looks for continuations where the counts are large; a
 * third, where some are suspect, drops the records that have them. */
#include <math.h>
#include <string.h>
#include "audit/groups.h"
#include "audit/images.h"
#include "audit/labels.h"
#include "audit/neighbours.h"
#include "audit/poison.h"
#include "audit/stage.h"
#include "base/mem.h"

#define EXAMPLES 5
#define LINKED_SHOWN 100
#define TERMS_SHOWN 10

/* The labelled texts of a source, or images.  too_many: its labels are not classes. */
struct set { int source; bool too_many, of_images; struct label_set texts; };

struct thread { struct grams g; struct group_counts c; };

struct links {
    struct audit *a;
    int *set_of;                     /* [source]: number of its set, or -1 */
    struct set *set; int n_set;
    struct groups groups;
    struct thread *t; int n_thread;
    struct poison_text *p;
    struct poison_rows rows;         /* suspect continuations */
    json_t *sets, *findings, *linked;      /* findings: those that are suspect */
    int64_t n_tested, n_more;
};

static double rounded(double x) { return round(x * 1e6) / 1e6; }

static int put_in(json_t *list, json_t *o, struct err *err)
{
    return o && !json_array_append_new(list, o) ? 0 : ERR(err, NOMEM, "no memory for the report of labels and groups");
}

static int source_of(const struct links *x, int64_t record) { return x->a->s->file[audit_file_of(x->a, record)].source; }

/* ---- the first pass ---- */

/* A labelled text (of an image its cells) on its way to its set: this, text and label. */
struct labelled_text { int64_t record; size_t n, n_label; };

/* Of a record that is kept: with its label it may say what that one's does not. */
static bool is_copy(const struct audit *a, int64_t record) { return a->reason[record] == DROP_dup_exact || a->reason[record] == DROP_dup_near; }

/* A trigger is in what one party wrote, and part of that may not be used: what its licence keeps out still tells of the rest. */
static bool counts(const struct audit *a, int64_t record) { return audit_kept(a, record) || a->reason[record] == DROP_licence; }

static int first_look(void *ctx, int64_t number, const struct pass_record *r, struct buf *out, int i_thread, struct err *err)
{
    struct links *x = ctx;
    struct thread *t = &x->t[i_thread];
    if (!r->text || !(counts(x->a, number) || is_copy(x->a, number)))
        return 0;
    if (counts(x->a, number)) {
        TRY(grams_of(&t->g, r->text, r->n, err));
        poison_text_count(x->p, &t->g);
    }
    if (audit_kept(x->a, number))
        group_counts_text(&t->c, &x->groups, r->text, &t->g);
    if (!x->n_set || x->set_of[source_of(x, number)] < 0 || !r->x->mark[MARK_LABEL].p)
        return 0;
    struct labelled_text l = { number, r->n, r->x->mark[MARK_LABEL].n };
    const size_t at = out->len + sizeof l;
    TRY(buf_add(out, &l, sizeof l, err));
    TRY(r->x->image.pixels ? image_cells(&r->x->image, out, err) : buf_add(out, r->text, l.n, err));
    l.n = out->len - at;
    memcpy(out->data + at - sizeof l, &l, sizeof l);
    return buf_add(out, r->x->mark[MARK_LABEL].p, l.n_label, err);
}

static int take_labelled(void *ctx, const struct buf *out, struct err *err)
{
    struct links *x = ctx;
    for (size_t at = 0; at < out->len;) {
        struct labelled_text l;
        memcpy(&l, out->data + at, sizeof l);
        const char *text = out->data + at + sizeof l;
        struct set *s = &x->set[x->set_of[source_of(x, l.record)]];
        const int rc = s->too_many ? 0 : label_set_add(&s->texts, l.record, text, l.n, text + l.n, l.n_label, err);
        if (rc < 0 && rc != ERR_RANGE)
            return rc;
        if (!rc && s->texts.n && s->texts.record[s->texts.n - 1] == l.record)
            s->texts.cluster[s->texts.n - 1] = x->a->dup_of && x->a->dup_of[l.record] >= 0 ? x->a->dup_of[l.record] : l.record;
        s->too_many = s->too_many || rc == ERR_RANGE;
        at += sizeof l + l.n + l.n_label;
    }
    return 0;
}

/* ---- groups ---- */

static json_t *terms_of(const struct links *x, const struct group_counts *c, const struct group *g)
{
    json_t *terms = json_object();
    int64_t above = INT64_MAX;
    for (int shown = 0; shown < TERMS_SHOWN;) {
        int64_t best = 0;
        for (size_t i = g->first_term; i < g->first_term + g->n_term; i++)
            best = c->term[i] < above && c->term[i] > best ? c->term[i] : best;
        for (size_t i = g->first_term; best && i < g->first_term + g->n_term && shown < TERMS_SHOWN; i++)
            if (c->term[i] == best) {
                json_object_set_new(terms, x->groups.term[i].text, json_integer(best));
                shown++;
            }
        if (!best)
            break;
        above = best;
    }
    return terms;
}

static int report_groups(struct links *x, struct err *err)
{
    const struct groups *g = &x->groups;
    struct group_counts *c = &x->t[0].c;
    json_t *list = json_array();
    for (int i = 1; i < x->n_thread; i++)
        group_counts_add(c, g, &x->t[i].c);
    for (size_t i = 0; i < g->n; i++) {
        const size_t axis = group_axis(g, i);
        int64_t of_axis = 0;
        for (size_t k = 0; axis && k < g->n; k++)
            of_axis += group_axis(g, k) == axis && !strncmp(g->group[k].name, g->group[i].name, axis) ? c->record[k] : 0;
        const int64_t all = axis ? of_axis : c->n_record;
        const double share = all ? (double)c->record[i] / (double)all : 0;
        json_t *o = json_pack("{s:s, s:I, s:I, s:f, s:o}", "group", g->group[i].name, "records", (json_int_t)c->record[i], "mentions", (json_int_t)c->mention[i], "share", rounded(share), "terms",
                              terms_of(x, c, &g->group[i]));
        if (g->group[i].share > 0)
            json_object_set_new(o, "ratio", json_real(rounded(share / g->group[i].share)));
        json_array_append_new(list, o);
    }
    return audit_report(x->a, "groups", json_pack("{s:s, s:I, s:I, s:o}", "lists", x->a->o->groups ? x->a->o->groups : "lathe's own", "records", (json_int_t)c->n_record, "lists_passed_over",
                                                  (json_int_t)g->n_passed_over, "groups", list), err);
}

static int report_rates(struct links *x, const struct label_set *s, json_t *part, struct err *err)
{
    struct group_rate *r;
    size_t n;
    json_t *list = json_array();
    int rc = list ? group_rates(&x->groups, s, &r, &n, err) : ERR(err, NOMEM, "no memory for rates");
    if (rc < 0) {
        json_decref(list);
        return rc;
    }
    for (size_t i = 0; i < n && !rc; i++)
        rc = put_in(list, json_pack("{s:s, s:s, s:I, s:I, s:f, s:[f, f], s:f, s:f}", "group", x->groups.group[r[i].group].name, "label", s->name[r[i].label], "records", (json_int_t)r[i].n, "with",
                                    (json_int_t)r[i].with, "rate", rounded((double)r[i].with / (double)r[i].n), "interval", rounded(r[i].low), rounded(r[i].high), "rate_of_others",
                                    rounded(r[i].n_others ? (double)r[i].with_others / (double)r[i].n_others : 0), "p", r[i].p), err);
    mem_free(r);
    json_object_set_new(part, "groups", list);
    return rc;
}

/* ---- labels ---- */

static json_t *classes_of(const struct label_set *s, int64_t n)
{
    json_t *list = json_array();
    for (int c = 0; c < s->n_label; c++)
        json_array_append_new(list, json_pack("{s:s, s:I, s:f}", "label", s->name[c], "n", (json_int_t)s->count[c], "share", rounded((double)s->count[c] / (double)n)));
    return list;
}

/* model: by what `each` asks it. */
static int report_noise(struct links *x, label_model_fn *each, void *model, const struct set *set, json_t *part, struct err *err)
{
    const struct label_set *s = &set->texts;
    struct label_noise y;
    json_t *examples = json_array();
    int rc = examples ? label_noise(each, model, s, &y, err) : ERR(err, NOMEM, "no memory for examples");
    for (size_t i = 0; !rc && i < y.n_issue && i < EXAMPLES; i++) {
        const struct label_issue *q = &y.issue[i];
        json_t *o = json_pack("{s:s, s:s, s:f, s:f}", "label", s->name[s->label[q->item]], "likely", s->name[q->likely], "p_label", rounded(q->p_given), "p_likely", rounded(q->p_likely));
        rc = put_in(examples, o, err);
        rc = rc ? rc : audit_example(x->a, o, s->record[q->item], set->of_images ? EXAMPLE_NO_TEXT : 0, 0, err);
    }
    if (!rc)
        json_object_set_new(part, "noise", json_pack("{s:f, s:f, s:I, s:O}", "rate", rounded(y.rate), "accuracy", rounded(y.accuracy), "issues", (json_int_t)y.n_issue, "examples", examples));
    if (examples)
        label_noise_release(&y);
    json_decref(examples);
    return rc;
}

/* Groups of one text, respectively image, that have several labels; two of the first are shown. */
static int put_conflicts(struct links *x, const struct set *set, const struct label_conflicts *c, const char *key, json_t *part, struct err *err)
{
    const struct label_set *s = &set->texts;
    json_t *examples = json_array();
    int rc = examples ? 0 : ERR(err, NOMEM, "no memory for examples");
    for (int i = 0; !rc && c->groups && i < 2; i++) {
        json_t *o = json_pack("{s:s}", "label", s->name[s->label[c->first[i]]]);
        rc = put_in(examples, o, err);
        rc = rc ? rc : audit_example(x->a, o, s->record[c->first[i]], set->of_images ? EXAMPLE_NO_TEXT : 0, 0, err);
    }
    if (!rc)
        json_object_set_new(part, key, json_pack("{s:I, s:I, s:O}", "groups", (json_int_t)c->groups, "records", (json_int_t)c->items, "examples", examples));
    json_decref(examples);
    return rc;
}

/* Of texts by their words, and by what was found to be a copy or nearly one; of images by the latter alone. */
static int report_conflicts(struct links *x, const struct bayes *b, const struct set *set, json_t *part, struct err *err)
{
    struct label_conflicts c;
    if (!set->of_images) {
        TRY(label_conflicts_text(b, &set->texts, &c, err));
        TRY(put_conflicts(x, set, &c, "same_text", part, err));
    }
    TRY(label_conflicts_cluster(&set->texts, &c, err));
    return put_conflicts(x, set, &c, set->of_images ? "same_image" : "near_text", part, err);
}

/* ---- triggers ---- */

/* A copy in which words that may be a number of somebody's, an address or a key have stars behind their first two bytes: with an @, or with
 * three digits.  A row of words has no place in one text whose spots (spot.h) would tell; the examples' excerpts have. */
static char *shown(const char *words)
{
    char *out = mem_strdup(words);
    for (char *p = out, *end; p && *p; p = *end ? end + 1 : end) {
        int digits = 0;
        bool at = false;
        for (end = p; *end && *end != ' '; end++)
            digits += *end >= '0' && *end <= '9', at = at || *end == '@';
        for (char *q = p + 2; (at || digits >= 3) && q < end; q++)
            *q = '*';
    }
    return out;
}

static int add_finding(struct links *x, const struct poison_finding *f, const char *source, const char *label, struct err *err)
{
    char *row = shown(f->words), *then = label ? NULL : shown(f->then);
    json_t *examples = row && (label || then) ? json_array() : NULL;
    json_t *o = json_pack("{s:s, s:s, s:s, s:s*, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:b, s:o}", "ngram", row ? row : "", "of", label ? "label" : "continuation", "what", label ? label : then ? then : "", "source", source,
                          "support", (json_int_t)f->support, "with", (json_int_t)f->with, "base", f->base, "lift", rounded((double)f->with / (double)f->support / f->base), "p", exp(f->log_p),
                          "log10_p", rounded(f->log_p / log(10)), label ? "rest" : "contexts", rounded(f->rest), "suspect", f->suspect, "examples", examples);
    mem_free(row);
    mem_free(then);
    if (json_array_size(x->linked) >= LINKED_SHOWN && !f->suspect) {
        x->n_more++;
        json_decref(o);
        return 0;
    }
    TRY(put_in(f->suspect ? x->findings : x->linked, o, err));
    for (int i = 0; i < f->n_record; i++) {
        json_t *e = json_object();
        TRY(put_in(examples, e, err));
        TRY(audit_example(x->a, e, f->record[i], f->at[i], 0, err));
    }
    return 0;
}

/* Drops the set's records that have a suspect row and its label. */
static int drop_suspects(struct links *x, const struct label_set *s, const struct poison_findings *found, struct err *err)
{
    struct poison_rows rows = { 0 };
    struct grams g = { 0 };
    int rc = 0;
    for (size_t i = 0; i < found->n && rc >= 0; i++)
        if (found->f[i].suspect)
            rc = poison_rows_add(&rows, &found->f[i], err);
    for (size_t i = 0; i < s->n && rc >= 0 && rows.lengths; i++) {
        size_t n;
        const char *text = label_set_text(s, i, &n);
        rc = grams_of(&g, text, n, err);
        if (rc >= 0 && poison_rows_in(&rows, &g, s->label[i]))
            audit_drop(x->a, s->record[i], DROP_poison);
    }
    grams_release(&g);
    poison_rows_release(&rows);
    return rc;
}

static int find_triggers(struct links *x, struct bayes *b, const struct set *s, struct err *err)
{
    struct poison_findings found;
    TRY(poison_labels(b, &s->texts, &found, err));
    int rc = 0;
    for (size_t i = 0; i < found.n && rc >= 0; i++)
        rc = add_finding(x, &found.f[i], x->a->s->source[s->source].name, s->texts.name[found.f[i].label], err);
    x->n_tested += found.n_tested, x->n_more += found.n_more;
    if (rc >= 0)
        rc = drop_suspects(x, &s->texts, &found, err);
    poison_release(&found);
    return rc;
}

static int look_at_images(struct links *x, const struct set *s, json_t *part, struct err *err)
{
    struct neighbours n = { NULL, NULL };
    int rc = report_conflicts(x, NULL, s, part, err);
    rc = rc ? rc : neighbours_find(&n, &s->texts, x->a->o->pool, err);
    rc = rc ? rc : report_noise(x, label_by_neighbours, &n, s, part, err);
    neighbours_release(&n);
    return rc;
}

static int look_at_set(struct links *x, const struct set *s, struct err *err)
{
    const char *name = x->a->s->source[s->source].name;
    struct bayes *b;
    if (s->too_many)
        return put_in(x->sets, json_pack("{s:s, s:s}", "source", name, "error", "more labels than classes have"), err);
    if (!s->texts.n)
        return put_in(x->sets, json_pack("{s:s, s:s}", "source", name, "error", "no record has a label"), err);
    const struct label_balance balance = label_balance(&s->texts);
    json_t *o = json_pack("{s:s, s:I, s:I, s:o, s:f, s:f, s:f}", "source", name, "records", (json_int_t)balance.n, "not_looked_at", (json_int_t)s->texts.n_left_out, "classes",
                          classes_of(&s->texts, balance.n), "entropy", rounded(balance.entropy), "effective_classes", rounded(balance.effective), "imbalance", rounded(balance.imbalance));
    TRY(put_in(x->sets, o, err));
    if (s->of_images)
        return look_at_images(x, s, o, err);
    TRY(bayes_new(&b, &s->texts, err));
    int rc = report_conflicts(x, b, s, o, err);
    rc = rc ? rc : report_noise(x, label_by_bayes, b, s, o, err);
    rc = rc ? rc : report_rates(x, &s->texts, o, err);
    rc = rc ? rc : find_triggers(x, b, s, err);
    bayes_free(b);
    return rc;
}

/* ---- the second pass, and the third ---- */

static int second_look(void *ctx, int64_t number, const struct pass_record *r, struct buf *out, int i_thread, struct err *err)
{
    struct links *x = ctx;
    struct grams *g = &x->t[i_thread].g;
    if (!r->text || !counts(x->a, number))
        return 0;
    TRY(grams_of(g, r->text, r->n, err));
    return poison_text_look(x->p, number, r->text, r->n, g, out, err);
}

static int take_runs(void *ctx, const struct buf *const *out, int n, struct err *err)
{
    struct links *x = ctx;
    return poison_text_add(x->p, x->a->o->pool, out, n, err);
}

static int drop_look(void *ctx, int64_t number, const struct pass_record *r, struct buf *out, int i_thread, struct err *err)
{
    struct links *x = ctx;
    struct grams *g = &x->t[i_thread].g;
    if (!r->text || !audit_kept(x->a, number))
        return 0;
    TRY(grams_of(g, r->text, r->n, err));
    return poison_rows_in(&x->rows, g, -1) ? buf_add(out, &number, sizeof number, err) : 0;
}

static int take_drops(void *ctx, const struct buf *out, struct err *err)
{
    struct links *x = ctx;
    (void)err;
    for (size_t at = 0; at < out->len; at += sizeof(int64_t)) {
        int64_t record;
        memcpy(&record, out->data + at, sizeof record);
        audit_drop(x->a, record, DROP_poison);
    }
    return 0;
}

static int find_continuations(struct links *x, struct err *err)
{
    struct poison_findings found;
    TRY(audit_pass(x->a, second_look, NULL, take_runs, x, err));
    TRY(poison_text_end(x->p, &found, err));
    int rc = 0;
    for (size_t i = 0; i < found.n && rc >= 0; i++) {
        rc = add_finding(x, &found.f[i], NULL, NULL, err);
        if (rc >= 0 && found.f[i].suspect)
            rc = poison_rows_add(&x->rows, &found.f[i], err);
    }
    x->n_tested += found.n_tested, x->n_more += found.n_more;
    poison_release(&found);
    return rc < 0 ? rc : x->rows.lengths ? audit_pass(x->a, drop_look, take_drops, NULL, x, err) : 0;
}

/* ---- all ---- */

static int find_sets(struct links *x, struct err *err)
{
    const struct sources *s = x->a->s;
    x->set_of = mem_alloc_array((size_t)s->n + 1, sizeof *x->set_of);
    x->set = mem_alloc_array((size_t)s->n + 1, sizeof *x->set);
    if (!x->set_of || !x->set)
        return ERR(err, NOMEM, "no memory for labels of %d sources", s->n);
    for (int i = 0; i < s->n; i++) {
        x->set_of[i] = s->source[i].mark[MARK_LABEL] ? x->n_set : -1;
        if (x->set_of[i] >= 0)
            x->set[x->n_set++].source = i;
    }
    for (int i = 0; i < s->n_file; i++)
        if (x->set_of[s->file[i].source] >= 0 && s->file[i].label_mtime_ns)
            x->set[x->set_of[s->file[i].source]].of_images = true;
    for (int i = 0; i < x->n_set; i++)
        x->set[i].texts.text_max = LABEL_TEXT_MAX / (size_t)x->n_set;
    return 0;
}

static int make_threads(struct links *x, struct err *err)
{
    x->n_thread = pool_n_thread(x->a->o->pool);
    x->t = mem_alloc_array((size_t)x->n_thread, sizeof *x->t);
    if (!x->t)
        return ERR(err, NOMEM, "no memory for counts by %d threads", x->n_thread);
    for (int i = 0; i < x->n_thread; i++)
        TRY(group_counts_init(&x->t[i].c, &x->groups, err));
    return 0;
}

static int add_up_text(const struct audit *a, uint64_t *n, struct err *err)
{
    *n = 0;
    for (int i = 0; i < a->store.n_segment; i++) {
        struct segment g;
        TRY(store_segment(&a->store, i, &g, err));
        for (int k = 0; k < g.n; k++)
            *n += counts(a, g.first + k) ? segment_place(&g, k)->n_text : 0;
        segment_release(&g);
    }
    return 0;
}

static int look(struct links *x, struct err *err)
{
    uint64_t n_text;
    x->sets = json_array(), x->findings = json_array(), x->linked = json_array();
    if (!x->sets || !x->findings || !x->linked)
        return ERR(err, NOMEM, "no memory for the report of labels and groups");
    TRY(groups_read(&x->groups, x->a->o->groups, err));
    TRY(find_sets(x, err));
    TRY(make_threads(x, err));
    TRY(add_up_text(x->a, &n_text, err));
    TRY(poison_text_new(&x->p, n_text / 5, err));
    TRY(audit_pass(x->a, first_look, take_labelled, NULL, x, err));
    TRY(report_groups(x, err));
    for (int i = 0; i < x->n_set; i++)
        TRY(look_at_set(x, &x->set[i], err));
    TRY(find_continuations(x, err));
    if (x->n_set)
        TRY(audit_report(x->a, "labels", json_pack("{s:O}", "sources", x->sets), err));
    return audit_report(x->a, "poison", json_pack("{s:i, s:I, s:O, s:O, s:I}", "support", POISON_SUPPORT, "tested", (json_int_t)x->n_tested, "findings", x->findings, "linked", x->linked, "linked_more",
                                                  (json_int_t)x->n_more), err);
}

int stage_links(struct audit *a, struct err *err)
{
    struct links x = { .a = a };
    const int rc = look(&x, err);
    for (int i = 0; i < x.n_set; i++)
        label_set_release(&x.set[i].texts);
    for (int i = 0; x.t && i < x.n_thread; i++) {
        grams_release(&x.t[i].g);
        group_counts_release(&x.t[i].c);
    }
    mem_free(x.set_of);
    mem_free(x.set);
    mem_free(x.t);
    groups_release(&x.groups);
    poison_text_free(x.p);
    poison_rows_release(&x.rows);
    json_decref(x.sets);
    json_decref(x.findings);
    json_decref(x.linked);
    return rc < 0 ? rc : 0;
}
