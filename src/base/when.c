#include "base/when.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECOND INT64_C(1000000000)

static _Atomic int64_t set = -1;

void when_set(int64_t ns) { set = ns; }

int64_t when_now(void)
{
    const int64_t at = set;
    if (at >= 0)
        return at;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * SECOND + t.tv_nsec;
}

void when_text(char out[WHEN_TEXT], int64_t ns)
{
    struct tm tm;
    const time_t s = (time_t)(ns / SECOND);
    gmtime_r(&s, &tm);
    char day[24];
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, WHEN_TEXT, "%.19s.%09uZ", day, (unsigned)(ns % SECOND));
}

void when_seconds(char out[WHEN_TEXT], int64_t s)
{
    struct tm tm;
    const time_t t = (time_t)s;
    strftime(out, WHEN_TEXT, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm) ? &tm : &(struct tm){ .tm_mday = 1 });
}

/* n digits at *p; false where they are not there. */
static bool digits(const char **p, int n, int *out)
{
    *out = 0;
    for (int i = 0; i < n; i++, (*p)++) {
        if (**p < '0' || **p > '9')
            return false;
        *out = *out * 10 + (**p - '0');
    }
    return true;
}

static bool one(const char **p, const char *of)
{
    const bool is = **p && strchr(of, **p);
    *p += is;
    return is;
}

static bool read_fraction(const char **p, int64_t *ns)
{
    int64_t unit = SECOND / 10;
    const char *begin = *p;
    for (*ns = 0; **p >= '0' && **p <= '9'; (*p)++, unit /= 10)
        *ns += unit * (**p - '0');
    return *p > begin;
}

static bool read_clock(const char **p, struct tm *tm, int64_t *fraction, int *east)
{
    int hours = 0, minutes = 0;
    bool ok = digits(p, 2, &tm->tm_hour) && one(p, ":") && digits(p, 2, &tm->tm_min);
    if (ok && one(p, ":"))
        ok = digits(p, 2, &tm->tm_sec) && (!one(p, ".") || read_fraction(p, fraction));
    if (!ok || one(p, "Zz") || !**p)
        return ok;
    const int sign = **p == '-' ? -1 : 1;
    ok = one(p, "+-") && digits(p, 2, &hours) && (one(p, ":"), digits(p, 2, &minutes)) && hours < 24 && minutes < 60;
    *east = sign * (hours * 60 + minutes);
    return ok;
}

int when_parse(int64_t *ns, const char *text, struct err *err)
{
    struct tm tm = { 0 };
    int64_t fraction = 0;
    int east = 0;
    const char *p = text;
    bool ok = digits(&p, 4, &tm.tm_year) && one(&p, "-") && digits(&p, 2, &tm.tm_mon) && one(&p, "-") && digits(&p, 2, &tm.tm_mday);
    if (ok && one(&p, "Tt "))
        ok = read_clock(&p, &tm, &fraction, &east);
    ok = ok && !*p && tm.tm_year >= 1970 && tm.tm_year < 2262;
    tm.tm_year -= 1900, tm.tm_mon--;
    struct tm same = tm;
    const time_t s = ok ? timegm(&same) : 0;
    ok = ok && same.tm_mon == tm.tm_mon && same.tm_mday == tm.tm_mday && same.tm_hour == tm.tm_hour && same.tm_min == tm.tm_min;
    *ns = ((int64_t)s - 60 * east) * SECOND + fraction;
    return ok && *ns >= 0 ? 0 : ERR(err, USAGE, "found '%.100s', expected a moment as 2026-11-27, 2026-11-27T14:30Z or 2026-11-27T14:30:05.5+01:00", text);
}

int when_span(double *s, const char *text, struct err *err)
{
    static const struct { char unit; double s; } units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 }, { 0, 1 } };
    char *end;
    const double n = *text >= '0' && *text <= '9' ? strtod(text, &end) : -1;
    for (size_t i = 0; n >= 0 && i < sizeof units / sizeof *units; i++)
        if (*end == units[i].unit && (!*end || !end[1]) && n * units[i].s <= 3e9) {
            *s = n * units[i].s;
            return 0;
        }
    return ERR(err, USAGE, "found '%.40s', expected a length of time: a number and s, m, h, d or w, as 30d", text);
}
