/* What the gfx942 emulator computes, beside sources that are not ours: AMD's pseudocode of instructions, ml_dtypes and numpy (tests/golden/isa_gfx942.txt by
 * tools/golden/isa.py), and AMD's matrix instruction calculator for every dense MFMA (tests/golden/mfma_layouts.txt by tools/golden/mfma_layouts.py). */
#include "../test.h"
#ifdef HAVE_LLVM_19
#include "../emu/emu942.c"

static struct amd_wave w;
static struct amd_counts counts;
static struct amd_code decoded(const char *text)
{
    const uint32_t word[2] = { 0, 0 };
    struct amd_code c;
    memset(&c, 0, sizeof c);
    assert_int_equal(amd_decode(&c, text, word), 0);
    return c;
}
static void begin(void)
{
    amd.counts = &counts, amd.name = "one instruction";
    memset(&w, 0, sizeof w);
    memset(w.known, 0xff, sizeof w.known);
    memset(w.known_s, 1, sizeof w.known_s);
    w.s[AMD_EXEC] = w.s[AMD_EXEC + 1] = ~0u;
}

/* ---- instructions ---- */

static void put(char file, int reg, uint64_t v)
{
    for (int h = 0; h < 2; h++)
        for (int l = 0; l < 64; l++)
            *(file == 'v' ? &w.v[reg + h][l] : &w.s[reg + h]) = (uint32_t)(v >> 32 * h);
}
/* The instruction on registers 0, 2, 4 to 20, in the widths given. */
static void text_of(char *text, size_t size, const char *name, char file, const int *width, int n, int to)
{
    int at = snprintf(text, size, to == 64 ? "%s %c[20:21]" : "%s %c20", name, file);
    for (int i = 0; i < n; i++)
        at += width[i] == 64 ? snprintf(text + at, size - (size_t)at, ", %c[%d:%d]", file, 2 * i, 2 * i + 1) : snprintf(text + at, size - (size_t)at, ", %c%d", file, 2 * i);
}
/* The hardware's own error of these is 1 ulp. */
static bool close_to(const char *name, uint64_t got, uint64_t want, int to)
{
    static const char *const approximate[] = { "v_exp_", "v_log_", "v_rcp_", "v_rsq_", "v_sqrt_" };
    const bool nan = to == 32 ? isnan(amd_float((uint32_t)got)) && isnan(amd_float((uint32_t)want)) : isnan(amd_double(got)) && isnan(amd_double(want));
    if (got == want || (strstr(name, "_f") && nan))
        return true;
    for (size_t i = 0; i < sizeof approximate / sizeof *approximate; i++)
        if (!strncmp(name, approximate[i], strlen(approximate[i])))
            return got - want + 1 <= 2;
    return false;
}
/* 1: right, 0: wrong, -1: the emulator does not know it. */
static int check(const char *line)
{
    char name[48], widths[32], sources[80], text[128];
    int to, scc, scc_after, width[3], n = 0;
    unsigned long long old, want, v[3];
    if (sscanf(line, "%47[^|]|%31[^|]|%d|%79[^|]|%llx|%d|%llx|%d", name, widths, &to, sources, &old, &scc, &want, &scc_after) != 8)
        fail_msg("golden: %s", line);
    struct amd_code known = { 0 };
    if (!amd_classify(&known, name))
        return -1;
    const char file = *name;
    begin();
    for (char *p = widths, *q = sources; n < 3 && *p; n++) {
        width[n] = (int)strtol(p, &p, 10), v[n] = strtoull(q, &q, 16);
        put(file, 2 * n, v[n]);
    }
    put(file, 20, old);
    w.scc = scc != 0;
    text_of(text, sizeof text, name, file, width, n, to);
    const struct amd_code c = decoded(text);
    assert_int_equal(amd_execute(&c, &w, 0), 0);
    const uint64_t got = file == 'v' ? w.v[20][17] | (to == 64 ? (uint64_t)w.v[21][17] << 32 : 0) : w.s[20] | (to == 64 ? (uint64_t)w.s[21] << 32 : 0);
    if (close_to(name, got, want, to) && (file == 'v' || w.scc == (scc_after != 0)))
        return 1;
    print_message("%s: %s: %llx, scc %d; expected %llx, %d\n", text, sources, (unsigned long long)got, w.scc, want, scc_after);
    return 0;
}
static void instructions_give_what_amds_pseudocode_gives(void **state)
{
    (void)state;
    char line[256], last[48] = "";
    int n_line = 0, n_wrong = 0, n_name = 0, n_unknown = 0;
    FILE *f = fopen("tests/golden/isa_gfx942.txt", "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        const int r = check(line);
        line[strcspn(line, "|")] = 0;
        n_name += r >= 0 && strcmp(line, last) != 0;
        n_unknown += r < 0 && strcmp(line, last) != 0;
        snprintf(last, sizeof last, "%.47s", line);
        n_line += r >= 0, n_wrong += r == 0;
    }
    fclose(f);
    print_message("%d results of %d runs of instructions; %d runs the emulator does not know\n", n_line, n_name, n_unknown);
    assert_int_equal(n_wrong, 0);
    assert_true(n_line > 2500);
}

