#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "cmd/classify_judge.h"
#include "cmd/cmd.h"
#include "data/idx.h"
#include "data/image.h"
#include "infer/classify.h"

#define FILES_MAX 4096

static const char *fit = "stretch", *precision = "fp32", *labels, *text, *lines, *judge, *fields;
static int64_t top = 1, ctx;

struct job {
    struct classifier *c;
    json_t *list;                        /* --json: of results; else NULL */
    uint8_t *pixels;                     /* of a batch */
    float *probs;
    struct idx labels;                   /* --labels */
    int64_t n, n_right;                  /* images so far; those whose label was the most likely */
    struct err *err;
};

static int more_likely(const void *a, const void *b, void *of)
{
    const float *probs = of;
    const int i = *(const int *)a, j = *(const int *)b;
    return probs[i] != probs[j] ? (probs[i] < probs[j] ? 1 : -1) : i - j;
}

/* One line, or one object.  name: of an image, NULL for a text. */
static int print_result(struct job *j, const char *name, const int *order, const float *probs)
{
    const struct labels *l = classifier_labels(j->c);
    const int n = top < l->n ? (int)top : l->n;
    if (!j->list) {
        for (int i = 0; i < n; i++)
            printf("%s%s%s %.4f", i || !name ? "" : name, i || name ? "  " : "", l->name[order[i]], (double)probs[order[i]]);
        printf("\n");
        return ferror(stdout) ? ERR(j->err, IO, "cannot write to standard output") : 0;
    }
    json_t *found = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(found, json_pack("{s:s, s:f}", "label", l->name[order[i]], "probability", (double)probs[order[i]]));
    json_t *o = name ? json_pack("{s:s%, s:o}", "file", name, strlen(name), "classes", found) : json_pack("{s:o}", "classes", found);
    return o && !json_array_append_new(j->list, o) ? 0 : ERR(j->err, NOMEM, "no memory to print the result");
}

/* A batch of n images; name: of the first, or where number >= 0 of the idx file that they lie in from there on. */
static int run_batch(struct job *j, const char *name, int64_t number, int n)
{
    const int L = classifier_labels(j->c)->n;
    int *order = mem_alloc_array((size_t)L, sizeof *order), rc = 0;
    if (!order)
        return ERR(j->err, NOMEM, "no memory for %d classes", L);
    classifier_images(j->c, j->pixels, n, j->probs);
    for (int i = 0; i < n && !rc; i++, j->n++) {
        char at[400];
        for (int k = 0; k < L; k++)
            order[k] = k;
        float *probs = j->probs + (int64_t)i * L;
        qsort_r(order, (size_t)L, sizeof *order, more_likely, probs);
        snprintf(at, sizeof at, number >= 0 ? "%.370s[%lld]" : "%.370s", name, (long long)(number + i));
        if (labels)
            j->n_right += order[0] == (uint8_t)j->labels.bytes.data[j->n];
        else
            rc = print_result(j, number >= 0 ? at : name, order, probs);
    }
    mem_free(order);
    return rc;
}

static enum image_fit chosen_fit(void) { return fit[0] == 'r' ? IMAGE_REFUSE : fit[0] == 's' ? IMAGE_STRETCH : IMAGE_CROP; }

static int run_image(struct job *j, const char *path)
{
    const struct config *m = classifier_config(j->c);
    struct image x;
    TRY(image_read(&x, path, m->n_channel, j->err));
    const int rc = image_fit(&x, chosen_fit(), m->image_size, j->pixels, path, j->err);
    image_release(&x);
    return rc ? rc : run_batch(j, path, -1, 1);
}

/* Image i of an idx file: grey, so each channel is the same. */
static int take_idx(struct job *j, const struct idx *x, const char *path, int64_t i, int slot)
{
    const struct config *m = classifier_config(j->c);
    const int64_t size = x->size[1] * x->size[2], out = (int64_t)m->image_size * m->image_size;
    for (int c = 0; c < m->n_channel; c++) {
        const struct image one = { 1, (int)x->size[1], (int)x->size[2], (uint8_t *)x->bytes.data + i * size };
        TRY(image_fit(&one, chosen_fit(), m->image_size, j->pixels + (slot * m->n_channel + c) * out, path, j->err));
    }
    return 0;
}

