// Integer gemm for more than a few rows on arm64: what the files of neon, dotprod and i8mm share. A panel is decoded to signed bytes once, its multipliers
// to int32, and tiles of 8 rows × 16 outputs use both.
//
// Activations. Blocks of 8 rows, [M/8][K/U][8][U] bytes, rows beyond M and inputs beyond K are 0.
//   neon, dotprod   U = 4, x − 128, signed: SMULL and SDOT multiply signed bytes. So zero points are less by 128.
//   i8mm            U = 8, x, unsigned: USMMLA multiplies unsigned by signed. [4][2][8]: pairs of rows are operands.
// Weights. Units of 16 outputs × U inputs as packed (gemm/layout.h), decoded to signed bytes.
//   4, 2 bits       the code; or, with SDOT and USMMLA and without groups, 16 and 64 times the code, which saves the subtraction: 2 operations instead of 4
//                   for 32 codes of 4 bits, 6 instead of 10 for 64 of 2, and one that turns unsigned codes into signed ones. Sums are shifted back at the end
//                   and fit: 255 · 8 · 16 · 65,536 = 255 · 2 · 64 · 65,536 = 2,139,095,040 < 2³¹.
//   1 bit           −1 where the bit is set, else 0: Σ x · code = −2 · sum − Σ x, and Σ x of each row, an int32, follows the codes. With groups −1 where it is
//                   set, else 1: sums are negated, and padding meets zeros.
#ifndef CK_NEON_GEMM_MANY_H
#define CK_NEON_GEMM_MANY_H

#include "../gemm/activations.h"
#include "epilogue.h"
#include "kernels.h"

// Multiplies a block of rows by a panel over `folds` · 32 inputs; the first 4 rows alone where there are no more.
typedef void ck_fn_tile(const uint8_t *_Nonnull x, const int8_t *_Nonnull w, size_t folds, size_t rows, int32_t (*_Nonnull sums)[ck_panel]);

// Pieces of a segment: stretches of K of one multiplier. multipliers: of 16 outputs in order, int32 (i8mm: of 8 pairs of outputs, twice each: m₀ m₁ m₀ m₁).
typedef struct ck_pieces {
  const uint16_t *_Nonnull folds;
  const int32_t *_Nonnull multipliers;
  size_t count;
} ck_pieces;
typedef void ck_fn_grouped_tile(const uint8_t *_Nonnull x, const int8_t *_Nonnull w, const ck_pieces *_Nonnull pieces, size_t rows,
                                int32_t (*_Nonnull sums)[ck_panel]);
// Decodes a panel of `folds` · 32 inputs.
typedef void ck_fn_decode(const uint8_t *_Nonnull codes, size_t folds, int8_t *_Nonnull w);
// Sixteen multipliers in packed order to the int32 that tiles read.
typedef void ck_fn_expand(const int8_t *_Nonnull packed, int32_t *_Nonnull multipliers);

// What a set brings.
typedef struct ck_many_steps {
  int bits;
  int32_t zero;        // what activations are less by
  size_t k_step;       // inputs to which K of packed weights is padded, a multiple of 32
  size_t piece_bytes;  // of the multipliers of a piece
  ck_fn_decode *_Nullable decode, *_Nullable decode_grouped;  // null for 8 bits
  int shift;                                                  // of sums without groups, to the right
  ck_fn_tile *_Nonnull tile;
  ck_fn_grouped_tile *_Nonnull grouped_tile;
  ck_fn_expand *_Nonnull expand;
} ck_many_steps;

// What ck_fn_gemm says, for more rows than ck_few_rows.
void ck_gemm_many__neon(const ck_many_steps *_Nonnull steps, const ck_gemm_weights *_Nonnull w, const ck_gemm_activations *_Nonnull x,
                        const ck_gemm_output *_Nonnull y, size_t row_begin, size_t row_end, const size_t panels[_Nonnull 2], void *_Nonnull workspace);
size_t ck_gemm_many_workspace__neon(const ck_many_steps *_Nonnull steps, const ck_gemm_shape *_Nonnull shape);

// Decoding of panel16x4 (gemm_decode.h), plain for neon and for groups, and scaled.
ck_fn_decode ck_decode_s4__neon, ck_decode_s2__neon, ck_decode_s1__neon, ck_decode_set_s1__neon, ck_decode_scaled_s4__neon, ck_decode_scaled_s2__neon;
// Multipliers in order of the outputs.
ck_fn_expand ck_expand__neon;

// gemm_tiles.c
ck_fn_tile ck_tile__neon;
ck_fn_grouped_tile ck_grouped_tile__neon;

// Scratch memory of a call: of packing 8 rows, or of the kernel.
static inline size_t ck_codes_workspace(const ck_many_steps *_Nonnull steps, const ck_gemm_shape *_Nonnull shape, size_t rows, size_t few) {
  size_t packing = ck_panel16_pack_workspace(shape->inputs), kernel = rows <= ck_few_rows ? few : ck_gemm_many_workspace__neon(steps, shape);
  return packing > kernel ? packing : kernel;
}

// A kernel of a set: many rows, or the way for a few.
#define CK_DEFINE_GEMM(name, steps, few, few_workspace)                                                                                                 \
  static void name(const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, size_t row_begin, size_t row_end,   \
                   size_t panel_begin, size_t panel_end, void *workspace) {                                                              \
    const size_t panels[2] = {panel_begin, panel_end};                                                                                   \
    if (x->rows <= ck_few_rows) few(w, x, y, row_begin, row_end, panel_begin, panel_end, workspace);                                      \
    else ck_gemm_many__neon(&steps, w, x, y, row_begin, row_end, panels, workspace);                                                      \
  }                                                                                                                                       \
  static size_t name##_workspace(const ck_gemm_shape *shape, size_t rows) { return ck_codes_workspace(&steps, shape, rows, few_workspace(shape->inputs)); }

#endif
