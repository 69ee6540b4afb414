#include <jansson.h>
#include "base/log.h"
#include "cmd/cmd.h"
#include "nn/limits.h"

static bool limits;

static int run_bench(const char *const *args, int n_args, struct err *err)
{
    (void)args, (void)n_args;
    if (!limits)
        return ERR(err, USAGE, "expected: lathe bench --limits");
    struct pool *pool;
    struct limits l;
    TRY(pool_new(&pool, cmd_n_thread(), err));
    int rc = limits_measure(&l, pool, err);
    pool_free(pool);
    if (!rc)
        rc = limits_save(&l, err);
    TRY(rc);
    if (cmd_json)
        return cmd_print_json(json_pack("{s:s, s:s, s:i, s:f, s:f, s:f, s:f, s:f, s:f}", "cpu", l.cpu, "isa", l.level, "threads", l.n_thread, "f32_flops", l.f32, "bf16_flops", l.bf16,
                                        "int8_ops", l.int8, "read_bytes_per_s", l.read, "cache_read_bytes_per_s", l.read_cache, "cache_bytes", l.cache_bytes), err);
    printf("%s, %s, %d threads\n", l.cpu, l.level, l.n_thread);
    printf("fp32   %8.1f GFLOP/s\nbf16   %8.1f GFLOP/s%s\nint8   %8.1f GOP/s\nread   %8.1f GB/s from memory\n       %8.1f GB/s from the second-level cache (%.1f MB)\n", l.f32 / 1e9,
           l.bf16 / 1e9, l.bf16 <= l.f32 * 1.2 ? " (as fp32: this machine has no fast bf16 multiply-add)" : "", l.int8 / 1e9, l.read / 1e9, l.read_cache / 1e9, l.cache_bytes / 1e6);
    return 0;
}

static const struct opt opts[] = {
    { OPT_FLAG, "limits", &limits, NULL, "measure this machine's peaks and bandwidths, and keep them", 0, 0 },
    OPT_THREADS,
    OPT_JSON,
    OPT_LAST,
};
const struct command command_bench = {
    "bench", "", "what this machine can do",
    "Measures operations per second in registers (fp32, bf16, int8 multiply-adds, counted as two) and bytes read per second, on\n"
    "all threads at once, and keeps them in ~/.cache/lathe/limits.json.  Every share of peak and every expected time that\n"
    "lathe prints is computed from these and from the operations' costs; they are measured by themselves when missing.",
    opts, run_bench, 0, 0,
};
