#include "train/classes.h"
#include <math.h>
#include <string.h>
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"

/* ---- preparing ---- */

static int write_set(struct image_set *set, const json_t *paths, struct image_source *s, struct labels *names, bool fixed, const char *out, const char *name, struct err *err)
{
    const char *path[4];
    for (size_t i = 0; i < 4 && i < json_array_size(paths); i++)
        path[i] = json_string_value(json_array_get(paths, i));
    s->path = path, s->n_path = json_array_size(paths) < 4 ? (int)json_array_size(paths) : 4;
    char *file = file_join(out, name);
    int rc = file ? image_set_write(file, s, names, fixed, err) : ERR(err, NOMEM, "no memory for a path");
    if (!rc)
        rc = image_set_open(set, file, err);
    mem_free(file);
    return rc;
}

static int given_names(struct labels *names, const json_t *list, struct err *err)
{
    size_t i;
    json_t *v;
    json_array_foreach(list, i, v) {
        if (labels_find(names, json_string_value(v)) >= 0)
            return ERR(err, USAGE, "data.labels: '%s' is there twice", json_string_value(v));
        TRY(labels_add(names, json_string_value(v), err));
    }
    return 0;
}

/* The model's classes and sizes follow the data. */
static int fit_classes(const struct classes *k, struct train_config *c, const char *where, struct err *err)
{
    struct config *m = &c->model;
    if (m->n_label && m->n_label != k->names.n)
        return ERR(err, USAGE, "%s: the model has num_labels %d, the data %d classes", where, m->n_label, k->names.n);
    m->n_label = k->names.n;
    m->label = (const char *const *)k->names.name;
    return config_validate(m, where, err);
}

static int fit_images(const struct classes *k, struct train_config *c, const struct image_source *s, const char *where, struct err *err)
{
    struct config *m = &c->model;
    if (!c->from) {
        m->image_size = s->size, m->n_channel = s->n_channel;
        m->ctx = m->image_size % m->patch_size ? m->ctx : config_n_patch(m) + 1;
    }
    TRY(fit_classes(k, c, where, err));
    c->ctx = m->ctx;
    if (c->batch * c->ctx > (int64_t)1 << 24)
        return ERR(err, USAGE, "%s: %lld images of %lld patches are more than 16,777,216; use accumulate", where, (long long)c->batch, (long long)c->ctx - 1);
    return 0;
}

/* Of each channel, over all images: from exact sums. */
static void measure(struct classes *k)
{
    const int64_t n = (int64_t)k->train.size * k->train.size;
    for (int c = 0; c < k->train.n_channel; c++) {
        uint64_t count[256] = { 0 };
        double sum = 0, square = 0;
        const double all = (double)(n * k->train.n);
        for (int64_t i = 0; i < k->train.n; i++) {
            const uint8_t *p = image_set_pixels(&k->train, i) + c * n;
            for (int64_t j = 0; j < n; j++)
                count[p[j]]++;
        }
        for (int v = 0; v < 256; v++)
            sum += (double)count[v] * v / 255, square += (double)count[v] * v * v / (255.0 * 255);
        const double var = square / all - sum / all * (sum / all);
        k->vision.mean[c] = sum / all, k->vision.std[c] = var > 1e-6 ? sqrt(var) : 1;
    }
}

/* Number i of the samples, those to train on first. */
static int64_t split_place(const struct classes *k, int64_t i) { return (int64_t)rng_permute(k->split, (uint64_t)i, (uint64_t)k->n_all); }

/* Classes among the samples that are trained on. */
static int count_classes(const struct classes *k, struct err *err)
{
    int64_t *n = mem_alloc_array((size_t)k->names.n, sizeof *n);
    if (!n)
        return ERR(err, NOMEM, "no memory to count %d classes", k->names.n);
    int there = 0;
    for (int64_t i = 0; i < k->n_train; i++)
        there += !n[k->label[0][split_place(k, i)]]++;
    for (int c = 0; c < k->names.n && there > 1; c++)
        if (!n[c])
            log_warn("class '%s' has no sample to train on", k->names.name[c]);
    mem_free(n);
    return there > 1 ? 0 : ERR(err, USAGE, "all %lld samples to train on are of one class, expected at least two", (long long)k->n_train);
}

