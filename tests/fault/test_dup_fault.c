/* test_dup_fault.c - duplicates are found, and written to an index, with each allocation failing in turn, and each system call. */
#include "each_allocation.h"
#include "audit/dup_index.h"
#include "audit/pieces.h"

static struct err err;

static void fill(const struct minhash *m, unsigned char *rows, int n)
{
    uint64_t sig[MINHASH_VALUES_MAX];
    unsigned char sum[SHA256_BYTES];
    for (int i = 0; i < n; i++) {
        const uint64_t shingle = (uint64_t)(i % 7);
        minhash_clear(m, sig);
        minhash_add(m, 1, &shingle, sig);
        sha256_bytes(&"0123456789a"[i % 11], 1, sum);
        dup_row(m, sum, sig, rows + (size_t)i * dup_row_bytes(m));
    }
}

static int find(const struct minhash *m, const struct dup_rows *rows, int n_rows)
{
    struct dup_opts o = { .minhash = m, .least = 0.5, .n_old = n_rows == 1 ? 0 : 20 };
    struct dup d = { 0 };
    TRY(pool_new(&o.pool, 1, &err));
    const int rc = dup_find(&d, rows, n_rows, &o, &err);
    if (!rc) {
        assert_int_equal(d.exact.records, n_rows == 1 ? 9 : 20);
        assert_int_equal(d.near.records, n_rows == 1 ? 4 : 0);
    }
    dup_release(&d);
    pool_free(o.pool);
    return rc;
}

static int run(void *ctx)
{
    (void)ctx;
    static unsigned char rows[20 * 4096] __attribute__((aligned(8)));
    struct minhash *m;
    struct dup_snapshot s = { .map = { .size = 0 } };
    file_remove_tree(in_dir("index"), NULL);
    TRY(minhash_new(&m, &MINHASH_DATATROVE, &err));
    fill(m, rows, 20);
    int rc = dup_index_add(in_dir("index"), "one", m, &(struct dup_rows){ rows, 20 }, 1, &err);
    char **names = NULL;
    int n = 0;
    rc = rc ? rc : dup_index_list(in_dir("index"), &names, &n, &err);
    file_list_free(names, n);
    rc = rc ? rc : dup_index_open(&s, in_dir("index"), "one", m, &err);
    rc = rc ? rc : find(m, &s.rows, 1);
    rc = rc ? rc : find(m, (struct dup_rows[]){ s.rows, { rows, 20 } }, 2);
    dup_index_close(&s);
    minhash_free(m);
    return rc;
}

static int run_pieces(void *ctx)
{
    (void)ctx;
    char text[2000];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = i % 4 == 3 ? '\n' : (char)('a' + i * i % 23);
    struct pieces p = { 0 };
    struct seen *s = NULL;
    int rc = seen_new(&s, &err);
    rc = rc ? rc : pieces_lines(&p, text, sizeof text, &err);
    for (size_t i = 0; !rc && i < p.n * 10; i++) {
        rc = seen_add(s, piece_hash(&p.piece[i % p.n]) + i / p.n, &err);
        rc = rc < 0 ? rc : 0;
    }
    rc = rc ? rc : pieces_paragraphs(&p, text, sizeof text, &err);
    seen_free(s);
    pieces_release(&p);
    return rc;
}

static void duplicates_without_memory(void **state)
{
    (void)state;
    assert_true(each_allocation(run, NULL, false) > 15);
    assert_true(each_allocation(run_pieces, NULL, false) > 3);
}

/* Old leftovers may stay; the folder may not be lockable. */
static void an_index_on_a_broken_disk(void **state)
{
    (void)state;
    file_remove_tree(in_dir("index"), NULL);
    assert_true(each_failure(CALLS, 1, run, NULL, true) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(duplicates_without_memory),
        cmocka_unit_test(an_index_on_a_broken_disk),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
