#include "data/image.h"
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <jpeglib.h>
#include <png.h>
#include "base/file.h"
#include "base/mem.h"

void image_release(struct image *x)
{
    mem_free(x->pixels);
    *x = (struct image){ 0 };
}

static int check_size(int64_t width, int64_t height, const char *name, struct err *err)
{
    if (width >= 1 && height >= 1 && width <= IMAGE_SIDE_MAX && height <= IMAGE_SIDE_MAX && width * height <= IMAGE_PIXELS_MAX)
        return 0;
    return ERR(err, RANGE, "%s: %lld by %lld pixels, expected at most %d a side and 32 million in all", name, (long long)width, (long long)height, IMAGE_SIDE_MAX);
}

/* Rows of `step` bytes a pixel, red, green and blue first, to planes. */
static int to_planes(struct image *x, const uint8_t *rows, int step, int width, int height, int n_channel, const char *name, struct err *err)
{
    const size_t n = (size_t)width * (size_t)height;
    *x = (struct image){ n_channel, height, width, mem_alloc_array(n, (size_t)n_channel) };
    if (!x->pixels)
        return ERR(err, NOMEM, "no memory for %s", name);
    for (size_t i = 0; i < n; i++, rows += step)
        if (n_channel == 1)
            x->pixels[i] = (uint8_t)((rows[0] * 19595u + rows[1] * 38470u + rows[2] * 7471u + 32768u) >> 16);
        else
            for (int c = 0; c < 3; c++)
                x->pixels[(size_t)c * n + i] = rows[c];
    return 0;
}

/* ---- PNG: libpng's simplified reader, which jumps nowhere ---- */

static int decode_png(struct image *x, const void *file, size_t n, int n_channel, const char *name, struct err *err)
{
    png_image p = { .version = PNG_IMAGE_VERSION };
    if (!png_image_begin_read_from_memory(&p, file, n))
        return ERR(err, CORRUPT, "%s: PNG: %s", name, p.message);
    uint8_t *rows = NULL;
    int rc = check_size(p.width, p.height, name, err);
    p.format = PNG_FORMAT_RGBA;
    if (!rc && !(rows = mem_alloc_array((size_t)p.width * p.height, 4)))
        rc = ERR(err, NOMEM, "no memory for %s", name);
    if (!rc && (!png_image_finish_read(&p, NULL, rows, 0, NULL) || PNG_IMAGE_FAILED(p)))
        rc = ERR(err, CORRUPT, "%s: PNG: %s", name, p.message);
    if (!rc)
        rc = to_planes(x, rows, 4, (int)p.width, (int)p.height, n_channel, name, err);
    png_image_free(&p);
    mem_free(rows);
    return rc;
}

/* ---- JPEG ---- */

struct jpeg_error { struct jpeg_error_mgr base; jmp_buf back; char text[JMSG_LENGTH_MAX]; };

static void jpeg_fails(j_common_ptr c)
{
    struct jpeg_error *e = (struct jpeg_error *)c->err;
    c->err->format_message(c, e->text);
    longjmp(e->back, 1);
}

/* libjpeg goes on where data is damaged, and warns: here that is an error too. */
static void jpeg_warns(j_common_ptr c, int level)
{
    if (level < 0)
        jpeg_fails(c);
}

/* Fills rows, which the caller frees; only this function is between setjmp and longjmp. */
static int read_jpeg(struct jpeg_decompress_struct *d, struct jpeg_error *e, const void *file, size_t n, uint8_t **rows, const char *name, struct err *err)
{
    if (setjmp(e->back))
        return ERR(err, CORRUPT, "%s: JPEG: %s", name, e->text);
    jpeg_create_decompress(d);
    jpeg_mem_src(d, file, (unsigned long)n);
    jpeg_read_header(d, TRUE);
    TRY(check_size(d->image_width, d->image_height, name, err));
    d->out_color_space = JCS_RGB;
    jpeg_start_decompress(d);
    const size_t stride = (size_t)d->output_width * 3;
    if (!(*rows = mem_alloc_array(d->output_height, stride)))
        return ERR(err, NOMEM, "no memory for %s", name);
    while (d->output_scanline < d->output_height)
        jpeg_read_scanlines(d, &(JSAMPROW){ *rows + d->output_scanline * stride }, 1);
    jpeg_finish_decompress(d);
    return 0;
}

