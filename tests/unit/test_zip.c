/* test_zip.c - members of zip files, stored and deflated, and what is wrong with one. */
#include <zlib.h>
#include "../test.h"
#include "data/zip.h"

static struct err err;

static void put(struct buf *b, uint32_t v, int n)
{
    for (int i = 0; i < n; i++)
        OK(buf_add_char(b, (char)(v >> (8 * i)), &err));
}

static size_t deflated(const char *s, size_t n, char *to, size_t room)
{
    z_stream z = { .next_in = (Bytef *)(uintptr_t)s, .avail_in = (uInt)n, .next_out = (Bytef *)to, .avail_out = (uInt)room };
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return z.total_out;
}

struct member { const char *name, *text; int method; };
static const struct member members[] = { { "data/", "", 0 }, { "data/one.txt", "stored as it is", 0 }, { "__MACOSX/two.txt", "no", 0 }, { "data/two.txt", "again and again and again and again", 8 }, { "empty", "", 8 } };
enum { N_MEMBER = sizeof members / sizeof *members };

/* Head of a member, here or in the directory: the fields that both have. */
static void put_head(struct buf *b, const struct member *m, uint32_t packed)
{
    put(b, 20, 2), put(b, 0, 2), put(b, (uint32_t)m->method, 2), put(b, 0, 4);
    put(b, (uint32_t)crc32(0, (const Bytef *)m->text, (uInt)strlen(m->text)), 4);
    put(b, packed, 4), put(b, (uint32_t)strlen(m->text), 4), put(b, (uint32_t)strlen(m->name), 2), put(b, 0, 2);
}

static void make_zip(struct buf *b)
{
    uint32_t at[N_MEMBER], size[N_MEMBER];
    char packed[200];
    for (int i = 0; i < N_MEMBER; i++) {
        const struct member *m = &members[i];
        size[i] = m->method ? (uint32_t)deflated(m->text, strlen(m->text), packed, sizeof packed) : (uint32_t)strlen(m->text);
        at[i] = (uint32_t)b->len;
        OK(buf_add(b, "PK\3\4", 4, &err));
        put_head(b, m, size[i]);
        OK(buf_add_str(b, m->name, &err));
        OK(buf_add(b, m->method ? packed : m->text, size[i], &err));
    }
    const uint32_t directory = (uint32_t)b->len;
    for (int i = 0; i < N_MEMBER; i++) {
        OK(buf_add(b, "PK\1\2", 4, &err));
        put(b, 20, 2);
        put_head(b, &members[i], size[i]);
        put(b, 0, 2), put(b, 0, 2), put(b, 0, 2), put(b, 0, 4), put(b, at[i], 4);
        OK(buf_add_str(b, members[i].name, &err));
    }
    const uint32_t end = (uint32_t)b->len;
    OK(buf_add(b, "PK\5\6", 4, &err));
    put(b, 0, 4), put(b, N_MEMBER, 2), put(b, N_MEMBER, 2), put(b, end - directory, 4), put(b, directory, 4), put(b, 7, 2);
    OK(buf_add(b, "comment", 7, &err));
}

static void members_are_found_by_their_names_ends(void **state)
{
    (void)state;
    struct buf b, out;
    struct zip z;
    buf_init(&b), buf_init(&out);
    make_zip(&b);
    OK(file_write_all(in_dir("a.zip"), b.data, b.len, &err));
    assert_true(zip_is(in_dir("a.zip")));
    OK(zip_open(&z, in_dir("a.zip"), &err));
    OK(zip_read(&z, zip_find(&z, "one.txt"), 100, &out, &err));
    assert_string_equal(out.data, "stored as it is");
    OK(zip_read(&z, zip_find(&z, "two.txt"), 100, &out, &err));       /* appended; not Mac OS's */
    assert_string_equal(out.data, "stored as it isagain and again and again and again");
    OK(zip_read(&z, zip_find(&z, "empty"), 100, &out, &err));
    assert_int_equal(zip_find(&z, "ne.txt"), -1);        /* a part of a name is none */
    assert_int_equal(zip_read(&z, zip_find(&z, "two.txt"), 10, &out, &err), ERR_RANGE);
    zip_close(&z);
    OK(file_write_all(in_dir("b.zip"), "text", 4, &err));
    assert_false(zip_is(in_dir("b.zip")));
    assert_int_equal(zip_open(&z, in_dir("b.zip"), &err), ERR_FORMAT);
    buf_release(&b), buf_release(&out);
}

/* Any byte may be wrong: an error, bytes that nobody wrote never. */
static void a_wrong_byte_is_noticed_or_does_not_matter(void **state)
{
    (void)state;
    struct buf b, out;
    int n_wrong = 0;
    buf_init(&b), buf_init(&out);
    make_zip(&b);
    for (size_t i = 0; i < b.len; i++) {
        struct zip z;
        b.data[i] ^= 0x55;
        buf_clear(&out);
        int rc = zip_over(&z, b.data, b.len, "test", &err);
        if (!rc) {
            const int two = zip_find(&z, "two.txt");
            rc = two < 0 ? ERR_NOTFOUND : zip_read(&z, two, 1000, &out, &err);
            zip_close(&z);
        }
        if (!rc)
            assert_true(!strcmp(out.data, "again and again and again and again") || !strcmp(out.data, "no"));      /* no: the folder's name is wrong */
        n_wrong += rc != 0;
        b.data[i] ^= 0x55;
        assert_true(zip_over(&z, b.data, i, "test", &err) < 0);          /* cut off there */
    }
    assert_true(n_wrong > 60);
    buf_release(&b), buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_found_by_their_names_ends),
        cmocka_unit_test(a_wrong_byte_is_noticed_or_does_not_matter),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
