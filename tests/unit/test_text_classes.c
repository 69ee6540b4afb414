/* test_text_classes.c - models of texts with a head for classes against tests/golden/classes (transformers in float64,
 * tools/golden/classes.py): logits, loss, the gradient of every weight; files read and written. */
#include <math.h>
#include "../same_config.h"
#include "golden.h"
#include "base/mem.h"
#include "model/decoder.h"

static const char *const cases[] = { "bert", "roberta", "llama", "gpt2" };
#define N_CASE (sizeof cases / sizeof *cases)

static struct pool *pool;
static struct err err;

struct golden { struct config c; struct weights_list *l; struct safetensors *model, *want; int T, S; const int32_t *ids, *start; };

static void open_case(struct golden *g, const char *name)
{
    char path[200];
    snprintf(path, sizeof path, "tests/golden/classes/%s", name);
    OK(config_load(&g->c, path, NULL, &err));
    assert_int_equal(g->c.n_label, 4);
    OK(weights_list_new(&g->l, &g->c, &err));
    OK(safetensors_open(&g->model, path, &err));
    snprintf(path, sizeof path, "tests/golden/classes/%s/golden.safetensors", name);
    OK(safetensors_open(&g->want, path, &err));
    g->T = (int)find(g->want, "ids")->n, g->S = (int)find(g->want, "start")->n - 1;
    g->ids = find(g->want, "ids")->data, g->start = find(g->want, "start")->data;
}

static void close_case(struct golden *g)
{
    weights_list_free(g->l);
    safetensors_free(g->model);
    safetensors_free(g->want);
}

static void load(const struct golden *g, struct decoder *d, const struct decoder_opts *o)
{
    OK(decoder_record(d, &g->c, o, &err));
    OK(decoder_plan(d, g->T, g->S, 2, NULL, &err));
    OK(decoder_bind(d, pool, NULL, &err));
    OK(weights_load(g->l, g->model, decoder_weight, d, &err));
    memcpy(d->g->tensor[d->ids].data, g->ids, (size_t)g->T * sizeof(int32_t));
    for (int s = 0; s < g->S; s++)
        for (int t = g->start[s]; t < g->start[s + 1]; t++)
            ((int32_t *)d->g->tensor[d->pos].data)[t] = t - g->start[s];
    for (int i = 0; d->label >= 0 && i < g->S * g->c.n_label; i++) {
        double x;
        memcpy(&x, (const char *)find(g->want, "target")->data + (size_t)i * sizeof x, sizeof x);
        ((float *)d->g->tensor[d->label].data)[i] = (float)x;
    }
}

static double difference(const float *got, const double *want, int64_t n)
{
    double diff = 0, norm = 0;
    for (int64_t i = 0; i < n; i++)
        diff += (got[i] - want[i]) * (got[i] - want[i]), norm += want[i] * want[i];
    return norm > 0 ? sqrt(diff / norm) : sqrt(diff);
}

static void logits_equal_those_of_transformers(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CASE; i++) {
        struct golden g;
        struct decoder d;
        open_case(&g, cases[i]);
        load(&g, &d, &(struct decoder_opts){ .use = DECODER_LOGITS });
        const struct step s = { .T = g.T, .S = g.S, .seq_start = g.start };
        graph_run(d.g, PASS_PREPARE, &s);
        graph_run(d.g, PASS_FORWARD, &s);
        const double diff = difference(d.g->tensor[d.logits].data, find(g.want, "logits")->data, find(g.want, "logits")->n);
        if (!(diff <= 1e-5))
            fail_msg("%s: logits differ by %.3g", cases[i], diff);
        decoder_release(&d);
        close_case(&g);
    }
}

/* One tensor of the file; a bias of keys alone has the gradient 0 but for rounding. */
static void check_part(const struct golden *g, const char *name, const float *grad, const struct weight_part *p)
{
    char key[PART_NAME_MAX + 8];
    snprintf(key, sizeof key, "grad.%s", p->name);
    const struct st_tensor *want = find(g->want, key);
    const int64_t n = p->n_row * p->n_col;
    assert_int_equal(want->n, n);
    float *got = mem_alloc_array((size_t)n, sizeof *got);
    for (int64_t k = 0; k < n; k++)
        got[k] = grad[weight_part_place(p, k)];
    double size = 0;
    for (int64_t k = 0; strstr(key, ".key.bias") && k < n; k++)
        size = fmax(size, (double)fabsf(got[k]));
    const double d = strstr(key, ".key.bias") ? size : difference(got, want->data, n);
    if (!(d <= 1e-5))
        fail_msg("%s: %s differs by %.3g", name, key, d);
    mem_free(got);
}

static void loss_and_all_gradients_equal_those_of_transformers(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CASE; i++)
        for (int rule = RECOMPUTE_NONE; rule <= RECOMPUTE_BLOCK; rule++) {
            struct golden g;
            struct decoder d;
            open_case(&g, cases[i]);
            g.c.dropout = 0;
            load(&g, &d, &(struct decoder_opts){ .use = DECODER_TRAIN, .recompute = (enum recompute)rule });
            const struct step s = { .T = g.T, .S = g.S, .seq_start = g.start, .loss_scale = 1.0 / g.S, .aux_scale = 1 };
            graph_run(d.g, PASS_PREPARE, &s);
            graph_run(d.g, PASS_FORWARD, &s);
            graph_run(d.g, PASS_BACKWARD, &s);
            double loss = 0, want[1];
            for (int k = 0; k < g.S; k++)
                loss += (double)((const float *)d.g->tensor[d.nll].data)[k] / g.S;
            memcpy(want, find(g.want, "loss")->data, sizeof want);
            assert_true(fabs(loss - *want) <= 1e-5 * *want);
            for (int w = 0; w < g.l->n_weight; w++)
                for (int j = 0; j < g.l->weight[w].n_part; j++) {
                    const struct weight_part p = weight_part(g.l, &g.l->weight[w], j);
                    check_part(&g, cases[i], d.g->tensor[d.g->tensor[w].grad].data, &p);
                }
            decoder_release(&d);
            close_case(&g);
        }
}

