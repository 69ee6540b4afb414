/* test_source.c - weights in several tensors read as what they mean (tools/golden/composite.py), and files that are wrong
 * are refused by the name of the tensor. */
#include <math.h>
#include "../test.h"
#include "model/safetensors.h"
#include "model/source.h"

static struct err err;

static const struct { const char *name; enum cpu_type type; int n; } forms[] = {
    { "gptq", TYPE_Q4_G, 2 }, { "gptq_v2", TYPE_Q4_G, 2 }, { "gptq_act_order", TYPE_F16, 2 }, { "gptq_2bit", TYPE_Q4_G, 2 }, { "gptq_8bit", TYPE_F16, 2 },
    { "awq", TYPE_Q4_G, 1 }, { "packed", TYPE_Q4_G, 1 }, { "packed_zero", TYPE_Q4_G, 1 }, { "packed_odd", TYPE_F16, 1 }, { "fp8", TYPE_BF16, 6 },
    { "fnuz", TYPE_BF16, 4 }, { "mxfp4", TYPE_MXFP4, 2 },
};

/* Rows lo .. lo+n-1 as floats, read at once. */
static void read_rows(const struct source *s, const struct source_tensor *t, int64_t lo, int64_t n, float *y)
{
    const int64_t K = t->shape[t->rank - 1];
    char *raw = malloc(type_bytes(t->type, n * K) + 1);
    OK(source_read_rows(s, t, lo, n, raw, &err));
    type_dequantize(t->type, n * K, raw, y);
    free(raw);
}

static void each_form_reads_as_the_weights_it_means(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        char path[200];
        struct source *s;
        struct safetensors *want;
        snprintf(path, sizeof path, "tests/golden/composite/%s", forms[i].name);
        OK(source_open(&s, path, &err));
        snprintf(path, sizeof path, "tests/golden/composite/%s/want.safetensors", forms[i].name);
        OK(safetensors_open(&want, path, &err));
        assert_int_equal(source_count(s), forms[i].n);
        assert_int_equal(want->n_tensor, forms[i].n);
        int n_type = 0;
        for (int k = 0; k < want->n_tensor; k++) {
            const struct st_tensor *w = &want->tensor[k];
            const struct source_tensor *t = source_find(s, w->name);
            if (!t)
                fail_msg("%s: no tensor '%s'", forms[i].name, w->name);
            n_type += t->type == forms[i].type;
            assert_int_equal(t->n, w->n);
            assert_int_equal(t->rank, w->rank);
            assert_memory_equal(t->shape, w->shape, (size_t)w->rank * sizeof *w->shape);
            assert_int_equal(t->bytes, type_bytes(t->type, t->n));
            const int64_t K = t->shape[t->rank - 1], rows = t->n / K;
            float *y = malloc((size_t)t->n * sizeof *y);
            read_rows(s, t, 0, rows / 3, y);               /* in two parts */
            read_rows(s, t, rows / 3, rows - rows / 3, y + rows / 3 * K);
            for (int64_t j = 0; j < t->n; j++) {
                float v;
                memcpy(&v, (const char *)w->data + 4 * j, sizeof v);
                if (!(v == y[j] || (isnan(v) && isnan(y[j]))))
                    fail_msg("%s: %s, element %lld: %.9g, expected %.9g", forms[i].name, w->name, (long long)j, (double)y[j], (double)v);
            }
            free(y);
        }
        assert_true(n_type > 0);
        safetensors_free(want);
        source_free(s);
    }
}

#define GPTQ_CONFIG "{\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":32}}"
#define CT_CONFIG "{\"quantization_config\":{\"quant_method\":\"compressed-tensors\",\"config_groups\":{\"g\":{\"weights\":{\"num_bits\":4,\"group_size\":32}}}}}"

