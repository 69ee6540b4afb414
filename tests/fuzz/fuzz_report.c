/* fuzz_report.c - any bytes as metrics.jsonl and, after the first NUL, as run.json: the page has only tags and entities of ours. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include "../unit/page_check.h"
#include "base/tree.h"
#include "train/page.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = { 0 };
    struct history h;
    struct buf b;
    const char *text = (const char *)data;
    const size_t n = strnlen(text, size);
    buf_init(&b);
    if (history_init(&h, &err) < 0 || history_add(&h, text, n, &err) < 0)
        abort();
    if (n < size && tree_parse_json(&h.facts, text + n + 1, size - n - 1, "run.json", &err) < 0 && h.facts)
        abort();
    if (page_write(&h, "run", &b, &err) < 0 || page_bad(b.data))
        abort();
    buf_release(&b);
    history_release(&h);
    return 0;
}
