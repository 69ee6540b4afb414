/* test_eval_run.c - requests of an evaluation: tokens, log-likelihoods and texts as lm-evaluation-harness has them, and the same bits
 * however many are under way, whatever is shared, and with any number of threads. */
#include <jansson.h>
#include <math.h>
#include "eval_model.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/tree.h"
#include "eval/run.h"

static struct pool *pools[2];      /* 1, 2 threads */
static json_t *golden;

/* ---- requests and what came of them ---- */

#define MANY 256
struct asked { struct request q[MANY]; struct request_generation g[MANY]; const char *until[MANY][4]; int64_t tag[MANY]; int n; };
struct got { struct reply reply[MANY]; char error[MANY][200]; int n_answered, stop_after; };

static struct request *ask(struct asked *a, enum request_kind kind, int64_t tag, const char *context, const char *continuation)
{
    assert_true(a->n < MANY);
    a->tag[a->n] = tag;
    a->q[a->n] = (struct request){ .kind = kind, .context = context, .continuation = continuation, .n_context = strlen(context), .n_continuation = strlen(continuation),
                                   .generation = &a->g[a->n], .each_token = kind != REQUEST_GENERATE, .index = a->n && a->tag[a->n - 1] == tag ? a->q[a->n - 1].index + 1 : 0 };
    return &a->q[a->n++];
}

static const struct asked *asking;

static int answered(void *ctx, int64_t tag, const struct reply *reply, int n, struct err *e)
{
    struct got *g = ctx;
    (void)e;
    for (int i = 0, k = 0; i < asking->n; i++) {
        if (asking->tag[i] != tag)
            continue;
        assert_null(g->reply[i].text);
        g->reply[i] = reply[k++];
        if (g->reply[i].text) {
            g->reply[i].text = mem_strdup(g->reply[i].text);
            assert_int_equal(strlen(g->reply[i].text), g->reply[i].n_text);
        }
        if (g->reply[i].token) {
            const size_t size = (size_t)g->reply[i].n_token * sizeof *g->reply[i].token;
            g->reply[i].token = memcpy(mem_alloc(size), g->reply[i].token, size);
        }
        if (g->reply[i].error)
            snprintf(g->error[i], sizeof g->error[i], "%s", g->reply[i].error);
        assert_true(k <= n);
    }
    g->n_answered++;
    return 0;
}

static bool goes_on(void *ctx, const struct run_progress *p)
{
    const struct got *g = ctx;
    assert_true(p->n_answered == g->n_answered && p->n_answered <= p->n_item);
    return !g->stop_after || g->n_answered < g->stop_after;
}

static int answer(struct got *g, const struct asked *a, const struct run_opts *o, struct pool *pool, struct run_counts *counts)
{
    struct run *r;
    *g = (struct got){ .stop_after = g->stop_after };
    OK(run_open(&r, o, &err));
    for (int i = 0, n = 1; i < a->n; i += n, n = 1) {
        while (i + n < a->n && a->tag[i + n] == a->tag[i])
            n++;
        OK(run_add(r, a->tag[i], a->q + i, n, &err));
    }
    asking = a;
    const struct run_hooks h = { .answered = answered, .goes_on = goes_on, .ctx = g };
    const int rc = run_answer(r, &h, pool, &err);
    if (counts)
        *counts = run_counts(r);
    run_close(r);
    return rc;
}

static void release(struct got *g)
{
    for (int i = 0; i < MANY; i++)
        mem_free(g->reply[i].text), mem_free(g->reply[i].token);
}

static void same(const struct got *a, const struct got *b, int n, const char *what)
{
    for (int i = 0; i < n; i++) {
        const struct reply *x = &a->reply[i], *y = &b->reply[i];
        const bool texts = x->text && y->text ? !strcmp(x->text, y->text) : x->text == y->text;
        if (memcmp(&x->loglik, &y->loglik, sizeof x->loglik) || x->greedy != y->greedy || x->n_token != y->n_token || x->n_cut != y->n_cut || x->joined != y->joined || x->unended != y->unended || !texts || strcmp(a->error[i], b->error[i]))
            fail_msg("%s: request %d is %.17g '%s' %s, and was %.17g '%s' %s", what, i, y->loglik, y->text ? y->text : "", b->error[i], x->loglik, x->text ? x->text : "", a->error[i]);
        assert_true(!x->token == !y->token);
        if (x->token && !a->error[i][0])
            assert_memory_equal(x->token, y->token, (size_t)x->n_token * sizeof *x->token);
    }
}

