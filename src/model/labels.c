#include "model/labels.h"
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"

void labels_release(struct labels *l)
{
    for (int i = 0; i < l->n; i++)
        mem_free(l->name[i]);
    mem_free(l->name);
    *l = (struct labels){ 0 };
}

int labels_find(const struct labels *l, const char *name)
{
    for (int i = 0; i < l->n; i++)
        if (!strcmp(l->name[i], name))
            return i;
    return -1;
}

int labels_add(struct labels *l, const char *name, struct err *err)
{
    if (!(l->n & (l->n - 1))) {                /* room for twice as many at each power of two */
        char **p = mem_realloc_array(l->name, l->n ? 2 * (size_t)l->n : 1, sizeof *p);
        if (!p)
            return ERR(err, NOMEM, "no memory for %d names of classes", l->n + 1);
        l->name = p;
    }
    if (!(l->name[l->n] = mem_strdup(name)))
        return ERR(err, NOMEM, "no memory for the name of a class");
    l->n++;
    return 0;
}

int labels_load(struct labels *l, const struct config *c, const char *folder, struct err *err)
{
    *l = (struct labels){ 0 };
    char *path = file_is_dir(folder) ? file_join(folder, "config.json") : mem_strdup(folder);
    if (!path)
        return ERR(err, NOMEM, "no memory for a path");
    json_t *root = NULL;
    int rc = tree_load(&root, path, (size_t)4 << 20, err);
    const json_t *names = rc ? NULL : json_object_get(root, "id2label");
    for (int i = 0; i < c->n_label && !rc; i++) {
        char key[16], plain[32];
        snprintf(key, sizeof key, "%d", i), snprintf(plain, sizeof plain, "LABEL_%d", i);
        const char *name = json_string_value(json_object_get(names, key));
        rc = labels_add(l, name ? name : plain, err);
    }
    json_decref(root);
    mem_free(path);
    if (rc)
        labels_release(l);
    return rc;
}
