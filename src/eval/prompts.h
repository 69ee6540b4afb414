/* prompts.h - prompts that are tried on a model, from JSON lines or CSV: injections (injection.h), and targets of gcg (token_trial.h).
 *
 * {"prompt": "...", "id": "...", "group": "...", "name": "...", "system": "...", "target": "...", "expected": "..." or ["...", ...]}: prompt
 * alone must be there.  CSV (a name that ends in .csv or .tsv) has columns of these names, Giskard's prompt_injections.csv among them
 * (its `index` is the id).  `source` and `language` are taken and not looked at; other names are an error.  A file can never do more
 * than be an error with its line. */
#ifndef EVAL_PROMPTS_H
#define EVAL_PROMPTS_H
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

/* Strings are UTF-8 without NUL; NULL where the file says nothing, but id, which is then its number from 1. */
struct prompt { char *id, *group, *name, *prompt, *system, *target, **expected; int n_expected; int64_t line; };
struct prompts { struct prompt *p; int64_t n, cap; const char *name; };       /* name: the file's, borrowed */

/* *out is zeroed by the caller and released after errors, too. */
int  prompts_read(struct prompts *out, const char *path, struct err *err);
int  prompts_parse(struct prompts *out, const char *text, size_t n, const char *name, struct err *err);
void prompts_release(struct prompts *p);
#endif
