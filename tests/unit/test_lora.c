/* test_lora.c - adapters in a model: gradients and steps as torch's (tools/golden/lora.py), step 0 the base's to the bit, what
 * files say and what they may not. */
#include <math.h>
#include "golden.h"
#include "base/mem.h"
#include "base/tree.h"
#include "model/adapter.h"
#include "train/prefer.h"

static struct pool *pool;
static struct err err;

struct tuned { struct config c; struct weights_list *l; struct safetensors *model, *inputs; struct decoder d; int B, T; int32_t seq_start[9]; };

/* The Llama of tests/golden with its batch; o NULL: without adapters. */
static void open_tuned(struct tuned *t, const struct lora *o, enum decoder_use use, enum dtype compute, enum recompute recompute)
{
    OK(config_load(&t->c, "tests/golden/llama", NULL, &err));
    OK(weights_list_new(&t->l, &t->c, &err));
    OK(safetensors_open(&t->model, "tests/golden/llama", &err));
    OK(safetensors_open(&t->inputs, "tests/golden/llama/golden.safetensors", &err));
    const struct st_tensor *ids = find(t->inputs, "input_ids");
    t->B = (int)ids->shape[0], t->T = (int)(ids->shape[0] * ids->shape[1]);
    const struct decoder_opts opts = { .use = use, .compute = compute, .recompute = recompute, .lora = o, .loss_first = true };
    OK(decoder_record(&t->d, &t->c, &opts, &err));
    OK(decoder_plan(&t->d, 64, 8, 2, NULL, &err));
    OK(decoder_bind(&t->d, pool, NULL, &err));
    OK(weights_load(t->l, t->model, decoder_weight, &t->d, &err));
    const int32_t *targets = find(t->inputs, "targets")->data;
    memcpy(t->d.g->tensor[t->d.ids].data, ids->data, (size_t)t->T * sizeof(int32_t));
    for (int i = 0; i < t->T; i++) {
        ((int32_t *)t->d.g->tensor[t->d.pos].data)[i] = i % (t->T / t->B);
        ((int32_t *)t->d.g->tensor[t->d.target].data)[i] = targets[i] < 0 ? -1 : targets[i];
    }
    for (int b = 0; b <= t->B; b++)
        t->seq_start[b] = b * (t->T / t->B);
}

static void close_tuned(struct tuned *t)
{
    decoder_release(&t->d);
    weights_list_free(t->l);
    safetensors_free(t->model);
    safetensors_free(t->inputs);
}

static struct step step_of(const struct tuned *t)
{
    int counted = 0;
    for (int i = 0; i < t->T; i++)
        counted += ((const int32_t *)t->d.g->tensor[t->d.target].data)[i] >= 0;
    return (struct step){ .T = t->T, .S = t->B, .seq_start = t->seq_start, .loss_scale = 1.0 / counted, .aux_scale = 1, .seed = 3 };
}

static double loss_of(const struct tuned *t)
{
    double sum = 0;
    for (int i = 0; i < t->T; i++)
        sum += ((const int32_t *)t->d.g->tensor[t->d.target].data)[i] >= 0 ? (double)((const float *)t->d.g->tensor[t->d.nll].data)[i] : 0;
    return sum * step_of(t).loss_scale;
}

static double train_pass(struct tuned *t)
{
    const struct step s = step_of(t);
    graph_run(t->d.g, PASS_FORWARD, &s);
    graph_run(t->d.g, PASS_BACKWARD, &s);
    graph_run(t->d.g, PASS_NORM, &s);
    return loss_of(t);
}

static void prepare(struct tuned *t)
{
    const struct step s = step_of(t);
    graph_run(t->d.g, PASS_PREPARE, &s);
}

static double difference(const float *got, const struct st_tensor *want)
{
    double diff = 0, norm = 0;
    const double *w = want->data;
    for (int64_t i = 0; i < want->n; i++) {
        double x;
        memcpy(&x, w + i, sizeof x);
        diff += (got[i] - x) * (got[i] - x), norm += x * x;
    }
    return sqrt(diff / norm);
}

