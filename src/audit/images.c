#include "audit/images.h"
#include <stdlib.h>
#include <string.h>
#include "audit/stage.h"
#include "base/mem.h"

/* ---- one ---- */

/* Mean grey of rows y0 .. y1-1 and columns x0 .. x1-1. */
static double cell(const struct image *x, int y0, int y1, int x0, int x1)
{
    const int64_t plane = (int64_t)x->height * x->width;
    uint64_t sum = 0;
    for (int c = 0; c < x->n_channel; c++)
        for (int i = y0; i < y1; i++)
            for (int k = x0; k < x1; k++)
                sum += x->pixels[c * plane + (int64_t)i * x->width + k];
    return (double)sum / ((double)(y1 - y0) * (x1 - x0) * x->n_channel);
}

struct image_facts image_facts_of(const struct image *x)
{
    struct image_facts f = { x->height, x->width, x->n_channel, 0, 0 };
    if (x->height < IMAGE_LOOK_SIDE || x->width < IMAGE_LOOK_SIDE)
        return f;
    for (int i = 0; i < 8; i++) {
        double left = 0;
        for (int k = 0; k < 9; k++) {
            const double grey = cell(x, (int)((int64_t)i * x->height / 8), (int)((int64_t)(i + 1) * x->height / 8), (int)((int64_t)k * x->width / 9), (int)((int64_t)(k + 1) * x->width / 9));
            if (k)
                f.look = f.look << 1 | (grey > left);
            left = grey;
        }
    }
    return f;
}

int image_cells(const struct image *x, struct buf *out, struct err *err)
{
    const int rows = x->height < IMAGE_CELLS_SIDE ? x->height : IMAGE_CELLS_SIDE, columns = x->width < IMAGE_CELLS_SIDE ? x->width : IMAGE_CELLS_SIDE;
    const int64_t plane = (int64_t)x->height * x->width;
    for (int c = 0; c < x->n_channel; c++) {
        const struct image one = { .pixels = x->pixels + c * plane, .n_channel = 1, .height = x->height, .width = x->width };
        unsigned char grey[IMAGE_CELLS_SIDE * IMAGE_CELLS_SIDE] = { 0 };
        for (int i = 0; i < rows; i++)
            for (int k = 0; k < columns; k++)
                grey[i * IMAGE_CELLS_SIDE + k] = (unsigned char)cell(&one, (int)((int64_t)i * x->height / rows), (int)((int64_t)(i + 1) * x->height / rows), (int)((int64_t)k * x->width / columns),
                                                                     (int)((int64_t)(k + 1) * x->width / columns));
        TRY(buf_add(out, grey, sizeof grey, err));
    }
    return 0;
}

int image_sha256(const struct image *x, unsigned char sum[SHA256_BYTES], struct err *err)
{
    const int32_t size[3] = { x->n_channel, x->height, x->width };
    const size_t n = (size_t)x->n_channel * (size_t)x->height * (size_t)x->width;
    char *all = mem_alloc(sizeof size + n);
    if (!all)
        return ERR(err, NOMEM, "no memory for an image of %zu bytes", n);
    memcpy(all, size, sizeof size);
    memcpy(all + sizeof size, x->pixels, n);
    sha256_bytes(all, sizeof size + n, sum);
    mem_free(all);
    return 0;
}

/* ---- all ---- */

struct look { uint64_t look; int64_t record; };
struct looks { struct look *at; size_t n, cap; int64_t n_image; json_t *sizes, *classes; };

static int by_look(const void *p, const void *q)
{
    const struct look *a = p, *b = q;
    return a->look != b->look ? (a->look > b->look) - (a->look < b->look) : (a->record > b->record) - (a->record < b->record);
}

static int count_one(json_t *o, const char *key, size_t n, struct err *err)
{
    char word[256];
    snprintf(word, sizeof word, "%.*s", (int)(n < 255 ? n : 255), key);
    return json_object_set_new(o, word, json_integer(json_integer_value(json_object_get(o, word)) + 1)) ? ERR(err, NOMEM, "no memory for what images there are") : 0;
}

