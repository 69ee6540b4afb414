/* stream.h - has the mean of a stream changed?  Detectors that see one number at a time and keep little.
 *
 * Values must be finite: others are refused by ERR_NUMERIC, and the detector is as before.  After it has detected a change a detector begins
 * anew with the next value.  One thread each. */
#ifndef EVAL_STREAM_H
#define EVAL_STREAM_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

/* ADWIN: the longest window whose halves, cut anywhere, do not differ in their means by more than chance (Bifet & Gavaldà, SDM 2007): variance-based
 * bound, exponential histogram with M buckets of each size, so O(M log width) of memory; cuts are between buckets.  With the defaults it detects at
 * the same values as river's; `skip_newest` leaves out the newest bucket of each size, as river up to 0.21 did. */
struct adwin_opts {
    double delta;                   /* 0: 0.002, confidence of a cut */
    int clock;                      /* 0: 32, values between looks */
    int max_buckets;                /* 0: 5, of each size; up to ADWIN_BUCKETS */
    int min_window, grace;          /* 0: 5 values in each half; 10 values before the first look */
    bool skip_newest;
};
enum { ADWIN_BUCKETS = 15, ADWIN_LEVELS = 48 };
struct adwin {
    struct adwin_opts o;
    struct adwin_level { int n; struct { double total, deviation; } bucket[ADWIN_BUCKETS + 1]; } level[ADWIN_LEVELS];     /* of 2^level values; oldest first */
    int n_level;
    int64_t width, n_seen;          /* values of the window; since it began */
    double total, deviation;        /* sum, and sum of squared deviations from the mean, of the window */
    bool detected;
};
/* ERR_RANGE: options that are not possible. */
int adwin_init(struct adwin *a, const struct adwin_opts *o, struct err *err);
/* *changed: with this value the window was cut; a->width is what is left, a->total / a->width its mean. */
int adwin_add(struct adwin *a, double value, bool *changed, struct err *err);

/* Page-Hinkley (Page, Biometrika 41, 1954): up = max(0, forget up + x - mean - delta), the mean that of all values so far, x among them; a change where it
 * passes the threshold.  As in scikit-multiflow it looks for means that grow; two_sided: for those that fall as well. */
struct page_hinkley_opts {
    int min_values;                 /* 0: 30, before the first detection */
    double delta, threshold;        /* 0: 0.005; 50, in units of the values */
    double forget;                  /* 0: 0.9999 */
    bool two_sided;
};
struct page_hinkley { struct page_hinkley_opts o; int64_t n; double mean, up, down; bool detected; };
int page_hinkley_init(struct page_hinkley *p, const struct page_hinkley_opts *o, struct err *err);
int page_hinkley_add(struct page_hinkley *p, double value, bool *changed, struct err *err);
#endif
