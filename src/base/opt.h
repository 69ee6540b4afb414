/* opt.h - tables of named values: command-line options and configuration keys are read, explained and completed from the
 * same rows.  An unknown name is an error that offers the nearest one. */
#ifndef BASE_OPT_H
#define BASE_OPT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "base/err.h"

enum opt_type { OPT_END, OPT_FLAG, OPT_INT, OPT_FLOAT, OPT_STR, OPT_CHOICE, OPT_LIST };
/* OPT_FLAG bool *, OPT_INT int64_t *, OPT_FLOAT double *, OPT_STR const char ** (borrowed from argv or the tree),
 * OPT_CHOICE const char ** with the allowed words in `values`, separated by '|'; OPT_LIST struct opt_list *, which gets one
 * more text each time the option is given, or all of a list in a tree. */
#define OPT_LIST_MAX 64
struct opt_list { const char *item[OPT_LIST_MAX]; int n; };
struct opt {
    enum opt_type type;
    const char *name;        /* "threads" for --threads and for the key threads; single letters as "n" for -n */
    void *value;             /* holds the default when parsing begins */
    const char *values;      /* "<int>", "<file>", or the choices "a|b|c" */
    const char *help;        /* one line, no full stop */
    double min, max;         /* for numbers; both 0: any */
};

/* Reads argv[1..].  Accepts --name value, --name=value, -n value, -- ; flags also as --no-name.  What is not an option is
 * collected into args (at most max_args; more is an error naming the first too many).  Returns the number of args. */
int opt_parse(const struct opt *opts, int argc, char **argv, const char **args, int max_args, struct err *err);
/* The same, and given[i] becomes true where the command line has row i of opts (also by its default value, or as --no-name). */
int opt_parse_given(const struct opt *opts, int argc, char **argv, const char **args, int max_args, bool *given, struct err *err);
/* Sets one value from text or reports what was found and what is expected; where names the source ("--lr", "train.yaml: lr"). */
int opt_set(const struct opt *o, const char *where, const char *text, struct err *err);
const struct opt *opt_find(const struct opt *opts, const char *name);
const char *opt_nearest(const struct opt *opts, const char *name);   /* NULL if nothing is near */
void opt_help(const struct opt *opts, FILE *out);                    /* aligned, with defaults */
/* Nearest word of a list by edit distance, NULL if none is within a third of its length (at least 2). */
/* Which of "a|b|c" the n bytes of word are; -1: none. */
int word_index(const char *word, size_t n, const char *choices);
const char *word_nearest(const char *word, const char *const *list, int n);
#endif
