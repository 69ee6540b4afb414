#include "serve/oci_answer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/tree.h"
#include "serve/json_out.h"
#include "store/oci_registry.h"
#include "store/release.h"

void oci_refuse_err(struct refusal *e, const struct err *err, const char *code)
{
    switch (err->code) {
    case ERR_NOTFOUND: refuse_as(e, 404, NULL, code, NULL, "%s", err->msg); break;
    case ERR_GATE: refuse_as(e, 403, NULL, "DENIED", NULL, "%s", err->msg); break;
    case ERR_BUSY: case ERR_NOMEM: case ERR_STOPPED: refuse_as(e, 503, NULL, NULL, NULL, "%s", err->msg); break;
    case ERR_IO: case ERR_CORRUPT: refuse_as(e, 500, NULL, NULL, NULL, "%s", err->msg); break;
    default: refuse_as(e, 400, NULL, code, NULL, "%s", err->msg);
    }
}

void oci_tell_digest(struct http_request *q, const char *sha256)
{
    char text[OCI_TAG + 8];
    snprintf(text, sizeof text, "sha256:%s", sha256);
    http_add_header(q, "Docker-Content-Digest", text);
}

void oci_created(struct http_request *q, const char *name, const char *what, const char *sha256)
{
    char text[300];
    oci_tell_digest(q, sha256);
    snprintf(text, sizeof text, "/v2/%s/%s/sha256:%s", name, what, sha256);
    http_add_header(q, "Location", text);
    http_reply(q, 201, NULL, "", 0);
}

static bool is(const struct oci_ask *a, const char *method) { return !strcmp(http_method(a->q), method); }

static void reply_json(struct oci_ask *a, const char *type, json_t *o)
{
    struct buf b;
    buf_init(&b);
    if (!o || out_json(&b, o, NULL))
        refuse_as(&a->e, 503, NULL, NULL, NULL, "no memory for the reply");
    else
        http_reply(a->q, 200, type, b.data, b.len);
    buf_release(&b);
    json_decref(o);
}

/* ---- blobs ---- */

static void finish_upload(struct oci_ask *a)
{
    struct err err;
    const int rc = upload_finish(a->upload, a->folder, a->path.what, &err);
    if (rc == ERR_CORRUPT)
        refuse_as(&a->e, 400, NULL, "DIGEST_INVALID", NULL, "%s", err.msg);
    else if (rc)
        oci_refuse_err(&a->e, &err, "BLOB_UPLOAD_INVALID");
    if (rc)
        return;
    oci_created(a->q, a->path.name, "blobs", a->path.what);
}

/* A config that is made of a version; it is small. */
static void send_config(struct oci_ask *a)
{
    struct buf b;
    struct err err;
    buf_init(&b);
    if (oci_find_config(a->g, a->path.name, a->path.what, &b, &err)) {
        oci_refuse_err(&a->e, &err, "BLOB_UNKNOWN");
    } else {
        oci_tell_digest(a->q, a->path.what);
        http_reply(a->q, 200, "application/octet-stream", b.data, b.len);
    }
    buf_release(&b);
}

/* ---- manifests ---- */

static void send_manifest(struct oci_ask *a)
{
    struct oci_found f;
    struct err err;
    if (oci_find(a->g, a->path.name, a->path.what, &f, &err)) {
        oci_refuse_err(&a->e, &err, "MANIFEST_UNKNOWN");
    } else {
        oci_tell_digest(a->q, f.sha256);
        http_reply(a->q, 200, f.type, f.text.data, f.text.len);
    }
    buf_release(&f.text);
}

/* What the digest, the subject and the blobs say before anything is done. */
static int check_manifest(struct oci_ask *a, char sha256[SHA256_HEX], char subject[SHA256_HEX], struct err *err)
{
    struct oci_manifest m;
    const char *expected = oci_digest(a->path.what);
    TRY(sha256_of(a->body->data, a->body->len, sha256, err));
    if (expected && strcmp(expected, sha256)) {
        refuse_as(&a->e, 400, NULL, "DIGEST_INVALID", NULL, "the manifest has the digest sha256:%s, expected sha256:%s", sha256, expected);
        return 0;
    }
    TRY(oci_manifest_parse(&m, a->body->data, a->body->len, err));
    strcpy(subject, m.subject.sha256);
    const int rc = oci_blobs_are_here(a->g, &m, err);
    if (rc == ERR_NOTFOUND || rc == ERR_CORRUPT)
        refuse_as(&a->e, 404, NULL, "MANIFEST_BLOB_UNKNOWN", NULL, "%s", err->msg);
    oci_manifest_release(&m);
    return a->e.status ? 0 : rc;
}

