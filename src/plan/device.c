#include "plan/device.h"
#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "base/opt.h"

#define COUNT(a) (int)(sizeof(a) / sizeof *(a))
#define T(x) ((x) * 1e12)
#define G(x) ((x) * 1e9)
#define GIB(x) ((x) * 1073741824.0)
#define MIB(x) ((x) * 1048576.0)
static const struct device table[] = {
#define DEVICE(...) { __VA_ARGS__ },
#include "plan/devices.def"
#undef DEVICE
};

static const struct { const char *name; double bytes, bits; enum number wider; } numbers[N_NUMBER] = {
    [NUMBER_F32] = { "f32", 4, 32, NUMBER_F32 }, [NUMBER_BF16] = { "bf16", 2, 16, NUMBER_F32 }, [NUMBER_FP8] = { "fp8", 1, 8 + 32. / (128 * 128), NUMBER_BF16 },
    [NUMBER_INT8] = { "int8", 1, 8 + 16. / 4096, NUMBER_BF16 }, [NUMBER_FP4] = { "fp4", 0.5, 4.25, NUMBER_FP8 },
};

const char *number_name(enum number n) { return numbers[n].name; }
double number_bytes(enum number n) { return numbers[n].bytes; }
double number_bits(enum number n) { return numbers[n].bits; }

const char *device_sure(char out[DEVICE_SURE], const struct device *d)
{
    snprintf(out, DEVICE_SURE, "%s%s%s", d->learnt, *d->learnt ? "; the rest: " : "", d->fitted ? d->fitted : "from its data sheet alone");
    return out;
}

int device_n(void) { return COUNT(table); }
const struct device *device_at(int i) { return &table[i]; }

/* ---- names ---- */

#define NAME_MAX_CHARS 64
struct folded { char text[NAME_MAX_CHARS]; };

static bool ignored_word(const char *w, size_t n)
{
    static const char *const words[] = { "nvidia", "amd", "intel", "apple", "cpu", "gpu", "instinct", "geforce" };
    for (int i = 0; i < COUNT(words); i++)
        if (strlen(words[i]) == n && !strncasecmp(w, words[i], n))
            return true;
    return false;
}

/* Letters and digits in lower case, up to `end`; without (R) and (TM), and without words that say no more than the vendor, unless nothing else is left. */
static struct folded fold(const char *name, const char *end)
{
    struct folded f = { "" };
    size_t n = 0;
    for (const char *p = name; p < end;) {
        if (!strncasecmp(p, "(r)", 3) || !strncasecmp(p, "(tm)", 4)) {
            p = strchr(p, ')') + 1;
            continue;
        }
        const char *w = p;
        while (p < end && isalnum((unsigned char)*p))
            p++;
        if (p == w)
            p++;
        else if (!ignored_word(w, (size_t)(p - w)))
            for (; w < p && n < sizeof f.text - 1; w++)
                f.text[n++] = (char)tolower((unsigned char)*w);
    }
    return f;
}

static struct folded folded(const char *name) { return fold(name, name + strlen(name)); }

/* Calls of a device: its name, its key, each alias.  False when there is no i-th one. */
static bool call_of(const struct device *d, int i, struct folded *out)
{
    if (i < 2) {
        *out = folded(i ? d->key : d->name);
        return true;
    }
    const char *a = d->aliases;
    for (; a && i > 2; i--)
        a = strchr(a, '|') ? strchr(a, '|') + 1 : NULL;
    if (a)
        *out = fold(a, a + strcspn(a, "|"));
    return a != NULL;
}

static const struct device *exact(const char *name)
{
    const struct folded want = folded(name);
    struct folded call;
    for (int i = 0; i < COUNT(table); i++)
        for (int j = 0; call_of(&table[i], j, &call); j++)
            if (want.text[0] && !strcmp(want.text, call.text))
                return &table[i];
    return NULL;
}

/* Is the name a part of one of the device's, or one of the device's a part of it? */
static bool partly(const struct device *d, const struct folded *want)
{
    struct folded call;
    for (int j = 0; call_of(d, j, &call); j++)
        if (want->text[0] && (strstr(call.text, want->text) || strstr(want->text, call.text)))
            return true;
    return false;
}

/* The names that are nearest, the same letters in a row first, then by edit distance. */
#define NEAREST 4
static void nearest(const char *name, char *out, size_t n)
{
    const struct folded want = folded(name);
    struct folded keys[COUNT(table)];
    const char *list[COUNT(table)];
    bool told[COUNT(table)] = { false };
    int found = 0;
    size_t at = 0;
    for (int i = 0; i < COUNT(table); i++)
        keys[i] = folded(table[i].key), list[i] = keys[i].text;
    out[0] = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < COUNT(table) && found < NEAREST; i++) {
            int hit = i;
            if (pass) {
                const char *near = word_nearest(want.text, list, COUNT(table));
                if (!near)
                    return;
                for (hit = 0; list[hit] != near;)
                    hit++;
            } else if (!partly(&table[i], &want)) {
                continue;
            }
            list[hit] = "";
            if (!told[hit] && at < n)
                at += (size_t)snprintf(out + at, n - at, "%s%s", found++ ? ", " : "", table[hit].key);
            told[hit] = true;
        }
}

const struct device *device_find(const char *name, struct err *err)
{
    const struct device *d = exact(name);
    char near[200];
    if (d)
        return d;
    nearest(name, near, sizeof near);
    if (near[0])
        (void)ERR(err, NOTFOUND, "no accelerator '%s' is known; nearest: %s", name, near);
    else
        (void)ERR(err, NOTFOUND, "no accelerator '%s' is known, and none has a name like it; expected one of doc/devices.md, as mi300x or h100", name);
    return NULL;
}

