/* attack.h - images changed by at most eps in each number, so that a classifier errs: how robust it is within that ball (L-infinity).
 *
 * Numbers are bytes / 255, and stay within 0 to 1 and within eps of the image; what is found need not be whole bytes.  An attack begins
 * with the image itself: one that the classifier gets wrong as it is counts as fooled by 0 steps.  It ends for an image as soon as the
 * classifier errs.  What happens to an image is a function of (seed, item) and the model: not of the others, of the threads or of the
 * batch.
 *
 * A robust accuracy by attacks is an upper bound, the better the stronger they are: what counts is an image that no attack changes the
 * answer of.  Worthless is a bound by slopes where they are zero (no_slope), or where the blind attack, square, beats those by slopes. */
#ifndef EVAL_ATTACK_H
#define EVAL_ATTACK_H
#include "infer/classify.h"

enum attack_kind {
#define ATTACK(name, word, how, what) ATTACK_##name,
#include "eval/attack.def"
#undef ATTACK
    N_ATTACK
};
const char *attack_name(enum attack_kind k);
const char *attack_what(enum attack_kind k);
int attack_find(const char *name);               /* the kind of that name, or -1 */

/* n_step: of each start (square: queries); n_start: random ones (apgd-t: classes aimed at); step: of pgd, 0: 2.5 eps / n_step. */
struct attack { enum attack_kind kind; double eps, step; int n_step, n_start; uint64_t seed; };
/* What AutoAttack's standard does: 100 steps, 9 classes, 5,000 queries; pgd: 40 steps. */
struct attack attack_usual(enum attack_kind k, double eps, uint64_t seed);

struct attacked {
    bool fooled;
    int n_query;                 /* of the model, until then or in all */
    int class_found;             /* what it was taken for, -1 */
    bool no_slope;               /* an attack by slopes, and all of them were zero at its start */
};

struct attacker;
/* c was opened with slopes. */
int attacker_new(struct attacker **out, struct classifier *c, struct err *err);
void attacker_free(struct attacker *a);
/* n <= CLASSIFY_BATCH images of [channels][size][size] with their labels, items first .. first + n - 1.  found (may be NULL): the images
 * as changed where that fooled it, else as they were. */
int attacker_run(struct attacker *a, const struct attack *how, const uint8_t *pixels, const int32_t *label, int64_t first, int n, struct attacked *out, float *found,
                 struct err *err);
#endif
