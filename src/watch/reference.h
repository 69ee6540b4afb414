/* reference.h - what was normal: a sample of events, signal by signal, small enough to be kept with a model as JSON.
 *
 * A reference is collected event by event and then closed; a closed one is what monitors (monitor.h) compare with, an open one is what windows
 * (window.h) compare: a window is collected in the same way.
 *   number     the `keep` events with the least random priority, which is hash(seed, number of the event): a random sample of all, whatever their order
 *   category   its count, in two parts: one event in four, by its hash, goes into the part that says in which order and where the cuts are, the others are
 *              counted (see cells_new_at)
 *   vector     kept like numbers; when closed, half of them (by priority) give mean and principal directions, at most 16, whitened; the others are kept as
 *              their coordinates in these.  Vectors longer than 256 are first multiplied with a matrix of random signs (Johnson & Lindenstrauss, 1984)
 *              that the seed gives.
 * The file is a function of the events and the seed.  References with the same signals, of different seeds, can be merged before they are closed: the result is
 * a sample of both.  A missing number (NaN in a file, an empty field) is a value of its own, below all others; a missing category is one too, and how many
 * vectors are missing is compared beside the vectors.  An absent signal
 * (this kind of event has none) is passed over.
 * Everything belongs to the reference.  One thread at a time; a closed one may be read by many. */
#ifndef WATCH_REFERENCE_H
#define WATCH_REFERENCE_H
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

enum { WATCH_SIGNALS = 1024, WATCH_CATEGORIES = 65536, WATCH_DIM = 65536, WATCH_PROJECTED = 256, WATCH_COORDINATES = 16, WATCH_NAME = 200 };

enum watch_kind { WATCH_NUMBER, WATCH_CATEGORY, WATCH_VECTOR };
const char *watch_kind_name(enum watch_kind kind);            /* "number", "category", "vector" */

enum watch_state { WATCH_ABSENT, WATCH_MISSING, WATCH_GIVEN };
struct watch_value {
    enum watch_state state;
    double number;                       /* infinite ones count as the largest there is; NaN as missing */
    const char *text; size_t n_text;     /* of a category, any bytes; "" is a category */
    const float *vector;                 /* of the signal's length; one that is not finite makes it missing */
};
#define WATCH_NONE ((struct watch_value){ .state = WATCH_ABSENT })
#define WATCH_LACKS ((struct watch_value){ .state = WATCH_MISSING })
#define WATCH_OF_NUMBER(x) ((struct watch_value){ .state = WATCH_GIVEN, .number = (x) })
#define WATCH_OF_TEXT(s, n) ((struct watch_value){ .state = WATCH_GIVEN, .text = (s), .n_text = (n) })
#define WATCH_OF_VECTOR(v) ((struct watch_value){ .state = WATCH_GIVEN, .vector = (v) })

struct reference;
struct reference_opts {
    uint64_t seed;
    int keep;                            /* 0: 2048 numbers or vectors of each signal; up to 65536 */
};
int reference_new(struct reference **out, const struct reference_opts *o, struct err *err);
void reference_free(struct reference *r);
/* Before the first event.  dim: of a vector.  ERR_RANGE: a name that is empty, too long or there already, too many, a dim that is not possible. */
int reference_signal(struct reference *r, const char *name, enum watch_kind kind, int dim, struct err *err);
/* value[n_signal], in their order.  ERR_RANGE: closed, or more than WATCH_CATEGORIES of a signal, which is then none of categories. */
int reference_add(struct reference *r, const struct watch_value *value, struct err *err);
/* into += from, both open, the same signals.  ERR_USAGE: other signals, or the same seed. */
int reference_merge(struct reference *into, const struct reference *from, struct err *err);
/* Ends collecting.  ERR_RANGE names a signal with fewer than 20 events: nothing can be said against it. */
int reference_close(struct reference *r, struct err *err);

int reference_count(const struct reference *r);                       /* of signals */
const char *reference_name(const struct reference *r, int i);
enum watch_kind reference_kind(const struct reference *r, int i);
int reference_dim(const struct reference *r, int i);
int64_t reference_events(const struct reference *r);
int reference_find(const struct reference *r, const char *name);      /* -1: none */
bool reference_closed(const struct reference *r);
uint64_t reference_seed(const struct reference *r);

/* Of a closed reference.  Read gives a closed one; every byte of a file is looked at: ERR_FORMAT says what was found. */
int reference_to_json(json_t **out, const struct reference *r, struct err *err);
int reference_from_json(struct reference **out, const json_t *o, const char *where, struct err *err);

#endif
