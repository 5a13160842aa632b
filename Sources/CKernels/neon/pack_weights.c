// Packing into panel16x4 with NEON: 16 rows of 64 codes are 16 matrices of 4×4 units of four codes, transposed in registers.
// Limit: 8 TRN for 64 codes. Sums are 36 additions of pairs for 512 codes.
#if defined(__aarch64__)
#include "../gemm/pack_panel16.h"

#include "kernels.h"
#include "transpose.h"

CK_TARGET_BEGIN(CK_TARGET_NEON)

// Four rows at a time, each line of them read whole: lines of rows that lie a multiple of 4 KiB apart put each other out of L1.
static void units_of_rows(const int8_t *rows, size_t stride, uint8_t *units) {
  for (size_t first = 0; first < ck_panel; first += 4, rows += 4 * stride, units += 16) {
    CK_UNROLL for (size_t k = 0; k < ck_stripe; k += 16) {
      uint32x4_t v[4];
      CK_UNROLL for (size_t r = 0; r < 4; r++) v[r] = vreinterpretq_u32_s8(vld1q_s8(rows + r * stride + k));
      ck_transpose4(v);
      CK_UNROLL for (size_t t = 0; t < 4; t++) vst1q_u8(units + 16 * k + 64 * t, vreinterpretq_u8_u32(v[t]));
    }
  }
}

// Pairs of a fold in int16: |sum| ≤ 8 · 2 · 128.
CK_INLINE int32x4_t sums_of(const int8_t *units) {
  int16x8_t pairs = vpaddlq_s8(vld1q_s8(units));
  CK_UNROLL for (int t = 1; t < ck_fold / 4; t++) pairs = vpadalq_s8(pairs, vld1q_s8(units + 64 * t));
  return vpaddlq_s16(pairs);
}

static void add_fold(const uint8_t *units, const int8_t *multipliers, int32_t *sums) {
  int32x4_t factors[4];
  if (multipliers != NULL) {
    int8x16_t m = vld1q_s8(multipliers);
    int16x8_t half[2] = {vmovl_s8(vget_low_s8(m)), vmovl_high_s8(m)};  // of outputs 0–3 and 8–11, 4–7 and 12–15
    CK_UNROLL for (int i = 0; i < 2; i++) factors[i] = vmovl_s16(vget_low_s16(half[i])), factors[2 + i] = vmovl_high_s16(half[i]);
  }
  CK_UNROLL for (int i = 0; i < 4; i++) {
    int32x4_t sum = sums_of((const int8_t *)units + 16 * i), before = vld1q_s32(sums + 4 * i);
    vst1q_s32(sums + 4 * i, multipliers == NULL ? vaddq_s32(before, sum) : vmlaq_s32(before, sum, factors[i]));
  }
}

static const ck_panel16_steps steps = {units_of_rows, add_fold};

CK_DEFINE_PACK_PANEL16(8, __neon, &steps)
CK_DEFINE_PACK_PANEL16(4, __neon, &steps)
CK_DEFINE_PACK_PANEL16(2, __neon, &steps)
CK_DEFINE_PACK_PANEL16(1, __neon, &steps)

CK_TARGET_END
#endif
