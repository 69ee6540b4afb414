/* fuzz_licence.c - any bytes, by the first of them, as a licence expression: an error that names a place in it, or a normal form that is read
 * as itself, and a verdict with a sentence where the use is not allowed; or as a licence's name or text, as a Debian copyright file or as
 * a dataset card: nothing, an error with a sentence, or expressions that are read. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "audit/licence.h"
#include "audit/licence_found.h"

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

static void expression(const char *s, size_t n)
{
    struct licence *l, *again;
    struct err err = { 0 };
    struct buf text, second;
    size_t at;
    buf_init(&text), buf_init(&second);
    if (licence_parse(&l, s, n, &at, &err)) {
        require(!l && err.code == ERR_FORMAT && *err.msg && at <= n);
        require(!licence_caret(s, n, at, &text, &err) && text.len < 300);
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
}

static void is_normal(const char *s)
{
    struct licence *l;
    struct err err = { 0 };
    struct buf text;
    size_t at;
    buf_init(&text);
    require(!licence_parse(&l, s, strlen(s), &at, &err) && !licence_text(l, &text, &err) && !strcmp(text.data, s));
    licence_free(l);
    buf_release(&text);
}

static void found(int rc, const struct buf *out, const struct err *err)
{
    require(rc <= 1 && (rc > 0) == (out->len > 0));
    require(rc >= 0 || (rc == err->code && *err->msg));
    if (rc > 0)
        is_normal(out->data);
}

static void copyright(const char *s, size_t n)
{
    struct dep5 d;
    struct err err = { 0 };
    if (dep5_read(&d, s, n, "c", &err)) {
        require(!d.n && err.code == ERR_FORMAT && *err.msg);
        return;
    }
    for (int i = 0; i < d.n; i++)
        is_normal(d.files[i].licence);
    const char *licence = dep5_find(&d, "data/a*b/c.txt");
    require(!licence || d.n);
    dep5_release(&d);
}

static void card(const char *s, size_t n, struct buf *out)
{
    struct err err = { 0 };
    json_t *c;
    const int rc = card_read(&c, s, n, "README.md", &err);
    require((rc == 1) == (c != NULL) && (rc >= 0 || *err.msg));
    if (rc == 1)
        found(card_licence(c, out, &err), out, &err);
    json_decref(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct buf out;
    struct err err = { 0 };
    enum licence_how how;
    if (!n)
        return 0;
    const char *s = (const char *)data + 1;
    n--;
    buf_init(&out);
    switch (data[0]) {
    case 'w': found(licence_of_words(s, n, &out, &err), &out, &err); break;
    case 't': found(licence_of_text(s, n, &out, &how, &err), &out, &err); break;
    case 'd': copyright(s, n); break;
    case 'c': card(s, n, &out); break;
    default: expression(s, n);
    }
    buf_release(&out);
    return 0;
}
