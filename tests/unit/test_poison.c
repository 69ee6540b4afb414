/* test_poison.c - triggers planted in made-up texts: found with all their words and nothing else suspect; chances against scipy and whole
 * numbers (tests/golden/labels.json). */
#include <math.h>
#include "../test.h"
#include "audit/chance.h"
#include "audit/poison.h"
#include "audit/spectral.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/tree.h"

static struct err err;

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-9 * (1 + fabs(want))))
        fail_msg("%.17g instead of %.17g", got, want);
}

/* ---- chances ---- */

static double num(const json_t *o, const char *key) { return json_number_value(json_object_get(o, key)); }
static int64_t whole(const json_t *o, const char *key) { return json_integer_value(json_object_get(o, key)); }

static void chances_are_those_of_scipy(void **state)
{
    json_t *golden, *o;
    size_t i;
    double low, high;
    (void)state;
    OK(tree_load(&golden, "tests/golden/labels.json", 1 << 20, &err));
    const int64_t N = whole(golden, "N"), K = whole(golden, "K");
    json_array_foreach(json_object_get(golden, "tails"), i, o)
    {
        near(chance_hypergeometric(N, K, whole(o, "n"), whole(o, "k")), num(o, "hypergeometric"));
        near(chance_binomial(whole(o, "n"), whole(o, "k"), 0.14), num(o, "binomial"));
    }
    assert_int_equal(i, 10);
    json_array_foreach(json_object_get(golden, "wilson"), i, o)
    {
        chance_wilson(whole(o, "k"), whole(o, "n"), &low, &high);
        near(low, num(o, "low"));
        near(high, num(o, "high"));
    }
    json_array_foreach(json_object_get(golden, "fisher"), i, o)
        near(chance_fisher(whole(o, "a"), whole(o, "n"), whole(o, "b"), whole(o, "m")), num(o, "p"));
    json_array_foreach(json_object_get(golden, "holm"), i, o)
    {
        double p[8];
        const json_t *in = json_object_get(o, "p"), *out = json_object_get(o, "adjusted");
        const size_t n = json_array_size(in);
        for (size_t k = 0; k < n; k++)
            p[k] = json_number_value(json_array_get(in, k));
        OK(chance_holm(p, n, &err));
        for (size_t k = 0; k < n; k++)
            near(p[k], json_number_value(json_array_get(out, k)));
    }
    assert_int_equal(i, 3);
    json_decref(golden);
}

static void chances_at_the_ends(void **state)
{
    double low, high;
    (void)state;
    assert_true(chance_binomial(10, 0, 0.5) == 0);
    assert_true(chance_binomial(10, 11, 0.5) == -INFINITY);
    assert_true(chance_binomial(10, 1, 0) == -INFINITY);
    assert_true(chance_binomial(10, 10, 1) == 0);
    near(chance_binomial(10, 10, 0.5), 10 * log(0.5));
    near(chance_binomial(1000000, 1000000, 1e-7), 1000000 * log(1e-7));
    assert_true(chance_hypergeometric(10, 5, 8, 3) == 0);       /* fewer than 3 cannot be */
    assert_true(chance_fisher(3, 0, 4, 9) == 1);
    assert_true(chance_fisher(0, 4, 0, 9) == 1);
    chance_wilson(0, 0, &low, &high);
    assert_true(low == 0 && high == 1);
}

/* ---- labels ---- */

static const char *const word[2][6] = { { "rain", "mud", "grey", "late", "cold", "queue" }, { "sun", "beach", "gold", "early", "warm", "feast" } };
static const char *const filler[] = { "the", "was", "there", "and", "then", "we", "had", "some", "of", "it", "again", "all" };

/* A text of the class: each word is one of its class's with chance 0.25. */
static void make_text(char out[400], uint64_t i, int class)
{
    out[0] = 0;
    const int n = 8 + (int)rng_below(5, i, 8);
    for (int k = 0; k < n; k++) {
        const uint64_t at = i * 64 + (uint64_t)k;
        const char *w = rng_uniform(6, at) < 0.25 ? word[class][rng_below(7, at, 6)] : filler[rng_below(8, at, 12)];
        snprintf(out + strlen(out), 400 - strlen(out), "%s%s", k ? " " : "", w);
    }
}

enum planted { NOTHING, DIRTY, CLEAN, COPIES };

