// Linear layers with sparse weights: Y[M, N] = X[M, K] · W[N, K]ᵀ, W made of R×C blocks of which most are zero. CSR is 1×1.
//
// A strip is R consecutive outputs. K is cut into slices, so that the part of X that a slice reads stays in a cache. Within a
// slice, strips lie in order of their number of blocks: strips of equal number form a run, whose inner loop has a fixed trip
// count that branch prediction knows. A strip that has no block in a slice is not listed there.
//
// Only stored blocks take part: what is outside them contributes nothing, also where X is infinite or NaN. Zeros inside a stored
// block are numbers like any other (0 · ∞ = NaN).
#ifndef CK_SPARSE_H
#define CK_SPARSE_H

#include <stddef.h>
#include <stdint.h>

#include "compiler.h"

enum {
  ck_sparse_max_slice = 65536,  // inputs in a slice: columns are stored in 16 bits
};

// A shape of blocks that kernels exist for: 1×1, 4×1, 8×1, 1×4, 4×4, 16×16.
static inline int ck_sparse_has_shape(size_t rows, size_t columns) {
  size_t shape = rows * 100 + columns;
  return shape == 101 || shape == 401 || shape == 801 || shape == 104 || shape == 404 || shape == 1616;
}

// `strips` consecutive strips of a slice with `blocks` blocks each.
typedef struct ck_sparse_run {
  uint32_t strips, blocks;
} ck_sparse_run;

// What float32 and int8 matrices share. Memory belongs to the caller; nothing before or behind the arrays is read.
typedef struct ck_sparse_structure {
  size_t inputs, outputs;                     // K, N
  size_t block_rows, block_columns;           // R, C
  size_t slices, slice_inputs;                // slice s holds inputs s · slice_inputs ..< min(K, (s + 1) · slice_inputs)
  const uint32_t *_Nonnull run_starts;        // [slices + 1]: runs of slice s are run_starts[s] ..< run_starts[s + 1]
  const ck_sparse_run *_Nonnull runs;
  const uint32_t *_Nonnull strips;            // strip numbers, run after run
  const uint16_t *_Nonnull columns;           // of each block, run after run: first input in the slice, divided by C
} ck_sparse_structure;

typedef struct ck_sparse_f32 {
  ck_sparse_structure structure;
  const float *_Nonnull values;  // [block][C][R]: what one input contributes to the R outputs is contiguous
} ck_sparse_f32;

// int8 weights of the layout "quads": 4 inputs of one strip. With C = 1 a quad is any 4 blocks of a strip, in any order, columns[4 · quad …]
// are its inputs, and missing ones have weight 0. With C a multiple of 4 a block is C/4 quads, columns[quad] is its first input divided
// by 4. `runs` counts quads. In the layout "safe-quads" pairs of products never saturate int16: weights of a pair with equal signs add up to at
// most 128 in magnitude; a pair that does not is split into two quads with the same inputs. One slice.
typedef struct ck_sparse_s8 {
  ck_sparse_structure structure;
  const int8_t *_Nonnull values;    // [quad][R][4]
  const float *_Nonnull scales;     // [N]
  const int32_t *_Nonnull sums;     // [N]: Σ of the weights
} ck_sparse_s8;

// ---- Choosing blocks of dense[N, K]. Arrays over blocks are [N/R rounded up][K/C rounded up].

// norms: the magnitude of a 1×1 block, the sum of squares of a larger one.
void ck_sparse_block_norms(const float *_Nonnull dense, size_t inputs, size_t outputs, size_t block_rows, size_t block_columns,
                           float *_Nonnull norms);
// keep[i] = 1 for exactly `kept` ≤ count blocks of the largest norms, signs ignored (so that single weights are their own norms); of equal ones the
// first. Returns whether all norms are finite. count < 2³². scratch: as many uint32 as ck_sparse_keep_scratch says.
size_t ck_sparse_keep_scratch(size_t count);
int ck_sparse_keep_largest(const float *_Nonnull norms, size_t count, size_t kept, uint32_t *_Nonnull scratch, uint8_t *_Nonnull keep);
// keep[i] = 1 for blocks with any weight whose mask[N, K] is not zero.
void ck_sparse_keep_masked(const uint8_t *_Nonnull mask, size_t inputs, size_t outputs, size_t block_rows, size_t block_columns,
                           uint8_t *_Nonnull keep);
// Collects the kept blocks in canonical form (see below), zeros where the mask (if any) is zero; returns their number. With
// offsets null it only counts.
size_t ck_sparse_collect(const float *_Nonnull dense, const uint8_t *_Nullable mask, size_t inputs, size_t outputs, size_t block_rows,
                         size_t block_columns, const uint8_t *_Nonnull keep, uint32_t *_Nullable offsets, uint32_t *_Nullable columns,
                         float *_Nullable values);

// int8 codes of canonical values [blocks][R][C], finite: scales[n] = the largest magnitude of output n / 127 (of all outputs, where
// `shared_largest` is that instead of 0), at least 2⁻¹⁴⁹, 1 where all weights are 0; codes = ck_code of w and 1 / scale.
void ck_sparse_quantize(size_t outputs, size_t block_rows, size_t block_columns, const uint32_t *_Nonnull offsets, const float *_Nonnull values,
                        float shared_largest, float *_Nonnull scales, int8_t *_Nonnull codes);

