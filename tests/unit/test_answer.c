/* test_answer.c - an answer as it is handed out, against the whole text searched at once; what logits are drawn from, against formulas; requests
 * in company, against each alone (tests/bits.h). */
#include <math.h>
#include "../test.h"
#include "base/rng.h"
#include "infer/answer.h"
#include "../bits.h"
#include "vocab.h"

static struct err err;
static struct answer_model model;

#define TEXT_MAX 4096
struct seen { char text[TEXT_MAX]; size_t n; char tokens[TEXT_MAX]; size_t n_tokens; int n_token, n_end; struct answer_end end; bool whole; };

static void piece(void *ctx, const struct answer_piece *p)
{
    struct seen *s = ctx;
    memcpy(s->text + s->n, p->text, p->n);
    s->n += p->n;
    s->whole = s->whole && !tok_utf8_tail(s->text, s->n);
    for (int i = 0; i < p->n_token; i++) {
        assert_int_equal(p->token[i].at, s->n_tokens);
        memcpy(s->tokens + s->n_tokens, p->token[i].bytes, p->token[i].n);
        s->n_tokens += p->token[i].n, s->n_token++;
        assert_true(p->token[i].logprob == -(float)p->token[i].id && p->token[i].n_top == 1 && p->token[i].top->id == p->token[i].id + 1);
    }
}

static void end(void *ctx, const struct answer_end *e)
{
    struct seen *s = ctx;
    s->end = *e, s->n_end++;
}

/* Gives the ids to the answer as a batch would, until it has enough. */
static void feed(struct answer *a, const int32_t *id, int n, struct err *failure)
{
    const struct text_request r = answer_request(a);
    float *logits = calloc((size_t)V, sizeof *logits);
    int i = 0;
    bool more = true;
    enum text_end how = TEXT_LENGTH;
    for (; i < n && more; i++) {
        memset(logits, 0, (size_t)V * sizeof *logits);
        if (r.adjust && r.adjust(r.ctx, logits, V, failure) < 0) {
            how = TEXT_FAILED;
            break;
        }
        if (r.accept)
            r.accept(r.ctx, id[i]);
        const struct token_prob top = { id[i] + 1, 0 };
        more = r.token(r.ctx, &(struct text_token){ .id = id[i], .logprob = -(float)id[i], .top = &top, .n_top = 1 });
        how = more ? TEXT_LENGTH : TEXT_STOP;
    }
    r.done(r.ctx, how, 0, how == TEXT_FAILED ? failure : NULL);
    free(logits);
}

/* The first place where one of the texts ends; the longest that ends there.  -1: nowhere. */
static int first_stop(const char *text, size_t n, const struct stop_text *stop, int n_stop, size_t *at)
{
    for (size_t i = 1; i <= n; i++) {
        int best = -1;
        for (int k = 0; k < n_stop; k++)
            if (stop[k].n <= i && !memcmp(text + i - stop[k].n, stop[k].text, stop[k].n) && (best < 0 || stop[k].n > stop[best].n))
                best = k;
        if (best >= 0) {
            *at = i - stop[best].n;
            return best;
        }
    }
    return -1;
}

