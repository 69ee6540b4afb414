#include "base/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "base/fail.h"
#include "base/mem.h"

/* ---- the gate that every system call passes ---- */

static _Atomic int64_t fail_at = -1, fail_end, n_asked;
static _Atomic int fail_errno;
static bool (*_Atomic fail_pick)(int64_t n);

void file_fail_between(int64_t first, int64_t end, int errno_value)
{
    atomic_store(&n_asked, 0);
    atomic_store(&fail_errno, errno_value);
    atomic_store(&fail_end, end);
    atomic_store(&fail_at, first);
}

void file_fail_at(int64_t n, int errno_value) { file_fail_between(n, n + 1, errno_value); }

int64_t file_fail_count(void) { return atomic_load(&n_asked); }
void file_fail_pick(bool (*pick)(int64_t n)) { atomic_store(&fail_pick, pick); }

static bool fails(void)
{
    if (atomic_load_explicit(&fail_at, memory_order_relaxed) < 0)
        return false;
    const int64_t n = atomic_fetch_add(&n_asked, 1);
    bool (*pick)(int64_t n) = atomic_load(&fail_pick);
    if (n < atomic_load(&fail_at) || (pick ? !pick(n) : n >= atomic_load(&fail_end)))
        return false;
    errno = atomic_load(&fail_errno);
    return true;
}

static int sys_open(const char *path, int flags) { return fails() ? -1 : open(path, flags | O_CLOEXEC, 0666); }
static ssize_t sys_read(int fd, void *p, size_t n) { return fails() ? -1 : read(fd, p, n); }

static _Atomic int64_t flip_at = -1;
void file_flip_at(int64_t n) { atomic_store(&flip_at, n); }

/* A bit in the middle, on its way to the disk. */
static ssize_t write_flipped(int fd, const char *p, size_t n)
{
    const char wrong = (char)(p[n / 2] ^ 4);
    const ssize_t first = write(fd, p, n / 2);
    return first < (ssize_t)(n / 2) ? first : write(fd, &wrong, 1) == 1 ? first + 1 : -1;
}

static ssize_t sys_write(int fd, const void *p, size_t n)
{
    if (fails())
        return -1;
    return n && atomic_load_explicit(&flip_at, memory_order_relaxed) >= 0 && !atomic_fetch_sub(&flip_at, 1) ? write_flipped(fd, p, n) : write(fd, p, n);
}

static pthread_mutex_t hold_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t hold_changed = PTHREAD_COND_INITIALIZER;
static bool held;
static pthread_t holder;

void file_hold(bool on)
{
    pthread_mutex_lock(&hold_lock);
    held = on, holder = pthread_self();
    pthread_cond_broadcast(&hold_changed);
    pthread_mutex_unlock(&hold_lock);
}

static int sys_fsync(int fd)
{
    pthread_mutex_lock(&hold_lock);
    while (held && !pthread_equal(holder, pthread_self()))
        pthread_cond_wait(&hold_changed, &hold_lock);
    pthread_mutex_unlock(&hold_lock);
    return fails() ? -1 : fsync(fd);
}
static int sys_rename(const char *a, const char *b) { return fails() ? -1 : rename(a, b); }
static int sys_mkdir(const char *path) { return fails() ? -1 : mkdir(path, 0777); }

static int write_all(int fd, const char *p, size_t n)
{
    while (n) {
        const ssize_t done = sys_write(fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -1;
        p += done, n -= (size_t)done;
    }
    return 0;
}

/* ---- reading ---- */

int file_map_open(struct file_map *m, const char *path, struct err *err)
{
    *m = (struct file_map){ .data = "" };
    const int fd = sys_open(path, O_RDONLY | O_NONBLOCK);      /* a pipe that nobody writes to would wait for ever */
    if (fd < 0)
        return ERR_ERRNO(err, "cannot open %s", path);
    struct stat st;
    int rc = 0;
    if (fstat(fd, &st))
        rc = ERR_ERRNO(err, "cannot examine %s", path);
    else if (!S_ISREG(st.st_mode))
        rc = ERR(err, FORMAT, "%s is %s, expected a regular file", path, S_ISDIR(st.st_mode) ? "a folder" : "not a regular file");
    else if (st.st_size > 0) {
        void *p = fails() ? MAP_FAILED : mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED)
            rc = ERR_ERRNO(err, "cannot map %s (%lld bytes)", path, (long long)st.st_size);
        else
            *m = (struct file_map){ p, (size_t)st.st_size, p };
    }
    close(fd);
    return rc;
}

