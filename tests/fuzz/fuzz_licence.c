/* fuzz_licence.c - any bytes as a licence expression: an error that names a place in it, or a normal form that is read as itself, and a
 * verdict with a sentence where the use is not allowed. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "audit/licence.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void judge(struct licence *l, unsigned use, struct buf *out)
{
    struct licence_verdict v;
    struct err err = { 0 };
    licence_judge(l, use, NULL, 0, &v);
    require(v.allowed == !*v.why && v.allowed == !(use & ~v.yes) && (!v.allowed || !(v.no & use)));
    buf_clear(out);
    require(!licence_chosen(l, out, &err) && out->len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct licence *l, *again;
    struct err err = { 0 };
    struct buf text, second;
    size_t at;
    buf_init(&text), buf_init(&second);
    if (licence_parse(&l, (const char *)data, n, &at, &err)) {
        require(!l && err.code == ERR_FORMAT && *err.msg && at <= n);
        require(!licence_caret((const char *)data, n, at, &text, &err) && text.len < 300);
    } else {
        require(!licence_text(l, &text, &err) && text.len);
        if (text.len <= LICENCE_MAX) {
            require(!licence_parse(&again, text.data, text.len, &at, &err) && !licence_text(again, &second, &err));
            require(text.len == second.len && !memcmp(text.data, second.data, text.len));
            licence_free(again);
        }
        judge(l, n % (1u << N_LICENCE_RIGHT), &second);
        licence_free(l);
    }
    buf_release(&text), buf_release(&second);
    return 0;
}
