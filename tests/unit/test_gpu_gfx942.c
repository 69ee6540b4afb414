/* The gfx942 code objects that ship, run here: beside cpu/ref at edge sizes, with every access, register and wait looked at; planted faults are found. */
#include "../test.h"
#ifdef HAVE_LLVM_19
#include "../emu/run_amd.h"
#include "gpu/check_job.h"
#include "gpu/product.h"

#define PARTS (GPU_CHECK_SMALL | GPU_CHECK_QUANT)

static void every_instruction_of_every_kernel_is_known(void **state)
{
    (void)state;
    gpu_close(open_amd());
    int n_kernel = 0;
    for (int i = 0; gpu_image(i); i++) {
        const struct gpu_image *m = gpu_image(i);
        const char *name;
        for (int k = 0; !strcmp(m->target, "gfx942") && (name = amd_kernel_name(m->data, k)); k++, n_kernel++)
            if (amd_load(m->data, name))
                fail_msg("%s of %s: an instruction that the emulator does not know, named above", name, m->file);
    }
    assert_true(n_kernel >= 34);
}

static void every_kernel_gives_what_cpu_ref_gives(void **state)
{
    (void)state;
    check_all(open_amd(), PARTS, 250);
    assert_int_equal(amd_bad, 0);
}

/* What kernels.def's kernels did in all their cases: for predictions, and to see a change. */
static void what_kernels_do_is_counted(void **state)
{
    (void)state;
    print_message("%-20s %9s %9s %8s %8s %8s %10s %10s %9s %7s %10s\n", "kernel", "vector", "scalar", "matrix", "shared", "memory", "read", "written", "lines", "cycles*", "conflicts*");
    for (int i = 0; i < amd.n_loaded; i++) {
        const struct amd_counts *n = &amd.loaded[i].counts;
        if (n->launches)
            print_message("%-20s %9ld %9ld %8ld %8ld %8ld %10ld %10ld %9ld %7ld %10ld\n", amd.loaded[i].name, n->vector, n->scalar, n->mfma, n->shared, n->memory, n->bytes_read, n->bytes_written,
                          n->lines, n->shared_cycles, n->conflicts);
    }
    print_message("* of shared memory: 32 banks of 4 bytes, 128 bytes a cycle\n");
    const struct amd_counts *copy = amd_counts_of("copy16"), *gemm = amd_counts_of("gemm_bf16");
    assert_true(copy && copy->bytes_read == copy->bytes_written && copy->bytes_read > 0);
    assert_true(gemm && gemm->flop > 0 && fmod(gemm->flop, 2.0 * 128 * 128 * 64) == 0);            /* whole tiles of whole steps */
    assert_true(gemm->mfma * 2.0 * 32 * 32 * 8 == gemm->flop);
    gpu_close(open_amd());
}

/* ---- what predictions count (plan/kernel.def) ---- */

static void no_row(void *to, const struct gpu_row *r)
{
    (void)to;
    if (!r->right)
        fail_msg("%s %s: %s", r->name, r->shape, r->message);
}
static double vector_of(const char *kernel)
{
    const struct amd_counts *n = amd_counts_of(kernel);
    return n ? (double)n->vector * 64 : 0;
}
/* Instructions of a lane since `before`, for an operation: as the table has them, where it has some, to 5 %. */
static void is_counted(const char *kernel, double before, double flop)
{
    static const struct { const char *name; double counted; } table[] = {
#define K(name, kind, trips, clocks, counted, ...) { name, counted },
#include "plan/kernel.def"
    };
    const double found = (vector_of(kernel) - before) / flop;
    bool there = false;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(table[i].name, kernel) && (there = true) && fabs(found / table[i].counted - 1) > 0.05)
            fail_msg("%s: a lane issues %.3f instructions an operation, plan/kernel.def has %.3f", kernel, found, table[i].counted);
    print_message("%-20s %.3f instructions of a lane for each operation%s\n", kernel, found, there ? "" : " (not in the table)");
}

