/* run.h - one training run while it lasts: what the parts of train/ share that take one step after the other.  Internal to train/. */
#ifndef TRAIN_RUN_H
#define TRAIN_RUN_H
#include "base/file.h"
#include "data/loader.h"
#include "nn/limits.h"
#include "train/base.h"
#include "train/checkpoint.h"
#include "train/classes.h"
#include "train/comm.h"
#include "train/config.h"
#include "train/history.h"
#include "train/dpsgd.h"
#include "train/loop.h"
#include "train/overlap.h"
#include "train/prefer.h"
#include "train/prepare.h"
#include "train/saver.h"
#include "train/slices.h"
#include "train/tensorboard.h"

#define PROCESS_BYTES ((size_t)20 << 20)     /* the process itself: program, libraries' data, stacks, small allocations */
#define BAD_STEPS_MAX 3

struct run {
    const struct train_opts *o;
    struct train_config c;
    struct prepared data;
    struct classes classes;                  /* in place of data, loader and held_out for a model of classes: run_classifies() */
    double accuracy;                         /* of the last evaluation of such a model */
    struct loader loader, held_out;          /* held_out: of a pass over data.valid, when there is some */
    struct weights_list *weights;
    struct base_rows *rows;                  /* of a base that stays in its file, or NULL */
    struct decoder model, scorer;            /* the scorer shares the model's weights; with a device there is none: run_scorer() */
    struct decoder attacker;                 /* with adversarial training (adversary.h); g NULL: none.  It shares the model's weights */
    float *images;                           /* the same: those of a micro-batch as they are */
    struct decoder reference;                /* of preferences (prefer.h): the model that the run began from */
    float *token_scale;                      /* of preferences: [T], in batch_block */
    struct pool *pool;
    struct limits limits;
    struct file_log metrics;
    struct tensorboard board;                /* the same lines for TensorBoard */
    struct train_state state;
    struct batch batch;
    int32_t *batch_block;
    int64_t micro, n_micro;                  /* windows of a micro-batch (slices.h); micro-batches of a step */
    int joined;                              /* slices that are run at once, whose micro-batches are one batch then (slices.h) */
    int T;                                   /* tokens of such a batch */
    int32_t slice_seq[GRAPH_SLICES_MAX + 1], slice_row[GRAPH_SLICES_MAX + 1];      /* of r->batch: where its slices begin */
    struct slice_sums gradient;
    struct dpsgd dp;                         /* with a section privacy */
    double *sums;                            /* [slices][run_sums_width()]: of a slice; after run_gradients() the first row is the step's */
    struct comm *comm;                       /* the processes of this run (ranks.h) */
    struct comm *holders, *copies;           /* groups of them: that hold one copy of the model together, that have the same part of it (of divided experts both are all); see ranks.h */
    struct division division;                /* between the holders */
    struct decoder_parts parts;              /* of rank 0 (parts.h), with room for one part */
    char *part_room;
    struct peers peers;                      /* the holders, for the graphs */
    int64_t first_slice, n_slice;            /* this process's */
    size_t *share, *share_squares;           /* [copies + 1] graph_shares(); NULL with one copy */
    size_t *share_of_one;                    /* the same: of one gradient */
    int64_t *counts;                         /* [ranks] */
    struct overlap overlap;
    /* [ranks] a batch of what is held out: sums over its tokens, samples or pairs (of those also of their rewards) */
    struct scored { int64_t has, counted; double loss, right, chosen, rejected; } *scored;
    int64_t eval_limit;                      /* tokens of the evaluation under way */
    int64_t first_step;                      /* where this start of the run began */
    int64_t n_repair;                        /* how often it went back because of the machine */
    double loss, aux, norm;                  /* of the last step */
    double valid_loss;                       /* of the last evaluation, NAN: none */
    uint64_t planned;                        /* bytes */
    struct series loss_history;              /* of this start, for the terminal */
    double predicted;                        /* seconds of a step (predict.h), NAN: not known */
    char data_sha256[SHA256_HEX];            /* of data/train.tok */
    char *dir_checkpoints;
    struct saver *saver;
    bool save_due;                           /* a checkpoint is to be begun */
    bool weights_here, moments_here;         /* with a device: the host's are those of the last update */
    int64_t saved, n_saved;                  /* step of the newest checkpoint, -1: none; how many were written */
    double save_seconds, save_waited;        /* what the last took; what the steps waited for all of them */
    struct err save_err;
    struct doctor_step seen;                 /* samples of the step */
    struct decoder sampler;                  /* shares the model's weights; g NULL: no samples are shown */
    struct tok_ids sample_ids;               /* of train.sample_prompt */
    double *routed; int64_t routed_from;     /* [layers with experts][experts] tokens since this step */
    struct doctor_step *all_seen;            /* [ranks] */
    double *part_squares;                    /* [ranks] of each holder's parts */
    struct run_watch *watch;                 /* watch.h's */
    struct run_prints *prints;               /* evidence.h's */
    int64_t n_lost;                          /* lines that metrics.jsonl could not take */
    bool board_failed;                       /* told already */
    double began;                            /* clock_wall() */
    int lock;                                /* the folder OUT is held by this run */
};

