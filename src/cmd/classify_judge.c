#include "cmd/classify_judge.h"
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "base/utf8.h"
#include "cmd/cmd.h"
#include "data/labelled.h"
#include "eval/evidence.h"
#include "eval/interval.h"
#include "model/model.h"

/* One that was judged wrong.  text: cut for people, or the path of an image. */
struct wrong { int is, said; float p, p_is; char *text; };
struct judge {
    struct classifier *c;
    const struct judge_opts *o;
    int n_label;
    int64_t n, n_right, n_cut, *confused;    /* [is][said] */
    struct wrong *wrong; int64_t n_wrong, cap;
    float *probs;
    struct err *err;
};

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory to judge a classifier"); }

/* ---- one by one ---- */

static char *shown_text(const char *s, size_t n)
{
    const size_t k = utf8_begin(s, n, WRONG_TEXT);
    char *out = mem_printf("%.*s%s", (int)k, s, k < n ? "…" : "");
    for (char *p = out; p && *p; p++)
        if ((unsigned char)*p < 32)
            *p = ' ';
    return out;
}

static int add_wrong(struct judge *j, int is, int said, const float *probs, char *text)
{
    if (!text)
        return no_memory(j->err);
    if (j->n_wrong == j->cap) {
        const int64_t cap = j->cap ? 2 * j->cap : 64;
        struct wrong *w = mem_realloc_array(j->wrong, (size_t)cap, sizeof *w);
        if (!w) {
            mem_free(text);
            return no_memory(j->err);
        }
        j->wrong = w, j->cap = cap;
    }
    j->wrong[j->n_wrong++] = (struct wrong){ is, said, probs[said], probs[is], text };
    return 0;
}

/* text: of n bytes; an image's path where n is 0. */
static int judge_one(struct judge *j, int is, const float *probs, const char *text, size_t n)
{
    int said = 0;
    for (int k = 1; k < j->n_label; k++)
        said = probs[k] > probs[said] ? k : said;
    j->n++, j->n_right += said == is, j->confused[(int64_t)is * j->n_label + said]++;
    return said == is ? 0 : add_wrong(j, is, said, probs, n ? shown_text(text, n) : mem_strdup(text));
}

/* Of a text that is too long, the beginning that fits. */
static int classify_beginning(struct judge *j, const char *text, size_t n)
{
    int rc = classifier_text(j->c, text, n, j->probs, j->err);
    j->n_cut += rc == ERR_RANGE;
    while (rc == ERR_RANGE && n > 1) {
        const size_t fits = (size_t)((double)n * classifier_ctx(j->c) / classifier_n_token(j->c));
        n = utf8_begin(text, n, fits < n ? fits : n - 1);
        rc = classifier_text(j->c, text, n, j->probs, j->err);
    }
    return rc;
}

static int judge_texts(struct judge *j, struct labels *names)
{
    struct text_list files = { 0 };
    struct labelled l = { 0 };
    int rc = text_add(&files, j->o->path, j->err);
    rc = rc ? rc : labelled_read(&l, &files, j->o->fields, names, true, j->err);
    for (int64_t i = 0; !rc && i < l.n && !*j->o->stop; i++) {
        size_t n;
        const char *text = labelled_text(&l, i, &n);
        rc = classify_beginning(j, text, n);
        rc = rc ? rc : judge_one(j, l.label[i], j->probs, text, n);
    }
    labelled_release(&l);
    text_release(&files);
    return rc;
}

static int judge_image(struct judge *j, int is, const char *path, uint8_t *pixels)
{
    const struct config *m = classifier_config(j->c);
    struct image x;
    TRY(image_read(&x, path, m->n_channel, j->err));
    const int rc = image_fit(&x, j->o->fit, m->image_size, pixels, path, j->err);
    image_release(&x);
    TRY(rc);
    classifier_images(j->c, pixels, 1, j->probs);
    return judge_one(j, is, j->probs, path, 0);
}

