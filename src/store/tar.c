#include "store/tar.h"
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "base/when.h"

enum { BLOCK = 10240, READ = 64 << 10 };

struct tar_out {
    struct archive *a;
    struct archive_entry *entry;
    struct file_writer w;                /* fd -1: standard output */
    bool to_file;
    uint64_t left;                       /* bytes of the present file that are to come */
    int64_t now;
    struct err why;                      /* of what the archive could not be written for */
    bool dropped;                        /* nothing is written any more */
};

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory for an archive"); }

/* ---- written ---- */

static int write_standard(const char *p, size_t n, struct err *err)
{
    while (n) {
        const ssize_t k = write(STDOUT_FILENO, p, n);
        if (k < 0 && errno != EINTR)
            return ERR_ERRNO(err, "cannot write to standard output");
        p += k > 0 ? k : 0, n -= k > 0 ? (size_t)k : 0;
    }
    return 0;
}

/* Never fails, since libarchive 3.6 loses its block where an archive fails: `why` is looked at behind each call. */
static la_ssize_t write_block(struct archive *a, void *ctx, const void *p, size_t n)
{
    struct tar_out *t = ctx;
    (void)a;
    if (!t->dropped && (t->to_file ? file_writer_add(&t->w, p, n, &t->why) : write_standard(p, n, &t->why)) < 0)
        t->dropped = true;
    return (la_ssize_t)n;
}

/* What libarchive says, or why its bytes could not be written. */
static int failed(struct tar_out *t, struct err *err)
{
    if (t->why.code)
        return *err = t->why, err->code;
    return archive_errno(t->a) == ENOMEM ? no_memory(err) : ERR(err, IO, "the archive: %s", archive_error_string(t->a) ? archive_error_string(t->a) : "libarchive does not say why");
}

static int open_writer(struct tar_out *t, const char *path, bool is_private, struct err *err)
{
    t->to_file = strcmp(path, TAR_STANDARD) != 0;
    if (!t->to_file)
        return isatty(STDOUT_FILENO) ? ERR(err, USAGE, "standard output is a terminal: expected a pipe or a file for an archive") : 0;
    TRY(file_writer_open(&t->w, path, err));
    return is_private && fchmod(t->w.fd, 0600) ? ERR_ERRNO(err, "cannot give %.300s its mode", path) : 0;
}

int tar_out_open(struct tar_out **out, const char *path, bool is_private, struct err *err)
{
    struct tar_out *t = *out = mem_alloc_zero(sizeof *t);
    if (!t)
        return no_memory(err);
    t->w.fd = -1, t->now = when_now();
    t->a = archive_write_new(), t->entry = archive_entry_new();
    int rc = t->a && t->entry ? open_writer(t, path, is_private, err) : no_memory(err);
    if (!rc && (archive_write_set_format_pax_restricted(t->a) != ARCHIVE_OK || archive_write_set_bytes_per_block(t->a, BLOCK) != ARCHIVE_OK ||
                archive_write_open(t->a, t, NULL, write_block, NULL) != ARCHIVE_OK))
        rc = failed(t, err);
    if (!rc)
        return 0;
    *out = NULL;
    return tar_out_end(t, rc, err);
}

/* libarchive would fill it up with zeros. */
static int check_whole(const struct tar_out *t, struct err *err)
{
    return t->left ? ERR(err, CORRUPT, "%s became shorter while it was copied", archive_entry_pathname(t->entry)) : 0;
}

int tar_out_file(struct tar_out *t, const char *name, uint64_t bytes, bool is_private, struct err *err)
{
    TRY(check_whole(t, err));
    archive_entry_clear(t->entry);
    archive_entry_set_pathname(t->entry, name);
    archive_entry_set_filetype(t->entry, AE_IFREG);
    archive_entry_set_perm(t->entry, is_private ? 0600 : 0644);
    archive_entry_set_size(t->entry, (la_int64_t)bytes);
    archive_entry_set_mtime(t->entry, (time_t)(t->now / 1000000000), 0);
    t->left = bytes;
    return archive_write_header(t->a, t->entry) == ARCHIVE_OK && !t->dropped ? 0 : failed(t, err);
}

