// The intrinsics of x86 that the kernels use, in plain C: by SIMDe (https://github.com/simd-everywhere/simde, Debian's libsimde-dev), which knows those of
// SSE to AVX512 under their own names. What its release 0.7.4 lacks, or does otherwise than processors do, is here; `EMULATE=1 Scripts/ckernels-check.sh`
// prints these names.
#ifndef CK_EMULATED_INTRINSICS_H
#define CK_EMULATED_INTRINSICS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif
#define SIMDE_ENABLE_NATIVE_ALIASES
#define __m128bh ck_simde_m128bh  // SIMDe's and compilers' headers of SSE2 define it, each otherwise
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>
#undef __m128bh

// Constants that have no alias.
#if !defined(_MM_FROUND_NO_EXC)
#define _MM_FROUND_NO_EXC SIMDE_MM_FROUND_NO_EXC
#endif
#if !defined(_CMP_GE_OQ)
#define _CMP_GE_OQ SIMDE_CMP_GE_OQ
#endif

typedef simde__mmask8 __mmask8;
typedef simde__mmask16 __mmask16;
typedef simde__mmask32 __mmask32;
typedef simde__mmask64 __mmask64;

#include "scalar.h"

#define CK_EMULATED static inline __attribute__((unused))

// result name(vector x): each of `count` lanes of x, as `in`, makes a lane of the result, `out`.
#define CK_EMULATED_LANES(name, result, out, vector, in, count, expression)   \
  CK_EMULATED result name(vector x) {                                         \
    in from[sizeof(vector) / sizeof(in)];                                     \
    out to[count];                                                            \
    result r;                                                                 \
    memcpy(from, &x, sizeof x);                                               \
    for (int i = 0; i < (count); i++) to[i] = (out)(expression);              \
    memcpy(&r, to, sizeof r);                                                 \
    return r;                                                                 \
  }
// Lanes whose bit in the mask is set are loaded or stored; others are those of `other`, and their memory is not touched.
#define CK_EMULATED_LOAD(name, vector, lane)                                                        \
  CK_EMULATED vector name(vector other, uint64_t mask, const void *p) {                             \
    lane v[sizeof(vector) / sizeof(lane)];                                                          \
    memcpy(v, &other, sizeof v);                                                                    \
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)                                               \
      if (mask >> i & 1) memcpy(v + i, (const char *)p + i * sizeof(lane), sizeof(lane));           \
    memcpy(&other, v, sizeof v);                                                                    \
    return other;                                                                                   \
  }
#define CK_EMULATED_STORE(name, vector, lane)                                                       \
  CK_EMULATED void name(void *p, uint64_t mask, vector x) {                                         \
    lane v[sizeof(vector) / sizeof(lane)];                                                          \
    memcpy(v, &x, sizeof v);                                                                        \
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)                                               \
      if (mask >> i & 1) memcpy((char *)p + i * sizeof(lane), v + i, sizeof(lane));                 \
  }
// Lanes of x, halved until one is left: the order of compilers.
#define CK_EMULATED_REDUCE(name, vector, lane, expression)                    \
  CK_EMULATED lane name(vector x) {                                           \
    lane v[sizeof(vector) / sizeof(lane)];                                    \
    memcpy(v, &x, sizeof v);                                                  \
    for (int half = (int)(sizeof v / sizeof *v) / 2; half > 0; half /= 2)     \
      for (int i = 0; i < half; i++) {                                        \
        lane a = v[i], b = v[i + half];                                       \
        v[i] = (expression);                                                  \
      }                                                                       \
    return v[0];                                                              \
  }

// ---- Conversions

