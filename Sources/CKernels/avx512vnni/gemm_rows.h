// What the files gemm_rows*.c share: gemm for up to 8 rows, where weights go from the packed codes (panel16x4) through registers into the sums, and
// how the activations of so few rows are packed, once for weights of all widths.
//
//   stride = the number of rows, rounded up to 1, 2, 4 or 8; rows that do not exist are never read
//   codes          [K32/4][stride][4]   uint8, as they are, the unsigned operand of vpdpbusd beside 8-bit weights; 128 beyond K
//   signed_codes   [K32/4][stride][4]   x − 128, so 0 beyond K: the signed operand, broadcast from memory by the instruction itself
//   bit_codes      [K32/4][stride][4]   the same with inputs of a fold of 32 in the order 0, 8, 16, 24, 1, 9, …, beside 1-bit weights
//   starts         [3][K32/32][stride]  int32, where the sums of a fold begin with weights of 4, 2, 1 bits: −8·Σ − 1, −2·Σ, −Σ, Σ the sum of x − 128
//   totals         [stride]             int32, Σ (x − 128) of a row
#ifndef CK_AVX512VNNI_GEMM_ROWS_H
#define CK_AVX512VNNI_GEMM_ROWS_H

#include "../avx512/epilogue.h"

enum { ck_most_few_rows = 8, ck_fold_units = ck_fold / 4, ck_most_tile_panels = 4 };

// For x->rows ≤ ck_most_few_rows; rows are not cut. The workspace is only for packing and for 1 bit.
ck_fn_gemm ck_gemm_rows_s8__avx512vnni, ck_gemm_rows_s4__avx512vnni, ck_gemm_rows_s2__avx512vnni, ck_gemm_rows_s1__avx512vnni;
ck_fn_gemm_pack_activations ck_pack_few_rows__avx512vnni;
size_t ck_few_rows_activation_bytes__avx512vnni(size_t rows, size_t inputs);
// Of packing and of each of the kernels.
size_t ck_few_rows_workspace_bytes__avx512vnni(const ck_gemm_shape *_Nonnull shape, size_t rows);

typedef struct ck_few_rows_codes {
  uint8_t *_Nonnull codes;
  int8_t *_Nonnull signed_codes, *_Nonnull bit_codes;
  int32_t *_Nonnull starts[3];  // of 4, 2 and 1 bits
  int32_t *_Nonnull totals;
} ck_few_rows_codes;

CK_INLINE size_t ck_few_rows_stride(size_t rows) { return rows <= 2 ? rows : rows <= 4 ? 4 : 8; }

// The parts of packed activations. `codes` is written by packing only.
CK_INLINE ck_few_rows_codes ck_few_rows_parts(const uint8_t *_Nonnull codes, size_t rows, size_t inputs) {
  size_t stride = ck_few_rows_stride(rows), bytes = ck_round_up(inputs, ck_fold) * stride, starts = bytes / ck_fold;
  uint8_t *first = (uint8_t *)(uintptr_t)codes;
  int32_t *sums = (int32_t *)(void *)(first + 3 * bytes);
  return (ck_few_rows_codes){
      first, (int8_t *)first + bytes, (int8_t *)first + 2 * bytes, {sums, sums + starts, sums + 2 * starts}, sums + 3 * starts};
}

// Sums of a tile of rows and panels, handed from its registers to the epilogue.
typedef struct ck_tile_sums {
  _Alignas(64) int32_t sums[ck_most_tile_panels][ck_most_few_rows][ck_panel];
  float totals[ck_most_tile_panels][ck_most_few_rows][ck_panel];  // of the segments before
} ck_tile_sums;

// Ends a segment of all rows × panels panel ..< panel + panels, whose sums were made with uint8 activations for 8 bits, with x − 128 for fewer. One
// function for all tiles: inlined into each, it would be most of the code.
void ck_end_tile__avx512vnni(const ck_gemm_weights *_Nonnull w, const ck_gemm_activations *_Nonnull x, const ck_gemm_output *_Nonnull y, int bits,
                             size_t panel, size_t panels, size_t segment, ck_tile_sums *_Nonnull s);

// Calls with R rows, `stride` apart, as constants.
#define CK_SWITCH_FEW_ROWS(rows, CASE) \
  switch (rows) {                      \
    case 1: CASE(1, 1); break;         \
    case 2: CASE(2, 2); break;         \
    case 3: CASE(3, 4); break;         \
    case 4: CASE(4, 4); break;         \
    case 5: CASE(5, 8); break;         \
    case 6: CASE(6, 8); break;         \
    case 7: CASE(7, 8); break;         \
    default: CASE(8, 8); break;        \
  }

#endif