/* What `kind` (grad, after) of the golden file says of every A and B, against their tensors or their gradients'. */
static void check_adapters(const struct tuned *t, const struct safetensors *want, const char *kind, double tolerance)
{
    const struct decoder *d = &t->d;
    const bool grad = !strcmp(kind, "grad");
    for (int i = 0; i < d->n_site; i++)
        for (int j = 0; j < d->site[i].n_part; j++)
            for (int b = 0; b < 2; b++) {
                char key[200];
                const struct tensor *x = &d->g->tensor[b ? d->site[i].b[j] : d->site[i].a];
                snprintf(key, sizeof key, "%s.base_model.model.%s.lora_%c.weight", kind, d->site[i].part[j].module, b ? 'B' : 'A');
                const float *data = grad ? d->g->tensor[x->grad].data : x->data;
                const double diff = difference(data + (b ? 0 : j * d->lora.rank * x->shape[1].n), find(want, key));
                if (!(diff <= tolerance))
                    fail_msg("%s differs by %.3g, expected at most %g", key, diff, tolerance);
            }
}

static void open_golden(struct tuned *t, struct adapter **a, struct safetensors **want, enum dtype compute, enum recompute recompute)
{
    OK(adapter_open(a, "tests/golden/lora", &err));
    struct lora o = *adapter_lora(*a);
    OK(lora_targets(&o, "q_proj k_proj v_proj o_proj down_proj", &err));
    open_tuned(t, &o, DECODER_TRAIN, compute, recompute);
    OK(adapter_load(*a, &t->d, t->l, &err));
    OK(safetensors_open(want, "tests/golden/lora/golden.safetensors", &err));
    prepare(t);
}

static void gradients_of_adapters_are_those_of_torch(void **state)
{
    (void)state;
    static const struct { enum dtype compute; enum recompute recompute; double tolerance; } forms[] = {
        { DT_F32, RECOMPUTE_NONE, 1e-5 }, { DT_F32, RECOMPUTE_CHEAP, 1e-5 }, { DT_F32, RECOMPUTE_BLOCK, 1e-5 }, { DT_BF16, RECOMPUTE_NONE, 2e-2 },
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct tuned t;
        struct adapter *a;
        struct safetensors *want;
        double first;
        open_golden(&t, &a, &want, forms[i].compute, forms[i].recompute);
        const double loss = train_pass(&t);
        memcpy(&first, find(want, "losses")->data, sizeof first);
        if (!(fabs(loss - first) <= forms[i].tolerance * first))
            fail_msg("loss %.9g, expected %.9g", loss, first);
        check_adapters(&t, want, "grad", forms[i].tolerance);
        for (int w = 0; w < t.l->n_weight; w++)
            assert_true(t.d.g->tensor[w].grad < 0 && t.d.g->tensor[w].moment[0] < 0);
        adapter_free(a);
        safetensors_free(want);
        close_tuned(&t);
    }
}

static void twenty_steps_of_adamw_are_those_of_torch(void **state)
{
    (void)state;
    struct tuned t;
    struct adapter *a;
    struct safetensors *want;
    json_t *o;
    double lr, beta1, beta2, eps, wd, clip, losses[20], norms[20];
    OK(tree_load(&o, "tests/golden/lora/optim.json", 1 << 20, &err));
    OK(tree_num(o, "lr", NAN, &lr, "optim.json", &err));
    OK(tree_num(o, "beta1", NAN, &beta1, "optim.json", &err));
    OK(tree_num(o, "beta2", NAN, &beta2, "optim.json", &err));
    OK(tree_num(o, "eps", NAN, &eps, "optim.json", &err));
    OK(tree_num(o, "weight_decay", NAN, &wd, "optim.json", &err));
    OK(tree_num(o, "clip", NAN, &clip, "optim.json", &err));
    json_decref(o);
    open_golden(&t, &a, &want, DT_F32, RECOMPUTE_NONE);
    memcpy(losses, find(want, "losses")->data, sizeof losses);
    memcpy(norms, find(want, "norms")->data, sizeof norms);
    for (int i = 0; i < 20; i++) {
        const double loss = train_pass(&t), norm = sqrt(graph_grad_square(t.d.g));
        if (!(fabs(loss - losses[i]) <= 1e-5 * losses[i]) || !(fabs(norm - norms[i]) <= 1e-5 * norms[i]))
            fail_msg("step %d: loss %.9g, norm %.9g, expected %.9g, %.9g", i, loss, norm, losses[i], norms[i]);
        struct step s = step_of(&t);
        s.adamw = (struct adamw){ .lr = (float)lr, .beta1 = (float)beta1, .beta2 = (float)beta2, .eps = (float)eps, .wd = (float)wd, .correction1 = (float)(1 - pow(beta1, i + 1)),
                                  .correction2 = (float)(1 - pow(beta2, i + 1)), .grad_scale = norm > clip ? (float)(clip / (norm + 1e-6)) : 1 };
        graph_run(t.d.g, PASS_UPDATE, &s);
    }
    check_adapters(&t, want, "after", 1e-5);
    for (int i = 0; i < t.l->n_weight; i++) {                      /* the base is what it was */
        float *again = mem_alloc_array((size_t)t.l->weight[i].n, sizeof *again);
        for (int j = 0; j < t.l->weight[i].n_part; j++) {
            const struct weight_part p = weight_part(t.l, &t.l->weight[i], j);
            OK(st_read_f32(find(t.model, p.name), 0, p.n_row * p.n_col, again + p.row * p.n_col, &err));
        }
        assert_memory_equal(again, decoder_weight(&t.d, i), (size_t)t.l->weight[i].n * sizeof *again);
        mem_free(again);
    }
    adapter_free(a);
    safetensors_free(want);
    close_tuned(&t);
}

