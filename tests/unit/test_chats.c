/* test_chats.c - records that are chats: their text by turns, and back into the same JSON. */
#include "../test.h"
#include "audit/build.h"
#include "audit/erase.h"
#include "audit/extract.h"
#include "base/mem.h"
#include "base/tree.h"
#include "data/records.h"

static struct err err;

/* ---- one record ---- */

static const struct { const char *json, *text; enum record_fault fault; } cases[] = {
    { "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":\"a\\nb \\u00e9\"}]}", "hi\n\na\nb \xc3\xa9", EXTRACT_NONE },
    { " {\"id\": 7, \"conversations\": [{\"from\": \"human\", \"value\": \"one\"}, {\"from\": \"gpt\", \"value\": \"two\"}]} \r\n", "one\n\ntwo", EXTRACT_NONE },
    { "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"see\"},{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:,x\"}}]}]}", "see", EXTRACT_NONE },
    { "{\"messages\":[{\"role\":\"assistant\",\"content\":null,\"reasoning_content\":\"hm\",\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"find\",\"arguments\":\"{\\\"who\\\":\\\"Ann\\\"}\"}}]},"
      "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"here\"}]}", "hm\n\nfind\n\n{\"who\":\"Ann\"}\n\nhere", EXTRACT_NONE },
    { "{\"messages\":[{\"content\":[{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"find\",\"input\":{\"id\":\"ann@example.org\",\"n\":[1,{\"type\":\"deep\"}]}}]}]}", "find\n\nann@example.org\n\ndeep", EXTRACT_NONE },
    { "{\"messages\":[{\"role\":\"user\",\"cont\\u0065nt\":\"x\"}]}", "x", EXTRACT_NONE },
    { "{\"text\":\"a text\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", "a text", EXTRACT_NONE },
    { "{\"messages\":\"no list\"}", NULL, EXTRACT_NO_FIELD },
    { "{\"messages\":[\"hi\"]}", NULL, EXTRACT_NO_FIELD },
    { "{\"messages\":[]}", NULL, EXTRACT_EMPTY },
    { "{\"messages\":[{\"role\":\"user\",\"content\":\"\"},{\"role\":\"assistant\",\"content\":\" \"}]}", NULL, EXTRACT_EMPTY },
    { "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\",\"content\":\"ho\"}]}", NULL, EXTRACT_BAD_JSON },
    { "{\"messages\":[{\"role\":\"user\",\"content\":\"\\udc00\"}]}", NULL, EXTRACT_BAD_JSON },
};

static void a_chats_text_is_what_its_messages_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct extract x;
        const char *text;
        size_t n;
        struct err why = { 0 };
        extract_init(&x, RECORD_JSONL, NULL);
        const enum record_fault f = extract_text(&x, &(struct raw_record){ .data = cases[i].json, .n = strlen(cases[i].json) }, &text, &n, &why);
        if (f != cases[i].fault)
            fail_msg("%s: %s, %s", cases[i].json, record_fault_word(f), why.msg);
        if (!f) {
            assert_int_equal(n, strlen(cases[i].text));
            assert_memory_equal(text, cases[i].text, n);
            assert_int_equal(x.is_chat, strncmp(cases[i].json, "{\"text", 6) != 0);
            for (size_t k = 0; x.is_chat && k < x.chat.n; k++)
                assert_true(x.chat.piece[k].at + x.chat.piece[k].n <= n && *x.chat.piece[k].string.p == '"');
        }
        extract_release(&x);
    }
}

static int shout(void *ctx, const struct chat_piece *p, struct buf *out, struct err *e)
{
    const char *text = ctx;
    if (!memchr(text + p->at, 'a', p->n))
        return 0;
    TRY(buf_add(out, text + p->at, p->n, e));
    TRY(buf_add_str(out, "\"!", e));
    return 1;
}

static void only_what_changes_is_written_anew(void **state)
{
    (void)state;
    static const char record[] = " { \"n\" : 1.50, \"messages\":[ {\"content\" : \"\\u0061 b\" , \"role\":\"user\"},{\"role\":\"assistant\", \"content\":\"\\u00e9\"}] }\n";
    struct extract x;
    struct buf out;
    const char *text;
    size_t n;
    buf_init(&out);
    extract_init(&x, RECORD_JSONL, NULL);
    assert_int_equal(extract_text(&x, &(struct raw_record){ .data = record, .n = sizeof record - 1 }, &text, &n, &err), EXTRACT_NONE);
    OK(chat_text_write(&x.chat, x.raw, x.n_raw, shout, (void *)(uintptr_t)text, &out, &err));
    assert_string_equal(out.data, "{ \"n\" : 1.50, \"messages\":[ {\"content\" : \"a b\\\"!\" , \"role\":\"user\"},{\"role\":\"assistant\", \"content\":\"\\u00e9\"}] }");
    extract_release(&x);
    buf_release(&out);
}

/* ---- all of them ---- */

