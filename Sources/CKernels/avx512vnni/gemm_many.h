// What the files of integer gemm for more than a few rows share: how activations lie, and what a tile is given.
//
// Activations of more rows than ck_few_rows_avx512vnni: row-major, the stride an odd multiple of 64 bytes, so that the rows of a tile lie in
// different sets of L1. Tiles broadcast four codes at a time from memory, which costs a load and no vector operation, so that nothing is gained by
// interleaving rows.
//   8-bit weights            uint8 codes[K32], zeros behind K: the unsigned operand of vpdpbusd; weights, as packed, are the signed one.
//   weights of 4, 2, 1 bit   signed: code − 128, zeros behind K. Weights are decoded to the unsigned code + offset (8; 2; 1 as 0 and 2), which saves
//                            the subtraction, and sums then start from −offset · Σ (code − 128). These starts, made once for all outputs, follow the
//                            codes of the row: an int32 for each fold of 32 inputs, less 1 (gemm_tiles_grouped.c says why), and one for all K.
#ifndef CK_AVX512VNNI_GEMM_MANY_H
#define CK_AVX512VNNI_GEMM_MANY_H

#include "../avx512/simd.h"
#include "../gemm/layout.h"
#include "kernels.h"

// Keeps the compiler from computing a pointer in another way.
#define CK_KEEP_POINTER(p) __asm__("" : "+r"(p))

enum {
  ck_unit_bytes = ck_panel * 4,       // 16 outputs × 4 inputs, one register
  ck_fold_units = ck_fold / 4,
  ck_tile_panels = 2,
  ck_block_inputs = 1024,             // of K, decoded at a time: 32 KB
  ck_tile_outputs = ck_tile_panels * ck_panel,
  ck_tile_rows = 12,                  // with two panels: 24 sums, 2 registers of weights, 1 of activations
  ck_grouped_tile_rows = 8,           // with two panels in groups
  ck_tall_tile_rows = 16,             // with one panel
};

static inline size_t ck_many_folds(size_t inputs) { return ck_round_up(inputs, ck_fold) / ck_fold; }
static inline size_t ck_many_stride(size_t inputs, int has_starts) {
  size_t folds = ck_many_folds(inputs);
  return ck_round_up(folds * ck_fold + (has_starts ? (folds + 1) * sizeof(int32_t) : 0), 64) | 64;
}

// Rows whose codes lie in the workspace while they are packed.
enum { ck_packed_rows = 8 };
static inline size_t ck_many_packing_bytes(size_t inputs) { return ck_packed_rows * ck_round_up(inputs, ck_fold); }

// What a tile reads as weights: bytes, or packed codes, which it leaves as bytes for the tiles of other rows.
typedef enum ck_weight_source { ck_weights_s8, ck_weights_u8, ck_codes_s4, ck_codes_s2, ck_codes_s1, ck_weight_sources } ck_weight_source;

// One tile: rows × (1 or 2) panels over some folds. Where a segment of K begins, sums start from what corrects them by the zero points, else from
// `sums`.
typedef struct ck_tile {
  const uint8_t *x;              // codes of the first row and input
  size_t x_stride;
  const uint8_t *w;              // units, or codes, of the first panel
  size_t w_stride;               // bytes to the second
  uint8_t (*decoded)[ck_block_inputs * ck_panel];  // codes: where units of each panel go,
  size_t decoded_mask;                             // all ones, or 0 where no other tile wants them: all to one place then
  size_t folds;
  const int32_t *zeros;          // a pair of int16 per row, ck_zero_pair; null where sums go on
  const int32_t (*weight_sums)[ck_tile_outputs];  // pairs, of a segment; 8-bit weights in groups: of several
  const int32_t *initial;        // of outputs, added to the sums; grouped
  size_t starts;                 // signed activations: bytes from `x` to where sums start; grouped: to those of the first fold
  const int32_t (*multipliers)[ck_tile_outputs];  // grouped: pairs of int16
  int32_t (*sums)[ck_tile_outputs];
  // 8-bit weights in groups: sums of segments, which all begin here, are added up as floats unless there is but one (totals null).
  const uint8_t *pieces;                          // folds of each piece of a group
  float (*totals)[ck_tile_outputs];
  int begins_totals;
  // What is prefetched for each two units: a line at `next` of the first panel, and next_stride behind it of the second, go on by next_step ≤ 64
  // bytes.
  const uint8_t *next;
  size_t next_stride, next_step;
} ck_tile;
typedef void ck_tile_function(const ck_tile *t);

extern ck_tile_function *const ck_tiles[ck_weight_sources][2][ck_tall_tile_rows + 1];  // [source][panels == 2][rows]
extern ck_tile_function *const ck_grouped_tiles[ck_weight_sources][2][ck_tall_tile_rows + 1];

// −z · Σ for a zero point z and a sum of weights as one vpdpwssd: Σ = low + 128 · high, times (−z, −128 · z). z is the zero point less what codes are
// less: −128 … 255, so that 128 · z fits int16, and |Σ| < 2²² (32,767 · 128 and more), which holds for all but 8-bit weights of K > 32,768 without
// groups: 127 · 32,768, 8 · 65,536, and 127 · 127 · 256 or 127 · 8 · 4,096 over segments.
enum { ck_pair_inputs_s8 = 32768, ck_segment_folds_s8 = 8 };
CK_INLINE int32_t ck_zero_pair(int32_t z) { return (int32_t)(((uint32_t)(-z) & 0xFFFF) | (uint32_t)(-128 * z) << 16); }

CK_TARGET_BEGIN(CK_TARGET_AVX512VNNI)

// Rows of a tile by few pointers, one for three of them: with one for each, compilers run out of registers. [row / 3] + (row % 3) · stride.
enum { ck_tile_pointers = (ck_tall_tile_rows + 2) / 3 };
CK_INLINE void ck_set_pointers(int R, const uint8_t *x, size_t stride, const uint8_t *pointers[ck_tile_pointers]) {
  CK_UNROLL for (int i = 0; i < (R + 2) / 3; i++) {
    pointers[i] = x + (size_t)(3 * i) * stride;
    CK_KEEP_POINTER(pointers[i]);
  }
}
CK_INLINE void ck_move_pointers(int R, size_t bytes, const uint8_t *pointers[ck_tile_pointers]) {
  CK_UNROLL for (int i = 0; i < (R + 2) / 3; i++) {
    pointers[i] += bytes;
    CK_KEEP_POINTER(pointers[i]);
  }
}
CK_INLINE __m512i ck_broadcast_row(const uint8_t *const pointers[ck_tile_pointers], size_t stride, int r, size_t offset) {
  return ck_broadcast4x16(pointers[r / 3] + (size_t)(r % 3) * stride + offset);
}

CK_INLINE void ck_prefetch_next(int P, const ck_tile *t, const uint8_t *next) {
  CK_UNROLL for (int p = 0; p < P; p++) _mm_prefetch((const char *)(next + (size_t)p * t->next_stride), _MM_HINT_T1);
}

CK_TARGET_END

#endif
