/* oms_statement.c - what a model's signature says, read from JSON and written.
 *
 * { _type, subject: [{ name, digest: { sha256: ROOT } }], predicateType, predicate: { serialization: { method, hash_type, allow_symlinks,
 *   shard_size?, ignore_paths? }, resources: [{ name, algorithm, digest }] } }
 *
 * Fields beside these are left alone, as the specification wants it: they are signed, and mean nothing here. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/tree.h"
#include "store/models.h"
#include "store/oms.h"

#define STATEMENT "https://in-toto.io/Statement/v1"
#define PREDICATE "https://model_signing/signature/v1.0"
#define PREDICATE_BEFORE_1 "https://model_signing/Digests/v0.1"

enum { IGNORE_MAX = 10000 };

void oms_statement_release(struct oms_statement *s)
{
    mem_free(s->name);
    manifest_release(&s->files);
    for (char **i = s->ignore; i && *i; i++)
        mem_free(*i);
    mem_free(s->ignore);
    *s = (struct oms_statement){ .shard_bytes = 0 };
}

/* ---- reading ---- */

static int text_at(const json_t *o, const char *key, const char **out, const char *where, struct err *err)
{
    TRY(tree_str(o, key, NULL, out, where, err));
    return *out ? 0 : ERR(err, FORMAT, "%s: %s is missing, expected a string", where, key);
}

static bool digest_ok(const char *hex) { return strlen(hex) == SHA256_HEX - 1 && strspn(hex, "0123456789abcdef") == SHA256_HEX - 1; }

/* A number of up to 18 digits, written as it is written. */
static bool read_offset(const char *s, size_t n, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        *out = *out * 10 + (uint64_t)(s[i] - '0');
    }
    return n && n <= 18 && (n == 1 || *s != '0');
}

/* PATH:START:END */
static int add_shard(struct oms_statement *s, const char *name, const char *digest, const char *where, struct err *err)
{
    const char *last = strrchr(name, ':'), *first = last;
    while (first && first > name && *--first != ':')
        ;
    uint64_t start, end;
    if (!first || first == name || !read_offset(first + 1, (size_t)(last - first - 1), &start) || !read_offset(last + 1, strlen(last + 1), &end) || start >= end || end - start > s->shard_bytes)
        return ERR(err, FORMAT, "%s: a shard is called '%.200s', expected PATH:START:END of at most %llu bytes", where, name, (unsigned long long)s->shard_bytes);
    char *path = mem_printf("%.*s", (int)(first - name), name);
    int rc = !path ? ERR(err, NOMEM, "no memory for the name of a file")
             : strcmp(path, ".") && !model_path_ok(path)
                 ? ERR(err, FORMAT, "%s: a file is called '%.200s', expected a path below the model's folder", where, path)
                 : manifest_add(&s->files, path, digest, end - start, err);
    if (!rc)
        s->files.file[s->files.n - 1].start = start, s->files.file[s->files.n - 1].shard = true;
    mem_free(path);
    return rc;
}

static int add_resource(struct oms_statement *s, const char *name, const char *digest, const char *where, struct err *err)
{
    if (!digest_ok(digest))
        return ERR(err, FORMAT, "%s: '%.200s' has the digest '%.80s', expected 64 hexadecimal digits", where, name, digest);
    if (s->shard_bytes)
        return add_shard(s, name, digest, where, err);
    if (strcmp(name, ".") && !model_path_ok(name))
        return ERR(err, FORMAT, "%s: a file is called '%.200s', expected a path below the model's folder", where, name);
    return manifest_add(&s->files, name, digest, 0, err);
}

/* Sorted from now on, and each one once. */
static int settle(struct oms_statement *s, const char *where, struct err *err)
{
    manifest_sort(&s->files);
    for (int i = 0; i < s->files.n; i++) {
        const struct manifest_file *f = &s->files.file[i], *before = i ? f - 1 : NULL;
        if (before && !strcmp(f->name, before->name) && (!f->shard || before->start + before->bytes > f->start))
            return ERR(err, FORMAT, "%s: '%.200s' is there twice", where, f->name);
        if (!strcmp(f->name, ".") && strcmp(s->files.file[s->files.n - 1].name, "."))
            return ERR(err, FORMAT, "%s: there is a file '.' that is not alone", where);
    }
    return s->files.n ? 0 : ERR(err, FORMAT, "%s: no files are signed", where);
}

