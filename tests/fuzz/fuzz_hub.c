/* fuzz_hub.c - any bytes as a page of the hub's list, as the name of a model and as a Link header: refused, or names that stay in
 * their folder and files that can be chosen. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "store/fetch.h"
#include "store/hub.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_list(const char *text, size_t size)
{
    struct err err = { 0 };
    struct hub_list l = { 0 };
    const int rc = hub_list_add(&l, text, size, &err);
    if (rc < 0 && (rc != err.code || !*err.msg))
        abort();
    for (int i = 0; i < l.n; i++)
        if (strstr(l.file[i].path, "/../") || l.file[i].path[0] == '/' || (strlen(l.file[i].digest) != 40 && strlen(l.file[i].digest) != 64))
            abort();
    hub_list_choose(&l, NULL, &err);
    hub_list_choose(&l, "*.gguf,model", &err);
    hub_list_release(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = { 0 };
    struct model_id id;
    char next[64], *text = mem_alloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    check_list(text, size);
    fetch_link_next(text, next, sizeof next);
    if (!model_id_parse(&id, text, &err) && (!strncmp(id.revision, "../", 3) || strchr(id.name, '/') || id.org[0] == '.'))
        abort();
    mem_free(text);
    return 0;
}
