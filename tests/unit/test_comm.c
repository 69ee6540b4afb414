/* test_comm.c - ranks that talk: the program starts itself by mpirun.  Sums are the tree to the bit, pieces arrive, bytes are counted
 * as the theory says, and the end of one rank ends all, by name. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "../test.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "train/comm.h"
#include "train/slices.h"

static struct err err;
static const char *program;

/* ---- what a rank does ---- */

#define CHECK(x) do { if (!(x)) { fprintf(stderr, "rank %d: %s:%d: %s (%s)\n", comm_rank(c), __FILE__, __LINE__, #x, err.msg); return 1; } } while (0)
#define N 700001       /* floats: chunks that do not come out even */

static float value(int rank, size_t i) { return (float)(rng_normal((uint64_t)rank + 3, (uint64_t)i) * (i % 5 ? 1 : 1e4)); }

static int sums(struct comm *c)
{
    const int size = comm_size(c), rank = comm_rank(c);
    size_t bound[65] = { 0 };
    for (int i = 1; i < size; i++)
        bound[i] = (size_t)i * N / (size_t)size / 3 * 4 * 3 + (i % 2 ? 0 : 64);
    bound[size] = (size_t)N * 4;
    if (size > 2)
        bound[2] = bound[1];                     /* an empty piece */
    float *x = mem_map((size_t)N * 4), *all = mem_map((size_t)N * 4 * (size_t)size);
    CHECK(x && all);
    for (size_t i = 0; i < N; i++)
        x[i] = value(rank, i);
    for (int r = 0; r < size; r++)
        for (size_t i = 0; i < N; i++)
            all[(size_t)r * N + i] = value(r, i);
    struct comm_volume before, after;
    comm_volume(c, &before);
    CHECK(!comm_reduce_scatter(c, x, bound, &err));
    comm_volume(c, &after);
    const uint64_t mine = bound[rank + 1] - bound[rank];
    CHECK(size == 1 || after.reduce_scatter - before.reduce_scatter >= (uint64_t)N * 4 * (uint64_t)(size - 1) / (uint64_t)size / 2);
    for (int w = 1; w < size; w *= 2)            /* the same tree, here */
        for (int i = 0; i + w < size; i += 2 * w)
            for (size_t k = 0; k < N; k++)
                all[(size_t)i * N + k] += all[(size_t)(i + w) * N + k];
    CHECK(!memcmp(x + bound[rank] / 4, all + bound[rank] / 4, mine));
    CHECK(!comm_all_gather(c, x, bound, &err));
    CHECK(!memcmp(x, all, (size_t)N * 4));
    comm_volume(c, &before);
    CHECK(size == 1 || before.all_gather - after.all_gather >= mine);
    mem_unmap(x, (size_t)N * 4);
    mem_unmap(all, (size_t)N * 4 * (size_t)size);
    return 0;
}

/* In parts that do not respect the pieces, given out of order and slowly by some: the sums of all at once. */
static int parts(struct comm *c)
{
    const int size = comm_size(c), rank = comm_rank(c);
    static const size_t cut[] = { 0, 4, 400000, 400064, 1700000, (size_t)N * 4 };
    static const int order[] = { 3, 0, 4, 2, 1 };
    size_t bound[65];
    if (size == 1)
        return 0;
    CHECK(comm_overlaps(c));
    for (int i = 0; i <= size; i++)
        bound[i] = (size_t)N * (size_t)i / (size_t)size * 4;
    bound[size] = (size_t)N * 4;
    float *x = mem_map((size_t)N * 4), *want = mem_map((size_t)N * 4);
    CHECK(x && want);
    for (int time = 0; time < 2; time++) {
        for (size_t i = 0; i < N; i++)
            x[i] = want[i] = value(rank + time, i);
        struct comm_volume before, whole, after;
        comm_volume(c, &before);
        CHECK(!comm_reduce_scatter(c, want, bound, &err));
        comm_volume(c, &whole);
        comm_reduce_begin(c, x, bound);
        for (int i = 0; i < 5; i++) {
            if (rank % 2 == i % 2)
                nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
            comm_reduce_part(c, cut[order[i]], cut[order[i] + 1]);
        }
        CHECK(!comm_reduce_end(c, &err));
        comm_volume(c, &after);
        CHECK(after.reduce_scatter - whole.reduce_scatter == whole.reduce_scatter - before.reduce_scatter);
        CHECK(!memcmp(x + bound[rank] / 4, want + bound[rank] / 4, bound[rank + 1] - bound[rank]));
        comm_reduce_begin(c, x, bound);          /* nothing at all */
        CHECK(!comm_reduce_end(c, &err));
    }
    mem_unmap(x, (size_t)N * 4);
    mem_unmap(want, (size_t)N * 4);
    return 0;
}

