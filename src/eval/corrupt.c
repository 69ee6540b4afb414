/* corrupt.c - corruptions of images.  They work on planes of floats from 0 to 1; what two of them need is a function here. */
#include "eval/corrupt.h"
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jpeglib.h>
#include "base/mem.h"
#include "base/rng.h"
#include "data/image.h"

#define PI 3.14159265358979323846

struct corruptor {
    int n_channel, side, plane;      /* plane: side * side */
    double scale;                    /* lengths in pixels: 1 up to a side of 32 */
    float *x, *y;                    /* [n_channel][side][side], the image and a copy */
    float *map, *map2, *map3;        /* [side_map][side_map], side_map the power of two that is not below twice the side */
    uint8_t *bytes;                  /* [n_channel][side][side] */
    double *cdf;                     /* of the counts of a number, shot noise */
    int side_map;
};

/* One image: its numbers of the row of corrupt.def, and its random ones. */
struct job { struct corruptor *c; const double *is; uint64_t key; struct err *err; };

enum { COUNTS_MAX = 1024 };

static float clip(double v) { return v < 0 ? 0 : v > 1 ? 1 : (float)v; }
/* Cut to whole numbers, as a cast of NumPy's does; what is whole but for the rounding of floats stays. */
static int to_byte(double v) { return (int)(clip(v) * 255. + 1e-4); }

/* Indices beyond the ends: the nearest, or mirrored with (abc|cba) or without (abcb) the end itself. */
enum border { NEAREST, REFLECT, REFLECT_101 };
static int inside(int i, int n, enum border b)
{
    if (b == NEAREST)
        return i < 0 ? 0 : i >= n ? n - 1 : i;
    const int period = b == REFLECT ? 2 * n : n > 1 ? 2 * n - 2 : 1;
    i = (i % period + period) % period;
    return i < n ? i : b == REFLECT ? period - 1 - i : period - i;
}

/* ---- what several need ---- */

/* One line of n numbers, `step` apart. */
static void blur_line(float *line, int step, int n, const double *kernel, int radius, enum border b, float *was)
{
    for (int i = 0; i < n; i++)
        was[i] = line[i * step];
    for (int i = 0; i < n; i++) {
        double sum = 0;
        for (int k = -radius; k <= radius; k++)
            sum += kernel[k + radius] * was[inside(i + k, n, b)];
        line[i * step] = (float)sum;
    }
}

/* scipy.ndimage.gaussian_filter of n x n numbers in rows of `stride`. */
static void gaussian(float *x, int n, int stride, double sigma, double truncate, enum border b)
{
    double kernel[2 * CORRUPT_SIDE_MAX + 1], sum = 0;
    float line[2 * CORRUPT_SIDE_MAX];
    const int wanted = (int)(truncate * sigma + .5), radius = wanted < CORRUPT_SIDE_MAX ? wanted : CORRUPT_SIDE_MAX;
    if (radius < 1)
        return;
    for (int k = -radius; k <= radius; k++)
        sum += kernel[k + radius] = exp(-.5 * k * k / (sigma * sigma));
    for (int k = 0; k <= 2 * radius; k++)
        kernel[k] /= sum;
    for (int i = 0; i < n; i++)
        blur_line(x + i, stride, n, kernel, radius, b, line);
    for (int i = 0; i < n; i++)
        blur_line(x + (size_t)i * (size_t)stride, 1, n, kernel, radius, b, line);
}

/* The number between pixels, by its four neighbours. */
static double between(const float *x, int n, double row, double column, enum border b)
{
    const double top = floor(row), left = floor(column), v = row - top, h = column - left;
    const int i0 = inside((int)top, n, b), i1 = inside((int)top + 1, n, b), j0 = inside((int)left, n, b), j1 = inside((int)left + 1, n, b);
    return (1 - v) * ((1 - h) * x[i0 * n + j0] + h * x[i0 * n + j1]) + v * ((1 - h) * x[i1 * n + j0] + h * x[i1 * n + j1]);
}

