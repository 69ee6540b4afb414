#include "load/schedule.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"

#define TOKENS_MAX 10000000

void schedule_make(double *at, int n, enum arrival kind, double rate, int burst, uint64_t seed)
{
    const uint64_t key = rng_key(seed, "arrivals");
    double t = 0;
    for (int i = 0; i < n; i++) {
        if (kind == ARRIVAL_POISSON)
            t -= log1p(-rng_uniform(key, (uint64_t)i)) / rate;
        else
            t = kind == ARRIVAL_CONSTANT ? i / rate : i / burst * burst / rate;
        at[i] = t;
    }
}

static int by_time(const void *pa, const void *pb)
{
    const struct trace_row *a = pa, *b = pb;
    return (a->at > b->at) - (a->at < b->at);
}

/* One number of a line; ends at what parts it from the next one. */
static bool take_number(const char **p, double most, double *out)
{
    char *end;
    *out = strtod(*p, &end);
    if (end == *p || !(*out >= 0 && *out <= most))
        return false;
    *p = end + strspn(end, ", \t\r");
    return true;
}

static int read_row(const char *line, const char *path, int number, struct trace_row *out, struct err *err)
{
    double at, input, output;
    const char *p = line + strspn(line, " \t");
    if (!take_number(&p, 1e9, &at) || !take_number(&p, TOKENS_MAX, &input) || !take_number(&p, TOKENS_MAX, &output) || *p || input < 1 || output < 1)
        return ERR(err, FORMAT, "%s, line %d: '%.60s', expected SECONDS,INPUT,OUTPUT", path, number, line);
    *out = (struct trace_row){ at, (int)input, (int)output };
    return 0;
}

static int read_rows(char *text, const char *path, struct trace_row *rows, int *n, struct err *err)
{
    int number = 0;
    *n = 0;
    for (char *line = text, *next; line; line = next) {
        if ((next = strchr(line, '\n')))
            *next++ = 0;
        number++;
        if (*line && *line != '#' && *line != '\r')
            TRY(read_row(line, path, number, &rows[(*n)++], err));
    }
    return *n ? 0 : ERR(err, FORMAT, "%s has no requests, expected lines SECONDS,INPUT,OUTPUT", path);
}

int trace_read(const char *path, struct trace_row **out, int *n, struct err *err)
{
    struct buf text;
    *out = NULL;
    buf_init(&text);
    int rc = file_read(path, (size_t)1 << 30, &text, err);
    if (!rc && strlen(text.data) != text.len)
        rc = ERR(err, FORMAT, "%s is no text: it has a NUL", path);
    size_t lines = 1;
    for (size_t i = 0; i < text.len; i++)
        lines += text.data[i] == '\n';
    if (!rc && !(*out = mem_alloc_array(lines, sizeof **out)))
        rc = ERR(err, NOMEM, "no memory for %zu requests", lines);
    rc = rc ? rc : read_rows(text.data, path, *out, n, err);
    buf_release(&text);
    if (rc) {
        mem_free(*out);
        *out = NULL;
        return rc;
    }
    qsort(*out, (size_t)*n, sizeof **out, by_time);
    for (int i = *n - 1; i >= 0; i--)
        (*out)[i].at -= (*out)[0].at;
    return 0;
}
