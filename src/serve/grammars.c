#include "serve/grammars.h"
#include <pthread.h>
#include <string.h>
#include "base/mem.h"

struct kept { struct block_key what, root; struct grammar *grammar; int n_user; unsigned long long used; struct kept *next; };
struct grammars {
    pthread_mutex_t lock;
    struct kept *first;
    unsigned long long n_used;
};

int grammars_new(struct grammars **out, struct err *err)
{
    struct grammars *g = *out = mem_alloc_zero(sizeof *g);
    if (!g)
        return ERR(err, NOMEM, "no memory for grammars");
    pthread_mutex_init(&g->lock, NULL);
    return 0;
}

static void let_go(struct kept **at)
{
    struct kept *k = *at;
    *at = k->next;
    grammar_free(k->grammar);
    mem_free(k);
}

void grammars_free(struct grammars *g)
{
    if (!g)
        return;
    while (g->first)
        let_go(&g->first);
    pthread_mutex_destroy(&g->lock);
    mem_free(g);
}

/* The lock is held. */
static void make_room(struct grammars *g)
{
    for (;;) {
        struct kept **oldest = NULL;
        size_t bytes = 0;
        int n = 0;
        for (struct kept **at = &g->first; *at; at = &(*at)->next) {
            if ((*at)->n_user)
                continue;
            bytes += grammar_bytes((*at)->grammar), n++;
            if (!oldest || (*at)->used < (*oldest)->used)
                oldest = at;
        }
        if (!oldest || (n <= GRAMMARS_MAX && bytes <= GRAMMARS_BYTES_MAX))
            return;
        let_go(oldest);
    }
}

void grammars_share(struct grammars *g, const struct block_key *what, const struct block_key *root, struct grammar **mine)
{
    struct grammar *spare = NULL;
    pthread_mutex_lock(&g->lock);
    struct kept *k = g->first;
    while (k && (memcmp(&k->what, what, sizeof *what) || memcmp(&k->root, root, sizeof *root)))
        k = k->next;
    if (k) {
        spare = *mine, *mine = k->grammar;
    } else if ((k = mem_alloc_zero(sizeof *k))) {
        *k = (struct kept){ .what = *what, .root = *root, .grammar = *mine, .next = g->first };
        g->first = k;
    }
    if (k)
        k->n_user++, k->used = ++g->n_used;
    pthread_mutex_unlock(&g->lock);
    grammar_free(spare);
}

void grammars_drop(struct grammars *g, struct grammar *one)
{
    if (!one)
        return;
    pthread_mutex_lock(&g->lock);
    struct kept *k = g->first;
    while (k && k->grammar != one)
        k = k->next;
    if (k)
        k->n_user--;
    make_room(g);
    pthread_mutex_unlock(&g->lock);
    if (!k)
        grammar_free(one);
}
