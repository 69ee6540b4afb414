#include "serve/trace.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include "base/rng.h"

/* Numbers that no other process has: one random key, then a count. */
static uint64_t number(void)
{
    static atomic_ullong key, count;
    unsigned long long k = atomic_load(&key);
    while (!k) {
        unsigned long long none = 0;
        if (getrandom(&k, sizeof k, 0) != sizeof k || !k)
            k = (unsigned long long)time(NULL) | 1;
        if (!atomic_compare_exchange_strong(&key, &none, k))
            k = none;
    }
    const uint64_t n = rng_u64(k, atomic_fetch_add(&count, 1));
    return n ? n : 1;
}

static bool is_hex(const char *s, int n)
{
    for (int i = 0; i < n; i++)
        if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f')))
            return false;
    return true;
}

static bool is_zero(const char *s, int n) { return (int)strspn(s, "0") >= n; }

/* VERSION-TRACE-SPAN-FLAGS; of later versions more may follow behind another '-'. */
static bool is_traceparent(const char *s)
{
    const size_t n = s ? strlen(s) : 0;
    return n >= 55 && is_hex(s, 2) && strncmp(s, "ff", 2) && s[2] == '-' && is_hex(s + 3, 32) && !is_zero(s + 3, 32) && s[35] == '-' && is_hex(s + 36, 16) && !is_zero(s + 36, 16) && s[52] == '-' &&
           is_hex(s + 53, 2) && (n == 55 || (strncmp(s, "00", 2) && s[55] == '-'));
}

static bool is_id(const char *s)
{
    const size_t n = s ? strlen(s) : 0;
    for (size_t i = 0; i < n; i++)
        if (s[i] < 0x21 || s[i] > 0x7e)
            return false;
    return n && n <= TRACE_ID_MAX;
}

void trace_begin(struct trace *t, const char *request_id, const char *traceparent)
{
    *t = (struct trace){ .flags = "01" };
    if (is_traceparent(traceparent)) {
        memcpy(t->trace, traceparent + 3, 32);
        memcpy(t->parent, traceparent + 36, 16);
        t->flags[1] = strchr("13579bdf", traceparent[54]) ? '1' : '0';      /* sampled; no other flag is ours to pass on */
    } else {
        snprintf(t->trace, sizeof t->trace, "%016llx%016llx", (unsigned long long)number(), (unsigned long long)number());
    }
    snprintf(t->span, sizeof t->span, "%016llx", (unsigned long long)number());
    if (is_id(request_id))
        strcpy(t->id, request_id);
    else
        snprintf(t->id, sizeof t->id, "req-%.16s", t->span);
}

void trace_parent_text(const struct trace *t, char out[56]) { snprintf(out, 56, "00-%s-%s-%s", t->trace, t->span, t->flags); }
