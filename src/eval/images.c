#include "eval/images.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "eval/interval.h"

enum { B = CLASSIFY_BATCH };

/* ---- sets ---- */

static int write_and_open(struct image_set *out, const char *dir, struct image_source *s, struct labels *names, bool fixed, struct err *err)
{
    char *file = file_join(dir, "images");
    int rc = file ? image_set_write(file, s, names, fixed, err) : ERR(err, NOMEM, "no memory for a path");
    if (!rc)
        rc = image_set_open(out, file, err);
    mem_free(file);
    return rc;
}

/* The set's file is one that has no name any more once it is mapped. */
static int open_source(struct image_set *out, struct image_source *s, struct labels *names, bool fixed, struct err *err)
{
    char *dir;
    TRY(file_temporary_dir(&dir, "lathe-images", err));
    const int rc = write_and_open(out, dir, s, names, fixed, err);
    file_remove_tree(dir, NULL);
    mem_free(dir);
    return rc;
}

int images_open(struct image_set *out, const char *path, const struct classifier *c, bool labelled, struct err *err)
{
    const struct config *m = classifier_config(c);
    char *first = mem_strdup(path), *second = first ? strchr(first, ',') : NULL;
    struct labels any = { 0 };
    if (!first)
        return ERR(err, NOMEM, "no memory for a path");
    if (second)
        *second++ = 0;
    const char *const paths[] = { first, second };
    struct image_source s = { .path = paths, .n_path = second ? 2 : 1, .n_channel = m->n_channel, .size = m->image_size, .fit = IMAGE_REFUSE };
    const int rc = open_source(out, &s, labelled ? (struct labels *)classifier_labels(c) : &any, labelled, err);
    labels_release(&any);
    mem_free(first);
    return rc;
}

/* ---- logits ---- */

struct changing { struct corruptor *of[B]; enum corrupt_family f; int strength; uint64_t seed; int64_t first, N; const uint8_t *in; uint8_t *out; struct err err[B]; int rc[B]; };

static void change_one(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    struct changing *v = ctx;
    v->rc[i] = corrupt_image(v->of[i], v->f, v->strength, v->seed, v->first + i, v->in + i * v->N, v->out + i * v->N, &v->err[i]);
}

static int told(const struct images_opts *o, const char *what, int64_t done, int64_t all, struct err *err)
{
    return o->progress && o->progress(o->ctx, what, done, all) ? ERR(err, STOPPED, "stopped after %lld of %lld images", (long long)done, (long long)all) : 0;
}

/* Images first .. first + n - 1 as the classifier takes them. */
static int batch(struct classifier *c, const struct image_set *s, struct changing *v, int n, float *x, float *logits, float *features, struct pool *pool, struct err *err)
{
    const uint8_t *bytes = image_set_pixels(s, v->first);
    if (v->strength) {
        v->in = bytes;
        pool_for(pool, n, change_one, v);
        for (int i = 0; i < n; i++)
            if (v->rc[i])
                return *err = v->err[i], v->rc[i];
        bytes = v->out;
    }
    for (int64_t k = 0; k < n * v->N; k++)
        x[k] = (float)(bytes[k] / 255.);
    classifier_logits(c, x, n, logits);
    if (features)
        classifier_features(c, n, features);
    return 0;
}

static int each_batch(struct classifier *c, const struct image_set *s, int64_t n, enum corrupt_family f, int strength, float *logits, float *features, const struct images_opts *o,
                      struct err *err)
{
    const int d = features ? classifier_n_feature(c) : 0;
    const struct config *m = classifier_config(c);
    struct changing v = { .f = f, .strength = strength, .seed = o->seed, .N = (int64_t)m->n_channel * m->image_size * m->image_size };
    float *x = mem_alloc_array((size_t)(B * v.N), sizeof *x);
    v.out = mem_alloc_array((size_t)(B * v.N), 1);
    int rc = x && v.out ? 0 : ERR(err, NOMEM, "no memory for %d images", B);
    for (int i = 0; i < B && strength && !rc; i++)
        rc = corruptor_new(&v.of[i], m->n_channel, m->image_size, err);
    for (int64_t i = 0; i < n && !rc; i += B) {
        v.first = i;
        rc = batch(c, s, &v, n - i < B ? (int)(n - i) : B, x, logits + i * m->n_label, features ? features + i * d : NULL, o->pool, err);
        if (!rc)
            rc = told(o, strength ? corrupt_name(f) : "images", i, n, err);
    }
    for (int i = 0; i < B; i++)
        corruptor_free(v.of[i]);
    mem_free(x);
    mem_free(v.out);
    return rc;
}

