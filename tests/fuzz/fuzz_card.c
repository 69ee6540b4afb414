/* fuzz_card.c - any bytes as an audit's report, with answers after the first NUL, and as a Croissant document: documents are made or an error
 * is told, and the page has only tags and entities of ours. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "../unit/page_check.h"
#include "base/tree.h"
#include "card/card.h"
#include "card/croissant_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = { 0 };
    json_t *report = NULL, *answers = NULL, *doc = NULL;
    struct buf text[CARD_DOCUMENTS];
    const char *s = (const char *)data;
    const size_t n = strnlen(s, size);
    if (tree_parse_json(&report, s, n, "report.json", &err) < 0)
        return 0;
    if (croissant_check(report, "croissant.json", &err) < 0 && !*err.msg)
        abort();
    if (n < size && tree_parse_yaml(&answers, s + n + 1, size - n - 1, "questions.yaml", &err) < 0)
        answers = NULL;
    const struct card_opts o = { .name = "n", .created = "2026-11-26", .answers = answers };
    for (int i = 0; i < CARD_DOCUMENTS; i++)
        buf_init(&text[i]);
    const int rc = card_make(report, &o, text, NULL, &err);
    if (rc < 0 ? !*err.msg : page_bad(text[0].data) != NULL)
        abort();
    /* The documents of JSON are JSON. */
    for (int i = 0; i < CARD_DOCUMENTS && !rc; i++)
        if (text[i].data[0] == '{' && tree_parse_json(&doc, text[i].data, text[i].len, "document", &err) < 0)
            abort();
        else if (text[i].data[0] == '{')
            json_decref(doc);
    for (int i = 0; i < CARD_DOCUMENTS; i++)
        buf_release(&text[i]);
    json_decref(report), json_decref(answers);
    return 0;
}
