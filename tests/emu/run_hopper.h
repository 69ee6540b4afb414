/* run_hopper.h - launches of kernels as the PTX that ships for Hopper, its copy engine and products of warpgroups too, by emuptx.c.  Included by one test. */
#ifndef TESTS_EMU_RUN_HOPPER_H
#define TESTS_EMU_RUN_HOPPER_H
#include "run_ptx.h"

/* cuTensorMapEncodeTiled, for the emulator. */
SHARED_BY_TESTS int encode(void *map, int type, unsigned rank, void *p, const uint64_t *size, const uint64_t *stride, const unsigned *box, const unsigned *step, int interleave, int swizzle, int promotion,
                  int fill)
{
    struct ptx_map m = { .bytes = type == 9 ? 2 : 1, .rank = rank, .p = p };
    (void)promotion;
    if (rank < 2 || rank > 3 || interleave || swizzle != 3 || fill || *step != 1)
        return 1;
    for (unsigned i = 0; i < rank; i++) {
        m.size[i] = size[i], m.box[i] = box[i];
        if (i + 1 < rank)
            m.stride[i] = stride[i];
    }
    memset(map, 0, 128);
    memcpy(map, &m, sizeof m);
    return 0;
}
static struct gpu_api api;
SHARED_BY_TESTS struct gpu *open_hopper(void)
{
    struct err err;
    struct gpu *g;
    gpu_close(open_ptx());
    api = mock_api, api.tensor_map = encode;
    assert_int_equal(gpu_open_api(&g, &api, 0, "sm_90", &err), 0);
    return g;
}
#endif
