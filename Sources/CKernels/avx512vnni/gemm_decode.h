// Packed weights of panel16x4 to bytes, code + offset: units of 16 outputs × 4 inputs.
#ifndef CK_AVX512VNNI_GEMM_DECODE_H
#define CK_AVX512VNNI_GEMM_DECODE_H

#include "../avx512/simd.h"
#include "gemm_many.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512VNNI)

// 64 bytes of 4-bit codes are units t and t + 1.
static void ck_decode_s4(const uint8_t *codes, size_t folds, uint8_t *to) {
  const __m512i mask = _mm512_set1_epi8(15);
  for (size_t i = 0; i < folds * (ck_fold_units / 2); i++, codes += ck_unit_bytes, to += 2 * ck_unit_bytes) {
    __m512i v = ck_load64(codes);
    ck_store64(to, _mm512_and_si512(v, mask));
    ck_store64(to + ck_unit_bytes, _mm512_and_si512(_mm512_srli_epi16(v, 4), mask));
  }
}

// 64 bytes of 2-bit codes are four units.
static void ck_decode_s2(const uint8_t *codes, size_t folds, uint8_t *to) {
  const __m512i mask = _mm512_set1_epi8(3);
  for (size_t i = 0; i < folds * (ck_fold_units / 4); i++, codes += ck_unit_bytes, to += 4 * ck_unit_bytes) {
    __m512i v = ck_load64(codes);
    ck_store64(to, _mm512_and_si512(v, mask));
    ck_store64(to + ck_unit_bytes, _mm512_and_si512(_mm512_srli_epi16(v, 2), mask));
    ck_store64(to + 2 * ck_unit_bytes, _mm512_and_si512(_mm512_srli_epi16(v, 4), mask));
    ck_store64(to + 3 * ck_unit_bytes, _mm512_and_si512(_mm512_srli_epi16(v, 6), mask));
  }
}

// 16 bytes of 1-bit codes are two units: each nibble looks up four bytes of 0 and 2, and vpermd reads the low four bits of a lane alone.
static void ck_decode_s1(const uint8_t *codes, size_t folds, uint8_t *to) {
  const __m512i table = _mm512_setr_epi32(0x00000000, 0x00000002, 0x00000200, 0x00000202, 0x00020000, 0x00020002, 0x00020200, 0x00020202,
                                          0x02000000, 0x02000002, 0x02000200, 0x02000202, 0x02020000, 0x02020002, 0x02020200, 0x02020202);
  for (size_t i = 0; i < folds * (ck_fold_units / 2); i++, codes += ck_panel, to += 2 * ck_unit_bytes) {
    __m512i v = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)codes));
    ck_store64(to, _mm512_permutexvar_epi32(v, table));
    ck_store64(to + ck_unit_bytes, _mm512_permutexvar_epi32(_mm512_srli_epi32(v, 4), table));
  }
}

// The multipliers of a group and panel, an int32 each, in the order of the outputs.
CK_INLINE __m512i ck_group_multipliers(const ck_gemm_weights *w, size_t panel, size_t group) {
  const int8_t *from = w->multipliers + (panel * ck_gemm_groups(w->inputs, w->group) + group) * ck_panel;
  __m128i packed = _mm_loadu_si128((const __m128i *)(const void *)from);
  return _mm512_cvtepi8_epi32(_mm_shuffle_epi32(packed, _MM_SHUFFLE(3, 1, 2, 0)));
}

CK_TARGET_END

#endif
