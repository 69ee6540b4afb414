/* emu942_ops.h - what the vector and scalar instructions of gfx942 compute, a row each.  After AMD's "Instinct MI300" instruction set guide; held
 * beside its pseudocode by tests/unit/test_gpu_isa.c.  Part of emu942.c.
 *
 * LANE(name, sources, result): 32 bits a lane.  a, b, d: the sources; x, y, z: the same as floats; old: what the destination held; lane.
 * WIDE(name, sources, result): sources and result of 32 or 64 bits, as their registers are; A, B, D.
 * HALF(name, sources, result): floats of 16 bits, result too; x, y, z.  PACKED(name, sources, result): the same of both halves of registers.
 * SCALAR(name, result, scc): A, B: sources; a, b: their lower 32 bits, i, j: signed; old: what the destination held; R: the result, scc: what it was. */
#define F(e) amd_u32(e)
#define AMD_LANES(X) \
    X(v_mov_b32, 1, a) X(v_accvgpr_read_b32, 1, a) X(v_accvgpr_write_b32, 1, a) X(v_accvgpr_mov_b32, 1, a) X(v_not_b32, 1, ~a) X(v_bfrev_b32, 1, amd_reverse(a)) \
    X(v_add_f32, 2, F(x + y)) X(v_sub_f32, 2, F(x - y)) X(v_subrev_f32, 2, F(y - x)) X(v_mul_f32, 2, F(x * y)) X(v_max_f32, 2, F(fmaxf(x, y))) X(v_min_f32, 2, F(fminf(x, y))) \
    X(v_mul_legacy_f32, 2, F(x == 0 || y == 0 ? 0 : x * y)) X(v_max3_f32, 3, F(fmaxf(fmaxf(x, y), z))) X(v_min3_f32, 3, F(fminf(fminf(x, y), z))) X(v_med3_f32, 3, F(amd_middle(x, y, z))) \
    X(v_fma_f32, 3, F(fmaf(x, y, z))) X(v_div_fmas_f32, 3, F(fmaf(x, y, z))) X(v_fmac_f32, 2, F(fmaf(x, y, amd_float(old)))) X(v_mac_f32, 2, F(fmaf(x, y, amd_float(old)))) \
    X(v_fmamk_f32, 3, F(fmaf(x, y, z))) X(v_fmaak_f32, 3, F(fmaf(x, y, z))) X(v_div_fixup_f32, 3, F(amd_fixup(x, y, z))) \
    X(v_exp_f32, 1, F(amd_flushed(exp2f(amd_flushed(x))))) X(v_log_f32, 1, F(log2f(amd_flushed(x)))) X(v_rcp_f32, 1, F(1 / x)) X(v_rcp_iflag_f32, 1, F(1 / x)) \
    X(v_rsq_f32, 1, F(1 / sqrtf(x))) X(v_sqrt_f32, 1, F(sqrtf(x))) X(v_sin_f32, 1, F(amd_sin(x, 0))) X(v_cos_f32, 1, F(amd_sin(x, 0.25))) \
    X(v_rndne_f32, 1, F(rintf(x))) X(v_trunc_f32, 1, F(truncf(x))) X(v_ceil_f32, 1, F(ceilf(x))) X(v_floor_f32, 1, F(floorf(x))) X(v_fract_f32, 1, F(amd_fract(x))) \
    X(v_ldexp_f32, 2, F(ldexpf(x, (int32_t)b))) X(v_frexp_mant_f32, 1, F(amd_frexp(x, NULL))) X(v_frexp_exp_i32_f32, 1, amd_frexp_exp(x)) \
    X(v_cvt_f32_i32, 1, F((float)(int32_t)a)) X(v_cvt_f32_u32, 1, F((float)a)) X(v_cvt_i32_f32, 1, amd_to_i32(x)) X(v_cvt_u32_f32, 1, amd_to_u32(x)) \
    X(v_cvt_rpi_i32_f32, 1, amd_to_i32(floorf(x + 0.5f))) X(v_cvt_flr_i32_f32, 1, amd_to_i32(floorf(x))) \
    X(v_cvt_f32_ubyte0, 1, F((float)(a & 255))) X(v_cvt_f32_ubyte1, 1, F((float)(a >> 8 & 255))) X(v_cvt_f32_ubyte2, 1, F((float)(a >> 16 & 255))) X(v_cvt_f32_ubyte3, 1, F((float)(a >> 24))) \
    X(v_cvt_f32_f16, 1, F(half_to_float((uint16_t)a))) X(v_cvt_f16_f32, 1, float_to_half(x)) X(v_cvt_pkrtz_f16_f32, 2, amd_half_toward_zero(x) | (uint32_t)amd_half_toward_zero(y) << 16) \
    X(v_cvt_f32_fp8, 1, F(amd_fp8(a & 255, 3))) X(v_cvt_f32_bf8, 1, F(amd_fp8(a & 255, 2))) \
    X(v_cvt_pk_u8_f32, 3, (d & ~(255u << 8 * (b & 3))) | (x > 255 ? 255 : amd_to_u32(x)) << 8 * (b & 3)) \
    X(v_cvt_i32_i16, 1, (uint32_t)(int16_t)a) X(v_cvt_u32_u16, 1, a & 0xffff) \
    X(v_add_u32, 2, a + b) X(v_sub_u32, 2, a - b) X(v_subrev_u32, 2, b - a) X(v_add_i32, 2, a + b) X(v_sub_i32, 2, a - b) X(v_add3_u32, 3, a + b + d) X(v_xad_u32, 3, (a ^ b) + d) \
    X(v_add_lshl_u32, 3, (a + b) << (d & 31)) X(v_lshl_add_u32, 3, (a << (b & 31)) + d) X(v_lshl_or_b32, 3, (a << (b & 31)) | d) X(v_and_or_b32, 3, (a & b) | d) X(v_or3_b32, 3, a | b | d) \
    X(v_and_b32, 2, a & b) X(v_or_b32, 2, a | b) X(v_xor_b32, 2, a ^ b) X(v_xnor_b32, 2, ~(a ^ b)) X(v_bfi_b32, 3, (a & b) | (~a & d)) X(v_bfm_b32, 2, ((1u << (a & 31)) - 1) << (b & 31)) \
    X(v_bfe_u32, 3, a >> (b & 31) & ((1u << (d & 31)) - 1)) X(v_bfe_i32, 3, amd_field_signed(a, b, d)) X(v_perm_b32, 3, amd_permute(a, b, d)) \
    X(v_alignbit_b32, 3, (uint32_t)(((uint64_t)a << 32 | b) >> (d & 31))) X(v_alignbyte_b32, 3, (uint32_t)(((uint64_t)a << 32 | b) >> 8 * (d & 3))) \
    X(v_lshlrev_b32, 2, b << (a & 31)) X(v_lshrrev_b32, 2, b >> (a & 31)) X(v_ashrrev_i32, 2, (uint32_t)((int32_t)b >> (a & 31))) \
    X(v_bcnt_u32_b32, 2, b + (uint32_t)__builtin_popcount(a)) X(v_ffbh_u32, 1, a ? (uint32_t)__builtin_clz(a) : ~0u) X(v_ffbl_b32, 1, a ? (uint32_t)__builtin_ctz(a) : ~0u) \
    X(v_ffbh_i32, 1, amd_sign_run(a)) \
    X(v_mul_lo_u32, 2, a * b) X(v_mul_hi_u32, 2, (uint32_t)((uint64_t)a * b >> 32)) X(v_mul_hi_i32, 2, (uint32_t)((int64_t)(int32_t)a * (int32_t)b >> 32)) \
    X(v_mul_u32_u24, 2, (a & 0xffffff) * (b & 0xffffff)) X(v_mul_i32_i24, 2, (uint32_t)(amd_i24(a) * amd_i24(b))) X(v_mad_u32_u24, 3, (a & 0xffffff) * (b & 0xffffff) + d) \
    X(v_mul_hi_u32_u24, 2, (uint32_t)((uint64_t)(a & 0xffffff) * (b & 0xffffff) >> 32)) X(v_mad_i32_i24, 3, (uint32_t)(amd_i24(a) * amd_i24(b)) + d) \
    X(v_max_i32, 2, (int32_t)a > (int32_t)b ? a : b) X(v_min_i32, 2, (int32_t)a < (int32_t)b ? a : b) X(v_max_u32, 2, a > b ? a : b) X(v_min_u32, 2, a < b ? a : b) \
    X(v_max3_i32, 3, amd_greater(amd_greater(a, b), d)) X(v_min3_i32, 3, amd_less(amd_less(a, b), d)) X(v_med3_i32, 3, amd_greater(amd_less(a, b), amd_less(amd_greater(a, b), d))) \
    X(v_max3_u32, 3, amd_greater_u(amd_greater_u(a, b), d)) X(v_min3_u32, 3, amd_less_u(amd_less_u(a, b), d)) X(v_med3_u32, 3, amd_greater_u(amd_less_u(a, b), amd_less_u(amd_greater_u(a, b), d))) \
    X(v_sad_u32, 3, d + (a > b ? a - b : b - a)) X(v_mbcnt_lo_u32_b32, 2, b + (uint32_t)__builtin_popcount(a & (lane >= 32 ? ~0u : (1u << lane) - 1))) \
    X(v_mbcnt_hi_u32_b32, 2, b + (lane < 32 ? 0 : (uint32_t)__builtin_popcount(a & ((1u << (lane - 32)) - 1)))) \
    X(v_dot4c_i32_i8, 2, amd_dot4(a, b, old)) X(v_dot4_i32_i8, 3, amd_dot4(a, b, d)) X(v_dot4_u32_u8, 3, amd_dot4_unsigned(a, b, d)) X(v_dot8_i32_i4, 3, amd_dot8(a, b, d)) X(v_dot8c_i32_i4, 2, amd_dot8(a, b, old)) \
    X(v_dot2_i32_i16, 3, (uint32_t)((int64_t)(int16_t)a * (int16_t)b + (int64_t)(int16_t)(a >> 16) * (int16_t)(b >> 16)) + d) \
    X(v_dot2_f32_f16, 3, F(fmaf(amd_high_half(a), amd_high_half(b), fmaf(half_to_float((uint16_t)a), half_to_float((uint16_t)b), z)))) \
    X(v_dot2c_f32_f16, 2, F(fmaf(amd_high_half(a), amd_high_half(b), fmaf(half_to_float((uint16_t)a), half_to_float((uint16_t)b), amd_float(old))))) \
    X(v_add_u16, 2, (a + b) & 0xffff) X(v_sub_u16, 2, (a - b) & 0xffff) X(v_subrev_u16, 2, (b - a) & 0xffff) X(v_mul_lo_u16, 2, ((a & 0xffff) * (b & 0xffff)) & 0xffff) \
    X(v_lshlrev_b16, 2, (b << (a & 15)) & 0xffff) X(v_lshrrev_b16, 2, (b & 0xffff) >> (a & 15)) X(v_ashrrev_i16, 2, (uint32_t)((int16_t)b >> (a & 15)) & 0xffff) \
    X(v_max_u16, 2, (a & 0xffff) > (b & 0xffff) ? a & 0xffff : b & 0xffff) X(v_min_u16, 2, (a & 0xffff) < (b & 0xffff) ? a & 0xffff : b & 0xffff) \
    X(v_max_i16, 2, (int16_t)a > (int16_t)b ? a & 0xffff : b & 0xffff) X(v_min_i16, 2, (int16_t)a < (int16_t)b ? a & 0xffff : b & 0xffff) \
    X(v_mad_u16, 3, ((a & 0xffff) * (b & 0xffff) + d) & 0xffff) X(v_mad_legacy_u16, 3, ((a & 0xffff) * (b & 0xffff) + d) & 0xffff) \
    X(v_mad_u32_u16, 3, (a & 0xffff) * (b & 0xffff) + d) X(v_mad_i32_i16, 3, (uint32_t)((int32_t)(int16_t)a * (int16_t)b) + d) \
    X(v_pack_b32_f16, 2, (a & 0xffff) | b << 16)
