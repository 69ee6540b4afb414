#include "cmd/checkpoints.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/when.h"
#include "store/checkpoint.h"

#define ENDS ".checkpoint"
enum { NOTE_MAX = 64 << 10, AGAIN_S = 60 };

struct checkpoint_opts checkpoint_opts = { .every = "1d" };

struct checkpoints {
    const char *folder;
    char *registry;
    struct evp_pkey_st *key;
    double every_s;
    struct checkpoint last;              /* seq 0: none yet */
    pthread_t thread;
    bool runs;
    atomic_bool stop;
};

/* ---- what is there ---- */

static int read_one(const struct checkpoints *c, const char *name, struct checkpoint *out, struct err *err)
{
    struct buf text;
    char *path = file_join(c->folder, name);
    buf_init(&text);
    int rc = path ? file_read(path, NOTE_MAX, &text, err) : ERR(err, NOMEM, "no memory for a path");
    rc = rc ? rc : checkpoint_parse(out, text.data, text.len, err);
    rc = rc ? rc : checkpoint_verify(text.data, text.len, c->key, err);
    buf_release(&text);
    mem_free(path);
    return rc;
}

/* One that is damaged, or another's, says nothing: that is told. */
static int read_folder(struct checkpoints *c, struct err *err)
{
    char **names;
    int n;
    TRY(file_list(c->folder, &names, &n, err));
    for (int i = 0; i < n; i++) {
        struct checkpoint found;
        struct err why;
        if (!file_name_ends(names[i], ENDS))
            continue;
        if (read_one(c, names[i], &found, &why))
            log_warn("%s/%s does not count: %s", c->folder, names[i], why.msg);
        else if (found.seq > c->last.seq)
            c->last = found;
    }
    file_list_free(names, n);
    return 0;
}

/* ---- one more ---- */

static int write_note(const struct checkpoints *c, const struct buf *note, const char *t, struct err *err)
{
    char *path = mem_printf("%s/%.13s-%.2s-%.2sZ" ENDS, c->folder, t, t + 14, t + 17);
    const int rc = path ? file_write_all(path, note->data, note->len, err) : ERR(err, NOMEM, "no memory for the path of a checkpoint");
    mem_free(path);
    return rc;
}

static int look(struct checkpoints *c, struct err *err)
{
    struct registry *g;
    struct checkpoint now;
    struct buf note;
    TRY(registry_open(&g, c->registry, false, err));
    buf_init(&note);
    int rc = checkpoint_make(g, c->key, c->last.seq ? &c->last : NULL, &note, &now, err);
    if (!rc && now.seq > c->last.seq) {
        rc = write_note(c, &note, now.t, err);
        if (!rc)
            c->last = now;
    }
    buf_release(&note);
    registry_close(g);
    return rc;
}

static void *run(void *ctx)
{
    struct checkpoints *c = ctx;
    for (double due = 0; !atomic_load(&c->stop); nanosleep(&(struct timespec){ 0, 100000000 }, NULL)) {
        struct err err;
        if (clock_wall() < due)
            continue;
        const int rc = look(c, &err);
        if (rc == ERR_CORRUPT)
            log_warn("the registry is not what was signed: %s", err.msg);
        else if (rc)
            log_warn("no checkpoint is written: %s", err.msg);
        due = clock_wall() + (rc && rc != ERR_CORRUPT && c->every_s > AGAIN_S ? AGAIN_S : c->every_s);
    }
    return NULL;
}

/* ---- begin and end ---- */

static int open_all(struct checkpoints *c, const char *registry, struct err *err)
{
    const struct checkpoint_opts *o = &checkpoint_opts;
    const char *password = getenv("LATHE_SIGN_PASSWORD");
    if (when_span(&c->every_s, o->every, err) < 0)
        return err_context(err, "--checkpoint-every");
    if (!(c->every_s >= 1))
        return ERR(err, USAGE, "--checkpoint-every: found '%.40s', expected 1s or more", o->every);
    c->folder = o->folder;
    if (!(c->registry = mem_strdup(registry)))
        return ERR(err, NOMEM, "no memory for checkpoints");
    TRY(pki_private_read(&c->key, o->key, password && *password ? password : NULL, err));
    TRY(checkpoint_key_check(c->key, err));
    TRY(file_mkdirs(c->folder, err));
    TRY(read_folder(c, err));
    if (pthread_create(&c->thread, NULL, run, c))
        return ERR(err, IO, "cannot start a thread for checkpoints");
    c->runs = true;
    return 0;
}

int checkpoints_start(struct checkpoints **out, const char *registry, struct err *err)
{
    *out = NULL;
    if (!checkpoint_opts.key != !checkpoint_opts.folder)
        return ERR(err, USAGE, "--checkpoint-key and --checkpoints go together");
    if (!checkpoint_opts.key)
        return 0;
    if (!registry)
        return ERR(err, USAGE, "--checkpoint-key: there is no registry here: expected --registry");
    struct checkpoints *c = mem_alloc_zero(sizeof *c);
    const int rc = c ? open_all(c, registry, err) : ERR(err, NOMEM, "no memory for checkpoints");
    if (rc)
        checkpoints_stop(c);
    else
        *out = c;
    return rc;
}

void checkpoints_stop(struct checkpoints *c)
{
    if (!c)
        return;
    atomic_store(&c->stop, true);
    if (c->runs)
        pthread_join(c->thread, NULL);
    pki_free(c->key);
    mem_free(c->registry);
    mem_free(c);
}
