#include "model/vision.h"
#include <math.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"

/* One number for all channels, or one for each; as they were where the key is missing. */
static int read_channels(const json_t *o, const char *key, int n, double *out, const char *where, struct err *err)
{
    const json_t *list = json_object_get(o, key);
    if (!list || json_is_null(list))
        return 0;
    if (!json_is_number(list) && (!json_is_array(list) || (json_array_size(list) != (size_t)n && json_array_size(list) != 1)))
        return ERR(err, FORMAT, "%s: %s: expected a number for each of %d channels", where, key, n);
    for (int i = 0; i < n; i++) {
        const json_t *v = json_is_number(list) ? list : json_array_get(list, json_array_size(list) == 1 ? 0 : (size_t)i);
        out[i] = json_is_number(v) ? json_number_value(v) : NAN;
        if (!isfinite(out[i]))
            return ERR(err, FORMAT, "%s: %s: entry %d is not a number", where, key, i + 1);
    }
    return 0;
}

static int read_size(const json_t *o, const struct config *c, const char *where, struct err *err)
{
    const json_t *size = json_object_get(o, "size");
    if (!size || json_is_null(size))
        return 0;
    const bool both = json_is_object(size);
    for (int i = 0; i < 2; i++) {
        const json_t *v = both ? json_object_get(size, i ? "width" : "height") : size;
        if (!json_is_integer(v) || json_integer_value(v) != c->image_size)
            return ERR(err, FORMAT, "%s: size is not %d by %d, the model's", where, c->image_size, c->image_size);
    }
    return 0;
}

static int read_vision(struct vision *v, const json_t *o, const struct config *c, const char *where, struct err *err)
{
    double factor;
    bool rescale, normalize;
    TRY(tree_num(o, "rescale_factor", 1.0 / 255, &factor, where, err));
    TRY(tree_bool(o, "do_rescale", true, &rescale, where, err));
    TRY(tree_bool(o, "do_normalize", true, &normalize, where, err));
    if (!rescale || fabs(factor * 255 - 1) > 1e-6)
        return ERR(err, UNSUPPORTED, "%s: numbers of an image are not divided by 255, expected do_rescale with rescale_factor 1/255", where);
    TRY(read_size(o, c, where, err));
    TRY(read_channels(o, "image_mean", c->n_channel, v->mean, where, err));
    TRY(read_channels(o, "image_std", c->n_channel, v->std, where, err));
    for (int i = 0; i < c->n_channel; i++) {
        if (!(v->std[i] > 0))
            return ERR(err, RANGE, "%s: image_std is %g, expected more than 0", where, v->std[i]);
        if (!normalize)
            v->mean[i] = 0, v->std[i] = 1;
    }
    return 0;
}

int vision_load(struct vision *v, const struct config *c, const char *folder, struct err *err)
{
    for (int i = 0; i < VISION_CHANNEL_MAX; i++)
        v->mean[i] = v->std[i] = 0.5;
    char *path = file_join(folder, "preprocessor_config.json");
    if (!path)
        return ERR(err, NOMEM, "no memory for a path");
    int rc = 0;
    if (file_exists(path)) {
        json_t *o;
        rc = tree_load(&o, path, 1 << 20, err);
        if (!rc) {
            rc = json_is_object(o) ? read_vision(v, o, c, path, err) : ERR(err, FORMAT, "%s: found no object", path);
            json_decref(o);
        }
    }
    mem_free(path);
    return rc;
}

static int add_channels(struct buf *out, const char *key, const double *x, int n, struct err *err)
{
    TRY(buf_printf(out, err, ",\n  \"%s\": [", key));
    for (int i = 0; i < n; i++) {
        TRY(buf_add_str(out, i ? ", " : "", err));
        TRY(buf_add_number(out, x[i], err));
    }
    return buf_add_char(out, ']', err);
}

int vision_write(const struct vision *v, const struct config *c, struct buf *out, struct err *err)
{
    TRY(buf_printf(out, err, "{\n  \"image_processor_type\": \"ViTImageProcessor\",\n  \"do_resize\": true,\n  \"resample\": 2,\n  \"size\": {\"height\": %d, \"width\": %d},\n"
                             "  \"do_rescale\": true,\n  \"rescale_factor\": 0.00392156862745098,\n  \"do_normalize\": true", c->image_size, c->image_size));
    TRY(add_channels(out, "image_mean", v->mean, c->n_channel, err));
    TRY(add_channels(out, "image_std", v->std, c->n_channel, err));
    return buf_add_str(out, "\n}\n", err);
}

void vision_patches(const struct vision *v, const struct config *c, const uint8_t *pixels, float *out)
{
    for (int channel = 0; channel < c->n_channel; channel++)
        for (int y = 0; y < c->image_size; y++)
            for (int x = 0; x < c->image_size; x++)
                out[vision_place(c, channel, y, x)] = (float)((*pixels++ / 255.0 - v->mean[channel]) / v->std[channel]);
}
