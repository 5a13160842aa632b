// int8 sparse weights times several rows of X: the walk over strips, and what becomes of their sums. The rows are quantized into a panel
// (sparse_s8_panel.h); a vector of sums has four rows of one output. The file that includes this opens a target and brings:
//
//   strip_sums        sums of H outputs of a strip of R, over all its quads, for U units of 8 rows
//   tile_rows         rows of a tile for blocks of R outputs
//   inputs_together   of the panel
//   strips_kernel     the function for a matrix and a number of units
#ifndef CK_NEON_SPARSE_S8_H
#define CK_NEON_SPARSE_S8_H

// What turns sums into outputs, and where they go: [N][width] with `stride`.
typedef struct destination {
  const float *bias, *scales;  // [N] or null; [width]
  const int32_t *zeros;        // [width]
  float *sums;
  size_t stride;
} destination;

typedef void strips_function(const ck_sparse_s8 *w, const int8_t *panel, const destination *to);

enum { most_vectors = ck_sparse_s8_most_rows / 4 };

// `panel` begins at the first of the rows and has `width` of them; `values` at the first of the outputs.
CK_INLINE void strip_sums(size_t R, int H, int U, int is_gathered, const uint16_t *columns, const int8_t *values, size_t quads, const int8_t *panel,
                          size_t width, int32x4_t c[4][most_vectors]);
static size_t tile_rows(size_t block_rows);
static int inputs_together(const ck_sparse_structure *w);
static strips_function *strips_kernel(const ck_sparse_structure *w, size_t units);

// One output, V vectors of rows from row r on: corrects by the zero points, scales, adds the bias.
CK_INLINE void scale_sums(const ck_sparse_s8 *w, size_t n, size_t r, int V, const int32x4_t c[most_vectors], const destination *to) {
  float32x4_t bias = vdupq_n_f32(to->bias != NULL ? to->bias[n] : 0.0f);
  int32x4_t weights = vdupq_n_s32(w->sums[n]);
  float scale = w->scales[n];
  CK_UNROLL for (int v = 0; v < V; v++) {
    float32x4_t value = vcvtq_f32_s32(vmlsq_s32(c[v], weights, vld1q_s32(to->zeros + r + 4 * (size_t)v)));
    value = vmulq_f32(value, vmulq_n_f32(vld1q_f32(to->scales + r + 4 * (size_t)v), scale));
    vst1q_f32(to->sums + n * to->stride + r + 4 * (size_t)v, vaddq_f32(value, bias));
  }
}

CK_INLINE void strip_outputs(size_t R, int H, size_t r, int U, int is_gathered, const ck_sparse_s8 *w, size_t first, const uint16_t *columns,
                             const int8_t *values, size_t quads, const int8_t *panel, size_t width, const destination *to) {
  for (size_t h = 0; h < R && first + h < w->structure.outputs; h += (size_t)H) {
    int32x4_t c[4][most_vectors];
    strip_sums(R, H, U, is_gathered, columns, values + 4 * h, quads, panel, width, c);
    CK_UNROLL for (size_t j = 0; j < (size_t)H; j++)
      if (first + h + j < w->structure.outputs) scale_sums(w, first + h + j, r, 2 * U, c[j], to);
  }
}

// All strips of a matrix of blocks of R outputs, H of them and G of the U units of rows at a time; where G < U, inputs of the panel lie one by one.
CK_INLINE void all_strips(size_t R, int H, int G, int U, int is_gathered, const ck_sparse_s8 *w, const int8_t *panel, const destination *to) {
  const ck_sparse_structure *t = &w->structure;
  const uint32_t *strip = t->strips;
  const uint16_t *columns = t->columns;
  const int8_t *values = w->values;
  const size_t width = 8 * (size_t)U;
  for (uint32_t run = 0; run < t->run_starts[1]; run++) {
    size_t quads = t->runs[run].blocks;
    for (uint32_t i = 0; i < t->runs[run].strips; i++) {
      size_t first = *strip++ * R;
      size_t r = 0;
      for (; r + 8 * (size_t)G <= width; r += 8 * (size_t)G)
        strip_outputs(R, H, r, G, is_gathered, w, first, columns, values, quads, panel + r, width, to);
      if (U % G > 0) strip_outputs(R, H, r, U % G, is_gathered, w, first, columns, values, quads, panel + r, width, to);
      columns += quads * (is_gathered ? 4 : 1);
      values += quads * 4 * R;
    }
  }
}

static int lists_every_strip(const ck_sparse_structure *t) {
  size_t listed = 0;
  for (uint32_t run = 0; run < t->run_starts[1]; run++) listed += t->runs[run].strips;
  return listed * t->block_rows >= t->outputs;
}

static inline size_t workspace_bytes(const ck_sparse_structure *w) {
  size_t rows = tile_rows(w->block_rows);
  return w->outputs * rows * sizeof(float) + panel_bytes(w->inputs, rows) + rows * code_stride(w->inputs);
}

// All outputs of one part for rows first ..< first + count.
static void multiply_tile(const ck_sparse_s8 *w, const ck_sparse_output *y, size_t first, size_t count, const tile_codes *x, float *own_sums) {
  const ck_sparse_structure *t = &w->structure;
  int in_place = y->layout == ck_feature_major && count == x->width;
  destination to = {y->bias, x->scales, x->zero_points, in_place ? y->data + first : own_sums, in_place ? y->stride : x->width};
  if (!lists_every_strip(t)) ck_start_tile(y, t->outputs, t->outputs, to.sums, to.stride, x->width);
  strips_kernel(t, x->width / 8)(w, x->panel, &to);
  ck_finish_tile(y, t->outputs, first, count, to.sums, to.stride, x->width);
}

static inline void product(const ck_sparse_s8 *w, size_t parts, const ck_sparse_input *x, const ck_sparse_output *y, size_t row_begin, size_t row_end,
                           void *workspace) {
  const ck_sparse_structure *t = &w->structure;
  size_t rows = tile_rows(t->block_rows);
  tile_codes quantized;
  quantized.panel = workspace;
  quantized.together = inputs_together(t);
  int8_t *scratch = quantized.panel + panel_bytes(t->inputs, rows);
  float *own_sums = (float *)(void *)(scratch + rows * code_stride(t->inputs));
  for (size_t first = row_begin; first < row_end; first += rows) {
    size_t count = row_end - first < rows ? row_end - first : rows;
    quantized.width = ck_round_up(count, 8);
    quantize_tile(x, t->inputs, first, count, scratch, &quantized);
    ck_sparse_output to = *y;
    for (size_t part = 0; part < parts; part++) {
      multiply_tile(w + part, &to, first, count, &quantized, own_sums);
      to = ck_sparse_output_from(&to, w[part].structure.outputs);
    }
  }
}

#endif
