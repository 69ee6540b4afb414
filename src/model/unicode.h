/* unicode.h - what the tokenizers need to know of Unicode: categories, normal forms, lower case, grapheme joints.
 *
 * Unicode 16.0, but for what Hugging Face's tokenizers have from older versions: normal forms and marks from 9.0, punctuation,
 * accents and controls from 8.0.  Ids must be theirs.
 *
 * Text is bytes.  A byte that is not part of valid UTF-8 is a character of its own, of no category (CAT_INVALID), and every
 * function here leaves it as it is. */
#ifndef MODEL_UNICODE_H
#define MODEL_UNICODE_H
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"

enum unicode_category {
    CAT_LU, CAT_LL, CAT_LT, CAT_LM, CAT_LO, CAT_MN, CAT_MC, CAT_ME, CAT_ND, CAT_NL, CAT_NO, CAT_PC, CAT_PD, CAT_PS, CAT_PE, CAT_PI, CAT_PF, CAT_PO,
    CAT_SM, CAT_SC, CAT_SK, CAT_SO, CAT_ZS, CAT_ZL, CAT_ZP, CAT_CC, CAT_CF, CAT_CS, CAT_CO, CAT_CN,
    CAT_SPACE_CONTROL,                    /* the controls that are white space: 9 to 13 and U+0085 */
    CAT_INVALID,
};
/* Sets of categories, as bits. */
#define IS(category) (1u << (category))
#define IS_L (IS(CAT_LU) | IS(CAT_LL) | IS(CAT_LT) | IS(CAT_LM) | IS(CAT_LO))
#define IS_M (IS(CAT_MN) | IS(CAT_MC) | IS(CAT_ME))
#define IS_N (IS(CAT_ND) | IS(CAT_NL) | IS(CAT_NO))
#define IS_P (IS(CAT_PC) | IS(CAT_PD) | IS(CAT_PS) | IS(CAT_PE) | IS(CAT_PI) | IS(CAT_PF) | IS(CAT_PO))
#define IS_S (IS(CAT_SM) | IS(CAT_SC) | IS(CAT_SK) | IS(CAT_SO))
#define IS_SPACE (IS(CAT_ZS) | IS(CAT_ZL) | IS(CAT_ZP) | IS(CAT_SPACE_CONTROL))

/* Punctuation, marks, nonspacing marks and controls of those older versions. */
enum unicode_old { OLD_P = 1, OLD_M = 2, OLD_MN = 4, OLD_C = 8 };
int unicode_old(uint32_t cp);

#define UNICODE_INVALID UINT32_MAX
/* The character at s, n > 0, and its bytes; UNICODE_INVALID and 1 byte where there is none. */
uint32_t unicode_at(const unsigned char *s, size_t n, size_t *len);
enum unicode_category unicode_category(uint32_t cp);
/* The set of one category that the character at s belongs to, and its bytes. */
uint32_t unicode_set_at(const unsigned char *s, size_t n, size_t *len);

bool unicode_is_utf8(const char *s, size_t n);
int unicode_repair(const char *s, size_t n, struct buf *out, struct err *err);  /* U+FFFD for every byte that is no character */

enum unicode_form { UNICODE_NFC, UNICODE_NFKC, UNICODE_NFD, UNICODE_NFKD };
bool unicode_is_normal(enum unicode_form form, const char *s, size_t n);      /* true: surely; false: perhaps not */
int unicode_normalize(enum unicode_form form, const char *s, size_t n, struct buf *out, struct err *err);
int unicode_lower(const char *s, size_t n, struct buf *out, struct err *err);  /* character by character */
bool unicode_joins(uint32_t cp);                      /* stays with the character before it: Extend, SpacingMark, ZWJ */
bool unicode_prepends(uint32_t cp);                   /* stays with the character after it */

#endif