#define AMD_WIDES(X) \
    X(v_mov_b64, 1, A) X(v_lshlrev_b64, 2, B << (A & 63)) X(v_lshrrev_b64, 2, B >> (A & 63)) X(v_ashrrev_i64, 2, (uint64_t)((int64_t)B >> (A & 63))) X(v_lshl_add_u64, 3, (A << (B & 7)) + D) \
    X(v_add_f64, 2, amd_u64(amd_double(A) + amd_double(B))) X(v_mul_f64, 2, amd_u64(amd_double(A) * amd_double(B))) X(v_fma_f64, 3, amd_u64(fma(amd_double(A), amd_double(B), amd_double(D)))) \
    X(v_fmac_f64, 2, amd_u64(fma(amd_double(A), amd_double(B), amd_double(old)))) X(v_max_f64, 2, amd_u64(fmax(amd_double(A), amd_double(B)))) X(v_min_f64, 2, amd_u64(fmin(amd_double(A), amd_double(B)))) \
    X(v_rcp_f64, 1, amd_u64(1 / amd_double(A))) X(v_rsq_f64, 1, amd_u64(1 / sqrt(amd_double(A)))) X(v_sqrt_f64, 1, amd_u64(sqrt(amd_double(A)))) X(v_rndne_f64, 1, amd_u64(rint(amd_double(A)))) \
    X(v_floor_f64, 1, amd_u64(floor(amd_double(A)))) X(v_trunc_f64, 1, amd_u64(trunc(amd_double(A)))) X(v_ldexp_f64, 2, amd_u64(ldexp(amd_double(A), (int32_t)B))) \
    X(v_cvt_f64_f32, 1, amd_u64((double)amd_float((uint32_t)A))) X(v_cvt_f32_f64, 1, amd_u32((float)amd_double(A))) X(v_cvt_f64_i32, 1, amd_u64((double)(int32_t)A)) \
    X(v_cvt_f64_u32, 1, amd_u64((double)(uint32_t)A)) X(v_div_fmas_f64, 3, amd_u64(fma(amd_double(A), amd_double(B), amd_double(D)))) \
    X(v_div_fixup_f64, 3, amd_u64(amd_double(B) == 0 || amd_double(D) == 0 || !isfinite(amd_double(B)) || !isfinite(amd_double(D)) ? amd_double(D) / amd_double(B) : amd_double(A)))
