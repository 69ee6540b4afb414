#include "eval/npy.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- the header: a dictionary as Python writes it ---- */

struct text { const char *at, *end; const char *name; struct err *err; };

static void blanks(struct text *t)
{
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\n' || *t->at == '\t'))
        t->at++;
}

static bool take(struct text *t, char c)
{
    blanks(t);
    if (t->at == t->end || *t->at != c)
        return false;
    t->at++;
    return true;
}

/* A text in ' or ", without escapes, into out. */
static int take_string(struct text *t, char *out, size_t size)
{
    blanks(t);
    const char quote = t->at < t->end ? *t->at : 0;
    if (quote != '\'' && quote != '"')
        return ERR(t->err, FORMAT, "%s: expected a text in its header", t->name);
    const char *from = ++t->at, *to = memchr(from, quote, (size_t)(t->end - from));
    if (!to || (size_t)(to - from) >= size)
        return ERR(t->err, FORMAT, "%s: a text in its header is not ended or too long", t->name);
    memcpy(out, from, (size_t)(to - from));
    out[to - from] = 0;
    t->at = to + 1;
    return 0;
}

static int take_bool(struct text *t, bool *out)
{
    blanks(t);
    const size_t left = (size_t)(t->end - t->at);
    *out = left >= 4 && !memcmp(t->at, "True", 4);
    if (!*out && (left < 5 || memcmp(t->at, "False", 5)))
        return ERR(t->err, FORMAT, "%s: 'fortran_order' is neither True nor False", t->name);
    t->at += *out ? 4 : 5;
    return 0;
}

static int take_shape(struct text *t, struct npy *a)
{
    if (!take(t, '('))
        return ERR(t->err, FORMAT, "%s: 'shape' is not a tuple", t->name);
    for (a->rank = 0; !take(t, ')'); a->rank++) {
        if (a->rank == NPY_RANK_MAX)
            return ERR(t->err, UNSUPPORTED, "%s has more than %d dimensions", t->name, NPY_RANK_MAX);
        int64_t v = 0;
        int n_digit = 0;
        for (blanks(t); t->at < t->end && *t->at >= '0' && *t->at <= '9'; t->at++, n_digit++)
            if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *t->at - '0', &v))
                return ERR(t->err, RANGE, "%s: a dimension is too large", t->name);
        if (!n_digit)
            return ERR(t->err, FORMAT, "%s: dimension %d of its shape is not a number", t->name, a->rank);
        a->shape[a->rank] = v;
        if (!take(t, ',') && (t->at == t->end || *t->at != ')'))
            return ERR(t->err, FORMAT, "%s: its shape is not ended", t->name);
    }
    return 0;
}

static int read_descr(const struct text *t, struct npy *a, const char *descr)
{
    static const char kinds[] = "biuf";
    const char *kind = strlen(descr) == 3 && descr[1] ? strchr(kinds, descr[1]) : NULL;
    const int size = kind ? descr[2] - '0' : 0;
    const bool known = kind && (descr[0] == '<' || (descr[0] == '|' && size == 1)) && (size == 1 || size == 2 || size == 4 || size == 8) &&
                       !(*kind == 'b' && size != 1) && !(*kind == 'f' && size == 1);
    if (!known)
        return ERR(t->err, UNSUPPORTED, "%s has elements of type '%s', expected little-endian f2, f4, f8, i1 to i8, u1 to u8 or b1", t->name, descr);
    a->kind = *kind == 'b' ? NPY_BOOL : *kind == 'i' ? NPY_INT : *kind == 'u' ? NPY_UINT : NPY_FLOAT;
    a->size = size;
    return 0;
}

enum { HAS_DESCR = 1, HAS_ORDER = 2, HAS_SHAPE = 4 };

static int read_member(struct text *t, struct npy *a, int *has)
{
    char key[32], descr[32];
    bool fortran = false;
    TRY(take_string(t, key, sizeof key));
    if (!take(t, ':'))
        return ERR(t->err, FORMAT, "%s: no ':' behind '%s' in its header", t->name, key);
    const int which = !strcmp(key, "descr") ? HAS_DESCR : !strcmp(key, "fortran_order") ? HAS_ORDER : !strcmp(key, "shape") ? HAS_SHAPE : 0;
    if (!which || *has & which)
        return ERR(t->err, FORMAT, "%s: '%s' in its header, expected 'descr', 'fortran_order' and 'shape', each once", t->name, key);
    *has |= which;
    if (which == HAS_SHAPE)
        return take_shape(t, a);
    if (which == HAS_DESCR) {
        blanks(t);
        if (t->at < t->end && *t->at == '[')
            return ERR(t->err, UNSUPPORTED, "%s has records as elements, expected numbers", t->name);
        TRY(take_string(t, descr, sizeof descr));
        return read_descr(t, a, descr);
    }
    TRY(take_bool(t, &fortran));
    return fortran ? ERR(t->err, UNSUPPORTED, "%s is in Fortran order, expected C order (numpy.ascontiguousarray)", t->name) : 0;
}

