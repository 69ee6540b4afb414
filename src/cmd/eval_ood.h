/* eval_ood.h - lathe eval --texts: a language model or a classifier of texts before texts that are like its own, and others. */
#ifndef CMD_EVAL_OOD_H
#define CMD_EVAL_OOD_H
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "base/opt.h"
#include "eval/npz_write.h"

struct eval_ood {
    const char *texts;               /* of the distribution (eval/text_lines.h) */
    struct opt_list others;
    const char *fit;                 /* what detectors of features are fitted to; NULL: there are none */
    const char *features_out;        /* .npz of all rows, or NULL */
    const char *rope_scaling, *out;  /* out: folder of evidence, or NULL */
    int64_t limit, max_length, seed;
};
int eval_ood(const char *model, const struct eval_ood *o, struct err *err);

/* ---- shared with --images ---- */
/* Where what was asked stopped: what eval_progress() was told when it said so. */
struct eval_stop { const char *what; int64_t done, all; bool stopped; };
/* progress of images.h and text_rows.h; ctx: a struct eval_stop. */
int eval_progress(void *ctx, const char *what, int64_t done, int64_t all);
/* "complete", and where it is false "stopped": { "at", "done", "of" }. */
int eval_put_complete(json_t *evidence, const struct eval_stop *s, struct err *err);
void eval_print_stopped(const json_t *evidence);
/* { SET: { "n", "scores" .., "length_matched" } .. } for people. */
void eval_print_ood(const json_t *ood);
/* Prints the evidence (--json) or by `print`, and keeps it in a folder (NULL: not); takes it. */
int eval_tell(json_t *evidence, const char *folder, void (*print)(const json_t *), struct err *err);
/* An array "NAME_WHAT" (name: in, fit, out0, ...). */
int eval_keep_rows(struct npz_writer *z, const char *name, const char *what, enum npz_type type, const void *data, int64_t rows, int64_t cols, struct err *err);
#endif
