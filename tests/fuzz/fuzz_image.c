/* fuzz_image.c - any bytes as a PNG or JPEG file: refused, or an image that can be fitted in each way. */
#include <stdlib.h>
#include "data/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct err err = { 0 };
    struct image x;
    const int n_channel = n % 2 ? 1 : 3, rc = image_decode(&x, data, n, n_channel, "input", &err);
    if (rc < 0) {
        if (rc != err.code || !*err.msg || x.pixels)
            abort();
        return 0;
    }
    uint8_t out[3 * 5 * 5];
    for (int fit = 0; fit < N_IMAGE_FIT && (int64_t)x.width * x.height < 1 << 16; fit++)
        if (image_fit(&x, (enum image_fit)fit, 5, out, "input", &err) < 0 && fit != IMAGE_REFUSE)
            abort();
    image_release(&x);
    return 0;
}
