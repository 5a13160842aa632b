// What the files gemm_rows*.c share: gemm for up to 8 rows, where weights go from the packed codes (panel16x4) through registers into the sums, and
// how the activations of so few rows are packed, for each width of weights in its own way.
//
//   stride = the number of rows, rounded up to 1, 2, 4 or 8; rows that do not exist are never read
//   codes   [K32/4][stride][4]
//             8 bits    uint8, as they are, the unsigned operand of vpdpbusd
//             4, 2, 1   x − 128, 0 beyond K: the signed operand, broadcast from memory by the instruction itself
//             1         and the inputs of a fold of 32 in the order 0, 8, 16, 24, 1, 9, …
//   starts  [K32/32][stride] int32, where the sums of a fold begin: −8·Σ − 1, −2·Σ, −Σ for 4, 2, 1 bits, Σ the sum of x − 128; none for 8 bits
//   totals  [stride] int32, Σ (x − 128) of a row; none for 8 bits
//   row     [K32] uint8, as they are, for 1 bit and one row only
#ifndef CK_AVX512VNNI_GEMM_ROWS_H
#define CK_AVX512VNNI_GEMM_ROWS_H

#include "../avx512/epilogue.h"

enum { ck_most_few_rows = 8, ck_fold_units = ck_fold / 4, ck_most_tile_panels = 4, ck_codes_prefetch = 2048 };

// For x->rows ≤ ck_most_few_rows; rows are not cut. The workspace is for packing, and for one row of 1 bit.
ck_fn_gemm ck_gemm_rows_s8__avx512vnni, ck_gemm_rows_s4__avx512vnni, ck_gemm_rows_s2__avx512vnni, ck_gemm_rows_s1__avx512vnni;
ck_fn_gemm_pack_activations ck_pack_few_rows_s8__avx512vnni, ck_pack_few_rows_s4__avx512vnni, ck_pack_few_rows_s2__avx512vnni,
    ck_pack_few_rows_s1__avx512vnni;
// Of all widths.
ck_fn_gemm_activation_bytes ck_few_rows_activation_bytes__avx512vnni;
ck_fn_gemm_workspace ck_few_rows_workspace_bytes__avx512vnni;

typedef struct ck_few_rows_codes {
  uint8_t *_Nonnull codes, *_Nonnull row;
  int32_t *_Nonnull starts, *_Nonnull totals;
} ck_few_rows_codes;

CK_INLINE size_t ck_few_rows_stride(size_t rows) { return rows <= 2 ? rows : rows <= 4 ? 4 : 8; }

// The parts of packed activations. Only packing writes them.
CK_INLINE ck_few_rows_codes ck_few_rows_parts(const uint8_t *_Nonnull codes, size_t rows, size_t inputs) {
  size_t stride = ck_few_rows_stride(rows), padded = ck_round_up(inputs, ck_fold);
  uint8_t *first = (uint8_t *)(uintptr_t)codes;
  int32_t *starts = (int32_t *)(void *)(first + padded * stride), *totals = starts + padded / ck_fold * stride;
  return (ck_few_rows_codes){first, (uint8_t *)(totals + stride), starts, totals};
}

// How far ahead the codes of a tile of P panels are fetched, where `left` bytes of each are left: within the panels, and at their end from the P panels
// behind, which the next tile begins with and would wait for (4096×4096, 2 bits: one row 231 → 241 GOP/s, 2 rows 449 → 486).
CK_INLINE size_t ck_codes_ahead(size_t left, int P, size_t panel_bytes) {
  return left > ck_codes_prefetch ? ck_codes_prefetch : ck_codes_prefetch + (size_t)(P - 1) * panel_bytes;
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
