/* spots.c - speed of looking for personal data and secrets, one thread: MB/s of CPU time, beside the same expressions by PCRE2, one after the other.
 *
 * Usage: build/bench/spots FILE...     texts of 4 KiB; for each file the median of several runs of ours, and one run of PCRE2 over its first MB, with
 * the JIT, without checksums, words or entropy.  bench/spots.py puts Presidio's recognisers beside it. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "audit/pii.h"
#include "audit/secret.h"
#include "base/file.h"
#include "base/pool.h"
#include "base/stat.h"

#define RUNS 5
#define PIECE 4096
#define ALONE_BYTES 1000000

static const char *const pii_expr[] = {
#define PII_TEXT(entity, expr, hint, before, base, valid, check, context) expr,
#define PII_NEAR(entity, expr, base, valid, check, context) expr,
#include "audit/pii.def"
};
static const char *const secret_expr[] = {
#define SECRET(id, what, expr, words, entropy) expr,
#include "audit/secret.def"
};

static struct err err;
static struct pii *pii;
static struct pii_state *pii_state;
static struct secrets *secrets;
static struct secret_state *secret_state;

static void check(int rc)
{
    if (rc < 0) {
        fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
}

static double rate(const struct buf *b, bool of_pii, bool of_secrets, size_t *found)
{
    const struct spot *spot;
    size_t n;
    const double begin = clock_cpu();
    *found = 0;
    for (size_t at = 0; at < b->len; at += PIECE) {
        const size_t size = b->len - at < PIECE ? b->len - at : PIECE;
        if (of_pii) {
            check(pii_spots(pii, pii_state, b->data + at, size, PII_SCORE_MIN, &spot, &n, &err));
            *found += n;
        }
        if (of_secrets) {
            check(secret_spots(secrets, secret_state, NULL, b->data + at, size, &spot, &n, &err));
            *found += n;
        }
    }
    return (double)b->len / 1e6 / (clock_cpu() - begin);
}

static double median(const struct buf *b, bool of_pii, bool of_secrets, size_t *found)
{
    double r[RUNS];
    for (int i = 0; i < RUNS; i++)
        r[i] = rate(b, of_pii, of_secrets, found);
    return stat_median(r, RUNS);
}

/* Seconds that each of n expressions takes for all matches in the text's pieces. */
static double alone(const char *const *expr, int n, const char *text, size_t size)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        int code;
        PCRE2_SIZE where;
        bool again = false;
        for (int k = 0; k < i; k++)
            again |= !strcmp(expr[k], expr[i]);
        if (again)
            continue;
        pcre2_code *c = pcre2_compile((PCRE2_SPTR)expr[i], PCRE2_ZERO_TERMINATED, 0, &code, &where, NULL);
        pcre2_match_data *m = pcre2_match_data_create(8, NULL);
        if (!c || !m)
            exit(1);
        pcre2_jit_compile(c, PCRE2_JIT_COMPLETE);
        const double begin = clock_cpu();
        for (size_t at = 0; at < size; at += PIECE)
            for (size_t from = 0, end = size - at < PIECE ? size - at : PIECE; pcre2_match(c, (PCRE2_SPTR)text + at, end, from, PCRE2_NOTEMPTY, m, NULL) > 0;)
                from = pcre2_get_ovector_pointer(m)[1];
        sum += clock_cpu() - begin;
        pcre2_match_data_free(m);
        pcre2_code_free(c);
    }
    return sum;
}

int main(int argc, char **argv)
{
    const double begin = clock_cpu();
    check(pii_new(&pii, &err));
    check(pii_state_new(&pii_state, pii, &err));
    check(secrets_new(&secrets, &err));
    check(secret_state_new(&secret_state, secrets, &err));
    printf("tables %.2f s of CPU time\n", clock_cpu() - begin);
    for (int i = 1; i < argc; i++) {
        struct buf b;
        size_t n_pii, n_secret, n_both;
        buf_init(&b);
        check(file_read(argv[i], (size_t)1 << 30, &b, &err));
        const double p = median(&b, true, false, &n_pii), s = median(&b, false, true, &n_secret), both = median(&b, true, true, &n_both);
        const size_t size = b.len < ALONE_BYTES ? b.len : ALONE_BYTES;
        const double pcre = alone(pii_expr, sizeof pii_expr / sizeof *pii_expr, b.data, size) + alone(secret_expr, sizeof secret_expr / sizeof *secret_expr, b.data, size);
        printf("%s %zu bytes: personal data %.0f MB/s (%zu), secrets %.0f MB/s (%zu), both %.0f MB/s; PCRE2 one by one %.2f MB/s: 1 to %.0f\n", argv[i], b.len, p, n_pii, s, n_secret, both,
               (double)size / 1e6 / pcre, both * pcre * 1e6 / (double)size);
        buf_release(&b);
    }
    return 0;
}
