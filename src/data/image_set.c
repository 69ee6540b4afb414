#include "data/image_set.h"
#include <string.h>
#include "base/mem.h"
#include "data/idx.h"

#define HEADER 64
static const char magic[8] = { 'L', 'A', 'T', 'H', 'E', 'I', 'M', 'G' };
struct header { char magic[8]; uint32_t version, n_channel, size, n_label; uint64_t n; char zero[32]; };
_Static_assert(sizeof(struct header) == HEADER, "the header's size on disk");

/* ---- what is to be written: files, or the images of an idx file ---- */

struct source { char **path; int32_t *label; int64_t n, cap; struct idx images; const char *name; };

static void release(struct source *s)
{
    for (int64_t i = 0; s->path && i < s->n; i++)
        mem_free(s->path[i]);
    mem_free(s->path);
    mem_free(s->label);
    idx_release(&s->images);
}

static int add_file(struct source *s, char *path, int32_t label, struct err *err)
{
    if (!path)
        return ERR(err, NOMEM, "no memory for a path");
    if (s->n == s->cap) {
        const int64_t cap = s->cap ? 2 * s->cap : 256;
        char **p = mem_realloc_array(s->path, (size_t)cap, sizeof *p);
        s->path = p ? p : s->path;
        int32_t *l = p ? mem_realloc_array(s->label, (size_t)cap, sizeof *l) : NULL;
        s->label = l ? l : s->label;
        if (!l) {
            mem_free(path);
            return ERR(err, NOMEM, "no memory for the names of %lld images", (long long)cap);
        }
        s->cap = cap;
    }
    s->path[s->n] = path, s->label[s->n++] = label;
    return 0;
}

static int add_class(struct source *s, const char *folder, int32_t label, struct err *err)
{
    char **name;
    int n, rc = 0;
    const int64_t before = s->n;
    TRY(file_list(folder, &name, &n, err));
    for (int i = 0; i < n && !rc; i++) {
        if (*name[i] == '.')
            continue;
        rc = image_is_file(name[i]) ? add_file(s, file_join(folder, name[i]), label, err)
                                    : ERR(err, FORMAT, "%s/%s is no image file, expected .png, .jpg or .jpeg", folder, name[i]);
    }
    file_list_free(name, n);
    return rc ? rc : s->n == before ? ERR(err, FORMAT, "%s: a class without an image", folder) : 0;
}

static int class_of(const char *name, struct labels *names, bool fixed, const char *folder, struct err *err)
{
    int label = labels_find(names, name);
    if (label < 0 && fixed)
        return ERR(err, FORMAT, "%s/%s: no class of this name, expected one of the %d that are trained", folder, name, names->n);
    if (label < 0) {
        label = names->n;
        TRY(labels_add(names, name, err));
    }
    return label;
}

static int from_folder(struct source *s, const char *folder, struct labels *names, bool fixed, struct err *err)
{
    char **name;
    int n, rc = 0;
    TRY(file_list(folder, &name, &n, err));
    for (int i = 0; i < n && rc >= 0; i++) {
        if (*name[i] == '.')
            continue;
        char *sub = file_join(folder, name[i]);
        if (!sub)
            rc = ERR(err, NOMEM, "no memory for a path");
        else if (!file_is_dir(sub))
            rc = ERR(err, FORMAT, "%s is no folder, expected one for each class", sub);
        else if ((rc = class_of(name[i], names, fixed, folder, err)) >= 0)
            rc = add_class(s, sub, rc, err);
        mem_free(sub);
    }
    file_list_free(name, n);
    return rc < 0 ? rc : !s->n ? ERR(err, FORMAT, "%s: no images, expected a folder for each class", folder) : 0;
}

static int name_numbers(struct labels *names, int n, struct err *err)
{
    for (int i = names->n; i < n; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        TRY(labels_add(names, text, err));
    }
    return 0;
}

