/* tok_files.h - tokenizers out of their files; tok_load() chooses among them. */
#ifndef MODEL_TOK_FILES_H
#define MODEL_TOK_FILES_H
#include "model/tok.h"

#define TOK_FILE_MAX ((size_t)512 << 20)

int tok_load_json(struct tok **out, const char *path, struct err *err);

/* Lines of base64, a space and a rank (OpenAI's).  kind: "r50k", "p50k", "cl100k", "o200k", "qwen", "llama3", "llama4": how text is
 * split and which special tokens there are. */
int tok_parse_tiktoken(struct tok **out, const char *text, size_t n, const char *kind, const char *name, struct err *err);
const char *tok_tiktoken_kind(const char *path);        /* the kind that a file's name tells, else the nearest folder of its path; NULL if none */

/* SentencePiece's model file (protobuf). */
int tok_parse_spm(struct tok **out, const char *data, size_t n, const char *name, struct err *err);

/* GGUF's tokenizer.ggml.* keys. */
struct gguf;
int tok_from_gguf(struct tok **out, const struct gguf *g, const char *name, struct err *err);

/* ---- what the last two become ---- */
enum tok_piece_type { TOK_PIECE_NORMAL = 1, TOK_PIECE_UNKNOWN, TOK_PIECE_CONTROL, TOK_PIECE_USER, TOK_PIECE_UNUSED, TOK_PIECE_BYTE };
struct tok_piece { const char *text; size_t n; float score; uint8_t type; };
struct tok_vocab {
    const char *name;                /* leads the messages */
    enum { TOK_VOCAB_SPM, TOK_VOCAB_UNIGRAM, TOK_VOCAB_BYTES, TOK_VOCAB_WORDPIECE, TOK_VOCAB_CHARS } kind;   /* SPM: BPE by scores; CHARS: merges, U+2581 */
    const char *pre;                 /* BYTES, CHARS: how text is split, tokenizer.ggml.pre */
    const struct tok_piece *piece; int n_piece;
    const char **merge; const size_t *merge_n; int n_merge;         /* "left right" */
    const char *charsmap; size_t n_charsmap;
    int bos, eos, unk, sep, cls;     /* -1: none */
    const int32_t *eog; int n_eog;
    bool add_bos, add_eos, add_prefix, join_spaces, escape, suffix, byte_fallback;
};
int tok_from_vocab(struct tok **out, const struct tok_vocab *v, struct err *err);

#endif