/* ---- as lm-evaluation-harness ---- */

static const char *string_at(const json_t *row, size_t i) { return json_string_value(json_array_get(row, i)); }
static double number_at(const json_t *row, size_t i) { return json_number_value(json_array_get(row, i)); }

static void ask_golden(struct asked *a, const json_t *of)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(of, "pair"), i, row)
        ask(a, REQUEST_LOGLIKELIHOOD, (int64_t)i / 4, string_at(row, 0), string_at(row, 1));
    json_array_foreach(json_object_get(of, "rolling"), i, row)
        ask(a, REQUEST_ROLLING, 1000 + (int64_t)i, "", string_at(row, 0));
    json_array_foreach(json_object_get(of, "generate"), i, row) {
        struct request_generation *g = &a->g[a->n];
        const json_t *until = json_array_get(row, 1);
        const char **words = a->until[a->n];
        for (size_t k = 0; k < json_array_size(until); k++)
            words[k] = string_at(until, k);
        *g = (struct request_generation){ words, (int)json_array_size(until), (int)number_at(row, 2), 0, 1, 0 };
        ask(a, REQUEST_GENERATE, 2000 + (int64_t)i, string_at(row, 0), "");
    }
    json_array_foreach(json_object_get(of, "joined"), i, row)
        ask(a, REQUEST_LOGLIKELIHOOD, 3000 + (int64_t)i, string_at(row, 0), string_at(row, 1));
}

static void assert_tokens_add_up(const struct reply *y)
{
    double sum = 0;
    for (int i = 0; i < y->n_token; i++) {
        sum += (double)y->token[i].loglik;
        assert_true(y->token[i].loglik < 0 && y->token[i].mean < 0 && y->token[i].sd > 0);
    }
    assert_true(fabs(sum - y->loglik) <= 1e-12 * fabs(sum));         /* parts of a text are added in another order */
}

static void replies_are_those_of_lm_evaluation_harness(void **state)
{
    (void)state;
    const char *key;
    json_t *of, *row;
    size_t i;
    json_object_foreach(golden, key, of) {
        static struct asked a;
        static struct got g;
        memset(&a, 0, sizeof a);
        ask_golden(&a, of);
        const struct run_opts o = { .model = model_with(key) };
        OK(answer(&g, &a, &o, pools[1], NULL));
        const struct reply *y = g.reply;
        json_array_foreach(json_object_get(of, "pair"), i, row) {
            if (fabs(y->loglik - number_at(row, 2)) > 1e-4 || y->greedy != json_is_true(json_array_get(row, 3)) || (size_t)y->n_token != json_array_size(json_array_get(row, 5)))
                fail_msg("%s: '%s' + '%s': %g, %d tokens, expected %g, %zu", key, string_at(row, 0), string_at(row, 1), y->loglik, y->n_token, number_at(row, 2), json_array_size(json_array_get(row, 5)));
            const size_t all = json_array_size(json_array_get(row, 4)) + json_array_size(json_array_get(row, 5));
            assert_int_equal(y->n_cut, all > 65 ? all - 65 : 0);
            assert_true(!y->error && !y->joined && !y->text);
            assert_tokens_add_up(y++);
        }
        json_array_foreach(json_object_get(of, "rolling"), i, row) {
            if (fabs(y->loglik - number_at(row, 1)) > 1e-3)
                fail_msg("%s: rolling '%s': %g, expected %g", key, string_at(row, 0), y->loglik, number_at(row, 1));
            assert_tokens_add_up(y++);
        }
        json_array_foreach(json_object_get(of, "generate"), i, row) {
            assert_non_null(y->text);
            assert_string_equal(y->text, string_at(row, 3));
            y++;
        }
        json_array_foreach(json_object_get(of, "joined"), i, row) {
            assert_true(y->joined && !y->error && y->n_token > 0 && isfinite(y->loglik));
            y++;
        }
        release(&g);
    }
}

