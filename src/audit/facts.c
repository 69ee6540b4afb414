#include "audit/facts.h"
#include <string.h>
#include "audit/dup.h"
#include "audit/images.h"
#include "data/language.h"
#include "base/mem.h"

struct facts_thread {
    struct record_place place;
    struct image_facts image;
    struct words *cut;
    struct spans english;                        /* words of the text, for all who want them */
    struct signals_maker *signals;
    uint32_t counts[N_SIGNAL];
    struct language language;
    char room[LANGUAGE_LOOK + LANGUAGE_PAD];      /* for the language */
    struct contam_state *contam;
    struct minhash_text *minhash; uint64_t *sig; unsigned char *dup;
    struct pieces lines, paragraphs;
    uint32_t words;
    struct pii_state *pii;
    struct secret_state *secret;
    struct buf pii_spots, secret_spots;
};

struct facts { const struct audit_opts *o; struct minhash *minhash; int n_thread; struct facts_thread thread[]; };

static int begin_thread(const struct facts *f, struct facts_thread *t, struct err *err)
{
    buf_init(&t->pii_spots);
    buf_init(&t->secret_spots);
    if (f->o->pii)
        TRY(pii_state_new(&t->pii, f->o->pii, err));
    if (f->o->secrets)
        TRY(secret_state_new(&t->secret, f->o->secrets, err));
    t->sig = mem_alloc_array(minhash_room(f->minhash), sizeof *t->sig);
    t->dup = mem_alloc(dup_row_bytes(f->minhash));
    if (!t->sig || !t->dup)
        return ERR(err, NOMEM, "no memory for signatures");
    TRY(minhash_text_new(&t->minhash, f->minhash, err));
    if (f->o->signals) {
        TRY(words_new(&t->cut, err));
        TRY(signals_new(&t->signals, f->o->signals, err));
    }
    return f->o->contam ? contam_state_new(&t->contam, f->o->contam, err) : 0;
}

int facts_new(struct facts **out, int n_thread, const struct audit_opts *o, struct err *err)
{
    struct facts *f = *out = mem_alloc_zero(sizeof *f + (size_t)n_thread * sizeof *f->thread);
    if (!f)
        return ERR(err, NOMEM, "no memory for an audit by %d threads", n_thread);
    f->n_thread = n_thread, f->o = o;
    int rc = minhash_new(&f->minhash, &o->minhash, err);
    for (int i = 0; i < n_thread && !rc; i++)
        rc = begin_thread(f, &f->thread[i], err);
    if (rc) {
        facts_free(f);
        *out = NULL;
    }
    return rc;
}

void facts_free(struct facts *f)
{
    for (int i = 0; f && i < f->n_thread; i++) {
        struct facts_thread *t = &f->thread[i];
        words_free(t->cut);
        spans_release(&t->english);
        signals_free(t->signals);
        contam_state_free(t->contam);
        minhash_text_free(t->minhash);
        mem_free(t->sig);
        mem_free(t->dup);
        pieces_release(&t->lines);
        pieces_release(&t->paragraphs);
        pii_state_free(t->pii);
        secret_state_free(t->secret);
        buf_release(&t->pii_spots);
        buf_release(&t->secret_spots);
    }
    if (f)
        minhash_free(f->minhash);
    mem_free(f);
}

static struct record_place place_of(int file, const struct pass_record *r)
{
    struct record_place p = { .at = r->at, .line = r->line, .number = r->number, .n_raw = r->raw_bytes, .n_text = r->n, .file = (uint32_t)file, .fault = r->fault };
    if (r->text)
        sha256_bytes(r->text, r->n, p.sha256);
    return p;
}

/* Runs of bytes above the blank. */
static uint32_t words_in(const char *text, size_t n)
{
    uint32_t words = 0;
    for (size_t i = 1; i < n; i++)
        words += ((unsigned char)text[i] > ' ') & ((unsigned char)text[i - 1] <= ' ');
    return words + (n && (unsigned char)text[0] > ' ');
}

static int keep_spots(struct buf *out, const struct spot *s, size_t n, uint64_t given_up, struct err *err)
{
    const struct kept_spot none = { 0, given_up < UINT32_MAX ? (uint32_t)given_up : UINT32_MAX, KEPT_GIVEN_UP, 0, 0 };
    buf_clear(out);
    for (size_t i = 0; i < n; i++) {
        const struct kept_spot k = { (uint32_t)s[i].at, (uint32_t)s[i].n, s[i].kind, s[i].score, 0 };
        TRY(buf_add(out, &k, sizeof k, err));
    }
    return given_up ? buf_add(out, &none, sizeof none, err) : 0;
}