int tar_out_add(void *out, const char *p, size_t n, struct err *err)
{
    struct tar_out *t = out;
    if (n > t->left)
        return ERR(err, CORRUPT, "%s became longer while it was copied", archive_entry_pathname(t->entry));
    t->left -= n;
    return n && (archive_write_data(t->a, p, n) != (la_ssize_t)n || t->dropped) ? failed(t, err) : 0;
}

int tar_out_end(struct tar_out *t, int rc, struct err *err)
{
    if (!rc)
        rc = check_whole(t, err);
    if (!rc && (archive_write_close(t->a) != ARCHIVE_OK || t->dropped))
        rc = failed(t, err);
    t->dropped |= rc < 0;                /* else freeing it would end the archive as if it were whole */
    archive_write_free(t->a);
    archive_entry_free(t->entry);
    if (t->to_file && t->w.fd >= 0) {
        if (!rc)
            rc = file_writer_commit(&t->w, err);
        else
            file_writer_abort(&t->w);
    }
    mem_free(t);
    return rc;
}

/* ---- read ---- */

struct tar_in { struct archive *a; int fd; const char *path; };

static int bad(const struct tar_in *t, struct err *err)
{
    const char *why = archive_error_string(t->a);
    const int code = archive_errno(t->a);
    if (code == ENOMEM)
        return no_memory(err);
    return code == EIO || code == EISDIR ? ERR(err, IO, "%.300s: %s", t->path, why ? why : strerror(code)) : ERR(err, CORRUPT, "%.300s is no tar archive, or one that is damaged or cut off: %.150s", t->path, why ? why : "");
}

int tar_in_open(struct tar_in **out, const char *path, struct err *err)
{
    struct tar_in *t = mem_alloc_zero(sizeof *t);
    *out = NULL;
    if (!t)
        return no_memory(err);
    const bool is_file = strcmp(path, TAR_STANDARD) != 0;
    t->path = is_file ? path : "standard input";
    t->fd = is_file ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    t->a = archive_read_new();
    int rc = t->fd < 0 ? ERR_ERRNO(err, "cannot open %.300s", path) : t->a ? 0 : no_memory(err);
    if (!rc && (archive_read_support_format_tar(t->a) != ARCHIVE_OK || archive_read_open_fd(t->a, t->fd, READ) != ARCHIVE_OK))
        rc = bad(t, err);
    if (rc)
        tar_in_close(t);
    else
        *out = t;
    return rc;
}

void tar_in_close(struct tar_in *t)
{
    if (!t)
        return;
    archive_read_free(t->a);
    if (t->fd > STDIN_FILENO)
        close(t->fd);
    mem_free(t);
}

static int check_entry(const struct tar_in *t, struct archive_entry *e, const char **name, struct err *err)
{
    *name = archive_entry_pathname(e);
    if (!*name || !**name)
        return ERR(err, FORMAT, "%.300s has a file without a name", t->path);
    const char *link = archive_entry_hardlink(e) ? "a link" : archive_entry_filetype(e) == AE_IFLNK ? "a symbolic link" : NULL;
    if (link || (archive_entry_filetype(e) != AE_IFREG && archive_entry_filetype(e) != AE_IFDIR))
        return ERR(err, FORMAT, "%.300s: '%.150s' is %s, expected files alone", t->path, *name, link ? link : "a device, a pipe or a socket");
    return archive_entry_sparse_count(e) ? ERR(err, FORMAT, "%.300s: '%.150s' has holes, expected whole files", t->path, *name) : 0;
}

int tar_in_next(struct tar_in *t, const char **name, struct err *err)
{
    struct archive_entry *e;
    int rc;
    while ((rc = archive_read_next_header(t->a, &e)) == ARCHIVE_OK) {
        TRY(check_entry(t, e, name, err));
        if (archive_entry_filetype(e) == AE_IFREG)
            return 1;
    }
    return rc == ARCHIVE_EOF ? 0 : bad(t, err);
}

int64_t tar_in_read(struct tar_in *t, void *p, size_t n, struct err *err)
{
    const la_ssize_t got = archive_read_data(t->a, p, n);
    return got < 0 ? bad(t, err) : (int64_t)got;
}
