/* mock_blaslt.h - the calls of one library, NAME() of them; numbers as mock_blaslt.c defines them.  No include guard: it is taken twice. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
int NAME(Create)(void **h) { return mock_no_device ? 1 : made(h, 8); }
int NAME(Destroy)(void *h) { return gone(h); }
int NAME(MatmulDescCreate)(void **d, int compute, int scale) { return compute != COMPUTE_32F || scale != 0 ? 7 : made(d, sizeof(struct desc)); }
int NAME(MatmulDescDestroy)(void *d) { return gone(d); }
int NAME(MatmulDescSetAttribute)(void *d, int attribute, const void *v, size_t n)
{
    struct desc *of = d;
    void *to = attribute == ATTR_A ? (void *)&of->op_a : attribute == ATTR_B ? (void *)&of->op_b : attribute == ATTR_EPILOGUE ? (void *)&of->epilogue : (void *)&of->bias;
    if ((attribute == ATTR_BIAS ? n != 8 : n != 4) || (attribute != ATTR_A && attribute != ATTR_B && attribute != ATTR_EPILOGUE && attribute != ATTR_BIAS))
        return 7;
    return memcpy(to, v, n), 0;
}
int NAME(MatrixLayoutCreate)(void **l, int type, uint64_t rows, uint64_t cols, int64_t ld)
{
    const int rc = made(l, sizeof(struct layout));
    if (!rc)
        *(struct layout *)*l = (struct layout){ type, rows, cols, ld };
    return rc;
}
int NAME(MatrixLayoutDestroy)(void *l) { return gone(l); }
int NAME(MatmulPreferenceCreate)(void **w) { return made(w, 8); }
int NAME(MatmulPreferenceDestroy)(void *w) { return gone(w); }
int NAME(MatmulPreferenceSetAttribute)(void *w, int attribute, const void *v, size_t n) { return attribute != 1 || n != 8 ? 7 : (memcpy(w, v, 8), 0); }
int NAME(MatmulAlgoGetHeuristic)(void *h, void *d, void *a, void *b, void *c, void *e, void *w, int wanted, void *found, int *n)
{
    struct { unsigned char algo[ALGO_BYTES]; size_t workspace; int state; float waves; int reserved[4]; } f = { .workspace = 100 };
    (void)h, (void)d, (void)w, (void)c, (void)e;
    mock_asked++;
    *n = mock_no_algorithm || wanted != 1 ? 0 : 1;
    algorithm(f.algo, a, b);
    memcpy(found, &f, sizeof f);
    return 0;
}
int NAME(Matmul)(void *h, void *d, const void *alpha, const void *a, void *la, const void *b, void *lb, const void *beta, const void *c, void *lc, void *e, void *le,
                   const void *algo, void *workspace, size_t n, void *stream)
{
    (void)h, (void)stream;
    return lc != le || !workspace ? 7 : product(d, OP_N, OP_T, alpha, a, la, b, lb, beta, c, e, lc, algo, n);
}
