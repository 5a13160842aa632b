// float32 N:M weights. More than 2 rows: lanes are rows, as CSR has them (sparse_f32.c). A panel [K][T] of X is made once, T = 4 … 64 rows; each stored
// weight, an element of a register, meets the T rows of the input that it keeps: a load and a multiply-add for 4 of them. To pick inputs by TBL takes as
// many operations again as the multiply-adds, so that it would just tie with the dense product.
//
// One or two rows: TBL picks the inputs of 4 outputs from 4 or 8 inputs in registers. A byte of codes holds two slots; two operations turn 32 bits of
// them to offsets of bytes, and for each slot TBL spreads one over the 4 bytes of a float.
//
// Layout panel8. Each sum is one chain of multiply-adds in the order of the slots, the bias comes last: the same bits for any number of rows, so that rows
// and outputs can be cut anywhere.
//
// Limit: a load for each multiply-add, 3 loads beside 4 multiply-adds a cycle on a Neoverse V1 or V2, which allows 1.5 × dense, 2 × on the others. Modelled
// (llvm-mca 19), operations of the dense matrix a cycle, Cortex-A72, Neoverse N1, V1, V2, Apple M1: 64 rows 14.6, 28.0, 41.8, 41.8, 41.5; 32 rows 14.0, 28.0,
// 44.8, 42.6, 39; 16 rows 12.4, 29, 44, 43, 31; 8 rows 9.8, 27, 41, 41, 16; 4 rows 8, 22, 31, 37, 11; the dense product has 8.0, 15.9, 31.7, 31.7, 23.9. One row:
// 576 bytes in 153, 72, 68, 38, 48 cycles (2:4), what memory brings.
#if defined(__aarch64__)

#include "epilogue.h"
#include "kernels.h"

CK_TARGET_BEGIN(CK_TARGET_NEON)

enum {
  most_rows = 64,
  slice_floats = 6144,  // of the panel of X: 24 KB stay in L1 while all outputs pass
};

CK_INLINE float32x4_t multiply_lane(float32x4_t sum, float32x4_t x, float32x4_t w, int lane) {
  switch (lane) {
    case 0: return vfmaq_laneq_f32(sum, x, w, 0);
    case 1: return vfmaq_laneq_f32(sum, x, w, 1);
    case 2: return vfmaq_laneq_f32(sum, x, w, 2);
    default: return vfmaq_laneq_f32(sum, x, w, 3);
  }
}

// ---- Lanes are rows

#define KEEP_POINTER(p) __asm__("" : "+r"(p))

// What outputs add up: steps of 16 inputs, `codes` and `values` of a panel from the first step on, X [inputs][4 V].
typedef struct nm_slice {
  const uint32_t *codes;
  const float *values, *x;
  size_t steps;
  int is_first, is_last;
} nm_slice;

// Outputs h ..< h + H of a panel of 8; sums [8][4 V], `bias` [8].
CK_INLINE void add_outputs(int H, int V, const nm_slice *s, size_t h, const float bias[8], float *sums) {
  const int row_bits = V == 1 ? 4 : V == 2 ? 5 : V == 4 ? 6 : V == 8 ? 7 : 8;  // of the bytes of an input's rows
  const size_t width = (size_t)(4 * V);
  size_t mask = (size_t)7 << row_bits;
  KEEP_POINTER(mask);  // in a register AND shifts its other operand
  const char *x = (const char *)s->x;
  const float *values = s->values + h;
  const uint32_t *codes = s->codes + h;
  float32x4_t c[8][16];
  CK_UNROLL for (int i = 0; i < H; i++) CK_UNROLL for (int v = 0; v < V; v++)
      c[i][v] = s->is_first ? vdupq_n_f32(0) : vld1q_f32(sums + (h + (size_t)i) * width + 4 * v);
  for (size_t step = 0; step < s->steps; step++, codes += 8, values += 64, x += 64 * width) {
    const char *groups[2] = {x, x + (size_t)ck_nm_group * 4 * width};
    KEEP_POINTER(groups[0]);  // otherwise places are added to the first x, and each address takes one more operation
    KEEP_POINTER(groups[1]);
    uint64_t places[8];  // moved up, so that each place is one shift right and a mask away from its offset
    CK_UNROLL for (int i = 0; i < H; i++) places[i] = (uint64_t)codes[i] << 8;
    CK_UNROLL for (int slot = 0; slot < 8; slot++) {
      float32x4_t w[2];
      w[0] = H == 1 ? vld1q_dup_f32(values + 8 * slot) : H == 2 ? vcombine_f32(vld1_f32(values + 8 * slot), vdup_n_f32(0)) : vld1q_f32(values + 8 * slot);
      w[1] = H == 8 ? vld1q_f32(values + 8 * slot + 4) : w[0];
      CK_UNROLL for (int i = 0; i < H; i++) {
        const char *row = groups[slot / 4] + (places[i] >> (4 * slot + 8 - row_bits) & mask);
        CK_UNROLL for (int v = 0; v < V; v++) {
          float32x4_t of_rows = vld1q_f32((const float *)(const void *)row + 4 * v);
          c[i][v] = multiply_lane(c[i][v], of_rows, w[i / 4], i % 4);
        }
      }
    }
  }
  CK_UNROLL for (int i = 0; i < H; i++) CK_UNROLL for (int v = 0; v < V; v++) {
    if (s->is_last) c[i][v] = vaddq_f32(c[i][v], vdupq_n_f32(bias[h + (size_t)i]));
    vst1q_f32(sums + (h + (size_t)i) * width + 4 * v, c[i][v]);
  }
}