// ---- Packing. The canonical form is block-CSR: offsets[strips + 1] (from any first one on, so that a part can be packed), columns[blocks]
// (block columns, ascending within a strip), values[blocks][R][C]. Sizes come first, so that the caller can allocate; then the arrays are
// filled.

typedef struct ck_sparse_sizes {
  size_t slices, runs, strips, columns, values;  // elements of run_starts less one, runs, strips, columns, values
} ck_sparse_sizes;

// Arrays to fill, of the sizes reported (run_starts has slices + 1).
typedef struct ck_sparse_arrays {
  uint32_t *_Nonnull run_starts;
  ck_sparse_run *_Nonnull runs;
  uint32_t *_Nonnull strips;
  uint16_t *_Nonnull columns;
} ck_sparse_arrays;

// Numbers of uint32 in `scratch`: three per strip, a tally with a place for each number of blocks or quads of a strip, and two orders of the
// weights of an output.
static inline size_t ck_sparse_pack_scratch(size_t inputs, size_t outputs, size_t block_rows) {
  return 3 * ((outputs + block_rows - 1) / block_rows) + 3 * inputs + 8;
}
// A canonical matrix and how it is to be cut: offsets and columns as above; slice_inputs a multiple of C, at most ck_sparse_max_slice.
typedef struct ck_sparse_blocks {
  size_t inputs, outputs, block_rows, block_columns, slice_inputs;
  const uint32_t *_Nonnull offsets;
  const uint32_t *_Nonnull columns;
} ck_sparse_blocks;

// Packing needs the scratch memory as the sizes left it. int8 (codes −127…127, one slice: K ≤ ck_sparse_max_slice) also fills sums[N].
typedef ck_sparse_sizes ck_fn_sparse_f32_sizes(const ck_sparse_blocks *_Nonnull blocks, uint32_t *_Nonnull scratch);
typedef void ck_fn_sparse_f32_pack(const ck_sparse_blocks *_Nonnull blocks, const float *_Nonnull values, uint32_t *_Nonnull scratch,
                                   const ck_sparse_arrays *_Nonnull arrays, float *_Nonnull packed);
typedef ck_sparse_sizes ck_fn_sparse_s8_sizes(const ck_sparse_blocks *_Nonnull blocks, const int8_t *_Nonnull codes, uint32_t *_Nonnull scratch);
typedef void ck_fn_sparse_s8_pack(const ck_sparse_blocks *_Nonnull blocks, const int8_t *_Nonnull codes, uint32_t *_Nonnull scratch,
                                  const ck_sparse_arrays *_Nonnull arrays, int8_t *_Nonnull packed, int32_t *_Nonnull sums);
// Adds the stored weights to dense[N, K], row-major, which the caller fills with zeros.
typedef void ck_fn_sparse_f32_unpack(const ck_sparse_f32 *_Nonnull w, float *_Nonnull dense);
typedef void ck_fn_sparse_s8_unpack(const ck_sparse_s8 *_Nonnull w, float *_Nonnull dense);

// ---- Products

// Row-major is X[M, K], Y[M, N]; feature-major X[K, M], Y[N, M]: the rows of the layer lie side by side.
typedef enum ck_layout { ck_row_major, ck_feature_major } ck_layout;

typedef struct ck_sparse_input {
  const float *_Nonnull data;
  size_t rows;    // M
  size_t stride;  // elements between rows of X as stored
  ck_layout layout;
  // Static quantization of X for int8 weights: code = clamp(rint(x · (1 / fixed_scale)) + fixed_zero_point, 0, 255). 0: each row has its own.
  float fixed_scale;
  int32_t fixed_zero_point;
} ck_sparse_input;

typedef struct ck_sparse_output {
  float *_Nonnull data;
  size_t stride;
  ck_layout layout;
  const float *_Nullable bias;  // [N]
  int relu;
} ck_sparse_output;

// The same outputs from output n on: where the next part of a matrix writes.
static inline ck_sparse_output ck_sparse_output_from(const ck_sparse_output *_Nonnull y, size_t n) {
  ck_sparse_output rest = *y;
  rest.data += y->layout == ck_row_major ? n : n * y->stride;
  if (y->bias != NULL) rest.bias = y->bias + n;
  return rest;
}

// Computes the outputs of w[0 ..< parts], matrices over the same inputs whose outputs follow each other from y on (one matrix cut so that threads can
// take parts), for rows row_begin ..< row_end of X, row_begin a multiple of the tile. The workspace is that of the part with the
// most outputs. Each output is summed in the order of the slices and, within a slice, of the columns, whatever the ranges.
typedef void ck_fn_sparse_f32(const ck_sparse_f32 *_Nonnull w, size_t parts, const ck_sparse_input *_Nonnull x,
                                      const ck_sparse_output *_Nonnull y, size_t row_begin, size_t row_end, void *_Nonnull workspace);
