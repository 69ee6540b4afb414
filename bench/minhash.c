/* minhash.c - speed of signatures of texts, one thread: MB/s of text in CPU time, end to end and by step, and shingles/s of the kernel.
 *
 * Usage: build/bench/minhash FILE...     a file is texts, each ended by a NUL or the end of the file.  bench/minhash.py puts it beside
 * datatrove and datasketch; the sum printed is that of all values of all signatures, mod 2^64.  Medians, and the best in brackets. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "audit/minhash.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/stat.h"
#include "cpu/kernels.h"

#define RUNS 9
enum { SIMPLIFY, WORDS, REST, ALL, N_STEP };

static struct err err;

static void check(int rc)
{
    if (rc < 0) {
        fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
}

struct state { struct minhash_text *t; struct words *w; struct buf simple; struct spans span; uint64_t sig[MINHASH_VALUES_MAX], sum; };

static void steps(struct state *s, const struct minhash *m, const char *text, size_t n, double took[N_STEP])
{
    const double a = clock_cpu();
    buf_clear(&s->simple);
    check(words_simplify(s->w, text, n, &s->simple, &err));
    const double b = clock_cpu();
    check(words_of(s->w, WORDS_ENGLISH, s->simple.data, s->simple.len, &s->span, &err));
    const double c = clock_cpu();
    check(minhash_words(s->t, s->simple.data, &s->span, s->sig, &err));
    const double d = clock_cpu();
    took[SIMPLIFY] += b - a, took[WORDS] += c - b, took[REST] += d - c;
    for (int j = 0; j < minhash_n_value(m); j++)
        s->sum += s->sig[0] == MINHASH_NONE ? 0 : s->sig[j];
}

static void whole(struct state *s, const char *text, size_t n) { check(minhash_text(s->t, text, n, s->sig, &err)); }

static void texts(const char *path)
{
    struct minhash *m;
    struct state s = { .sum = 0 };
    struct file_map map;
    double speed[N_STEP][RUNS];
    check(minhash_new(&m, &MINHASH_DATATROVE, &err));
    check(minhash_text_new(&s.t, m, &err));
    check(words_new(&s.w, &err));
    check(file_map_open(&map, path, &err));
    buf_init(&s.simple);
    for (int run = 0; run < RUNS; run++) {
        double took[N_STEP] = { 0 };
        s.sum = 0;
        for (const char *p = map.data, *end = p + map.size, *stop; p < end; p = stop + 1) {
            stop = memchr(p, 0, (size_t)(end - p));
            stop = stop ? stop : end;
            steps(&s, m, p, (size_t)(stop - p), took);
        }
        const double begin = clock_cpu();
        for (const char *p = map.data, *end = p + map.size, *stop; p < end; p = stop + 1) {
            stop = memchr(p, 0, (size_t)(end - p));
            stop = stop ? stop : end;
            whole(&s, p, (size_t)(stop - p));
        }
        took[ALL] = clock_cpu() - begin;
        for (int i = 0; i < N_STEP; i++)
            speed[i][run] = (double)map.size / 1e6 / took[i];
    }
    static const char *const names[N_STEP] = { "simplify", "words", "shingles and permutations", "end to end" };
    for (int i = 0; i < N_STEP; i++) {
        double best = 0;
        for (int k = 0; k < RUNS; k++)
            best = speed[i][k] > best ? speed[i][k] : best;
        printf("%-28s %8.1f MB/s (%.1f)\n", names[i], stat_median(speed[i], RUNS), best);
    }
    printf("sum %llu\n", (unsigned long long)s.sum);
    file_map_close(&map);
    buf_release(&s.simple);
    spans_release(&s.span);
    words_free(s.w);
    minhash_text_free(s.t);
    minhash_free(m);
}

static void kernel(const struct cpu_kernels *k)
{
    enum { N = 512, VALUES = 112 };
    uint64_t a[VALUES], b[VALUES], x[N], least[VALUES];
    double speed[RUNS];
    for (uint64_t i = 0; i < VALUES; i++)
        a[i] = rng_u64(1, i) >> 3, b[i] = rng_u64(2, i) >> 3, least[i] = MINHASH_NONE;
    for (uint64_t i = 0; i < N; i++)
        x[i] = rng_u64(3, i);
    const struct minhash_perms p = { VALUES, a, b };
    for (int run = 0; run < RUNS; run++) {
        const double begin = clock_cpu();
        int turns = 0;
        while (turns % 64 || clock_cpu() - begin < 0.05)
            k->minhash(&p, N, x, least), turns++;
        speed[run] = (double)turns * N / (clock_cpu() - begin) / 1e6;
    }
    printf("%-10s %8.2f M shingles/s of 112 permutations\n", k->level, stat_median(speed, RUNS));
}

int main(int argc, char **argv)
{
    for (const struct cpu_kernels *const *k = cpu_levels(); *k; k++)
        kernel(*k);
    for (int i = 1; i < argc; i++)
        texts(argv[i]);
    return 0;
}
