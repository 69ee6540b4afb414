#include "serve/oci.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/mem.h"
#include "serve/json_out.h"
#include "serve/oci_answer.h"

struct oci {
    const struct registry_server_opts *opts;
    struct registry *g;                  /* of the thread of turns */
    struct turns *turns;
    struct uploads *uploads;
    char *folder;
};

int oci_new(struct oci **out, const struct registry_server_opts *opts, struct registry *g, struct turns *turns, struct err *err)
{
    struct oci *o = mem_alloc_zero(sizeof *o);
    if (o)
        *o = (struct oci){ .opts = opts, .g = g, .turns = turns, .folder = mem_strdup(registry_folder(g)) };
    const int rc = o && o->folder ? uploads_new(&o->uploads, o->folder, err) : ERR(err, NOMEM, "no memory for the OCI's API");
    if (rc)
        oci_free(o);
    *out = rc ? NULL : o;
    return rc;
}

void oci_free(struct oci *o)
{
    if (!o)
        return;
    uploads_free(o->uploads);
    mem_free(o->folder);
    mem_free(o);
}

/* ---- refusals ---- */

static const char *code_of(const struct refusal *e)
{
    static const struct { int status; const char *code; } codes[] = {
        { 400, "UNSUPPORTED" }, { 401, "UNAUTHORIZED" }, { 403, "DENIED" }, { 404, "NAME_UNKNOWN" }, { 405, "UNSUPPORTED" }, { 413, "SIZE_INVALID" }, { 429, "TOOMANYREQUESTS" } };
    if (e->code && isupper((unsigned char)*e->code))
        return e->code;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].status == e->status)
            return codes[i].code;
    return "UNKNOWN";
}

int oci_write_refusal(struct buf *b, const struct refusal *e)
{
    TRY(buf_printf(b, NULL, "{\"errors\": [{\"code\": \"%s\", \"message\": ", code_of(e)));
    TRY(out_string(b, e->message, strlen(e->message), NULL));
    return buf_add_str(b, "}]}", NULL);
}

void oci_refuse(struct http_request *q, const struct refusal *e)
{
    struct buf b;
    buf_init(&b);
    if (oci_write_refusal(&b, e))
        http_reply(q, 503, NULL, "", 0);
    else
        http_reply(q, e->status, "application/json", b.data, b.len);
    buf_release(&b);
}

/* ---- uploads ---- */

static struct upload **held(struct http_request *q) { return &((struct registry_visit *)http_user(q))->upload; }

static void tell_upload(struct http_request *q, const struct oci_path *p, const struct upload *u)
{
    char text[300];
    snprintf(text, sizeof text, "/v2/%s/blobs/uploads/%s", p->name, upload_id(u));
    http_add_header(q, "Location", text);
    snprintf(text, sizeof text, "0-%llu", (unsigned long long)(upload_size(u) ? upload_size(u) - 1 : 0));
    http_add_header(q, "Range", text);
    http_add_header(q, "Docker-Upload-UUID", upload_id(u));
}

static struct upload *find_upload(struct oci *o, const struct oci_path *p, struct refusal *e)
{
    struct upload *u = upload_find(o->uploads, p->name, p->what);
    if (!u)
        refuse_as(e, 404, NULL, "BLOB_UPLOAD_UNKNOWN", NULL, "there is no such upload: it ended, was abandoned, or the server began anew");
    return u;
}

/* The bytes that come must be the next ones. */
static void check_content_range(struct http_request *q, const struct oci_path *p, const struct upload *u, struct refusal *e)
{
    uint64_t from, to;
    const char *range = http_header(q, "Content-Range"), *length = http_header(q, "Content-Length");
    if (!range)
        return;
    if (!oci_content_range(range, &from, &to)) {
        refuse_as(e, 416, NULL, "BLOB_UPLOAD_INVALID", NULL, "found the Content-Range '%.100s', expected FROM-TO", range);
    } else if (from != upload_size(u)) {
        tell_upload(q, p, u);
        refuse_as(e, 416, NULL, "BLOB_UPLOAD_INVALID", NULL, "the upload has %llu bytes, and these begin at %llu", (unsigned long long)upload_size(u), (unsigned long long)from);
    } else if (length && strtoull(length, NULL, 10) != to - from + 1) {
        refuse_as(e, 400, NULL, "SIZE_INVALID", NULL, "Content-Range is of %llu bytes, Content-Length of %.20s", (unsigned long long)(to - from + 1), length);
    }
}

static void check_room(struct oci *o, struct http_request *q, struct refusal *e)
{
    uint64_t room;
    struct err none;
    const char *length = http_header(q, "Content-Length");
    if (length && !file_free_bytes(o->folder, &room, &none) && strtoull(length, NULL, 10) > room)
        refuse_as(e, 507, NULL, "DENIED", NULL, "the blob's %.20s bytes do not fit: %llu are free here", length, (unsigned long long)room);
}