static void what_is_handed_out_is_the_text_up_to_the_first_stop(void **state)
{
    (void)state;
    int n_stopped = 0;
    for (uint64_t round = 0; round < 2000; round++) {
        int32_t id[60];
        char all[TEXT_MAX];
        size_t n = 0, at = 0;
        const int n_id = 1 + (int)(rng_u64(1, round) % 60);
        struct buf text;
        buf_init(&text);
        const uint64_t n_kind = rng_u64(3, round) % 2 ? 60 + 3 * (round % 60) : (uint64_t)tok_vocab_size(tok);
        uint64_t draw = 0;
        for (int i = 0; i < n_id; i++)
            do
                id[i] = (int32_t)(rng_u64(2 + round, draw++) % n_kind);
            while (tok_is_special(tok, id[i]) || !tok_bytes(tok, id[i], &n) || tok_is_eog(tok, id[i]));
        OK(tok_decode(tok, id, (size_t)n_id, &text, &err));
        memcpy(all, text.data, n = text.len);
        buf_release(&text);
        struct stop_text stop[4];
        const int n_stop = (int)(rng_u64(4, round) % 5);
        for (int k = 0; k < n_stop; k++) {       /* pieces of the text itself, or nearly */
            const size_t from = (size_t)(rng_u64(5, round * 4 + (uint64_t)k) % n), len = 1 + (size_t)(rng_u64(6, round * 4 + (uint64_t)k) % 5);
            stop[k] = (struct stop_text){ all + from, from + len <= n ? len : n - from };
        }
        struct seen s = { .whole = true }, half = { .whole = true };
        struct answer *a, *b;
        struct stops *stops;
        OK(stops_new(&stops, stop, n_stop, &err));
        const struct answer_wish w = { .prompt = id, .n_prompt = 1, .most = n_id, .stops = stops, .keep_stop = round % 3 == 0, .n_logprob = 1, .piece = piece, .end = end, .ctx = &s, .goes_on = true };
        OK(answer_new(&a, &model, &w, &err));
        struct answer_wish shared = w;           /* another one with the same stop texts, in the middle of them meanwhile */
        shared.ctx = &half;
        OK(answer_new(&b, &model, &shared, &err));
        feed(b, id, (n_id + 1) / 2, &err);
        answer_free(b);
        feed(a, id, n_id, &err);
        const int found = first_stop(all, n, stop, n_stop, &at);
        const size_t want = found < 0 ? n : at + (w.keep_stop ? stop[found].n : 0);
        if (s.n != want || memcmp(s.text, all, want))
            fail_msg("round %d: %zu bytes handed out, expected %zu of '%.*s'", (int)round, s.n, want, (int)n, all);
        assert_int_equal(s.n_end, 1);
        assert_int_equal(s.end.why, found < 0 ? ANSWER_LENGTH : ANSWER_STOP);
        assert_true(found < 0 ? s.end.stop_text < 0 : stop[s.end.stop_text].n == stop[found].n);
        assert_true(s.n_tokens >= want && !memcmp(s.tokens, all, s.n_tokens));
        assert_true(found >= 0 || s.n_token == n_id);
        for (int k = 0; k < n_stop; k++)
            assert_true(!memcmp(stops_text(stops, k, &n), stop[k].text, stop[k].n) && n == stop[k].n);
        n_stopped += found >= 0;
        answer_free(a);
        stops_free(stops);
    }
    assert_true(n_stopped > 500);
}

/* Characters of several tokens come out whole. */
static void characters_are_never_torn(void **state)
{
    (void)state;
    static const char text[] = "\xc3\xa4\xe4\xb8\xad\xf0\x9f\x98\x80 and \xf0\x9f\x91\x8d\xc3\xbc";
    struct tok_ids ids = { 0 };
    for (size_t i = 0; i < sizeof text - 1; i++)         /* byte by byte */
        OK(tok_encode(tok, text + i, 1, TOK_PLAIN, &ids, &err));
    assert_true(ids.n >= sizeof text - 1);
    struct seen s = { .whole = true };
    struct answer *a;
    const struct answer_wish w = { .prompt = ids.id, .n_prompt = 1, .most = (int)ids.n, .n_logprob = -1, .piece = piece, .end = end, .ctx = &s, .goes_on = true };
    OK(answer_new(&a, &model, &w, &err));
    feed(a, ids.id, (int)ids.n, &err);
    assert_true(s.whole && s.n == sizeof text - 1 && !memcmp(s.text, text, s.n));
    answer_free(a);
    tok_ids_release(&ids);
}

struct echoed { char text[TEXT_MAX]; size_t n, at[128]; float logprob[128]; int n_token; struct answer_end end; };

