/* test_data_audit.c - an audit of data: the same bytes whatever the threads and stops, totals that add up, folders that hold something else. */
#include "../test.h"
#include <png.h>
#include <sys/resource.h>
#include "audit/build.h"
#include "audit/erase.h"
#include "audit/store.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/tree.h"

static struct err err;

/* ---- data ---- */

static void add_words(struct buf *b, int n, uint64_t seed)
{
    for (int i = 0; i < n; i++) {
        const uint64_t r = rng_u64(seed, (uint64_t)i);
        for (uint64_t k = 0; k < 2 + r % 7; k++)
            OK(buf_add_char(b, (char)('a' + (r >> (5 * k)) % 26), &err));
        OK(buf_add_char(b, ' ', &err));
    }
}

/* 4 MB of lines, one of 50 of which is no record, one of 100 has the text of the line before it and another one nearly that, some small texts, and
 * a file that breaks off. */
static void make_data(void)
{
    struct buf b;
    buf_init(&b);
    OK(file_mkdirs(in_dir("data/texts"), &err));
    for (int i = 0; i < 2500; i++) {
        OK(buf_printf(&b, &err, "{\"id\": %d, \"kind\": \"k%d\", \"body\": %s", i, i % 3, i % 50 ? "\"" : "null"));
        if (i % 50) {
            add_words(&b, i % 100 == 9 ? 290 : 300, (uint64_t)(i % 100 == 7 || i % 100 == 9 ? i - 1 : i));
            OK(buf_add_str(&b, "\"", &err));
        }
        OK(buf_add_str(&b, "}\n", &err));
    }
    OK(file_write_all(in_dir("data/lines.jsonl"), b.data, b.len, &err));
    for (int i = 0; i < 20; i++) {
        char name[40];
        snprintf(name, sizeof name, "data/texts/%02d.txt", i);
        buf_clear(&b);
        OK(buf_add_str(&b, "\n ", &err));
        add_words(&b, 10 * i, (uint64_t)(7000 + i));
        OK(file_write_all(in_dir(name), b.data, b.len, &err));
    }
    OK(file_write_all(in_dir("data/broken.jsonl.gz"), "\x1f\x8b\x08\0\0\0\0\0\0\x03garbage", 17, &err));
    static const char yaml[] = "sources:\n  - {name: lines, path: lines.jsonl, field: body, label: kind, licence: MIT}\n  - {name: texts, path: texts, split: test}\n"
                               "  - {name: broken, path: broken.jsonl.gz}\n";
    OK(file_write_all(in_dir("data/data.yaml"), yaml, sizeof yaml - 1, &err));
    buf_release(&b);
}

/* ---- audits ---- */

struct stops { int64_t after, n; };      /* a stop at the after-th call, < 0: none */

static int count_calls(void *ctx, uint64_t bytes, const char *stage, struct err *e)
{
    struct stops *s = ctx;
    (void)bytes, (void)stage;
    return s->n++ == s->after ? ERR(e, STOPPED, "stopped") : 0;
}

static bool keep_records = true;

static int audit(const char *dir, int n_thread, int64_t stop, bool fresh, json_t **report)
{
    struct sources s = { .n = 0 };
    struct pool *pool;
    struct stops stops = { stop, 0 };
    OK(pool_new(&pool, n_thread, &err));
    OK(sources_add(&s, in_dir("data/data.yaml"), &err));
    const struct audit_opts o = { .dir = in_dir(dir), .pool = pool, .fresh = fresh, .records = keep_records, .signals = SIGNALS_BASE, .segment_bytes = 1 << 19, .progress = count_calls, .ctx = &stops };
    const int rc = audit_run(&s, &o, report, &err);
    sources_release(&s);
    pool_free(pool);
    return rc;
}

static json_t *whole(const char *dir, int n_thread)
{
    json_t *report;
    OK(audit(dir, n_thread, -1, false, &report));
    return report;
}

static int64_t number(const json_t *o, const char *key)
{
    assert_true(json_is_integer(json_object_get(o, key)));
    return json_integer_value(json_object_get(o, key));
}

/* Every file of two audits; their number. */
static int same_files(const char *a, const char *b)
{
    static const char *const parts[] = { "", "segments" };
    int n_same = 0;
    for (int k = 0; k < 2; k++) {
        char **names, **others, at[2][200];
        int n, m;
        snprintf(at[0], sizeof at[0], "%s/%s", a, parts[k]);
        snprintf(at[1], sizeof at[1], "%s/%s", b, parts[k]);
        OK(file_list(in_dir(at[0]), &names, &n, &err));
        OK(file_list(in_dir(at[1]), &others, &m, &err));
        assert_int_equal(n, m);
        for (int i = 0; i < n; i++) {
            struct buf x, y;
            assert_string_equal(names[i], others[i]);
            if (file_is_dir(path_in(in_dir(at[0]), names[i])))
                continue;
            buf_init(&x);
            buf_init(&y);
            OK(file_read(path_in(in_dir(at[0]), names[i]), 1 << 28, &x, &err));
            OK(file_read(path_in(in_dir(at[1]), names[i]), 1 << 28, &y, &err));
            if (x.len != y.len || memcmp(x.data, y.data, x.len))
                fail_msg("%s differs", names[i]);
            n_same++;
            buf_release(&x);
            buf_release(&y);
        }
        file_list_free(names, n);
        file_list_free(others, m);
    }
    return n_same;
}

