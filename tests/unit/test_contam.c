/* test_contam.c - evaluation sets are read in their forms, and found in texts as an independent implementation finds them (tools/golden/contam.py). */
#include <jansson.h>
#include <math.h>
#include "../test.h"
#include "audit/contam.h"
#include "audit/json_scan.h"
#include "audit/reader.h"

static struct err err;

static void write_file(const char *name, const char *text) { OK(file_write_all(in_dir(name), text, strlen(text), &err)); }

static void read_refs(struct refs *r, const char *path, const char *name)
{
    refs_init(r);
    OK(refs_add(r, &(struct ref_spec){ .path = path, .name = name, .format = N_REF_FORMAT }, &err));
}

/* ---- reading ---- */

static void expect_text(const struct refs *r, int64_t item, enum ref_part part, const char *want)
{
    size_t n;
    const char *s = refs_text(r, item, part, &n);
    assert_int_equal(n, strlen(want));
    assert_memory_equal(s, want, n);
}

static const struct { const char *file, *text; struct ref_spec spec; int n; const char *part[N_REF_PART]; } forms[] = {
    { "a.jsonl", "# a comment\n{\"question\":\"Why\\u003f\",\"answer\":42,\"passage\":null}\n\n", { .format = N_REF_FORMAT }, 1, { "Why?", "42", "" } },
    { "a.jsonl", "{\"q\":\"one\",\"x\":\"two\",\"y\":\"three\",\"z\":true}\n", { .format = N_REF_FORMAT, .question = "q", .answer = "y+z", .passage = "x" }, 1, { "one", "three true", "two" } },
    { "a.jsonl", "{\"goal\":\"g\",\"sol1\":\"s\",\"sol2\":\"t\"}\n{\"goal\":\"h\"}\n", { .format = N_REF_FORMAT }, 2, { "g", "s t", "" } },
    { "a.csv", "id,Question,Best Answer\n1,\"a, b\",c\n2,d,\"e\n\"\"f\"\"\"\n", { .format = N_REF_FORMAT }, 2, { "a, b", "c", "" } },
    { "a.tsv", "context\tquestion\np\tq\n", { .format = N_REF_FORMAT }, 1, { "q", "", "p" } },
    { "a.csv", "\"q, 1\",0,4,2,6,B\nq2,w,x,y,z,D\n", { .format = N_REF_FORMAT }, 2, { "q, 1", "4", "" } },
    { "a.csv", "q2,w,x,y,z,D\n", { .format = REF_MMLU }, 1, { "q2", "z", "" } },
    { "a.csv", "w,x,y\n", { .format = N_REF_FORMAT, .question = "3", .answer = "1+2" }, 1, { "y", "w x", "" } },
    { "a.tsv", "id\tquestion\n1\ta 5\" disk\n2\tnext\n3\tand 3\"\n", { .format = N_REF_FORMAT }, 3, { "a 5\" disk", "", "" } },
    { "a.v2.json", "{\"question\":\"a\"}\n{\"question\":\"b\"}\n", { .format = N_REF_FORMAT }, 2, { "a", "", "" } },
    { "a.txt", "first line\r\n\nsecond\n", { .format = N_REF_FORMAT }, 2, { "first line", "", "" } },
    { "hellaswag_val.txt", "ctx a\n2\ne0\ne1\ne2\ne3\nctx b\n0\nf0\nf1\nf2\nf3\n", { .format = N_REF_FORMAT }, 2, { "ctx a", "e2", "" } },
};

static void each_form_of_a_set_is_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct refs r;
        struct ref_spec spec = forms[i].spec;
        write_file(forms[i].file, forms[i].text);
        spec.path = in_dir(forms[i].file);
        refs_init(&r);
        OK(refs_add(&r, &spec, &err));
        assert_int_equal(r.n_item, forms[i].n);
        assert_int_equal(r.n_set, 1);
        assert_string_equal(r.set[0].name, strchr(forms[i].file, 'h') ? "hellaswag_val" : "a");
        for (int p = 0; p < N_REF_PART; p++)
            expect_text(&r, 0, (enum ref_part)p, forms[i].part[p]);
        refs_release(&r);
    }
}

