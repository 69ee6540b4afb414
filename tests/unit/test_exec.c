/* test_exec.c - a model run on a device: the code objects that ship for gfx942, in the emulator, give the host's logits and tokens. */
#include "../test.h"
#ifdef HAVE_LLVM_19
#include <math.h>
#include "../emu/run_amd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "exec/exec.h"
#include "exec/exec_op.h"
#include "infer/engine.h"
#include "infer/loaded.h"

static struct err err;
static struct pool *pool;

static int open_on_device(struct engine **e, const char *path, const struct engine_opts *opts)
{
    struct engine_opts o = *opts;
    const int rc = exec_open_gpu(&o.device, open_amd(), &err);
    return rc ? rc : engine_new(e, path, &o, pool, &err);
}
/* layers, experts: as engine_opts' device_layers and cpu_experts. */
static struct engine *open_parted(const char *path, bool device, enum weights_as as, int layers, int experts)
{
    struct engine *e;
    const struct engine_opts o = { .n_slot = 2, .step_tokens = 24, .n_logits = 16, .no_tok = true, .as = as, .device_layers = layers, .cpu_experts = experts };
    OK(device ? open_on_device(&e, path, &o) : engine_new(&e, path, &o, pool, &err));
    return e;
}
static struct engine *open_engine(const char *path, bool device, enum weights_as as) { return open_parted(path, device, as, 0, 0); }
/* Nothing of the device is left. */
static void close_engine(struct engine *e)
{
    engine_free(e);
    assert_int_equal(mock.n_block + mock.n_module + mock.n_event + mock.n_stream + mock.n_graph, 0);
}

static double difference(const float *x, const float *y, size_t n)
{
    double d = 0, s = 0;
    for (size_t i = 0; i < n; i++)
        d += (double)(x[i] - y[i]) * (double)(x[i] - y[i]), s += (double)y[i] * (double)y[i];
    return sqrt(d / s);
}

/* Of a prompt of 11 tokens, how far the device's logits are from the host's. */
static double far_from_host(const char *model, int layers, int experts)
{
    struct engine *e[2] = { open_engine(model, false, WEIGHTS_FILE), open_parted(model, true, WEIGHTS_FILE, layers, experts) };
    const size_t V = (size_t)engine_config(e[0])->vocab_size;
    int32_t ids[16], row[16];
    const float *logits[2];
    for (int i = 0; i < 16; i++)
        ids[i] = (int32_t)(rng_u64(7, (uint64_t)i) % V), row[i] = i;
    for (int i = 0; i < 2; i++) {
        OK(engine_run(e[i], &(struct engine_part){ 1, 0, 11, ids, NULL, 0 }, 1, &err));
        OK(engine_head(e[i], row, 11, &logits[i], &err));
    }
    const double d = difference(logits[1], logits[0], 11 * V);
    engine_free(e[0]);
    close_engine(e[1]);
    return d;
}

static void logits_are_those_of_the_host(void **state)
{
    (void)state;
    assert_true(far_from_host("tests/golden/llama", 0, 0) < 3e-6);
    assert_true(far_from_host("tests/golden/gpt2", 0, 0) < 3e-6);
    assert_int_equal(amd_bad, 0);
}

/* Logits of the last row of each part. */
static void step(struct engine *e, const struct engine_part *part, int n, float *out)
{
    const size_t V = (size_t)engine_config(e)->vocab_size;
    const float *logits;
    int32_t row[2];
    for (int i = 0, at = 0; i < n; i++)
        at += part[i].n, row[i] = at - 1;
    OK(engine_run(e, part, n, &err));
    OK(engine_head(e, row, n, &logits, &err));
    memcpy(out, logits, (size_t)n * V * sizeof *out);
}

