/* test_dup.c - signatures as datatrove makes them (tests/golden/minhash.json, tools/golden/minhash.py), and the duplicates that they tell. */
#include <jansson.h>
#include <math.h>
#include <sys/mman.h>
#include "../test.h"
#include "audit/dup_index.h"
#include "audit/minhash.h"
#include "audit/pieces.h"
#include "audit/radix.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/tree.h"
#include "cpu/kernels.h"

static struct err err;
static json_t *golden;

static uint64_t number(const json_t *a, size_t i) { return (uint64_t)json_integer_value(json_array_get(a, i)); }

static struct minhash *minhash_by(const char *opts)
{
    const json_t *o = json_object_get(golden, opts);
    const struct minhash_opts by = { .n_gram = (int)number(o, 0), .n_band = (int)number(o, 1), .n_row = (int)number(o, 2), .seed = (uint32_t)number(o, 3) };
    struct minhash *m;
    OK(minhash_new(&m, &by, &err));
    return m;
}

static uint64_t *numbers_of(const json_t *a)
{
    uint64_t *x = mem_alloc_array(json_array_size(a) + 1, sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < json_array_size(a); i++)
        x[i] = number(a, i);
    return x;
}

/* x -> a*x + b, over all the permutations that NumPy drew; a signature of x = 0 is b, of x = 1 is a + b. */
static void permutations_are_numpys(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct minhash *m = minhash_by(i ? "other_opts" : "opts");
        const json_t *perms = json_object_get(golden, i ? "other_permutations" : "permutations"), *a = json_object_get(perms, "a"), *b = json_object_get(perms, "b");
        uint64_t *sig = mem_alloc_array(minhash_room(m), sizeof *sig);
        assert_int_equal(minhash_n_value(m), json_array_size(a));
        for (uint64_t x = 0; x < 2; x++) {
            minhash_clear(m, sig);
            minhash_add(m, 1, &x, sig);
            for (int j = 0; j < minhash_n_value(m); j++)
                assert_int_equal(sig[j], (x * number(a, (size_t)j) + number(b, (size_t)j)) % MINHASH_NONE);
        }
        mem_free(sig);
        minhash_free(m);
    }
}

static void check_signature(const struct minhash *m, const uint64_t *shingle, size_t n, const json_t *want)
{
    uint64_t *sig = mem_alloc_array(minhash_room(m), sizeof *sig), *band = mem_alloc_array((size_t)minhash_opts(m)->n_band, sizeof *band);
    minhash_clear(m, sig);
    minhash_add(m, n / 3, shingle, sig);
    minhash_add(m, n - n / 3, shingle + n / 3, sig);
    for (int j = 0; j < minhash_n_value(m); j++)
        assert_int_equal(sig[j], json_array_size(want) ? number(want, (size_t)j) : MINHASH_NONE);
    minhash_bands(m, sig, band);
    for (int i = 0; i < minhash_opts(m)->n_band; i++)
        assert_true(!band[i] == !n);
    mem_free(sig);
    mem_free(band);
}

static void signatures_of_shingles_are_datatroves(void **state)
{
    (void)state;
    struct minhash *m = minhash_by("opts");
    size_t i;
    json_t *c;
    json_array_foreach(json_object_get(golden, "alone"), i, c) {
        const uint64_t x = (uint64_t)json_integer_value(json_object_get(c, "x"));
        check_signature(m, &x, 1, json_object_get(c, "sig"));
    }
    json_array_foreach(json_object_get(golden, "cases"), i, c) {
        uint64_t *x = numbers_of(json_object_get(c, "shingles"));
        check_signature(m, x, json_array_size(json_object_get(c, "shingles")), json_object_get(c, "sig"));
        mem_free(x);
    }
    minhash_free(m);
}