static int judge_class(struct judge *j, const struct labels *names, const char *class, uint8_t *pixels)
{
    char **name, *folder = file_join(j->o->path, class);
    const int is = labels_find(names, class);
    int n, rc = folder ? 0 : no_memory(j->err);
    if (!rc && is < 0)
        rc = ERR(j->err, FORMAT, "%s: no class of this name, expected one of the %d of the model", folder, names->n);
    rc = rc ? rc : file_list(folder, &name, &n, j->err);
    if (!rc) {
        for (int i = 0; i < n && !rc && !*j->o->stop; i++) {
            char *path = *name[i] == '.' ? NULL : file_join(folder, name[i]);
            rc = *name[i] == '.' ? 0 : path ? judge_image(j, is, path, pixels) : no_memory(j->err);
            mem_free(path);
        }
        file_list_free(name, n);
    }
    mem_free(folder);
    return rc;
}

static int judge_images(struct judge *j, const struct labels *names)
{
    const struct config *m = classifier_config(j->c);
    uint8_t *pixels = mem_alloc_array((size_t)m->n_channel, (size_t)m->image_size * (size_t)m->image_size);
    char **class;
    int n, rc = pixels ? file_list(j->o->path, &class, &n, j->err) : no_memory(j->err);
    if (!rc) {
        for (int i = 0; i < n && !rc; i++)
            rc = *class[i] == '.' ? 0 : judge_class(j, names, class[i], pixels);
        file_list_free(class, n);
    }
    mem_free(pixels);
    return rc;
}

/* ---- telling ---- */

struct pair { int is, said; int64_t n; };

static int more_often(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    return x->n != y->n ? (x->n < y->n ? 1 : -1) : x->is != y->is ? x->is - y->is : x->said - y->said;
}

static int put_confusions(json_t *tree, const struct judge *j, const struct labels *names)
{
    int n = 0;
    json_t *list = json_array();
    struct pair *pair = mem_alloc_array((size_t)j->n_label * (size_t)j->n_label + 1, sizeof *pair);
    for (int is = 0; pair && is < j->n_label; is++)
        for (int said = 0; said < j->n_label; said++) {
            const int64_t times = j->confused[(int64_t)is * j->n_label + said];
            if (times && is != said)
                pair[n++] = (struct pair){ is, said, times };
        }
    if (pair && n)
        qsort(pair, (size_t)n, sizeof *pair, more_often);
    int rc = list && pair ? 0 : no_memory(j->err);
    for (int i = 0; i < n && !rc; i++)
        rc = json_array_append_new(list, json_pack("{s:s, s:s, s:I}", "is", names->name[pair[i].is], "said", names->name[pair[i].said], "n", (json_int_t)pair[i].n)) ? no_memory(j->err) : 0;
    mem_free(pair);
    const int put = evidence_put(tree, "confusions", list, j->err);
    return rc ? rc : put;
}

static int surer(const void *a, const void *b)
{
    const struct wrong *x = a, *y = b;
    const float dx = x->p - x->p_is, dy = y->p - y->p_is;
    return dx != dy ? (dx < dy ? 1 : -1) : strcmp(x->text, y->text);
}

static int put_wrong(json_t *tree, struct judge *j, const struct labels *names)
{
    const bool images = config_vision(classifier_config(j->c));
    json_t *list = json_array();
    int *shown = mem_alloc_array((size_t)j->n_label * (size_t)j->n_label + 1, sizeof *shown);
    int rc = list && shown ? 0 : no_memory(j->err), n = 0;
    if (j->n_wrong)
        qsort(j->wrong, (size_t)j->n_wrong, sizeof *j->wrong, surer);
    for (int64_t i = 0; i < j->n_wrong && n < WRONG_MOST && !rc; i++) {
        const struct wrong *w = &j->wrong[i];
        if (shown[(int64_t)w->is * j->n_label + w->said]++ >= WRONG_EACH)
            continue;
        n++;
        rc = json_array_append_new(list, json_pack("{s:s, s:s, s:f, s:f, s:o}", "is", names->name[w->is], "said", names->name[w->said], "p", (double)w->p, "p_is", (double)w->p_is,
                                                   images ? "file" : "text", tree_text(w->text, strlen(w->text)))) ? no_memory(j->err) : 0;
    }
    mem_free(shown);
    const int put = evidence_put(tree, "wrong", list, j->err);
    return rc ? rc : put;
}