// All panels of a tile, slice after slice. A multiply-add takes 4 cycles and up to 4 start in each: 16 sums hide that.
CK_INLINE void add_panels(int V, const ck_nm_f32 *w, const ck_sparse_output *y, size_t panel_begin, size_t panel_end, const float *x, float *sums) {
  const int H = V == 1 ? 8 : 16 / V;
  const size_t steps = ck_nm_round_up(w->inputs, ck_nm_f32_step) / ck_nm_f32_step, width = (size_t)(4 * V);
  const size_t slice = slice_floats / width / ck_nm_f32_step;
  for (size_t first = 0; first < steps; first += slice) {
    size_t count = steps - first < slice ? steps - first : slice;
    for (size_t panel = panel_begin; panel < panel_end; panel++) {
      size_t at = panel * steps + first, left = w->outputs - panel * 8;
      nm_slice s = {w->codes + at * 8, w->values + at * 64, x + first * ck_nm_f32_step * width, count, first == 0, first + count == steps};
      float bias[8] = {0};
      if (s.is_last && y->bias != NULL) memcpy(bias, y->bias + panel * 8, (left < 8 ? left : 8) * sizeof(float));
      for (size_t h = 0; h < 8; h += (size_t)H) add_outputs(H, V, &s, h, bias, sums + (panel - panel_begin) * 8 * width);
    }
  }
}

#define PANELS(V)                                                                                                                \
  static void panels_##V(const ck_nm_f32 *w, const ck_sparse_output *y, size_t begin, size_t end, const float *x, float *sums) { \
    add_panels(V, w, y, begin, end, x, sums);                                                                                    \
  }
PANELS(1) PANELS(2) PANELS(4) PANELS(8) PANELS(16)

static void add_tile(const ck_nm_f32 *w, const ck_sparse_output *y, size_t begin, size_t end, size_t tile, const float *x, float *sums) {
  switch (tile) {
    case 4: panels_1(w, y, begin, end, x, sums); break;
    case 8: panels_2(w, y, begin, end, x, sums); break;
    case 16: panels_4(w, y, begin, end, x, sums); break;
    case 32: panels_8(w, y, begin, end, x, sums); break;
    default: panels_16(w, y, begin, end, x, sums); break;
  }
}

CK_INLINE void transpose4(float32x4_t v[4]) {
  float32x4_t a = vzip1q_f32(v[0], v[2]), b = vzip2q_f32(v[0], v[2]), c = vzip1q_f32(v[1], v[3]), d = vzip2q_f32(v[1], v[3]);
  v[0] = vzip1q_f32(a, c);
  v[1] = vzip2q_f32(a, c);
  v[2] = vzip1q_f32(b, d);
  v[3] = vzip2q_f32(b, d);
}

// to[c · to_stride + r] = from[r · from_stride + c] for the first `rows` and `columns` of 4; zeros for other rows, other columns are not written.
CK_INLINE void transpose_part(const float *from, size_t from_stride, float *to, size_t to_stride, size_t rows, size_t columns) {
  float32x4_t v[4];
  CK_UNROLL for (size_t i = 0; i < 4; i++) v[i] = i < rows ? ck_load_some(from + i * from_stride, columns) : vdupq_n_f32(0);
  transpose4(v);
  CK_UNROLL for (size_t i = 0; i < 4; i++)
    if (i < columns) vst1q_f32(to + i * to_stride, v[i]);
}