#define AMD_HALVES(X) \
    X(v_add_f16, 2, x + y) X(v_sub_f16, 2, x - y) X(v_subrev_f16, 2, y - x) X(v_mul_f16, 2, x * y) X(v_max_f16, 2, fmaxf(x, y)) X(v_min_f16, 2, fminf(x, y)) X(v_fma_f16, 3, fmaf(x, y, z)) \
    X(v_rcp_f16, 1, 1 / x) X(v_sqrt_f16, 1, sqrtf(x)) X(v_rsq_f16, 1, 1 / sqrtf(x)) X(v_exp_f16, 1, exp2f(x)) X(v_log_f16, 1, log2f(x)) X(v_rndne_f16, 1, rintf(x)) X(v_trunc_f16, 1, truncf(x)) \
    X(v_floor_f16, 1, floorf(x)) X(v_ceil_f16, 1, ceilf(x))
#define AMD_PACKEDS(X) \
    X(v_pk_add_f16, 2, float_to_half(x + y)) X(v_pk_mul_f16, 2, float_to_half(x * y)) X(v_pk_fma_f16, 3, float_to_half(fmaf(x, y, z))) X(v_pk_max_f16, 2, float_to_half(fmaxf(x, y))) \
    X(v_pk_min_f16, 2, float_to_half(fminf(x, y))) X(v_pk_add_u16, 2, a + b) X(v_pk_sub_u16, 2, a - b) X(v_pk_add_i16, 2, a + b) X(v_pk_sub_i16, 2, a - b) X(v_pk_mul_lo_u16, 2, a * b) \
    X(v_pk_mad_u16, 3, a * b + d) X(v_pk_mad_i16, 3, a * b + d) X(v_pk_lshlrev_b16, 2, b << (a & 15)) X(v_pk_lshrrev_b16, 2, (b & 0xffff) >> (a & 15)) \
    X(v_pk_ashrrev_i16, 2, (uint32_t)((int16_t)b >> (a & 15))) X(v_pk_max_u16, 2, a > b ? a : b) X(v_pk_min_u16, 2, a < b ? a : b) X(v_pk_max_i16, 2, (int16_t)a > (int16_t)b ? a : b) \
    X(v_pk_min_i16, 2, (int16_t)a < (int16_t)b ? a : b)
