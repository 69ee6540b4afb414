/* fuzz_yaml.c - any bytes as YAML and as JSON: refused with a message, or a tree that prints as JSON and reads back equal. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int (*parse)(json_t **, const char *, size_t, const char *, struct err *), const uint8_t *data, size_t size)
{
    struct err err = { 0 };
    json_t *tree, *again;
    const int rc = parse(&tree, (const char *)data, size, "input", &err);
    if (rc < 0) {
        if (rc != err.code || !*err.msg || tree)
            abort();
        return;
    }
    char *text = json_dumps(tree, JSON_ENCODE_ANY);
    if (!text || tree_parse_json(&again, text, strlen(text), "printed", &err) < 0 || !json_equal(tree, again))
        abort();
    free(text);
    json_decref(again);
    json_decref(tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(tree_parse_yaml, data, size);
    check(tree_parse_json, data, size);
    return 0;
}