static const struct { const char *file, *text, *question, *fault; } wrongs[] = {
    { "b.jsonl", "{\"question\":\"a\"}\n{\"question\":\"b\"\n", NULL, "line 2: the JSON ends at byte 16, expected ',' or '}'" },
    { "b.jsonl", "{\"question\":[1]}\n", NULL, "line 1: the member 'question' is a list, expected a text" },
    { "b.jsonl", "{\"question\":\"a\"}\n", "prompt", "line 1: there is no member 'prompt'" },
    { "b.jsonl", "{\"x\":\"a\"}\n", NULL, "there is no item with a question in" },
    { "b.jsonl", "{\"question\":\"\xff\"}\n", NULL, "which is not UTF-8" },
    { "b.csv", "x,y\n1,2\n", NULL, "line 1: no column has a name known for questions" },
    { "b.csv", "x,y\n1,2\n", "z", "line 1: there is no column 'z'" },
    { "b.csv", "question,y\n1,2\n1,2,3\n", NULL, "3 fields, expected 2 as in the header" },
    { "b.csv", "q,1,2,3,4,A\nq,1,2,3,4,E\n", NULL, "line 2: expected a question, four choices and one of A, B, C, D" },
    { "hellaswag.txt", "a\n4\n", NULL, "line 2: '4' is no number of an ending, expected 0, 1, 2 or 3" },
    { "hellaswag.txt", "a\n3\nb\n", NULL, "line 3: the last item has 3 lines, expected 6" },
    { "b.txt", "ab\xffz\n", NULL, "line 1: byte 2 of question is 0xff, which is not UTF-8" },
};

static void what_is_wrong_in_a_set_is_told_with_its_line(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        struct refs r;
        write_file(wrongs[i].file, wrongs[i].text);
        refs_init(&r);
        assert_int_equal(refs_add(&r, &(struct ref_spec){ .path = in_dir(wrongs[i].file), .format = N_REF_FORMAT, .question = wrongs[i].question }, &err), ERR_FORMAT);
        if (!strstr(err.msg, wrongs[i].fault) || !strstr(err.msg, wrongs[i].file))
            fail_msg("%s: %s", wrongs[i].fault, err.msg);
        refs_release(&r);
    }
    struct refs r;
    refs_init(&r);
    assert_int_equal(refs_add(&r, &(struct ref_spec){ .path = in_dir("nowhere"), .format = N_REF_FORMAT }, &err), ERR_NOTFOUND);
    refs_release(&r);
}

static void items_are_kept_once_and_by_the_set_they_name(void **state)
{
    (void)state;
    struct refs r;
    write_file("c.jsonl", "{\"eval_key\":\"x\",\"question\":\"a\",\"fingerprint\":\"1\"}\n{\"eval_key\":\"x\",\"question\":\"b\",\"fingerprint\":\"1\"}\n"
                          "{\"eval_key\":\"y\",\"question\":\"c\",\"fingerprint\":\"1\"}\n{\"question\":\" \"}\n");
    read_refs(&r, in_dir("c.jsonl"), "given");
    assert_int_equal(r.n_item, 2);
    assert_int_equal(r.n_set, 3);
    assert_string_equal(r.set[0].name, "x");
    assert_int_equal(r.set[0].n_item, 1);
    assert_int_equal(r.set[0].n_same, 1);
    assert_int_equal(r.set[1].n_item, 1);
    assert_string_equal(r.set[2].name, "given");
    assert_int_equal(r.set[2].n_without, 1);
    assert_int_equal(r.item[1].set, 1);
    assert_int_equal(r.item[1].line, 3);
    refs_release(&r);
}

