#include "card/doc.h"
#include <ctype.h>
#include "base/mem.h"
#include "base/tree.h"

static json_t *made(struct doc *d, json_t *v)
{
    d->failed = d->failed || !v;
    return v;
}

json_t *doc_object(struct doc *d) { return made(d, json_object()); }
json_t *doc_list(struct doc *d) { return made(d, json_array()); }

json_t *doc_put(struct doc *d, json_t *o, const char *key, json_t *v)
{
    const bool failed = json_object_set_new(o, key, v) < 0;
    d->failed = d->failed || failed;
    return failed ? NULL : v;
}

json_t *doc_add(struct doc *d, json_t *list, json_t *v)
{
    const bool failed = json_array_append_new(list, v) < 0;
    d->failed = d->failed || failed;
    return failed ? NULL : v;
}

void doc_str(struct doc *d, json_t *o, const char *key, const char *s)
{
    if (s)
        doc_put(d, o, key, json_string(s));
}

void doc_int(struct doc *d, json_t *o, const char *key, int64_t n) { doc_put(d, o, key, json_integer(n)); }
void doc_add_str(struct doc *d, json_t *list, const char *s) { doc_add(d, list, json_string(s)); }

void doc_text(struct doc *d, json_t *o, const char *key, struct buf *b)
{
    while (b->len && isspace((unsigned char)b->data[b->len - 1]))
        b->data[--b->len] = 0;
    if (b->len)
        doc_put(d, o, key, json_stringn(b->data, b->len));
}

int doc_end(struct doc *d, json_t *root, struct buf *out, struct err *err)
{
    char *text = d->failed ? NULL : tree_dumps(root, JSON_INDENT(1));
    int rc = text ? buf_add_str(out, text, err) : ERR(err, NOMEM, "no memory for a document");
    if (!rc)
        rc = buf_add_char(out, '\n', err);
    mem_free(text);
    json_decref(root);
    return rc;
}
