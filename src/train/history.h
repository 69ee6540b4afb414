/* history.h - what a run left in its folder, read back to be told: metrics.jsonl, and run.json, which facts.c writes.
 *
 * Neither is trusted: a line that is no object with a step is counted and passed over, and memory is bounded whatever the file
 * holds.  A series keeps at most HISTORY_POINTS points; when they are full, neighbours become one, with mean, lowest and highest. */
#ifndef TRAIN_HISTORY_H
#define TRAIN_HISTORY_H
#include <jansson.h>
#include <stdbool.h>
#include "base/html.h"

enum { HISTORY_POINTS = 512, HISTORY_SERIES = 64, HISTORY_LAYERS = 512, HISTORY_EVENTS = 500 };

struct series { struct html_point *at; int n; int64_t stride, n_last; double last; };      /* n_last: values in the last point */
/* KEY of a line; of a list of objects KEY/MEMBER, a series for each index. */
struct named_series { char name[80]; bool is_list; struct series one, *layer; int n_layer; };

struct history {
    struct named_series of[HISTORY_SERIES]; int n;
    json_t *events;                  /* the lines with an event, the first HISTORY_EVENTS */
    json_t *facts;                   /* of run.json; NULL: none */
    int64_t n_event, n_line, n_bad;
    int64_t first_step, last_step;   /* of lines with a loss; 0: there is none */
    int64_t first_ms, last_ms;       /* unix time of the first and the last line */
};

int history_init(struct history *h, struct err *err);
void history_release(struct history *h);
/* The lines of metrics.jsonl. */
int history_add(struct history *h, const char *text, size_t n, struct err *err);
/* Both files of a run's folder; ERR_NOTFOUND without metrics.jsonl. */
int history_load(struct history *h, const char *folder, struct err *err);
/* Borrowed; NULL when no line has it. */
const struct series *history_find(const struct history *h, const char *name);
/* at is mem_free()d by who has the series. */
int series_add(struct series *s, double x, double v, struct err *err);
double series_median(const struct series *s);        /* of its points; NAN without any */
double series_highest(const struct series *s);

#endif