static const struct lora plain = { .rank = 4, .alpha = 8, .targets = LORA_ALL, .all = true };

static void the_first_step_has_the_bits_of_the_base(void **state)
{
    (void)state;
    for (int b16 = 0; b16 < 2; b16++) {
        struct tuned base, t;
        open_tuned(&base, NULL, DECODER_TRAIN, b16 ? DT_BF16 : DT_F32, RECOMPUTE_NONE);
        open_tuned(&t, &plain, DECODER_TRAIN, b16 ? DT_BF16 : DT_F32, RECOMPUTE_NONE);
        decoder_init_adapters(&t.d, 5);
        prepare(&base);
        prepare(&t);
        train_pass(&base);
        train_pass(&t);
        assert_memory_equal(base.d.g->tensor[base.d.nll].data, t.d.g->tensor[t.d.nll].data, (size_t)t.T * sizeof(float));
        for (int i = 0; i < t.d.n_site; i++) {                      /* B is zero: A has no gradient yet, B has one, and A is drawn */
            const struct tensor *a = &t.d.g->tensor[t.d.site[i].a];
            double largest = 0, grad_a = 0, grad_b = 0;
            for (int64_t k = 0; k < a->shape[0].n * a->shape[1].n; k++)
                largest = fmax(largest, fabs((double)((const float *)a->data)[k])), grad_a = fmax(grad_a, fabs((double)((const float *)t.d.g->tensor[a->grad].data)[k]));
            for (int64_t k = 0; k < t.d.site[i].part[0].n_row * 4; k++)
                grad_b = fmax(grad_b, fabs((double)((const float *)t.d.g->tensor[t.d.g->tensor[t.d.site[i].b[0]].grad].data)[k]));
            assert_true(largest > 0.8 / sqrt((double)a->shape[1].n) && largest < 1 / sqrt((double)a->shape[1].n) && grad_a == 0 && grad_b > 0);
        }
        close_tuned(&base);
        close_tuned(&t);
    }
}

static void memory_of_frozen_weights_is_that_of_the_weights_alone(void **state)
{
    (void)state;
    struct tuned base, t;
    open_tuned(&base, NULL, DECODER_TRAIN, DT_F32, RECOMPUTE_NONE);
    open_tuned(&t, &plain, DECODER_TRAIN, DT_F32, RECOMPUTE_NONE);
    const size_t adapters = t.d.g->plan.bytes[TENSOR_GRAD];
    assert_true(adapters < base.d.g->plan.bytes[TENSOR_GRAD] / 3);
    assert_int_equal(t.d.g->plan.bytes[TENSOR_MOMENT], 2 * adapters);
    assert_true(t.d.g->plan.bytes[TENSOR_WEIGHT] == adapters && t.d.g->plan.bytes[TENSOR_FROZEN] == base.d.g->plan.bytes[TENSOR_WEIGHT]);
    close_tuned(&base);
    close_tuned(&t);
}

static void dropout_is_only_for_adapters_in_training(void **state)
{
    (void)state;
    struct lora dropped = plain;
    dropped.dropout = 0.5;
    struct tuned t, s;
    open_tuned(&t, &dropped, DECODER_TRAIN, DT_BF16, RECOMPUTE_NONE);
    open_tuned(&s, &dropped, DECODER_SCORE, DT_BF16, RECOMPUTE_NONE);
    decoder_init_adapters(&t.d, 5);
    decoder_init_adapters(&s.d, 5);
    for (int i = 0; i < t.d.n_site; i++)
        for (int j = 0; j < t.d.site[i].n_part; j++)
            for (int64_t k = 0; k < t.d.site[i].part[j].n_row * 4; k++)
                ((float *)t.d.g->tensor[t.d.site[i].b[j]].data)[k] = ((float *)s.d.g->tensor[s.d.site[i].b[j]].data)[k] = 0.02f * (float)(k % 7 - 3);
    prepare(&t);
    prepare(&s);
    const struct step step = step_of(&s);
    graph_run(s.d.g, PASS_FORWARD, &step);
    const double with = train_pass(&t), without = loss_of(&s);
    assert_true(fabs(with - without) > 1e-4 && fabs(with - without) < 0.5);
    close_tuned(&t);
    close_tuned(&s);
}

