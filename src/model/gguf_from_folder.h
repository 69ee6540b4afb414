/* gguf_from_folder.h - a model of Hugging Face's files as one GGUF file, weight by weight. */
#ifndef MODEL_GGUF_FROM_FOLDER_H
#define MODEL_GGUF_FROM_FOLDER_H
#include "model/model.h"

/* m: opened from `folder`, safetensors in any form that a source presents.  Matrices become BF16 or F16 when all of the source's
 * are, else F32; vectors and routers F32.  One weight is in memory at a time, as floats. */
int gguf_from_folder(const struct model *m, const char *folder, const char *path, struct err *err);
#endif
