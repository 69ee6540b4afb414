#include "infer/grammar.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "base/mem.h"
#include "infer/grammar_net.h"

#define ITEMS_MAX 20000          /* ways to read a text */
#define FRAMES_MAX 1000000
#define WORK_MAX ((uint64_t)1 << 22)      /* places looked at to find the tokens of a set: 30 ms; counted alike whoever found them */
#define CACHE_BYTES ((size_t)64 << 20)
#define STATES_MAX 64            /* sets that are remembered while tokens are read, of at most so many items */
#define STATE_ITEMS_MAX 256
#define N_MASK 16                /* sets of allowed tokens that a follower remembers */

/* ---- a grammar ---- */

int grammar_take(struct grammar **out, struct build *b, int root, struct err *err)
{
    struct grammar *g = mem_alloc_zero(sizeof *g);
    struct node_tokens **tokens = mem_alloc_array((size_t)b->n_node + 1, sizeof *tokens);
    if (!g || !tokens) {
        mem_free(g);
        mem_free(tokens);
        return ERR(err, NOMEM, "no memory for a grammar of %d places", b->n_node);
    }
    struct grammar_node *node = mem_realloc_array(b->node, (size_t)b->n_node + 1, sizeof *node);      /* as many as there are */
    struct grammar_edge *edge = mem_realloc_array(b->edge, (size_t)b->n_edge + 1, sizeof *edge);
    b->node = node ? node : b->node, b->edge = edge ? edge : b->edge;
    *g = (struct grammar){ .node = b->node, .n_node = b->n_node, .edge = b->edge, .n_edge = b->n_edge, .in = b->rule[root].in, .tokens = tokens };
    b->node = NULL, b->edge = NULL;
    pthread_mutex_init(&g->lock, NULL);
    *out = g;
    return 0;
}

static void forget_tokens(struct grammar *g)
{
    for (int i = 0; i < g->n_node; i++) {
        struct node_tokens *t = g->tokens[i];
        if (!t)
            continue;
        mem_free(t->bit);
        mem_free(t->id);
        mem_free(t->across);
        mem_free(t);
        g->tokens[i] = NULL;
    }
    g->bytes = 0;
}

void grammar_free(struct grammar *g)
{
    if (!g)
        return;
    forget_tokens(g);
    pthread_mutex_destroy(&g->lock);
    mem_free(g->tokens);
    mem_free(g->node);
    mem_free(g->edge);
    mem_free(g);
}

size_t grammar_bytes(const struct grammar *g)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&g->lock;
    pthread_mutex_lock(lock);
    const size_t n = sizeof *g + (size_t)g->n_node * (sizeof *g->node + sizeof *g->tokens) + (size_t)g->n_edge * sizeof *g->edge + g->bytes;
    pthread_mutex_unlock(lock);
    return n;
}

/* ---- a vocabulary ---- */

struct entry { const char *text; size_t n; int32_t id; };

static int by_bytes(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    const int c = memcmp(x->text, y->text, x->n < y->n ? x->n : y->n);
    return c ? c : x->n != y->n ? (x->n < y->n ? -1 : 1) : x->id < y->id ? -1 : 1;
}

static void fill(struct vocab *v, const struct entry *e)
{
    for (int i = 0; i < v->n; i++) {
        v->id[i] = e[i].id, v->text[i] = e[i].text, v->len[i] = (uint16_t)e[i].n;
        v->len_max = v->len[i] > v->len_max ? v->len[i] : v->len_max;
        uint16_t same = 0;
        while (i && same < v->len[i] && same < v->len[i - 1] && v->text[i][same] == v->text[i - 1][same])
            same++;
        v->same[i] = same;
    }
}

/* A special token that stands for nothing. */
static bool is_silent(const struct vocab *v, int32_t id)
{
    for (int i = 0; i < v->n_mark; i++)
        if (v->mark[i] == id)
            return false;
    return tok_is_special(v->tok, id);
}

