/* test_oms.c - OpenSSF Model Signing: what others signed holds and fails after any change, and so does what is signed here. */
#include "../test.h"
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/base64.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/tree.h"
#include "store/oms.h"

static struct err err;

static char *slurp(const char *path)
{
    struct buf b;
    buf_init(&b);
    OK(file_read(path, 1 << 20, &b, &err));
    char *text = mem_strdup(b.data);
    buf_release(&b);
    return text;
}

static int verdict_of(struct oms_verdict *v, const char *path, const char *bundle, const char *key, const char *ca, bool take_unsigned, bool refuse_ignored)
{
    static const char *const ignore[] = { "ignore-me", NULL };           /* what the fixtures leave out, and 1.0.1's signatures do not say */
    struct dsse_trust t;
    OK(dsse_trust_read(&t, key, ca, &err));
    const struct oms_check how = { &t, ignore, take_unsigned, refuse_ignored };
    const int rc = oms_verify(v, path, bundle, &how, NULL, &err);
    dsse_trust_release(&t);
    return rc;
}

static int judge(const char *path, const char *bundle, const char *key, const char *ca)
{
    struct oms_verdict v;
    const int rc = verdict_of(&v, path, bundle, key, ca, false, false);
    oms_verdict_release(&v);
    return rc;
}

/* ---- what model_signing 0.2.0 to 1.1.0 signed ---- */

static const struct { const char *folder, *file; int n_file; } models[] = {
    { "v0.2.0-certificate", NULL, 2 }, { "v0.3.1-certificate", NULL, 2 }, { "v1.0.0-certificate", NULL, 2 }, { "v1.0.1-certificate", NULL, 2 }, { "v1.1.0-certificate", NULL, 2 },
    { "v0.3.1-elliptic-key", "signme-1", 1 }, { "v1.0.0-elliptic-key", "signme-1", 1 }, { "v1.0.1-elliptic-key", NULL, 2 }, { "v1.1.0-elliptic-key", NULL, 2 },
};
enum { N_MODEL = sizeof models / sizeof *models };

static const char *pub, *ca;             /* one of both */
static char model_path[1000], sig_path[1000];

/* A copy of model i in the test's folder. */
static void copy_model(int i)
{
    static char keys[2][1000], from[1000];
    snprintf(keys[0], sizeof keys[0], "%s", shared("governance-signed-models/keys/certificate/signing-key-pub.pem"));
    snprintf(keys[1], sizeof keys[1], "%s", shared("governance-signed-models/keys/certificate/ca-cert.pem"));
    const bool by_key = strstr(models[i].folder, "elliptic") != NULL;
    pub = by_key ? keys[0] : NULL, ca = by_key ? NULL : keys[1];
    snprintf(from, sizeof from, "%s", path_in(shared("governance-signed-models"), models[i].folder));
    snprintf(model_path, sizeof model_path, "%s/m", test_dir);
    OK(file_remove_tree(model_path, &err));
    static const char *const names[] = { "model.sig", "signme-1", "signme-2", "ignore-me" };
    for (int k = 0; k < 4; k++)
        if (file_exists(path_in(from, names[k]))) {
            char *text = slurp(path_in(from, names[k])), name[40];
            snprintf(name, sizeof name, "m/%s", names[k]);
            put_in_dir(name, text);
            mem_free(text);
        }
    snprintf(sig_path, sizeof sig_path, "%s/m/model.sig", test_dir);
    if (models[i].file)
        snprintf(model_path, sizeof model_path, "%s/m/%s", test_dir, models[i].file);
}

static void the_nine_models_that_others_signed_hold(void **state)
{
    (void)state;
    for (int i = 0; i < N_MODEL; i++) {
        struct oms_verdict v;
        copy_model(i);
        if (verdict_of(&v, model_path, sig_path, pub, ca, false, false))
            fail_msg("%s: %s", models[i].folder, err.msg);
        assert_int_equal(v.n_file, models[i].n_file);
        assert_int_equal(v.n_finding, 0);
        assert_string_equal(v.holder.identity, ca ? "CN=intermediate-ca" : "sha256:e8450dec4eb99dae995da9af1bc2cc9f76ed669ee2e744f57abba763df3e3f8e");
        oms_verdict_release(&v);
        char *place;
        OK(oms_place(&place, model_path, true, &err));
        assert_string_equal(place, sig_path);
        mem_free(place);
    }
}

