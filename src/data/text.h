/* text.h - documents from files and folders: each file is one document of UTF-8 text.
 *
 * The files stay mapped while the list lives.  Folders are walked in byte order of the names, so a list has one order. */
#ifndef DATA_TEXT_H
#define DATA_TEXT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/file.h"

struct text_doc { char *path; struct file_map map; size_t n; };      /* the first n bytes count */
struct text_list { struct text_doc *doc; int n_doc, cap_doc; uint64_t n_bytes; };

/* Adds a file or all files below a folder.  An empty file, one that is not UTF-8 (with the offset) or not readable is an
 * error that names it. */
int text_add(struct text_list *l, const char *path, struct err *err);
void text_release(struct text_list *l);
/* Offset of the first byte that is not UTF-8 (as RFC 3629), or n. */
size_t text_bad_utf8(const char *s, size_t n);
int text_check_utf8(const char *s, size_t n, const char *what, struct err *err);      /* ERR_FORMAT with the byte; what: "the text" */
bool text_is_blank(const char *s, size_t n);                                           /* nothing but ASCII's white space */

#endif
