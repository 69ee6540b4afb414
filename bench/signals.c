/* signals.c - speed of cutting texts into words and of counting their signals, one thread: MB/s of text in CPU time, beside one pass over the same bytes.
 *
 * Usage: build/bench/signals FILE...     JSON lines with "text" (bench/made-text.py) where the name ends in .jsonl, else a text that is cut into records of
 * 3,000 bytes at white space.  Medians, and the best in brackets; the sum is that of all signals of all records and their places, mod 2^64: the same bytes and
 * signals give the same. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "audit/signals.h"
#include "audit/units.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/stat.h"

#define RUNS 7
#define RECORD 3000
enum { BYTES, WORDS, BASE, ALL, SIMPLE, JANITOR, N_STEP };

static struct err err;

static void check(int rc)
{
    if (rc < 0) {
        fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
}

struct texts { struct buf all; struct span *at; size_t n; };

static void add_text(struct texts *t, const char *s, size_t n)
{
    if (!(t->n & (t->n - 1)))
        t->at = mem_realloc_array(t->at, 2 * t->n + 1, sizeof *t->at);
    if (!t->at)
        exit(1);
    t->at[t->n++] = (struct span){ (uint32_t)t->all.len, (uint32_t)n };
    check(buf_add(&t->all, s, n, &err));
}

static void read_lines(struct texts *t, const struct buf *file)
{
    for (char *at = file->data, *end; (end = strchr(at, '\n')); at = end + 1) {
        json_t *o = json_loadb(at, (size_t)(end - at), JSON_ALLOW_NUL, NULL);
        const json_t *text = json_object_get(o, "text");
        if (json_is_string(text))
            add_text(t, json_string_value(text), json_string_length(text));
        json_decref(o);
    }
}

static void cut_text(struct texts *t, const struct buf *file)
{
    for (size_t at = 0, n; at < file->len; at += n) {
        n = file->len - at < RECORD ? file->len - at : RECORD;
        for (size_t k = n; at + n < file->len && k > 0; k--)
            if (strchr(" \n", file->data[at + k - 1])) {
                n = k;
                break;
            }
        add_text(t, file->data + at, n);
    }
}

struct state { struct words *w; struct signals_maker *base, *all; struct units units; struct spans spans; struct buf simple; uint64_t sum; };

static void count(struct state *st, struct signals_maker *m, const char *s, size_t n)
{
    struct signals out;
    check(signals_of(m, s, n, &st->spans, &out, &err));
    for (int i = 0; i < N_SIGNAL; i++)
        st->sum = st->sum * 0x9e3779b97f4a7c15u + ((const uint32_t *)&out)[i];
}

/* As fast as bytes come: four sums of eight of them each. */
static void bytes(struct state *st, const char *s, size_t n)
{
    uint64_t sum[4] = { 0 }, x[4];
    for (size_t i = 0; i + 32 <= n; i += 32) {
        memcpy(x, s + i, 32);
        for (int k = 0; k < 4; k++)
            sum[k] += x[k];
    }
    st->sum += sum[0] + sum[1] + sum[2] + sum[3];
}

static void step(struct state *st, int what, const char *s, size_t n)
{
    switch (what) {
    case BYTES: bytes(st, s, n); break;
    case SIMPLE: check(words_simplify(st->w, s, n, &st->simple, &err)); break;
    case JANITOR: check(units_of(&st->units, UNITS_JANITOR, NULL, s, n, &err)); break;
    default: check(words_of(st->w, WORDS_ENGLISH, s, n, &st->spans, &err));
    }
    if (what == BASE || what == ALL)
        count(st, what == ALL ? st->all : st->base, s, n);
}

static void measure(struct state *st, const struct texts *t, const char *path)
{
    static const char *const names[N_STEP] = {
        "one pass over the bytes", "words", "words and datatrove's signals", "words and all signals", "simplified text", "words of the janitor"
    };
    printf("%s: %zu texts, %zu bytes\n", path, t->n, t->all.len);
    uint64_t sum = 0;
    for (int what = 0; what < N_STEP; what++) {
        double speed[RUNS];
        for (int run = 0; run < RUNS; run++) {
            st->sum = 0;
            const double begin = clock_cpu();
            for (size_t i = 0; i < t->n; i++)
                step(st, what, t->all.data + t->at[i].at, t->at[i].n);
            speed[run] = (double)t->all.len / 1e6 / (clock_cpu() - begin);
        }
        sum = what == ALL ? st->sum : sum;
        const double median = stat_median(speed, RUNS);          /* in order now */
        printf("    %-32s %8.1f MB/s (%.1f)\n", names[what], median, speed[RUNS - 1]);
    }
    printf("    sum %016llx\n", (unsigned long long)sum);
}

int main(int argc, char **argv)
{
    struct state st = { .sum = 0 };
    check(words_new(&st.w, &err));
    check(signals_new(&st.base, SIGNALS_BASE, &err));
    check(signals_new(&st.all, SIGNALS_BASE | SIGNALS_DOLMA | SIGNALS_NEMO, &err));
    units_init(&st.units);
    buf_init(&st.simple);
    for (int i = 1; i < argc; i++) {
        struct buf file;
        struct texts t = { .n = 0 };
        const size_t n = strlen(argv[i]);
        buf_init(&file);
        buf_init(&t.all);
        check(file_read(argv[i], (size_t)1 << 31, &file, &err));
        if (n > 6 && !strcmp(argv[i] + n - 6, ".jsonl"))
            read_lines(&t, &file);
        else
            cut_text(&t, &file);
        buf_release(&file);
        measure(&st, &t, argv[i]);
        buf_release(&t.all);
        mem_free(t.at);
    }
    words_free(st.w);
    signals_free(st.base);
    signals_free(st.all);
    units_release(&st.units);
    spans_release(&st.spans);
    buf_release(&st.simple);
    return 0;
}