static const char *const lines[] = {
    "{\"messages\": [{\"role\": \"user\", \"content\": \"Who wrote the letter of May?\"}, {\"role\": \"assistant\", \"content\": \"Ann did: ann.lee@example.org\"}], \"score\": 1.0}",
    "{\"messages\": [{\"role\": \"user\", \"content\": \"Is caf\\u00e9 a word?\"}, {\"role\": \"assistant\", \"content\": \"Yes.\"}]}",
    "{\"messages\": [{\"role\": \"user\", \"content\": \"Is caf\\u00e9 a word?\"}, {\"role\": \"assistant\", \"content\": \"Yes.\"}], \"id\": \"a copy\"}",
    "{\"messages\": [{\"role\": \"user\", \"content\": \"Write to bob@example.net\"}, {\"role\": \"assistant\", \"content\": \"And to ann.lee@example.org?\", \"name\": \"helper\"}], \"who\": \"bob\"}",
};
static const char *const built[] = {
    "{\"messages\": [{\"role\": \"user\", \"content\": \"Who wrote the letter of May?\"}, {\"role\": \"assistant\", \"content\": \"Ann did: <EMAIL_ADDRESS>\"}], \"score\": 1.0}\n",
    "{\"messages\": [{\"role\": \"user\", \"content\": \"Is caf\\u00e9 a word?\"}, {\"role\": \"assistant\", \"content\": \"Yes.\"}]}\n",
    "{\"messages\": [{\"role\": \"user\", \"content\": \"Write to <EMAIL_ADDRESS>\"}, {\"role\": \"assistant\", \"content\": \"And to <EMAIL_ADDRESS>?\", \"name\": \"helper\"}], \"who\": \"bob\"}\n",
};

static json_t *audit(const char *sources, const char *dir)
{
    struct sources s = { .n = 0 };
    struct pool *pool;
    struct pii *pii;
    json_t *report;
    OK(pool_new(&pool, 2, &err));
    OK(pii_new(&pii, &err));
    OK(sources_add(&s, in_dir(sources), &err));
    const struct audit_opts o = { .dir = in_dir(dir), .pool = pool, .pii = pii };
    OK(audit_run(&s, &o, &report, &err));
    sources_release(&s);
    pii_free(pii);
    pool_free(pool);
    return report;
}

static const char *weights = "";

static int build(const char *from, const char *to, const char *splits)
{
    struct opened x;
    struct pool *pool;
    json_t *m = NULL;
    struct build_opts o = { .dir = in_dir(to), .seed = 1, .shard_bytes = 1 << 20 };
    OK(pool_new(&pool, 2, &err));
    OK(build_splits(&o, splits, &err));
    OK(opened_open(&x, in_dir(from), pool, &err));
    OK(build_weights(&o, weights, &x.s, &err));
    const int rc = build_run(&x, &o, &m, &err);
    mem_free(o.weight);
    json_decref(m);
    opened_close(&x);
    pool_free(pool);
    return rc;
}

static void same_file(const char *name, const char *text)
{
    struct buf b;
    buf_init(&b);
    OK(file_read(in_dir(name), 1 << 20, &b, &err));
    assert_string_equal(b.data, text);
    buf_release(&b);
}

static void chats_are_audited_redacted_and_built(void **state)
{
    (void)state;
    json_t *report = audit("chats.jsonl", "seen");
    const json_t *totals = json_object_get(report, "totals");
    assert_int_equal(json_integer_value(json_object_get(totals, "kept")), 3);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(totals, "dropped"), "dup_exact")), 1);
    json_decref(report);
    OK(build("seen", "v1", "train=1"));
    char all[1000];
    snprintf(all, sizeof all, "%s%s%s", built[0], built[1], built[2]);
    same_file("v1/train/00000.jsonl", all);
    struct text_list l = { 0 };                      /* and training knows them */
    enum data_form form;
    OK(text_add(&l, in_dir("v1/train"), &err));
    OK(records_form(&l, &(struct records_opts){ .form = FORM_AUTO }, &form, &err));
    assert_int_equal(form, FORM_CHAT);
    text_release(&l);
    json_t *told;
    const struct erase_opts o = { .from = in_dir("v1"), .to = in_dir("v2"), .where = { { "text=letter of May", "who=bob" }, 2 } };
    OK(erase_run(&o, &told, &err));
    json_decref(told);
    same_file("v2/train/00000.jsonl", built[1]);
}

static void a_split_has_chats_or_texts(void **state)
{
    (void)state;
    json_decref(audit("mixed.yaml", "mixed"));
    assert_int_equal(build("mixed", "m1", "train=1"), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "the split 'train' would have both chats and texts"));
    assert_false(file_exists(in_dir("m1")));
    weights = "c=0";                                 /* no line of them is written */
    OK(build("mixed", "m2", "train=1"));
    weights = "";
    same_file("m2/train/00000.jsonl", "{\"text\":\"some words\"}\n");
    json_decref(audit("apart.yaml", "apart"));
    OK(build("apart", "m1", "train=1"));
    same_file("m1/words/00000.jsonl", "{\"text\":\"some words\"}\n");
}

static int make_files(void **state)
{
    static const char mixed[] = "sources:\n  - {name: c, path: chats.jsonl, field: messages}\n  - {name: t, path: t.txt}\n", apart[] = "sources:\n  - {name: c, path: chats.jsonl}\n  - {name: t, path: t.txt, split: words}\n";
    char all[2000] = "";
    if (make_dir(state))
        return -1;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        strcat(strcat(all, lines[i]), "\n");
    return file_write_all(in_dir("chats.jsonl"), all, strlen(all), NULL) || file_write_all(in_dir("t.txt"), "some words", 10, NULL) || file_write_all(in_dir("mixed.yaml"), mixed, sizeof mixed - 1, NULL) ||
           file_write_all(in_dir("apart.yaml"), apart, sizeof apart - 1, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chats_text_is_what_its_messages_say),
        cmocka_unit_test(only_what_changes_is_written_anew),
        cmocka_unit_test(chats_are_audited_redacted_and_built),
        cmocka_unit_test(a_split_has_chats_or_texts),
    };
    return cmocka_run_group_tests(tests, make_files, remove_dir);
}
