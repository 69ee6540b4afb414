/* model.h - the files of a model, opened: what it is, and where its weights lie, for a GGUF file as for Hugging Face's folder. */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H
#include "base/buf.h"
#include "base/hash.h"
#include "model/config.h"
#include "model/source.h"
#include "model/weights.h"

struct model { struct source *source; struct config config; struct weights_list *list; };      /* list: its parts are the file's */

/* path: a GGUF file, or a folder with one or with config.json and safetensors.  warnings as of config_load. */
int model_open(struct model *m, const char *path, struct buf *warnings, struct err *err);
void model_release(struct model *m);
/* Where its tokenizer is, for tok_load: in the GGUF file, or in the folder. */
const char *model_tok_path(const struct model *m, const char *path);
/* SHA-256 of the file, as sha256sum has it, or of all files of the folder, not of folders in it (1_Pooling, additional_chat_templates), in the order of
 * their names: each name, a zero, and its bytes.
 * model.sig, a signature of the others, is none of them. */
int model_digest(const char *path, char hex[SHA256_HEX], struct err *err);
#endif
