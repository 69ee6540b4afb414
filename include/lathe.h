/* lathe.h - transformer and mixture-of-experts models in your own program: open, tokenise, run, sample, embed, score.
 *
 *     cc example.c $(pkg-config --cflags --libs lathe)
 *
 * Models are GGUF files or folders in Hugging Face's form (config.json, *.safetensors, tokenizer.json).  The weights stay in the types
 * that the file has.
 *
 * Errors    A function that can fail returns 0, or a negative LATHE_ code, and then tells in *err what was found and what was
 *           expected.  err is the caller's and may be NULL.  After an error the handle is as usable as before, and what an output
 *           pointer leads to is unchanged unless its function says otherwise.  No file, text or number given makes the library end
 *           the process.  Pointers are not checked: one that does not lead where its function says is a bug, as for C's own library.
 * Memory    What the library returns by pointer belongs to its handle; it lives until the handle is freed, or as long as said.  All
 *           else is written into memory of the caller.  Nothing that the caller passes is kept after a call.
 * Threads   A handle is used by one thread at a time, except where a function says "any thread".  Different handles are independent:
 *           two models, or the same file twice, run beside each other.  Each has its own worker threads, which sleep between calls.
 * Process   No output, no signal handlers, no change of the locale, no temporary files; worker threads take no signals.  The
 *           environment variable LATHE_CPU (ref, avx2, avx512, avx512bf16) lowers the instruction set, for tests.
 * Numbers   Logits do not depend on the number of threads, on the batch or on how a prompt was cut: the same bits always.  What
 *           is drawn is a function of logits, parameters, seed and position.
 * Text      Bytes, UTF-8 as a rule, with a length: a text may hold zeros, and none is put behind it.
 *
 * Versions  MAJOR goes up when a program must be changed or compiled anew, and the library's soname with it; MINOR when something
 *           was added; PATCH otherwise.  Structures have fields in reserve, which are 0 in this version: begin with `= { 0 }` or with
 *           the fields that you name; 0 in all others means the default. */
#ifndef LATHE_H
#define LATHE_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LATHE_VERSION_MAJOR 0
#define LATHE_VERSION_MINOR 1
#define LATHE_VERSION_PATCH 0
#define LATHE_VERSION "0.1.0"
#define LATHE_VERSION_NUMBER (LATHE_VERSION_MAJOR * 10000 + LATHE_VERSION_MINOR * 100 + LATHE_VERSION_PATCH)

#if defined(__GNUC__)
#define LATHE_API __attribute__((visibility("default")))
#else
#define LATHE_API
#endif

/* Of the library that is linked, as LATHE_VERSION; any thread. */
LATHE_API const char *lathe_version(void);

/* ---- errors ---- */

enum lathe_code {
    LATHE_OK = 0,
    LATHE_USAGE = -1,            /* the caller's options are wrong */
    LATHE_FORMAT = -2,           /* a file or text does not follow its format */
    LATHE_RANGE = -3,            /* a value or size lies outside what is there */
    LATHE_NOMEM = -4,            /* memory ran out, or the model does not fit */
    LATHE_IO = -5,               /* the system refused a read or another call */
    LATHE_NOTFOUND = -6,         /* a file or a part of it does not exist */
    LATHE_CORRUPT = -7,          /* stored data differ from their checksum */
    LATHE_UNSUPPORTED = -8,      /* valid, but nothing that this version can do */
    LATHE_BUSY = -9,
    LATHE_NUMERIC = -10,         /* the model gave values that are not numbers */
    LATHE_STOPPED = -11,         /* a callback asked to stop */
    LATHE_REFUSED = -13          /* the chat template refused the messages, in its own words */
};
/* message: UTF-8 without a final full stop or newline, always terminated; "" after success. */
struct lathe_error { int code; char message[512]; };
LATHE_API const char *lathe_code_name(int code);         /* "format" for LATHE_FORMAT, "ok" for 0; any thread */

/* ---- models ---- */

enum lathe_precision { LATHE_AS_FILE, LATHE_F32, LATHE_BF16, LATHE_F16 };

struct lathe_options {
    int n_thread;                /* the calling thread counted; 0: as many as the process may use cores */
    int context;                 /* positions (tokens) of a sequence at most; 0: the model's.  Memory is taken for all of them. */
    int context_clip;            /* 1: where context is more than the model has, the model's, instead of LATHE_RANGE */
    int n_sequence;              /* sequences that are remembered at once; 0: 1 */
    int step_tokens;             /* tokens computed together at most; longer prompts go in pieces of this; 0: 512 */
    int n_logits;                /* rows of logits computed together at most; 0: n_sequence.  lathe_score is faster with 64. */
    enum lathe_precision precision;      /* of the weights in memory */
    int no_tokenizer;            /* 1: do without one; what needs text is then LATHE_USAGE */
    const char *rope_scaling;    /* "linear:4", "dynamic:2", "yarn:4": stretch the model's positions; NULL: as the model says */
    int reserved[8];
};

