#include "audit/leak.h"
#include <string.h>
#include "base/mem.h"

int leak_init(struct leak *l, const uint8_t *split, size_t n, struct err *err)
{
    *l = (struct leak){ .n = n, .split = split, .time = mem_alloc_array(n + 1, sizeof *l->time) };
    bool all = l->time;
    for (int k = 0; k < N_LEAK_KIND; k++)
        all = (l->in[k] = mem_alloc_array(n + 1, sizeof *l->in[k])) && all;
    for (size_t i = 0; all && i < n; i++)
        l->time[i] = LEAK_NO_TIME;
    return all ? 0 : ERR(err, NOMEM, "no memory to compare the splits of %zu records", n);
}

void leak_release(struct leak *l)
{
    for (int k = 0; k < N_LEAK_KIND; k++)
        mem_free(l->in[k]);
    mem_free(l->time);
    *l = (struct leak){ 0 };
}

/* ---- keys ---- */

/* Keys with a bit for each split that has them; open addressing. */
struct owners { uint64_t *key; uint32_t *splits; size_t mask; };

static uint32_t *splits_of(const struct owners *o, uint64_t key)
{
    uint64_t h = key * 0x9e3779b97f4a7c15u;
    size_t i = (h ^ h >> 29) & o->mask;
    while (o->key[i] && o->key[i] != key)
        i = (i + 1) & o->mask;
    o->key[i] = key;
    return &o->splits[i];
}

static uint32_t bit(const struct leak *l, size_t i) { return l->split[i] < LEAK_SPLITS_MAX ? (uint32_t)1 << l->split[i] : 0; }

int leak_column(struct leak *l, enum leak_kind kind, const uint64_t *key, struct err *err)
{
    struct owners o = { .mask = 1023 };
    while (2 * (o.mask + 1) < 3 * l->n)
        o.mask = 2 * o.mask + 1;
    o.key = mem_alloc_array(o.mask + 1, sizeof *o.key);
    o.splits = mem_alloc_array(o.mask + 1, sizeof *o.splits);
    const bool all = o.key && o.splits;
    for (size_t i = 0; all && i < l->n; i++)
        if (key[i] && bit(l, i))
            *splits_of(&o, key[i]) |= bit(l, i);
    for (size_t i = 0; all && i < l->n; i++)
        if (key[i] && bit(l, i))
            l->in[kind][i] |= *splits_of(&o, key[i]) & ~bit(l, i);
    mem_free(o.key);
    mem_free(o.splits);
    return all ? 0 : ERR(err, NOMEM, "no memory to compare the splits of %zu records", l->n);
}

/* ---- what came out ---- */

void leak_between(const struct leak *l, int from, int to, struct leak_pair *out)
{
    const uint32_t with = (uint32_t)1 << from;
    *out = (struct leak_pair){ .first = LEAK_NO_TIME };
    for (size_t i = 0; i < l->n; i++) {
        if (l->split[i] != to)
            continue;
        const bool exact = l->in[LEAK_EXACT][i] & with;
        out->of++;
        out->n[LEAK_EXACT] += exact;
        out->n[LEAK_NEAR] += !exact && l->in[LEAK_NEAR][i] & with;
        out->n[LEAK_GROUP] += (l->in[LEAK_GROUP][i] & with) != 0;
        if (l->time[i] != LEAK_NO_TIME && (out->first == LEAK_NO_TIME || l->time[i] < out->first))
            out->first = l->time[i];
    }
    for (size_t i = 0; i < l->n && out->first != LEAK_NO_TIME; i++)
        out->late += l->split[i] == from && l->time[i] != LEAK_NO_TIME && l->time[i] >= out->first;
}

int leak_of(const struct leak *l, size_t record)
{
    const uint32_t own = bit(l, record), above = own ? ~(own | (own - 1)) : 0, in = (l->in[LEAK_EXACT][record] | l->in[LEAK_NEAR][record]) & above;
    return in ? __builtin_ctz(in) : -1;
}

/* ---- dates ---- */

/* n digits at s; -1 where they are none. */
static int digits(const char *s, const char *end, int n)
{
    int v = 0;
    if (end - s < n)
        return -1;
    for (int i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return -1;
        v = 10 * v + (s[i] - '0');
    }
    return v;
}

