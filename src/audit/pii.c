/* pii.c - the rows of pii.def over a text: expressions that several rows share are looked for once, then each row has its check and words. */
#include "audit/pii.h"
#include <stdbool.h>
#include <string.h>
#include "audit/patterns.h"
#include "audit/pii_check.h"
#include "base/mem.h"

static const char *const name[] = {
#define X(name, plain) #name,
    PII_ENTITIES(X)
#undef X
};

const char *pii_name(int entity) { return entity >= 0 && entity < N_PII ? name[entity] : "?"; }

int pii_find_name(const char *s)
{
    int i = 0;
    while (i < N_PII && strcmp(name[i], s))
        i++;
    return i;
}

struct row { const char *name, *expr, *hint; uint32_t before; enum pattern_kind kind; int entity, base, valid; pii_check *check; const char *context; };

static const struct row row[] = {
#define PII_TEXT(entity, expr, hint, before, base, valid, check, context) \
    { #entity, expr, hint, before, PATTERN_TEXT, PII_##entity, base, valid, pii_check_##check, context },
#define PII_NEAR(entity, expr, base, valid, check, context) \
    { #entity, expr, NULL, 0, PATTERN_NEAR, PII_##entity, base, valid, pii_check_##check, context },
#include "audit/pii.def"
};
enum { N_ROW = sizeof row / sizeof *row };

int pii_digest(char hex[SHA256_HEX], struct err *err)
{
    struct sha256 h;
    TRY(sha256_init(&h, err));
    for (int i = 0; i < N_ROW; i++) {
        const int of[] = { row[i].entity, row[i].base, row[i].valid };
        sha256_add(&h, row[i].name, strlen(row[i].name) + 1);
        sha256_add(&h, row[i].expr, strlen(row[i].expr) + 1);
        sha256_add(&h, row[i].context, strlen(row[i].context) + 1);
        sha256_add(&h, of, sizeof of);
    }
    sha256_end(&h, hex);
    return 0;
}

/* What opens a window for the near ones: six digits in a row, four parts of an IPv4 address, four digits behind a letter, the beginning of an
 * Italian code. */
static const char *const opens[] = {
    "[0-9](?:[ .()/:+-]{0,3}[0-9]){5}", "[0-9]\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]", "(?i)[a-z][0-9]{4}", "(?i)[a-z][0-9]{2}[abcdehlmprst][0-9]{2}[a-z]",
};
enum { N_OPENS = sizeof opens / sizeof *opens };

/* first: by pattern, its first row, -1 of what opens; next: of a row, the next one with the same expression, or -1. */
struct pii { struct patterns *patterns; int first[N_ROW + N_OPENS], next[N_ROW]; };
struct pii_state { struct patterns_state *state; struct spots spots; };

static int pattern_of(const struct pii *p, int n, const char *expr)
{
    int k = 0;
    while (k < n && strcmp(row[p->first[k]].expr, expr))
        k++;
    return k;
}

int pii_new(struct pii **out, struct err *err)
{
    struct pattern pattern[N_ROW + N_OPENS];
    struct pii *p = mem_alloc_zero(sizeof *p);
    int n = 0;
    if (!p)
        return ERR(err, NOMEM, "no memory to look for personal data");
    for (int i = 0; i < N_ROW; i++) {
        const int k = pattern_of(p, n, row[i].expr);
        int *place = &p->first[k];
        if (k == n)
            pattern[n++] = (struct pattern){ row[i].name, row[i].expr, row[i].hint, row[i].before, row[i].kind }, *place = -1;
        while (*place >= 0)
            place = &p->next[*place];
        *place = i;
        p->next[i] = -1;
    }
    for (int i = 0; i < N_OPENS; i++) {
        p->first[n] = -1;
        pattern[n++] = (struct pattern){ "digits", opens[i], NULL, PATTERN_WINDOW, PATTERN_OPENS };
    }
    const int rc = patterns_new(&p->patterns, pattern, n, err);
    if (rc) {
        mem_free(p);
        return rc;
    }
    *out = p;
    return 0;
}

void pii_free(struct pii *p)
{
    if (p)
        patterns_free(p->patterns);
    mem_free(p);
}

int pii_state_new(struct pii_state **out, const struct pii *p, struct err *err)
{
    struct pii_state *s = mem_alloc_zero(sizeof *s);
    if (!s)
        return ERR(err, NOMEM, "no memory to look for personal data");
    const int rc = patterns_state_new(&s->state, p->patterns, err);
    if (rc) {
        mem_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

void pii_state_free(struct pii_state *s)
{
    if (!s)
        return;
    patterns_state_free(s->state);
    spots_release(&s->spots);
    mem_free(s);
}

uint64_t pii_given_up(const struct pii_state *s) { return patterns_given_up(s->state); }

/* ---- words near a match ---- */

static bool word_byte(unsigned char c) { return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c >= 0x80; }
static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

/* What stands around a match, in small letters, the match itself being a blank; where its words begin; first: a bit for each letter that one begins with. */
struct around { size_t at, n, size, n_start; uint32_t first; uint16_t start[PII_BEFORE + PII_BEHIND + 1]; char text[PII_BEFORE + PII_BEHIND + 1]; };
struct finding { const struct pii *pii; struct pii_state *state; const char *text; size_t n; int score_min, rc; struct err *err; struct around around; };

static uint32_t first_bit(unsigned char c) { return 1u << (c & 31); }

static void add_lower(struct around *a, const char *s, size_t n)
{
    char *const out = a->text + a->size;
    uint32_t first = 0, before = a->size && word_byte((unsigned char)out[-1]);
    size_t n_start = a->n_start;
    for (size_t i = 0; i < n; i++)
        out[i] = lower(s[i]);
    for (size_t i = 0; i < n; i++) {
        const uint32_t in = word_byte((unsigned char)out[i]), begins = in & ~before;
        first |= begins << (out[i] & 31);
        a->start[n_start] = (uint16_t)(a->size + i);
        n_start += begins;
        before = in;
    }
    a->first |= first;
    a->size += n;
    a->n_start = n_start;
}

static bool has_letters(const char *s, size_t n)
{
    unsigned char any = 0;
    for (size_t i = 0; i < n; i++)
        any |= (unsigned char)s[i] >= 'A';
    return any;
}

static const struct around *around_of(struct finding *f, struct pattern_group g)
{
    struct around *a = &f->around;
    if (a->size && a->at == g.at && a->n == g.n)
        return a;
    const size_t from = g.at > PII_BEFORE ? g.at - PII_BEFORE : 0, behind = g.at + g.n, to = f->n - behind > PII_BEHIND ? behind + PII_BEHIND : f->n;
    a->at = g.at, a->n = g.n, a->size = 0, a->n_start = 0, a->first = 0;
    if (!has_letters(f->text + from, g.at - from) && !has_letters(f->text + behind, to - behind))
        return a->size = 1, a;              /* no word's first letter is there: the text is not looked at */
    add_lower(a, f->text + from, g.at - from);
    add_lower(a, " ", 1);
    add_lower(a, f->text + behind, to - behind);
    return a;
}

/* Whole, or with an s. */
static bool has_word(const struct around *a, const char *word, size_t m)
{
    if (!(a->first & first_bit((unsigned char)*word)))
        return false;
    for (size_t i = 0; i < a->n_start; i++) {
        const char *p = a->text + a->start[i], *end = a->text + a->size, *q = p + m;
        if (*p != *word || (size_t)(end - p) < m || memcmp(p, word, m))
            continue;
        q += q < end && *q == 's' && word_byte((unsigned char)q[-1]);
        if (q == end || !word_byte((unsigned char)*q))
            return true;
    }
    return false;
}

/* words: divided by |. */
static bool has_one_of(const struct around *a, const char *words)
{
    for (const char *w = words, *end; *w && a->first; w = *end ? end + 1 : end) {
        end = strchrnul(w, '|');
        if (has_word(a, w, (size_t)(end - w)))
            return true;
    }
    return false;
}

/* ---- a match ---- */

static int raised(int score)
{
    score += PII_RAISE;
    return score < PII_LEAST ? PII_LEAST : score > 100 ? 100 : score;
}

/* Bytes that the row takes, 0: it is none of its. */
static size_t try_row(struct finding *f, const struct row *r, struct pattern_group g)
{
    size_t n = g.n;
    const int says = r->check(f->text + g.at, &n, f->text + f->n);
    if (says == PII_NO)
        return 0;
    int score = says == PII_MAYBE ? r->base : says == PII_YES ? r->valid : says;
    if (score < 100 && raised(score) >= f->score_min && has_one_of(around_of(f, (struct pattern_group){ g.at, n }), r->context))
        score = raised(score);
    if (score >= f->score_min && !f->rc)
        f->rc = spots_add(&f->state->spots, (struct spot){ g.at, n, (uint16_t)r->entity, (uint8_t)score }, f->err);
    return n;
}

/* The most that a row took. */
static size_t found(void *ctx, int i, const struct pattern_group *group)
{
    struct finding *f = ctx;
    size_t taken = 0;
    for (int r = f->pii->first[i]; r >= 0; r = f->pii->next[r]) {
        const size_t n = try_row(f, &row[r], group[0]);
        taken = n > taken ? n : taken;
    }
    return taken;
}

int pii_spots(const struct pii *p, struct pii_state *s, const char *text, size_t n, int score_min, const struct spot **spot, size_t *n_spot, struct err *err)
{
    struct finding f = { .pii = p, .state = s, .text = text, .n = n, .score_min = score_min > 0 ? score_min : 1, .err = err };
    spots_clear(&s->spots);
    TRY(patterns_scan(p->patterns, s->state, text, n, found, &f, err));
    TRY(f.rc);
    TRY(spots_resolve(&s->spots, err));
    *spot = s->spots.spot;
    *n_spot = s->spots.n;
    return 0;
}
