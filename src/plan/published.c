#include "plan/published.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "base/opt.h"
#include "base/tree.h"

__asm__(".pushsection .rodata\n"
        "published_json: .incbin \"src/plan/published.json\"\n"
        "published_json_end: .byte 0\n"
        ".popsection\n");
extern const char published_json[] __attribute__((visibility("hidden"))), published_json_end[] __attribute__((visibility("hidden")));

enum { MODELS_MAX = 64 };

static int table(json_t **out, struct err *err)
{
    return tree_parse_json(out, published_json, (size_t)(published_json_end - published_json), "published models", err);
}

/* Of names that people write in many ways, what tells them apart. */
static void plain(char out[64], const char *name)
{
    size_t n = 0;
    for (; *name && n < 63; name++)
        if (isalnum((unsigned char)*name))
            out[n++] = (char)tolower((unsigned char)*name);
    out[n] = 0;
}

static int not_found(const json_t *models, const char *name, struct err *err)
{
    char want[64], have[MODELS_MAX][64];
    const char *names[MODELS_MAX], *nearest;
    int n = 0, i = 0;
    plain(want, name);
    for (; n < MODELS_MAX && n < (int)json_array_size(models); n++)
        plain(have[n], tree_text_at(json_array_get(models, (size_t)n), "name")), names[n] = have[n];
    nearest = word_nearest(want, names, n);
    while (nearest && names[i] != nearest)
        i++;
    if (nearest)
        nearest = tree_text_at(json_array_get(models, (size_t)i), "name");
    return ERR(err, NOTFOUND, "'%.100s' is neither a model folder, a config.json or a GGUF file, nor one of the %d models that are known by name%s%s", name, n,
               nearest ? "; the nearest is " : " (lathe plan --models)", nearest ? nearest : "");
}

static int find(struct config *c, const json_t *models, const char *name, struct err *err)
{
    char want[64], have[64];
    size_t i;
    json_t *m;
    plain(want, name);
    json_array_foreach(models, i, m) {
        plain(have, tree_text_at(m, "name"));
        if (!strcmp(want, have))
            return config_read(c, json_object_get(m, "config"), tree_text_at(m, "name"), NULL, err);
    }
    return not_found(models, name, err);
}

int published_config(struct config *c, const char *name, struct err *err)
{
    json_t *models;
    TRY(table(&models, err));
    const int rc = find(c, models, name, err);
    json_decref(models);
    return rc;
}

int published_list(struct published **out, int *n, struct err *err)
{
    json_t *models, *m;
    size_t i;
    TRY(table(&models, err));
    *n = (int)json_array_size(models);
    *out = mem_alloc_array((size_t)*n + 1, sizeof **out);
    if (*out)
        json_array_foreach(models, i, m) {
            snprintf((*out)[i].name, sizeof (*out)[i].name, "%s", tree_text_at(m, "name"));
            snprintf((*out)[i].source, sizeof (*out)[i].source, "%s", tree_text_at(m, "source"));
        }
    json_decref(models);
    return *out ? 0 : ERR(err, NOMEM, "no memory for %d names of models", *n);
}
