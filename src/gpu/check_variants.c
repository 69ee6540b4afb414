/* check_variants.c - decode attention beyond the first part's, beside cpu/ref: windows, soft cap, sinks, other sizes of heads, many query heads a key head, pages of int8. */
#include "gpu/check_job.h"

void check_variants(struct job *j, bool large)
{
    static const int two[] = { 200, 31 }, far[] = { 700, 256, 0, 257, 90 }, ctx[] = { 4096, 1000 }, sizes[] = { 80, 96, 112, 256 }, groups[] = { 1, 2, 3, 8, 20 };
    if (large) {
        check_decode_case(j, &(struct decode_case){ .d = 256, .n_kv_head = 2, .n_group = 8, .n_seq = 2, .len = ctx, .window = 1024, .cap = 50 });
        check_decode_case(j, &(struct decode_case){ .d = 128, .n_kv_head = 8, .n_group = 4, .n_seq = 2, .len = ctx, .int8 = true });
        return;
    }
    for (int i = 0; i < 4; i++)
        check_decode_case(j, &(struct decode_case){ .d = sizes[i], .n_kv_head = 2, .n_group = 1 << i, .n_seq = 2, .len = two, .sinks = i == 1 });
    for (int i = 0; i < 5; i++)
        check_decode_case(j, &(struct decode_case){ .d = i % 2 ? 128 : 64, .n_kv_head = 1, .n_group = groups[i], .n_seq = i ? 2 : 5, .len = i ? two : far, .window = i == 1 ? 1 : 100,
                                                    .cap = i % 2 ? 0 : 2, .sinks = i > 1 });
    check_decode_case(j, &(struct decode_case){ .d = 256, .n_kv_head = 1, .n_group = 1, .n_seq = 5, .len = far, .window = 300, .cap = 5, .sinks = true });
    check_decode_case(j, &(struct decode_case){ .d = 64, .n_kv_head = 1, .n_group = 2, .n_seq = 1, .len = two, .edges = true });
    for (int i = 0; i < 5; i++)
        check_decode_case(j, &(struct decode_case){ .d = i == 0 ? 64 : i < 4 ? sizes[i] : 256, .n_kv_head = 2, .n_group = groups[i], .n_seq = i ? 2 : 5, .len = i ? two : far, .window = i * 60,
                                                    .cap = i == 3 ? 4 : 0, .sinks = i == 2, .int8 = true, .edges = i == 1 });
    check_decode_case(j, &(struct decode_case){ .d = 8, .n_kv_head = 1, .n_group = 4, .n_seq = 2, .len = two, .int8 = true });
}
