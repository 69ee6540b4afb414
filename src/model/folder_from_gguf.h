/* folder_from_gguf.h - a model of any file as a folder of Hugging Face's: config.json, model.safetensors, tokenizer.json, chat templates. */
#ifndef MODEL_FOLDER_FROM_GGUF_H
#define MODEL_FOLDER_FROM_GGUF_H
#include "model/model.h"

/* config.json and model.safetensors.  dtype: F32, BF16 or F16.  A folder that has such files already is written over, file by file. */
int folder_from_gguf(const struct model *m, const char *folder, enum st_dtype dtype, struct err *err);
/* tokenizer.json; m: opened from `from`.  ERR_UNSUPPORTED for tokenizers that tok_write() does not know. */
int folder_put_tokenizer(const struct model *m, const char *from, const char *folder, struct err *err);
/* tokenizer_config.json, and the chat templates as chat_template.jinja and additional_chat_templates/NAME.jinja. */
int folder_put_chat(const struct model *m, const char *from, const char *folder, struct err *err);
#endif