static void signatures_of_texts_are_datatroves(void **state)
{
    (void)state;
    struct minhash *m[2] = { minhash_by("opts"), minhash_by("other_opts") };
    for (int k = 0; k < 2; k++) {
        struct minhash_text *t;
        uint64_t sig[1024];
        size_t i;
        json_t *c;
        OK(minhash_text_new(&t, m[k], &err));
        json_array_foreach(json_object_get(golden, "cases"), i, c) {
            const json_t *text = json_object_get(c, "text"), *want = json_object_get(c, k ? "other_sig" : "sig");
            if (!want)
                continue;
            OK(minhash_text(t, json_string_value(text), json_string_length(text), sig, &err));
            for (int j = 0; j < minhash_n_value(m[k]); j++)
                if (sig[j] != (json_array_size(want) ? number(want, (size_t)j) : MINHASH_NONE))
                    fail_msg("text %zu, value %d: %.60s", i, j, json_string_value(text));
        }
        minhash_text_free(t);
        minhash_free(m[k]);
    }
}

/* The a*x + b that are met once in 2^58 are made on purpose: multiples of 2^61 - 1 and what is around them, each in each place. */
static void every_level_takes_the_rest_as_ref_does(void **state)
{
    (void)state;
    enum { N = 176 };
    uint64_t a[N], b[N], x[40], want[N], got[N];
    for (uint64_t j = 0; j < N; j++)
        a[j] = rng_u64(1, j) % (MERSENNE_61 - 1) | 1, b[j] = rng_u64(2, j) % MERSENNE_61;
    for (uint64_t turn = 0; turn < 9 * 3 * 16; turn++)
        for (int n = 8; n <= N; n += turn % 16 ? N : 8) {
            const uint64_t v = turn % 9 * MERSENNE_61 + turn / 9 % 3 - 1, j = rng_u64(3, turn) % (uint64_t)n, n_x = turn % 41;
            uint64_t inverse = a[j];
            for (int i = 0; i < 6; i++)
                inverse *= 2 - a[j] * inverse;
            for (uint64_t i = 0; i < n_x; i++)
                x[i] = rng_u64(4 + turn, i);
            if (n_x)
                x[rng_u64(5, turn) % n_x] = (v - b[j]) * inverse;
            const struct minhash_perms p = { n, a, b };
            for (const struct cpu_kernels *const *k = cpu_levels(); *k; k++) {
                for (int i = 0; i < N; i++)
                    want[i] = got[i] = MERSENNE_61;
                cpu_levels()[0]->minhash(&p, n_x, x, want);
                (*k)->minhash(&p, n_x, x, got);
                if (memcmp(want, got, sizeof want))
                    fail_msg("%s: %d permutations of %d numbers, one of them %llu before the rest is taken", (*k)->level, n, (int)n_x, (unsigned long long)v);
            }
        }
}

/* Runs of all lengths, many of one length among others, that end where memory does. */
static void every_level_hashes_runs_of_bytes_as_xxhash_does(void **state)
{
    (void)state;
    enum { N = 300, PAGE = 4096 };
    char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED && !mprotect(p + PAGE, PAGE, PROT_NONE));
    for (uint64_t i = 0; i < PAGE; i++)
        p[i] = (char)rng_u64(9, i);
    const char *at[N];
    uint32_t len[N];
    uint64_t hash[N];
    for (uint64_t turn = 0; turn < 200; turn++) {
        for (uint64_t i = 0; i < N; i++) {
            len[i] = (uint32_t)(turn < 100 ? i % 4 ? rng_below(turn, i, turn + 1) : turn : i % 120);
            at[i] = turn % 2 ? p + PAGE - len[i] : p + rng_below(turn + 1000, i, PAGE - 200);
        }
        for (const struct cpu_kernels *const *k = cpu_levels(); *k; k++)
            for (size_t n = turn % 8 ? N : turn / 8; n <= N; n += N) {
                memset(hash, 0, sizeof hash);
                (*k)->xxh64(n, at, len, hash);
                for (size_t i = 0; i < N; i++)
                    if (hash[i] != (i < n ? hash_xxh64(at[i], len[i]) : 0))
                        fail_msg("%s: run %zu of %zu, %u bytes", (*k)->level, i, n, len[i]);
            }
    }
    munmap(p, 2 * PAGE);
}

