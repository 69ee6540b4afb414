/* test_words.c - words, sentences and simplified texts as datatrove, Python and NeMo Curator have them (tests/golden/words.jsonl). */
#include <jansson.h>
#include "../test.h"
#include "audit/words.h"

static struct err err;

/* The words, separated by a space each. */
static void join(enum words_dialect dialect, const char *text, size_t n, const struct spans *words, struct buf *out)
{
    buf_clear(out);
    for (size_t i = 0; i < words->n; i++) {
        const struct span s = words->at[i];
        if (i)
            OK(buf_add_char(out, ' ', &err));
        if (dialect != WORDS_NEMO) {
            OK(buf_add(out, text + s.at, s.n, &err));
            continue;
        }
        char c[8];
        int k;
        for (size_t at = s.at; (k = words_nemo_next(text, n, s.at + s.n, &at, c));)
            OK(buf_add(out, c, (size_t)k, &err));
    }
}

static void same(const json_t *o, const char *key, const struct buf *got)
{
    const json_t *want = json_object_get(o, key);
    if (got->len != json_string_length(want) || memcmp(got->data, json_string_value(want), got->len))
        fail_msg("%s of '%s': '%s', expected '%s'", key, json_string_value(json_object_get(o, "text")), got->data, json_string_value(want));
}

static void check_sentences(const json_t *o, const char *text, size_t n, const struct spans *words, struct spans *out)
{
    const json_t *want = json_object_get(o, "sentences");
    OK(words_sentences(text, n, words, out, &err));
    assert_int_equal(out->n, json_array_size(want));
    assert_int_equal(words_n_sentences(text, 0, (uint32_t)n, words->at, words->n), out->n);
    size_t at = 0;
    for (size_t i = 0; i < out->n; at += out->at[i++].n) {
        assert_int_equal(out->at[i].at, at);
        assert_int_equal(out->at[i].n, json_integer_value(json_array_get(want, i)));
    }
    assert_int_equal(at, n);
}

static void check_text(struct words *w, const json_t *o, struct spans *words, struct spans *sentences, struct buf *b)
{
    static const char *const keys[] = { "english", "spaced", "nemo" };
    const json_t *t = json_object_get(o, "text");
    const size_t n = json_string_length(t);
    char *text = malloc(n + !n);                  /* exactly: what is read beyond it is seen by the address sanitizer */
    assert_non_null(text);
    memcpy(text, json_string_value(t), n);
    for (int d = WORDS_NEMO; d >= 0; d--) {
        OK(words_of(w, (enum words_dialect)d, text, n, words, &err));
        join((enum words_dialect)d, text, n, words, b);
        same(o, keys[d], b);
    }
    check_sentences(o, text, n, words, sentences);
    OK(words_simplify(w, text, n, b, &err));
    same(o, "simple", b);
    free(text);
}

static void words_are_those_of_datatrove_python_and_nemo(void **state)
{
    (void)state;
    struct words *w;
    struct spans words = { 0 }, sentences = { 0 };
    struct buf b, file;
    buf_init(&b);
    buf_init(&file);
    OK(words_new(&w, &err));
    OK(file_read("tests/golden/words.jsonl", 1 << 24, &file, &err));
    int n = 0;
    for (char *at = file.data, *end; (end = strchr(at, '\n')); at = end + 1, n++) {
        json_t *o = json_loadb(at, (size_t)(end - at), JSON_ALLOW_NUL, NULL);
        assert_non_null(o);
        check_text(w, o, &words, &sentences, &b);
        json_decref(o);
    }
    assert_true(n > 600);
    spans_release(&words);
    spans_release(&sentences);
    buf_release(&b);
    buf_release(&file);
    words_free(w);
}

/* What is no UTF-8 stays, byte by byte, and words never go beyond the text. */
static void bytes_that_are_no_characters_are_kept(void **state)
{
    (void)state;
    static const char text[] = "a\xff" "b \xc3 \xe2\x80. \xf0\x9f\x98";
    struct words *w;
    struct spans words = { 0 };
    struct buf b;
    buf_init(&b);
    OK(words_new(&w, &err));
    OK(words_of(w, WORDS_ENGLISH, text, sizeof text - 1, &words, &err));
    join(WORDS_ENGLISH, text, sizeof text - 1, &words, &b);
    assert_string_equal(b.data, text);
    OK(words_simplify(w, text, sizeof text - 1, &b, &err));
    assert_string_equal(b.data, "a\xff" "b \xc3 \xe2\x80 \xf0\x9f\x98");
    spans_release(&words);
    buf_release(&b);
    words_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_those_of_datatrove_python_and_nemo),
        cmocka_unit_test(bytes_that_are_no_characters_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
