#include "base/base64.h"
#include <ctype.h>
#include <stdint.h>

int base64_write(struct buf *out, const void *p, size_t n, struct err *err)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *s = p;
    TRY(buf_reserve(out, n / 3 * 4 + 4, err));
    for (size_t i = 0; i < n; i += 3) {
        const size_t left = n - i;
        const uint32_t bits = (uint32_t)s[i] << 16 | (left > 1 ? (uint32_t)s[i + 1] << 8 : 0) | (left > 2 ? s[i + 2] : 0);
        const char four[4] = { digit[bits >> 18], digit[bits >> 12 & 63], left > 1 ? digit[bits >> 6 & 63] : '=', left > 2 ? digit[bits & 63] : '=' };
        TRY(buf_add(out, four, 4, err));
    }
    return 0;
}

int base64_read(struct buf *out, const char *s, size_t n, struct err *err)
{
    uint32_t bits = 0;
    int n_bits = 0;
    TRY(buf_reserve(out, n / 4 * 3 + 3, err));
    size_t i = 0;
    for (; i < n && s[i] != '='; i++) {
        const char c = s[i];
        const int v = c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26 : c >= '0' && c <= '9' ? c - '0' + 52 : c == '+' ? 62 : c == '/' ? 63 : -1;
        if (v < 0)
            return ERR(err, FORMAT, "'%c' is not a character of base64", isprint((unsigned char)c) ? c : '?');
        bits = (bits << 6 | (uint32_t)v) & 0xffffff;
        if ((n_bits += 6) >= 8) {
            n_bits -= 8;
            TRY(buf_add_char(out, (char)(bits >> n_bits), err));
        }
    }
    for (; i < n; i++)
        if (s[i] != '=')
            return ERR(err, FORMAT, "base64 goes on after its padding");
    if (n_bits == 6 || bits & ((1u << n_bits) - 1))         /* two texts would be the same bytes, and a changed one pass for what was signed */
        return ERR(err, FORMAT, "base64 ends in bits of no byte");
    return 0;
}
