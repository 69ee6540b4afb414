/* The device kernels, compiled for the host: beside cpu/ref at edge sizes, with threads in both orders; planted faults show. */
#include "../emu/simt_kernels.h"

static void every_kernel_gives_what_cpu_ref_gives(void **state)
{
    (void)state;
    check_all(open_host(), GPU_CHECK_SMALL | GPU_CHECK_QUANT, 250);
    simt_release();
}

/* A run with fewer of the kernels' promises: what it finds. */
static int wrong_rows(void)
{
    check_quietly(open_host(), GPU_CHECK_SMALL, NULL);
    simt_release();
    return rows_wrong;
}

static void the_order_of_threads_changes_nothing(void **state)
{
    (void)state;
    simt_backwards = true;
    assert_int_equal(wrong_rows(), 0);
    simt_backwards = false;
}

static void a_removed_barrier_shows(void **state)
{
    (void)state;
    for (int i = 2; i <= 4; i++) {            /* what the first guards comes in time here, as waves go in step: test_gpu_ptx finds that */
        simt_skip_barrier = i;
        const int forwards = wrong_rows();
        simt_backwards = true;
        const int backwards = wrong_rows();
        simt_backwards = false;
        simt_skip_barrier = 0;
        assert_true(forwards + backwards > 0);
    }
}

static void a_wrong_lane_shows(void **state)
{
    (void)state;
    simt_lane_fault = 1;
    assert_true(wrong_rows() > 0);
    simt_lane_fault = 0;
}

static void a_failed_launch_ends_its_case_and_no_other(void **state)
{
    (void)state;
    struct gpu *g = open_host();
    loud = false;
    mock.fail_launch = 7;
    assert_int_equal(run_check(g, GPU_CHECK_SMALL), 1);
    loud = true;
    assert_true(rows_seen > 60);
    gpu_close(g);
    assert_int_equal(mock.n_block + mock.n_module + mock.n_event + mock.n_stream, 0);
    simt_release();
}

static void without_memory_on_the_device_it_is_said(void **state)
{
    (void)state;
    struct gpu *g = open_host();
    struct err err;
    void *p;
    mock.bytes_max = 1000;
    assert_int_equal(gpu_alloc(g, &p, 1001, &err), ERR_NOMEM);
    assert_string_equal(err.msg, "mock:0: 1001 bytes were asked for, 1000 of 1000 are free: out of memory");
    assert_null(p);
    mock.bytes_max = 0;
    gpu_close(g);
}

/* Copies and launches are timed, graphs recorded and run: with a clock that means nothing here. */
static void a_device_is_measured(void **state)
{
    (void)state;
    struct gpu *g = open_host();
    assert_int_equal(run_check(g, GPU_TIME_LAUNCH), 0);
    assert_int_equal(rows_seen, 7);
    gpu_close(g);
    simt_release();
}

static void devices_that_are_not_there_are_refused(void **state)
{
    (void)state;
    struct err err;
    struct gpu *g;
    static const char *const names[] = { "cpu", "cuda:", "cuda:1x", "hip:-1", "" };
    for (int i = 0; i < 5; i++)
        assert_int_equal(gpu_open(&g, names[i], &err), ERR_USAGE);
    assert_int_equal(gpu_open_api(&g, &mock_api, 1, "gfx942", &err), ERR_NOTFOUND);
    assert_string_equal(err.msg, "mock:1: there are 1 devices");
    if (gpu_image_of("copy", "gfx942")) {
        assert_int_equal(gpu_open_api(&g, &mock_api, 0, "gfx90a", &err), ERR_UNSUPPORTED);
        assert_string_equal(err.msg, "mock:0 is emulated (gfx90a): lathe has device code for sm_90 and gfx942");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kernel_gives_what_cpu_ref_gives), cmocka_unit_test(the_order_of_threads_changes_nothing), cmocka_unit_test(a_removed_barrier_shows),
        cmocka_unit_test(a_wrong_lane_shows), cmocka_unit_test(a_failed_launch_ends_its_case_and_no_other), cmocka_unit_test(without_memory_on_the_device_it_is_said),
        cmocka_unit_test(a_device_is_measured), cmocka_unit_test(devices_that_are_not_there_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