static int read_ignore(struct oms_statement *s, const json_t *list, const char *where, struct err *err)
{
    const size_t n = json_array_size(list);
    if ((list && !json_is_array(list)) || n > IGNORE_MAX)
        return ERR(err, FORMAT, "%s: ignore_paths is no list of at most %d paths", where, IGNORE_MAX);
    if (!(s->ignore = mem_alloc_array(n + 1, sizeof *s->ignore)))
        return ERR(err, NOMEM, "no memory for %zu paths", n);
    for (size_t i = 0; i < n; i++) {
        const char *path = json_string_value(json_array_get(list, i));
        if (!path)
            return ERR(err, FORMAT, "%s: ignore_paths has something that is no path", where);
        while (path[0] == '.' && path[1] == '/')
            path += 2;
        size_t length = strlen(path);
        while (length && path[length - 1] == '/')
            length--;
        if (!(s->ignore[i] = mem_printf("%.*s", (int)length, path)))
            return ERR(err, NOMEM, "no memory for a path");
    }
    return 0;
}

static int read_serialization(struct oms_statement *s, const json_t *o, const char *where, struct err *err)
{
    const char *method, *hash;
    int64_t shard_bytes = 0;
    TRY(text_at(o, "method", &method, where, err));
    TRY(text_at(o, "hash_type", &hash, where, err));
    TRY(tree_bool(o, "allow_symlinks", false, &s->follow_links, where, err));
    if (strcmp(hash, "sha256"))
        return ERR(err, UNSUPPORTED, "%s: digests are by '%.40s', expected sha256", where, hash);
    if (strcmp(method, "files") && strcmp(method, "shards"))
        return ERR(err, UNSUPPORTED, "%s: the method is '%.40s', expected files or shards", where, method);
    if (!strcmp(method, "shards")) {
        const json_t *size = json_object_get(o, "shard_size");          /* protobuf's JSON has numbers as 1e9 and 1000000000.0 */
        const double v = json_is_number(size) ? json_number_value(size) : 0;
        shard_bytes = v >= 1 && v < 1e18 && v == (double)(int64_t)v ? (int64_t)v : 0;
        if (!shard_bytes)
            return ERR(err, FORMAT, "%s: shard_size is no whole number from 1 on", where);
    }
    s->shard_bytes = (uint64_t)shard_bytes;
    return read_ignore(s, json_object_get(o, "ignore_paths"), where, err);
}

static int object_in(const json_t *o, const char *key, const json_t **out, const char *where, struct err *err)
{
    *out = json_object_get(o, key);
    return json_is_object(*out) ? 0 : ERR(err, FORMAT, "%s: %s is no object", where, key);
}

/* The specification has "sha256"; of shards model_signing writes this, and takes nothing else. */
static void algorithm_of(const struct oms_statement *s, char out[48])
{
    if (s->shard_bytes)
        snprintf(out, 48, "sha256-sharded-%llu", (unsigned long long)s->shard_bytes);
    else
        strcpy(out, "sha256");
}

static int read_now(struct oms_statement *s, const json_t *o, const char *where, struct err *err)
{
    const json_t *subject = json_object_get(o, "subject"), *predicate, *part;
    const char *name, *digest, *algorithm;
    char root[SHA256_HEX], of_shards[48];
    if (json_array_size(subject) != 1)
        return ERR(err, FORMAT, "%s: subject is no list of one", where);
    subject = json_array_get(subject, 0);
    TRY(text_at(subject, "name", &name, where, err));
    if (!(s->name = mem_strdup(name)))
        return ERR(err, NOMEM, "no memory for the name of a model");
    TRY(object_in(subject, "digest", &part, where, err));
    TRY(text_at(part, "sha256", &digest, where, err));
    TRY(object_in(o, "predicate", &predicate, where, err));
    TRY(object_in(predicate, "serialization", &part, where, err));
    TRY(read_serialization(s, part, where, err));
    algorithm_of(s, of_shards);
    const json_t *list = json_object_get(predicate, "resources");
    if (!json_is_array(list))
        return ERR(err, FORMAT, "%s: resources is no list", where);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const char *of_file;
        TRY(text_at(item, "name", &name, where, err));
        TRY(text_at(item, "algorithm", &algorithm, where, err));
        TRY(text_at(item, "digest", &of_file, where, err));
        if (strcmp(algorithm, "sha256") && strcmp(algorithm, of_shards))
            return ERR(err, UNSUPPORTED, "%s: '%.200s' has a digest by '%.40s', expected sha256", where, name, algorithm);
        TRY(add_resource(s, name, of_file, where, err));
    }
    TRY(manifest_root(&s->files, root, err));                    /* in the order of the list */
    if (strcmp(root, digest))
        return ERR(err, FORMAT, "%s: the subject's digest is %.12s.., that of the files %.12s..", where, digest, root);
    memcpy(s->root, root, sizeof root);
    return settle(s, where, err);
}

