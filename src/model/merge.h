/* merge.h - a model with its adapters put into the weights, in the form that it came in. */
#ifndef MODEL_MERGE_H
#define MODEL_MERGE_H
#include "base/pool.h"
#include "model/adapter.h"
#include "model/mix.h"
#include "model/model.h"

/* ERR_USAGE when the adapter names another base.  Before the others. */
int merge_check(const struct model *m, const struct adapter *a, struct err *err);
/* m: of the folder `base`.  dtype: F32, BF16 or F16.  Writes model.safetensors, config.json, and of images
 * preprocessor_config.json.  ERR_NUMERIC names a tensor that would have a
 * number that is not finite in that type. */
int merge_folder(const struct model *m, const char *base, struct adapter *a, const char *folder, enum st_dtype dtype, struct err *err);
/* m: a GGUF file's.  mix NULL: every tensor in the type that it has; else as of `lathe quantize`, without weighing columns. */
int merge_gguf(const struct model *m, struct adapter *a, const char *path, const struct mix *mix, struct pool *pool, struct err *err);
#endif
