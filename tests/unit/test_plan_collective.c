/* Exchanges between devices: edges first, then by hand on a round device, then what others measured. */
#include "../near.h"
#include "base/buf.h"
#include "data/csv.h"
#include "plan/collective.h"

static struct err err;

/* Reaches all of its links, a step takes a microsecond, and signals cost nothing more for many. */
static const struct device round_device = {
    .name = "round", .link = 700e9, .link_pair = 100e9, .node = 8, .network = 10e9, .link_share = 1, .link_latency = 1e-6, .link_peers = 1e30,
};

#define NEAR(got, want) near_to((got), (want), 1e-12, #got)

static void nobody_to_talk_to_and_nothing_to_say_take_no_time(void **state)
{
    (void)state;
    for (int what = 0; what < N_COLLECTIVE; what++) {
        NEAR(collective_seconds(&round_device, what, 0, 8), 0);
        if (what != SEND)
            NEAR(collective_seconds(&round_device, what, 1e9, 1), 0);
    }
}

static void without_links_or_network_it_takes_for_ever(void **state)
{
    (void)state;
    const struct device *pi = device_find("rpi-5", &err);
    for (int what = 0; what < N_COLLECTIVE; what++)
        assert_true(isinf(collective_seconds(pi, what, 1e6, 2)));
}

static void a_pair_has_one_link_and_eight_have_seven(void **state)
{
    (void)state;
    const double S = 7e9, fill = 10e-6;
    NEAR(collective_seconds(&round_device, ALL_REDUCE, S, 2), fill + S / 100e9);
    NEAR(collective_seconds(&round_device, ALL_REDUCE, S, 4), fill + 1.5 * S / 300e9);
    NEAR(collective_seconds(&round_device, ALL_REDUCE, S, 8), fill + 1.75 * S / 700e9);
    NEAR(collective_seconds(&round_device, ALL_GATHER, S, 8), fill + 0.875 * S / 700e9);
    NEAR(collective_seconds(&round_device, REDUCE_SCATTER, S, 8), fill + 0.875 * S / 700e9);
    NEAR(collective_seconds(&round_device, ALL_TO_ALL, S, 8), fill + 0.875 * S / 700e9);
    NEAR(collective_seconds(&round_device, SEND, S, 8), 1e-6 + S / 100e9);
}

static void short_messages_go_in_one_shot_then_in_two(void **state)
{
    (void)state;
    NEAR(collective_seconds(&round_device, ALL_REDUCE, 1e3, 8), 1e-6 + 7 * 1e3 / (0.7 * 700e9));
    NEAR(collective_seconds(&round_device, ALL_REDUCE, 1e6, 8), 1.3e-6 + 1.75 * 1e6 / (0.7 * 700e9));
}

static void a_switch_that_adds_is_used_for_long_sums_of_many_only(void **state)
{
    (void)state;
    struct device d = round_device;
    d.link_pair = 700e9, d.reduce_share = 0.8;
    NEAR(collective_seconds(&d, ALL_REDUCE, 7e9, 8), 10e-6 + 1.125 * 7e9 / (0.8 * 700e9));
    NEAR(collective_seconds(&d, ALL_REDUCE, 7e9, 2), 10e-6 + 7e9 / 700e9);
    NEAR(collective_seconds(&d, ALL_GATHER, 7e9, 8), 10e-6 + 0.875 * 7e9 / 700e9);
}

static void between_nodes_all_cards_of_a_node_work(void **state)
{
    (void)state;
    const double S = 8e9, card = 0.92 * 10e9;
    NEAR(collective_seconds(&round_device, ALL_REDUCE, S, 16), 2 * 15. / 16 * S / 8 / card + 20e-6);
    NEAR(collective_seconds(&round_device, ALL_GATHER, S, 32), 31. / 32 * S / 8 / card + 40e-6);
    NEAR(collective_seconds(&round_device, ALL_TO_ALL, S, 16), S / 2 / card + 20e-6);
    NEAR(collective_seconds(&round_device, SEND, S, 16), 10e-6 + S / card);
    struct device fast = round_device;
    fast.network = 1e15;                                                                       /* then the node is what takes time */
    NEAR(collective_seconds(&fast, ALL_REDUCE, S, 16), 10e-6 + 1.75 * S / 700e9 + 20e-6);
}

/* A device without links whose nodes are alone: all goes through its card. */
static void single_devices_go_by_the_network(void **state)
{
    (void)state;
    struct device d = round_device;
    d.node = 0, d.link = d.link_pair = 0;
    NEAR(collective_seconds(&d, ALL_REDUCE, 8e9, 4), 2 * 0.75 * 8e9 / (0.92 * 10e9) + 40e-6);
    NEAR(collective_seconds(&d, SEND, 8e9, 2), 10e-6 + 8e9 / (0.92 * 10e9));
}

static void more_bytes_never_take_less_and_faster_links_never_more(void **state)
{
    (void)state;
    for (int i = 0; i < device_n(); i++)
        for (int what = 0; what < N_COLLECTIVE; what++)
            for (int n = 2; n <= 256; n *= 2) {
                struct device fast = *device_at(i);
                double before = 0;
                fast.link *= 2, fast.link_pair *= 2, fast.network *= 2;
                for (double bytes = 1; bytes < 1e11; bytes *= 1.7) {
                    const double t = collective_seconds(device_at(i), what, bytes, n);
                    if (!(t >= before) || !(collective_seconds(&fast, what, bytes, n) <= t))
                        fail_msg("%s, %s of %g bytes by %d: %g after %g", device_at(i)->name, collective_name(what), bytes, n, t, before);
                    before = t;
                }
            }
}

