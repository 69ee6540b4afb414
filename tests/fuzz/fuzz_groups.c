/* fuzz_groups.c - any bytes as lists of terms: refused, or lists whose terms are found in the very bytes without reading past them. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "audit/groups.h"
#include "base/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(const struct groups *g, const char *text, size_t n)
{
    struct grams w = { 0 };
    struct group_counts c;
    struct err err;
    if (grams_of(&w, text, n, &err) >= 0 && group_counts_init(&c, g, &err) >= 0) {
        group_counts_text(&c, g, text, &w);
        for (size_t i = 0; i < g->n; i++)
            if (c.record[i] > 1 || c.record[i] > c.mention[i])
                abort();
        for (size_t i = 0; i < g->n_term; i++)      /* each term is its own text's */
            if (!strlen(g->term[i].text) || g->term[i].group >= (int)g->n)
                abort();
        group_counts_release(&c);
    }
    grams_release(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct groups g;
    struct err err;
    json_t *tree;
    if (tree_parse_json(&tree, (const char *)data, size, "input", &err) < 0)
        return 0;
    if (groups_of_tree(&g, tree, &err) >= 0)
        look(&g, (const char *)data, size);
    groups_release(&g);
    json_decref(tree);
    return 0;
}