/* The middle of x enlarged by `factor` to the same size: scipy.ndimage.zoom, order 1, of a square of ceil(n / factor), its middle. */
static void clipped_zoom(const float *x, int n, double factor, float *out)
{
    const int crop = (int)ceil(n / factor), from = (n - crop) / 2, large = (int)lrint(crop * factor), trim = (large - n) / 2;
    const double step = large > 1 ? (double)(crop - 1) / (large - 1) : 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            out[i * n + j] = (float)between(x, n, from + fmin((i + trim) * step, crop - 1), from + fmin((j + trim) * step, crop - 1), NEAREST);
}

/* ImageMagick's -motion-blur: the trail of half a Gaussian along the angle, in degrees; the result is of bytes, cut as ImageMagick 6 does. */
static void trail(float *x, float *was, int n, double radius, double sigma, double angle)
{
    const int width = 2 * (int)ceil(radius) + 1;
    const double across = cos(angle * PI / 180), down = sin(angle * PI / 180);
    double sum = 0;
    memcpy(was, x, (size_t)n * (size_t)n * sizeof *x);
    memset(x, 0, (size_t)n * (size_t)n * sizeof *x);
    for (int k = 0; k < width; k++)
        sum += exp(-.5 * k * k / (sigma * sigma));
    for (int k = 0; k < width; k++) {
        const double weight = exp(-.5 * k * k / (sigma * sigma)) / sum;
        const int right = (int)ceil(k * across - .5), low = (int)ceil(k * down - .5);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++)
                x[i * n + j] += (float)(weight * was[inside(i + low, n, NEAREST) * n + inside(j + right, n, NEAREST)]);
    }
    for (int i = 0; i < n * n; i++)
        x[i] = (float)(to_byte(x[i]) / 255.);
}

static float *channel(const struct job *j, int c) { return j->c->x + (size_t)c * (size_t)j->c->plane; }
static int n_number(const struct job *j) { return j->c->n_channel * j->c->plane; }

/* ---- noise ---- */

static int gaussian_noise(const struct job *j)
{
    for (int i = 0; i < n_number(j); i++)
        j->c->x[i] = clip(j->c->x[i] + j->is[0] * rng_normal(j->key, (uint64_t)i));
    return 0;
}

static int speckle_noise(const struct job *j)
{
    for (int i = 0; i < n_number(j); i++)
        j->c->x[i] = clip(j->c->x[i] + j->c->x[i] * j->is[0] * rng_normal(j->key, (uint64_t)i));
    return 0;
}

/* P(count <= k) for k < COUNTS_MAX where a count's mean is `mean`. */
static void poisson_cdf(double mean, double *cdf)
{
    double p = exp(-mean), sum = p;
    for (int k = 0; k < COUNTS_MAX; k++) {
        cdf[k] = sum;
        p *= mean / (k + 1);
        sum += p;
    }
}

static int shot_noise(const struct job *j)
{
    bool made[256] = { false };
    for (int i = 0; i < n_number(j); i++) {
        const int v = (int)lrint(j->c->x[i] * 255.);
        double *cdf = j->c->cdf + (size_t)v * COUNTS_MAX;
        if (!made[v])
            poisson_cdf(v / 255. * j->is[0], cdf);
        made[v] = true;
        const double u = rng_uniform(j->key, (uint64_t)i);
        int lo = 0, hi = COUNTS_MAX - 1;
        while (lo < hi) {
            const int mid = (lo + hi) / 2;
            if (u < cdf[mid])
                hi = mid;
            else
                lo = mid + 1;
        }
        j->c->x[i] = clip(lo / j->is[0]);
    }
    return 0;
}

static int impulse_noise(const struct job *j)
{
    for (int i = 0; i < n_number(j); i++) {
        if (rng_uniform(j->key, 2 * (uint64_t)i) < j->is[0])
            j->c->x[i] = rng_uniform(j->key, 2 * (uint64_t)i + 1) < .5 ? 1 : 0;
    }
    return 0;
}

