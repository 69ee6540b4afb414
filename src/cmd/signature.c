#include "cmd/signature.h"
#include <pthread.h>
#include <string.h>
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "cmd/cmd.h"
#include "store/verified.h"

const char *cmd_signature, *cmd_signature_key, *cmd_signature_ca, *cmd_signature_identity;

/* One at a time, with threads of its own, which have the caller's priority: a server looks while it answers. */
static int look(struct verified *v, const char *path, struct err *err)
{
    static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
    struct pool *pool;
    TRY(pool_new(&pool, cmd_n_thread(), err));
    pthread_mutex_lock(&turn);
    char *cache = file_cache_dir();
    const int rc = cache ? verified_model(v, path, cmd_signature_key, cmd_signature_ca, cmd_signature_identity, cache, pool, err) : ERR(err, NOMEM, "no memory for a path");
    mem_free(cache);
    pthread_mutex_unlock(&turn);
    pool_free(pool);
    return rc;
}

int cmd_check_signature(const char *path, struct err *err)
{
    const bool named = cmd_signature_key || cmd_signature_ca, off = cmd_signature ? !strcmp(cmd_signature, "off") : !named;
    struct verified v;
    if (off || !file_exists(path))
        return 0;
    if (!cmd_signature_key == !cmd_signature_ca)
        return ERR(err, USAGE, "--signature %s: expected one of --signature-key and --signature-ca", cmd_signature ? cmd_signature : "enforce");
    int rc = look(&v, path, err);
    if (!rc)
        log_info("%s: signed by %s, root sha256:%.16s..%s", path, v.identity, v.root, v.remembered ? ", as it was looked at before" : "");
    if (!rc || rc == ERR_USAGE || rc == ERR_NOMEM)
        return rc;
    if (cmd_signature && !strcmp(cmd_signature, "warn")) {
        log_warn("%s", err->msg);
        return 0;
    }
    if (rc == ERR_NOTFOUND)                       /* no signature is one that does not hold */
        rc = err->code = ERR_GATE;
    return rc;
}