int vocab_new(struct vocab **out, const struct tok *t, int V, const int32_t *eog, int n_eog, const int32_t *mark, int n_mark, struct err *err)
{
    *out = NULL;
    struct vocab *v = mem_alloc_zero(sizeof *v);
    struct entry *e = mem_alloc_array((size_t)V + 1, sizeof *e);
    int rc = 0;
    if (v && e) {
        v->V = V, v->tok = t;
        for (; v->n_mark < n_mark && v->n_mark < VOCAB_MARKS_MAX; v->n_mark++)
            v->mark[v->n_mark] = mark[v->n_mark];
        for (int i = 0; i < V && i < tok_vocab_size(t); i++) {
            size_t n = 0;
            const char *text = tok_bytes(t, i, &n);
            if (text && n && n < UINT16_MAX && !is_silent(v, i) && !tok_is_eog(t, i))
                e[v->n++] = (struct entry){ text, n, i };
        }
        qsort(e, (size_t)v->n, sizeof *e, by_bytes);
        v->id = mem_alloc_array((size_t)v->n + 1, sizeof *v->id);
        v->text = mem_alloc_array((size_t)v->n + 1, sizeof *v->text);
        v->len = mem_alloc_array((size_t)v->n + 1, sizeof *v->len);
        v->same = mem_alloc_array((size_t)v->n + 1, sizeof *v->same);
    }
    if (!v || !e || !v->id || !v->text || !v->len || !v->same) {
        rc = ERR(err, NOMEM, "no memory for a vocabulary of %d tokens", V);
        vocab_free(v);
    } else {
        fill(v, e);
        for (int i = 0; i < n_eog && v->n_eog < (int)(sizeof v->eog / sizeof *v->eog); i++)
            if (eog[i] >= 0 && eog[i] < V)
                v->eog[v->n_eog++] = eog[i];
        *out = v;
    }
    mem_free(e);
    return rc;
}

void vocab_free(struct vocab *v)
{
    if (!v)
        return;
    mem_free(v->id);
    mem_free((void *)v->text);
    mem_free(v->len);
    mem_free(v->same);
    mem_free(v);
}

int vocab_longest(const struct vocab *v) { return v->len_max; }

/* ---- where a text is ---- */

struct item { int32_t node, frame; };
/* ends: the text may end here; crossed: the rule that it began in has ended, and who called is not known. */
struct set { struct item *item; int n, cap; bool ends, crossed; };
struct frame { int32_t node, parent; };
enum { FRAME_TEXT, FRAME_UNKNOWN, N_FRAME_FIXED };

/* Sets that were met, and which follows which by a byte: tokens lead through the same few again and again.  next: UNMET, or its number. */
#define UNMET (-1)
struct states { struct set set[STATES_MAX]; int16_t next[STATES_MAX][256]; int n; };

struct mask { struct item *item; int n; bool ends; uint64_t *bit; int n_allowed; unsigned used; };

struct follower {
    struct grammar *g;
    const struct vocab *v;
    struct frame *frame; int n_frame, cap_frame;
    int32_t *frame_table; int n_frame_table;         /* a power of two; -1: empty */
    struct seen { struct item item; unsigned stamp; } *seen; int n_seen_table;      /* of the set under way */
    unsigned stamp; int n_seen;
    struct item *todo; int n_todo, cap_todo;
    uint64_t work;                                   /* since somebody set it to 0 */
    struct set now, next, *path;                     /* path[len_max + 2]: after each byte of a token, where it is not one of the states */
    const struct set **at;                           /* [len_max + 2]: which it is */
    struct states *states;
    bool ended;
    struct mask mask[N_MASK]; unsigned n_used;
    int32_t *across;                                 /* [v->n] */
    uint64_t *bit;                                   /* [V] */
};

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory to follow a grammar"); }

static uint64_t mix(struct item i) { return (((uint64_t)(uint32_t)i.node << 32 | (uint32_t)i.frame) * 0x9E3779B97F4A7C15u) >> 32; }

static int grow(void **array, int n, int *cap, size_t size, struct err *err)
{
    if (n < *cap)
        return 0;
    const int to = *cap ? 2 * *cap : 32;
    void *p = mem_realloc_array(*array, (size_t)to, size);
    if (!p)
        return no_memory(err);
    *array = p, *cap = to;
    return 0;
}

