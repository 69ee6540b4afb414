#include "data/text.h"
#include <string.h>
#include "base/mem.h"
#include "base/utf8.h"

size_t text_bad_utf8(const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint64_t eight;
        for (; n - i >= sizeof eight; i += sizeof eight) {       /* most text is ASCII, most of the time */
            memcpy(&eight, s + i, sizeof eight);
            if (eight & 0x8080808080808080)
                break;
        }
        if (i == n)
            break;
        const int len = utf8_length(s + i, s + n);
        if (!len)
            return i;
        i += (size_t)len;
    }
    return n;
}

static int add_file(struct text_list *l, const char *path, struct err *err)
{
    if (l->n_doc == l->cap_doc) {
        const int cap = l->cap_doc ? 2 * l->cap_doc : 16;
        struct text_doc *p = mem_realloc_array(l->doc, (size_t)cap, sizeof *p);
        if (!p)
            return ERR(err, NOMEM, "no memory for %d documents", cap);
        l->doc = p, l->cap_doc = cap;
    }
    struct text_doc d = { .path = mem_strdup(path) };
    if (!d.path)
        return ERR(err, NOMEM, "no memory to open %s", path);
    int rc = file_map_open(&d.map, path, err);
    d.n = d.map.size;
    if (!rc && !d.n)
        rc = ERR(err, FORMAT, "%s is empty, expected text", path);
    if (!rc) {
        const size_t bad = text_bad_utf8(d.map.data, d.n);
        if (bad < d.n)
            rc = ERR(err, FORMAT, "%s is not UTF-8: byte 0x%02x at offset %zu", path, (unsigned char)d.map.data[bad], bad);
    }
    if (rc) {
        file_map_close(&d.map);
        mem_free(d.path);
        return rc;
    }
    l->doc[l->n_doc++] = d;
    l->n_bytes += d.n;
    return 0;
}

#define FOLDERS_DEEP 64

static int add(struct text_list *l, const char *path, int depth, struct err *err)
{
    if (!file_is_dir(path))
        return add_file(l, path, err);
    if (depth > FOLDERS_DEEP)
        return ERR(err, RANGE, "%s: folders more than %d deep", path, FOLDERS_DEEP);
    char **names;
    int n, rc = 0;
    TRY(file_list(path, &names, &n, err));
    for (int i = 0; i < n && !rc; i++) {
        char *child = file_join(path, names[i]);
        rc = child ? add(l, child, depth + 1, err) : ERR(err, NOMEM, "no memory to open %s", path);
        mem_free(child);
    }
    file_list_free(names, n);
    return rc;
}

int text_add(struct text_list *l, const char *path, struct err *err)
{
    const int before = l->n_doc;
    TRY(add(l, path, 0, err));
    return l->n_doc > before ? 0 : ERR(err, NOTFOUND, "%s has no files", path);
}

void text_release(struct text_list *l)
{
    for (int i = 0; i < l->n_doc; i++) {
        file_map_close(&l->doc[i].map);
        mem_free(l->doc[i].path);
    }
    mem_free(l->doc);
    *l = (struct text_list){ 0 };
}

int text_check_utf8(const char *s, size_t n, const char *what, struct err *err)
{
    const size_t bad = text_bad_utf8(s, n);
    return bad < n ? ERR(err, FORMAT, "byte %zu of %s is 0x%02x, which is not UTF-8", bad, what, (unsigned char)s[bad]) : 0;
}

bool text_is_blank(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n && (s[i] == ' ' || (s[i] >= '\t' && s[i] <= '\r')))
        i++;
    return i == n;
}
