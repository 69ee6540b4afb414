/* emu942_values.h - numbers as registers hold them, and what the instructions of emu942_ops.h are made of.  Part of emu942.c. */

static float amd_float(uint32_t u)
{
    float f;
    memcpy(&f, &u, 4);
    return f;
}
static uint32_t amd_u32(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}
static double amd_double(uint64_t u)
{
    double f;
    memcpy(&f, &u, 8);
    return f;
}
static uint64_t amd_u64(double f)
{
    uint64_t u;
    memcpy(&u, &f, 8);
    return u;
}
static uint32_t amd_raw(const struct amd_wave *w, const struct amd_operand *o, int i, int lane)
{
    return o->kind == 'v' ? w->v[o->reg + i][lane] : o->kind == 's' ? w->s[o->reg + i] : o->value;
}
static uint64_t amd_get64(const struct amd_wave *w, const struct amd_operand *o, int lane)
{
    return o->kind == 'c' ? o->value64 : amd_raw(w, o, 0, lane) | (o->n > 1 ? (uint64_t)amd_raw(w, o, 1, lane) << 32 : 0);
}
static void amd_set64(struct amd_wave *w, const struct amd_operand *o, int lane, uint64_t v)
{
    if (o->kind == 'v')
        w->v[o->reg][lane] = (uint32_t)v, w->v[o->reg + 1][lane] = (uint32_t)(v >> 32);
    else
        w->s[o->reg] = (uint32_t)v, w->s[o->reg + 1] = (uint32_t)(v >> 32);
}
static uint64_t amd_exec(const struct amd_wave *w) { return w->s[AMD_EXEC] | (uint64_t)w->s[AMD_EXEC + 1] << 32; }

static bool amd_compare_real(const char *how, double a, double b)
{
    if (how[0] == 'o' || how[0] == 'u')
        return (isnan(a) || isnan(b)) == (how[0] == 'u');
    const bool negated = how[0] == 'n' && how[1] != 0 && how[2] != 0;            /* ngt, neq: not greater, not equal, true for NaN */
    const char *h = negated ? how + 1 : how;
    const bool r = !strcmp(h, "lt") ? a < b : !strcmp(h, "le") ? a <= b : !strcmp(h, "gt") ? a > b : !strcmp(h, "ge") ? a >= b : !strcmp(h, "eq") ? a == b : a < b || a > b;
    return r != negated;
}
/* Which of its bits say what v is: NaN (0, 1), -inf, -normal, -denormal, -0, 0, denormal, normal, inf. */
static bool amd_class(float v, uint32_t mask)
{
    const bool minus = signbit(v) != 0;
    const int c = isnan(v) ? 1 : isinf(v) ? (minus ? 2 : 9) : v == 0 ? (minus ? 5 : 6) : fabsf(v) < 0x1p-126f ? (minus ? 4 : 7) : minus ? 3 : 8;
    return mask >> c & 1;
}
static bool amd_compare(const char *how, const char *type, uint64_t x, uint64_t y)
{
    if (!strcmp(how, "class"))
        return amd_class(amd_float((uint32_t)x), (uint32_t)y);
    if (*type == 'f')
        return !strcmp(type, "f64") ? amd_compare_real(how, amd_double(x), amd_double(y)) : !strcmp(type, "f16") ? amd_compare_real(how, half_to_float((uint16_t)x), half_to_float((uint16_t)y))
                                                                                           : amd_compare_real(how, amd_float((uint32_t)x), amd_float((uint32_t)y));
    const int bits = atoi(type + 1), up = 64 - bits;
    const bool equal = x << up == y << up, less = *type == 'i' ? (int64_t)(x << up) < (int64_t)(y << up) : x << up < y << up;
    return !strcmp(how, "lt") ? less : !strcmp(how, "le") ? less || equal : !strcmp(how, "gt") ? !less && !equal : !strcmp(how, "ge") ? !less : !strcmp(how, "eq") ? equal : !equal;
}