/* All frames into an empty table. */
static void file_frames(struct follower *f)
{
    const uint64_t last = (uint64_t)(f->n_frame_table - 1);
    memset(f->frame_table, -1, (size_t)f->n_frame_table * sizeof *f->frame_table);
    for (int32_t i = N_FRAME_FIXED; i < f->n_frame; i++) {
        uint64_t h = mix((struct item){ f->frame[i].node, f->frame[i].parent }) & last;
        while (f->frame_table[h] >= 0)
            h = (h + 1) & last;
        f->frame_table[h] = i;
    }
}

static int grow_frames(struct follower *f, struct err *err)
{
    if (f->n_frame >= FRAMES_MAX)
        return ERR(err, RANGE, "the text is nested too deeply for its grammar");
    TRY(grow((void **)&f->frame, f->n_frame, &f->cap_frame, sizeof *f->frame, err));
    if (2 * f->n_frame < f->n_frame_table)
        return 0;
    const int n = f->n_frame_table ? 2 * f->n_frame_table : 64;
    int32_t *table = mem_realloc_array(f->frame_table, (size_t)n, sizeof *table);
    if (!table)
        return no_memory(err);
    f->frame_table = table, f->n_frame_table = n;
    file_frames(f);
    return 0;
}

/* The frame that returns to `node`, then to parent: the same number for the same. */
static int32_t frame_of(struct follower *f, int32_t node, int32_t parent, struct err *err)
{
    TRY(grow_frames(f, err));
    const uint64_t last = (uint64_t)(f->n_frame_table - 1);
    uint64_t h = mix((struct item){ node, parent }) & last;
    for (; f->frame_table[h] >= 0; h = (h + 1) & last)
        if (f->frame[f->frame_table[h]].node == node && f->frame[f->frame_table[h]].parent == parent)
            return f->frame_table[h];
    f->frame[f->n_frame] = (struct frame){ node, parent };
    return f->frame_table[h] = f->n_frame++;
}

/* 1: it was not there in this set yet. */
static int first_time(struct follower *f, struct item i, struct err *err)
{
    if (f->n_seen >= ITEMS_MAX)
        return ERR(err, RANGE, "the grammar can be followed in more than %d ways at once", ITEMS_MAX);
    if (2 * f->n_seen >= f->n_seen_table) {
        const int n = f->n_seen_table ? 2 * f->n_seen_table : 128;
        struct seen *table = mem_alloc_array((size_t)n, sizeof *table);
        if (!table)
            return no_memory(err);
        for (int k = 0; k < f->n_seen_table; k++) {
            if (f->seen[k].stamp != f->stamp)
                continue;
            uint64_t h = mix(f->seen[k].item) & (uint64_t)(n - 1);
            while (table[h].stamp)
                h = (h + 1) & (uint64_t)(n - 1);
            table[h] = f->seen[k];
        }
        mem_free(f->seen);
        f->seen = table, f->n_seen_table = n;
    }
    const uint64_t last = (uint64_t)(f->n_seen_table - 1);
    uint64_t h = mix(i) & last;
    for (; f->seen[h].stamp == f->stamp; h = (h + 1) & last)
        if (f->seen[h].item.node == i.node && f->seen[h].item.frame == i.frame)
            return 0;
    f->seen[h] = (struct seen){ i, f->stamp };
    f->n_seen++;
    return 1;
}

static void set_begin(struct follower *f, struct set *s)
{
    s->n = 0, s->ends = s->crossed = false;
    f->n_seen = 0;
    if (!++f->stamp) {
        memset(f->seen, 0, (size_t)f->n_seen_table * sizeof *f->seen);
        f->stamp = 1;
    }
}

static int later(struct follower *f, int32_t node, int32_t frame, struct err *err)
{
    if (node < 0)
        return 0;
    TRY(grow((void **)&f->todo, f->n_todo, &f->cap_todo, sizeof *f->todo, err));
    f->todo[f->n_todo++] = (struct item){ node, frame };
    return 0;
}