/* The evaluation sets that people have, as they have them. */
static void real_sets_are_read(void **state)
{
    (void)state;
    static const struct { const char *path; int n; const char *question, *answer; } sets[] = {
        { "eval-gsm8k/test.jsonl", 1319, "Janet", "Janet sells" },
        { "eval-lambada/lambada_test.jsonl", 5153, "In my palm is a clear stone", "" },
        { "eval-piqa/valid.jsonl", 1838, "How do I ready a guinea pig cage", "Provide the guinea pig" },
        { "eval-truthfulqa/TruthfulQA.csv", 813, "Why do veins appear blue?", "Veins appear blue because" },
        { "eval-humaneval/HumanEval.jsonl.gz", 164, "from typing import List", "    for idx, elem" },
        { "eval-mmlu/test/abstract_algebra_test.csv", 100, "Find the degree for the given field extension", "4" },
        { "contamination-decon/gsm8k_test-1.jsonl.gz", 1319, "Janet", "Janet sells" },
        { "contamination-decon/mmlu_dev-1.jsonl.gz", 1140, "Find all c in Z_3", "0" },
    };
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        struct refs r;
        size_t n;
        read_refs(&r, shared(sets[i].path), NULL);
        if (r.n_item + r.set[0].n_same != sets[i].n)
            fail_msg("%s: %lld items, expected %d", sets[i].path, (long long)r.n_item, sets[i].n);
        if (strncmp(refs_text(&r, 0, REF_QUESTION, &n), sets[i].question, strlen(sets[i].question)) ||
            strncmp(refs_text(&r, 0, REF_ANSWER, &n), sets[i].answer, strlen(sets[i].answer)))
            fail_msg("%s: %.60s | %.60s", sets[i].path, refs_text(&r, 0, REF_QUESTION, &n), refs_text(&r, 0, REF_ANSWER, &n));
        refs_release(&r);
    }
}

/* ---- finding ---- */

struct texts_read { struct buf *b; size_t n; };

static struct texts_read read_texts(const char *path)
{
    struct texts_read t = { .b = calloc(1000, sizeof *t.b) };
    struct reader *file;
    struct raw_record raw;
    const char *name = "text";
    OK(reader_open(&file, path, &(struct reader_opts){ .format = RECORD_JSONL }, &err));
    while (reader_next(file, &raw, &err) > 0) {
        struct json_span s;
        assert_true(t.n < 1000);
        buf_init(&t.b[t.n]);
        OK(json_scan_members(raw.data, raw.n, &name, 1, &s, &err));
        OK(json_scan_string(s, &t.b[t.n++], &err));
    }
    reader_free(file);
    return t;
}

static void free_texts(struct texts_read t)
{
    for (size_t i = 0; i < t.n; i++)
        buf_release(&t.b[i]);
    free(t.b);
}

static void check_hits(const json_t *want, const struct contam_found *f, enum contam_method m, size_t record)
{
    size_t k = 0;
    for (size_t i = 0; i < f->n_hit; i++) {
        const struct contam_hit *h = &f->hit[i];
        if (h->method != m)
            continue;
        const json_t *w = json_array_get(want, k++);
        if (!w)
            fail_msg("%s, record %zu: item %u is too much", contam_method_name(m), record, h->item);
        const long long item = json_integer_value(json_array_get(w, 1)), at = json_integer_value(json_array_get(w, 3)), n = json_integer_value(json_array_get(w, 4));
        const double score = json_number_value(json_array_get(w, 2));
        if (item != h->item || at != h->at || n != h->n || !(fabs(score - (double)h->score) < 2e-6))
            fail_msg("%s, record %zu: item %u, score %.8g, %u bytes at %u, expected item %lld, score %.8g, %lld bytes at %lld", contam_method_name(m), record, h->item,
                     (double)h->score, h->n, h->at, item, score, n, at);
    }
    if (k != json_array_size(want))
        fail_msg("%s, record %zu: %zu items, expected %zu", contam_method_name(m), record, k, json_array_size(want));
}

