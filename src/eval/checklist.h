/* checklist.h - behavioural tests of a classifier of texts (CheckList; Ribeiro et al., ACL 2020): simple cases that it must get right (MFT), changes that must not
 * change its answer (INV), changes that must move it one way (DIR).
 *
 * A suite is lines of JSON, one for each test, packed or not:
 *     {"test": NAME, "type": "MFT" | "INV" | "DIR", "capability": NAME, "labels": 0 | [0, 2, ...] | null, "data": [case, ...],
 *      "expect": {"not": 0} | {"same": true} | {"confidence": "up" | "down", "except": 1} | {"towards": "last" | "first"}, each with "tolerance": 0.1}
 * A case is a text, or for INV and DIR a list of texts, whose first is the one that the others are changes of.  Without "expect": the labels,
         for INV `same`, else
 * what checklist.def knows of a test of that name; a test of which nothing says what is expected is told and not judged.  A case that is null, or has no label
 * where one is needed, is counted and not judged.
 *
 * A case fails where any of its texts does.  Where CheckList says nothing of a pair (the first text is of the class `except`, or so sure, or unsure,
                                                                                      already that it
 * cannot move by the tolerance), neither is it judged here.  Probabilities are of classes 0 to n_label - 1, whatever answers (checklist_ask.h).  One thread. */
#ifndef EVAL_CHECKLIST_H
#define EVAL_CHECKLIST_H
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

enum checklist_expect {
#define EXPECT(name, word, what) EXPECT_##name,
#include "eval/checklist.def"
#undef EXPECT
    EXPECT_UNKNOWN
};

struct checklist_case { int64_t first; int n_text, label; bool usable; };       /* texts first .. first + n_text - 1; label -1: none */
struct checklist_test {
    const char *name, *type, *capability;        /* capability "" where there is none */
    enum checklist_expect expect;
    int label;                                   /* NOT: which; UP, DOWN: of first texts that do not count, -1: none */
    double tolerance;
    struct checklist_case *c; int64_t n, n_unusable;
};
struct checklist {
    struct checklist_test *test; int n_test;
    const json_t **text; int64_t n_text, cap_text;        /* strings */
    int n_label;                                 /* one more than the largest label */
    struct err first_unusable;                   /* where the first such case is, and why; code 0: there is none */
    json_t **line;                               /* what the above points into */
};
/* limit: the first cases of each test, 0: all.  name leads the messages.  ERR_FORMAT names the line. */
int  checklist_open(struct checklist **out, const char *path, int64_t limit, struct err *err);
int  checklist_parse(struct checklist **out, const char *text, size_t n, const char *name, int64_t limit, struct err *err);
void checklist_free(struct checklist *c);

enum checklist_state { CHECKLIST_OPEN, CHECKLIST_ANSWERED, CHECKLIST_FAILED };
struct checklist_answers {
    int n_label;
    double *prob;                                /* [n_text][n_label] */
    uint8_t *state;                              /* [n_text] */
    char *why;                                   /* of the first text that failed */
};
int  checklist_answers_init(struct checklist_answers *a, const struct checklist *c, int n_label, struct err *err);
void checklist_answers_release(struct checklist_answers *a);

/* A case as it was answered; worst: its text that fails most. */
enum checklist_verdict { CHECKLIST_PASSED, CHECKLIST_WRONG, CHECKLIST_SKIPPED, CHECKLIST_NO_ANSWER, CHECKLIST_ERROR, CHECKLIST_UNUSABLE };
enum checklist_verdict checklist_judge(const struct checklist_test *t, const struct checklist_case *c, const struct checklist_answers *a, int *worst);

/* Adds figures (failure_rate), "tests", "capabilities", "types", "worst" and "examples" to evidence (doc/robustness.md).  label: the names of the classes. */
int checklist_report(json_t *evidence, const struct checklist *c, const struct checklist_answers *a, const char *const *label, struct err *err);
#endif
