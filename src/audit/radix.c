/* radix.c - the upper byte divides all items into 256 parts, in pieces by all threads; then each part, which the cache holds where keys are
 * hashes, is sorted byte by byte from the lowest on, by one of them. */
#include "audit/radix.h"
#include <string.h>

#define N_PIECE 64      /* whatever the threads */
#define N_BYTE 256
#define LOW_BYTES 7

struct sort { struct radix_item *a, *tmp; size_t n; size_t next[N_PIECE][N_BYTE], start[N_BYTE + 1]; };

static size_t piece(const struct sort *s, int i) { return s->n / N_PIECE * (size_t)i + (i == N_PIECE ? s->n % N_PIECE : 0); }

static void count(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    struct sort *s = ctx;
    for (size_t k = piece(s, i); k < piece(s, i + 1); k++)
        s->next[i][s->a[k].key >> 56]++;
}

static void scatter(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    struct sort *s = ctx;
    for (size_t k = piece(s, i); k < piece(s, i + 1); k++)
        s->tmp[s->next[i][s->a[k].key >> 56]++] = s->a[k];
}

static void few(struct radix_item *a, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        const struct radix_item x = a[i];
        size_t k = i;
        for (; k > 0 && a[k - 1].key > x.key; k--)
            a[k] = a[k - 1];
        a[k] = x;
    }
}

/* From `from` to `to` by one byte, whose counts are given. */
static void turn(const struct radix_item *from, struct radix_item *to, size_t n, int byte, const uint32_t *counts)
{
    size_t next[N_BYTE], at = 0;
    for (int b = 0; b < N_BYTE; b++)
        next[b] = at, at += counts[b];
    for (size_t i = 0; i < n; i++)
        to[next[from[i].key >> 8 * byte & 255]++] = from[i];
}

static void part(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    struct sort *s = ctx;
    const size_t at = s->start[i], n = s->start[i + 1] - at;
    struct radix_item *from = s->tmp + at, *to = s->a + at;
    if (n <= 32) {
        few(from, n);
        memcpy(to, from, n * sizeof *to);
        return;
    }
    uint32_t counts[LOW_BYTES][N_BYTE] = { 0 };
    for (size_t k = 0; k < n; k++)
        for (int byte = 0; byte < LOW_BYTES; byte++)
            counts[byte][from[k].key >> 8 * byte & 255]++;
    for (int byte = 0; byte < LOW_BYTES; byte++) {
        if (counts[byte][from[0].key >> 8 * byte & 255] == n)
            continue;       /* all alike */
        turn(from, to, n, byte, counts[byte]);
        struct radix_item *const t = from;
        from = to, to = t;
    }
    if (from != s->a + at)
        memcpy(s->a + at, from, n * sizeof *from);
}

void radix_sort(struct radix_item *a, struct radix_item *tmp, size_t n, struct pool *pool)
{
    struct sort s = { .a = a, .tmp = tmp, .n = n };
    pool_for(pool, N_PIECE, count, &s);
    size_t at = 0;
    for (int b = 0; b < N_BYTE; b++) {
        s.start[b] = at;
        for (int i = 0; i < N_PIECE; i++) {
            const size_t here = s.next[i][b];
            s.next[i][b] = at, at += here;
        }
    }
    s.start[N_BYTE] = at;
    pool_for(pool, N_PIECE, scatter, &s);
    pool_for(pool, N_BYTE, part, &s);
}