static int split(struct classes *k, const struct train_config *c, struct err *err)
{
    k->n_train = k->n_all;
    if (!k->label[1]) {
        k->n_valid = (int64_t)((double)k->n_all * c->valid_share);
        k->n_train = k->n_all - k->n_valid;
    }
    k->split = rng_key((uint64_t)c->seed, "held-out samples");
    k->order = rng_key((uint64_t)c->seed, "data order");
    k->augment = rng_key((uint64_t)c->seed, "augmentation");
    return count_classes(k, err);
}

static int read_images(struct classes *k, struct train_config *c, const char *where, const char *out, struct err *err)
{
    struct image_source s = { .fit = c->fit[0] == 'r' ? IMAGE_REFUSE : c->fit[0] == 's' ? IMAGE_STRETCH : IMAGE_CROP };
    s.n_channel = c->from || c->channels_given ? c->model.n_channel : 0;
    s.size = c->from || c->size_given ? c->model.image_size : 0;
    const bool named = c->from || c->labels;
    if (c->from)
        TRY(vision_load(&k->vision, &c->model, c->from, err));
    TRY(write_set(&k->train, c->train_paths, &s, &k->names, named, out, "data/train.img", err));
    if (c->valid_paths)
        TRY(write_set(&k->valid, c->valid_paths, &s, &k->names, true, out, "data/valid.img", err));
    TRY(fit_images(k, c, &s, where, err));
    if (!c->from)
        measure(k);
    k->label[0] = k->train.label, k->label[1] = k->valid.label, k->n_all = k->train.n, k->n_valid = k->valid.n;
    for (int i = 0; i < VISION_CHANNEL_MAX; i++)
        for (int v = 0; v < 256; v++)
            k->value[i][v] = (float)((v / 255.0 - k->vision.mean[i]) / k->vision.std[i]);
    return c->shift < k->train.size ? 0 : ERR(err, USAGE, "%s: data.shift is %lld, expected less than the images' %d pixels", where, (long long)c->shift, k->train.size);
}

static int read_class_texts(struct classes *k, struct prepared *p, struct train_config *c, const char *where, const char *out, struct err *err)
{
    TRY(class_texts_prepare(&k->texts, p, c, where, out, &k->names, c->labels || c->model.n_label, err));
    TRY(fit_classes(k, c, where, err));
    k->label[0] = k->texts.label[0], k->label[1] = k->texts.label[1], k->n_all = p->train.n_seq, k->n_valid = p->valid.n_seq;
    return 0;
}

int classes_prepare(struct classes *k, struct prepared *p, struct train_config *c, const char *where, const char *out, struct err *err)
{
    char *folder = file_join(out, "data");
    int rc = folder ? file_mkdirs(folder, err) : ERR(err, NOMEM, "no memory for a path");
    if (!rc)
        rc = c->second ? 0 : file_remove_leftovers(folder, err);
    mem_free(folder);
    if (!rc && c->from && c->model.n_label)
        rc = labels_load(&k->names, &c->model, c->from, err);
    else if (!rc && c->labels)
        rc = given_names(&k->names, c->labels, err);
    if (!rc)
        rc = config_vision(&c->model) ? read_images(k, c, where, out, err) : read_class_texts(k, p, c, where, out, err);
    if (!rc)
        rc = split(k, c, err);
    if (!rc && config_vision(&c->model))
        log_info("images: %lld to train on, %lld held out, %d by %d in %d channels, %d classes", (long long)k->n_train, (long long)k->n_valid, k->train.size, k->train.size,
                 k->train.n_channel, k->names.n);
    else if (!rc)
        log_info("texts: %lld to train on, %lld held out, %.1f tokens each, %d classes", (long long)k->n_train, (long long)k->n_valid, k->texts.mean, k->names.n);
    return rc;
}

double classes_mean_tokens(const struct classes *k, const struct train_config *c) { return config_vision(&c->model) ? (double)c->ctx : k->texts.mean; }

struct loader classes_loader(const struct classes *k, const struct train_config *c)
{
    const double n = classes_mean_tokens(k, c);
    return (struct loader){ .n_window = k->n_train, .n_place = (int64_t)(n * (double)k->n_train), .n_key = config_vision(&c->model) ? n : k->texts.n_key };
}

void classes_release(struct classes *k)
{
    class_texts_release(&k->texts);
    image_set_close(&k->train);
    image_set_close(&k->valid);
    labels_release(&k->names);
    *k = (struct classes){ 0 };
}

