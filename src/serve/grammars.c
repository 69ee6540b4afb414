#include "serve/grammars.h"
#include <pthread.h>
#include <string.h>
#include "base/mem.h"

struct kept { struct block_key what, root; struct grammar *grammar; size_t size; int n_user; unsigned long long used; struct kept *next; };
struct grammars {
    pthread_mutex_t lock;
    struct kept *first;
    unsigned long long n_used;
    size_t use_max;
};

int grammars_new(struct grammars **out, size_t use_max, struct err *err)
{
    struct grammars *g = *out = mem_alloc_zero(sizeof *g);
    if (!g)
        return ERR(err, NOMEM, "no memory for grammars");
    pthread_mutex_init(&g->lock, NULL);
    g->use_max = use_max;
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

/* The lock is held. */
static struct kept *find(const struct grammars *g, const struct block_key *what, const struct block_key *root)
{
    struct kept *k = g->first;
    while (k && (memcmp(&k->what, what, sizeof *what) || memcmp(&k->root, root, sizeof *root)))
        k = k->next;
    return k;
}

static int keep(struct grammars *g, const struct kept *mine, struct kept **out, struct err *err)
{
    size_t used = mine->size;
    for (const struct kept *k = g->first; k; k = k->next)
        used += k->n_user ? k->size : 0;
    if (used > g->use_max)
        return ERR(err, BUSY, "the grammars of all requests would take %zu bytes, expected at most %zu", used, g->use_max);
    struct kept *k = *out = mem_alloc_zero(sizeof *k);
    if (!k)
        return ERR(err, NOMEM, "no memory for a grammar");
    *k = *mine;
    k->next = g->first, g->first = k;
    return 0;
}

int grammars_share(struct grammars *g, const struct block_key *what, const struct block_key *root, struct grammar **mine, struct err *err)
{
    const struct kept new = { .what = *what, .root = *root, .grammar = *mine, .size = grammar_bytes(*mine) };
    struct grammar *spare = NULL;
    int rc = 0;
    pthread_mutex_lock(&g->lock);
    struct kept *k = find(g, what, root);
    if (k)
        spare = *mine, *mine = k->grammar;
    else
        rc = keep(g, &new, &k, err);
    if (!rc)
        k->n_user++, k->used = ++g->n_used;
    pthread_mutex_unlock(&g->lock);
    grammar_free(spare);
    return rc;
}

void grammars_drop(struct grammars *g, struct grammar *one)
{
    pthread_mutex_lock(&g->lock);
    struct kept *k = g->first;
    while (k && k->grammar != one)
        k = k->next;
    if (k)
        k->n_user--;
    make_room(g);
    pthread_mutex_unlock(&g->lock);
}