static void a_file_of_theirs_that_is_changed_gone_or_new_is_told(void **state)
{
    (void)state;
    for (int i = 0; i < N_MODEL; i++)
        for (int file = 1; file <= models[i].n_file; file++)
            for (int how = 0; how < 4; how++) {
                struct oms_verdict v;
                char name[20];
                copy_model(i);
                if (models[i].file && how > 1)
                    continue;
                snprintf(name, sizeof name, "m/signme-%d", file);
                if (how == 0)
                    put_in_dir(name, "other");
                else if (how == 1)
                    put_in_dir(name, "");
                else if (how == 2)
                    unlink(in_dir(name));
                else
                    put_in_dir("m/new", "x");
                assert_int_equal(verdict_of(&v, model_path, sig_path, pub, ca, false, false), ERR_GATE);
                assert_int_equal(v.n_finding, 1);
                assert_string_equal(v.finding[0].name, how == 3 ? "new" : name + 2);
                assert_int_equal(v.finding[0].what, how < 2 ? OMS_CHANGED : how == 2 ? OMS_MISSING : OMS_UNSIGNED);
                oms_verdict_release(&v);
                assert_int_equal(verdict_of(&v, model_path, sig_path, pub, ca, true, false), how == 3 ? 0 : ERR_GATE);
                oms_verdict_release(&v);
            }
}

/* ---- every field of a bundle, changed once ---- */

/* Without waiting for the disk, a thousand times. */
static void write_quickly(const char *path, const char *text, size_t n)
{
    FILE *f = fopen(path, "w");
    assert_true(f && fwrite(text, 1, n, f) == n && !fclose(f));
}

static int n_changed;

static void try_bundle(const json_t *root, const char *what)
{
    char *text = json_dumps(root, JSON_COMPACT | JSON_ENCODE_ANY);
    write_quickly(sig_path, text, strlen(text));
    mem_free(text);
    n_changed++;
    if (!judge(model_path, sig_path, pub, ca))
        fail_msg("%s holds after this change: %s", model_path, what);
    assert_true(*err.msg);
}

/* Other texts: one with its first, middle and last letter changed, shorter, longer, none. */
static void change_text(const json_t *root, json_t *s, const char *what)
{
    char *was = mem_strdup(json_string_value(s)), text[20000];
    const size_t n = strlen(was), at[] = { 0, n / 2, n ? n - 1 : 0 };
    for (int k = 0; k < 6; k++) {
        snprintf(text, sizeof text, "%s%s", was, k == 4 ? "A" : "");
        if (k < 3 && n)
            text[at[k]] = was[at[k]] == 'A' ? 'B' : 'A';
        else if (k == 3 && n)
            text[n - 1] = 0;
        else if (k == 5)
            *text = 0;
        if (!strcmp(text, was))
            continue;
        json_string_set(s, text);
        try_bundle(root, what);
    }
    json_string_set(s, was);
    mem_free(was);
}

static void change_below(json_t *root, json_t *o)
{
    const char *key;
    json_t *v, *copy = json_is_object(o) ? json_copy(o) : json_is_array(o) ? json_copy(o) : NULL;
    if (json_is_object(o)) {
        json_object_foreach(copy, key, v) {
            if (json_is_string(v))
                change_text(root, v, key);
            change_below(root, v);
            json_object_del(o, key);
            if (strcmp(key, "tlogEntries") && strcmp(key, "keyid") && strcmp(key, "keyDetails"))      /* which may be absent */
                try_bundle(root, key);
            json_object_set_new(o, key, json_integer(1));
            try_bundle(root, key);
            json_object_set(o, key, v);
        }
        json_object_set_new(o, "another", json_string(""));
        try_bundle(root, "another");
        json_object_del(o, "another");
    } else if (json_is_array(o)) {
        for (size_t i = 0; i < json_array_size(copy); i++) {
            v = json_array_get(copy, i);
            change_below(root, v);
            json_array_remove(o, i);
            try_bundle(root, "one less");
            json_array_insert(o, i, v);
            json_array_append(o, v);
            try_bundle(root, "one twice");
            json_array_remove(o, json_array_size(o) - 1);
        }
        json_array_append_new(o, json_object());
        try_bundle(root, "one more");
        json_array_remove(o, json_array_size(o) - 1);
    }
    json_decref(copy);
}

