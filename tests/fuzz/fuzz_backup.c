/* fuzz_backup.c - backups in one file, and the lines of recorded answers, that come from elsewhere: what is no backup is an error, and nothing is written beside it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "store/events_copy.h"
#include "store/registry_backup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void read_lines(const char *p, const char *end)
{
    struct events_load load = { .where = NULL };
    struct err err;
    int rc = 0;
    while (p < end && !rc) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        const size_t length = newline ? (size_t)(newline - p) : (size_t)(end - p);
        rc = events_load_line(&load, p, length, &err);
        p += length + 1;
    }
    events_load_end(&load, rc, &err);
}

static void read_archive(const uint8_t *data, size_t n)
{
    static char dir[40], path[60], into[60];
    struct err err;
    json_t *o;
    if (!*dir) {
        strcpy(dir, "/tmp/lathe-fuzz-XXXXXX");
        if (!mkdtemp(dir))
            abort();
        snprintf(path, sizeof path, "%s/b.tar", dir);
        snprintf(into, sizeof into, "%s/registry", dir);
        setenv("TMPDIR", dir, 1);
    }
    char **names;
    int n_name;
    if (file_write_all(path, data, n, &err))
        abort();
    if (!registry_backup_check(path, &o, &err))
        json_decref(o);
    if (!registry_restore(path, into, &(struct registry_backup_opts){ .texts = true }, &o, &err))
        json_decref(o);
    if (file_remove_tree(into, &err) || file_list(dir, &names, &n_name, &err) || n_name != 1)
        abort();
    file_list_free(names, n_name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n && *data == '{')
        read_lines((const char *)data, (const char *)data + n);
    else
        read_archive(data, n);
    return 0;
}