#define AMD_SCALARS(X) \
    X(s_mov_b32, A, scc) X(s_mov_b64, A, scc) X(s_movk_i32, (uint32_t)(int16_t)a, scc) X(s_cmov_b32, scc ? A : old, scc) X(s_not_b32, ~a, R != 0) X(s_not_b64, ~A, R != 0) \
    X(s_add_i32, a + b, (int64_t)i + j != (int32_t)(a + b)) X(s_sub_i32, a - b, (int64_t)i - j != (int32_t)(a - b)) X(s_addk_i32, (uint32_t)old + (uint32_t)(int16_t)a, (int64_t)(int32_t)old + (int16_t)a != (int32_t)R) \
    X(s_mulk_i32, (uint32_t)old * (uint32_t)(int16_t)a, scc) X(s_add_u32, a + b, ((uint64_t)a + b) >> 32 != 0) X(s_addc_u32, a + b + scc, ((uint64_t)a + b + scc) >> 32 != 0) \
    X(s_sub_u32, a - b, b > a) X(s_subb_u32, a - b - scc, (uint64_t)b + scc > a) X(s_mul_i32, a * b, scc) X(s_mul_hi_u32, (uint64_t)a * b >> 32, scc) X(s_mul_hi_i32, (uint64_t)((int64_t)i * j >> 32), scc) \
    X(s_min_i32, i < j ? a : b, i < j) X(s_max_i32, i > j ? a : b, i > j) X(s_min_u32, a < b ? a : b, a < b) X(s_max_u32, a > b ? a : b, a > b) \
    X(s_cselect_b32, scc ? A : B, scc) X(s_cselect_b64, scc ? A : B, scc) X(s_lshl_b32, a << (b & 31), R != 0) X(s_lshr_b32, a >> (b & 31), R != 0) X(s_ashr_i32, (uint32_t)(i >> (b & 31)), R != 0) \
    X(s_lshl_b64, A << (b & 63), R != 0) X(s_lshr_b64, A >> (b & 63), R != 0) X(s_ashr_i64, (uint64_t)((int64_t)A >> (b & 63)), R != 0) \
    X(s_and_b32, A & B, R != 0) X(s_or_b32, A | B, R != 0) X(s_xor_b32, A ^ B, R != 0) X(s_and_b64, A & B, R != 0) X(s_or_b64, A | B, R != 0) X(s_xor_b64, A ^ B, R != 0) \
    X(s_andn2_b32, a & ~b, R != 0) X(s_orn2_b32, a | ~b, R != 0) X(s_andn2_b64, A & ~B, R != 0) X(s_orn2_b64, A | ~B, R != 0) X(s_nand_b32, ~(a & b), R != 0) X(s_nor_b32, ~(a | b), R != 0) \
    X(s_xnor_b32, ~(a ^ b), R != 0) X(s_nand_b64, ~(A & B), R != 0) X(s_nor_b64, ~(A | B), R != 0) X(s_xnor_b64, ~(A ^ B), R != 0) X(s_abs_i32, i < 0 ? -a : a, R != 0) \
    X(s_absdiff_i32, (uint32_t)((int64_t)i - j < 0 ? b - a : a - b), R != 0) X(s_bfe_u32, amd_field(A, b, 32), R != 0) X(s_bfe_u64, amd_field(A, b, 64), R != 0) \
    X(s_bfe_i32, (uint32_t)amd_field_sext(A, b, 32), R != 0) X(s_bfe_i64, amd_field_sext(A, b, 64), R != 0) X(s_bfm_b32, ((1u << (a & 31)) - 1) << (b & 31), scc) \
    X(s_bfm_b64, ((UINT64_C(1) << (a & 63)) - 1) << (b & 63), scc) X(s_brev_b32, amd_reverse(a), scc) X(s_bcnt1_i32_b32, (uint32_t)__builtin_popcount(a), R != 0) \
    X(s_bcnt1_i32_b64, (uint32_t)__builtin_popcountll(A), R != 0) X(s_bcnt0_i32_b32, 32 - (uint32_t)__builtin_popcount(a), R != 0) X(s_ff1_i32_b32, a ? (uint32_t)__builtin_ctz(a) : ~0u, scc) \
    X(s_ff1_i32_b64, A ? (uint32_t)__builtin_ctzll(A) : ~0u, scc) X(s_flbit_i32_b32, a ? (uint32_t)__builtin_clz(a) : ~0u, scc) X(s_flbit_i32_b64, A ? (uint32_t)__builtin_clzll(A) : ~0u, scc) \
    X(s_flbit_i32, amd_sign_run(a), scc) X(s_sext_i32_i8, (uint32_t)(int8_t)a, scc) X(s_sext_i32_i16, (uint32_t)(int16_t)a, scc) X(s_bitset0_b32, (uint32_t)old & ~(1u << (a & 31)), scc) \
    X(s_bitset1_b32, (uint32_t)old | 1u << (a & 31), scc) X(s_pack_ll_b32_b16, (a & 0xffff) | b << 16, scc) X(s_pack_lh_b32_b16, (a & 0xffff) | (b & 0xffff0000), scc) \
    X(s_pack_hh_b32_b16, a >> 16 | (b & 0xffff0000), scc) X(s_lshl1_add_u32, (a << 1) + b, ((uint64_t)a * 2 + b) >> 32 != 0) X(s_lshl2_add_u32, (a << 2) + b, ((uint64_t)a * 4 + b) >> 32 != 0) \
    X(s_lshl3_add_u32, (a << 3) + b, ((uint64_t)a * 8 + b) >> 32 != 0) X(s_lshl4_add_u32, (a << 4) + b, ((uint64_t)a * 16 + b) >> 32 != 0)
