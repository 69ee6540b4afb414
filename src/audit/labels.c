/* labels.c - one table of probabilities outside the folds, and what follows from it. */
#include "audit/labels.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

struct label_balance label_balance(const struct label_set *s)
{
    struct label_balance b = { 0 };
    int64_t least = INT64_MAX, most = 0;
    for (int c = 0; c < s->n_label; c++) {
        b.n += s->count[c];
        least = s->count[c] < least ? s->count[c] : least;
        most = s->count[c] > most ? s->count[c] : most;
    }
    for (int c = 0; c < s->n_label; c++) {
        const double share = (double)s->count[c] / (double)b.n;
        b.entropy -= share * log(share);
    }
    b.effective = s->n_label ? exp(b.entropy) : 0;
    b.imbalance = s->n_label ? (double)most / (double)least : 0;
    return b;
}

/* ---- one text, several labels ---- */

struct group { size_t first; int64_t n; size_t other; bool mixed; };

static int conflicts(const struct label_set *s, uint64_t (*key)(const void *ctx, size_t i), const void *ctx,
                     struct label_conflicts *out, struct err *err)
{
    struct gram_map m = { 0 };
    struct group *group = NULL;
    int rc = 0;
    *out = (struct label_conflicts){ 0 };
    for (size_t i = 0; i < s->n && rc >= 0; i++) {
        uint32_t k = 0;
        rc = grams_room((void **)&group, m.n, sizeof *group, err);
        if (rc >= 0)
            rc = gram_map_add(&m, key(ctx, i), &k, err);
        if (rc > 0)
            group[k] = (struct group){ i, 1, i, false };
        else if (rc == 0) {
            group[k].n++;
            if (!group[k].mixed && s->label[i] != s->label[group[k].first])
                group[k].mixed = true, group[k].other = i;
        }
    }
    for (size_t k = 0; k < m.n && rc >= 0; k++)
        if (group[k].mixed) {
            if (!out->groups++)
                out->first[0] = group[k].first, out->first[1] = group[k].other;
            out->items += group[k].n;
        }
    gram_map_release(&m);
    mem_free(group);
    return rc < 0 ? rc : 0;
}

static uint64_t key_of_text(const void *ctx, size_t i)
{
    size_t n;
    const uint64_t *word = bayes_words(ctx, i, &n);
    return n ? gram_hash(word, (int)n) : ~(uint64_t)i;      /* texts without words are not the same text */
}

static uint64_t key_of_cluster(const void *ctx, size_t i) { return (uint64_t)((const struct label_set *)ctx)->cluster[i] + 1; }

int label_conflicts_text(const struct bayes *b, const struct label_set *s, struct label_conflicts *out, struct err *err)
{
    return conflicts(s, key_of_text, b, out, err);
}

int label_conflicts_cluster(const struct label_set *s, struct label_conflicts *out, struct err *err)
{
    return conflicts(s, key_of_cluster, s, out, err);
}

/* ---- confident learning ---- */

static int best_of(const double *p, const double *at_least, int n)
{
    int best = -1;
    for (int c = 0; c < n; c++)
        if ((!at_least || p[c] >= at_least[c]) && (best < 0 || p[c] > p[best]))
            best = c;
    return best;
}

/* By the counts of the other folds. */
void label_by_bayes(void *model, const struct label_set *s, double *p, label_item_fn *item, struct label_noise *out)
{
    struct bayes *b = model;
    for (int fold = 0; fold < BAYES_FOLDS; fold++) {
        bayes_leave_out(b, fold);
        for (size_t i = 0; i < s->n; i++)
            if (bayes_fold_of(s, i) == fold) {
                bayes_posterior(b, i, NULL, p);
                item(s, i, p, out);
            }
    }
    bayes_leave_out(b, -1);
}

static void add_threshold(const struct label_set *s, size_t i, const double *p, struct label_noise *out)
{
    const int given = s->label[i];
    out->threshold[given] += p[given];
    out->accuracy += best_of(p, NULL, s->n_label) == given;
}

static void add_to_joint(const struct label_set *s, size_t i, const double *p, struct label_noise *out)
{
    const int given = s->label[i], likely = best_of(p, out->threshold, s->n_label);
    if (likely < 0)
        return;
    out->joint[given * s->n_label + likely]++;
    if (likely != given)
        out->issue[out->n_issue++] = (struct label_issue){ i, likely, p[given], p[likely] };
}

static int by_margin(const void *a, const void *b)
{
    const struct label_issue *x = a, *y = b;
    const double m = x->p_given - x->p_likely, k = y->p_given - y->p_likely;
    return m != k ? (m < k ? -1 : 1) : (x->item > y->item) - (x->item < y->item);
}

/* Rows of the joint to the labels' shares of the items. */
static void scale_joint(size_t L, size_t n, const double *share, struct label_noise *out)
{
    for (size_t i = 0; i < L; i++) {
        double *row = out->joint + i * L, sum = 0;
        for (size_t j = 0; j < L; j++)
            sum += row[j];
        if (sum == 0)
            row[i] = sum = 1;          /* nothing is said against them */
        for (size_t j = 0; j < L; j++) {
            row[j] *= share[i] / (double)n / sum;
            out->rate += i != j ? row[j] : 0;
        }
    }
}

/* p, share: [n_label] to work in. */
static void estimate(label_model_fn *each, void *model, const struct label_set *s, double *p, double *share, struct label_noise *out)
{
    for (size_t i = 0; i < s->n; i++)
        share[s->label[i]]++;
    each(model, s, p, add_threshold, out);
    for (int c = 0; c < s->n_label; c++)
        out->threshold[c] /= share[c] > 0 ? share[c] : 1;
    out->accuracy /= s->n ? (double)s->n : 1;
    each(model, s, p, add_to_joint, out);
    if (s->n)
        scale_joint((size_t)s->n_label, s->n, share, out);
    qsort(out->issue, out->n_issue, sizeof *out->issue, by_margin);
}

int label_noise(label_model_fn *each, void *model, const struct label_set *s, struct label_noise *out, struct err *err)
{
    const size_t L = (size_t)s->n_label;
    *out = (struct label_noise){ 0 };
    double *work = mem_alloc_array(2 * L + 1, sizeof *work);
    out->threshold = mem_alloc_array(L + 1, sizeof *out->threshold);
    out->joint = mem_alloc_array(L * L + 1, sizeof *out->joint);
    out->issue = mem_alloc_array(s->n + 1, sizeof *out->issue);
    const bool room = work && out->threshold && out->joint && out->issue;
    if (room)
        estimate(each, model, s, work, work + L, out);
    mem_free(work);
    return room ? 0 : ERR(err, NOMEM, "no memory for %zu texts by %zu labels", s->n, L);
}

void label_noise_release(struct label_noise *x)
{
    mem_free(x->threshold);
    mem_free(x->joint);
    mem_free(x->issue);
    *x = (struct label_noise){ 0 };
}
