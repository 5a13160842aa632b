// Tiles of gemm_blocks.h with 512 bits, for AVX512 without VNNI: 8 rows × 16 outputs (8 accumulators, weights, activation, product). Layout, unsafe
// pairs, proof of exactness: AVX2's, in that header.
//
// Limit: 64 products take vpmaddubsw, vpmaddwd and vpaddd, with 4 and 2 bits vpmaddubsw and vpaddw, at two operations of 512 bits a cycle: 1.5 cycles
// and 1. AVX2 takes six and four operations, of which four and two are multiplications with two ports, at three a cycle: 2 and 1.33. So 1.33 ×.
// Measured on a Sapphire Rapids, 256×1024×1024 with quantizing, GOP/s, AVX2 and this: 8 bits 158, 215; 7 × 8 167, 234; 4 bits 235, 324 (groups of 32
// 235, 322); 2 bits 244, 333. 16×4096×4096: 120, 156; 166, 241; 213, 282 (206, 272); 231, 304.
#if defined(__x86_64__)
#include "kernels.h"
#include "simd.h"

enum { tile_rows = 8 };
#include "../avx2/gemm_blocks.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512)

CK_INLINE void tile_folded(int R, int units, const uint8_t *x, const int8_t *w, const int16_t (*multipliers)[2][ck_panel], size_t folds,
                           int32_t (*sums)[ck_panel]) {
  for (size_t fold = 0; fold < folds; fold++) {
    __m512i c[tile_rows];
    CK_UNROLL for (int r = 0; r < R; r++) c[r] = _mm512_setzero_si512();
    for (int part = 0; part < units / fold_units; part++) {
      CK_UNROLL for (int t = 0; t < fold_units; t++) {
        __m512i weights = ck_load64(w + t * unit_bytes);
        CK_UNROLL for (int r = 0; r < R; r++) {
          c[r] = _mm512_add_epi16(c[r], _mm512_maddubs_epi16(ck_broadcast4x16(x + t * block_unit_bytes + r * 4), weights));
          CK_KEEP(c[r]);
        }
      }
      x += fold_units * block_unit_bytes;
      w += fold_units * unit_bytes;
    }
    __m512i m = ck_load64(multipliers[0][0]);
    multipliers += units / fold_units;
    CK_UNROLL for (int r = 0; r < R; r++) ck_store64(sums[r], _mm512_add_epi32(_mm512_madd_epi16(c[r], m), ck_load64(sums[r])));
    CK_KEEP_IN_MEMORY();
  }
}

CK_INLINE void tile_widened(int R, const uint8_t *x, const int8_t *w, const int16_t (*multipliers)[2][ck_panel], size_t folds,
                            int32_t (*sums)[ck_panel]) {
  __m512i c[tile_rows];
  CK_UNROLL for (int r = 0; r < R; r++) c[r] = ck_load64(sums[r]);
  for (size_t fold = 0; fold < folds; fold++) {
    __m512i m = ck_load64(multipliers[fold][0]);
    CK_UNROLL for (int t = 0; t < fold_units; t++) {
      __m512i weights = ck_load64(w + t * unit_bytes);
      CK_UNROLL for (int r = 0; r < R; r++) {
        __m512i pairs = _mm512_maddubs_epi16(ck_broadcast4x16(x + t * block_unit_bytes + r * 4), weights);
        c[r] = _mm512_add_epi32(c[r], _mm512_madd_epi16(pairs, m));
        CK_KEEP(c[r]);
      }
    }
    x += fold_units * block_unit_bytes;
    w += fold_units * unit_bytes;
  }
  CK_UNROLL for (int r = 0; r < R; r++) ck_store64(sums[r], c[r]);
}

#define TILES(name, call)                                                                                            \
  static void name##_1 TILE_PARAMETERS { call(1); }                                                                  \
  static void name##_2 TILE_PARAMETERS { call(2); }                                                                  \
  static void name##_3 TILE_PARAMETERS { call(3); }                                                                  \
  static void name##_4 TILE_PARAMETERS { call(4); }                                                                  \
  static void name##_5 TILE_PARAMETERS { call(5); }                                                                  \
  static void name##_6 TILE_PARAMETERS { call(6); }                                                                  \
  static void name##_7 TILE_PARAMETERS { call(7); }                                                                  \
  static void name##_8 TILE_PARAMETERS { call(8); }                                                                  \
  static tile_function *const name[tile_rows] = {name##_1, name##_2, name##_3, name##_4,                                  \
                                             name##_5, name##_6, name##_7, name##_8};
#define FOLD_32(R) tile_folded(R, fold_units, x, w, multipliers, folds, sums)
#define FOLD_128(R) tile_folded(R, 4 * fold_units, x, w, multipliers, folds, sums)
#define WIDENED(R) tile_widened(R, x, w, multipliers, folds, sums)
TILES(tiles_of_32, FOLD_32)
TILES(tiles_of_128, FOLD_128)
TILES(tiles_widened, WIDENED)

GEMM_BLOCKS(ck_gemm_blocks_u8_s8__avx512, kind_s8)
GEMM_BLOCKS(ck_gemm_blocks_u7_s8__avx512, kind_u7_s8)
GEMM_BLOCKS(ck_gemm_blocks_u8_s4__avx512, kind_s4)
GEMM_BLOCKS(ck_gemm_blocks_u8_s2__avx512, kind_s2)

CK_TARGET_END

#endif