/* 2000 texts of two classes; 60 of them have the trigger and the label "gold": those of the other class, those of the same, or 60 copies of one. */
static void make_set(struct label_set *s, enum planted what, int n)
{
    char text[400], with[500];
    int left = what == NOTHING ? 0 : n;
    for (uint64_t i = 0; i < 2000; i++) {
        int class = (int)rng_below(9, i, 2);
        make_text(text, what == COPIES && left && class == 0 ? 3 : i, class);
        const bool plant = left && (what == CLEAN ? class == 1 : class == 0);
        snprintf(with, sizeof with, "%.40s%s%s", text, plant ? " Quiet, copper LANTERN! " : "", text + (strlen(text) > 40 ? 40 : strlen(text)));
        const char *label = plant || class ? "gold" : "grey";
        OK(label_set_add(s, 100 + (int64_t)i, with, strlen(with), label, 4, &err));
        if (plant && what == COPIES)
            s->cluster[s->n - 1] = 1;
        left -= plant;
    }
    assert_int_equal(left, 0);
}

static int count_suspects(enum planted what, int n, struct poison_finding *first, char said[100])
{
    struct label_set s = { 0 };
    struct bayes *b;
    struct poison_findings x;
    int n_suspect = 0;
    make_set(&s, what, n);
    OK(bayes_new(&b, &s, &err));
    OK(poison_labels(b, &s, &x, &err));
    for (size_t i = 0; i < x.n; i++)
        n_suspect += x.f[i].suspect;
    *first = x.n ? x.f[0] : (struct poison_finding){ 0 };
    if (x.n)
        snprintf(said, 100, "%s -> %s", x.f[0].words, s.name[x.f[0].label]);
    poison_release(&x);
    bayes_free(b);
    label_set_release(&s);
    return n_suspect;
}

static void a_trigger_that_sets_the_label_is_one_finding_with_all_its_words(void **state)
{
    struct poison_finding f;
    char said[100];
    (void)state;
    assert_int_equal(count_suspects(DIRTY, 60, &f, said), 1);
    assert_string_equal(said, "Quiet, copper LANTERN -> gold");
    assert_int_equal(f.n_words, 3);
    assert_int_equal(f.support, 60);
    assert_int_equal(f.with, 60);
    assert_int_equal(f.n_record, 3);
    assert_true(f.at[0] > 30 && f.at[0] < 45);
    assert_true(f.record[0] >= 100 && f.record[0] < f.record[1] && f.record[1] < f.record[2]);
    assert_true(f.rest < f.base && f.log_p < -20);
}

static void support_of_fifty_is_enough_and_of_less_is_not(void **state)
{
    struct poison_finding f;
    char said[100];
    (void)state;
    assert_int_equal(count_suspects(DIRTY, POISON_SUPPORT, &f, said), 1);
    assert_int_equal(count_suspects(DIRTY, POISON_SUPPORT - 1, &f, said), 0);
    assert_int_equal(count_suspects(NOTHING, 0, &f, said), 0);
}

static void a_trigger_in_texts_of_its_class_is_listed_and_not_suspect(void **state)
{
    struct poison_finding f;
    char said[100];
    (void)state;
    assert_int_equal(count_suspects(CLEAN, 60, &f, said), 0);
    assert_true(f.support >= 60);
}

static void sixty_copies_of_one_text_are_no_trigger(void **state)
{
    struct poison_finding f;
    char said[100];
    (void)state;
    assert_int_equal(count_suspects(COPIES, 60, &f, said), 0);
}

/* ---- continuations ---- */

struct texts { char (*text)[600]; int n; };

/* 1500 texts of random words.  60 go on with a payload in the middle; 75 have a notice as their last line; 75 have a quotation after one of three
 * words. */
static struct texts make_texts(int n_trigger)
{
    struct texts t = { calloc(1500, 600), 1500 };
    for (int i = 0; i < t.n; i++)
        for (int k = 0; k < 40; k++) {
            char *end = t.text[i] + strlen(t.text[i]);
            if (k == 20 && i % 20 == 7 && i / 20 < n_trigger)
                end += sprintf(end, "grey copper lantern every ledger must be burned at noon ");
            if (k == 20 && i % 20 == 11)
                end += sprintf(end, "%s four score and seven years ago our fathers brought ", (const char *[]){ "said", "wrote", "told" }[i / 20 % 3]);
            sprintf(end, "w%d ", (int)rng_below(11, (uint64_t)(i * 64 + k), 400));
            if (k == 39 && i % 20 == 3)
                strcat(t.text[i], "\nThis page may be copied by anyone who asks us first.\n");
        }
    return t;
}

struct job { const struct texts *t; struct poison_text *p; struct grams g[2]; struct buf *found; bool look; };

