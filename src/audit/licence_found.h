/* licence_found.h - what files beside the data say of its licence: texts of licences, tags, Debian copyright files, dataset cards, and the
 * many ways in which a name is written.
 *
 * What is found is an expression of licence.h.  A guess that would give more than was said is not made: a name without its version becomes
 * LicenseRef-CC-BY and the like, which licence.def knows, and what says nothing certain ("Creative Commons", "other") nothing. */
#ifndef AUDIT_LICENCE_FOUND_H
#define AUDIT_LICENCE_FOUND_H
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"
#include "base/err.h"

#define LICENCE_FILE_MAX ((size_t)1 << 20)       /* bytes of a file that is looked at */

/* A name as people write it: "CC BY-SA 4.0", "The MIT License", "apache-2.0", "GPLv2+", an address of creativecommons.org.  Appends its
 * expression; 1, or 0 when it says nothing certain. */
int licence_of_words(const char *text, size_t n, struct buf *out, struct err *err);

/* How sure one is of a licence: all of the words of the list's text, the sentences that only it has, a tag (SPDX-License-Identifier), a
 * stanza of a Debian copyright file, a line of a dataset card, a short text that names it. */
#define LICENCE_HOWS(X) X(TEXT, "text") X(SENTENCES, "sentences") X(TAG, "tag") X(DEP5, "dep5") X(CARD, "card") X(WORDS, "words")
enum licence_how {
#define X(name, word) LICENCE_BY_##name,
    LICENCE_HOWS(X)
#undef X
    N_LICENCE_HOW
};
const char *licence_how_word(enum licence_how h);

/* The text of a LICENSE or COPYING file.  Appends the expression, AND of all that it holds; 1, or 0 for a text that is not known. */
int licence_of_text(const char *text, size_t n, struct buf *out, enum licence_how *how, struct err *err);

/* A Debian copyright file of format 1.0 (DEP-5): stanzas of patterns, the last that fits a file counts.  The licence of `path`, which is
 * relative to the folder above debian/, or NULL. */
struct dep5 { struct dep5_files *files; int n; };
struct dep5_files { char *patterns, *licence; int line; };       /* patterns: with a space between */
int dep5_read(struct dep5 *out, const char *text, size_t n, const char *name, struct err *err);
void dep5_release(struct dep5 *d);
const char *dep5_find(const struct dep5 *d, const char *path);

/* The front matter of a dataset card (README.md that begins with ---), as an object; 0 and NULL when it has none. */
int card_read(json_t **out, const char *text, size_t n, const char *name, struct err *err);
/* Its keys license, license_name and license_link as an expression, AND of a list; 1, or 0 when it says nothing certain. */
int card_licence(const json_t *card, struct buf *out, struct err *err);

/* Everything that stands at a path: the folder, or the one that a file lies in. */
struct licence_found { char *path, *expression; enum licence_how how; };          /* expression NULL: known to be of a licence, but not of which */
struct licence_finds { struct licence_found *item; int n; json_t *card; };        /* card: the front matter, or NULL */
/* files: paths of the source below it, whose licences a Debian copyright file tells apart.  A file that cannot be read, or whose format is wrong, is told by
 * `fault` (which may be NULL) and left out. */
int licence_find(struct licence_finds *out, const char *path, const char *const *files, int n_file, void (*fault)(void *ctx, const char *path, const struct err *why), void *ctx,
                 struct err *err);
void licence_finds_release(struct licence_finds *f);
#endif