/* ---- modes ---- */

/* By AMD's measurements of an MI300X: all dies as devices of their own multiply 10 to 15 % more together, and four domains copy 4.21 TB/s instead of 4.02
 * (ROCm blog on compute and memory modes, 2025); 64 of them reach 26 of 56 GB/s in long exchanges (ROCm blog on RCCL's tuner). */
#define CPX_MMA 1.125
#define NPS4_REACH (4.21 / 4.02)
#define CPX_LINK_SHARE 0.46

/* How many devices a mode makes of a package of 8 dies, and of 6; 0: it is not offered there (ROCm's docs of amd-smi and amdgpu). */
static const struct { const char *name; int of_8, of_6; } modes[] = { { "spx", 1, 1 }, { "dpx", 2, 0 }, { "tpx", 0, 3 }, { "qpx", 4, 0 }, { "cpx", 8, 6 } };

static int parts_by(const struct device *d, int mode) { return d->dies == 8 ? modes[mode].of_8 : d->dies == 6 ? modes[mode].of_6 : 0; }

static int parts_of(const struct device *d, const char *word, size_t n)
{
    for (int i = 0; i < COUNT(modes); i++)
        if (strlen(modes[i].name) == n && !strncasecmp(word, modes[i].name, n))
            return parts_by(d, i);
    return 0;
}

static int domains_of(const struct device *d, const char *word, size_t n)
{
    const int domains = n == 4 && !strncasecmp(word, "nps", 3) ? word[3] - '0' : 0;
    return (domains == 1 || domains == 2 || domains == 4) && domains <= d->domains ? domains : 0;
}

static void divide(struct device *d, int parts, int domains)
{
    static const char *const names[] = { [1] = "SPX", [2] = "DPX", [3] = "TPX", [4] = "QPX" };
    for (int i = 0; i < N_NUMBER; i++)
        d->peak[i] /= parts;
    d->memory /= parts, d->bandwidth /= parts, d->units /= parts;
    d->link /= parts, d->link_pair /= parts, d->network /= parts, d->node *= parts;
    d->watts /= parts, d->price_low /= parts, d->price /= parts, d->price_high /= parts;
    if (parts == d->dies) {
        d->mma *= CPX_MMA;
        for (int i = 0; i < N_NUMBER; i++)
            d->mma_of[i] *= CPX_MMA;
        d->link_share = fmin(d->link_share, CPX_LINK_SHARE);
    }
    if (domains == 4)
        d->reach *= NPS4_REACH;
    snprintf(d->mode, sizeof d->mode, "%s/NPS%d", parts == d->dies ? "CPX" : names[parts], domains);
}

static int mode_unknown(const struct device *d, const char *mode, struct err *err)
{
    if (!d->dies)
        return ERR(err, USAGE, "%s has no partition modes, found ':%s'", d->name, mode);
    return ERR(err, USAGE, "%s: found mode '%s', expected one of %s and one of %s, as in %s:cpx/nps%d", d->name, mode,
               d->dies == 8 ? "spx, dpx, qpx, cpx" : "spx, tpx, cpx",
               d->domains == 4 ? "nps1, nps2, nps4" : d->domains == 2 ? "nps1, nps2" : "nps1", d->key, d->domains);
}

int device_mode(struct device *out, const char *name, struct err *err)
{
    const char *colon = strchr(name, ':');
    const size_t n = colon ? (size_t)(colon - name) : strlen(name);
    char head[128];
    memcpy(head, name, n < sizeof head ? n : sizeof head - 1);
    head[n < sizeof head ? n : sizeof head - 1] = 0;
    const struct device *d = device_find(head, err);
    if (!d)
        return ERR_NOTFOUND;
    *out = *d;
    if (!colon)
        return 0;
    int parts = 0, domains = 0;
    for (const char *p = colon + 1;; p++) {
        const size_t len = strcspn(p, "/+-,");
        const int a = parts ? 0 : parts_of(d, p, len), b = domains ? 0 : domains_of(d, p, len);
        if (!a && !b)
            return mode_unknown(d, colon + 1, err);
        parts = a ? a : parts, domains = b ? b : domains;
        if (!*(p += len))
            break;
    }
    parts = parts ? parts : 1, domains = domains ? domains : 1;
    if (domains > parts || (domains == 4 && parts < d->dies))
        return ERR(err, USAGE, "%s: NPS%d divides memory between %d domains, and there are %d devices for them; expected %s, as in %s:cpx/nps%d",
                   d->name, domains, domains, parts, domains == 4 ? "all dies" : "as many devices at least", d->key, domains);
    divide(out, parts, domains);
    return 0;
}

/* ---- of products ---- */

enum number device_multiplied(const struct device *d, enum number what)
{
    while (!d->peak[what] && what != numbers[what].wider)
        what = numbers[what].wider;
    return what;
}

double device_peak(const struct device *d, enum number what) { return d->peak[device_multiplied(d, what)]; }

struct product_device device_product(const struct device *d, enum number what)
{
    const enum number by = device_multiplied(d, what);
    const double mma = d->mma_of[by] ? d->mma_of[by] : d->mma;
    return (struct product_device){ d->peak[by] * number_bytes(what) / 2, d->bandwidth, d->units, mma, d->reach, d->launch, d->tile, d->ridge };
}
