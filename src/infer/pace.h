/* pace.h - how many rows of prompts a step may have beside the tokens that are being continued, from what steps took lately.
 *
 * A row of a prompt costs more the deeper it lies, and each step that has any reads all of the prompt's keys and values again.  So there are
 * 16 at least, when the steps without have saved up what they cost, and the mean of all steps is what the limit says.  The more wait for each that is continued, the
 * more prompts get: else few texts are continued, fast, and all others wait, which makes everybody's answer late.  A server that has prompts in each of its first
 * steps has one without, to know what that takes.
 *
 * Where another engine continues texts on the same machine (two versions of a model while one follows the other), all texts wait for both: the
 * interval that is aimed at is that of one engine with all of the texts, so what a second pass over weights takes is taken from prompts, which keep
 * PACE_LEAST of the time; and each of the two has half, however many wait.  No allocation; a struct is one thread's. */
#ifndef INFER_PACE_H
#define INFER_PACE_H
#include <stdbool.h>
#include <stdint.h>

#define PACE_LEAST 0.15          /* of what continuing texts takes, for prompts beside others */
#define PACE_STRETCH 1.3         /* the usual: with what texts grow meanwhile, the worst of 8 is below 2 while one waits */
#define PACE_PRESS 2.7           /* what the limit allows prompts grows by so many times itself for each that waits to one that is continued, */
#define PACE_PRESS_MOST 8.       /* up to so many times: of the usual limit 3.4 times a step without */

/* stretch: steps take so many times as long as without rows of prompts, in the mean, while hardly anybody waits; below 1: no limit.  step_s: or so many seconds, 0: none. */
struct pace_limit { double stretch, step_s; };

/* Zero at first.  t = a + b rows, of lately; alone: a step without rows of prompts, and its rows; extra: what rows of prompts added to
 * others; credit: what they may add now. */
struct pace {
    double n, rows, rows2, t, rows_t, alone, alone_rows, n_alone, extra, extra_rows, credit;
    /* Set by whoever knows: what others took of the machine before this step to continue texts of theirs (0: nobody), and is another model being loaded,
     * so that all is slower for a moment: the limit is kept then, however many wait. */
    double others;
    bool loading;
};

/* A step of n rows being continued and n_prompt of prompts took t seconds. */
void pace_add(struct pace *p, int n, int n_prompt, double t);
/* What of a step of n rows being continued and n_prompt of prompts in t seconds would have been without the latter. */
double pace_alone(const struct pace *p, int n, int n_prompt, double t);
/* Seconds that a row adds to a step; 0: not known. */
double pace_slope(const struct pace *p);
/* What pace_rows() and pace_add() make of k steps of n rows being continued, none of prompts and nobody who waits, one after the other, which take t, t + dt, t + 2 dt ..
 * seconds: in closed form, for a plan (plan/simulate.h).  The credit is what the last of them leaves. */
struct pace_steps { int n; double t, dt; int64_t k; };
void pace_run(struct pace *p, const struct pace_limit *limit, const struct pace_steps *run);
/* Rows that the next step may have, of which n are being continued; most at most.  n_wait: texts whose prompts could be computed now.  Once a step. */
int pace_rows(struct pace *p, const struct pace_limit *limit, int n, int n_wait, int most);

#endif