static int read_idx_labels(struct source *s, const struct idx *l, const char *path, struct labels *names, bool fixed, struct err *err)
{
    if (l->rank != 1 || l->size[0] != s->images.size[0])
        return ERR(err, FORMAT, "%s: rank %d and %lld labels, expected one label for each of %lld images", path, l->rank, (long long)l->size[0], (long long)s->images.size[0]);
    if (!(s->label = mem_alloc_array((size_t)l->size[0], sizeof *s->label)))
        return ERR(err, NOMEM, "no memory for %lld labels", (long long)l->size[0]);
    int highest = 0;
    for (; s->n < l->size[0]; s->n++) {
        const int label = s->label[s->n] = (uint8_t)l->bytes.data[s->n];
        if (fixed && label >= names->n)
            return ERR(err, RANGE, "%s: image %lld has label %d, expected 0 to %d", path, (long long)s->n, label, names->n - 1);
        highest = label > highest ? label : highest;
    }
    return fixed ? 0 : name_numbers(names, highest + 1, err);
}

static int from_idx(struct source *s, const char *images, const char *labels, struct labels *names, bool fixed, struct err *err)
{
    struct idx l;
    s->name = images;
    TRY(idx_read(&s->images, images, err));
    if (s->images.rank != 3 || s->images.size[1] > IMAGE_SIDE_MAX || s->images.size[2] > IMAGE_SIDE_MAX)
        return ERR(err, FORMAT, "%s: rank %d, expected 3 (images, rows, columns) of at most %d a side", images, s->images.rank, IMAGE_SIDE_MAX);
    TRY(idx_read(&l, labels, err));
    const int rc = read_idx_labels(s, &l, labels, names, fixed, err);
    idx_release(&l);
    return rc;
}

static int gather(struct source *s, const struct image_source *o, struct labels *names, bool fixed, struct err *err)
{
    if (o->n_path == 1 && file_is_dir(o->path[0]))
        return from_folder(s, o->path[0], names, fixed, err);
    if (o->n_path == 2)
        return from_idx(s, o->path[0], o->path[1], names, fixed, err);
    return ERR(err, USAGE, "%s%s: expected one folder of classes, or two idx files: images, labels", o->path[0], o->n_path > 2 ? " and more" : "");
}

/* Image i, and what to call it. */
static int get(const struct source *s, int64_t i, int n_channel, struct image *x, char name[200], struct err *err)
{
    if (s->path) {
        snprintf(name, 200, "%.199s", s->path[i]);
        return image_read(x, s->path[i], n_channel, err);
    }
    const int64_t h = s->images.size[1], w = s->images.size[2];
    snprintf(name, 200, "%.150s: image %lld", s->name, (long long)i);
    *x = (struct image){ n_channel, (int)h, (int)w, mem_alloc_array((size_t)(h * w), (size_t)n_channel) };
    if (!x->pixels)
        return ERR(err, NOMEM, "no memory for %s", name);
    for (int c = 0; c < n_channel; c++)
        memcpy(x->pixels + c * h * w, s->images.bytes.data + i * h * w, (size_t)(h * w));
    return 0;
}

/* ---- writing ---- */

static int fit_to_first(const struct source *s, struct image_source *o, struct err *err)
{
    struct image first;
    char name[200];
    if (!o->n_channel)
        o->n_channel = s->path ? 3 : 1;
    if (o->size)
        return 0;
    TRY(get(s, 0, o->n_channel, &first, name, err));
    o->size = first.width < first.height ? first.width : first.height;
    const int width = first.width, height = first.height;
    image_release(&first);
    return width == height || o->fit != IMAGE_REFUSE ? 0 : ERR(err, FORMAT, "%s: %d by %d pixels, expected a square; data.fit says what else to do", name, width, height);
}