static void check_items(const json_t *want, const struct contam_tally *t, enum contam_method m)
{
    assert_int_equal(json_array_size(want), contam_refs(contam_tally_index(t))->n_item);
    for (size_t i = 0; i < json_array_size(want); i++) {
        const json_t *w = json_array_get(want, i);
        const struct contam_item x = contam_tally_item(t, (int64_t)i, m);
        const long long n = json_integer_value(json_array_get(w, 0)), longest = json_integer_value(json_array_get(w, 2));
        const double share = json_number_value(json_array_get(w, 1));
        if (n != x.n || longest != x.longest || !(fabs(share - x.share) < 2e-6) || json_is_true(json_array_get(w, 3)) != x.dirty)
            fail_msg("%s, item %zu: n %u, share %g, longest %u, dirty %d, expected n %lld, share %g, longest %lld", contam_method_name(m), i, x.n, x.share, x.longest, x.dirty,
                     n, share, longest);
    }
}

static struct contam_tally *run(const struct contam *c, struct texts_read texts, const json_t *want, const char *const *name)
{
    struct contam_state *s;
    struct contam_tally *t;
    struct contam_found f;
    OK(contam_state_new(&s, c, &err));
    OK(contam_tally_new(&t, c, &err));
    for (size_t i = 0; i < texts.n; i++) {
        OK(contam_record(c, s, texts.b[i].data, texts.b[i].len, &f, &err));
        assert_int_equal(f.n_more, 0);
        contam_tally_add(t, &f);
        for (int m = 0; m < N_CONTAM_METHOD; m++)
            if (name[m])
                check_hits(json_array_get(json_object_get(json_object_get(want, name[m]), "hits"), i), &f, (enum contam_method)m, i);
    }
    for (int m = 0; m < N_CONTAM_METHOD; m++)
        if (name[m])
            check_items(json_object_get(json_object_get(want, name[m]), "items"), t, (enum contam_method)m);
    contam_state_free(s);
    return t;
}

static void found_is_what_the_formulas_say(const struct tok *tok, const char *const *name)
{
    struct refs r;
    struct contam *c;
    struct contam_opts o;
    struct texts_read texts = read_texts("tests/golden/contam/texts.jsonl");
    json_t *all = json_load_file("tests/golden/contam/want.json", 0, NULL);
    assert_non_null(all);
    read_refs(&r, "tests/golden/contam/refs.jsonl", NULL);
    contam_defaults(&o, tok);
    OK(contam_new(&c, &r, &o, &err));
    struct contam_tally *t = run(c, texts, json_object_get(all, "methods"), name);
    contam_tally_free(t);
    contam_free(c);
    refs_release(&r);
    json_decref(all);
    free_texts(texts);
}

static void each_method_finds_what_its_formula_says(void **state)
{
    (void)state;
    found_is_what_the_formulas_say(NULL, (const char *const[]){ "gpt3", "palm", "llama2", NULL, "decon" });
}

static void decon_over_tokens_finds_what_decon_finds(void **state)
{
    (void)state;
    struct tok *tok;
    OK(tok_load(&tok, shared("tiktoken-ranks/cl100k_base.tiktoken"), &err));
    found_is_what_the_formulas_say(tok, (const char *const[]){ "gpt3", "palm", "llama2", NULL, "decon cl100k" });
    tok_free(tok);
}

