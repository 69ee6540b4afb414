/* oci_pull.c - a manifest of another registry becomes a version here: blobs that are missing, what it says, signatures. */
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/tree.h"
#include "store/fetch.h"
#include "store/oci_transfer.h"

enum { RENEWALS = 100, SIGNATURES_MAX = 20, PAGES_MAX = 100 };
#define ACCEPT OCI_MANIFEST ", application/vnd.docker.distribution.manifest.v2+json"

struct pull {
    struct registry *g;
    struct oci_remote *r;
    const struct oci_pull *o;
    struct oci_result *out;
    char *dir;                           /* of parts */
    int lock;
    struct fetch_file *file; struct fetch *fetch; int n;
};

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory to pull"); }

/* Takes the url; reference: what it is of, for messages.  next (may be NULL): the url of the page behind it, where it has one that
 * can be followed. */
static int get_at(struct pull *p, char *url, const char *reference, const char *accept, struct buf *out, int *status, char **next, struct err *err)
{
    char link[2048];
    if (!url)
        return no_memory(err);
    struct oci_call c = { .method = "GET", .url = url, .accept = accept, .out = out, .out_max = OCI_MANIFEST_MAX };
    int rc = oci_call(p->r, &c, err);
    *status = c.status;
    if (!rc && c.status != 200)
        rc = oci_call_error(p->r, &c, reference, err);
    fetch_link_next(c.link, link, sizeof link);
    if (!rc && next && *link && (rc = oci_absolute(next, p->r, link, "the next page", err)) == ERR_FORMAT) {
        log_warn("%s; what is listed there is left out", err->msg);           /* what this page has is taken all the same */
        *next = NULL, rc = 0;
    }
    mem_free(url);
    return rc;
}

static int get(struct pull *p, const char *what, const char *reference, const char *accept, struct buf *out, int *status, char **next, struct err *err)
{
    return get_at(p, mem_printf("%s/%s/%s", p->r->base, what, reference), reference, accept, out, status, next, err);
}

static int get_manifest(struct pull *p, const char *reference, struct buf *out, char sha256[SHA256_HEX], struct err *err)
{
    int status;
    const char *expected = oci_digest(reference);
    TRY(get(p, "manifests", reference, ACCEPT, out, &status, NULL, err));
    TRY(sha256_of(out->data, out->len, sha256, err));
    return !expected || !strcmp(expected, sha256) ? 0 : ERR(err, CORRUPT, "%s: the manifest that came has the digest sha256:%s, expected %s", p->r->ref.host, sha256, reference);
}

/* ---- blobs ---- */

static void show_progress(void *ctx)
{
    const struct pull *p = ctx;
    char a[32], b[32];
    uint64_t all = 0, here = 0;
    for (int i = 0; i < p->n; i++)
        all += p->file[i].size, here += p->file[i].here;
    log_progress("%s of %s", fmt_bytes(a, (double)here), fmt_bytes(b, (double)all));
}

static bool is_planned(const struct pull *p, const char *sha256)
{
    for (int i = 0; i < p->n; i++)
        if (!strcmp(p->file[i].digest, sha256))
            return true;
    return false;
}

static int plan(struct pull *p, const struct oci_blob *b, struct err *err)
{
    p->out->n_blob++, p->out->bytes += b->bytes;
    if (!blob_stat(registry_folder(p->g), b->sha256, b->bytes, NULL) || !strcmp(b->sha256, OCI_EMPTY_SHA256) || is_planned(p, b->sha256))
        return 0;
    struct fetch_file *f = &p->file[p->n];
    *f = (struct fetch_file){ .size = b->bytes, .name = *b->title ? b->title : b->sha256, .part = mem_printf("%s/%s", p->dir, b->sha256), .path = mem_printf("%s/%s.whole", p->dir, b->sha256) };
    memcpy(f->digest, b->sha256, SHA256_HEX);
    p->fetch[p->n] = (struct fetch){ .url = mem_printf("%s/blobs/sha256:%s", p->r->base, b->sha256), .file = f };
    return f->part && f->path && p->fetch[p->n++].url ? 0 : no_memory(err);
}