/* The place and all that is come to from it without reading. */
static int set_add(struct follower *f, struct set *s, int32_t node, int32_t frame, struct err *err)
{
    f->n_todo = 0;
    TRY(later(f, node, frame, err));
    while (f->n_todo) {
        const struct item i = f->todo[--f->n_todo];
        const struct grammar_node *x = &f->g->node[i.node];
        int is_new, to;
        TRY(is_new = first_time(f, i, err));
        if (!is_new)
            continue;
        if (x->kind == NODE_BYTES) {
            TRY(grow((void **)&s->item, s->n, &s->cap, sizeof *s->item, err));
            s->item[s->n++] = i;
        } else if (x->kind == NODE_SPLIT) {
            TRY(later(f, x->a, i.frame, err));
            TRY(later(f, x->b, i.frame, err));
        } else if (x->kind == NODE_CALL) {
            TRY(to = f->g->node[x->b].kind == NODE_END ? i.frame : frame_of(f, x->b, i.frame, err));      /* its end is the caller's */
            TRY(later(f, x->a, to, err));
        } else if (i.frame == FRAME_TEXT) {
            s->ends = true;
        } else if (i.frame == FRAME_UNKNOWN) {
            s->crossed = true;
        } else {
            TRY(later(f, f->frame[i.frame].node, f->frame[i.frame].parent, err));
        }
    }
    return 0;
}

/* from, having read the byte. */
static int set_step(struct follower *f, const struct set *from, unsigned char byte, struct set *to, struct err *err)
{
    set_begin(f, to);
    f->work++;
    if (f->work > WORK_MAX)
        return ERR(err, RANGE, "the grammar can be followed in too many ways to find the tokens that may come next");
    for (int i = 0; i < from->n; i++) {
        const struct grammar_node *x = &f->g->node[from->item[i].node];
        f->work += (uint64_t)x->b;
        for (int32_t e = x->a; e < x->a + x->b; e++)
            if (byte >= f->g->edge[e].low && byte <= f->g->edge[e].high)
                TRY(set_add(f, to, f->g->edge[e].to, from->item[i].frame, err));
    }
    return 0;
}

static bool alive(const struct set *s) { return s->n || s->ends || s->crossed; }

/* ---- the tokens of a set ---- */

/* The set among those that are remembered; NULL: there is no room. */
static const struct set *remember(struct follower *f, const struct set *s)
{
    struct states *st = f->states;
    for (int i = 0; i < st->n; i++) {
        const struct set *k = &st->set[i];
        if (k->n == s->n && k->ends == s->ends && k->crossed == s->crossed && (!s->n || !memcmp(k->item, s->item, (size_t)s->n * sizeof *s->item)))
            return k;
    }
    if (st->n == STATES_MAX || s->n > STATE_ITEMS_MAX)
        return NULL;
    struct set *k = &st->set[st->n];
    struct item *items = s->n > k->cap ? mem_realloc_array(k->item, (size_t)s->n, sizeof *items) : k->item;
    if (s->n > k->cap && !items)
        return NULL;                             /* then it is found again each time */
    k->cap = s->n > k->cap ? s->n : k->cap;
    k->item = items, k->n = s->n, k->ends = s->ends, k->crossed = s->crossed;
    if (s->n)
        memcpy(items, s->item, (size_t)s->n * sizeof *items);
    memset(st->next[st->n], UNMET, sizeof st->next[0]);
    return &st->set[st->n++];
}

/* Tokens will be read from path[0] on. */
static void begin_reading(struct follower *f)
{
    f->states->n = 0;
    const struct set *s = remember(f, &f->path[0]);
    f->at[0] = s ? s : &f->path[0];
}

/* at[k + 1], behind at[k] and the byte. */
static int advance(struct follower *f, int k, unsigned char byte, struct err *err)
{
    struct states *st = f->states;
    const ptrdiff_t from = f->at[k] >= st->set && f->at[k] < st->set + st->n ? f->at[k] - st->set : -1;
    if (from >= 0 && st->next[from][byte] != UNMET) {
        f->at[k + 1] = &st->set[st->next[from][byte]];
        return 0;
    }
    TRY(set_step(f, f->at[k], byte, &f->path[k + 1], err));
    const struct set *s = from >= 0 ? remember(f, &f->path[k + 1]) : NULL;
    if (s)
        st->next[from][byte] = (int16_t)(s - st->set);
    f->at[k + 1] = s ? s : &f->path[k + 1];
    return 0;
}

struct found { uint64_t *bit; int n; int32_t *across; int n_across; };

static bool begins_alike(const struct vocab *v, int i, int k, int n) { return v->len[k] >= n && !memcmp(v->text[i], v->text[k], (size_t)n); }

