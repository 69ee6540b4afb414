#include "serve/oci_upload.h"
#include <errno.h>
#include <openssl/rand.h>
#include <string.h>
#include <unistd.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"

struct upload {
    char id[UPLOAD_ID], name[REGISTRY_NAME];
    struct file_part part;
    struct sha256 sum;
    double used;                             /* clock_wall() of the last byte */
    struct upload **holder;                  /* the place in the request that brings bytes, or NULL */
    bool whole;                              /* nobody can go on with it */
    bool broken;                             /* bytes are missing in the file, or too many */
    struct upload *next;
};
struct uploads { char *dir; int lock, n; struct upload *first; };

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for uploads"); }

static int random_id(char id[UPLOAD_ID], struct err *err)
{
    unsigned char b[16];
    if (RAND_bytes(b, sizeof b) != 1)
        return ERR(err, IO, "the system gives no random numbers");
    for (size_t i = 0; i < sizeof b; i++)
        snprintf(id + 2 * i, 3, "%02x", b[i]);
    return 0;
}

/* Folders whose servers are gone. */
static int clear_left(const char *all, struct err *err)
{
    char **names;
    int n, fd;
    struct err none;
    TRY(file_list(all, &names, &n, err));
    for (int i = 0; i < n; i++) {
        char *dir = file_join(all, names[i]);
        if (dir && !file_lock(dir, &fd, &none)) {
            if (file_remove_tree(dir, &none))
                log_warn("%s", none.msg);
            file_unlock(&fd);
        }
        mem_free(dir);
    }
    file_list_free(names, n);
    return 0;
}

int uploads_new(struct uploads **out, const char *folder, struct err *err)
{
    char id[UPLOAD_ID];
    TRY(random_id(id, err));
    struct uploads *u = mem_alloc_zero(sizeof *u);
    char *all = mem_printf("%s/oci/uploads", folder);
    if (u)
        *u = (struct uploads){ .lock = -1, .dir = mem_printf("%s/oci/uploads/%s", folder, id) };
    int rc = u && u->dir && all ? file_mkdirs(all, err) : no_memory(err);
    if (!rc)
        rc = clear_left(all, err);
    if (!rc)
        rc = file_mkdirs(u->dir, err);
    if (!rc)
        rc = file_lock(u->dir, &u->lock, err);
    mem_free(all);
    if (rc)
        uploads_free(u);
    *out = rc ? NULL : u;
    return rc;
}

static void forget(struct upload *p)
{
    sha256_release(&p->sum);
    mem_free(p);
}

void upload_cancel(struct upload *p)
{
    if (p->part.path)
        unlink(p->part.path);
    file_part_close(&p->part);
    forget(p);
}

void uploads_free(struct uploads *u)
{
    struct err none;
    if (!u)
        return;
    while (u->first) {
        struct upload *p = u->first;
        u->first = p->next;
        upload_cancel(p);
    }
    if (u->lock >= 0) {
        if (file_remove_tree(u->dir, &none))
            log_warn("%s", none.msg);
        file_unlock(&u->lock);
    }
    mem_free(u->dir);
    mem_free(u);
}

void upload_take(struct uploads *u, struct upload *p)
{
    struct upload **at = &u->first;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    p->next = NULL;
    if (p->holder)
        upload_drop(p->holder);
    u->n--;
}

static void end_abandoned(struct uploads *u)
{
    const double now = clock_wall();
    for (struct upload *p = u->first, *next; p; p = next) {
        next = p->next;
        if (p->holder || now - p->used < UPLOAD_S)
            continue;
        upload_take(u, p);
        upload_cancel(p);
    }
}

int upload_begin(struct uploads *u, const char *name, bool whole, struct upload **out, struct err *err)
{
    end_abandoned(u);
    if (u->n == UPLOADS_MAX)
        return ERR(err, BUSY, "%d uploads are under way: try again when one has ended", UPLOADS_MAX);
    struct upload *p = mem_alloc_zero(sizeof *p);
    if (!p)
        return no_memory(err);
    *p = (struct upload){ .used = clock_wall(), .whole = whole, .part = { .fd = -1 } };
    snprintf(p->name, sizeof p->name, "%s", name);
    int rc = random_id(p->id, err);
    char *path = rc ? NULL : file_join(u->dir, p->id);
    if (!rc)
        rc = path ? file_part_open(&p->part, path, err) : no_memory(err);
    if (!rc)
        rc = sha256_init(&p->sum, err);
    mem_free(path);
    if (rc) {
        upload_cancel(p);
        return rc;
    }
    p->next = u->first, u->first = p, u->n++;
    *out = p;
    return 0;
}

struct upload *upload_find(struct uploads *u, const char *name, const char *id)
{
    struct upload *p = u->first;
    while (p && (strcmp(p->id, id) || strcmp(p->name, name)))
        p = p->next;
    return p;
}

const char *upload_id(const struct upload *p) { return p->id; }
uint64_t upload_size(const struct upload *p) { return p->part.size; }

void upload_drop(struct upload **at)
{
    if (*at)
        (*at)->holder = NULL;
    *at = NULL;
}

void upload_over(struct uploads *u, struct upload **at)
{
    struct upload *p = *at;
    upload_drop(at);
    if (p && p->whole) {
        upload_take(u, p);
        upload_cancel(p);
    }
}

bool upload_hold(struct upload *p, struct upload **at)
{
    if (p->broken)
        return false;
    if (p->holder)
        upload_drop(p->holder);
    p->holder = at, *at = p;
    return true;
}

int upload_piece(void *ctx, const char *data, size_t n, const char **message)
{
    struct upload *p = *(struct upload **)ctx;
    struct err err;
    if (!p) {
        *message = "another request goes on with this upload";
        return 409;
    }
    p->used = clock_wall();
    if (file_part_add(&p->part, data, n, &err)) {
        p->broken = true;                    /* a part of the piece may be there */
        log_warn("an upload: %s", err.msg);
        *message = "the registry cannot write the blob: is its disk full?";
        return 507;
    }
    sha256_add(&p->sum, data, n);
    return 0;
}

int upload_finish(struct upload *p, const char *folder, const char *sha256, struct err *err)
{
    char found[SHA256_HEX];
    sha256_end(&p->sum, found);
    int rc = p->broken ? ERR(err, IO, "the upload is not whole") : 0;
    if (!rc && strcmp(found, sha256))
        rc = ERR(err, CORRUPT, "what came has the digest sha256:%s, expected sha256:%s", found, sha256);
    if (rc) {
        upload_cancel(p);
        return rc;
    }
    rc = blob_put_part(folder, &p->part, sha256, err);
    forget(p);
    return rc;
}
