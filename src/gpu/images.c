/* images.c - device code, taken in as it was compiled. */
#include "gpu/images.h"
#include <stddef.h>
#include <string.h>

#ifdef GPU_IMAGES
#define IMAGE(file, target, ending)                                                              \
    __asm__(".section .rodata\n.balign 4096\n"                                                   \
            "gpu_" #file "_" #target ": .incbin \"" GPU_IMAGES "/" #file "." #target "." #ending "\"\n" \
            "gpu_" #file "_" #target "_end: .byte 0\n.text\n");                                  \
    extern const char gpu_##file##_##target[], gpu_##file##_##target##_end[];
#include "gpu/images.def"
#undef IMAGE
#endif

const struct gpu_image *gpu_image(int i)
{
#ifdef GPU_IMAGES
    static const struct gpu_image image[] = {
#define IMAGE(file, target, ending) { #file, #target, gpu_##file##_##target, gpu_##file##_##target##_end },
#include "gpu/images.def"
#undef IMAGE
    };
    if (i < (int)(sizeof image / sizeof *image))
        return &image[i];
#endif
    return (void)i, NULL;
}

const struct gpu_image *gpu_image_of(const char *file, const char *target)
{
    for (int i = 0; gpu_image(i); i++)
        if (!strcmp(gpu_image(i)->file, file) && !strcmp(gpu_image(i)->target, target))
            return gpu_image(i);
    return NULL;
}
