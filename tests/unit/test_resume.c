/* test_resume.c - runs that were stopped, killed or found a full disk: they go on to the same bits, and what was altered or damaged
 * meanwhile is named. */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "base/mem.h"
#include "model/safetensors.h"
#include "train/checkpoint.h"
#include "tiny_run.h"

static void a_stopped_run_goes_on_to_the_same_weights(void **state)
{
    (void)state;
    static const char *const configs[] = { "moe16.yaml", "muon-half.yaml" };
    for (int c = 0; c < 2; c++) {
        char whole[32], stopped[32];
        snprintf(whole, sizeof whole, "whole-%d", c), snprintf(stopped, sizeof stopped, "stopped-%d", c);
        struct train_result r;
        OK(train(configs[c], whole, 2, NULL, &r));
        volatile sig_atomic_t stop = 1;                /* after every single step */
        int n = 0;
        while (train(configs[c], stopped, 1 + n % 2, &stop, &r) == ERR_STOPPED)
            assert_true(++n < 20);
        assert_int_equal(n, 11);
        assert_int_equal(r.steps, 12);
        assert_string_equal(digest(whole), digest(stopped));
    }
}

#define KILLS 20
static void a_run_killed_at_random_moments_goes_on_to_the_same_weights(void **state)
{
    (void)state;
    struct train_result r;
    write_config("long.yaml", MOE, ", precision: fp32, seed: 5, optimizer_state: bf16");
    const double begin = clock_wall();
    OK(train("long.yaml", "unkilled", 1, NULL, &r));
    const double whole = clock_wall() - begin;
    int n_killed = 0;
    for (int i = 0; i < 4 * KILLS && n_killed < KILLS; i++) {
        const pid_t child = fork();
        assert_true(child >= 0);
        if (!child)
            _exit(train("long.yaml", "killed", 1, NULL, &r) < 0);
        const double wait = whole * 0.9 * rng_uniform(77, (uint64_t)i);
        nanosleep(&(struct timespec){ (time_t)wait, (long)((wait - floor(wait)) * 1e9) }, NULL);
        kill(child, SIGKILL);
        int status;
        waitpid(child, &status, 0);
        if (WIFSIGNALED(status))
            n_killed++;
        else
            OK(file_remove_tree(in_dir("killed"), &err));     /* it was through already: from the start again */
    }
    assert_int_equal(n_killed, KILLS);
    OK(train("long.yaml", "killed", 2, NULL, &r));
    assert_string_equal(digest("unkilled"), digest("killed"));
}

static void other_settings_in_the_same_folder_are_refused(void **state)
{
    (void)state;
    struct train_result r;
    volatile sig_atomic_t stop = 1;
    assert_int_equal(train("dense.yaml", "mixed", 1, &stop, &r), ERR_STOPPED);
    write_config("other.yaml", DENSE, ", precision: fp32, seed: 9");
    assert_int_equal(train("other.yaml", "mixed", 1, NULL, &r), ERR_USAGE);
    assert_non_null(strstr(err.msg, "other settings"));
    assert_int_equal(train("moe.yaml", "mixed", 1, NULL, &r), ERR_USAGE);      /* not by the tensors that another model lacks */
    assert_non_null(strstr(err.msg, "other settings"));
}

/* With patience it says when the run ends, and which model is best. */
static void other_held_out_text_is_another_patient_run(void **state)
{
    (void)state;
    for (int patience = 0; patience < 2; patience++) {
        struct train_result r;
        volatile sig_atomic_t stop = 1;
        char text[900];
        snprintf(text, sizeof text, DENSE "data: {train: %s, valid: %s, tokenizer: bytes}\n" TRAIN ", precision: fp32, patience: %d}\n", in_dir("one.txt"), in_dir("held-out.txt"), 3 * patience);
        write_text("held-out.yaml", text);
        write_corpus("held-out.txt", 300, 3);
        assert_int_equal(train("held-out.yaml", patience ? "patient" : "impatient", 1, &stop, &r), ERR_STOPPED);
        write_corpus("held-out.txt", 300, 4);
        assert_int_equal(train("held-out.yaml", patience ? "patient" : "impatient", 1, NULL, &r), patience ? ERR_USAGE : 0);
        assert_true(!patience || strstr(err.msg, "other settings or other text"));
    }
}

/* ---- checkpoints ---- */

