/* test_spectral.c - the stage that ranks labelled texts by a model's vectors: which are embedded, and that what pulls a class comes first. */
#include <math.h>
#include "../test.h"
#include "audit/audit.h"
#include "base/hash.h"
#include "base/rng.h"

static struct err err;

/* A vector of noise by the text, and a push in one direction where it has a trigger. */
#define D 24
struct fake { int n; };
static int embed(void *ctx, const char *text, size_t n, float *out, struct err *e)
{
    struct fake *f = ctx;
    const uint64_t seed = hash64(text, n, 1);
    (void)e;
    f->n++;
    for (int k = 0; k < D; k++)
        out[k] = (float)rng_normal(seed, (uint64_t)k) + (memmem(text, n, "zq", 2) ? 2.0f : 0) + (memmem(text, n, "odd", 3) && k == 3 ? NAN : 0);
    return 0;
}

static int run(const char *sources, struct fake *f, json_t **report)
{
    struct sources s = { .n = 0 };
    struct pool *pool = NULL;
    const struct audit_embedder with = { "fake", D, embed, f };
    *f = (struct fake){ 0 };
    *report = NULL;
    int rc = file_remove_tree(in_dir("out"), &err);
    rc = rc ? rc : sources_add(&s, in_dir(sources), &err);
    rc = rc ? rc : pool_new(&pool, 1, &err);
    rc = rc ? rc : audit_run(&s, &(struct audit_opts){ .dir = in_dir("out"), .pool = pool, .embedder = &with, .keep_duplicates = true }, report, &err);
    pool_free(pool);
    sources_release(&s);
    return rc;
}

static int64_t number(const json_t *o, const char *key)
{
    assert_true(json_is_integer(json_object_get(o, key)));
    return json_integer_value(json_object_get(o, key));
}

static void what_pulls_a_class_comes_first(void **state)
{
    (void)state;
    struct fake f;
    json_t *report, *v;
    OK(run("data.yaml", &f, &report));
    const json_t *part = json_object_get(report, "spectral"), *classes = json_object_get(json_array_get(json_object_get(part, "sources"), 0), "classes");
    assert_string_equal(json_string_value(json_object_get(part, "model")), "fake");
    assert_int_equal(json_array_size(json_object_get(part, "sources")), 1);      /* the other has no labels */
    assert_int_equal(json_array_size(classes), 3);
    const json_t *a = json_array_get(classes, 0), *rare = json_array_get(classes, 2);
    assert_int_equal(number(a, "records"), 400);
    assert_int_equal(number(a, "embedded"), 400);
    assert_int_equal(number(rare, "records"), 5);
    assert_int_equal(number(rare, "embedded"), 0);
    assert_null(json_object_get(rare, "examples"));
    assert_int_equal(f.n, 800);
    size_t i;
    int n_trigger = 0;
    json_array_foreach(json_object_get(a, "highest"), i, v)
        n_trigger += json_integer_value(v) % 40 == 4;
    assert_int_equal(json_array_size(json_object_get(a, "highest")), 30);        /* 1.5 of the share that is looked for */
    assert_int_equal(n_trigger, 20);
    json_array_foreach(json_object_get(a, "examples"), i, v)
        assert_non_null(strstr(json_string_value(json_object_get(v, "excerpt")), "zq"));
    assert_true(json_real_value(json_object_get(a, "share")) > 0.1 && json_real_value(json_object_get(json_array_get(classes, 1), "share")) < 0.1);
    json_decref(report);
}

static void large_classes_are_sampled(void **state)
{
    (void)state;
    struct fake f;
    json_t *report;
    OK(run("many.yaml", &f, &report));
    const json_t *c = json_array_get(json_object_get(json_array_get(json_object_get(json_object_get(report, "spectral"), "sources"), 0), "classes"), 0);
    assert_int_equal(number(c, "records"), 9000);
    assert_int_equal(number(c, "embedded"), 3000);               /* every third, as 4096 are the most */
    assert_int_equal(f.n, 3000);
    json_decref(report);
}

static void vectors_that_are_not_finite_are_an_error(void **state)
{
    (void)state;
    struct fake f;
    json_t *report;
    assert_int_equal(run("odd.yaml", &f, &report), ERR_NUMERIC);
    assert_null(report);
}

static int write_lines(const char *name, int n, const char *(*line)(int i))
{
    struct buf b;
    char yaml[64];
    buf_init(&b);
    for (int i = 0; i < n; i++)
        OK(buf_add_str(&b, line(i), &err));
    snprintf(yaml, sizeof yaml, "%s.jsonl", name);
    OK(file_write_all(in_dir(yaml), b.data, b.len, &err));
    buf_clear(&b);
    OK(buf_printf(&b, &err, "sources:\n  - {name: a, path: %s.jsonl, label: kind}\n  - {name: b, path: t.txt}\n", name));
    snprintf(yaml, sizeof yaml, "%s.yaml", name);
    OK(file_write_all(in_dir(yaml), b.data, b.len, &err));
    buf_release(&b);
    return 0;
}

static const char *data_line(int i)
{
    static char line[100];
    snprintf(line, sizeof line, "{\"text\": \"text %d of some%s\", \"kind\": \"%s\"}\n", i, i % 40 == 4 ? " zq" : "", i >= 800 ? "rare" : i % 2 ? "b" : "a");
    return line;
}

static const char *many_line(int i)
{
    static char line[100];
    snprintf(line, sizeof line, "{\"text\": \"text %d of many\", \"kind\": 1}\n", i);
    return line;
}

static const char *odd_line(int i)
{
    static char line[100];
    snprintf(line, sizeof line, "{\"text\": \"text %d %s\", \"kind\": 1}\n", i, i == 7 ? "odd" : "even");
    return line;
}

static int make_files(void **state)
{
    if (make_dir(state))
        return -1;
    OK(file_write_all(in_dir("t.txt"), "no label here", 13, &err));
    return write_lines("data", 805, data_line) || write_lines("many", 9000, many_line) || write_lines("odd", 30, odd_line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_pulls_a_class_comes_first),
        cmocka_unit_test(large_classes_are_sampled),
        cmocka_unit_test(vectors_that_are_not_finite_are_an_error),
    };
    return cmocka_run_group_tests(tests, make_files, remove_dir);
}