/* ---- blur ---- */

static int gaussian_blur(const struct job *j)
{
    for (int c = 0; c < j->c->n_channel; c++)
        gaussian(channel(j, c), j->c->side, j->c->side, j->is[0] * j->c->scale, 4, NEAREST);
    return 0;
}

/* That code means to exchange two pixels; what NumPy makes of it, and so what CIFAR-10-C has, is that the second is copied. */
static int glass_blur(const struct job *j)
{
    const int n = j->c->side, reach = (int)lrint(j->is[1] * j->c->scale);
    uint64_t drawn = 0;
    gaussian_blur(j);
    for (int i = 0; i < n_number(j); i++)
        j->c->x[i] = (float)(to_byte(j->c->x[i]) / 255.);
    for (int times = 0; times < (int)j->is[2]; times++)
        for (int row = n - reach; row > reach; row--)
            for (int column = n - reach; column > reach; column--) {
                const int right = (int)rng_below(j->key, drawn, 2 * (uint64_t)reach) - reach, low = (int)rng_below(j->key, drawn + 1, 2 * (uint64_t)reach) - reach;
                drawn += 2;
                for (int c = 0; c < j->c->n_channel; c++) {
                    float *x = channel(j, c);
                    x[row * n + column] = x[(row + low) * n + column + right];
                }
            }
    return gaussian_blur(j);
}

/* A disk whose rim is softened by a Gaussian of three pixels (five where it is large), as its kernel. */
static int defocus_blur(const struct job *j)
{
    const int n = j->c->side, half = j->is[0] * j->c->scale > 8 ? 2 : 1;
    const double radius = j->is[0] * j->c->scale, soft = j->is[1] * j->c->scale;
    const int reach = (int)floor(radius) + half, width = 2 * reach + 1;
    float *kernel = j->c->map;
    double weight[5], sum = 0, disk = 0;
    for (int k = -half; k <= half; k++)
        sum += weight[k + half] = exp(-.5 * k * k / (soft * soft));
    memset(kernel, 0, (size_t)width * (size_t)width * sizeof *kernel);
    for (int row = -reach; row <= reach; row++)
        for (int column = -reach; column <= reach; column++) {
            if (row * row + column * column > radius * radius)
                continue;
            disk++;
            for (int v = -half; v <= half; v++)
                for (int h = -half; h <= half; h++)
                    kernel[(row + v + reach) * width + column + h + reach] += (float)(weight[v + half] * weight[h + half] / (sum * sum));
        }
    memcpy(j->c->y, j->c->x, (size_t)n_number(j) * sizeof *j->c->y);
    for (int c = 0; c < j->c->n_channel; c++) {
        const float *was = j->c->y + (size_t)c * (size_t)j->c->plane;
        for (int i = 0; i < j->c->plane; i++) {
            double v = 0;
            for (int row = -reach; row <= reach; row++)
                for (int column = -reach; column <= reach; column++)
                    v += kernel[(row + reach) * width + column + reach] / disk * was[inside(i / n + row, n, REFLECT_101) * n + inside(i % n + column, n, REFLECT_101)];
            channel(j, c)[i] = clip(v);
        }
    }
    return 0;
}

static int motion_blur(const struct job *j)
{
    const double angle = -45 + 90 * rng_uniform(j->key, 0);
    for (int c = 0; c < j->c->n_channel; c++)
        trail(channel(j, c), j->c->y, j->c->side, j->is[0] * j->c->scale, j->is[1] * j->c->scale, angle);
    return 0;
}

static int zoom_blur(const struct job *j)
{
    const int n_zoom = (int)lrint((j->is[0] - 1) * 100);
    for (int c = 0; c < j->c->n_channel; c++) {
        float *x = channel(j, c), *sum = j->c->map2, *one = j->c->map3;
        memcpy(sum, x, (size_t)j->c->plane * sizeof *sum);
        for (int k = 0; k < n_zoom; k++) {
            clipped_zoom(x, j->c->side, 1 + k / 100., one);
            for (int i = 0; i < j->c->plane; i++)
                sum[i] += one[i];
        }
        for (int i = 0; i < j->c->plane; i++)
            x[i] = clip(sum[i] / (double)(n_zoom + 1));
    }
    return 0;
}

