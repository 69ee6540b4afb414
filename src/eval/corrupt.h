/* corrupt.h - images as bad light, lenses, weather and files spoil them: corruptions in five strengths.
 *
 * Hendrycks and Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations", ICLR 2019; what each does,
 * and its numbers, are those that made CIFAR-10-C (make_cifar_c.py), which fit sides of about 32; where a side is longer, lengths in
 * pixels grow with it (side / 32).  Random numbers are ours: a function of (seed, item, family), the same for all strengths, so that
 * runs pair.  Grey images have one channel instead of three; saturation is of colour alone.  Not here: frost, which lays photographs of ice
 * over images, and spatter.
 *
 * Numbers are cut, not rounded, to bytes at the end, as there.  A corruptor belongs to one thread. */
#ifndef EVAL_CORRUPT_H
#define EVAL_CORRUPT_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

enum corrupt_family {
#define CORRUPT(name, word, how, numbers, what) CORRUPT_##name,
#include "eval/corrupt.def"
#undef CORRUPT
    N_CORRUPT_FAMILY
};
enum { CORRUPT_STRENGTHS = 5, CORRUPT_SIDE_MAX = 1024 };
const char *corrupt_name(enum corrupt_family f);
const char *corrupt_what(enum corrupt_family f);
int corrupt_find(const char *name);                          /* the family of that name, or -1 */
bool corrupt_fits(enum corrupt_family f, int n_channel);     /* saturation: three channels alone */

struct corruptor;
/* For images of [n_channel][side][side], 1 or 3 channels and 8 to CORRUPT_SIDE_MAX a side; others are ERR_RANGE. */
int corruptor_new(struct corruptor **out, int n_channel, int side, struct err *err);
void corruptor_free(struct corruptor *c);
/* in, out: [n_channel][side][side]; out may be in.  1 <= strength <= 5. */
int corrupt_image(struct corruptor *c, enum corrupt_family f, int strength, uint64_t seed, int64_t item, const uint8_t *in, uint8_t *out, struct err *err);
#endif