static bool is(const struct http_request *q, const char *method) { return !strcmp(http_method(q), method); }
static bool is_single_post(const struct http_request *q, const struct oci_path *p) { return p->kind == OCI_AT_UPLOADS && is(q, "POST") && http_query(q, "digest"); }

static void admit_upload(struct oci *o, struct http_request *q, const struct oci_path *p, struct refusal *e)
{
    struct err err;
    struct upload *u = NULL;
    if (p->kind == OCI_AT_UPLOAD)
        u = find_upload(o, p, e);
    else if (upload_begin(o->uploads, p->name, true, &u, &err))
        oci_refuse_err(e, &err, "BLOB_UPLOAD_INVALID");
    if (u)
        check_content_range(q, p, u, e);
    if (!e->status)
        check_room(o, q, e);
    const bool begun = u && p->kind != OCI_AT_UPLOAD;
    if ((!e->status || begun) && u && !upload_hold(u, held(q)))
        refuse_as(e, 404, NULL, "BLOB_UPLOAD_UNKNOWN", NULL, "bytes of this upload are missing: it must begin again");
    if (e->status && begun)
        upload_over(o->uploads, held(q));
    if (!e->status)
        http_take_pieces(q, upload_piece, held(q));
}

void oci_admit(struct oci *o, struct http_request *q, struct refusal *e)
{
    struct oci_path p;
    oci_path_parse(&p, http_path(q), e);
    const bool comes = p.kind == OCI_AT_UPLOAD && (is(q, "PATCH") || is(q, "PUT"));
    if (!e->status && (comes || is_single_post(q, &p)))
        admit_upload(o, q, &p, e);
}

void oci_over(struct oci *o, struct http_request *q)
{
    upload_over(o->uploads, held(q));
}

static void reply_empty(struct http_request *q, int status) { http_reply(q, status, NULL, "", 0); }

/* A blob that is here, by its digest, need not be sent. */
static bool mount(struct oci *o, struct http_request *q, const struct oci_path *p)
{
    const char *digest = http_query(q, "mount"), *sha256 = digest ? oci_digest(digest) : NULL;
    if (!sha256 || !blob_exists(o->folder, sha256))
        return false;
    oci_created(q, p->name, "blobs", sha256);
    return true;
}

static void begin_upload(struct oci *o, struct http_request *q, const struct oci_path *p, struct refusal *e)
{
    struct err err;
    struct upload *u;
    if (mount(o, q, p))
        return;
    if (upload_begin(o->uploads, p->name, false, &u, &err)) {
        oci_refuse_err(e, &err, "BLOB_UPLOAD_INVALID");
        return;
    }
    tell_upload(q, p, u);
    reply_empty(q, 202);
}

static void answer_upload(struct oci *o, struct http_request *q, const struct oci_path *p, struct refusal *e)
{
    struct upload *u = find_upload(o, p, e);
    if (!u)
        return;
    if (is(q, "PATCH") && !*held(q)) {
        refuse_as(e, 409, NULL, "BLOB_UPLOAD_INVALID", NULL, "another request goes on with this upload");
    } else if (is(q, "PATCH")) {
        oci_over(o, q);
        tell_upload(q, p, u);
        reply_empty(q, 202);
    } else if (is(q, "GET")) {
        tell_upload(q, p, u);
        reply_empty(q, 204);
    } else if (is(q, "DELETE")) {
        upload_take(o->uploads, u);
        upload_cancel(u);
        reply_empty(q, 204);
    } else {
        refuse_as(e, 405, NULL, "UNSUPPORTED", NULL, "%.20s is no method of an upload", http_method(q));
    }
}

/* ---- blobs ---- */

static void send_blob(struct http_request *q, const struct oci_path *p, struct file_stream *s, struct refusal *e)
{
    char text[80];
    uint64_t from, to;
    struct err err;
    const int status = oci_range(http_header(q, "Range"), s->size, &from, &to);
    oci_tell_digest(q, p->what);
    http_add_header(q, "Accept-Ranges", "bytes");
    snprintf(text, sizeof text, status == 416 ? "bytes */%llu" : "bytes %llu-%llu/%llu", (unsigned long long)(status == 416 ? s->size : from), (unsigned long long)to, (unsigned long long)s->size);
    if (status != 200)
        http_add_header(q, "Content-Range", text);
    if (status == 416)
        refuse_as(e, 416, NULL, "SIZE_INVALID", NULL, "the blob has %llu bytes", (unsigned long long)s->size);
    else if (file_stream_seek(s, from, &err))
        oci_refuse_err(e, &err, "BLOB_UNKNOWN");
    else
        http_reply_file(q, status, "application/octet-stream", s, s->size ? to - from + 1 : 0);
    file_stream_close(s);
}

