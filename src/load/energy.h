/* energy.h - joules, from what this machine counts itself.
 *
 *   RAPL    /sys/class/powercap/intel-rapl:N/energy_uj, Intel's and AMD's: packages, and memory where it is counted beside them.  Cores and what
 *           else lies within a package are part of it, "psys" has the package in it.  A counter begins again at max_energy_range_uj, after minutes
 *           under load, so it is to be sampled more often than that.  Most systems let only root read it.
 *   hwmon   /sys/class/hwmon: amd_energy's sockets where there is no RAPL; graphics cards: energy of xe and i915, power of amdgpu; the whole machine's
 *           power (power_meter) where there is nothing else.  Powers are summed over time, a straight line between samples.
 *
 * It is the energy of all that ran on these parts meanwhile, whoever asked for it.  No NVML: an NVIDIA card is told of in `why`, and not counted. */
#ifndef LOAD_ENERGY_H
#define LOAD_ENERGY_H
#include <stdbool.h>
#include <stddef.h>

#define ENERGY_SOURCES 32
struct energy_source {
    char name[64], path[256];
    bool is_power;                       /* microwatts; else microjoules so far */
    double range;                        /* J at which a counter begins again; 0: never */
    double last, joules;                 /* the last reading in J or W; since the first sample */
};
struct energy {
    struct energy_source source[ENERGY_SOURCES];
    int n, n_sample;
    double start, now;                   /* seconds of the first and the last sample */
    char why[300];                       /* what is not counted, or why nothing is; "" */
};
/* root: "/sys/class"; NULL: that.  What cannot be read is told in why and is no error. */
void energy_open(struct energy *e, const char *root);
void energy_sample(struct energy *e, double now);                    /* now: any steady clock */
/* Since the first sample; NAN: nothing is counted, or fewer than two samples. */
double energy_joules(const struct energy *e);
/* "package-0, dram" */
void energy_names(const struct energy *e, char *out, size_t n);
#endif