int images_logits(struct classifier *c, const struct image_set *s, int64_t n, enum corrupt_family f, int strength, float *logits, const struct images_opts *o, struct err *err)
{
    return each_batch(c, s, n, f, strength, logits, NULL, o, err);
}

int images_features(struct classifier *c, const struct image_set *s, int64_t n, float *logits, float *features, const struct images_opts *o, struct err *err)
{
    return each_batch(c, s, n, 0, 0, logits, features, o, err);
}

static int64_t n_right(const float *logits, const struct image_set *s, int64_t n, int K)
{
    int64_t right = 0;
    for (int64_t i = 0; i < n; i++) {
        int best = 0;
        for (int k = 1; k < K; k++)
            best = logits[i * K + k] > logits[i * K + best] ? k : best;
        right += best == s->label[i];
    }
    return right;
}

/* Trees are made without looking whether there was memory; a tree with a hole is none. */
static int whole(json_t **out, json_t *tree, uint64_t refused, struct err *err)
{
    if (tree && mem_json_refused() == refused)
        return *out = tree, 0;
    json_decref(tree);
    return ERR(err, NOMEM, "no memory for a report");
}

static json_t *range(const double ci[2]) { return json_pack("[f, f]", ci[0], ci[1]); }

/* ---- corruptions ---- */

static int family_of(struct classifier *c, const struct image_set *s, int64_t n, enum corrupt_family f, float *logits, double accuracy[CORRUPT_STRENGTHS],
                     const struct images_opts *o, struct err *err)
{
    for (int strength = 1; strength <= CORRUPT_STRENGTHS; strength++) {
        TRY(images_logits(c, s, n, f, strength, logits, o, err));
        accuracy[strength - 1] = (double)n_right(logits, s, n, classifier_config(c)->n_label) / (double)n;
    }
    return 0;
}

int images_corruptions(json_t **out, struct classifier *c, const struct image_set *s, int64_t n, const float *clean, const struct images_opts *o, struct err *err)
{
    const struct config *m = classifier_config(c);
    const uint64_t refused = mem_json_refused();
    float *logits = mem_alloc_array((size_t)n * (size_t)m->n_label, sizeof *logits);
    if (!logits)
        return ERR(err, NOMEM, "no memory for the logits of %lld images", (long long)n);
    json_t *families = json_object();
    const double accuracy = (double)n_right(clean, s, n, m->n_label) / (double)n;
    double sum = 0, least = 2;
    int n_sum = 0, worst = 0, worst_strength = 0, rc = 0;
    for (int f = 0; f < N_CORRUPT_FAMILY && !rc; f++) {
        double by[CORRUPT_STRENGTHS];
        if (!corrupt_fits(f, m->n_channel))
            continue;
        rc = family_of(c, s, n, f, logits, by, o, err);
        json_t *list = json_array();
        for (int k = 0; k < CORRUPT_STRENGTHS && !rc; k++) {
            json_array_append_new(list, json_real(by[k]));
            sum += by[k], n_sum++;
            if (by[k] < least)
                least = by[k], worst = f, worst_strength = k + 1;
        }
        json_object_set_new(families, corrupt_name(f), list);
    }
    mem_free(logits);
    if (rc) {
        json_decref(families);
        return rc;
    }
    return whole(out, json_pack("{s:f, s:o, s:f, s:o, s:{s:s, s:i, s:f}}", "accuracy", accuracy, "families", families, "mean", sum / n_sum, "retained",
                                accuracy > 0 ? json_real(sum / n_sum / accuracy) : json_null(), "worst", "family", corrupt_name(worst), "strength", worst_strength, "accuracy", least),
                 refused, err);
}

/* ---- attacks ---- */

