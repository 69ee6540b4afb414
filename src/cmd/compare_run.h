/* compare_run.h - what the parts of `lathe compare` share: its options, and what was tested, told and kept for JSON. */
#ifndef CMD_COMPARE_RUN_H
#define CMD_COMPARE_RUN_H
#include <jansson.h>
#include "base/buf.h"
#include "base/hash.h"
#include "cmd/cmd.h"
#include "eval/compare.h"

#define COMPARE_TESTS 256

struct compare_run {
    const char *old, *new;       /* paths */
    struct compare_opts o;
    const char *convention, *metric, *tasks;
    struct opt_list text;
    int64_t ctx, limit, worst, deep, bisect_tokens;
    bool bisect;
    const char *data_dir; struct opt_list data, include;
    int64_t fewshot, batch, seed;
    bool sequential;

    struct compare_result result[COMPARE_TESTS];
    char name[COMPARE_TESTS][160], unit[COMPARE_TESTS][24];
    int n_result;
    char old_sha256[SHA256_HEX], new_sha256[SHA256_HEX];         /* of the models, for JSON; "": not known */
    json_t *texts, *items, *bisected;        /* arrays; an object or NULL */
};
/* A test by its name (a file, or task,metric,filter) and unit; *out is to be filled. */
int compare_add(struct compare_run *c, const char *unit, struct compare_result **out, struct err *err, const char *name_fmt, ...) __attribute__((format(printf, 5, 6)));

/* Texts, by two models or by a file of predictions and a model; prints what was found unless --json. */
int compare_texts(struct compare_run *c, struct err *err);
/* Tasks, by two models. */
int compare_on_tasks(struct compare_run *c, struct err *err);
/* Items of both models, by the pair.  stream_of: of a task, or NULL; ctx: its own. */
struct samples;
int compare_items_of(struct compare_run *c, const struct samples *old, const struct samples *new, const struct eprocess *(*stream_of)(void *ctx, const char *task), void *ctx, struct err *err);
/* Items that were kept by two evaluations. */
int compare_saved(struct compare_run *c, struct err *err);
#endif