// To nearest, as MXCSR says by default; 0x80000000 for what int32 does not hold.
CK_EMULATED int32_t ck_emulated_s32(float x) {
  float rounded = nearbyintf(x);
  return rounded >= -0x1p31f && rounded < 0x1p31f ? (int32_t)rounded : INT32_MIN;
}
CK_EMULATED_LANES(ck_emulated_cvtepi32_ps, __m512, float, __m512i, int32_t, 16, from[i])
CK_EMULATED_LANES(ck_emulated_cvtepi8_epi32, __m512i, int32_t, __m128i, int8_t, 16, from[i])
CK_EMULATED_LANES(ck_emulated_cvtepu8_epi32, __m512i, int32_t, __m128i, uint8_t, 16, from[i])
CK_EMULATED_LANES(ck_emulated_cvtepu16_epi32, __m512i, int32_t, __m256i, uint16_t, 16, from[i])
CK_EMULATED_LANES(ck_emulated_cvtepi32_epi16, __m256i, int16_t, __m512i, int32_t, 16, from[i])
CK_EMULATED_LANES(ck_emulated_cvtepi32_epi8, __m128i, int8_t, __m512i, int32_t, 16, from[i])
CK_EMULATED_LANES(ck_emulated_cvtps_epi32, __m512i, int32_t, __m512, float, 16, ck_emulated_s32(from[i]))
CK_EMULATED_LANES(ck_emulated_cvtph_ps, __m512, float, __m256i, uint16_t, 16, ck_f32_from_f16(from[i]))
CK_EMULATED_LANES(ck_emulated_cvtps_ph, __m256i, uint16_t, __m512, float, 16, ck_f16_from_f32(from[i]))
// SIMDe rounds halves otherwise, and payloads of NaNs.
CK_EMULATED_LANES(ck_emulated_256_cvtph_ps, __m256, float, __m128i, uint16_t, 8, ck_f32_from_f16(from[i]))
CK_EMULATED_LANES(ck_emulated_256_cvtps_ph, __m128i, uint16_t, __m256, float, 8, ck_f16_from_f32(from[i]))
#undef _mm256_cvtph_ps
#define _mm256_cvtph_ps(x) ck_emulated_256_cvtph_ps(x)
#undef _mm256_cvtps_ph
#define _mm256_cvtps_ph(x, rounding) ck_emulated_256_cvtps_ph(x)

#undef _mm512_cvtepi32_ps
#define _mm512_cvtepi32_ps(x) ck_emulated_cvtepi32_ps(x)
#undef _mm512_cvtepi8_epi32
#define _mm512_cvtepi8_epi32(x) ck_emulated_cvtepi8_epi32(x)
#undef _mm512_cvtepu8_epi32
#define _mm512_cvtepu8_epi32(x) ck_emulated_cvtepu8_epi32(x)
#undef _mm512_cvtepu16_epi32
#define _mm512_cvtepu16_epi32(x) ck_emulated_cvtepu16_epi32(x)
#undef _mm512_cvtepi32_epi16
#define _mm512_cvtepi32_epi16(x) ck_emulated_cvtepi32_epi16(x)
#undef _mm512_cvt_roundps_epi32
#define _mm512_cvt_roundps_epi32(x, rounding) ck_emulated_cvtps_epi32(x)
#undef _mm512_maskz_cvt_roundps_epi32
#define _mm512_maskz_cvt_roundps_epi32(mask, x, rounding) _mm512_maskz_mov_epi32(mask, ck_emulated_cvtps_epi32(x))
#undef _mm512_cvtph_ps
#define _mm512_cvtph_ps(x) ck_emulated_cvtph_ps(x)
#undef _mm512_cvtps_ph
#define _mm512_cvtps_ph(x, rounding) ck_emulated_cvtps_ph(x)

// ---- Loads and stores