// panel[k][0 ..< tile] = rows first ..< first + count of X, zeros behind them and behind K.
static void pack_panel(const ck_sparse_input *x, size_t inputs, size_t first, size_t count, size_t tile, float *panel) {
  for (size_t k = 0; k < inputs; k += 4)
    for (size_t m = 0; m < tile; m += 4) {
      const float *from = x->data + (first + m) * x->stride + k;
      float *to = panel + k * tile + m;
      if (k + 4 <= inputs && m + 4 <= count) {
        float32x4_t v[4];
        CK_UNROLL for (size_t i = 0; i < 4; i++) v[i] = vld1q_f32(from + i * x->stride);
        transpose4(v);
        CK_UNROLL for (size_t i = 0; i < 4; i++) vst1q_f32(to + i * tile, v[i]);
      } else {
        transpose_part(from, x->stride, to, tile, m < count ? count - m : 0, inputs - k < 4 ? inputs - k : 4);
      }
    }
  memset(panel + inputs * tile, 0, (ck_nm_round_up(inputs, ck_nm_f32_step) - inputs) * tile * sizeof(float));
}

// Applies ReLU and brings the sums [N][tile] to rows first ..< first + count of Y.
static void finish_tile(const ck_sparse_output *y, size_t outputs, size_t first, size_t count, const float *sums, size_t tile) {
  for (size_t m = 0; m < count; m += 4)
    for (size_t n = 0; n < outputs; n += 4) {
      size_t columns = outputs - n < 4 ? outputs - n : 4;
      float32x4_t v[4];
      CK_UNROLL for (size_t i = 0; i < 4; i++) {
        v[i] = vld1q_f32(sums + (n + i) * tile + m);
        if (y->relu) v[i] = ck_relu(v[i]);
      }
      transpose4(v);
      float *to = y->data + (first + m) * y->stride + n;
      CK_UNROLL for (size_t i = 0; i < 4; i++) {
        if (m + i >= count) continue;
        if (columns == 4) {
          vst1q_f32(to + i * y->stride, v[i]);
        } else {
          float some[4];
          vst1q_f32(some, v[i]);
          memcpy(to + i * y->stride, some, columns * sizeof(float));
        }
      }
    }
}

// ---- One or two rows

// 16 inputs, 8 slots: H panels of 8 outputs for R rows, whose inputs are in x.
CK_INLINE void add_step(int R, int H, int group, const uint32_t *const codes[2], const float *const values[2], const float32x4_t x[2][4],
                        float32x4_t c[2][4]) {
  static const uint8_t spread_first[16] = {0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12};
  const uint8x16_t spread = vld1q_u8(spread_first), within = vreinterpretq_u8_u32(vdupq_n_u32(0x03020100));
  const uint8x16_t mask = vdupq_n_u8(group == 4 ? 3 << 2 : 7 << 2);
  uint8x16_t even[4], odd[4];  // 4 × the place of slots 0, 2, 4, 6 and 1, 3, 5, 7
  CK_UNROLL for (int q = 0; q < 2 * H; q++) {
    uint8x16_t both = vreinterpretq_u8_u32(vld1q_u32(codes[q / 2] + 4 * (q % 2)));
    even[q] = vandq_u8(vshlq_n_u8(both, 2), mask);
    odd[q] = vandq_u8(vshrq_n_u8(both, 2), mask);
  }
  CK_UNROLL for (int slot = 0; slot < 8; slot++) {
    const int at = slot / 4 * 2 + (group == 4 ? slot % 4 / 2 : 0);  // of the registers of x
    const uint8x16_t byte = vaddq_u8(spread, vdupq_n_u8((uint8_t)(slot / 2)));
    CK_UNROLL for (int q = 0; q < 2 * H; q++) {
      uint8x16_t pick = vorrq_u8(vqtbl1q_u8(slot % 2 == 0 ? even[q] : odd[q], byte), within);
      float32x4_t w = vld1q_f32(values[q / 2] + 8 * slot + 4 * (q % 2));
      CK_UNROLL for (int r = 0; r < R; r++) {
        uint8x16_t a = vreinterpretq_u8_f32(x[r][at]), b = vreinterpretq_u8_f32(x[r][group == 4 ? at : at + 1]);
        uint8x16x2_t eight = {{a, b}};
        c[r][q] = vfmaq_f32(c[r][q], vreinterpretq_f32_u8(group == 4 ? vqtbl1q_u8(a, pick) : vqtbl2q_u8(eight, pick)), w);
      }
    }
  }
}

CK_INLINE void write_few(const ck_sparse_output *y, size_t m, size_t n, size_t left, float32x4_t v) {
  float *to = y->data + m * y->stride + n;
  if (y->bias != NULL) v = vaddq_f32(v, ck_load_some(y->bias + n, left));
  if (y->relu) v = ck_relu(v);
  float some[4];
  vst1q_f32(some, v);
  memcpy(to, some, left * sizeof(float));
}

