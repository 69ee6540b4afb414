/* eval_options.h - which options of lathe eval belong to which of its modes: one that would be passed over is refused. */
#ifndef CMD_EVAL_OPTIONS_H
#define CMD_EVAL_OPTIONS_H
#include "base/err.h"

/* X(bit, as the command line has it).  Several may hold: hotflip and trigger together; --select and the tasks of its candidates. */
#define EVAL_MODES(X) \
    X(EVAL_SCORES, "--tasks") \
    X(EVAL_PERTURB, "--perturb") \
    X(EVAL_PARAPHRASES, "--paraphrases") \
    X(EVAL_DUE, "--due") \
    X(EVAL_ATTACKED_TASKS, "--attack hotflip") \
    X(EVAL_HOTFLIP, "--attack hotflip") \
    X(EVAL_GCG, "--attack gcg") \
    X(EVAL_TRIGGER, "--attack trigger") \
    X(EVAL_SOUGHT, "--attack trigger without --trigger") \
    X(EVAL_IMAGES, "--images") \
    X(EVAL_IMAGE_ATTACK, "--attack on images") \
    X(EVAL_TEXTS, "--texts") \
    X(EVAL_LOGITS, "--logits") \
    X(EVAL_INJECTING, "--injections") \
    X(EVAL_MEMBERSHIP, "--membership") \
    X(EVAL_CHECKLIST, "--checklist") \
    X(EVAL_SELECT, "--select") \
    X(EVAL_SWEEP, "--sweep") \
    X(EVAL_LIST, "--tasks list")
enum eval_mode_index {
#define X(name, word) name##_INDEX,
    EVAL_MODES(X)
#undef X
    N_EVAL_MODE
};
enum eval_mode {
#define X(name, word) name = 1 << name##_INDEX,
    EVAL_MODES(X)
#undef X
};

/* Before the work of `modes` begins: an option of others, or one whose text is empty, is ERR_USAGE with what was found and expected;
 * then the folder of --out is made (NULL: none), so that one that cannot be is found now. */
int eval_ready(unsigned modes, const char *out_dir, struct err *err);
#endif
