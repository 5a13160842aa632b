// float32 sparse weights times one row of X: bound by the bytes of values and columns and, for 1×1, by the loads of scattered x.
// Modelled (llvm-mca 19), weights a cycle of Neoverse N1, V1, V2, Apple M1, Cortex-A72: 1×1 0.92, 1.9, 2.1, 0.8, 0.6; 4×1 2.6, 4.0, 4.0, 3.2, 1.3. Single
// weights gathered into vectors reach 0.88 and 0.4 on N1 and A72, four sums of them instead of eight 0.85, 1.0 on a V1.
#if defined(__aarch64__)
#include "kernels.h"
#include "sparse_panel.h"

CK_TARGET_BEGIN(CK_TARGET_NEON)

enum { chains = 4 };  // sums side by side: a multiply-add takes 4 cycles

CK_INLINE float32x4_t add_four(const float32x4_t c[chains]) { return vaddq_f32(vaddq_f32(c[0], c[1]), vaddq_f32(c[2], c[3])); }

// One lane at a time: a load of four columns, one of four weights and four of x, which multiply where they are; gathered into a vector first, as the
// optimizer would do, they would take two operations each.
CK_INLINE void add_singles(const float *values, const uint16_t *columns, const float *x, float c[chains]) {
  uint64_t four;
  memcpy(&four, columns, sizeof four);
  float32x4_t w = vld1q_f32(values);
  c[0] = vfmas_laneq_f32(c[0], x[four & 0xffff], w, 0);
  c[1] = vfmas_laneq_f32(c[1], x[four >> 16 & 0xffff], w, 1);
  c[2] = vfmas_laneq_f32(c[2], x[four >> 32 & 0xffff], w, 2);
  c[3] = vfmas_laneq_f32(c[3], x[four >> 48], w, 3);
  CK_UNROLL for (int i = 0; i < chains; i++) CK_KEEP_VECTOR(c[i]);
}

CK_INLINE float dot_1x1(const float *values, const uint16_t *columns, size_t blocks, const float *x) {
  float c[chains] = {0}, d[chains] = {0};
  size_t b = 0;
  for (; b + 8 <= blocks; b += 8) {
    add_singles(values + b, columns + b, x, c);
    add_singles(values + b + 4, columns + b + 4, x, d);
  }
  float rest = 0;
  for (; b < blocks; b++) rest += values[b] * x[columns[b]];
  return ((c[0] + c[1]) + (c[2] + c[3])) + ((d[0] + d[1]) + (d[2] + d[3])) + rest;
}

// x of a slice. Its last block may stick out beyond K, where nothing is read: that one is in `last`, zeros behind it.
typedef struct slice_inputs {
  const float *x;
  size_t whole;  // blocks that lie within K
  float last[16];
} slice_inputs;

CK_INLINE void begin_slice(int C, const float *x, size_t inputs, slice_inputs *to) {
  to->x = x;
  to->whole = inputs / (size_t)C;
  memset(to->last, 0, sizeof to->last);
  memcpy(to->last, x + to->whole * (size_t)C, inputs % (size_t)C * sizeof *x);
}

CK_INLINE const float *block_inputs(int C, const slice_inputs *from, size_t column) {
  return column < from->whole ? from->x + column * (size_t)C : from->last;
}

CK_INLINE float dot_1x4(const float *values, const uint16_t *columns, size_t blocks, const slice_inputs *from) {
  float32x4_t c[chains];
  CK_UNROLL for (int i = 0; i < chains; i++) c[i] = vdupq_n_f32(0);
  size_t b = 0;
  for (; b + chains <= blocks; b += chains)
    CK_UNROLL for (size_t i = 0; i < chains; i++)
        c[i] = vfmaq_f32(c[i], vld1q_f32(values + 4 * (b + i)), vld1q_f32(block_inputs(4, from, columns[b + i])));
  for (; b < blocks; b++) c[0] = vfmaq_f32(c[0], vld1q_f32(values + 4 * b), vld1q_f32(block_inputs(4, from, columns[b])));
  return vaddvq_f32(add_four(c));
}