static void the_totals_add_up(void **state)
{
    (void)state;
    json_t *report = whole("one", 1);
    const json_t *totals = json_object_get(report, "totals"), *dropped = json_object_get(totals, "dropped"), *v;
    const char *key;
    int64_t sum = number(totals, "kept");
    json_object_foreach((json_t *)(uintptr_t)dropped, key, v)
        sum += json_integer_value(v);
    assert_int_equal(number(totals, "records"), 2500 + 20);
    assert_int_equal(sum, 2500 + 20);
    assert_int_equal(number(dropped, "no_field"), 50);
    assert_int_equal(number(dropped, "empty"), 1);
    assert_int_equal(number(dropped, "dup_exact"), 25);
    assert_int_equal(number(dropped, "dup_near"), 25);
    assert_int_equal(number(json_object_get(report, "faults"), "n"), 51);
    const json_t *sources = json_object_get(report, "sources"), *broken = json_array_get(json_object_get(json_array_get(sources, 2), "files"), 0);
    assert_non_null(strstr(json_string_value(json_object_get(broken, "error")), "gzip is wrong at byte"));
    assert_int_equal(number(json_array_get(sources, 0), "records"), 2500);
    const json_t *set = json_array_get(json_object_get(json_object_get(report, "labels"), "sources"), 0);      /* each copy has another label */
    assert_int_equal(number(json_object_get(set, "same_text"), "groups"), 25);
    assert_int_equal(number(json_object_get(set, "near_text"), "groups"), 50);
    assert_int_equal(number(json_object_get(set, "near_text"), "records"), 100);
    char sum_of[SHA256_HEX];
    OK(sha256_of_file(in_dir("data/lines.jsonl"), sum_of, &err));
    assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(json_array_get(sources, 0), "files"), 0), "sha256")), sum_of);
    json_decref(report);
}

static int64_t line_number(const json_t *o, const char *key) { return json_is_null(json_object_get(o, key)) ? -1 : number(o, key); }

static void duplicates_are_told_with_what_was_kept(void **state)
{
    (void)state;
    json_t *report = whole("one", 2);
    const json_t *part = json_object_get(report, "duplicates"), *exact = json_object_get(part, "exact"), *near = json_object_get(part, "near"), *o;
    assert_int_equal(number(exact, "groups"), 25);
    assert_int_equal(number(exact, "records"), 25);
    assert_int_equal(number(near, "clusters"), 25);
    assert_int_equal(number(near, "records"), 25);
    assert_int_equal(number(near, "pairs"), 25);
    /* 286 of 296 shingles */
    const json_t *checked = json_object_get(near, "checked");
    assert_int_equal(number(checked, "pairs"), 25);
    assert_true(json_real_value(json_object_get(checked, "min")) > 0.96 && json_real_value(json_object_get(checked, "mean")) < 0.97);
    int64_t n = 0;
    size_t i;
    json_array_foreach(json_object_get(json_object_get(near, "similarity"), "counts"), i, o) {
        assert_true(i > 16 || !json_integer_value(o));
        n += json_integer_value(o);
    }
    assert_int_equal(n, 25);
    json_array_foreach(json_object_get(near, "examples"), i, o) {
        assert_int_equal(number(o, "kept"), number(o, "dropped") - 1);
        assert_int_equal(number(o, "line"), number(o, "dropped") + 1);
        assert_int_equal(number(o, "dropped") % 100, 9);
        assert_int_equal(json_string_length(json_object_get(o, "excerpt")), 200);
    }
    /* each text is a line of what is left, and the copies are gone */
    assert_int_equal(number(json_object_get(part, "lines"), "lines"), 2450 - 50 + 19);
    assert_int_equal(number(json_object_get(part, "lines"), "copies"), 0);
    struct buf b;
    buf_init(&b);
    OK(file_read(in_dir("one/records.jsonl"), 1 << 28, &b, &err));
    n = 0;
    for (const char *p = b.data; *p; n++) {
        json_t *line = json_loadb(p, strcspn(p, "\n"), 0, NULL);
        const int rest = n < 2500 ? (int)(n % 100) : 0;
        assert_int_equal(line_number(line, "dup_of"), rest == 7 || rest == 9 ? n - 1 : -1);
        json_decref(line);
        p += strcspn(p, "\n") + 1;
    }
    assert_int_equal(n, 2520);
    buf_release(&b);
    json_decref(report);
}

