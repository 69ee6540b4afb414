/* fuzz_keys.c - any bytes as a file of keys, in YAML and in JSON: refused with a message, or keys that a server could serve by. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "serve/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_key(const struct key *k)
{
    const struct quota *q = &k->quota;
    const int64_t limit[] = { q->requests_minute, q->requests_day, q->tokens_minute, q->tokens_day, q->texts };
    if (!*k->name || strlen(k->name) >= KEY_NAME || !*k->tenant || strlen(k->tenant) >= KEY_NAME || !strcmp(k->name, KEY_SHARED) || k->expires < 0 || (k->model && k->n_model < 1))
        abort();
    for (size_t i = 0; i < sizeof limit / sizeof *limit; i++)
        if (limit[i] < 0 || limit[i] > 1000000000000)
            abort();
    for (int i = 0; i < k->n_model; i++)
        if (!*k->model[i])
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int yaml = 0; yaml < 2; yaml++) {
        struct err err = { 0 };
        struct key_file f;
        const int rc = keys_parse(&f, (const char *)data, size, yaml, "input", &err);
        if (rc < 0 && (rc != err.code || !*err.msg || f.key))
            abort();
        for (int i = 0; i < f.n; i++)
            check_key(&f.key[i]);
        keys_release(&f);
    }
    return 0;
}
