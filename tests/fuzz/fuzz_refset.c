/* fuzz_refset.c - any bytes as an evaluation set, packed or not, in every form: it is refused with a sentence, or its items are UTF-8 with a
 * question, and a text that holds them all is hit by those that are long enough, within its bytes. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "audit/contam.h"
#include "data/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void check_items(const struct refs *r)
{
    require(r->n_item >= 0 && r->n_set >= 0);
    for (int64_t i = 0; i < r->n_item; i++)
        for (int p = 0; p < N_REF_PART; p++) {
            size_t n;
            const char *s = refs_text(r, i, (enum ref_part)p, &n);
            require(text_bad_utf8(s, n) == n && (p != REF_QUESTION || n) && r->item[i].set < r->n_set);
        }
}

/* Items of one text, so that every method has something to find. */
static int all_texts(const struct refs *r, struct buf *b, struct err *err)
{
    static const enum ref_part order[] = { REF_PASSAGE, REF_QUESTION, REF_ANSWER };
    for (int64_t i = 0; i < r->n_item; i++)
        for (int p = 0; p < N_REF_PART; p++) {
            size_t n;
            const char *s = refs_text(r, i, order[p], &n);
            TRY(buf_add(b, s, n, err));
            TRY(buf_add_char(b, '\n', err));
        }
    return 0;
}

static void check_found(const struct contam *c, const struct contam_found *f, size_t n)
{
    const int64_t n_item = contam_refs(c)->n_item;
    for (size_t i = 0; i < f->n_hit; i++) {
        const struct contam_hit *h = &f->hit[i];
        require(h->item < n_item && h->method < N_CONTAM_METHOD && h->score > 0 && h->score <= 1 && (size_t)h->at + h->n <= n && h->n > 0);
    }
}

static void look(const struct refs *r)
{
    struct err err = { 0 };
    struct contam_opts o;
    struct contam *c = NULL;
    struct contam_state *s = NULL;
    struct contam_tally *t = NULL;
    struct contam_found f;
    struct buf b;
    buf_init(&b);
    contam_defaults(&o, NULL);
    o.methods |= 1u << CONTAM_DATATROVE;
    require(!contam_new(&c, r, &o, &err) && !contam_state_new(&s, c, &err) && !contam_tally_new(&t, c, &err) && !all_texts(r, &b, &err));
    require(!contam_record(c, s, b.data, b.len, &f, &err));
    check_found(c, &f, b.len);
    contam_tally_add(t, &f);
    for (int64_t i = 0; i < r->n_item; i++)
        for (int m = 0; m < N_CONTAM_METHOD; m++) {
            const struct contam_item x = contam_tally_item(t, i, (enum contam_method)m);
            require(x.share >= 0 && x.share <= 1 && (m > CONTAM_PALM || !x.n || x.share == 1));
        }
    contam_tally_free(t);
    contam_state_free(s);
    contam_free(c);
    buf_release(&b);
}

static void read_set(const char *path, enum ref_format f)
{
    struct err err = { 0 };
    struct refs r;
    refs_init(&r);
    const int rc = refs_add(&r, &(struct ref_spec){ .path = path, .name = "set", .format = f }, &err);
    require(rc ? err.msg[0] != 0 : r.n_item > 0);
    check_items(&r);
    if (!rc)
        look(&r);
    refs_release(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const int fd = memfd_create("refset", 0);
    char path[64];
    if (fd < 0 || (n && write(fd, data, n) != (ssize_t)n))
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    for (int f = 0; f < N_REF_FORMAT; f++)
        read_set(path, (enum ref_format)f);
    close(fd);
    return 0;
}