static void take_manifest(struct oci_ask *a)
{
    struct registry_version v;
    struct err err;
    char sha256[SHA256_HEX] = "", subject[SHA256_HEX] = "", text[300];
    const struct journal_by by = { .actor = a->actor, .reason = "OCI" };
    int rc = check_manifest(a, sha256, subject, &err);
    const bool by_digest = oci_digest(a->path.what) != NULL;
    const struct oci_push p = { .name = a->path.name, .tag = by_digest ? NULL : a->path.what, .text = a->body->data, .n = a->body->len, .add = a->opts->add };
    if (!rc && !a->e.status)
        rc = oci_take(a->g, &p, &by, &v, &err);
    if (rc == ERR_NOTFOUND)
        refuse_as(&a->e, 400, NULL, "MANIFEST_INVALID", NULL, "%s", err.msg);
    else if (rc)
        oci_refuse_err(&a->e, &err, "MANIFEST_INVALID");
    if (a->e.status)
        return;
    snprintf(text, sizeof text, "%s@%lld", v.name, (long long)v.number);
    http_add_header(a->q, "X-Lathe-Version", text);
    snprintf(text, sizeof text, "sha256:%s", subject);
    if (*subject)
        http_add_header(a->q, "OCI-Subject", text);
    oci_created(a->q, a->path.name, "manifests", sha256);
}

/* An alias can be taken away; versions stay. */
static void delete_tag(struct oci_ask *a)
{
    struct err err;
    const struct journal_by by = { .actor = a->actor, .reason = "OCI" };
    const char *tag = a->path.what;
    if (oci_digest(tag) || !registry_alias_ok(tag)) {
        refuse_as(&a->e, 405, NULL, "UNSUPPORTED", NULL, "versions are never deleted: the journal tells of them");
        return;
    }
    if (registry_alias(a->g, &(struct release_move){ .name = a->path.name, .alias = tag, .expect = -1 }, &by, NULL, NULL, &err))
        oci_refuse_err(&a->e, &err, "MANIFEST_UNKNOWN");
    else
        http_reply(a->q, 202, NULL, "", 0);
}

/* ---- lists ---- */

/* n -1: all. */
static int64_t wanted(struct oci_ask *a)
{
    const char *n = http_query(a->q, "n");
    if (!n)
        return -1;
    if (*n && strlen(n) < 10 && strspn(n, "0123456789") == strlen(n))
        return strtoll(n, NULL, 10);
    refuse_as(&a->e, 400, NULL, "PAGINATION_NUMBER_INVALID", NULL, "n is '%.40s', expected a number", n);
    return 0;
}

static void send_tags(struct oci_ask *a)
{
    struct err err;
    json_t *all = NULL, *part = json_array();
    const int64_t n = wanted(a);
    const char *last = http_query(a->q, "last");
    char next[400] = "";
    if (!a->e.status && oci_tags(a->g, a->path.name, &all, &err))
        oci_refuse_err(&a->e, &err, "NAME_UNKNOWN");
    for (size_t i = 0; i < json_array_size(all) && !*next && !a->e.status; i++) {
        const json_t *tag = json_array_get(all, i);
        if (last && strcmp(json_string_value(tag), last) <= 0)
            continue;
        if (n >= 0 && (int64_t)json_array_size(part) == n)
            snprintf(next, sizeof next, "</v2/%s/tags/list?n=%lld&last=%s>; rel=\"next\"", a->path.name, (long long)n, n ? json_string_value(json_array_get(part, (size_t)n - 1)) : "");
        else if (json_array_append(part, (json_t *)(uintptr_t)tag))
            refuse_as(&a->e, 503, NULL, NULL, NULL, "no memory for the reply");
    }
    if (*next && n)
        http_add_header(a->q, "Link", next);
    if (!a->e.status)
        reply_json(a, "application/json", json_pack("{s:s, s:O}", "name", a->path.name, "tags", part));
    json_decref(all);
    json_decref(part);
}

static void send_referrers(struct oci_ask *a)
{
    struct err err;
    json_t *o;
    const char *type = http_query(a->q, "artifactType");
    if (oci_referrers(a->g, a->path.name, a->path.what, type ? type : "", &o, &err)) {
        oci_refuse_err(&a->e, &err, "MANIFEST_UNKNOWN");
        return;
    }
    if (type)
        http_add_header(a->q, "OCI-Filters-Applied", "artifactType");
    reply_json(a, OCI_INDEX, o);
}

void oci_answer(struct oci_ask *a)
{
    if (a->upload)
        finish_upload(a);
    else if (a->path.kind == OCI_AT_MANIFEST && is(a, "PUT"))
        take_manifest(a);
    else if (a->path.kind == OCI_AT_MANIFEST && is(a, "DELETE"))
        delete_tag(a);
    else if (a->path.kind == OCI_AT_MANIFEST)
        send_manifest(a);
    else if (a->path.kind == OCI_AT_TAGS)
        send_tags(a);
    else if (a->path.kind == OCI_AT_REFERRERS)
        send_referrers(a);
    else
        send_config(a);
}