static void echoed_piece(void *ctx, const struct answer_piece *p)
{
    struct echoed *s = ctx;
    memcpy(s->text + s->n, p->text, p->n);
    s->n += p->n;
    assert_int_equal(tok_utf8_tail(s->text, s->n), 0);
    for (int i = 0; i < p->n_token; i++) {
        assert_int_equal(p->token[i].n_top, isnan(p->token[i].logprob) ? 0 : 1);
        s->at[s->n_token] = p->token[i].at_char, s->logprob[s->n_token++] = p->token[i].logprob;
    }
}

static void echoed_end(void *ctx, const struct answer_end *e) { ((struct echoed *)ctx)->end = *e; }

static size_t chars_in(const char *s, size_t n)
{
    size_t chars = 0;
    for (size_t i = 0; i < n; i++)
        chars += (s[i] & 0xc0) != 0x80;
    return chars;
}

/* Cut between prompt and answer anywhere, also in a character.  Stop texts are not looked for in the prompt. */
static void the_prompt_is_told_again_with_its_tokens(void **state)
{
    (void)state;
    static const char text[] = "a\xc3\xa4 \xe4\xb8\xad, \xf0\x9f\x98\x80 and END \xf0\x9f\x91\x8d\xc3\xbc END x";
    struct tok_ids ids = { 0 };
    struct stops *stops;
    const char *end_at = strstr(text, "END"), *last_at = strstr(end_at + 1, "END");
    for (size_t i = 0; i < sizeof text - 1; i++)
        OK(tok_encode(tok, text + i, 1, TOK_PLAIN, &ids, &err));
    const int n = (int)ids.n;
    assert_true(n == sizeof text - 1);
    OK(stops_new(&stops, &(struct stop_text){ "END", 3 }, 1, &err));
    for (int cut = 1; cut < n; cut++)
        for (int probs = -1; probs < 2; probs += 2) {
            struct echoed s = { 0 };
            struct answer *a;
            const struct answer_wish w = { .prompt = ids.id, .n_prompt = cut, .most = n, .n_logprob = probs, .stops = stops, .echo = true, .show_end = true, .scored = true, .piece = echoed_piece, .end = echoed_end, .ctx = &s };
            OK(answer_new(&a, &model, &w, &err));
            const struct text_request r = answer_request(a);
            assert_true(r.prompt_probs == (probs >= 0) && r.n_logprob >= 0);
            const struct token_prob top = { 1, 0 };
            for (int i = 1; i < cut && probs >= 0; i++)
                r.prompt(r.ctx, &(struct text_token){ .id = ids.id[i], .position = i, .logprob = -(float)i, .top = &top, .n_top = 1 });
            bool more = true;
            int i = cut;
            for (; i < n && more; i++)
                more = r.token(r.ctx, &(struct text_token){ .id = ids.id[i], .position = i, .logprob = -(float)i, .top = &top, .n_top = probs > 0 });
            const bool ends_itself = more && i == n;
            if (ends_itself)
                more = r.token(r.ctx, &(struct text_token){ .id = eog[0], .position = n, .logprob = -(float)n, .top = &top, .n_top = probs > 0 });
            r.done(r.ctx, TEXT_STOP, 0, NULL);
            const char *stop = cut <= end_at - text ? end_at : cut <= last_at - text ? last_at : NULL;
            const size_t want = stop ? (size_t)(stop - text) : sizeof text - 1;
            assert_true(s.n == want && !memcmp(s.text, text, want));
            assert_true(s.end.logprob == -(double)(i - cut) * (i - 1 + cut) / 2 - (ends_itself ? n : 0));
            assert_true(probs >= 0 ? s.n_token >= (int)want + ends_itself : s.n_token == 0);
            for (int k = 0; k < s.n_token; k++) {
                assert_true(k ? s.logprob[k] == -(float)k : isnan(s.logprob[k]));
                assert_int_equal(s.at[k], chars_in(text, (size_t)k));
            }
            answer_free(a);
        }
    stops_free(stops);
    tok_ids_release(&ids);
}