static void more_devices_never_take_less_by_a_ring_and_by_the_network(void **state)
{
    (void)state;
    const struct device *a100 = device_find("a100", &err), *h100 = device_find("h100", &err);
    for (double bytes = 1; bytes < 1e11; bytes *= 3)
        for (int n = 2; n < 1024; n *= 2) {
            assert_true(collective_seconds(a100, ALL_REDUCE, bytes, 2 * n) >= collective_seconds(a100, ALL_REDUCE, bytes, n));
            assert_true(collective_seconds(h100, ALL_GATHER, bytes, 2 * n) >= collective_seconds(h100, ALL_GATHER, bytes, n));
        }
}

/* ---- what others measured ---- */

static int by_size(const void *a, const void *b) { return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b); }

static void exchanges_of_eleven_devices_are_met(void **state)
{
    (void)state;
    static const struct { const char *key; double most; int rows; } devices[] = {
        { "a100", 0.12, 100 }, { "h100", 0.12, 100 }, { "h200", 0.12, 100 }, { "b200", 0.12, 100 }, { "b300", 0.14, 100 }, { "gb200", 0.14, 60 },
        { "gb300", 0.14, 60 },
        { "l40s", 0.14, 100 }, { "rtx-pro-6000", 0.16, 100 }, { "mi300x", 0.15, 13 }, { "mi355x", 0.25, 7 },
    };
    static double error[4000];
    struct buf text;
    buf_init(&text);
    OK(file_read("bench/measured/collectives.csv", 1 << 20, &text, &err));
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        struct csv c;
        size_t len;
        int n = 0;
        OK(csv_open(&c, text.data, text.len, "collectives.csv", &err));
        while (csv_next(&c, &err) == 1 && n < 4000) {
            int what = 0;
            if (strcmp(csv_field(&c, 0, &len), devices[i].key))
                continue;
            while (strcmp(csv_field(&c, 1, &len), collective_name(what)))
                assert_int_not_equal(++what, N_COLLECTIVE);
            const double t = collective_seconds(device_find(devices[i].key, &err), what, strtod(csv_field(&c, 3, &len), NULL), atoi(csv_field(&c, 2, &len)));
            error[n++] = fabs(t / (strtod(csv_field(&c, 4, &len), NULL) * 1e-6) - 1);
        }
        csv_release(&c);
        assert_true(n >= devices[i].rows);
        qsort(error, (size_t)n, sizeof *error, by_size);
        print_message("%-14s n %3d median error %4.1f %%\n", devices[i].key, n, 100 * error[n / 2]);
        if (!(error[n / 2] <= devices[i].most))
            fail_msg("%s: median error %.3f, at most %.3f expected", devices[i].key, error[n / 2], devices[i].most);
    }
    buf_release(&text);
}

/* bytes and bus bandwidths, which are 2 (n - 1) / n bytes a second, of the longest sums: ml-engineering's H200 and B200, four nodes of eight B200. */
static void the_longest_sums_reach_what_was_measured(void **state)
{
    (void)state;
    static const struct { const char *key; int n; double bytes, busbw; } sums[] = {
        { "h200", 4, 8589934592., 363.3e9 }, { "h200", 8, 8589934592., 473.1e9 }, { "b200", 4, 8589934592., 673.2e9 }, { "b200", 8, 8589934592., 838e9 },
        { "mi300x", 2, 4294967296., 47.67e9 }, { "mi300x", 8, 4294967296., 312.9e9 }, { "b200", 32, 17179869184., 381.8e9 },
        { "a100", 8, 17179869184., 234.9e9 },
    };
    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++) {
        const double t = collective_seconds(device_find(sums[i].key, &err), ALL_REDUCE, sums[i].bytes, sums[i].n);
        const double got = 2 * (sums[i].n - 1.) / sums[i].n * sums[i].bytes / t;
        if (fabs(got / sums[i].busbw - 1) > 0.2)
            fail_msg("%d %s: %.1f GB/s, measured %.1f", sums[i].n, sums[i].key, got / 1e9, sums[i].busbw / 1e9);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_to_talk_to_and_nothing_to_say_take_no_time),
        cmocka_unit_test(without_links_or_network_it_takes_for_ever),
        cmocka_unit_test(a_pair_has_one_link_and_eight_have_seven),
        cmocka_unit_test(short_messages_go_in_one_shot_then_in_two),
        cmocka_unit_test(a_switch_that_adds_is_used_for_long_sums_of_many_only),
        cmocka_unit_test(between_nodes_all_cards_of_a_node_work),
        cmocka_unit_test(single_devices_go_by_the_network),
        cmocka_unit_test(more_bytes_never_take_less_and_faster_links_never_more),
        cmocka_unit_test(more_devices_never_take_less_by_a_ring_and_by_the_network),
        cmocka_unit_test(exchanges_of_eleven_devices_are_met),
        cmocka_unit_test(the_longest_sums_reach_what_was_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
