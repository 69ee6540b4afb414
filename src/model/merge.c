#include "model/merge.h"
#include <float.h>
#include <math.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "model/convert.h"
#include "model/vision.h"
#include "model/weights_read.h"

int merge_check(const struct model *m, const struct adapter *a, struct err *err)
{
    struct weights_reader *r;
    char base[SHA256_HEX];
    TRY(weights_reader_new(&r, m, err));
    int rc = adapter_base(base, m->list, weights_reader_floats, r, err);
    if (!rc)
        rc = weights_reader_error(r, err);
    weights_reader_free(r);
    return rc ? rc : adapter_check_base(a, base, err);
}

/* ---- safetensors ---- */

/* most: the largest number that the type written has; what is beyond is told of as the first: number `bad_at` of weight `bad`, which is bad_x. */
struct merged { const struct weights_list *l, *from; const struct adapter *a; struct weights_reader *reader; float *w, most; int bad; int64_t bad_at; float bad_x; };

/* NULL ends the writing. */
static const float *look_at(struct merged *m, int i, const float *x)
{
    for (int64_t k = 0; k < m->l->weight[i].n && m->bad < 0; k++)
        if (!(fabsf(x[k]) <= m->most))
            m->bad = i, m->bad_at = k, m->bad_x = x[k];
    return m->bad < 0 ? x : NULL;
}

static int say_number(const struct merged *m, const char *path, struct err *err)
{
    const struct weight *w = &m->l->weight[m->bad];
    struct weight_part p = weight_part(m->l, w, 0);
    for (int j = 1; j < w->n_part && m->bad_at >= (p.row + p.n_row) * p.n_col; j++)
        p = weight_part(m->l, w, j);
    return ERR(err, NUMERIC, "%s: a number of tensor '%s' would be %g, expected at most %g in magnitude; nothing was written", path, p.name, (double)m->bad_x, (double)m->most);
}

static const float *floats_of(void *ctx, int i)
{
    struct merged *m = ctx;
    const struct weight *w = &m->l->weight[i];
    if (adapter_whole(m->a, i))
        return look_at(m, i, adapter_whole(m->a, i));
    const int from = weights_find(m->from, w->name, w->n);
    if (from < 0)
        return NULL;
    const float *x = weights_reader_floats(m->reader, from);
    if (weights_reader_error(m->reader, NULL) < 0)
        return NULL;
    if (!adapter_changes(m->a, i))
        return look_at(m, i, x);
    memcpy(m->w, x, (size_t)w->n * sizeof *x);
    for (int64_t row = 0; row < w->shape[0]; row++)
        adapter_add_row(m->a, i, row, m->w + row * w->shape[1]);
    return look_at(m, i, m->w);
}

static int64_t largest_changed(const struct weights_list *l, const struct adapter *a)
{
    int64_t n = 1;
    for (int i = 0; i < l->n_weight; i++)
        n = adapter_changes(a, i) && l->weight[i].n > n ? l->weight[i].n : n;
    return n;
}

static int write_weights(struct merged *m, const struct model *from, const char *path, enum st_dtype dtype, struct err *err)
{
    m->w = mem_alloc_array((size_t)largest_changed(m->l, m->a), sizeof *m->w);
    int rc = m->w ? weights_reader_new(&m->reader, from, err) : ERR(err, NOMEM, "no memory for the largest weight");
    if (!rc)
        rc = weights_save(m->l, path, dtype, floats_of, m, NULL, 0, NULL, NULL, err);
    if (m->bad >= 0)
        rc = say_number(m, path, err);
    else if (m->reader && weights_reader_error(m->reader, err) < 0)
        rc = weights_reader_error(m->reader, err);
    weights_reader_free(m->reader);
    mem_free(m->w);
    return rc;
}

/* What images must look like. */
static int write_preprocessor(const struct config *c, const char *base, const char *folder, struct err *err)
{
    struct vision v;
    struct buf b;
    TRY(vision_load(&v, c, base, err));
    buf_init(&b);
    char *path = file_join(folder, "preprocessor_config.json");
    int rc = path ? vision_write(&v, c, &b, err) : ERR(err, NOMEM, "no memory for a path");
    if (!rc)
        rc = file_write_all(path, b.data, b.len, err);
    mem_free(path);
    buf_release(&b);
    return rc;
}

/* The base's configuration with the classes that the adapters bring; what names them belongs to *labels. */
static int classes_of(struct config *c, struct labels *labels, const struct adapter *a, const char *base, struct err *err)
{
    TRY(adapter_labels(a, labels, err));
    if (!labels->n && c->n_label)
        TRY(labels_load(labels, c, base, err));
    if (!labels->n && adapter_has_head(a))
        return ERR(err, USAGE, "%s has no head for classes, and the adapters, which bring one, do not name the classes; expected a base whose config.json does", base);
    if (c->n_label && c->n_label != labels->n)
        return ERR(err, USAGE, "%s has %d classes, the adapters %d", base, c->n_label, labels->n);
    if (!labels->n)
        return 0;
    c->n_label = labels->n, c->label = (const char *const *)labels->name;
    return config_validate(c, base, err);
}

