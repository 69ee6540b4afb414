/* test_oms_certificates.c - whose certificates may sign a model, and when. */
#include "../certificates.h"
#include <unistd.h>
#include "store/oms.h"

static struct err err;
static struct made root, between, leaf, other;
#define CA "critical,CA:TRUE"
#define SIGNS_CERTS "critical,keyCertSign"

static int set_up(void **state)
{
    make_dir(state);
    make_certificate(&root, &(struct making){ "root", NULL, NULL, -400 * DAY, 3000 * DAY, CA, SIGNS_CERTS, NULL, NULL, NULL });
    make_certificate(&other, &(struct making){ "root", NULL, NULL, -400 * DAY, 3000 * DAY, CA, SIGNS_CERTS, NULL, NULL, NULL });
    make_certificate(&between, &(struct making){ "between", "secp384r1", &root, -300 * DAY, 3000 * DAY, CA, SIGNS_CERTS, NULL, NULL, NULL });
    write_certificate(&root, in_dir("root.pem"), "w"), write_certificate(&other, in_dir("other.pem"), "w"), write_certificate(&between, in_dir("between.pem"), "w");
    OK(file_mkdirs(in_dir("m"), &err));
    OK(file_write_all(in_dir("m/w"), "weights", 7, &err));
    return 0;
}

static int tear_down(void **state)
{
    free_certificate(&root), free_certificate(&between), free_certificate(&leaf), free_certificate(&other);
    return remove_dir(state);
}

static void sign_with(const struct making *how, const char *chain)
{
    char digest[SHA256_HEX];
    free_certificate(&leaf);
    make_certificate(&leaf, how);
    write_certificate(&leaf, in_dir("leaf.pem"), "w"), write_key(&leaf, in_dir("leaf.key"));
    const struct oms_sign sign = { .key = in_dir("leaf.key"), .cert = in_dir("leaf.pem"), .chain = chain };
    OK(oms_sign(in_dir("m"), &sign, NULL, digest, &err));
}

static int judge(struct oms_verdict *v, const char *anchor, const char *identity, long days, bool may_be_expired)
{
    struct dsse_trust t;
    OK(dsse_trust_read(&t, NULL, anchor, &err));
    t.now += days * DAY, t.may_be_expired = may_be_expired, t.identity = identity;
    const struct oms_check how = { .trust = &t };
    const int rc = oms_verify(v, in_dir("m"), in_dir("m/model.sig"), &how, NULL, &err);
    dsse_trust_release(&t);
    return rc;
}

static void expect(int want, const char *says, const char *anchor, const char *identity, long days, bool may_be_expired)
{
    struct oms_verdict v;
    const int rc = judge(&v, in_dir(anchor), identity, days, may_be_expired);
    oms_verdict_release(&v);
    if (rc != want || (rc && !strstr(err.msg, says)))
        fail_msg("%d %s, expected %d %s", rc, rc ? err.msg : "", want, says);
}

static const struct making usual = { "Releases \xc3\xa4", "secp521r1", &between, -20 * DAY, 10 * DAY, NULL, "critical,digitalSignature", NULL, "email:release@example.org,URI:https://example.org/ci", NULL };

static void a_certificate_of_a_trusted_chain_signs(void **state)
{
    (void)state;
    struct oms_verdict v;
    sign_with(&usual, in_dir("between.pem"));
    OK(judge(&v, in_dir("root.pem"), NULL, 0, false));
    assert_int_equal(v.by, DSSE_BY_CERTIFICATE);
    assert_string_equal(v.holder.identity, "release@example.org");
    assert_string_equal(v.holder.subject, "CN=Releases \xc3\xa4");
    assert_int_equal(v.holder.ends - v.holder.begins, 30 * DAY);
    assert_int_equal(v.n_file, 1);
    oms_verdict_release(&v);
    expect(ERR_GATE, "does not lead to", "other.pem", NULL, 0, false);
    expect(0, "", "root.pem", "release@example.org", 0, false);
    expect(0, "", "root.pem", "https://example.org/ci", 0, false);
    expect(0, "", "root.pem", "CN=Releases \xc3\xa4", 0, false);
    expect(ERR_GATE, "expected 'release@example.or'", "root.pem", "release@example.or", 0, false);
    expect(ERR_GATE, "expected ''", "root.pem", "", 0, false);
}

static void a_link_that_is_missing_or_stray_is_told(void **state)
{
    (void)state;
    sign_with(&usual, NULL);
    expect(ERR_GATE, "does not lead to", "root.pem", NULL, 0, false);
    write_certificate(&root, in_dir("all.pem"), "w"), write_certificate(&between, in_dir("all.pem"), "a");
    expect(0, "", "all.pem", NULL, 0, false);                        /* the verifier has it */
    sign_with(&usual, in_dir("all.pem"));                            /* the whole chain, in another order */
    expect(0, "", "root.pem", NULL, 0, false);
    write_certificate(&other, in_dir("all.pem"), "a");
    sign_with(&usual, in_dir("all.pem"));
    expect(ERR_GATE, "certificate 4", "root.pem", NULL, 0, false);
    sign_with(&usual, in_dir("leaf.pem"));
    struct oms_verdict v;
    assert_int_equal(judge(&v, in_dir("root.pem"), NULL, 0, false), ERR_GATE);
    oms_verdict_release(&v);
}

static void an_expired_certificate_is_refused_unless_that_is_allowed(void **state)
{
    (void)state;
    sign_with(&usual, in_dir("between.pem"));
    expect(0, "", "root.pem", NULL, 9, false);
    expect(ERR_GATE, "has expired at", "root.pem", NULL, 11, false);
    expect(0, "", "root.pem", NULL, 11, true);
    expect(ERR_GATE, "not yet", "root.pem", NULL, -21, true);
}