/* ---- matrices ---- */

/* A number of -3 .. 3 as an element of the type. */
static uint64_t element(char type, int v)
{
    const float f = (float)v;
    switch (type) {
    case 'h': return amd_u32(f) >> 16;
    case 'f': return float_to_half(f);
    case 'i': return (uint64_t)v & 255;
    case 'd': return amd_u64(v);
    case '8': case 'b':
        for (uint32_t c = 0; c < 256; c++)
            if (amd_fp8(c, type == '8' ? 3 : 2) == f)
                return c;
        fail();
        return 0;
    default: return amd_u32(f);
    }
}
static int number(int matrix, int block, int row, int col) { return (7 * matrix + 3 * block + 5 * row + 11 * col + row * col % 4) % 7 - 3; }

struct place { int block, row, col; };
/* The places of a lane, in the order of registers and of their parts; how many. */
static int places(const char **p, struct place *out)
{
    int n = 0, used;
    while (sscanf(*p, "%d.%d.%d%n", &out[n].block, &out[n].row, &out[n].col, &used) == 3) {
        n++;
        *p += used;
        if (*(*p)++ != ' ')
            break;
    }
    return n;
}
/* Registers of A (from v0) or B (from v32), as the calculator says; how many. */
static int fill(int matrix, char type, int bits, const char *layout)
{
    struct place at[64];
    int n = 0;
    for (int l = 0; l < 64; l++) {
        n = places(&layout, at);
        assert_true(n > 0);
        for (int i = 0; i < n; i++) {
            const uint64_t e = element(type, number(matrix, at[i].block, at[i].row, at[i].col));
            const int bit = i * bits;
            w.v[32 * matrix + bit / 32][l] |= (uint32_t)(e << bit % 32);
            if (bits == 64)
                w.v[32 * matrix + bit / 32 + 1][l] = (uint32_t)(e >> 32);
        }
    }
    return n * bits / 32;
}
static int wrong_places(const struct amd_mfma *m, const char *layout)
{
    struct place at[64];
    int wrong = 0;
    for (int l = 0; l < 64; l++) {
        const int n = places(&layout, at);
        assert_true(n > 0);
        for (int i = 0; i < n; i++) {
            double want = 0;
            for (int k = 0; k < m->K; k++)
                want += number(0, at[i].block, at[i].row, k) * number(1, at[i].block, k, at[i].col);
            const double got = m->out == 'd' ? amd_double(w.v[64 + 2 * i][l] | (uint64_t)w.v[65 + 2 * i][l] << 32) : m->out == 'i' ? (int32_t)w.v[64 + i][l] : amd_float(w.v[64 + i][l]);
            wrong += got != want;
        }
    }
    return wrong;
}
static void products_lie_where_amds_calculator_says(void **state)
{
    (void)state;
    static char line[3][32768];
    int n = 0;
    FILE *f = fopen("tests/golden/mfma_layouts.txt", "r");
    assert_non_null(f);
    for (; fgets(line[0], sizeof line[0], f); n++) {
        char name[64], text[128];
        assert_true(fgets(line[1], sizeof line[1], f) && fgets(line[2], sizeof line[2], f));
        snprintf(name, sizeof name, "%.*s", (int)strcspn(line[0], "|"), line[0]);
        const char *a = strstr(line[0], "|A|"), *b = strstr(line[1], "|B|"), *d = strstr(line[2], "|D|");
        struct amd_mfma m;
        struct place first[64];
        assert_true(a && b && d && amd_mfma_named(&m, name));
        begin();
        const int n_a = fill(0, m.a, m.bits, a + 3), n_b = fill(1, m.b, m.bits, b + 3);
        const char *p = d + 3;
        const int n_d = places(&p, first) * (m.out == 'd' ? 2 : 1);
        snprintf(text, sizeof text, n_a > 1 ? "%s v[64:%d], v[0:%d], v[32:%d], 0" : n_d > 1 ? "%s v[64:%d], v%d, v32, 0" : "%s v64, v0, v32, 0", name, 63 + n_d, n_a - 1, 31 + n_b);
        const struct amd_code c = decoded(text);
        assert_int_equal(amd_execute(&c, &w, 0), 0);
        if (wrong_places(&c.mfma, d + 3))
            fail_msg("%s: %d places are wrong", text, wrong_places(&c.mfma, d + 3));
    }
    fclose(f);
    assert_int_equal(n, 32);
}

