#include "store/journal.h"
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"
#include "base/tree.h"
#include "base/utf8.h"

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
enum { PAGE = 500 };

/* Control characters would be written in two ways by RFC 8785's writers, and in a terminal by none. */
static int check_text(const char *what, const char *text, struct err *err)
{
    const char *end = text + strlen(text);
    if (end - text > JOURNAL_TEXT_MAX)
        return ERR(err, USAGE, "%s has %zu bytes, expected at most %d", what, (size_t)(end - text), JOURNAL_TEXT_MAX);
    for (const char *p = text; p < end;) {
        const int n = utf8_plain(p, end);
        if (!n)
            return ERR(err, USAGE, "%s has a control character or is not UTF-8 at byte %zu", what, (size_t)(p - text));
        p += n;
    }
    return 0;
}

int journal_by_check(const struct journal_by *by, struct err *err)
{
    TRY(check_text("the actor", by->actor ? by->actor : "", err));
    return check_text("the reason", by->reason ? by->reason : "", err);
}

/* ---- writing ---- */

int journal_head(struct journal_head *out, struct db *db, struct err *err)
{
    struct db_rows *r;
    *out = (struct journal_head){ .hash = ZEROS };
    TRY(db_query(&r, db, "SELECT seq, t, hash FROM journal ORDER BY seq DESC LIMIT 1", NULL, 0, err));
    const int rc = db_next(r, err);
    if (rc == 1) {
        out->seq = db_int(r, 0);
        snprintf(out->t, sizeof out->t, "%s", db_text(r, 1));
        snprintf(out->hash, sizeof out->hash, "%s", db_text(r, 2));
    }
    db_rows_free(r);
    return rc < 0 ? rc : 0;
}

static int stamp(json_t *record, const struct journal_head *last, char t[WHEN_TEXT], struct err *err)
{
    int64_t now = when_now(), before = -1;
    when_text(t, now);
    if (!last->seq || strcmp(t, last->t) > 0)
        return json_object_set_new(record, "t", json_string(t)) ? ERR(err, NOMEM, "no memory for a record") : 0;
    if (when_parse(&before, last->t, err))
        return ERR(err, CORRUPT, "record %lld of the journal has the time '%s'", (long long)last->seq, last->t);
    const int rc = json_object_set_new(record, "clock", json_string(t));
    when_text(t, before + 1);
    return rc || json_object_set_new(record, "t", json_string(t)) ? ERR(err, NOMEM, "no memory for a record") : 0;
}

/* A number as ECMAScript writes it: the fewest digits that are it, and an exponent below 1e-6 and from 1e18 on (there from 1e21 on, but who reads it takes
 * what has neither point nor exponent for a whole number of 64 bits). */
static int add_real(struct buf *b, double v, struct err *err)
{
    char text[40], digits[24];
    int n = 0;
    for (int k = 0; k < 17; k++) {
        snprintf(text, sizeof text, "%.*e", k, v);
        if (strtod(text, NULL) == v)
            break;
    }
    const char *e = strchr(text, 'e');
    const int point = atoi(e + 1) + 1;               /* 0.DIGITS times ten to it */
    for (const char *p = text; p < e; p++)
        if (*p >= '0' && *p <= '9')
            digits[n++] = *p;
    digits[n] = 0;
    if (v == 0)
        return buf_add_char(b, '0', err);
    if (v < 0)
        TRY(buf_add_char(b, '-', err));
    if (n <= point && point <= 18)
        return buf_printf(b, err, "%s%.*s", digits, point - n, "000000000000000000");
    if (0 < point && point < n)
        return buf_printf(b, err, "%.*s.%s", point, digits, digits + point);
    if (-6 < point && point <= 0)
        return buf_printf(b, err, "0.%.*s%s", -point, "00000", digits);
    return buf_printf(b, err, "%c%s%se%+d", digits[0], n > 1 ? "." : "", digits + 1, point - 1);
}

static int add_canonical(struct buf *b, const json_t *v, struct err *err);

static int by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

