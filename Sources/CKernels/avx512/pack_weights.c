// Packing into panel16x4 with AVX512: 16 rows of 64 codes are a matrix of 16×16 units of four codes, transposed in registers.
// Limit: the shuffles, 64 on one port for 1,024 codes: 1 M cycles for 4096×4096 (0.4 ms at 2.6 GHz); copying units one by one takes four times as
// long. Sums are 20 operations for 512 codes. So what is left is writing: pages that are new are cleared first.
#if defined(__x86_64__)
#include "../gemm/pack_panel16.h"

#include "kernels.h"
#include "simd.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512)

static void units_of_rows(const int8_t *rows, size_t stride, uint8_t *units) {
  __m512i r[16], t[16];
  CK_UNROLL for (int i = 0; i < 16; i++) r[i] = ck_load64(rows + (size_t)i * stride);
  // Within lanes of 128 bits: pairs of rows, then fours; r[4·i + j] has unit 4·lane + j of rows 4·i … 4·i + 3.
  CK_UNROLL for (int i = 0; i < 8; i++) {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
  CK_UNROLL for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  // Then the lanes: a 4×4 transposition for each j.
  CK_UNROLL for (int j = 0; j < 4; j++) {
    __m512i low02 = _mm512_shuffle_i32x4(r[j], r[4 + j], 0x88), low13 = _mm512_shuffle_i32x4(r[j], r[4 + j], 0xDD);
    __m512i high02 = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0x88), high13 = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0xDD);
    ck_store64(units + 64 * j, _mm512_shuffle_i32x4(low02, high02, 0x88));
    ck_store64(units + 64 * (4 + j), _mm512_shuffle_i32x4(low13, high13, 0x88));
    ck_store64(units + 64 * (8 + j), _mm512_shuffle_i32x4(low02, high02, 0xDD));
    ck_store64(units + 64 * (12 + j), _mm512_shuffle_i32x4(low13, high13, 0xDD));
  }
}

static void add_fold(const uint8_t *units, const int8_t *multipliers, int32_t *sums) {
  const __m512i ones = _mm512_set1_epi8(1);
  __m512i pairs = _mm512_maddubs_epi16(ones, ck_load64(units));  // |sum| ≤ 8 · 2 · 128
  CK_UNROLL for (int t = 1; t < ck_fold / 4; t++) pairs = _mm512_add_epi16(pairs, _mm512_maddubs_epi16(ones, ck_load64(units + 64 * t)));
  __m512i sum = _mm512_madd_epi16(pairs, _mm512_set1_epi16(1));
  if (multipliers != NULL) {
    __m128i packed = _mm_loadu_si128((const __m128i *)(const void *)multipliers);
    sum = _mm512_mullo_epi32(sum, _mm512_cvtepi8_epi32(_mm_shuffle_epi32(packed, 0xD8)));
  }
  ck_store64(sums, _mm512_add_epi32(ck_load64(sums), sum));
}

static const ck_panel16_steps steps = {units_of_rows, add_fold};

CK_DEFINE_PACK_PANEL16(8, __avx512, &steps)
CK_DEFINE_PACK_PANEL16(4, __avx512, &steps)
CK_DEFINE_PACK_PANEL16(2, __avx512, &steps)
CK_DEFINE_PACK_PANEL16(1, __avx512, &steps)

CK_TARGET_END
#endif
