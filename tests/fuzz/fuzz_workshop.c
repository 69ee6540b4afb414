/* fuzz_workshop.c - any bytes as a table that somebody brings, whole or its beginning, and as a file's name: told in words, or columns and rows that fit each other; a name that is taken stays below its folder. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "serve/workshop_files.h"
#include "serve/workshop_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_table(const char *text, size_t n, bool whole, const char *name)
{
    struct err err = { 0 };
    json_t *t, *row;
    size_t i;
    if (workshop_table_of(text, n, whole, name, &t, &err))
        abort();
    const size_t columns = json_array_size(json_object_get(t, "columns"));
    if (columns > TABLE_COLUMNS || json_array_size(json_object_get(t, "first")) > TABLE_ROWS)
        abort();
    json_array_foreach(json_object_get(t, "first"), i, row)
        if (json_array_size(row) != columns)
            abort();
    json_decref(t);
}

static void check_name(const char *text, size_t n)
{
    char name[WORKSHOP_NAME + 40];
    struct err err = { 0 };
    n = n < sizeof name - 1 ? n : sizeof name - 1;
    memcpy(name, text, n), name[n] = 0;
    if (!workshop_name_check(name, &err) && (*name == '/' || *name == '.' || strstr(name, "/.") || strstr(name, "//") || workshop_ending_of(name) == ENDS_OTHER))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const char *text = (const char *)data;
    if (!n)
        return 0;
    check_table(text + 1, n - 1, *data & 1, *data & 2 ? "a.csv" : "a.jsonl");
    check_name(text + 1, n - 1);
    return 0;
}
