/* gpu: what a GPU and its kernels do (gpu/check.h), as CSV.  Usage: gpu [device, default cuda:0] [parts, a sum of enum gpu_part, default 127].
 * Needs nothing but the C library and the driver's: it can be carried to a machine that has neither lathe nor its libraries. */
#include "gpu/check.h"
#include <stdio.h>
#include <stdlib.h>

static void print(void *to, const struct gpu_row *r)
{
    (void)to;
    const double gbps = r->us > 0 ? r->bytes / r->us / 1000 : 0, tflops = r->us > 0 ? r->flop / r->us / 1e6 : 0;
    printf("%s,%s,\"%s\",%s,%.3g,%.3g,%.3f,%.3f,%.0f,%.1f,%.2f,%.3f,\"%s\"\n", r->kind, r->name, r->shape, r->right ? "right" : "WRONG", r->error, r->tolerance, r->us, r->us_least,
           r->bytes, gbps, tflops, r->share, r->message);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct err err;
    struct gpu *g;
    if (gpu_open(&g, argc > 1 ? argv[1] : "cuda:0", &err) < 0) {
        fprintf(stderr, "gpu: %s\n", err.msg);
        return 1;
    }
    const struct gpu_facts *f = gpu_facts(g);
    printf("# %s, %s, %d multiprocessors, %d MHz, %zu bytes, %s driver %d\n", f->name, f->arch, f->n_unit, f->clock_mhz, f->bytes, f->driver, f->driver_version);
    puts("kind,name,shape,result,error,tolerance,us,us_least,bytes,gb_per_s,tflop_per_s,share_of_copy,message");
    const int bad = gpu_check(g, argc > 2 ? atoi(argv[2]) : 127, print, NULL);
    fprintf(stderr, "gpu: %d rows wrong or not run\n", bad);
    gpu_close(g);
    return bad > 0;
}