void file_map_close(struct file_map *m)
{
    if (m->mapped)
        munmap(m->mapped, m->size);
    *m = (struct file_map){ .data = "" };
}

void file_map_rest(const struct file_map *m)
{
    if (m->mapped)
        madvise(m->mapped, m->size, MADV_DONTNEED);
}

int file_stream_open(struct file_stream *s, const char *path, struct err *err)
{
    struct stat st;
    *s = (struct file_stream){ sys_open(path, O_RDONLY | O_NONBLOCK), path, 0, 0 };    /* a pipe in its place is not waited for */
    if (s->fd < 0)
        return ERR_ERRNO(err, "cannot open %s", path);
    const int rc = fstat(s->fd, &st) ? ERR_ERRNO(err, "cannot look at %s", path) : S_ISREG(st.st_mode) ? 0 : ERR(err, FORMAT, "%s is not a file", path);
    s->size = rc ? 0 : (uint64_t)st.st_size;
    if (rc)
        file_stream_close(s);
    return rc;
}

int64_t file_stream_read(struct file_stream *s, void *p, size_t n, struct err *err)
{
    ssize_t got;
    n = s->size - s->at < n ? (size_t)(s->size - s->at) : n;
    do
        got = n ? sys_read(s->fd, p, n) : 0;
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return ERR_ERRNO(err, "cannot read %s at byte %llu", s->path, (unsigned long long)s->at);
    if (!got && n)
        return ERR(err, CORRUPT, "%s ends at byte %llu, and had %llu when it was opened: it was changed meanwhile", s->path, (unsigned long long)s->at, (unsigned long long)s->size);
    s->at += (uint64_t)got;
    return got;
}

int file_stream_seek(struct file_stream *s, uint64_t at, struct err *err)
{
    if (at > s->size)
        return ERR(err, RANGE, "%s has %llu bytes, and is asked for those from %llu on", s->path, (unsigned long long)s->size, (unsigned long long)at);
    if (lseek(s->fd, (off_t)at, SEEK_SET) < 0)
        return ERR_ERRNO(err, "cannot read %s from byte %llu on", s->path, (unsigned long long)at);
    s->at = at;
    return 0;
}

void file_stream_close(struct file_stream *s)
{
    if (s->path && s->fd >= 0)
        close(s->fd);
    *s = (struct file_stream){ .fd = -1 };
}

int file_read(const char *path, size_t max, struct buf *out, struct err *err)
{
    const int fd = sys_open(path, O_RDONLY);
    if (fd < 0)
        return ERR_ERRNO(err, "cannot open %s", path);
    struct stat st;
    int rc = 0;
    if (!fstat(fd, &st) && S_ISDIR(st.st_mode))
        rc = ERR(err, FORMAT, "%s is a folder, expected a file", path);
    size_t n = 0;
    while (!rc) {
        const size_t step = 1 << 16;
        if ((rc = buf_reserve(out, step, err)))
            break;
        const ssize_t got = sys_read(fd, out->data + out->len, step);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            rc = ERR_ERRNO(err, "cannot read %s", path);
        if (got <= 0)
            break;
        n += (size_t)got, out->len += (size_t)got;
        out->data[out->len] = 0;
        if (n > max)
            rc = ERR(err, RANGE, "%s has more than the %zu bytes that are accepted here", path, max);
    }
    close(fd);
    return rc;
}