/* ---- integers ---- */

static uint32_t amd_permute(uint32_t a, uint32_t b, uint32_t sel)
{
    const uint64_t both = (uint64_t)a << 32 | b;
    uint32_t out = 0;
    for (int i = 0; i < 4; i++) {
        const uint32_t s = sel >> (8 * i) & 255;
        const uint32_t v = s < 8 ? (uint32_t)(both >> (8 * s)) & 255 : s < 12 ? (both >> (16 * (s - 8) + 15) & 1 ? 255 : 0) : s == 12 ? 0 : 255;
        out |= v << (8 * i);
    }
    return out;
}
static uint32_t amd_reverse(uint32_t v)
{
    uint32_t r = 0;
    for (int i = 0; i < 32; i++)
        r |= (v >> i & 1) << (31 - i);
    return r;
}
static uint32_t amd_field_signed(uint32_t a, uint32_t b, uint32_t d)
{
    const uint32_t n = d & 31, v = n ? a >> (b & 31) & ((1u << n) - 1) : 0;
    return n && (v >> (n - 1) & 1) ? v | ~((1u << n) - 1) : v;
}
/* Scalar fields: how = position and, from bit 16, width. */
static uint64_t amd_field(uint64_t v, uint32_t how, int bits)
{
    const int at = (int)how & (bits - 1), n = (int)(how >> 16 & 127);
    return n >= bits ? v >> at : v >> at & ((UINT64_C(1) << n) - 1);
}
static uint64_t amd_field_sext(uint64_t v, uint32_t how, int bits)
{
    const int n = (int)(how >> 16 & 127) > bits ? bits : (int)(how >> 16 & 127);
    const uint64_t f = amd_field(v, how, bits);
    return n == 0 ? 0 : n < 64 && (f >> (n - 1) & 1) ? f | ~((UINT64_C(1) << n) - 1) : f;
}
static int64_t amd_i24(uint32_t v) { return (int32_t)(v << 8) >> 8; }
/* Bits from the top that equal the sign, ~0 where all do. */
static uint32_t amd_sign_run(uint32_t v)
{
    const uint32_t u = (int32_t)v < 0 ? ~v : v;
    return u ? (uint32_t)__builtin_clz(u) : ~0u;
}
static uint32_t amd_greater(uint32_t a, uint32_t b) { return (int32_t)a > (int32_t)b ? a : b; }
static uint32_t amd_less(uint32_t a, uint32_t b) { return (int32_t)a < (int32_t)b ? a : b; }
static uint32_t amd_greater_u(uint32_t a, uint32_t b) { return a > b ? a : b; }
static uint32_t amd_less_u(uint32_t a, uint32_t b) { return a < b ? a : b; }
static uint32_t amd_dot4(uint32_t a, uint32_t b, uint32_t sum)
{
    for (int i = 0; i < 32; i += 8)
        sum += (uint32_t)((int8_t)(a >> i) * (int8_t)(b >> i));
    return sum;
}
static uint32_t amd_dot4_unsigned(uint32_t a, uint32_t b, uint32_t sum)
{
    for (int i = 0; i < 32; i += 8)
        sum += (a >> i & 255) * (b >> i & 255);
    return sum;
}
static uint32_t amd_dot8(uint32_t a, uint32_t b, uint32_t sum)
{
    for (int i = 0; i < 32; i += 4)
        sum += (uint32_t)(((int32_t)(a << (28 - i)) >> 28) * ((int32_t)(b << (28 - i)) >> 28));
    return sum;
}

/* ---- floats ---- */

