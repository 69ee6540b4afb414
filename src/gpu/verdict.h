/* verdict.h - which kernels a self test found wrong on a device: they are not used there.
 *
 * lathe/selftest.json in the user's cache folder has a record for each device's name, driver, version of it and of this program; a test that compares replaces
 * it.  What another driver or another lathe did says nothing of this one. */
#ifndef GPU_VERDICT_H
#define GPU_VERDICT_H
#include "gpu/dev.h"

struct gpu_verdict { enum gpu_kernel wrong[N_GPU_KERNEL]; int n; };
/* The kernel that a row of the self test (gpu/check.h) is of, by the first word of its name; a row of none changes nothing. */
void gpu_verdict_add(struct gpu_verdict *v, const char *name);
int gpu_verdict_keep(const struct gpu_verdict *v, const struct gpu_facts *f, struct err *err);
/* No record: none is wrong.  ERR_FORMAT: of a damaged file nothing is known. */
int gpu_verdict_load(struct gpu_verdict *v, const struct gpu_facts *f, struct err *err);
/* Refuses them (gpu_refuse) and says so aloud. */
void gpu_verdict_heed(struct gpu *g);
#endif