/* The folder that an image lies in is its class, unless it is the source itself. */
static int count_class(struct looks *l, const struct audit *a, uint32_t file, struct err *err)
{
    const char *path = a->s->file[file].path, *source = a->s->source[a->s->file[file].source].path, *slash = strrchr(path, '/'), *from = slash;
    if (a->s->file[file].format != RECORD_IMAGE || !slash || (size_t)(slash - path) <= strlen(source))
        return 0;
    while (from > path && from[-1] != '/')
        from--;
    return count_one(l->classes, from, (size_t)(slash - from), err);
}

static int add_image(struct looks *l, const struct segment *g, int i, const struct audit *a, struct err *err)
{
    const struct image_facts *f = (const struct image_facts *)g->data[SECTION_image] + i;
    char size[64];
    if (!f->height)
        return 0;
    snprintf(size, sizeof size, "%dx%dx%d", f->width, f->height, f->n_channel);
    l->n_image++;
    TRY(count_one(l->sizes, size, strlen(size), err));
    TRY(count_class(l, a, segment_place(g, i)->file, err));
    if (!f->look || !audit_kept(a, g->first + i))
        return 0;
    if (l->n == l->cap) {
        const size_t cap = l->cap ? 2 * l->cap : 1024;
        struct look *more = mem_realloc_array(l->at, cap, sizeof *more);
        if (!more)
            return ERR(err, NOMEM, "no memory for %zu images", cap);
        l->at = more, l->cap = cap;
    }
    l->at[l->n++] = (struct look){ f->look, g->first + i };
    return 0;
}

#define GROUPS_SHOWN 20
#define OF_GROUP_SHOWN 4

static int show_group(struct audit *a, json_t *shown, const struct look *at, size_t n, struct err *err)
{
    json_t *group = json_array();
    int rc = group && !json_array_append_new(shown, group) ? 0 : ERR(err, NOMEM, "no memory for images that look the same");
    for (size_t i = 0; i < n && i < OF_GROUP_SHOWN && !rc; i++) {
        json_t *o = json_object();
        rc = o && !json_array_append_new(group, o) ? audit_example(a, o, at[i].record, EXAMPLE_NO_TEXT, 0, err) : ERR(err, NOMEM, "no memory for images that look the same");
    }
    return rc;
}

/* Copies were dropped before: what is left looks the same, and is not. */
static int tell(struct audit *a, struct looks *l, struct err *err)
{
    json_t *shown = json_array();
    int64_t n_group = 0, n_alike = 0;
    int rc = shown ? 0 : ERR(err, NOMEM, "no memory for images that look the same");
    if (l->n)
        qsort(l->at, l->n, sizeof *l->at, by_look);
    for (size_t i = 0, end; i < l->n && !rc; i = end) {
        for (end = i + 1; end < l->n && l->at[end].look == l->at[i].look;)
            end++;
        if (end - i < 2)
            continue;
        n_group++, n_alike += (int64_t)(end - i) - 1;
        if (n_group <= GROUPS_SHOWN)
            rc = show_group(a, shown, l->at + i, end - i, err);
    }
    json_t *part = rc ? NULL : json_pack("{s:I, s:O, s:O, s:{s:I, s:I, s:O}}", "n", (json_int_t)l->n_image, "sizes", l->sizes, "classes", l->classes, "alike", "groups", (json_int_t)n_group, "records", (json_int_t)n_alike, "examples", shown);
    json_decref(shown);
    return rc ? rc : audit_report(a, "images", part, err);
}

int stage_images(struct audit *a, struct err *err)
{
    struct looks l = { .sizes = json_object(), .classes = json_object() };
    int rc = l.sizes && l.classes ? 0 : ERR(err, NOMEM, "no memory for the sizes of images");
    for (int i = 0; i < a->store.n_segment && !rc; i++) {
        struct segment g;
        if ((rc = store_segment(&a->store, i, &g, err)))
            break;
        for (int k = 0; k < g.n && !rc; k++)
            rc = add_image(&l, &g, k, a, err);
        segment_release(&g);
    }
    if (!rc && l.n_image)
        rc = tell(a, &l, err);
    mem_free(l.at);
    json_decref(l.sizes);
    json_decref(l.classes);
    return rc;
}
