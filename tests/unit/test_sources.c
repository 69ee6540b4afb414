/* test_sources.c - files of records: packed, cut, broken off, and what a record's text is. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <bzlib.h>
#include <zlib.h>
#include <zstd.h>
#include "../test.h"
#include "audit/extract.h"
#include "audit/html_visible.h"
#include "audit/json_scan.h"
#include "audit/pass.h"
#include "data/csv.h"
#include "data/text.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"

static struct err err;

/* ---- JSON ---- */

/* The cases of JSONTestSuite: y_ is JSON, n_ is not. */
static void json_is_what_the_test_suite_says(void **state)
{
    (void)state;
    char **names;
    int n, n_y = 0, n_n = 0;
    const char *dir = shared("json-test-suite");
    OK(file_list(dir, &names, &n, &err));
    for (int i = 0; i < n; i++) {
        struct buf b;
        char *path = file_join(dir, names[i]);
        buf_init(&b);
        OK(file_read(path, 1 << 24, &b, &err));
        const int rc = json_scan_check(b.data, b.len, &err);
        if ((names[i][0] == 'y' && rc) || (names[i][0] == 'n' && !rc))
            fail_msg("%s: %s", names[i], rc ? err.msg : "no error");
        n_y += names[i][0] == 'y', n_n += names[i][0] == 'n';
        buf_release(&b);
        mem_free(path);
    }
    file_list_free(names, n);
    assert_int_equal(n_y, 95);
    assert_int_equal(n_n, 188);
}

static void members_are_found_and_strings_read(void **state)
{
    (void)state;
    static const struct { const char *json, *text, *fault; } cases[] = {
        { "{\"text\":\"a\\n\\u00e9\\ud83d\\ude00\\\"\"}", "a\n\xc3\xa9\xf0\x9f\x98\x80\"", NULL },
        { " { \"x\" : [ { \"text\" : 1 } ] , \"te\\u0078t\" : \"b\" } \r\n", "b", NULL },
        { "{\"text\":\"\"}", "", NULL },
        { "{\"x\":1}", NULL, NULL },
        { "{\"text\":\"a\",\"text\":\"b\"}", NULL, "at byte 12 the member 'text' is there again" },
        { "{\"text\":\"\\ud800\"}", NULL, "\\ud800 is half a surrogate pair, which is no character" },
        { "[1]", NULL, "byte 0 of the JSON is '[', expected an object" },
        { "{\"text\":\"a\"", NULL, "the JSON ends at byte 11, expected ',' or '}'" },
        { "{\"text\":\"a\"} x", NULL, "byte 13 of the JSON is 'x', expected the end" },
        { "{\"text\":01}", NULL, "byte 9 of the JSON is '1', expected ',' or '}'" },
        { "{\"a\":\"\xff\"}", NULL, "byte 6 of the JSON is 0xff, which is not UTF-8" },
    };
    const char *name = "text";
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json_span s;
        struct buf b;
        buf_init(&b);
        err = (struct err){ 0 };
        int rc = json_scan_members(cases[i].json, strlen(cases[i].json), &name, 1, &s, &err);
        rc = rc || !s.p ? rc : json_scan_string(s, &b, &err);
        if (cases[i].fault) {
            assert_int_equal(rc, ERR_FORMAT);
            assert_string_equal(err.msg, cases[i].fault);
        } else if (!cases[i].text) {
            assert_int_equal(rc, 0);
            assert_null(s.p);
        } else {
            OK(rc);
            assert_string_equal(b.data, cases[i].text);
        }
        buf_release(&b);
    }
    char deep[2 * JSON_DEPTH_MAX + 2];
    memset(deep, '[', JSON_DEPTH_MAX + 1);
    memset(deep + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    assert_int_equal(json_scan_check(deep, sizeof deep, &err), ERR_RANGE);
    OK(json_scan_check(deep + 1, sizeof deep - 2, &err));
}

/* ---- packed files ---- */

static char *some_text(size_t n, uint64_t seed)
{
    char *p = mem_alloc(n);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++) {
        const uint64_t r = rng_u64(seed, i) % 100;
        p[i] = r < 2 ? '\n' : r < 20 ? ' ' : (char)('a' + r % 26);
    }
    return p;
}

