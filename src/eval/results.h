/* results.h - an evaluation's results in the layout of lm-evaluation-harness (its result_schema.py), so that what reads its files reads ours.
 *
 * What it does not have - intervals, clusters, failed items, cut contexts, conventions - stands under one key of our own, "lathe". */
#ifndef EVAL_RESULTS_H
#define EVAL_RESULTS_H
#include "eval/scores.h"

/* All of it borrowed. */
struct results_info {
    const char *build;                   /* of this program */
    const char *model;                   /* its path, as given */
    const char *model_sha256;
    const char *adapter, *adapter_sha256;  /* its folder, as given; NULL: none */
    const char *kept_as;                 /* the type that its weights are kept in: file, fp32, ... */
    const char *gen_kwargs, *system, *chat_template;     /* NULL: none */
    const char *requests_sha256;         /* of all that was asked; NULL: was not made */
    int64_t limit;                       /* 0: none */
    int batch, max_length;
    uint32_t seed;
    bool single_turn, adds_begin;        /* adds_begin: texts begin with what the tokenizer puts there */
    const struct encoder *encoder;
    double date, begin, end;             /* seconds since 1970; of a steady clock */
    const struct run_counts *counts;     /* NULL: no model was needed */
};

struct results { const struct evaluation *e; const struct task_list *list; struct eval_score **score; };     /* score: [task][metric] */
int results_init(struct results *r, const struct evaluation *e, const struct task_list *l, const struct score_opts *o, struct err *err);
void results_release(struct results *r);
/* Of a group's metric and filter, in its tasks that have it.  False: none has. */
bool results_group(const struct results *r, const struct task_group *g, int i_metric, const char *filter, struct group_score *out);
/* The filters of its tasks that a group's metric is made for, each once; their number. */
#define RESULTS_FILTERS 16
int results_group_filters(const struct results *r, const struct task_group *g, int i_metric, const char *out[RESULTS_FILTERS]);

/* The whole; *out is the caller's.  task_hashes: an object, or NULL. */
int results_json(const struct results *r, const struct results_info *info, const json_t *task_hashes, json_t **out, struct err *err);
/* The lines of a task's samples, one for each filter and item, in the order of the items, to `line` (n bytes without newline), and the hash
 * that lm-evaluation-harness has of its documents, prompts and targets. */
int results_samples(const struct results *r, struct evaluation *e, int i_task, int (*line)(void *ctx, const char *text, size_t n, struct err *err), void *ctx,
                    char hash[SHA256_HEX], struct err *err);
#endif