static void numbers_outside_the_limits_are_refused(void **state)
{
    (void)state;
    static const struct { int n_gram, n_band, n_row; } bad[] = { { 0, 14, 8 }, { 65, 14, 8 }, { 5, 0, 8 }, { 5, 14, 0 }, { 5, 1025, 1 }, { 5, 2, 513 }, { 5, 65536, 65536 } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct minhash *m;
        assert_int_equal(minhash_new(&m, &(struct minhash_opts){ bad[i].n_gram, bad[i].n_band, bad[i].n_row, 1 }, &err), ERR_RANGE);
        assert_null(m);
    }
}

/* ---- sorting ---- */

static int by_key_then_place(const void *a, const void *b)
{
    const struct radix_item *x = a, *y = b;
    return x->key != y->key ? (x->key > y->key) - (x->key < y->key) : (x->at > y->at) - (x->at < y->at);
}

static void sorting_is_stable_for_any_threads(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 2, 33, 64, 1000, 70000 };
    static const uint64_t masks[] = { ~0ull, 0, 255, 0xff00000000000000u, 0x0f000f0000u, 3 };
    for (int n_thread = 1; n_thread <= 3; n_thread++) {
        struct pool *pool;
        OK(pool_new(&pool, n_thread, &err));
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
            for (size_t k = 0; k < sizeof masks / sizeof *masks; k++) {
                const size_t n = sizes[s];
                struct radix_item *a = mem_alloc_array(n + 1, sizeof *a), *want = mem_alloc_array(n + 1, sizeof *a), *tmp = mem_alloc_array(n + 1, sizeof *a);
                for (size_t i = 0; i < n; i++)
                    a[i] = want[i] = (struct radix_item){ rng_u64(s, i) & masks[k], (uint32_t)i };
                qsort(want, n, sizeof *want, by_key_then_place);
                radix_sort(a, tmp, n, pool);
                for (size_t i = 0; i < n; i++)
                    assert_true(a[i].key == want[i].key && a[i].at == want[i].at);
                mem_free(a), mem_free(want), mem_free(tmp);
            }
        pool_free(pool);
    }
}

/* ---- lines and paragraphs ---- */

static void check_pieces(const struct pieces *p, const char *const *want, size_t n)
{
    assert_int_equal(p->n, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(p->piece[i].n, strlen(want[i]));
        assert_int_equal(piece_hash(&p->piece[i]), hash_xxh64(want[i], strlen(want[i])));
    }
}

static void lines_and_paragraphs_are_cut_and_trimmed(void **state)
{
    (void)state;
    static const char text[] = "  one \r\n\n two\tthree\v\nfour\n \t \r\n\n\n  five\nsix  \n\n";
    static const char *const lines[] = { "one", "two\tthree", "four", "five", "six" }, *const paragraphs[] = { "one", "two\tthree\v\nfour", "five\nsix" };
    struct pieces p = { 0 };
    OK(pieces_lines(&p, text, sizeof text - 1, &err));
    check_pieces(&p, lines, 5);
    OK(pieces_paragraphs(&p, text, sizeof text - 1, &err));
    check_pieces(&p, paragraphs, 3);
    OK(pieces_paragraphs(&p, "a\n\n b", 5, &err));
    check_pieces(&p, (const char *const[]){ "a", "b" }, 2);
    for (const char *const *none = (const char *const[]){ "", "\n", " \n\n \r\n", NULL }; *none; none++) {
        OK(pieces_lines(&p, *none, strlen(*none), &err));
        assert_int_equal(p.n, 0);
        OK(pieces_paragraphs(&p, *none, strlen(*none), &err));
        assert_int_equal(p.n, 0);
    }
    pieces_release(&p);
    assert_int_equal(hash_xxh64("", 0), 0xef46db3751d8e999u);      /* the specification's values */
    assert_int_equal(hash_xxh64("a", 1), 0xd24ec4f1a98c6e5bu);
}

