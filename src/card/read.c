#include "card/read.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

const json_t *read_at(const json_t *o, const char *path)
{
    while (o && *path) {
        const size_t n = strcspn(path, ".");
        o = json_object_getn(o, path, n);
        path += n + (path[n] == '.');
    }
    return json_is_null(o) ? NULL : o;
}

const char *read_str(const json_t *o, const char *path)
{
    const char *s = json_string_value(read_at(o, path));
    return s && *s ? s : NULL;
}

int64_t read_count(const json_t *o, const char *path)
{
    const json_t *v = read_at(o, path);
    return json_is_integer(v) ? (int64_t)json_integer_value(v) : 0;
}

double read_number_of(const json_t *v)
{
    const double x = json_is_number(v) ? json_number_value(v) : (double)NAN;
    return fabs(x) < 1e300 ? x : (double)NAN;
}

double read_number(const json_t *o, const char *path) { return read_number_of(read_at(o, path)); }

char *read_thousands(char out[32], int64_t n)
{
    char digits[24];
    const int len = snprintf(digits, sizeof digits, "%lld", (long long)n), sign = digits[0] == '-';
    int to = 0;
    for (int i = 0; i < len; i++) {
        if (i > sign && (len - i) % 3 == 0)
            out[to++] = ',';
        out[to++] = digits[i];
    }
    out[to] = 0;
    return out;
}

char *read_share(char out[32], double part, double whole)
{
    const double p = whole > 0 ? 100 * part / whole : 0;
    if (p > 0 && p < 0.001)
        return strcpy(out, "< 0.001 %");
    if (p < 100 && p > 99.99)
        return strcpy(out, "> 99.99 %");
    snprintf(out, 32, p == 0 || p >= 100 ? "%.0f %%" : p < 0.1 ? "%.3f %%" : p < 1 || p > 99 ? "%.2f %%" : "%.1f %%", p);
    return out;
}