static void tokens_are_those_of_lm_evaluation_harness(void **state)
{
    (void)state;
    const char *key;
    json_t *of, *row;
    size_t i;
    json_object_foreach(golden, key, of) {
        struct run *r;
        OK(run_open(&r, &(struct run_opts){ .model = model_with(key), .engine.rope_scaling = "linear:16" }, &err));
        struct encoded e = { 0 };
        json_array_foreach(json_object_get(of, "pair"), i, row) {
            const char *context = string_at(row, 0), *continuation = string_at(row, 1);
            const struct request q = { .context = context, .n_context = strlen(context), .continuation = continuation, .n_continuation = strlen(continuation) };
            OK(encode_pair(run_encoder(r), &q, &e, &err));
            const json_t *before = json_array_get(row, 4), *behind = json_array_get(row, 5);
            assert_int_equal(e.ids.n, json_array_size(before) + json_array_size(behind));
            assert_int_equal(e.n_scored, json_array_size(behind));
            for (size_t k = 0; k < e.ids.n; k++)
                assert_int_equal(e.ids.id[k], (int)(k < json_array_size(before) ? number_at(before, k) : number_at(behind, k - json_array_size(before))));
        }
        encoded_release(&e);
        run_close(r);
    }
}

/* ---- the slow twin: each sequence alone, in an engine of one slot without pages ---- */

static void each_reply_is_what_the_engine_says_of_its_tokens_alone(void **state)
{
    (void)state;
    static struct asked a;
    static struct got g;
    memset(&a, 0, sizeof a);
    const json_t *of = json_object_get(golden, "tokenizer_bos");
    ask_golden(&a, of);
    const struct run_opts o = { .model = model_with("tokenizer_bos") };
    OK(answer(&g, &a, &o, pools[0], NULL));
    struct run *r;
    struct engine *e;
    struct encoded s = { 0 };
    OK(run_open(&r, &o, &err));
    OK(engine_new(&e, o.model, &(struct engine_opts){ .n_slot = 1, .step_tokens = 64, .n_logits = 64 }, pools[0], &err));
    for (int i = 0; i < a.n && a.q[i].kind == REQUEST_LOGLIKELIHOOD; i++) {
        OK(encode_pair(run_encoder(r), &a.q[i], &s, &err));
        const int n = (int)s.ids.n - 1;
        const float *logits;
        const int V = engine_config(e)->vocab_size;
        int32_t row[64];
        float nll[64];
        double want = 0;
        bool greedy = true;
        for (int k = 0; k < s.n_scored; k++)
            row[k] = n - s.n_scored + k;
        OK(engine_run(e, &(struct engine_part){ 0, 0, n, s.ids.id, NULL, 0 }, 1, &err));
        OK(engine_nll(e, row, s.ids.id + n + 1 - s.n_scored, s.n_scored, nll, &err));
        OK(engine_head(e, row, s.n_scored, &logits, &err));
        for (int k = 0; k < s.n_scored; k++) {
            int best = 0;
            for (int t = 1; t < V; t++)
                best = logits[k * V + t] > logits[k * V + best] ? t : best;
            want -= (double)nll[k];
            double mean = 0, square = 0;                 /* of log p, by its definition */
            for (int t = 0; t < V; t++) {
                const double logp = (double)logits[k * V + t] - (double)logits[k * V + s.ids.id[n + 1 - s.n_scored + k]] - (double)nll[k];
                mean += exp(logp) * logp, square += exp(logp) * logp * logp;
            }
            const struct reply_token *y = &g.reply[i].token[k];
            assert_true(y->loglik == -nll[k] && fabs((double)y->mean - mean) < 1e-5 && fabs((double)y->sd - sqrt(square - mean * mean)) < 1e-5);
            greedy = greedy && best == s.ids.id[n + 1 - s.n_scored + k];
        }
        assert_memory_equal(&want, &g.reply[i].loglik, sizeof want);
        assert_true(greedy == g.reply[i].greedy);
    }
    encoded_release(&s);
    engine_free(e);
    run_close(r);
    release(&g);
}