static void pack(struct buf *out, const char *p, size_t n, enum unpack_kind kind)
{
    OK(buf_reserve(out, n + n / 8 + 1000, &err));
    char *to = out->data + out->len;
    if (kind == UNPACK_ZSTD) {
        ZSTD_CCtx *z = ZSTD_createCCtx();
        ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, 1);
        const size_t got = ZSTD_compress2(z, to, n + n / 8 + 1000, p, n);
        assert_false(ZSTD_isError(got));
        ZSTD_freeCCtx(z);
        out->len += got;
    } else if (kind == UNPACK_GZIP) {
        z_stream z = { .next_in = (Bytef *)(uintptr_t)p, .avail_in = (uInt)n, .next_out = (Bytef *)to, .avail_out = (uInt)(n + n / 8 + 1000) };
        assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        out->len += z.total_out;
        deflateEnd(&z);
    } else if (kind == UNPACK_BZIP2) {
        unsigned got = (unsigned)(n + n / 8 + 1000);
        assert_int_equal(BZ2_bzBuffToBuffCompress(to, &got, (char *)(uintptr_t)p, (unsigned)n, 1, 0, 0), BZ_OK);
        out->len += got;
    } else
        OK(buf_add(out, p, n, &err));
}

/* All of a file, read in pieces of odd sizes; rc: how it ended. */
static int unpacked(const char *path, struct buf *out, double ratio)
{
    struct unpack *u;
    TRY(unpack_open(&u, path, ratio, &err));
    char piece[7001];
    int64_t got;
    for (uint64_t i = 0; (got = unpack_read(u, piece, 1 + rng_u64(3, i) % sizeof piece, &err)) > 0; i++)
        OK(buf_add(out, piece, (size_t)got, &err));
    assert_true(got < 0 || unpack_packed(u) == unpack_size(u));
    unpack_free(u);
    return (int)got;
}

static void packed_files_are_what_was_packed(void **state)
{
    (void)state;
    char *text = some_text(700000, 1);
    const char *path = in_dir("packed");
    for (enum unpack_kind kind = UNPACK_PLAIN; kind <= UNPACK_BZIP2; kind++) {
        struct buf packed, got;
        buf_init(&packed);
        buf_init(&got);
        pack(&packed, text, 300000, kind);
        pack(&packed, text + 300000, 400000, kind);      /* two members, or frames */
        const size_t whole = packed.len;
        OK(file_write_all(path, packed.data, whole, &err));
        OK(unpacked(path, &got, 0));
        assert_int_equal(got.len, 700000);
        assert_memory_equal(got.data, text, 700000);
        if (kind != UNPACK_PLAIN) {
            buf_clear(&got);                             /* broken off: what came before, and then the error */
            OK(file_write_all(path, packed.data, whole - 1000, &err));
            assert_int_equal(unpacked(path, &got, 0), ERR_FORMAT);
            assert_non_null(strstr(err.msg, "the file ends in its midst"));
            assert_true(got.len > 400000 && got.len < 700000);
            assert_memory_equal(got.data, text, got.len);
            buf_clear(&got);                             /* followed by what is none */
            OK(buf_add_str(&packed, "\1garbage", &err));
            OK(file_write_all(path, packed.data, packed.len, &err));
            assert_int_equal(unpacked(path, &got, 0), ERR_FORMAT);
            assert_int_equal(got.len, 700000);
            packed.len = whole;                          /* a bit flipped */
            packed.data[whole / 2] ^= 16;
            buf_clear(&got);
            OK(file_write_all(path, packed.data, whole, &err));
            assert_int_equal(unpacked(path, &got, 0), ERR_FORMAT);
            assert_non_null(strstr(err.msg, "is wrong at byte"));
        }
        buf_release(&packed);
        buf_release(&got);
    }
    mem_free(text);
}

/* Cut off after its first bytes were read: an error that says so, behind what there was. */
static void a_file_that_is_cut_off_while_it_is_read_is_told(void **state)
{
    (void)state;
    char *text = some_text(700000, 1), piece[1000], hex[SHA256_HEX];
    const char *path = in_dir("cut");
    for (enum unpack_kind kind = UNPACK_PLAIN; kind <= UNPACK_BZIP2; kind++) {
        struct unpack *u;
        struct buf packed;
        int64_t got;
        buf_init(&packed);
        pack(&packed, text, 700000, kind);
        OK(file_write_all(path, packed.data, packed.len, &err));
        OK(unpack_open(&u, path, 0, &err));
        assert_int_equal(unpack_read(u, piece, sizeof piece, &err), sizeof piece);
        assert_int_equal(truncate(path, 300000), 0);
        while ((got = unpack_read(u, piece, sizeof piece, &err)) > 0)
            ;
        assert_int_equal(got, ERR_CORRUPT);
        assert_non_null(strstr(err.msg, "ends at byte 300000, and had"));
        unpack_sha256(u, hex);
        assert_string_equal(hex, "");
        unpack_free(u);
        buf_release(&packed);
    }
    mem_free(text);
}

