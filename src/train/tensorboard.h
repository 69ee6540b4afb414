/* tensorboard.h - the lines of metrics.jsonl once more, as TensorBoard reads them.
 *
 * One file, DIR/events.out.tfevents.<seconds>.lathe, which is written anew from metrics.jsonl at each start and grows by one
 * write() a line.  It is a run of records
 *     length u64 | masked crc32c(length) u32 | payload | masked crc32c(payload) u32          all little-endian
 * whose payload is the protobuf message tensorflow.Event: wall_time = 1 (double), step = 2 (int64), file_version = 3, summary = 5,
 * session_log = 7.  The second record is a session's start at step 0: a TensorBoard that looks on then forgets what it read
 * from the file of an earlier start.
 *
 * Of a line, each number becomes the scalar of its key, null one that is not a number, and the numbers of a list of objects
 * ("experts") the scalars KEY/MEMBER/INDEX.  A line with an event becomes a text, the line itself, in addition. */
#ifndef TRAIN_TENSORBOARD_H
#define TRAIN_TENSORBOARD_H
#include <jansson.h>
#include "base/file.h"

struct tensorboard { struct file_log log; struct buf record, pending; };

/* Takes DIR, makes it, removes the files of earlier starts, and opens a new one; seconds: unix time, in its name and first records. */
int tensorboard_open(struct tensorboard *t, const char *dir, double seconds, struct err *err);
/* A line of metrics; its time is unix_ms.  With flush false it may stay in memory until the next call with flush. */
int tensorboard_add(struct tensorboard *t, const json_t *line, bool flush, struct err *err);
void tensorboard_close(struct tensorboard *t);          /* a zeroed one too */

#endif
