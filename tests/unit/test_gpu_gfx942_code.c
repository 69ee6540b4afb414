/* What LLVM's tools say of the gfx942 code objects that are built in: every kernel stays in vector registers and needs no scratch memory, sums do not move between the two halves of the
 * register file, and the loops of the large products leave the matrix unit little idle.
 *
 * The loop is the run of instructions up to the backward branch that has most matrix instructions in it.  llvm-mca counts in slots of 4 clocks, of which
 * a 16 x 16 product holds the matrix unit 4; share = 4 * products / slots of a round, of one wave alone, with LLVM's latencies.  A load from memory
 * counts as one slot: llvm-mca 19 lets waits for shared memory (lgkmcnt) wait for it too, as for a flat load, which is not so for global ones. */
#include "../test.h"
#include "gpu/images.h"

static void needs_tools(void)
{
    if (!gpu_image(0)) {
        print_message("SKIPPED: no device code: clang-19 or lld-19 was not here when this was built\n");
        skip();
    }
    if (system("llvm-mca-19 --version > /dev/null 2>&1 && llvm-objdump-19 --version > /dev/null 2>&1 && llvm-readelf-19 --version > /dev/null 2>&1")) {
        print_message("SKIPPED: llvm-mca-19, llvm-objdump-19 and llvm-readelf-19, of Debian's llvm-19, are not in PATH\n");
        skip();
    }
}

static FILE *ask(const char *format, ...)
{
    char command[3000];
    va_list v;
    va_start(v, format);
    vsnprintf(command, sizeof command, format, v);
    va_end(v);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    return f;
}
static const char *written(const struct gpu_image *m)
{
    FILE *f = fopen(in_dir("k.co"), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(m->data, (size_t)(m->end - m->data), 1, f), 1);
    assert_int_equal(fclose(f), 0);
    return in_dir("k.co");
}

static void no_kernel_leaves_its_registers(void **state)
{
    (void)state;
    needs_tools();
    int n = 0;
    for (int i = 0; gpu_image(i); i++) {
        if (strcmp(gpu_image(i)->target, "gfx942") != 0)
            continue;
        FILE *f = ask("llvm-readelf-19 --notes %s", written(gpu_image(i)));
        char line[256], name[96] = "";
        for (int value; fgets(line, sizeof line, f);) {
            if (sscanf(line, " .name: %95s", name) == 1)
                continue;
            if (sscanf(line, " .private_segment_fixed_size: %d", &value) == 1 || sscanf(line, " .vgpr_spill_count: %d", &value) == 1) {
                if (value)
                    fail_msg("%s: %s", name, line);
                n++;
            } else if (sscanf(line, " .vgpr_count: %d", &value) == 1) {
                assert_in_range(value, 1, 512);
            }
        }
        assert_int_equal(pclose(f), 0);
    }
    assert_true(n >= 2 * 30);
}

/* The kernel's instructions; returned: how many. */
#define CODE_MAX 6000
static struct { unsigned long at; char text[100]; } code[CODE_MAX];
static int disassembled(const struct gpu_image *m, const char *kernel)
{
    FILE *f = ask("llvm-objdump-19 -d --no-show-raw-insn --disassemble-symbols=%s %s", kernel, written(m));
    char line[400];
    int n = 0;
    while (fgets(line, sizeof line, f)) {
        char *comment = strstr(line, "//");
        if (*line != '\t' || !comment)
            continue;
        assert_true(n < CODE_MAX);
        code[n].at = strtoul(comment + 2, NULL, 16);
        while (comment > line && (comment[-1] == ' ' || comment[-1] == '\t'))
            comment--;
        snprintf(code[n++].text, sizeof code->text, "%.*s", (int)(comment - line - 1), line + 1);
    }
    assert_int_equal(pclose(f), 0);
    return n;
}
static bool begins(int i, const char *with) { return !strncmp(code[i].text, with, strlen(with)); }

/* How many matrix instructions the loop has, and the share of the matrix unit's time. */
static int loop(const struct gpu_image *m, const char *kernel, double *share)
{
    const int n = disassembled(m, kernel);
    int most = 0, first = 0, last = 0;
    for (int i = 0; i < n; i++) {
        int words, j = i, n_matrix = 0;
        if ((!begins(i, "s_cbranch") && !begins(i, "s_branch")) || sscanf(code[i].text, "%*s %d", &words) != 1 || words < 32768)
            continue;
        const unsigned long to = code[i].at + 4 - 4 * (unsigned long)(65536 - words);
        for (; j > 0 && code[j].at > to; j--)
            n_matrix += begins(j, "v_mfma");
        n_matrix += begins(j, "v_mfma");
        if (n_matrix > most)
            most = n_matrix, first = j, last = i;
    }
    FILE *f = fopen(in_dir("loop.s"), "w");
    assert_non_null(f);
    for (int i = first; i <= last; i++) {
        if (begins(i, "v_accvgpr") || begins(i, "scratch"))
            fail_msg("%s: in the loop: %s", kernel, code[i].text);
        if (!begins(i, "s_cbranch") && !begins(i, "s_branch"))
            fprintf(f, "%s\n", begins(i, "global_load") ? "s_nop 0" : code[i].text);
    }
    assert_int_equal(fclose(f), 0);
    enum { ROUNDS = 16 };
    f = ask("llvm-mca-19 -mtriple=amdgcn-amd-amdhsa -mcpu=gfx942 -iterations=%d %s", ROUNDS, in_dir("loop.s"));
    char line[256];
    long slots = 0;
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "Total Cycles: %ld", &slots) == 1)
            break;
    while (fgets(line, sizeof line, f))
        ;
    assert_int_equal(pclose(f), 0);
    assert_true(slots > 0);
    *share = 4.0 * most * ROUNDS / (double)slots;
    return most;
}

static void large_products_keep_the_matrix_unit_busy(void **state)
{
    (void)state;
    needs_tools();
    static const struct { const char *kernel; int n_matrix; } want[] = { { "gemm_cdna3", 128 }, { "gemm_cdna3_128", 64 }, { "gemm_cdna3_fp8", 128 } };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        double share;
        const int n = loop(gpu_image_of("gemm_cdna3", "gfx942"), want[i].kernel, &share);
        print_message("%s: %d matrix instructions a round, %.1f %% of the matrix unit's time\n", want[i].kernel, n, 100 * share);
        assert_int_equal(n, want[i].n_matrix);
        assert_true(share >= 0.85);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(no_kernel_leaves_its_registers), cmocka_unit_test(large_products_keep_the_matrix_unit_busy) };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