// H panels of R rows.
CK_INLINE void few_rows(int R, int H, int group, const ck_nm_f32 *w, const ck_sparse_input *x, const ck_sparse_output *y, size_t m, size_t panel) {
  const size_t steps = ck_nm_round_up(w->inputs, ck_nm_f32_step) / ck_nm_f32_step, whole = w->inputs / ck_nm_f32_step;
  const uint32_t *codes[2];
  const float *values[2], *row = x->data + m * x->stride;
  float32x4_t c[2][4], of_x[2][4];
  CK_UNROLL for (int h = 0; h < H; h++) {
    codes[h] = w->codes + (panel + (size_t)h) * steps * 8;
    values[h] = w->values + (panel + (size_t)h) * steps * 64;
  }
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int q = 0; q < 2 * H; q++) c[r][q] = vdupq_n_f32(0);
  for (size_t step = 0; step < whole; step++, row += 16) {
    CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int i = 0; i < 4; i++) of_x[r][i] = vld1q_f32(row + (size_t)r * x->stride + 4 * i);
    add_step(R, H, group, codes, values, of_x, c);
    CK_UNROLL for (int h = 0; h < H; h++) codes[h] += 8, values[h] += 64;
  }
  if (whole < steps) {
    float rest[2][16] = {{0}};
    CK_UNROLL for (int r = 0; r < R; r++) memcpy(rest[r], row + (size_t)r * x->stride, (w->inputs - whole * 16) * sizeof(float));
    CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int i = 0; i < 4; i++) of_x[r][i] = vld1q_f32(rest[r] + 4 * i);
    add_step(R, H, group, codes, values, of_x, c);
  }
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int q = 0; q < 2 * H; q++) {
    size_t n = panel * 8 + 4 * (size_t)q;
    if (n < w->outputs) write_few(y, m + (size_t)r, n, w->outputs - n < 4 ? w->outputs - n : 4, c[r][q]);
  }
}

typedef void few_function(const ck_nm_f32 *w, const ck_sparse_input *x, const ck_sparse_output *y, size_t m, size_t panel);
#define FEW(R, H, group)                                                                                                                  \
  static void few_##R##_##H##_of_##group(const ck_nm_f32 *w, const ck_sparse_input *x, const ck_sparse_output *y, size_t m, size_t panel) { \
    few_rows(R, H, group, w, x, y, m, panel);                                                                                              \
  }
FEW(1, 2, 4) FEW(1, 1, 4) FEW(2, 1, 4) FEW(1, 2, 8) FEW(1, 1, 8) FEW(2, 1, 8)

// One row takes two panels at a time, whose sums are as many chains as multiply-adds need.
static void run_few(const ck_nm_f32 *w, const ck_sparse_input *x, const ck_sparse_output *y, size_t m, size_t rows, size_t panel, size_t end) {
  int is_4 = w->group == 4;
  if (rows == 1) {
    few_function *two = is_4 ? few_1_2_of_4 : few_1_2_of_8, *one = is_4 ? few_1_1_of_4 : few_1_1_of_8;
    for (; panel + 2 <= end; panel += 2) two(w, x, y, m, panel);
    if (panel < end) one(w, x, y, m, panel);
  } else {
    few_function *one = is_4 ? few_2_1_of_4 : few_2_1_of_8;
    for (; panel < end; panel++) one(w, x, y, m, panel);
  }
}

static size_t panel_floats(size_t inputs) { return ck_nm_round_up(inputs, ck_nm_f32_step) * most_rows; }

size_t ck_nm_f32_workspace_bytes__neon(size_t inputs, size_t outputs) {
  return (panel_floats(inputs) + ck_nm_round_up(outputs, ck_nm_panel) * most_rows) * sizeof(float);
}

void ck_nm_f32__neon(const ck_nm_f32 *w, const ck_sparse_input *x, const ck_sparse_output *y, size_t row_begin, size_t row_end, size_t panel_begin,
                     size_t panel_end, void *workspace) {
  float *packed = workspace, *sums = packed + panel_floats(w->inputs);
  size_t outputs = (panel_end * 8 < w->outputs ? panel_end * 8 : w->outputs) - panel_begin * 8;
  ck_sparse_output to = ck_sparse_output_from(y, panel_begin * 8);
  for (size_t first = row_begin, count; first < row_end; first += count) {
    size_t left = row_end - first, tile = most_rows;
    if (left <= 2) {
      run_few(w, x, y, first, left, panel_begin, panel_end);
      return;
    }
    while (tile > 4 && 4 * left < 3 * tile) tile /= 2;  // mostly full
    count = left < tile ? left : tile;
    pack_panel(x, w->inputs, first, count, tile, packed);
    add_tile(w, y, panel_begin, panel_end, tile, packed, sums);
    finish_tile(&to, outputs, first, count, sums, tile);
  }
}

CK_TARGET_END
#endif
