/* same_tokens.h - a model run on emulated devices and on the host.  Included by one test, after emu/run_amd.h. */
#ifndef TESTS_UNIT_SAME_TOKENS_H
#define TESTS_UNIT_SAME_TOKENS_H
#include <math.h>
#include "base/rng.h"
#include "exec/exec.h"
#include "infer/engine.h"

static struct err same_err;
/* open: of the device, or NULL: the host. */
SHARED_BY_TESTS int engine_on(struct engine **e, const char *path, int (*open)(struct graph_device **), enum weights_as as, struct pool *pool)
{
    struct engine_opts o = { .n_slot = 2, .step_tokens = 24, .n_logits = 24, .no_tok = true, .as = as };
    if (open)
        assert_int_equal(open(&o.device), 0);
    return engine_new(e, path, &o, pool, &same_err);
}

SHARED_BY_TESTS int largest(const float *x, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        best = x[i] > x[best] ? i : best;
    return best;
}

enum { SAME_PROMPT = 13, SAME_ANSWER = 6 };
/* A prompt at once, then token by token, each side by its own largest logits: they are the same tokens, and the logits differ by at most so much. */
SHARED_BY_TESTS void same_tokens(const char *path, enum weights_as as, int (*open)(struct graph_device **), struct pool *pool, double tolerance)
{
    struct engine *e[2];
    for (int i = 0; i < 2; i++)
        if (engine_on(&e[i], path, i ? open : NULL, as, pool))
            fail_msg("%s: %s", path, same_err.msg);
    const int V = engine_config(e[0])->vocab_size;
    int32_t ids[2][SAME_PROMPT + SAME_ANSWER], row[SAME_PROMPT];
    for (int i = 0; i < SAME_PROMPT; i++)
        ids[0][i] = ids[1][i] = (int32_t)(rng_u64(11, (uint64_t)i) % (uint64_t)V), row[i] = i;
    for (int n = 0; n < 1 + SAME_ANSWER; n++) {
        const float *logits[2];
        const int first = n ? SAME_PROMPT + n - 1 : 0, rows = n ? 1 : SAME_PROMPT;
        double d = 0, s = 0;
        for (int i = 0; i < 2; i++) {
            assert_int_equal(engine_run(e[i], &(struct engine_part){ 1, first, rows, ids[i] + first, NULL, 0 }, 1, &same_err), 0);
            assert_int_equal(engine_head(e[i], row, rows, &logits[i], &same_err), 0);
            if (n < SAME_ANSWER)
                ids[i][SAME_PROMPT + n] = largest(logits[i] + (size_t)(rows - 1) * (size_t)V, V);
        }
        for (size_t i = 0; i < (size_t)rows * (size_t)V; i++)
            d += pow((double)logits[1][i] - (double)logits[0][i], 2), s += pow((double)logits[0][i], 2);
        if (!(sqrt(d / s) <= tolerance))
            fail_msg("%s, step %d: logits differ by %g, expected at most %g", path, n, sqrt(d / s), tolerance);
    }
    assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
    for (int i = 0; i < 2; i++)
        engine_free(e[i]);
    assert_int_equal(amd_bad, 0);
    assert_int_equal(mock.n_block + mock.n_module + mock.n_event + mock.n_stream, 0);
}
#endif