static void a_set_knows_what_was_there_before(void **state)
{
    (void)state;
    struct seen *s;
    OK(seen_new(&s, &err));
    for (uint64_t i = 0; i < 20000; i++) {
        /* Some that differ in the upper bits only, and 0. */
        const uint64_t hash = i % 4 ? rng_u64(1, i) : i << 50;
        const int want = i % 4 ? 0 : i >= 1 << 14;
        assert_int_equal(seen_add(s, hash, &err), want);
        assert_int_equal(seen_add(s, hash, &err), 1);
    }
    seen_free(s);
}

/* ---- duplicates ---- */

enum { N_BAND = 14, N_ROW = 8 };
static struct minhash *plain;

/* Rows that share sums and bands by chance: the alphabets are small. */
static unsigned char *random_rows(uint64_t seed, size_t n, uint64_t sums, uint64_t bands)
{
    unsigned char *rows = mem_alloc_array(n + 1, dup_row_bytes(plain));
    for (size_t i = 0; i < n; i++) {
        uint64_t *row = (uint64_t *)(void *)(rows + i * dup_row_bytes(plain)), sum = rng_below(seed, 100 * i, sums);
        row[0] = row[1] = sum ? sum | 1 : 0;        /* 0: no record; first halves are equal more often than sums */
        row[3] = sum;
        for (uint64_t b = 0; sum && b < N_BAND; b++)
            row[4 + b] = rng_below(seed, 100 * i + b + 1, bands);
        uint8_t *bytes = (uint8_t *)(row + 4 + N_BAND);
        for (uint64_t j = 0; j < N_BAND * N_ROW; j++)
            bytes[j] = rng_uniform(seed, 100000000 + 1000 * i + j) < 0.5;
    }
    return rows;
}

static const uint64_t *row_at(const unsigned char *rows, size_t i) { return (const uint64_t *)(const void *)(rows + i * dup_row_bytes(plain)); }

/* By looking at all pairs until nothing changes. */
static void find_slowly(const unsigned char *rows, uint32_t n, uint32_t *keeper, uint8_t *kind)
{
    for (uint32_t i = 0; i < n; i++) {
        keeper[i] = i, kind[i] = DUP_NONE;
        for (uint32_t k = 0; k < i && row_at(rows, i)[3]; k++)
            if (!memcmp(row_at(rows, i), row_at(rows, k), 32)) {
                keeper[i] = k, kind[i] = DUP_EXACT;
                break;
            }
    }
    for (bool again = true; again;) {
        again = false;
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t k = 0; k < i; k++) {
                bool alike = keeper[i] != i && keeper[i] == k;
                for (int b = 0; b < N_BAND && kind[i] != DUP_EXACT && kind[k] != DUP_EXACT; b++)
                    alike |= row_at(rows, i)[4 + b] && row_at(rows, i)[4 + b] == row_at(rows, k)[4 + b];
                if (alike && keeper[i] != keeper[k]) {
                    keeper[i] = keeper[k] = keeper[i] < keeper[k] ? keeper[i] : keeper[k];
                    again = true;
                }
            }
    }
    for (uint32_t i = 0; i < n; i++)
        if (keeper[i] != i && !kind[i])
            kind[i] = DUP_NEAR;
}

