#include "store/evidence_kind.h"
#include <jansson.h>
#include <string.h>
#include "base/tree.h"

static const char *of_tree(const json_t *o)
{
    const char *own = tree_text_at(o, "kind");
    const size_t n = strlen(own);
    if (json_is_array(json_object_get(o, "figures")) && n && n < EVIDENCE_KIND && strspn(own, "abcdefghijklmnopqrstuvwxyz_") == n)
        return own;
    if (json_is_object(json_object_get(o, "results")) && json_is_object(json_object_get(o, "configs")))
        return "tasks";
    if (json_is_string(json_object_get(o, "verdict")) && json_is_number(json_object_get(o, "effect")))
        return "compare";
    if (json_is_object(json_object_get(o, "totals")) && json_is_array(json_object_get(o, "sources")))
        return "audit";
    if (!strcmp(tree_text_at(o, "format"), "lathe-reference"))
        return "reference";
    return strstr(tree_text_at(o, "mediaType"), "application/vnd.dev.sigstore.bundle") ? "signature" : "file";
}

void evidence_kind(const char *text, size_t n, char kind[EVIDENCE_KIND])
{
    json_t *o = NULL;
    struct err none;
    const bool read = n && *text == '{' && !tree_parse_json(&o, text, n, "evidence", &none);
    strcpy(kind, read ? of_tree(o) : "file");
    json_decref(o);
}

bool evidence_is_evaluation(const char *kind)
{
    static const char *const others[] = { "file", "signature", "audit", "reference", "compare", NULL };
    for (int i = 0; others[i]; i++)
        if (!strcmp(kind, others[i]))
            return false;
    return true;
}
