/* tok_impl.h - inside a tokenizer: shared by its stages and its file formats.
 *
 *   text -> added tokens cut out (tok.c) -> normalizers (tok_norm.c) -> added tokens of normalized text -> pre-tokenizers
 *   (tok_pre.c, tok_split.c) -> model: BPE (tok_bpe.c), Unigram (tok_unigram.c), WordPiece (tok_wordpiece.c) -> ids
 *
 * A token has two forms: the piece, which models look up, and the text, which decoding gives.  For byte-level BPE both are its
 * bytes; elsewhere the piece holds U+2581 for a space or "##" for a continuation. */
#ifndef MODEL_TOK_IMPL_H
#define MODEL_TOK_IMPL_H
#include <stdatomic.h>
#include "model/tok.h"
#include "model/tok_split.h"

#define TOK_VOCAB_MAX 4194304
#define TOK_STEPS_MAX 32
#define TOK_GROWTH_MAX 64                               /* times that normalizers may lengthen a text; NFKD needs 11 */
#define TOK_SPACE "\xe2\x96\x81"                        /* U+2581 */

enum tok_model { TOK_MODEL_BPE, TOK_MODEL_UNIGRAM, TOK_MODEL_WORDPIECE };

struct tok_entry {
    uint32_t at, n;                                       /* piece: bytes[at .. at+n-1] */
    uint32_t text, n_text;                                /* what it decodes to */
    bool used, special;
    bool hidden;                                          /* no model gives it: special, unknown, a byte, unused */
    bool eog;
};
struct tok_merge { int32_t left, right, into, rank; };    /* the smallest rank goes first, then the leftmost */
struct tok_slot { int32_t left, right, rank, into; };     /* rank -1: empty */
struct tok_word { uint32_t tag; int32_t id; };            /* by piece; id -1: empty */

/* A token that is cut out of the text before anything else sees it. */
struct tok_added { uint32_t at, n; int32_t id; bool special, lstrip, rstrip, single_word, normalized; };
/* Those of one pass, sorted by their bytes. */
struct tok_added_set { struct tok_added *a; int n; bool starts[256]; bool any_plain, any_special; };

enum tok_norm_kind { NORM_FORM, NORM_LOWER, NORM_STRIP, NORM_STRIP_ACCENTS, NORM_REPLACE, NORM_PREPEND, NORM_CHARSMAP, NORM_BERT, NORM_NMT, NORM_SPM };
struct tok_charsmap { uint32_t *unit; size_t n_unit; char *pool; size_t n_pool; };
struct tok_norm {
    enum tok_norm_kind kind;
    int form;                                             /* NORM_FORM: enum unicode_form */
    bool left, right;                                     /* NORM_STRIP */
    struct tok_split *pattern;                            /* NORM_REPLACE: this expression, or else the string `from` */
    char *from, *to; size_t n_from, n_to;                 /* NORM_REPLACE, NORM_PREPEND (to) */
    struct tok_charsmap map;                              /* NORM_CHARSMAP, NORM_SPM */
    bool clean, chinese, accents, lower;                  /* NORM_BERT */
    bool join_spaces, dummy_prefix, suffix, escape;       /* NORM_SPM */
};

enum tok_pre_kind { PRE_SPLIT, PRE_STRING, PRE_BYTES, PRE_METASPACE, PRE_WORDS, PRE_SPACES, PRE_DIGITS, PRE_PUNCTUATION, PRE_BERT };
enum tok_behavior { BEHAVIOR_REMOVED, BEHAVIOR_ISOLATED, BEHAVIOR_PREVIOUS, BEHAVIOR_NEXT, BEHAVIOR_CONTIGUOUS };
enum tok_prepend { PREPEND_NEVER, PREPEND_FIRST, PREPEND_ALWAYS };
struct tok_pre {
    enum tok_pre_kind kind;
    enum tok_behavior behavior;
    bool invert;
    struct tok_split *split;                              /* PRE_SPLIT, PRE_BYTES with GPT-2's expression */
    char *string; size_t n_string;                        /* PRE_STRING; PRE_METASPACE: the replacement */
    bool prefix;                                          /* PRE_BYTES: add a space before a piece without one */
    bool each;                                            /* PRE_DIGITS: every digit alone */
    bool mapped;                                          /* after PRE_BYTES: digits of the byte characters */
    enum tok_prepend prepend; bool cut;                   /* PRE_METASPACE */
};

struct tok_trie_unit { int32_t base, check; };
struct tok_trie { struct tok_trie_unit *unit; size_t n; };

struct tok {
    enum tok_model model;
    bool byte_level;                                      /* symbols are bytes */
    struct buf bytes;
    struct tok_entry *entry; int n_entry, cap_entry;
    int id_end;                                           /* ids must be below: what the file's number of tokens can explain; 0: TOK_VOCAB_MAX */
    int32_t *gap; int n_gap;                              /* ids below n_entry that are not used */
    struct tok_merge *merge; int n_merge, cap_merge;
    struct tok_slot *slot; uint32_t slot_mask; int32_t rank_end;
    uint64_t *maybe;                                      /* a bit for each hash of a pair: most pairs that do not merge end here */
    struct tok_word *word; uint64_t word_mask;            /* tokens that are not hidden, by their pieces */
    int32_t byte_id[256];                                 /* -1: the vocabulary lacks the byte (byte-level, or byte fallback) */
    bool byte_fallback, fuse_unk;
    bool ignore_merges;                                   /* a piece that is a token is that token */
    _Atomic uint8_t *whole;                               /* of a token: 0 not known yet, 1 merges make it of its piece, 2 they do not */
    bool cut_spaces, cut_before[256];                     /* no token crosses from this byte to U+2581: pieces may be cut there */
    double *score; bool single;                           /* Unigram; sums are float (SentencePiece) instead of double */
    double unk_score, user_score; struct tok_trie trie; bool *user;
    char *continuation; size_t n_continuation; int max_chars;      /* WordPiece */
    int unk, bos, eos, eot;                               /* -1: none */

