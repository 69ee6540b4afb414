/* file.h - reading files whole or mapped, and writing them so that a crash leaves the old or the new one, never a mix.
 *
 * Every system call that can fail passes through here, so that tests can make the n-th one fail (file_fail_at). */
#ifndef BASE_FILE_H
#define BASE_FILE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "base/buf.h"
#include "base/err.h"

/* A file mapped read-only.  size 0 has data "" (not NULL).  A file that shrinks while it is mapped gives SIGBUS, as with
 * every mmap: weights being served must be replaced by rename, which file_writer does. */
struct file_map { const char *data; size_t size; void *mapped; };
int file_map_open(struct file_map *m, const char *path, struct err *err);
void file_map_close(struct file_map *m);
/* What was read leaves this process's memory, and is read again (from the system's copy) where it is looked at. */
void file_map_rest(const struct file_map *m);

/* Appends the whole file; refuses one larger than max with ERR_RANGE, naming both sizes. */
int file_read(const char *path, size_t max, struct buf *out, struct err *err);

/* A regular file, read from its beginning on, as long as it was when it was opened: ERR_CORRUPT when it became shorter. */
struct file_stream { int fd; const char *path; uint64_t size, at; };       /* path: borrowed */
int file_stream_open(struct file_stream *s, const char *path, struct err *err);
int64_t file_stream_read(struct file_stream *s, void *p, size_t n, struct err *err);     /* up to n > 0 bytes; 0 at the end */
int file_stream_seek(struct file_stream *s, uint64_t at, struct err *err);               /* at: up to its size */
void file_stream_close(struct file_stream *s);                     /* a zeroed one too */

/* A file is written under a temporary name in the same folder; file_writer_commit() flushes it to the disk, renames it and
 * flushes the folder.  file_writer_abort() (or release without commit) leaves nothing behind.
 * What is there and no regular file (a folder, a device, a pipe) is refused. */
struct file_writer { int fd; char *path, *tmp; struct buf pending; uint64_t size; };
int file_writer_open(struct file_writer *w, const char *path, struct err *err);
int file_writer_add(struct file_writer *w, const void *p, size_t n, struct err *err);
int file_writer_commit(struct file_writer *w, struct err *err);    /* releases w, also on error */
void file_writer_abort(struct file_writer *w);                     /* after commit: nothing to do */
int file_write_all(const char *path, const void *p, size_t n, struct err *err);
/* Before the commit: what was added is flushed and read back, from the disk as far as the system lets go of its copy in memory. */
struct file_reader { int fd; const char *path; };                  /* path: borrowed from the writer */
int file_writer_read_back(struct file_writer *w, struct file_reader *r, struct err *err);
int file_reader_get(struct file_reader *r, void *p, size_t n, struct err *err);    /* n bytes; ERR_CORRUPT where the file ends before */
void file_reader_close(struct file_reader *r);

/* A file that is fetched in pieces, perhaps by several runs: what was added stays under this name until file_part_commit()
 * flushes it and gives it its own.  A symbolic link is refused. */
struct file_part { int fd; char *path; uint64_t size; };           /* size: bytes that are there */
int file_part_open(struct file_part *p, const char *path, struct err *err);
int file_part_add(struct file_part *p, const void *data, size_t n, struct err *err);
int file_part_restart(struct file_part *p, struct err *err);       /* back to no bytes */
int file_part_commit(struct file_part *p, const char *to, struct err *err);   /* closes p, also on error */
void file_part_close(struct file_part *p);                         /* keeps what is there */

/* A log that only grows: each line is one write() with O_APPEND.  A torn last line of an earlier crash is cut off first, and so is
 * one that the disk took only in part.  Several processes may have the same one open, and open it again and again: none loses another's line. */