/* datatrove's own code on the same texts (tools/golden/contam_datatrove.py). */
static void datatrove_finds_the_same(void **state)
{
    (void)state;
    struct refs r;
    struct contam *c;
    struct contam_opts o;
    struct contam_state *s;
    struct contam_tally *t;
    struct contam_found f;
    struct texts_read texts = read_texts("tests/golden/contam/texts.jsonl");
    json_t *want = json_load_file("tests/golden/contam/datatrove.json", 0, NULL);
    assert_non_null(want);
    read_refs(&r, "tests/golden/contam/refs.jsonl", NULL);
    contam_defaults(&o, NULL);
    o.methods = 1u << CONTAM_DATATROVE;
    OK(contam_new(&c, &r, &o, &err));
    OK(contam_state_new(&s, c, &err));
    OK(contam_tally_new(&t, c, &err));
    for (size_t i = 0; i < texts.n; i++) {
        OK(contam_record(c, s, texts.b[i].data, texts.b[i].len, &f, &err));
        contam_tally_add(t, &f);
        const json_t *list = json_array_get(json_object_get(want, "hits"), i);
        assert_int_equal(f.n_hit > 0, json_is_true(json_array_get(json_object_get(want, "dropped"), i)));
        assert_int_equal(f.n_hit, json_array_size(list));
        for (size_t k = 0; k < f.n_hit; k++) {
            const double share = json_number_value(json_array_get(json_array_get(list, k), 1));
            if (json_integer_value(json_array_get(json_array_get(list, k), 0)) != f.hit[k].item || !(fabs(share - (double)f.hit[k].score) < 1e-6))
                fail_msg("record %zu: item %u, share %g, expected %g", i, f.hit[k].item, (double)f.hit[k].score, share);
            assert_true(f.hit[k].at + f.hit[k].n <= texts.b[i].len);
        }
    }
    for (size_t i = 0; i < (size_t)r.n_item; i++) {
        const json_t *w = json_array_get(json_object_get(want, "items"), i);
        const struct contam_item x = contam_tally_item(t, (int64_t)i, CONTAM_DATATROVE);
        assert_int_equal(x.n, json_integer_value(json_array_get(w, 0)));
        assert_true(fabs(x.share - json_number_value(json_array_get(w, 1))) < 1e-6);
        assert_int_equal(x.dirty, x.share > 0);
    }
    contam_tally_free(t);
    contam_state_free(s);
    contam_free(c);
    refs_release(&r);
    json_decref(want);
    free_texts(texts);
}

/* ---- decon's fixtures ---- */

struct fixture { const char *root; struct tok *tok; int n_hit; struct { int record; uint32_t item; float score; } hit[100]; };

/* With min_units and min_words 0, as decon's tests have them. */
static void run_fixture(struct fixture *x, const char *ref, const char *train, const struct decon_opts *o)
{
    char path[500];
    struct refs r;
    struct decon *d;
    struct decon_state *s;
    struct units u;
    snprintf(path, sizeof path, "%s/reference/%s", x->root, ref);
    read_refs(&r, path, NULL);
    OK(decon_new(&d, &r, x->tok, o, &err));
    OK(decon_state_new(&s, d, &err));
    units_init(&u);
    snprintf(path, sizeof path, "%s/training/%s", x->root, train);
    struct texts_read texts = read_texts(path);
    x->n_hit = 0;
    for (size_t i = 0; i < texts.n; i++) {
        const struct decon_hit *h;
        size_t n;
        OK(units_of(&u, decon_units(d), x->tok, texts.b[i].data, texts.b[i].len, &err));
        OK(decon_find(d, s, &u, &h, &n, &err));
        for (size_t k = 0; k < n; k++, x->n_hit++)
            x->hit[x->n_hit].record = (int)i, x->hit[x->n_hit].item = h[k].item, x->hit[x->n_hit].score = h[k].score;
    }
    free_texts(texts);
    units_release(&u);
    decon_state_free(s);
    decon_free(d);
    refs_release(&r);
}

static void open_fixtures(struct fixture *x, struct decon_opts *o)
{
    x->root = strdup(shared("contamination-decon"));
    OK(tok_load(&x->tok, shared("tiktoken-ranks/cl100k_base.tiktoken"), &err));
    decon_defaults(o, false);
    o->min_units = o->min_words = 0;
}

static void close_fixtures(struct fixture *x)
{
    free((char *)x->root);
    tok_free(x->tok);
}

static bool hits(const struct fixture *x, int record, int item)
{
    for (int i = 0; i < x->n_hit; i++)
        if (x->hit[i].record == record && x->hit[i].item == (uint32_t)item)
            return true;
    return false;
}

