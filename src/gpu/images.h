/* images.h - the device code that was built in (gpu/images.def). */
#ifndef GPU_IMAGES_H
#define GPU_IMAGES_H
/* data .. end: a code object, or PTX, a NUL behind it; file: of gpu/kern, without ending; target: "gfx942", "sm_90", "sm_90a". */
struct gpu_image { const char *file, *target, *data, *end; };
/* NULL after the last; NULL from 0 on in a program that was built where no clang-19 or no lld-19 was. */
const struct gpu_image *gpu_image(int i);
const struct gpu_image *gpu_image_of(const char *file, const char *target);
#endif
