/* fuzz_toml.c - any bytes as a file of rules: it is refused, or what was read of it is a tree of jansson's and looks through a text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "audit/secret.h"
#include "audit/toml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] = "api_key = 0123456789abcdef\nk=abcd";
    struct err err;
    struct secrets *s;
    struct secret_state *t;
    json_t *tree;
    const struct spot *spot;
    size_t n;
    char *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    memcpy(copy, data, size);
    if (toml_parse(&tree, copy, size, "a.toml", &err) == 0) {
        if (!json_is_object(tree))
            abort();
        json_decref(tree);
        if (size < 2000 && secrets_parse(&s, copy, size, "a.toml", &err) == 0) {
            if (secret_state_new(&t, s, &err) || secret_spots(s, t, "a/b", text, strlen(text), &spot, &n, &err))
                abort();
            secret_state_free(t);
            secrets_free(s);
        }
    } else if (!strstr(err.msg, "a.toml"))
        abort();
    free(copy);
    return 0;
}