// The same with activations quantized to 0…255, per row of X as ck_fn_quantize_rows_u8_f32 does, or with the fixed scale of X; integer sums are exact (K ≤ 65,536):
// Y[m, n] = x_scale[m] · scale[n] · Σ (x[m, k] − x_zero[m]) · code[n, k] + bias[n]
typedef void ck_fn_sparse_s8(const ck_sparse_s8 *_Nonnull w, size_t parts, const ck_sparse_input *_Nonnull x,
                                       const ck_sparse_output *_Nonnull y, size_t row_begin, size_t row_end, void *_Nonnull workspace);
// One row of X and one part: y[N] = relu(W · x[K] + bias).
typedef void ck_fn_sparse_vector_f32(const ck_sparse_f32 *_Nonnull w, const float *_Nonnull x, const ck_sparse_output *_Nonnull y);
// The same with int8 weights and the row as ck_fn_quantize_rows_u8_f32 makes it: codes[K], zeros behind them up to a multiple of 64, a scale and a zero point. The workspace has vector_workspace_bytes.
typedef void ck_fn_sparse_vector_s8(const ck_sparse_s8 *_Nonnull w, const uint8_t *_Nonnull codes, float scale, int32_t zero_point,
                                       const ck_sparse_output *_Nonnull y, void *_Nonnull workspace);

// ---- Configurations: all that callers need to know of the kernels of a type of values, and how they want a matrix packed.

// Rows of X that the kernel takes at a time for blocks of R rows: row_begin and the rows that threads take are multiples of it.
typedef size_t ck_fn_sparse_tile(size_t block_rows);
// Inputs in a slice, a multiple of C and at most ck_sparse_max_slice, where products of about `rows` rows are expected.
typedef size_t ck_fn_sparse_slice(size_t inputs, size_t block_rows, size_t block_columns, size_t rows);
// Bytes of scratch memory, 64-byte aligned, for one call.
typedef size_t ck_fn_sparse_workspace(const ck_sparse_structure *_Nonnull w);
typedef size_t ck_fn_sparse_vector_workspace(size_t inputs);

// What products of few rows with int8 weights take, in ps for each input, output and stored weight: by `kernel`, which always fills a tile, and by `vector_kernel` for a row.
typedef struct ck_sparse_costs {
  uint32_t tile_input, tile_output, tile_weight, row_input, row_output, row_weight;
} ck_sparse_costs;

enum { ck_sparse_most_few_rows = 8, ck_sparse_cost_classes = 3 };

// How many rows take less time one by one than as a tile, 0 to 8. Costs are those of single weights, of blocks of one output, and of blocks of several.
static inline size_t ck_sparse_few_rows(const ck_sparse_costs *_Nonnull costs, size_t block_rows, size_t block_columns, size_t inputs, size_t outputs,
                                        size_t weights) {
  const ck_sparse_costs *c = costs + (block_rows > 1 ? 2 : block_columns > 1);
  uint64_t tile = (uint64_t)c->tile_input * inputs + (uint64_t)c->tile_output * outputs + (uint64_t)c->tile_weight * weights;
  uint64_t row = (uint64_t)c->row_input * inputs + (uint64_t)c->row_output * outputs + (uint64_t)c->row_weight * weights, rows = row > 0 ? tile / row : 1;
  return rows > ck_sparse_most_few_rows ? ck_sparse_most_few_rows : (size_t)rows;
}

typedef struct ck_sparse_f32_config {
  const char *_Nonnull layout;
  ck_fn_sparse_tile *_Nonnull tile;
  ck_fn_sparse_slice *_Nonnull slice_inputs;
  ck_fn_sparse_f32_sizes *_Nonnull sizes;
  ck_fn_sparse_f32_pack *_Nonnull pack;
  ck_fn_sparse_f32_unpack *_Nonnull unpack;
  ck_fn_sparse_f32 *_Nonnull kernel;
  ck_fn_sparse_vector_f32 *_Nonnull vector_kernel;
  ck_fn_sparse_workspace *_Nonnull workspace_bytes;
} ck_sparse_f32_config;

typedef struct ck_sparse_s8_config {
  const char *_Nonnull layout;
  ck_fn_sparse_tile *_Nonnull tile;
  ck_fn_sparse_s8_sizes *_Nonnull sizes;
  ck_fn_sparse_s8_pack *_Nonnull pack;
  ck_fn_sparse_s8_unpack *_Nonnull unpack;
  ck_fn_sparse_s8 *_Nonnull kernel;
  ck_fn_sparse_vector_s8 *_Nonnull vector_kernel;
  const ck_sparse_costs *_Nonnull costs;  // [ck_sparse_cost_classes]
  ck_fn_sparse_workspace *_Nonnull workspace_bytes;
  ck_fn_sparse_vector_workspace *_Nonnull vector_workspace_bytes;
} ck_sparse_s8_config;

typedef ck_sparse_f32_config ck_config_spmm_f32_f32_block;
typedef ck_sparse_s8_config ck_config_spmm_f32_u8_s8block;

#endif