static inline bool run_classifies(const struct run *r) { return r->c.model.n_label > 0; }
char *run_out_path(const struct run *r, const char *name);      /* OUT/name, the caller's; NULL: no memory */

/* ---- plan.c ---- */
int run_record_model(struct run *r, struct err *err);           /* r->model and r->scorer, planned at r->T tokens */
size_t run_batch_bytes(const struct run *r);
/* Sums over tokens that are taken beside the gradient: loss, router losses, and the stats of the layers with experts. */
enum { SUM_LOSS, SUM_AUX, SUM_CHOSEN, SUM_REJECTED, SUM_RIGHT, SUM_STATS };      /* of preferences: rewards, and pairs preferred rightly */
int64_t run_stats_width(const struct run *r);                   /* of one layer */
int64_t run_sums_width(const struct run *r);
size_t run_sums_bytes(const struct run *r);
int64_t run_own_micro(const struct run *r);                     /* micro-batches of a step that this process computes */
double run_step_seconds(const struct run *r);                   /* at the machine's limits, without communication */
double run_step_flops(const struct run *r);                     /* of this process */
double run_step_tokens(const struct run *r);                    /* on average */
double run_row_bytes(const struct run *r);                      /* of rows that go to experts and come back in a step, in both passes, on average */
double run_layer_bytes(const struct run *r);                    /* that the holders of a copy sum in a step, on average */
int run_choose_slices(struct run *r, struct err *err);          /* r->joined: as many as memory allows; the loader is there */
/* recompute: auto becomes the fastest by the limits that fits into memory, which is told.  The loader is there; what was taken of the plan
 * before is none of this. */
int run_choose_recompute(struct run *r, struct err *err);
int run_print_plan(struct run *r, struct train_result *result, struct err *err);      /* ERR_NOMEM, with what would fit, when it does not */
int run_print_time(struct run *r, struct train_result *result, struct err *err);      /* and r->predicted; with r->batch */
int run_digest_settings(struct run *r, struct err *err);        /* r->state.settings */
int run_digest_held_out(const struct run *r, char digest[SHA256_HEX], struct err *err);      /* of the tokens or images; of nothing where none are */
int run_sequences(const struct run *r, int T);                  /* of T tokens: as many as can be; images have all the same length */
struct decoder_opts run_train_opts(const struct run *r);        /* of r->model, r->reference */
struct decoder_opts run_attacker_opts(const struct run *r);
struct decoder_opts run_reference_opts(const struct run *r);

/* ---- save.c ---- */
bool run_goes_back(const struct run *r);                        /* train.on_spike is rollback */
size_t run_save_bytes(const struct run *r);                     /* of the copy that checkpoints are written from */
int run_open_saver(struct run *r, struct err *err);
/* After each step: reports a checkpoint that was written or failed, and begins one that is due.  A failure is told and no error. */
int run_tend_saves(struct run *r, struct err *err);
int run_save_now(struct run *r, struct err *err);               /* waits; r->saved is r->state.step when it worked */
bool run_out_of_time(const struct run *r, double step_seconds); /* of train.time_limit, by the next step and a checkpoint */
int run_stopped(struct run *r, bool by_time, struct err *err);  /* saves; ERR_STOPPED, or ERR_IO when that failed */

int run_settle_saves(struct run *r, struct err *err);           /* waits for the checkpoint under way, and reports it */

/* ---- examine.c ---- */
enum step_fate { STEP_APPLY, STEP_SKIP, STEP_BACK };            /* BACK: the state is that of an earlier step */
int run_open_doctor(struct run *r, struct err *err);            /* the model is bound */
void run_close_doctor(struct run *r);
/* After run_gradients(): finds out what is wrong where a step is unlike those before, tells, and decides by train.on_spike. */
int run_examine(struct run *r, enum step_fate *fate, struct err *err);
/* Takes a step into the doctor's windows; ERR_NUMERIC, with advice, when the loss diverges. */
int run_take_step(struct run *r, struct err *err);
void run_guard(struct run *r);                                  /* between an update and the next step: what memory must not change */

/* ---- overshoot.c ---- */
bool run_tries_steps(const struct run *r);                      /* does a run of so many steps try any? */
/* Around an update: some are tried, whether they make the loss of their own batch smaller; told when they do not. */
int run_before_update(struct run *r, double *before, struct err *err);
int run_after_update(struct run *r, double before, struct err *err);