/* ---- lanes ---- */

static void lanes_are_exchanged_as_the_guide_says(void **state)
{
    (void)state;
    static const struct { const char *how; int from[6]; } rows[] = {            /* lanes 0, 1, 15, 16, 33, 63; -1: none */
        { "quad_perm:[3,2,1,0]", { 3, 2, 12, 19, 34, 60 } }, { "row_shr:1", { -1, 0, 14, -1, 32, 62 } }, { "row_shl:1", { 1, 2, -1, 17, 34, -1 } }, { "row_ror:4", { 12, 13, 11, 28, 45, 59 } },
        { "row_mirror", { 15, 14, 0, 31, 46, 48 } }, { "row_half_mirror", { 7, 6, 8, 23, 38, 56 } }, { "row_bcast:15", { -1, -1, -1, 15, 31, 47 } },
        { "row_bcast:31", { -1, -1, -1, -1, 31, 31 } }, { "wave_shr:1", { -1, 0, 14, 15, 32, 62 } }, { "row_newbcast:3", { 3, 3, 3, 19, 35, 51 } },
    };
    static const int lanes[] = { 0, 1, 15, 16, 33, 63 };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        char text[128];
        begin();
        for (int l = 0; l < 64; l++)
            w.v[1][l] = (uint32_t)(100 + l), w.v[0][l] = 7;
        snprintf(text, sizeof text, "v_mov_b32_dpp v0, v1 %s row_mask:0xf bank_mask:0xf", rows[r].how);
        const struct amd_code c = decoded(text);
        assert_int_equal(amd_execute(&c, &w, 0), 0);
        for (int i = 0; i < 6; i++)
            if (w.v[0][lanes[i]] != (uint32_t)(rows[r].from[i] < 0 ? 7 : 100 + rows[r].from[i]))
                fail_msg("%s: lane %d has %u", rows[r].how, lanes[i], w.v[0][lanes[i]]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instructions_give_what_amds_pseudocode_gives), cmocka_unit_test(products_lie_where_amds_calculator_says), cmocka_unit_test(lanes_are_exchanged_as_the_guide_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#else
static void instructions_give_what_amds_pseudocode_gives(void **state)
{
    (void)state;
    print_message("skipped: llvm-19-dev was not there when this was built\n");
    skip();
}
int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(instructions_give_what_amds_pseudocode_gives) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
