// Packing into panel16x4 with AVX2: 16 rows of 64 codes are four matrices of 8×8 units of four codes, transposed in registers.
// Limit: the shuffles, 24 on one port for 256 codes: 1.6 M cycles for 4096×4096. Sums are 36 operations for 512 codes.
#if defined(__x86_64__)
#include "../gemm/pack_panel16.h"

#include "../x86_intrinsics.h"

#include "instruction_sets.h"
#include "kernels.h"

CK_TARGET_BEGIN(CK_TARGET_AVX2)

CK_INLINE __m256i load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
CK_INLINE void store(void *p, __m256i v) { _mm256_storeu_si256((__m256i *)p, v); }

// Eight rows of 32 codes: half of eight units.
CK_INLINE void half_units(const int8_t *rows, size_t stride, uint8_t *units) {
  __m256i r[8], t[8];
  CK_UNROLL for (int i = 0; i < 8; i++) r[i] = load(rows + (size_t)i * stride);
  CK_UNROLL for (int i = 0; i < 4; i++) {
    t[2 * i] = _mm256_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
  CK_UNROLL for (int i = 0; i < 8; i += 4) {
    r[i] = _mm256_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm256_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm256_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm256_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  CK_UNROLL for (int j = 0; j < 4; j++) {
    store(units + 64 * j, _mm256_permute2x128_si256(r[j], r[4 + j], 0x20));
    store(units + 64 * (4 + j), _mm256_permute2x128_si256(r[j], r[4 + j], 0x31));
  }
}

static void units_of_rows(const int8_t *rows, size_t stride, uint8_t *units) {
  for (size_t half = 0; half < 2; half++) {
    half_units(rows + 8 * half * stride, stride, units + 32 * half);
    half_units(rows + 8 * half * stride + 32, stride, units + 32 * half + 512);
  }
}

static void add_fold(const uint8_t *units, const int8_t *multipliers, int32_t *sums) {
  const __m256i ones = _mm256_set1_epi8(1);
  for (int half = 0; half < 2; half++, units += 32, sums += 8) {
    __m256i pairs = _mm256_maddubs_epi16(ones, load(units));  // |sum| ≤ 8 · 2 · 128
    CK_UNROLL for (int t = 1; t < ck_fold / 4; t++) pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(ones, load(units + 64 * t)));
    __m256i sum = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    if (multipliers != NULL) {
      __m128i packed = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)multipliers), 0xD8);
      sum = _mm256_mullo_epi32(sum, _mm256_cvtepi8_epi32(half == 0 ? packed : _mm_unpackhi_epi64(packed, packed)));
    }
    store(sums, _mm256_add_epi32(load(sums), sum));
  }
}

static const ck_panel16_steps steps = {units_of_rows, add_fold};

CK_DEFINE_PACK_PANEL16(8, __avx2, &steps)
CK_DEFINE_PACK_PANEL16(4, __avx2, &steps)
CK_DEFINE_PACK_PANEL16(2, __avx2, &steps)
CK_DEFINE_PACK_PANEL16(1, __avx2, &steps)

CK_TARGET_END
#endif
