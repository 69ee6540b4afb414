#include "store/checkpoint.h"
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include "base/base64.h"
#include "base/mem.h"
#include "base/tree.h"

#define ORIGIN "lathe-registry/"
#define DASH "\xe2\x80\x94 "
enum { KEY_ID = 4 };

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for a checkpoint"); }

/* ---- the tree ---- */

static void node(const unsigned char *left, const unsigned char *right, unsigned char out[SHA256_BYTES])
{
    unsigned char both[1 + 2 * SHA256_BYTES] = { 1 };
    memcpy(both + 1, left, SHA256_BYTES);
    memcpy(both + 1 + SHA256_BYTES, right, SHA256_BYTES);
    sha256_bytes(both, sizeof both, out);
}

/* sum[i] is the root of the last 2^i leaves that bit i of n stands for. */
int merkle_add(struct merkle *m, const char *text, size_t n, struct err *err)
{
    unsigned char sum[SHA256_BYTES];
    struct buf leaf;
    buf_init(&leaf);
    int rc = buf_add_char(&leaf, 0, err);
    if (!rc)
        rc = buf_add(&leaf, text, n, err);
    if (!rc)
        sha256_bytes(leaf.data, leaf.len, sum);
    buf_release(&leaf);
    TRY(rc);
    int i = 0;
    for (; m->n >> i & 1; i++)
        node(m->sum[i], sum, sum);
    memcpy(m->sum[i], sum, sizeof sum);
    m->n++;
    return 0;
}

void merkle_root(const struct merkle *m, unsigned char root[SHA256_BYTES])
{
    bool any = false;
    sha256_bytes("", 0, root);
    for (int i = 0; i < 64; i++) {
        if (!(m->n >> i & 1))
            continue;
        if (any)
            node(m->sum[i], root, root);
        else
            memcpy(root, m->sum[i], SHA256_BYTES);
        any = true;
    }
}

/* ---- making one ---- */

/* The records until now, and whether they were those of an earlier checkpoint when they were as many. */
struct reading { struct merkle tree; const struct checkpoint *before; bool goes_on; };

static int add_record(void *ctx, json_t *record, struct err *err)
{
    struct reading *r = ctx;
    unsigned char root[SHA256_BYTES];
    char *text = tree_dumps(record, JSON_SORT_KEYS | JSON_COMPACT);
    const int rc = text ? merkle_add(&r->tree, text, strlen(text), err) : no_memory(err);
    mem_free(text);
    if (!rc && r->before && r->tree.n == (uint64_t)r->before->seq) {
        merkle_root(&r->tree, root);
        r->goes_on = !memcmp(root, r->before->root, sizeof root);
    }
    return rc;
}

static int refuse_record(void *ctx, int64_t seq, const char *what, struct err *err)
{
    return (void)ctx, ERR(err, CORRUPT, "record %lld of the journal %s: nothing is signed", (long long)seq, what);
}

static int check_before(const struct reading *r, const struct checkpoint *now, struct err *err)
{
    const struct checkpoint *b = r->before;
    if (!b || (r->goes_on && !strcmp(b->id, now->id)))
        return 0;
    if (r->tree.n < (uint64_t)b->seq && !strcmp(b->id, now->id))
        return ERR(err, CORRUPT, "the journal has %llu records, on %.19s it had %lld: it was cut", (unsigned long long)r->tree.n, b->t, (long long)b->seq);
    return ERR(err, CORRUPT, "the journal's first %lld records are not those that were signed on %.19s: it was made anew, or is another's", (long long)b->seq, b->t);
}

static int read_head(struct registry *g, const struct checkpoint *before, struct checkpoint *c, struct err *err)
{
    struct reading reading = { .before = before };
    struct journal_head head;
    TRY(db_begin_read(registry_db(g), err));
    int rc = registry_id(g, c->id, err);
    if (!rc)
        rc = journal_walk(registry_db(g), add_record, refuse_record, &reading, &head, err);
    db_rollback(registry_db(g));
    TRY(rc);
    TRY(check_before(&reading, c, err));
    if (!head.seq)
        return ERR(err, USAGE, "the registry has no records yet");
    merkle_root(&reading.tree, c->root);
    c->seq = head.seq;
    memcpy(c->hash, head.hash, sizeof c->hash);
    when_text(c->t, when_now());
    return 0;
}

int checkpoint_key_check(const struct evp_pkey_st *key, struct err *err)
{
    return strcmp(pki_details(key), "PKIX_ECDSA_P256_SHA_256") ? ERR(err, USAGE, "found a key of kind %s, expected one of P-256 for checkpoints", pki_details(key)) : 0;
}

static int key_id(const struct evp_pkey_st *key, unsigned char id[KEY_ID], struct err *err)
{
    unsigned char *der = NULL, sum[SHA256_BYTES];
    TRY(checkpoint_key_check(key, err));
    const int n = i2d_PUBKEY((struct evp_pkey_st *)(uintptr_t)key, &der);
    if (n <= 0)
        return no_memory(err);
    sha256_bytes(der, (size_t)n, sum);
    OPENSSL_free(der);
    memcpy(id, sum, KEY_ID);
    return 0;
}

static int add_signature(struct buf *note, size_t from, const char *id, struct evp_pkey_st *key, struct err *err)
{
    struct buf sig, raw;
    unsigned char begin[KEY_ID];
    TRY(key_id(key, begin, err));
    buf_init(&sig);
    buf_init(&raw);
    int rc = pki_sign(key, note->data + from, note->len - from, &sig, err);
    if (!rc)
        rc = buf_add(&raw, begin, KEY_ID, err);
    if (!rc)
        rc = buf_add(&raw, sig.data, sig.len, err);
    if (!rc)
        rc = buf_printf(note, err, "\n" DASH ORIGIN "%s ", id);
    if (!rc)
        rc = base64_write(note, raw.data, raw.len, err);
    if (!rc)
        rc = buf_add_char(note, '\n', err);
    buf_release(&raw);
    buf_release(&sig);
    return rc;
}