static void what_predictions_count_is_what_is_issued(void **state)
{
    (void)state;
    enum { T = 8, C = 4096 };
    struct job j = { .g = open_amd(), .row = no_row };
    static const int types[] = { TYPE_BF16, TYPE_Q8_0, TYPE_Q4_0, TYPE_Q4_K };
    const int len = 1024;
    assert_int_equal(gpu_stream_new(j.g, &j.stream, &j.err), 0);
    for (int t = 0; t < 4; t++)
        for (int M = 1; M <= 8; M *= 2) {
            const char *name = gpu_kernel_name(gpu_gemv_kernel(types[t], M));
            const double before = vector_of(name);
            check_gemv_case(&j, types[t], M, 64, C, false, false);
            is_counted(name, before, 2.0 * M * 64 * C);
        }
    for (int d = 64; d <= 128; d += 64)
        for (int G = 1; G <= 8; G *= 2) {
            const char *name = gpu_kernel_name(gpu_decode_kernel(d, G, false));
            const double before = vector_of(name);
            check_decode_case(&j, &(struct decode_case){ .d = d, .n_kv_head = 1, .n_group = G, .n_seq = 1, .len = &len });
            is_counted(name, before, 4.0 * G * len * d);
        }
    job_begin(&j);
    float *x = job_floats(&j, 2 * T * C);
    float *a = job_upload(&j, x, 2 * T * C * sizeof *x), *b = job_device(&j, 2 * T * C * sizeof *x);
    const struct {
        enum gpu_kernel k;
        long gx;
        const void *args;
        double flop;
    } rows[] = {
        { GPU_rope, T * C / 512, &(struct rope_args){ .x = b, .cos_sin = a, .ld_x = C, .n_row = T, .n_head = 32, .d_head = 128, .d_rot = 128 }, 3.0 * T * C },
        { GPU_quantize_a8, T * C / 1024, &(struct quantize_args){ .q = (void *)b, .ds = b + T * C, .x = a, .ld_x = C, .n_row = T, .K = C }, 2.0 * T * C },
        { GPU_rmsnorm, T, &(struct rmsnorm_args){ .y = b, .x = a, .w = a, .ld_y = C, .ld_x = C, .C = C, .eps = 1e-5f }, 4.0 * T * C },
        { GPU_swiglu, T * C / 1024, &(struct swiglu_args){ .y = b, .h = a, .ld_y = C, .ld_h = 2 * C, .n_row = T, .F = C }, 6.0 * T * C },
        { GPU_softmax, 1, &(struct softmax_args){ .y = b, .x = a, .ld_y = T * C, .ld_x = T * C, .n = T * C }, 5.0 * T * C },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const double before = vector_of(gpu_kernel_name(rows[i].k));
        job_launch(&j, rows[i].k, rows[i].gx, 1, 1, rows[i].args);
        is_counted(gpu_kernel_name(rows[i].k), before, rows[i].flop);
    }
    job_end(&j, "rows");
    gpu_stream_free(j.g, j.stream);
    gpu_close(j.g);
    assert_int_equal(amd_bad, 0);
}

/* ---- planted faults ---- */

static int changed(const char *kernel, const char *instruction, const char *from, const char *by, int n) { return amd_planted(PARTS, kernel, instruction, from, by, n); }
static int found(const char *kernel, const char *instruction, int n) { return changed(kernel, instruction, NULL, NULL, n); }

static void a_removed_barrier_is_a_race(void **state)
{
    (void)state;
    assert_true(found("rmsnorm", "s_barrier", 2) & BY_CHECK);
    assert_true(found("gemm_bf16", "s_barrier", 1) & BY_CHECK);
    assert_true(found("gemm_bf16", "s_barrier", 2) & BY_CHECK);
    for (int i = 1; i <= 3; i++)
        assert_true(found("attn_decode_128_4", "s_barrier", i) & BY_CHECK);
    assert_true(found("few_q8_0_1", "s_barrier", 1) & BY_CHECK);
    for (int i = 1; i <= 2; i++)
        assert_true(found("many_q4_0_4", "s_barrier", i) & BY_CHECK);
}