/* Equal pieces: each rank sends (size - 1) / size of the whole, for a sum and for a gathering. */
static int volume(struct comm *c)
{
    const int size = comm_size(c);
    size_t bound[65];
    static float x[64 * 1000];
    for (int i = 0; i <= size; i++)
        bound[i] = (size_t)i * 4000;
    struct comm_volume a, b;
    comm_volume(c, &a);
    CHECK(!comm_reduce_scatter(c, x, bound, &err) && !comm_all_gather(c, x, bound, &err));
    comm_volume(c, &b);
    CHECK(b.reduce_scatter - a.reduce_scatter == (uint64_t)(size - 1) * 4000 && b.all_gather - a.all_gather == (uint64_t)(size - 1) * 4000);
    return 0;
}

/* Of rank `from` to rank `to`: none to every second. */
static size_t n_numbers(int from, int to) { return (from + to) % 2 ? 0 : (size_t)(from * 1000 + to + 1); }

static int all_to_all(struct comm *c)
{
    const int size = comm_size(c), rank = comm_rank(c);
    size_t send_at[65] = { 0 }, recv_at[65] = { 0 };
    for (int i = 0; i < size; i++) {
        send_at[i + 1] = send_at[i] + n_numbers(rank, i) * sizeof(int);
        recv_at[i + 1] = recv_at[i] + n_numbers(i, rank) * sizeof(int);
    }
    int *send = mem_alloc_array(send_at[size], 1), *recv = mem_alloc_array(recv_at[size], 1);
    CHECK(send && recv);
    for (size_t i = 0; i < send_at[size] / sizeof(int); i++)
        send[i] = rank * 1000000 + (int)i;
    struct comm_volume a, b;
    comm_volume(c, &a);
    CHECK(!comm_all_to_all(c, send, send_at, recv, recv_at, &err));
    comm_volume(c, &b);
    CHECK(b.all_to_all - a.all_to_all == send_at[size] - n_numbers(rank, rank) * sizeof(int));
    for (int i = 0; i < size; i++) {
        size_t first = 0;                        /* of those for this rank, at rank i */
        for (int k = 0; k < rank; k++)
            first += n_numbers(i, k);
        for (size_t k = 0; k < n_numbers(i, rank); k++)
            CHECK(recv[recv_at[i] / sizeof(int) + k] == i * 1000000 + (int)(first + k));
    }
    mem_free(send);
    mem_free(recv);
    return 0;
}

static int small(struct comm *c)
{
    const int size = comm_size(c), rank = comm_rank(c);
    int64_t numbers[64] = { 0 };
    numbers[rank] = rank * 7 + 1;
    CHECK(!comm_all_gather_equal(c, numbers, sizeof *numbers, &err));
    for (int i = 0; i < size; i++)
        CHECK(numbers[i] == i * 7 + 1);
    char text[100] = "";
    if (rank == 0)
        snprintf(text, sizeof text, "from the first");
    CHECK(!comm_broadcast(c, text, sizeof text, &err) && !strcmp(text, "from the first"));
    CHECK(!comm_barrier(c, &err));
    if (size > 1) {
        int got = -1;
        CHECK(!comm_exchange(c, rank ^ 1, &rank, sizeof rank, &got, sizeof got, &err) && got == (rank ^ 1));
    }
    return 0;
}