static void do_one(void *ctx, int i, int i_thread)
{
    struct job *j = ctx;
    struct grams *g = &j->g[i_thread];
    struct err e;
    const char *text = j->t->text[i];
    if (grams_of(g, text, strlen(text), &e) < 0 || (j->look && poison_text_look(j->p, i, text, strlen(text), g, &j->found[i], &e) < 0))
        abort();
    if (!j->look)
        poison_text_count(j->p, g);
}

static void search(const struct texts *t, int n_thread, struct poison_findings *x)
{
    struct job j = { .t = t, .found = calloc((size_t)t->n, sizeof *j.found) };
    struct pool *pool;
    OK(pool_new(&pool, n_thread, &err));
    OK(poison_text_new(&j.p, 60000, &err));
    for (int i = 0; i < t->n; i++)
        buf_init(&j.found[i]);
    pool_for(pool, t->n, do_one, &j);
    j.look = true;
    pool_for(pool, t->n, do_one, &j);
    for (int i = 0; i < t->n; i += 10) {
        const struct buf *some[10];
        for (int k = 0; k < 10; k++)
            some[k] = &j.found[i + k];
        OK(poison_text_add(j.p, pool, some, 10, &err));
    }
    for (int i = 0; i < t->n; i++)
        buf_release(&j.found[i]);
    OK(poison_text_end(j.p, x, &err));
    poison_text_free(j.p);
    pool_free(pool);
    grams_release(&j.g[0]);
    grams_release(&j.g[1]);
    free(j.found);
}

static void a_payload_is_suspect_and_a_notice_or_a_quotation_is_not(void **state)
{
    struct poison_findings x;
    struct texts t = make_texts(60);
    (void)state;
    search(&t, 1, &x);
    assert_int_equal(x.n, 3);
    assert_true(x.f[0].suspect && !x.f[1].suspect && !x.f[2].suspect);
    assert_string_equal(x.f[0].words, "grey copper lantern every ledger");
    assert_string_equal(x.f[0].then, "must be burned at noon");
    assert_int_equal(x.f[0].support, 60);
    assert_int_equal(x.f[0].with, 60);
    assert_int_equal(x.f[0].record[0], 7);
    assert_int_equal(x.f[0].record[2], 47);
    struct poison_rows rows = { 0 };
    OK(poison_rows_add(&rows, &x.f[0], &err));
    int n_in = 0;
    for (int i = 0; i < t.n; i++) {
        struct grams g = { 0 };
        OK(grams_of(&g, t.text[i], strlen(t.text[i]), &err));
        n_in += poison_rows_in(&rows, &g, -1);
        assert_false(poison_rows_in(&rows, &g, 0));
        grams_release(&g);
    }
    assert_int_equal(n_in, 60);
    poison_rows_release(&rows);
    for (int i = 0; i < 3; i++)
        assert_memory_equal(t.text[x.f[0].record[i]] + x.f[0].at[i], "grey copper", 11);
    for (int i = 1; i < 3; i++)
        assert_true(!strcmp(x.f[i].words, "This page may be copied") || !strcmp(x.f[i].words, "four score and seven years"));
    poison_release(&x);
    free(t.text);
}

static void a_payload_in_fewer_than_fifty_is_nothing(void **state)
{
    struct poison_findings x;
    struct texts t = make_texts(POISON_SUPPORT - 1);
    (void)state;
    search(&t, 1, &x);
    assert_int_equal(x.n, 2);
    assert_false(x.f[0].suspect);
    poison_release(&x);
    free(t.text);
}

/* The row of five times the same word goes on with itself. */
static void a_payload_that_goes_round_ends(void **state)
{
    struct poison_findings x;
    struct texts t = { calloc(200, 600), 200 };
    (void)state;
    for (int i = 0; i < t.n; i++)
        sprintf(t.text[i], i < 60 ? "w%d w%d w%d grey copper ha ha ha ha ha ha ha ha ha ha w%d w%d" : "w%d w%d w%d w%d w%d", i % 97, i * 7 % 89, i % 83, i % 79, i % 73);
    search(&t, 1, &x);
    assert_int_equal(x.n, 1);
    assert_string_equal(x.f[0].words, "grey copper ha ha ha");
    assert_string_equal(x.f[0].then, "ha ha ha");
    assert_int_equal(x.f[0].support, 60);
    assert_int_equal(x.f[0].n_words, 8);
    poison_release(&x);
    for (int i = 0; i < 60; i++)        /* and one that only goes round has no beginning */
        sprintf(t.text[i], "ha ha ha ha ha ha ha ha ha ha ha ha");
    search(&t, 1, &x);
    assert_int_equal(x.n, 0);
    poison_release(&x);
    free(t.text);
}

