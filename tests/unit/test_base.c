/* test_base.c - the small things that everything stands on: known answers, edges, and what bad input leads to. */
#include <errno.h>
#include <malloc.h>
#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../test.h"
#include "base/arena.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/json_read.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/stat.h"
#include "base/tree.h"
#include "base/utf8.h"

static struct err err;

/* ---- err, buf, arena, mem ---- */

static int fails_with_context(void)
{
    ERR(&err, RANGE, "rank %d, expected 1 to %d", 9, 3);
    return err_context(&err, "tensor '%s'", "w");
}

static void errors_carry_a_code_and_a_sentence(void **state)
{
    (void)state;
    assert_int_equal(fails_with_context(), ERR_RANGE);
    assert_string_equal(err.msg, "tensor 'w': rank 9, expected 1 to 3");
    assert_string_equal(err_word(ERR_RANGE), "range");
    assert_string_equal(err_word(12345), "unknown");
    assert_int_equal(ERR(NULL, IO, "nobody listens"), ERR_IO);
    char longer[2000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    ERR(&err, FORMAT, "%s", longer);
    err_context(&err, "%s", longer);
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
}

static void a_buffer_grows_and_ends_with_nul(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    assert_string_equal(b.data, "");
    for (int i = 0; i < 1000; i++)
        OK(buf_printf(&b, &err, "%d,", i));
    assert_int_equal(b.len, 3890);
    assert_int_equal(b.data[b.len], 0);
    assert_int_equal(buf_reserve(&b, SIZE_MAX, &err), ERR_RANGE);
    buf_clear(&b);
    assert_string_equal(b.data, "");
    buf_release(&b);
}

static void an_arena_gives_aligned_pieces_until_it_is_full(void **state)
{
    (void)state;
    struct arena a;
    OK(arena_init(&a, 1000, &err));
    assert_int_equal((uintptr_t)arena_alloc(&a, 1) % ARENA_ALIGN, 0);
    const struct arena_mark m = arena_mark(&a);
    assert_non_null(arena_alloc(&a, 900));
    assert_null(arena_alloc(&a, 100));
    assert_null(arena_alloc(&a, SIZE_MAX));
    arena_rewind(&a, m);
    assert_non_null(arena_alloc(&a, 900));
    arena_release(&a);
}

static void allocation_refuses_overflow_and_fails_where_told(void **state)
{
    (void)state;
    assert_null(mem_alloc_array(SIZE_MAX / 2, 4));
    assert_null(mem_realloc_array(NULL, SIZE_MAX / 2, 4));
    assert_null(mem_map(SIZE_MAX - 10));
    mem_fail_at(1);
    void *a = mem_alloc(10), *b = mem_alloc(10), *c = mem_alloc(10);
    assert_true(a && !b && c);
    assert_int_equal(mem_fail_count(), 3);
    mem_fail_at(-1);
    mem_free(a);
    mem_free(c);
    struct mem_stats s0, s1;
    mem_stats_get(&s0);
    char *p = mem_map(5 << 20);
    assert_int_equal((uintptr_t)p % (2 << 20), 0);
    p[(5 << 20) - 1] = 1;
    mem_unmap(p, 5 << 20);
    mem_stats_get(&s1);
    assert_int_equal(s0.bytes_mapped, s1.bytes_mapped);
    assert_true(mem_private_peak() > 100000 && mem_available() > 1 << 20);
}

/* ---- hash, rng ---- */

static void sha256_of_the_standards_examples(void **state)
{
    (void)state;
    static const struct { const char *text, *hex; } cases[] = {
        { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        { "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
    };
    for (size_t i = 0; i < 3; i++) {
        char hex[SHA256_HEX];
        OK(sha256_of(cases[i].text, strlen(cases[i].text), hex, &err));
        assert_string_equal(hex, cases[i].hex);
    }
}

/* Random123's kat_vectors for philox4x32-10. */
static void philox_gives_the_published_numbers(void **state)
{
    (void)state;
    static const struct { uint64_t key, hi, lo; uint32_t want[4]; } cases[] = {
        { 0, 0, 0, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { UINT64_MAX, UINT64_MAX, UINT64_MAX, { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { 0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88, { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };
    for (size_t i = 0; i < 3; i++) {
        const struct rng_u32x4 r = rng_philox(cases[i].key, cases[i].hi, cases[i].lo);
        assert_memory_equal(r.v, cases[i].want, sizeof r.v);
        uint64_t filled[4];
        rng_fill(cases[i].key, cases[i].hi, cases[i].lo - 1, filled, 2);
        assert_true(filled[2] == ((uint64_t)r.v[1] << 32 | r.v[0]) && filled[3] == ((uint64_t)r.v[3] << 32 | r.v[2]));
    }
}

static void random_numbers_have_their_distributions(void **state)
{
    (void)state;
    double sum = 0, square = 0, uniform = 0;
    const int n = 100000;
    int below[7] = { 0 };
    for (int i = 0; i < n; i++) {
        const double x = rng_normal(3, (uint64_t)i), u = rng_uniform(4, (uint64_t)i);
        sum += x, square += x * x, uniform += u;
        assert_true(u >= 0 && u < 1);
        below[rng_below(5, (uint64_t)i, 7)]++;
    }
    assert_true(sum / n > -0.01 && sum / n < 0.01 && square / n > 0.98 && square / n < 1.02 && uniform / n > 0.495 && uniform / n < 0.505);
    for (int i = 0; i < 7; i++)
        assert_true(below[i] > n / 7 * 0.96 && below[i] < n / 7 * 1.04);
}

static void a_permutation_takes_every_value_once(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 300; n += 7) {
        bool seen[300] = { false };
        for (uint64_t i = 0; i < n; i++) {
            const uint64_t j = rng_permute(9, i, n);
            assert_true(j < n && !seen[j]);
            seen[j] = true;
        }
    }
}

/* ---- pool ---- */

static _Atomic int hits[5000];
static void hit(void *ctx, int i, int i_thread)
{
    (void)i_thread;
    atomic_fetch_add(&hits[i], *(int *)ctx);
}

static void every_item_runs_once_on_any_number_of_threads(void **state)
{
    (void)state;
    for (int n_thread = 1; n_thread <= 5; n_thread++) {
        struct pool *p;
        OK(pool_new(&p, n_thread, &err));
        for (int n = 0; n <= 5000; n = n ? n * 3 : 1) {
            int one = 1;
            for (int i = 0; i < 5000; i++)
                atomic_store(&hits[i], 0);
            for (int again = 0; again < 20; again++)
                pool_for(p, n, hit, &one);
            for (int i = 0; i < 5000; i++)
                assert_int_equal(atomic_load(&hits[i]), i < n ? 20 : 0);
        }
        pool_free(p);
    }
    struct pool *p;
    assert_int_equal(pool_new(&p, 0, &err), ERR_RANGE);
    pool_free(NULL);
    assert_true(pool_cpu_count() >= 1);
}

static void count_only(void *ctx, int i, int i_thread)
{
    (void)i, (void)i_thread;
    atomic_fetch_add_explicit((_Atomic int64_t *)ctx, 1, memory_order_relaxed);
}

static void more_items_than_a_range_holds(void **state)
{
    (void)state;
    struct pool *p;
    OK(pool_new(&p, 2, &err));
    _Atomic int64_t n = 0;
    pool_for(p, 3000001, count_only, &n);
    assert_int_equal(atomic_load(&n), 3000001);
    pool_free(p);
}

/* ---- files ---- */

static void a_written_file_is_whole_or_the_old_one(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    OK(file_write_all(in_dir("f"), "old", 3, &err));
    for (int64_t n = 0;; n++) {
        file_fail_at(n, ENOSPC);
        const int rc = file_write_all(in_dir("f"), "new!", 4, &err);
        const bool reached = file_fail_count() > n;
        file_fail_at(-1, 0);
        buf_clear(&b);
        OK(file_read(in_dir("f"), 100, &b, &err));
        assert_true(!strcmp(b.data, "old") || !strcmp(b.data, "new!"));
        char **names;
        int n_name;
        OK(file_list(test_dir, &names, &n_name, &err));
        assert_int_equal(n_name, 1);
        file_list_free(names, n_name);
        if (!reached) {
            assert_int_equal(rc, 0);
            break;
        }
        OK(file_write_all(in_dir("f"), "old", 3, &err));
    }
    buf_release(&b);
}

static void files_that_cannot_be_read_say_why(void **state)
{
    (void)state;
    struct file_map m;
    struct buf b;
    buf_init(&b);
    assert_int_equal(file_map_open(&m, in_dir("nowhere"), &err), ERR_NOTFOUND);
    assert_non_null(strstr(err.msg, "nowhere: No such file"));
    assert_int_equal(file_map_open(&m, test_dir, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "is a folder, expected"));
    OK(file_write_all(in_dir("big"), "0123456789", 10, &err));
    assert_int_equal(file_read(in_dir("big"), 5, &b, &err), ERR_RANGE);
    OK(file_write_all(in_dir("empty"), "", 0, &err));
    OK(file_map_open(&m, in_dir("empty"), &err));
    assert_true(m.size == 0 && m.data);
    file_map_close(&m);
    assert_int_equal(mkfifo(in_dir("pipe"), 0600), 0);        /* nobody writes to it: must not wait */
    assert_int_equal(file_map_open(&m, in_dir("pipe"), &err), ERR_FORMAT);
    buf_release(&b);
}

/* Of files on a disk, and of those on a tmpfs. */
static long file_kb_in_memory(void)
{
    struct buf b;
    buf_init(&b);
    OK(file_read("/proc/self/status", 1 << 20, &b, &err));
    const char *disk = strstr(b.data, "RssFile:"), *memory = strstr(b.data, "RssShmem:");
    const long kb = (disk ? strtol(disk + 8, NULL, 10) : 0) + (memory ? strtol(memory + 9, NULL, 10) : 0);
    buf_release(&b);
    return kb;
}

static void a_map_at_rest_takes_no_memory_and_reads_on(void **state)
{
    enum { N = 16 << 20 };
    struct file_map m;
    unsigned sum = 0, again = 0;
    char *text = mem_alloc(N);
    (void)state;
    for (int i = 0; i < N; i++)
        text[i] = (char)(i * 7);
    OK(file_write_all(in_dir("mapped"), text, N, &err));
    mem_free(text);
    OK(file_map_open(&m, in_dir("mapped"), &err));
    for (int i = 0; i < N; i++)
        sum += (unsigned char)m.data[i];
    const long read = file_kb_in_memory();
    file_map_rest(&m);
    assert_true(file_kb_in_memory() < read - N / 1024 * 3 / 4);
    for (int i = 0; i < N; i++)
        again += (unsigned char)m.data[i];
    assert_int_equal(sum, again);
    file_map_close(&m);
    file_map_rest(&m);                       /* of nothing */
}

static void processes_that_append_to_one_log_lose_no_line(void **state)
{
    enum { PROCESSES = 3, LINES = 2000, LENGTH = 129 };
    (void)state;
    struct file_log l;
    struct buf b;
    pid_t child[PROCESSES];
    char line[LENGTH];
    const char *path = in_dir("shared-log");
    memset(line, 'x', sizeof line);
    for (int k = 0; k < PROCESSES; k++)
        if (!(child[k] = fork())) {
            int rc = 0;
            for (int i = 0; i < LINES && !rc; i++) {
                rc = file_log_open(&l, path, &err);
                rc = rc ? rc : file_log_line(&l, line, sizeof line, &err);
                file_log_close(&l);
            }
            _exit(rc != 0);
        }
    for (int k = 0; k < PROCESSES; k++) {
        int status = 1;
        assert_true(child[k] > 0 && waitpid(child[k], &status, 0) == child[k] && !status);
    }
    buf_init(&b);
    OK(file_read(path, 1 << 20, &b, &err));
    assert_int_equal(b.len, PROCESSES * LINES * (LENGTH + 1));
    buf_release(&b);
}

static void a_log_loses_only_a_torn_last_line(void **state)
{
    (void)state;
    struct file_log l;
    struct buf b;
    buf_init(&b);
    OK(file_write_all(in_dir("log"), "one\ntwo\nthr", 11, &err));
    OK(file_log_open(&l, in_dir("log"), &err));
    OK(file_log_line(&l, "four", 4, &err));
    file_log_close(&l);
    OK(file_read(in_dir("log"), 100, &b, &err));
    assert_string_equal(b.data, "one\ntwo\nfour\n");
    buf_release(&b);
}

/* A line of which the disk took a part is cut off at once: the next one stands by itself. */
static void a_line_that_does_not_fit_leaves_nothing_behind(void **state)
{
    (void)state;
    struct file_log l;
    struct buf b;
    buf_init(&b);
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 9;
    signal(SIGXFSZ, SIG_IGN);
    OK(file_log_open(&l, in_dir("log"), &err));
    OK(file_log_line(&l, "one", 3, &err));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(file_log_line(&l, "too long", 8, &err), ERR_IO);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    OK(file_log_line(&l, "two", 3, &err));
    file_log_close(&l);
    OK(file_read(in_dir("log"), 100, &b, &err));
    assert_string_equal(b.data, "one\ntwo\n");
    buf_release(&b);
}

static void folders_are_made_listed_and_removed(void **state)
{
    (void)state;
    OK(file_mkdirs(in_dir("a/b/c"), &err));
    OK(file_mkdirs(in_dir("a/b/c"), &err));
    OK(file_write_all(in_dir("a/b/z"), "", 0, &err));
    OK(file_write_all(in_dir("a/b/B"), "", 0, &err));
    char **names;
    int n;
    OK(file_list(in_dir("a/b"), &names, &n, &err));
    assert_int_equal(n, 3);
    assert_string_equal(names[0], "B");
    assert_string_equal(names[2], "z");
    file_list_free(names, n);
    OK(file_remove_tree(in_dir("a"), &err));
    assert_false(file_exists(in_dir("a")));
    OK(file_remove_tree(in_dir("a"), &err));
    OK(file_write_all(in_dir("file"), "", 0, &err));
    assert_true(file_mkdirs(in_dir("file/x"), &err) < 0);
}

/* ---- options ---- */

static bool flag;
static int64_t number;
static double real_number;
static const char *word, *choice;
static struct opt_list list;
static const struct opt opts[] = {
    { OPT_FLAG, "flag", &flag, NULL, "", 0, 0 },
    { OPT_INT, "number", &number, "<int>", "", 1, 10 },
    { OPT_FLOAT, "real", &real_number, "<float>", "", 0, 0 },
    { OPT_STR, "w", &word, "<text>", "", 0, 0 },
    { OPT_CHOICE, "choice", &choice, "red|green", "", 0, 0 },
    { OPT_LIST, "item", &list, "<text>", "", 0, 0 },
    { OPT_END, NULL, NULL, NULL, NULL, 0, 0 },
};

static int parse(const char *line, const char **args)
{
    static char text[200];
    static char *argv[20];
    int argc = 1;
    snprintf(text, sizeof text, "%s", line);
    flag = false, number = 0, real_number = 0, word = choice = NULL, list.n = 0;
    for (char *p = strtok(text, " "); p; p = strtok(NULL, " "))
        argv[argc++] = p;
    return opt_parse(opts, argc, argv, args, 2, &err);
}

static void options_are_read_in_all_their_forms(void **state)
{
    (void)state;
    const char *args[2];
    assert_int_equal(parse("a --flag --number 3 --real=-1e3 -w x --choice green b", args), 2);
    assert_true(flag && number == 3 && real_number == -1000);
    assert_string_equal(word, "x");
    assert_string_equal(choice, "green");
    assert_string_equal(args[1], "b");
    assert_true(parse("--number 010", args) == 0 && number == 10);          /* zeros in front change nothing */
    assert_true(parse("--number 08", args) == 0 && number == 8);
    assert_true(parse("--number 0x0a", args) == 0 && number == 10);
    assert_int_equal(parse("--flag --no-flag -- --number", args), 1);
    assert_false(flag);
    assert_string_equal(args[0], "--number");
    assert_int_equal(parse("--item a x --item=b", args), 1);
    assert_int_equal(list.n, 2);
    assert_string_equal(list.item[1], "b");
}

static void what_is_given_is_known_though_it_is_the_default(void **state)
{
    (void)state;
    static char *argv[] = { (char *)"x", (char *)"--no-flag", (char *)"--number=5", (char *)"a", NULL };
    const char *args[2];
    bool given[16] = { false };
    flag = false, number = 5;
    assert_int_equal(opt_parse_given(opts, 4, argv, args, 2, given, &err), 1);
    for (int i = 0; opts[i].type != OPT_END; i++)
        assert_int_equal(given[i], !strcmp(opts[i].name, "flag") || !strcmp(opts[i].name, "number"));
}

static void wrong_options_say_what_was_expected(void **state)
{
    (void)state;
    static const struct { const char *line, *says; } cases[] = {
        { "--nubmer 3", "did you mean --number?" }, { "--number 11", "found 11, expected 1 to 10" }, { "--number x", "expected a whole number" },
        { "--number", "--number needs a value" }, { "--choice blue", "expected one of red|green" }, { "--real nan", "expected a number" },
        { "a b c", "unexpected argument 'c'" }, { "--w x", "unknown option" }, { "--flag=maybe", "expected true or false" }, { "--xyzzy", "unknown option --xyzzy" },
    };
    const char *args[2];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(parse(cases[i].line, args), ERR_USAGE);
        if (!strstr(err.msg, cases[i].says))
            fail_msg("'%s' gave '%s'", cases[i].line, err.msg);
    }
}

static void lists_have_a_limit_and_come_from_trees_too(void **state)
{
    (void)state;
    const struct { const char *text; int n; const char *says; } cases[] = { { "{\"item\": [\"a\", \"b\"]}", 2, NULL }, { "{\"item\": \"a\"}", 1, NULL }, { "{\"item\": [\"a\", 3]}", 0, "entry 2" }, { "{\"item\": 3}", 0, "list of strings" } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *o;
        list.n = 0;
        OK(tree_parse_json(&o, cases[i].text, strlen(cases[i].text), "t.json", &err));
        if (cases[i].says) {
            assert_int_equal(tree_read(o, opts, "t.json", &err), ERR_USAGE);
            assert_non_null(strstr(err.msg, cases[i].says));
        } else {
            OK(tree_read(o, opts, "t.json", &err));
            assert_int_equal(list.n, cases[i].n);
        }
        json_decref(o);
    }
    for (list.n = 0; list.n < OPT_LIST_MAX;)
        OK(opt_set(opt_find(opts, "item"), "--item", "x", &err));
    assert_int_equal(opt_set(opt_find(opts, "item"), "--item", "x", &err), ERR_USAGE);
}

/* ---- JSON and YAML ---- */

static json_t *yaml(const char *text)
{
    json_t *o = NULL;
    return tree_parse_yaml(&o, text, strlen(text), "t.yaml", &err) < 0 ? NULL : o;
}

static void yaml_scalars_have_the_core_schemas_types(void **state)
{
    (void)state;
    json_t *o = yaml("i: 12\nh: 0x1f\nn: -3\nf: 1e-3\ng: .5\nt: true\nz: null\ne:\ns: 1.2.3\nq: '12'\nd: 2024-01-02\nl: [1, a, {b: c}]\n");
    assert_non_null(o);
    assert_int_equal(json_integer_value(json_object_get(o, "i")), 12);
    assert_int_equal(json_integer_value(json_object_get(o, "h")), 31);
    assert_int_equal(json_integer_value(json_object_get(o, "n")), -3);
    assert_true(json_real_value(json_object_get(o, "f")) == 1e-3 && json_real_value(json_object_get(o, "g")) == 0.5);
    assert_true(json_is_true(json_object_get(o, "t")) && json_is_null(json_object_get(o, "z")) && json_is_null(json_object_get(o, "e")));
    assert_true(json_is_string(json_object_get(o, "s")) && json_is_string(json_object_get(o, "q")) && json_is_string(json_object_get(o, "d")));
    assert_int_equal(json_array_size(json_object_get(o, "l")), 3);
    json_decref(o);
}

static void bad_yaml_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct { const char *text, *says; } cases[] = {
        { "a: 1\na: 2\n", "t.yaml:2: key 'a' is given twice" }, { "a: &x 1\n", "anchors" }, { "a: *x\n", "aliases" }, { "a: !!python/object 1\n", "tags" },
        { "a: [1\n", "t.yaml:" }, { "a: 1\n---\nb: 2\n", "one document" }, { "? [a]\n: b\n", "a key must be" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_null(yaml(cases[i].text));
        if (!strstr(err.msg, cases[i].says))
            fail_msg("'%s' gave '%s'", cases[i].text, err.msg);
    }
    char deep[300];
    memset(deep, '[', 150);
    deep[150] = 0;
    assert_null(yaml(deep));
    assert_non_null(strstr(err.msg, "nested more than 100"));
}

/* Hugging Face's and everybody's parser test: y_ must be read, n_ refused, i_ either; nothing may crash. */
static void the_json_test_suite(void **state)
{
    (void)state;
    const char *path = shared("json-test-suite");
    char **names;
    int n, n_run = 0;
    OK(file_list(path, &names, &n, &err));
    for (int i = 0; i < n; i++) {
        if (!strstr(names[i], ".json"))
            continue;
        char *file = file_join(path, names[i]);
        json_t *o = NULL;
        const int rc = tree_load(&o, file, 1 << 20, &err);
        json_decref(o);
        /* valid, but refused here with a reason: a key given twice, a key with NUL */
        const bool stricter = strstr(names[i], "duplicated_key") || strstr(names[i], "null_in_key");
        if ((names[i][0] == 'y' && rc < 0 && !stricter) || (names[i][0] == 'n' && rc >= 0))
            fail_msg("%s: %s", names[i], rc < 0 ? err.msg : "was accepted");
        n_run++;
        mem_free(file);
    }
    assert_true(n_run > 300);
    file_list_free(names, n);
}

/* And what the reader does not take jansson reads or refuses. */
static void right_json_gives_the_tree_that_jansson_gives(void **state)
{
    (void)state;
    static const struct { const char *text; bool taken; } cases[] = {
        { "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a text of more than eight bytes, \\\"quoted\\\"\\n\"}],\"temperature\":0.7}", true },
        { " [1, -0, 0, 12345678901234567, -1.5e3, 1E+2, 0.1, true, false, null] \r\n\t", true }, { "\"\"", true }, { "{}", true }, { "[[],{\"\":[]}]", true },
        { "\"\\u00e9\\ud83d\\ude00\\u0000\\/\\b\\f\\r\\t\\\\\"", true }, { "\"caf\303\251 \360\237\231\202 and more\"", true }, { "[1e-400, 1e308]", true },
        { "9223372036854775807", false }, { "9223372036854775808", false }, { "1e999", false }, { "{\"a\\n\":1}", false }, { "{\"a\":1,\"a\":2}", false },
        { "[1,]", false }, { "{\"a\":1,}", false }, { "[01]", false }, { "[1.]", false }, { "[.5]", false }, { "[-]", false }, { "[1e]", false }, { "[1 2]", false }, { "truer", false }, { "tru", false }, { "", false },
        { "\"\\ud800\"", false }, { "\"\\udc00\"", false }, { "\"\\ud800\\u0041\"", false }, { "\"\\x\"", false }, { "\"\\u12g4\"", false }, { "\"\001\"", false }, { "\"eight by\001\"", false },
        { "\"\300\200\"", false }, { "\"\355\240\200\"", false }, { "\"\377\"", false }, { "\"abc", false }, { "\"abc\\", false }, { "{\"a\" 1}", false }, { "{1:2}", false }, { "[1]]", false }, { "'a'", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const size_t n = strlen(cases[i].text);
        int lacks;
        json_t *fast = json_read(cases[i].text, n, 100, &lacks), *slow = json_loadb(cases[i].text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        if (!fast != !cases[i].taken || lacks || (fast && !json_equal(fast, slow)))
            fail_msg("%s: %s", cases[i].text, fast ? "taken" : "not taken");
        json_decref(fast);
        json_decref(slow);
    }
}

/* ---- numbers for people ---- */

/* By what the C library says that it gave; sanitizers' says nothing. */
static void what_json_will_take_is_known_before_it_is_read(void **state)
{
    (void)state;
    static const char *const units[] = { "[],", "{},", "1,", "1.5,", "\"\",", "[1],", "{\"a\":1},", "\"a text of thirty letters, quote\\\"\",", "[[{\"k\":[\"v\"]}]],", "[1,2,3,4,5,6,7,8,9]," };
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        struct buf text;
        json_t *tree;
        buf_init(&text);
        OK(buf_add_char(&text, '[', &err));
        for (int k = 0; k < 20000; k++)
            OK(buf_add_str(&text, units[i], &err));
        OK(buf_add_str(&text, "0]", &err));
        const struct mallinfo2 before = mallinfo2();
        OK(tree_parse_json(&tree, text.data, text.len, "text", &err));
        const struct mallinfo2 after = mallinfo2();
        const size_t takes = after.uordblks + after.hblkhd - before.uordblks - before.hblkhd, told = tree_json_bytes(text.data, text.len);
        if (takes && (told < takes || told > 3 * takes))
            fail_msg("%s takes %zu bytes, %zu were told", units[i], takes, told);
        json_decref(tree);
        buf_release(&text);
    }
    char deep[60000];
    memset(deep, '[', sizeof deep);
    assert_true(tree_json_bytes(deep, sizeof deep) < 20000);
    assert_true(tree_json_bytes("\"[[[{{{,,,:::", 13) < 300 && tree_json_bytes("", 0) < 100);
}

static void sizes_and_times_are_written_for_people(void **state)
{
    (void)state;
    char s[32];
    assert_string_equal(fmt_bytes(s, 0), "0 B");
    assert_string_equal(fmt_bytes(s, 1536), "1.54 kB");
    assert_string_equal(fmt_bytes(s, 99.96e6), "100 MB");
    assert_string_equal(fmt_count(s, 124439808), "124 M");
    assert_string_equal(fmt_seconds(s, 3.14), "3.1 s");
    assert_string_equal(fmt_seconds(s, 125), "2 min 05 s");
    assert_string_equal(fmt_seconds(s, 7260), "2 h 01 min");
    assert_string_equal(fmt_seconds(s, 3.6e9 - 60), "999999 h 59 min");
    assert_string_equal(fmt_seconds(s, 3.6e17), "1e+14 h");
    assert_string_equal(fmt_seconds(s, INFINITY), "inf h");
}

/* RFC 4648, section 10. */
static void base64_has_the_standards_forms(void **state)
{
    (void)state;
    static const char *const forms[][2] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" } };
    struct buf b;
    buf_init(&b);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        buf_clear(&b);
        OK(base64_write(&b, forms[i][0], strlen(forms[i][0]), &err));
        assert_string_equal(b.data, forms[i][1]);
        buf_clear(&b);
        OK(base64_read(&b, forms[i][1], strcspn(forms[i][1], "="), &err));      /* padding may be missing */
        OK(base64_read(&b, forms[i][1], strlen(forms[i][1]), &err));
        const size_t n = strlen(forms[i][0]);
        assert_true(b.len == 2 * n && !memcmp(b.data, forms[i][0], n) && !memcmp(b.data + n, forms[i][0], n));
    }
    unsigned char all[256];
    for (int i = 0; i < 256; i++)
        all[i] = (unsigned char)(255 - i);
    buf_clear(&b);
    OK(base64_write(&b, all, sizeof all, &err));
    struct buf back;
    buf_init(&back);
    OK(base64_read(&back, b.data, b.len, &err));
    assert_true(back.len == sizeof all && !memcmp(back.data, all, sizeof all));
    static const char *const bad[] = { "Zg==x", "Z g", "Zm9_", "\x80", "Zh==", "Zm9=", "Zm9vZ" };
    for (int i = 0; i < (int)(sizeof bad / sizeof *bad); i++)
        assert_int_equal(base64_read(&back, bad[i], strlen(bad[i]), &err), ERR_FORMAT);
    buf_release(&b);
    buf_release(&back);
}

static void quantiles_interpolate(void **state)
{
    (void)state;
    double v[] = { 4, 1, 3, 2 };
    assert_true(stat_median(v, 4) == 2.5 && stat_quantile(v, 4, 0) == 1 && stat_quantile(v, 4, 1) == 4);
    assert_true(stat_mean(v, 4) == 2.5 && stat_stddev(v, 4) > 1.2909 && stat_stddev(v, 4) < 1.2910 && stat_stddev(v, 1) == 0);
}

static void a_beginning_is_cut_between_characters(void **state)
{
    (void)state;
    static const char text[] = "a\xc3\xa9\xf0\x9f\x99\x82z";      /* of 1, 2, 4 and 1 bytes */
    static const size_t from[] = { 0, 1, 1, 3, 3, 3, 3, 7, 8, 8 };
    for (size_t most = 0; most < sizeof from / sizeof *from; most++)
        assert_int_equal(utf8_begin(text, sizeof text - 1, most), from[most]);
    assert_int_equal(utf8_begin(text, 0, 5), 0);
    assert_int_equal(utf8_begin("\xa9\xa9\xa9", 3, 2), 0);
}

static void a_name_is_cut_between_characters_and_plain(void **state)
{
    (void)state;
    char out[6];
    utf8_fit(out, sizeof out, "", 0);
    assert_string_equal(out, "");
    utf8_fit(out, 1, "abc", 3);
    assert_string_equal(out, "");
    utf8_fit(out, sizeof out, "abcd\xc3\xa9", 6);        /* of 2 bytes, and 1 is left */
    assert_string_equal(out, "abcd");
    utf8_fit(out, sizeof out, "abc\xc3\xa9", 5);
    assert_string_equal(out, "abc\xc3\xa9");
    utf8_fit(out, sizeof out, "\xff\x1b\n\xc3", 4);
    assert_string_equal(out, "????");
}

static void bytes_that_are_no_utf8_are_replaced_one_by_one(void **state)
{
    (void)state;
    static const struct { const char *from; size_t n; const char *to; size_t n_to; } cases[] = {
        { "", 0, "", 0 }, { "a\xc3\xa9", 3, "a\xc3\xa9", 3 }, { "\xff", 1, "\xef\xbf\xbd", 3 }, { "a\xc3", 2, "a\xef\xbf\xbd", 4 }, { "\xc3(\xf0\x9f\x99", 5, "\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", 13 },
        { "a\0b", 3, "a\0b", 3 }, { "\xed\xa0\x80z", 4, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz", 10 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b;
        buf_init(&b);
        OK(utf8_add(&b, cases[i].from, cases[i].n, &err));
        assert_int_equal(b.len, cases[i].n_to);
        assert_memory_equal(b.data, cases[i].to, b.len);
        json_t *o = tree_text(cases[i].from, cases[i].n);
        assert_int_equal(json_string_length(o), b.len);
        char *text = tree_dumps(o, JSON_ENCODE_ANY);
        assert_non_null(text);
        mem_free(text), json_decref(o);
        buf_release(&b);
    }
}

static void a_number_that_json_has_not_is_null(void **state)
{
    (void)state;
    const double none[] = { (double)NAN, (double)INFINITY, -(double)INFINITY };
    for (int i = 0; i < 3; i++)
        assert_true(json_is_null(tree_number(none[i])));
    json_t *x = tree_number(-1.5);
    assert_true(json_real_value(x) == -1.5);
    json_decref(x);
}

static void the_last_name_of_a_path_is_found_with_and_without_a_slash_behind_it(void **state)
{
    (void)state;
    static const char *const cases[][2] = { { "", "" }, { "/", "" }, { "///", "" }, { "a", "a" }, { "a/", "a" }, { "/a//", "a" }, { "a/b", "b" }, { "a/b.gguf///", "b.gguf" }, { "a/..", ".." } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t n;
        const char *name = file_last_name(cases[i][0], &n);
        assert_int_equal(n, strlen(cases[i][1]));
        assert_memory_equal(name, cases[i][1], n);
    }
}

static void a_path_has_a_last_part_and_a_folder(void **state)
{
    (void)state;
    static const char *const cases[][3] = { { "a", "a", "." }, { "a/b", "b", "a" }, { "/a", "a", "/" }, { "a/b/", "", "a/b" }, { "", "", "." }, { "../x/y.z", "y.z", "../x" } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *parent = file_parent(cases[i][0]);
        assert_string_equal(file_last_part(cases[i][0]), cases[i][1]);
        assert_string_equal(parent, cases[i][2]);
        mem_free(parent);
    }
}

static void plain_text_has_no_control_characters(void **state)
{
    (void)state;
    assert_true(utf8_is_plain("", 0) && utf8_is_plain("a \xc3\xa9~", 5));
    assert_false(utf8_is_plain("a\n", 2) || utf8_is_plain("\x7f", 1) || utf8_is_plain("\x1f", 1) || utf8_is_plain("a\xc3", 2) || utf8_is_plain("a\0b", 3));
}

static void a_temporary_folder_is_a_new_one_for_its_owner_alone(void **state)
{
    (void)state;
    char *a, *b;
    struct stat st;
    setenv("TMPDIR", test_dir, 1);
    OK(file_temporary_dir(&a, "x", &err));
    OK(file_temporary_dir(&b, "x", &err));
    assert_string_not_equal(a, b);
    assert_true(!strncmp(a, in_dir("x-"), strlen(in_dir("x-"))) && !stat(a, &st) && S_ISDIR(st.st_mode) && (st.st_mode & 0777) == 0700);
    mem_free(a), mem_free(b);
    file_fail_at(0, ENOSPC);
    assert_int_equal(file_temporary_dir(&a, "x", &err), ERR_IO);
    file_fail_at(-1, 0);
    assert_null(a);
    setenv("TMPDIR", in_dir("nowhere"), 1);
    assert_int_equal(file_temporary_dir(&a, "x", &err), ERR_NOTFOUND);
    assert_null(a);
    setenv("TMPDIR", ".", 1);
    OK(file_temporary_dir(&a, "lathe-test", &err));
    assert_true(!strncmp(a, "/tmp/lathe-test-", 16));
    OK(file_remove_tree(a, &err));
    mem_free(a);
    unsetenv("TMPDIR");
}

static void waits_end_so_many_seconds_from_now(void **state)
{
    (void)state;
    static const double s[] = { 0, 0.25, 1.75, 86400.5 };
    for (size_t i = 0; i < sizeof s / sizeof *s; i++) {
        const double before = clock_wall();
        const struct timespec t = clock_in(s[i]);
        const double after = clock_wall(), at = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
        assert_true(t.tv_nsec >= 0 && t.tv_nsec < 1000000000 && at >= before + s[i] - 1e-6 && at <= after + s[i] + 1e-6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_that_json_has_not_is_null),
        cmocka_unit_test(the_last_name_of_a_path_is_found_with_and_without_a_slash_behind_it),
        cmocka_unit_test(a_path_has_a_last_part_and_a_folder),
        cmocka_unit_test_setup_teardown(a_temporary_folder_is_a_new_one_for_its_owner_alone, make_dir, remove_dir),
        cmocka_unit_test(waits_end_so_many_seconds_from_now),
        cmocka_unit_test(plain_text_has_no_control_characters),
        cmocka_unit_test_setup_teardown(processes_that_append_to_one_log_lose_no_line, make_dir, remove_dir),
        cmocka_unit_test(a_name_is_cut_between_characters_and_plain),
        cmocka_unit_test(bytes_that_are_no_utf8_are_replaced_one_by_one),
        cmocka_unit_test(errors_carry_a_code_and_a_sentence),
        cmocka_unit_test(a_buffer_grows_and_ends_with_nul),
        cmocka_unit_test(an_arena_gives_aligned_pieces_until_it_is_full),
        cmocka_unit_test(allocation_refuses_overflow_and_fails_where_told),
        cmocka_unit_test(sha256_of_the_standards_examples),
        cmocka_unit_test(philox_gives_the_published_numbers),
        cmocka_unit_test(random_numbers_have_their_distributions),
        cmocka_unit_test(a_permutation_takes_every_value_once),
        cmocka_unit_test(every_item_runs_once_on_any_number_of_threads),
        cmocka_unit_test(more_items_than_a_range_holds),
        cmocka_unit_test_setup_teardown(a_written_file_is_whole_or_the_old_one, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_map_at_rest_takes_no_memory_and_reads_on, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(files_that_cannot_be_read_say_why, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_log_loses_only_a_torn_last_line, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_line_that_does_not_fit_leaves_nothing_behind, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(folders_are_made_listed_and_removed, make_dir, remove_dir),
        cmocka_unit_test(options_are_read_in_all_their_forms),
        cmocka_unit_test(what_is_given_is_known_though_it_is_the_default),
        cmocka_unit_test(wrong_options_say_what_was_expected),
        cmocka_unit_test(lists_have_a_limit_and_come_from_trees_too),
        cmocka_unit_test(yaml_scalars_have_the_core_schemas_types),
        cmocka_unit_test(bad_yaml_is_refused_with_its_place),
        cmocka_unit_test(the_json_test_suite),
        cmocka_unit_test(right_json_gives_the_tree_that_jansson_gives),
        cmocka_unit_test(what_json_will_take_is_known_before_it_is_read),
        cmocka_unit_test(sizes_and_times_are_written_for_people),
        cmocka_unit_test(base64_has_the_standards_forms),
        cmocka_unit_test(quantiles_interpolate),
        cmocka_unit_test(a_beginning_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