/* Those with code of their own, and what has no effect here. */
#define AMD_OTHERS(X) \
    X(s_endpgm) X(s_barrier) X(s_waitcnt) X(s_nop) X(s_setprio) X(s_sleep) X(s_branch) X(s_cbranch_execz) X(s_cbranch_execnz) X(s_cbranch_vccz) X(s_cbranch_vccnz) X(s_cbranch_scc0) X(s_cbranch_scc1) \
    X(s_and_saveexec_b64) X(s_or_saveexec_b64) X(s_andn2_saveexec_b64) X(s_xor_saveexec_b64) X(s_andn1_saveexec_b64) X(s_getpc_b64) X(s_memtime) X(s_memrealtime) X(s_bitcmp0_b32) X(s_bitcmp1_b32) X(s_bitcmp1_b64) \
    X(v_nop) X(v_readlane_b32) X(v_readfirstlane_b32) X(v_writelane_b32) X(v_cndmask_b32) X(v_div_scale_f32) X(v_div_scale_f64) X(v_fma_mix_f32) X(v_fma_mixlo_f16) X(v_fma_mixhi_f16) X(v_pk_add_f32) X(v_pk_mul_f32) \
    X(v_pk_fma_f32) X(v_pk_mov_b32) X(v_mad_u64_u32) X(v_mad_i64_i32) X(v_add_co_u32) X(v_addc_co_u32) X(v_sub_co_u32) X(v_subrev_co_u32) X(v_subb_co_u32) X(v_subbrev_co_u32) \
    X(v_cvt_pk_fp8_f32) X(v_cvt_pk_bf8_f32) X(v_cvt_sr_fp8_f32) X(v_cvt_sr_bf8_f32) X(v_cvt_pk_f32_fp8) X(v_cvt_pk_f32_bf8) X(v_swap_b32) \
    X(ds_bpermute_b32) X(ds_permute_b32) X(ds_swizzle_b32) X(buffer_wbl2) X(buffer_inv) X(s_dcache_wb) X(s_dcache_inv) X(s_icache_inv)