/* ---- preferences ---- */

/* The pairs of the golden file into the inputs of a decoder. */
static void load_pairs(const struct safetensors *want, const struct decoder *d, struct batch *b)
{
    static int32_t pos[64], target[64], start[16];
    const struct st_tensor *ids = find(want, "ids"), *starts = find(want, "start");
    *b = (struct batch){ .target = target, .seq_start = start, .n = (int)ids->n, .n_seq = (int)starts->n - 1 };
    memcpy(start, starts->data, (size_t)starts->n * sizeof *start);
    memcpy(target, find(want, "target")->data, (size_t)b->n * sizeof *target);
    for (int s = 0; s < b->n_seq; s++)
        for (int t = start[s]; t < start[s + 1]; t++)
            pos[t] = t - start[s], target[t] = target[t] < 0 ? -1 : target[t];
    memcpy(d->g->tensor[d->ids].data, ids->data, (size_t)b->n * sizeof(int32_t));
    memcpy(d->g->tensor[d->pos].data, pos, (size_t)b->n * sizeof(int32_t));
    memcpy(d->g->tensor[d->target].data, target, (size_t)b->n * sizeof(int32_t));
}

static double golden_number(const struct safetensors *st, const char *name, int i)
{
    double x;
    memcpy(&x, (const double *)find(st, name)->data + i, sizeof x);
    return x;
}

static void preferences_have_the_loss_and_gradients_of_torch(void **state)
{
    (void)state;
    static const struct { enum dtype compute; double tolerance; } forms[] = { { DT_F32, 1e-5 }, { DT_BF16, 4e-2 } };
    for (int f = 0; f < 2; f++) {
        struct tuned base, t;
        struct adapter *a;
        struct safetensors *want;
        struct batch b;
        OK(adapter_open(&a, "tests/golden/lora", &err));
        struct lora o = *adapter_lora(a);
        OK(lora_targets(&o, "q k v o down", &err));
        open_tuned(&base, NULL, DECODER_SCORE, forms[f].compute, RECOMPUTE_NONE);
        open_tuned(&t, &o, DECODER_TRAIN, forms[f].compute, RECOMPUTE_NONE);
        OK(adapter_load(a, &t.d, t.l, &err));
        OK(safetensors_open(&want, "tests/golden/dpo/golden.safetensors", &err));
        prepare(&base);
        prepare(&t);
        load_pairs(want, &base.d, &b);
        load_pairs(want, &t.d, &b);
        struct step s = { .T = b.n, .S = b.n_seq, .seq_start = b.seq_start };
        float scale[64];
        graph_run(base.d.g, PASS_FORWARD, &s);
        graph_run(t.d.g, PASS_FORWARD, &s);
        graph_run(t.d.g, PASS_LOSS, &s);
        struct preference sum = { .loss = 0 };
        preference_of(&b, t.d.g->tensor[t.d.nll].data, base.d.g->tensor[base.d.nll].data, golden_number(want, "beta", 0), 0.5, scale, &sum);
        s.token_scale = scale;
        graph_run(t.d.g, PASS_BACKWARD, &s);
        const double tolerance = forms[f].tolerance, loss = golden_number(want, "loss", 0);
        const double chosen = golden_number(want, "chosen", 0) + golden_number(want, "chosen", 1), rejected = golden_number(want, "rejected", 0) + golden_number(want, "rejected", 1);
        if (!(fabs(sum.loss / 2 - loss) <= tolerance * loss) || !(fabs(sum.chosen - chosen) <= tolerance * fabs(chosen)) || !(fabs(sum.rejected - rejected) <= tolerance * fabs(rejected)))
            fail_msg("loss %.9g, rewards %.9g %.9g, expected %.9g, %.9g %.9g", sum.loss / 2, sum.chosen, sum.rejected, loss, chosen, rejected);
        assert_true(sum.right == 0);
        check_adapters(&t, want, "grad", tolerance);
        adapter_free(a);
        safetensors_free(want);
        close_tuned(&base);
        close_tuned(&t);
    }
}

