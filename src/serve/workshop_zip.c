#include "serve/workshop_zip.h"
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include "base/file.h"
#include "base/mem.h"
#include "data/zip.h"
#include "serve/workshop_files.h"

static int no_memory(struct err *err) { return ERR(err, NOMEM, "no memory to unpack an archive"); }

bool workshop_is_zip(const char *name) { return workshop_ending_of(name) == ENDS_ARCHIVE; }

/* An archive while it is unpacked. */
struct unzip {
    struct zip zip;
    const char *folder, *name;
    json_t *names;
    int64_t files, left; uint64_t bytes;
};

/* ---- names ---- */

static bool is_of_systems(const char *name)
{
    if (!strncmp(name, "__MACOSX/", 9) || *name == '.')
        return true;
    return !strcasecmp(file_last_part(name), "Thumbs.db") || strstr(name, "/.");
}

/* Behind the folder that the archive lies in.  Some programs write '\' for '/'. */
static char *name_of(const struct unzip *u, const struct zip_member *m)
{
    const char *own = m->name;
    while (!strncmp(own, "./", 2))
        own += 2;
    char *name = mem_printf("%.*s%s", (int)(file_last_part(u->name) - u->name), u->name, own);
    for (char *at = name; at && (at = strchr(at, '\\')); at++)
        *at = '/';
    return name;
}

enum member { PASSED, LEFT, TAKEN };

static enum member what_is(const struct unzip *u, const struct zip_member *m, const char *name)
{
    struct err none;
    const size_t n = strlen(name);
    const char *own = name + (file_last_part(u->name) - u->name);
    if (!*own || name[n - 1] == '/' || is_of_systems(own))
        return PASSED;
    return m->size && !workshop_name_check(name, &none) && !workshop_is_zip(name) ? TAKEN : LEFT;
}

/* ---- how much it is, before anything is written ---- */

static int count_member(struct unzip *u, const struct zip_member *m, struct err *err)
{
    char *name = name_of(u, m);
    int rc = name ? 0 : no_memory(err);
    const enum member what = name ? what_is(u, m, name) : PASSED;
    if (what == TAKEN)
        u->files++, u->bytes += m->size;
    else if (what == LEFT && u->left++ < ZIP_LEFT && json_array_append_new(u->names, json_string(m->name)))
        rc = no_memory(err);
    mem_free(name);
    return rc;
}

static int count_all(struct unzip *u, const struct workshop_room *room, struct err *err)
{
    for (int i = 0; i < u->zip.n_member; i++)
        TRY(count_member(u, &u->zip.member[i], err));
    if (!u->files)
        return ERR(err, FORMAT, "%s has no file that can be learned from here: expected .txt, .md, .html, .csv, .tsv, .jsonl, .png or .jpg in it", u->name);
    if (u->bytes > room->bytes || u->files > room->files)
        return ERR(err, RANGE, "%s has %lld files of %llu MB, and the workshop has room for %lld of %llu MB", u->name, (long long)u->files, (unsigned long long)(u->bytes >> 20), (long long)room->files,
                   (unsigned long long)(room->bytes >> 20));
    return 0;
}

/* ---- written ---- */

static int take_member(struct unzip *u, int i, struct buf *b, struct err *err)
{
    uint64_t have;
    char *name = name_of(u, &u->zip.member[i]);
    int rc = name ? 0 : no_memory(err);
    if (!rc && what_is(u, &u->zip.member[i], name) == TAKEN) {
        buf_clear(b);
        rc = zip_read(&u->zip, i, ZIP_MEMBER, b, err);
        if (rc == ERR_CORRUPT || rc == ERR_UNSUPPORTED || rc == ERR_RANGE)
            rc = err->code = ERR_FORMAT;
        rc = rc ? rc : workshop_file_put(u->folder, &(struct workshop_piece){ .name = name, .size = b->len, .data = b->data, .n = b->len }, &have, err);
    }
    mem_free(name);
    return rc;
}

static int take_all(struct unzip *u, struct err *err)
{
    struct buf b;
    int rc = 0;
    buf_init(&b);
    for (int i = 0; i < u->zip.n_member && !rc; i++)
        rc = take_member(u, i, &b, err);
    buf_release(&b);
    return rc;
}

/* All files are on the disk before the archive goes. */
static int settle(const char *folder, struct err *err)
{
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int rc = fd < 0 || syncfs(fd) ? ERR_ERRNO(err, "cannot write what was unpacked") : 0;
    if (fd >= 0)
        close(fd);
    return rc;
}

static int unpack(struct unzip *u, const char *path, const struct workshop_room *room, struct err *err)
{
    struct file_map map;
    TRY(file_map_open(&map, path, err));
    int rc = zip_over(&u->zip, map.data, map.size, u->name, err);
    if (!rc) {
        rc = count_all(u, room, err);
        rc = rc ? rc : take_all(u, err);
        rc = rc ? rc : settle(u->folder, err);
        zip_close(&u->zip);
    } else if (rc == ERR_CORRUPT || rc == ERR_UNSUPPORTED) {
        rc = err->code = ERR_FORMAT;
    }
    file_map_close(&map);
    return rc;
}

int workshop_unzip(const char *folder, const char *name, const struct workshop_room *room, json_t **out, struct err *err)
{
    struct unzip u = { .folder = folder, .name = name, .names = json_array() };
    char *path = file_join(folder, name);
    *out = NULL;
    int rc = path && u.names ? unpack(&u, path, room, err) : no_memory(err);
    if ((!rc || rc == ERR_FORMAT || rc == ERR_RANGE) && path && unlink(path) && !rc)
        rc = ERR_ERRNO(err, "%s", name);
    if (!rc && !(*out = json_pack("{s:I, s:I, s:I, s:O}", "files", (json_int_t)u.files, "bytes", (json_int_t)u.bytes, "left", (json_int_t)u.left, "names", u.names)))
        rc = no_memory(err);
    json_decref(u.names);
    mem_free(path);
    return rc;
}
