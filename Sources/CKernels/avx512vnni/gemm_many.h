// What the files of integer gemm for more than a few rows share: how activations lie, and what a tile is given.
//
// Activations of more rows than ck_few_rows_avx512vnni: codes[M][stride], row-major, stride an odd multiple of 64 bytes, so that the rows of a tile
// lie in different sets of L1. Tiles broadcast four of them at a time from memory, which costs a load and no vector operation, so that nothing
// is gained by interleaving rows.
//   8-bit weights            uint8 codes, zeros behind K: the unsigned operand of vpdpbusd; weights, as packed, are the signed one.
//   weights of 4, 2, 1 bit   signed: code − 128, zeros behind K. Weights are decoded to the unsigned code + offset (8; 2; 1 as 0 and 2), which saves the
//                            subtraction, and sums then start from −offset · Σ (code − 128). Behind the codes lie these starts, made once for all
//                            outputs: int32 starts[M][folds + 1], one for each fold of 32 inputs, less 1 (gemm_tiles_grouped.c says why), and one for all K.
#ifndef CK_AVX512VNNI_GEMM_MANY_H
#define CK_AVX512VNNI_GEMM_MANY_H

#include "../gemm/layout.h"
#include "kernels.h"

enum {
  ck_unit_bytes = ck_panel * 4,       // 16 outputs × 4 inputs, one register
  ck_fold_units = ck_fold / 4,
  ck_tile_panels = 2,
  ck_tile_outputs = ck_tile_panels * ck_panel,
  ck_tile_rows = 12,                  // 24 sums, 2 registers of weights, 1 of activations; with 14, clang spills addresses
  ck_grouped_tile_rows = 7,           // the same number of sums, and as many of the current group
};

static inline size_t ck_many_stride(size_t inputs) { return ck_round_up(inputs, 64) | 64; }
static inline size_t ck_many_folds(size_t inputs) { return ck_round_up(inputs, ck_fold) / ck_fold; }
static inline const int32_t *ck_many_starts(const ck_gemm_activations *x, size_t inputs) {
  return (const int32_t *)(const void *)(x->codes + x->rows * ck_many_stride(inputs));
}

// One tile: rows × (1 or 2) panels over some folds. Where a segment of K begins, sums start from what corrects them by the zero points, else from `sums`.
typedef struct ck_tile {
  const uint8_t *x;              // codes of the first row and input
  size_t x_stride;
  const uint8_t *w;              // units of the first panel
  size_t w_stride;               // bytes to the second
  size_t folds;
  const int32_t *zeros;          // a pair of int16 per row, ck_zero_pair; null where sums go on
  const int32_t *weight_sums;    // of outputs, ck_weight_sum_pairs
  const int32_t *initial;        // of outputs, added to the sums where they start; grouped
  const int32_t *starts;         // of rows; not grouped: added to the sums where they start; grouped: of each fold
  size_t start_stride;
  const int32_t (*multipliers)[ck_tile_outputs];  // grouped: pairs of int16
  const uint8_t *pieces;                          // grouped, 8-bit weights: folds of each piece of a group
  int32_t (*sums)[ck_tile_outputs];
} ck_tile;
typedef void ck_tile_function(const ck_tile *t);

// [panels == 2][rows], for unsigned activations and signed weights, and the other way round.
extern ck_tile_function *const ck_tiles_u8_s8[2][ck_tile_rows + 1], *const ck_tiles_s8_u8[2][ck_tile_rows + 1];
extern ck_tile_function *const ck_grouped_tiles_u8_s8[2][ck_grouped_tile_rows + 1], *const ck_grouped_tiles_s8_u8[2][ck_grouped_tile_rows + 1];

// −z · Σ for a zero point z and a sum of weights as one vpdpwssd: Σ = low + 128 · high, times (−z, −128 · z). z is the zero point less what codes are
// less: −128 … 255, so that 128 · z fits int16, and |Σ| < 2²² (32,767 · 128 and more), which holds for all but 8-bit weights of K > 32,768 without groups:
// 127 · 32,768, 8 · 65,536, and 127 · 127 · 256 or 127 · 8 · 4,096 over segments.
enum { ck_pair_inputs_s8 = 32768 };
CK_INLINE int32_t ck_zero_pair(int32_t z) { return (int32_t)(((uint32_t)(-z) & 0xFFFF) | (uint32_t)(-128 * z) << 16); }

#endif