/* MEMORY(name behind global_, flat_ or buffer_; what; bytes).  what: 'l' load, 's' signed load, 'h' load to the upper half, 'd' to the lower, 'w' write, 'u' write of the upper half,
 * 'L' load to shared memory, others atomics. */
#define AMD_MEMORIES(X) \
    X(load_ubyte, 'l', 1) X(load_sbyte, 's', 1) X(load_ushort, 'l', 2) X(load_sshort, 's', 2) X(load_dword, 'l', 4) X(load_dwordx2, 'l', 8) X(load_dwordx3, 'l', 12) X(load_dwordx4, 'l', 16) \
    X(load_short_d16, 'd', 2) X(load_short_d16_hi, 'h', 2) X(load_ubyte_d16, 'd', 1) X(load_ubyte_d16_hi, 'h', 1) X(store_byte, 'w', 1) X(store_byte_d16_hi, 'u', 1) X(store_short, 'w', 2) \
    X(store_short_d16_hi, 'u', 2) X(store_dword, 'w', 4) X(store_dwordx2, 'w', 8) X(store_dwordx3, 'w', 12) X(store_dwordx4, 'w', 16) X(load_lds_dword, 'L', 4) X(load_lds_ushort, 'L', 2) X(load_lds_ubyte, 'L', 1) \
    X(atomic_add, '+', 4) X(atomic_sub, '-', 4) X(atomic_swap, '=', 4) X(atomic_cmpswap, '?', 4) X(atomic_and, '&', 4) X(atomic_or, '|', 4) X(atomic_xor, '^', 4) X(atomic_smax, '>', 4) X(atomic_smin, '<', 4) \
    X(atomic_umax, ')', 4) X(atomic_umin, '(', 4) X(atomic_add_f32, 'f', 4) X(atomic_pk_add_f16, 'p', 4) X(atomic_pk_add_bf16, 'b', 4) X(atomic_add_x2, '+', 8) X(atomic_add_f64, 'f', 8)
