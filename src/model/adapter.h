/* adapter.h - adapters of lora.h in peft's files: adapter_config.json and adapter_model.safetensors in a folder.
 *
 *   base_model.model.MODULE.lora_A.weight [rank, K], .lora_B.weight [N, rank]      F32; F16 and BF16 are read too
 *   base_model.model.score.weight, .classifier.weight ...      of a model of classes: its head, learned whole (modules_to_save)
 * Metadata "lathe.base" has the digest of the base that it was trained on (adapter_base), "lathe.labels" the names of the classes as a
 * JSON array; files of other programs have neither.  Only plain LoRA is read: one rank and alpha for all modules, no biases, no DoRA,
 * no modules that are saved whole but that head. */
#ifndef MODEL_ADAPTER_H
#define MODEL_ADAPTER_H
#include "model/decoder.h"
#include "model/labels.h"
#include "model/lora.h"

/* SHA-256 of what all files of one model share, whatever the type of their matrices: the shapes of the weights and the floats
 * of its vectors (norms, biases), which are never quantised.  source: as for weights_save. */
int adapter_base(char hex[SHA256_HEX], const struct weights_list *l, const float *(*source)(void *ctx, int i), void *ctx, struct err *err);

/* Both files of a bound decoder's adapters, proven as weights_save's.  *digest as there. */
int adapter_save(const char *folder, const struct decoder *d, const struct weights_list *l, struct weight_digest **digest, int *n_digest, struct err *err);

/* Is it a folder of adapters by themselves: with adapter_config.json, and no model's config.json? */
bool adapter_is_folder(const char *path);

struct adapter;
int adapter_open(struct adapter **out, const char *folder, struct err *err);
/* The same from memory: the text of adapter_config.json, and a safetensors file, which must outlive *out. */
int adapter_parse(struct adapter **out, const char *config, size_t n_config, const void *data, size_t n_data, struct err *err);
void adapter_free(struct adapter *a);
const struct lora *adapter_lora(const struct adapter *a);      /* what the file says; `all`: what it covers is in the tensors */
/* ERR_USAGE when it names another base than this digest. */
int adapter_check_base(const struct adapter *a, const char *base, struct err *err);
/* The tensors of the file, all of them, are those of the sites: of adapter_lora()'s targets, or of a decoder recorded with it. */
int adapter_check(const struct adapter *a, const struct weights_list *l, const struct lora_site *site, int n_site, struct err *err);
/* Names of the classes that the file tells, none where it tells none; to be released. */
int adapter_labels(const struct adapter *a, struct labels *out, struct err *err);
bool adapter_has_head(const struct adapter *a);                /* for classes */
/* A and B of a bound decoder, which was recorded with adapter_lora(), and its head for classes, if it has one.  Checks. */
int adapter_load(const struct adapter *a, struct decoder *d, const struct weights_list *l, struct err *err);

/* ---- as floats: for merging, W += scale * B A, in double, rounded once; or to be run beside the weights (decoder.h) ---- */

/* Checks, and reads what adds to the weights of l, which has the family's names (not a GGUF file's).  After that any number of threads may look. */
int adapter_bind(struct adapter *a, const struct weights_list *l, struct err *err);
bool adapter_changes(const struct adapter *a, int i_weight);
/* A [rank, K], B [n_row, rank], for rows row .. row + n_row - 1 of the weight, in our order of them. */
struct adapter_part { int64_t row, n_row; float *a, *b; };
/* Of weight i_weight, *n of them, with K columns each. */
const struct adapter_part *adapter_parts(const struct adapter *a, int i_weight, int *n);
/* SHA-256 of both files, one after the other. */
int adapter_digest(char hex[SHA256_HEX], const char *folder, struct err *err);
/* x: row `row` of weight i_weight of the list. */
void adapter_add_row(const struct adapter *a, int i_weight, int64_t row, float *x);
const float *adapter_whole(const struct adapter *a, int i_weight);      /* a weight of the head for classes; NULL: the file has none */
#endif