/* They are judged at the moment that the signing certificate begins. */
static void issuers_must_be_valid_when_the_signing_certificate_begins(void **state)
{
    (void)state;
    struct made old, late;
    make_certificate(&old, &(struct making){ "old", NULL, &root, -300 * DAY, -1 * DAY, CA, SIGNS_CERTS, NULL, NULL, NULL });
    make_certificate(&late, &(struct making){ "late", NULL, &root, -1 * DAY, 300 * DAY, CA, SIGNS_CERTS, NULL, NULL, NULL });
    write_certificate(&old, in_dir("old.pem"), "w"), write_certificate(&late, in_dir("late.pem"), "w");
    struct making how = usual;
    how.by = &old;
    sign_with(&how, in_dir("old.pem"));
    expect(0, "", "root.pem", NULL, 0, false);
    how.by = &late;
    sign_with(&how, in_dir("late.pem"));
    expect(ERR_GATE, "not yet valid", "root.pem", NULL, 0, false);
    free_certificate(&old), free_certificate(&late);
}

static void a_certificate_for_something_else_does_not_sign(void **state)
{
    (void)state;
    static const struct { const char *usage, *extended; bool may; } of[] = {
        { "digitalSignature", NULL, true }, { NULL, "codeSigning", true }, { "keyEncipherment", "codeSigning", true }, { "digitalSignature", "serverAuth", true },
        { NULL, NULL, false }, { "keyEncipherment", NULL, false }, { NULL, "serverAuth,clientAuth", false }, { "keyAgreement", "emailProtection", false },
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        struct making how = usual;
        how.usage = of[i].usage, how.extended = of[i].extended;
        sign_with(&how, in_dir("between.pem"));
        expect(of[i].may ? 0 : ERR_GATE, "not for signing", "root.pem", NULL, 0, false);
    }
}

static void who_is_no_authority_certifies_nobody(void **state)
{
    (void)state;
    struct made fake;
    make_certificate(&fake, &(struct making){ "fake", NULL, &root, -300 * DAY, 300 * DAY, "critical,CA:FALSE", "digitalSignature", NULL, NULL, NULL });
    write_certificate(&fake, in_dir("fake.pem"), "w");
    struct making how = usual;
    how.by = &fake;
    sign_with(&how, in_dir("fake.pem"));
    expect(ERR_GATE, "does not lead to", "root.pem", NULL, 0, false);
    free_certificate(&fake);
}

static void a_weak_link_is_none(void **state)
{
    (void)state;
    struct made weak;
    make_certificate(&weak, &(struct making){ "weak", NULL, &root, -300 * DAY, 300 * DAY, CA, SIGNS_CERTS, NULL, NULL, EVP_sha1() });
    write_certificate(&weak, in_dir("weak.pem"), "w");
    struct making how = usual;
    how.by = &weak;
    sign_with(&how, in_dir("weak.pem"));
    expect(ERR_GATE, "too weak", "root.pem", NULL, 0, false);
    free_certificate(&weak);
}

static void a_certificate_by_itself_is_trusted_where_it_is_named(void **state)
{
    (void)state;
    struct making how = usual;
    how.by = NULL;
    sign_with(&how, NULL);
    expect(0, "", "leaf.pem", NULL, 0, false);
    expect(ERR_GATE, "does not lead to", "root.pem", NULL, 0, false);
}

static void keys_that_do_not_belong_are_refused(void **state)
{
    (void)state;
    char digest[SHA256_HEX];
    sign_with(&usual, in_dir("between.pem"));
    const struct oms_sign mixed = { .key = in_dir("leaf.key"), .cert = in_dir("between.pem") };
    assert_int_equal(oms_sign(in_dir("m"), &mixed, NULL, digest, &err), ERR_USAGE);
    expect(0, "", "root.pem", NULL, 0, false);                       /* the old signature is whole */
    struct made koblitz;
    make_certificate(&koblitz, &(struct making){ "x", "secp256k1", &between, -20 * DAY, 10 * DAY, NULL, "digitalSignature", NULL, NULL, NULL });
    write_key(&koblitz, in_dir("x.key"));
    const struct oms_sign unsupported = { .key = in_dir("x.key") };
    assert_int_equal(oms_sign(in_dir("m"), &unsupported, NULL, digest, &err), ERR_UNSUPPORTED);
    free_certificate(&koblitz);
    struct dsse_trust t;
    OK(pki_make(in_dir("k"), "P-256", NULL, &err));
    OK(dsse_trust_read(&t, in_dir("k.pub"), NULL, &err));
    struct oms_verdict v;
    const struct oms_check how = { .trust = &t };
    assert_int_equal(oms_verify(&v, in_dir("m"), in_dir("m/model.sig"), &how, NULL, &err), ERR_GATE);
    assert_non_null(strstr(err.msg, "signed by a certificate"));
    oms_verdict_release(&v);
    dsse_trust_release(&t);
    const struct oms_sign by_key = { .key = in_dir("k.key") };
    OK(oms_sign(in_dir("m"), &by_key, NULL, digest, &err));
    expect(ERR_GATE, "signed by a key", "root.pem", NULL, 0, false);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_certificate_of_a_trusted_chain_signs),
        T(a_link_that_is_missing_or_stray_is_told),
        T(an_expired_certificate_is_refused_unless_that_is_allowed),
        T(issuers_must_be_valid_when_the_signing_certificate_begins),
        T(a_certificate_for_something_else_does_not_sign),
        T(who_is_no_authority_certifies_nobody),
        T(a_weak_link_is_none),
        T(a_certificate_by_itself_is_trusted_where_it_is_named),
        T(keys_that_do_not_belong_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