/* ---- files ---- */

static void what_is_saved_is_what_is_loaded(void **state)
{
    (void)state;
    struct tuned t, u;
    struct adapter *a;
    struct weight_digest *digest;
    int n;
    char base[SHA256_HEX];
    struct lora o = plain;
    o.alpha = 7.5, o.rslora = true;
    open_tuned(&t, &o, DECODER_TRAIN, DT_F32, RECOMPUTE_NONE);
    decoder_init_adapters(&t.d, 5);
    OK(adapter_base(base, t.l, decoder_weight_source, &t.d, &err));
    t.d.lora.base_name = "some/base";
    memcpy(t.d.lora.base, base, sizeof base);
    OK(adapter_save(test_dir, &t.d, t.l, &digest, &n, &err));
    assert_int_equal(n, 2 * 2 * 7);
    mem_free(digest);
    OK(adapter_open(&a, test_dir, &err));
    assert_int_equal(adapter_lora(a)->rank, 4);
    assert_true(adapter_lora(a)->rslora && lora_scale(adapter_lora(a)) == 7.5 / 2);
    open_tuned(&u, &o, DECODER_TRAIN, DT_F32, RECOMPUTE_NONE);
    OK(adapter_load(a, &u.d, u.l, &err));
    for (int i = 0; i < t.d.n_site; i++)
        assert_memory_equal(t.d.g->tensor[t.d.site[i].a].data, u.d.g->tensor[u.d.site[i].a].data, t.d.g->tensor[t.d.site[i].a].bytes);
    OK(adapter_check_base(a, base, &err));
    decoder_weight(&u.d, 2)[0] += 1;                                /* a norm of layer 0 or the embedding: some vector differs */
    for (int i = 0; i < u.l->n_weight; i++)
        if (u.l->weight[i].rank == 1)
            decoder_weight(&u.d, i)[0] += 1;
    OK(adapter_base(base, u.l, decoder_weight_source, &u.d, &err));
    assert_int_equal(adapter_check_base(a, base, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "another model"));
    adapter_free(a);
    close_tuned(&t);
    close_tuned(&u);
}

/* The merged weight gives what base and adapter give together. */
static void merged_weights_give_the_loss_of_base_and_adapter(void **state)
{
    (void)state;
    struct tuned t, m;
    struct adapter *a;
    struct safetensors *want;
    open_golden(&t, &a, &want, DT_F32, RECOMPUTE_NONE);
    open_tuned(&m, NULL, DECODER_SCORE, DT_F32, RECOMPUTE_NONE);
    OK(adapter_bind(a, t.l, &err));
    for (int i = 0; i < t.l->n_weight; i++)
        for (int64_t row = 0; row < t.l->weight[i].shape[0] && adapter_changes(a, i); row++)
            adapter_add_row(a, i, row, decoder_weight(&m.d, i) + row * t.l->weight[i].shape[1]);
    prepare(&m);
    const struct step s = step_of(&m);
    graph_run(m.d.g, PASS_FORWARD, &s);
    const double loss = train_pass(&t), merged = loss_of(&m);
    if (!(fabs(loss - merged) < 1e-6 * loss))
        fail_msg("loss %.9g, merged %.9g", loss, merged);
    adapter_free(a);
    safetensors_free(want);
    close_tuned(&t);
    close_tuned(&m);
}

static void write_in(const char *name, const char *text) { OK(file_write_all(in_dir(name), text, strlen(text), &err)); }

