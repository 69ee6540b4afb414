/* jinja_method.h - inside the template engine: what strings and dictionaries can do, for methods and filters alike. */
#ifndef MODEL_JINJA_METHOD_H
#define MODEL_JINJA_METHOD_H
#include "model/jinja_value.h"

enum { JCASE_LOWER, JCASE_UPPER, JCASE_CAPITALIZE, JCASE_TITLE, JCASE_WORDS };      /* TITLE: str.title, WORDS: Jinja's filter */
enum { JSTRIP_LEFT = 1, JSTRIP_RIGHT = 2, JSTRIP_BOTH = 3 };
enum { JALL_LOWER, JALL_UPPER, JALL_DIGIT, JALL_ALPHA, JALL_ALNUM, JALL_SPACE };
bool jchar_word(uint32_t c);                                             /* \w of Python */
int jstr_case(struct jrun *r, const struct jval *s, int how, struct jval *out);
int jstr_escape(struct jrun *r, const struct jval *s, struct jval *out);              /* for HTML, unless it is marked as safe */
int jstr_strip(struct jrun *r, const struct jval *s, const struct jval *chars, int sides, struct jval *out);    /* chars NULL or none: white space */
int jstr_replace(struct jrun *r, const struct jval *s, const struct jval *from, const struct jval *to, int64_t count, struct jval *out);
int jstr_lines(struct jrun *r, const struct jval *s, bool keep_ends, struct jval *out);
int jstr_all(struct jrun *r, const struct jval *s, int what, bool *yes);
/* Reads the whole string as Python's int() or else float() would; false if it is neither. */
bool jstr_number(const struct jval *s, bool *real, int64_t *i, double *f);
int jdict_items(struct jrun *r, const struct jdict *d, struct jval *out);            /* a list of (key, value) */

#endif
