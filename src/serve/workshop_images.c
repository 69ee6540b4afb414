#include "serve/workshop_images.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/tree.h"
#include "serve/workshop_files.h"
#include "serve/workshop_project.h"

#define HELD_OUT 10                      /* one in so many */

struct image { char *name, *class; unsigned char sha256[SHA256_BYTES]; };
struct images { struct image *at; int64_t n, cap; };

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for the names of images"); }

static void release(struct images *s)
{
    for (int64_t i = 0; i < s->n; i++)
        mem_free(s->at[i].name), mem_free(s->at[i].class);
    mem_free(s->at);
}

static int add(struct images *s, const char *name, struct err *err)
{
    char class[WORKSHOP_PART + 1];
    if (!workshop_class_of(name, class))
        return 0;
    if (s->n == s->cap) {
        const int64_t cap = s->cap ? 2 * s->cap : 256;
        struct image *at = mem_realloc_array(s->at, (size_t)cap, sizeof *at);
        if (!at)
            return no_memory(err);
        s->at = at, s->cap = cap;
    }
    struct image *x = &s->at[s->n++];
    *x = (struct image){ .name = mem_strdup(name), .class = mem_strdup(class) };
    sha256_bytes(name, strlen(name), x->sha256);
    return x->name && x->class ? 0 : no_memory(err);
}

static int read_records(struct images *s, const char *text, size_t n, struct err *err)
{
    for (const char *at = text, *stop = text + n, *end; at < stop; at = end + 1) {
        json_t *o;
        end = memchr(at, '\n', (size_t)(stop - at));
        end = end ? end : stop;
        TRY(tree_parse_json(&o, at, (size_t)(end - at), "records.jsonl", err));
        const char *file = tree_text_at(o, "file");
        file += strncmp(file, "./", 2) ? 0 : 2;
        const int rc = json_is_true(json_object_get(o, "kept")) && !strncmp(file, "files/", 6) ? add(s, file + 6, err) : 0;
        json_decref(o);
        TRY(rc);
    }
    return 0;
}

/* By classes, and within one by chance that is always the same. */
static int by_class(const void *a, const void *b)
{
    const struct image *x = a, *y = b;
    const int class = strcmp(x->class, y->class);
    return class ? class : memcmp(x->sha256, y->sha256, SHA256_BYTES);
}

static int put(const char *folder, const char *split, const struct image *x, int64_t number, struct err *err)
{
    const char *slash = strrchr(x->name, '/');
    char *from = mem_printf("%s/files/%s", folder, x->name), *dir = mem_printf("%s/images/%s/%s", folder, split, x->class), *to = mem_printf("%s/%06lld-%s", dir ? dir : "", (long long)number, slash + 1);
    int rc = from && dir && to ? file_mkdirs(dir, err) : no_memory(err);
    if (!rc && link(from, to))
        rc = ERR_ERRNO(err, "%s", x->name);
    mem_free(from), mem_free(dir), mem_free(to);
    return rc;
}

static int put_class(const char *folder, const struct image *x, int64_t n, int64_t first, int64_t count[2], struct err *err)
{
    const int64_t held = n / HELD_OUT ? n / HELD_OUT : 1;
    if (n < IMAGES_LEAST)
        return ERR(err, FORMAT, "the class '%s' has %lld image%s that can be used: bring %d or more of each, better a hundred", x->class, (long long)n, n == 1 ? "" : "s", IMAGES_LEAST);
    for (int64_t i = 0; i < n; i++)
        TRY(put(folder, i < held ? "valid" : "train", &x[i], first + i, err));
    count[0] += n - held, count[1] += held;
    return 0;
}

static int put_all(const char *folder, struct images *s, json_t *p, struct err *err)
{
    int64_t n_class = 0, count[2] = { 0, 0 };
    if (s->n)
        qsort(s->at, (size_t)s->n, sizeof *s->at, by_class);
    if (!s->n || !strcmp(s->at[0].class, s->at[s->n - 1].class))
        return ERR(err, FORMAT, s->n ? "all images lie in one folder, '%.60s': a viewer tells two classes or more apart, and needs a folder for each" : "no image can be used", s->n ? s->at[0].class : "");
    for (int64_t i = 0, end; i < s->n; i = end, n_class++) {
        for (end = i; end < s->n && !strcmp(s->at[end].class, s->at[i].class); end++)
            ;
        TRY(put_class(folder, &s->at[i], end - i, i, count, err));
    }
    TRY(project_set(p, "train", json_integer(count[0]), err));
    TRY(project_set(p, "valid", json_integer(count[1]), err));
    return project_set(p, "classes", json_integer(n_class), err);
}

int workshop_images(const char *folder, json_t *p, struct err *err)
{
    struct images s = { 0 };
    struct file_map map = { 0 };
    char *old = file_join(folder, "images"), *records = file_join(folder, "life.run/audit/out/records.jsonl");
    int rc = old && records ? file_remove_tree(old, err) : no_memory(err);
    rc = rc ? rc : file_map_open(&map, records, err);
    if (!rc) {
        rc = read_records(&s, map.data, map.size, err);
        rc = rc ? rc : put_all(folder, &s, p, err);
        file_map_close(&map);
    }
    release(&s);
    mem_free(old), mem_free(records);
    return rc;
}
