// The canonical layout of packed weights, panel16x4, and the layouts of activations that go with it.
//
// Outputs lie in panels of 16, inputs in steps of 4; the unit is 16 outputs × 4 inputs, output-major: 64 bytes of 8-bit codes, two 256-bit registers
// or one of 512 bits, so that one layout serves many instruction sets.
//   8 bits  a unit is 64 bytes: byte 4·c + i is code[16·p + c, 4·t + i]
//   4 bits  64 bytes hold units t (low nibbles) and t + 1 (high nibbles), stored as code + 8
//   2 bits  64 bytes hold units t … t + 3 in bit pairs from the lowest, stored as code + 2; ternary codes −1…1 too
//   1 bit   64 bytes hold 16 outputs × 32 inputs: bit k % 8 of byte 16 · (k / 8) + c is set where the code is 1. Four inputs of an
//           output are four neighbouring bits, the index of a table lookup
// K is padded to a multiple of 32 with zero codes (1 bit: with clear bits, whose activations are 0), N to a multiple of 16.
// Multipliers of a group and panel are 16 bytes in the output order 0–3, 8–11, 4–7, 12–15, which one sign extension and two unpacks
// turn into pairs of int16.
// panel16x8, for instructions that multiply 8 inputs of two outputs: the unit is 16 outputs × 8 inputs, 128 bytes, 8 bytes of each output. Fewer bits as above
// with units of 128 bytes, of 1 bit those of eight units lie in one byte, for which K is padded to a multiple of 64. Multipliers and sums as in panel16x4.
//   16-bit floats (layout panel16): [N/16][K][16], bit patterns; by pairs of inputs (panel16x2): [N/16][K/2][16][2], an odd K padded with zeros
//   FP16 (panel16-marked): panel16, then a byte for each panel: 1 where a weight of it is infinite or a NaN
//   BF16 by blocks of 2 outputs × 4 inputs (panel8x4-bf16): [N16/8][K4/4][8][4], N16 is N rounded up to 16, K4 K to 4, padded with zeros
//   signs as words of 64 inputs (panel16x64): [N/16][K/64][2][8], the words of the even outputs of a panel, then of the odd; bit k % 64 is set where the code
//   is 1, clear beyond K
//
// Activations. Up to ck_few_rows rows: codes[M][K32], row-major. More: blocks of 8 rows, codes[M/8][K32/4][8][4]. K32 is K rounded up to 32; codes
// beyond K and rows beyond M are zero.
#ifndef CK_GEMM_LAYOUT_H
#define CK_GEMM_LAYOUT_H

#include "gemm.h"

enum {
  ck_panel = 16,         // outputs in a panel
  ck_fold = 32,          // inputs are padded to a multiple of this; the smallest group
  ck_row_block = 8,      // activation rows interleaved in one block
  ck_few_rows = 4,       // up to this many rows, activations stay row-major
  ck_row_chunk = 256,    // activation rows that are worth multiplying at once: more share the decoding of a panel no better
  ck_gemm_block = 1024,  // inputs to a list of unsafe pairs
};

// Place of output c (0…15) in a row of packed multipliers.
static inline size_t ck_panel16_multiplier_place(size_t c) { return c / 4 == 1 ? c + 4 : c / 4 == 2 ? c - 4 : c; }

// Byte and bit of the code of output c, input k in a panel.
static inline size_t ck_panel16_code_byte(int bits, size_t c, size_t k) {
  if (bits == 1) return k / 8 * ck_panel + c;
  size_t unit = k / 4, units = 8 / (size_t)bits;
  return unit / units * 64 + 4 * c + k % 4;
}
static inline int ck_panel16_code_shift(int bits, size_t k) { return bits == 1 ? (int)(k % 8) : (int)(k / 4 % (8 / (size_t)bits)) * bits; }

// What is stored of a code, and back. No input has the code 0 of 1 bit: it stands for padding.
static inline int ck_panel16_stored(int bits, int code) { return bits == 1 ? code > 0 : bits == 8 ? code & 255 : code + (1 << (bits - 1)); }
static inline int ck_panel16_restored(int bits, int value) {
  return bits == 1 ? 2 * value - 1 : bits == 8 ? (int8_t)value : value - (1 << (bits - 1));
}

static inline size_t ck_panel16_bytes(int bits, size_t inputs) { return ck_round_up(inputs, ck_fold) * ck_panel / 8 * (size_t)bits; }

// Code of output n, input k of packed weights.
static inline int ck_panel16_code(int bits, const ck_gemm_weights *_Nonnull w, size_t n, size_t k) {
  const uint8_t *panel = w->codes + n / ck_panel * ck_panel16_bytes(bits, w->inputs);
  return ck_panel16_restored(bits, panel[ck_panel16_code_byte(bits, n % ck_panel, k)] >> ck_panel16_code_shift(bits, k) & ((1 << bits) - 1));
}
// Multiplier of output n in group g.
static inline int ck_panel16_multiplier(const ck_gemm_weights *_Nonnull w, size_t n, size_t g) {
  return w->multipliers[(n / ck_panel * ck_gemm_groups(w->inputs, w->group) + g) * ck_panel + ck_panel16_multiplier_place(n % ck_panel)];
}

