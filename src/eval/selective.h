/* selective.h - answering only where one is sure: error against the share of items that are answered.
 *
 * Items are taken by falling confidence; equal ones share their errors, as their order means nothing.  Risk at coverage k/n is the (expected)
 * share of wrong ones among the k most confident (El-Yaniv and Wiener 2010). */
#ifndef EVAL_SELECTIVE_H
#define EVAL_SELECTIVE_H
#include <stdint.h>
#include "base/err.h"

/* risk[k-1] is the risk at coverage k/n.  conf is finite. */
int selective_curve(const double *conf, const unsigned char *right, int64_t n, double *risk, struct err *err);
/* aurc.mean: the mean of risk over the n coverages (Geifman et al. 2019).  aurc.trapezoid: the area below the straight lines through the points from
 * coverage 1/n to 1, divided by 1 - 1/n (torch-uncertainty: AURC); NAN for n < 2.  Both are 0 where all are right. */
double selective_aurc_mean(const double *risk, int64_t n);
double selective_aurc_trapezoid(const double *risk, int64_t n);
/* The least aurc.mean that any order gives a model of this accuracy: all right ones first.  aurc.mean less this is the excess (E-AURC). */
double selective_aurc_best(const double *risk, int64_t n);
/* Accuracy of the ceil(coverage * n) most confident (HELM: selective accuracy), 0 < coverage <= 1. */
double selective_accuracy(const double *risk, int64_t n, double coverage);
/* The largest coverage with a risk of at most `risk_max`; 0: none. */
double selective_coverage(const double *risk, int64_t n, double risk_max);

#endif
