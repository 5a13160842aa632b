// Decoding of panels to signed bytes, once for many rows (gemm_many.h), as text for units of 64 bytes (panel16x4) and of 128 (panel16x8). Where a byte holds
// codes of several units, these follow each other from its lowest bits on.
//
// Operations for 16 weights: 4 bits 2, scaled 1.5; 2 bits 2.5, scaled 1.75; 1 bit 2.5 (panel16x4), 2 (panel16x8), or one less.
#ifndef CK_NEON_GEMM_DECODE_H
#define CK_NEON_GEMM_DECODE_H

#include "gemm_many.h"

CK_TARGET_BEGIN(CK_TARGET_NEON)

CK_INLINE void ck_store_weights(int8_t *to, uint8x16_t v) { vst1q_s8(to, vreinterpretq_s8_u8(v)); }

// Bytes of 16 outputs × 32 inputs.
enum { ck_fold_bytes = ck_fold * ck_panel };

CK_INLINE void ck_decode_s4(int is_scaled, size_t unit_bytes, const uint8_t *codes, size_t folds, int8_t *w) {
  const uint8x16_t low = vdupq_n_u8(15), high = vdupq_n_u8(0xF0), offset = vdupq_n_u8(8), flip = vdupq_n_u8(0x88);
  for (size_t left = folds * ck_fold_bytes / (2 * unit_bytes); left > 0; left--, codes += unit_bytes, w += 2 * unit_bytes)
    CK_UNROLL for (size_t i = 0; i < unit_bytes; i += 16) {
      uint8x16_t b = vld1q_u8(codes + i);
      if (is_scaled) {
        b = veorq_u8(b, flip);
        ck_store_weights(w + i, vshlq_n_u8(b, 4));
        ck_store_weights(w + unit_bytes + i, vandq_u8(b, high));
      } else {
        ck_store_weights(w + i, vsubq_u8(vandq_u8(b, low), offset));
        ck_store_weights(w + unit_bytes + i, vsubq_u8(vshrq_n_u8(b, 4), offset));
      }
    }
}

CK_INLINE void ck_decode_s2(int is_scaled, size_t unit_bytes, const uint8_t *codes, size_t folds, int8_t *w) {
  const uint8x16_t low = vdupq_n_u8(3), high = vdupq_n_u8(0xC0), offset = vdupq_n_u8(2), flip = vdupq_n_u8(0xAA);
  for (size_t left = folds * ck_fold_bytes / (4 * unit_bytes); left > 0; left--, codes += unit_bytes, w += 4 * unit_bytes)
    CK_UNROLL for (size_t i = 0; i < unit_bytes; i += 16) {
      uint8x16_t b = vld1q_u8(codes + i);
      if (is_scaled) {
        b = veorq_u8(b, flip);
        ck_store_weights(w + i, vshlq_n_u8(b, 6));
        ck_store_weights(w + unit_bytes + i, vandq_u8(vshlq_n_u8(b, 4), high));
        ck_store_weights(w + 2 * unit_bytes + i, vandq_u8(vshlq_n_u8(b, 2), high));
        ck_store_weights(w + 3 * unit_bytes + i, vandq_u8(b, high));
      } else {
        ck_store_weights(w + i, vsubq_u8(vandq_u8(b, low), offset));
        ck_store_weights(w + unit_bytes + i, vsubq_u8(vandq_u8(vshrq_n_u8(b, 2), low), offset));
        ck_store_weights(w + 2 * unit_bytes + i, vsubq_u8(vandq_u8(vshrq_n_u8(b, 4), low), offset));
        ck_store_weights(w + 3 * unit_bytes + i, vsubq_u8(vshrq_n_u8(b, 6), offset));
      }
    }
}

// −1 where a bit of `mask` is set, else 1. (Clang would turn the two operations into three.)
CK_INLINE uint8x16_t ck_minus_sign(uint8x16_t b, uint8x16_t mask) {
  uint8x16_t is_set = vtstq_u8(b, mask);
  CK_KEEP_VECTOR(is_set);
  return vorrq_u8(is_set, vdupq_n_u8(1));
}

// panel16x4: 16 bytes are 16 outputs × 8 inputs. TBL repeats the byte of an output for its four inputs. −1 where a bit is set, else 1 or, with `zeros`, 0.
CK_INLINE void ck_decode_s1_by_outputs(int zeros, const uint8_t *codes, size_t folds, int8_t *w) {
  const uint8x16_t low = vreinterpretq_u8_u32(vdupq_n_u32(0x08040201)), high = vreinterpretq_u8_u32(vdupq_n_u32(0x80402010));
  const uint8x16_t step = vdupq_n_u8(4), first = vcombine_u8(vcreate_u8(0x0101010100000000), vcreate_u8(0x0303030302020202));
  const uint8x16_t second = vaddq_u8(first, step), third = vaddq_u8(second, step), fourth = vaddq_u8(third, step);
  for (size_t left = folds * 4; left > 0; left--, codes += ck_panel, w += 8 * ck_panel) {
    uint8x16_t b = vld1q_u8(codes), v[4] = {vqtbl1q_u8(b, first), vqtbl1q_u8(b, second), vqtbl1q_u8(b, third), vqtbl1q_u8(b, fourth)};
    CK_UNROLL for (size_t i = 0; i < 4; i++) {
      ck_store_weights(w + 16 * i, (zeros ? vtstq_u8 : ck_minus_sign)(v[i], low));
      ck_store_weights(w + 64 + 16 * i, (zeros ? vtstq_u8 : ck_minus_sign)(v[i], high));
    }
  }
}

// panel16x8: a byte has the bits of eight units.
CK_INLINE void ck_decode_s1_by_units(int zeros, size_t unit_bytes, const uint8_t *codes, size_t folds, int8_t *w) {
  for (size_t left = folds * ck_fold_bytes / (8 * unit_bytes); left > 0; left--, codes += unit_bytes, w += 8 * unit_bytes)
    CK_UNROLL for (size_t i = 0; i < unit_bytes; i += 16) {
      uint8x16_t b = vld1q_u8(codes + i);
      CK_UNROLL for (size_t unit = 0; unit < 8; unit++)
        ck_store_weights(w + unit * unit_bytes + i, (zeros ? vtstq_u8 : ck_minus_sign)(b, vdupq_n_u8((uint8_t)(1 << unit))));
    }
}

CK_TARGET_END

#endif