static int look_for_spots(struct facts *f, struct facts_thread *t, const char *path, const struct pass_record *r, struct err *err)
{
    const struct spot *spot;
    size_t n;
    if (t->pii) {
        const uint64_t before = pii_given_up(t->pii);
        TRY(pii_spots(f->o->pii, t->pii, r->text, r->n, PII_SCORE_MIN, &spot, &n, err));
        TRY(keep_spots(&t->pii_spots, spot, n, pii_given_up(t->pii) - before, err));
    }
    if (t->secret) {
        const uint64_t before = secret_given_up(t->secret);
        TRY(secret_spots(f->o->secrets, t->secret, path, r->text, r->n, &spot, &n, err));
        TRY(keep_spots(&t->secret_spots, spot, n, secret_given_up(t->secret) - before, err));
    }
    return 0;
}

static int count_signals(const struct facts *f, struct facts_thread *t, const char *text, size_t n, size_t *n_count, struct err *err)
{
    struct signals s;
    TRY(words_of(t->cut, WORDS_ENGLISH, text, n, &t->english, err));
    TRY(signals_of(t->signals, text, n, &t->english, &s, err));
    *n_count = signals_pack(f->o->signals, &s, t->counts);
    return 0;
}

#define PUT(name, data, count) (out->of[SECTION_##name].p = (data), out->of[SECTION_##name].n = (count))

static int duplicates(const struct facts *f, struct facts_thread *t, const struct pass_record *r, struct row *out, struct err *err)
{
    TRY(minhash_text(t->minhash, r->text, r->n, t->sig, err));
    dup_row(f->minhash, t->place.sha256, t->sig, t->dup);
    TRY(pieces_lines(&t->lines, r->text, r->n, err));
    TRY(pieces_paragraphs(&t->paragraphs, r->text, r->n, err));
    PUT(lines, t->lines.piece, t->lines.n);
    PUT(paragraphs, t->paragraphs.piece, t->paragraphs.n);
    return 0;
}

/* An image has no text: only its copies are looked for. */
static int image_row(const struct facts *f, struct facts_thread *t, const struct image *x, struct row *out, struct err *err)
{
    TRY(image_sha256(x, t->place.sha256, err));
    t->image = image_facts_of(x);
    PUT(image, &t->image, 1);
    TRY(minhash_text(t->minhash, "", 0, t->sig, err));
    dup_row(f->minhash, t->place.sha256, t->sig, t->dup);
    return 0;
}

int facts_row(struct facts *f, int file, const char *path, const struct pass_record *r, int i_thread, struct row *out, struct err *err)
{
    struct facts_thread *t = &f->thread[i_thread];
    *out = (struct row){ 0 };
    t->place = place_of(file, r);
    PUT(place, &t->place, 1);
    PUT(dup, t->dup, dup_row_bytes(f->minhash));
    if (t->pii || t->secret) {
        t->words = r->text ? words_in(r->text, r->n) : 0;
        PUT(words, &t->words, 1);
    }
    if (r->fault) {
        dup_row_none(f->minhash, t->dup);
        PUT(why, r->why, strlen(r->why));
        return 0;
    }
    PUT(label, r->x->mark[MARK_LABEL].p, r->x->mark[MARK_LABEL].n);
    PUT(group, r->x->mark[MARK_GROUP].p, r->x->mark[MARK_GROUP].n);
    PUT(time, r->x->mark[MARK_TIME].p, r->x->mark[MARK_TIME].n);
    if (r->x->image.pixels)
        return image_row(f, t, &r->x->image, out, err);
    t->language = language_of(r->text, r->n, t->room);
    PUT(language, &t->language, 1);
    if (f->o->signals) {
        size_t n;
        TRY(count_signals(f, t, r->text, r->n, &n, err));
        PUT(signals, t->counts, n);
    }
    if (f->o->contam) {
        struct contam_found found;
        TRY(contam_record(f->o->contam, t->contam, r->text, r->n, &found, err));
        PUT(contam_hit, found.hit, found.n_hit);
        PUT(contam_mark, found.mark, found.n_mark);
    }
    if (t->pii || t->secret) {
        TRY(look_for_spots(f, t, path, r, err));
        PUT(pii, t->pii_spots.data, t->pii_spots.len / sizeof(struct kept_spot));
        PUT(secret, t->secret_spots.data, t->secret_spots.len / sizeof(struct kept_spot));
    }
    return duplicates(f, t, r, out, err);
}