static int add_object(struct buf *b, const json_t *o, struct err *err)
{
    const size_t n = json_object_size(o);
    const char **key = mem_alloc_array(n + 1, sizeof *key), *name;
    json_t *v;
    size_t k = 0;
    if (!key)
        return ERR(err, NOMEM, "no memory for a record");
    json_object_foreach((json_t *)(uintptr_t)o, name, v)
        key[k++] = name;
    qsort(key, n, sizeof *key, by_name);
    int rc = buf_add_char(b, '{', err);
    for (k = 0; k < n && !rc; k++) {
        json_t *text = json_string(key[k]);
        rc = k ? buf_add_char(b, ',', err) : 0;
        rc = rc ? rc : text ? add_canonical(b, text, err) : ERR(err, NOMEM, "no memory for a record");
        rc = rc ? rc : buf_add_char(b, ':', err);
        rc = rc ? rc : add_canonical(b, json_object_get(o, key[k]), err);
        json_decref(text);
    }
    mem_free(key);
    return rc ? rc : buf_add_char(b, '}', err);
}

/* RFC 8785. */
static int add_canonical(struct buf *b, const json_t *v, struct err *err)
{
    size_t i;
    const json_t *item;
    if (json_is_object(v))
        return add_object(b, v, err);
    if (json_is_real(v))
        return add_real(b, json_real_value(v), err);
    if (!json_is_array(v)) {
        char *text = tree_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
        const int rc = text ? buf_add_str(b, text, err) : ERR(err, NOMEM, "no memory for a record");
        mem_free(text);
        return rc;
    }
    TRY(buf_add_char(b, '[', err));
    json_array_foreach(v, i, item) {
        TRY(i ? buf_add_char(b, ',', err) : 0);
        TRY(add_canonical(b, item, err));
    }
    return buf_add_char(b, ']', err);
}

int journal_append(struct journal_head *out, struct db *db, json_t *record, const struct journal_by *by, struct err *err)
{
    struct journal_head last;
    TRY(journal_by_check(by, err));
    TRY(journal_head(&last, db, err));
    out->seq = last.seq + 1;
    TRY(stamp(record, &last, out->t, err));
    if (json_object_set_new(record, "seq", json_integer(out->seq)) || json_object_set_new(record, "actor", json_string(by->actor ? by->actor : "")) ||
        json_object_set_new(record, "reason", json_string(by->reason ? by->reason : "")) || json_object_set_new(record, "prev_hash", json_string(last.hash)))
        return ERR(err, NOMEM, "no memory for a record");
    struct buf text;
    buf_init(&text);
    int rc = add_canonical(&text, record, err);
    if (!rc)
        rc = sha256_of(text.data, text.len, out->hash, err);
    if (!rc)
        rc = db_run(db, "INSERT INTO journal (seq, t, name, hash, record) VALUES ($1, $2, $3, $4, $5)",
                    DB_ARGS(DB_I(out->seq), DB_T(out->t), DB_T(tree_text_at(record, "name")), DB_T(out->hash), DB_T(text.data)), NULL, err);
    buf_release(&text);
    return rc;
}

/* ---- reading ---- */

int journal_get(json_t **out, struct db *db, int64_t seq, struct err *err)
{
    struct db_rows *r;
    TRY(db_query(&r, db, "SELECT record FROM journal WHERE seq = $1", DB_ARGS(DB_I(seq)), err));
    int rc = db_next(r, err);
    if (rc == 1)
        rc = tree_parse_json(out, db_text(r, 0), strlen(db_text(r, 0)), "the journal", err);
    else if (!rc)
        rc = ERR(err, NOTFOUND, "the journal has no record %lld", (long long)seq);
    db_rows_free(r);
    return rc;
}

struct step {
    int64_t seq;
    const char *t, *name, *hash, *text;          /* the columns */
    bool has_nul;                                /* in one of them, so that there is more than is read */
    char found[SHA256_HEX];                      /* the digest of text */
};

static bool in_number(char c) { return c && strchr("+-.0123456789eE", c); }