#define CK_PANEL16 "panel16x4"
// Sizes, packing and unpacking of panel16x4, a function for each number of bits; packing.c. Nothing here calls an instruction set.
#define CK_DECLARE_PANEL16(bits)                          \
  ck_fn_gemm_sizes ck_panel16_sizes_s##bits;              \
  ck_fn_gemm_pack ck_panel16_pack_s##bits;                \
  ck_fn_gemm_unpack ck_panel16_unpack_s##bits;
CK_DECLARE_PANEL16(8)
CK_DECLARE_PANEL16(4)
CK_DECLARE_PANEL16(2)
CK_DECLARE_PANEL16(1)
#undef CK_DECLARE_PANEL16
// The same for panel16x8; panel16x8.c.
#define CK_PANEL16X8 "panel16x8"
#define CK_DECLARE_PANEL16X8(bits)                          \
  ck_fn_gemm_sizes ck_panel16x8_sizes_s##bits;              \
  ck_fn_gemm_pack ck_panel16x8_pack_s##bits;                \
  ck_fn_gemm_unpack ck_panel16x8_unpack_s##bits;
CK_DECLARE_PANEL16X8(8)
CK_DECLARE_PANEL16X8(4)
CK_DECLARE_PANEL16X8(2)
CK_DECLARE_PANEL16X8(1)
#undef CK_DECLARE_PANEL16X8
static inline size_t ck_panel16x8_inputs(int bits, size_t inputs) { return ck_round_up(inputs, bits == 1 ? 64 : ck_fold); }
static inline size_t ck_panel16x8_bytes(int bits, size_t inputs) { return ck_panel16x8_inputs(bits, inputs) * ck_panel / 8 * (size_t)bits; }
#define CK_PANEL16_HALF "panel16"
ck_fn_gemm_sizes ck_panel16_sizes_half;
ck_fn_gemm_pack ck_panel16_pack_half;
ck_fn_gemm_unpack ck_panel16_unpack_half;
#define CK_PANEL16_MARKED "panel16-marked"
ck_fn_gemm_sizes ck_panel16_sizes_marked;
ck_fn_gemm_pack ck_panel16_pack_marked;
static inline int ck_panel16_is_marked(const ck_gemm_weights *_Nonnull w, size_t panel) {
  return w->codes[ck_round_up(w->outputs, ck_panel) * w->inputs * sizeof(uint16_t) + panel];
}
#define CK_PANEL16_PAIRS "panel16x2"
ck_fn_gemm_sizes ck_panel16x2_sizes;
ck_fn_gemm_pack ck_panel16x2_pack;
ck_fn_gemm_unpack ck_panel16x2_unpack;
// Place of output n, input k; K is padded to `padded`.
static inline size_t ck_panel16x2_place(size_t padded, size_t n, size_t k) {
  return n / ck_panel * padded * ck_panel + k / 2 * 2 * ck_panel + n % ck_panel * 2 + k % 2;
}
#define CK_PANEL8_BLOCKS "panel8x4-bf16"
ck_fn_gemm_sizes ck_panel8x4_sizes;
ck_fn_gemm_pack ck_panel8x4_pack;
ck_fn_gemm_unpack ck_panel8x4_unpack;
// Place of output n, input k; K is padded to `padded`.
static inline size_t ck_panel8x4_place(size_t padded, size_t n, size_t k) { return n / 8 * padded * 8 + k / 4 * 32 + n % 8 * 4 + k % 4; }
#define CK_PANEL16_WORDS "panel16x64"
ck_fn_gemm_sizes ck_panel16x64_sizes;
ck_fn_gemm_pack ck_panel16x64_pack;
ck_fn_gemm_unpack ck_panel16x64_unpack;
static inline size_t ck_sign_words(size_t inputs) { return (inputs + 63) / 64; }
// Place of word t of output n, of `words`.
static inline size_t ck_panel16x64_place(size_t words, size_t n, size_t t) {
  return (n / ck_panel * words + t) * ck_panel + n % 2 * 8 + n % ck_panel / 2;
}

// Configurations are made by this macro alone: a field that is missing does not compile.
#define CK_GEMM_CONFIG(layout, bits, n_step, m_step, k_step, few_rows, chunk_rows, needs, kernel, sizes, pack_weights, unpack_row, activation_bytes, \
                       pack_activations, workspace_bytes)                                                                                          \
  {layout, bits, n_step, m_step, k_step, few_rows, chunk_rows, needs, kernel, sizes, pack_weights, unpack_row, activation_bytes,                   \
   pack_activations, workspace_bytes}

#endif