static void check_tallies(const struct dup *d)
{
    struct dup_tally exact = { 0 }, near = { 0 };
    bool *e = mem_alloc_array(d->n + 1, sizeof *e), *s = mem_alloc_array(d->n + 1, sizeof *s);
    for (uint32_t i = 0; i < d->n; i++) {
        exact.records += d->kind[i] == DUP_EXACT, near.records += d->kind[i] == DUP_NEAR;
        if (d->kind[i] == DUP_NEAR && !s[d->keeper[i]])
            near.groups++, s[d->keeper[i]] = true;
        assert_true(i >= d->n_old || !d->kind[i]);
    }
    assert_int_equal(d->exact.records, exact.records);
    assert_int_equal(d->near.records, near.records);
    assert_int_equal(d->near.groups, near.groups);
    mem_free(e), mem_free(s);
}

static void duplicates_are_those_found_by_looking_at_all_pairs(void **state)
{
    (void)state;
    static const struct { uint32_t n, sums, bands; } cases[] = { { 0, 1, 1 }, { 1, 9, 9 }, { 2, 2, 1 }, { 40, 30, 3000 }, { 300, 200, 20000 }, { 300, 2, 100000 }, { 150, 1000000, 2 }, { 300, 1000000, 15000 } };
    for (int n_thread = 1; n_thread <= 3; n_thread++) {
        struct dup_opts o = { .minhash = plain };
        OK(pool_new(&o.pool, n_thread, &err));
        for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
            const uint32_t n = cases[c].n, old = n / 3;
            unsigned char *rows = random_rows(c, n, cases[c].sums, cases[c].bands);
            uint32_t *keeper = mem_alloc_array(n + 1, sizeof *keeper);
            uint8_t *kind = mem_alloc_array(n + 1, sizeof *kind);
            find_slowly(rows, n, keeper, kind);
            /* Alone, and as what is new beside what two snapshots hold: the same duplicates. */
            const struct dup_rows whole = { rows, n }, parts[] = { { rows, old / 2 }, { rows + old / 2 * dup_row_bytes(plain), old - old / 2 }, { rows + old * dup_row_bytes(plain), n - old } };
            for (int form = 0; form < 2; form++) {
                struct dup d;
                o.n_old = form ? old : 0;
                OK(dup_find(&d, form ? parts : &whole, form ? 3 : 1, &o, &err));
                assert_int_equal(d.n, n);
                assert_memory_equal(d.keeper, keeper, n * sizeof *keeper);
                for (uint32_t i = 0; i < n; i++)
                    assert_int_equal(d.kind[i], form && i < old ? DUP_NONE : kind[i]);
                check_tallies(&d);
                dup_release(&d);
            }
            mem_free(rows), mem_free(keeper), mem_free(kind);
        }
        pool_free(o.pool);
    }
}

/* Similarity by a rule that the estimate has no part in. */
static int alike_by_number(void *ctx, uint32_t a, uint32_t b, int i_thread, double *out, struct err *e)
{
    (void)i_thread;
    assert_true(a < b);
    if (a == *(uint32_t *)ctx)
        return ERR(e, IO, "record %u cannot be read", a);
    *out = (a ^ b) & 4 ? 0.3 : 0.9;
    return 0;
}

