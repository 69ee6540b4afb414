/* fuzz_bundle.c - any bytes as a signature's bundle: refused with a message, or read, judged, and its statement read.  What was read is written
 * as a bundle that reads the same. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "store/oms.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool good)
{
    if (!good)
        abort();
}

static void write_again(struct dsse *d)
{
    struct err err = { 0 };
    struct dsse again;
    struct buf text;
    buf_init(&text);
    if (d->by == DSSE_KEYLESS || (d->by == DSSE_BY_KEY && !*d->hint))
        return;
    must(!dsse_write(d, &text, &err) && !dsse_parse(&again, text.data, text.len, "own", &err));
    must(again.by == d->by && again.payload.len == d->payload.len && !memcmp(again.payload.data, d->payload.data, d->payload.len) && again.chain.n == d->chain.n);
    dsse_release(&again);
    buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = { 0 };
    struct dsse d;
    struct oms_statement s;
    struct dsse_trust t = { .now = 1764000000 };
    struct pki_holder holder;
    int rc = dsse_parse(&d, (const char *)data, size, "input", &err);
    must(rc == 0 || (rc == err.code && *err.msg));
    if (rc < 0) {
        rc = oms_statement_read(&s, (const char *)data, size, "input", &err);        /* or as a statement */
        if (!rc)
            oms_statement_release(&s);
        return 0;
    }
    must(dsse_verify(&d, &t, true, &holder, &err) < 0 && *err.msg);                  /* nobody is trusted */
    rc = oms_statement_read(&s, d.payload.data, d.payload.len, "payload", &err);
    must(rc == 0 || (rc == err.code && *err.msg));
    if (!rc)
        oms_statement_release(&s);
    write_again(&d);
    dsse_release(&d);
    return 0;
}