/* ---- bits ---- */

static void replies_have_the_same_bits_in_any_company(void **state)
{
    (void)state;
    static struct asked a;
    static struct got want, g;
    static const int batches[] = { 1, 3, 8, 64 }, steps[] = { 512, 64, 7, 1 };
    memset(&a, 0, sizeof a);
    ask_golden(&a, json_object_get(golden, "tokenizer_bos"));
    for (int i = 0; i < 6; i++) {                    /* drawn, too, each by its own seed */
        a.g[a.n] = (struct request_generation){ NULL, 0, 20, 1, 1, 0 };
        ask(&a, REQUEST_GENERATE, 4000 + i / 3, "the cat sat", "");
    }
    /* positions of four pages: shared beginnings end in the middle of one, and behind it */
    struct run_opts o = { .model = model_with("tokenizer_bos"), .batch = 1, .step_tokens = 512, .apart = true, .engine.rope_scaling = "linear:4", .seed = 3 };
    OK(answer(&want, &a, &o, pools[0], NULL));
    assert_string_not_equal(want.reply[a.n - 1].text, want.reply[a.n - 2].text);
    for (int apart = 0; apart < 2; apart++)
        for (size_t b = 0; b < 4; b++)
            for (int threads = 1; threads <= 2; threads++)
                for (size_t s = 0; s < 4; s++)
                    {
                        char what[100];
                        o.batch = batches[b], o.step_tokens = steps[s], o.apart = apart, o.cache_bytes = (b + s) % 2 ? 1 : 0;
                        snprintf(what, sizeof what, "batch %d, steps of %d, %d threads%s", o.batch, o.step_tokens, threads, apart ? ", apart" : "");
                        OK(answer(&g, &a, &o, pools[threads - 1], NULL));
                        same(&want, &g, a.n, what);
                        release(&g);
                    }
    release(&want);
}

static void a_beginning_that_requests_share_is_computed_once(void **state)
{
    (void)state;
    static struct asked a;
    static struct got g;
    static const char head[] = "the cat sat on a mat and the dog ran to that man in the rain then it ate the ham at the old mill and the cat sat on a mat\n";
    static const char *const question[] = { "a man at the mill?", "the dog?", "rain in the old mill?", "it ate?" }, *const choice[] = { " a", " the old", " the man", " that dog ran" };
    static char context[4][200];
    memset(&a, 0, sizeof a);
    for (int i = 0; i < 16; i++) {
        snprintf(context[i / 4], sizeof context[0], "%s%s", head, question[i / 4]);
        ask(&a, REQUEST_LOGLIKELIHOOD, i / 4, context[i / 4], choice[i % 4]);
    }
    struct run *r;
    struct run_opts o = { .model = model_with("tokenizer"), .engine.rope_scaling = "linear:4" };
    OK(run_open(&r, &o, &err));
    struct encoded e[16] = { { { 0 }, { 0 }, 0, 0, false } };
    int distinct = 0, all = 0;                       /* beginnings of what is fed */
    for (int i = 0; i < 16; i++) {
        OK(encode_pair(run_encoder(r), &a.q[i], &e[i], &err));
        size_t known = 0;
        for (int j = 0; j < i; j++) {
            size_t k = 0;
            while (k + 1 < e[i].ids.n && k + 1 < e[j].ids.n && e[i].ids.id[k] == e[j].ids.id[k])
                k++;
            known = k > known ? k : known;
        }
        all += (int)e[i].ids.n - 1, distinct += (int)(e[i].ids.n - 1 - known);
    }
    run_close(r);
    for (int i = 0; i < 16; i++)
        encoded_release(&e[i]);
    struct run_counts n;
    for (int batch = 1; batch < 9; batch += 3)
        for (int step = 5; step < 300; step += 91) {
            o.batch = batch, o.step_tokens = step, o.apart = false;
            OK(answer(&g, &a, &o, pools[0], &n));
            assert_int_equal(n.n_asked, all);
            assert_int_equal(n.n_computed, distinct);
            release(&g);
            o.apart = true;
            OK(answer(&g, &a, &o, pools[0], &n));
            assert_int_equal(n.n_computed, all);
            release(&g);
        }
}

