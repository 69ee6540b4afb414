/* near.h - numbers that are equal but for rounding. */
#ifndef TESTS_NEAR_H
#define TESTS_NEAR_H
#include <math.h>
#include "test.h"

/* relative: of what is expected; NaN is near to nothing. */
SHARED_BY_TESTS void near_to(double got, double want, double relative, const char *what)
{
    if (!(fabs(got - want) <= relative * fabs(want)))
        fail_msg("%s: %.17g, expected %.17g", what, got, want);
}

#endif