static int run_idx(struct job *j, const char *path)
{
    struct idx x;
    TRY(idx_read(&x, path, j->err));
    int rc = x.rank == 3 && x.size[1] <= IMAGE_SIDE_MAX && x.size[2] <= IMAGE_SIDE_MAX ? 0 : ERR(j->err, FORMAT, "%s: rank %d, expected 3: images, rows, columns", path, x.rank);
    if (!rc && labels && (j->labels.rank != 1 || j->labels.size[0] != x.size[0]))
        rc = ERR(j->err, FORMAT, "%s: expected one label for each of the %lld images of %s", labels, (long long)x.size[0], path);
    for (int64_t i = 0; !rc && i < x.size[0] && !cmd_stop; i += CLASSIFY_BATCH) {
        const int n = x.size[0] - i < CLASSIFY_BATCH ? (int)(x.size[0] - i) : CLASSIFY_BATCH;
        for (int k = 0; k < n && !rc; k++)
            rc = take_idx(j, &x, path, i + k, k);
        if (!rc)
            rc = run_batch(j, path, i, n);
    }
    idx_release(&x);
    return rc;
}

static int run_file(struct job *j, const char *path)
{
    struct file_map map;
    TRY(file_map_open(&map, path, j->err));
    const unsigned char *b = (const unsigned char *)map.data;
    const bool idx = map.size >= 4 && ((b[0] == 0x1f && b[1] == 0x8b) || (!b[0] && !b[1]));
    file_map_close(&map);
    if (labels && !idx)
        return ERR(j->err, USAGE, "--labels is for an idx file of images, %s is none", path);
    return idx ? run_idx(j, path) : run_image(j, path);
}

static int run_text(struct job *j, const char *s, size_t n)
{
    const int L = classifier_labels(j->c)->n;
    TRY(classifier_text(j->c, s, n, j->probs, j->err));
    int *order = mem_alloc_array((size_t)L, sizeof *order);
    if (!order)
        return ERR(j->err, NOMEM, "no memory for %d classes", L);
    for (int k = 0; k < L; k++)
        order[k] = k;
    qsort_r(order, (size_t)L, sizeof *order, more_likely, j->probs);
    const int rc = print_result(j, NULL, order, j->probs);
    mem_free(order);
    return rc;
}

static int run_lines(struct job *j)
{
    struct buf b;
    buf_init(&b);
    int rc = file_read(lines, (size_t)1 << 30, &b, j->err);
    for (const char *at = b.data, *stop = at + b.len, *end; !rc && at < stop && !cmd_stop; at = end + 1) {
        end = memchr(at, '\n', (size_t)(stop - at));
        end = end ? end : stop;
        rc = run_text(j, at, (size_t)(end - at));
    }
    buf_release(&b);
    return rc;
}

/* Of texts: one, or the lines of a file. */
static int run_texts(struct job *j, int n_args)
{
    if (n_args > 1 || labels || !text == !lines)
        return ERR(j->err, USAGE, "this is a model of texts: give -p TEXT or --lines FILE, and no image");
    return text ? run_text(j, text, strlen(text)) : run_lines(j);
}

static int print_accuracy(const struct job *j)
{
    const double share = (double)j->n_right / (double)j->n;
    if (cmd_json)
        return cmd_print_json(json_pack("{s:I, s:I, s:f}", "images", (json_int_t)j->n, "right", (json_int_t)j->n_right, "accuracy", share), j->err);
    printf("accuracy %.2f %%: %lld of %lld images\n", 100 * share, (long long)j->n_right, (long long)j->n);
    return 0;
}

static int run_all(struct job *j, const char *const *args, int n_args)
{
    const struct config *m = classifier_config(j->c);
    const bool images = config_vision(m);
    const size_t numbers = images ? (size_t)m->n_channel * (size_t)m->image_size * (size_t)m->image_size : 1;
    j->pixels = mem_alloc_array(CLASSIFY_BATCH, numbers);
    j->probs = mem_alloc_array(CLASSIFY_BATCH * (size_t)m->n_label, sizeof *j->probs);
    if (!j->pixels || !j->probs)
        return ERR(j->err, NOMEM, "no memory for %d images", CLASSIFY_BATCH);
    if (labels)
        TRY(idx_read(&j->labels, labels, j->err));
    if (labels && n_args != 2)
        return ERR(j->err, USAGE, "--labels is for one idx file of images, found %d files", n_args - 1);
    if (images && (n_args < 2 || text || lines))
        return ERR(j->err, USAGE, "this is a model of images: give one or more files");
    if (!images)
        TRY(run_texts(j, n_args));
    for (int i = 1; i < n_args && !cmd_stop; i++)
        TRY(run_file(j, args[i]));
    if (labels && j->n)
        TRY(print_accuracy(j));
    else if (j->list)
        TRY(cmd_print_json(json_incref(j->list), j->err));
    return cmd_stop ? ERR(j->err, STOPPED, "stopped: this is of what was looked at until then") : 0;
}