/* False: it is no file here. */
static bool answer_blob(struct oci *o, struct http_request *q, const struct oci_path *p, struct refusal *e)
{
    struct file_stream s = { .fd = -1 };
    struct err none;
    char *path = blob_path(o->folder, p->what);
    const bool there = path && !file_stream_open(&s, path, &none);
    if (there)
        send_blob(q, p, &s, e);
    mem_free(path);
    return there;
}

/* ---- what needs the tables ---- */

struct oci_turn {
    struct turn turn;
    struct oci *o;
    struct oci_ask ask;
    struct buf body;
};

static bool answer(void *ctx, bool stop)
{
    struct oci_turn *t = ctx;
    const struct visit *v = http_user(t->ask.q);
    t->ask.g = t->o->g, t->ask.opts = t->o->opts, t->ask.folder = t->o->folder;
    t->ask.actor = v->client ? v->rights.name : t->o->opts->actor;
    t->ask.body = &t->body;
    if (stop)
        refuse_as(&t->ask.e, 503, NULL, NULL, NULL, "the server is about to end");
    if (stop && t->ask.upload)
        upload_cancel(t->ask.upload);
    if (!stop)
        oci_answer(&t->ask);
    if (t->ask.e.status)
        oci_refuse(t->ask.q, &t->ask.e);
    buf_release(&t->body);
    mem_free(t);
    return false;
}

/* u: is finished by it, or gone. */
static void hand_over(struct oci *o, struct http_request *q, const struct oci_path *p, struct upload *u, struct refusal *e)
{
    struct err err;
    struct oci_turn *t = mem_alloc_zero(sizeof *t);
    if (!t) {
        refuse_as(e, 503, NULL, NULL, NULL, "no memory for the request");
    } else {
        *t = (struct oci_turn){ .turn = { .piece = answer, .ctx = t, .tenant = visit_tenant(q) }, .o = o, .ask = { .q = q, .path = *p, .upload = u }, .body = http_take_body(q) };
        if (turns_add(o->turns, &t->turn, &err) == 0)
            return;
        refuse_as(e, 503, NULL, NULL, NULL, "%s", err.msg);
        buf_release(&t->body);
        mem_free(t);
    }
    if (u)
        upload_cancel(u);
}

/* The last bytes of an upload have come. */
static void end_upload(struct oci *o, struct http_request *q, const struct oci_path *p, struct refusal *e)
{
    struct upload *u = *held(q);
    struct oci_path blob = *p;
    const char *digest = http_query(q, "digest"), *sha256 = digest ? oci_digest(digest) : NULL;
    if (!u) {
        refuse_as(e, 409, NULL, "BLOB_UPLOAD_INVALID", NULL, "another request goes on with this upload");
        return;
    }
    if (!sha256) {
        oci_over(o, q);
        refuse_as(e, 400, NULL, "DIGEST_INVALID", NULL, "found the digest '%.140s', expected sha256: and 64 hexadecimal digits", digest ? digest : "");
        return;
    }
    strcpy(blob.what, sha256);
    upload_take(o->uploads, u);
    hand_over(o, q, &blob, u, e);
}

void oci_handle(struct oci *o, struct http_request *q)
{
    struct oci_path p;
    struct refusal e = { 0 };
    const bool reads = is(q, "GET") || is(q, "HEAD");
    oci_path_parse(&p, http_path(q), &e);
    http_add_header(q, "Docker-Distribution-API-Version", "registry/2.0");
    if (e.status)
        ;
    else if (p.kind == OCI_AT_BASE && reads)
        http_reply(q, 200, "application/json", "{}", 2);
    else if ((p.kind == OCI_AT_UPLOAD && is(q, "PUT")) || is_single_post(q, &p))
        end_upload(o, q, &p, &e);
    else if (p.kind == OCI_AT_UPLOAD)
        answer_upload(o, q, &p, &e);
    else if (p.kind == OCI_AT_UPLOADS && is(q, "POST"))
        begin_upload(o, q, &p, &e);
    else if (p.kind == OCI_AT_BLOB && reads && answer_blob(o, q, &p, &e))
        ;
    else if ((reads && p.kind != OCI_AT_UPLOADS) || (p.kind == OCI_AT_MANIFEST && (is(q, "PUT") || is(q, "DELETE"))))
        hand_over(o, q, &p, NULL, &e);
    else
        refuse_as(&e, 405, NULL, "UNSUPPORTED", NULL, "%.20s is not done there: what the journal tells of is never deleted", http_method(q));
    if (e.status)
        oci_refuse(q, &e);
}