// R ≥ 4: R / 4 vectors of outputs in each chain; a number of x meets R weights.
CK_INLINE void tall_strip(int R, int C, const float *values, const uint16_t *columns, size_t blocks, const slice_inputs *from, float out[16]) {
  const int vectors = R / 4;
  float32x4_t c[4][chains];
  CK_UNROLL for (int v = 0; v < vectors; v++) CK_UNROLL for (int i = 0; i < chains; i++) c[v][i] = vdupq_n_f32(0);
  size_t b = 0;
  if (C == 1) {
    for (; b + chains <= blocks; b += chains)
      CK_UNROLL for (size_t i = 0; i < chains; i++, values += R) {
        float32x4_t a = vld1q_dup_f32(from->x + columns[b + i]);
        CK_UNROLL for (int v = 0; v < vectors; v++) c[v][i] = vfmaq_f32(c[v][i], vld1q_f32(values + 4 * v), a);
      }
    for (; b < blocks; b++, values += R) {
      float32x4_t a = vld1q_dup_f32(from->x + columns[b]);
      CK_UNROLL for (int v = 0; v < vectors; v++) c[v][0] = vfmaq_f32(c[v][0], vld1q_f32(values + 4 * v), a);
    }
  } else {
    for (; b < blocks; b++) {
      const float *x = block_inputs(C, from, columns[b]);
      for (int k = 0; k < C; k += chains) {
        float32x4_t a = vld1q_f32(x + k);
        CK_UNROLL for (int i = 0; i < chains; i++, values += R)
            CK_UNROLL for (int v = 0; v < vectors; v++) c[v][i] = ck_add_product(c[v][i], vld1q_f32(values + 4 * v), a, i);
      }
    }
  }
  CK_UNROLL for (int v = 0; v < vectors; v++) vst1q_f32(out + 4 * v, add_four(c[v]));
}

// Sums of one strip over its blocks in one slice.
CK_INLINE void strip_sums(int R, int C, const float *values, const uint16_t *columns, size_t blocks, const slice_inputs *from, float out[16]) {
  if (R > 1) tall_strip(R, C, values, columns, blocks, from, out);
  else out[0] = C == 1 ? dot_1x1(values, columns, blocks, from->x) : dot_1x4(values, columns, blocks, from);
}

CK_INLINE void product(int R, int C, const ck_sparse_f32 *w, const float *x, const ck_sparse_output *y) {
  const ck_sparse_structure *t = &w->structure;
  const uint16_t *columns = t->columns;
  const uint32_t *strip = t->strips;
  const float *values = w->values;
  if (y->bias != NULL) {
    memcpy(y->data, y->bias, t->outputs * sizeof *y->data);
  } else {
    memset(y->data, 0, t->outputs * sizeof *y->data);
  }
  for (size_t slice = 0; slice < t->slices; slice++) {
    size_t first = slice * t->slice_inputs, left = t->inputs - first;
    slice_inputs from;
    begin_slice(C, x + first, left < t->slice_inputs ? left : t->slice_inputs, &from);
    for (uint32_t run = t->run_starts[slice]; run < t->run_starts[slice + 1]; run++) {
      size_t blocks = t->runs[run].blocks;
      for (size_t i = 0; i < t->runs[run].strips; i++) {
        float sums[16];
        size_t n = *strip++ * (size_t)R, rows = t->outputs - n < (size_t)R ? t->outputs - n : (size_t)R;
        strip_sums(R, C, values, columns, blocks, &from, sums);
        for (size_t r = 0; r < rows; r++) y->data[n + r] += sums[r];
        columns += blocks;
        values += blocks * (size_t)(R * C);
      }
    }
  }
  if (y->relu)
    for (size_t n = 0; n < t->outputs; n++) y->data[n] = y->data[n] < 0 ? 0.0f : y->data[n];
}

void ck_sparse_vector_f32__neon(const ck_sparse_f32 *w, const float *x, const ck_sparse_output *y) {
  switch (w->structure.block_rows * 100 + w->structure.block_columns) {
    case 101: product(1, 1, w, x, y); break;
    case 104: product(1, 4, w, x, y); break;
    case 401: product(4, 1, w, x, y); break;
    case 404: product(4, 4, w, x, y); break;
    case 801: product(8, 1, w, x, y); break;
    case 1616: product(16, 16, w, x, y); break;
  }
}

CK_TARGET_END
#endif