static int judge_all(struct job *j, const char *model, int n_args)
{
    if (n_args > 1 || text || lines || labels)
        return ERR(j->err, USAGE, "--judge says what is judged: give no file, -p, --lines or --labels beside it");
    if (fields && config_vision(classifier_config(j->c)))
        return ERR(j->err, USAGE, "--fields is of texts, and this is a model of images");
    return classify_judge(j->c, &(struct judge_opts){ model, judge, fields, chosen_fit(), cmd_json, &cmd_stop }, j->err);
}

static int run_classify(const char *const *args, int n_args, struct err *err)
{
    cmd_catch_signals();
    struct pool *pool;
    struct job j = { .err = err, .list = cmd_json && !labels && !judge ? json_array() : NULL };
    const struct classify_opts o = { .bf16 = !strcmp(precision, "bf16"), .ctx = (int)ctx };
    int rc = cmd_pool(&pool, err);
    if (!rc)
        rc = classifier_new(&j.c, args[0], &o, pool, err);
    if (!rc && !judge)
        rc = run_all(&j, args, n_args);
    if (!rc && judge)
        rc = judge_all(&j, args[0], n_args);
    json_decref(j.list);
    mem_free(j.pixels);
    mem_free(j.probs);
    idx_release(&j.labels);
    classifier_free(j.c);
    return rc;
}

static const struct opt opts[] = {
    { OPT_STR, "p", &text, "<text>", "a text, for a model of texts", 0, 0 },
    { OPT_STR, "lines", &lines, "<file>", "each line of a file is a text", 0, 0 },
    { OPT_INT, "ctx", &ctx, "<int>", "tokens of a text at most; 0: the model's positions, up to 1024", 0, 1 << 24 },
    { OPT_INT, "top", &top, "<int>", "print so many classes, the most likely first", 1, 1 << 20 },
    { OPT_CHOICE, "fit", &fit, "refuse|stretch|crop", "images of another size than the model's: an error, both sides stretched, or the shorter one and the longer cut", 0, 0 },
    { OPT_STR, "labels", &labels, "<file>", "idx file of labels: only the accuracy on the idx file of images is printed", 0, 0 },
    { OPT_STR, "judge", &judge, "<path>", "with classes, which the model has not learned from: how often it is right, which classes it takes for which, and what it errs on most", 0, 0 },
    { OPT_STR, "fields", &fields, "<text=name,label=name>", "of --judge: members or columns that have other names than text and label", 0, 0 },
    { OPT_CHOICE, "precision", &precision, "fp32|bf16", "type of the products' operands", 0, 0 },
    OPT_THREADS,
    OPT_JSON,
    OPT_QUIET,
    OPT_LAST,
};
const struct command command_classify = {
    "classify", "MODEL [FILE...]", "which class an image or a text is of",
    TEXT("MODEL is a folder with a ViTForImageClassification or a ...ForSequenceClassification, as lathe train writes it.  FILE is a PNG\n"
    "or JPEG file, or an idx file of images (MNIST's form, plain or gzip); texts are given by -p or --lines.  One line for each: the\n"
    "image's name, the class and its probability.\n\n"
    "--judge PATH, JSON lines or CSV of texts with classes, or a folder with a folder of images for each class, is for what was held out: the accuracy\n"
    "with its 95 % interval (Wilson), the pairs of classes that are taken for each other, and of each pair those that the model is surest of and wrong.\n"
    "Of a text that is too long the beginning counts.  With --json it is evidence (doc/evaluation-report.md), which lathe registry add --evidence takes.\n\n"
    "    lathe classify run --judge held-out.jsonl --fields label=kind"),
    opts, run_classify, 1, FILES_MAX + 1,
};