#define QAP "passage_question_answer_reference.jsonl"
/* tests/detect_integration_test.rs and sampling_test.rs at e1bcb80: what they assert.  record -1: nothing is found; item -1: any. */
static const struct { const char *ref, *train; int ngram, sample, misses, record, item; } demands[] = {
    { QAP, "contaminated_mixed.jsonl", 5, 1, 11, 0, 0 },
    { QAP, "contaminated_mixed.jsonl", 5, 1, 11, 3, 1 },
    { QAP, "contaminated_mixed.jsonl.gz", 5, 1, 11, 0, 0 },
    { QAP, "contaminated_mixed.jsonl.zst", 5, 1, 11, 0, 0 },
    { QAP, "contaminated_mixed.jsonl", 3, 1, 11, 0, -1 },
    { QAP, "clean.jsonl", 5, 1, 11, -1, -1 },
    { QAP, "contaminated_middle_position.jsonl", 5, 1, 11, 0, 0 },
    { QAP, "contaminated_at_beginning.jsonl", 5, 1, 11, 0, 0 },
    { QAP, "contaminated_at_end.jsonl", 5, 1, 11, 0, 0 },
    { QAP, "contaminated_multiple_in_one.jsonl", 5, 1, 11, 0, 0 },
    { QAP, "contaminated_multiple_in_one.jsonl", 5, 1, 11, 0, 1 },
    { "question_reference.jsonl", "contaminated_punctuation_variation.jsonl", 5, 1, 11, 0, 0 },
    { QAP, "long_document.jsonl", 5, 219, 5, 0, -1 },            /* the question's n-gram stands at token 219 */
    { QAP, "long_document.jsonl", 5, 600, 1, -1, -1 },
};

static void decons_tests_hold(void **state)
{
    (void)state;
    struct fixture x;
    struct decon_opts o;
    open_fixtures(&x, &o);
    for (size_t i = 0; i < sizeof demands / sizeof *demands; i++) {
        o.ngram = demands[i].ngram, o.sample = demands[i].sample, o.misses = demands[i].misses;
        run_fixture(&x, demands[i].ref, demands[i].train, &o);
        const int record = demands[i].record, item = demands[i].item;
        if (record < 0 ? x.n_hit > 0 : item < 0 ? !x.n_hit || x.hit[0].record != record : !hits(&x, record, item))
            fail_msg("%s, %s, %d-grams: %d items, expected item %d in record %d", demands[i].ref, demands[i].train, o.ngram, x.n_hit, item, record);
    }
    close_fixtures(&x);
}

/* All three references against all texts, by decon's four test configurations: the same hits and scores as the independent implementation. */
static void decons_fixtures_score_the_same(void **state)
{
    (void)state;
    struct fixture x;
    struct decon_opts o;
    FILE *f = fopen("tests/golden/contam/fixtures.jsonl", "r");
    char line[8000];
    int n = 0, n_hit = 0;
    assert_non_null(f);
    open_fixtures(&x, &o);
    for (; fgets(line, sizeof line, f); n++) {
        json_t *want = json_loads(line, 0, NULL);
        const char *ref = json_string_value(json_array_get(want, 0)), *train = json_string_value(json_array_get(want, 1)), *config = json_string_value(json_array_get(want, 2));
        const json_t *list = json_array_get(want, 3);
        o.sample = strcmp(config, "default") ? 10 : 1;
        o.limit = strcmp(config, "low_threshold") ? 0.8 : 0.1;
        run_fixture(&x, ref, train, &o);
        if (x.n_hit != (int)json_array_size(list))
            fail_msg("%s, %s, %s: %d hits, expected %zu", ref, train, config, x.n_hit, json_array_size(list));
        for (int k = 0; k < x.n_hit; k++) {
            const json_t *w = json_array_get(list, (size_t)k);
            if (json_integer_value(json_array_get(w, 0)) != x.hit[k].record || json_integer_value(json_array_get(w, 1)) != x.hit[k].item ||
                !(fabs(json_number_value(json_array_get(w, 2)) - (double)x.hit[k].score) < 2e-6))
                fail_msg("%s, %s, %s: record %d item %u score %g", ref, train, config, x.hit[k].record, x.hit[k].item, (double)x.hit[k].score);
        }
        n_hit += x.n_hit;
        json_decref(want);
    }
    fclose(f);
    close_fixtures(&x);
    assert_int_equal(n, 3 * 13 * 4);
    assert_true(n_hit > 50);
}