static void drop_one(struct pull *p, int i)
{
    mem_free((void *)(uintptr_t)p->file[i].part);
    mem_free((void *)(uintptr_t)p->file[i].path);
    mem_free((void *)(uintptr_t)p->fetch[i].url);
}

static void drop_plan(struct pull *p)
{
    for (int i = 0; i < p->n; i++)
        drop_one(p, i);
    mem_free(p->file);
    mem_free(p->fetch);
    p->file = NULL, p->fetch = NULL, p->n = 0;
}

/* What came whole becomes a blob, also where others did not. */
static int keep_whole(struct pull *p, struct err *err)
{
    int rc = 0;
    for (int i = 0; i < p->n && !rc; i++) {
        struct file_part part;
        if (!file_exists(p->file[i].path))
            continue;
        rc = file_part_open(&part, p->file[i].path, err);
        if (!rc && !(rc = blob_put_part(registry_folder(p->g), &part, p->file[i].digest, err)))
            p->out->n_moved++, p->out->bytes_moved += p->file[i].size;
    }
    return rc;
}

/* What a pull that was killed had fetched whole is not fetched again.  Read once more: it lay there since. */
static int keep_earlier(struct pull *p, struct err *err)
{
    int n = 0;
    for (int i = 0; i < p->n; i++) {
        char sha256[SHA256_HEX];
        if (file_exists(p->file[i].path) && (sha256_of_file(p->file[i].path, sha256, NULL) || strcmp(sha256, p->file[i].digest)))
            unlink(p->file[i].path);
    }
    TRY(keep_whole(p, err));
    for (int i = 0; i < p->n; i++) {
        if (!blob_stat(registry_folder(p->g), p->file[i].digest, p->file[i].size, NULL)) {
            drop_one(p, i);
            continue;
        }
        p->file[n] = p->file[i], p->fetch[n] = p->fetch[i];
        p->fetch[n].file = &p->file[n];
        n++;
    }
    p->n = n;
    return 0;
}

/* Tokens are short-lived: one that has expired under way is renewed. */
static int fetch_blobs(struct pull *p, struct err *err)
{
    int failed = 0, rc = ERR_NOTFOUND;
    for (int n = 0; n < RENEWALS && rc; n++) {
        const struct fetch_opts o = { .authorization = p->r->authorization, .n_job = p->o->n_job, .n_try = p->r->o.n_try, .stop = p->r->o.stop, .progress = show_progress, .ctx = p };
        rc = fetch_run(p->fetch, p->n, &o, &failed, err);
        log_progress_end();
        if (rc != ERR_NOTFOUND || p->fetch[failed].status != 401)
            break;
        struct oci_call c = { .method = "HEAD", .url = p->fetch[failed].url };
        TRY(oci_call(p->r, &c, err));
        if (c.status == 401)
            return oci_call_error(p->r, &c, p->fetch[failed].file->name, err);
    }
    struct err none;
    const int kept = keep_whole(p, rc ? &none : err);
    return rc ? rc : kept;
}

static int pull_blobs(struct pull *p, const struct oci_manifest *m, struct err *err)
{
    p->file = mem_alloc_array((size_t)m->n_layer + 1, sizeof *p->file);
    p->fetch = mem_alloc_array((size_t)m->n_layer + 1, sizeof *p->fetch);
    int rc = p->file && p->fetch ? plan(p, &m->config, err) : no_memory(err);
    for (int i = 0; i < m->n_layer && !rc; i++)
        rc = plan(p, &m->layer[i], err);
    if (!rc)
        rc = keep_earlier(p, err);
    if (!rc && p->n)
        rc = fetch_blobs(p, err);
    drop_plan(p);
    return rc;
}

/* ---- from the manifest to the version ---- */

static int take(struct pull *p, const char *name, const struct buf *text, bool is_version, struct registry_version *v, struct err *err)
{
    struct oci_manifest m;
    TRY(oci_manifest_parse(&m, text->data, text->len, err));
    int rc = pull_blobs(p, &m, err);
    oci_manifest_release(&m);
    const struct oci_push taken = { .name = name, .is_version = is_version, .text = text->data, .n = text->len, .add = p->o->add };
    return rc ? rc : oci_take(p->g, &taken, &p->o->by, v, err);
}

