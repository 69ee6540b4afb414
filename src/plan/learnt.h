/* learnt.h - what a device does by its own self test: figures that `lathe plan --learn REPORT` takes from what `lathe selftest --json` (or --out) wrote, and that
 * stand in for the fitted constants of plan/devices.def.
 *
 * A file of the user's cache folder beside the limits of this machine (nn/limits.h), lathe/devices.json, has a record for each report: older ones of a device
 * are kept, the newest counts.  Reports are of whole devices of the table, by the driver's name for them; of others, and of parts that a partition mode made,
 * they are refused. */
#ifndef PLAN_LEARNT_H
#define PLAN_LEARNT_H
#include <jansson.h>
#include <stdbool.h>
#include "base/when.h"
#include "plan/device.h"

struct learnt {
    char key[32], name[128], driver[16], version[32], when[WHEN_TEXT];      /* of the table; the driver's name; "cuda" or "hip"; of lathe; when it was measured */
    int driver_version;
    /* 0: not in the report */
    double launch, kernel;            /* seconds: of an empty kernel, one of many in a graph; of a norm of one row, likewise */
    double read, copy;                /* bytes a second: of a product of one row that reads a large weight; of the best large copy, read and written */
    double bf16, fp8;                 /* operations a second of the fastest product of matrices */
};
/* ERR_FORMAT: no such report, or figures that no device can have.  ERR_NOTFOUND: a device that the table has not.  ERR_UNSUPPORTED: a part of one, or a
 * report in which nothing was measured.  `where` begins the messages. */
int learnt_read(struct learnt *out, const json_t *report, const char *where, struct err *err);
/* Adds it to the file; the same report again is one.  n_others: reports of this device that were there; newest: none of them is later. */
int learnt_keep(struct learnt *l, bool *newest, int *n_others, struct err *err);
/* The newest of a device; ERR_NOTFOUND where there is none. */
int learnt_load(struct learnt *out, const char *key, struct err *err);
/* In place of reach, mma, mma_of[fp8], kernel and launch; d->learnt says so, and from what.  launch: a kernel's, as plan/kernel.h has it. */
void learnt_apply(struct device *d, const struct learnt *l);

#endif
