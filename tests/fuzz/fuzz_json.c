/* fuzz_json.c - any bytes as JSON: what the reader of right texts takes gives the tree that jansson gives, and tree_parse_json() agrees with both. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/json_read.h"
#include "base/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = { 0 };
    int lacks;
    json_t *fast = json_read((const char *)data, size, 100, &lacks), *tree = NULL;
    json_t *slow = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    const int rc = tree_parse_json(&tree, (const char *)data, size, "input", &err);
    if (lacks || (fast && (!slow || !json_equal(fast, slow))) || !tree != (rc < 0) || (fast && rc < 0) || (tree && (!slow || !json_equal(tree, slow))))
        abort();
    tree_json_bytes((const char *)data, size);
    json_decref(fast);
    json_decref(slow);
    json_decref(tree);
    return 0;
}