struct file_log { int fd; char *path; };
int file_log_open(struct file_log *l, const char *path, struct err *err);
int file_log_line(struct file_log *l, const char *line, size_t n, struct err *err);   /* n bytes and a newline */
int file_log_add(struct file_log *l, const void *p, size_t n, struct err *err);       /* the same of bytes that are no lines */
void file_log_close(struct file_log *l);

int file_mkdirs(const char *path, struct err *err);                /* like mkdir -p */
/* A new folder for its owner alone in $TMPDIR, where that is a path from the root, else in /tmp: "NAME-" and what nobody else has.  *out is mem_alloc'ed, NULL
 * on error; removed by the caller. */
int file_temporary_dir(char **out, const char *name, struct err *err);
/* Holds a folder for this process until it ends or file_unlock(): ERR_BUSY when another one holds it.  Where the file system
 * has no locks none is taken. */
int file_lock(const char *dir, int *fd, struct err *err);
int file_lock_wait(const char *dir, double seconds, int *fd, struct err *err);     /* the same, as soon as the other lets go: ERR_BUSY after so long */
void file_unlock(int *fd);
/* Removes what file_writer left in a folder when its process was killed.  Only for who holds the folder. */
int file_remove_leftovers(const char *dir, struct err *err);
/* What writers of path, or of names that go on from it with a point, left beside it when their process was killed. */
int file_remove_leftovers_of(const char *path, struct err *err);
int file_sync_dir(const char *path, struct err *err);
int file_rename(const char *from, const char *to, struct err *err);
int file_remove_tree(const char *path, struct err *err);           /* like rm -r; a missing path is fine */
/* The regular files at and below a path (none where nothing is): their bytes, those of files that have no other name (link), and
 * each file's bytes by the number of its names. */
struct file_usage { uint64_t bytes, alone, share; int n_file; };
int file_usage(const char *path, struct file_usage *out, struct err *err);
/* The same as who reads the files finds it: a link counts as the file that it leads to, and nothing where that is none. */
int file_usage_followed(const char *folder, struct file_usage *out, struct err *err);
int file_free_bytes(const char *dir, uint64_t *out, struct err *err);    /* what this user may still write there */
bool file_exists(const char *path);
bool file_is_dir(const char *path);
bool file_same(const char *a, const char *b);                      /* two names of one file or folder that is there */
/* Names in a folder, sorted bytewise, without "." and "..".  Free with file_list_free. */
int file_list(const char *dir, char ***names, int *n, struct err *err);
void file_list_free(char **names, int n);
const char *file_last_part(const char *path);                      /* behind the last '/': "" where it ends with one, all of it where there is none */
/* The last part of what a user wrote, with or without '/' behind it: its n bytes, not ended by 0; "" of "/". */
const char *file_last_name(const char *path, size_t *n);
char *file_parent(const char *path);                               /* mem_alloc'ed: "." where there is no '/', "/" of what lies there; NULL without memory */
char *file_join(const char *dir, const char *name);                /* mem_alloc'ed "dir/name"; NULL without memory */
/* Where this program keeps what it can make again: $XDG_CACHE_HOME/lathe, or ~/.cache/lathe.  Not made; mem_alloc'ed. */
char *file_cache_dir(void);
/* Where it keeps what a user would miss: $XDG_STATE_HOME/lathe, or ~/.local/state/lathe; NULL where there is no home or no memory. */
char *file_state_dir(void);

bool file_name_ends(const char *path, const char *with);      /* for endings such as ".csv" */

/* For tests: the n-th open, read, write, fsync, rename, mmap or making of a folder from now fails with errno_value, or all from the first-th to
 * the one before the end-th; < 0: off. */
void file_fail_at(int64_t n, int errno_value);
void file_fail_between(int64_t first, int64_t end, int errno_value);
int64_t file_fail_count(void);
/* For tests: the n-th write from now puts one wrong bit on the disk; < 0: off. */
void file_flip_at(int64_t n);
/* For tests: while it is on, every fsync by another thread than the one that called this waits. */
void file_hold(bool on);

#endif