static void threads_and_stops_change_no_byte(void **state)
{
    (void)state;
    json_t *one = whole("one", 1), *more = whole("three", 3), *report;
    assert_true(json_equal(one, more));
    json_decref(more);
    assert_true(same_files("one", "three") >= 3 + 4);
    int n_stopped = 0;
    for (int64_t stop = 0;; stop++) {            /* every audit is stopped once, later each time */
        const int rc = audit("stopped", 1 + (int)(stop % 2), stop, stop == 0, &report);
        if (!rc)
            break;
        assert_int_equal(rc, ERR_STOPPED);
        assert_null(report);
        n_stopped++;
    }
    assert_true(n_stopped >= 2);
    assert_true(json_equal(one, report));
    same_files("one", "stopped");
    json_decref(report);
    json_decref(one);
}

/* With a snapshot of what is kept, under this policy. */
static void audit_indexed(const char *policy)
{
    struct sources s = { .n = 0 };
    struct pool *pool;
    struct policy p;
    json_t *report;
    OK(pool_new(&pool, 1, &err));
    OK(policy_parse(&p, policy, strlen(policy), "policy.yaml", &err));
    OK(sources_add(&s, in_dir("indexed.jsonl"), &err));
    const struct audit_opts o = { .dir = in_dir("indexed"), .pool = pool, .policy = &p, .index = in_dir("index"), .index_add = "now" };
    OK(audit_run(&s, &o, &report, &err));
    json_decref(report);
    policy_release(&p);
    sources_release(&s);
    pool_free(pool);
}

static void what_a_gate_refuses_is_not_added_to_an_index(void **state)
{
    (void)state;
    put_in_dir("indexed.jsonl", "{\"text\": \"some words that stand here\"}\n{\"text\": \"other words that stand here\"}\n{\"texts\": 1}\n");
    audit_indexed("gate: {faults: 0}\n");
    assert_false(file_exists(in_dir("index/now.dup")));
    audit_indexed("gate: {faults: 0.5}\n");
    assert_true(file_exists(in_dir("index/now.dup")));
}

static void a_fresh_audit_leaves_nothing_of_another(void **state)
{
    (void)state;
    static const char *const left[] = { "report.json", "verdicts", "contamination.jsonl", "records.jsonl" };
    json_t *report = whole("fresh", 1);
    put_in_dir("fresh/contamination.jsonl", "{}\n");
    put_in_dir("fresh/mine.txt", "mine");
    json_decref(report);
    assert_int_equal(audit("fresh", 1, 3, true, &report), ERR_STOPPED);
    for (size_t i = 0; i < sizeof left / sizeof *left; i++)
        assert_false(file_exists(path_in(in_dir("fresh"), left[i])));
    assert_true(file_exists(in_dir("fresh/mine.txt")));
    json_decref(whole("fresh", 1));
    assert_true(file_exists(in_dir("fresh/records.jsonl")));
    keep_records = false;                        /* a line of each record told another run's verdicts */
    json_decref(whole("fresh", 1));
    keep_records = true;
    assert_false(file_exists(in_dir("fresh/records.jsonl")));
}

static void a_folder_holds_one_audit(void **state)
{
    (void)state;
    json_t *report = whole("other", 2);
    json_decref(report);
    OK(file_write_all(in_dir("data/texts/zz.txt"), "one more text", 13, &err));
    assert_int_equal(audit("other", 2, -1, false, &report), ERR_USAGE);
    assert_non_null(strstr(err.msg, "whose plan differs at 'sources[1].files"));
    OK(audit("other", 2, -1, true, &report));
    assert_int_equal(number(json_object_get(report, "totals"), "records"), 2500 + 21);
    json_decref(report);
    OK(file_remove_tree(in_dir("data/texts/zz.txt"), &err));
}

static void a_segment_that_was_changed_is_refused(void **state)
{
    (void)state;
    json_t *report = whole("changed", 1);
    json_decref(report);
    struct buf b;
    buf_init(&b);
    OK(file_read(in_dir("changed/segments/000001"), 1 << 28, &b, &err));
    for (uint64_t i = 0; i < FEWER(40, 8); i++) {
        const size_t at = rng_u64(5, i) % b.len, cut = i % 4 ? b.len : at;
        b.data[at] ^= 1;
        OK(file_write_all(in_dir("changed/segments/000001"), b.data, cut, &err));
        assert_int_equal(audit("changed", 1, -1, false, &report), ERR_CORRUPT);
        assert_non_null(strstr(err.msg, "segments/000001'"));
        b.data[at] ^= 1;
    }
    OK(file_write_all(in_dir("changed/segments/000001"), b.data, b.len, &err));
    report = whole("changed", 1);
    json_decref(report);
    buf_release(&b);
}

/* ---- images ---- */

/* side by side, brighter to the right and below, with `stripes`. */
static void write_png(const char *name, int side, int stripes)
{
    png_image p = { .version = PNG_IMAGE_VERSION, .width = (png_uint_32)side, .height = (png_uint_32)side, .format = PNG_FORMAT_GRAY };
    unsigned char *pixels = mem_alloc((size_t)side * (size_t)side);
    assert_non_null(pixels);
    for (int i = 0; i < side * side; i++)
        pixels[i] = (unsigned char)(100 * (i % side) / side + 50 * (i / side) / side + 60 * (stripes * (i % side) / side % 2));
    assert_int_equal(png_image_write_to_file(&p, in_dir(name), 0, pixels, 0, NULL), 1);
    mem_free(pixels);
}

