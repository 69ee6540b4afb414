#include "base/utf8.h"
#include <stdbool.h>
#include <string.h>

int utf8_length(const char *p, const char *end)
{
    const unsigned char *u = (const unsigned char *)p;
    if (u[0] < 0x80)
        return 1;
    const int n = u[0] >= 0xC2 && u[0] < 0xE0 ? 2 : u[0] >= 0xE0 && u[0] < 0xF0 ? 3 : u[0] >= 0xF0 && u[0] < 0xF5 ? 4 : 0;
    if (!n || end - p < n)
        return 0;
    for (int i = 1; i < n; i++)
        if ((u[i] & 0xC0) != 0x80)
            return 0;
    const bool overlong = (u[0] == 0xE0 && u[1] < 0xA0) || (u[0] == 0xF0 && u[1] < 0x90);
    const bool beyond = (u[0] == 0xED && u[1] >= 0xA0) || (u[0] == 0xF4 && u[1] >= 0x90);
    return overlong || beyond ? 0 : n;
}

int utf8_plain(const char *p, const char *end) { return p < end && ((unsigned char)*p < ' ' || *p == 0x7f) ? 0 : utf8_length(p, end); }

bool utf8_is_plain(const char *s, size_t n)
{
    int length = 1;
    for (const char *end = s + n; s < end && length; s += length)
        length = utf8_plain(s, end);
    return length > 0;
}

int utf8_put(uint32_t c, char out[4])
{
    if (c < 0x80)
        return out[0] = (char)c, 1;
    if (c < 0x800)
        return out[0] = (char)(0xc0 | c >> 6), out[1] = (char)(0x80 | (c & 0x3f)), 2;
    if (c < 0x10000)
        return out[0] = (char)(0xe0 | c >> 12), out[1] = (char)(0x80 | (c >> 6 & 0x3f)), out[2] = (char)(0x80 | (c & 0x3f)), 3;
    return out[0] = (char)(0xf0 | c >> 18), out[1] = (char)(0x80 | (c >> 12 & 0x3f)), out[2] = (char)(0x80 | (c >> 6 & 0x3f)),
           out[3] = (char)(0x80 | (c & 0x3f)), 4;
}

size_t utf8_begin(const char *s, size_t n, size_t most)
{
    size_t k = n < most ? n : most;
    while (k && k < n && ((unsigned char)s[k] & 0xc0) == 0x80)
        k--;
    return k;
}

void utf8_fit(char *out, size_t size, const char *s, size_t n)
{
    size_t k = 0;
    for (const char *end = s + n; s < end;) {
        const int plain = utf8_plain(s, end), length = plain ? plain : 1;
        if (k + (size_t)length >= size)
            break;
        if (plain)
            memcpy(out + k, s, (size_t)length);
        else
            out[k] = '?';
        k += (size_t)length, s += length;
    }
    out[k] = 0;
}

int utf8_add(struct buf *out, const char *s, size_t n, struct err *err)
{
    for (const char *end = s + n, *bad; s < end; s = bad + (bad < end)) {
        int length = 1;
        for (bad = s; bad < end && (length = utf8_length(bad, end)); bad += length)
            ;
        TRY(buf_add(out, s, (size_t)(bad - s), err));
        if (bad < end)
            TRY(buf_add_str(out, "\xef\xbf\xbd", err));
    }
    return 0;
}