/* Is it the same text, but for how numbers that are not whole are written?  Older records have 17 digits of them, and 50.0 for 50. */
static bool same_form(const char *a, const char *b)
{
    for (bool quoted = false; *a && *a == *b; a++, b++) {
        if (*a == '\\' && a[1] == b[1] && a[1])
            a++, b++;
        else if (*a == '"')
            quoted = !quoted;
        else if (!quoted && (*a == '-' || (*a >= '0' && *a <= '9'))) {
            size_t n_a = 0, n_b = 0;
            while (in_number(a[n_a]))
                n_a++;
            while (in_number(b[n_b]))
                n_b++;
            const bool equal = n_a == n_b && !memcmp(a, b, n_a), real = memchr(b, '.', n_b) || memchr(b, 'e', n_b);
            if (!equal && !(real && strtod(a, NULL) == strtod(b, NULL)))
                return false;
            a += n_a - 1, b += n_b - 1;
        }
    }
    return !*a && !*b;
}

/* Is the record's text the canonical form of what it says? */
static int is_canonical(const json_t *record, const char *text, bool *same, struct err *err)
{
    struct buf again;
    buf_init(&again);
    const int rc = add_canonical(&again, record, err);
    *same = !rc && same_form(again.data, text);
    buf_release(&again);
    return rc;
}

/* *wrong: what is wrong with a record that follows on last, or NULL.  *record is the caller's. */
static int judge(const struct step *s, const struct journal_head *last, json_t **record, const char **wrong, struct err *err)
{
    bool same;
    *record = NULL, *wrong = NULL;
    if (s->seq != last->seq + 1)
        *wrong = "does not follow on the one before: some are missing";
    else if (s->has_nul)
        *wrong = "has a NUL in it: it was changed";
    else if (strcmp(s->found, s->hash))
        *wrong = "is not what its hash says: it was changed";
    if (*wrong)
        return 0;
    const int rc = tree_parse_json(record, s->text, strlen(s->text), "the journal", err);
    if (rc == ERR_NOMEM)
        return rc;
    if (rc || !json_is_object(*record)) {
        *wrong = "is no object of JSON";
        return 0;
    }
    TRY(is_canonical(*record, s->text, &same, err));
    if (!same)
        *wrong = "is not canonical JSON";
    else if (strcmp(tree_text_at(*record, "prev_hash"), last->hash))
        *wrong = "does not name the hash of the one before: one of the two was changed";
    else if (json_integer_value(json_object_get(*record, "seq")) != s->seq || strcmp(tree_text_at(*record, "t"), s->t) ||
             strcmp(tree_text_at(*record, "name"), s->name))
        *wrong = "is filed under another number, time or name";
    else if (strcmp(s->t, last->t) <= 0)
        *wrong = "is not later than the one before";
    return 0;
}

static int walk_row(struct db_rows *r, journal_each *each, journal_bad *bad, void *ctx, struct journal_head *head, struct err *err)
{
    struct step s = { .seq = db_int(r, 0), .t = db_text(r, 1), .name = db_text(r, 2), .hash = db_text(r, 3), .text = db_text(r, 4) };
    for (int i = 1; i < 5; i++)
        s.has_nul |= db_bytes(r, i) != strlen(db_text(r, i));
    TRY(sha256_of(s.text, strlen(s.text), s.found, err));
    json_t *record;
    const char *wrong;
    int rc = judge(&s, head, &record, &wrong, err);
    if (!rc && wrong)
        rc = bad(ctx, s.seq, wrong, err);
    if (!rc && record)
        rc = each(ctx, record, err);
    json_decref(record);
    head->seq = s.seq;
    snprintf(head->t, sizeof head->t, "%s", s.t);
    snprintf(head->hash, sizeof head->hash, "%s", s.hash);
    return rc;
}

int journal_walk(struct db *db, journal_each *each, journal_bad *bad, void *ctx, struct journal_head *head, struct err *err)
{
    *head = (struct journal_head){ .hash = ZEROS };
    int rc = 0, n = PAGE;
    for (int64_t from = INT64_MIN; n == PAGE && !rc;) {
        struct db_rows *r;
        TRY(db_query(&r, db, "SELECT seq, t, name, hash, record FROM journal WHERE seq > $1 ORDER BY seq LIMIT 500", DB_ARGS(DB_I(from)), err));
        n = 0;
        while (!rc && (rc = db_next(r, err)) == 1)
            n++, rc = walk_row(r, each, bad, ctx, head, err);
        db_rows_free(r);
        from = head->seq;
    }
    return rc;
}
#undef ZEROS
