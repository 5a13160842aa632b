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
  ck_tile_rows = 14,                  // 28 sums, 2 registers of weights, 1 of activations
  ck_grouped_tile_rows = 7,           // the same number of sums, and as many of the current group
};

static inline size_t ck_many_stride(size_t inputs) { return ck_round_up(inputs, 64) | 64; }
static inline size_t ck_many_folds(size_t inputs) { return ck_round_up(inputs, ck_fold) / ck_fold; }
static inline const int32_t *ck_many_starts(const ck_gemm_activations *x, size_t inputs) {
  return (const int32_t *)(const void *)(x->codes + x->rows * ck_many_stride(inputs));
}

// One tile: rows × (1 or 2) panels over some folds. Sums are added to `sums` unless they start here.
typedef struct ck_tile {
  const uint8_t *x;              // codes of the first row and input
  size_t x_stride;
  const uint8_t *w;              // units of the first panel
  size_t w_stride;               // bytes to the second
  size_t folds;
  const int32_t *starts;         // not grouped: where sums start, a value per row, null if they go on; grouped: see there
  size_t start_stride;
  const int32_t (*multipliers)[ck_tile_outputs];  // grouped
  const uint8_t *pieces;
  int32_t (*sums)[ck_tile_outputs];
} ck_tile;
typedef void ck_tile_function(const ck_tile *t);

// [panels == 2][rows], for unsigned activations and signed weights, and the other way round.
extern ck_tile_function *const ck_tiles_u8_s8[2][ck_tile_rows + 1], *const ck_tiles_s8_u8[2][ck_tile_rows + 1];
extern ck_tile_function *const ck_grouped_tiles_u8_s8[2][ck_grouped_tile_rows + 1], *const ck_grouped_tiles_s8_u8[2][ck_grouped_tile_rows + 1];

#endif
