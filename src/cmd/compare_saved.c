/* compare_saved.c - `lathe compare` of items by the pair, of two evaluations that were kept or are in memory, and those that changed. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"
#include "cmd/compare_run.h"
#include "eval/samples.h"
#include "store/evidence_figure.h"

enum { RESULTS_MAX = 64 << 20 };

/* ---- what changed ---- */

/* An item by how much worse it became. */
struct change { double loss; int64_t pair; };

static int by_loss(const void *a, const void *b)
{
    const struct change *x = a, *y = b;
    return x->loss != y->loss ? (x->loss < y->loss) - (x->loss > y->loss) : (x->pair > y->pair) - (x->pair < y->pair);
}

static void print_change(const struct sample *a, const struct sample *b)
{
    printf("    item %lld: %g -> %g  %s\n", (long long)a->id, a->value, b->value, a->text);
    printf("      right: %s | old: %s | new: %s\n", a->target, a->answer, b->answer);
}

static json_t *change_json(const struct sample *a, const struct sample *b)
{
    return json_pack("{s:I, s:f, s:f, s:s, s:s, s:s, s:s}", "doc_id", (json_int_t)a->id, "old", a->value, "new", b->value, "text", a->text, "target", a->target, "answer_old", a->answer,
                     "answer_new", b->answer);
}

/* The worst that are worse; losses: of each pair. */
static int tell_changes(const struct compare_run *c, const struct sample_set *old, const struct sample_set *new, const struct sample_pairs *p, json_t *into, struct err *err)
{
    struct change *change = mem_alloc_array((size_t)p->n + 1, sizeof *change);
    json_t *list = json_array();
    int64_t n = 0;
    if (!change || !list) {
        mem_free(change);
        json_decref(list);
        return ERR(err, NOMEM, "no memory to sort %lld items", (long long)p->n);
    }
    for (int64_t i = 0; i < p->n; i++) {
        const struct sample *a = &old->item[p->pair[i].old], *b = &new->item[p->pair[i].new];
        const double loss = (a->value / a->weight - b->value / b->weight) * (old->higher_is_better ? 1 : -1);
        if (loss > 0)
            change[n++] = (struct change){ loss, i };
    }
    qsort(change, (size_t)n, sizeof *change, by_loss);
    if (n && c->worst && !cmd_json)
        printf("  items that became worse: %lld\n", (long long)n);
    for (int64_t i = 0; i < n && i < c->worst; i++) {
        const struct sample *a = &old->item[p->pair[change[i].pair].old], *b = &new->item[p->pair[change[i].pair].new];
        json_array_append_new(list, change_json(a, b));
        if (!cmd_json)
            print_change(a, b);
    }
    mem_free(change);
    json_object_set_new(into, "worst", list);
    return 0;
}

/* ---- a test ---- */

static void tell_unpaired(const struct sample_pairs *p)
{
    const int64_t all = p->only_old + p->only_new + p->other_doc + p->no_value;
    if (all) {
        printf("  %lld items are not paired: %lld of the old one alone, %lld of the new one alone, %lld with another document, %lld without a value; first:", (long long)all,
               (long long)p->only_old, (long long)p->only_new, (long long)p->other_doc, (long long)p->no_value);
        for (int i = 0; i < p->n_first; i++)
            printf(" %lld", (long long)p->first[i]);
        printf("\n");
    }
    if (p->other_prompt)
        printf("  %lld paired items were asked with another prompt\n", (long long)p->other_prompt);
}

static int compare_pairs(struct compare_run *c, const struct sample_set *old, const struct sample_set *new, const struct sample_pairs *p, const struct eprocess *stream, struct err *err)
{
    struct compare_result *r;
    if (!p->n)
        return ERR(err, RANGE, "%s: no item of both evaluations is the same (%lld of the old one alone, %lld of the new one alone, %lld with another document, %lld without a value)", old->task,
                   (long long)p->only_old, (long long)p->only_new, (long long)p->other_doc, (long long)p->no_value);
    TRY(compare_add(c, old->metric, &r, err, "%s,%s", old->task, old->filter));
    TRY(samples_measure(r, old, new, p, stream, &c->o, err));
    if (!cmd_json) {
        printf("%s: %s of %lld items\n", c->name[c->n_result - 1], old->metric, (long long)p->n);
        tell_unpaired(p);
    }
    json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "task", old->task, "filter", old->filter, "metric", old->metric, "n", (json_int_t)p->n, "only_old",
                          (json_int_t)p->only_old, "only_new", (json_int_t)p->only_new, "other_document", (json_int_t)p->other_doc, "no_value", (json_int_t)p->no_value, "other_prompt",
                          (json_int_t)p->other_prompt);
    if (!o)
        return ERR(err, NOMEM, "no memory for the result");
    json_array_append_new(c->items, o);
    return tell_changes(c, old, new, p, o, err);
}

