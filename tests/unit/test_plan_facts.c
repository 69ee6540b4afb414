/* What models are in numbers: edges and small ones by hand, then published models against what their makers say of them and against
 * formulas of another program's modules (tests/golden/plan_models.json, by tools/golden/plan_models.py). */
#include <sys/resource.h>
#include "../near.h"
#include "base/mem.h"
#include "base/tree.h"
#include "plan/facts.h"
#include "plan/published.h"

#define EQUAL(got, want) near_to((got), (want), 1e-15, #got)

static void parse(struct config *c, const char *json)
{
    struct err err;
    OK(config_parse(c, json, strlen(json), "test", NULL, &err));
}

/* 2 layers, 4 wide, 2 heads of 2 with one of keys, 6 inside, 10 words. */
#define SMALL(more) "{\"model_type\":\"llama\",\"vocab_size\":10,\"hidden_size\":4,\"intermediate_size\":6,\"num_hidden_layers\":2,\"num_attention_heads\":2," \
    "\"num_key_value_heads\":1,\"max_position_embeddings\":16,\"rms_norm_eps\":1e-5,\"rope_theta\":10000.0,\"hidden_act\":\"silu\",\"torch_dtype\":\"bfloat16\"" more "}"

static void a_small_model_by_hand(void **state)
{
    (void)state;
    struct config c;
    struct model_facts f;
    struct err err;
    parse(&c, SMALL(",\"tie_word_embeddings\":false"));
    OK(model_facts(&f, &c, &err));
    EQUAL(f.part[FACTS_EMBEDDING], 40);
    EQUAL(f.part[FACTS_HEAD], 40);
    EQUAL(f.part[FACTS_ATTENTION], 2 * (8 * 4 + 4 * 4));      /* qkv of 8 rows, o */
    EQUAL(f.part[FACTS_MLP], 2 * 3 * 4 * 6);
    EQUAL(f.part[FACTS_NORMS], 2 * 2 * 4 + 4);
    EQUAL(f.params, 40 + 40 + 96 + 144 + 20);
    EQUAL(f.params_active, f.params);
    EQUAL(f.products, 96 + 144 + 40);
    EQUAL(f.kv_full, 2 * 2 * 2);                              /* layers, key and value, a head of 2 */
    EQUAL(f.kv_held, f.kv_full);
    EQUAL(f.key_full, 2 * 2 * 2 * 2 * 2);                     /* layers, products, multiply and add, heads of 2 */
    assert_int_equal(f.n_full, 2);
    assert_int_equal(f.n_windowed, 0);
    EQUAL(facts_forward_flops(&f, 1), 2 * 280 + 32);
    EQUAL(facts_forward_flops(&f, 0), 2 * 280);
    EQUAL(facts_train_flops(&f, 16, FLOPS_PALM), 6 * 280 + 12 * 2 * 2 * 2 * 16);      /* 12 L H D T */
    EQUAL(facts_train_flops(&f, 16, FLOPS_CAUSAL), 6 * 280 + 6 * 2 * 2 * 2 * 16);
    EQUAL(facts_weight_bytes(&f, &(struct weight_bits){ 0, 8, 16, 32 }), (96 + 144) * 1 + 80 * 2 + 20 * 4);
}

static void a_tied_head_is_no_parameter_but_a_product(void **state)
{
    (void)state;
    struct config c;
    struct model_facts f;
    struct err err;
    parse(&c, SMALL(",\"tie_word_embeddings\":true"));
    OK(model_facts(&f, &c, &err));
    EQUAL(f.part[FACTS_HEAD], 0);
    EQUAL(f.params, 40 + 96 + 144 + 20);
    EQUAL(f.products, 96 + 144 + 40);
}

/* By adding up what each token sees. */
static void what_tokens_see_on_average_is_the_average(void **state)
{
    (void)state;
    const struct model_facts causal = { .causal = true }, both = { .causal = false };
    for (int T = 1; T < 40; T += 3)
        for (int w = 0; w < 50; w += 7) {
            double sum = 0;
            for (int i = 1; i <= T; i++)
                sum += w && w < i ? w : i;
            near_to(facts_seen(&causal, T, w), sum / T, 1e-14, "seen");
        }
    EQUAL(facts_seen(&both, 10, 0), 10);
    EQUAL(facts_seen(&both, 10, 3), 5);
    EQUAL(facts_seen(&both, 4, 3), 4);
}

