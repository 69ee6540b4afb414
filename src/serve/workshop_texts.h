/* workshop_texts.h - a few long texts, as what is learned and what is held out of each.
 *
 * Of every text of FOLDER/life.run/build/out/train the last tenth, from an end of a line or a space on, is held out, in passages of about TEXTS_PASSAGE bytes,
 * of all together TEXTS_HELD_OUT at most:
 *   FOLDER/texts/train.jsonl    {"text"} of each, its beginning
 *   FOLDER/texts/valid.jsonl    {"text"} of each passage */
#ifndef SERVE_WORKSHOP_TEXTS_H
#define SERVE_WORKSHOP_TEXTS_H
#include <jansson.h>
#include "base/err.h"

#define TEXTS_PASSAGE 1500
#define TEXTS_HELD_OUT 300               /* passages, or texts where whole ones are held out: about so many at most */
#define TEXTS_LEAST 4000                 /* bytes in all */
/* Sets p's train and valid: texts and passages.  ERR_FORMAT: there is too little text. */
int workshop_texts(const char *folder, json_t *p, struct err *err);
#endif