/* ---- average.c ---- */
void run_begin_average(struct run *r);                          /* the state is that which the run begins with */
void run_follow(struct run *r);                                 /* after an update */
int run_swap_average(struct run *r, struct err *err);           /* weights and their average change places; the panels follow */

/* ---- interval.c ---- */
int run_record_sampler(struct run *r, const struct decoder_opts *score, struct err *err);      /* score: how the scorer is recorded */
int run_open_interval(struct run *r, struct err *err);          /* the state is that which the run begins with */
void run_close_interval(struct run *r);
int run_show_sample(struct run *r, struct err *err);            /* every train.sample_every steps: text after train.sample_prompt */
int run_dead_experts(const struct run *r, int i);               /* of layer i with experts: those without a token of this step */
void run_forget_experts(struct run *r);                         /* what was counted since the last evaluation */
int run_count_experts(struct run *r, struct err *err);          /* after each step; warns at an evaluation of those that got none since the last */
int run_judge_loss(struct run *r, double valid_loss, struct err *err);      /* after an evaluation: train.patience, and OUT/best */
bool run_is_patient(const struct run *r);

/* ---- step.c ---- */
void run_load_inputs(const struct run *r, const struct decoder *d);      /* r->batch into the inputs of d */
void run_load_micro(struct run *r, int64_t i_micro);            /* a pure function of its number, which counts through the whole run */
void run_load_slices(struct run *r, int64_t i_micro, int n);    /* those of n slices as one batch */
struct step run_step_of(const struct run *r, int64_t i_micro);
int64_t run_first_micro(const struct run *r);                   /* of this rank's slices of the step */
double run_score(struct run *r);                                /* r->batch by the scorer: the sum of nll of its counted tokens */
int run_gradients(struct run *r, struct err *err);              /* of all slices of a step; r->loss, aux, norm, sums */
int run_update(struct run *r, double *lr, struct err *err);     /* *lr: the learning rate */
int run_count_targets(const struct run *r);                     /* of r->batch */
void run_add_sums(const struct run *r, int i_slice, const struct step *s, const struct preference *p, double *sums);      /* of what was run last */
/* Mean nll of held-out text in windows of ctx, each token given what stands before it in its window. */
int run_evaluate(struct run *r, bool whole, double *loss, double *bits_per_byte, struct err *err);

/* ---- on_device.c ---- */
/* Of the settings, before anything is read: ERR_UNSUPPORTED names what the device cannot train with. */
int run_check_device(struct run *r, struct err *err);
const struct decoder *run_scorer(const struct run *r);
int run_prepare_model(struct run *r, struct err *err);          /* what is on the host now is what the model is: packed, or sent to the device */
int run_fetch_state(struct run *r, bool moments, struct err *err);      /* the host has the weights, and the moments if wanted, of now */
int run_send_corrections(struct run *r, struct err *err);
bool run_fits_device(const struct run *r);                      /* by the plan that was made last */
void run_tell_device(const struct run *r);

/* ---- dpsgd.c: all but the first do nothing without a section privacy ---- */
int run_private_gradients(struct run *r, struct err *err);
int run_privacy_begin(struct run *r, struct err *err);          /* once the records and steps are known; r->dp.n_record is there */
double run_privacy_spent(const struct run *r, int64_t step);    /* epsilon after so many steps */
int run_privacy_tokens(struct run *r, struct err *err);         /* that a batch may have, ctx or more; once the model is recorded */
double run_private_seconds(const struct run *r, unsigned passes, double T);      /* of the gradients of a step of records of T tokens, at the machine's limits */
size_t run_privacy_bytes(const struct run *r);
int run_privacy_take(struct run *r, struct err *err);
void run_privacy_release(struct run *r);
void run_privacy_metrics(const struct run *r, json_t *o);
int run_put_privacy(const struct run *r, struct err *err);      /* OUT/privacy.json */

/* ---- classify.c ---- */
/* Loss and r->accuracy over all held-out images. */
int run_evaluate_classes(struct run *r, double *loss, struct err *err);

/* ---- facts.c ---- */
int run_write_facts(const struct run *r, const struct train_result *result, struct err *err);      /* OUT/run.json */

/* ---- report.c ---- */
int64_t run_unix_ms(void);
int run_write_metric(struct run *r, json_t *o, struct err *err);      /* takes o; a full disk loses the line, which is told, and is no error */
int run_open_metrics(struct run *r, struct err *err);           /* lines of steps that will be done again are taken out */
/* seconds: of this step, and of a step on average. */
int run_log_step(struct run *r, double lr, double seconds, double mean_seconds, struct err *err);

#endif