static int write_head(struct file_writer *w, const struct source *s, const struct image_source *o, int n_label, struct err *err)
{
    static const char zeros[HEADER];
    struct header h = { .version = 1, .n_channel = (uint32_t)o->n_channel, .size = (uint32_t)o->size, .n_label = (uint32_t)n_label, .n = (uint64_t)s->n };
    memcpy(h.magic, magic, sizeof magic);
    TRY(file_writer_add(w, &h, sizeof h, err));
    TRY(file_writer_add(w, s->label, (size_t)s->n * sizeof *s->label, err));
    return file_writer_add(w, zeros, (size_t)(-s->n * 4 & (HEADER - 1)), err);
}

static int write_images(struct file_writer *w, const struct source *s, const struct image_source *o, struct err *err)
{
    const size_t n = (size_t)o->n_channel * (size_t)o->size * (size_t)o->size;
    uint8_t *pixels = mem_alloc(n);
    int rc = pixels ? 0 : ERR(err, NOMEM, "no memory for an image of %zu bytes", n);
    for (int64_t i = 0; i < s->n && !rc; i++) {
        struct image x;
        char name[200];
        rc = get(s, i, o->n_channel, &x, name, err);
        if (!rc)
            rc = image_fit(&x, o->fit, o->size, pixels, name, err);
        if (!rc)
            rc = file_writer_add(w, pixels, n, err);
        image_release(&x);
    }
    mem_free(pixels);
    return rc;
}

int image_set_write(const char *out, struct image_source *o, struct labels *names, bool fixed, struct err *err)
{
    struct source s = { 0 };
    struct file_writer w;
    int rc = gather(&s, o, names, fixed, err);
    if (!rc)
        rc = fit_to_first(&s, o, err);
    if (!rc && !(rc = file_writer_open(&w, out, err))) {
        rc = write_head(&w, &s, o, names->n, err);
        if (!rc)
            rc = write_images(&w, &s, o, err);
        if (rc)
            file_writer_abort(&w);
        else
            rc = file_writer_commit(&w, err);
    }
    release(&s);
    return rc;
}

/* ---- reading ---- */

static int check_header(struct image_set *s, const char *path, struct err *err)
{
    struct header h;
    if (s->map.size < HEADER || memcmp(s->map.data, magic, sizeof magic))
        return ERR(err, FORMAT, "%s is not a file of images", path);
    memcpy(&h, s->map.data, sizeof h);
    if (h.version != 1 || h.n_channel < 1 || h.n_channel > 16 || h.size < 1 || h.size > IMAGE_SIDE_MAX)
        return ERR(err, UNSUPPORTED, "%s: version %u, %u channels, size %u", path, h.version, h.n_channel, h.size);
    const uint64_t bytes = (uint64_t)h.n_channel * h.size * h.size, left = s->map.size - HEADER;
    if (!h.n || h.n > left / bytes || HEADER + (h.n * 4 + HEADER - 1) / HEADER * HEADER + h.n * bytes != s->map.size)
        return ERR(err, CORRUPT, "%s: %zu bytes for %llu images", path, s->map.size, (unsigned long long)h.n);
    s->n_channel = (int)h.n_channel, s->size = (int)h.size, s->n = (int64_t)h.n, s->n_label = (int)h.n_label;
    s->label = (const int32_t *)(const void *)(s->map.data + HEADER);
    s->pixels = (const uint8_t *)s->map.data + HEADER + (h.n * 4 + HEADER - 1) / HEADER * HEADER;
    for (int64_t i = 0; i < s->n; i++)
        if (s->label[i] < 0 || s->label[i] >= s->n_label)
            return ERR(err, CORRUPT, "%s: label %d, expected 0 to %d", path, s->label[i], s->n_label - 1);
    return 0;
}

int image_set_open(struct image_set *s, const char *path, struct err *err)
{
    *s = (struct image_set){ 0 };
    TRY(file_map_open(&s->map, path, err));
    const int rc = check_header(s, path, err);
    if (rc)
        image_set_close(s);
    return rc;
}

void image_set_close(struct image_set *s)
{
    file_map_close(&s->map);
    *s = (struct image_set){ 0 };
}