static int decode_jpeg(struct image *x, const void *file, size_t n, int n_channel, const char *name, struct err *err)
{
    struct jpeg_decompress_struct d = { 0 };
    struct jpeg_error e;
    uint8_t *rows = NULL;
    d.err = jpeg_std_error(&e.base);
    e.base.error_exit = jpeg_fails;
    e.base.emit_message = jpeg_warns;
    int rc = read_jpeg(&d, &e, file, n, &rows, name, err);
    if (!rc)
        rc = to_planes(x, rows, 3, (int)d.output_width, (int)d.output_height, n_channel, name, err);
    jpeg_destroy_decompress(&d);
    mem_free(rows);
    return rc;
}

/* ---- either ---- */

int image_decode(struct image *x, const void *file, size_t n, int n_channel, const char *name, struct err *err)
{
    static const unsigned char png[8] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' }, jpeg[3] = { 0xff, 0xd8, 0xff };
    *x = (struct image){ 0 };
    if (n_channel != 1 && n_channel != 3)
        return ERR(err, UNSUPPORTED, "%s: an image for %d channels, expected 1 or 3", name, n_channel);
    if (n >= sizeof png && !memcmp(file, png, sizeof png))
        return decode_png(x, file, n, n_channel, name, err);
    if (n >= sizeof jpeg && !memcmp(file, jpeg, sizeof jpeg))
        return decode_jpeg(x, file, n, n_channel, name, err);
    return ERR(err, FORMAT, "%s is neither a PNG nor a JPEG file", name);
}

int image_read(struct image *x, const char *path, int n_channel, struct err *err)
{
    struct file_map map;
    *x = (struct image){ 0 };
    TRY(file_map_open(&map, path, err));
    const int rc = image_decode(x, map.data, map.size, n_channel, path, err);
    file_map_close(&map);
    return rc;
}

bool image_is_file(const char *name)
{
    static const char *const ends[] = { ".png", ".jpg", ".jpeg" };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (strlen(name) > strlen(ends[i]) && !strcasecmp(name + strlen(name) - strlen(ends[i]), ends[i]))
            return true;
    return false;
}

/* ---- fitting ---- */

/* out[i * out_step], i < size, of n numbers x[k * x_step] in the stretch from .. from+span of them. */
static void resample(const double *x, ptrdiff_t x_step, int n, double from, double span, double *out, ptrdiff_t out_step, int size)
{
    const double scale = span / size, reach = fmax(scale, 1);
    for (int i = 0; i < size; i++) {
        const double centre = from + (i + 0.5) * scale;
        const int first = (int)fmax(floor(centre - reach + 0.5), 0), end = (int)fmin(floor(centre + reach + 0.5), n);
        double sum = 0, weights = 0;
        for (int k = first; k < end; k++) {
            const double w = fmax(1 - fabs(k + 0.5 - centre) / reach, 0);
            sum += w * x[k * x_step], weights += w;
        }
        out[i * out_step] = weights > 0 ? sum / weights : x[(int)fmin(fmax(centre, 0), n - 1) * x_step];
    }
}

/* Columns first; work: [height][size] and one row. */
static void fit_plane(const struct image *x, int channel, bool crop, int size, double *work, uint8_t *out)
{
    const double least = fmin(x->width, x->height), w = crop ? least : x->width, h = crop ? least : x->height;
    double *row = work + (size_t)x->height * (size_t)size, *column = row + x->width;
    for (int y = 0; y < x->height; y++) {
        const uint8_t *from = x->pixels + ((size_t)channel * (size_t)x->height + (size_t)y) * (size_t)x->width;
        for (int k = 0; k < x->width; k++)
            row[k] = from[k];
        resample(row, 1, x->width, (x->width - w) / 2, w, work + (size_t)y * (size_t)size, 1, size);
    }
    for (int k = 0; k < size; k++) {
        resample(work + k, size, x->height, (x->height - h) / 2, h, column, 1, size);
        for (int y = 0; y < size; y++)
            out[y * size + k] = (uint8_t)(fmin(fmax(column[y], 0), 255) + 0.5);
    }
}

int image_fit(const struct image *x, enum image_fit fit, int size, uint8_t *out, const char *name, struct err *err)
{
    const size_t n = (size_t)size * (size_t)size;
    if (x->width == size && x->height == size) {
        memcpy(out, x->pixels, n * (size_t)x->n_channel);
        return 0;
    }
    if (fit == IMAGE_REFUSE)
        return ERR(err, FORMAT, "%s: %d by %d pixels, expected %d by %d", name, x->width, x->height, size, size);
    double *work = mem_alloc_array((size_t)x->height * (size_t)size + (size_t)x->width + (size_t)size, sizeof *work);
    if (!work)
        return ERR(err, NOMEM, "no memory to fit %s", name);
    for (int c = 0; c < x->n_channel; c++)
        fit_plane(x, c, fit == IMAGE_CROP, size, work, out + (size_t)c * n);
    mem_free(work);
    return 0;
}