/* Two prompts whole, and the same in other slots, in uneven pieces, side by side. */
static void same_bits(const char *model, enum weights_as as, int layers)
{
    enum { N = 24, V_MAX = 512 };
    static float whole[2][V_MAX], cut[2 * V_MAX];
    struct engine *e = open_parted(model, true, as, layers, 0);
    const int V = engine_config(e)->vocab_size;
    int32_t a[N], b[N];
    assert_true(V <= V_MAX);
    for (int i = 0; i < N; i++)
        a[i] = (int32_t)(rng_u64(1, (uint64_t)i) % (uint64_t)V), b[i] = (int32_t)(rng_u64(2, (uint64_t)i) % (uint64_t)V);
    step(e, &(struct engine_part){ 0, 0, N, a, NULL, 0 }, 1, whole[0]);
    step(e, &(struct engine_part){ 1, 0, N, b, NULL, 0 }, 1, whole[1]);
    step(e, (struct engine_part[]){ { 1, 0, 3, a, NULL, 0 }, { 0, 0, 8, b, NULL, 0 } }, 2, cut);      /* other slots, uneven */
    step(e, (struct engine_part[]){ { 0, 8, 1, b + 8, NULL, 0 }, { 1, 3, 17, a + 3, NULL, 0 } }, 2, cut);      /* as many as tiles are for */
    step(e, &(struct engine_part){ 0, 9, 11, b + 9, NULL, 0 }, 1, cut);
    for (int i = 20; i < N; i++)                     /* the third such step is one launch */
        step(e, (struct engine_part[]){ { 1, i, 1, a + i, NULL, 0 }, { 0, i, 1, b + i, NULL, 0 } }, 2, cut);
    assert_memory_equal(cut, whole[0], (size_t)V * sizeof *cut);
    assert_memory_equal(cut + V, whole[1], (size_t)V * sizeof *cut);
    assert_true(mock.n_graph >= 2);
    close_engine(e);
}
static void a_row_has_the_same_bits_in_a_prompt_alone_and_beside_others(void **state)
{
    (void)state;
    for (int as = WEIGHTS_FILE; as <= WEIGHTS_BF16; as++)
        same_bits("tests/golden/llama", (enum weights_as)as, 0);
}
static void so_it_has_with_quantised_weights(void **state)
{
    (void)state;
    same_bits(shared("stories260K-gguf/stories260K-q4_0.gguf"), WEIGHTS_FILE, 0);
}

/* ---- parted between the device and here ---- */

static void a_parted_model_has_the_logits_of_the_host(void **state)
{
    (void)state;
    assert_true(far_from_host("tests/golden/llama", 1, 0) < 3e-6);
    assert_true(far_from_host("tests/golden/gpt2", 1, 0) < 3e-6);
    for (int experts = 1; experts <= 2; experts++)
        assert_true(far_from_host("tests/golden/mixtral", 0, experts) < 3e-6);
    assert_true(far_from_host("tests/golden/mixtral", 1, 2) < 3e-6);
    assert_int_equal(amd_bad, 0);
}
static void a_parted_model_has_the_same_bits_in_a_prompt_alone_and_beside_others(void **state)
{
    (void)state;
    same_bits("tests/golden/llama", WEIGHTS_BF16, 1);
    same_bits(shared("stories260K-gguf/stories260K-q8_0.gguf"), WEIGHTS_FILE, 3);
}