CK_EMULATED_LOAD(ck_emulated_load16x8, __m128i, int8_t)
CK_EMULATED_LOAD(ck_emulated_load16x16, __m256i, int16_t)
CK_EMULATED_LOAD(ck_emulated_load64x8, __m512i, int8_t)
CK_EMULATED_LOAD(ck_emulated_load16x32, __m512i, int32_t)
CK_EMULATED_LOAD(ck_emulated_load4_ps, __m128, float)
CK_EMULATED_LOAD(ck_emulated_load16_ps, __m512, float)
CK_EMULATED_STORE(ck_emulated_store16x8, __m128i, int8_t)
CK_EMULATED_STORE(ck_emulated_store16x16, __m256i, int16_t)
CK_EMULATED_STORE(ck_emulated_store8x32, __m256i, int32_t)
CK_EMULATED_STORE(ck_emulated_store64x8, __m512i, int8_t)
CK_EMULATED_STORE(ck_emulated_store16x32, __m512i, int32_t)
CK_EMULATED_STORE(ck_emulated_store4_ps, __m128, float)
CK_EMULATED_STORE(ck_emulated_store16_ps, __m512, float)

#undef _mm_maskz_loadu_epi8
#define _mm_maskz_loadu_epi8(mask, p) ck_emulated_load16x8(_mm_setzero_si128(), mask, p)
#undef _mm_maskz_loadu_ps
#define _mm_maskz_loadu_ps(mask, p) ck_emulated_load4_ps(_mm_setzero_ps(), mask, p)
#undef _mm256_maskz_loadu_epi16
#define _mm256_maskz_loadu_epi16(mask, p) ck_emulated_load16x16(_mm256_setzero_si256(), mask, p)
#undef _mm512_mask_loadu_epi8
#define _mm512_mask_loadu_epi8(other, mask, p) ck_emulated_load64x8(other, mask, p)
#undef _mm512_maskz_loadu_epi8
#define _mm512_maskz_loadu_epi8(mask, p) ck_emulated_load64x8(_mm512_setzero_si512(), mask, p)
#undef _mm512_maskz_loadu_epi32
#define _mm512_maskz_loadu_epi32(mask, p) ck_emulated_load16x32(_mm512_setzero_si512(), mask, p)
#undef _mm512_maskz_loadu_ps
#define _mm512_maskz_loadu_ps(mask, p) ck_emulated_load16_ps(_mm512_setzero_ps(), mask, p)
#undef _mm_mask_storeu_epi8
#define _mm_mask_storeu_epi8(p, mask, x) ck_emulated_store16x8(p, mask, x)
#undef _mm_mask_storeu_ps
#define _mm_mask_storeu_ps(p, mask, x) ck_emulated_store4_ps(p, mask, x)
#undef _mm256_mask_storeu_epi16
#define _mm256_mask_storeu_epi16(p, mask, x) ck_emulated_store16x16(p, mask, x)
#undef _mm256_mask_storeu_epi32
#define _mm256_mask_storeu_epi32(p, mask, x) ck_emulated_store8x32(p, mask, x)
#undef _mm512_mask_storeu_epi8
#define _mm512_mask_storeu_epi8(p, mask, x) ck_emulated_store64x8(p, mask, x)
#undef _mm512_mask_storeu_epi32
#define _mm512_mask_storeu_epi32(p, mask, x) ck_emulated_store16x32(p, mask, x)
#undef _mm512_mask_storeu_ps
#define _mm512_mask_storeu_ps(p, mask, x) ck_emulated_store16_ps(p, mask, x)
#undef _mm512_mask_cvtepi32_storeu_epi8
#define _mm512_mask_cvtepi32_storeu_epi8(p, mask, x) ck_emulated_store16x8(p, mask, ck_emulated_cvtepi32_epi8(x))
#undef _mm512_stream_si512
#define _mm512_stream_si512(p, x) _mm512_store_si512(p, x)

// SIMDe reads all lanes.
CK_EMULATED __m256 ck_emulated_maskload(const void *p, __m256i mask) {
  int32_t m[8], v[8] = {0};
  __m256 r;
  memcpy(m, &mask, sizeof m);
  for (int i = 0; i < 8; i++)
    if (m[i] < 0) memcpy(v + i, (const char *)p + 4 * i, 4);
  memcpy(&r, v, sizeof r);
  return r;
}
#undef _mm256_maskload_ps
#define _mm256_maskload_ps(p, mask) ck_emulated_maskload(p, mask)

