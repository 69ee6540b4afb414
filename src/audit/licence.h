/* licence.h - licence expressions of SPDX (3.0.1, annex B): read, brought into one form, and what they allow and ask for.
 *
 *   MIT OR (Apache-2.0 AND CC-BY-4.0)         OR before AND before WITH before + in weakness; all capitals or all small letters
 *   GPL-2.0+  gpl-2.0-or-later                ids whatever their case, deprecated ones are replaced
 *   LicenseRef-mine  DocumentRef-x:LicenseRef-y  ... WITH AdditionRef-z          names of one's own
 *   NONE  NOASSERTION                         alone or under AND
 *
 * A set's licence is judged for what the set is to be used for.  A right is yes, no, or not known, which counts as no.  OR is a choice: of
 * the alternatives that allow the use the one with the fewest duties.  AND is all of them: the rights that every part gives, the duties of
 * any.  What each licence gives stands in licence.def; of an id without a row nothing is known.  This is a table, not legal advice. */
#ifndef AUDIT_LICENCE_H
#define AUDIT_LICENCE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"

#define LICENCE_MAX 4096             /* bytes of an expression */
#define LICENCE_DEPTH_MAX 64         /* parentheses in one another */

/* name, word, what may be done */
#define LICENCE_RIGHTS(X)                                                        \
    X(TRAIN, "train", "learning a model from it")                                \
    X(COMMERCIAL, "commercial", "commercial use")                                \
    X(DERIVATIVES, "derivatives", "passing on a changed version")                \
    X(REDISTRIBUTION, "redistribution", "passing it on")                         \
    X(WEIGHTS, "weights", "passing on a model learned from it")                  \
    X(OUTPUTS, "outputs", "teaching other models by the output of one")
#define LICENCE_DUTIES(X)                                                        \
    X(ATTRIBUTION, "attribution", "name the authors")                            \
    X(NOTICE, "notice", "pass on the licence and its notices")                   \
    X(CHANGES, "changes", "say what was changed")                                \
    X(SHARE_ALIKE, "share-alike", "pass on what is made of it under the same terms") \
    X(SOURCE, "source", "offer the form that is best for changes")               \
    X(NETWORK, "network", "do so for those who use it over a network, too")      \
    X(PATENT, "patent", "lose the patent licence by suing for patents")          \
    X(NO_ENDORSEMENT, "no-endorsement", "do not advertise with the authors' names") \
    X(ADVERTISING, "advertising", "name the authors in advertisements")          \
    X(USE_RESTRICTIONS, "use-restrictions", "keep to the uses that it allows and pass that duty on") \
    X(NAMING, "naming", "name the result as the licence says")                   \
    X(USER_LIMIT, "user-limit", "ask for a licence beyond the number of users that it names")
enum licence_right {
#define X(name, word, what) LICENCE_##name,
    LICENCE_RIGHTS(X)
#undef X
    N_LICENCE_RIGHT
};
enum licence_duty {
#define X(name, word, what) LICENCE_##name,
    LICENCE_DUTIES(X)
#undef X
    N_LICENCE_DUTY
};
extern const char *const licence_right_words[N_LICENCE_RIGHT], *const licence_duty_words[N_LICENCE_DUTY];
const char *licence_right_word(enum licence_right r);
const char *licence_right_what(enum licence_right r);
enum licence_right licence_right_find(const char *word);       /* N_LICENCE_RIGHT when there is none */
const char *licence_duty_word(enum licence_duty d);
const char *licence_duty_what(enum licence_duty d);

struct licence;
/* *at: the byte of the text where the error is, which the message names as a character counted from 1. */
int licence_parse(struct licence **out, const char *text, size_t n, size_t *at, struct err *err);
void licence_free(struct licence *l);
/* The normal form: ids as they are listed, no parenthesis that changes nothing, operands sorted, none twice or implied by another. */
int licence_text(const struct licence *l, struct buf *out, struct err *err);
/* Two lines: the part of the text around `at`, and a caret below the place. */
int licence_caret(const char *text, size_t n, size_t at, struct buf *out, struct err *err);
/* Calls back with each id (or LicenseRef) of the expression, in its order. */
void licence_each(const struct licence *l, void (*each)(void *ctx, const char *id), void *ctx);

/* What one licence gives: bits of rights that are allowed or refused (in neither: not known) and of duties.  Targets are licences that ask for
 * the same terms, and one's own terms: under which of them material may go on, as bits. */
struct licence_terms { const char *id; unsigned yes, no, duties; uint64_t targets; };
#define LICENCE_TARGETS_ALL UINT64_MAX
#define LICENCE_TARGETS_OWN 1u                                  /* the bit of one's own terms */
/* Of an id as it is listed, or of a LicenseRef; false: nothing is known. */
bool licence_terms_of(const char *id, struct licence_terms *out);

struct licence_verdict {
    bool allowed;
    unsigned yes, no, duties;
    uint64_t targets;
    char why[300];               /* a sentence when it is not allowed, else empty */
};
/* use: bits of rights.  own: terms that someone has read and answers for; they come before the table's.  l keeps which alternatives were chosen. */
void licence_judge(struct licence *l, unsigned use, const struct licence_terms *own, int n_own, struct licence_verdict *out);
/* After licence_judge: the expression without the alternatives that were not chosen. */
int licence_chosen(const struct licence *l, struct buf *out, struct err *err);

/* May verdicts' sources go on as one set?  0 when some licence can hold all of them, else the index of the first that none can hold together
 * with those before it, and *with the one that it cannot go with (or -1: with all of them together). */
int licence_together(const struct licence_verdict *v, int n, int *with);
#endif
