/* test_token_files.c - a build's token files: what they hold is what training would make of its lines, they lead back to these, and erasing keeps both in step. */
#include "audit/build.h"
#include "audit/erase.h"
#include "base/mem.h"
#include "base/tree.h"
#include "data/records.h"
#include "tiny_run.h"

static struct tok *tok;
static struct chat *chat;

/* ---- parts of token files ---- */

static void fill(struct sequences *q, int n, uint64_t seed)
{
    *q = (struct sequences){ 0 };
    for (int i = 0; i < n; i++) {
        int32_t id[40];
        uint8_t learn[40];
        const size_t len = 2 + rng_below(seed, (uint64_t)i, 38);
        for (size_t k = 0; k < len; k++)
            id[k] = (int32_t)rng_below(seed + 1, (uint64_t)i * 64 + k, 300), learn[k] = k && rng_below(seed + 2, (uint64_t)i * 64 + k, 2);
        OK(sequences_add(q, id, learn, len, &err));
        OK(sequences_end(q, len, &err));
    }
}

static void same_files(const char *a, const char *b)
{
    struct file_map x, y;
    OK(file_map_open(&x, in_dir(a), &err));
    OK(file_map_open(&y, in_dir(b), &err));
    if (x.size != y.size || memcmp(x.data, y.data, x.size))
        fail_msg("%s and %s differ", a, b);
    file_map_close(&x);
    file_map_close(&y);
}

static void parts_put_together_are_the_whole(void **state)
{
    (void)state;
    char sum[SHA256_HEX];
    struct sequences q;
    struct shard s[3];
    OK(tok_digest(tok, true, sum, &err));
    fill(&q, 100, 3);
    OK(shard_write_sequences(in_dir("all.tok"), &q, 0, 100, SHARD_RECORDS, tok, sum, &err));
    OK(shard_write_sequences(in_dir("a.tok"), &q, 0, 37, SHARD_RECORDS, tok, sum, &err));
    OK(shard_write_sequences(in_dir("b.tok"), &q, 37, 37, SHARD_RECORDS, tok, sum, &err));
    OK(shard_write_sequences(in_dir("c.tok"), &q, 37, 100, SHARD_RECORDS, tok, sum, &err));
    for (int i = 0; i < 3; i++)
        OK(shard_open(&s[i], in_dir(i == 0 ? "a.tok" : i == 1 ? "b.tok" : "c.tok"), &err));
    const struct shard_part part[3] = { { &s[0], 0, 37, NULL }, { &s[1], 0, 0, NULL }, { &s[2], 0, 63, NULL } };
    OK(shard_write_parts(in_dir("joined.tok"), part, 3, &err));
    same_files("all.tok", "joined.tok");
    struct shard all, some;
    uint8_t keep[100];
    OK(shard_open(&all, in_dir("all.tok"), &err));
    for (int i = 0; i < 100; i++)
        keep[i] = i % 3 != 1;
    OK(shard_write_parts(in_dir("some.tok"), &(struct shard_part){ &all, 10, 100, keep }, 1, &err));
    OK(shard_open(&some, in_dir("some.tok"), &err));
    int64_t n = 0;
    for (int64_t i = 10; i < 100; i++)
        if (keep[i]) {
            const uint64_t from = some.start[n], to = some.start[++n];
            assert_int_equal(to - from, all.start[i + 1] - all.start[i]);
            for (uint64_t k = 0; k < to - from; k++) {
                assert_int_equal(shard_id(&some, (int64_t)(from + k)), shard_id(&all, (int64_t)(all.start[i] + k)));
                assert_int_equal(shard_learns(&some, (int64_t)(from + k)), shard_learns(&all, (int64_t)(all.start[i] + k)));
            }
        }
    assert_int_equal(some.n_seq, n);
    assert_true(some.n_text < all.n_text && some.n_text > 0);
    for (int i = 0; i < 3; i++)
        shard_close(&s[i]);
    OK(shard_write_sequences(in_dir("a.tok"), &q, 0, 2, SHARD_STREAM, tok, sum, &err));
    OK(shard_open(&s[0], in_dir("a.tok"), &err));
    assert_int_equal(shard_write_parts(in_dir("mixed.tok"), (struct shard_part[2]){ { &all, 0, 1, NULL }, { &s[0], 0, 1, NULL } }, 2, &err), ERR_USAGE);
    assert_false(file_exists(in_dir("mixed.tok")));
    shard_close(&s[0]), shard_close(&all), shard_close(&some);
    sequences_release(&q);
}