/* ---- writing ---- */

#define PENDING ((size_t)1 << 20)

static void writer_release(struct file_writer *w)
{
    if (w->fd >= 0)
        close(w->fd);
    mem_free(w->path);
    mem_free(w->tmp);
    buf_release(&w->pending);
    *w = (struct file_writer){ .fd = -1 };
    buf_init(&w->pending);
}

int file_writer_open(struct file_writer *w, const char *path, struct err *err)
{
    struct stat st;
    *w = (struct file_writer){ .fd = -1 };
    buf_init(&w->pending);
    if (!stat(path, &st) && !S_ISREG(st.st_mode))            /* a rename would put a file in a device's place */
        return ERR(err, USAGE, "%s is %s, expected a file or a new name", path, S_ISDIR(st.st_mode) ? "a folder" : "no regular file");
    w->path = mem_strdup(path);
    w->tmp = mem_printf("%s.tmp.%ld", path, (long)getpid());
    if (!w->path || !w->tmp) {
        writer_release(w);
        return ERR(err, NOMEM, "no memory to write %s", path);
    }
    w->fd = sys_open(w->tmp, O_WRONLY | O_CREAT | O_TRUNC);
    if (w->fd < 0) {
        const int rc = ERR_ERRNO(err, "cannot create %s", w->tmp);
        writer_release(w);
        return rc;
    }
    return 0;
}

static int flush(struct file_writer *w, struct err *err)
{
    if (write_all(w->fd, w->pending.data, w->pending.len))
        return ERR_ERRNO(err, "cannot write %s", w->path);
    buf_clear(&w->pending);
    return 0;
}

int file_writer_add(struct file_writer *w, const void *p, size_t n, struct err *err)
{
    w->size += n;
    if (n < PENDING) {
        TRY(buf_add(&w->pending, p, n, err));
        return w->pending.len < PENDING ? 0 : flush(w, err);
    }
    TRY(flush(w, err));
    if (write_all(w->fd, p, n))
        return ERR_ERRNO(err, "cannot write %s", w->path);
    return 0;
}

const char *file_last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

const char *file_last_name(const char *path, size_t *n)
{
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t from = end;
    while (from && path[from - 1] != '/')
        from--;
    *n = end - from;
    return path + from;
}

char *file_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return mem_strdup(".");
    return slash == path ? mem_strdup("/") : mem_printf("%.*s", (int)(slash - path), path);
}

