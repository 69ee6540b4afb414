/* test_exec.c - a model run on a device: the code objects that ship for gfx942, in the emulator, give the host's logits and tokens. */
#include "../test.h"
#ifdef HAVE_LLVM_19
#include <math.h>
#include "../emu/kernels.h"
#include "../emu/emu942.c"
#include "base/mem.h"
#include "base/rng.h"
#include "exec/exec.h"
#include "infer/engine.h"

static struct err err;
static struct pool *pool;

static int run(const struct mock_launch *l)
{
    static enum gpu_kernel loaded = N_GPU_KERNEL;
    amd.n_block = 0;
    for (int i = 0; i < mock.n_block; i++)
        amd_block(mock.block[i].p, mock.block[i].n);
    if (l->kernel != loaded && amd_load(gpu_image_of(kernel_file(l->kernel), "gfx942")->data, gpu_kernel_name(l->kernel)))
        return 500;
    loaded = l->kernel;
    return amd_launch((int)l->gx, (int)l->gy, (int)l->gz, gpu_kernel_threads(l->kernel), l->args, gpu_kernel_args(l->kernel)) ? 719 : 0;
}

static struct engine *open_engine(const char *path, bool device, enum weights_as as)
{
    struct engine *e;
    struct engine_opts o = { .n_slot = 2, .step_tokens = 16, .n_logits = 16, .no_tok = true, .as = as };
    if (device)
        OK(exec_open_gpu(&o.device, open_emulated(run, 64, "gfx942"), &err));
    OK(engine_new(&e, path, &o, pool, &err));
    return e;
}

static double difference(const float *x, const float *y, size_t n)
{
    double d = 0, s = 0;
    for (size_t i = 0; i < n; i++)
        d += (double)(x[i] - y[i]) * (double)(x[i] - y[i]), s += (double)y[i] * (double)y[i];
    return sqrt(d / s);
}

static void logits_are_those_of_the_host(void **state)
{
    (void)state;
    static const char *const models[] = { "tests/golden/llama", "tests/golden/gpt2" };
    for (size_t m = 0; m < 2; m++) {
        struct engine *e[2] = { open_engine(models[m], false, WEIGHTS_FILE), open_engine(models[m], true, WEIGHTS_FILE) };
        const size_t V = (size_t)engine_config(e[0])->vocab_size;
        int32_t ids[16], row[16];
        const float *logits[2];
        for (int i = 0; i < 16; i++)
            ids[i] = (int32_t)(rng_u64(7, (uint64_t)i) % V), row[i] = i;
        for (int i = 0; i < 2; i++) {
            OK(engine_run(e[i], &(struct engine_part){ 1, 0, 11, ids, NULL, 0 }, 1, &err));
            OK(engine_head(e[i], row, 11, &logits[i], &err));
        }
        assert_true(difference(logits[1], logits[0], 11 * V) < 3e-6);
        engine_free(e[0]);
        engine_free(e[1]);
    }
    assert_int_equal(amd_bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(logits_are_those_of_the_host) };
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
