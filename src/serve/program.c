#include "serve/program.h"
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"

#define LOG_TAIL 4000

/* Behind "lathe: " or "lathe train: ", which a person has not called. */
static const char *without_program(const char *at, const char *end)
{
    const char *colon = end - at > 6 && !memcmp(at, "lathe", 5) ? memchr(at, ':', (size_t)(end - at)) : NULL;
    for (const char *p = at + 5; colon && p < colon; p++)
        if (*p != ' ' && (*p < 'a' || *p > 'z'))
            return at;
    return colon && end - colon > 2 && colon[1] == ' ' ? colon + 2 : at;
}

bool server_program_last_words(const char *folder, const char *log, char *out, size_t n)
{
    struct file_map map;
    struct err none;
    char *path = file_join(folder, log);
    bool found = false;
    if (path && !file_map_open(&map, path, &none)) {
        const char *from = map.data + (map.size > LOG_TAIL ? map.size - LOG_TAIL : 0), *end = map.data + map.size, *at;
        while (end > from && (end[-1] == '\n' || end[-1] == '\r'))
            end--;
        for (at = end; at > from && at[-1] != '\n'; at--)
            ;
        at = without_program(at, end);
        found = end > at;
        snprintf(out, n, "%.*s", (int)(end - at), at);
        err_tidy(out);
        file_map_close(&map);
    }
    mem_free(path);
    return found;
}
