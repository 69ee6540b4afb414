/* oci_push.c - a version goes to another registry: blobs that it lacks, the manifest, signatures. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/tree.h"
#include "store/oci_transfer.h"

enum { ANSWER_MAX = 1 << 20 };

#define UPLOAD "the place of the upload"

struct push {
    struct registry *g;
    struct oci_remote *r;
    const char *name;
    struct oci_result *out;
    struct buf answer;
    uint64_t sent, from;                 /* of the blob under way */
    const struct oci_blob *blob;
    double began;
};

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory to push"); }

static void show_progress(void *ctx, uint64_t sent)
{
    const struct push *p = ctx;
    char a[32], b[32];
    log_progress("%s: %s of %s", *p->blob->title ? p->blob->title : "blob", fmt_bytes(a, (double)(p->from + sent)), fmt_bytes(b, (double)p->blob->bytes));
}

/* ---- where an upload goes on ---- */

static int state_path(const struct push *p, const char *sha256, char **out, struct err *err)
{
    char hex[SHA256_HEX];
    char *text = mem_printf("%s %s", p->r->base, sha256), *dir = mem_printf("%s/oci/push", registry_folder(p->g));
    int rc = text && dir ? sha256_of(text, strlen(text), hex, err) : no_memory(err);
    if (!rc)
        rc = file_mkdirs(dir, err);
    *out = rc ? NULL : file_join(dir, hex);
    mem_free(text);
    mem_free(dir);
    return rc || *out ? rc : no_memory(err);
}

/* The address that an earlier upload of the blob has, or NULL. */
static char *earlier(const char *state)
{
    struct buf b;
    struct err none;
    buf_init(&b);
    char *url = file_exists(state) && !file_read(state, 4096, &b, &none) ? mem_strdup(b.data) : NULL;
    buf_release(&b);
    return url;
}

/* How far it is; false: it is gone. */
static bool ask_upload(struct push *p, char **url, uint64_t *from)
{
    struct err none;
    struct oci_call c = { .method = "GET", .url = *url };
    if (!*url || oci_call(p->r, &c, &none) || c.status != 204)
        return false;
    const char *dash = strchr(c.sent_range, '-');
    *from = dash && strtoull(dash + 1, NULL, 10) ? strtoull(dash + 1, NULL, 10) + 1 : 0;
    char *next;
    if (*c.location && !oci_absolute(&next, p->r, c.location, UPLOAD, &none)) {
        mem_free(*url);
        *url = next;
    }
    return true;
}

static int begin_upload(struct push *p, char **url, struct err *err)
{
    char *at = mem_printf("%s/blobs/uploads/", p->r->base);
    if (!at)
        return no_memory(err);
    struct oci_call c = { .method = "POST", .url = at, .out = &p->answer, .out_max = ANSWER_MAX };
    int rc = oci_call(p->r, &c, err);
    if (!rc && c.status != 202)
        rc = oci_call_error(p->r, &c, "an upload cannot begin", err);
    if (!rc)
        rc = oci_absolute(url, p->r, c.location, UPLOAD, err);
    mem_free(at);
    return rc;
}

/* ---- a blob's bytes ---- */

/* All from `from` on, as one piece.  1: it broke off, and may go on (409, 416: an earlier one that was cut off still brings bytes). */
static int send_piece(struct push *p, char **url, struct file_stream *s, uint64_t from, struct err *err)
{
    char range[64];
    struct oci_call c = { .method = "PATCH", .url = *url, .type = "application/octet-stream", .file = s, .out = &p->answer, .out_max = ANSWER_MAX, .progress = show_progress, .ctx = p };
    snprintf(range, sizeof range, "%llu-%llu", (unsigned long long)from, (unsigned long long)(s->size - 1));
    c.range = range;
    p->from = from;
    TRY(file_stream_seek(s, from, err));
    const int rc = oci_call(p->r, &c, err);
    p->out->bytes_moved += s->at - from;
    if (rc == ERR_IO || (!rc && (c.status == 409 || c.status == 416 || c.status == 429 || (c.status >= 500 && c.status != 507)))) {
        if (!rc)
            oci_call_error(p->r, &c, "an upload", err);
        return 1;
    }
    if (!rc && c.status != 202)
        return oci_call_error(p->r, &c, "an upload", err);
    if (!rc && *c.location) {
        char *next;
        TRY(oci_absolute(&next, p->r, c.location, UPLOAD, err));
        mem_free(*url);
        *url = next;
    }
    return rc;
}

