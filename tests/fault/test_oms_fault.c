/* test_oms_fault.c - signing and verifying a model where the n-th allocation or system call fails. */
#include "../certificates.h"
#include "each_allocation.h"
#include <unistd.h>
#include "store/provenance.h"
#include "store/verified.h"

static struct err err;
static bool shards;

static int set_up(void **state)
{
    struct made self;
    make_dir(state);
    make_certificate(&self, &(struct making){ "self", NULL, NULL, -DAY, DAY, "critical,CA:FALSE", "digitalSignature", NULL, NULL, NULL });
    write_certificate(&self, in_dir("self.pem"), "w"), write_key(&self, in_dir("self.key"));
    free_certificate(&self);
    OK(pki_make(in_dir("k"), "P-256", NULL, &err));
    OK(file_mkdirs(in_dir("m/a"), &err));
    OK(file_write_all(in_dir("m/w"), "weights", 7, &err));
    OK(file_write_all(in_dir("m/a/b"), "more", 4, &err));
    return 0;
}

static int sign(void *ctx)
{
    char root[SHA256_HEX];
    const struct oms_sign how = { .key = in_dir(ctx ? "self.key" : "k.key"), .cert = ctx ? in_dir("self.pem") : NULL, .shard_bytes = shards ? 3 : 0 };
    return oms_sign(in_dir("m"), &how, NULL, root, &err);
}

static int verify(void *ctx)
{
    struct dsse_trust t;
    struct oms_verdict v = { .n_file = 0 };
    const char *const ignore[] = { "x", NULL };
    const struct oms_check how = { .trust = &t, .ignore = ignore };
    int rc = dsse_trust_read(&t, ctx ? NULL : in_dir("k.pub"), ctx ? in_dir("self.pem") : NULL, &err);
    TRY(rc);
    rc = oms_verify(&v, in_dir("m"), in_dir("m/model.sig"), &how, NULL, &err);
    oms_verdict_release(&v);
    dsse_trust_release(&t);
    return rc;
}

static int verify_changed(void *ctx)
{
    const int rc = verify(ctx);
    return rc == ERR_GATE ? 0 : rc ? rc : -1;
}

static void each_allocation_and_call_fails_aloud(void **state)
{
    (void)state;
    static char certificate[] = "certificate";
    for (int k = 0; k < 4; k++) {
        void *how = k & 1 ? certificate : NULL;
        shards = k > 1;
        assert_true(each_allocation(sign, how, false) > 20);
        assert_true(each_failure(CALLS, 1, sign, how, false) > 5);
        assert_int_equal(sign(how), 0);
        assert_true(each_allocation(verify, how, false) > 20);
        assert_true(each_failure(CALLS, 1, verify, how, false) > 3);
    }
    OK(file_write_all(in_dir("m/w"), "Weights", 7, &err));
    OK(file_write_all(in_dir("m/new"), "x", 1, &err));
    unlink(in_dir("m/a/b"));
    assert_true(each_allocation(verify_changed, certificate, false) > 20);
}

static int load(void *ctx)
{
    struct verified v;
    return verified_model(&v, in_dir("m"), ctx ? NULL : in_dir("k.pub"), ctx ? in_dir("self.pem") : NULL, NULL, in_dir("cache"), NULL, &err);
}

/* Remembering is no duty, the answer is. */
static void who_loads_a_model_is_told_of_each_failure(void **state)
{
    (void)state;
    shards = false;
    assert_int_equal(sign(NULL), 0);
    assert_true(each_allocation(load, NULL, true) > 20);
    assert_true(each_failure(CALLS, 1, load, NULL, true) > 3);
    OK(file_write_all(in_dir("m/w"), "Weights", 7, &err));
    for (int64_t n = 0;; n++) {
        mem_fail_at(n);
        const int rc = load(NULL);
        const bool reached = mem_fail_count() > n;
        mem_fail_at(-1);
        assert_true(rc == ERR_NOMEM || rc == ERR_GATE);
        if (!reached)
            break;
    }
}

static int tell(void *ctx)
{
    struct buf out;
    struct provenance_need need;
    bool passed = true;
    const char *const file[] = { in_dir("results.json") }, root[] = "61d4849d9d90076d6215f4d525f13d6574af8e3f67aef3e6f36fc40a14fdd226";
    buf_init(&out);
    int rc = provenance_need_parse(&need, "arc/acc>=0.5", &err);
    if (!rc)
        rc = ctx ? provenance_training(&out, "m", root, in_dir("run"), "1", &err) : provenance_evaluation(&out, &passed, "m", root, "x", file, 1, &need, 1, &err);
    buf_release(&out);
    return rc;
}

static void statements_without_memory_are_errors(void **state)
{
    (void)state;
    static char training[] = "training";
    static const char results[] = "{\"results\": {\"arc\": {\"acc,none\": 0.5}}}", line[] = "{\"unix_ms\": 5}\n";
    char facts[500];
    OK(file_mkdirs(in_dir("run"), &err));
    OK(file_write_all(in_dir("results.json"), results, strlen(results), &err));
    OK(file_write_all(in_dir("run/metrics.jsonl"), line, strlen(line), &err));
    snprintf(facts, sizeof facts, "{\"unix_ms\": 1, \"data\": [{\"role\": \"train\", \"path\": \"%s\", \"bytes\": 11}]}", in_dir("m"));
    OK(file_write_all(in_dir("run/run.json"), facts, strlen(facts), &err));
    assert_true(each_allocation(tell, NULL, false) > 10);
    assert_true(each_allocation(tell, training, false) > 20);
    assert_true(each_failure(CALLS, 1, tell, training, false) > 5);
}

/* A signature that could not be written leaves the old one. */
static void the_old_signature_is_whole(void **state)
{
    (void)state;
    shards = false;
    assert_int_equal(sign(NULL), 0);
    for (int64_t n = 0;; n++) {
        file_fail_at(n, ENOSPC);
        const int rc = sign(NULL);
        const bool reached = file_fail_count() > n;
        file_fail_at(-1, 0);
        if (!reached)
            break;
        assert_true(rc < 0);
        assert_int_equal(verify(NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_allocation_and_call_fails_aloud, set_up, remove_dir),
        cmocka_unit_test_setup_teardown(who_loads_a_model_is_told_of_each_failure, set_up, remove_dir),
        cmocka_unit_test_setup_teardown(statements_without_memory_are_errors, set_up, remove_dir),
        cmocka_unit_test_setup_teardown(the_old_signature_is_whole, set_up, remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