/* ---- builds ---- */

static void audit(const char *sources, const char *dir)
{
    struct sources s = { .n = 0 };
    struct pool *pool;
    json_t *report;
    OK(pool_new(&pool, 2, &err));
    OK(sources_add(&s, in_dir(sources), &err));
    const struct audit_opts o = { .dir = in_dir(dir), .pool = pool };
    OK(audit_run(&s, &o, &report, &err));
    json_decref(report);
    sources_release(&s);
    pool_free(pool);
}

static int build(const char *from, const char *to, int n_thread, const struct chat *with, json_t **m)
{
    struct opened x;
    struct pool *pool;
    const struct build_tokens tokens = { tok, with };
    struct build_opts o = { .dir = in_dir(to), .seed = 1, .shard_bytes = 20000, .tokens = &tokens };
    OK(pool_new(&pool, n_thread, &err));
    OK(build_splits(&o, "train=0.9,valid=0.1", &err));
    OK(opened_open(&x, in_dir(from), pool, &err));
    const int rc = build_run(&x, &o, m, &err);
    opened_close(&x);
    pool_free(pool);
    return rc;
}

/* A run on the lines and one on the tokens learn the same from the same files. */
static void train_both(const char *dir)
{
    struct train_result r;
    char text[2000], name[2][40];
    for (int k = 0; k < 2; k++) {
        snprintf(text, sizeof text, DENSE "data: {train: %s/%strain, valid: %s/%svalid, tokenizer: %s}\ntrain: {steps: 6, batch: 4, ctx: 128, lr: 3e-3, eval_every: 6, eval_tokens: 200, precision: fp32}\n", in_dir(dir), k ? "tokens/" : "", in_dir(dir), k ? "tokens/" : "", in_dir("tok"));
        snprintf(name[k], sizeof name[k], "%s-%s", dir, k ? "tokens" : "lines");
        write_text("run.yaml", text);
        OK(train("run.yaml", name[k], 2, NULL, &r));
    }
    const char *const files[] = { "data/train.tok", "data/valid.tok", "model.safetensors" };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char a[100], b[100];
        snprintf(a, sizeof a, "%s/%s", name[0], files[i]);
        snprintf(b, sizeof b, "%s/%s", name[1], files[i]);
        same_files(a, b);
    }
    json_t *run = NULL, *build = NULL;           /* and the tokens' run knows the version that it read */
    OK(tree_load(&run, path_in(in_dir(name[1]), "run.json"), 1 << 20, &err));
    OK(tree_load(&build, path_in(in_dir(dir), "build.json"), 1 << 20, &err));
    assert_true(json_equal(json_object_get(json_array_get(json_object_get(run, "data"), 0), "version"), json_object_get(build, "version")));
    json_decref(run);
    json_decref(build);
}

static void tokens_are_what_training_makes_of_the_lines(void **state)
{
    (void)state;
    json_t *m, *again;
    OK(build("texts", "t1", 1, NULL, &m));
    OK(build("texts", "t2", 3, NULL, &again));
    json_object_del(json_object_get(m, "audit"), "path");
    json_object_del(json_object_get(again, "audit"), "path");
    assert_true(json_equal(m, again));
    assert_true(json_array_size(json_object_get(json_object_get(m, "tokens"), "files")) > 2);
    json_decref(m);
    json_decref(again);
    train_both("t1");
    OK(build("chats", "c1", 2, chat, &m));
    json_decref(m);
    train_both("c1");
}