static int read_header(struct text *t, struct npy *a)
{
    int has = 0;
    if (!take(t, '{'))
        return ERR(t->err, FORMAT, "%s: its header is no dictionary", t->name);
    while (!take(t, '}')) {
        TRY(read_member(t, a, &has));
        if (!take(t, ',') && (t->at == t->end || *t->at != '}'))
            return ERR(t->err, FORMAT, "%s: its header is not ended", t->name);
    }
    if (has != (HAS_DESCR | HAS_ORDER | HAS_SHAPE))
        return ERR(t->err, FORMAT, "%s: its header lacks %s", t->name, !(has & HAS_DESCR) ? "'descr'" : !(has & HAS_ORDER) ? "'fortran_order'" : "'shape'");
    return 0;
}

/* ---- the file ---- */

static int count_elements(struct npy *a, size_t left, const char *name, struct err *err)
{
    a->n = 1;
    for (int i = 0; i < a->rank; i++)
        if (__builtin_mul_overflow(a->n, a->shape[i], &a->n))
            return ERR(err, RANGE, "%s: its shape has more elements than can be counted", name);
    if ((uint64_t)a->n > NPY_BYTES_MAX / (size_t)a->size)
        return ERR(err, RANGE, "%s has %" PRId64 " elements of %d bytes, at most 4 GiB are read", name, a->n, a->size);
    const size_t want = (size_t)a->n * (size_t)a->size;
    return left == want ? 0 : ERR(err, CORRUPT, "%s has %zu bytes of elements, expected %zu as its shape says", name, left, want);
}

int npy_parse(struct npy *out, const void *file, size_t n, const char *name, struct err *err)
{
    const unsigned char *p = file;
    *out = (struct npy){ 0 };
    if (n < 10 || memcmp(p, "\x93NUMPY", 6))
        return ERR(err, FORMAT, "%s is no .npy file: it does not begin with \\x93NUMPY", name);
    if (p[6] < 1 || p[6] > 3)
        return ERR(err, UNSUPPORTED, "%s is of version %d.%d of the .npy format, expected 1, 2 or 3", name, p[6], p[7]);
    const size_t head = p[6] == 1 ? 10 : 12;
    if (n < head)
        return ERR(err, CORRUPT, "%s is cut off in its header", name);
    const size_t len = p[6] == 1 ? (size_t)p[8] | (size_t)p[9] << 8 : (size_t)p[8] | (size_t)p[9] << 8 | (size_t)p[10] << 16 | (size_t)p[11] << 24;
    if (len > n - head)
        return ERR(err, CORRUPT, "%s is cut off in its header: %zu bytes, expected %zu", name, n - head, len);
    struct text t = { (const char *)p + head, (const char *)p + head + len, name, err };
    TRY(read_header(&t, out));
    TRY(count_elements(out, n - head - len, name, err));
    buf_init(&out->bytes);
    const int rc = buf_add(&out->bytes, p + head + len, n - head - len, err);
    if (rc < 0)
        npy_release(out);
    return rc;
}

void npy_release(struct npy *a)
{
    buf_release(&a->bytes);
    *a = (struct npy){ 0 };
}

/* ---- elements ---- */

static double half_to_double(uint16_t h)
{
    const int exponent = h >> 10 & 31, fraction = h & 1023;
    const double v = exponent == 31 ? (fraction ? NAN : INFINITY) : exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return h >> 15 ? -v : v;
}

static uint64_t raw(const struct npy *a, int64_t i)
{
    uint64_t v = 0;
    memcpy(&v, a->bytes.data + (size_t)i * (size_t)a->size, (size_t)a->size);
    return v;
}

static int64_t signed_of(uint64_t v, int size)
{
    const int unused = 64 - 8 * size;
    return (int64_t)(v << unused) >> unused;
}

double npy_double(const struct npy *a, int64_t i)
{
    const uint64_t v = raw(a, i);
    float f;
    double d;
    if (a->kind != NPY_FLOAT)
        return a->kind == NPY_INT ? (double)signed_of(v, a->size) : (double)v;
    if (a->size == 2)
        return half_to_double((uint16_t)v);
    if (a->size == 4) {
        memcpy(&f, &v, 4);
        return (double)f;
    }
    memcpy(&d, &v, 8);
    return d;
}

int npy_int(const struct npy *a, int64_t i, const char *name, int64_t *out, struct err *err)
{
    const uint64_t v = raw(a, i);
    if (a->kind == NPY_FLOAT) {
        const double d = npy_double(a, i);
        if (!(fabs(d) < 0x1p53) || d != floor(d))
            return ERR(err, FORMAT, "%s: element %" PRId64 " is %g, expected a whole number", name, i, d);
        *out = (int64_t)d;
        return 0;
    }
    if (a->kind == NPY_UINT && v > INT64_MAX)
        return ERR(err, RANGE, "%s: element %" PRId64 " is %" PRIu64 ", expected less than 2^63", name, i, v);
    *out = a->kind == NPY_INT ? signed_of(v, a->size) : (int64_t)v;
    return 0;
}

void npy_describe(const struct npy *a, char out[200])
{
    static const char *const kinds[] = { "bool", "int", "uint", "float" };
    int at = a->kind == NPY_BOOL ? snprintf(out, 200, "bool [") : snprintf(out, 200, "%s%d [", kinds[a->kind], 8 * a->size);
    for (int i = 0; i < a->rank; i++)
        at += snprintf(out + at, 200 - (size_t)at, "%s%" PRId64, i ? ", " : "", a->shape[i]);
    snprintf(out + at, 200 - (size_t)at, "]");
}