/* ---- weather ---- */

static int snow(const struct job *j)
{
    const int n = j->c->side, plane = j->c->plane;
    float *flakes = j->c->map, *large = j->c->map2;
    for (int i = 0; i < plane; i++)
        flakes[i] = (float)(j->is[0] + j->is[1] * rng_normal(j->key, (uint64_t)i));
    clipped_zoom(flakes, n, j->is[2], large);
    for (int i = 0; i < plane; i++)
        large[i] = (float)(to_byte(large[i] < j->is[3] ? 0 : large[i]) / 255.);
    trail(large, j->c->map3, n, j->is[4] * j->c->scale, j->is[5] * j->c->scale, -135 + 90 * rng_uniform(j->key, (uint64_t)plane + 1));
    for (int i = 0; i < plane; i++) {
        const float *x = j->c->x + i;
        const double grey = j->c->n_channel == 1 ? *x : .299 * x[0] + .587 * x[plane] + .114 * x[2 * plane], pale = grey * 1.5 + .5;
        for (int c = 0; c < j->c->n_channel; c++) {
            const double v = x[c * plane];
            j->c->x[c * plane + i] = clip(j->is[6] * v + (1 - j->is[6]) * fmax(v, pale) + large[i] + large[plane - 1 - i]);
        }
    }
    return 0;
}

/* The mean of four, and a random part that shrinks with the step. */
static float cloud(const struct job *j, double sum, double wibble, uint64_t *drawn)
{
    return (float)(sum / 4 + wibble * wibble * (2 * rng_uniform(j->key, (*drawn)++) - 1));
}

/* The diamond-square algorithm on a torus, [n][n] of 0 to 1, n a power of two. */
static void plasma(const struct job *j, float *map, int n, double decay)
{
    double wibble = 100, least = INFINITY, most = -INFINITY;
    uint64_t drawn = 0;
    map[0] = 0;
    for (int step = n; step >= 2; step /= 2, wibble /= decay) {
        const int half = step / 2;
        for (int row = 0; row < n; row += step)
            for (int column = 0; column < n; column += step)
                map[(row + half) * n + column + half] = cloud(j, map[row * n + column] + map[row * n + (column + step) % n] + map[(row + step) % n * n + column] +
                                                                     map[(row + step) % n * n + (column + step) % n], wibble, &drawn);
        for (int row = 0; row < n; row += half)
            for (int column = row % step ? 0 : half; column < n; column += step)
                map[row * n + column] = cloud(j, map[(row + half) % n * n + column] + map[(row - half + n) % n * n + column] +
                                                     map[row * n + (column + half) % n] + map[row * n + (column - half + n) % n], wibble, &drawn);
    }
    for (int i = 0; i < n * n; i++)
        least = fmin(least, map[i]), most = fmax(most, map[i]);
    for (int i = 0; i < n * n; i++)
        map[i] = most > least ? (float)((map[i] - least) / (most - least)) : 0;
}

static int fog(const struct job *j)
{
    const int n = j->c->side;
    int side_map = 8;
    double most = 0;
    while (side_map < n)
        side_map *= 2;
    plasma(j, j->c->map, side_map, j->is[1]);
    for (int i = 0; i < n_number(j); i++)
        most = fmax(most, j->c->x[i]);
    for (int c = 0; c < j->c->n_channel; c++)
        for (int i = 0; i < j->c->plane; i++)
            channel(j, c)[i] = clip((channel(j, c)[i] + j->is[0] * j->c->map[i / n * side_map + i % n]) * most / (most + j->is[0]));
    return 0;
}

/* ---- light ---- */

