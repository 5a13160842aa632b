// AVX2's tiles of gemm_blocks.h: 4 rows × 16 outputs (8 accumulators, 2 weights, 1 activation, 1 product: 12 of 16 registers).
#if defined(__x86_64__)
#include "kernels.h"

enum { tile_rows = 4 };
#include "gemm_blocks.h"

CK_TARGET_BEGIN(CK_TARGET_AVX2)

size_t ck_gemm_blocks_workspace_bytes__avx2(void) { return ck_round_up(sizeof(workspace), 64); }

// int16 sums over `units` units, then one multiply-add with the multipliers widens to int32.
CK_INLINE void tile_folded(int R, int units, const uint8_t *x, const int8_t *w, const int16_t (*multipliers)[2][ck_panel], size_t folds,
                           int32_t (*sums)[ck_panel]) {
  for (size_t fold = 0; fold < folds; fold++) {
    __m256i c0[tile_rows], c1[tile_rows];
    CK_UNROLL for (int r = 0; r < R; r++) c0[r] = c1[r] = _mm256_setzero_si256();
    for (int part = 0; part < units / fold_units; part++) {
      CK_UNROLL for (int t = 0; t < fold_units; t++) {
        __m256i w0 = ck_load(w + t * unit_bytes), w1 = ck_load(w + t * unit_bytes + 32);
        CK_UNROLL for (int r = 0; r < R; r++) {
          __m256i a = ck_broadcast4(x + t * block_unit_bytes + r * 4);
          c0[r] = _mm256_add_epi16(c0[r], _mm256_maddubs_epi16(a, w0));
          c1[r] = _mm256_add_epi16(c1[r], _mm256_maddubs_epi16(a, w1));
          CK_KEEP(c0[r]);
          CK_KEEP(c1[r]);
        }
      }
      x += fold_units * block_unit_bytes;
      w += fold_units * unit_bytes;
    }
    __m256i m0 = ck_load(multipliers[0][0]), m1 = ck_load(multipliers[0][1]);
    multipliers += units / fold_units;
    CK_UNROLL for (int r = 0; r < R; r++) {
      ck_store(sums[r], _mm256_add_epi32(_mm256_madd_epi16(c0[r], m0), ck_load(sums[r])));
      ck_store(sums[r] + 8, _mm256_add_epi32(_mm256_madd_epi16(c1[r], m1), ck_load(sums[r] + 8)));
    }
    CK_KEEP_IN_MEMORY();
  }
}

// Every product pair is widened at once: 8-bit weights leave no room in int16.
CK_INLINE void tile_widened(int R, const uint8_t *x, const int8_t *w, const int16_t (*multipliers)[2][ck_panel], size_t folds,
                            int32_t (*sums)[ck_panel]) {
  __m256i c0[tile_rows], c1[tile_rows];
  CK_UNROLL for (int r = 0; r < R; r++) {
    c0[r] = ck_load(sums[r]);
    c1[r] = ck_load(sums[r] + 8);
  }
  for (size_t fold = 0; fold < folds; fold++) {
    __m256i m0 = ck_load(multipliers[fold][0]), m1 = ck_load(multipliers[fold][1]);
    CK_UNROLL for (int t = 0; t < fold_units; t++) {
      __m256i w0 = ck_load(w + t * unit_bytes), w1 = ck_load(w + t * unit_bytes + 32);
      CK_UNROLL for (int r = 0; r < R; r++) {
        __m256i a = ck_broadcast4(x + t * block_unit_bytes + r * 4);
        c0[r] = _mm256_add_epi32(c0[r], _mm256_madd_epi16(_mm256_maddubs_epi16(a, w0), m0));
        c1[r] = _mm256_add_epi32(c1[r], _mm256_madd_epi16(_mm256_maddubs_epi16(a, w1), m1));
        CK_KEEP(c0[r]);
        CK_KEEP(c1[r]);
      }
    }
    x += fold_units * block_unit_bytes;
    w += fold_units * unit_bytes;
  }
  CK_UNROLL for (int r = 0; r < R; r++) {
    ck_store(sums[r], c0[r]);
    ck_store(sums[r] + 8, c1[r]);
  }
}

#define TILES(name, call)                                                                                            \
  static void name##_1 TILE_PARAMETERS { call(1); }                                                                  \
  static void name##_2 TILE_PARAMETERS { call(2); }                                                                  \
  static void name##_3 TILE_PARAMETERS { call(3); }                                                                  \
  static void name##_4 TILE_PARAMETERS { call(4); }                                                                  \
  static tile_function *const name[tile_rows] = {name##_1, name##_2, name##_3, name##_4};
#define FOLD_32(R) tile_folded(R, fold_units, x, w, multipliers, folds, sums)
#define FOLD_128(R) tile_folded(R, 4 * fold_units, x, w, multipliers, folds, sums)
#define WIDENED(R) tile_widened(R, x, w, multipliers, folds, sums)
TILES(tiles_of_32, FOLD_32)
TILES(tiles_of_128, FOLD_128)
TILES(tiles_widened, WIDENED)

GEMM_BLOCKS(ck_gemm_blocks_u8_s8__avx2, kind_s8)
GEMM_BLOCKS(ck_gemm_blocks_u7_s8__avx2, kind_u7_s8)
GEMM_BLOCKS(ck_gemm_blocks_u8_s4__avx2, kind_s4)
GEMM_BLOCKS(ck_gemm_blocks_u8_s2__avx2, kind_s2)

void ck_interleave_u8__avx2(const uint8_t *codes, size_t rows, size_t stride, size_t padded_inputs, uint8_t *block) {
  for (size_t k = 0; k < padded_inputs; k += 32) {
    __m256i v[8];
    CK_UNROLL for (size_t r = 0; r < 8; r++)
      v[r] = r < rows ? _mm256_loadu_si256((const __m256i *)(codes + r * stride + k)) : _mm256_setzero_si256();
    transpose8(v);
    CK_UNROLL for (size_t i = 0; i < 8; i++) ck_store(block + k * ck_row_block + i * 32, v[i]);
  }
}

CK_TARGET_END
#endif
