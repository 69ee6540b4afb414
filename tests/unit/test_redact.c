/* test_redact.c - texts with their spots replaced, keys, and one name for one value. */
#include <unistd.h>
#include "../test.h"
#include "audit/redact.h"

static struct err err;
static struct redact_key key = { .byte = "0123456789abcdef", .n = 16 };

static struct redact_kind kind(const void *ctx, int k)
{
    static const struct redact_kind kinds[] = { { "EMAIL", VALUE_LOWER, REDACT_TAG }, { "CARD", VALUE_PLAIN, REDACT_TAG }, { "KEY", VALUE_EXACT, REDACT_TAG } };
    struct redact_kind of = kinds[k];
    of.how = *(const enum redact *)ctx;
    return of;
}

static const char *redacted(const char *text, const struct spot *spot, size_t n, enum redact how)
{
    static char copy[200];
    struct buf out;
    buf_init(&out);
    OK(redact(text, strlen(text), spot, n, &key, kind, &how, &out, &err));
    snprintf(copy, sizeof copy, "%s", out.data);
    buf_release(&out);
    return copy;
}

static void spans_are_replaced(void **state)
{
    (void)state;
    const char *text = "to a@b.cd and \xc3\xa9\xc3\xa9 12 34!";
    const struct spot spot[] = { { 3, 6, 0, 90 }, { 14, 4, 2, 50 }, { 19, 5, 1, 70 } };
    assert_string_equal(redacted(text, spot, 3, REDACT_TAG), "to <EMAIL> and <KEY> <CARD>!");
    assert_string_equal(redacted(text, spot, 3, REDACT_MASK), "to ****** and ** *****!");
    assert_string_equal(redacted(text, spot, 0, REDACT_TAG), text);
    assert_string_equal(redacted("", NULL, 0, REDACT_TAG), "");
    assert_string_equal(redacted("x", &(struct spot){ 0, 1, 1, 1 }, 1, REDACT_TAG), "<CARD>");
}

static void what_overlaps_is_replaced_once_as_the_better(void **state)
{
    (void)state;
    const char *text = "0123456789abc";
    const struct spot chain[] = { { 1, 4, 0, 50 }, { 3, 5, 1, 90 }, { 7, 3, 2, 50 }, { 10, 1, 2, 50 } };
    assert_string_equal(redacted(text, chain, 4, REDACT_TAG), "0<CARD><KEY>bc");
    assert_string_equal(redacted(text, chain, 4, REDACT_MASK), "0**********bc");
    const struct spot same[] = { { 1, 4, 2, 50 }, { 1, 4, 1, 50 }, { 2, 4, 0, 50 } };
    assert_string_equal(redacted(text, same, 3, REDACT_TAG), "0<KEY>6789abc");
    const struct spot inside[] = { { 1, 8, 2, 50 }, { 2, 2, 1, 50 } };
    assert_string_equal(redacted(text, inside, 2, REDACT_TAG), "0<KEY>9abc");
}

/* HMAC-SHA-256 of "a@b.cd" under that key begins so (openssl dgst -sha256 -hmac). */
static void a_pseudonym_is_the_value_s(void **state)
{
    (void)state;
    char first[200];
    const struct spot a = { 0, 6, 0, 90 }, card = { 0, 7, 1, 90 }, secret = { 0, 6, 2, 90 };
    snprintf(first, sizeof first, "%s", redacted("a@b.cd", &a, 1, REDACT_PSEUDONYM));
    assert_string_equal(first, "<EMAIL:b36282a169494441>");
    assert_string_equal(redacted("A@b.CD", &a, 1, REDACT_PSEUDONYM), first);
    assert_string_not_equal(redacted("a@b.ce", &a, 1, REDACT_PSEUDONYM), first);
    snprintf(first, sizeof first, "%s", redacted("12 34-5", &card, 1, REDACT_PSEUDONYM));
    assert_string_equal(redacted("12345  ", &card, 1, REDACT_PSEUDONYM), first);
    snprintf(first, sizeof first, "%s", redacted("a@b.cd", &secret, 1, REDACT_PSEUDONYM));
    assert_string_not_equal(redacted("A@b.cd", &secret, 1, REDACT_PSEUDONYM), first);
    key.byte[0]++;
    assert_string_not_equal(redacted("a@b.cd", &secret, 1, REDACT_PSEUDONYM), first);
    key.byte[0]--;
}

static void a_key_is_read_from_a_file(void **state)
{
    (void)state;
    struct redact_key k;
    OK(file_write_all(in_dir("key"), "0123456789abcdef\r\n\n", 19, &err));
    OK(redact_key_read(&k, in_dir("key"), &err));
    assert_int_equal(k.n, 16);
    assert_memory_equal(k.byte, "0123456789abcdef", 16);
    OK(file_write_all(in_dir("short"), "0123456789abcde\n", 16, &err));
    assert_int_equal(redact_key_read(&k, in_dir("short"), &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "a key of 15 bytes"));
    assert_null(strstr(err.msg, "0123"));
    char long_key[REDACT_KEY_MAX + 1] = { 0 };
    OK(file_write_all(in_dir("long"), long_key, sizeof long_key, &err));
    assert_int_equal(redact_key_read(&k, in_dir("long"), &err), ERR_RANGE);
    assert_int_equal(redact_key_read(&k, in_dir("none"), &err), ERR_NOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_are_replaced), cmocka_unit_test(what_overlaps_is_replaced_once_as_the_better), cmocka_unit_test(a_pseudonym_is_the_value_s),
        cmocka_unit_test(a_key_is_read_from_a_file),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
