/* wrong.h - what a model got wrong, to be read by people: a few items of each task out of samples_TASK_DATE.jsonl (lathe eval --log-samples, or
 * lm-evaluation-harness), the first that its first metric gives 0. */
#ifndef EVAL_WRONG_H
#define EVAL_WRONG_H
#include <jansson.h>
#include "base/err.h"

/* Of the samples that lie beside results_DATE.json: [{"task", "item", "metric", "prompt" (its end), "expected", "answer"} ..], at most 20.  Where items choose
 * among texts, "expected" and "answer" are of these, the answer being the likeliest.  Lines that are no samples are passed over.  results: of the file. */
int wrong_answers(json_t **out, const char *folder, const char *results_file, const json_t *results, struct err *err);
#endif
