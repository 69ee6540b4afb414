/* grammar_net.h - the network of a grammar, and what has been found out about its nodes.  Internal to infer/. */
#ifndef INFER_GRAMMAR_NET_H
#define INFER_GRAMMAR_NET_H
#include <pthread.h>
#include "infer/grammar_build.h"

/* The tokens that a node allows, whatever follows its rule: as bits by id or, where they are few, as ids.  And those, as places in the
 * vocabulary's order, that read past the end of the rule. */
struct node_tokens { uint64_t *bit; int32_t *id; int n_id; int32_t *across; int n_across; uint64_t work; };

struct grammar {
    struct grammar_node *node; int n_node;        /* CALL: a is the first node of the rule */
    struct grammar_edge *edge; int n_edge;
    int32_t in;                  /* of the text */
    pthread_mutex_t lock;        /* of what follows */
    const struct vocab *vocab;   /* that tokens are of; NULL: not known yet */
    struct node_tokens **tokens; /* [n_node]; NULL: not found out yet */
    size_t bytes;                /* of all of them */
};

struct vocab {
    int V, n;                    /* ids; those that are text */
    int32_t *id;                 /* [n] by their bytes */
    const char **text; uint16_t *len, *same;      /* [n]; bytes that are the same as of the one before */
    int len_max;
    const struct tok *tok;
    int32_t eog[64], mark[VOCAB_MARKS_MAX]; int n_eog, n_mark;
};

int grammar_take(struct grammar **out, struct build *b, int root, struct err *err);      /* the arrays of b become its own */
#endif