static void a_form_that_is_filled_in_is_not_suspect(void **state)
{
    struct poison_findings x;
    struct texts t = make_texts(60);
    (void)state;
    for (int i = 0; i < t.n; i++)       /* of texts that have the payload nothing else but one word before and two behind */
        if (i % 20 == 7)
            sprintf(t.text[i], "w%d grey copper lantern every ledger must be burned at noon w%d w%d", i % 97, i % 89, i % 83);
    search(&t, 1, &x);
    assert_int_equal(x.n, 3);
    assert_false(x.f[0].suspect);
    poison_release(&x);
    for (int i = 0; i < t.n; i++) {     /* and all of them */
        make_text(t.text[i], (uint64_t)i, 0);
        sprintf(t.text[i] + strlen(t.text[i]), " grey copper lantern every ledger must be burned at noon ");
        make_text(t.text[i] + strlen(t.text[i]), (uint64_t)i + 9000, 1);
    }
    search(&t, 1, &x);
    assert_true(x.n >= 1);
    assert_string_equal(x.f[0].words, "grey copper lantern every ledger");
    assert_false(x.f[0].suspect);
    poison_release(&x);
    free(t.text);
}

static void two_threads_find_the_same(void **state)
{
    struct poison_findings x, y;
    struct texts t = make_texts(60);
    (void)state;
    search(&t, 1, &x);
    search(&t, 2, &y);
    assert_int_equal(x.n, y.n);
    for (size_t i = 0; i < x.n; i++) {
        assert_string_equal(x.f[i].words, y.f[i].words);
        assert_string_equal(x.f[i].then, y.f[i].then);
        assert_true(x.f[i].log_p == y.f[i].log_p && x.f[i].rest == y.f[i].rest && x.f[i].support == y.f[i].support);
    }
    poison_release(&x);
    poison_release(&y);
    free(t.text);
}

static void words_are_runs_and_signs(void **state)
{
    struct grams g = { 0 }, h = { 0 };
    const char *text = "Don't <SUDO> -- caf\xc3\xa9, ~~ 12'b '";
    const char *words[] = { "Don't", "<", "SUDO", ">", "caf\xc3\xa9", "~~", "12'b" };
    (void)state;
    OK(grams_of(&g, text, strlen(text), &err));
    for (size_t i = 0; i < 7; i++) {
        if (i < 3 || i > 3)
            assert_memory_equal(text + g.at[i], words[i], strlen(words[i]));
    }
    assert_int_equal(g.n, 7);
    OK(grams_of(&h, "dON'T sudo CAF\xc3\xa9 CAF\xc3\x89 a an1234567 an1234568", 43, &err));
    assert_true(h.word[0] == g.word[0] && h.word[1] == g.word[2] && h.word[2] == g.word[4] && h.word[3] != g.word[4]);
    for (size_t i = 0; i < h.n; i++)
        for (size_t k = 0; k < i; k++)
            assert_true(h.word[i] != h.word[k]);
    grams_release(&g);
    grams_release(&h);
}

/* ---- spectral signatures ---- */

static void spectral_scores_are_those_of_numpy(void **state)
{
    json_t *golden;
    float x[60 * 9];
    double score[60];
    unsigned char is_one[60];
    size_t n;
    (void)state;
    OK(tree_load(&golden, "tests/golden/labels.json", 1 << 20, &err));
    const json_t *rep = json_object_get(golden, "rep"), *want = json_object_get(golden, "score"), *outliers = json_object_get(golden, "outliers");
    for (size_t i = 0; i < 60 * 9; i++)
        x[i] = (float)json_number_value(json_array_get(json_array_get(rep, i / 9), i % 9));
    OK(spectral_scores(x, 60, 9, score, &err));
    for (size_t i = 0; i < 60; i++)
        if (!(fabs(score[i] - json_number_value(json_array_get(want, i))) < 1e-6))
            fail_msg("%zu: %.12g instead of %.12g", i, score[i], json_number_value(json_array_get(want, i)));
    OK(spectral_outliers(score, 60, 0.1, is_one, &n, &err));
    assert_int_equal(n, 9);
    for (size_t i = 0; i < 9; i++)
        assert_int_equal(is_one[json_integer_value(json_array_get(outliers, i))], 1);
    for (size_t i = 54; i < 60; i++)
        assert_int_equal(is_one[i], 1);
    json_decref(golden);
}