static int contrast(const struct job *j)
{
    for (int c = 0; c < j->c->n_channel; c++) {
        float *x = channel(j, c);
        double mean = 0;
        for (int i = 0; i < j->c->plane; i++)
            mean += x[i];
        mean /= j->c->plane;
        for (int i = 0; i < j->c->plane; i++)
            x[i] = clip((x[i] - mean) * j->is[0] + mean);
    }
    return 0;
}

/* Value or saturation of a colour changed and its hue kept (HSV): each channel moves on the line from the value through itself. */
static void set_hsv(float *x, int plane, double saturation, double more_saturation, double more_value)
{
    const double most = fmax(x[0], fmax(x[plane], x[2 * plane])), least = fmin(x[0], fmin(x[plane], x[2 * plane]));
    const double was = most > 0 ? (most - least) / most : 0, now = clip(was * saturation + more_saturation), value = clip(most + more_value);
    for (int c = 0; c < 3; c++) {
        /* How far this channel is from the value, as a share of how far the least one is; grey has hue 0, which is red. */
        const double share = most > least ? (most - x[c * plane]) / (most - least) : c > 0;
        x[c * plane] = clip(value * (1 - now * share));
    }
}

static int brightness(const struct job *j)
{
    for (int i = 0; i < j->c->plane; i++) {
        if (j->c->n_channel == 1)
            j->c->x[i] = clip(j->c->x[i] + j->is[0]);
        else
            set_hsv(j->c->x + i, j->c->plane, 1, 0, j->is[0]);
    }
    return 0;
}

static int saturate(const struct job *j)
{
    for (int i = 0; i < j->c->plane; i++)
        set_hsv(j->c->x + i, j->c->plane, j->is[0], j->is[1], 0);
    return 0;
}

/* ---- shape ---- */

/* The affine map that takes the three points q to p, rows of it: p = m[0] x + m[1] y + m[2]. */
static void affine(double q[3][2], double p[3][2], double m[2][3])
{
    const double det = q[0][0] * (q[1][1] - q[2][1]) + q[1][0] * (q[2][1] - q[0][1]) + q[2][0] * (q[0][1] - q[1][1]);
    for (int k = 0; k < 2; k++) {
        m[k][0] = (p[0][k] * (q[1][1] - q[2][1]) + p[1][k] * (q[2][1] - q[0][1]) + p[2][k] * (q[0][1] - q[1][1])) / det;
        m[k][1] = (p[0][k] * (q[2][0] - q[1][0]) + p[1][k] * (q[0][0] - q[2][0]) + p[2][k] * (q[1][0] - q[0][0])) / det;
        m[k][2] = p[0][k] - m[k][0] * q[0][0] - m[k][1] * q[0][1];
    }
}

static void shifts(const struct job *j, float *map, uint64_t from, double smooth, double by)
{
    for (int i = 0; i < j->c->plane; i++)
        map[i] = (float)(2 * rng_uniform(j->key, from + (uint64_t)i) - 1);
    gaussian(map, j->c->side, j->c->side, smooth, 3, REFLECT);
    for (int i = 0; i < j->c->plane; i++)
        map[i] = (float)(map[i] * by);
}

static int elastic(const struct job *j)
{
    const int n = j->c->side, middle = n / 2, arm = n / 3;
    double from[3][2] = { { middle + arm, middle + arm }, { middle + arm, middle - arm }, { middle - arm, middle - arm } };
    double to[3][2], m[2][3];
    for (int k = 0; k < 6; k++)
        to[k / 2][k % 2] = from[k / 2][k % 2] + n * j->is[2] * (2 * rng_uniform(j->key, (uint64_t)k) - 1);
    affine(to, from, m);
    shifts(j, j->c->map, 6, n * j->is[1], n * j->is[0]);
    shifts(j, j->c->map2, 6 + (uint64_t)j->c->plane, n * j->is[1], n * j->is[0]);
    for (int c = 0; c < j->c->n_channel; c++) {
        float *x = channel(j, c), *was = j->c->y;
        for (int i = 0; i < j->c->plane; i++)
            was[i] = (float)between(x, n, m[1][0] * (i % n) + m[1][1] * (i / n) + m[1][2], m[0][0] * (i % n) + m[0][1] * (i / n) + m[0][2], REFLECT_101);
        for (int i = 0; i < j->c->plane; i++)
            x[i] = clip(between(was, n, i / n + (double)j->c->map2[i], i % n + (double)j->c->map[i], REFLECT));
    }
    return 0;
}

