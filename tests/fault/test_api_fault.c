/* test_api_fault.c - the n-th allocation fails while a model is opened, and while an open one is used: an error with a sentence, no
 * crash, no leak, and afterwards the model answers as before. */
#include <lathe.h>
#include "each_allocation.h"
#include "model/tok.h"

static char dir[] = "/tmp/lathe-api-fault-XXXXXX";
static struct lathe_error e;
static const struct lathe_options options = { .n_thread = 1, .step_tokens = 16 };
static int32_t want[64];
static size_t n_want;

static void put(const char *name, const void *data, size_t n)
{
    char *path = file_join(dir, name);
    assert_int_equal(file_write_all(path, data, n, NULL), 0);
    mem_free(path);
}

/* tests/golden/llama with 62 letters and digits and a few marks as its tokens. */
static int make_model(void **state)
{
    (void)state;
    static const char all[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .,!?", chat[] = "{% for m in messages %}{{ m.role }} {{ m.content }}. {% endfor %}";
    const char *const copied[] = { "config.json", "model.safetensors" };
    struct tok *t;
    struct buf b;
    buf_init(&b);
    assert_non_null(mkdtemp(dir));
    for (int i = 0; i < 2; i++) {
        char *path = file_join("tests/golden/llama", copied[i]);
        buf_clear(&b);
        assert_int_equal(file_read(path, (size_t)1 << 24, &b, NULL), 0);
        put(copied[i], b.data, b.len);
        mem_free(path);
    }
    buf_clear(&b);
    assert_int_equal(tok_from_bytes(&t, &(struct tok_text){ all, sizeof all - 1 }, 1, NULL), 0);
    assert_int_equal(tok_write(t, &b, NULL), 0);
    put("tokenizer.json", b.data, b.len);
    put("chat_template.jinja", chat, sizeof chat - 1);
    tok_free(t);
    buf_release(&b);
    return 0;
}

static int remove_model(void **state)
{
    (void)state;
    return file_remove_tree(dir, NULL);
}

/* An error has a message. */
static int told(int rc)
{
    assert_true(rc >= 0 || (e.code == rc && e.message[0]));
    return rc;
}

static int open_and_free(void *unused)
{
    (void)unused;
    struct lathe_model *m;
    const int rc = told(lathe_model_open(&m, dir, &options, &e));
    assert_true((rc == 0) == (m != NULL));
    lathe_model_free(m);
    return rc;
}

static int hear(void *ctx, const char *text, size_t n) { return (void)ctx, (void)text, n > 1000; }

static int use(void *ctx)
{
    struct lathe_model *m = ctx;
    int32_t ids[64];
    char text[64];
    size_t n, n_text;
    struct lathe_score s;
    const struct lathe_message message = { "user", "Hello there" };
    const struct lathe_generation g = { .max_tokens = 6, .sampling = { .temperature = 1, .top_p = 0.9, .seed = 1 } };
    int rc = lathe_chat(m, &message, 1, NULL, ids, 64, &n, &e);
    if (!rc && n_want)
        assert_true(n == n_want && !memcmp(ids, want, n * sizeof *ids));      /* a failure that goes unnoticed changes nothing */
    if (!rc)
        memcpy(want, ids, (n_want = n) * sizeof *want);
    if (!rc)
        rc = lathe_generate(m, ids, n, &g, hear, NULL, NULL, &e);
    if (!rc)
        rc = lathe_tokenize(m, "Once upon a time", 16, LATHE_ADD, ids, 64, &n, &e);
    if (!rc)
        rc = lathe_detokenize(m, ids, n, 0, text, 64, &n_text, &e);
    if (!rc)
        assert_true(n_text == 16 && !memcmp(text, "Once upon a time", 16));
    return told(rc ? rc : lathe_score(m, "Once upon a time", 16, LATHE_SCORE_ROLLING, 8, &s, &e));
}

static void fail_each(int (*run)(void *m), struct lathe_model *m)
{
    assert_int_equal(run(m), 0);
    assert_true(each_allocation(run, m, true) > 5);
}

static void opening_without_memory_is_an_error_without_a_leak(void **state)
{
    (void)state;
    fail_each(open_and_free, NULL);
}

static void a_call_without_memory_leaves_the_model_as_usable_as_before(void **state)
{
    (void)state;
    struct lathe_model *m;
    assert_int_equal(lathe_model_open(&m, dir, &options, &e), 0);
    fail_each(use, m);
    lathe_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_without_memory_is_an_error_without_a_leak),
        cmocka_unit_test(a_call_without_memory_leaves_the_model_as_usable_as_before),
    };
    return cmocka_run_group_tests(tests, make_model, remove_model);
}