/* The last of the tokens from the i-th on that begin with the same n bytes. */
static int last_alike(const struct vocab *v, int i, int n)
{
    int step = 1, in = i, out;
    while (in + step < v->n && begins_alike(v, i, in + step, n))
        in += step, step *= 2;
    out = in + step < v->n ? in + step : v->n;
    while (out - in > 1) {
        const int mid = in + (out - in) / 2;
        *(begins_alike(v, i, mid, n) ? &in : &out) = mid;
    }
    return in;
}

/* Of n tokens, as places in the vocabulary (NULL: all), those that can be read from path[0] on.  What longer ones do is not known: those
 * of which so much can be read count as those that cross. */
static int read_tokens(struct follower *f, const int32_t *place, int n, int longest, struct found *out, struct err *err)
{
    const struct vocab *v = f->v;
    begin_reading(f);
    int have = 0, dead = INT32_MAX, crossed = INT32_MAX;      /* bytes of the last token that path knows; where it ended; where it first crossed */
    for (int i = 0, before = -1; i < n; before = place ? place[i] : i, i++) {
        const int at = place ? place[i] : i, len = v->len[at];
        int same = have;
        if (before >= 0) {
            same = 0;
            if (at == before + 1)
                same = v->same[at];
            else
                while (same < len && same < v->len[before] && v->text[at][same] == v->text[before][same])
                    same++;
        }
        dead = same < dead ? INT32_MAX : dead;
        crossed = same < crossed ? INT32_MAX : crossed;
        have = same < have ? same : have;
        const int reach = len < longest ? len : longest;
        for (; have < reach && dead == INT32_MAX; have++) {
            TRY(advance(f, have, (unsigned char)v->text[at][have], err));
            const struct set *s = f->at[have + 1];
            if (s->crossed && crossed == INT32_MAX)
                crossed = have + 1;
            if ((!s->n && have + 1 < len) || !alive(s))      /* what ends here has nothing that could go on */
                dead = have + 1;
        }
        if (len > longest && dead == INT32_MAX) {
            out->across[out->n_across++] = at;
        } else if (dead > len && have >= len && alive(f->at[len])) {
            out->n += !(out->bit[v->id[at] / 64] >> v->id[at] % 64 & 1);
            out->bit[v->id[at] / 64] |= (uint64_t)1 << v->id[at] % 64;
        } else if (crossed < len && out->across) {
            out->across[out->n_across++] = at;
        }
        if (!place && dead <= len && crossed == INT32_MAX)       /* nor can any other that begins so */
            i = last_alike(v, i, dead);
    }
    return 0;
}

/* The lock is held. */
static int find_tokens(struct follower *f, int32_t node, struct err *err)
{
    const size_t words = ((size_t)f->v->V + 63) / 64;
    struct found found = { .bit = mem_alloc_array(words, sizeof *found.bit), .across = f->across };
    struct node_tokens *t = mem_alloc_zero(sizeof *t);
    if (!found.bit || !t) {
        mem_free(found.bit);
        mem_free(t);
        return no_memory(err);
    }
    const int32_t n_frame = f->n_frame;
    f->work = 0;
    set_begin(f, &f->path[0]);
    int rc = set_add(f, &f->path[0], node, FRAME_UNKNOWN, err);
    rc = rc ? rc : read_tokens(f, NULL, f->v->n, f->g->node[node].like ? ALIKE_BYTES : INT32_MAX, &found, err);
    t->work = f->work;
    if (f->n_frame > n_frame) {                  /* or how deep a text may be nested would depend on who looked first */
        f->n_frame = n_frame;
        file_frames(f);
    }
    if (!rc && (size_t)found.n < words) {
        t->id = mem_alloc_array((size_t)found.n + 1, sizeof *t->id);
        for (int i = 0; t->id && i < f->v->V; i++)
            if (found.bit[i / 64] >> i % 64 & 1)
                t->id[t->n_id++] = i;
        mem_free(found.bit);
    } else {
        t->bit = found.bit;
    }
    t->across = rc ? NULL : mem_alloc_array((size_t)found.n_across + 1, sizeof *t->across);
    if (!rc && (!t->across || (!t->bit && !t->id)))
        rc = no_memory(err);
    if (rc) {
        mem_free(t->bit);
        mem_free(t->id);
        mem_free(t->across);
        mem_free(t);
        return rc;
    }
    memcpy(t->across, f->across, (size_t)found.n_across * sizeof *t->across);
    t->n_across = found.n_across;
    f->g->tokens[node] = t;
    f->g->bytes += sizeof *t + (t->bit ? words * sizeof *t->bit : (size_t)t->n_id * sizeof *t->id) + (size_t)t->n_across * sizeof *t->across;
    return 0;
}

