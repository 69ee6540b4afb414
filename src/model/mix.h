/* mix.h - which type each tensor of a quantised model gets: llama.cpp's mixtures, by the tensor's GGUF name.
 *
 * A mixture has one type for most matrices and gives some of them more bits: the output, the values and the second matrix of
 * the MLP in the outer layers.  Vectors, norms, routers and learned positions keep their type.  A matrix whose rows are no
 * multiple of the block falls back to a type that fits. */
#ifndef MODEL_MIX_H
#define MODEL_MIX_H
#include <stdbool.h>
#include "model/source.h"

/* word, type of most matrices, general.file_type */
#define MIXES(X) \
    X("f32", F32, 0) X("f16", F16, 1) X("bf16", BF16, 32) X("q8_0", Q8_0, 7) X("q6_k", Q6_K, 18) X("q5_k_m", Q5_K, 17) X("q5_k_s", Q5_K, 16) \
    X("q5_1", Q5_1, 9) X("q5_0", Q5_0, 8) X("q4_k_m", Q4_K, 15) X("q4_k_s", Q4_K, 14) X("iq4_nl", IQ4_NL, 25) X("q4_1", Q4_1, 3) \
    X("q4_0", Q4_0, 2) X("q3_k_l", Q3_K, 13) X("q3_k_m", Q3_K, 12) X("q3_k_s", Q3_K, 11) X("q2_k", Q2_K, 10) X("mxfp4", MXFP4, 38)
struct mix { const char *word; enum cpu_type type; int file_type; };
/* "q4_k_m", also "q3_k", "q4_k", "q5_k" for the _m; any case.  NULL when unknown. */
const struct mix *mix_find(const char *word);
#define MIX_WORDS "f32|f16|bf16|q8_0|q6_k|q5_k_m|q5_k_s|q5_1|q5_0|q4_k_m|q4_k_s|iq4_nl|q4_1|q4_0|q3_k_l|q3_k_m|q3_k_s|q2_k|mxfp4"

/* What the quantisation of files is called: "Q4_K_M", "BF16".  Of a GGUF file what general.file_type says; where that is missing or not of
 * the list, the type of most bytes of matrices; "" where there are none. */
#define MIX_NAME 16
void mix_name(const struct source *s, char out[MIX_NAME]);

struct mix_model {
    int n_layer, n_expert;
    int n_gqa;                     /* query heads per key/value head */
    bool tied;                     /* the embedding is the output too */
    bool importance;
    bool pure;                     /* every matrix the mixture's type, or its fallback */
};
/* The type for a tensor of the given GGUF name; *fell_back tells that its rows did not fit. */
enum cpu_type mix_type(const struct mix *m, const struct mix_model *model, const char *name, const struct source_tensor *t, bool *fell_back);
#endif