/* Kernels for weights of every type, and for attention of other heads. */
static void faults_of_kernels_of_the_second_part_are_found(void **state)
{
    (void)state;
    for (int i = 1; i <= 2; i++)
        assert_true(found("gemm_q", "s_barrier", i) & BY_CHECK);
    for (int i = 1; i <= 3; i++)
        assert_true(found("attn_decode_to256_8", "s_barrier", i) & BY_CHECK);
    assert_true(found("gemm_q", "v_mfma", 3) & BY_RESULT);
    assert_true(found("gemv_q6_k_1", "v_dot4c", 3) & found("gemv_q6_k_1", "v_dot4c", 70) & BY_RESULT);
    assert_true(found("gemv_any_1", "v_dot4c", 3) & BY_RESULT);
}

static void a_missing_product_is_a_wrong_result(void **state)
{
    (void)state;
    assert_true(found("gemm_bf16", "v_mfma", 5) & BY_RESULT);
    assert_true(found("gemv_q4_0_1", "v_dot4c", 3) & BY_RESULT);
    assert_true(found("few_bf16_2", "v_mfma", 3) & BY_RESULT);
}

static void a_wrong_lane_is_a_wrong_result(void **state)
{
    (void)state;
    assert_true(changed("rmsnorm", "v_xor_b32", ", 16, ", ", 12, ", 1) & BY_RESULT);
    assert_true(changed("gemv_q4_0_1", "v_xor_b32", ", 0x80, ", ", 0x40, ", 1) & BY_RESULT);
    assert_true(changed("gemm_bf16", "v_and_b32", ", 31, ", ", 30, ", 1) & BY_RESULT);            /* the row of a lane's operand */
}

static void a_row_too_many_is_out_of_bounds(void **state)
{
    (void)state;
    assert_true(changed("rope", "v_cmp_gt_i32", "v_cmp_gt_i32", "v_cmp_ge_i32", 2) & BY_CHECK);
    assert_true(changed("kv_put", "v_cmp_gt_i64", "v_cmp_gt_i64", "v_cmp_ge_i64", 1) & BY_CHECK);
}

static void shared_memory_that_overlaps_or_is_too_small_is_seen(void **state)
{
    (void)state;
    /* The fifth store is the first of the second array: with the address of the array before it, two waves write one place. */
    assert_true(changed("gemm_bf16", "ds_write_b128", "v123,", "v120,", 1) & BY_CHECK);
    amd_fault.shared_bytes = 18432;
    assert_true(changed("gemm_bf16", NULL, NULL, NULL, 0) & BY_CHECK);
}

/* Each s_waitcnt left out in its turn.  Not every one is needed: some find that an earlier one waited for more, some lie where no case goes. */
static void waits_left_out(const char *kernel, int n_needless)
{
    int n = 0, unseen = 0;
    for (int how; (how = found(kernel, "s_waitcnt", n + 1)) != NOT_THERE; n++)
        unseen += !(how & BY_CHECK);
    print_message("%s: %d of %d waits left out are found\n", kernel, n - unseen, n);
    assert_true(n >= 2 && unseen <= n_needless);
}
static void a_missing_wait_is_found(void **state)
{
    (void)state;
    waits_left_out("copy16", 0);
    waits_left_out("rmsnorm", 3);                      /* for waves beyond the row's end in one round, which have no next one */
    waits_left_out("rope", 1);
    waits_left_out("gemm_bf16", 4);
    amd_release();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_instruction_of_every_kernel_is_known), cmocka_unit_test(every_kernel_gives_what_cpu_ref_gives), cmocka_unit_test(what_kernels_do_is_counted),
        cmocka_unit_test(what_predictions_count_is_what_is_issued),
        cmocka_unit_test(a_removed_barrier_is_a_race), cmocka_unit_test(faults_of_kernels_of_the_second_part_are_found), cmocka_unit_test(a_missing_product_is_a_wrong_result), cmocka_unit_test(a_wrong_lane_is_a_wrong_result),
        cmocka_unit_test(a_row_too_many_is_out_of_bounds), cmocka_unit_test(shared_memory_that_overlaps_or_is_too_small_is_seen), cmocka_unit_test(a_missing_wait_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
static void every_kernel_gives_what_cpu_ref_gives(void **state)
{
    (void)state;
    print_message("skipped: llvm-19-dev was not there when this was built\n");
    skip();
}
int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_kernel_gives_what_cpu_ref_gives) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
