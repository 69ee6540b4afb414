/* test_tok_fault.c - the n-th allocation fails, for every n: an error, no crash, no leak. */
#include "each_allocation.h"
#include "model/tok_files.h"

static struct err err;

static int train_write_parse_encode(void)
{
    static const char text[] = "the cat sat on the mat and the dog sat on the cat; the cat sat.";
    struct tok *t = NULL, *again = NULL;
    struct tok_ids ids = { 0 };
    struct buf file;
    buf_init(&file);
    int rc = tok_train_bpe(&t, &(struct tok_text){ text, sizeof text - 1 }, 1, 270, &err);
    if (!rc)
        rc = tok_write(t, &file, &err);
    if (!rc)
        rc = tok_parse(&again, file.data, file.len, "again", &err);
    if (!rc)
        rc = tok_encode(again, text, sizeof text - 1, TOK_SPECIALS, &ids, &err);
    tok_ids_release(&ids);
    buf_release(&file);
    tok_free(t);
    tok_free(again);
    return rc;
}

static int encode_and_free(int rc, struct tok *t)
{
    static const char text[] = "Hello  w\xc3\xb6rld <s>\xe2\x80\x94 e\xcc\x81 123 \xff <mask> supercalifragilisticexpialidociousandmoreofthesamewithoutanyspaceinit";
    struct tok_ids ids = { 0 };
    struct buf back;
    buf_init(&back);
    if (!rc)
        rc = tok_encode(t, text, sizeof text - 1, TOK_SPECIALS | TOK_ADD, &ids, &err);
    if (!rc)
        rc = tok_decode(t, ids.id, ids.n, &back, &err);
    buf_release(&back);
    tok_ids_release(&ids);
    tok_free(t);
    return rc;
}

#define SEEDS "tests/fuzz/corpus/"
static int load(const char *path)
{
    struct tok *t = NULL;
    const int rc = tok_load(&t, path, &err);
    return encode_and_free(rc, t);
}
static int load_spm_bpe(void) { return load(SEEDS "spm/bpe"); }
static int load_spm_unigram(void) { return load(SEEDS "spm/unigram"); }
static int load_ranks(void)
{
    struct buf b;
    struct tok *t = NULL;
    buf_init(&b);
    int rc = file_read(SEEDS "tiktoken/small", 1 << 20, &b, &err);
    if (!rc)
        rc = tok_parse_tiktoken(&t, b.data, b.len, "cl100k", "ranks", &err);
    buf_release(&b);
    return encode_and_free(rc, t);
}

static int load_wordpiece(void) { return load(SEEDS "tokenizer/words.json"); }

/* WordPiece without a JSON file. */
static int load_words(void)
{
    const struct tok_piece pieces[] = { { "[UNK]", 5, 0, TOK_PIECE_CONTROL }, { "[CLS]", 5, 0, TOK_PIECE_CONTROL }, { "[SEP]", 5, 0, TOK_PIECE_CONTROL },
                                        { "\xe2\x96\x81hel", 6, 0, TOK_PIECE_NORMAL }, { "lo", 2, 0, TOK_PIECE_NORMAL }, { "\xe2\x96\x81""123", 6, 0, TOK_PIECE_NORMAL } };
    const struct tok_vocab v = { .name = "v", .kind = TOK_VOCAB_WORDPIECE, .piece = pieces, .n_piece = 6, .bos = -1, .eos = -1, .unk = 0, .cls = 1, .sep = 2, .add_bos = true, .add_eos = true };
    struct tok *t = NULL;
    const int rc = tok_from_vocab(&t, &v, &err);
    return encode_and_free(rc, t);
}

static int (*body)(void);

static int run(void *unused)
{
    (void)unused;
    const int rc = body();
    if (rc < 0 && rc != ERR_NOMEM)
        fail_msg("%s", err.msg);
    return rc;
}

static void every_failed_allocation_is_an_error_without_a_leak(void **state)
{
    (void)state;
    static int (*const bodies[])(void) = { train_write_parse_encode, load_words, load_wordpiece, load_spm_bpe, load_spm_unigram, load_ranks };
    static const int least[] = { 50, 20, 20, 20, 20, 20 };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        body = bodies[i];
        assert_true(each_allocation(run, NULL, true) > least[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_failed_allocation_is_an_error_without_a_leak) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