static int compare_sets(struct compare_run *c, const struct sample_set *old, const struct sample_set *new, const struct eprocess *stream, struct err *err)
{
    struct sample_pairs p;
    if (strcmp(old->metric, new->metric))
        return ERR(err, RANGE, "%s: the first metric is %s in the old evaluation and %s in the new one, expected the same; --metric names one", old->task, old->metric, new->metric);
    TRY(samples_pair(&p, old, new, err));
    const int rc = compare_pairs(c, old, new, &p, stream, err);
    sample_pairs_release(&p);
    return rc;
}

/* Only the first filter of a task that both have is a test, as the others read the same answers. */
int compare_items_of(struct compare_run *c, const struct samples *old, const struct samples *new, const struct eprocess *(*stream_of)(void *ctx, const char *task), void *ctx, struct err *err)
{
    int n = 0;
    const char *tested = "";
    if (old->n_older || new->n_older)
        log_warn("%d files of samples are older than others of the same task and were left alone", old->n_older + new->n_older);
    for (int i = 0; i < old->n; i++) {
        const struct sample_set *other = samples_find(new, &old->set[i]);
        if (!other) {
            log_warn("%s,%s is in the old evaluation alone", old->set[i].task, old->set[i].filter);
        } else if (!strcmp(old->set[i].task, tested)) {
            log_info("%s,%s is not tested: a filter of the task before it is", old->set[i].task, old->set[i].filter);
        } else {
            tested = old->set[i].task;
            TRY(compare_sets(c, &old->set[i], other, stream_of ? stream_of(ctx, old->set[i].task) : NULL, err));
            n++;
        }
    }
    for (int i = 0; i < new->n; i++)
        if (!samples_find(old, &new->set[i]))
            log_warn("%s,%s is in the new evaluation alone", new->set[i].task, new->set[i].filter);
    return n ? 0 : ERR(err, RANGE, "%s and %s have no task in common", c->old, c->new);
}

/* The model's digest in results_DATE.json beside samples_TASK_DATE.jsonl; "" where it is not there, or is none. */
static int read_model(const char *samples, char sha256[SHA256_HEX], struct err *err)
{
    const char *name = file_last_part(samples), *date = strrchr(name, '_');
    json_t *results = NULL;
    struct err none;
    sha256[0] = 0;
    if (!date || strncmp(name, "samples_", 8) || !strstr(date, ".jsonl"))
        return 0;
    char *path = mem_printf("%.*sresults%.*s.json", (int)(name - samples), samples, (int)(strstr(date, ".jsonl") - date), date);
    if (!path)
        return ERR(err, NOMEM, "no memory for the result");
    if (!tree_load(&results, path, RESULTS_MAX, &none)) {
        const char *sha = evidence_model(results);
        if (strlen(sha) == SHA256_HEX - 1)
            strcpy(sha256, sha);
    }
    json_decref(results);
    mem_free(path);
    return 0;
}

/* One model's, or none: all samples must be of it. */
static int find_model(const struct samples *s, char sha256[SHA256_HEX], struct err *err)
{
    sha256[0] = 0;
    for (int i = 0; i < s->n; i++) {
        char other[SHA256_HEX];
        TRY(read_model(s->set[i].path, other, err));
        if (i && strcmp(other, sha256))
            return sha256[0] = 0, 0;
        strcpy(sha256, other);
    }
    return 0;
}

int compare_saved(struct compare_run *c, struct err *err)
{
    struct samples old = { 0 }, new = { 0 };
    int rc = samples_load(&old, c->old, c->tasks, c->metric, err);
    if (!rc)
        rc = samples_load(&new, c->new, c->tasks, c->metric, err);
    if (!rc)
        rc = compare_items_of(c, &old, &new, NULL, NULL, err);
    if (!rc && cmd_json)
        rc = find_model(&old, c->old_sha256, err);
    if (!rc && cmd_json)
        rc = find_model(&new, c->new_sha256, err);
    samples_release(&old);
    samples_release(&new);
    return rc;
}
