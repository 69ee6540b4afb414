/* math.h - functions that activations and attention are made of, to float precision, from the devices' exp2. */
#ifndef GPU_KERN_MATH_H
#define GPU_KERN_MATH_H
DK_INLINE float dk_sigmoid(float x) { return 1.0f / (1.0f + dk_exp2(-DK_LOG2E * x)); }
/* Small x by its series: 1 - 2 / (e^2x + 1) loses them. */
DK_INLINE float dk_tanh(float x)
{
    const float m = x < 0 ? -x : x, x2 = x * x;
    if (m < 0.125f)
        return x * (1.0f + x2 * (-1.0f / 3 + x2 * (2.0f / 15 + x2 * (-17.0f / 315 + x2 * (62.0f / 2835)))));
    const float t = 1.0f - 2.0f / (dk_exp2(2.0f * DK_LOG2E * m) + 1.0f);
    return x < 0 ? -t : t;
}
/* erfc(x) for x >= 0: the rational fit of W. J. Cody (1969) is long; this Chebyshev fit (Numerical Recipes, erfcc) is good to 1.2e-7 of itself. */
DK_INLINE float dk_erfc(float x)
{
    const float t = 1.0f / (1.0f + 0.5f * x);
    const float p = -1.26551223f + t * (1.00002368f + t * (0.37409196f + t * (0.09678418f + t * (-0.18628806f + t * (0.27886807f + t * (-1.13520398f + t * (1.48851587f +
                    t * (-0.82215223f + t * 0.17087277f))))))));
    return t * dk_exp2(DK_LOG2E * (p - x * x));
}
DK_INLINE float dk_erf(float x)
{
    const float m = x < 0 ? -x : x, x2 = x * x;
    if (m < 0.5f)                 /* Taylor's series */
        return x * (1.128379167f + x2 * (-0.376126389f + x2 * (0.1128379167f + x2 * (-0.02686617065f + x2 * (0.005223977626f + x2 * (-0.0008548327f + x2 * 0.00012055f))))));
    const float e = 1.0f - dk_erfc(m);
    return x < 0 ? -e : e;
}
DK_INLINE float dk_gelu(float h)
{
    const float z = h * 0.70710678118654752f;
    return h < -0.5f ? 0.5f * h * dk_erfc(-z) : 0.5f * h * (1.0f + dk_erf(z));
}
/* h/2 * (1 + tanh u) = h * dk_sigmoid(2u): no difference of near numbers where h is far below 0. */
DK_INLINE float dk_gelu_tanh(float h) { return h * dk_sigmoid(2.0f * 0.79788456080286536f * (h + 0.044715f * h * h * h)); }
/* a + b = s + *error, exactly (Knuth). */
DK_INLINE float two_sum(float a, float b, float *error)
{
    const float s = a + b, t = s - a;
    *error = (a - (s - t)) + (b - t);
    return s;
}
#endif