static void candidates_less_alike_than_asked_are_no_duplicates(void **state)
{
    (void)state;
    enum { N = 400 };
    unsigned char *rows = random_rows(77, N, 1000000, 8000);
    struct dup first = { 0 };
    for (int n_thread = 1; n_thread <= 3; n_thread++) {
        uint32_t unreadable = UINT32_MAX;
        struct dup_opts o = { .minhash = plain, .least = 0.5, .similarity = alike_by_number, .ctx = &unreadable };
        struct dup d;
        OK(pool_new(&o.pool, n_thread, &err));
        OK(dup_find(&d, &(struct dup_rows){ rows, N }, 1, &o, &err));
        assert_true(d.near.records > 20 && d.n_refused > 20);
        check_tallies(&d);
        for (uint32_t i = 0; i < N; i++)
            if (d.kind[i] == DUP_NEAR) {
                assert_false((d.keeper[i] ^ i) & 4);
                assert_true(d.similarity[i] == 0.9f);
            }
        if (n_thread == 1)
            first = d;
        else {
            assert_memory_equal(d.keeper, first.keeper, N * sizeof *d.keeper);
            assert_memory_equal(d.similarity, first.similarity, N * sizeof *d.similarity);
            assert_int_equal(d.n_pair, first.n_pair);
            assert_int_equal(d.n_refused, first.n_refused);
            dup_release(&d);
        }
        unreadable = first.keeper[N - 1] == N - 1 ? 0 : first.keeper[N - 1];
        for (uint32_t i = 0; i < N; i++)
            if (first.kind[i] == DUP_NEAR)
                unreadable = first.keeper[i];
        assert_int_equal(dup_find(&d, &(struct dup_rows){ rows, N }, 1, &o, &err), ERR_IO);
        assert_non_null(strstr(err.msg, "cannot be read"));
        dup_release(&d);
        pool_free(o.pool);
    }
    dup_release(&first);
    mem_free(rows);
}

/* ---- real text ---- */

enum { DOC = 120, WORDS_MAX = 200000 };

static size_t cut_words(const struct buf *text, struct span *word)
{
    size_t n = 0;
    for (size_t i = 0, end; i < text->len && n < WORDS_MAX; i = end + 1) {
        end = i + strcspn(text->data + i, " \r\n");
        if (end > i)
            word[n++] = (struct span){ (uint32_t)i, (uint32_t)(end - i) };
    }
    return n;
}

/* Words from `first` on; n_other of them, anywhere, are words from elsewhere. */
static void make_text(struct buf *out, const struct buf *text, const struct span *word, size_t n, size_t first, uint64_t n_other, uint64_t seed)
{
    bool other[DOC] = { false };
    for (uint64_t i = 0; i < n_other; i++)
        other[rng_below(seed, i, DOC)] = true;
    buf_clear(out);
    for (size_t i = 0; i < DOC; i++) {
        const struct span s = word[other[i] ? rng_below(seed, 1000 + i, n) : first + i];
        OK(buf_add(out, text->data + s.at, s.n, &err));
        OK(buf_add_char(out, ' ', &err));
    }
}

static bool has_band_of(const struct minhash *m, const uint64_t *a, const uint64_t *b)
{
    uint64_t x[N_BAND], y[N_BAND];
    bool same = false;
    minhash_bands(m, a, x), minhash_bands(m, b, y);
    for (int i = 0; i < N_BAND; i++)
        same |= x[i] && x[i] == y[i];
    return same;
}

/* Copies of a novel's pages with some words changed: of those of a similarity s the share 1 - (1 - s^8)^14 are candidates, within 2 points; and
 * what the bytes of signatures say of s is right on average. */
