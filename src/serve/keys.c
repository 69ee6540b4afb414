#include "serve/keys.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/tree.h"
#include "base/utf8.h"

#define FILE_MAX ((size_t)16 << 20)
#define KEYS_MAX 4096
#define LIMIT_MAX 1e12
#define PRIORITY_MAX 1000000
#define LOCK_S 10

static const char word_chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

/* ---- one key ---- */

static int take_word(char out[KEY_NAME], const char *word, const char *what, const char *where, struct err *err)
{
    const size_t n = strlen(word);
    if (!n || n >= KEY_NAME || strspn(word, word_chars) != n)
        return ERR(err, USAGE, "%s: the %s is '%.80s', expected 1 to %d letters, digits, points, underlines and dashes", where, what, word, KEY_NAME - 1);
    memcpy(out, word, n + 1);
    return 0;
}

static int take_digest(struct key *k, const char *hex, const char *where, struct err *err)
{
    bool good = strlen(hex) == SHA256_HEX - 1;
    for (int i = 0; good && i < SHA256_BYTES; i++) {
        const int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);
        good = high >= 0 && low >= 0;
        k->sha256[i] = good ? (unsigned char)(high << 4 | low) : 0;
    }
    return good ? 0 : ERR(err, USAGE, "%s: sha256 is no 64 hexadecimal digits", where);
}

static bool number_at(const char *s, int n, int min, int max, int *out)
{
    *out = 0;
    for (int i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        *out = *out * 10 + s[i] - '0';
    }
    return *out >= min && *out <= max;
}

/* 2027-01-01 is its first second. */
static int take_expiry(struct key *k, const char *s, const char *where, struct err *err)
{
    struct tm t = { 0 }, back;
    const size_t n = strlen(s);
    bool good = (n == 10 || (n == 20 && s[10] == 'T' && s[13] == ':' && s[16] == ':' && s[19] == 'Z')) && s[4] == '-' && s[7] == '-' &&
                number_at(s, 4, 1970, 9999, &t.tm_year) && number_at(s + 5, 2, 1, 12, &t.tm_mon) && number_at(s + 8, 2, 1, 31, &t.tm_mday);
    if (good && n == 20)
        good = number_at(s + 11, 2, 0, 23, &t.tm_hour) && number_at(s + 14, 2, 0, 59, &t.tm_min) && number_at(s + 17, 2, 0, 59, &t.tm_sec);
    t.tm_year -= 1900, t.tm_mon--;
    const int day = t.tm_mday;
    const time_t at = good ? timegm(&t) : 0;
    if (!good || !gmtime_r(&at, &back) || back.tm_mday != day)
        return ERR(err, USAGE, "%s: expires is '%.40s', expected a day as 2027-01-31 or a time as 2027-01-31T18:00:00Z", where, s);
    k->expires = at > 0 ? (double)at : 1;
    return 0;
}

/* Taken out of o, which tree_read() then reads. */
static int take_models(struct key *k, json_t *o, const char *where, struct err *err)
{
    const json_t *v = json_object_get(o, "models");
    const size_t n = json_array_size(v);
    if (!v)
        return 0;
    if (!n || n > 1000)
        return ERR(err, USAGE, "%s: models is no list of 1 to 1000 names", where);
    if (!(k->model = mem_alloc_array(n, sizeof *k->model)))
        return ERR(err, NOMEM, "%s: no memory for %zu names", where, n);
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_array_get(v, i));
        if (!name || !*name)
            return ERR(err, USAGE, "%s: models has something that is no name", where);
        if (!(k->model[k->n_model] = mem_strdup(name)))
            return ERR(err, NOMEM, "%s: no memory for %zu names", where, n);
        k->n_model++;
    }
    json_object_del(o, "models");
    return 0;
}