/* Pairs of neighbours, and of ranks half of all apart: sums among them alone, the same bits on both. */
static int groups(struct comm *c)
{
    static float x[1003];
    const int size = comm_size(c), rank = comm_rank(c);
    for (int stride = 1; stride < size; stride = stride < size / 2 ? size / 2 : size) {
        const int first = stride == 1 ? rank & ~1 : rank % stride;
        struct comm *g;
        struct comm_volume a, b;
        CHECK(!comm_group_new(&g, c, first, stride, 2, &err));
        CHECK(comm_size(g) == 2 && comm_rank(g) == (rank != first) && comm_name(g, 1) == comm_name(c, first + stride));
        for (size_t n = 1; n <= 1003; n += 501) {
            for (size_t i = 0; i < n; i++)
                x[i] = value(rank, i);
            comm_volume(c, &a);
            CHECK(!comm_all_reduce(g, x, n, &err));
            comm_volume(c, &b);
            for (size_t i = 0; i < n; i++)
                CHECK(x[i] == value(first, i) + value(first + stride, i));
            CHECK(b.all_reduce - a.all_reduce == n * sizeof *x);      /* 2 (R-1)/R of them */
        }
        comm_group_free(g);
    }
    for (size_t i = 0; i < 1003; i++)
        x[i] = value(rank, i);
    CHECK(!comm_all_reduce(c, x, 1003, &err));
    double sum = 0;
    for (int r = 0; r < size; r++)
        sum += (double)value(r, 1002);
    CHECK((double)x[1002] - sum < 1e-3 && (double)x[1002] - sum > -1e-3);
    return 0;
}