static void what_is_no_plain_adapter_of_this_model_is_refused(void **state)
{
    (void)state;
    static const struct { const char *config; int code; const char *says; } cases[] = {
        { "{\"r\": 4, \"use_dora\": true}", ERR_UNSUPPORTED, "use_dora" },
        { "{\"r\": 4, \"bias\": \"all\"}", ERR_UNSUPPORTED, "bias is 'all'" },
        { "{\"r\": 4, \"rank_pattern\": {\"q\": 2}}", ERR_UNSUPPORTED, "rank_pattern" },
        { "{\"r\": 4, \"modules_to_save\": [\"lm_head\"]}", ERR_UNSUPPORTED, "modules_to_save" },
        { "{\"r\": 4, \"init_lora_weights\": \"pissa_niter_16\"}", ERR_UNSUPPORTED, "init_lora_weights is 'pissa_niter_16'" },
        { "{\"r\": 4, \"init_lora_weights\": \"loftq\"}", ERR_UNSUPPORTED, "init_lora_weights" },
        { "{\"r\": 4, \"init_lora_weights\": 3}", ERR_UNSUPPORTED, "no word" },
        { "{\"r\": 4, \"alora_invocation_tokens\": [5, 6]}", ERR_UNSUPPORTED, "alora_invocation_tokens" },
        { "{\"r\": 0, \"init_lora_weights\": \"gaussian\"}", ERR_RANGE, "r" },
        { "{\"r\": 0, \"init_lora_weights\": true, \"alora_invocation_tokens\": null}", ERR_RANGE, "r" },
        { "{\"r\": 0}", ERR_RANGE, "r" },
        { "{\"lora_alpha\": 3}", 0, "r" },
        { "{\"peft_type\": \"IA3\", \"r\": 4}", ERR_UNSUPPORTED, "expected LORA" },
        { "[4]", ERR_FORMAT, "expected an object" },
        { "{\"r\": ", ERR_FORMAT, "adapter_config.json" },
    };
    struct adapter *a;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_in("adapter_config.json", cases[i].config);
        const int rc = adapter_open(&a, test_dir, &err);
        if (rc >= 0 || (cases[i].code && rc != cases[i].code) || !strstr(err.msg, cases[i].says))
            fail_msg("case %zu gave %s '%s', expected '%s'", i, err_word(rc), err.msg, cases[i].says);
    }
    struct tuned t;                                                /* an adapter of rank 3 against sites of a smaller model, and of fewer matrices */
    OK(adapter_open(&a, "tests/golden/lora", &err));
    struct lora o = *adapter_lora(a);
    OK(lora_targets(&o, "q v", &err));
    open_tuned(&t, &o, DECODER_TRAIN, DT_F32, RECOMPUTE_NONE);
    assert_int_equal(adapter_load(a, &t.d, t.l, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "only"));
    t.l->weight[t.d.site[0].weight].shape[1]++;
    assert_int_equal(adapter_load(a, &t.d, t.l, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "for this model"));
    t.l->weight[t.d.site[0].weight].shape[1]--;
    adapter_free(a);
    close_tuned(&t);
}

static void targets_are_words(void **state)
{
    (void)state;
    struct lora o = plain;
    OK(lora_targets(&o, "q_proj,v", &err));
    assert_int_equal(o.targets, LORA_Q | LORA_V);
    assert_false(o.all);
    OK(lora_targets(&o, "all", &err));
    assert_true(o.all);
    assert_int_equal(lora_targets(&o, "q,x_proj", &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "'x_proj'"));
    assert_int_equal(lora_targets(&o, " , ", &err), ERR_USAGE);
    struct config c;
    struct weights_list *l;
    struct lora_site *s;
    int n;
    OK(config_load(&c, "tests/golden/gpt2", NULL, &err));
    OK(weights_list_new(&l, &c, &err));
    OK(lora_targets(&o, "q", &err));
    assert_int_equal(lora_sites(&s, &n, l, &o, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "one matrix"));
    OK(lora_targets(&o, "q k v", &err));
    OK(lora_sites(&s, &n, l, &o, &err));
    assert_int_equal(n, c.n_layer);
    assert_string_equal(s[0].part[0].module, "transformer.h.0.attn.c_attn");
    mem_free(s);
    OK(lora_targets(&o, "gate", &err));
    assert_int_equal(lora_sites(&s, &n, l, &o, &err), ERR_USAGE);
    assert_non_null(strstr(err.msg, "no 'gate'"));
    weights_list_free(l);
}

static int set_up(void **state) { return make_dir(state) || pool_new(&pool, 2, &err) < 0 ? -1 : 0; }
static int tear_down(void **state)
{
    pool_free(pool);
    return remove_dir(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_of_adapters_are_those_of_torch),
        cmocka_unit_test(twenty_steps_of_adamw_are_those_of_torch),
        cmocka_unit_test(the_first_step_has_the_bits_of_the_base),
        cmocka_unit_test(memory_of_frozen_weights_is_that_of_the_weights_alone),
        cmocka_unit_test(dropout_is_only_for_adapters_in_training),
        cmocka_unit_test(preferences_have_the_loss_and_gradients_of_torch),
        cmocka_unit_test(what_is_saved_is_what_is_loaded),
        cmocka_unit_test(merged_weights_give_the_loss_of_base_and_adapter),
        cmocka_unit_test(what_is_no_plain_adapter_of_this_model_is_refused),
        cmocka_unit_test(targets_are_words),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