/* A line of n bytes to m by boxes (Pillow's BOX): the mean of those whose middle lies in what a number stands for. */
static void box_line(const uint8_t *x, int step, int n, uint8_t *out, int out_step, int m)
{
    const double scale = (double)n / m, support = .5 * fmax(scale, 1);
    for (int i = 0; i < m; i++) {
        const double centre = (i + .5) * scale;
        const int begin = (int)fmax(centre - support + .5, 0), end = (int)fmin(centre + support + .5, n);
        double sum = 0, weight = 0;
        for (int k = begin; k < end; k++) {
            const double at = (k - centre + .5) / fmax(scale, 1);
            if (at > -.5 && at <= .5)
                sum += x[k * step], weight++;
        }
        out[i * out_step] = (uint8_t)(sum / weight + .5);
    }
}

static void box(uint8_t *x, uint8_t *work, int n, int m)
{
    for (int i = 0; i < n; i++)
        box_line(x + i * n, 1, n, work + i * m, 1, m);
    for (int i = 0; i < m; i++)
        box_line(work + i, m, n, x + i, m, m);
}

static int pixelate(const struct job *j)
{
    const int n = j->c->side, small = (int)(n * j->is[0]);
    uint8_t *work = (uint8_t *)j->c->map;
    for (int c = 0; c < j->c->n_channel; c++) {
        uint8_t *x = j->c->bytes + (size_t)c * (size_t)j->c->plane;
        box(x, work, n, small);
        box(x, work, small, n);
    }
    return 1;
}

/* libjpeg ends a call that fails by a jump. */
struct jpeg_end { struct jpeg_error_mgr mgr; jmp_buf jump; };
static void jpeg_failed(j_common_ptr info)
{
    struct jpeg_end *end = (struct jpeg_end *)info->err;
    longjmp(end->jump, 1);
}

static int jpeg_write(const struct corruptor *c, int quality, unsigned char **file, unsigned long *n_file)
{
    struct jpeg_compress_struct info;
    struct jpeg_end end;
    uint8_t row[3 * CORRUPT_SIDE_MAX];
    info.err = jpeg_std_error(&end.mgr);
    end.mgr.error_exit = jpeg_failed;
    if (setjmp(end.jump)) {
        jpeg_destroy_compress(&info);
        return -1;
    }
    jpeg_create_compress(&info);
    jpeg_mem_dest(&info, file, n_file);
    info.image_width = info.image_height = (JDIMENSION)c->side;
    info.input_components = c->n_channel;
    info.in_color_space = c->n_channel == 3 ? JCS_RGB : JCS_GRAYSCALE;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, quality, TRUE);
    jpeg_start_compress(&info, TRUE);
    while (info.next_scanline < info.image_height) {
        JSAMPROW rows[] = { row };
        for (int i = 0; i < c->side; i++)
            for (int k = 0; k < c->n_channel; k++)
                row[i * c->n_channel + k] = c->bytes[k * c->plane + (int)info.next_scanline * c->side + i];
        jpeg_write_scanlines(&info, rows, 1);
    }
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    return 0;
}

static int jpeg(const struct job *j)
{
    unsigned char *file = NULL;
    unsigned long n_file = 0;
    struct image x = { 0 };
    int rc = jpeg_write(j->c, (int)j->is[0], &file, &n_file) ? ERR(j->err, NOMEM, "an image could not be written as JPEG") : 0;
    if (!rc)
        rc = image_decode(&x, file, n_file, j->c->n_channel, "an image's JPEG", j->err);
    if (!rc)
        memcpy(j->c->bytes, x.pixels, (size_t)n_number(j));
    image_release(&x);
    free(file);
    return rc ? rc : 1;
}