static int take_signature(struct pull *p, const char *name, const char *digest, struct err *err)
{
    struct buf text;
    char sha256[SHA256_HEX];
    struct registry_version v;
    buf_init(&text);
    int rc = get_manifest(p, digest, &text, sha256, err);
    if (!rc)
        rc = take(p, name, &text, false, &v, err);
    p->out->n_signature += !rc;
    buf_release(&text);
    return rc;
}

/* By the API of referrers, or the tag that stands for it; *next: the page behind it, or NULL. */
static int list_referrers(struct pull *p, const char *sha256, struct buf *text, char **next, struct err *err)
{
    char reference[SHA256_HEX + 8];
    int status;
    snprintf(reference, sizeof reference, "sha256:%s", sha256);
    int rc = get(p, "referrers", reference, OCI_INDEX, text, &status, next, err);
    if (rc && status >= 400 && status < 500) {
        reference[6] = '-';
        rc = get(p, "manifests", reference, OCI_INDEX, text, &status, NULL, err);
        if (rc && status >= 400 && status < 500) {
            buf_clear(text);
            return 0;
        }
    }
    return rc;
}

/* Those of one page.  *n_left: of how many it was enough. */
static int take_page(struct pull *p, const char *name, const struct buf *text, int *n_left, struct err *err)
{
    json_t *index, *e;
    size_t i;
    TRY(tree_parse_json(&index, text->data, text->len, "the list of referrers", err));
    int rc = 0;
    json_array_foreach(json_object_get(index, "manifests"), i, e)
        if (!rc && !strncmp(tree_text_at(e, "artifactType"), "application/vnd.dev.sigstore.bundle", 35) && oci_digest(tree_text_at(e, "digest"))) {
            if (p->out->n_signature < SIGNATURES_MAX)
                rc = take_signature(p, name, tree_text_at(e, "digest"), err);
            else
                ++*n_left;
        }
    json_decref(index);
    return rc;
}

static int take_signatures(struct pull *p, const char *name, const char *sha256, struct err *err)
{
    struct buf text;
    char *next = NULL;
    int status, n_left = 0, n_page = 0;
    buf_init(&text);
    int rc = list_referrers(p, sha256, &text, &next, err);
    if (!rc && text.len)
        rc = take_page(p, name, &text, &n_left, err);
    while (!rc && next && ++n_page < PAGES_MAX) {
        char *url = next;
        next = NULL;
        buf_clear(&text);
        rc = get_at(p, url, "referrers", OCI_INDEX, &text, &status, &next, err);
        if (!rc)
            rc = take_page(p, name, &text, &n_left, err);
    }
    if (!rc && (n_left || next))
        log_warn("%s has %d signatures here, and more there are left out", name, p->out->n_signature);
    mem_free(next);
    buf_release(&text);
    return rc;
}

static int pull(struct pull *p, struct registry_version *v, struct err *err)
{
    struct buf text;
    struct err why;
    const char *name = p->o->name ? p->o->name : file_last_part(p->r->ref.repository);
    buf_init(&text);
    int rc = file_mkdirs(p->dir, err);
    if (!rc)
        rc = file_lock(p->dir, &p->lock, err);
    if (!rc)
        rc = get_manifest(p, p->r->ref.reference, &text, p->out->sha256, err);
    if (!rc)
        rc = take(p, name, &text, true, v, err);
    if (!rc && take_signatures(p, name, p->out->sha256, &why))
        log_warn("%s@%lld is here, its signatures are not: %s", v->name, (long long)v->number, why.msg);
    file_unlock(&p->lock);
    buf_release(&text);
    return rc;
}

int oci_pull_version(struct registry *g, struct oci_remote *r, const struct oci_pull *o, struct registry_version *v, struct oci_result *out, struct err *err)
{
    struct pull p = { .g = g, .r = r, .o = o, .out = out, .lock = -1, .dir = mem_printf("%s/oci/part", registry_folder(g)) };
    const double began = clock_wall();
    *out = (struct oci_result){ .n_blob = 0 };
    const int rc = p.dir ? pull(&p, v, err) : no_memory(err);
    out->seconds = clock_wall() - began;
    mem_free(p.dir);
    return rc;
}
