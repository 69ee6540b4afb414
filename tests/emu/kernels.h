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
static struct { char name[48]; int n; } wrong_of[64];      /* wrong rows by kernel */
static bool loud = true;
SHARED_BY_TESTS void note_row(void *to, const struct gpu_row *r)
{
    (void)to;
    rows_seen++;
    const bool ran = !strcmp(r->kind, "check");
    rows_wrong += ran && !r->right, rows_failed += !ran && !r->right;
    for (size_t i = 0; ran && !r->right && i < sizeof wrong_of / sizeof *wrong_of; i++)
        if (!wrong_of[i].n || !strcmp(wrong_of[i].name, r->name)) {
            snprintf(wrong_of[i].name, sizeof wrong_of->name, "%s", r->name);
            wrong_of[i].n++;
            break;
        }
    if (!r->right && loud)
        print_message("%s %s: error %g, at most %g %s\n", r->name, r->shape, r->error, r->tolerance, r->message);
}

/* Rows of the kernel that are wrong. */
SHARED_BY_TESTS int rows_of_wrong(const char *kernel)
{
    for (size_t i = 0; i < sizeof wrong_of / sizeof *wrong_of; i++)
        if (!strcmp(wrong_of[i].name, kernel))
            return wrong_of[i].n;
    return 0;
}

/* A device of `arch` whose kernels run() runs, in waves of so many threads; the counts begin anew. */
SHARED_BY_TESTS struct gpu *open_emulated(int (*run)(const struct mock_launch *l), int wave, const char *arch)
{
    struct err err;
    struct gpu *g;
    memset(wrong_of, 0, sizeof wrong_of);
    mock.run = run, mock.wave = wave, rows_seen = rows_wrong = rows_failed = 0;
    if (!gpu_image_of("copy", arch)) {
        print_message("skipped: built without clang-19 and lld-19, there is no device code\n");
        skip();
    }
    assert_int_equal(gpu_open_api(&g, &mock_api, 0, arch, &err), 0);
    return g;
}

/* All rows of these parts are right, at least so many, and the device is left as it was found. */
SHARED_BY_TESTS void check_all(struct gpu *g, int parts, int at_least)
{
    assert_int_equal(gpu_check(g, parts, note_row, NULL), 0);
    assert_true(rows_seen >= at_least);
    gpu_close(g);
    assert_int_equal(mock.n_block + mock.n_module + mock.n_event + mock.n_stream, 0);
}

/* The same with a fault planted, whatever becomes of the rows. */
enum { BY_CHECK = 1, BY_RESULT = 2, NOT_THERE = 4 };           /* found by a check of the emulator, by a wrong result; there is nothing to be changed */
SHARED_BY_TESTS void check_quietly(struct gpu *g, int parts)
{
    loud = false;
    gpu_check(g, parts, note_row, NULL);
    loud = true;
    gpu_close(g);
}
#endif