/* Of each sequence of each file of the build: its text is that of its line. */
static int64_t follow(const char *dir)
{
    json_t *m = NULL, *f;
    size_t k;
    int64_t n = 0;
    OK(tree_load(&m, path_in(in_dir(dir), "build.json"), 1 << 20, &err));
    json_array_foreach(json_object_get(json_object_get(m, "tokens"), "files"), k, f) {
        struct shard s;
        struct file_map lines;
        OK(shard_open(&s, path_in(in_dir(dir), json_string_value(json_object_get(f, "path"))), &err));
        OK(file_map_open(&lines, path_in(in_dir(dir), json_string_value(json_object_get(f, "of"))), &err));
        assert_int_equal(json_integer_value(json_object_get(f, "sequences")), s.n_seq);
        const char *at = lines.data;
        for (int64_t i = 0; i < s.n_seq; i++, n++) {
            const char *end = strchr(at, '\n');
            json_t *o = json_loadb(at, (size_t)(end - at), 0, NULL);
            struct tok_ids ids = { 0 };
            const char *text = json_string_value(json_object_get(o, "text"));
            OK(tok_encode(tok, text, strlen(text), TOK_PLAIN, &ids, &err));
            const int64_t first = (int64_t)s.start[i] + (tok_eot(tok) >= 0);
            assert_int_equal(s.start[i + 1] - (uint64_t)first, ids.n);
            for (size_t j = 0; j < ids.n; j++)
                assert_int_equal(shard_id(&s, first + (int64_t)j), ids.id[j]);
            tok_ids_release(&ids);
            json_decref(o);
            at = end + 1;
        }
        assert_ptr_equal(at, lines.data + lines.size);
        file_map_close(&lines);
        shard_close(&s);
    }
    json_decref(m);
    return n;
}

static void erasing_keeps_lines_and_tokens_in_step(void **state)
{
    (void)state;
    json_t *m, *told, *now = NULL;
    OK(build("texts", "e1", 2, NULL, &m));
    const int64_t n = follow("e1");
    assert_int_equal(n, json_integer_value(json_object_get(m, "lines")));
    const struct erase_opts o = { .from = in_dir("e1"), .to = in_dir("e2"), .where = { { "text=green eyes" }, 1 } };
    OK(erase_run(&o, &told, &err));
    assert_int_equal(follow("e2"), n - json_integer_value(json_object_get(told, "lines")));
    OK(tree_load(&now, in_dir("e2/build.json"), 1 << 20, &err));
    const json_t *f = json_array_get(json_object_get(json_object_get(now, "tokens"), "files"), 0);
    char sum[SHA256_HEX];
    OK(sha256_of_file(path_in(in_dir("e2"), json_string_value(json_object_get(f, "path"))), sum, &err));
    assert_string_equal(sum, json_string_value(json_object_get(f, "sha256")));
    json_decref(now);
    json_decref(told);
    json_decref(m);
}

/* ---- what does not go ---- */

static int train_on(const char *train_path, const char *tokenizer, const char *more)
{
    struct train_result r;
    char text[2000];
    snprintf(text, sizeof text, DENSE "data: {train: %s, tokenizer: %s%s}\n" TRAIN "}\n", in_dir(train_path), tokenizer, more);
    write_text("run.yaml", text);
    OK(file_remove_tree(in_dir("no"), &err));
    return train("run.yaml", "no", 1, NULL, &r);
}

static void what_does_not_go_is_told(void **state)
{
    (void)state;
    json_t *m;
    assert_int_equal(build("chats", "no", 1, NULL, &m), ERR_USAGE);
    assert_non_null(strstr(err.msg, "a tokenizer without a chat template"));
    assert_int_equal(build("silent", "no", 1, chat, &m), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "silent.jsonl:2 (train/00000.jsonl:"));
    assert_non_null(strstr(err.msg, ": no message of an assistant: there is nothing to learn"));
    assert_false(file_exists(in_dir("no")));
    assert_int_equal(train_on("t1/tokens/train", "bpe", ""), ERR_USAGE);
    assert_non_null(strstr(err.msg, "data.tokenizer must name their tokenizer"));
    assert_int_equal(train_on("t1/tokens/train", in_dir("other"), ""), ERR_USAGE);
    assert_non_null(strstr(err.msg, "a token file is of the tokenizer"));
    assert_int_equal(train_on("t1/tokens/train", in_dir("tok"), ", fields: text=x"), ERR_USAGE);
    assert_non_null(strstr(err.msg, "data.fields says nothing about token files"));
    assert_int_equal(train_on("c1/tokens/train", in_dir("tok"), ""), ERR_RANGE);
    assert_non_null(strstr(err.msg, "records are longer than a window of 24 tokens"));
    OK(train_on("c1/tokens/train", in_dir("tok"), ", too_long: skip, valid_share: 0.1"));
    assert_int_equal(train_on("t1-lines/data/train.tok", in_dir("tok"), ""), 0);      /* a run's own, of sequences */
    char sum[SHA256_HEX];
    struct sequences q;
    OK(tok_digest(tok, true, sum, &err));
    fill(&q, 10, 5);
    q.ids.id[7] = 60000;
    OK(shard_write_sequences(in_dir("wild.tok"), &q, 0, 10, SHARD_STREAM, tok, sum, &err));
    sequences_release(&q);
    assert_int_equal(train_on("wild.tok", in_dir("tok"), ""), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "token 7 of a token file is 60000"));
}