int classes_digest(const struct classes *k, const struct train_config *c, struct buf *b, struct err *err)
{
    char labels[SHA256_HEX];
    TRY(sha256_of(k->label[0], (size_t)k->n_all * sizeof *k->label[0], labels, err));
    TRY(buf_printf(b, err, " classes %s %lld %lld %d %.17g %.17g", labels, (long long)k->n_train, (long long)c->shift, c->flip, c->mixup, c->label_smoothing));
    if (c->adversarial.eps > 0)
        TRY(buf_printf(b, err, " adversarial %.17g %.17g %lld", c->adversarial.eps, c->adversarial.step, (long long)c->adversarial.n_step));
    for (int i = 0; i < k->train.n_channel; i++)
        TRY(buf_printf(b, err, " %.17g %.17g", k->vision.mean[i], k->vision.std[i]));
    return 0;
}

/* ---- batches ---- */

/* An image as it is shown: number i of its set, moved by dx, dy (what comes in is black), turned, in its share of the sum. */
struct view { int64_t i; int dx, dy; bool flip; float share; };

/* Adds the view to out, or with first begins it. */
static void show(const struct classes *k, const struct config *c, const struct image_set *set, const struct view *v, bool first, float *out)
{
    const int S = set->size, n_channel = set->n_channel;
    const uint8_t *pixels = image_set_pixels(set, v->i);
    for (int channel = 0; channel < n_channel; channel++)
        for (int y = 0; y < S; y++) {
            const int from_y = y + v->dy;
            const uint8_t *row = from_y >= 0 && from_y < S ? pixels + (channel * S + from_y) * S : NULL;
            for (int x = 0; x < S; x++) {
                const int from_x = (v->flip ? S - 1 - x : x) + v->dx;
                const float value = v->share * k->value[channel][row && from_x >= 0 && from_x < S ? row[from_x] : 0];
                float *to = out + vision_place(c, channel, y, x);
                *to = first ? value : *to + value;
            }
        }
}

int64_t classes_place(const struct classes *k, uint64_t sample)
{
    const uint64_t n = (uint64_t)k->n_train, epoch = sample / n;
    return split_place(k, (int64_t)rng_permute(rng_u64(k->order, epoch), sample % n, n));
}

/* The random numbers of a view: of sample s, or of the image mixed into it. */
static struct view view_of(const struct train_config *c, uint64_t key, int64_t i, float share)
{
    struct view v = { .i = i, .share = share };
    const uint64_t n = 2 * (uint64_t)c->shift + 1;
    if (c->shift)
        v.dx = (int)rng_below(key, 0, n) - (int)c->shift, v.dy = (int)rng_below(key, 1, n) - (int)c->shift;
    v.flip = c->flip && rng_below(key, 2, 2);
    return v;
}

/* From Beta(a, a), a at most 1: Joehnk's way, two powers of uniform numbers whose sum is at most 1. */
static double beta(uint64_t key, double a)
{
    for (uint64_t i = 0; i < 1000; i++) {
        const double x = pow(rng_uniform(key, 2 * i), 1 / a), y = pow(rng_uniform(key, 2 * i + 1), 1 / a);
        if (x + y <= 1 && x + y > 0)
            return x / (x + y);
    }
    return 1;
}

/* which: the samples to train on that are wanted; NULL: from `first` on, in the run's order. */
struct fill { const struct classes *k; const struct train_config *c; const struct decoder *d; uint64_t first; const int64_t *which; int32_t *label; };

static uint64_t sample_of(const struct fill *f, int64_t row) { return f->first + (uint64_t)(f->which ? f->which[row] : row); }
static int64_t place_of(const struct fill *f, int64_t row) { return f->which ? split_place(f->k, f->which[row]) : classes_place(f->k, f->first + (uint64_t)row); }

/* Image `row` of a micro-batch. */
static void fill_row(void *ctx, int row, int i_thread)
{
    (void)i_thread;
    const struct fill *f = ctx;
    const struct train_config *c = f->c;
    const struct classes *k = f->k;
    const struct config *m = &f->d->config;
    const uint64_t key = rng_u64(k->augment, sample_of(f, row));
    float *out = (float *)f->d->g->tensor[f->d->pixels].data + (int64_t)row * config_n_patch(m) * config_patch_numbers(m);
    float *label = (float *)f->d->g->tensor[f->d->label].data + (int64_t)row * m->n_label;
    const double share = c->mixup > 0 ? beta(rng_u64(key, 0), c->mixup) : 1;
    const struct view one = view_of(c, rng_u64(key, 1), place_of(f, row), (float)share);
    for (int i = 0; i < m->n_label; i++)
        label[i] = (float)(c->label_smoothing / m->n_label);
    show(k, m, &k->train, &one, true, out);
    label[k->train.label[one.i]] += (float)((1 - c->label_smoothing) * share);
    if (share >= 1)
        return;
    const int64_t other = split_place(k, (int64_t)rng_below(rng_u64(key, 3), 0, (uint64_t)k->n_train));
    const struct view two = view_of(c, rng_u64(key, 2), other, (float)(1 - share));
    show(k, m, &k->train, &two, false, out);
    label[k->train.label[two.i]] += (float)((1 - c->label_smoothing) * (1 - share));
}