static void write_idx(const char *name, int n_told, int n_image)
{
    unsigned char b[16 + 4 * 9] = { 0, 0, 8, 3, 0, 0, 0, (unsigned char)n_told, 0, 0, 0, 3, 0, 0, 0, 3 };
    for (int i = 0; i < n_image * 9; i++)
        b[16 + i] = (unsigned char)(i / 18 * 40 + i % 9);        /* two of each kind */
    OK(file_write_all(in_dir(name), b, 16 + (size_t)n_image * 9, &err));
}

static json_t *audit_images(const char *path, const char *dir)
{
    struct sources s = { .n = 0 };
    struct pool *pool;
    json_t *report;
    OK(pool_new(&pool, 2, &err));
    OK(sources_add(&s, in_dir(path), &err));
    struct audit_opts o = { .dir = in_dir(dir), .pool = pool };
    OK(audit_run(&s, &o, &report, &err));
    sources_release(&s);
    pool_free(pool);
    return report;
}

static void images_are_audited(void **state)
{
    (void)state;
    OK(file_mkdirs(in_dir("images/cats"), &err));
    OK(file_mkdirs(in_dir("images/dogs"), &err));
    write_png("images/cats/a.png", 64, 9);
    write_png("images/cats/copy.png", 64, 9);
    write_png("images/dogs/larger.png", 90, 9);
    write_png("images/dogs/other.png", 64, 4);
    write_png("images/dogs/tiny.png", 8, 4);
    OK(file_write_all(in_dir("images/dogs/broken.png"), "\x89PNG\r\n\x1a\n....", 12, &err));
    json_t *r = audit_images("images", "seen");
    const json_t *images = json_object_get(r, "images"), *dropped = json_object_get(json_object_get(r, "totals"), "dropped"), *alike = json_object_get(images, "alike");
    assert_int_equal(number(images, "n"), 5);
    assert_int_equal(number(json_object_get(images, "sizes"), "64x64x3"), 3);
    assert_int_equal(number(json_object_get(images, "classes"), "dogs"), 3);
    assert_int_equal(number(dropped, "dup_exact"), 1);
    assert_int_equal(number(dropped, "bad_image"), 1);
    assert_int_equal(number(alike, "groups"), 1);
    assert_int_equal(number(alike, "records"), 1);
    assert_non_null(strstr(json_string_value(json_object_get(json_array_get(json_array_get(json_object_get(alike, "examples"), 0), 1), "file")), "larger.png"));
    json_decref(r);
}

