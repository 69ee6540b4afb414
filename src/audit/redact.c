/* redact.c - spots replaced, from left to right, and HMACs of the values in them. */
#include "audit/redact.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"

int redact_key_read(struct redact_key *k, const char *path, struct err *err)
{
    struct buf b;
    buf_init(&b);
    int rc = file_read(path, REDACT_KEY_MAX, &b, err);
    while (b.len && (b.data[b.len - 1] == '\n' || b.data[b.len - 1] == '\r'))
        b.len--;
    if (rc >= 0 && b.len < REDACT_KEY_MIN)
        rc = ERR(err, FORMAT, "%s: a key of %zu bytes, expected at least %d: make one by head -c 32 /dev/urandom | base64", path, b.len, REDACT_KEY_MIN);
    if (rc >= 0) {
        memcpy(k->byte, b.data, b.len);
        k->n = b.len;
    }
    memset(b.data, 0, b.len);
    buf_release(&b);
    return rc < 0 ? rc : 0;
}

static bool white(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static bool plain(char c) { return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || (signed char)c < 0; }

int value_normalise(enum value_form form, const char *p, size_t n, struct buf *out, struct err *err)
{
    if (form == VALUE_EXACT)
        return buf_add(out, p, n, err);
    TRY(buf_reserve(out, n, err));
    for (; n && white(*p); n--)
        p++;
    while (n && white(p[n - 1]))
        n--;
    for (size_t i = 0; i < n; i++)
        if (form == VALUE_LOWER || plain(p[i]))
            out->data[out->len++] = p[i] >= 'A' && p[i] <= 'Z' ? (char)(p[i] + 32) : p[i];
    out->data[out->len] = 0;
    return 0;
}

int value_mac(const struct redact_key *k, enum value_form form, const char *p, size_t n, unsigned char mac[VALUE_MAC], struct buf *scratch, struct err *err)
{
    unsigned size = 0;
    buf_clear(scratch);
    TRY(value_normalise(form, p, n, scratch, err));
    if (!HMAC(EVP_sha256(), k->byte, (int)k->n, (const unsigned char *)scratch->data, scratch->len, mac, &size) || size != VALUE_MAC)
        return ERR(err, NOMEM, "libcrypto gave no HMAC");
    return 0;
}

static int add_mask(const char *p, size_t n, struct buf *out, struct err *err)
{
    for (size_t i = 0; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            TRY(buf_add_char(out, '*', err));
    return 0;
}

/* tag: the better spot's name; the value is that spot's too. */
static int replace(const char *text, struct spot all, const struct spot *best, const struct redact_key *key, struct redact_kind kind, struct buf *scratch,
                   struct buf *out, struct err *err)
{
    unsigned char mac[VALUE_MAC];
    if (kind.how == REDACT_MASK)
        return add_mask(text + all.at, all.n, out, err);
    if (kind.how == REDACT_TAG)
        return buf_printf(out, err, "<%s>", kind.name);
    TRY(value_mac(key, kind.form, text + best->at, best->n, mac, scratch, err));
    TRY(buf_printf(out, err, "<%s:", kind.name));
    for (int i = 0; i < 8; i++)
        TRY(buf_printf(out, err, "%02x", mac[i]));
    return buf_add_char(out, '>', err);
}

static bool better(const struct spot *a, const struct spot *b)
{
    return a->score != b->score ? a->score > b->score : a->n != b->n ? a->n > b->n : a->at < b->at;
}

int redact(const char *text, size_t n, const struct spot *spot, size_t n_spot, const struct redact_key *key, redact_kind_fn *kind, const void *ctx, struct buf *out,
           struct err *err)
{
    struct buf scratch;
    size_t done = 0;
    int rc = 0;
    buf_init(&scratch);
    for (size_t i = 0, k; !rc && i < n_spot; i = k) {
        struct spot all = spot[i];
        const struct spot *best = &spot[i];
        for (k = i + 1; k < n_spot && spot[k].at < all.at + all.n; k++) {
            const size_t end = spot[k].at + spot[k].n;
            all.n = end > all.at + all.n ? end - all.at : all.n;
            best = better(&spot[k], best) ? &spot[k] : best;
        }
        rc = buf_add(out, text + done, all.at - done, err);
        rc = rc ? rc : replace(text, all, best, key, kind(ctx, best->kind), &scratch, out, err);
        done = all.at + all.n;
    }
    buf_release(&scratch);
    return rc ? rc : buf_add(out, text + done, n - done, err);
}