/* Argument: good, kill, stop, late, fail or short: what the last rank does. */
static int be_a_rank(const char *how)
{
    struct comm *c = NULL;
    signal(SIGTERM, SIG_IGN);                    /* mpirun's, to those that are left: as in lathe, it must not end them before they have spoken */
    if (comm_open(&c, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    int rc = small(c) || all_to_all(c) || sums(c) || parts(c) || volume(c) || groups(c);
    const bool last = comm_rank(c) == comm_size(c) - 1;
    if (!rc && last && !strcmp(how, "kill"))
        raise(SIGKILL);
    if (!rc && last && !strcmp(how, "stop"))
        raise(SIGSTOP);
    if (!rc && last && !strcmp(how, "fail"))
        rc = ERR(&err, IO, "the disk of this machine is full");
    if (!rc && !strcmp(how, "short")) {
        const char send[8] = { 0 };
        char recv[8];
        rc = comm_exchange(c, comm_rank(c) ^ 1, send, last ? 4 : 8, recv, 8, &err);
    }
    if (!rc && !last && !strcmp(how, "late"))     /* deep in a long computation */
        sleep(30);
    if (!rc && last && !strcmp(how, "late"))
        raise(SIGKILL);
    if (!rc)
        rc = comm_barrier(c, &err);
    comm_close(c, rc, &err);
    if (rc < 0 && *err.msg)
        fprintf(stderr, "says: %s\n", err.msg);
    return rc != 0;
}

/* ---- the test ---- */

static bool have_mpirun(void)
{
#if UNDER_THREAD
    fprintf(stderr, "Open MPI's library is not made for the thread sanitizer: skipped\n");
    return false;
#endif
    setenv("ASAN_OPTIONS", "detect_leaks=0", 1);  /* the library's own, at its end */
    if (!system("command -v mpirun > /dev/null 2>&1"))
        return true;
    fprintf(stderr, "mpirun is not installed (openmpi-bin): skipped\n");
    return false;
}

/* Output and status of n ranks, and how long they took. */
static int start(int n, const char *how, char *text, size_t size, double *seconds)
{
    char command[600];
    snprintf(command, sizeof command, "mpirun -n %d --oversubscribe --allow-run-as-root %s %s 2>&1", n, program, how);
    const double begin = clock_wall();
    FILE *f = popen(command, "r");
    assert_non_null(f);
    const size_t got = fread(text, 1, size - 1, f);
    text[got] = 0;
    const int status = pclose(f);
    *seconds = clock_wall() - begin;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static char text[60000];

static void ranks_sum_by_the_tree_and_count_what_they_send(void **state)
{
    (void)state;
    if (!have_mpirun())
        skip();
    for (int n = 2; n <= 8; n *= 2) {
        double seconds;
        if (start(n, "good", text, sizeof text, &seconds))
            fail_msg("%d ranks: %s", n, text);
    }
}

static void a_number_of_ranks_that_is_no_power_of_two_is_refused(void **state)
{
    (void)state;
    if (!have_mpirun())
        skip();
    double seconds;
    assert_true(start(3, "good", text, sizeof text, &seconds) != 0);
    assert_non_null(strstr(text, "there are 3 processes, expected a power of two"));
}

/* Lines that say that the rank named ended without a word. */
static int count_losses(const char *said, const char *rank)
{
    int n = 0;
    for (const char *p = said; (p = strstr(p, rank)); p++) {
        const char *loss = strstr(p, "ended without a word");
        n += loss && loss < p + strcspn(p, "\n");
    }
    return n;
}

static void the_end_of_a_rank_ends_all_by_its_name(void **state)
{
    (void)state;
    if (!have_mpirun())
        skip();
    static const struct { const char *how, *says; } cases[] = {
        { "kill", "rank 3 of 4 (" }, { "fail", "the disk of this machine is full" },
        { "short", "rank 2 of 4 (" } };
    for (int i = 0; i < 3; i++) {
        double seconds;
        assert_true(start(4, cases[i].how, text, sizeof text, &seconds) != 0);
        if (!strstr(text, cases[i].says))
            fail_msg("%s: %s", cases[i].how, text);
        assert_true(strcmp(cases[i].how, "short") || strstr(text, "a message of 4 bytes came, expected 8"));
        fprintf(stderr, "%s: all had ended after %.1f s\n", cases[i].how, seconds);
    }
    int n = 0;                                   /* said once, by rank 0: unless mpirun, which kills all after a second, was before it */
    for (int i = 0; i < 4 && n != 1; i++) {
        double seconds;
        assert_true(start(4, "late", text, sizeof text, &seconds) != 0);
        n = count_losses(text, "lathe: rank 3 of 4 (");      /* of rank 0 each of the others speaks, where mpirun killed that first */
        if (n > 1)
            fail_msg("said %d times: %s", n, text);
    }
    assert_int_equal(n, 1);
}

static void a_program_that_was_started_alone_needs_no_mpi(void **state)
{
    (void)state;
    unsetenv("OMPI_COMM_WORLD_SIZE");
    struct comm *c = NULL;
    OK(comm_open(&c, &err));
    assert_int_equal(small(c) || all_to_all(c) || sums(c) || volume(c), 0);
    assert_int_equal(comm_size(c), 1);
    assert_int_equal(comm_bytes(c), 0);
    comm_close(c, 0, &err);
    FILE *f = fopen("/proc/self/maps", "r");
    assert_non_null(f);
    char line[500];
    while (fgets(line, sizeof line, f))
        assert_null(strstr(line, "libmpi"));
    fclose(f);
}

int main(int argc, char **argv)
{
    program = argv[0];
    if (argc > 1)
        return be_a_rank(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_that_was_started_alone_needs_no_mpi),
        cmocka_unit_test(ranks_sum_by_the_tree_and_count_what_they_send),
        cmocka_unit_test(a_number_of_ranks_that_is_no_power_of_two_is_refused),
        cmocka_unit_test(the_end_of_a_rank_ends_all_by_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