static int close_upload(struct push *p, const char *url, const char *sha256, const char *body, size_t n, struct err *err)
{
    char *at = mem_printf("%s%sdigest=sha256%%3A%s", url, strchr(url, '?') ? "&" : "?", sha256);
    if (!at)
        return no_memory(err);
    struct oci_call c = { .method = "PUT", .url = at, .type = "application/octet-stream", .body = body, .n_body = n, .out = &p->answer, .out_max = ANSWER_MAX };
    int rc = oci_call(p->r, &c, err);
    if (!rc && c.status != 201)
        rc = oci_call_error(p->r, &c, "an upload", err);
    mem_free(at);
    return rc;
}

static int write_state(const char *state, const char *url, struct err *err) { return file_write_all(state, url, strlen(url), err); }

static int send_stream(struct push *p, char **url, const char *state, struct file_stream *s, struct err *err)
{
    uint64_t from = 0, last = 0;
    const bool goes_on = ask_upload(p, url, &from) && from <= s->size;
    int rc = 0;
    if (!goes_on) {
        mem_free(*url);
        *url = NULL, from = 0;
        TRY(begin_upload(p, url, err));
    } else if (from) {
        char a[32];
        log_info("%s goes on at %s", *p->blob->title ? p->blob->title : "a blob", fmt_bytes(a, (double)from));
    }
    TRY(write_state(state, *url, err));
    for (int n = 0; from < s->size; last = from) {
        rc = send_piece(p, url, s, from, err);
        if (rc <= 0)
            break;
        if (p->r->o.stop && *p->r->o.stop)
            return ERR(err, STOPPED, "stopped");
        if (++n >= p->r->o.n_try)
            return err->code;
        log_debug("%s: goes on", err->msg);
        nanosleep(&(struct timespec){ n < 5 ? n : 5, 0 }, NULL);
        if (!ask_upload(p, url, &from)) {
            mem_free(*url);
            *url = NULL, from = 0;
            TRY(begin_upload(p, url, err));
            TRY(write_state(state, *url, err));
        }
        n = from > last ? 0 : n;
        rc = 0;                              /* all may be there, and only the reply was lost */
    }
    return rc;
}

static int send_file(struct push *p, const char *path, const struct oci_blob *b, struct err *err)
{
    struct file_stream s;
    char *state = NULL, *url = NULL;
    TRY(file_stream_open(&s, path, err));
    int rc = state_path(p, b->sha256, &state, err);
    url = rc ? NULL : earlier(state);
    if (!rc)
        rc = send_stream(p, &url, state, &s, err);
    if (!rc)
        rc = close_upload(p, url, b->sha256, "", 0, err);
    if (!rc || rc == ERR_NOTFOUND)
        unlink(state);
    file_stream_close(&s);
    mem_free(state);
    mem_free(url);
    return rc;
}

/* A config that is made, or empty. */
static int send_made(struct push *p, const struct oci_blob *b, struct err *err)
{
    struct buf text;
    char *url = NULL;
    buf_init(&text);
    int rc = oci_find_config(p->g, p->name, b->sha256, &text, err);
    if (!rc)
        rc = begin_upload(p, &url, err);
    if (!rc)
        rc = close_upload(p, url, b->sha256, text.data, text.len, err);
    p->out->bytes_moved += rc ? 0 : text.len;
    mem_free(url);
    buf_release(&text);
    return rc;
}

static int is_there(struct push *p, const struct oci_blob *b, bool *yes, struct err *err)
{
    char *url = mem_printf("%s/blobs/sha256:%s", p->r->base, b->sha256);
    if (!url)
        return no_memory(err);
    struct oci_call c = { .method = "HEAD", .url = url };
    int rc = oci_call(p->r, &c, err);
    if (!rc && c.status != 200 && c.status != 404)
        rc = oci_call_error(p->r, &c, "is a blob there?", err);
    *yes = c.status == 200;
    mem_free(url);
    return rc;
}

static int send_blob(struct push *p, const struct oci_blob *b, struct err *err)
{
    bool there;
    TRY(is_there(p, b, &there, err));
    p->out->n_blob++, p->out->bytes += b->bytes;
    if (there)
        return 0;
    char *path = blob_path(registry_folder(p->g), b->sha256);
    if (!path)
        return no_memory(err);
    p->blob = b;
    const int rc = file_exists(path) ? send_file(p, path, b, err) : send_made(p, b, err);
    log_progress_end();
    p->out->n_moved += !rc;
    mem_free(path);
    return rc;
}

/* ---- manifests ---- */