static void logits_are_changed_as_the_formulas_say(void **state)
{
    (void)state;
    static const int32_t prompt[] = { 5, 7, 7, 9 }, answer[] = { 7, 11, 11 }, allowed[] = { 11, 9, 7, 5, 3, 2, 7, 3 };
    static const struct token_bias bias[] = { { 3, 2.5f }, { 7, -1 } };
    struct answer *a;
    const struct answer_wish w = { .prompt = prompt, .n_prompt = 4, .most = 10, .min = 4, .repetition = 1.5, .presence = 0.25, .frequency = 0.5, .bias = bias, .n_bias = 2, .allowed = allowed, .n_allowed = 8, .n_logprob = -1,
                                   .stop_token = (const int32_t[]){ 2 }, .n_stop_token = 1 };
    OK(answer_new(&a, &model, &w, &err));
    const struct text_request r = answer_request(a);
    float *x = calloc((size_t)V, sizeof *x);
    for (int i = 0; i < 3; i++)
        r.accept(r.ctx, answer[i]);
    for (int i = 0; i < V; i++)
        x[i] = i % 2 ? 3.0f : -3.0f;
    x[9] = -3.0f;
    OK(r.adjust(r.ctx, x, V, &err));
    for (int i = 0; i < V; i++) {
        double want = i == 3 ? 3 + 2.5 : i == 5 ? 3 / 1.5 : i == 7 ? (3 - 1) / 1.5 - (0.25 + 0.5) : i == 9 ? -3 * 1.5 : i == 11 ? 3 / 1.5 - (0.25 + 2 * 0.5) : -INFINITY;
        if (i == 2)
            want = -INFINITY;                    /* ends the answer, which is too short yet */
        if ((double)x[i] != (double)(float)want)
            fail_msg("logit %d is %g, expected %g", i, (double)x[i], want);
    }
    r.accept(r.ctx, 3);                          /* four tokens */
    x[2] = 1;
    OK(r.adjust(r.ctx, x, V, &err));
    assert_true(x[2] == 1);
    answer_free(a);
    free(x);
}

static void a_grammar_rules_and_ends_the_answer(void **state)
{
    (void)state;
    struct grammar *g;
    struct tok_ids ids = { 0 };
    static const char rule[] = "root ::= \"yes\" | \"no\" [0-9]{2}";
    OK(grammar_parse(&g, rule, sizeof rule - 1, &err));
    for (int i = 0; i < 5; i++)
        OK(tok_encode(tok, &"no42x"[i], 1, TOK_PLAIN, &ids, &err));
    struct seen s = { .whole = true };
    struct answer *a;
    struct answer_wish w = { .prompt = ids.id, .n_prompt = 1, .most = 10, .n_logprob = -1, .grammar = g, .piece = piece, .end = end, .ctx = &s, .goes_on = true };
    OK(answer_new(&a, &model, &w, &err));
    feed(a, ids.id, 5, &err);                    /* x is not asked for */
    assert_int_equal(s.end.why, ANSWER_STOP);
    assert_true(s.n == 4 && !memcmp(s.text, "no42", 4) && s.end.n_token == 4);
    answer_free(a);
    memset(&s, 0, sizeof s);                     /* nothing that is allowed is in the grammar */
    w.allowed = ids.id + 4, w.n_allowed = 1;
    OK(answer_new(&a, &model, &w, &err));
    feed(a, ids.id, 5, &err);
    assert_int_equal(s.end.why, ANSWER_FAILED);
    assert_non_null(strstr(s.end.err->msg, "none may follow"));
    answer_free(a);
    grammar_free(g);
    tok_ids_release(&ids);
}