static void a_bundle_of_theirs_fails_after_any_change(void **state)
{
    (void)state;
    for (int i = 0; i < N_MODEL; i++) {
        copy_model(i);
        json_t *root = json_load_file(sig_path, 0, NULL);
        n_changed = 0;
        change_below(root, root);
        assert_true(n_changed > 50);
        try_bundle(json_null(), "nothing");
        char *text = json_dumps(root, JSON_COMPACT);
        write_quickly(sig_path, text, strlen(text));
        assert_int_equal(judge(model_path, sig_path, pub, ca), 0);      /* as it was */
        for (size_t n = 0; n < strlen(text); n += n < 300 ? 1 : 97) {
            write_quickly(sig_path, text, n);
            assert_true(judge(model_path, sig_path, pub, ca) < 0);
        }
        mem_free(text);
        json_decref(root);
    }
}

static void the_payload_fails_after_a_change_of_any_byte(void **state)
{
    (void)state;
    static const int some[] = { 0, 3, 8 };
    for (int k = 0; k < 3; k++) {
        struct dsse d;
        struct dsse_trust t;
        struct pki_holder h;
        copy_model(some[k]);
        OK(dsse_read(&d, sig_path, &err));
        OK(dsse_trust_read(&t, pub, ca, &err));
        OK(dsse_verify(&d, &t, true, &h, &err));
        for (size_t i = 0; i < d.payload.len; i += FEWER(7, 97)) {
            d.payload.data[i] ^= 1;
            assert_int_equal(dsse_verify(&d, &t, true, &h, &err), ERR_GATE);
            d.payload.data[i] ^= 1;
        }
        for (size_t i = 0; i < d.sig.len; i++) {
            d.sig.data[i] ^= 4;
            assert_int_equal(dsse_verify(&d, &t, true, &h, &err), ERR_GATE);
            d.sig.data[i] ^= 4;
        }
        assert_int_equal(dsse_verify(&d, &t, false, &h, &err), some[k] ? 0 : ERR_GATE);
        dsse_trust_release(&t);
        dsse_release(&d);
    }
}

/* ---- the specification's own bundles ---- */

static void the_bundles_of_the_specification_are_judged_as_they_should_be(void **state)
{
    (void)state;
    static const struct { const char *path; int bundle, statement; } of[] = {
        { "valid/key.bundle.json", 0, 0 }, { "valid/certificate.bundle.json", 0, 0 }, { "valid/sigstore.bundle.json", 0, 0 },
        { "invalid/empty.bundle.json", ERR_FORMAT, 0 }, { "invalid/missing-envelope.bundle.json", ERR_FORMAT, 0 },
        { "invalid/missing-tlog-entries.bundle.json", ERR_FORMAT, 0 }, { "invalid/missing-verification-material.bundle.json", ERR_FORMAT, 0 },
        { "invalid-payload/wrong-predicate.bundle.json", 0, ERR_UNSUPPORTED },
    };
    char all[500];
    snprintf(all, sizeof all, "%s", shared("governance-model-signing"));
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        struct dsse d;
        struct oms_statement s;
        const int rc = dsse_read(&d, path_in(all, of[i].path), &err);
        if (rc != of[i].bundle)
            fail_msg("%s: %d, expected %d", of[i].path, rc, of[i].bundle);
        if (rc)
            continue;
        assert_int_equal(oms_statement_read(&s, d.payload.data, d.payload.len, "x", &err), of[i].statement);
        if (!of[i].statement)
            oms_statement_release(&s);
        dsse_release(&d);
    }
    copy_model(8);
    assert_int_equal(judge(model_path, path_in(all, "valid/key.bundle.json"), pub, NULL), 0);
    assert_int_equal(judge(model_path, path_in(all, "invalid-payload/wrong-predicate.bundle.json"), pub, NULL), ERR_GATE);
    assert_int_equal(judge(model_path, path_in(all, "valid/sigstore.bundle.json"), pub, NULL), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "keyless"));
    char bundle[1000];
    snprintf(bundle, sizeof bundle, "%s", path_in(all, "valid/certificate.bundle.json"));     /* over the same files */
    assert_int_equal(judge(model_path, bundle, NULL, shared("governance-signed-models/keys/certificate/ca-cert.pem")), 0);
}

/* ---- what is signed here ---- */

