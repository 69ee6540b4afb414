/* fuzz_evaluation.c - any bytes as what evaluations left in a folder (files with NUL between them): a report is made, its page has only tags and entities of
 * ours, the front of its card is YAML, and the evidence for NIST's framework has its 22 parts. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "../unit/page_check.h"
#include "base/tree.h"
#include "report/card.h"
#include "report/nist.h"
#include "report/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILES = 4 };

static void card_of(const json_t *report, int i_model)
{
    struct err err = { 0 };
    struct buf b;
    json_t *front = NULL;
    buf_init(&b);
    const char *end = report_card(&(struct card_of_model){ report, i_model, NULL, NULL, NULL }, &b, &err) < 0 ? NULL : strstr(b.data, "\n---\n");
    if (!end || (end > b.data + 4 && tree_parse_yaml(&front, b.data + 4, (size_t)(end - b.data) - 3, "README.md", &err) < 0))
        abort();
    json_decref(front);
    buf_release(&b);
}

static void documents_of(const json_t *report)
{
    struct err err = { 0 };
    struct buf b;
    json_t *nist;
    buf_init(&b);
    if (report_page(report, "n", &b, &err) < 0 || page_bad(b.data))
        abort();
    buf_clear(&b);
    if (nist_make(&nist, report, &err) < 0 || nist_text(nist, &b, &err) < 0 || json_array_size(json_object_get(nist, "subcategories")) != 22)
        abort();
    json_decref(nist);
    buf_release(&b);
    card_of(report, (int)json_array_size(json_object_get(report, "models")) - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = { 0 };
    const char *s = (const char *)data, *end = s + size;
    json_t *files = json_array(), *report;
    for (int i = 0; i < FILES && s < end; i++) {
        const size_t n = strnlen(s, (size_t)(end - s));
        json_t *o = NULL;
        if (!tree_parse_json(&o, s, n, "file", &err))
            json_array_append_new(files, json_pack("{s:s, s:s, s:o}", "file", "f.json", "sha256", "00", "evidence", json_object_get(o, "results") ?
                                                   json_pack("{s:s, s:O?, s:o}", "kind", "tasks", "date", json_object_get(o, "date"), "results", o) : o));
        s += n + 1;
    }
    if (report_make(&report, files, &err) < 0)
        abort();
    documents_of(report);
    json_decref(report), json_decref(files);
    return 0;
}