    struct tok_added *added; int n_added, cap_added;
    struct tok_added_set raw, normal;
    struct tok_norm norm[TOK_STEPS_MAX]; int n_norm;
    struct tok_pre pre[TOK_STEPS_MAX]; int n_pre;
    int32_t *before, *after; int n_before, n_after;       /* TOK_ADD */
    bool strip_space;                                     /* decoding drops one space at the beginning of the text */
    bool wordpiece_text;                                  /* decoding puts spaces between words */
    char *path; uint64_t path_hash;                       /* the tokenizer.json that it was loaded from */
    _Atomic(struct tok_cache *) spare;                    /* of the last call, still warm */
};

/* ---- the vocabulary (tok.c) ---- */
/* Memory goes by the largest id: a file that names n tokens may leave some out, but not name ids out of all proportion. */
int tok_id_end(size_t n_token);
int tok_new(struct tok **out, struct err *err);
int tok_set_entry(struct tok *t, int id, const char *bytes, size_t n, bool special, struct err *err);
int tok_set_text(struct tok *t, int id, const char *text, size_t n, struct err *err);
int tok_set_ids(int32_t **list, int *n, const int32_t *ids, int n_ids, struct err *err);
int tok_add_merge(struct tok *t, int left, int right, int into, int rank, struct err *err);
int tok_add_added(struct tok *t, struct tok_added a, const char *content, size_t n, struct err *err);
/* After the last entry, merge and step: builds the tables.  name leads the messages. */
int tok_finish(struct tok *t, const char *name, struct err *err);
int tok_by_bytes(const struct tok *t, const char *s, size_t n);   /* after tok_index; -1: none */
int tok_index(struct tok *t, const char *name, struct err *err);  /* builds the table of tok_by_bytes */

/* ---- one call ---- */
#define TOK_CACHE_BYTES 32
#define TOK_CACHE_IDS 7
struct tok_cached { uint64_t key[4]; uint8_t len, n; int32_t id[TOK_CACHE_IDS]; };      /* a cache line, where it lies on one */
struct tok_cache { size_t mask, n_stored; struct tok_cached *at; };
/* Pieces whose line of the cache has been asked for and may be on its way: after a step of a model none is near, and several come in the time
 * of one.  What is not of the run's own text is copied. */
#define TOK_WAITING 8
struct tok_waiting { uint64_t key[4]; struct tok_cached *set; const char *s; uint8_t n; char copy[TOK_CACHE_BYTES]; };
struct tok_run {
    const struct tok *t;
    unsigned flags;
    struct tok_cache *cache;                              /* NULL: without */
    struct tok_waiting waiting[TOK_WAITING]; unsigned n_begun, n_ended;      /* of pieces: those between wait */
    struct tok_ids *out;
    struct buf norm[2], pre[TOK_STEPS_MAX + 1];
    size_t norm_max;                                      /* bytes that normalizers may make of the segment */
    void *scratch; size_t n_scratch;                      /* scratch of the models */
    const char *origin; size_t n_origin;                  /* the whole text, for messages */
    const char *input;                                    /* NULL, or 1 for each byte of origin that a user typed */
    bool typed;                                           /* the segment has such bytes */
    bool at_start;                                        /* the segment begins the text */
    struct err *err;
};
void *tok_scratch(struct tok_run *r, size_t n);           /* n bytes, kept until the next call; NULL without memory */

int tok_normalize(struct tok_run *r, const char **s, size_t *n);
bool tok_charsmap_init(struct tok_charsmap *m, const char *blob, size_t n, struct err *err);
int tok_pretokenize(struct tok_run *r, int i_step, const char *s, size_t n);
int tok_piece(struct tok_run *r, const char *s, size_t n);       /* any model, with the cache; the ids may come later */
int tok_pieces_end(struct tok_run *r);                            /* now they are all there */
int tok_bpe_piece(struct tok_run *r, const char *s, size_t n);
int tok_unigram_piece(struct tok_run *r, const char *s, size_t n);
int tok_wordpiece_piece(struct tok_run *r, const char *s, size_t n);
bool tok_is_word_char(uint32_t cp);                       /* \w of Rust's regex */

static inline uint64_t tok_pair_mix(uint64_t x) { return x ^ x >> 29; }
/* Where a pair of tokens is in a table: of who merges and of who learns what to merge. */
static inline uint64_t tok_pair_hash(int32_t left, int32_t right) { return tok_pair_mix(((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9e3779b97f4a7c15u); }
int tok_bpe_finish(struct tok *t, const char *name, struct err *err);
/* Merges for a vocabulary that only ranks its tokens: order[0..n-1] are ids, the first to be merged first; equal[i]: token i has
 * the rank of the one before it. */
int tok_bpe_from_ranks(struct tok *t, const int32_t *order, const bool *equal, int n, const char *name, struct err *err);
int tok_unigram_finish(struct tok *t, const char *name, struct err *err);
int tok_trie_build(struct tok_trie *trie, const struct tok *t, const int32_t *sorted, int n, const char *name, struct err *err);

/* After the last entry, for models over characters: what tokens decode to (U+2581 as a space, bytes, ##). */
int tok_set_texts(struct tok *t, bool spaces, struct err *err);

/* ---- GPT-2's map of bytes to characters (tok_json.c) ---- */
int tok_unmap_bytes(const char *s, size_t n, char *out);  /* bytes of mapped text, out holds n; -1 when a character is not of the map */
#endif
