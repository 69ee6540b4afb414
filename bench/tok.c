/* tok.c - speed of a tokenizer, one thread: MB/s of encoding and decoding a text.
 *
 * Usage: build/bench/tok TOKENIZER FILE...     for each file the best and the median of several runs; the tokenizer is warm
 * (its words' cache is that of the runs before), as in a server or a data loader.  bench/tok.py puts it beside other programs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/pool.h"
#include "base/stat.h"
#include "model/tok.h"

#define RUNS 9

int main(int argc, char **argv)
{
    struct err err;
    struct tok *t;
    const double begin = clock_wall();
    if (argc < 3 || tok_load(&t, argv[1], &err) < 0) {
        fprintf(stderr, "%s\n", argc < 3 ? "usage: build/bench/tok TOKENIZER FILE..." : err.msg);
        return 1;
    }
    printf("load %.3f s\n", clock_wall() - begin);
    for (int f = 2; f < argc; f++) {
        struct buf text, back;
        struct tok_ids ids = { 0 };
        double encode[RUNS], decode[RUNS];
        buf_init(&text);
        buf_init(&back);
        int rc = file_read(argv[f], (size_t)1 << 30, &text, &err);
        for (int i = 0; i < RUNS && !rc; i++) {
            ids.n = 0, buf_clear(&back);
            const double a = clock_cpu();
            rc = tok_encode(t, text.data, text.len, TOK_PLAIN, &ids, &err);
            const double b = clock_cpu();
            if (!rc)
                rc = tok_decode(t, ids.id, ids.n, &back, &err);
            encode[i] = (double)text.len / 1e6 / (b - a), decode[i] = (double)text.len / 1e6 / (clock_cpu() - b);
        }
        if (rc < 0) {
            fprintf(stderr, "%s: %s\n", argv[f], err.msg);
            return 1;
        }
        printf("%s %zu bytes %zu ids encode %.2f MB/s decode %.2f MB/s\n", argv[f], text.len, ids.n, stat_median(encode, RUNS), stat_median(decode, RUNS));
        buf_release(&text);
        buf_release(&back);
        tok_ids_release(&ids);
    }
    tok_free(t);
    return 0;
}