static void an_altered_checkpoint_is_refused_by_the_tensors_name(void **state)
{
    (void)state;
    struct train_result r;
    volatile sig_atomic_t stop = 1;
    static const char *const files[] = { "model.safetensors", "optimizer.safetensors" };
    for (int i = 0; i < 2; i++) {
        assert_int_equal(train("dense.yaml", "altered", 1, &stop, &r), ERR_STOPPED);
        char path[300];
        snprintf(path, sizeof path, "%s/checkpoints/step-%010d/%s", in_dir("altered"), 1, files[i]);
        FILE *f = fopen(path, "r+b");
        assert_non_null(f);
        fseek(f, -5, SEEK_END);
        const int c = fgetc(f);
        fseek(f, -5, SEEK_END);
        fputc(c ^ 1, f);
        fclose(f);
        assert_int_equal(train("dense.yaml", "altered", 1, NULL, &r), ERR_CORRUPT);
        assert_non_null(strstr(err.msg, "was altered"));
        assert_non_null(strstr(err.msg, "tensor '"));
        OK(file_remove_tree(in_dir("altered"), &err));
    }
    assert_int_equal(train("dense.yaml", "altered", 1, &stop, &r), ERR_STOPPED);
    char path[300];
    snprintf(path, sizeof path, "%s/checkpoints/step-%010d/model.safetensors", in_dir("altered"), 1);
    assert_int_equal(truncate(path, 5000), 0);
    assert_true(train("dense.yaml", "altered", 1, NULL, &r) < 0);
    assert_non_null(strstr(err.msg, "model.safetensors"));
}

/* The n-th file operation fails, for every n: before the steps and after them the run ends with an error and goes on when it is
 * started again; in between it goes on by itself. */
static void a_failing_disk_does_not_end_the_steps(void **state)
{
    (void)state;
    struct train_result r;
    volatile sig_atomic_t stop = 1;
    OK(train("dense.yaml", "reference", 1, NULL, &r));
    assert_int_equal(train("dense.yaml", "full", 1, &stop, &r), ERR_STOPPED);
    int n_failed = 0, n_survived = 0;
    for (int64_t n = 0;; n += 3) {
        file_fail_at(n, n % 2 ? EIO : ENOSPC);
        const int rc = train("dense.yaml", "full", 1, NULL, &r);
        const bool reached = file_fail_count() > n;
        file_fail_at(-1, 0);
        if (rc < 0) {
            n_failed++;
            assert_non_null(strstr(err.msg, n % 2 ? "Input/output error" : "No space left"));
            continue;
        }
        assert_string_equal(digest("reference"), digest("full"));
        n_survived += count_in("full", "checkpoint failed") + count_in("full", "metrics lost");
        if (!reached)
            break;
        OK(file_remove_tree(in_dir("full"), &err));
        assert_int_equal(train("dense.yaml", "full", 1, &stop, &r), ERR_STOPPED);
    }
    assert_true(n_failed > 10);
    assert_true(n_survived > 20);
}

/* A disk that is full for a while takes neither checkpoints nor metrics, and the run ends as if it had. */
static void a_disk_that_is_full_for_a_while_is_survived(void **state)
{
    (void)state;
    struct train_result r;
    write_config("often.yaml", DENSE, ", precision: fp32, save: wait");
    file_fail_at(1 << 30, ENOSPC);
    OK(train("often.yaml", "never-full", 1, NULL, &r));
    const int64_t n = file_fail_count();
    assert_int_equal(r.n_saved, 3);
    int survived = 0;
    for (int64_t at = n / 8; at < n; at += n / 24) {
        char out[32];
        snprintf(out, sizeof out, "full-%lld", (long long)at);
        file_fail_between(at, at + 6, ENOSPC);       /* a failing checkpoint ends at its first call, a line is one */
        const int rc = train("often.yaml", out, 1, NULL, &r);
        file_fail_at(-1, 0);
        if (rc < 0) {
            if (!strstr(err.msg, "No space left"))
                fail_msg("%lld: %s", (long long)at, err.msg);
            OK(train("often.yaml", out, 1, NULL, &r));
        } else if (r.n_saved < 3) {
            survived++;
            assert_true(count_in(out, "checkpoint failed") + count_in(out, "metrics lost") > 0);
        }
        assert_string_equal(digest("never-full"), digest(out));
    }
    assert_true(survived > 5);
}

/* ---- checkpoints in the background ---- */

struct watcher { char path[300]; bool went_on; };

static void *release_when_steps_went_on(void *ctx)
{
    struct watcher *w = ctx;
    for (int i = 0; i < 6000 && !w->went_on; i++) {
        struct buf b;
        buf_init(&b);
        if (!file_read(w->path, 1 << 20, &b, NULL))
            w->went_on = strstr(b.data, "\"step\":11,") != NULL;
        buf_release(&b);
        nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
    }
    file_hold(false);
    return NULL;
}

