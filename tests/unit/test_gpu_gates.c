/* What is known of gfx942's code objects without running them: no kernel spills or has scratch memory (their metadata), and how much of the loop of a matrix
 * product the matrix units are at work (llvm-mca-19, a model of one wave, without memory's latency). */
#include "../test.h"
#include "gpu/images.h"

static void needs_images(void)
{
    if (!gpu_image_of("gemm", "gfx942")) {
        print_message("SKIPPED: no device code: clang-19 or lld-19 was not here when this was built\n");
        skip();
    }
}

/* How often the metadata (MessagePack in a note) has the key, and how often with another number than 0; -1 where a number is none. */
static int others_than_zero(const char *image, size_t n, const char *key, int *n_key)
{
    int others = 0;
    const size_t length = strlen(key);
    *n_key = 0;
    for (size_t i = 0; i + length + 1 < n; i++)
        if (!memcmp(image + i, key, length)) {
            ++*n_key;
            others += image[i + length] != 0;                            /* a positive fixint: the number itself */
        }
    return others;
}
static void no_kernel_spills_or_has_scratch_memory(void **state)
{
    (void)state;
    needs_images();
    int n_kernel = 0;
    for (int i = 0; gpu_image(i); i++) {
        const struct gpu_image *m = gpu_image(i);
        static const char *const keys[] = { ".private_segment_fixed_size", ".vgpr_spill_count" };
        int n[2];
        for (int k = 0; k < 2 && !strcmp(m->target, "gfx942"); k++) {
            const int bad = others_than_zero(m->data, (size_t)(m->end - m->data), keys[k], &n[k]);
            if (bad || n[k] == 0)
                fail_msg("%s: %d of %d kernels have %s", m->file, bad, n[k], keys[k]);
            n_kernel += k == 0 ? n[k] : 0;
        }
    }
    print_message("%d kernels without spills and scratch memory\n", n_kernel);
    assert_true(n_kernel >= 34);
}

/* ---- the loop of a product ---- */

struct line { unsigned long long at; char text[120]; };
static struct line lines[20000];
static int disassembled(const char *object, const char *kernel)
{
    char command[600], text[300];
    int n = 0;
    snprintf(command, sizeof command, "llvm-objdump-19 -d --no-show-raw-insn --disassemble-symbols=%s %s 2> /dev/null", kernel, object);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    while (fgets(text, sizeof text, f) && n < (int)(sizeof lines / sizeof *lines)) {
        const char *comment = strstr(text, "// ");
        if (*text != '\t' || !comment || sscanf(comment, "// %llx", &lines[n].at) != 1)
            continue;
        snprintf(lines[n++].text, sizeof lines->text, "%.*s", (int)(comment - text) < 119 ? (int)(comment - text) : 119, text);
    }
    pclose(f);
    return n;
}
/* From where a branch back goes to it, the loop with most matrix instructions; how many those are. */
static int hot_loop(int n, int *first, int *last)
{
    int most = 0;
    for (int i = 0; i < n; i++) {
        int offset;
        const char *p = strstr(lines[i].text, "branch");
        if (!p || sscanf(p + strcspn(p, " "), "%d", &offset) != 1 || (int16_t)offset >= 0)
            continue;
        const unsigned long long to = lines[i].at + 4 + (unsigned long long)(4 * (long long)(int16_t)offset);
        int at = 0, count = 0;
        while (at < i && lines[at].at != to)
            at++;
        for (int k = at; k < i; k++)
            count += strstr(lines[k].text, "v_mfma") != NULL;
        if (count > most)
            most = count, *first = at, *last = i;
    }
    return most;
}
/* Cycles of an iteration, and those of them in which the matrix units are at work. */
static bool modelled(int first, int last, double *cycles, double *matrix)
{
    char command[3000], text[400];
    double total = 0, iterations = 0;
    int column = -1;
    FILE *f = fopen(in_dir("loop.s"), "w");
    assert_non_null(f);
    for (int i = first; i < last; i++)
        fprintf(f, "%s\n", lines[i].text);
    assert_int_equal(fclose(f), 0);
    snprintf(command, sizeof command, "llvm-mca-19 -mtriple=amdgcn-amd-amdhsa -mcpu=gfx942 -iterations=20 %s 2> /dev/null", in_dir("loop.s"));
    f = popen(command, "r");
    assert_non_null(f);
    *matrix = 0;
    for (bool next = false; fgets(text, sizeof text, f);) {
        sscanf(text, "Iterations: %lf", &iterations);
        sscanf(text, "Total Cycles: %lf", &total);
        const char *unit = strstr(text, "- HWXDL");
        if (unit)
            sscanf(text, "[%d]", &column);
        if (next && column >= 0) {                                          /* the row of numbers under "[0] [1] ..." */
            char *p = text, *one;
            for (int i = 0; (one = strtok(i ? NULL : p, " \n")); i++)
                if (i == column)
                    *matrix = strtod(one, NULL);
            column = -1;
        }
        next = !strncmp(text, "[0]", 3) && strstr(text, "[1]") && !strstr(text, "Instructions");
    }
    *cycles = iterations > 0 ? total / iterations : 0;
    return pclose(f) == 0 && *cycles > 0;
}
static double share_of(const char *file, const char *kernel)
{
    const struct gpu_image *m = gpu_image_of(file, "gfx942");
    int first = 0, last = 0;
    double cycles, matrix;
    if (!m)
        return -1;
    FILE *f = fopen(in_dir("k.co"), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(m->data, 1, (size_t)(m->end - m->data), f), m->end - m->data);
    assert_int_equal(fclose(f), 0);
    const int n = disassembled(in_dir("k.co"), kernel), n_mfma = hot_loop(n, &first, &last);
    if (!n_mfma || !modelled(first, last, &cycles, &matrix))
        return -1;
    print_message("%-18s a loop of %d instructions, %d of matrices: %.0f cycles, %.0f of them in the matrix units: %.0f %%\n", kernel, last - first, n_mfma, cycles, matrix, 100 * matrix / cycles);
    return matrix / cycles;
}
static void products_keep_the_matrix_units_at_work(void **state)
{
    (void)state;
    needs_images();
    if (system("llvm-mca-19 --version > /dev/null 2>&1 && llvm-objdump-19 --version > /dev/null 2>&1")) {
        print_message("SKIPPED: llvm-mca-19 and llvm-objdump-19, of llvm-19, are not here\n");
        skip();
    }
    assert_true(share_of("gemm", "gemm_bf16") > 0.5);                     /* the fallback: its figure is printed, and may not fall far */
    assert_true(share_of("gemm_cdna3", "gemm_cdna3") >= 0.85);
    assert_true(share_of("gemm_cdna3", "gemm_cdna3_128") > 0.7);            /* small tiles, several waves at a time on a unit */
    assert_true(share_of("gemm_cdna3", "gemm_cdna3_fp8") >= 0.85);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(no_kernel_spills_or_has_scratch_memory), cmocka_unit_test(products_keep_the_matrix_units_at_work) };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