/* Of a weight's part, in our order of its rows. */
static void in_our_order(const struct weight_part *p, const double *file, double *ours)
{
    for (int64_t k = 0; k < p->n_row * p->n_col; k++)
        ours[weight_part_place(p, k) - p->row * p->n_col] = file[k];
}

/* dB = scale * dW A^T: what transformers says of W, of our adapters at their beginning, where B is 0. */
static void check_site(const struct golden *g, const struct decoder *d, const struct lora_site *s, int j, const char *name)
{
    const struct weight_part p = weight_part(g->l, &g->l->weight[s->weight], s->part[j].i_part);
    char key[PART_NAME_MAX + 8];
    snprintf(key, sizeof key, "grad.%s", p.name);
    double *dw = mem_alloc_array((size_t)(p.n_row * p.n_col), sizeof *dw), off = 0, all = 0;
    in_our_order(&p, find(g->want, key)->data, dw);
    const int64_t K = p.n_col, rank = d->lora.rank;
    const float *a = (const float *)d->g->tensor[s->a].data + j * rank * K, *got = d->g->tensor[d->g->tensor[s->b[j]].grad].data;
    for (int64_t r = 0; r < p.n_row; r++)
        for (int64_t q = 0; q < rank; q++) {
            double want = 0;
            for (int64_t k = 0; k < K; k++)
                want += lora_scale(&d->lora) * dw[r * K + k] * (double)a[q * K + k];
            off += (got[r * rank + q] - want) * (got[r * rank + q] - want), all += want * want;
        }
    if (!(sqrt(off / all) <= 1e-5))
        fail_msg("%s: the gradient of B of %s differs by %.3g", name, s->part[j].module, sqrt(off / all));
    mem_free(dw);
}

static void adapters_beside_a_learned_head_have_the_gradients_of_transformers(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CASE; i++) {
        const struct lora lora = { .rank = 3, .alpha = 6, .targets = LORA_ALL, .all = true };
        struct golden g;
        struct decoder d;
        open_case(&g, cases[i]);
        g.c.dropout = 0;
        load(&g, &d, &(struct decoder_opts){ .use = DECODER_TRAIN, .lora = &lora });
        decoder_init_adapters(&d, 3);
        const struct step s = { .T = g.T, .S = g.S, .seq_start = g.start, .loss_scale = 1.0 / g.S, .aux_scale = 1 };
        graph_run(d.g, PASS_PREPARE, &s);
        graph_run(d.g, PASS_FORWARD, &s);
        graph_run(d.g, PASS_BACKWARD, &s);
        int n_head = 0;
        for (int w = 0; w < g.l->n_weight; w++) {
            assert_true((d.g->tensor[w].grad >= 0) == weight_of_head(&g.l->weight[w]));
            if (!weight_of_head(&g.l->weight[w]))
                continue;
            const struct weight_part p = weight_part(g.l, &g.l->weight[w], 0);
            check_part(&g, cases[i], d.g->tensor[d.g->tensor[w].grad].data, &p);
            n_head++;
        }
        assert_int_equal(n_head, config_label_pooler(&g.c) ? 4 : 1);
        assert_true(d.n_site >= 2 * g.c.n_layer);
        for (int k = 0; k < d.n_site; k++)
            for (int j = 0; j < d.site[k].n_part; j++)
                check_site(&g, &d, &d.site[k], j, cases[i]);
        decoder_release(&d);
        close_case(&g);
    }
}

static const float *source(void *ctx, int i) { return decoder_weight_source(ctx, i); }

static void files_are_written_as_transformers_names_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_CASE; i++) {
        struct golden g;
        struct decoder d;
        struct safetensors *again;
        struct config c;
        struct buf text;
        open_case(&g, cases[i]);
        load(&g, &d, &(struct decoder_opts){ .use = DECODER_LOGITS });
        OK(weights_save(g.l, in_dir("model.safetensors"), ST_F32, source, &d, NULL, 0, NULL, NULL, &err));
        OK(safetensors_open(&again, in_dir("model.safetensors"), &err));
        assert_int_equal(again->n_tensor, g.model->n_tensor);
        for (int k = 0; k < again->n_tensor; k++) {
            const struct st_tensor *was = find(g.model, again->tensor[k].name);
            assert_int_equal(was->n, again->tensor[k].n);
            assert_memory_equal(was->data, again->tensor[k].data, (size_t)was->n * sizeof(float));
        }
        buf_init(&text);
        OK(config_write(&g.c, &text, &err));
        OK(config_parse(&c, text.data, text.len, "again", NULL, &err));
        assert_true(same_config(&c, &g.c));
        int64_t total, sum = 0;
        config_params(&c, &total, NULL);
        for (int w = 0; w < g.l->n_weight; w++)
            sum += g.l->weight[w].n;
        assert_int_equal(total, sum);
        buf_release(&text);
        safetensors_free(again);
        decoder_release(&d);
        close_case(&g);
    }
}

int main(void)
{
    if (pool_new(&pool, 2, &err) < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_equal_those_of_transformers),
        cmocka_unit_test(loss_and_all_gradients_equal_those_of_transformers),
        cmocka_unit_test(adapters_beside_a_learned_head_have_the_gradients_of_transformers),
        cmocka_unit_test(files_are_written_as_transformers_names_them),
    };
    const int failed = cmocka_run_group_tests(tests, make_dir, remove_dir);
    pool_free(pool);
    return failed;
}