/* The disk takes nothing until the step before the last is done: the first checkpoint is due at step 4. */
static void steps_do_not_wait_for_the_disk(void **state)
{
    (void)state;
    struct train_result r;
    OK(train("moe.yaml", "not-held", 1, NULL, &r));
    pthread_t thread;
    struct watcher w = { .went_on = false };
    snprintf(w.path, sizeof w.path, "%s/metrics.jsonl", in_dir("held"));
    file_hold(true);
    assert_int_equal(pthread_create(&thread, NULL, release_when_steps_went_on, &w), 0);
    OK(train("moe.yaml", "held", 1, NULL, &r));
    pthread_join(thread, NULL);
    assert_true(w.went_on);
    assert_true(r.n_saved >= 2);
    assert_string_equal(digest("not-held"), digest("held"));
}

/* What the disk kept with a wrong bit is never named: the run tells, and goes on from the one before when it is asked to. */
static void a_checkpoint_that_reads_back_wrong_is_not_named(void **state)
{
    (void)state;
    struct train_result r;
    volatile sig_atomic_t stop = 1;
    OK(train("dense.yaml", "flip-reference", 1, NULL, &r));
    write_config("flip.yaml", DENSE, ", precision: fp32, save: wait");
    int found = 0;
    for (int n = 0; n < 40; n++) {
        OK(file_remove_tree(in_dir("flip"), &err));
        assert_int_equal(train("flip.yaml", "flip", 1, &stop, &r), ERR_STOPPED);
        struct decoder d;
        struct weights_list *l;
        struct pool *pool;
        struct config c;
        struct tok *tok;
        struct train_state s, again;
        struct buf passed;
        buf_init(&passed);
        char dir[300];
        snprintf(dir, sizeof dir, "%s/checkpoints", in_dir("flip"));
        OK(pool_new(&pool, 1, &err));
        OK(config_load(&c, path_in(dir, "step-0000000001"), NULL, &err));
        OK(tok_load(&tok, path_in(dir, "step-0000000001"), &err));
        OK(weights_list_new(&l, &c, &err));
        OK(decoder_record(&d, &c, &(struct decoder_opts){ .use = DECODER_TRAIN, .compute = DT_F32 }, &err));
        OK(decoder_plan(&d, 8, 8, 1, NULL, &err));
        OK(decoder_bind(&d, pool, NULL, &err));
        OK(checkpoint_load(dir, CHECKPOINT_LATEST, &d, l, &s, &passed, &err));
        s.step = 2;
        file_flip_at(n);
        const int rc = checkpoint_save(dir, &d, l, tok, &s, 2, 0, &err);
        file_flip_at(-1);
        if (rc) {
            found++;
            assert_int_equal(rc, ERR_CORRUPT);
            assert_non_null(strstr(err.msg, "read back"));
            assert_false(file_exists(path_in(dir, "step-0000000002")));
        }
        OK(checkpoint_load(dir, CHECKPOINT_LATEST, &d, l, &again, &passed, &err));
        assert_int_equal(again.step, rc ? 1 : 2);
        decoder_release(&d);
        weights_list_free(l);
        tok_free(tok);
        pool_free(pool);
        buf_release(&passed);
        if (!rc && !found)
            continue;
        if (!rc)
            break;
    }
    assert_true(found >= 5);                         /* model (header, tensors), config, tokenizer, optimizer, state */
}

/* The fifth byte from the end, or the first behind the text `behind`. */
static void flip_a_bit(const char *out, int step, const char *file, const char *behind)
{
    char path[300];
    struct buf b;
    buf_init(&b);
    snprintf(path, sizeof path, "%s/checkpoints/step-%010d/%s", in_dir(out), step, file);
    OK(file_read(path, 1 << 24, &b, &err));
    const char *at = behind ? strstr(b.data, behind) : b.data + b.len - 5;
    assert_non_null(at);
    b.data[at - b.data + (behind ? (long)strlen(behind) : 0)] ^= 1;
    OK(file_write_all(path, b.data, b.len, &err));
    buf_release(&b);
}

static void a_damaged_checkpoint_is_named_and_the_one_before_is_taken(void **state)
{
    (void)state;
    struct train_result r;
    volatile sig_atomic_t stop = 1;
    static const struct { const char *file, *behind; } cases[] = { { "model.safetensors", NULL }, { "optimizer.safetensors", NULL }, { "state.json", "\"step\": " },
                                                                   { "state.json", "\"settings\": \"" }, { "state.json", "\"sha256\": {\n  \"" } };
    OK(train("dense.yaml", "undamaged", 1, NULL, &r));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int n = 0; n < 2; n++)
            assert_int_equal(train("dense.yaml", "damaged", 1, &stop, &r), ERR_STOPPED);
        flip_a_bit("damaged", 2, cases[i].file, cases[i].behind);
        OK(train("dense.yaml", "damaged", 1, NULL, &r));
        assert_string_equal(digest("undamaged"), digest("damaged"));
        assert_int_equal(count_in("damaged", "an older checkpoint was taken"), 1);
        assert_int_equal(count_in("damaged", "was altered"), 1);
        assert_int_equal(count_in("damaged", cases[i].behind ? "state.json" : "tensor '"), 1);
        OK(file_remove_tree(in_dir("damaged"), &err));
    }
}