static void arrays_of_images_are_cut_and_checked(void **state)
{
    (void)state;
    static const struct { const char *name; int told, n; const char *why; } cases[] = {
        { "whole-idx3-ubyte", 4, 4, NULL }, { "short-idx3-ubyte", 4, 3, "it ends 1 images before what its header says" },
        { "long-idx3-ubyte", 3, 4, "it goes on behind the last image that its header tells of" }, { "none-idx3-ubyte", 0, 0, NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char dir[40];
        snprintf(dir, sizeof dir, "seen-%zu", i);
        write_idx(cases[i].name, cases[i].told, cases[i].n);
        json_t *r = audit_images(cases[i].name, dir);
        const json_t *file = json_array_get(json_object_get(json_array_get(json_object_get(r, "sources"), 0), "files"), 0);
        const char *why = json_string_value(json_object_get(file, "error"));
        const int n = cases[i].n < cases[i].told ? cases[i].n : cases[i].told;
        assert_int_equal(number(file, "records"), n);
        assert_int_equal(number(json_object_get(r, "totals"), "kept"), (n + 1) / 2);
        assert_true(cases[i].why ? why && !strcmp(why, cases[i].why) : !why);
        json_decref(r);
    }
    OK(file_write_all(in_dir("bad-idx3-ubyte"), "\0\0\x08\x01....", 8, &err));
    json_t *r;
    struct rlimit old, low;
    OK(file_write_all(in_dir("much-idx3-ubyte"), "\0\0\x08\x03\xff\xff\xff\xff\0\0\0\1\0\0\0\1\0", 17, &err));
    OK(file_write_all(in_dir("much-idx1-ubyte"), "\0\0\x08\x01\0\0\0\1\0", 9, &err));
    assert_int_equal(getrlimit(RLIMIT_AS, &old), 0);
    low = old, low.rlim_cur = (rlim_t)3 << 30;
    if (!UNDER_ADDRESS && !UNDER_THREAD)                 /* which take more themselves */
        assert_int_equal(setrlimit(RLIMIT_AS, &low), 0);
    json_decref(audit_images("much-idx3-ubyte", "seen-much"));       /* what the header promises is not asked for before it is there */
    assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
    r = audit_images("bad-idx3-ubyte", "seen-bad");
    assert_non_null(strstr(json_string_value(json_object_get(json_array_get(json_object_get(json_array_get(json_object_get(r, "sources"), 0), "files"), 0), "error")), "expected"));
    json_decref(r);
}

/* ---- a build ---- */

static int build(const char *from, const char *to, int n_thread, const char *splits, const char *weights, json_t **manifest)
{
    struct opened x;
    struct pool *pool;
    struct build_opts o = { .dir = in_dir(to), .seed = 1, .shard_bytes = 1 << 20 };
    OK(pool_new(&pool, n_thread, &err));
    int rc = build_splits(&o, splits, &err);
    OK(opened_open(&x, in_dir(from), pool, &err));
    rc = rc ? rc : build_weights(&o, weights, &x.s, &err);
    rc = rc ? rc : build_run(&x, &o, manifest, &err);
    opened_close(&x);
    mem_free(o.weight);
    pool_free(pool);
    return rc;
}

static json_t *next_json(const char **p)
{
    const char *end = strchr(*p, '\n');
    json_t *o = json_loadb(*p, (size_t)(end - *p), 0, NULL);
    assert_non_null(o);
    *p = end + 1;
    return o;
}

/* Every line of the map leads to a line of the build and to a record of the input: both have its hash. */
static int64_t follow_map(const char *dir)
{
    struct buf map, in, out;
    char now[100] = "";
    const char *at = NULL;
    int64_t n = 0, line = 0;
    buf_init(&map), buf_init(&in), buf_init(&out);
    OK(file_read(path_in(in_dir(dir), "map.jsonl"), 1 << 28, &map, &err));
    OK(file_read(in_dir("data/lines.jsonl"), 1 << 28, &in, &err));
    for (const char *p = map.data; *p; n++) {
        json_t *m = next_json(&p);
        const char *file = json_string_value(json_object_get(m, "file"));
        if (strncmp(file, "train/", 6)) {            /* the others come in between */
            json_decref(m);
            continue;
        }
        if (strcmp(now, file)) {
            snprintf(now, sizeof now, "%s", file);
            buf_clear(&out);
            OK(file_read(path_in(in_dir(dir), file), 1 << 28, &out, &err));
            at = out.data, line = 0;
        }
        json_t *o = next_json(&at);
        assert_int_equal(++line, number(m, "line"));
        char hex[SHA256_HEX];
        const json_t *text = json_object_get(o, "text");
        OK(sha256_of(json_string_value(text), json_string_length(text), hex, &err));
        assert_string_equal(hex, json_string_value(json_object_get(m, "sha256")));
        if (!strcmp(json_string_value(json_object_get(m, "source")), "lines")) {
            const char *raw = in.data + number(m, "at");
            json_t *source = next_json(&raw);
            assert_string_equal(json_string_value(json_object_get(source, "body")), json_string_value(text));
            assert_string_equal(json_string_value(json_object_get(source, "kind")), json_string_value(json_object_get(o, "kind")));
            json_decref(source);
        }
        json_decref(o);
        json_decref(m);
    }
    buf_release(&map), buf_release(&in), buf_release(&out);
    return n;
}

static void a_build_leads_back_to_its_sources(void **state)
{
    (void)state;
    json_t *report = whole("one", 2), *m, *again;
    OK(build("one", "b1", 1, "train=0.9,valid=0.1", "lines=2.5", &m));
    OK(build("one", "b2", 3, "train=0.9,valid=0.1", "lines=2.5", &again));
    json_object_del(json_object_get(m, "audit"), "path");
    json_object_del(json_object_get(again, "audit"), "path");
    assert_true(json_equal(m, again));
    const json_t *splits = json_object_get(m, "splits"), *train = json_object_get(splits, "train"), *valid = json_object_get(splits, "valid"), *test = json_object_get(splits, "test");
    assert_int_equal(number(m, "records"), number(json_object_get(report, "totals"), "kept"));
    assert_int_equal(number(train, "records") + number(valid, "records") + number(test, "records"), number(m, "records"));
    assert_int_equal(number(test, "records"), 19);           /* what the source says */
    assert_in_range(number(train, "records"), 2450 * 0.87, 2450 * 0.93);
    assert_in_range(number(train, "lines"), number(train, "records") * 2.45, number(train, "records") * 2.55);
    assert_int_equal(number(valid, "lines"), number(valid, "records"));
    assert_true(json_array_size(json_object_get(m, "files")) >= 6);
    assert_int_equal(follow_map("b1"), number(m, "lines"));
    json_decref(m), json_decref(again), json_decref(report);
}

/* An audit that did not look for personal data is no reason to call a build clean. */
static void what_was_not_looked_for_is_not_called_redacted(void **state)
{
    (void)state;
    json_t *report = whole("one", 2), *m;
    struct policy p;
    struct opened x;
    struct pool *pool;
    static const char wants[] = "pii: redact\n", keeps[] = "{pii: keep, secrets: {default: keep}}\n";
    struct build_opts o = { .dir = in_dir("unlooked"), .seed = 1, .shard_bytes = 1 << 20, .policy = &p };
    OK(pool_new(&pool, 2, &err));
    OK(opened_open(&x, in_dir("one"), pool, &err));
    OK(build_splits(&o, "train=1", &err));
    OK(policy_parse(&p, wants, sizeof wants - 1, "p.yaml", &err));
    assert_int_equal(build_run(&x, &o, &m, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "the audit did not look for them"));
    policy_release(&p);
    OK(policy_parse(&p, keeps, sizeof keeps - 1, "p.yaml", &err));
    OK(build_run(&x, &o, &m, &err));
    assert_true(json_is_null(json_object_get(json_object_get(m, "redacted"), "pii")));
    policy_release(&p);
    json_decref(m), json_decref(report);
    opened_close(&x);
    pool_free(pool);
}

static void builds_that_cannot_be_are_refused(void **state)
{
    (void)state;
    json_t *report = whole("one", 2), *m;
    static const struct { const char *splits, *weights, *why; } cases[] = {
        { "train=0.9", "", "--splits: the shares sum to 0.9, expected 1" },
        { "train=0.5,train=0.5", "", "--splits: 'train' is there twice" },
        { "../x=1", "", "--splits: '../x' is no name of letters, digits, '.', '_' and '-'" },
        { "train", "", "--splits: found 'train', expected NAME=NUMBER,.." },
        { "train=x", "", "--splits: 'train' has 'x', expected a number from 0 on" },
        { "train=1", "liens=2", "--weights: there is no source 'liens'" },
        { "train=1", "lines=1e9", "--weights: 'lines' has 1e+09, expected at most 1000" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(build("one", "refused", 1, cases[i].splits, cases[i].weights, &m), ERR_USAGE);
        assert_string_equal(err.msg, cases[i].why);
        assert_false(file_exists(in_dir("refused")));
    }
    OK(build("one", "b3", 1, "train=1", "", &m));
    json_decref(m);
    assert_int_equal(build("one", "b3", 1, "train=1", "", &m), ERR_USAGE);
    struct buf b;
    buf_init(&b);
    OK(file_read(in_dir("data/lines.jsonl"), 1 << 28, &b, &err));
    b.data[b.len - 10] ^= 1;                                 /* a letter of the last record */
    OK(file_write_all(in_dir("data/lines.jsonl"), b.data, b.len, &err));
    assert_int_equal(build("one", "b4", 2, "train=1", "", &m), ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "lines.jsonl' is not what it was when it was audited"));
    assert_false(file_exists(in_dir("b4")));
    assert_false(file_exists(in_dir("b4.part")));
    b.data[b.len - 10] ^= 1;
    OK(file_write_all(in_dir("data/lines.jsonl"), b.data, b.len, &err));
    buf_release(&b);
    json_decref(report);
}

/* ---- an erasure ---- */

static int erase(const char *from, const char *to, const char *a, const char *b, json_t **told)
{
    const struct erase_opts o = { .from = in_dir(from), .to = in_dir(to), .where = { { a, b }, 1 + (b != NULL) }, .reason = "asked for", .runs = { { in_dir("runs") }, 1 } };
    return erase_run(&o, told, &err);
}

static void write_run(const char *name, const char *version)
{
    struct buf b;
    buf_init(&b);
    OK(file_mkdirs(in_dir(name), &err));
    OK(buf_printf(&b, &err, "{\"steps\": 100, \"parameters\": 5, \"step\": {\"seconds_expected\": 0.5}, \"data\": [{\"path\": \"x\"}, {\"path\": \"y\", \"version\": \"%s\"}]}", version));
    OK(file_write_all(path_in(in_dir(name), "run.json"), b.data, b.len, &err));
    buf_release(&b);
}

/* Which lines of a small build are left. */
static const char *left_without(const char *where, char out[20])
{
    static int k;
    char to[20];
    json_t *told;
    struct buf b;
    snprintf(to, sizeof to, "small-%d", k++);
    OK(erase("small", to, where, NULL, &told));
    buf_init(&b);
    OK(file_read(path_in(in_dir(to), "train/00000.jsonl"), 1 << 20, &b, &err));
    size_t n = 0;
    for (const char *p = b.data; (p = strstr(p, "\"text\":\"")); p += 8)
        out[n++] = p[8];
    out[n] = 0;
    buf_release(&b);
    json_decref(told);
    return out;
}

static void a_mark_is_met_however_it_is_written(void **state)
{
    (void)state;
    char left[20];
    put_in_dir("small/build.json", "{\"version\": \"v\", \"records\": 4, \"lines\": 4, \"splits\": {\"train\": {\"records\": 4, \"lines\": 4}}, \"files\": [{\"path\": \"train/00000.jsonl\", \"split\": \"train\"}]}");
    put_in_dir("small/train/00000.jsonl", "{\"who\":true,\"text\":\"a\"}\n{\"who\":1.50,\"text\":\"b\"}\n{\"who\":7,\"text\":\"c\",\"source\":\"anna\"}\n{\"who\":\"true story\",\"text\":\"d\"}\n");
    put_in_dir("small/map.jsonl", "{\"file\":\"train/00000.jsonl\",\"line\":1,\"record\":0,\"source\":\"web\",\"sha256\":\"00\"}\n{\"file\":\"train/00000.jsonl\",\"line\":2,\"record\":1,\"source\":\"web\",\"sha256\":\"01\"}\n"
                                  "{\"file\":\"train/00000.jsonl\",\"line\":3,\"record\":2,\"source\":\"web\",\"sha256\":\"02\"}\n{\"file\":\"train/00000.jsonl\",\"line\":4,\"record\":3,\"source\":\"books\",\"sha256\":\"03\"}\n");
    assert_string_equal(left_without("who=true", left), "bcd");
    assert_string_equal(left_without("who=1.5", left), "acd");
    assert_string_equal(left_without("who=7", left), "abd");
    assert_string_equal(left_without("source=web", left), "d");
    assert_string_equal(left_without("source=anna", left), "abd");           /* a mark of a name that the map has too */
}

/* A build of more files than a process may open, those of two splits in turns. */
static void a_build_of_many_files_is_erased_from(void **state)
{
    (void)state;
    enum { N = 150 };
    struct rlimit before, few;
    struct buf files, map;
    json_t *told, *now;
    char name[40], path[80];
    buf_init(&files), buf_init(&map);
    for (int i = 0; i < 2 * N; i++) {
        const char *split = i % 2 ? "valid" : "train";
        snprintf(name, sizeof name, "%s/%05d.jsonl", split, i / 2);
        snprintf(path, sizeof path, "many/%s", name);
        put_in_dir(path, i == 7 ? "{\"text\":\"b\"}\n" : "{\"text\":\"a\"}\n{\"text\":\"b\"}\n");
        OK(buf_printf(&files, &err, "%s{\"path\": \"%s\", \"split\": \"%s\"}", i ? ", " : "", name, split));
    }
    for (int i = 0; i < N; i++)
        for (int line = 1; line <= 2; line++)
            for (int k = 0; k < 2; k++)
                if (2 * i + k != 7 || line == 1)
                    OK(buf_printf(&map, &err, "{\"file\":\"%s/%05d.jsonl\",\"line\":%d,\"record\":%d,\"source\":\"web\",\"sha256\":\"%02d\"}\n", k ? "valid" : "train", i, line, 4 * i + 2 * line + k, line));
    char *build = mem_printf("{\"version\": \"v\", \"records\": %d, \"lines\": %d, \"splits\": {\"train\": {\"records\": %d, \"lines\": %d}, \"valid\": {\"records\": %d, \"lines\": %d}}, \"files\": [%s]}", 4 * N - 1,
                             4 * N - 1, 2 * N, 2 * N, 2 * N - 1, 2 * N - 1, files.data);
    put_in_dir("many/build.json", build);
    put_in_dir("many/map.jsonl", map.data);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before, few.rlim_cur = 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    const int rc = erase("many", "fewer", "text=b", NULL, &told);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    OK(rc);
    OK(tree_load(&now, in_dir("fewer/build.json"), 1 << 20, &err));
    assert_int_equal(number(now, "lines"), 2 * N - 1);
    assert_int_equal(json_array_size(json_object_get(now, "files")), 2 * N - 1);         /* valid/00003 had b alone */
    assert_int_equal(number(json_object_get(json_object_get(now, "splits"), "valid"), "lines"), N - 1);
    OK(buf_printf(&map, &err, "{\"file\":\"train/00000.jsonl\",\"line\":3,\"record\":9999,\"source\":\"web\",\"sha256\":\"00\"}\n"));
    put_in_dir("many/map.jsonl", map.data);
    json_decref(told);
    assert_int_equal(erase("many", "again", "text=b", NULL, &told), ERR_CORRUPT);
    json_decref(now), mem_free(build);
    buf_release(&files), buf_release(&map);
}

static void erased_records_are_gone_and_the_rest_is_there(void **state)
{
    (void)state;
    json_t *report = whole("one", 2), *m, *told, *now = NULL, *again;
    OK(build("one", "e1", 2, "train=0.9,valid=0.1", "lines=1.5", &m));
    const char *version = json_string_value(json_object_get(m, "version"));
    write_run("runs/a", version);
    write_run("runs/b", "another");
    OK(erase("e1", "e2", "kind=k1", "source=texts", &told));
    const int64_t gone = number(told, "lines"), texts = number(told, "texts");
    assert_in_range(texts, 2400 / 3 + 19 - 2, 2400 / 3 + 19 + 2);
    assert_in_range(gone, texts * 1.4, texts * 1.6);
    assert_string_equal(json_string_value(json_object_get(told, "of")), version);
    assert_int_equal(json_array_size(json_object_get(told, "runs")), 1);
    assert_true(json_number_value(json_object_get(json_array_get(json_object_get(told, "runs"), 0), "seconds")) == 50);
    OK(tree_load(&now, in_dir("e2/build.json"), 1 << 28, &err));
    assert_int_equal(number(now, "lines"), number(m, "lines") - gone);
    assert_int_equal(follow_map("e2"), number(now, "lines"));
    assert_int_equal(number(now, "records"), number(m, "records") - texts);      /* no two records have one text here */
    int64_t of_splits = 0;
    const char *split;
    json_t *counts;
    json_object_foreach(json_object_get(now, "splits"), split, counts)
        of_splits += number(counts, "records");
    assert_int_equal(of_splits, number(now, "records"));
    const json_t *files = json_object_get(now, "files"), *f;
    size_t i;
    assert_false(file_exists(in_dir("e2/test/00000.jsonl")));      /* all of it went, and training reads no empty file */
    json_array_foreach(files, i, f) {
        char sum[SHA256_HEX];
        struct buf b;
        assert_true(number(f, "records") > 0);
        buf_init(&b);
        OK(file_read(path_in(in_dir("e2"), json_string_value(json_object_get(f, "path"))), 1 << 28, &b, &err));
        OK(sha256_of(b.data, b.len, sum, &err));
        assert_string_equal(sum, json_string_value(json_object_get(f, "sha256")));
        assert_null(strstr(b.data, "\"k1\""));
        buf_release(&b);
    }
    assert_int_equal(erase("e1", "e3", "kind=nothing", NULL, &again), ERR_NOTFOUND);
    assert_string_equal(err.msg, "no record matches: nothing was written");
    assert_int_equal(erase("e1", "e3", "source=liens", NULL, &again), ERR_NOTFOUND);
    assert_string_equal(err.msg, "no record matches: nothing was written; there is source=lines, was that meant?");
    assert_int_equal(erase("e1", "e3", "kind=k1", "kinds=k2", &again), ERR_USAGE);
    assert_string_equal(err.msg, "--where: no record has a field 'kinds', did you mean 'kind'? Nothing was written");
    assert_int_equal(erase("e1", "e3", "somebody=k2", NULL, &again), ERR_USAGE);
    assert_string_equal(err.msg, "--where: no record has a field 'somebody', there are text, source, path, record, sha256, kind; nothing was written");
    assert_int_equal(json_integer_value(json_array_get(json_object_get(told, "matched"), 1)), 19);
    assert_false(file_exists(in_dir("e3")));
    assert_int_equal(erase("e1", "e2", "kind=k2", NULL, &again), ERR_USAGE);
    assert_int_equal(erase("one", "e3", "kind=k2", NULL, &again), ERR_USAGE);
    assert_int_equal(erase("e1", "e3", "kind", NULL, &again), ERR_USAGE);
    OK(erase("e2", "e3", "kind=k2", NULL, &again));           /* of the new version */
    assert_string_equal(json_string_value(json_object_get(again, "of")), json_string_value(json_object_get(now, "version")));
    struct opened x;                                          /* a later build without them */
    struct pool *pool;
    struct build_opts o = { .dir = in_dir("e4"), .seed = 1, .shard_bytes = 1 << 20 };
    json_t *later;
    OK(pool_new(&pool, 2, &err));
    OK(opened_open(&x, in_dir("one"), pool, &err));
    OK(build_splits(&o, "train=1", &err));
    OK(build_without(&o, in_dir("e2/erased.jsonl"), &err));
    assert_int_equal(build_without(&o, in_dir("data/texts/03.txt"), &err), ERR_FORMAT);
    OK(build_run(&x, &o, &later, &err));
    assert_int_equal(number(later, "left_out"), texts);
    assert_int_equal(number(later, "records"), number(m, "records") - texts);
    mem_free(o.without);
    opened_close(&x);
    pool_free(pool);
    json_decref(later);
    json_decref(again), json_decref(now), json_decref(told), json_decref(m), json_decref(report);
}

static int set_up(void **state)
{
    const int rc = make_dir(state);
    if (!rc)
        make_data();
    return rc;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_totals_add_up),
        cmocka_unit_test(duplicates_are_told_with_what_was_kept),
        cmocka_unit_test(threads_and_stops_change_no_byte),
        cmocka_unit_test(images_are_audited),
        cmocka_unit_test(arrays_of_images_are_cut_and_checked),
        cmocka_unit_test(a_build_leads_back_to_its_sources),
        cmocka_unit_test(erased_records_are_gone_and_the_rest_is_there),
        cmocka_unit_test(a_mark_is_met_however_it_is_written),
        cmocka_unit_test(a_build_of_many_files_is_erased_from),
        cmocka_unit_test(what_a_gate_refuses_is_not_added_to_an_index),
        cmocka_unit_test(a_folder_holds_one_audit),
        cmocka_unit_test(a_fresh_audit_leaves_nothing_of_another),
        cmocka_unit_test(a_segment_that_was_changed_is_refused),
        cmocka_unit_test(what_was_not_looked_for_is_not_called_redacted),
        cmocka_unit_test(builds_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, remove_dir);
}