static float amd_flushed(float x) { return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x; }
/* The sign is that of the operands, whatever became of it on the way. */
static float amd_fixup(float q, float b, float a) { return b == 0 || a == 0 || !isfinite(a) || !isfinite(b) ? a / b : copysignf(q, signbit(a) == signbit(b) ? 1.0f : -1.0f); }
static float amd_middle(float x, float y, float z) { return isnan(x) || isnan(y) || isnan(z) ? fminf(fminf(x, y), z) : fmaxf(fminf(x, y), fminf(fmaxf(x, y), z)); }
static float amd_sin(float turns, double shift) { return (float)sin(6.283185307179586 * ((double)turns - floor((double)turns) + shift)); }
static float amd_fract(float x)
{
    const float f = x - floorf(x);
    return f < 1 ? f : 0x1.fffffep-1f;
}
static float amd_frexp(float x, int *exponent)
{
    int e = 0;
    const float m = isfinite(x) ? frexpf(x, &e) : x;
    if (exponent)
        *exponent = e;
    return m;
}
static uint32_t amd_frexp_exp(float x)
{
    int e;
    amd_frexp(x, &e);
    return (uint32_t)e;
}
static uint32_t amd_to_i32(float x) { return isnan(x) ? 0 : x >= 0x1p31f ? 0x7fffffff : x < -0x1p31f ? 0x80000000 : (uint32_t)(int32_t)x; }
static uint32_t amd_to_u32(float x) { return !(x > 0) ? 0 : x >= 0x1p32f ? 0xffffffff : (uint32_t)x; }
static float amd_high_half(uint32_t v) { return half_to_float((uint16_t)(v >> 16)); }
static uint16_t amd_half_toward_zero(float x)
{
    const uint16_t h = float_to_half(x);
    if (isnan(x) || isinf(x))
        return h;
    return fabsf(half_to_float(h)) > fabsf(x) ? (uint16_t)(h - 1) : h;
}

/* fp8 of gfx942: e4m3 (mantissa 3) with bias 8 and e5m2 (2) with bias 16; 0x80 is NaN, there are no infinities and no -0. */
static float amd_fp8(uint32_t v, int mantissa)
{
    const int bits = 7 - mantissa, bias = 1 << (bits - 1), e = (int)(v >> mantissa) & ((1 << bits) - 1), m = (int)v & ((1 << mantissa) - 1);
    if (v == 0x80)
        return NAN;
    const float f = e ? ldexpf((float)((1 << mantissa) + m), e - bias - mantissa) : ldexpf((float)m, 1 - bias - mantissa);
    return v & 0x80 ? -f : f;
}
/* The nearest (even) of the format's numbers, or with `more`, bits below the last place to be added first; what is too large becomes NaN. */
static uint32_t amd_fp8_of(float x, int mantissa, bool stochastic, uint32_t more)
{
    const int bits = 7 - mantissa, bias = 1 << (bits - 1);
    if (isnan(x) || isinf(x))
        return 0x80;
    int e;
    const double a = fabs((double)x), m = frexp(a, &e);
    if (a == 0)
        return 0;
    (void)m;
    const int last = e - 1 < 1 - bias ? 1 - bias - mantissa : e - 1 - mantissa;           /* exponent of the last place */
    const double places = ldexp(a, -last), n = stochastic ? floor(places + ldexp((double)(more >> (mantissa + 9)), -(23 - mantissa))) : nearbyint(places);
    const double value = ldexp(n, last), largest = ldexp((double)((1 << (mantissa + 1)) - 1), (1 << bits) - 1 - bias - mantissa);
    if (value > largest)
        return 0x80;
    if (value == 0)
        return 0;
    frexp(value, &e);
    const uint32_t code = e - 1 < 1 - bias ? (uint32_t)ldexp(value, bias - 1 + mantissa) : (uint32_t)(e - 1 + bias) << mantissa | ((uint32_t)ldexp(value, mantissa + 1 - e) & ((1u << mantissa) - 1));
    return code | (x < 0 ? 0x80 : 0);
}
static uint32_t amd_fp8_rounded(float x, int mantissa) { return amd_fp8_of(x, mantissa, false, 0); }
static uint32_t amd_fp8_stochastic(float x, uint32_t more, int mantissa) { return amd_fp8_of(x, mantissa, true, more); }