static int put_manifest(struct push *p, const char *reference, const char *type, const char *text, size_t n, char subject[140], struct err *err)
{
    char *url = mem_printf("%s/manifests/%s", p->r->base, reference);
    if (!url)
        return no_memory(err);
    struct oci_call c = { .method = "PUT", .url = url, .type = type, .body = text, .n_body = n, .out = &p->answer, .out_max = ANSWER_MAX };
    int rc = oci_call(p->r, &c, err);
    if (!rc && c.status != 201)
        rc = oci_call_error(p->r, &c, "the manifest is not taken", err);
    if (!rc && subject)
        strcpy(subject, c.subject);
    mem_free(url);
    return rc;
}

static int send_manifest(struct push *p, const char *reference, const struct oci_found *f, char subject[140], struct err *err)
{
    struct oci_manifest m;
    TRY(oci_manifest_parse(&m, f->text.data, f->text.len, err));
    int rc = send_blob(p, &m.config, err);
    for (int i = 0; i < m.n_layer && !rc; i++)
        rc = send_blob(p, &m.layer[i], err);
    if (!rc)
        rc = put_manifest(p, reference, m.type, f->text.data, f->text.len, subject, err);
    oci_manifest_release(&m);
    return rc;
}

/* A registry that knows no referrers: the index that has the subject's digest as its tag. */
static int add_to_index(struct push *p, const char *subject, const json_t *descriptor, struct err *err)
{
    char tag[SHA256_HEX + 8];
    struct err none;
    json_t *o = NULL, *e;
    size_t i;
    snprintf(tag, sizeof tag, "sha256-%s", subject);
    char *url = mem_printf("%s/manifests/%s", p->r->base, tag);
    if (!url)
        return no_memory(err);
    struct oci_call c = { .method = "GET", .url = url, .accept = OCI_INDEX, .out = &p->answer, .out_max = OCI_MANIFEST_MAX };
    int rc = oci_call(p->r, &c, err);
    if (!rc && c.status != 200 && c.status != 404)
        rc = oci_call_error(p->r, &c, "the list of referrers", err);
    if (!rc && (c.status == 404 || tree_parse_json(&o, p->answer.data, p->answer.len, "the list of referrers", &none)))
        o = json_pack("{s:i, s:s, s:[]}", "schemaVersion", 2, "mediaType", OCI_INDEX, "manifests");
    bool there = false;
    json_array_foreach(json_object_get(o, "manifests"), i, e)
        there = there || !strcmp(tree_text_at(e, "digest"), tree_text_at(descriptor, "digest"));
    if (!rc && !there && json_array_append(json_object_get(o, "manifests"), (json_t *)(uintptr_t)descriptor))
        rc = ERR(err, FORMAT, "%s: %s is no index of referrers", p->r->ref.host, tag);
    char *text = rc || there ? NULL : tree_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
    if (text)
        rc = put_manifest(p, tag, OCI_INDEX, text, strlen(text), NULL, err);
    mem_free(text);
    mem_free(url);
    json_decref(o);
    return rc;
}

static int send_signature(struct push *p, const char *subject, const json_t *descriptor, struct err *err)
{
    struct oci_found f;
    char told[140] = "";
    const char *digest = tree_text_at(descriptor, "digest");
    int rc = oci_find(p->g, p->name, digest, &f, err);
    if (!rc)
        rc = send_manifest(p, digest, &f, told, err);
    if (!rc && !*told)
        rc = add_to_index(p, subject, descriptor, err);
    p->out->n_signature += !rc;
    buf_release(&f.text);
    return rc;
}

static int send_signatures(struct push *p, const char *subject, struct err *err)
{
    json_t *index, *e;
    size_t i;
    TRY(oci_referrers(p->g, p->name, subject, OCI_SIGNATURE, &index, err));
    int rc = 0;
    json_array_foreach(json_object_get(index, "manifests"), i, e)
        if (!rc)
            rc = send_signature(p, subject, e, err);
    json_decref(index);
    return rc;
}

int oci_push_version(struct registry *g, const struct registry_version *v, struct oci_remote *r, struct oci_result *out, struct err *err)
{
    struct oci_found f;
    struct push p = { .g = g, .r = r, .name = v->name, .out = out, .began = clock_wall() };
    *out = (struct oci_result){ .n_blob = 0 };
    if (r->ref.by_digest)
        return ERR(err, USAGE, "a version is pushed under a tag: expected oci://HOST/REPOSITORY:TAG");
    buf_init(&p.answer);
    int rc = oci_find_version(g, v, &f, err);
    if (!rc)
        rc = send_manifest(&p, r->ref.reference, &f, NULL, err);
    if (!rc)
        rc = send_signatures(&p, f.sha256, err);
    snprintf(out->sha256, sizeof out->sha256, "%s", f.sha256);
    out->seconds = clock_wall() - p.began;
    buf_release(&f.text);
    buf_release(&p.answer);
    return rc;
}
