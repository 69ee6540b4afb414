/* What NVIDIA's assembler says of the PTX that is built in: it takes every image, keeps every kernel in registers, and finds no reason to put
 * warpgroup products one after the other or to leave a register request out. */
#include "../test.h"
#include <unistd.h>
#include "gpu/images.h"

static char log_text[1 << 16];

/* The assembler's words about PTX text; its exit status. */
static int assemble(const char *target, const char *text)
{
    char command[3000];
    FILE *f = fopen(in_dir("k.ptx"), "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    snprintf(command, sizeof command, "ptxas -arch=%s -v %s -o %s 2>&1", target, in_dir("k.ptx"), in_dir("k.cubin"));
    f = popen(command, "r");
    assert_non_null(f);
    log_text[fread(log_text, 1, sizeof log_text - 1, f)] = 0;
    return pclose(f);
}

static void needs_ptxas(void)
{
    if (!gpu_image(0)) {
        print_message("SKIPPED: no device code: clang-19 or lld-19 was not here when this was built\n");
        skip();
    }
    if (system("ptxas --version > /dev/null 2>&1")) {
        print_message("SKIPPED: ptxas, of CUDA, is not in PATH\n");
        skip();
    }
}

/* NULL, or what is wrong with the log. */
static const char *complaint(void)
{
    for (const char *p = log_text; (p = strstr(p, "bytes stack frame")); p++) {
        int stack, stores, loads;
        while (p > log_text && p[-1] != '\n')
            p--;
        if (sscanf(p, "%d bytes stack frame, %d bytes spill stores, %d bytes spill loads", &stack, &stores, &loads) != 3 || stack || stores || loads)
            return "registers are spilled";
        p = strstr(p, "bytes stack frame");
    }
    if (strstr(log_text, "serialized"))
        return "wgmma is serialized";
    if (strstr(log_text, "C7508"))
        return "setmaxnreg is ignored";
    return strstr(log_text, "warning") ? "a warning" : NULL;
}

static void every_image_assembles_without_spills(void **state)
{
    (void)state;
    needs_ptxas();
    int n = 0;
    for (int i = 0; gpu_image(i); i++) {
        const struct gpu_image *m = gpu_image(i);
        if (strncmp(m->target, "sm_", 3) != 0)
            continue;
        if (assemble(m->target, m->data) || complaint())
            fail_msg("%s for %s: %s\n%s", m->file, m->target, complaint() ? complaint() : "refused", log_text);
        n++;
    }
    assert_true(n >= 11);
}

static void faults_are_found(void **state)
{
    (void)state;
    needs_ptxas();
    const struct gpu_image *m = gpu_image_of("gemm_sm90", "sm_90a");
    assert_non_null(m);
    char *text = strdup(m->data), *bounds = strstr(text, ".maxntid 384");
    assert_non_null(bounds);
    /* 1024 threads leave 64 registers each: the accumulators do not fit. */
    char *more = malloc(strlen(text) + 2);
    sprintf(more, "%.*s.maxntid 1024%s", (int)(bounds - text), text, bounds + strlen(".maxntid 384"));
    assert_true(assemble("sm_90a", more) || complaint());
    memcpy(bounds, "//          ", 12);
    assert_true(assemble("sm_90a", text) || complaint());
    free(more);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_image_assembles_without_spills),
        cmocka_unit_test(faults_are_found),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