// Lanes of the mask from p + scale · index: other memory is not touched.
CK_EMULATED __m512i ck_emulated_gather(__m512i other, uint64_t mask, __m512i indices, const void *p, int scale) {
  int32_t v[16], at[16];
  memcpy(v, &other, sizeof v);
  memcpy(at, &indices, sizeof at);
  for (int i = 0; i < 16; i++)
    if (mask >> i & 1) memcpy(v + i, (const char *)p + (ptrdiff_t)at[i] * scale, 4);
  memcpy(&other, v, sizeof v);
  return other;
}
#undef _mm512_mask_i32gather_epi32
#define _mm512_mask_i32gather_epi32(other, mask, indices, p, scale) ck_emulated_gather(other, mask, indices, p, scale)
#undef _mm512_mask_i32gather_ps
#define _mm512_mask_i32gather_ps(other, mask, indices, p, scale) \
  _mm512_castsi512_ps(ck_emulated_gather(_mm512_castps_si512(other), mask, indices, p, scale))

// ---- Lanes

CK_EMULATED_REDUCE(ck_emulated_reduce_add_ps, __m512, float, a + b)
CK_EMULATED_REDUCE(ck_emulated_reduce_min_ps, __m512, float, a < b ? a : b)
CK_EMULATED_REDUCE(ck_emulated_reduce_max_ps, __m512, float, a > b ? a : b)
CK_EMULATED_REDUCE(ck_emulated_reduce_add_epi32, __m512i, uint32_t, a + b)
#undef _mm512_reduce_add_ps
#define _mm512_reduce_add_ps(x) ck_emulated_reduce_add_ps(x)
#undef _mm512_reduce_min_ps
#define _mm512_reduce_min_ps(x) ck_emulated_reduce_min_ps(x)
#undef _mm512_reduce_max_ps
#define _mm512_reduce_max_ps(x) ck_emulated_reduce_max_ps(x)
#undef _mm512_reduce_add_epi32
#define _mm512_reduce_add_epi32(x) ((int32_t)ck_emulated_reduce_add_epi32(x))

// Quarters of 128 bits: two of a, two of b.
CK_EMULATED __m512i ck_emulated_quarters(__m512i a, __m512i b, int which) {
  uint64_t from[16], to[8];
  memcpy(from, &a, sizeof a);
  memcpy(from + 8, &b, sizeof b);
  for (int i = 0; i < 8; i++) to[i] = from[(i < 4 ? 0 : 8) + 2 * (which >> (i / 2 * 2) & 3) + i % 2];
  memcpy(&a, to, sizeof a);
  return a;
}
#undef _mm512_shuffle_i64x2
#define _mm512_shuffle_i64x2(a, b, which) ck_emulated_quarters(a, b, which)
#undef _mm512_shuffle_f32x4
#define _mm512_shuffle_f32x4(a, b, which) \
  _mm512_castsi512_ps(ck_emulated_quarters(_mm512_castps_si512(a), _mm512_castps_si512(b), which))

CK_EMULATED __m256 ck_emulated_half(__m512 x, int which) {
  __m256 halves[2];
  memcpy(halves, &x, sizeof x);
  return halves[which];
}
CK_EMULATED __m512 ck_emulated_zext(const void *x, size_t bytes) {
  __m512 r = _mm512_setzero_ps();
  memcpy(&r, x, bytes);
  return r;
}
CK_EMULATED __m512 ck_emulated_zext128(__m128 x) { return ck_emulated_zext(&x, sizeof x); }
CK_EMULATED __m512 ck_emulated_zext256(__m256 x) { return ck_emulated_zext(&x, sizeof x); }
#undef _mm512_extractf32x8_ps
#define _mm512_extractf32x8_ps(x, which) ck_emulated_half(x, which)
#undef _mm512_zextps128_ps512
#define _mm512_zextps128_ps512(x) ck_emulated_zext128(x)
#undef _mm512_zextps256_ps512
#define _mm512_zextps256_ps512(x) ck_emulated_zext256(x)

