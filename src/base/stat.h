/* stat.h - numbers about numbers. */
#ifndef BASE_STAT_H
#define BASE_STAT_H
#include <stddef.h>
void stat_sort(double *v, size_t n);                      /* ascending; numbers, no NAN */
double stat_median(double *v, int n);                     /* reorders v */
double stat_quantile(double *v, int n, double q);         /* linear interpolation (type 7); reorders v */
double stat_mean(const double *v, int n);
double stat_stddev(const double *v, int n);               /* n - 1 in the denominator; 0 for n < 2 */
#endif
