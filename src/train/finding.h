/* finding.h - what the examination of a step found (evidence.h, examine.c), and how it is told.  Internal to train/. */
#ifndef TRAIN_FINDING_H
#define TRAIN_FINDING_H
#include "train/run.h"

enum cause { CAUSE_NONE, CAUSE_DATA, CAUSE_HARDWARE, CAUSE_KERNEL, CAUSE_STATE };
const char *cause_word(enum cause cause);

struct finding {
    enum cause cause;
    struct doctor_opinion o;
    double loss, norm;                   /* as they were first computed */
    struct doctor_step seen;             /* the same of samples */
    bool no_level;                       /* CAUSE_KERNEL: no level's kernels multiply rightly */
    char what[200], where[240];          /* what is wrong, and where it shows (of several ranks: with the name of the one that found it); "" */
};

/* A warning, and the event "spike" in metrics.jsonl, with the samples' text.  action: what is done about it. */
int finding_tell(struct run *r, const struct finding *f, const char *action, struct err *err);
/* Where sample s of the run lies in its file: an image's number, or the first token of a window. */
int64_t finding_place(const struct run *r, uint64_t s);

#endif
