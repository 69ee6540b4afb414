/* test_signals_of_texts.c - what numbers say of a text: entropy and probabilities by their definitions, rows of prompts, sketches. */
#include <math.h>
#include "../test.h"
#include "base/rng.h"
#include "infer/signals.h"

static void a_token_has_the_entropy_and_probabilities_of_its_logits(void **state)
{
    (void)state;
    for (int V = 1; V < 300; V += 13) {
        float x[300];
        double sum = 0, entropy = 0, most = 0;
        for (int i = 0; i < V; i++) {
            x[i] = (float)(4 * rng_normal(7, (uint64_t)(V * 1000 + i)));
            sum += exp((double)x[i]);
        }
        for (int i = 0; i < V; i++) {
            const double p = exp((double)x[i]) / sum;
            entropy -= p * log(p), most = p > most ? p : most;
        }
        const struct token_signal s = signals_token(x, V, V / 2, 0);
        assert_true(fabs((double)s.entropy - entropy) < 1e-5 && fabs((double)s.confidence - most) < 1e-6 && fabs((double)s.logprob - ((double)x[V / 2] - log(sum))) < 1e-5 * (1 + fabs((double)x[V / 2] - log(sum))));
    }
    const float flat[4] = { 2, 2, 2, 2 }, forbidden[3] = { 1, -INFINITY, -INFINITY };
    assert_true(fabs((double)signals_token(flat, 4, 1, 4).entropy - log(4)) < 1e-6);
    const struct token_signal s = signals_token(forbidden, 3, 0, 7);
    assert_true(s.confidence == 1 && s.logprob == 0);
}

static void tokens_are_looked_at_at_first_and_then_every_eighth(void **state)
{
    (void)state;
    const float x[4] = { 1, 2, 3, 4 };
    struct text_signals all = { 0 };
    for (int i = 0; i < 20; i++) {
        const struct token_signal s = signals_token(x, 4, 3, i);
        assert_int_equal(s.looked, i < 8 || i == 8 || i == 16);
        signals_add(&all, &s);
    }
    assert_true(all.n_token == 20 && all.n_look == 10);
    assert_true(fabs(all.confidence / all.n_look - exp(all.logprob / all.n_token)) < 1e-6);          /* the likeliest was drawn */
}

static void rows_of_a_prompt_are_spread_over_what_is_computed(void **state)
{
    (void)state;
    assert_int_equal(signals_prompt_rows(1, 0), 0);              /* nothing in it follows anything */
    assert_int_equal(signals_prompt_rows(5, 4), 0);
    assert_int_equal(signals_prompt_rows(5, 0), 1);
    assert_int_equal(signals_prompt_row(5, 0, 0), 2);            /* in the middle */
    assert_int_equal(signals_prompt_rows(17, 0), 2);
    assert_int_equal(signals_prompt_rows(17, 1), 1);
    assert_int_equal(signals_prompt_rows(SIGNALS_PROMPT * SIGNALS_ONE_OF, 0), SIGNALS_PROMPT);
    for (int kept = 0; kept < 1000; kept += 64) {
        const int n = signals_prompt_rows(1000, kept);
        assert_int_equal(n, kept > 999 - (SIGNALS_PROMPT - 1) * SIGNALS_ONE_OF ? 1 + (999 - kept) / SIGNALS_ONE_OF : SIGNALS_PROMPT);
        for (int i = 0; i < n; i++) {
            const int at = signals_prompt_row(1000, kept, i);
            assert_true(at >= kept && at < 999 && (i == 0 || at > signals_prompt_row(1000, kept, i - 1)));
        }
    }
    assert_int_equal(signals_prompt_row(1 << 30, 0, SIGNALS_PROMPT - 1), (int)(((2LL * SIGNALS_PROMPT - 1) * ((1 << 30) - 1)) / (2 * SIGNALS_PROMPT)));
}

static void sketches_keep_distances_on_average(void **state)
{
    (void)state;
    enum { C = 96 };
    double ratio = 0;
    for (int k = 0; k < 200; k++) {
        struct text_signals a = { 0 };
        float x[C];
        double length = 0, of_sketch = 0;
        for (int c = 0; c < C; c++) {
            x[c] = (float)rng_normal((uint64_t)k, (uint64_t)c);
            length += (double)x[c] * (double)x[c];
        }
        signals_add_hidden(&a, x, C);
        assert_true(a.has_sketch);
        for (int i = 0; i < SIGNALS_SKETCH; i++)
            of_sketch += (double)a.sketch[i] * (double)a.sketch[i];
        ratio += of_sketch / length / 200;
    }
    assert_true(fabs(ratio - 1) < 0.1);                          /* sd of one is sqrt(2 / 16), of the mean 0.025 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_has_the_entropy_and_probabilities_of_its_logits),
        cmocka_unit_test(tokens_are_looked_at_at_first_and_then_every_eighth),
        cmocka_unit_test(rows_of_a_prompt_are_spread_over_what_is_computed),
        cmocka_unit_test(sketches_keep_distances_on_average),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
