/* npz_write.h - an .npz archive for NumPy (numpy.load): arrays in C order, stored, not packed.
 *
 * The file appears under its name with npz_writer_commit() alone.  Below 4 GiB in all (the form without ZIP64): ERR_RANGE beyond.
 * A zeroed writer may be aborted.  One thread. */
#ifndef EVAL_NPZ_WRITE_H
#define EVAL_NPZ_WRITE_H
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/file.h"

struct npz_writer { struct file_writer w; struct buf directory; uint64_t at; int n_array; bool open; };
enum npz_type { NPZ_F32, NPZ_F64, NPZ_I32, NPZ_I64 };

int npz_writer_open(struct npz_writer *z, const char *path, struct err *err);
/* [rows], or [rows, cols] where cols > 0.  name: without ".npy", up to 100 bytes. */
int npz_writer_add(struct npz_writer *z, const char *name, enum npz_type type, const void *data, int64_t rows, int64_t cols, struct err *err);
int npz_writer_commit(struct npz_writer *z, struct err *err);      /* releases z, also on error */
void npz_writer_abort(struct npz_writer *z);
#endif