static int read_key(struct key *k, json_t *o, const char *where, struct err *err)
{
    const char *name = "", *digest = "", *expires = NULL, *tenant = NULL;
    int64_t priority = 0;
    struct quota *q = &k->quota;
    const struct opt table[] = {
        { OPT_STR, "name", &name, "<name>", "of who has the key", 0, 0 },
        { OPT_STR, "sha256", &digest, "<digits>", "of the key; in quotes", 0, 0 },
        { OPT_INT, "requests_per_minute", &q->requests_minute, "<int>", "at most", 1, LIMIT_MAX },
        { OPT_INT, "requests_per_day", &q->requests_day, "<int>", "at most", 1, LIMIT_MAX },
        { OPT_INT, "tokens_per_minute", &q->tokens_minute, "<int>", "at most", 1, LIMIT_MAX },
        { OPT_INT, "tokens_per_day", &q->tokens_day, "<int>", "at most", 1, LIMIT_MAX },
        { OPT_INT, "parallel", &q->texts, "<int>", "texts at once", 1, LIMIT_MAX },
        { OPT_INT, "priority", &priority, "<int>", "the most urgent that may be asked for", -PRIORITY_MAX, PRIORITY_MAX },
        { OPT_STR, "expires", &expires, "<day>", "in UTC", 0, 0 },
        { OPT_FLAG, "keep_texts", &k->keep_text, NULL, "they may stand in the audit log", 0, 0 },
        { OPT_FLAG, "admin", &k->admin, NULL, "may promote and roll back releases", 0, 0 },
        { OPT_STR, "tenant", &tenant, "<name>", "whose cache it uses", 0, 0 },
        { OPT_STR, "models", &(const char *){ NULL }, "[names]", "that it may ask", 0, 0 },
        { OPT_END, NULL, NULL, NULL, NULL, 0, 0 },
    };
    if (json_is_object(o))
        TRY(take_models(k, o, where, err));
    TRY(tree_read(o, table, where, err));
    TRY(take_word(k->name, name, "name", where, err));
    if (!strcmp(k->name, KEY_SHARED))
        return ERR(err, USAGE, "%s: nobody can be called '%s', that is the cache of all who say so", where, KEY_SHARED);
    TRY(take_word(k->tenant, tenant ? tenant : name, "tenant", where, err));
    TRY(take_digest(k, digest, where, err));
    k->priority = (int)priority;
    return expires ? take_expiry(k, expires, where, err) : 0;
}

/* ---- the list ---- */

void key_release(struct key *k)
{
    for (int i = 0; i < k->n_model; i++)
        mem_free(k->model[i]);
    mem_free(k->model);
}

void keys_release(struct key_file *f)
{
    for (int i = 0; i < f->n; i++)
        key_release(&f->key[i]);
    mem_free(f->key);
    *f = (struct key_file){ 0 };
}

static int check_unlike(const struct key_file *f, const char *name, struct err *err)
{
    const struct key *k = &f->key[f->n - 1];
    for (int i = 0; i < f->n - 1; i++) {
        if (!strcmp(f->key[i].name, k->name))
            return ERR(err, USAGE, "%s: the name '%s' is there twice", name, k->name);
        if (!memcmp(f->key[i].sha256, k->sha256, SHA256_BYTES))
            return ERR(err, USAGE, "%s: '%s' and '%s' have the same key", name, f->key[i].name, k->name);
    }
    return 0;
}

static int read_list(struct key_file *f, const json_t *list, const char *name, struct err *err)
{
    const size_t n = json_array_size(list);
    if (!json_is_array(list) || n > KEYS_MAX)
        return ERR(err, USAGE, "%s: expected a list of keys, at most %d", name, KEYS_MAX);
    if (!(f->key = mem_alloc_array(n, sizeof *f->key)))
        return ERR(err, NOMEM, "%s: no memory for %zu keys", name, n);
    for (size_t i = 0; i < n; i++) {
        char where[160];
        snprintf(where, sizeof where, "%.120s: key %zu", name, i + 1);
        f->n++;
        TRY(read_key(&f->key[i], json_array_get(list, i), where, err));
        TRY(check_unlike(f, name, err));
    }
    return 0;
}

int keys_parse(struct key_file *out, const char *text, size_t n, bool yaml, const char *name, struct err *err)
{
    json_t *list;
    *out = (struct key_file){ 0 };
    TRY((yaml ? tree_parse_yaml : tree_parse_json)(&list, text, n, name, err));
    const int rc = read_list(out, list, name, err);
    json_decref(list);
    if (rc < 0)
        keys_release(out);
    return rc;
}