static int to_folder(const struct model *from, const struct config *c, struct adapter *a, const char *folder, enum st_dtype dtype, struct err *err)
{
    struct weights_list *l = NULL;
    char *path = file_join(folder, "model.safetensors");
    int rc = path ? weights_list_new(&l, c, err) : ERR(err, NOMEM, "no memory to write %s", folder);
    if (!rc)
        rc = adapter_bind(a, l, err);
    for (int i = 0; !rc && i < l->n_weight; i++)
        if (!adapter_whole(a, i) && weights_find(from->list, l->weight[i].name, l->weight[i].n) < 0)
            rc = ERR(err, USAGE, "weight '%s' is neither in the model nor in the adapters", l->weight[i].name);
    if (!rc)
        rc = file_mkdirs(folder, err);
    struct merged m = { .l = l, .from = from->list, .a = a, .bad = -1, .most = dtype == ST_F16 ? 65504 : dtype == ST_BF16 ? 0x1.fep127f : FLT_MAX };
    if (!rc)
        rc = write_weights(&m, from, path, dtype, err);
    if (!rc)
        rc = config_save(c, dtype, folder, err);
    weights_list_free(l);
    mem_free(path);
    return rc;
}

int merge_folder(const struct model *from, const char *base, struct adapter *a, const char *folder, enum st_dtype dtype, struct err *err)
{
    struct config c = from->config;
    struct labels labels;
    int rc = classes_of(&c, &labels, a, base, err);
    if (!rc)
        rc = to_folder(from, &c, a, folder, dtype, err);
    if (!rc && config_vision(&c))
        rc = write_preprocessor(&c, base, folder, err);
    labels_release(&labels);
    return rc;
}

/* ---- GGUF ---- */

/* A tensor of the file that a weight of ours consists of. */
struct target { int weight; struct weight_part part; };
struct by_tensor { const struct adapter *a; struct target *target; int n; };

static bool changes(void *ctx, const char *name)
{
    const struct by_tensor *b = ctx;
    for (int i = 0; i < b->n; i++)
        if (!strcmp(b->target[i].part.name, name))
            return true;
    return false;
}

/* A tensor may hold parts of one weight only, or several one after the other (phi3's fused ones are one part). */
static void change(void *ctx, const char *name, int64_t row, int64_t columns, float *x)
{
    const struct by_tensor *b = ctx;
    for (int i = 0; i < b->n; i++) {
        const struct weight_part *p = &b->target[i].part;
        const int64_t k = row * columns - p->at;
        if (!strcmp(p->name, name) && k >= 0 && k < p->n_row * p->n_col)
            adapter_add_row(b->a, b->target[i].weight, weight_part_place(p, k) / columns, x);
    }
}

static int find_targets(struct by_tensor *b, const struct weights_list *l, struct err *err)
{
    int n = 0;
    for (int i = 0; i < l->n_weight; i++)
        n += adapter_changes(b->a, i) ? l->weight[i].n_part : 0;
    if (!(b->target = mem_alloc_array((size_t)n, sizeof *b->target)))
        return ERR(err, NOMEM, "no memory for %d tensors that change", n);
    for (int i = 0; i < l->n_weight; i++)
        for (int j = 0; adapter_changes(b->a, i) && j < l->weight[i].n_part; j++) {
            const struct weight_part p = weight_part(l, &l->weight[i], j);
            if (p.transposed || p.plus_one)
                return ERR(err, UNSUPPORTED, "tensor '%s' lies transposed", p.name);
            b->target[b->n++] = (struct target){ i, p };
        }
    return 0;
}

int merge_gguf(const struct model *m, struct adapter *a, const char *path, const struct mix *mix, struct pool *pool, struct err *err)
{
    struct by_tensor b = { .a = a };
    struct weights_list *l;
    if (adapter_has_head(a))
        return ERR(err, UNSUPPORTED, "the adapters have a head for classes, which a GGUF file has no place for; make MODEL a folder first: lathe quantize MODEL --format safetensors --to f32");
    TRY(weights_list_new(&l, &m->config, err));      /* whose modules have the names that adapters know */
    int rc = adapter_bind(a, l, err);
    if (!rc)
        rc = find_targets(&b, m->list, err);
    const struct convert c = { .mix = mix, .pool = pool, .changes = changes, .change = change, .ctx = &b };
    if (!rc)
        rc = convert_gguf(m->source, path, &c, err);
    mem_free(b.target);
    weights_list_free(l);
    return rc;
}