static struct engine_sizes sizes_of(const char *path, int layers)
{
    struct engine_sizes s;
    struct engine_opts o = { .n_slot = 1, .step_tokens = 16, .no_tok = true, .device_layers = layers };
    OK(exec_open_gpu(&o.device, open_amd(), &err));
    OK(engine_plan_sizes(&s, path, &o, 2, &err));
    o.device->free(o.device);
    return s;
}
/* With room for exactly what n layers take, of which those that are neither all nor the least leave a 32nd, and one byte less. */
static void as_many_layers_as_fit_are_on_the_device(void **state)
{
    (void)state;
    const char *path = shared("stories260K-gguf/stories260K-q8_0.gguf");
    const struct engine_opts o = { .n_slot = 1, .step_tokens = 16, .no_tok = true, .device_layers = ENGINE_LAYERS_FIT };
    struct engine *e;
    const int n = sizes_of(path, 0).n_layer;
    for (int layers = 1; layers <= n; layers++) {
        const struct engine_sizes s = sizes_of(path, layers), less = layers > 1 ? sizes_of(path, layers - 1) : s;
        assert_true(layers == 1 || (less.device < s.device && less.total > s.total));
        size_t room = s.device;
        while (layers > 1 && layers < n && room - room / 32 < s.device)
            room++;
        mock.bytes_max = room;
        OK(open_on_device(&e, path, &o));
        assert_int_equal(engine_device_layers(e), layers);
        assert_int_equal(engine_bytes(e), s.total);
        close_engine(e);
        mock.bytes_max = room - 1;
        const int rc = open_on_device(&e, path, &o);
        assert_int_equal(rc, layers > 1 ? 0 : ERR_NOMEM);
        if (!rc) {
            assert_int_equal(engine_device_layers(e), layers - 1);
            close_engine(e);
        }
    }
    assert_non_null(strstr(err.msg, "for the last of 5 layers and the head alone"));
    mock.bytes_max = 0;
    assert_int_equal(mock.n_block + mock.n_module + mock.n_event + mock.n_stream, 0);
}

static void floats_that_only_the_host_reads_have_no_place_there(void **state)
{
    (void)state;
    int n[2] = { 0, 0 };
    struct loaded l = { 0 };
    OK(exec_open_gpu(&l.device, open_amd(), &err));
    OK(loaded_open(&l, "tests/golden/gpt2", &(struct loaded_opts){ .no_tok = true, .device_layers = 1 }, &err));
    OK(loaded_plan(&l, &(struct decoder_opts){ .use = DECODER_GENERATE, .types = l.types, .cache = DT_F32, .n_slot = 1, .n_page = 4, .ctx = l.ctx }, 16, 1, 2, &err));
    const struct exec *x = (const struct exec *)(const void *)l.device;
    for (int i = 0; i < l.d.g->n_tensor; i++) {
        const struct tensor *t = &l.d.g->tensor[i];
        if (t->kind == TENSOR_WEIGHT || t->kind == TENSOR_FROZEN) {
            assert_int_equal(x->place[i] != EXEC_NOWHERE, t->there);
            n[t->there]++;
        }
    }
    assert_true(n[0] > 4 && n[1] > 4);
    loaded_release(&l);
}

static void parts_that_are_not_there_are_refused(void **state)
{
    (void)state;
    struct engine *e;
    struct engine_opts o = { .n_slot = 1, .step_tokens = 16, .no_tok = true, .device_layers = 3 };
    assert_int_equal(open_on_device(&e, "tests/golden/llama", &o), ERR_RANGE);
    assert_non_null(strstr(err.msg, "3 layers asked for, but the model has 2"));
    o.device_layers = 0, o.cpu_experts = 1;
    assert_int_equal(open_on_device(&e, "tests/golden/llama", &o), ERR_USAGE);
    assert_non_null(strstr(err.msg, "no experts"));
    assert_int_equal(mock.n_block + mock.n_module + mock.n_event + mock.n_stream, 0);
}

static void pages_of(int layers)
{
    enum { V_MAX = 128 };
    struct engine *e;
    const struct engine_opts o = { .n_slot = 2, .n_page = 5, .step_tokens = 16, .no_tok = true, .device_layers = layers };
    OK(open_on_device(&e, "tests/golden/llama", &o));
    int32_t ids[9];
    float want[V_MAX], got[V_MAX];
    for (int i = 0; i < 9; i++)
        ids[i] = i * 5 + 1;
    const int32_t first = 3, second = 1;
    step(e, &(struct engine_part){ 0, 0, 8, ids, &first, 0 }, 1, want);
    engine_copy_page(e, first, second);
    step(e, &(struct engine_part){ 0, 8, 1, ids + 8, &first, 0 }, 1, want);
    step(e, &(struct engine_part){ 1, 8, 1, ids + 8, &second, 0 }, 1, got);
    assert_memory_equal(want, got, (size_t)engine_config(e)->vocab_size * sizeof *got);
    close_engine(e);
}
static void pages_are_shared_and_copied(void **state)
{
    (void)state;
    pages_of(0);
    pages_of(1);
}