static bool is_yaml(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot && (!strcasecmp(dot, ".yaml") || !strcasecmp(dot, ".yml"));
}

static int check_mode(const char *path, const struct stat *st, struct err *err)
{
    if (st->st_mode & 026)
        return ERR(err, USAGE, "%s may be read or written by others (mode %03o): it says who may ask; expected 600 or 640", path, (unsigned)(st->st_mode & 0777));
    if (st->st_uid && st->st_uid != geteuid())
        return ERR(err, USAGE, "%s belongs to another user: it says who may ask", path);
    return 0;
}

int keys_load(struct key_file *out, const char *path, struct err *err)
{
    struct stat st;
    struct buf b;
    *out = (struct key_file){ 0 };
    buf_init(&b);
    int rc = stat(path, &st) ? ERR(err, IO, "cannot read %s: %s", path, strerror(errno)) : check_mode(path, &st, err);
    rc = rc ? rc : file_read(path, FILE_MAX, &b, err);
    rc = rc ? rc : keys_parse(out, b.data, b.len, is_yaml(path), path, err);
    buf_release(&b);
    return rc;
}

void keys_digest(unsigned char sha256[SHA256_BYTES], const char *secret) { sha256_bytes(secret, strlen(secret), sha256); }

/* ---- a new key ---- */

static int make_secret(char secret[KEY_SECRET], struct err *err)
{
    unsigned char bytes[32];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return ERR(err, IO, "the system gave no random numbers: %s", strerror(errno));
    memcpy(secret, "lathe-", 6);
    for (int i = 0; i < 32; i++)
        snprintf(secret + 6 + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

/* The file as it will be is read as a server would before it takes the place of the old one, whose owner and mode it keeps. */
static int write_list(const char *path, const struct buf *b, const struct stat *old, struct err *err)
{
    struct key_file f;
    struct file_writer w;
    TRY(keys_parse(&f, b->data, b->len, true, path, err));
    keys_release(&f);
    TRY(file_writer_open(&w, path, err));
    int rc = fchmod(w.fd, old ? old->st_mode & 0777 : 0600) || (old && old->st_uid != geteuid() && fchown(w.fd, old->st_uid, old->st_gid)) ? ERR(err, IO, "cannot give %s its mode and owner: %s", path, strerror(errno)) : 0;
    rc = rc ? rc : file_writer_add(&w, b->data, b->len, err);
    if (!rc)
        return file_writer_commit(&w, err);
    file_writer_abort(&w);
    return rc;
}

/* Two that add a key at the same time would each write a file that lacks the other's. */
static int lock_folder(const char *path, int *fd, struct err *err)
{
    char *dir = file_parent(path);
    const int rc = dir ? file_lock_wait(dir, LOCK_S, fd, err) : ERR(err, NOMEM, "no memory to write %s", path);
    mem_free(dir);
    return rc;
}

static int add_key(const char *path, const char *name, char secret[KEY_SECRET], struct err *err)
{
    struct stat st;
    struct buf b;
    char hex[SHA256_HEX], word[KEY_NAME];
    const bool old = !stat(path, &st);
    if (!is_yaml(path))
        return ERR(err, USAGE, "keys are appended to files of YAML: expected a name that ends with .yaml, found '%s'", path);
    TRY(take_word(word, name, "name", path, err));
    TRY(old ? check_mode(path, &st, err) : 0);
    TRY(make_secret(secret, err));
    TRY(sha256_of(secret, strlen(secret), hex, err));
    buf_init(&b);
    int rc = old ? file_read(path, FILE_MAX, &b, err) : 0;
    rc = rc || !b.len || b.data[b.len - 1] == '\n' ? rc : buf_add_char(&b, '\n', err);
    rc = rc ? rc : buf_printf(&b, err, "- name: \"%s\"\n  sha256: \"%s\"\n", word, hex);
    rc = rc ? rc : write_list(path, &b, old ? &st : NULL, err);
    buf_release(&b);
    return rc;
}

int keys_add(const char *path, const char *name, char secret[KEY_SECRET], struct err *err)
{
    int lock;
    TRY(lock_folder(path, &lock, err));
    const int rc = add_key(path, name, secret, err);
    file_unlock(&lock);
    return rc;
}