static void set_sequences(struct batch *b, int64_t n, int64_t ctx)
{
    b->n = (int)(n * ctx), b->n_seq = (int)n;
    for (int64_t i = 0; i <= n; i++)
        b->seq_start[i] = (int32_t)(i * ctx);
}

static void begin_texts(struct batch *b) { b->n = b->n_seq = b->seq_start[0] = 0; }

static void put_text(const struct fill *f, int64_t row, struct batch *b)
{
    const int64_t i = place_of(f, row);
    const int n = f->d->config.n_label;
    float *label = (float *)f->d->g->tensor[f->d->label].data + row * n;
    class_texts_put(&f->k->texts, 0, i, f->d, b);
    for (int c = 0; c < n; c++)
        label[c] = (float)(f->c->label_smoothing / n + (c == f->k->label[0][i] ? 1 - f->c->label_smoothing : 0));
}

static void fill_batch(struct fill *f, struct pool *pool, int64_t n, struct batch *b)
{
    if (config_vision(&f->c->model)) {
        pool_for(pool, (int)n, fill_row, f);
        set_sequences(b, n, f->c->ctx);
        return;
    }
    begin_texts(b);
    for (int64_t row = 0; row < n; row++)
        put_text(f, row, b);
}

void classes_batch(const struct classes *k, const struct train_config *c, struct pool *pool, int64_t i, int64_t n, const struct decoder *d, struct batch *b)
{
    fill_batch(&(struct fill){ .k = k, .c = c, .d = d, .first = (uint64_t)(i * n) }, pool, n, b);
}

void classes_records(const struct classes *k, const struct train_config *c, struct pool *pool, const int64_t *which, int n, uint64_t at, const struct decoder *d, struct batch *b)
{
    fill_batch(&(struct fill){ .k = k, .c = c, .d = d, .first = at, .which = which }, pool, n, b);
}

int classes_record_tokens(const struct classes *k, const struct train_config *c, int64_t i)
{
    const struct shard *s = k->texts.shard[0];
    const int64_t place = split_place(k, i);
    return (int)(config_vision(&c->model) ? c->ctx : (int64_t)(s->start[place + 1] - s->start[place]));
}

/* Where held-out sample i is: in which set, and at which place. */
static int held_place(const struct classes *k, int64_t i, int64_t *place)
{
    *place = k->label[1] ? i : split_place(k, k->n_train + i);
    return k->label[1] != NULL;
}

static void fill_held_out(void *ctx, int row, int i_thread)
{
    (void)i_thread;
    const struct fill *f = ctx;
    const struct classes *k = f->k;
    const struct config *m = &f->d->config;
    int64_t i;
    const struct image_set *set = held_place(k, (int64_t)f->first + row, &i) ? &k->valid : &k->train;
    float *out = (float *)f->d->g->tensor[f->d->pixels].data + (int64_t)row * config_n_patch(m) * config_patch_numbers(m);
    show(k, m, set, &(struct view){ .i = i, .share = 1 }, true, out);
    f->label[row] = set->label[i];
}

int classes_pass(const struct classes *k, const struct train_config *c, struct pool *pool, int64_t i, int64_t n, const struct decoder *d, struct batch *b, int32_t *label)
{
    const int64_t left = k->n_valid - i * n;
    if (left <= 0)
        return 0;
    struct fill f = { .k = k, .c = c, .d = d, .first = (uint64_t)(i * n), .label = label };
    n = left < n ? left : n;
    if (config_vision(&c->model)) {
        pool_for(pool, (int)n, fill_held_out, &f);
        set_sequences(b, n, c->ctx);
        return (int)n;
    }
    begin_texts(b);
    for (int64_t row = 0; row < n; row++) {
        int64_t at;
        const int set = held_place(k, (int64_t)f.first + row, &at);
        class_texts_put(&k->texts, set, at, d, b);
        label[row] = k->label[set][at];
    }
    return (int)n;
}
