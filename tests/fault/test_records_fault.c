/* test_records_fault.c - the n-th allocation fails while records are read, rendered, encoded, written, opened and packed: an error,
 * no crash, no leak, and a result that is whole when the failure went unnoticed. */
#include "each_allocation.h"
#include "base/log.h"
#include "data/loader.h"
#include "data/records.h"

static struct err err;
static struct tok *tok;
static struct chat *chat;
static const char digest[SHA256_HEX] = "0123";

static int read_and_pack(const char *name, enum data_form form, int64_t n_seq, int64_t n_id)
{
    struct text_list l = { 0 };
    struct records r = { 0 };
    struct shard s = { 0 };
    struct loader p = { 0 };
    struct records_opts o = { .form = FORM_AUTO, .tok = tok, .chat = chat, .ctx = 500 };
    int rc = text_add(&l, in_dir(name), &err);
    if (!rc)
        rc = records_form(&l, &o, &o.form, &err);
    if (!rc)
        rc = records_encode(&r, &l, &o, &err);
    if (!rc && (o.form != form || r.q.n != n_seq || (n_id && (int64_t)r.q.ids.n != n_id)))
        fail_msg("a failure went unnoticed: %lld sequences, %zu ids", (long long)r.q.n, r.q.ids.n);
    if (!rc)
        rc = shard_write_sequences(in_dir("s.tok"), &r.q, 0, r.q.n, data_form_kind(form), tok, digest, &err);
    if (!rc)
        rc = shard_open(&s, in_dir("s.tok"), &err);
    if (!rc)
        rc = loader_init_pass(&p, &s, 2, 500, true, &err);
    loader_release(&p);
    shard_close(&s);
    records_release(&r);
    text_release(&l);
    return rc;
}

static int gather(const char *name, int64_t n_text)
{
    struct text_list l = { 0 };
    struct record_texts t = { 0 };
    struct records_opts o = { .form = FORM_AUTO, .chat = chat };
    int rc = text_add(&l, in_dir(name), &err);
    if (!rc)
        rc = records_form(&l, &o, &o.form, &err);
    if (!rc)
        rc = records_texts(&t, &l, &o, &err);
    if (!rc)
        assert_int_equal(t.n, n_text);
    record_texts_release(&t);
    text_release(&l);
    return rc;
}

struct file { const char *name, *text; enum data_form form; int64_t n_seq; };

static int run(void *ctx)
{
    const struct file *f = ctx;
    const int rc = read_and_pack(f->name, f->form, f->n_seq, 0);
    return rc < 0 ? rc : gather(f->name, f->form == FORM_PREFERENCE ? 1 : f->n_seq);
}

static void every_failed_allocation_is_an_error_without_a_leak(void **state)
{
    (void)state;
    static struct file files[] = {
        { "c.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"b\"}]}\n", FORM_CHAT, 1 },
        { "p.jsonl", "{\"prompt\": \"a\", \"chosen\": [{\"role\": \"assistant\", \"content\": \"b\"}], \"rejected\": \"c\"}\n", FORM_PREFERENCE, 2 },
        { "t.csv", "text,n\nsome,1\n\"te\"\"xt\",2\n", FORM_TEXT, 2 },
    };
    static const char template[] = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";
    const struct chat_source src = { "default", template, sizeof template - 1 };
    log_level_set(LOG_QUIET);
    OK(tok_load(&tok, "tests/golden/tok", &err));
    OK(chat_new(&chat, &src, 1, NULL, &err));
    for (size_t i = 0; i < 3; i++) {
        OK(file_write_all(in_dir(files[i].name), files[i].text, strlen(files[i].text), &err));
        OK(run(&files[i]));
        assert_true(each_allocation(run, &files[i], true) > 30);
    }
    chat_free(chat);
    tok_free(tok);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_failed_allocation_is_an_error_without_a_leak) };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