static const struct { const char *config; struct st_decl decl[5]; const char *says[2]; } bad[] = {
    { "{}", { { "m.qweight", ST_I32, 2, { 8, 8 } } }, { "tensor 'm.qweight'", "expected a config.json with the quantization_config" } },
    { "{\"quantization_config\":{\"quant_method\":\"bitsandbytes\"}}", { { "m.weight", ST_U8, 1, { 8 } } }, { "quant_method 'bitsandbytes'", "expected gptq" } },
    { "{\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":3}}", { { "m.qweight", ST_I32, 2, { 8, 8 } }, { "m.scales", ST_F16, 2, { 2, 8 } }, { "m.qzeros", ST_I32, 2, { 2, 1 } } },
      { "tensor 'm.qweight'", "3 bits, expected 2, 4 or 8" } },
    { "{\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":0}}", { { "m", ST_U8, 1, { 1 } } }, { "bits is 0" } },
    { "{\"quantization_config\":{\"quant_method\":\"gptq\",\"checkpoint_format\":\"marlin\"}}", { { "m", ST_U8, 1, { 1 } } }, { "'marlin'", "gptq_v2" } },
    { "{\"quantization_config\":{\"quant_method\":\"awq\",\"version\":\"gemv\"}}", { { "m", ST_U8, 1, { 1 } } }, { "version 'gemv'", "gemm" } },
    { "{\"quantization_config\":{\"quant_method\":\"fp8\",\"weight_block_size\":[0,128]}}", { { "m", ST_U8, 1, { 1 } } }, { "weight_block_size" } },
    { GPTQ_CONFIG, { { "m.qweight", ST_I32, 2, { 8, 8 } } }, { "'m.qweight'", "without its scales and qzeros" } },
    { GPTQ_CONFIG, { { "m.qweight", ST_F32, 2, { 8, 8 } }, { "m.scales", ST_F16, 2, { 2, 8 } }, { "m.qzeros", ST_I32, 2, { 2, 1 } } }, { "'m.qweight'", "expected I32 of rank 2" } },
    { GPTQ_CONFIG, { { "m.qweight", ST_I32, 2, { 8, 8 } }, { "m.scales", ST_F16, 2, { 3, 8 } }, { "m.qzeros", ST_I32, 2, { 2, 1 } } }, { "'m.scales'", "expected F16 [2, 8]" } },
    { GPTQ_CONFIG, { { "m.qweight", ST_I32, 2, { 8, 8 } }, { "m.scales", ST_F16, 2, { 2, 8 } }, { "m.qzeros", ST_I32, 2, { 2, 2 } } }, { "'m.qzeros'", "expected I32 [2, 1]" } },
    { GPTQ_CONFIG, { { "m.qweight", ST_I32, 2, { 8, 8 } }, { "m.scales", ST_I32, 2, { 2, 8 } }, { "m.qzeros", ST_I32, 2, { 2, 1 } } }, { "'m.scales'", "I32 of rank 2" } },
    { GPTQ_CONFIG, { { "m.qweight", ST_I32, 2, { 8, 8 } }, { "m.scales", ST_F16, 2, { 2, 8 } }, { "m.qzeros", ST_I32, 2, { 2, 1 } }, { "m.g_idx", ST_I32, 1, { 63 } } },
      { "'m.g_idx'", "expected I32 of 64" } },
    { GPTQ_CONFIG, { { "m.qweight", ST_I32, 2, { 8, 8 } }, { "m.scales", ST_F16, 2, { 2, 8 } }, { "m.qzeros", ST_I32, 2, { 2, 1 } }, { "m.g_idx", ST_I32, 1, { 64 } } },
      { "'m.g_idx'", "expected a group below 2" } },
    { GPTQ_CONFIG, { { "m.qweight", ST_I32, 2, { 4, 8 } }, { "m.scales", ST_F16, 2, { 1, 8 } }, { "m.qzeros", ST_I32, 2, { 1, 1 } }, { "m.weight", ST_F16, 1, { 1 } } },
      { "'m.weight'", "both whole and in parts" } },
    { CT_CONFIG, { { "m.weight_packed", ST_I32, 2, { 8, 4 } } }, { "'m.weight_packed'", "weight_shape" } },
    { CT_CONFIG, { { "m.weight_packed", ST_I32, 2, { 8, 4 } }, { "m.weight_scale", ST_F16, 2, { 8, 1 } }, { "m.weight_shape", ST_I64, 1, { 2 } } }, { "'m.weight_shape'", "expected sizes" } },
    { "{}", { { "m.weight", ST_F8_E4M3, 2, { 4, 8 } }, { "m.weight_scale", ST_F32, 1, { 3 } } }, { "'m.weight_scale'", "3 scales for 4 rows of 8" } },
    { "{}", { { "m.weight", ST_F8_E4M3, 1, { 8 } }, { "m.weight_scale", ST_F32, 1, { 3 } } }, { "'m.weight_scale'", "3 scales" } },
    { "{}", { { "m.weight", ST_F8_E4M3, 2, { 4, 8 } }, { "m.weight_scale", ST_I32, 1, { 1 } } }, { "'m.weight_scale'", "expected F32" } },
    { "{}", { { "m.weight", ST_F8_E4M3, 4, { 1, 1, 4, 8 } }, { "m.weight_scale", ST_F32, 1, { 1 } } }, { "'m.weight'", "rank 4" } },
    { "{}", { { "m_blocks", ST_U8, 3, { 2, 2, 8 } }, { "m_scales", ST_U8, 2, { 2, 2 } } }, { "'m_blocks'", "groups, 16" } },
    { "{}", { { "m_blocks", ST_U8, 3, { 2, 2, 16 } }, { "m_scales", ST_U8, 2, { 2, 3 } } }, { "'m_blocks'", "groups, 16" } },
};

static void parts_that_do_not_fit_are_refused_by_name(void **state)
{
    (void)state;
    static unsigned char bytes[4096];
    memset(bytes, 0x7F, sizeof bytes);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct st_writer *w;
        struct source *s;
        int n = 0;
        for (; n < 5 && bad[i].decl[n].name; n++)
            ;
        OK(file_write_all(in_dir("config.json"), bad[i].config, strlen(bad[i].config), &err));
        struct st_decl sorted[5];
        int m = 0;
        for (size_t size = 8; size; size /= 2)             /* the writer wants them aligned */
            for (int k = 0; k < n; k++)
                if (st_dtype_size(bad[i].decl[k].dtype) == size)
                    sorted[m++] = bad[i].decl[k];
        OK(st_writer_new(&w, in_dir("model.safetensors"), sorted, n, NULL, 0, &err));
        for (int k = 0; k < n; k++) {
            size_t size = st_dtype_size(sorted[k].dtype);
            for (int d = 0; d < sorted[k].rank; d++)
                size *= (size_t)sorted[k].shape[d];
            OK(st_writer_add(w, k, bytes, size, &err));
        }
        OK(st_writer_commit(w, &err));
        st_writer_free(w);
        if (!source_open(&s, test_dir, &err))
            fail_msg("taken: case %zu", i);
        for (int k = 0; k < 2 && bad[i].says[k]; k++)
            if (!strstr(err.msg, bad[i].says[k]))
                fail_msg("case %zu\n  says: %s\n  lacks: %s", i, err.msg, bad[i].says[k]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_form_reads_as_the_weights_it_means),
        cmocka_unit_test(parts_that_do_not_fit_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
