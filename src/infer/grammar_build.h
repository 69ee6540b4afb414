/* grammar_build.h - a grammar in the making: fragments of a network, put together.  Internal to infer/.
 *
 * A fragment is entered at `in` and left at `out`, a node that leads nowhere yet.  All functions give -1 fragments once something
 * went wrong (too large, no memory), which build_end() reports. */
#ifndef INFER_GRAMMAR_BUILD_H
#define INFER_GRAMMAR_BUILD_H
#include "infer/grammar.h"

enum { NODE_BYTES, NODE_SPLIT, NODE_CALL, NODE_END };
/* BYTES: edges a .. a+b-1; SPLIT: to a and, unless -1, to b; CALL: rule a, then node b; END: of rule a.
 * like: 0, or 1 and the number of a node from which the same can be read, up to ALIKE_BYTES: what is repeated a thousand times has a
 * thousand places, of which only the last few differ.  A node that others are like is like itself. */
#define ALIKE_BYTES 16
struct grammar_node { int kind; int32_t a, b, like; };
struct grammar_edge { unsigned char low, high; int32_t to; };
struct grammar_rule { char *name; int32_t in; bool begun; };     /* begun: for whoever makes rules as they are asked for */

struct build {
    struct grammar_node *node; int n_node, cap_node;
    struct grammar_edge *edge; int n_edge, cap_edge;
    struct grammar_rule *rule; int n_rule, cap_rule;
    int32_t *names; int n_names;     /* rules by the hash of their names; a power of two, -1: empty */
    int looks; size_t work;      /* of all schemas that were made into it: schema.h */
    int rc; struct err err;      /* the first thing that went wrong */
};
struct frag { int32_t in, out; };
struct code_range { uint32_t low, high; };

int build_rule(struct build *b, const char *name, size_t n);           /* its number, made if it is new; n 0: one without a name */
void build_define(struct build *b, int rule, struct frag f);
bool build_defined(const struct build *b, int rule);
struct frag build_empty(struct build *b);
struct frag build_bytes(struct build *b, const char *bytes, size_t n);
struct frag build_class(struct build *b, const struct code_range *r, int n, bool negated);       /* in any order */
struct frag build_call(struct build *b, int rule);
struct frag build_then(struct build *b, struct frag x, struct frag y);
struct frag build_or(struct build *b, struct frag x, struct frag y);
struct frag build_optional(struct build *b, struct frag x);
struct frag build_star(struct build *b, struct frag x);
/* x{min,max}; max -1: any number.  x has the nodes from number `from` (b->n_node before it was made) to the last, and they are all its own. */
struct frag build_repeat(struct build *b, struct frag x, int32_t from, int min, int max);
/* One of the words; those that begin alike are read alike, so that there is one way to read each.  They are sorted. */
struct word { const char *text; size_t n; };
struct frag build_words(struct build *b, struct word *w, int n);
void build_sort_words(struct word *w, int n);        /* by their bytes */
/* What no fragment says: a place that leads to as many as two others, which may lead back. */
int32_t build_place(struct build *b);
void build_way(struct build *b, int32_t from, int32_t to);
/* For readers of grammars and patterns, from *p on, which moves behind what was read.  A number; -1: there is none; of one beyond GRAMMAR_REPEAT_MAX only that it is. */
int build_read_number(const char **p, const char *end);
bool build_read_hex(const char **p, const char *end, int n, uint32_t *x);        /* n digits; false, *x 0 and *p at what is none */
/* root: the number of the rule that is the text.  Takes everything; b is empty afterwards. */
int build_end(struct build *b, int root, struct grammar **out, struct err *err);
void build_release(struct build *b);
#endif
