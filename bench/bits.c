/* bits.c - requests at random, each alone and in company (tests/bits.h): do they get the same bytes and log-probabilities?
 *
 * Usage: build/bench/bits MODEL [requests [companies of each [seed]]]        1000, 2, 1 unless given
 * Half of the requests have keys and values as the model has them by itself, half int8; two adapters by chance belong to it.  Each request
 * is made alone once, and in so many of the 24 kinds of company.  Prints what differs, and what the companies have seen; exit 1 if anything
 * differs, or if they have not seen texts put aside, pages evicted, tokens found in the cache and guesses that were right. */
#include <stdlib.h>
#include "../tests/bits.h"
#include "base/pool.h"

struct counts { int n_same, n_differ, n_token; struct batch_counts batch; double alone_s, company_s; };

static int one_company(const struct bits *b, int c, const struct bits_text *alone, const uint64_t *number, int n, int times, struct counts *counts, struct err *err)
{
    const struct bits_place p = bits_place_of(c);
    struct bits_text *out = mem_alloc_array((size_t)n + 1, sizeof *out);
    uint64_t *some = mem_alloc_array((size_t)n + 1, sizeof *some);
    int *of = mem_alloc_array((size_t)n + 1, sizeof *of), m = 0, rc = out && some && of ? 0 : ERR(err, NOMEM, "no memory for %d requests", n);
    for (int i = 0; !rc && i < n; i++)
        for (int k = 0; k < times; k++)
            if ((i * 5 + k * 11) % BITS_COMPANIES == c)
                some[m] = number[i], of[m++] = i;
    for (int i = m - 1; i > 0; i--) {            /* in any order */
        const int j = (int)(rng_u64(b->seed + (uint64_t)c, (uint64_t)i) % (uint64_t)(i + 1)), at = of[i];
        const uint64_t x = some[i];
        some[i] = some[j], some[j] = x, of[i] = of[j], of[j] = at;
    }
    rc = rc ? rc : bits_company(b, &p, some, m, out, &counts->batch, err);
    for (int i = 0; !rc && i < m; i++) {
        const char *what = bits_differ(&alone[of[i]], &out[i]);
        if (what)
            printf("request %llu differs in its %s: steps of %d, cache %s, %d threads, guesses of %d, %d pages\n", (unsigned long long)some[i], what, p.step, p.share ? "shared" : "not shared",
                   1 + p.two_threads, p.lookup, p.n_page);
        counts->n_differ += what != NULL, counts->n_same += !what, counts->n_token += out[i].made.n_token;
    }
    for (int i = 0; out && i < m; i++)
        bits_release(&out[i]);
    mem_free(out);
    mem_free(some);
    mem_free(of);
    return rc;
}

static int half(const struct bits *b, int first, int n_all, int times, struct counts *counts, struct err *err)
{
    const int n = (n_all + 1 - first) / 2;
    struct bits_text *alone = mem_alloc_array((size_t)n + 1, sizeof *alone);
    uint64_t *number = mem_alloc_array((size_t)n + 1, sizeof *number);
    int rc = alone && number ? 0 : ERR(err, NOMEM, "no memory for %d requests", n);
    for (int i = 0; !rc && i < n; i++)
        number[i] = (uint64_t)(2 * i + first);
    double t = clock_wall();
    rc = rc ? rc : bits_alone(b, number, n, alone, err);
    counts->alone_s += clock_wall() - t, t = clock_wall();
    for (int c = 0; c < BITS_COMPANIES && !rc; c++) {
        rc = one_company(b, c, alone, number, n, times, counts, err);
        fprintf(stderr, "%s: company %d of %d, %d the same, %d different, %.0f s\n", first ? "int8" : "plain", c + 1, BITS_COMPANIES, counts->n_same, counts->n_differ, clock_wall() - t);
    }
    counts->company_s += clock_wall() - t;
    for (int i = 0; alone && i < n; i++)
        bits_release(&alone[i]);
    mem_free(alone);
    mem_free(number);
    return rc;
}

static int run(const char *model, const char *folder, int n, int times, uint64_t seed, struct counts *counts, struct err *err)
{
    struct bits b = { .model = model, .n_adapter = 2, .seed = seed, .most = 20 };
    char one[200], two[200];
    const char *const adapter[] = { one, two };
    struct model m;
    b.adapter = adapter;
    snprintf(one, sizeof one, "%.100s/one", folder), snprintf(two, sizeof two, "%.100s/two", folder);
    TRY(pool_new(&b.pool[0], 1, err));
    TRY(pool_new(&b.pool[1], 2, err));
    TRY(model_open(&m, model, NULL, err));
    int rc = bits_write_adapter(one, &m.config, 4, 5, err);
    rc = rc ? rc : bits_write_adapter(two, &m.config, 16, 6, err);
    model_release(&m);
    rc = rc ? rc : half(&b, 0, n, times, counts, err);
    b.kv = ENGINE_KV_INT8;
    rc = rc ? rc : half(&b, 1, n, times, counts, err);
    pool_free(b.pool[0]);
    pool_free(b.pool[1]);
    return rc;
}

int main(int argc, char **argv)
{
    struct err err;
    struct counts c = { .n_same = 0 };
    char folder[] = "/tmp/lathe-bits-XXXXXX";
    if (argc < 2 || !mkdtemp(folder)) {
        fprintf(stderr, "usage: bits MODEL [requests [companies of each [seed]]]\n");
        return 2;
    }
    const int n = argc > 2 ? atoi(argv[2]) : 1000, times = argc > 3 ? atoi(argv[3]) : 2;
    const int rc = run(argv[1], folder, n, times, argc > 4 ? strtoull(argv[4], NULL, 10) : 1, &c, &err);
    file_remove_tree(folder, NULL);
    if (rc < 0) {
        fprintf(stderr, "\nbits: %s\n", err.msg);
        return 1;
    }
    const struct batch_counts *s = &c.batch;
    printf("\n%d requests: %d in company the same as alone, %d different; %d tokens made in company\n", n, c.n_same, c.n_differ, c.n_token);
    printf("in company: %d texts put aside, %d tokens found in the cache, %d pages evicted, %d of %d guessed tokens right, %d steps of %d rows\n", (int)s->n_put_aside, (int)s->pages.n_found,
           (int)s->pages.n_evicted, (int)s->n_accepted, (int)s->n_drafted, (int)s->n_step, (int)s->n_row);
    printf("%.0f s alone, %.0f s in company\n", c.alone_s, c.company_s);
    return c.n_differ || !s->n_put_aside || !s->pages.n_found || !s->pages.n_evicted || !s->n_accepted;
}