struct lathe_model;

/* o may be NULL: all defaults.  *out is NULL after an error.  LATHE_NOMEM comes before anything is loaded when it does not fit. */
LATHE_API int lathe_model_open(struct lathe_model **out, const char *path, const struct lathe_options *o, struct lathe_error *err);
LATHE_API void lathe_model_free(struct lathe_model *m);          /* NULL is fine */
/* Bytes of private memory that lathe_model_open would take with these options; reads no weights.  Weights that are used where the
 * file has them are mapped, shared with other processes and not counted.  Any thread. */
LATHE_API int lathe_model_plan(size_t *bytes, const char *path, const struct lathe_options *o, struct lathe_error *err);

struct lathe_info {
    const char *family;          /* "llama", "qwen3_moe", ...: the model_type of its configuration */
    const char *warnings;        /* keys of the configuration that are not used, a line each; "" if there are none */
    int n_vocabulary;            /* logits of a token */
    int n_layer, d_model;
    int context;                 /* positions of a sequence, as opened */
    int context_model;           /* that the model was made for */
    int n_sequence, step_tokens, n_thread;
    int begin_id, end_id;        /* the token before a text, the one that ends it; -1: none */
    int has_chat;                /* 1: there is a chat template that can be used */
    size_t bytes, weight_bytes;  /* private memory taken as planned; of it weights */
    int64_t reserved[8];
};
/* Any thread.  The strings are the model's. */
LATHE_API void lathe_model_info(const struct lathe_model *m, struct lathe_info *out);

/* ---- text and tokens: any thread, also while the model runs ---- */

enum {
    LATHE_PLAIN = 0,
    LATHE_SPECIALS = 1,          /* special tokens written in the text become their ids; else they are text: never set it for what a user typed */
    LATHE_ADD = 2                /* with what the model's texts begin and end with: bos, [CLS] ... [SEP] */
};
/* *n becomes the number of ids of text[n_text].  ids has room for max of them; LATHE_RANGE when there are more, *n is then right and
 * ids untouched.  max 0: only count, ids may be NULL. */
LATHE_API int lathe_tokenize(const struct lathe_model *m, const char *text, size_t n_text, unsigned flags, int32_t *ids, size_t max, size_t *n,
                             struct lathe_error *err);
/* The text of n_ids ids: *n bytes, room, max and errors as above.  LATHE_SPECIALS: special tokens as they are written, else without. */
LATHE_API int lathe_detokenize(const struct lathe_model *m, const int32_t *ids, size_t n_ids, unsigned flags, char *text, size_t max, size_t *n,
                               struct lathe_error *err);
/* 1 where generation ends with this token: end of text, of turn, of message.  0 also for ids that do not exist. */
LATHE_API int lathe_is_end(const struct lathe_model *m, int32_t id);

struct lathe_message { const char *role, *content; };            /* "system", "user", "assistant"; both terminated by 0 */
struct lathe_chat_options {
    const char *name;            /* of the template, where the model has several; NULL: its choice */
    const char *tools;           /* JSON text: an array in the form of the OpenAI API; NULL: none */
    const char *variables;       /* JSON text: an object of more of the template's variables; NULL: none */
    int no_generation_prompt;    /* 1: the last message is not to be answered */
    int reserved[8];
};
/* The messages by the model's chat template, as ids ready for lathe_feed or lathe_generate; o may be NULL; *n, room, max and errors
 * as of lathe_tokenize.  What messages contain never becomes a special token.  LATHE_NOTFOUND when the model has no template. */
LATHE_API int lathe_chat(const struct lathe_model *m, const struct lathe_message *message, size_t n_message, const struct lathe_chat_options *o,
                         int32_t *ids, size_t max, size_t *n, struct lathe_error *err);

/* ---- running ---- */

/* Feeds n >= 1 tokens to a sequence (0 ... n_sequence-1) from position pos on.  What the sequence held from pos on is forgotten, so
 * it is cut back by feeding from an earlier position and begun anew from 0; a pos beyond its end is LATHE_RANGE.
 * *logits: [n_vocabulary] of the last token, valid until the next call with this model. */
LATHE_API int lathe_feed(struct lathe_model *m, int sequence, int pos, const int32_t *ids, int n, const float **logits, struct lathe_error *err);
/* One token for each of n different sequences, computed together: ids[i] at pos[i] of sequence[i].
 * *logits: [n][n_vocabulary].  n is at most n_sequence, and n_logits where that was given. */
LATHE_API int lathe_step(struct lathe_model *m, int n, const int *sequence, const int *pos, const int32_t *ids, const float **logits,
                         struct lathe_error *err);
/* Positions that a sequence holds now: where the next lathe_feed may go on.  0 for one that does not exist. */
LATHE_API int lathe_length(const struct lathe_model *m, int sequence);

