/* samples.h - items of an evaluation that was kept: the samples_TASK_DATE.jsonl files of lm-evaluation-harness' --log_samples and of lathe
 * eval --out, one of them or a folder; and the items of two such evaluations side by side.
 *
 * A line is an item by one filter: {"doc_id", "doc", "target", "filtered_resps", "filter", "metrics", "doc_hash", "prompt_hash", METRIC: value, ..}, and
 * lathe's own "cluster" where items depend on each other.  An item that failed has no metric.
 * A value is a number, true or false, or [number, weight] of perplexities and bits per byte.  Lines of other keys are read too.  A line that is none is ERR_FORMAT with
 * file and line; memory is bounded by the files' size. */
#ifndef EVAL_SAMPLES_H
#define EVAL_SAMPLES_H
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "eval/compare.h"

#define SAMPLE_TEXT 160          /* bytes of a text that are kept, at most */
struct sample {
    int64_t id;                  /* doc_id */
    uint64_t doc, prompt;        /* hashes: of doc_hash, where there is none of the document; of prompt_hash, 0: none */
    double value, weight;        /* value NAN: none */
    int64_t cluster;             /* items of one depend on each other; -1: it stands for itself, as in files of lm-evaluation-harness */
    char *text, *target, *answer;/* for people: the end of the prompt, or the beginning of the document's longest text; those of the right answer and of the reply */
};
/* Of one task and filter, for one metric: the first line that has one says which.  Items ascending by id. */
struct sample_set {
    char *task, *filter, *metric, *path;
    char *other;                 /* another metric that an item has, for messages; NULL: none was seen */
    bool higher_is_better;       /* of the values: log-likelihoods of perplexities are better the higher they are */
    struct sample *item; int64_t n, cap;
};
struct samples { struct sample_set *set; int n; int n_older; };      /* sets by task, then in the order of the filters; n_older: files of the same task with an earlier date, left alone */

/* Does a path look like such files: a .jsonl file, or a folder with samples_*.jsonl, in itself or one folder below? */
bool samples_are_at(const char *path);
/* metric NULL: the first that each task names.  tasks NULL or "": all; else names with commas between them. */
int samples_load(struct samples *s, const char *path, const char *tasks, const char *metric, struct err *err);
void samples_release(struct samples *s);
/* An item of an evaluation that is in memory, as its line would be, with its one metric; sets of a task are added one after the other.  When all are
 * there: samples_sort(). */
int samples_add(struct samples *s, const char *task, const json_t *line, int64_t cluster, bool higher_is_better, struct err *err);
void samples_sort(struct samples *s);

/* Items of both, by id, whose documents are the same.  index: of old->item and new->item. */
struct sample_pairs {
    struct sample_pair { int64_t old, new; } *pair; int64_t n;
    int64_t only_old, only_new;  /* items that the other has not */
    int64_t other_doc;           /* the same id, and another document */
    int64_t other_prompt;        /* paired all the same: one document, asked in another way (examples, a chat template) */
    int64_t no_value;            /* one of them has none */
    int64_t first[3]; int n_first;       /* ids of the first that are not paired */
};
/* The set of the same task and filter; NULL: there is none. */
const struct sample_set *samples_find(const struct samples *s, const struct sample_set *like);
int samples_pair(struct sample_pairs *p, const struct sample_set *old, const struct sample_set *new, struct err *err);
void sample_pairs_release(struct sample_pairs *p);
/* compare_measure() of the pairs; stream: as there. */
int samples_measure(struct compare_result *r, const struct sample_set *old, const struct sample_set *new, const struct sample_pairs *p, const struct eprocess *stream,
                    const struct compare_opts *o, struct err *err);
#endif
