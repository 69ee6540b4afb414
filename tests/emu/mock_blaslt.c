/* mock_blaslt.c - cuBLASLt and hipBLASLt as one library that test_gpu_blaslt opens: products are made here, on the host's memory, by the sizes and layouts that are given. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* What the test looks at and sets. */
extern int mock_alive, mock_asked, mock_made, mock_refuses, mock_no_device, mock_no_algorithm, mock_version;
int mock_alive, mock_asked, mock_made, mock_refuses, mock_no_device, mock_no_algorithm, mock_version = 1000;

struct layout { int type; uint64_t rows, cols; int64_t ld; };
struct desc { int compute, op_a, op_b, epilogue; const float *bias; };

static float element(const void *p, int type, uint64_t i)
{
    if (type == 0)
        return ((const float *)p)[i];
    const uint32_t u = (uint32_t)((const uint16_t *)p)[i] << 16;
    float f;
    memcpy(&f, &u, 4);
    return f;
}
static void set(void *p, int type, uint64_t i, float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    if (type == 0)
        ((float *)p)[i] = f;
    else
        ((uint16_t *)p)[i] = (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
static int made(void **out, size_t n) { return (*out = calloc(1, n)) ? (mock_alive++, 0) : 3; }
static int gone(void *p) { return free(p), mock_alive--, 0; }

/* The algorithm: two numbers that must come back. */
static void algorithm(unsigned char *algo, const struct layout *a, const struct layout *b)
{
    const uint64_t word[2] = { 0x616c676f, a->cols * 1000003 + b->cols * 1009 + a->rows };
    memcpy(algo, word, sizeof word);
}
static int product(const struct desc *d, int op_n, int op_t, const float *alpha, const void *a, const struct layout *la, const void *b, const struct layout *lb, const float *beta,
                   const void *add, void *c, const struct layout *lc, const unsigned char *algo, size_t n_workspace)
{
    unsigned char own[16];
    algorithm(own, la, lb);
    if (mock_refuses > 0)
        return mock_refuses--, 15;
    const int ta = d->op_a == op_t, tb = d->op_b == op_t;
    const uint64_t K = ta ? la->rows : la->cols;
    if ((!ta && d->op_a != op_n) || (!tb && d->op_b != op_n) || K != (tb ? lb->cols : lb->rows) || (ta ? la->cols : la->rows) != lc->rows || (tb ? lb->rows : lb->cols) != lc->cols ||
        (d->epilogue && (d->epilogue != 4 || !d->bias || lc->type)) || la->ld < (int64_t)la->rows || lb->ld < (int64_t)lb->rows || la->type != 14 || lb->type != 14 || memcmp(own, algo, 16) != 0 || n_workspace < 100)
        return 7;
    for (uint64_t m = 0; m < lc->cols; m++)
        for (uint64_t n = 0; n < lc->rows; n++) {
            float s = 0;
            for (uint64_t k = 0; k < K; k++)
                s += element(a, 14, ta ? n * (uint64_t)la->ld + k : k * (uint64_t)la->ld + n) * element(b, 14, tb ? k * (uint64_t)lb->ld + m : m * (uint64_t)lb->ld + k);
            s = *alpha * s + (*beta == 0 ? 0 : *beta * element(add, lc->type, m * (uint64_t)lc->ld + n));
            set(c, lc->type, m * (uint64_t)lc->ld + n, s + (d->epilogue ? d->bias[n] : 0));
        }
    mock_made++;
    return 0;
}

#define NAME(what) cublasLt##what
#define COMPUTE_32F 68
#define ATTR_A 3
#define ATTR_B 4
#define ATTR_EPILOGUE 7
#define ATTR_BIAS 8
#define OP_N 0
#define OP_T 1
#define ALGO_BYTES 64
#include "mock_blaslt.h"
size_t cublasLtGetVersion(void);
size_t cublasLtGetVersion(void) { return (size_t)mock_version; }
#undef NAME
#undef COMPUTE_32F
#undef ATTR_A
#undef ATTR_B
#undef ATTR_EPILOGUE
#undef ATTR_BIAS
#undef OP_N
#undef OP_T
#undef ALGO_BYTES

#define NAME(what) hipblasLt##what
#define COMPUTE_32F 2
#define ATTR_A 0
#define ATTR_B 1
#define ATTR_EPILOGUE 2
#define ATTR_BIAS 3
#define OP_N 111
#define OP_T 112
#define ALGO_BYTES 24
#include "mock_blaslt.h"
int hipblasLtGetVersion(void *h, int *v);
int hipblasLtGetVersion(void *h, int *v) { return (void)h, *v = mock_version, 0; }