static int32_t first_like(const struct grammar *g, int32_t node)
{
    while (g->node[node].like && g->node[node].like != node + 1)
        node = g->node[node].like - 1;
    return node;
}

/* Bits of all tokens that may come next. */
static int allowed(struct follower *f, const struct set *s, struct mask *m, struct err *err)
{
    const size_t words = ((size_t)f->v->V + 63) / 64;
    struct found found = { .bit = m->bit };
    memset(m->bit, 0, words * sizeof *m->bit);
    uint64_t work = 0;
    for (int i = 0; i < s->n; i++) {
        if (f->g->bytes > CACHE_BYTES)
            forget_tokens(f->g);
        const int32_t node = first_like(f->g, s->item[i].node);
        if (!f->g->tokens[node])
            TRY(find_tokens(f, node, err));
        const struct node_tokens *t = f->g->tokens[node];
        for (size_t k = 0; t->bit && k < words; k++)
            m->bit[k] |= t->bit[k];
        for (int k = 0; k < t->n_id; k++)
            m->bit[t->id[k] / 64] |= (uint64_t)1 << t->id[k] % 64;
        f->work = work += t->work;
        if (work > WORK_MAX)
            return ERR(err, RANGE, "the grammar can be followed in too many ways to find the tokens that may come next");
        if (!t->n_across)
            continue;
        set_begin(f, &f->path[0]);
        TRY(set_add(f, &f->path[0], s->item[i].node, s->item[i].frame, err));
        TRY(read_tokens(f, t->across, t->n_across, INT32_MAX, &found, err));
        work = f->work;
    }
    for (int i = 0; s->ends && i < f->v->n_eog; i++)
        m->bit[f->v->eog[i] / 64] |= (uint64_t)1 << f->v->eog[i] % 64;
    m->n_allowed = 0;
    for (size_t k = 0; k < words; k++)
        m->n_allowed += __builtin_popcountll(m->bit[k]);
    return 0;
}

/* The mask of where the text is, found out or remembered. */
static int mask_of(struct follower *f, struct mask **out, struct err *err)
{
    const struct set *s = &f->now;
    struct mask *m = &f->mask[0];
    for (int i = 0; i < N_MASK; i++) {
        struct mask *k = &f->mask[i];
        if (k->used && k->n == s->n && k->ends == s->ends && (!s->n || !memcmp(k->item, s->item, (size_t)s->n * sizeof *s->item))) {
            k->used = ++f->n_used;
            *out = k;
            return 0;
        }
        m = k->used < m->used ? k : m;
    }
    struct item *copy = mem_realloc_array(m->item, (size_t)s->n + 1, sizeof *copy);
    m->used = 0;
    if (!copy)
        return no_memory(err);
    m->item = copy;
    if (!m->bit && !(m->bit = mem_alloc_array(((size_t)f->v->V + 63) / 64, sizeof *m->bit)))
        return no_memory(err);
    if (s->n)
        memcpy(copy, s->item, (size_t)s->n * sizeof *copy);
    m->n = s->n, m->ends = s->ends;
    pthread_mutex_lock(&f->g->lock);
    const int rc = allowed(f, s, m, err);
    pthread_mutex_unlock(&f->g->lock);
    if (rc)
        return rc;
    m->used = ++f->n_used;
    *out = m;
    return 0;
}

int follower_forbid(struct follower *f, float *logits, int V, struct err *err)
{
    struct mask *m = NULL;
    if (f->ended) {
        for (int i = 0; i < V; i++)
            logits[i] = -INFINITY;
        return 0;
    }
    TRY(mask_of(f, &m, err));
    for (int i = 0; i < V; i += 64) {
        const uint64_t bits = i < f->v->V ? m->bit[i / 64] : 0;
        for (int k = 0; bits != UINT64_MAX && k < 64 && i + k < V; k++)
            if (!(bits >> k & 1))
                logits[i + k] = -INFINITY;
    }
    return m->n_allowed;
}

