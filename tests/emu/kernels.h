/* kernels.h - every device kernel run by an emulator and looked at beside cpu/ref, as the tests of each emulator do it.  Included by one test, after mock.h. */
#ifndef TESTS_EMU_KERNELS_H
#define TESTS_EMU_KERNELS_H
#include "../test.h"
#include "mock.h"
#include "gpu/check.h"
#include "gpu/images.h"

/* The file of src/gpu/kern that a kernel is in. */
SHARED_BY_TESTS const char *kernel_file(enum gpu_kernel k)
{
    static const char *const files[] = {
#define K(name, file, n_thread, n_block, args, what) #file,
#include "gpu/kernels.def"
#undef K
    };
    return files[k];
}

static int rows_seen, rows_wrong, rows_failed;          /* failed: that did not run */
static bool loud = true;

/* Which kernels each case of some parts launched, in a run without faults: a planted fault is looked for in the cases of its kernel. */
static struct launched {
    int (*run)(const struct mock_launch *l);
    int parts;
    bool whole, of[1024][N_GPU_KERNEL];
} launched[6], *launches;                               /* launches: of the run that is going on */
static int planted = N_GPU_KERNEL, case_now;            /* planted: the kernel that has a fault */
SHARED_BY_TESTS bool case_wanted(void *to, int i)
{
    (void)to;
    assert_true(i < 1024);
    case_now = i;
    return planted == N_GPU_KERNEL || !launches->whole || launches->of[i][planted];
}
SHARED_BY_TESTS int run_launch(const struct mock_launch *l)
{
    if (planted == N_GPU_KERNEL)
        launches->of[case_now][l->kernel] = true;
    return launches->run(l);
}
SHARED_BY_TESTS void note_row(void *to, const struct gpu_row *r)
{
    (void)to;
    const bool ran = !strcmp(r->kind, "check");
    rows_seen++;
    rows_wrong += ran && !r->right, rows_failed += !ran && !r->right;
    if (!r->right && loud)
        print_message("%s %s: error %g, at most %g %s\n", r->name, r->shape, r->error, r->tolerance, r->message);
}

/* A device of `arch` whose kernels run() runs, in waves of so many threads; the counts begin anew. */
SHARED_BY_TESTS struct gpu *open_emulated(int (*run)(const struct mock_launch *l), int wave, const char *arch)
{
    struct err err;
    struct gpu *g;
    mock.run = run, mock.wave = wave, rows_seen = rows_wrong = rows_failed = 0;
    if (!gpu_image_of("copy", arch)) {
        print_message("skipped: built without clang-19 and lld-19, there is no device code\n");
        skip();
    }
    assert_int_equal(gpu_open_api(&g, &mock_api, 0, arch, &err), 0);
    return g;
}

SHARED_BY_TESTS int run_check(struct gpu *g, int parts)
{
    for (launches = launched; launches->run && (launches->run != mock.run || launches->parts != parts);)
        assert_true(++launches < launched + sizeof launched / sizeof *launched);
    launches->run = mock.run, launches->parts = parts;
    mock.run = run_launch;
    const int n_bad = gpu_check_cases(g, parts, case_wanted, note_row, NULL);
    mock.run = launches->run;
    launches->whole |= planted == N_GPU_KERNEL && n_bad == 0;
    return n_bad;
}

/* All rows of these parts are right, at least so many, and the device is left as it was found. */
SHARED_BY_TESTS void check_all(struct gpu *g, int parts, int at_least)
{
    assert_int_equal(run_check(g, parts), 0);
    assert_true(rows_seen >= at_least);
    gpu_close(g);
    assert_int_equal(mock.n_block + mock.n_module + mock.n_event + mock.n_stream, 0);
}

/* The same with a fault planted, whatever becomes of the rows; kernel: that has it, or NULL. */
enum { BY_CHECK = 1, BY_RESULT = 2, NOT_THERE = 4 };           /* found by a check of the emulator, by a wrong result; there is nothing to be changed */
SHARED_BY_TESTS void check_quietly(struct gpu *g, int parts, const char *kernel)
{
    for (planted = 0; kernel && strcmp(kernel, gpu_kernel_name((enum gpu_kernel)planted)) != 0;)
        assert_true(++planted < N_GPU_KERNEL);
    planted = kernel ? planted : N_GPU_KERNEL;
    loud = false;
    run_check(g, parts);
    loud = true;
    if (kernel && rows_seen == 0)
        fail_msg("no case launches %s", kernel);
    planted = N_GPU_KERNEL;
    gpu_close(g);
}
#endif
