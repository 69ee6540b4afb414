/* check_job.h - what the parts of the self test share (gpu/check*.c): memory of a case, launches, comparison, time. */
#ifndef GPU_CHECK_JOB_H
#define GPU_CHECK_JOB_H
#include <stdint.h>
#include "gpu/args.h"
#include "gpu/check.h"

#define JOB_MEM 48
/* One case after the other.  A failure sticks (rc, err) until job_end(), which reports it; helpers then do nothing. */
struct job {
    struct gpu *g;
    void *stream, *event[2];
    gpu_case_fn *wanted;
    gpu_row_fn *row;
    void *to;
    int n_case, n_bad, rc;
    struct err err;
    void *host[JOB_MEM], *device[JOB_MEM];
    int n_host, n_device;
    uint32_t seed;
    double copy_gbps;                         /* of GPU_TIME_COPY's largest; 0: not measured */
    char shape[96];
};

void job_begin(struct job *j);
void job_end(struct job *j, const char *name);
void *job_host(struct job *j, size_t n);                          /* zeroed; NULL after a failure */
void *job_device(struct job *j, size_t n);
void *job_upload(struct job *j, const void *from, size_t n);      /* device memory with a copy of it */
void job_download(struct job *j, void *to, const void *device, size_t n);
float *job_floats(struct job *j, size_t n);                       /* in [-1, 1), of sum 0 */
uint16_t *job_bf16s(struct job *j, size_t n);
float job_random(struct job *j);
/* Fills n bytes of the device with repetitions of `period` bytes. */
void *job_repeated(struct job *j, const void *from, size_t period, size_t n);
void job_launch(struct job *j, enum gpu_kernel k, long gx, long gy, long gz, const void *args);
void job_wait(struct job *j);

/* Relative error of n floats; a row. */
void job_compare(struct job *j, const char *name, const float *got, const float *want, size_t n, double tolerance);
void job_compare_bits(struct job *j, const char *name, const void *got, const void *want, size_t n);
/* Largest relative error that cpu/kernels.def grants the kernel. */
double job_tolerance(const char *cpu_kernel);
/* Times launch(j, i, ctx), i = 0, 1 .. n_variant-1, 0 .. (variants touch memory of their own, so that caches do not help); a row. */
void job_time(struct job *j, const char *kind, const char *name, void (*launch)(struct job *, int, void *), void *ctx, int n_variant, double bytes, double flop);

/* Of a type of files, or fnuz. */
const char *job_type_name(int type);
void job_dequantize(int type, int64_t n, const void *blocks, float *y);

void check_rows(struct job *j, bool large);
void check_gemv_case(struct job *j, int type, int M, int N, int K, bool add, bool edges);
void check_quant(struct job *j, bool large);
void check_variants(struct job *j, bool large);
/* Sequences of len[0 .. n_seq-1] keys; edges: a key of zeros and a value that is NaN. */
struct decode_case { int d, n_kv_head, n_group, n_seq; const int *len; int window; float cap; bool sinks, int8, edges; };
void check_decode_case(struct job *j, const struct decode_case *p);
void check_gemv(struct job *j, bool large);
void check_mat(struct job *j, bool large);
void check_attn(struct job *j, bool large);
void check_gemm(struct job *j, bool large);
void check_layer(struct job *j, bool large);
void check_sample(struct job *j, bool large);
void check_moe(struct job *j, bool large);
void check_train(struct job *j, bool large);
void check_hopper(struct job *j);
void time_copy(struct job *j);
void time_launch(struct job *j);
void time_kernels(struct job *j);
void time_products(struct job *j);
void time_hopper(struct job *j);
#endif