static void a_device_that_is_lost_fails_the_step_and_all_later_ones(void **state)
{
    (void)state;
    struct engine *e = open_engine("tests/golden/llama", true, WEIGHTS_FILE);
    const int32_t ids[2] = { 1, 2 };
    const float *logits;
    mock.fail_launch = 5;
    assert_int_equal(engine_run(e, &(struct engine_part){ 0, 0, 2, ids, NULL, 0 }, 1, &err), ERR_IO);
    assert_non_null(strstr(err.msg, "launch failed"));
    assert_int_equal(engine_run(e, &(struct engine_part){ 0, 0, 2, ids, NULL, 0 }, 1, &err), ERR_IO);
    assert_int_equal(engine_head(e, &(int32_t){ 0 }, 1, &logits, &err), ERR_IO);
    close_engine(e);
}

static void what_it_cannot_do_or_hold_is_refused_before_a_weight_is_read(void **state)
{
    (void)state;
    struct engine *e;
    struct engine_opts o = { .n_slot = 1, .step_tokens = 16, .no_tok = true, .kv = ENGINE_KV_INT8 };
    assert_int_equal(open_on_device(&e, "tests/golden/llama", &o), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "attention_paged '0.attn'"));
    assert_non_null(strstr(err.msg, "I8"));
    o.kv = ENGINE_KV_AUTO;
    mock.bytes_max = 20000;
    assert_int_equal(open_on_device(&e, "tests/golden/llama", &o), ERR_NOMEM);
    assert_non_null(strstr(err.msg, "expected"));
    mock.bytes_max = 0;
    assert_int_equal(mock.n_block + mock.n_module + mock.n_event + mock.n_stream, 0);
}

static void without_memory_of_the_host_nothing_is_left(void **state)
{
    (void)state;
    const struct engine_opts o = { .n_slot = 1, .step_tokens = 4, .no_tok = true, .device_layers = 1 };      /* both sides */
    for (int n = 0, rc = -1; rc; n++) {
        struct engine *e = NULL;
        struct graph_device *d = NULL;
        struct gpu *g = open_amd();
        struct engine_opts with = o;
        mem_fail_at(n);
        rc = exec_open_gpu(&d, g, &err);
        with.device = d;
        rc = rc ? rc : engine_new(&e, "tests/golden/llama", &with, pool, &err);
        mem_fail_at(-1);
        close_engine(e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_those_of_the_host), cmocka_unit_test(a_row_has_the_same_bits_in_a_prompt_alone_and_beside_others),
        cmocka_unit_test(so_it_has_with_quantised_weights), cmocka_unit_test(a_parted_model_has_the_logits_of_the_host),
        cmocka_unit_test(a_parted_model_has_the_same_bits_in_a_prompt_alone_and_beside_others), cmocka_unit_test(as_many_layers_as_fit_are_on_the_device),
        cmocka_unit_test(floats_that_only_the_host_reads_have_no_place_there), cmocka_unit_test(parts_that_are_not_there_are_refused), cmocka_unit_test(pages_are_shared_and_copied),
        cmocka_unit_test(a_device_that_is_lost_fails_the_step_and_all_later_ones), cmocka_unit_test(what_it_cannot_do_or_hold_is_refused_before_a_weight_is_read),
        cmocka_unit_test(without_memory_of_the_host_nothing_is_left),
    };
    log_level_set(LOG_WARN);
    OK(pool_new(&pool, 2, &err));
    const int rc = cmocka_run_group_tests(tests, NULL, NULL);
    pool_free(pool);
    amd_release();
    return rc;
}
#else
static void logits_are_those_of_the_host(void **state)
{
    (void)state;
    print_message("skipped: llvm-19-dev was not there when this was built\n");
    skip();
}
int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(logits_are_those_of_the_host) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
