// Linear layers with N:M sparse weights: Y[M, N] = X[M, K] · W[N, K]ᵀ, X and Y row-major, where of every `group` consecutive inputs of an
// output `kept` weights are stored: 2 of 4 or 4 of 8 (Mishra et al. 2021, arXiv:2104.08378). Either way 4 of every 8, so all loops have a
// fixed trip count and no row has a branch of its own.
//
// A group that keeps fewer is filled with zeros at the first of its other places. Filled zeros are numbers like any other (0 · ∞ = NaN); what
// is not stored contributes nothing, also where X is infinite or NaN.
#ifndef CK_SPARSE_NM_H
#define CK_SPARSE_NM_H

#include <stddef.h>
#include <stdint.h>

#include "sparse.h"

enum {
  ck_nm_group = 8,  // inputs of which 4 are stored
  ck_nm_kept = 4,
};

static inline size_t ck_nm_round_up(size_t value, size_t multiple) { return (value + multiple - 1) / multiple * multiple; }

// A slot is a place for a stored weight: slots 4·g … 4·g + 3 of an output belong to inputs 8·g … 8·g + 7, in ascending order.
typedef struct ck_nm_f32 {
  size_t inputs, outputs, group;        // K, N, 4 or 8
  const uint32_t *_Nonnull codes;       // as the layout says; sparse/nm_layout.h has the canonical one
  const float *_Nonnull values;
} ck_nm_f32;

typedef struct ck_nm_s8 {
  size_t inputs, outputs, group;
  const uint8_t *_Nonnull codes;        // as the layout says
  const int8_t *_Nonnull values;
  const float *_Nonnull scales;         // [N]
  const int32_t *_Nonnull sums;         // [N]: Σ of the weights
} ck_nm_s8;

// keep[N, K] = 1 for the `kept` weights of largest magnitude of each group (of equal ones the first), else 0. The last group may be shorter
// than `group`: it keeps as many, if it has them.
void ck_nm_keep_largest(const float *_Nonnull dense, size_t inputs, size_t outputs, size_t kept, size_t group, uint8_t *_Nonnull keep);
// The first group, counted row after row, that keeps more than `kept`; N · ⌈K / group⌉ if there is none.
size_t ck_nm_first_crowded(const uint8_t *_Nonnull keep, size_t inputs, size_t outputs, size_t kept, size_t group);

// Elements of the arrays; behind `values` and `codes` nothing is read.
typedef struct ck_nm_sizes {
  size_t codes, values;
} ck_nm_sizes;
typedef ck_nm_sizes ck_fn_nm_sizes(size_t inputs, size_t outputs);

// Packs dense[N, K] where keep[N, K] is not zero; every group keeps at most as many as it may.
typedef void ck_fn_nm_f32_pack(const float *_Nonnull dense, const uint8_t *_Nonnull keep, size_t inputs, size_t outputs, size_t group,
                               uint32_t *_Nonnull codes, float *_Nonnull values);
// The same as int8, scales and codes as in ck_sparse_quantize.
typedef void ck_fn_nm_s8_pack(const float *_Nonnull dense, const uint8_t *_Nonnull keep, size_t inputs, size_t outputs, size_t group,
                              uint8_t *_Nonnull codes, int8_t *_Nonnull values, float *_Nonnull scales, int32_t *_Nonnull sums);
// Slots as plain arrays [N][4 · ⌈K/8⌉]: positions are the inputs of the slots less 8 · (slot / 4); slots behind K hold 0. int8 codes −127…127; packing
// them fills sums[N].
typedef void ck_fn_nm_f32_pack_slots(const uint8_t *_Nonnull positions, const float *_Nonnull weights, size_t inputs, size_t outputs, size_t group,
                                     uint32_t *_Nonnull codes, float *_Nonnull values);
typedef void ck_fn_nm_s8_pack_slots(const uint8_t *_Nonnull positions, const int8_t *_Nonnull weights, size_t inputs, size_t outputs, size_t group,
                                    uint8_t *_Nonnull codes, int8_t *_Nonnull values, int32_t *_Nonnull sums);
typedef void ck_fn_nm_f32_slots(const ck_nm_f32 *_Nonnull w, uint8_t *_Nonnull positions, float *_Nonnull weights);
typedef void ck_fn_nm_s8_slots(const ck_nm_s8 *_Nonnull w, uint8_t *_Nonnull positions, int8_t *_Nonnull weights);
// Writes the stored weights into dense[N, K], which the caller fills with zeros.
typedef void ck_fn_nm_f32_unpack(const ck_nm_f32 *_Nonnull w, float *_Nonnull dense);
typedef void ck_fn_nm_s8_unpack(const ck_nm_s8 *_Nonnull w, float *_Nonnull dense);

// Activations as ck_fn_quantize_rows_u8_f32 leaves them; codes behind K are 0.
typedef struct ck_nm_activations {
  const uint8_t *_Nonnull codes;         // [M, stride]
  size_t stride;                         // ≥ K8
  const float *_Nonnull scales;          // [M]
  const int32_t *_Nonnull zero_points;   // [M]
} ck_nm_activations;

// Computes outputs n_step·panel_begin ..< min(N, n_step·panel_end) of rows row_begin ..< row_end. `x` and `y` are row-major. Each output is one sum in
// the order of its slots, whatever the ranges. The workspace has workspace_bytes.
typedef void ck_fn_nm_f32(const ck_nm_f32 *_Nonnull w, const ck_sparse_input *_Nonnull x, const ck_sparse_output *_Nonnull y, size_t row_begin,
                          size_t row_end, size_t panel_begin, size_t panel_end, void *_Nullable workspace);
// Bytes of scratch memory, 64-byte aligned, for one call that computes up to `outputs` outputs.
typedef size_t ck_fn_nm_workspace(size_t inputs, size_t outputs);
// Y[m, n] = x_scale[m] · scale[n] · Σ (x[m, k] − x_zero[m]) · code[n, k] + bias[n]; integer sums are exact (K ≤ 65,536).
typedef void ck_fn_nm_s8(const ck_nm_s8 *_Nonnull w, const ck_nm_activations *_Nonnull x, const ck_sparse_output *_Nonnull y,
                                    size_t row_begin, size_t row_end, size_t panel_begin, size_t panel_end);

// All that callers need to know of a kernel, and how it wants a matrix packed.
typedef struct ck_nm_f32_config {
  const char *_Nonnull layout;
  size_t n_step;  // outputs of a panel
  ck_fn_nm_sizes *_Nonnull sizes;
  ck_fn_nm_f32_pack *_Nonnull pack;
  ck_fn_nm_f32_pack_slots *_Nonnull pack_slots;
  ck_fn_nm_f32_slots *_Nonnull slots;
  ck_fn_nm_f32_unpack *_Nonnull unpack;
  ck_fn_nm_f32 *_Nonnull kernel;
  ck_fn_nm_workspace *_Nonnull workspace_bytes;
} ck_nm_f32_config;

typedef struct ck_nm_s8_config {
  const char *_Nonnull layout;
  size_t n_step;
  ck_fn_nm_sizes *_Nonnull sizes;
  ck_fn_nm_s8_pack *_Nonnull pack;
  ck_fn_nm_s8_pack_slots *_Nonnull pack_slots;
  ck_fn_nm_s8_slots *_Nonnull slots;
  ck_fn_nm_s8_unpack *_Nonnull unpack;
  ck_fn_nm_s8 *_Nonnull kernel;
} ck_nm_s8_config;

typedef ck_nm_f32_config ck_config_spmm_f32_f32_nm;
typedef ck_nm_s8_config ck_config_spmm_f32_u8_s8nm;

#endif
