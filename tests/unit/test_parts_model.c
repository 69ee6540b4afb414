/* test_parts_model.c - a model whose file keeps weights in several tensors runs as one that has their values whole. */
#include <math.h>
#include "../test.h"
#include "infer/engine.h"

static struct pool *pool;
static struct err err;

/* tests/golden/llama with its products in fp8 times a scale for each row, or with what those mean, in bf16. */
static bool in_parts(const struct st_tensor *t) { return t->rank == 2 && strstr(t->name, "_proj.weight"); }
static float scale_of(int64_t row) { return ldexpf(1, -6 - (int)(row % 3)); }      /* exact in bf16 after the product */

static void write_model(const char *folder, bool parts)
{
    struct safetensors *st;
    struct st_writer *w;
    struct st_decl decl[100];
    char names[100][100];
    struct buf b;
    int n = 0;
    OK(safetensors_open(&st, "tests/golden/llama", &err));
    for (int pass = 0; pass < 3; pass++)           /* F32, then BF16, then fp8: each aligned */
        for (int i = 0; i < st->n_tensor; i++) {
            const struct st_tensor *t = &st->tensor[i];
            if (pass == 0 && in_parts(t) && parts) {
                snprintf(names[n], sizeof names[n], "%s_scale", t->name);
                decl[n] = (struct st_decl){ names[n], ST_F32, 2, { t->shape[0], 1 } };
                n++;
            } else if (pass == (in_parts(t) ? parts ? 2 : 1 : 0)) {
                decl[n] = (struct st_decl){ t->name, in_parts(t) ? parts ? ST_F8_E4M3 : ST_BF16 : ST_F32, t->rank, { t->shape[0], t->shape[1] } };
                n++;
            }
        }
    OK(file_mkdirs(in_dir(folder), &err));
    char path[300];
    snprintf(path, sizeof path, "%s/model.safetensors", in_dir(folder));
    OK(st_writer_new(&w, path, decl, n, NULL, 0, &err));
    for (int i = 0; i < n; i++) {
        const bool scale = strstr(decl[i].name, "_scale");
        const int64_t rows = decl[i].shape[0], K = decl[i].rank > 1 ? decl[i].shape[1] : 1;
        for (int64_t r = 0; r < rows; r++) {
            const float s = scale_of(r);
            const struct st_tensor *t = safetensors_find(st, decl[i].name);
            float x[512];
            uint8_t code[512];
            if (scale) {
                OK(st_writer_add(w, i, &s, sizeof s, &err));
                continue;
            }
            OK(st_read_f32(t, r * K, K, x, &err));
            for (int64_t k = 0; k < K; k++)
                x[k] /= in_parts(t) ? s : 1;
            type_quantize(TYPE_F8_E4M3, K, x, NULL, code);
            if (decl[i].dtype == ST_F8_E4M3) {
                OK(st_writer_add(w, i, code, (size_t)K, &err));
            } else if (decl[i].dtype == ST_BF16) {
                uint16_t half[512];
                type_dequantize(TYPE_F8_E4M3, K, code, x);
                for (int64_t k = 0; k < K; k++)
                    half[k] = st_bf16(x[k] * s);
                OK(st_writer_add(w, i, half, (size_t)K * 2, &err));
            } else {
                OK(st_writer_add(w, i, x, (size_t)K * 4, &err));
            }
        }
    }
    OK(st_writer_commit(w, &err));
    st_writer_free(w);
    safetensors_free(st);
    buf_init(&b);
    OK(file_read("tests/golden/llama/config.json", 1 << 20, &b, &err));
    char *end = strrchr(b.data, '}');
    assert_non_null(end);
    b.len = (size_t)(end - b.data);
    if (parts)
        OK(buf_add_str(&b, ",\"quantization_config\":{\"quant_method\":\"fp8\"}", &err));
    OK(buf_add_str(&b, "}", &err));
    snprintf(path, sizeof path, "%s/config.json", in_dir(folder));
    OK(file_write_all(path, b.data, b.len, &err));
    buf_release(&b);
}

static void logits_of_scaled_fp8_are_those_of_its_values(void **state)
{
    (void)state;
    enum { N = 20 };
    const struct engine_opts o = { .n_slot = 1, .step_tokens = N, .n_logits = 1, .no_tok = true };
    struct engine *a, *b;
    const float *x, *y;
    int32_t ids[N];
    write_model("parts", true);
    write_model("whole", false);
    OK(engine_new(&a, in_dir("parts"), &o, pool, &err));
    OK(engine_new(&b, in_dir("whole"), &o, pool, &err));
    const int V = engine_config(a)->vocab_size;
    for (int i = 0; i < N; i++)
        ids[i] = (3 + i * i * 5) % V;
    OK(engine_feed(a, 0, 0, ids, N, &x, &err));
    OK(engine_feed(b, 0, 0, ids, N, &y, &err));
    for (int i = 0; i < V; i++)
        if (!isfinite(x[i]) || x[i] != y[i])
            fail_msg("logit %d is %g, expected %g", i, (double)x[i], (double)y[i]);
    engine_free(a);
    engine_free(b);
}

static int set_up(void **state) { return !make_dir(state) ? pool_new(&pool, 2, &err) : -1; }
static int tear_down(void **state) { pool_free(pool); return remove_dir(state); }

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(logits_of_scaled_fp8_are_those_of_its_values) };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
