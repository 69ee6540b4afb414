/* contam.c - speed of the look for evaluation sets in texts, one thread: MB/s of each method.
 *
 * Usage: build/bench/contam TEXTS SETS...      TEXTS a file, cut into records of 4 kB or so at its line ends; median of several runs, each method
 * alone and then all that are on by default.  bench/contam.py puts it beside datatrove on the same records. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "audit/contam.h"
#include "base/file.h"
#include "base/pool.h"
#include "base/stat.h"

#define RUNS 5
#define RECORD 4096

static size_t record_end(const struct buf *b, size_t at)
{
    if (b->len - at <= RECORD)
        return b->len;
    const char *nl = memchr(b->data + at + RECORD, '\n', b->len - at - RECORD);
    return nl ? (size_t)(nl - b->data) + 1 : b->len;
}

static int measure(const struct refs *r, unsigned methods, const char *name, const struct buf *text, struct err *err)
{
    struct contam_opts o;
    struct contam *c;
    struct contam_state *s;
    struct contam_found f;
    double rate[RUNS];
    size_t n_hit = 0, n_record = 0;
    contam_defaults(&o, NULL);
    o.methods = methods ? methods : o.methods;
    const double begin = clock_cpu();
    TRY(contam_new(&c, r, &o, err));
    TRY(contam_state_new(&s, c, err));
    const double made = clock_cpu() - begin;
    for (int i = 0; i < RUNS; i++) {
        const double t = clock_cpu();
        n_hit = n_record = 0;
        for (size_t at = 0, end; at < text->len; at = end, n_record++) {
            end = record_end(text, at);
            TRY(contam_record(c, s, text->data + at, end - at, &f, err));
            n_hit += f.n_hit;
        }
        rate[i] = (double)text->len / 1e6 / (clock_cpu() - t);
    }
    printf("%-10s index %.3f s  %zu records  %zu hits  %.1f MB/s\n", name, made, n_record, n_hit, stat_median(rate, RUNS));
    contam_state_free(s);
    contam_free(c);
    return 0;
}

int main(int argc, char **argv)
{
    struct err err = { 0 };
    struct refs r;
    struct buf text;
    refs_init(&r);
    buf_init(&text);
    if (argc < 3) {
        fprintf(stderr, "usage: build/bench/contam TEXTS SETS...\n");
        return 2;
    }
    int rc = file_read(argv[1], (size_t)1 << 30, &text, &err);
    for (int i = 2; i < argc && !rc; i++)
        rc = refs_add(&r, &(struct ref_spec){ .path = argv[i], .format = N_REF_FORMAT }, &err);
    for (int m = 0; m < N_CONTAM_METHOD && !rc; m++)
        rc = measure(&r, 1u << m, contam_method_name((enum contam_method)m), &text, &err);
    rc = rc ? rc : measure(&r, 0, "default", &text, &err);
    if (rc)
        fprintf(stderr, "%s\n", err.msg);
    buf_release(&text);
    refs_release(&r);
    return rc != 0;
}