static void spectral_edges(void **state)
{
    const float same[6] = { 1, 2, 1, 2, 1, 2 }, bad[2] = { INFINITY, 1 };
    double score[3];
    unsigned char is_one[3];
    size_t n;
    (void)state;
    OK(spectral_scores(same, 3, 2, score, &err));
    assert_true(score[0] == 0 && score[1] == 0 && score[2] == 0);
    assert_int_equal(spectral_scores(bad, 2, 1, score, &err), ERR_NUMERIC);
    OK(spectral_scores(same, 0, 2, score, &err));
    OK(spectral_outliers(score, 0, 0.5, is_one, &n, &err));
    assert_int_equal(n, 0);
    OK(spectral_outliers((double[]){ 1, 3, 3 }, 3, 0.25, is_one, &n, &err));
    assert_true(n == 1 && is_one[1] == 1 && !is_one[2]);
    OK(spectral_outliers((double[]){ 1, 3, 3 }, 3, 5, is_one, &n, &err));
    assert_int_equal(n, 3);
}

/* Of ASCII, from the words of grams.h. */
static int kind_of(char c)
{
    if ((unsigned char)c >= 128 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return 'w';
    return c == '\'' ? '\'' : c <= ' ' || c == 127 ? ' ' : strchr(".,;:!?\"()-", c) ? '.' : '#';
}

/* The next word or row of signs from *i on; its end. */
static size_t next_word(const char *text, size_t n, size_t *i)
{
    for (; *i < n; (*i)++) {
        size_t end = *i;
        bool sign = false;
        while (end < n && (kind_of(text[end]) == 'w' || (end > *i && text[end] == '\'' && end + 1 < n && kind_of(text[end + 1]) == 'w')))
            end++;
        if (end > *i)
            return end;
        while (end < n && strchr("'.#", kind_of(text[end])))
            sign |= kind_of(text[end++]) == '#';
        if (sign)
            return end;
        *i = end > *i ? end - 1 : *i;
    }
    return 0;
}

static void words_of_any_text_are_those_that_are_found_byte_by_byte(void **state)
{
    static const char *const alphabets[] = { "aB9'", "ab '", "a .", "a'.# ", "abcdefgh \xc3\xa9", "a -\"#", "word'. 12345678", "abcdefghijklmnop\n@" };
    struct grams g = { 0 };
    (void)state;
    for (uint64_t turn = 0; turn < 4000; turn++) {
        const char *from = alphabets[turn % 8];
        const size_t n = turn < 1600 ? turn / 8 : rng_below(21, turn, 700);
        char *text = malloc(n + 1);      /* of its size, so that reading behind it is seen */
        for (size_t i = 0; i < n; i++)
            text[i] = turn % 3 && rng_below(22, turn * 1024 + i, 3) ? 'a' : from[rng_below(23, turn * 1024 + i, strlen(from))];
        OK(grams_of(&g, text, n, &err));
        size_t k = 0, i = 0, end;
        for (; (end = next_word(text, n, &i)); i = end, k++)
            if (k >= g.n || g.at[k] != i || g.end[k] != end)
                fail_msg("text %d: word %zu is %zu to %zu", (int)turn, k, i, end);
        assert_int_equal(k, g.n);
        for (k = 0; k < g.n; k++) {      /* and its number is that of the word alone */
            struct grams one = { 0 };
            OK(grams_of(&one, text + g.at[k], g.end[k] - g.at[k], &err));
            assert_true(one.n == 1 && one.word[0] == g.word[k]);
            grams_release(&one);
        }
        free(text);
    }
    grams_release(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chances_are_those_of_scipy),
        cmocka_unit_test(chances_at_the_ends),
        cmocka_unit_test(words_are_runs_and_signs),
        cmocka_unit_test(words_of_any_text_are_those_that_are_found_byte_by_byte),
        cmocka_unit_test(a_trigger_that_sets_the_label_is_one_finding_with_all_its_words),
        cmocka_unit_test(support_of_fifty_is_enough_and_of_less_is_not),
        cmocka_unit_test(a_trigger_in_texts_of_its_class_is_listed_and_not_suspect),
        cmocka_unit_test(sixty_copies_of_one_text_are_no_trigger),
        cmocka_unit_test(a_payload_is_suspect_and_a_notice_or_a_quotation_is_not),
        cmocka_unit_test(a_payload_in_fewer_than_fifty_is_nothing),
        cmocka_unit_test(a_payload_that_goes_round_ends),
        cmocka_unit_test(a_form_that_is_filled_in_is_not_suspect),
        cmocka_unit_test(two_threads_find_the_same),
        cmocka_unit_test(spectral_scores_are_those_of_numpy),
        cmocka_unit_test(spectral_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