/* ---- what cannot be answered, and what is stopped ---- */

static void a_bad_request_has_an_error_and_the_others_are_answered(void **state)
{
    (void)state;
    static struct asked a;
    static struct got g;
    memset(&a, 0, sizeof a);
    char longer[2000];
    for (size_t i = 0; i < sizeof longer - 1; i++)
        longer[i] = "the "[i % 4];
    longer[sizeof longer - 1] = 0;
    a.g[6] = (struct request_generation){ NULL, 0, 64, 0, 1, 0 };
    a.g[7] = (struct request_generation){ NULL, 0, 0, 0, 1, 0 };
    a.g[8] = (struct request_generation){ NULL, 0, 5, 0, 1, 0 };
    ask(&a, REQUEST_LOGLIKELIHOOD, 0, "the cat", " sat");
    ask(&a, REQUEST_LOGLIKELIHOOD, 0, "the cat", "");                /* no token */
    ask(&a, REQUEST_LOGLIKELIHOOD, 0, "the cat", longer);            /* more than the model looks at */
    ask(&a, REQUEST_LOGLIKELIHOOD, 1, "the cat", " \x01 Z");         /* bytes that the vocabulary lacks */
    ask(&a, REQUEST_LOGLIKELIHOOD, 2, "", "");
    ask(&a, REQUEST_ROLLING, 3, "", "");                             /* an empty text is as likely as can be */
    ask(&a, REQUEST_GENERATE, 4, "the cat", "");
    ask(&a, REQUEST_GENERATE, 4, "the cat", "");
    ask(&a, REQUEST_GENERATE, 4, "the cat", "");
    const struct run_opts o = { .model = model_with("tokenizer") };
    OK(answer(&g, &a, &o, pools[0], NULL));
    static const char *const want[] = { "", "no token", "expected at most the 64", "", "no token", "", "no room for a prompt", "at least 1", "" };
    for (int i = 0; i < a.n; i++)
        if (i != 3 && (want[i][0] ? !strstr(g.error[i], want[i]) : g.error[i][0]))
            fail_msg("request %d: '%s', expected '%s'", i, g.error[i], want[i]);
    assert_true(g.error[3][0] && g.n_answered == 5);
    assert_true(g.reply[0].loglik < 0 && g.reply[5].loglik == 0 && g.reply[8].text);
    release(&g);
}

static void a_run_that_is_stopped_has_told_what_was_answered(void **state)
{
    (void)state;
    static struct asked a;
    static struct got whole, g;
    for (int stop = 1; stop < 60; stop += 7) {
        memset(&a, 0, sizeof a);
        ask_golden(&a, json_object_get(golden, "tokenizer"));
        const struct run_opts o = { .model = model_with("tokenizer"), .batch = 2, .step_tokens = 16 };
        whole.stop_after = 0;
        OK(answer(&whole, &a, &o, pools[0], NULL));
        g.stop_after = stop;
        const int rc = answer(&g, &a, &o, pools[0], NULL);
        assert_int_equal(rc, g.n_answered < whole.n_answered ? ERR_STOPPED : 0);
        assert_true(g.n_answered >= stop || rc == 0);
        for (int i = 0; i < a.n; i++)
            if (g.reply[i].n_token)
                assert_memory_equal(&g.reply[i].loglik, &whole.reply[i].loglik, sizeof g.reply[i].loglik);
        release(&g);
        release(&whole);
    }
}