// ---- Arithmetic

CK_EMULATED __m512i ck_emulated_srai_epi32(__m512i x, int count) {
  int32_t v[16];
  memcpy(v, &x, sizeof v);
  for (int i = 0; i < 16; i++) v[i] >>= count < 31 ? count : 31;
  memcpy(&x, v, sizeof v);
  return x;
}
#undef _mm512_madd_epi16
#define _mm512_madd_epi16(a, b) simde_mm512_madd_epi16(a, b)  // its alias has four parameters
#undef _mm512_srai_epi32
#define _mm512_srai_epi32(x, count) ck_emulated_srai_epi32(x, (int)(count))
#undef _mm512_mask_cmp_ps_mask
#define _mm512_mask_cmp_ps_mask(mask, a, b, predicate) ((__mmask16)((mask) & _mm512_cmp_ps_mask(a, b, predicate)))
#undef _mm_dpbusd_avx_epi32
#define _mm_dpbusd_avx_epi32(sums, a, b) _mm_dpbusd_epi32(sums, a, b)
#undef _mm256_dpbusd_avx_epi32
#define _mm256_dpbusd_avx_epi32(sums, a, b) _mm256_dpbusd_epi32(sums, a, b)
#undef _mm256_dpwssd_avx_epi32
#define _mm256_dpwssd_avx_epi32(sums, a, b) _mm256_dpwssd_epi32(sums, a, b)

// SIMDe rounds the product and the sum; processors round once.
#define CK_EMULATED_FMA(name, vector)                                                     \
  CK_EMULATED vector name(vector a, vector b, vector c) {                                 \
    float x[sizeof a / 4], y[sizeof a / 4], z[sizeof a / 4];                              \
    memcpy(x, &a, sizeof a);                                                              \
    memcpy(y, &b, sizeof b);                                                              \
    memcpy(z, &c, sizeof c);                                                              \
    for (size_t i = 0; i < sizeof a / 4; i++) z[i] = fmaf(x[i], y[i], z[i]);              \
    memcpy(&c, z, sizeof c);                                                              \
    return c;                                                                             \
  }
CK_EMULATED_FMA(ck_emulated_fmadd4, __m128)
CK_EMULATED_FMA(ck_emulated_fmadd8, __m256)
CK_EMULATED_FMA(ck_emulated_fmadd16, __m512)
#undef _mm_fmadd_ps
#define _mm_fmadd_ps(a, b, c) ck_emulated_fmadd4(a, b, c)
#undef _mm256_fmadd_ps
#define _mm256_fmadd_ps(a, b, c) ck_emulated_fmadd8(a, b, c)
#undef _mm512_fmadd_ps
#define _mm512_fmadd_ps(a, b, c) ck_emulated_fmadd16(a, b, c)

// vdpbf16ps: fma of the odd, then of the even product, to nearest, subnormals flushed whatever MXCSR says.
CK_EMULATED __m512 ck_emulated_dpbf16(__m512 sum, __m512i x, __m512i w) {
  unsigned control = _mm_getcsr();
  _mm_setcsr(0x1F80u /* masks */ | 1u << 15 /* FTZ */ | 1u << 6 /* DAZ */);
  __asm__ volatile("" : "+m"(sum), "+m"(x), "+m"(w));
  float s[16];
  uint16_t a[32], b[32];
  memcpy(s, &sum, sizeof s);
  memcpy(a, &x, sizeof a);
  memcpy(b, &w, sizeof b);
  for (int i = 0; i < 16; i++)
    for (int odd = 1; odd >= 0; odd--) s[i] = fmaf(ck_f32_from_bf16(a[2 * i + odd]), ck_f32_from_bf16(b[2 * i + odd]), s[i]);
  memcpy(&sum, s, sizeof s);
  __asm__ volatile("" : "+m"(sum));
  _mm_setcsr(control);
  return sum;
}
#define CK_DPBF16(sum, x, w) ((sum) = ck_emulated_dpbf16(sum, x, w))

#endif