static void a_window_keeps_what_is_in_it(void **state)
{
    (void)state;
    const struct model_facts f = { .kv_full = 2, .kv_windowed = 10, .window = 4, .causal = true, .key_full = 1, .key_windowed = 100 };
    EQUAL(facts_cache_numbers(&f, 0), 0);
    EQUAL(facts_cache_numbers(&f, 4), 48);
    EQUAL(facts_cache_numbers(&f, 5), 50);
    EQUAL(facts_forward_flops(&f, 3), 303);
    EQUAL(facts_forward_flops(&f, 9), 409);
}

static void every_part_has_a_name(void **state)
{
    (void)state;
    for (int i = 0; i < N_FACTS_PART; i++)
        assert_true(strlen(facts_part_name((enum facts_part)i)) > 2);
}

/* ---- published models ---- */

static double number(const json_t *o, const char *key)
{
    if (!json_is_number(json_object_get(o, key)))
        fail_msg("no number %s", key);
    return json_number_value(json_object_get(o, key));
}

static const char *text(const json_t *o, const char *key) { return json_string_value(json_object_get(o, key)); }

static double ours_of(const struct model_facts *f, const char *what, double T)
{
    const struct weight_bits mxfp4 = { 4.25, 16, 16, 16 };
    const struct { const char *what; double v; } known[] = {
        { "params", f->params }, { "active", f->params_active }, { "embedding", f->part[FACTS_EMBEDDING] }, { "attention", f->part[FACTS_ATTENTION] },
        { "nonembedding", f->params - f->part[FACTS_EMBEDDING] - f->part[FACTS_HEAD] }, { "embeddings", f->part[FACTS_EMBEDDING] + f->part[FACTS_HEAD] },
        { "active_without_embedding", f->params_active - f->part[FACTS_EMBEDDING] }, { "kv", 2 * (f->kv_full + f->kv_windowed) },
        { "mlp", f->part[FACTS_MLP] + f->part[FACTS_EXPERTS] + f->part[FACTS_SHARED] + f->part[FACTS_ROUTER] },
        { "checkpoint", facts_weight_bytes(f, &mxfp4) }, { "train_causal", facts_train_flops(f, T, FLOPS_CAUSAL) } };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i].what, what))
            return known[i].v;
    fail_msg("what is '%s'?", what);
    return 0;
}

static void hold_against_published(const char *model, const struct model_facts *f, const json_t *row)
{
    const double published = number(row, "value"), T = json_number_value(json_object_get(row, "context")), ours = ours_of(f, text(row, "what"), T);
    const double allowed = json_object_get(row, "to") ? number(row, "to") / 2 : number(row, "within") * published;
    print_message("%-14s %-25s published %-14.9g ours %-14.9g %+.3f %%\n", model, text(row, "what"), published, ours, 100 * (ours / published - 1));
    if (!(fabs(ours - published) <= allowed))
        fail_msg("%s, %s: %.12g, published %.12g (%s)", model, text(row, "what"), ours, published, text(row, "source"));
}

static void hold_against_formulas(const char *model, const struct model_facts *f, const json_t *want)
{
    const struct { const char *key; double ours; } rows[] = {
        { "params", f->params }, { "active", f->params_active }, { "embedding", f->part[FACTS_EMBEDDING] }, { "head", f->part[FACTS_HEAD] },
        { "attention", f->part[FACTS_ATTENTION] }, { "matmul", f->products }, { "kv_full", f->kv_full }, { "kv_window", f->kv_windowed },
        { "window", f->window }, { "key_full", f->key_full }, { "key_window", f->key_windowed }, { "train_palm_4096", facts_train_flops(f, 4096, FLOPS_PALM) },
        { "train_causal_4096", facts_train_flops(f, 4096, FLOPS_CAUSAL) },
        { "forward_4096", 2 * f->products + f->key_full * facts_seen(f, 4096, 0) + f->key_windowed * facts_seen(f, 4096, f->window) } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char what[64];
        snprintf(what, sizeof what, "%.30s, %.20s", model, rows[i].key);
        near_to(rows[i].ours, number(want, rows[i].key), 1e-14, what);
    }
}