static char a_key[1000], a_pub[1000], b_pub[1000];

static void make_keys(const char *curve)
{
    snprintf(a_key, sizeof a_key, "%s", in_dir("a.key")), snprintf(a_pub, sizeof a_pub, "%s", in_dir("a.pub")), snprintf(b_pub, sizeof b_pub, "%s", in_dir("b.pub"));
    unlink(a_key), unlink(a_pub), unlink(b_pub), unlink(in_dir("b.key"));
    OK(pki_make(in_dir("a"), curve, NULL, &err));
    OK(pki_make(in_dir("b"), "P-256", NULL, &err));
}

static void make_model(void)
{
    put_in_dir("m/config.json", "{}"), put_in_dir("m/a/b", "0123456789abcdefg"), put_in_dir("m/a.txt", "xy"), put_in_dir("m/empty", ""), put_in_dir("m/z", "12345678");
}

static void it_signs_with_each_curve_whole_and_in_shards(void **state)
{
    (void)state;
    static const char *const curves[] = { "P-256", "P-384", "P-521" };
    struct pool *pool;
    OK(pool_new(&pool, 3, &err));
    make_model();
    for (int i = 0; i < 6; i++) {
        make_keys(curves[i % 3]);
        const struct oms_sign how = { .key = a_key, .shard_bytes = i < 3 ? 0 : 8 };
        char root[SHA256_HEX];
        struct oms_verdict v;
        OK(oms_sign(in_dir("m"), &how, i % 2 ? pool : NULL, root, &err));
        OK(verdict_of(&v, in_dir("m"), in_dir("m/model.sig"), a_pub, NULL, false, false));
        assert_string_equal(v.root, root);
        assert_string_equal(v.name, "m");
        assert_int_equal(v.n_file, i < 3 ? 5 : 6);
        oms_verdict_release(&v);
        assert_int_equal(judge(in_dir("m"), in_dir("m/model.sig"), b_pub, NULL), ERR_GATE);
        put_in_dir("m/a/b", "0123456789abcdefgh");                       /* longer: another shard */
        assert_int_equal(verdict_of(&v, in_dir("m"), in_dir("m/model.sig"), a_pub, NULL, false, false), ERR_GATE);
        assert_int_equal(v.n_finding, 1);
        assert_string_equal(v.finding[0].name, "a/b");
        oms_verdict_release(&v);
        put_in_dir("m/a/b", "0123456789abcdef" "ghijklmnop");
        assert_int_equal(judge(in_dir("m"), in_dir("m/model.sig"), a_pub, NULL), ERR_GATE);
        put_in_dir("m/a/b", "01234567");
        assert_int_equal(verdict_of(&v, in_dir("m"), in_dir("m/model.sig"), a_pub, NULL, false, false), ERR_GATE);
        assert_int_equal(v.n_finding, 1);
        oms_verdict_release(&v);
        make_model();
        assert_int_equal(judge(in_dir("m"), in_dir("m/model.sig"), a_pub, NULL), 0);
    }
    pool_free(pool);
}

static void a_file_is_signed_alone_or_is_one_of_a_folder(void **state)
{
    (void)state;
    char root[SHA256_HEX], *place;
    make_model(), make_keys("P-384");
    const struct oms_sign how = { .key = a_key };
    OK(oms_sign(in_dir("m/z"), &how, NULL, root, &err));
    assert_int_equal(judge(in_dir("m/z"), in_dir("m/z.sig"), a_pub, NULL), 0);
    assert_int_equal(judge(in_dir("m"), in_dir("m/z.sig"), a_pub, NULL), ERR_GATE);
    unlink(in_dir("m/z.sig"));
    OK(oms_sign(in_dir("m"), &how, NULL, root, &err));
    OK(oms_place(&place, in_dir("m/z"), true, &err));
    assert_string_equal(place, in_dir("m/model.sig"));
    assert_int_equal(judge(in_dir("m/z"), place, a_pub, NULL), 0);
    mem_free(place);
    put_in_dir("m/a.txt", "other");                                      /* not the one that is asked for */
    assert_int_equal(judge(in_dir("m/z"), in_dir("m/model.sig"), a_pub, NULL), 0);
    put_in_dir("m/z", "other");
    assert_int_equal(judge(in_dir("m/z"), in_dir("m/model.sig"), a_pub, NULL), ERR_GATE);
    put_in_dir("m/new", "x");
    assert_int_equal(judge(in_dir("m/new"), in_dir("m/model.sig"), a_pub, NULL), ERR_GATE);
    assert_non_null(strstr(err.msg, "not among"));
    unlink(in_dir("m/model.sig"));
    assert_int_equal(oms_place(&place, in_dir("m"), true, &err), ERR_NOTFOUND);
    assert_null(place);
}

