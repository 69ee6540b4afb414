#include "eval/calib_file.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "eval/npy.h"

struct arrays { const struct npz *z; struct npy *a; };      /* all that the archive has */

/* ---- which is which ---- */

static bool is_scores(const struct npy *a) { return a->kind == NPY_FLOAT && a->rank == 2 && a->n > 0; }

static bool is_labels(const struct npy *a, const struct npy *scores)
{
    if (a == scores || !a->n || a->rank < 1 || a->rank > 2 || a->shape[0] != scores->shape[0])
        return false;
    const bool one_hot = a->rank == 2 && a->shape[1] == scores->shape[1];
    return one_hot || (a->kind != NPY_FLOAT && (a->rank == 1 || a->shape[1] == 1));
}

static int which_error(const struct arrays *x, const char *what, int n_found, struct err *err)
{
    char list[300] = "", text[200];
    size_t at = 0;
    for (int i = 0; i < x->z->n_array && at < sizeof list - 1; i++) {
        npy_describe(&x->a[i], text);
        const int n = snprintf(list + at, sizeof list - at, "%s%s %s", i ? ", " : "", npz_name(x->z, i), text);
        at += n > 0 ? (size_t)n : 0;
    }
    return ERR(err, NOTFOUND, "%s: %s: %s; it has %s", x->z->name, n_found ? "several arrays may be these" : "no array is this", what, *list ? list : "nothing");
}

/* The array of this name or, without one, the only that fits. */
static int choose(const struct arrays *x, const char *name, const struct npy *scores, const char *what, struct err *err)
{
    int found = -1, n_found = 0;
    for (int i = 0; i < x->z->n_array; i++) {
        const bool fits = scores ? is_labels(&x->a[i], scores) : is_scores(&x->a[i]);
        if (name ? strcmp(npz_name(x->z, i), name) != 0 : !fits)
            continue;
        if (name && !fits) {
            char text[200];
            npy_describe(&x->a[i], text);
            return ERR(err, FORMAT, "%s: '%s' is %s, expected %s", x->z->name, name, text, what);
        }
        found = i, n_found++;
    }
    return n_found == 1 ? found : which_error(x, what, n_found, err);
}

/* ---- values ---- */

static int one_hot(const struct npy *a, int64_t i, const char *name, int32_t *out, struct err *err)
{
    int32_t at = -1;
    for (int64_t k = 0; k < a->shape[1]; k++) {
        const double v = npy_double(a, i * a->shape[1] + k);
        if ((v != 0 && v != 1) || (v == 1 && at >= 0))
            return ERR(err, FORMAT, "%s: row %" PRId64 " is not one-hot: one 1 and zeros", name, i);
        if (v == 1)
            at = (int32_t)k;
    }
    *out = at;
    return at < 0 ? ERR(err, FORMAT, "%s: row %" PRId64 " is not one-hot: it is all zeros", name, i) : 0;
}

static int read_labels(struct calib_file *f, const struct npy *a, struct err *err)
{
    for (int64_t i = 0; i < f->items.n; i++) {
        int64_t v = 0;
        if (a->rank == 2 && a->shape[1] > 1) {
            TRY(one_hot(a, i, f->labels, &f->label[i], err));
            continue;
        }
        TRY(npy_int(a, i, f->labels, &v, err));
        if (v < 0 || v >= f->items.n_class)
            return ERR(err, RANGE, "%s: element %" PRId64 " is %" PRId64 ", expected 0 to %d", f->labels, i, v, f->items.n_class - 1);
        f->label[i] = (int32_t)v;
    }
    return 0;
}

static bool are_probs(const struct calib_items *in)
{
    for (int64_t i = 0; i < in->n; i++) {
        double sum = 0;
        for (int k = 0; k < in->n_class; k++) {
            const double v = in->value[i * in->n_class + k];
            if (!(v >= 0 && v <= 1))
                return false;
            sum += v;
        }
        if (!(fabs(sum - 1) <= 1e-4))
            return false;
    }
    return true;
}

static int take(struct calib_file *f, const struct arrays *x, int i_scores, int i_labels, const char *kind, struct err *err)
{
    const struct npy *s = &x->a[i_scores];
    if (s->shape[0] > INT32_MAX || s->shape[1] > INT32_MAX)
        return ERR(err, RANGE, "%s: '%s' is larger than 2147483647 in a dimension", x->z->name, npz_name(x->z, i_scores));
    f->scores = mem_strdup(npz_name(x->z, i_scores)), f->labels = mem_strdup(npz_name(x->z, i_labels));
    f->value = mem_alloc_array((size_t)s->n, sizeof *f->value), f->label = mem_alloc_array((size_t)s->shape[0], sizeof *f->label);
    if (!f->scores || !f->labels || !f->value || !f->label)
        return ERR(err, NOMEM, "no memory for the %" PRId64 " scores of %s", s->n, x->z->name);
    for (int64_t i = 0; i < s->n; i++)
        f->value[i] = npy_double(s, i);
    f->items = (struct calib_items){ .n = s->shape[0], .n_class = (int)s->shape[1], .value = f->value, .label = f->label };
    TRY(read_labels(f, &x->a[i_labels], err));
    f->items.probs = kind ? !strcmp(kind, "probs") : are_probs(&f->items);
    return 0;
}

static int read_all(struct calib_file *f, struct arrays *x, const char *scores, const char *labels, const char *kind, struct err *err)
{
    for (int i = 0; i < x->z->n_array; i++)
        TRY(npz_read(x->z, i, &x->a[i], err));
    const int s = choose(x, scores, NULL, "logits or probabilities: floats [n,K]", err);
    TRY(s);
    const int l = choose(x, labels, &x->a[s], "labels: whole numbers [n], or one-hot [n,K]", err);
    TRY(l);
    return take(f, x, s, l, kind, err);
}

int calib_file_read(struct calib_file *out, const char *path, const char *scores, const char *labels, const char *kind, struct err *err)
{
    struct file_map map;
    struct npz z;
    *out = (struct calib_file){ 0 };
    if (kind && strcmp(kind, "probs") && strcmp(kind, "logits"))
        return ERR(err, USAGE, "'%s', expected logits or probs", kind);
    TRY(file_map_open(&map, path, err));
    int rc = npz_open(&z, map.data, map.size, path, err);
    if (rc >= 0) {
        struct arrays x = { &z, mem_alloc_array((size_t)z.n_array, sizeof *x.a) };
        rc = x.a ? read_all(out, &x, scores, labels, kind, err) : ERR(err, NOMEM, "no memory for the %d arrays of %s", z.n_array, path);
        for (int i = 0; i < z.n_array && x.a; i++)
            npy_release(&x.a[i]);
        mem_free(x.a);
        npz_close(&z);
    }
    file_map_close(&map);
    if (rc < 0)
        calib_file_release(out);
    return rc;
}

void calib_file_release(struct calib_file *f)
{
    mem_free(f->labels);
    mem_free(f->scores);
    mem_free(f->label);
    mem_free(f->value);
    *f = (struct calib_file){ 0 };
}
