#include <jansson.h>
#include <string.h>
#include "base/mem.h"
#include "base/when.h"
#include "cmd/cmd.h"
#include "store/oms.h"
#include "store/provenance.h"

static const char *key, *ca, *signature, *identity;
static struct opt_list ignore;
static bool take_unsigned, may_be_expired;

static json_t *names_of(const struct oms_verdict *v, enum oms_what what)
{
    json_t *list = json_array();
    for (int i = 0; i < v->n_finding && list; i++)
        if (v->finding[i].what == what)
            json_array_append_new(list, json_string(v->finding[i].name));
    return list;
}

/* Who signed is known, whether or not that is enough. */
static json_t *report(const struct oms_verdict *v, const char *path, const char *bundle, int rc, const struct err *err)
{
    const struct pki_holder *h = &v->holder;
    const bool by_key = v->by == DSSE_BY_KEY;
    json_t *o = json_pack("{s:s, s:s, s:b, s:s?, s:s?, s:s?, s:s?, s:i}", "model", path, "signature", bundle, "holds", !rc, "reason", rc ? err->msg : NULL, "by",
                          *h->identity ? (by_key ? "key" : "certificate") : NULL, "identity", *h->identity ? h->identity : NULL, "root", v->listed ? v->root : NULL, "files", v->n_file);
    char date[32];
    if (o && !by_key && h->ends) {
        when_seconds(date, h->ends);
        json_object_set_new(o, "certificate", json_pack("{s:s, s:s, s:s}", "subject", h->subject, "sha256", h->sha256, "ends", date));
    }
    for (int what = OMS_CHANGED; o && v->listed && what <= OMS_UNSIGNED; what++)
        json_object_set_new(o, oms_what_word[what], names_of(v, (enum oms_what)what));
    return o;
}

static void tell(const struct oms_verdict *v, const char *path)
{
    if (!v->listed)
        return;
    printf("%s\n  signed by  %s\n  root       sha256:%s\n  unchanged  %d\n", path, v->holder.identity, v->root, v->n_file);
    for (int i = 0; i < v->n_finding; i++)
        printf("  %-9s  %s\n", oms_what_word[v->finding[i].what], v->finding[i].name);
}

static int verify_files(const char *path, const char *bundle, const struct dsse_trust *t, const char *const *skip, struct pool *pool, struct err *err)
{
    const struct oms_check how = { .trust = t, .ignore = skip, .take_unsigned = take_unsigned };
    struct oms_verdict v;
    struct err none;
    int rc = oms_verify(&v, path, bundle, &how, pool, err);
    if (cmd_json && (!rc || rc == ERR_GATE)) {
        const int printed = cmd_print_json(report(&v, path, bundle, rc, err), rc ? &none : err);
        rc = rc ? rc : printed;
    } else {
        tell(&v, path);
    }
    oms_verdict_release(&v);
    return rc;
}

/* A statement of another kind, which is printed. */
static int verify_statement(const struct dsse *d, const char *kind, const char *path, const char *bundle, const struct dsse_trust *t, const char *const *skip, struct pool *pool, struct err *err)
{
    const struct oms_sign how = { .ignore = skip };
    struct pki_holder holder;
    char root[SHA256_HEX];
    json_t *predicate;
    TRY(dsse_verify(d, t, false, &holder, err));
    TRY(oms_root(path, &how, bundle, pool, root, err));
    TRY(provenance_read(&predicate, d, root, bundle, err));
    return cmd_print_json(json_pack("{s:s, s:s, s:b, s:s, s:s, s:s, s:o}", "model", path, "signature", bundle, "holds", true, "identity", holder.identity, "root", root, "kind", kind, "predicate", predicate), err);
}

static int verify(const char *path, const char *bundle, struct err *err)
{
    const char *skip[OPT_LIST_MAX + 1] = { NULL };
    struct pool *pool;
    struct dsse_trust t;
    struct dsse d;
    for (int i = 0; i < ignore.n; i++)
        skip[i] = ignore.item[i];
    TRY(cmd_pool(&pool, err));
    TRY(dsse_trust_read(&t, key, ca, err));
    t.identity = identity, t.may_be_expired = may_be_expired;
    int rc = dsse_read(&d, bundle, err);
    if (!rc) {
        const char *kind = provenance_kind(&d);
        rc = kind ? verify_statement(&d, kind, path, bundle, &t, skip, pool, err) : verify_files(path, bundle, &t, skip, pool, err);
        dsse_release(&d);
    }
    dsse_trust_release(&t);
    return rc;
}

static int run(const char *const *args, int n_args, struct err *err)
{
    (void)n_args;
    char *place = NULL;
    if (!key == !ca)
        return ERR(err, USAGE, "expected one of --key and --ca: who is trusted");
    if (!signature)
        TRY(oms_place(&place, args[0], true, err));
    const int rc = verify(args[0], signature ? signature : place, err);
    mem_free(place);
    return rc;
}

static const struct opt opts[] = {
    { OPT_STR, "key", &key, "<file>", "public key (PEM) that must have signed", 0, 0 },
    { OPT_STR, "ca", &ca, "<file>", "certificates (PEM) one of which the signing one must lead to", 0, 0 },
    { OPT_STR, "identity", &identity, "<text>", "who must have signed: an alternative name or the subject of the certificate (CN=..), sha256:.. of a key", 0, 0 },
    { OPT_STR, "signature", &signature, "<file>", "FOLDER/model.sig or FILE.sig unless given", 0, 0 },
    { OPT_LIST, "ignore", &ignore, "<path>", "below MODEL, left out besides what the signature leaves out; may be given several times", 0, 0 },
    { OPT_FLAG, "allow-unsigned", &take_unsigned, NULL, "files that are not signed are no fault", 0, 0 },
    { OPT_FLAG, "allow-expired", &may_be_expired, NULL, "a signing certificate that has ended is no fault", 0, 0 },
    OPT_THREADS, OPT_JSON, OPT_QUIET, OPT_LAST,
};

const struct command command_verify = {
    "verify", "MODEL", "is a model what someone has signed?",
    TEXT(
        "Exit code 0: it is.  3: the signature does not hold: not by who is trusted, or files are changed, missing or unsigned, which are\n"
        "listed.  1: there is none, or it cannot be read.  Signatures are those of lathe sign and of model_signing (OpenSSF Model Signing,\n"
        "from 0.2 on) by a key or by a certificate.\n"
        "\n"
        "    lathe verify out/model --key release.pub\n"
        "    lathe verify out/model --ca company-root.pem --identity release@example.org\n"
        "\n"
        "Nothing in such a signature proves when it was made.  The chain of certificates is judged at the moment at which the signing\n"
        "certificate begins, as model_signing does it; beyond that, one that has ended by now is refused unless --allow-expired.\n"
        "\n"
        "A MODEL that is one file of a signed folder is compared with what the folder's signature says of it.  lathe serve, chat, generate\n"
        "and eval verify before they load: --signature-key or --signature-ca.  There no file may be unsigned, not even one that the\n"
        "signature leaves out, and a good answer is remembered until a file's inode, size or time changes.\n"),
    opts, run, 1, 1,
};