int checkpoint_make(struct registry *g, struct evp_pkey_st *private_key, const struct checkpoint *before, struct buf *note, struct checkpoint *out, struct err *err)
{
    const size_t from = note->len;
    *out = (struct checkpoint){ .seq = 0 };
    TRY(read_head(g, before, out, err));
    TRY(buf_printf(note, err, ORIGIN "%s\n%lld\n", out->id, (long long)out->seq));
    TRY(base64_write(note, out->root, sizeof out->root, err));
    TRY(buf_printf(note, err, "\nhead %s\ntime %s\n", out->hash, out->t));
    return add_signature(note, from, out->id, private_key, err);
}

/* ---- reading one ---- */

/* The line at *p, without its end: into out; *p goes on to the next. */
static bool next_line(const char **p, const char *end, char *out, size_t size)
{
    const char *newline = memchr(*p, '\n', (size_t)(end - *p));
    if (!newline || (size_t)(newline - *p) >= size || memchr(*p, 0, (size_t)(newline - *p)))
        return false;
    memcpy(out, *p, (size_t)(newline - *p));
    out[newline - *p] = 0;
    *p = newline + 1;
    return true;
}

static int read_root(struct checkpoint *c, const char *text, struct err *err)
{
    struct buf raw, again;
    buf_init(&raw);
    buf_init(&again);
    int rc = base64_read(&raw, text, strlen(text), err);
    if (!rc)
        rc = base64_write(&again, raw.data, raw.len, err);
    if (!rc && raw.len == SHA256_BYTES && !strcmp(again.data, text))
        memcpy(c->root, raw.data, SHA256_BYTES);
    else if (rc != ERR_NOMEM)
        rc = ERR(err, FORMAT, "line 3 of the checkpoint: expected the root of a tree, 32 bytes in base64");
    buf_release(&again);
    buf_release(&raw);
    return rc;
}

static bool read_number(int64_t *out, const char *text)
{
    const size_t n = strlen(text);
    *out = strtoll(text, NULL, 10);
    return n && n < 19 && strspn(text, "0123456789") == n && *text != '0';
}

int checkpoint_parse(struct checkpoint *out, const char *text, size_t n, struct err *err)
{
    char line[200];
    const char *p = text, *end = text + n;
    int64_t ns;
    struct err none;
    *out = (struct checkpoint){ .seq = 0 };
    if (!next_line(&p, end, line, sizeof line) || strncmp(line, ORIGIN, strlen(ORIGIN)) || !blob_id_ok(line + strlen(ORIGIN)))
        return ERR(err, FORMAT, "line 1 of the checkpoint: expected " ORIGIN " and the id of a registry");
    memcpy(out->id, line + strlen(ORIGIN), SHA256_HEX);
    if (!next_line(&p, end, line, sizeof line) || !read_number(&out->seq, line))
        return ERR(err, FORMAT, "line 2 of the checkpoint: expected a number of records");
    TRY(read_root(out, next_line(&p, end, line, sizeof line) ? line : "", err));
    if (!next_line(&p, end, line, sizeof line) || strncmp(line, "head ", 5) || !blob_id_ok(line + 5))
        return ERR(err, FORMAT, "line 4 of the checkpoint: expected 'head' and a hash");
    memcpy(out->hash, line + 5, SHA256_HEX);
    if (!next_line(&p, end, line, sizeof line) || strncmp(line, "time ", 5) || strlen(line + 5) >= WHEN_TEXT || when_parse(&ns, line + 5, &none))
        return ERR(err, FORMAT, "line 5 of the checkpoint: expected 'time' and a moment");
    snprintf(out->t, sizeof out->t, "%.31s", line + 5);
    if (p == end || *p != '\n')
        return ERR(err, FORMAT, "line 6 of the checkpoint: expected an empty one before signatures");
    return 0;
}

int checkpoint_verify(const char *text, size_t n, struct evp_pkey_st *public_key, struct err *err)
{
    struct checkpoint c;
    char line[400], name[120];
    unsigned char id[KEY_ID];
    TRY(checkpoint_parse(&c, text, n, err));
    TRY(key_id(public_key, id, err));
    const char *p = text, *end = text + n;
    for (int i = 0; i < 5; i++)
        next_line(&p, end, line, sizeof line);
    const size_t signed_bytes = (size_t)(p - text);
    const int n_name = snprintf(name, sizeof name, DASH ORIGIN "%s ", c.id);
    next_line(&p, end, line, sizeof line);
    int rc = ERR_GATE;
    while (rc && rc != ERR_NOMEM && next_line(&p, end, line, sizeof line)) {
        struct buf raw;
        if (strncmp(line, name, (size_t)n_name))
            continue;
        buf_init(&raw);
        rc = base64_read(&raw, line + n_name, strlen(line + n_name), err);
        if (!rc)
            rc = raw.len > KEY_ID && !memcmp(raw.data, id, KEY_ID) ? pki_verify(public_key, text, signed_bytes, raw.data + KEY_ID, raw.len - KEY_ID, true, err) : ERR_GATE;
        buf_release(&raw);
    }
    return rc == ERR_NOMEM ? rc : rc ? ERR(err, GATE, "the checkpoint of %lld records is not signed by this key, or was changed", (long long)c.seq) : 0;
}
