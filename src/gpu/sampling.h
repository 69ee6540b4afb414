/* sampling.h - infer/sample.h's settings as the device's sample_draw reads them (gpu/args.h). */
#ifndef GPU_SAMPLING_H
#define GPU_SAMPLING_H
#include <stdint.h>
#include "gpu/args.h"
struct gpu_sampling gpu_sampling_of(double temperature, int top_k, double top_p, double min_p, uint64_t seed);
#endif
