#include "card/files.h"
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "card/read.h"

static int files_of(const json_t *list, const json_t *source, size_t i_source, int (*one)(void *ctx, const struct card_file *f), void *ctx)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *f = json_array_get(list, i);
        const struct card_file file = { read_str(f, "path"), read_str(f, "sha256"), read_count(f, "bytes"), source, f, i_source, i };
        if (file.path)
            TRY(one(ctx, &file));
    }
    return 0;
}

int files_each(const struct card *c, int (*one)(void *ctx, const struct card_file *f), void *ctx)
{
    const json_t *sources = json_object_get(c->report, "sources");
    if (c->files)
        return files_of(c->files, NULL, 0, one, ctx);
    for (size_t i = 0; i < json_array_size(sources); i++) {
        const json_t *s = json_array_get(sources, i);
        TRY(files_of(json_object_get(s, "files"), s, i, one, ctx));
    }
    return 0;
}

const char *file_base(const char *path)
{
    const char *last = file_last_part(path);
    return *last ? last : path;
}

static bool ends(const char *path, size_t n, const char *with)
{
    const size_t k = strlen(with);
    return n >= k && !memcmp(path + n - k, with, k);
}

static const struct { const char *format, *ending, *type; } types[] = {
    { "jsonl", ".jsonl", "application/jsonlines" }, { "jsonl", ".ndjson", "application/jsonlines" }, { "csv", ".csv", "text/csv" }, { "tsv", ".tsv", "text/tab-separated-values" },
    { "html", ".html", "text/html" },               { "html", ".htm", "text/html" },                 { "markdown", ".md", "text/markdown" }, { "text", ".txt", "text/plain" },
};

/* Bytes of a path without the ending of its packing. */
static size_t unpacked(const char *path, size_t n) { return ends(path, n, ".gz") ? n - 3 : ends(path, n, ".zst") ? n - 4 : n; }

/* What a name tells, or a text. */
static const char *format_of(const char *path)
{
    const size_t n = unpacked(path, strlen(path));
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (ends(path, n, types[i].ending))
            return types[i].format;
    return "text";
}

const char *source_format(const json_t *source)
{
    const char *first = read_str(json_array_get(json_object_get(source, "files"), 0), "path");
    return read_str(source, "format") ? read_str(source, "format") : first ? format_of(first) : "text";
}

void file_type(char out[64], const char *path, const char *format)
{
    const size_t n = strlen(path);
    const char *type = "text/plain", *packed = ends(path, n, ".gz") ? "+gzip" : ends(path, n, ".zst") ? "+zstd" : "";
    format = format ? format : format_of(path);
    for (size_t i = sizeof types / sizeof *types; i-- > 0;)
        if (!strcmp(types[i].format, format))
            type = types[i].type;
    snprintf(out, 64, "%s%s", type, packed);
}

char *file_url(const char *path)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
    char *out = mem_alloc(3 * strlen(path) + 1), *to = out;
    for (; out && *path; path++)
        to += *path && strchr(plain, *path) ? (*to = *path, 1) : sprintf(to, "%%%02X", (unsigned char)*path);
    if (out)
        *to = 0;
    return out;
}