int file_sync_dir(const char *path, struct err *err)
{
    const int fd = sys_open(path, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return ERR_ERRNO(err, "cannot open folder %s", path);
    const int rc = sys_fsync(fd) && errno != EINVAL ? ERR_ERRNO(err, "cannot flush folder %s to disk", path) : 0;
    close(fd);
    return rc;
}

int file_writer_commit(struct file_writer *w, struct err *err)
{
    char *dir = NULL;
    int rc = flush(w, err);
    if (!rc && sys_fsync(w->fd))
        rc = ERR_ERRNO(err, "cannot flush %s to disk", w->path);
    if (!rc && !(dir = file_parent(w->path)))
        rc = ERR(err, NOMEM, "no memory to write %s", w->path);
    if (!rc && sys_rename(w->tmp, w->path))
        rc = ERR_ERRNO(err, "cannot rename %s to %s", w->tmp, w->path);
    if (rc) {
        file_writer_abort(w);
    } else {
        rc = file_sync_dir(dir, err);
        writer_release(w);
    }
    mem_free(dir);
    return rc;
}

int file_writer_read_back(struct file_writer *w, struct file_reader *r, struct err *err)
{
    *r = (struct file_reader){ -1, w->path };
    TRY(flush(w, err));
    if (sys_fsync(w->fd))
        return ERR_ERRNO(err, "cannot flush %s to disk", w->path);
    posix_fadvise(w->fd, 0, 0, POSIX_FADV_DONTNEED);           /* a file system in memory has nothing else to read */
    if ((r->fd = sys_open(w->tmp, O_RDONLY)) < 0)
        return ERR_ERRNO(err, "cannot read %s back", w->path);
    return 0;
}

int file_reader_get(struct file_reader *r, void *p, size_t n, struct err *err)
{
    for (char *at = p; n;) {
        const ssize_t got = sys_read(r->fd, at, n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ERR_ERRNO(err, "cannot read %s back", r->path);
        if (!got)
            return ERR(err, CORRUPT, "%s ends %zu bytes too early", r->path, n);
        at += got, n -= (size_t)got;
    }
    return 0;
}

void file_reader_close(struct file_reader *r)
{
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
}

void file_writer_abort(struct file_writer *w)
{
    if (w->fd >= 0)
        unlink(w->tmp);
    writer_release(w);
}

int file_write_all(const char *path, const void *p, size_t n, struct err *err)
{
    struct file_writer w;
    TRY(file_writer_open(&w, path, err));
    const int rc = file_writer_add(&w, p, n, err);
    if (rc) {
        file_writer_abort(&w);
        return rc;
    }
    return file_writer_commit(&w, err);
}

/* ---- files that come in pieces ---- */

int file_part_open(struct file_part *p, const char *path, struct err *err)
{
    *p = (struct file_part){ -1, mem_strdup(path), 0 };
    if (!p->path)
        return ERR(err, NOMEM, "no memory to open %s", path);
    struct stat st;
    int rc = 0;
    p->fd = sys_open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW);
    if (p->fd < 0 || fstat(p->fd, &st))
        rc = ERR_ERRNO(err, "cannot open %s", path);
    else if (!S_ISREG(st.st_mode))
        rc = ERR(err, FORMAT, "%s is not a regular file", path);
    else
        p->size = (uint64_t)st.st_size;
    if (rc)
        file_part_close(p);
    return rc;
}

int file_part_add(struct file_part *p, const void *data, size_t n, struct err *err)
{
    if (write_all(p->fd, data, n))
        return ERR_ERRNO(err, "cannot write %s", p->path);
    p->size += n;
    return 0;
}

int file_part_restart(struct file_part *p, struct err *err)
{
    if (fails() || ftruncate(p->fd, 0))
        return ERR_ERRNO(err, "cannot empty %s", p->path);
    p->size = 0;
    return 0;
}

int file_part_commit(struct file_part *p, const char *to, struct err *err)
{
    char *dir = file_parent(to);
    int rc = dir ? 0 : ERR(err, NOMEM, "no memory to write %s", to);
    if (!rc && sys_fsync(p->fd))
        rc = ERR_ERRNO(err, "cannot flush %s to disk", p->path);
    if (!rc)
        rc = file_rename(p->path, to, err);
    if (!rc)
        rc = file_sync_dir(dir, err);
    mem_free(dir);
    file_part_close(p);
    return rc;
}

void file_part_close(struct file_part *p)
{
    if (p->fd >= 0)
        close(p->fd);
    mem_free(p->path);
    *p = (struct file_part){ .fd = -1 };
}

/* ---- logs ---- */

enum { HOLD_TRIES = 20000, HOLD_NS = 100000 };         /* 2 s */

/* Length up to and with the last newline. */
static int whole_lines(int fd, off_t size, off_t *out)
{
    char block[4096];
    *out = 0;
    for (off_t end = size; end > 0;) {
        const off_t from = end > (off_t)sizeof block ? end - (off_t)sizeof block : 0;
        const ssize_t n = fails() ? -1 : pread(fd, block, (size_t)(end - from), from);
        if (n != end - from)
            return -1;
        for (ssize_t i = n; i > 0; i--)
            if (block[i - 1] == '\n') {
                *out = from + i;
                return 0;
            }
        end = from;
    }
    return 0;
}

/* For one line, or one look for a torn one: another process's half a line is none.  By a lock of its own kind, beside those that a log's writer may hold for as
 * long as it lives (flock); where there are none, or one is held for longer than any line takes, it goes without. */
static void hold(int fd)
{
    for (int i = 0; i < HOLD_TRIES; i++) {
        struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        if (!fcntl(fd, F_OFD_SETLK, &whole) || (errno != EAGAIN && errno != EACCES && errno != EINTR))
            return;
        nanosleep(&(struct timespec){ .tv_nsec = HOLD_NS }, NULL);
    }
}

static void let_go(int fd)
{
    struct flock whole = { .l_type = F_UNLCK, .l_whence = SEEK_SET };
    fcntl(fd, F_OFD_SETLK, &whole);
}

int file_log_open(struct file_log *l, const char *path, struct err *err)
{
    *l = (struct file_log){ -1, mem_strdup(path) };
    if (!l->path)
        return ERR(err, NOMEM, "no memory to open %s", path);
    int rc = 0;
    off_t keep = 0;
    l->fd = sys_open(path, O_RDWR | O_CREAT | O_APPEND);
    struct stat st;
    if (l->fd >= 0)
        hold(l->fd);
    if (l->fd < 0)
        rc = ERR_ERRNO(err, "cannot open %s", path);
    else if (fstat(l->fd, &st) || whole_lines(l->fd, st.st_size, &keep) || (keep < st.st_size && ftruncate(l->fd, keep)))
        rc = ERR_ERRNO(err, "cannot read %s", path);
    if (l->fd >= 0)
        let_go(l->fd);
    if (rc)
        file_log_close(l);
    return rc;
}

int file_log_add(struct file_log *l, const void *p, size_t n, struct err *err)
{
    struct stat st;
    int rc = 0;
    hold(l->fd);
    const bool sized = !fstat(l->fd, &st);
    if (write_all(l->fd, p, n)) {
        rc = ERR_ERRNO(err, "cannot write %s", l->path);
        if (sized && ftruncate(l->fd, st.st_size))
            rc = ERR_ERRNO(err, "cannot take a torn line out of %s", l->path);
    }
    let_go(l->fd);
    return rc;
}

int file_log_line(struct file_log *l, const char *line, size_t n, struct err *err)
{
    char *copy = mem_alloc(n + 1);
    if (!copy)
        return ERR(err, NOMEM, "no memory to write %s", l->path);
    memcpy(copy, line, n);
    copy[n] = '\n';
    const int rc = file_log_add(l, copy, n + 1, err);
    mem_free(copy);
    return rc;
}

void file_log_close(struct file_log *l)
{
    if (l->fd >= 0)
        close(l->fd);
    mem_free(l->path);
    *l = (struct file_log){ -1, NULL };
}

/* ---- folders ---- */

int file_free_bytes(const char *dir, uint64_t *out, struct err *err)
{
    struct statvfs v;
    if (statvfs(dir, &v))
        return ERR_ERRNO(err, "cannot examine the file system of %s", dir);
    *out = (uint64_t)v.f_bavail * v.f_frsize;
    return 0;
}

bool file_exists(const char *path)
{
    struct stat st;
    return !stat(path, &st);
}

bool file_is_dir(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISDIR(st.st_mode);
}

bool file_same(const char *a, const char *b)
{
    struct stat x, y;
    return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

int file_mkdirs(const char *path, struct err *err)
{
    char *p = mem_strdup(path);
    if (!p)
        return ERR(err, NOMEM, "no memory to create %s", path);
    int rc = 0;
    for (char *at = p + (p[0] == '/'); !rc; at++) {
        if (*at && *at != '/')
            continue;
        const char c = *at;
        *at = 0;
        if (*p && sys_mkdir(p) && !(errno == EEXIST && file_is_dir(p)))
            rc = ERR_ERRNO(err, "cannot create folder %s", p);
        *at = c;
        if (!c)
            break;
    }
    mem_free(p);
    return rc;
}

int file_temporary_dir(char **out, const char *name, struct err *err)
{
    const char *in = getenv("TMPDIR");
    char *path = mem_printf("%s/%s-XXXXXX", in && *in == '/' ? in : "/tmp", name);
    int rc = path ? 0 : ERR(err, NOMEM, "no memory for a folder's name");
    if (path && (fails() || !mkdtemp(path)))
        rc = ERR_ERRNO(err, "cannot make a folder %.300s", path);
    if (rc) {
        mem_free(path);
        path = NULL;
    }
    *out = path;
    return rc;
}

int file_lock(const char *dir, int *fd, struct err *err)
{
    *fd = sys_open(dir, O_RDONLY | O_DIRECTORY);
    if (*fd < 0)
        return ERR_ERRNO(err, "cannot open folder %s", dir);
    if (!flock(*fd, LOCK_EX | LOCK_NB) || errno != EWOULDBLOCK)
        return 0;
    file_unlock(fd);
    return ERR(err, BUSY, "%s is in use by another run", dir);
}

int file_lock_wait(const char *dir, double seconds, int *fd, struct err *err)
{
    enum { NAP_NS = 10000000 };
    int rc = file_lock(dir, fd, err);
    for (double left = seconds; rc == ERR_BUSY && left > 0; left -= NAP_NS / 1e9) {
        nanosleep(&(struct timespec){ 0, NAP_NS }, NULL);
        rc = file_lock(dir, fd, err);
    }
    return rc;
}

void file_unlock(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

int file_rename(const char *from, const char *to, struct err *err)
{
    return sys_rename(from, to) ? ERR_ERRNO(err, "cannot rename %s to %s", from, to) : 0;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

int file_list(const char *dir, char ***names, int *n, struct err *err)
{
    *names = NULL, *n = 0;
    DIR *d = fails() ? NULL : opendir(dir);
    if (!d)
        return ERR_ERRNO(err, "cannot open folder %s", dir);
    int cap = 0, rc = 0;
    for (struct dirent *e; !rc && (e = readdir(d));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        if (*n == cap) {
            cap = cap ? 2 * cap : 16;
            char **p = mem_realloc_array(*names, (size_t)cap, sizeof *p);
            if (p)
                *names = p;
            else
                rc = ERR(err, NOMEM, "no memory for the names in %s", dir);
        }
        if (!rc && !((*names)[*n] = mem_strdup(e->d_name)))
            rc = ERR(err, NOMEM, "no memory for the names in %s", dir);
        *n += !rc;
    }
    closedir(d);
    if (rc) {
        file_list_free(*names, *n);
        *names = NULL, *n = 0;
        return rc;
    }
    if (*n)
        qsort(*names, (size_t)*n, sizeof **names, by_name);
    return 0;
}

void file_list_free(char **names, int n)
{
    for (int i = 0; i < n; i++)
        mem_free(names[i]);
    mem_free(names);
}

char *file_cache_dir(void)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    return cache && *cache ? mem_printf("%s/lathe", cache) : mem_printf("%s/.cache/lathe", home && *home ? home : "/tmp");
}

char *file_state_dir(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    return state && *state ? mem_printf("%s/lathe", state) : home && *home ? mem_printf("%s/.local/state/lathe", home) : NULL;
}

char *file_join(const char *dir, const char *name)
{
    const size_t n = strlen(dir);
    return mem_printf("%s%s%s", dir, n && dir[n - 1] == '/' ? "" : "/", name);
}

int file_remove_tree(const char *path, struct err *err)
{
    struct stat st;
    if (lstat(path, &st))
        return errno == ENOENT ? 0 : ERR_ERRNO(err, "cannot examine %s", path);
    if (!S_ISDIR(st.st_mode))
        return unlink(path) ? ERR_ERRNO(err, "cannot remove %s", path) : 0;
    char **names;
    int n, rc;
    TRY(file_list(path, &names, &n, err));
    rc = 0;
    for (int i = 0; i < n && !rc; i++) {
        char *child = file_join(path, names[i]);
        rc = child ? file_remove_tree(child, err) : ERR(err, NOMEM, "no memory to remove %s", path);
        mem_free(child);
    }
    file_list_free(names, n);
    if (!rc && rmdir(path))
        rc = ERR_ERRNO(err, "cannot remove folder %s", path);
    return rc;
}

static int add_usage(const char *path, bool follow, struct file_usage *sum, struct err *err)
{
    struct stat st;
    if (fails() || lstat(path, &st))
        return errno == ENOENT ? 0 : ERR_ERRNO(err, "cannot examine %s", path);
    if (S_ISLNK(st.st_mode) && follow && (stat(path, &st) || !S_ISREG(st.st_mode)))
        return 0;
    if (S_ISREG(st.st_mode)) {
        sum->bytes += (uint64_t)st.st_size, sum->n_file++;
        sum->alone += st.st_nlink == 1 ? (uint64_t)st.st_size : 0;
        sum->share += (uint64_t)st.st_size / (uint64_t)st.st_nlink;
    }
    if (!S_ISDIR(st.st_mode))
        return 0;
    char **names;
    int n, rc = 0;
    TRY(file_list(path, &names, &n, err));
    for (int i = 0; i < n && !rc; i++) {
        char *child = file_join(path, names[i]);
        rc = child ? add_usage(child, follow, sum, err) : ERR(err, NOMEM, "no memory to examine %s", path);
        mem_free(child);
    }
    file_list_free(names, n);
    return rc;
}

int file_usage(const char *path, struct file_usage *out, struct err *err)
{
    *out = (struct file_usage){ 0 };
    return add_usage(path, false, out, err);
}

int file_usage_followed(const char *folder, struct file_usage *out, struct err *err)
{
    *out = (struct file_usage){ 0 };
    char *inside = file_join(folder, ".");           /* where the folder is a link, too */
    const int rc = inside ? add_usage(inside, true, out, err) : ERR(err, NOMEM, "no memory to examine %s", folder);
    mem_free(inside);
    return rc;
}

/* The process of "name.tmp.1234", as file_writer_open() names it; 0 for other names. */
static pid_t writer_of(const char *name)
{
    const char *dot = strrchr(name, '.');
    const bool is = dot && dot[1] && strspn(dot + 1, "0123456789") == strlen(dot + 1) && dot - name > 4 && !strncmp(dot - 4, ".tmp", 4);
    const long pid = is ? strtol(dot + 1, NULL, 10) : 0;
    return pid > 0 && pid < INT_MAX ? (pid_t)pid : is;
}

/* Those whose names begin with prefix; with dead_only of processes that are gone. */
static int remove_leftovers(const char *dir, const char *prefix, bool dead_only, struct err *err)
{
    char **names;
    int n, rc = 0;
    TRY(file_list(dir, &names, &n, err));
    for (int i = 0; i < n && !rc; i++) {
        const pid_t pid = writer_of(names[i]);
        if (!pid || strncmp(names[i], prefix, strlen(prefix)) || (dead_only && (kill(pid, 0) == 0 || errno != ESRCH)))
            continue;
        char *path = file_join(dir, names[i]);
        rc = path ? file_remove_tree(path, err) : ERR(err, NOMEM, "no memory to remove %s", names[i]);
        mem_free(path);
    }
    file_list_free(names, n);
    return rc;
}

int file_remove_leftovers(const char *dir, struct err *err) { return remove_leftovers(dir, "", false, err); }

int file_remove_leftovers_of(const char *path, struct err *err)
{
    char *dir = file_parent(path), *prefix = mem_printf("%s.", file_last_part(path));
    const int rc = dir && prefix ? remove_leftovers(dir, prefix, true, err) : ERR(err, NOMEM, "no memory to write %s", path);
    mem_free(dir);
    mem_free(prefix);
    return rc;
}

bool file_name_ends(const char *path, const char *with)
{
    const size_t n = strlen(path), m = strlen(with);
    return n >= m && !strcmp(path + n - m, with);
}