/* The grammar has read a mark as its letters: so they come out, also where replies are not read for calls; but not those of a prompt. */
static void a_mark_under_a_grammar_comes_out_as_its_letters(void **state)
{
    (void)state;
    static const char rule[] = "root ::= \"a\" [^0-9]*", letters[] = "a<|endoftext|>";
    struct vocab *v;
    struct grammar *g;
    struct tok_ids ids = { 0 };
    OK(vocab_new(&v, tok, V, NULL, 0, eog, 1, &err));
    assert_true(tok_is_special(tok, *eog));
    const struct answer_model m = { .tok = tok, .V = V, .vocab = v, .mark = eog, .n_mark = 1 };
    OK(grammar_parse(&g, rule, sizeof rule - 1, &err));
    OK(tok_encode(tok, "a", 1, TOK_PLAIN, &ids, &err));
    for (int echo = 0; echo < 2; echo++) {
        const int32_t made[] = { *ids.id, *eog };
        struct seen s = { .whole = true };
        struct echoed with_prompt = { 0 };
        struct answer *a;
        struct answer_wish w = { .prompt = eog, .n_prompt = 1, .most = 2, .n_logprob = 1, .grammar = g, .piece = piece, .end = end, .ctx = &s, .goes_on = true };
        if (echo)
            w.echo = true, w.n_logprob = -1, w.piece = echoed_piece, w.end = echoed_end, w.ctx = &with_prompt;
        OK(answer_new(&a, &m, &w, &err));
        feed(a, made, 2, &err);
        const char *text = echo ? with_prompt.text : s.text;
        const size_t n = echo ? with_prompt.n : s.n;
        if (n != strlen(letters) || memcmp(text, letters, n))
            fail_msg("'%.*s', expected '%s'", (int)n, text, letters);
        if (!echo)
            assert_true(s.n_tokens == n && !memcmp(s.tokens, letters, n));
        answer_free(a);
    }
    grammar_free(g);
    vocab_free(v);
    tok_ids_release(&ids);
}

static void stop_texts_are_checked(void **state)
{
    (void)state;
    struct stops *s;
    struct stop_text many[STOPS_MAX + 1];
    char much[STOPS_BYTES];
    memset(much, 'x', sizeof much);
    for (int i = 0; i <= STOPS_MAX; i++)
        many[i] = (struct stop_text){ "stop", 4 };
    assert_int_equal(stops_new(&s, &(struct stop_text){ "", 0 }, 1, &err), ERR_RANGE);
    assert_int_equal(stops_new(&s, many, STOPS_MAX + 1, &err), ERR_RANGE);
    assert_int_equal(stops_new(&s, &(struct stop_text){ much, sizeof much }, 1, &err), ERR_RANGE);
    OK(stops_new(&s, many, STOPS_MAX, &err));
    stops_free(s);
    OK(stops_new(&s, &(struct stop_text){ much, sizeof much - 1 }, 1, &err));
    stops_free(s);
}