/* LDS(name behind ds_; what, as above; bytes of one place; places; unit of offsets where there are two). */
#define AMD_LDS(X) \
    X(read_u8, 'l', 1, 1, 1) X(read_i8, 's', 1, 1, 1) X(read_u16, 'l', 2, 1, 1) X(read_i16, 's', 2, 1, 1) X(read_b32, 'l', 4, 1, 1) X(read_b64, 'l', 8, 1, 1) X(read_b96, 'l', 12, 1, 1) X(read_b128, 'l', 16, 1, 1) \
    X(read_u16_d16, 'd', 2, 1, 1) X(read_u16_d16_hi, 'h', 2, 1, 1) X(read_u8_d16, 'd', 1, 1, 1) X(read_u8_d16_hi, 'h', 1, 1, 1) X(read2_b32, 'l', 4, 2, 4) X(read2_b64, 'l', 8, 2, 8) X(read2st64_b32, 'l', 4, 2, 256) \
    X(read2st64_b64, 'l', 8, 2, 512) X(write_b8, 'w', 1, 1, 1) X(write_b8_d16_hi, 'u', 1, 1, 1) X(write_b16, 'w', 2, 1, 1) X(write_b16_d16_hi, 'u', 2, 1, 1) X(write_b32, 'w', 4, 1, 1) X(write_b64, 'w', 8, 1, 1) \
    X(write_b96, 'w', 12, 1, 1) X(write_b128, 'w', 16, 1, 1) X(write2_b32, 'w', 4, 2, 4) X(write2_b64, 'w', 8, 2, 8) X(write2st64_b32, 'w', 4, 2, 256) X(write2st64_b64, 'w', 8, 2, 512) \
    X(add_u32, '+', 4, 1, 1) X(add_rtn_u32, '+', 4, 1, 1) X(sub_u32, '-', 4, 1, 1) X(and_b32, '&', 4, 1, 1) X(or_b32, '|', 4, 1, 1) X(or_rtn_b32, '|', 4, 1, 1) X(xor_b32, '^', 4, 1, 1) X(max_i32, '>', 4, 1, 1) \
    X(min_i32, '<', 4, 1, 1) X(max_u32, ')', 4, 1, 1) X(min_u32, '(', 4, 1, 1) X(max_rtn_u32, ')', 4, 1, 1) X(min_rtn_u32, '(', 4, 1, 1) X(add_f32, 'f', 4, 1, 1) X(add_rtn_f32, 'f', 4, 1, 1) \
    X(wrxchg_rtn_b32, '=', 4, 1, 1) X(cmpst_rtn_b32, '?', 4, 1, 1) X(cmpst_b32, '?', 4, 1, 1) X(add_u64, '+', 8, 1, 1) X(add_rtn_u64, '+', 8, 1, 1)
