#include "gpu/verdict.h"
#include <jansson.h>
#include <lathe.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tree.h"

static int kernel_named(const char *name, size_t n)
{
    for (int k = 0; k < N_GPU_KERNEL; k++)
        if (strlen(gpu_kernel_name((enum gpu_kernel)k)) == n && !strncmp(name, gpu_kernel_name((enum gpu_kernel)k), n))
            return k;
    return -1;
}

void gpu_verdict_add(struct gpu_verdict *v, const char *name)
{
    const int k = kernel_named(name, strcspn(name, " ,"));
    for (int i = 0; i < v->n; i++)
        if ((int)v->wrong[i] == k)
            return;
    if (k >= 0)
        v->wrong[v->n++] = (enum gpu_kernel)k;
}

static int load_all(json_t **all, char **path, struct err *err)
{
    char *dir = file_cache_dir();
    *all = NULL, *path = dir ? file_join(dir, "selftest.json") : NULL;
    mem_free(dir);
    if (!*path)
        return ERR(err, NOMEM, "no memory for a path");
    int rc = file_exists(*path) ? tree_load(all, *path, 1 << 24, err) : 0;
    if (!rc && *all && !json_is_array(*all))
        rc = ERR(err, FORMAT, "%s is not a list of devices", *path);
    if (!rc && !*all && !(*all = json_array()))
        rc = ERR(err, NOMEM, "no memory for what self tests found");
    if (rc < 0) {
        json_decref(*all), mem_free(*path);
        *all = NULL, *path = NULL;
    }
    return rc;
}

static bool says(const json_t *o, const char *key, const char *value)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s && !strcmp(s, value);
}
static bool is_of(const json_t *o, const struct gpu_facts *f)
{
    return says(o, "name", f->name) && says(o, "arch", f->arch) && says(o, "driver", f->driver) && says(o, "lathe", LATHE_VERSION) &&
           json_integer_value(json_object_get(o, "driver_version")) == f->driver_version;
}

int gpu_verdict_keep(const struct gpu_verdict *v, const struct gpu_facts *f, struct err *err)
{
    json_t *all, *wrong = json_array();
    char *path, *dir = NULL, *text = NULL;
    int rc = load_all(&all, &path, err);
    if (rc < 0)
        return json_decref(wrong), rc;
    for (size_t i = json_array_size(all); i-- > 0;)
        if (is_of(json_array_get(all, i), f))
            json_array_remove(all, i);
    for (int i = 0; i < v->n && !rc; i++)
        rc = json_array_append_new(wrong, json_string(gpu_kernel_name(v->wrong[i])));
    rc |= json_array_append_new(all, json_pack("{s:s, s:s, s:s, s:i, s:s, s:o}", "name", f->name, "arch", f->arch, "driver", f->driver, "driver_version", f->driver_version,
                                               "lathe", LATHE_VERSION, "wrong", wrong));
    if (rc || !(text = tree_dumps(all, JSON_INDENT(2))) || !(dir = file_parent(path)))
        rc = ERR(err, NOMEM, "no memory for what the self test found");
    rc = rc ? rc : file_mkdirs(dir, err);
    rc = rc ? rc : file_write_all(path, text, strlen(text), err);
    mem_free(text), mem_free(dir), mem_free(path);
    json_decref(all);
    return rc;
}

int gpu_verdict_load(struct gpu_verdict *v, const struct gpu_facts *f, struct err *err)
{
    json_t *all, *o, *name;
    char *path;
    size_t i, j;
    v->n = 0;
    TRY(load_all(&all, &path, err));
    json_array_foreach(all, i, o)
        if (is_of(o, f))
            json_array_foreach(json_object_get(o, "wrong"), j, name)
                if (json_is_string(name))
                    gpu_verdict_add(v, json_string_value(name));
    json_decref(all), mem_free(path);
    return 0;
}

void gpu_verdict_heed(struct gpu *g)
{
    struct gpu_verdict v;
    struct err err;
    const struct gpu_facts *f = gpu_facts(g);
    if (gpu_verdict_load(&v, f, &err) < 0)
        log_warn("%s: whether its kernels passed their self test is not known: %s", f->name, err.msg);
    for (int i = 0; i < v.n; i++) {
        gpu_refuse(g, v.wrong[i]);
        log_warn("%s: %s failed the self test and is not used (lathe selftest)", f->name, gpu_kernel_name(v.wrong[i]));
    }
}