static void a_byte_order_mark_is_no_part_of_a_record(void **state)
{
    (void)state;
    static const struct { enum record_format f; const char *held, *record; } cases[] = {
        { RECORD_JSONL, "\xef\xbb\xbf{\"text\": 1}\n", "{\"text\": 1}\n" },
        { RECORD_CSV, "\xef\xbb\xbftext\na\n", "a\n" },
        { RECORD_TEXT, "\xef\xbb\xbfone", "one" },
        { RECORD_TEXT, "\xef\xbb", "\xef\xbb" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reader *r;
        struct raw_record raw;
        size_t n;
        OK(file_write_all(in_dir("marked"), cases[i].held, strlen(cases[i].held), &err));
        OK(reader_open(&r, in_dir("marked"), &(struct reader_opts){ .format = cases[i].f }, &err));
        assert_int_equal(reader_next(r, &raw, &err), 1);
        assert_int_equal(raw.n, strlen(cases[i].record));
        assert_memory_equal(raw.data, cases[i].record, raw.n);
        assert_int_equal(raw.at, strlen(cases[i].held) - raw.n);
        const char *header = reader_header(r, &n);
        assert_true(cases[i].f != RECORD_CSV || (n == 5 && !memcmp(header, "text\n", n)));
        assert_int_equal(reader_next(r, &raw, &err), 0);
        reader_free(r);
    }
}

static void a_bomb_is_refused(void **state)
{
    (void)state;
    const size_t n = (size_t)80 << 20;
    char *zeros = mem_map(n);
    assert_non_null(zeros);
    const char *path = in_dir("bomb");
    for (enum unpack_kind kind = UNPACK_GZIP; kind <= UNPACK_BZIP2; kind++) {
        struct buf packed, got;
        buf_init(&packed);
        buf_init(&got);
        pack(&packed, zeros, n, kind);
        OK(file_write_all(path, packed.data, packed.len, &err));
        assert_int_equal(unpacked(path, &got, 0), ERR_RANGE);
        assert_non_null(strstr(err.msg, "a decompression bomb?"));
        assert_true(got.len >= (size_t)64 << 20 && got.len < (size_t)66 << 20);
        buf_clear(&got);
        OK(unpacked(path, &got, 1e6));
        assert_int_equal(got.len, n);
        buf_release(&packed);
        buf_release(&got);
    }
    mem_unmap(zeros, n);
}

/* ---- records ---- */

struct want { size_t at, n; int64_t line; bool too_long; };

/* The rows of the whole text, as training reads them. */
static int cut_rows(const char *p, size_t n, size_t record_max, struct want *out)
{
    struct csv c;
    int k = 0, rc = csv_open(&c, p, n, "rows", &err);
    int64_t line = 1;
    for (size_t at = 0, end, begun = 0; at < n; at = end, rc = csv_next(&c, &err)) {
        (void)rc;                                /* a row that is wrong is one */
        end = (size_t)(c.at - p);
        for (; at < end && p[at] == '\n'; at++)
            ;
        for (; begun < at; begun++)
            line += p[begun] == '\n';
        if (!text_is_blank(p + at, end - at) || end - at > record_max)
            out[k++] = (struct want){ at, end - at, line, end - at > record_max };
    }
    csv_release(&c);
    return k;
}

/* The twin: the whole text is there. */
static int cut(const char *p, size_t n, enum record_format f, size_t record_max, struct want *out)
{
    int k = 0;
    int64_t line = 1;
    if (f == RECORD_CSV)
        return cut_rows(p, n, record_max, out);
    for (size_t at = 0; at < n;) {
        size_t end = at;
        while (end < n && p[end] != '\n')
            end++;
        end += end < n;
        bool blank = true;
        for (size_t i = at; i < end; i++)
            blank = blank && strchr(" \n", p[i]) && p[i];
        if (!blank || end - at > record_max)
            out[k++] = (struct want){ at, end - at, line, end - at > record_max };
        for (; at < end; at++)
            line += p[at] == '\n';
    }
    return k;
}

static void records_are_cut_as_by_the_twin(void **state)
{
    (void)state;
    static struct want want[200000];
    const char *path = in_dir("records");
    for (uint64_t seed = 0; seed < 12; seed++) {
        const size_t n = 1 + rng_u64(8, seed) % 900000;
        char *text = some_text(n, seed + 10);
        if (seed % 3 == 0)                               /* some long lines, across many reads */
            for (size_t i = n / 3; i < n / 2; i++)
                text[i] = text[i] == '\n' ? 'x' : text[i];
        for (size_t i = 0; seed % 2 && i + 1 < n; i += 5000) {           /* within a field, where it means nothing, as often as at its beginning, where it opens one */
            text[i] = i % 3 ? ',' : 'x';
            text[i + 1] = '"';
        }
        memcpy(text, "h,t\n", n < 4 ? n : 4);
        const enum record_format f = seed % 2 ? RECORD_CSV : RECORD_JSONL;
        const struct reader_opts o = { .format = f, .record_max = seed % 4 < 2 ? 100000 : 0 };
        const int n_want = cut(text, n, f, o.record_max ? o.record_max : RECORD_MAX, want);
        OK(file_write_all(path, text, n, &err));
        struct reader *r;
        OK(reader_open(&r, path, &o, &err));
        struct raw_record got;
        int k = f == RECORD_CSV, rc;
        while ((rc = reader_next(r, &got, &err)) == 1) {
            assert_true(k < n_want);
            assert_int_equal(got.n, want[k].n);
            assert_int_equal(got.at, want[k].at);
            assert_int_equal(got.line, want[k].line);
            assert_int_equal(!got.data, want[k].too_long);
            if (got.data)
                assert_memory_equal(got.data, text + got.at, got.n);
            k++;
        }
        assert_int_equal(rc, 0);
        assert_int_equal(k, n_want);
        reader_free(r);
        mem_free(text);
    }
}

static void a_form_is_found_by_the_name_whatever_packs_the_file(void **state)
{
    (void)state;
    static const char *const packed[] = { "", ".gz", ".zst", ".bz2", ".BZ2" };
    for (size_t i = 0; i < sizeof packed / sizeof *packed; i++) {
        char name[40];
        snprintf(name, sizeof name, "a/x.1.jsonl%s", packed[i]);
        assert_int_equal(record_format_of(name), RECORD_JSONL);
    }
    assert_int_equal(record_format_of("jsonl.bz2"), RECORD_TEXT);
}

static void a_title_counts_in_the_head_alone(void **state)
{
    (void)state;
    static const char page[] = "<html><head><title>The page</title></head><body><p>One</p><svg><title>icon</title></svg><div hidden><title>no</title></div><p>two</p></body></html>";
    struct buf b;
    buf_init(&b);
    OK(html_visible(page, sizeof page - 1, &b, &err));
    assert_string_equal(b.data, "The page\n\nOne\n\ntwo");
    buf_release(&b);
}

static int count_rows(const char *text, enum record_format f)
{
    struct reader *r;
    struct raw_record got;
    int n = 0;
    OK(file_write_all(in_dir("rows"), text, strlen(text), &err));
    OK(reader_open(&r, in_dir("rows"), &(struct reader_opts){ .format = f }, &err));
    while (reader_next(r, &got, &err) == 1)
        n++;
    reader_free(r);
    return n;
}

static void a_quote_within_a_field_opens_nothing(void **state)
{
    (void)state;
    assert_int_equal(count_rows("text\n5\" disk\nsecond\nthird \"x\"\nfourth\n", RECORD_TSV), 4);
    assert_int_equal(count_rows("text\nthe last 5\"\nsecond\n", RECORD_CSV), 2);
    assert_int_equal(count_rows("a 3\" one,b\n1,2\n3,4\n", RECORD_CSV), 2);
    assert_int_equal(count_rows("a;b\n1,\"x;2\n3;4\n", RECORD_CSV), 2);                  /* what separates is the header's */
    assert_int_equal(count_rows("a,b\n\"1\n\",\"say \"\"so\"\"\n\"\n3,4\n", RECORD_CSV), 2);
    assert_int_equal(count_rows("a,b\n\"1\" and \"2,3\n4,5\n", RECORD_CSV), 2);          /* wrong, to its line's end */
    assert_int_equal(count_rows("\n\na,b\n1,\"2\n3\"\n", RECORD_CSV), 1);
}

static void long_texts_are_cut_at_blank_lines(void **state)
{
    (void)state;
    const char *path = in_dir("long");
    const size_t n = 5 * RECORD_TEXT_PIECE + 12345;
    char *text = some_text(n, 77);
    memset(text + 2 * RECORD_TEXT_PIECE, 'x', RECORD_TEXT_PIECE * 2);      /* no line in sight */
    OK(file_write_all(path, text, n, &err));
    struct reader *r;
    OK(reader_open(&r, path, &(struct reader_opts){ .format = RECORD_TEXT }, &err));
    struct raw_record got;
    size_t at = 0;
    int k = 0, at_blank = 0;
    while (reader_next(r, &got, &err) == 1) {
        assert_int_equal(got.at, at);
        assert_memory_equal(got.data, text + at, got.n);
        assert_true(got.n <= RECORD_TEXT_PIECE);
        at += got.n, k++;
        at_blank += text[at - 1] == '\n' && text[at - 2] == '\n';
    }
    assert_int_equal(at, n);
    assert_true(k >= 6 && k <= 8 && at_blank >= 3);
    reader_free(r);
    mem_free(text);
}

static void what_is_wrong_with_a_record_is_told(void **state)
{
    (void)state;
    static const struct { enum record_format f; const char *raw; enum record_fault fault; const char *says; } cases[] = {
        { RECORD_JSONL, "{\"text\":\"good\"}\n", EXTRACT_NONE, "good" },
        { RECORD_JSONL, "{\"text\":7}\n", EXTRACT_NO_FIELD, "'text' is no string" },
        { RECORD_JSONL, "{\"txt\":\"x\"}\n", EXTRACT_NO_FIELD, "there is no member 'text'" },
        { RECORD_JSONL, "{\"text\":\"x\"\n", EXTRACT_BAD_JSON, "the JSON ends at byte 12" },
        { RECORD_JSONL, "{\"text\":\" \\n\"}\n", EXTRACT_EMPTY, "" },
        { RECORD_HTML, "<!doctype html><html><head><title>A &amp; B</title><style>p{}</style><script>x<y</script></head><body><h1>One\n two</h1><p>three <b>four</b>, five<br>six"
                       "<div hidden>no<p>no</div><ul><li>a<li>b</ul><table><tr><td>1<td>2<tr><td>3</table><pre> x\n  y</pre><!-- no --><p>\xc3\xa9&nbsp;&eacute;",
          EXTRACT_NONE, "A & B\n\nOne two\n\nthree four, five\nsix\n\n- a\n- b\n\n1\t2\n3\n\n x\n  y\n\n\xc3\xa9\xc2\xa0\xc3\xa9" },
        { RECORD_HTML, "<script>only()</script>", EXTRACT_EMPTY, "" },
        { RECORD_HTML, "<p>\xff", EXTRACT_NOT_UTF8, "byte 3 of the text is 0xff, which is not UTF-8" },
        { RECORD_TEXT, "a\xe9", EXTRACT_NOT_UTF8, "byte 1 of the text is 0xe9, which is not UTF-8" },
        { RECORD_CSV, "1,\"a \"\"b\"\"\"\n", EXTRACT_NONE, "a \"b\"" },
        { RECORD_CSV, "1,2,3\n", EXTRACT_BAD_ROW, "3" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct extract x;
        const char *got = NULL;
        size_t n = 0;
        err = (struct err){ 0 };
        extract_init(&x, cases[i].f, NULL);
        if (cases[i].f == RECORD_CSV)
            OK(extract_header(&x, "id,text\n", 8, "f.csv", &err));
        const struct raw_record raw = { cases[i].raw, strlen(cases[i].raw), 0, 5 };
        assert_int_equal(extract_text(&x, &raw, &got, &n, &err), cases[i].fault);
        if (cases[i].fault)
            assert_non_null(strstr(err.msg, cases[i].says));
        else {
            if (n != strlen(cases[i].says) || memcmp(got, cases[i].says, n))
                fail_msg("'%.*s', expected '%s'", (int)n, got, cases[i].says);
        }
        extract_release(&x);
    }
    struct extract x;
    char body[] = "body";
    extract_init(&x, RECORD_CSV, &(struct source){ .field = body });
    assert_int_equal(extract_header(&x, "id,text\n", 8, "f.csv", &err), ERR_FORMAT);
    assert_string_equal(err.msg, "'f.csv' has no column 'body'");
    extract_release(&x);
}

/* Wherever a wrong byte stands, among letters or characters of more bytes. */
static void a_byte_that_is_not_utf8_is_found(void **state)
{
    (void)state;
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz012345", others[] = "ab\xc3\xa9" "cdefghij\xe2\x82\xac" "klmnopqrst";
    for (size_t n = 0; n < sizeof letters; n++)
        for (size_t i = 0; i <= n; i++) {
            char text[sizeof letters];
            memcpy(text, letters, n);
            if (i < n)
                text[i] = (char)0x80;
            assert_int_equal(text_bad_utf8(text, n), i);
        }
    assert_int_equal(text_bad_utf8(others, sizeof others - 1), sizeof others - 1);
    assert_int_equal(text_bad_utf8(others, 3), 2);               /* cut in a character */
    assert_int_equal(text_bad_utf8(others, 14), 12);
}

/* ---- sources, and a pass over them ---- */

struct seen { const struct sources *s; struct buf out; size_t n_block, n_round; uint64_t bytes; int n_ended; };

static int see_record(void *ctx, int file, const struct pass_record *r, struct buf *out, int i_thread, struct err *e)
{
    const struct seen *seen = ctx;
    (void)i_thread;
    assert_true(file < seen->s->n_file);
    return buf_printf(out, e, "%d %lld %llu %lld %zu %s %.*s\n", file, (long long)r->number, (unsigned long long)r->at, (long long)r->line, r->raw_bytes, record_fault_word(r->fault),
                      r->fault ? (int)strlen(r->why) : (int)(r->n < 20 ? r->n : 20), r->fault ? r->why : r->text);
}

static int see_block(void *ctx, int file, int64_t next, const struct buf *out, struct err *e)
{
    struct seen *seen = ctx;
    (void)file, (void)next;
    seen->n_block += out->len;
    return buf_add(&seen->out, out->data, out->len, e);
}

/* A round's blocks are those that were put since the one before, and are still there. */
static int see_round(void *ctx, const struct buf *const *out, int n, struct err *e)
{
    struct seen *seen = ctx;
    (void)e;
    assert_true(n > 0);
    for (int i = 0; i < n; i++)
        seen->n_round += out[i]->len;
    assert_int_equal(seen->n_round, seen->n_block);
    return 0;
}

static int see_end(void *ctx, const struct pass_file *f, struct err *e)
{
    struct seen *seen = ctx;
    const char *path = seen->s->file[f->file].path;
    char sum[SHA256_HEX];
    OK(sha256_of_file(path, sum, e));
    assert_string_equal(f->sha256, sum);
    seen->n_ended++;
    return buf_printf(&seen->out, e, "%s: %s\n", strrchr(path, '/') + 1, f->why ? strchr(f->why->msg, ':') ? strchr(f->why->msg, ':') : f->why->msg : "end");
}

static int see_progress(void *ctx, uint64_t bytes, struct err *e)
{
    struct seen *seen = ctx;
    (void)e;
    assert_true(bytes >= seen->bytes && bytes <= seen->s->n_bytes);
    seen->bytes = bytes;
    return 0;
}

static void pass(const struct sources *s, int n_thread, struct seen *seen)
{
    struct pool *pool;
    OK(pool_new(&pool, n_thread, &err));
    *seen = (struct seen){ .s = s };
    buf_init(&seen->out);
    const struct pass_opts o = { .pool = pool, .record = see_record, .put = see_block, .round = see_round, .ended = see_end, .progress = see_progress, .ctx = seen };
    OK(pass_run(s, 0, 0, &o, &err));
    assert_int_equal(seen->bytes, s->n_bytes);
    assert_int_equal(seen->n_round, seen->n_block);
    pool_free(pool);
}

static void a_reader_without_a_hash_reads_the_same(void **state)
{
    struct raw_record raw;
    struct reader *r;
    char sum[SHA256_HEX];
    (void)state;
    OK(file_write_all(in_dir("two.jsonl"), "{}\n{\"a\": 1}\n", 12, &err));
    for (int unhashed = 0; unhashed < 2; unhashed++) {
        OK(reader_open(&r, in_dir("two.jsonl"), &(struct reader_opts){ .format = RECORD_JSONL, .unhashed = unhashed }, &err));
        assert_int_equal(reader_next(r, &raw, &err), 1);
        assert_int_equal(reader_next(r, &raw, &err), 1);
        assert_memory_equal(raw.data, "{\"a\": 1}", 8);
        assert_int_equal(reader_next(r, &raw, &err), 0);
        reader_sha256(r, sum);
        assert_int_equal(strlen(sum), unhashed ? 0 : 64);
        reader_free(r);
    }
}

/* What ends the plain part of a string, at each place of it. */
static void a_sign_in_a_string_is_seen_wherever_it_stands(void **state)
{
    static const struct { char c; bool good; } cases[] = { { 'x', true }, { '"', false }, { '\\', false }, { '\n', false }, { 0x1f, false }, { ' ', true }, { '!', true }, { '#', true }, { '[', true }, { ']', true }, { 0x7f, true } };
    (void)state;
    for (size_t n = 1; n < 40; n++)
        for (size_t at = 0; at < n; at++)
            for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
                char *text = malloc(n + 2);      /* of its size, so that reading behind it is seen */
                memset(text, 'a', n + 2);
                text[0] = text[n + 1] = '"', text[1 + at] = cases[k].c;
                if ((json_scan_check(text, n + 2, &err) == 0) != cases[k].good)
                    fail_msg("0x%02x at %zu of %zu is %s", cases[k].c, at, n, cases[k].good ? "refused" : "let through");
                free(text);
            }
}

static void write_packed(const char *name, const char *text, size_t n, enum unpack_kind kind, size_t cut_off)
{
    struct buf b;
    buf_init(&b);
    pack(&b, text, n, kind);
    OK(file_write_all(in_dir(name), b.data, b.len - cut_off, &err));
    buf_release(&b);
}

static void a_pass_is_the_same_with_any_threads(void **state)
{
    (void)state;
    OK(file_mkdirs(in_dir("set/deep"), &err));
    struct buf b;
    buf_init(&b);
    for (int i = 0; i < 30000; i++)
        OK(buf_printf(&b, &err, i % 500 == 7 ? "{\"text\": %d}\n" : "{\"n\": 1, \"text\": \"record %d with some words, and \\u00e9\"}\n", i));
    write_packed("set/a.jsonl", b.data, b.len, UNPACK_PLAIN, 0);
    write_packed("set/b.jsonl.gz", b.data, b.len, UNPACK_GZIP, 0);
    write_packed("set/c.jsonl.zst", b.data, b.len, UNPACK_ZSTD, 50);
    write_packed("set/deep/d.csv", "a,b\n1,2\n", 8, UNPACK_PLAIN, 0);
    write_packed("set/deep/e.csv", "id,text\n1,one\n2,\n3\n", 20, UNPACK_PLAIN, 0);
    write_packed("set/deep/f.txt", "", 0, UNPACK_PLAIN, 0);
    write_packed("set/deep/README.md", "no record", 9, UNPACK_PLAIN, 0);
    buf_release(&b);
    struct sources s = { .n = 0 };
    OK(sources_add(&s, in_dir("set"), &err));
    assert_int_equal(s.n_file, 6);
    assert_string_equal(s.source[0].name, "set");
    struct seen one, many;
    pass(&s, 1, &one);
    assert_int_equal(one.n_ended, 6);
    for (int n = 2; n <= 7; n += 5) {
        pass(&s, n, &many);
        assert_int_equal(many.out.len, one.out.len);
        assert_memory_equal(many.out.data, one.out.data, one.out.len);
        buf_release(&many.out);
    }
    static const char *const wants[] = {
        "\n0 7 ", "no_field 'text' is no string\n", "0 29999 ", "record 29999 with so\na.jsonl: end\n", "b.jsonl.gz: end\n", "after ", "the file ends in its midst",
        "/deep/d.csv' has no column 'text'\n", "4 0 8 2 6 none one\n4 1 14 3 3 empty ", "bad_row", "e.csv: end\nf.txt: end\n",
    };
    const char *at = one.out.data;
    for (size_t i = 0; i < sizeof wants / sizeof *wants; i++) {
        const char *found = strstr(at, wants[i]);
        if (!found)
            fail_msg("'%s' is not there, or not in order", wants[i]);
        at = found;
    }
    buf_release(&one.out);
    sources_release(&s);
}

static void a_list_of_sources_is_read_and_checked(void **state)
{
    (void)state;
    OK(file_mkdirs(in_dir("more"), &err));
    OK(file_write_all(in_dir("more/x.data"), "{}", 2, &err));
    static const struct { const char *yaml, *says; } cases[] = {
        { "sources:\n  - {name: x, path: more, format: jsonl, field: body, licence: MIT, origin: made, collected: 2026-01-02}\n", NULL },
        { "sources: []\n", "has no list 'sources'" },
        { "sources:\n  - {name: 'a b', path: more}\n", "name is 'a b', expected up to 64 letters" },
        { "sources:\n  - {name: x}\n", "path is missing" },
        { "sources:\n  - {name: x, path: none}\n", "No such file" },
        { "sources:\n  - {name: x, path: more, split: ..}\n", "split is '..', expected up to 64 letters" },
        { "sources:\n  - {name: x, path: more, format: xml}\n", "format is 'xml', expected text, markdown" },
        { "sources:\n  - {name: x, path: more, licnce: MIT}\n", "licence" },
        { "sources:\n  - {name: x, path: more}\n  - {name: x, path: more}\n", "two sources are called 'x'" },
        { "source:\n  - {name: x, path: more}\n", "has no list 'sources'" },
        { "sources:\n  - {name: x, path: more}\nsplit: 3\n", "has 'split', expected sources only" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sources s = { .n = 0 };
        const char *path = in_dir("data.yaml");
        OK(file_write_all(path, cases[i].yaml, strlen(cases[i].yaml), &err));
        const int rc = sources_add(&s, path, &err);
        if (cases[i].says) {
            assert_true(rc < 0);
            if (!strstr(err.msg, cases[i].says))
                fail_msg("'%s', expected '%s'", err.msg, cases[i].says);
        } else {
            OK(rc);
            assert_int_equal(s.n_file, 1);
            assert_int_equal(s.file[0].format, RECORD_JSONL);
            assert_string_equal(s.source[0].field, "body");
            assert_string_equal(s.source[0].collected, "2026-01-02");
        }
        sources_release(&s);
    }
}

/* The other files are there; the one that has the name itself is read again by nobody. */
static void what_cannot_be_read_in_a_folder_is_told_of_it(void **state)
{
    (void)state;
    static const struct { const char *path, *why; } expected[] = {
        { "strange/a.txt", NULL },
        { "strange/bad\\xff.txt", "bad\\xff.txt' is not UTF-8" },
        { "strange/deep/up", "is a link to a folder that it lies in" },
        { "strange/pipe", "is neither a file nor a folder" },
        { "strange/to_nothing.csv", "No such file or directory" },
    };
    struct sources s = { .n = 0 };
    OK(file_mkdirs(in_dir("strange/deep"), &err));
    OK(file_write_all(in_dir("strange/a.txt"), "a", 1, &err));
    OK(file_write_all(in_dir("strange/bad\xff.txt"), "a", 1, &err));
    assert_int_equal(symlink("..", in_dir("strange/deep/up")), 0);
    assert_int_equal(symlink("nowhere", in_dir("strange/to_nothing.csv")), 0);
    assert_int_equal(mkfifo(in_dir("strange/pipe"), 0600), 0);
    OK(sources_add(&s, in_dir("strange"), &err));
    assert_int_equal(s.n_file, 5);
    for (int i = 0; i < s.n_file; i++) {
        assert_string_equal(s.file[i].path, in_dir(expected[i].path));
        assert_true(!s.file[i].why == !expected[i].why);
        if (expected[i].why)
            assert_non_null(strstr(s.file[i].why, expected[i].why));
    }
    assert_int_equal(s.n_bytes, 1);
    sources_release(&s);
    assert_int_equal(sources_add(&s, in_dir("strange/pipe"), &err), ERR_FORMAT);
    sources_release(&s);
    assert_int_equal(sources_add(&s, in_dir("strange/to_nothing.csv"), &err), ERR_NOTFOUND);
    sources_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_byte_that_is_not_utf8_is_found),
        cmocka_unit_test(json_is_what_the_test_suite_says),
        cmocka_unit_test(members_are_found_and_strings_read),
        cmocka_unit_test(packed_files_are_what_was_packed),
        cmocka_unit_test(a_file_that_is_cut_off_while_it_is_read_is_told),
        cmocka_unit_test(a_byte_order_mark_is_no_part_of_a_record),
        cmocka_unit_test(a_bomb_is_refused),
        cmocka_unit_test(records_are_cut_as_by_the_twin),
        cmocka_unit_test(a_title_counts_in_the_head_alone),
        cmocka_unit_test(a_quote_within_a_field_opens_nothing),
        cmocka_unit_test(a_form_is_found_by_the_name_whatever_packs_the_file),
        cmocka_unit_test(long_texts_are_cut_at_blank_lines),
        cmocka_unit_test(what_is_wrong_with_a_record_is_told),
        cmocka_unit_test(a_reader_without_a_hash_reads_the_same),
        cmocka_unit_test(a_sign_in_a_string_is_seen_wherever_it_stands),
        cmocka_unit_test(a_pass_is_the_same_with_any_threads),
        cmocka_unit_test(a_list_of_sources_is_read_and_checked),
        cmocka_unit_test(what_cannot_be_read_in_a_folder_is_told_of_it),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
