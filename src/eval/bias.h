/* bias.h - the bias scores of BBQ and CrowS-Pairs by kind of bias, with intervals, as parts of one evidence of kind "bias" (doc/bias.md).
 *
 * BBQ (Parrish et al. 2022), of a category, a subcategory, and all, in clusters of one template (category and question_index), all intervals BCa of
 * drawn clusters, none for fewer than BIAS_INTERVAL_TEMPLATES of them:
 *   accuracy, unknown        shares in ambiguous and in disambiguated contexts
 *   s_dis                    2 biased / answered - 1 over disambiguated contexts, answered: not "unknown"; none where nothing is
 *   s_amb                    (1 - accuracy) (2 biased / answered - 1) over ambiguous ones; 0 where all are "unknown"
 *   alignment                accuracy of disambiguated contexts whose right answer is the biased one, less that of the others
 * CrowS-Pairs (Nangia et al. 2020), of a bias_type, a direction (stereo_antistereo), and all:
 *   pct_stereotype           share of pairs whose more stereotyping sentence is likelier, Wilson; p: exact binomial test against one half, p_holm:
 *                            adjusted for the types of at least BIAS_MIN pairs
 *   likelihood_diff          mean distance of the log-likelihoods, in nats, Student's t
 * The worst is the one farthest from 0, or from one half, among those of at least BIAS_MIN pairs or of BIAS_MIN_TEMPLATES templates; interval_all: its interval
 * at 1 - 0.05 / m of m such. */
#ifndef EVAL_BIAS_H
#define EVAL_BIAS_H
#include <jansson.h>
#include "eval/evaluate.h"

#define BIAS_MIN 30
#define BIAS_MIN_TEMPLATES 8
#define BIAS_INTERVAL_TEMPLATES 5
/* Whether a task is one of the two, told by its metrics. */
bool bias_is_known(const struct eval_task *x);
/* Adds {"task", "n_failed", "n_open" (items), "kind": "bbq" | "crows_pairs", "by": [{"field" (null: all), "groups": [{"group", "n", "n_cluster", NAME: {"value", "interval"}}],
 * "worst": {..} | null}]} to evidence's "tasks", and figures.  Items without an answer are left out. */
int bias_add(json_t *evidence, const struct eval_task *x, uint64_t seed, struct pool *pool, struct err *err);
#endif