/* The files are the subjects, and there was no root. */
static int read_before_1(struct oms_statement *s, const json_t *o, const char *where, struct err *err)
{
    const json_t *list = json_object_get(o, "subject"), *digests;
    const char *name, *digest;
    if (!(s->name = mem_strdup("")) || !(s->ignore = mem_alloc_array(1, sizeof *s->ignore)))
        return ERR(err, NOMEM, "no memory for a statement");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        TRY(text_at(item, "name", &name, where, err));
        TRY(object_in(item, "digest", &digests, where, err));
        TRY(text_at(digests, "sha256", &digest, where, err));
        TRY(add_resource(s, name, digest, where, err));
    }
    TRY(settle(s, where, err));
    return manifest_root(&s->files, s->root, err);
}

static int read_statement(struct oms_statement *s, const json_t *o, const char *where, struct err *err)
{
    const char *type, *predicate;
    if (!json_is_object(o))
        return ERR(err, FORMAT, "%s: the statement is no object", where);
    TRY(text_at(o, "_type", &type, where, err));
    TRY(text_at(o, "predicateType", &predicate, where, err));
    if (strcmp(type, STATEMENT))
        return ERR(err, UNSUPPORTED, "%s: the statement is '%.100s', expected %s", where, type, STATEMENT);
    if (strcmp(predicate, PREDICATE) && strcmp(predicate, PREDICATE_BEFORE_1))
        return ERR(err, UNSUPPORTED, "%s: the statement's predicate is '%.100s', expected %s", where, predicate, PREDICATE);
    return strcmp(predicate, PREDICATE) ? read_before_1(s, o, where, err) : read_now(s, o, where, err);
}

int oms_statement_read(struct oms_statement *s, const char *text, size_t n, const char *name, struct err *err)
{
    json_t *o;
    *s = (struct oms_statement){ .shard_bytes = 0 };
    TRY(tree_parse_json(&o, text, n, name, err));
    const int rc = read_statement(s, o, name, err);
    json_decref(o);
    if (rc)
        oms_statement_release(s);
    return rc;
}

/* ---- writing ---- */

static json_t *resources_of(const struct oms_statement *s)
{
    char algorithm[48];
    json_t *list = json_array();
    algorithm_of(s, algorithm);
    for (int i = 0; list && i < s->files.n; i++) {
        const struct manifest_file *f = &s->files.file[i];
        char *name = f->shard ? mem_printf("%s:%llu:%llu", f->name, (unsigned long long)f->start, (unsigned long long)(f->start + f->bytes)) : mem_strdup(f->name);
        if (!name || json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name", name, "algorithm", algorithm, "digest", f->sha256))) {
            json_decref(list);
            list = NULL;
        }
        mem_free(name);
    }
    return list;
}

static json_t *serialization_of(const struct oms_statement *s)
{
    json_t *o = json_pack("{s:s, s:s, s:b}", "method", s->shard_bytes ? "shards" : "files", "hash_type", "sha256", "allow_symlinks", s->follow_links);
    json_t *list = s->ignore && *s->ignore ? json_array() : NULL;
    bool good = o && (!s->shard_bytes || !json_object_set_new(o, "shard_size", json_integer((json_int_t)s->shard_bytes)));
    for (char **i = s->ignore; list && *i && good; i++)
        good = !json_array_append_new(list, json_string(*i));
    if (s->ignore && *s->ignore)
        good = good && list && !json_object_set(o, "ignore_paths", list);
    json_decref(list);
    if (!good) {
        json_decref(o);
        o = NULL;
    }
    return o;
}

int oms_statement_write(const struct oms_statement *s, struct buf *out, struct err *err)
{
    json_t *files = resources_of(s), *how = serialization_of(s), *o = NULL;
    if (files && how)
        o = json_pack("{s:s, s:[{s:s, s:{s:s}}], s:s, s:{s:O, s:O}}", "_type", STATEMENT, "subject", "name", s->name, "digest", "sha256", s->root, "predicateType", PREDICATE, "predicate",
                      "serialization", how, "resources", files);
    char *text = o ? tree_dumps(o, JSON_COMPACT) : NULL;
    const int rc = text ? buf_add_str(out, text, err) : ERR(err, NOMEM, "no memory for a statement of %d files", s->files.n);
    mem_free(text);
    json_decref(o);
    json_decref(how);
    json_decref(files);
    return rc;
}