static void candidates_are_as_many_as_the_theory_says(void **state)
{
    (void)state;
    struct buf text, a, b;
    struct minhash_text *t;
    struct span *word = mem_alloc_array(WORDS_MAX, sizeof *word);
    static uint64_t sig[2][N_BAND * N_ROW + 16];
    double n[10] = { 0 }, found[10] = { 0 }, theory[10] = { 0 }, off[10] = { 0 };
    buf_init(&text), buf_init(&a), buf_init(&b);
    OK(file_read(shared("text-gutenberg-sherlock/1661.txt"), 1 << 24, &text, &err));
    OK(minhash_text_new(&t, plain, &err));
    const size_t n_word = cut_words(&text, word);
    assert_true(n_word > 100000);
    for (uint64_t i = 0; i < FEWER(20000, 300); i++) {
        const size_t first = (size_t)rng_below(12, i, n_word - DOC);
        uint8_t bytes[2][N_BAND * N_ROW];
        double s;
        make_text(&a, &text, word, n_word, first, 0, i);
        make_text(&b, &text, word, n_word, first, 1 + i % 10, i);
        OK(minhash_text(t, a.data, a.len, sig[0], &err));
        OK(minhash_text(t, b.data, b.len, sig[1], &err));
        OK(minhash_jaccard(t, a.data, a.len, b.data, b.len, &s, &err));
        for (int k = 0; k < 2; k++)
            minhash_bytes(plain, sig[k], bytes[k]);
        const int bin = s < 1 ? (int)(10 * s) : 9;
        n[bin]++, found[bin] += has_band_of(plain, sig[0], sig[1]), theory[bin] += 1 - pow(1 - pow(s, N_ROW), N_BAND);
        off[bin] += minhash_similarity(plain, bytes[0], bytes[1]) - s;
    }
    for (int i = 4; i < 10; i++) {
        if (FEWER(n[i] < 1000, false))
            fail_msg("only %.0f pairs of a similarity from %.1f on", n[i], i / 10.0);
        if (n[i] >= 1000 && (fabs(found[i] - theory[i]) > 0.02 * n[i] || fabs(off[i]) > 0.01 * n[i]))
            fail_msg("similarity from %.1f on: %.4f of %.0f are candidates, expected %.4f; estimates are off by %.4f", i / 10.0, found[i] / n[i], n[i], theory[i] / n[i], off[i] / n[i]);
    }
    minhash_text_free(t);
    buf_release(&text), buf_release(&a), buf_release(&b);
    mem_free(word);
}

/* ---- the index ---- */

static void snapshots_give_back_their_rows(void **state)
{
    (void)state;
    enum { N = 50, OLD = 20 };
    unsigned char *rows = random_rows(5, N, 30, 4000);
    struct dup_opts o = { .minhash = plain };
    struct dup whole, later;
    struct dup_snapshot a, b;
    const char *dir = in_dir("index");
    OK(pool_new(&o.pool, 2, &err));
    OK(dup_index_add(dir, "2026-01", plain, (struct dup_rows[]){ { rows, 5 }, { rows + 5 * dup_row_bytes(plain), OLD - 5 } }, 2, &err));
    OK(dup_index_add(dir, "none", plain, NULL, 0, &err));
    assert_int_equal(dup_index_add(dir, "2026-01", plain, NULL, 0, &err), ERR_USAGE);
    OK(file_write_all(in_dir("index/notes.txt"), "x", 1, &err));
    OK(file_write_all(in_dir("index/.hidden.dup"), "x", 1, &err));
    char **names;
    int n;
    OK(dup_index_list(dir, &names, &n, &err));
    assert_int_equal(n, 2);
    assert_string_equal(names[0], "2026-01");
    assert_string_equal(names[1], "none");
    file_list_free(names, n);
    OK(dup_index_open(&a, dir, "2026-01", plain, &err));
    OK(dup_index_open(&b, dir, "none", plain, &err));
    assert_int_equal(a.rows.n, OLD);
    assert_memory_equal(a.rows.row, rows, OLD * dup_row_bytes(plain));
    /* New data against the index: as in one run over both. */
    OK(dup_find(&whole, &(struct dup_rows){ rows, N }, 1, &o, &err));
    o.n_old = OLD;
    OK(dup_find(&later, (struct dup_rows[]){ b.rows, a.rows, { rows + OLD * dup_row_bytes(plain), N - OLD } }, 3, &o, &err));
    assert_memory_equal(whole.keeper, later.keeper, N * sizeof *whole.keeper);
    assert_true(later.exact.records + later.near.records > 5);
    dup_release(&whole), dup_release(&later);
    dup_index_close(&a), dup_index_close(&b);
    pool_free(o.pool);
    mem_free(rows);
}

