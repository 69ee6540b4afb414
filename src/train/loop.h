/* loop.h - a training run from a settings file to a model folder.
 *
 *   OUT/model.safetensors  config.json  tokenizer.json     the trained model, when the run is done
 *   OUT/metrics.jsonl                                      one object per step (loss, lr, grad_norm, tokens_per_s, ...), evaluation, skip
 *   OUT/tensorboard/                                       the same for TensorBoard
 *   OUT/run.json  report.html                              settings, data and plan; all of it as a page
 *   OUT/data/train.tok  valid.tok                          the texts as token ids
 *   OUT/checkpoints/                                       see checkpoint.h
 * A run that was stopped or killed goes on from its last checkpoint when the same command is given again, and ends with the
 * same weights to the bit, with any number of threads.  A disk that is full or fails takes no checkpoint and no metrics, which is
 * told, and does not end the run. */
#ifndef TRAIN_LOOP_H
#define TRAIN_LOOP_H
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "train/fault.h"

struct train_opts {
    const char *config, *out;
    int n_thread;
    bool dry_run;                                /* stops after the plan */
    volatile sig_atomic_t *stop;                 /* set by a signal: the step is finished, saved, and ERR_STOPPED returned; may be NULL */
    struct fault *fault;                         /* tests: fault.h; NULL: none */
    int64_t fail_step;                           /* tests: loss of this step becomes NaN (three times); -1: never */
    struct graph_device *device;                 /* that computes the steps (nn/device.h); it is the run's from then on, whatever happens.  NULL: here */
};

struct train_result {
    bool adapters;                                     /* OUT has adapters, not a model */
    int rank;                                          /* of several processes (comm.h): rank 0 has the numbers */
    int64_t n_param, n_active, steps, tokens, n_skipped;
    double loss, valid_loss, valid_bits_per_byte;      /* of the last step; of held-out text, NaN without any */
    double epsilon, delta;                             /* spent with a section privacy; delta 0 without */
    double valid_accuracy, samples_per_s;              /* of a model of classes; else NaN, 0 */
    bool images;                                       /* the samples are images, else texts */
    double seconds, expected_seconds, tokens_per_s, share_of_peak, cpu_seconds;      /* expected: at the machine's limits, as the share; NAN with a device */
    uint64_t device_bytes;                             /* planned; 0 without a device */
    double step_seconds_at_limits, predicted_step_seconds;                          /* predicted: NAN where it is not */
    int64_t n_saved; double save_waited;               /* checkpoints, and what the steps waited for them in seconds */
    /* Private memory: what the plan takes at most, without the process itself; what it and the process, as that is when it is planned, should come to; and
     * what it came to. */
    uint64_t planned_bytes, expected_bytes, peak_bytes;
};

int train_run(const struct train_opts *o, struct train_result *result, struct err *err);

#endif