static void a_runner_that_is_asked_again_gives_the_same_bits(void **state)
{
    (void)state;
    static struct asked a;
    static struct got g, once;
    memset(&a, 0, sizeof a);
    memset(&once, 0, sizeof once);
    memset(&g, 0, sizeof g);
    const struct run_opts o = { .model = model_with("tokenizer"), .batch = 3 };
    static const char *const choice[] = { " the mat", " a man", " rain", " the old mill" };
    for (int i = 0; i < 24; i++)
        ask(&a, REQUEST_LOGLIKELIHOOD, i / 3, i < 12 ? "the cat sat on" : "the cat ran to the old", choice[i % 4]);
    OK(answer(&once, &a, &o, pools[0], NULL));
    struct run *r;
    OK(run_open(&r, &o, &err));
    run_again(r, 24);
    const struct run_hooks h = { .answered = answered, .goes_on = goes_on, .ctx = &g };
    for (int i = 0; i < 24; i += 6) {
        OK(run_add(r, a.tag[i], a.q + i, 3, &err));
        OK(run_add(r, a.tag[i + 3], a.q + i + 3, 3, &err));
        OK(run_answer(r, &h, pools[1], &err));
    }
    OK(run_answer(r, &h, pools[1], &err));         /* nothing was added */
    assert_int_equal(g.n_answered, 8);
    same(&once, &g, 24, "again");
    char longer[200] = "the";
    for (int i = 0; i < 40; i++)
        strcat(longer, " mat");
    struct asked *b = &a;
    b->n = 0;
    ask(b, REQUEST_LOGLIKELIHOOD, 0, longer, " the mat");
    OK(run_add(r, 0, b->q, 1, &err));
    assert_int_equal(run_answer(r, &h, pools[0], &err), ERR_RANGE);
    OK(run_answer(r, &h, pools[0], &err));         /* the long one is gone */
    run_close(r);
}

static void what_begins_texts_can_be_chosen(void **state)
{
    (void)state;
    static struct asked a;
    static struct got plain, bos, never, always;
    memset(&a, 0, sizeof a);
    ask(&a, REQUEST_LOGLIKELIHOOD, 0, "the cat", " sat");
    ask(&a, REQUEST_LOGLIKELIHOOD, 1, "", "the cat");
    ask(&a, REQUEST_ROLLING, 2, "", "the cat sat");
    OK(answer(&plain, &a, &(struct run_opts){ .model = model_with("tokenizer") }, pools[0], NULL));
    OK(answer(&bos, &a, &(struct run_opts){ .model = model_with("tokenizer_bos") }, pools[0], NULL));
    OK(answer(&never, &a, &(struct run_opts){ .model = model_with("tokenizer_bos"), .begin = ENCODE_NOTHING }, pools[0], NULL));
    OK(answer(&always, &a, &(struct run_opts){ .model = model_with("tokenizer"), .begin = ENCODE_PREFIX }, pools[0], NULL));
    same(&plain, &never, a.n, "never");
    same(&bos, &always, a.n, "always");
    assert_true(plain.reply[0].loglik != bos.reply[0].loglik && plain.reply[1].loglik == bos.reply[1].loglik);
}

static int set_up(void **state)
{
    golden = NULL;
    for (int i = 0; i < 2; i++)
        if (pool_new(&pools[i], i + 1, &err) < 0)
            return -1;
    return make_dir(state) || tree_load(&golden, "tests/golden/eval/run.json", 1 << 20, &err) < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    json_decref(golden);
    for (int i = 0; i < 2; i++)
        pool_free(pools[i]);
    return remove_dir(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_are_those_of_lm_evaluation_harness),
        cmocka_unit_test(replies_are_those_of_lm_evaluation_harness),
        cmocka_unit_test(each_reply_is_what_the_engine_says_of_its_tokens_alone),
        cmocka_unit_test(replies_have_the_same_bits_in_any_company),
        cmocka_unit_test(a_beginning_that_requests_share_is_computed_once),
        cmocka_unit_test(a_bad_request_has_an_error_and_the_others_are_answered),
        cmocka_unit_test(a_run_that_is_stopped_has_told_what_was_answered),
        cmocka_unit_test(a_runner_that_is_asked_again_gives_the_same_bits),
        cmocka_unit_test(what_begins_texts_can_be_chosen),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
