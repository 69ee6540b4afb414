/* base.h - the model that a run goes on from: any file or folder that model/model.h opens.
 *
 * Quantised and half-precision weights become floats, exactly; what they were is not kept.  Each call opens the files anew
 * (they are mapped) and closes them. */
#ifndef TRAIN_BASE_H
#define TRAIN_BASE_H
#include "model/decoder.h"
#include "model/tok.h"

/* What the files warn of goes to the log. */
int base_config(struct config *c, const char *path, struct err *err);
int base_tokenizer(struct tok **out, const char *path, struct err *err);
/* The floats of every weight (of a divided model: its parts) of a bound decoder but those that stay in their file and, where the base has none, of a head for classes
 * and of routers, which are left as they are; experts of a mixture that begins from a dense base are copies of its MLPs (upcycle.h).  l: the list that d was recorded from.  ERR_NUMERIC when the file has numbers that are not finite. */
int base_weights(struct decoder *d, const struct weights_list *l, const char *path, struct err *err);
/* adapter_base() of it. */
int base_digest(char hex[SHA256_HEX], const char *path, struct err *err);
/* A base that stays in its file: rows of matrices are read where they lie (tensor.row of graph.h), which takes 16 bytes a row. */
struct base_rows;
int base_rows_new(struct base_rows **out, const char *path, const struct weights_list *l, struct err *err);      /* l: of the decoders; outlives *out */
void base_rows_free(struct base_rows *b);
const bool *base_rows_in_file(const struct base_rows *b);          /* for decoder_opts.in_file: matrices that lie row by row */
size_t base_rows_bytes(const struct base_rows *b);                 /* what base_rows_take() will take */
uint64_t base_rows_file_bytes(const struct base_rows *b);          /* of those matrices in the file */
int base_rows_take(struct base_rows *b, struct err *err);
void base_rows_bind(const struct base_rows *b, struct decoder *d); /* a bound decoder that was recorded with base_rows_in_file() */
/* Special tokens and chat templates, for the folder that the trained model goes to. */
int base_put_chat(const char *path, const char *folder, struct err *err);
#endif
