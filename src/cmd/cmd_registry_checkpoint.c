/* cmd_registry_checkpoint.c - lathe registry checkpoint. */
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/cmd_registry.h"
#include "store/checkpoint.h"

static const char *key, *out;

struct signing { const char *key, *out; struct checkpoint made; };

static int sign(struct registry *g, void *ctx, struct err *err)
{
    struct signing *s = ctx;
    const char *password = getenv("LATHE_SIGN_PASSWORD");
    struct evp_pkey_st *private_key;
    struct buf note;
    TRY(pki_private_read(&private_key, s->key, password && *password ? password : NULL, err));
    buf_init(&note);
    int rc = checkpoint_make(g, private_key, NULL, &note, &s->made, err);
    if (!rc && s->out)
        rc = file_write_all(s->out, note.data, note.len, err);
    else if (!rc)
        fputs(note.data, stdout);
    buf_release(&note);
    pki_free(private_key);
    return rc;
}

static int run(const char *const *args, int n_args, struct err *err)
{
    (void)args, (void)n_args;
    struct signing s = { .key = key, .out = out };
    if (!key)
        return ERR(err, USAGE, "expected --key, the private key that signs (lathe sign --new-key makes one)");
    TRY(cmd_registry_with(sign, &s, err));
    if (out)
        log_info("%s: a checkpoint of %lld records", out, (long long)s.made.seq);
    return 0;
}

static const struct opt opts[] = {
    { OPT_STR, "key", &key, "<file>", "private key (PEM) of P-256; LATHE_SIGN_PASSWORD of the environment opens an encrypted one", 0, 0 },
    { OPT_STR, "out", &out, "<file>", "where it goes; standard output unless given", 0, 0 },
    OPT_REGISTRY, OPT_QUIET, OPT_LAST,
};
const struct command command_registry_checkpoint = {
    "registry checkpoint", "", "sign where the journal ends",
    TEXT("A note (c2sp.org/signed-note, tlog-checkpoint) of a few lines: the registry's id, how many records its journal has, the root of RFC 6962's\n"
    "Merkle tree over them, the last one's hash, and the time.  Kept where those who own the database cannot write, it proves later that the\n"
    "journal was not made anew: lathe registry verify --checkpoint FILE --public-key release.pub.\n\n"
    "    lathe sign --new-key journal                     # once: journal.key, journal.pub\n"
    "    lathe registry checkpoint --key journal.key --out /mnt/elsewhere/$(date +%F).checkpoint\n\n"
    "Once a day, by a line of cron as above or a timer of systemd; or lathe serve and lathe registry serve with --checkpoint-key write one by\n"
    "themselves, and say it when the journal does not go on from the one before."),
    opts, run, 0, 0,
};