static int fill(json_t *tree, struct judge *j, const struct labels *names)
{
    double ci[2];
    TRY(interval_wilson(j->n_right, j->n, 0.95, ci, j->err));
    TRY(evidence_figure(tree, &(struct evidence_figure){ "accuracy", NULL, (double)j->n_right / (double)j->n, ci[0], ci[1], j->n, EVIDENCE_HIGHER, "share of what was held out that is told right" }, j->err));
    TRY(evidence_put(tree, "data", tree_text(j->o->path, strlen(j->o->path)), j->err));
    TRY(evidence_put(tree, "n", json_integer(j->n), j->err));
    TRY(evidence_put(tree, "right", json_integer(j->n_right), j->err));
    TRY(evidence_put(tree, "cut", json_integer(j->n_cut), j->err));
    json_t *classes = json_array();
    for (int i = 0; classes && i < names->n; i++)
        if (json_array_append_new(classes, json_string(names->name[i]))) {
            json_decref(classes);
            classes = NULL;
        }
    TRY(evidence_put(tree, "classes", classes, j->err));
    TRY(put_confusions(tree, j, names));
    return put_wrong(tree, j, names);
}

static void print(const json_t *tree)
{
    size_t i;
    const json_t *o, *f = json_array_get(json_object_get(tree, "figures"), 0);
    printf("accuracy %.2f %% (%.2f to %.2f), %lld of %lld", 100 * json_number_value(json_object_get(f, "value")), 100 * json_number_value(json_object_get(f, "low")),
           100 * json_number_value(json_object_get(f, "high")), (long long)json_integer_value(json_object_get(tree, "right")), (long long)json_integer_value(json_object_get(tree, "n")));
    printf(json_integer_value(json_object_get(tree, "cut")) ? "; %lld texts were cut\n" : "\n", (long long)json_integer_value(json_object_get(tree, "cut")));
    json_array_foreach(json_object_get(tree, "confusions"), i, o)
        if (i < 10)
            printf("%s taken for %s: %lld\n", json_string_value(json_object_get(o, "is")), json_string_value(json_object_get(o, "said")), (long long)json_integer_value(json_object_get(o, "n")));
    json_array_foreach(json_object_get(tree, "wrong"), i, o)
        if (i < 10)
            printf("  %s, said %s (%.4f): %.100s\n", json_string_value(json_object_get(o, "is")), json_string_value(json_object_get(o, "said")), json_number_value(json_object_get(o, "p")),
                   json_string_value(json_object_get(o, json_object_get(o, "text") ? "text" : "file")));
}

static int tell(struct judge *j, const struct labels *names)
{
    char sha256[SHA256_HEX];
    json_t *tree;
    if (!j->n)
        return ERR(j->err, FORMAT, "%s: nothing to judge by", j->o->path);
    TRY(model_digest(j->o->model, sha256, j->err));
    TRY(evidence_new(&tree, "classes", j->o->model, sha256, 0, j->err));
    const int rc = fill(tree, j, names);
    if (!rc && j->o->json)
        return cmd_print_json(tree, j->err);
    if (!rc)
        print(tree);
    json_decref(tree);
    return rc;
}

int classify_judge(struct classifier *c, const struct judge_opts *o, struct err *err)
{
    struct labels *names = (struct labels *)(uintptr_t)classifier_labels(c);         /* read alone: no class is added */
    struct judge j = { .c = c, .o = o, .n_label = names->n, .err = err };
    j.confused = mem_alloc_array((size_t)names->n, (size_t)names->n * sizeof *j.confused);
    j.probs = mem_alloc_array((size_t)names->n, sizeof *j.probs);
    int rc = j.confused && j.probs ? 0 : no_memory(err);
    rc = rc ? rc : config_vision(classifier_config(c)) ? judge_images(&j, names) : judge_texts(&j, names);
    if (!rc && *o->stop)
        rc = ERR(err, STOPPED, "stopped while it was judged");
    rc = rc ? rc : tell(&j, names);
    for (int64_t i = 0; i < j.n_wrong; i++)
        mem_free(j.wrong[i].text);
    mem_free(j.wrong), mem_free(j.confused), mem_free(j.probs);
    return rc;
}