/* ---- files ---- */

#define TEMPLATE "{% for m in messages %}{{ m.role }}: {{ m.content }}<|endoftext|>{% endfor %}"

static void write_tokenizer(const char *folder, int n)
{
    struct buf b;
    buf_init(&b);
    OK(file_mkdirs(in_dir(folder), &err));
    OK(file_read(in_dir("one.txt"), 1 << 20, &b, &err));
    tok_free(tok);
    OK(tok_train_bpe(&tok, &(struct tok_text){ b.data, b.len }, 1, n, &err));
    buf_clear(&b);
    OK(tok_write(tok, &b, &err));
    OK(file_write_all(path_in(in_dir(folder), "tokenizer.json"), b.data, b.len, &err));
    buf_clear(&b);
    OK(buf_add_str(&b, "{\"chat_template\": \"" TEMPLATE "\"}", &err));
    OK(file_write_all(path_in(in_dir(folder), "tokenizer_config.json"), b.data, b.len, &err));
    buf_release(&b);
}

static const char *word(int i, int k)
{
    static const char *const words[] = { "the", "cat", "sat", "on", "a", "mat", "and", "dog", "ran", "to", "house", "with", "green eyes", "quickly", "away", "caf\xc3\xa9" };
    return words[rng_below(9, (uint64_t)i * 100 + (uint64_t)k, 16)];
}

static void write_records(const char *name, int n, bool chats)
{
    struct buf b;
    buf_init(&b);
    for (int i = 0; i < n; i++) {
        OK(buf_add_str(&b, chats ? "{\"messages\": [{\"role\": \"user\", \"content\": \"" : "{\"text\": \"", &err));
        for (int k = 0; k < 5 + i % 20; k++)
            OK(buf_printf(&b, &err, "%s%s", word(i, k), chats && k == 2 ? "\"}, {\"role\": \"assistant\", \"content\": \"" : " "));
        OK(buf_add_str(&b, chats ? "\"}]}\n" : "\"}\n", &err));
    }
    OK(file_write_all(in_dir(name), b.data, b.len, &err));
    buf_release(&b);
}

static int make_files(void **state)
{
    if (set_up(state))
        return -1;
    write_tokenizer("other", 290);
    write_tokenizer("tok", 300);
    OK(chat_load(&chat, in_dir("tok"), NULL, &err));
    write_records("texts.jsonl", 900, false);
    write_records("chats.jsonl", 300, true);
    write_text("silent.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"one\"}, {\"role\": \"assistant\", \"content\": \"two\"}]}\n{\"messages\": [{\"role\": \"user\", \"content\": \"nobody answers\"}]}\n");
    audit("texts.jsonl", "texts");
    audit("chats.jsonl", "chats");
    audit("silent.jsonl", "silent");
    return 0;
}

static int clean_up(void **state)
{
    chat_free(chat);
    tok_free(tok);
    return remove_dir(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_put_together_are_the_whole),
        cmocka_unit_test(tokens_are_what_training_makes_of_the_lines),
        cmocka_unit_test(erasing_keeps_lines_and_tokens_in_step),
        cmocka_unit_test(what_does_not_go_is_told),
    };
    return cmocka_run_group_tests(tests, make_files, clean_up);
}