/* ---- the families ---- */

/* how: 0, and x holds the result; 1, and bytes does. */
#define NUMBERS(...) { __VA_ARGS__ }
static const struct {
    const char *name, *what;
    int (*how)(const struct job *j);
    double is[CORRUPT_STRENGTHS][7];
} family[] = {
#define CORRUPT(name, word, how, numbers, what) { word, what, how, NUMBERS numbers },
#include "eval/corrupt.def"
#undef CORRUPT
};

const char *corrupt_name(enum corrupt_family f) { return family[f].name; }
const char *corrupt_what(enum corrupt_family f) { return family[f].what; }
bool corrupt_fits(enum corrupt_family f, int n_channel) { return f != CORRUPT_SATURATE || n_channel == 3; }

int corrupt_find(const char *name)
{
    for (int f = 0; f < N_CORRUPT_FAMILY; f++)
        if (!strcmp(family[f].name, name))
            return f;
    return -1;
}

int corruptor_new(struct corruptor **out, int n_channel, int side, struct err *err)
{
    if ((n_channel != 1 && n_channel != 3) || side < 8 || side > CORRUPT_SIDE_MAX)
        return ERR(err, RANGE, "images of %d channels and a side of %d, expected 1 or 3 and 8 to %d", n_channel, side, CORRUPT_SIDE_MAX);
    struct corruptor *c = mem_alloc_zero(sizeof *c);
    if (!c)
        return ERR(err, NOMEM, "no memory to corrupt images");
    int side_map = 16;
    while (side_map < 2 * side)
        side_map *= 2;
    const size_t n = (size_t)n_channel * (size_t)side * (size_t)side, map = (size_t)side_map * (size_t)side_map;
    *c = (struct corruptor){
        .n_channel = n_channel, .side = side, .plane = side * side, .scale = side > 32 ? side / 32. : 1, .side_map = side_map,
        .x = mem_alloc_array(n, sizeof(float)), .y = mem_alloc_array(n, sizeof(float)), .map = mem_alloc_array(map, sizeof(float)),
        .map2 = mem_alloc_array(map, sizeof(float)), .map3 = mem_alloc_array(map, sizeof(float)), .bytes = mem_alloc_array(n, 1),
        .cdf = mem_alloc_array((size_t)256 * COUNTS_MAX, sizeof(double)),
    };
    if (!c->x || !c->y || !c->map || !c->map2 || !c->map3 || !c->bytes || !c->cdf) {
        corruptor_free(c);
        return ERR(err, NOMEM, "no memory to corrupt images of a side of %d", side);
    }
    *out = c;
    return 0;
}

void corruptor_free(struct corruptor *c)
{
    if (!c)
        return;
    void *const parts[] = { c->x, c->y, c->map, c->map2, c->map3, c->bytes, c->cdf, c };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        mem_free(parts[i]);
}

int corrupt_image(struct corruptor *c, enum corrupt_family f, int strength, uint64_t seed, int64_t item, const uint8_t *in, uint8_t *out, struct err *err)
{
    const int n = c->n_channel * c->plane;
    if (!corrupt_fits(f, c->n_channel))
        return ERR(err, RANGE, "%s: images of %d channel, expected 3", family[f].name, c->n_channel);
    for (int i = 0; i < n; i++)
        c->x[i] = (float)(in[i] / 255.);
    memcpy(c->bytes, in, (size_t)n);
    const struct job j = { c, family[f].is[strength - 1], rng_u64(rng_key(seed, family[f].name), (uint64_t)item), err };
    const int rc = family[f].how(&j);
    TRY(rc);
    for (int i = 0; i < n; i++)
        out[i] = rc ? c->bytes[i] : (uint8_t)to_byte(c->x[i]);
    return 0;
}
