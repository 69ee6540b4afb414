/* phrases.h - phrases by which C4 and NeMo Curator know what a text is about, found in one pass over it. */
#ifndef AUDIT_PHRASES_H
#define AUDIT_PHRASES_H
#include <stddef.h>

enum phrase { PHRASE_LOREM = 1, PHRASE_SCRIPT = 2, PHRASE_C4_POLICY = 4, PHRASE_NEMO_POLICY = 8, PHRASE_KELVIN = 16 };

/* Which are in n bytes, letters of ASCII without case.  PHRASE_KELVIN: U+212A is in it too, whose lower case is k. */
int phrases_in(const char *text, size_t n);

#endif
