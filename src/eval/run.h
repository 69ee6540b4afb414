/* run.h - a model answers the requests of an evaluation.
 *
 *   run_open      the tokenizer and the configuration; no weight is read
 *   run_add       an item's requests become tokens (eval/encode.h)
 *   run_answer    the model is loaded with as many positions and pages as these need, and answers
 *
 * What is common to an item's requests is computed once: they are a tree, whose branches a sequence of the engine walks, cut back at
 * each fork.  What an item has in common with the next one (an instruction, examples) is computed once, too, and its pages are shared.
 * Steps are filled up with rows of many items; the head is run for the rows that are scored alone.  Replies do not depend on how many
 * items there are at once, on the tokens of a step, on what was shared, or on threads: to the bit (engine.h).
 *
 * A request that cannot be answered has an error in its reply, and all others are answered.  One thread. */
#ifndef EVAL_RUN_H
#define EVAL_RUN_H
#include "eval/encode.h"
#include "infer/engine.h"

struct run;
struct run_opts {
    const char *model;                   /* a file or a folder, as of engine_new */
    struct engine_opts engine;           /* of these counts how weights, keys and values are kept, rope_scaling, and the adapter */
    int batch;                           /* items at once, 0: RUN_BATCH */
    int step_tokens;                     /* 0: RUN_STEP_TOKENS */
    int max_length;                      /* tokens that the model may look at; 0: as many as it has positions */
    enum encode_begin begin;
    uint64_t seed;                       /* of texts that are drawn; each has its own by (seed, tag, index) */
    bool apart;                          /* nothing is shared */
    size_t cache_bytes;                  /* of keys and values at most, where one item does not need more; 0: RUN_CACHE_BYTES */
};
#define RUN_BATCH 64
#define RUN_STEP_TOKENS 512
#define RUN_CACHE_BYTES ((size_t)256 << 20)

int run_open(struct run **out, const struct run_opts *o, struct err *err);
void run_close(struct run *r);
const struct encoder *run_encoder(const struct run *r);
const struct model *run_model(const struct run *r);

/* q[i].index is i.  The texts are not kept, `generation` is: until run_answer() ends.  Items are answered in about the order in
 * which they are added: those that share a beginning should follow each other. */
int run_add(struct run *r, int64_t tag, const struct request *q, int n, struct err *err);

struct run_progress {
    int64_t n_item, n_answered;
    int64_t n_token, n_done;             /* to compute, about; computed */
};
struct run_hooks {
    /* All of an item's requests are answered; the replies are gone after the call.  An error of its ends the run. */
    int (*answered)(void *ctx, int64_t tag, const struct reply *reply, int n, struct err *err);
    bool (*goes_on)(void *ctx, const struct run_progress *p);      /* between steps; false: ERR_STOPPED, once.  NULL: always */
    void *ctx;
};
/* Before the first run_answer(): it may then be called again and again, each time after items were added, none of more than so many positions
 * (else ERR_RANGE, and what was added is gone); the model is loaded once. */
void run_again(struct run *r, int positions);
/* Once, but after run_again().  After an error the items that were not answered stay so. */
int run_answer(struct run *r, const struct run_hooks *h, struct pool *pool, struct err *err);

struct run_counts {
    int64_t n_item, n_request;
    int64_t n_asked;                     /* tokens of all requests, as if each were computed alone */
    int64_t n_computed;                  /* rows of all steps */
    int64_t n_scored;                    /* rows that the head was run for */
    int64_t n_generated;
    int64_t n_step;
    int ctx, n_page;                     /* of the engine */
    size_t bytes;                        /* engine_bytes() */
    double load_s, answer_s;
};
struct run_counts run_counts(const struct run *r);
#endif