static void damaged_snapshots_are_refused(void **state)
{
    (void)state;
    unsigned char *rows = random_rows(6, 3, 30, 4000);
    struct dup_snapshot s;
    struct buf b;
    struct dup_rows got;
    buf_init(&b);
    OK(dup_index_add(in_dir("damaged"), "one", plain, &(struct dup_rows){ rows, 3 }, 1, &err));
    OK(file_read(in_dir("damaged/one.dup"), 10000, &b, &err));
    OK(dup_index_read(&got, b.data, b.len, "x", plain, &err));
    for (size_t n = 0; n < b.len; n++) {
        const int rc = dup_index_read(&got, b.data, n, "some.dup", plain, &err);
        if (rc != ERR_CORRUPT || !strstr(err.msg, "some.dup: ") || !strstr(err.msg, "cut") || got.n)
            fail_msg("cut to %zu bytes: %d, %s", n, rc, err.msg);
    }
    for (size_t i = 0; i < b.len; i++) {
        b.data[i] ^= 1;
        const int rc = dup_index_read(&got, b.data, b.len, "some.dup", plain, &err);
        if (rc != (i < 8 ? ERR_FORMAT : i < 12 ? ERR_UNSUPPORTED : i < 32 ? ERR_FORMAT : ERR_CORRUPT) || !strstr(err.msg, "some.dup: ") || got.n)
            fail_msg("byte %zu changed: %d, %s", i, rc, err.msg);
        b.data[i] ^= 1;
    }
    OK(file_write_all(in_dir("damaged/one.dup"), b.data, b.len - 1, &err));
    assert_int_equal(dup_index_open(&s, in_dir("damaged"), "one", plain, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "damaged/one.dup"));
    dup_index_close(&s);
    assert_int_equal(dup_index_open(&s, in_dir("damaged"), "two", plain, &err), ERR_NOTFOUND);
    dup_index_close(&s);
    struct minhash *other = minhash_by("other_opts");
    assert_int_equal(dup_index_read(&got, b.data, b.len, "x", other, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "made with 5 words, 14 bands of 8 values and seed 1, expected 3 words, 20 bands of 13"));
    minhash_free(other);
    buf_release(&b);
    mem_free(rows);
}

static void names_that_are_no_files_are_refused(void **state)
{
    (void)state;
    char longest[102] = { 0 };
    memset(longest, 'a', 101);
    const char *const bad[] = { "", ".", "..", ".x", "../x", "a/b", "a b", "\303\274", longest };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct dup_snapshot s;
        assert_int_equal(dup_index_add(in_dir("index"), bad[i], plain, NULL, 0, &err), ERR_USAGE);
        assert_int_equal(dup_index_open(&s, in_dir("index"), bad[i], plain, &err), ERR_USAGE);
    }
}

static int load(void **state)
{
    if (make_dir(state))
        return -1;
    return minhash_new(&plain, &MINHASH_DATATROVE, &err) || tree_load(&golden, "tests/golden/minhash.json", 1 << 20, &err);
}
static int unload(void **state)
{
    json_decref(golden);
    minhash_free(plain);
    return remove_dir(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(permutations_are_numpys),
        cmocka_unit_test(signatures_of_shingles_are_datatroves),
        cmocka_unit_test(signatures_of_texts_are_datatroves),
        cmocka_unit_test(every_level_takes_the_rest_as_ref_does),
        cmocka_unit_test(every_level_hashes_runs_of_bytes_as_xxhash_does),
        cmocka_unit_test(numbers_outside_the_limits_are_refused),
        cmocka_unit_test(sorting_is_stable_for_any_threads),
        cmocka_unit_test(lines_and_paragraphs_are_cut_and_trimmed),
        cmocka_unit_test(a_set_knows_what_was_there_before),
        cmocka_unit_test(duplicates_are_those_found_by_looking_at_all_pairs),
        cmocka_unit_test(candidates_less_alike_than_asked_are_no_duplicates),
        cmocka_unit_test(candidates_are_as_many_as_the_theory_says),
        cmocka_unit_test(snapshots_give_back_their_rows),
        cmocka_unit_test(damaged_snapshots_are_refused),
        cmocka_unit_test(names_that_are_no_files_are_refused),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