/* ---- limits ---- */

static void many_items_of_one_n_gram_are_the_best_few_and_a_number(void **state)
{
    (void)state;
    struct refs r;
    struct contam *c;
    struct contam_state *s;
    struct contam_found f;
    struct contam_opts o;
    struct contam_tally *t;
    struct buf b;
    buf_init(&b);
    for (int i = 0; i < 100; i++)
        OK(buf_printf(&b, &err, "one two three four five six seven eight nine ten eleven twelve thirteen%s no%d\n", i == 70 ? "" : " and more words", i));
    OK(file_write_all(in_dir("d.txt"), b.data, b.len, &err));
    read_refs(&r, in_dir("d.txt"), NULL);
    contam_defaults(&o, NULL);
    o.methods = 1u << CONTAM_GPT3;
    OK(contam_new(&c, &r, &o, &err));
    OK(contam_state_new(&s, c, &err));
    OK(contam_tally_new(&t, c, &err));
    const char *text = "So: one two three four five six seven eight nine ten eleven twelve thirteen.";
    OK(contam_record(c, s, text, strlen(text), &f, &err));
    contam_tally_add(t, &f);
    assert_int_equal(f.n_hit, CONTAM_HITS_MAX);
    assert_int_equal(f.n_more, 100 - CONTAM_HITS_MAX);
    assert_int_equal(f.hit[CONTAM_HITS_MAX - 1].item, 70);       /* the one with the highest share, and then the first */
    assert_int_equal(f.hit[CONTAM_HITS_MAX - 2].item, 62);
    assert_int_equal(f.hit[0].at, 4);
    assert_int_equal(f.hit[0].n, strlen(text) - 5);
    const struct contam_set set = contam_tally_set(t, 0, CONTAM_GPT3);
    assert_int_equal(set.n_item, 100);
    assert_int_equal(set.n_dirty, 100);
    assert_int_equal(set.n_record, 1);
    assert_int_equal(set.n_short, 0);
    contam_tally_free(t);
    contam_state_free(s);
    contam_free(c);
    refs_release(&r);
    buf_release(&b);
}

/* A text that is a whole set: decon's hits are cut, what is known of the items is not. */
static void all_items_of_a_set_in_one_record_are_dirty(void **state)
{
    (void)state;
    struct refs r;
    struct contam *c;
    struct contam_state *s;
    struct contam_found f;
    struct contam_opts o;
    struct contam_tally *t;
    struct buf b;
    buf_init(&b);
    for (int i = 0; i < 200; i++) {
        for (int k = 0; k < 20; k++)
            OK(buf_printf(&b, &err, "w%d%c", (i * 20 + k) * 7919 % 100003, k < 19 ? ' ' : '\n'));
    }
    OK(file_write_all(in_dir("e.txt"), b.data, b.len, &err));
    read_refs(&r, in_dir("e.txt"), NULL);
    contam_defaults(&o, NULL);
    o.methods = 1u << CONTAM_DECON | 1u << CONTAM_GPT3;
    OK(contam_new(&c, &r, &o, &err));
    OK(contam_state_new(&s, c, &err));
    OK(contam_tally_new(&t, c, &err));
    OK(contam_record(c, s, b.data, b.len, &f, &err));
    contam_tally_add(t, &f);
    assert_int_equal(f.n_hit, 2 * CONTAM_HITS_MAX);
    assert_int_equal(contam_tally_set(t, 0, CONTAM_GPT3).n_dirty, 200);
    assert_int_equal(contam_tally_set(t, 0, CONTAM_DECON).n_dirty, 200);
    for (int i = 0; i < 200; i++)
        assert_true(fabs(contam_tally_item(t, i, CONTAM_DECON).share - 1) < 1e-6);
    contam_tally_free(t);
    contam_state_free(s);
    contam_free(c);
    refs_release(&r);
    buf_release(&b);
}

