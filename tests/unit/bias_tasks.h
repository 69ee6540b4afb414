/* bias_tasks.h - evaluations of BBQ, CrowS-Pairs and a task of two classes that are answered without a model. */
#ifndef TESTS_BIAS_TASKS_H
#define TESTS_BIAS_TASKS_H
#include <math.h>
#include "../test.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/tree.h"
#include "eval/evaluate.h"

static struct err err;
struct asked { struct task_list list; struct evaluation e; };

SHARED_BY_TESTS void asked_release(struct asked *a)
{
    evaluation_release(&a->e);
    task_list_release(&a->list);
}

/* Of each item of the first task the choice `choice(i)` is the likeliest; < 0: it has no answer. */
SHARED_BY_TESTS int answer_each(struct asked *a, int (*choice)(int64_t i, void *ctx), void *ctx)
{
    for (int64_t i = 0; i < a->e.task[0].n; i++) {
        struct request *q = NULL;
        struct reply y[16] = { { 0 } };
        int n;
        const int c = choice(i, ctx);
        if (c < 0)
            continue;
        TRY(evaluation_requests(&a->e, 0, i, &q, &n, &err));
        for (int k = 0; k < n; k++)
            y[k] = (struct reply){ .loglik = k == c ? -1 : -2 - (double)(rng_u64(9, (uint64_t)(16 * i + k)) % 100) / 50, .n_token = 2 };
        const int rc = evaluation_take(&a->e, 0, i, y, n, &err);
        mem_free(q);
        TRY(rc);
    }
    return 0;
}

SHARED_BY_TESTS int ask(struct asked *a, const char *task, const char *file)
{
    struct task_opts o = TASK_OPTS;
    const struct task_file f = { NULL, NULL, file };
    *a = (struct asked){ 0 };
    o.file = &f, o.n_file = 1;
    const int rc = task_list_add(&a->list, task, &o, &err);
    return rc ? rc : evaluation_init(&a->e, &a->list, &err);
}

/* The rows of tests/golden/bias.json as BBQ's documents; n: of them the first so many. */
SHARED_BY_TESTS void write_bbq(const char *path, const json_t *rows, size_t n)
{
    struct buf b;
    buf_init(&b);
    for (size_t i = 0; i < n && i < json_array_size(rows); i++) {
        const json_t *r = json_array_get(rows, i);
        OK(buf_printf(&b, &err,
                      "{\"category\": \"%s\", \"question_index\": \"%s\", \"context_condition\": \"%s\", \"question_polarity\": \"%s\", \"label\": %d, \"context\": \"Two came, %zu.\", "
                      "\"question\": \"Who?\", \"ans0\": \"the one\", \"ans1\": \"the other\", \"ans2\": \"Unknown\", \"answer_info\": {\"ans0\": [\"x\", \"nonOld\"], \"ans1\": [\"y\", \"old\"], "
                      "\"ans2\": [\"u\", \"unknown\"]}, \"additional_metadata\": {\"stereotyped_groups\": [\"old\"]}}\n",
                      json_string_value(json_array_get(r, 0)), json_string_value(json_array_get(r, 1)), json_string_value(json_array_get(r,
                                                                                          2)), json_string_value(json_array_get(r, 3)),
                      (int)json_integer_value(json_array_get(r, 4)), i));
    }
    OK(file_write_all(path, b.data, b.len, &err));
    buf_release(&b);
}

SHARED_BY_TESTS int row_choice(int64_t i, void *rows) { return (int)json_integer_value(json_array_get(json_array_get(rows, (size_t)i), 5)); }

/* 240 sentences, of which `group` tells four kinds; two classes. */
SHARED_BY_TESTS void write_classes(const char *task, const char *docs, int n)
{
    static const char *const group[] = { "north", "south", "east" };
    static const char rest[] = "dataset_path: json\ntest_split: test\noutput_type: multiple_choice\ndoc_to_text: \"{{q}}\"\ndoc_to_target: y\ndoc_to_choice: [bad, good]\n"
                               "metric_list: [{metric: acc}, {metric: brier_score}]\n";
    struct buf b;
    buf_init(&b);
    OK(buf_printf(&b, &err, "task: classes\n%s", rest));
    OK(file_write_all(task, b.data, b.len, &err));
    buf_clear(&b);
    for (int i = 0; i < n; i++)
        OK(buf_printf(&b, &err, i % 20 == 19 ? "{\"q\": \"text %d\", \"y\": %d}\n" : "{\"q\": \"text %d\", \"y\": %d, \"group\": \"%s\"}\n", i, i / 3 % 2,
                      group[i % 3]));
    OK(file_write_all(docs, b.data, b.len, &err));
    buf_release(&b);
}

/* Right more often in the north; the last item has no answer. */
SHARED_BY_TESTS int class_choice(int64_t i, void *n)
{
    const int y = (int)(i / 3 % 2);
    return i + 1 == *(int *)n ? -1 : rng_uniform(3, (uint64_t)i) < (i % 3 ? 0.6 : 0.9) ? y : 1 - y;
}
#endif