static void wishes_are_checked(void **state)
{
    (void)state;
    struct answer *a;
    const struct answer_wish bad[] = {
        { .n_bias = 1, .bias = &(struct token_bias){ V, 1 } }, { .n_bias = 1, .bias = &(struct token_bias){ 1, NAN } },
        { .n_allowed = 1, .allowed = &(int32_t){ -1 } }, { .n_stop_token = 1, .stop_token = &V },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(answer_new(&a, &model, &bad[i], &err), ERR_RANGE);
}

/* ---- in company ---- */

struct drawn { const struct weights_list *l; float *x; };

static const float *by_chance(void *ctx, int i)
{
    const struct drawn *d = ctx;
    const struct weight *w = &d->l->weight[i];
    for (int64_t k = 0; k < w->n; k++)
        d->x[k] = w->rank < 2 ? 1 : (float)(rng_normal((uint64_t)i + 50, (uint64_t)k) * (i ? 0.12 : 1));
    return d->x;
}

/* A small Llama with the golden tokenizer, and two adapters. */
static void write_model(struct bits *b, const char **adapter)
{
    struct config c;
    struct weights_list *l;
    struct buf text;
    char config[500];
    snprintf(config, sizeof config, "{\"model_type\": \"llama\", \"vocab_size\": %d, \"hidden_size\": 48, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"num_key_value_heads\": 2, "
             "\"intermediate_size\": 64, \"max_position_embeddings\": 256, \"tie_word_embeddings\": false}", tok_vocab_size(tok));
    OK(file_write_all(in_dir("config.json"), config, strlen(config), &err));
    OK(config_parse(&c, config, strlen(config), "config", NULL, &err));
    OK(weights_list_new(&l, &c, &err));
    struct drawn d = { l, mem_alloc_array((size_t)tok_vocab_size(tok) * 64, sizeof(float)) };
    OK(weights_save(l, in_dir("model.safetensors"), ST_BF16, by_chance, &d, NULL, 0, NULL, NULL, &err));
    mem_free(d.x);
    weights_list_free(l);
    buf_init(&text);
    OK(file_read("tests/golden/tok/tokenizer.json", 1 << 22, &text, &err));
    OK(file_write_all(in_dir("tokenizer.json"), text.data, text.len, &err));
    buf_release(&text);
    for (int i = 0; i < 2; i++)
        OK(bits_write_adapter(adapter[i], &c, 3 + 5 * i, (uint64_t)i, &err));
    b->model = test_dir, b->adapter = adapter, b->n_adapter = 2;
}

static void answers_in_company_are_as_alone(void **state)
{
    enum { N = 60, EACH = 30 };
    static const enum engine_kv kv[] = { ENGINE_KV_BF16, ENGINE_KV_INT8 };
    struct bits b = { .seed = 1, .most = 24 };
    struct batch_counts counts = { .n_step = 0 };
    make_dir(state);
    char one[100], two[100];
    snprintf(one, sizeof one, "%s/one", test_dir), snprintf(two, sizeof two, "%s/two", test_dir);
    const char *adapter[] = { one, two };
    write_model(&b, adapter);
    for (int i = 0; i < 2; i++)
        OK(pool_new(&b.pool[i], i + 1, &err));
    struct bits_text *alone = calloc(N, sizeof *alone), *out = calloc(EACH, sizeof *out);
    uint64_t number[N];
    for (int i = 0; i < N; i++)
        number[i] = (uint64_t)i;
    for (int k = 0; k < 2; k++) {
        b.kv = kv[k];
        OK(bits_alone(&b, number, N, alone, &err));
        for (int c = k; c < BITS_COMPANIES; c += 2) {        /* each kind of company with one of the two */
            const int first = c / 2 * 7 % (N - EACH);
            const struct bits_place p = bits_place_of(c);
            OK(bits_company(&b, &p, number + first, EACH, out, &counts, &err));
            for (int i = 0; i < EACH; i++) {
                const char *what = bits_differ(&alone[first + i], &out[i]);
                if (what)
                    fail_msg("request %d, keys and values kept as %d, company %d: another %s than alone", first + i, (int)b.kv, c, what);
                bits_release(&out[i]);
            }
        }
        for (int i = 0; i < N; i++)
            bits_release(&alone[i]);
    }
    if (!counts.n_put_aside || !counts.pages.n_found || !counts.pages.n_evicted || !counts.n_accepted)
        fail_msg("%d put aside, %d tokens found, %d pages evicted, %d guesses right: the test has not seen it all", (int)counts.n_put_aside, (int)counts.pages.n_found, (int)counts.pages.n_evicted,
                 (int)counts.n_accepted);
    free(alone), free(out);
    for (int i = 0; i < 2; i++)
        pool_free(b.pool[i]);
    remove_dir(state);
}

static int set_up(void **state)
{
    (void)state;
    const int rc = open_vocab(0, &err);
    model = (struct answer_model){ .tok = tok, .V = V, .end = eog, .n_end = n_eog, .vocab = vocab };
    return rc;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_handed_out_is_the_text_up_to_the_first_stop), cmocka_unit_test(characters_are_never_torn),
        cmocka_unit_test(the_prompt_is_told_again_with_its_tokens),
        cmocka_unit_test(logits_are_changed_as_the_formulas_say),              cmocka_unit_test(a_grammar_rules_and_ends_the_answer),
        cmocka_unit_test(a_mark_under_a_grammar_comes_out_as_its_letters),
        cmocka_unit_test(stop_texts_are_checked), cmocka_unit_test(wishes_are_checked),
        cmocka_unit_test(answers_in_company_are_as_alone),
    };
    return cmocka_run_group_tests(tests, set_up, close_vocab);
}
