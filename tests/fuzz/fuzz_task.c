/* fuzz_task.c - a task file and, behind a line of ===, its documents: either may be anything. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "eval/task_rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void ask(struct task *t)
{
    struct reply r[64];
    struct err err;
    struct task_value *v = mem_alloc_array((size_t)t->n_score + 1, sizeof *v);
    for (int64_t i = 0; v && i < t->n_item; i++) {
        const struct request *q;
        const int n = task_requests(t, i, &q, &err);
        json_t *sample = NULL;
        if (n > 64)
            continue;
        for (int k = 0; k < n; k++) {
            /* The document's own text comes back as the answer, so that filters have something to find. */
            r[k] = (struct reply){ .loglik = -1.5 * ((k * 7 + (int)i) % 5), .greedy = k & 1, .n_token = k % 3 };
            r[k].text = (char *)(uintptr_t)q[k].context, r[k].n_text = q[k].n_context;
        }
        task_score(t, i, r, n > 0 ? n : 0, v, &err);
        task_sample(t, i, r, n > 0 ? n : 0, &sample, &err);
        json_decref(sample);
    }
    for (int m = 0; v && m < t->n_score; m++)
        task_score_all(t->score[m].aggregate, v + m, 1, NULL, 1);
    mem_free(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char line[] = "\n===\n";
    const char *text = (const char *)data, *cut = n ? memmem(text, n, line, sizeof line - 1) : NULL;
    const size_t n_yaml = cut ? (size_t)(cut - text) : n;
    struct task_opts o = TASK_OPTS;
    struct err err;
    struct task *t = mem_alloc_zero(sizeof *t);
    const struct task_source s = { NULL, (char *)(uintptr_t)text, n_yaml };
    if (!t)
        return 0;
    o.limit = 20;
    if (!task_source_parse(&s, &t->yaml, &err) && !task_read(t, &o, &err) && cut) {
        t->n_shot = t->n_shot > 3 ? 3 : t->n_shot;
        t->repeats = t->repeats > 4 ? 4 : t->repeats;
        t->docs.list = json_array();
        t->docs.split = mem_strdup("test");
        t->docs.file = mem_alloc_array(1, sizeof *t->docs.file);
        t->docs.file[t->docs.n_file++] = mem_strdup("docs");
        const struct rows r = { .out = &t->docs, .name = "docs", .split = "test" };
        if (!rows_add(&r, cut + sizeof line - 1, n - n_yaml - (sizeof line - 1), &err) && json_array_size(t->docs.list) && !process_docs_run(&t->process, &t->docs, &err)) {
            t->shot_list = t->docs.list;
            if (!task_prompts(t, &o, &err))
                ask(t);
        }
    }
    task_free(t);
    return 0;
}