static void published_models_are_what_their_makers_say(void **state)
{
    (void)state;
    json_t *all, *m, *row;
    size_t i, j;
    struct err err;
    OK(tree_load(&all, "tests/golden/plan_models.json", 1 << 20, &err));
    assert_true(json_array_size(all) >= 12);
    json_array_foreach(all, i, m) {
        struct config c;
        struct model_facts f;
        int64_t total, active;
        OK(published_config(&c, text(m, "name"), &err));
        OK(model_facts(&f, &c, &err));
        hold_against_formulas(text(m, "name"), &f, json_object_get(m, "facts"));
        json_array_foreach(json_object_get(m, "published"), j, row)
            hold_against_published(text(m, "name"), &f, row);
        config_params(&c, &total, &active);
        EQUAL(f.params, (double)total);
        EQUAL(f.params_active, (double)active);
    }
    json_decref(all);
}

/* Of encoders and classifiers, too, config_params() and the recorded graph count the same. */
static void models_of_every_kind_are_counted_as_their_configuration_counts(void **state)
{
    (void)state;
    static const char *const folders[] = { "llama", "olmoe", "qwen3_moe", "gpt2", "vit", "lathe_gpt", "lathe_gpt_moe", "lathe_gpt_sigmoid", "lathe_gpt_corrected" };
    struct err err;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        struct config c;
        struct model_facts f;
        int64_t total, active;
        OK(config_load(&c, path_in("tests/golden", folders[i]), NULL, &err));
        OK(model_facts(&f, &c, &err));
        config_params(&c, &total, &active);
        EQUAL(f.params, (double)total);
        EQUAL(f.params_active, (double)active);
        assert_true(f.products > 0 && f.others > 0);
    }
}

/* No room for the weights is taken, at any size of model: what was mapped stays as it was, and nothing is left behind. */
static void looking_at_a_model_of_671_billion_takes_no_room_for_it(void **state)
{
    (void)state;
    json_t *all, *m;
    size_t i;
    struct err err;
    struct mem_stats before, after;
    struct rusage usage[2];
    OK(tree_load(&all, "tests/golden/plan_models.json", 1 << 20, &err));
    mem_stats_get(&before), getrusage(RUSAGE_SELF, &usage[0]);
    json_array_foreach(all, i, m) {
        struct config c;
        struct model_facts f;
        OK(published_config(&c, text(m, "name"), &err));
        OK(model_facts(&f, &c, &err));
    }
    mem_stats_get(&after), getrusage(RUSAGE_SELF, &usage[1]);
    assert_int_equal(before.n_live, after.n_live);
#if !UNDER_ADDRESS      /* which keeps what was freed */
    assert_true(usage[1].ru_maxrss - usage[0].ru_maxrss < 16 << 10);      /* kB */
#endif
    json_decref(all);
}

static void models_are_known_by_name_in_any_spelling_and_others_are_not(void **state)
{
    (void)state;
    struct config c;
    struct published *p;
    struct err err;
    int n;
    OK(published_config(&c, "llama 3.8b", &err));
    assert_int_equal(c.d_model, 4096);
    assert_int_equal(published_config(&c, "llama-3-80b", &err), ERR_NOTFOUND);
    assert_non_null(strstr(err.msg, "nearest is Llama-3-8B"));
    assert_int_equal(published_config(&c, "", &err), ERR_NOTFOUND);
    OK(published_list(&p, &n, &err));
    assert_true(n >= 12);
    for (int i = 0; i < n; i++) {
        OK(published_config(&c, p[i].name, &err));
        assert_true(strlen(p[i].source) > 10);
    }
    mem_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_model_by_hand),
        cmocka_unit_test(a_tied_head_is_no_parameter_but_a_product),
        cmocka_unit_test(what_tokens_see_on_average_is_the_average),
        cmocka_unit_test(a_window_keeps_what_is_in_it),
        cmocka_unit_test(every_part_has_a_name),
        cmocka_unit_test(models_are_known_by_name_in_any_spelling_and_others_are_not),
        cmocka_unit_test(published_models_are_what_their_makers_say),
        cmocka_unit_test(models_of_every_kind_are_counted_as_their_configuration_counts),
        cmocka_unit_test(looking_at_a_model_of_671_billion_takes_no_room_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