struct lathe_sampling {
    double temperature;          /* 0: the largest logit */
    int top_k;                   /* only the k largest; 0: all */
    double top_p;                /* only the largest that together have this probability; 0 or 1: all */
    uint64_t seed;
    int reserved[8];
};
/* Draws from logits[n_vocabulary]; position: of the token that is drawn.  The same seed and position give the same draw.
 * An id that the tokenizer has nothing for is never drawn. */
LATHE_API int lathe_sample(struct lathe_model *m, const float *logits, const struct lathe_sampling *s, uint64_t position, int32_t *id,
                           struct lathe_error *err);

/* A piece of text, whole UTF-8 characters as far as the model makes them; not 0 stops.  It must not call functions of its model that are
 * not for any thread. */
typedef int lathe_text_fn(void *ctx, const char *text, size_t n);
enum lathe_end { LATHE_END_MODEL, LATHE_END_LENGTH, LATHE_END_CONTEXT, LATHE_END_CALLER };   /* it ended, max_tokens, no position left, fn */
struct lathe_generation {
    struct lathe_sampling sampling;
    int sequence;
    int max_tokens;              /* 0: as many as there are positions for */
    int own_text;                /* 1: what comes is a text of its own, as the answer in a chat is; 0: it goes on with the prompt's
                                    text.  Tokenizers that put a space before every text take it off again for 1. */
    int reserved[8];
};
struct lathe_generated {
    enum lathe_end end;
    int n_prompt, n_kept;        /* tokens of the prompt; of these the sequence held already, from an earlier call, and were not computed */
    int n_token;                 /* drawn, the end token counted */
    double prompt_s, token_s;    /* seconds for the prompt and for the tokens */
    int64_t reserved[8];
};
/* Continues n >= 1 ids: feeds what the sequence does not hold yet, draws, and gives the text to fn (NULL: nobody) without special
 * tokens.  result may be NULL.  LATHE_RANGE, and nothing has happened, when the prompt is longer than the context. */
LATHE_API int lathe_generate(struct lathe_model *m, const int32_t *ids, size_t n, const struct lathe_generation *o, lathe_text_fn *fn, void *ctx,
                             struct lathe_generated *result, struct lathe_error *err);

/* ---- how well a model predicts a text ---- */

/* LATHE_SCORE_HALF     windows one after the other, the tokens of the second half of each count (llama.cpp's perplexity)
 * LATHE_SCORE_ROLLING  every token counts once, each with as much before it as a window holds (lm-evaluation-harness)
 * LATHE_SCORE_ALL      windows one after the other, all tokens but the first of each count */
enum lathe_convention { LATHE_SCORE_HALF, LATHE_SCORE_ROLLING, LATHE_SCORE_ALL };
struct lathe_score {
    size_t n_text;               /* tokens of the text */
    size_t n_token;              /* of them counted */
    double nll;                  /* their negative log-likelihood, a sum in nats */
    double perplexity, perplexity_stderr;        /* exp(nll / n_token); its standard error over tokens */
    int64_t reserved[8];
};
/* window: tokens, at most the context; 0: the context.  LATHE_RANGE when the text is shorter than a window (than 2 tokens for
 * ROLLING).  All sequences are empty afterwards. */
LATHE_API int lathe_score(struct lathe_model *m, const char *text, size_t n_text, enum lathe_convention convention, int window, struct lathe_score *out,
                          struct lathe_error *err);

/* ---- vectors of texts ---- */

struct lathe_embedder;
enum lathe_pooling { LATHE_POOL_FILE, LATHE_POOL_MEAN, LATHE_POOL_FIRST, LATHE_POOL_LAST };    /* FILE: as the model's files say, else mean for encoders, last for others */

/* path: an encoder (BERT's kind), or any other model, whose last hidden states are taken.  Of the options n_thread, context,
 * precision, no_tokenizer and rope_scaling are used; others that are not 0 are LATHE_USAGE. */
LATHE_API int lathe_embedder_open(struct lathe_embedder **out, const char *path, const struct lathe_options *o, struct lathe_error *err);
LATHE_API void lathe_embedder_free(struct lathe_embedder *e);    /* NULL is fine */
LATHE_API int lathe_embedder_size(const struct lathe_embedder *e);       /* numbers of a vector; any thread */
LATHE_API const char *lathe_embedder_warnings(const struct lathe_embedder *e);      /* as of lathe_info; any thread */
/* out[lathe_embedder_size]: the vector of a text, of length 1 unless the model's files say otherwise.  LATHE_RANGE for a text longer
 * than the context: nothing is cut off. */
LATHE_API int lathe_embed(struct lathe_embedder *e, const char *text, size_t n, enum lathe_pooling pooling, float *out, struct lathe_error *err);
LATHE_API int lathe_embed_ids(struct lathe_embedder *e, const int32_t *ids, int n, enum lathe_pooling pooling, float *out, struct lathe_error *err);

#ifdef __cplusplus
}
#endif
#endif