/* What an attack has done to the images that were right: sums. */
struct sum { int64_t n, fooled, n_query, no_slope; };

static int attack_all(struct attacker *a, const struct image_set *s, int64_t n, const struct attack *how, uint8_t *stands, struct sum *sum, const struct images_opts *o, struct err *err)
{
    struct attacked out[B];
    for (int64_t i = 0; i < n; i += B) {
        const int batch = n - i < B ? (int)(n - i) : B;
        TRY(attacker_run(a, how, image_set_pixels(s, i), s->label + i, i, batch, out, NULL, err));
        for (int k = 0; k < batch; k++) {
            const bool right = !out[k].fooled || out[k].n_query > 0;
            sum->n += right, sum->fooled += right && out[k].fooled, sum->no_slope += out[k].no_slope;
            sum->n_query += out[k].fooled ? out[k].n_query : 0;
            stands[i + k] &= !out[k].fooled;
        }
        TRY(told(o, attack_name(how->kind), i, n, err));
    }
    return 0;
}

static json_t *attack_tree(const struct attack *how, const struct sum *s, int64_t n)
{
    return json_pack("{s:i, s:i, s:I, s:I, s:o, s:f, s:o, s:I}", "steps", how->n_step, "starts", how->n_start, "n", (json_int_t)s->n, "fooled", (json_int_t)s->fooled, "success_rate",
                     s->n ? json_real((double)s->fooled / (double)s->n) : json_null(), "accuracy", (double)(s->n - s->fooled) / (double)n, "queries_mean",
                     s->fooled ? json_real((double)s->n_query / (double)s->fooled) : json_null(), "no_slope", (json_int_t)s->no_slope);
}

/* Signs that a bound is none. */
static json_t *warnings_of(const struct attack *how, const struct sum *s, int n_attack)
{
    json_t *list = json_array();
    int64_t by_slopes = -1, blind = -1;
    for (int i = 0; i < n_attack; i++) {
        int64_t *most = how[i].kind == ATTACK_SQUARE ? &blind : &by_slopes;
        *most = s[i].fooled > *most ? s[i].fooled : *most;
        if (s[i].no_slope)
            json_array_append_new(list, json_sprintf("%s: slopes of %lld images are all zero: the model hides them, and attacks by slopes find too little", attack_name(how[i].kind),
                                                     (long long)s[i].no_slope));
    }
    if (blind > by_slopes && by_slopes >= 0)
        json_array_append_new(list, json_string("square, which sees no slopes, fools more than the attacks that do: the model hides its slopes"));
    return list;
}

int images_attacks(json_t **out, struct classifier *c, const struct image_set *s, int64_t n, const struct attack *how, int n_attack, const struct images_opts *o, struct err *err)
{
    const uint64_t refused = mem_json_refused();
    struct attacker *a;
    struct sum sum[N_ATTACK] = { 0 };
    double ci[2];
    int64_t robust = 0;
    TRY(attacker_new(&a, c, err));
    uint8_t *stands = mem_alloc_array((size_t)n, 1);
    int rc = stands ? 0 : ERR(err, NOMEM, "no memory for %lld images", (long long)n);
    if (!rc)
        memset(stands, 1, (size_t)n);
    for (int i = 0; i < n_attack && !rc; i++)
        rc = attack_all(a, s, n, &how[i], stands, &sum[i], o, err);
    for (int64_t i = 0; i < n && !rc; i++)
        robust += stands[i];
    if (!rc)
        rc = interval_wilson(robust, n, 0.95, ci, err);
    mem_free(stands);
    attacker_free(a);
    if (rc)
        return rc;
    json_t *attacks = json_object();
    for (int i = 0; i < n_attack; i++)
        json_object_set_new(attacks, attack_name(how[i].kind), attack_tree(&how[i], &sum[i], n));
    return whole(out, json_pack("{s:f, s:f, s:o, s:f, s:o, s:o}", "eps", how[0].eps, "accuracy", (double)sum[0].n / (double)n, "attacks", attacks, "robust_accuracy",
                                (double)robust / (double)n, "ci95", range(ci), "warnings", warnings_of(how, sum, n_attack)), refused, err);
}