/* ---- going on ---- */

int follower_add(struct follower *f, const char *bytes, size_t n, struct err *err)
{
    f->work = 0;
    struct set *from = &f->now, *a = &f->next, *b = f->path ? &f->path[0] : NULL, spare = { 0 };
    int rc = 0;
    if (f->ended && n)
        return ERR(err, FORMAT, "the text has ended");
    if (!b)
        b = &spare;
    for (size_t i = 0; i < n && !rc; i++) {
        rc = set_step(f, from, (unsigned char)bytes[i], a, err);
        if (!rc && !alive(a))
            rc = ERR(err, FORMAT, "the grammar does not allow byte %zu of what follows, 0x%02x", i + 1, (unsigned char)bytes[i]);
        from = a;
        struct set *t = a;
        a = b, b = t;
    }
    if (!rc && n) {                              /* from is next, path[0] or the spare one */
        const struct set t = f->now;
        f->now = *from, *from = t;
    }
    mem_free(spare.item);
    return rc;
}

int follower_add_token(struct follower *f, int32_t id, struct err *err)
{
    size_t n = 0;
    for (int i = 0; i < f->v->n_eog; i++)
        if (f->v->eog[i] == id) {
            if (!f->now.ends)
                return ERR(err, FORMAT, "the grammar does not allow the text to end here");
            f->ended = true;
            return 0;
        }
    const char *text = is_silent(f->v, id) ? NULL : tok_bytes(f->v->tok, id, &n);
    if (!text || !n)
        return ERR(err, FORMAT, "token %d is no text", id);
    return follower_add(f, text, n, err);
}

bool follower_may_end(const struct follower *f) { return f->ended || f->now.ends; }
bool follower_must_end(const struct follower *f) { return f->ended || !f->now.n; }

/* ---- begin and end ---- */

static int set_up(struct follower *f, struct err *err)
{
    struct grammar *g = f->g;
    pthread_mutex_lock(&g->lock);
    const bool other = f->v && g->vocab && g->vocab != f->v;
    g->vocab = f->v && !g->vocab ? f->v : g->vocab;
    pthread_mutex_unlock(&g->lock);
    if (other)
        return ERR(err, USAGE, "the grammar was compiled for another model's tokens");
    if (f->v) {
        f->path = mem_alloc_array((size_t)f->v->len_max + 2, sizeof *f->path);
        f->across = mem_alloc_array((size_t)f->v->n + 1, sizeof *f->across);
        f->at = mem_alloc_array((size_t)f->v->len_max + 2, sizeof *f->at);
        f->states = mem_alloc_zero(sizeof *f->states);
        if (!f->path || !f->across || !f->at || !f->states)
            return no_memory(err);
    }
    f->n_frame = N_FRAME_FIXED;
    f->frame = mem_alloc_array(32, sizeof *f->frame), f->cap_frame = 32;
    if (!f->frame)
        return no_memory(err);
    set_begin(f, &f->now);
    return set_add(f, &f->now, g->in, FRAME_TEXT, err);
}

int follower_new(struct follower **out, struct grammar *g, const struct vocab *v, struct err *err)
{
    *out = NULL;
    struct follower *f = mem_alloc_zero(sizeof *f);
    if (!f)
        return no_memory(err);
    f->g = g, f->v = v;
    const int rc = set_up(f, err);
    if (rc)
        follower_free(f);
    else
        *out = f;
    return rc;
}

void follower_free(struct follower *f)
{
    if (!f)
        return;
    for (int i = 0; f->path && i <= f->v->len_max + 1; i++)
        mem_free(f->path[i].item);
    for (int i = 0; i < N_MASK; i++) {
        mem_free(f->mask[i].item);
        mem_free(f->mask[i].bit);
    }
    for (int i = 0; f->states && i < STATES_MAX; i++)
        mem_free(f->states->set[i].item);
    mem_free(f->states);
    mem_free(f->at);
    mem_free(f->path);
    mem_free(f->across);
    mem_free(f->now.item);
    mem_free(f->next.item);
    mem_free(f->frame);
    mem_free(f->frame_table);
    mem_free(f->seen);
    mem_free(f->todo);
    mem_free(f);
}
