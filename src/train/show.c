#include "train/show.h"
#include <string.h>
#include <unistd.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"

#define SEQUENCES_SHOWN 6
#define TOKENS_SHOWN 400       /* of a sequence */

void run_show_packing(const struct run *r)
{
    const struct loader *l = &r->loader;
    if (!l->n_unit)
        return;
    const double places = (double)l->n_window * l->ctx;
    log_info("packing: %lld %s in %lld windows of %d tokens, %.1f to a window, %.1f %% of the places stay free and are not computed%s", (long long)l->n_unit,
             r->data.train.kind == SHARD_PAIRS ? "pairs" : "records", (long long)l->n_window, l->ctx, (double)l->n_unit / (double)l->n_window,
             100 * (1 - (double)l->n_place / places), r->c.pack ? "" : " (data.pack: false)");
}

/* Bytes of a token that a terminal may get: control characters but line ends, and what is no UTF-8, become '?'. */
static int add_clean(struct buf *out, const struct buf *text, struct err *err)
{
    for (const char *p = text->data, *end = p + text->len; p < end;) {
        const int n = utf8_length(p, end);
        const unsigned char c = (unsigned char)*p;
        const bool plain = n > 1 ? !(n == 2 && c == 0xc2 && (unsigned char)p[1] < 0xa0) : n == 1 && ((c >= 32 && c != 127) || c == '\n' || c == '\t');
        TRY(plain ? buf_add(out, p, (size_t)n, err) : buf_add_char(out, '?', err));
        p += n ? n : 1;
    }
    return 0;
}

/* Tokens from .. to-1 of the batch, and the target of the last where there is one: runs of learned and other tokens. */
static int add_sequence(const struct run *r, int from, int to, bool color, struct buf *out, struct err *err)
{
    const struct batch *b = &r->batch;
    struct buf run;
    int rc = 0;
    buf_init(&run);
    const int end = to - from > TOKENS_SHOWN ? from + TOKENS_SHOWN : to;
    for (int i = from; i < end && !rc;) {
        const bool learned = i > from && b->target[i - 1] >= 0;
        buf_clear(&run);
        int n = 0;
        for (; i + n < end && (i + n > from && b->target[i + n - 1] >= 0) == learned; n++)
            ;
        rc = tok_decode(r->data.tok, b->ids + i, (size_t)n, &run, err);
        if (!rc && learned && i + n == end && end == to && b->target[to - 1] >= 0)
            rc = tok_decode(r->data.tok, &b->target[to - 1], 1, &run, err);
        if (!rc && !learned)
            rc = buf_add_str(out, color ? "\033[2m" : "[[", err);
        if (!rc)
            rc = add_clean(out, &run, err);
        if (!rc && !learned)
            rc = buf_add_str(out, color ? "\033[0m" : "]]", err);
        i += n;
    }
    if (!rc && end < to)
        rc = buf_printf(out, err, " ... %d more tokens", to - end);
    buf_release(&run);
    return rc;
}

static int count_learned(const struct batch *b, int from, int to)
{
    int n = 0;
    for (int i = from; i < to; i++)
        n += b->target[i] >= 0;
    return n;
}

static int show(struct run *r, struct buf *out, struct err *err)
{
    const struct batch *b = &r->batch;
    const bool color = isatty(STDERR_FILENO), pairs = r->data.train.kind == SHARD_PAIRS;
    const int learned = count_learned(b, 0, b->n), room = (int)(r->micro * r->c.ctx);
    TRY(buf_printf(out, err, "the first batch: %lld windows of %lld tokens with %d sequences: %d tokens learned, %d only read, %d places free.  %s is only read.\n", (long long)r->micro,
                   (long long)r->c.ctx, b->n_seq, learned, b->n - learned, room - b->n, color ? "What is dim" : "What stands in [[ ]]"));
    for (int s = 0; s < b->n_seq && s < SEQUENCES_SHOWN; s++) {
        const int from = b->seq_start[s], to = b->seq_start[s + 1];
        TRY(buf_printf(out, err, "--- sequence %d%s: %d tokens, %d learned\n", s + 1, !pairs ? "" : s % 2 ? ", rejected" : ", chosen", to - from, count_learned(b, from, to)));
        TRY(add_sequence(r, from, to, color, out, err));
        TRY(buf_add_char(out, '\n', err));
    }
    return buf_printf(out, err, "--- %d more", b->n_seq > SEQUENCES_SHOWN ? b->n_seq - SEQUENCES_SHOWN : 0);
}

int run_show_batch(struct run *r, struct err *err)
{
    struct buf out;
    buf_init(&out);
    loader_batch(&r->loader, 0, &r->batch);
    const int rc = show(r, &out, err);
    if (!rc)
        log_info("%s", out.data);
    buf_release(&out);
    return rc;
}
