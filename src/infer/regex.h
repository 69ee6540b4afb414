/* regex.h - regular expressions as fragments of a grammar.  Internal to infer/.
 *
 * The part of ECMA-262's that regular languages are: characters, . classes \d \w \s \D \W \S, escapes, groups (captures are not kept),
 * | * + ? {m} {m,} {m,n}, lazy ones (which allow the same), and ^ and $ at the ends of an alternative that is not in a group, or of the
 * whole.  Back references, look-around, \b and \p are ERR_UNSUPPORTED, with their place; the same classes mean ASCII, as there. */
#ifndef INFER_REGEX_H
#define INFER_REGEX_H
#include "infer/grammar_build.h"

enum regex_as { REGEX_TEXT, REGEX_JSON };        /* characters as they are, or as they stand in a JSON string */
/* Characters of a text; most -1: any number. */
struct regex_length { int least, most; };
/* Texts in which it is found, or, if whole, texts that it describes from end to end; how long they are, unless length is NULL.  name
 * leads the message. */
struct frag build_regex(struct build *b, const char *text, size_t n, enum regex_as as, bool whole, struct regex_length *length, const char *name);
#endif
