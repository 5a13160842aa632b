// Packed weights of panel16x4 as bytes, code + offset.
#ifndef CK_AVX512VNNI_GEMM_DECODE_H
#define CK_AVX512VNNI_GEMM_DECODE_H

#include "gemm_many.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512VNNI)

// How many units tiles decode at a time: those of 64 bytes of codes, of 1 bit those of 16.
CK_INLINE int ck_units_at_once(ck_weight_source source) { return source == ck_codes_s2 ? 4 : 2; }
CK_INLINE size_t ck_unit_code_bytes(ck_weight_source source) {
  return (size_t)ck_unit_bytes / (source == ck_codes_s4 ? 2u : source == ck_codes_s2 ? 4u : source == ck_codes_s1 ? 8u : 1u);
}

// Unit u of those at `w`. Per unit: 1.5 operations for 4 bits, 1.75 for 2, 2 for 1: there a nibble looks up four bytes of 0 and 2, and vpermd
// reads but the low four bits of each lane.
CK_INLINE __m512i ck_unit(ck_weight_source source, const uint8_t *w, int u) {
  const __m512i nibbles =
      _mm512_setr_epi32(0x00000000, 0x00000002, 0x00000200, 0x00000202, 0x00020000, 0x00020002, 0x00020200, 0x00020202, 0x02000000, 0x02000002,
                        0x02000200, 0x02000202, 0x02020000, 0x02020002, 0x02020200, 0x02020202);
  if (source == ck_codes_s1) {
    __m512i v = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)(w + u / 2 * ck_panel)));
    return _mm512_permutexvar_epi32(u % 2 == 0 ? v : _mm512_srli_epi32(v, 4), nibbles);
  }
  if (source == ck_weights_s8 || source == ck_weights_u8) return ck_load64(w + u * ck_unit_bytes);
  int bits = source == ck_codes_s4 ? 4 : 2, units = 8 / bits, shift = u % units * bits;
  __m512i v = ck_load64(w + u / units * ck_unit_bytes);
  if (shift > 0) v = _mm512_srli_epi32(v, (unsigned)shift);
  return _mm512_and_si512(v, _mm512_set1_epi8((char)((1 << bits) - 1)));
}

// The units u of the panels of a tile; units that had to be decoded go to t->decoded, `at` bytes from its start.
CK_INLINE void ck_units(ck_weight_source source, int P, const ck_tile *t, const uint8_t *w, int u, size_t at, __m512i units[ck_tile_panels]) {
  CK_UNROLL for (int p = 0; p < P; p++) {
    units[p] = ck_unit(source, w + (size_t)p * t->w_stride, u);
    if (source != ck_weights_s8 && source != ck_weights_u8) ck_store64(t->decoded[p] + (at & t->decoded_mask) + u * ck_unit_bytes, units[p]);
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