static void a_time_limit_saves_and_ends(void **state)
{
    (void)state;
    struct train_result r;
    write_config("limit.yaml", DENSE, ", precision: fp32, time_limit: 1e-6");
    OK(train("dense.yaml", "unlimited", 1, NULL, &r));
    int n = 0;
    while (train("limit.yaml", "limited", 1, NULL, &r) == ERR_STOPPED) {
        assert_non_null(strstr(err.msg, "time_limit of 1e-06 seconds after step"));
        assert_true(++n < 20);
    }
    assert_int_equal(n, 11);
    assert_string_equal(digest("unlimited"), digest("limited"));
}

/* A later checkpoint that a crash left unnamed must not push out the one just saved. */
static void a_checkpoint_left_unnamed_does_not_outlive_the_named_one(void **state)
{
    (void)state;
    struct train_result r;
    volatile sig_atomic_t stop = 1;
    char path[300];
    write_config("keep1.yaml", DENSE, ", precision: fp32, keep: 1");
    assert_int_equal(train("keep1.yaml", "unnamed", 1, &stop, &r), ERR_STOPPED);
    snprintf(path, sizeof path, "%s/checkpoints/step-%010d", in_dir("unnamed"), 9);
    OK(file_mkdirs(path, &err));
    for (int i = 2; i < 4; i++)
        assert_int_equal(train("keep1.yaml", "unnamed", 1, &stop, &r), ERR_STOPPED);
    assert_false(file_exists(path));
    OK(train("keep1.yaml", "unnamed", 1, NULL, &r));
}

static void a_folder_in_use_is_refused(void **state)
{
    (void)state;
    struct train_result r;
    int lock;
    OK(file_mkdirs(in_dir("busy"), &err));
    OK(file_lock(in_dir("busy"), &lock, &err));
    assert_int_equal(train("dense.yaml", "busy", 1, NULL, &r), ERR_BUSY);
    assert_non_null(strstr(err.msg, "in use by another run"));
    file_unlock(&lock);
    OK(train("dense.yaml", "busy", 1, NULL, &r));
}

/* Half-written files carry the number of the process that was killed. */
static void what_a_kill_left_half_written_is_removed(void **state)
{
    (void)state;
    struct train_result r;
    OK(file_mkdirs(in_dir("litter/data"), &err));
    write_text("litter/model.safetensors.tmp.4711", "x");
    write_text("litter/data/train.tok.tmp.12", "x");
    write_text("litter/notes.tmp.txt", "mine");
    OK(train("dense.yaml", "litter", 1, NULL, &r));
    assert_false(file_exists(in_dir("litter/model.safetensors.tmp.4711")));
    assert_false(file_exists(in_dir("litter/data/train.tok.tmp.12")));
    assert_true(file_exists(in_dir("litter/notes.tmp.txt")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stopped_run_goes_on_to_the_same_weights),
        cmocka_unit_test(a_run_killed_at_random_moments_goes_on_to_the_same_weights),
        cmocka_unit_test(other_settings_in_the_same_folder_are_refused),
        cmocka_unit_test(other_held_out_text_is_another_patient_run),
        cmocka_unit_test(an_altered_checkpoint_is_refused_by_the_tensors_name),
        cmocka_unit_test(a_failing_disk_does_not_end_the_steps),
        cmocka_unit_test(a_disk_that_is_full_for_a_while_is_survived),
        cmocka_unit_test(steps_do_not_wait_for_the_disk),
        cmocka_unit_test(a_checkpoint_that_reads_back_wrong_is_not_named),
        cmocka_unit_test(a_damaged_checkpoint_is_named_and_the_one_before_is_taken),
        cmocka_unit_test(a_time_limit_saves_and_ends),
        cmocka_unit_test(a_checkpoint_left_unnamed_does_not_outlive_the_named_one),
        cmocka_unit_test(a_folder_in_use_is_refused),
        cmocka_unit_test(what_a_kill_left_half_written_is_removed),
    };
    return cmocka_run_group_tests(tests, set_up, remove_dir);
}