static void what_is_left_out_is_no_fault_but_for_who_loads_it(void **state)
{
    (void)state;
    static const char *const ignore[] = { "a", "notes", NULL };
    char root[SHA256_HEX];
    make_model(), make_keys("P-256");
    const struct oms_sign how = { .key = a_key, .ignore = ignore, .out = in_dir("m/sub.sig") };
    OK(oms_sign(in_dir("m"), &how, NULL, root, &err));
    struct oms_verdict v;
    OK(verdict_of(&v, in_dir("m"), in_dir("m/sub.sig"), a_pub, NULL, false, false));
    assert_int_equal(v.n_file, 4);
    oms_verdict_release(&v);
    assert_int_equal(verdict_of(&v, in_dir("m"), in_dir("m/sub.sig"), a_pub, NULL, false, true), ERR_GATE);
    assert_int_equal(v.n_finding, 1);
    assert_int_equal(v.finding[0].what, OMS_IGNORED);
    assert_string_equal(v.finding[0].name, "a/b");
    oms_verdict_release(&v);
}

static void links_are_signed_where_that_is_said(void **state)
{
    (void)state;
    char root[SHA256_HEX];
    make_model(), make_keys("P-256");
    put_in_dir("elsewhere", "weights");
    assert_int_equal(symlink("../elsewhere", in_dir("m/w")), 0);
    struct oms_sign how = { .key = a_key };
    assert_int_equal(oms_sign(in_dir("m"), &how, NULL, root, &err), ERR_UNSUPPORTED);
    assert_false(file_exists(in_dir("m/model.sig")));
    how.follow_links = true;
    OK(oms_sign(in_dir("m"), &how, NULL, root, &err));
    assert_int_equal(judge(in_dir("m"), in_dir("m/model.sig"), a_pub, NULL), 0);
    put_in_dir("elsewhere", "Weights");
    assert_int_equal(judge(in_dir("m"), in_dir("m/model.sig"), a_pub, NULL), ERR_GATE);
}