/* The cost of a text is bounded, whatever repeats itself in it and in the sets. */
static void what_repeats_itself_costs_little(void **state)
{
    (void)state;
    struct refs r;
    struct contam *c;
    struct contam_state *s;
    struct contam_found f;
    struct contam_opts o;
    struct buf b;
    buf_init(&b);
    for (int i = 0; i < 40; i++) {
        for (int k = 0; k < 2000; k++)
            OK(buf_add_str(&b, "na ", &err));
        OK(buf_printf(&b, &err, "batman %d\n", i));
    }
    OK(file_write_all(in_dir("e.txt"), b.data, b.len, &err));
    buf_clear(&b);
    for (int k = 0; k < 300000; k++)
        OK(buf_add_str(&b, "na ", &err));
    read_refs(&r, in_dir("e.txt"), NULL);
    contam_defaults(&o, NULL);
    OK(contam_new(&c, &r, &o, &err));
    OK(contam_state_new(&s, c, &err));
    OK(contam_record(c, s, b.data, b.len, &f, &err));
    assert_true(f.n_hit >= 2 * 40);                              /* gpt3 and llama2, of every item */
    contam_state_free(s);
    contam_free(c);
    refs_release(&r);
    buf_release(&b);
}

static void items_are_written_with_what_was_found_of_them(void **state)
{
    (void)state;
    struct refs r;
    struct contam *c;
    struct contam_state *s;
    struct contam_found f;
    struct contam_opts o;
    struct contam_tally *t;
    struct buf b;
    write_file("f.jsonl", "{\"question\":\"a b c d e f g h i j k l m n\"}\n{\"question\":\"too short\"}\n");
    read_refs(&r, in_dir("f.jsonl"), "q\"set");
    contam_defaults(&o, NULL);
    o.methods = 1u << CONTAM_GPT3 | 1u << CONTAM_LLAMA2;
    OK(contam_new(&c, &r, &o, &err));
    OK(contam_state_new(&s, c, &err));
    OK(contam_tally_new(&t, c, &err));
    OK(contam_record(c, s, "A b c d, e f g h i j k l (m)!", 29, &f, &err));
    contam_tally_add(t, &f);
    OK(contam_write_items(t, in_dir("items.jsonl"), &err));
    buf_init(&b);
    OK(file_read(in_dir("items.jsonl"), 1 << 20, &b, &err));
    char want[1000];
    snprintf(want, sizeof want,
             "{\"set\":\"q\\\"set\",\"file\":\"%s\",\"line\":1,\"gpt3\":{\"n\":2,\"share\":0.5,\"longest\":13,\"dirty\":true},"
             "\"llama2\":{\"n\":14,\"share\":0.928571,\"longest\":13,\"dirty\":true}}\n"
             "{\"set\":\"q\\\"set\",\"file\":\"%s\",\"line\":2,\"gpt3\":{\"n\":0,\"share\":0.0,\"longest\":0,\"dirty\":false},"
             "\"llama2\":{\"n\":0,\"share\":0.0,\"longest\":0,\"dirty\":false}}\n", in_dir("f.jsonl"), in_dir("f.jsonl"));
    assert_string_equal(b.data, want);
    buf_release(&b);
    contam_tally_free(t);
    contam_state_free(s);
    contam_free(c);
    refs_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_form_of_a_set_is_read),
        cmocka_unit_test(what_is_wrong_in_a_set_is_told_with_its_line),
        cmocka_unit_test(items_are_kept_once_and_by_the_set_they_name),
        cmocka_unit_test(real_sets_are_read),
        cmocka_unit_test(each_method_finds_what_its_formula_says),
        cmocka_unit_test(decon_over_tokens_finds_what_decon_finds),
        cmocka_unit_test(datatrove_finds_the_same),
        cmocka_unit_test(decons_tests_hold),
        cmocka_unit_test(decons_fixtures_score_the_same),
        cmocka_unit_test(many_items_of_one_n_gram_are_the_best_few_and_a_number),
        cmocka_unit_test(all_items_of_a_set_in_one_record_are_dirty),
        cmocka_unit_test(what_repeats_itself_costs_little),
        cmocka_unit_test(items_are_written_with_what_was_found_of_them),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