/* Days since 1970-01-01 of the Gregorian calendar. */
static int64_t days_of(int year, int month, int day)
{
    const int64_t y = year - (month <= 2), era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
    const int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static int days_in(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    return days[month - 1] + (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
}

/* A separator and two digits of at most `most`, where they are; else what stands there is the rest.  False: digits that are none. */
static bool part(const char **s, const char *end, char separator, int least, int most, int *out)
{
    if (*s == end || **s != separator)
        return true;
    *out = digits(*s + 1, end, 2);
    if (*out < least || *out > most)
        return false;
    *s += 3;
    return true;
}

/* hh:mm[:ss][.fraction][Z|+hh:mm] from s on, as seconds. */
static bool clock_of(const char *s, const char *end, int64_t *out)
{
    int hour = digits(s, end, 2), minute = 0, second = 0, off_hour, off_minute = 0;
    if (hour < 0 || hour > 23)
        return false;
    s += 2;
    if (!part(&s, end, ':', 0, 59, &minute) || !part(&s, end, ':', 0, 60, &second))
        return false;
    *out = hour * 3600 + minute * 60 + second;
    if (s < end && (*s == '.' || *s == ','))
        for (s++; s < end && *s >= '0' && *s <= '9'; s++)
            ;
    if (s < end && *s == ' ')
        s++;
    if (s == end || (end - s == 1 && (*s == 'Z' || *s == 'z')) || (end - s == 3 && !memcmp(s, "UTC", 3)))
        return true;
    if ((*s != '+' && *s != '-') || (off_hour = digits(s + 1, end, 2)) < 0)
        return false;
    const int sign = *s == '+' ? -1 : 1;
    s += 3;
    if (s < end && *s != ':') {
        if ((off_minute = digits(s, end, 2)) < 0)
            return false;
        s += 2;
    } else if (!part(&s, end, ':', 0, 59, &off_minute))
        return false;
    *out += sign * (off_hour * 3600 + off_minute * 60);
    return s == end;
}

static bool epoch_of(const char *s, size_t n, int64_t *out)
{
    int64_t v = 0;
    if (n < 9 || n > 13)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        v = 10 * v + (s[i] - '0');
    }
    *out = n >= 12 ? v / 1000 : v;
    return true;
}

static bool date_of(const char *s, const char *end, int64_t *out)
{
    const int year = digits(s, end, 4);
    int month = 1, day = 1;
    int64_t seconds = 0;
    if (year < 0)
        return false;
    s += 4;
    if (!part(&s, end, '-', 1, 12, &month) || !part(&s, end, '-', 1, days_in(year, month), &day))
        return false;
    if (s < end && !((*s == 'T' || *s == 't' || *s == ' ') && clock_of(s + 1, end, &seconds)))
        return false;
    *out = days_of(year, month, day) * 86400 + seconds;
    return true;
}

/* YYYYMMDDhhmmss, as archives of the web write it. */
static bool stamp_of(const char *s, size_t n, int64_t *out)
{
    int v[5];
    const int year = n == 14 ? digits(s, s + n, 4) : -1;
    for (int i = 0; i < 5 && year >= 0; i++)
        v[i] = digits(s + 4 + 2 * i, s + n, 2);
    if (year < 0 || v[0] < 1 || v[0] > 12 || v[1] < 1 || v[1] > days_in(year, v[0]) || v[2] < 0 || v[2] > 23 || v[3] < 0 || v[3] > 59 || v[4] < 0 || v[4] > 60)
        return false;
    *out = days_of(year, v[0], v[1]) * 86400 + v[2] * 3600 + v[3] * 60 + v[4];
    return true;
}

int leak_parse_time(const char *s, size_t n, int64_t *out, struct err *err)
{
    while (n && (*s == ' ' || *s == '\t'))
        s++, n--;
    while (n && (s[n - 1] == ' ' || s[n - 1] == '\t' || s[n - 1] == '\n'))
        n--;
    if (epoch_of(s, n, out) || stamp_of(s, n, out) || date_of(s, s + n, out))
        return 0;
    return ERR(err, FORMAT, "'%.*s' is no date, expected YYYY-MM-DD with a time behind it, or seconds since 1970", n < 60 ? (int)n : 60, s);
}