static void keys_that_are_none_are_refused_with_a_reason(void **state)
{
    (void)state;
    struct evp_pkey_st *key;
    make_keys("P-256");
    assert_int_equal(pki_make(in_dir("a"), "P-256", NULL, &err), ERR_USAGE);
    assert_int_equal(pki_make(in_dir("c"), "P-255", NULL, &err), ERR_USAGE);
    struct stat s;
    assert_int_equal(stat(a_key, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0600);
    assert_int_equal(pki_public_read(&key, a_key, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "private one"));
    assert_int_equal(pki_private_read(&key, a_pub, NULL, &err), ERR_FORMAT);
    assert_int_equal(pki_private_read(&key, in_dir("none"), NULL, &err), ERR_NOTFOUND);
    OK(pki_make(in_dir("locked"), "P-521", "open it", &err));
    assert_int_equal(pki_private_read(&key, in_dir("locked.key"), NULL, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "encrypted"));
    assert_int_equal(pki_private_read(&key, in_dir("locked.key"), "wrong", &err), ERR_FORMAT);
    OK(pki_private_read(&key, in_dir("locked.key"), "open it", &err));
    assert_string_equal(pki_details(key), "PKIX_ECDSA_P521_SHA_512");
    pki_free(key);
    struct pki_certs c = { .n = 0 };
    assert_int_equal(pki_certs_read(&c, a_pub, &err), ERR_FORMAT);
    assert_int_equal(pki_certs_add(&c, "junk", 4, &err), ERR_FORMAT);
    pki_certs_release(&c);
    struct dsse_trust t;
    assert_int_equal(dsse_trust_read(&t, NULL, NULL, &err), ERR_USAGE);
    assert_int_equal(dsse_trust_read(&t, a_pub, a_pub, &err), ERR_USAGE);
}

static void a_bundle_that_is_huge_deep_or_says_things_twice_is_refused(void **state)
{
    (void)state;
    char root[SHA256_HEX];
    make_model(), make_keys("P-256");
    const struct oms_sign how = { .key = a_key };
    OK(oms_sign(in_dir("m"), &how, NULL, root, &err));
    char *text = slurp(in_dir("m/model.sig")), *twice = mem_printf("{\"mediaType\":\"application/vnd.dev.sigstore.bundle.v0.3+json\",%s", text + 1), *trail = mem_printf("%s{}", text);
    put_in_dir("m/model.sig", twice);
    assert_int_equal(judge(in_dir("m"), in_dir("m/model.sig"), a_pub, NULL), ERR_FORMAT);
    put_in_dir("m/model.sig", trail);
    assert_int_equal(judge(in_dir("m"), in_dir("m/model.sig"), a_pub, NULL), ERR_FORMAT);
    put_in_dir("m/model.sig", text);
    assert_int_equal(judge(in_dir("m"), in_dir("m/model.sig"), a_pub, NULL), 0);
    assert_int_equal(truncate(in_dir("m/model.sig"), (off_t)DSSE_BYTES_MAX + 1), 0);
    assert_int_equal(judge(in_dir("m"), in_dir("m/model.sig"), a_pub, NULL), ERR_RANGE);
    struct buf deep;
    buf_init(&deep);
    for (int i = 0; i < 100000; i++)
        OK(buf_add_str(&deep, "{\"mediaType\":", &err));
    put_in_dir("m/model.sig", deep.data);
    assert_int_equal(judge(in_dir("m"), in_dir("m/model.sig"), a_pub, NULL), ERR_FORMAT);
    buf_release(&deep);
    unlink(in_dir("m/model.sig"));
    assert_int_equal(mkfifo(in_dir("m/model.sig"), 0600), 0);
    assert_true(judge(in_dir("m"), in_dir("m/model.sig"), a_pub, NULL) < 0);          /* a pipe is not waited for */
    mem_free(text), mem_free(twice), mem_free(trail);
}

static atomic_bool stop;

static void *meddle(void *path)
{
    for (int i = 0; !stop; i++) {
        char name[1100];
        snprintf(name, sizeof name, "%s/new-%d", (const char *)path, i);
        FILE *f = fopen(name, "w");
        if (f)
            fclose(f);
        usleep(1000);
    }
    return NULL;
}

/* Files come all the time, so that some do between the first look and the last. */
static void files_that_come_while_others_are_read_are_noticed(void **state)
{
    (void)state;
    static char folder[1000];
    char root[SHA256_HEX];
    pthread_t thread;
    make_model(), make_keys("P-256");
    snprintf(folder, sizeof folder, "%s", in_dir("m"));
    assert_int_equal(truncate(in_dir("m/z"), 8 << 20), 0);
    const struct oms_sign how = { .key = a_key };
    stop = false;
    assert_int_equal(pthread_create(&thread, NULL, meddle, folder), 0);
    int rc = 0;
    for (int i = 0; i < 100 && !rc; i++)
        rc = oms_sign(folder, &how, NULL, root, &err);
    stop = true;
    pthread_join(thread, NULL);
    assert_int_equal(rc, ERR_CORRUPT);
    OK(oms_sign(folder, &how, NULL, root, &err));
    assert_int_equal(judge(folder, in_dir("m/model.sig"), a_pub, NULL), 0);
}

/* repr() of Python 3.11: print(repr(b"..")). */
static void the_old_encoding_is_pythons(void **state)
{
    (void)state;
    static const struct { const char *bytes, *repr; } of[] = {
        { "{\"a\": 1}", "b'{\"a\": 1}'" }, { "it's", "b\"it's\"" }, { "it's \"x\"", "b'it\\'s \"x\"'" }, { "\t\n\r\\\x01\x7f\xc3\xa4", "b'\\t\\n\\r\\\\\\x01\\x7f\\xc3\\xa4'" }, { "", "b''" },
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        struct buf b;
        char want[200];
        buf_init(&b);
        OK(dsse_pae_before_1(&b, "type", of[i].bytes, strlen(of[i].bytes), &err));
        snprintf(want, sizeof want, "DSSEV1 4 type %zu %s", strlen(of[i].bytes), of[i].repr);
        assert_string_equal(b.data, want);
        buf_clear(&b);
        OK(dsse_pae(&b, "http://example.com/HelloWorld", "hello world", 11, &err));          /* of DSSE's protocol.md */
        assert_string_equal(b.data, "DSSEv1 29 http://example.com/HelloWorld 11 hello world");
        buf_release(&b);
    }
}

static void statements_that_lead_elsewhere_are_refused(void **state)
{
    (void)state;
#define D "fe8d7a873dc48961a6af334c996b2cb3ce37149d5ce9c9253952a54c6a92c1ad"
#define HEAD "{\"_type\":\"https://in-toto.io/Statement/v1\",\"predicateType\":\"https://model_signing/signature/v1.0\",\"subject\":[{\"name\":\"m\",\"digest\":{\"sha256\":\"%s\"}}]," \
             "\"predicate\":{\"serialization\":{\"method\":\"%s\",\"hash_type\":\"sha256\",\"allow_symlinks\":false,\"shard_size\":%s},\"resources\":[%s]}}"
#define R(name) "{\"name\":\"" name "\",\"algorithm\":\"sha256\",\"digest\":\"" D "\"}"
    static const struct { const char *method, *size, *resources; bool good; } of[] = {
        { "files", "0", R("x"), true }, { "files", "0", R("x") "," R("y"), true }, { "files", "0", R("y") "," R("x"), true }, { "files", "0", R("x") "," R("x"), false },
        { "files", "0", R("../x"), false }, { "files", "0", R("/x"), false }, { "files", "0", R("a/../x"), false }, { "files", "0", R(""), false }, { "files", "0", R("."), true },
        { "files", "0", R(".") "," R("x"), false }, { "files", "0", "", false }, { "files", "0", "1", false }, { "lines", "0", R("x"), false },
        { "shards", "8", R("x:0:8") "," R("x:8:9"), true }, { "shards", "8.0", R("x:0:8"), true }, { "shards", "0", R("x:0:8"), false }, { "shards", "8", R("x"), false },
        { "shards", "8", R("x:0:9"), false }, { "shards", "8", R("x:8:8"), false }, { "shards", "8", R("x:0:8") "," R("x:7:9"), false }, { "shards", "8", R("x:00:8"), false },
        { "shards", "8", R("x:-1:2"), false }, { "shards", "8", R(":0:8"), false }, { "shards", "8", R("../x:0:8"), false }, { "shards", "1e300", R("x:0:8"), false },
        { "shards", "99999999999999999", R("x:0:999999999999999999"), false },
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        char text[2000], root[SHA256_HEX];
        unsigned char digests[64];
        for (int k = 0; k < 64; k++)
            sscanf(&D D[2 * k], "%2hhx", &digests[k]);
        const int n = !*of[i].resources ? 0 : strstr(of[i].resources, "},{") ? 2 : 1;
        OK(sha256_of(digests, (size_t)n * 32, root, &err));
        snprintf(text, sizeof text, HEAD, root, of[i].method, of[i].size, of[i].resources);
        struct oms_statement s;
        const int rc = oms_statement_read(&s, text, strlen(text), "x", &err);
        if ((rc == 0) != of[i].good)
            fail_msg("%s: %s", text, rc ? err.msg : "was taken");
        if (!rc)
            oms_statement_release(&s);
        snprintf(text, sizeof text, HEAD, D, of[i].method, of[i].size, of[i].resources);       /* another root */
        assert_true(oms_statement_read(&s, text, strlen(text), "x", &err) < 0);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)
    const struct CMUnitTest tests[] = {
        T(the_nine_models_that_others_signed_hold),
        T(a_file_of_theirs_that_is_changed_gone_or_new_is_told),
        T(a_bundle_of_theirs_fails_after_any_change),
        T(the_payload_fails_after_a_change_of_any_byte),
        T(the_bundles_of_the_specification_are_judged_as_they_should_be),
        T(it_signs_with_each_curve_whole_and_in_shards),
        T(a_file_is_signed_alone_or_is_one_of_a_folder),
        T(what_is_left_out_is_no_fault_but_for_who_loads_it),
        T(links_are_signed_where_that_is_said),
        T(keys_that_are_none_are_refused_with_a_reason),
        T(a_bundle_that_is_huge_deep_or_says_things_twice_is_refused),
        T(files_that_come_while_others_are_read_are_noticed),
        T(the_old_encoding_is_pythons),
        T(statements_that_lead_elsewhere_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
