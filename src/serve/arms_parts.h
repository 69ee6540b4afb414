/* arms_parts.h - what the files of arms.h share.  Internal to them.
 *
 * arms.c begins, ends, and chooses arms for requests; arms_follow.c is the thread that follows the source; arms_tell.c tells what there is. */
#ifndef SERVE_ARMS_PARTS_H
#define SERVE_ARMS_PARTS_H
#include "serve/arms.h"

enum arm_state { ARM_LOADING, ARM_WARMING, ARM_READY, ARM_LEAVING, ARM_CLOSING, ARM_FAILED };

struct arm {
    struct arms *of;
    struct arm *next;
    struct arms_version v;
    enum arm_state state;
    struct served_model *model;          /* from WARMING to CLOSING */
    size_t bytes;
    char message[sizeof ((struct err *)0)->msg];         /* why it failed */
    const char *told; bool again;        /* the state that the source was told last, or NULL; it is to be told again: something else is wanted */
    int64_t seq;                         /* FAILED: of what was wanted then */
    atomic_bool warm;                    /* its first steps are over */
    bool other_tokens;                   /* it was said that texts cannot be compared */
    /* of a thread that loads or closes it */
    pthread_t hand;
    bool has_hand;
    atomic_bool hand_done;
    struct served_model_opts o;
    struct engine_sizes sizes;           /* what it takes; all 0: not known */
    struct served_model *loaded;
    struct err err;
    double seconds;                      /* that loading took */
};

/* Where new requests go. */
struct arms_route { struct arm *stable, *candidate, *shadow; enum release_mode mode; int share; uint64_t salt; };

struct arms {
    char *name;
    struct served_model_opts o;
    struct arms_source source;
    struct arms_memory *memory;
    bool swap;
    pthread_mutex_t lock;                /* of arm, their states and models as others see them, route, swap_until, reachable */
    pthread_cond_t chosen;               /* there is a stable one to be taken */
    struct arm *arm;
    struct arms_route route;
    bool reachable;
    double swap_until;                   /* clock_wall() when a swap is expected to be over; 0: there is none */
    /* ---- the following thread's, and before it is there the opening one's ---- */
    pthread_t thread;
    bool has_thread;
    atomic_bool quit;
    struct arms_wanted wanted;
    bool lean;                           /* nothing is kept for going back: there is no room */
    struct arms_version swap_for;        /* what the old one makes room for; number 0: nothing */
    struct arms_version last;            /* that answered before a swap */
    double swap_from, swap_s;            /* when nobody was asked any more; the pause that was expected */
    double s_per_byte;                   /* of the last load at full priority */
};

struct arm *arms_add(struct arms *a, const struct arms_version *v, struct err *err);       /* LOADING, and known to all */
void arms_remove(struct arms *a, struct arm *r);                                     /* and its model is closed */
struct served_model_opts arms_model_opts(const struct arms *a, const struct arms_version *v);
bool arms_same(const struct arms_version *a, const struct arms_version *b);
const char *arms_role(const struct arms *a, const struct arm *r);                    /* with the lock held: stable, candidate, previous or "" */
void *arms_follow(void *arms);           /* the thread */
void arms_tick(struct arms *a);          /* what it does each time */
#endif
