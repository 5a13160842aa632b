// Convolution of stride 1 for few outputs. Images become planes (windows/planes.h), where neighbours of a channel lie side by side and borders need no
// branch. Lanes are 4 neighbouring positions of a row; 4 such vectors, which may lie in different rows, × 4 to 6 outputs are 16 to 24 sums, or 8 vectors
// × up to 3 outputs. For each number of a window 4 loads of the image and 2 of packed weights, taken by element, serve 24 multiply-adds. Lanes are lost
// only behind the last of a row's 4s. Sums begin with the bias and go through a window in the order of its weights.
//
// Limit: the multiply-adds. Modelled (llvm-mca 19), the loop over a window, operations a cycle, Cortex-A72, Neoverse N1, V1, V2, Apple M1: 4, 5 or 6 outputs 8.0,
// 15.9, 31.7, 31.7, 23.0 to 23.9, which is all of it; 3 and 2 outputs the same (M1 19 with 2), with 4 vectors V1 would have 23.7: its multiply-adds take 4 cycles
// and 4 start in each. One output 4.9, 11.2, 15.8, 17.5, 11.5, bound by loads. The end of a span takes 30 to 40 operations.
#if defined(__aarch64__)

#include "../windows/planes.h"
#include "epilogue.h"
#include "kernels.h"

CK_TARGET_BEGIN(CK_TARGET_NEON)

enum { lanes = 4, most_outputs = 6, most_vectors = 8, group_width = 8 };

typedef struct convolution {
  const ck_windows *windows;
  const float *planes;
  const size_t *places;  // [patch]: of the numbers of a window in the planes, from its first one
  size_t patch;          // of a window
  const float *packed;   // weights [groups][patch][group_width]
  const float *bias;
  size_t outputs, group;  // all; those of a group, the last may have fewer
  int relu;
} convolution;

// 4 neighbouring positions of a row, of which the first `count` are written.
typedef struct span {
  const float *x;
  float *y;
  size_t count;
} span;

CK_INLINE float32x4_t multiply_lane(float32x4_t sum, float32x4_t x, float32x4_t w, int lane) {
  switch (lane) {
    case 0: return vfmaq_laneq_f32(sum, x, w, 0);
    case 1: return vfmaq_laneq_f32(sum, x, w, 1);
    case 2: return vfmaq_laneq_f32(sum, x, w, 2);
    default: return vfmaq_laneq_f32(sum, x, w, 3);
  }
}

// Stores G numbers, the first 4 of them in `first`.
CK_INLINE void store_outputs(int G, float *y, float32x4_t first, float32x2_t rest) {
  if (G >= 4) vst1q_f32(y, first);
  if (G == 2 || G == 3) vst1_f32(y, vget_low_f32(first));
  if (G == 1) vst1q_lane_f32(y, first, 0);
  if (G == 3) vst1q_lane_f32(y + 2, first, 2);
  if (G == 5) vst1_lane_f32(y + 4, rest, 0);
  if (G == 6) vst1_f32(y + 4, rest);
}

// G outputs of the positions of a span, whose outputs lie `pitch` numbers apart; rows[g] are those of output g.
CK_INLINE void write_span(int G, const float32x4_t rows[most_outputs], size_t pitch, size_t count, float *y) {
  const float32x4_t zero = vdupq_n_f32(0);
  float32x4_t r1 = G > 1 ? rows[1] : zero, r2 = G > 2 ? rows[2] : zero, r3 = G > 3 ? rows[3] : zero;
  float32x4_t a = vzip1q_f32(rows[0], r2), b = vzip2q_f32(rows[0], r2), c = vzip1q_f32(r1, r3), d = vzip2q_f32(r1, r3);
  float32x4_t r4 = G > 4 ? rows[4] : zero, r5 = G > 5 ? rows[5] : zero, e = vzip1q_f32(r4, r5), f = vzip2q_f32(r4, r5);
  store_outputs(G, y, vzip1q_f32(a, c), vget_low_f32(e));
  if (count > 1) store_outputs(G, y + pitch, vzip2q_f32(a, c), vget_high_f32(e));
  if (count > 2) store_outputs(G, y + 2 * pitch, vzip1q_f32(b, d), vget_low_f32(f));
  if (count > 3) store_outputs(G, y + 3 * pitch, vzip2q_f32(b, d), vget_high_f32(f));
}

// G outputs, from output n on, of V spans.
CK_INLINE void block(int G, int V, const convolution *p, const float *weights, size_t n, const span spans[most_vectors]) {
  float32x4_t sums[most_vectors][most_outputs];
  const float *x[most_vectors];
  CK_UNROLL for (int v = 0; v < V; v++) {
    x[v] = spans[v].x;
    CK_UNROLL for (int g = 0; g < G; g++) sums[v][g] = vdupq_n_f32(p->bias != NULL ? p->bias[n + (size_t)g] : 0.0f);
  }
  const size_t *places = p->places, *end = places + p->patch;
  for (; places < end; places++, weights += group_width) {
    float32x4_t w[2] = {vld1q_f32(weights), vdupq_n_f32(0)}, image[most_vectors];
    if (G > lanes) w[1] = vld1q_f32(weights + lanes);
    CK_UNROLL for (int v = 0; v < V; v++) image[v] = vld1q_f32(x[v] + *places);
    CK_UNROLL for (int g = 0; g < G; g++) CK_UNROLL for (int v = 0; v < V; v++)
        sums[v][g] = multiply_lane(sums[v][g], image[v], w[g / lanes], g % lanes);
  }
  CK_UNROLL for (int v = 0; v < V; v++) {
    if (p->relu) CK_UNROLL for (int g = 0; g < G; g++) sums[v][g] = ck_relu(sums[v][g]);
    if (spans[v].count > 0) write_span(G, sums[v], p->outputs, spans[v].count, spans[v].y + n);
  }
}

typedef void block_function(const convolution *p, const float *weights, size_t n, const span *spans);
#define BLOCK(G, V) \
  static void block_##G##_##V(const convolution *p, const float *weights, size_t n, const span *spans) { block(G, V, p, weights, n, spans); }
BLOCK(1, 4) BLOCK(2, 4) BLOCK(3, 4) BLOCK(4, 4) BLOCK(5, 4) BLOCK(6, 4) BLOCK(1, 8) BLOCK(2, 8) BLOCK(3, 8)
static block_function *const blocks_4[most_outputs] = {block_1_4, block_2_4, block_3_4, block_4_4, block_5_4, block_6_4};
static block_function *const blocks_8[3] = {block_1_8, block_2_8, block_3_8};

// All outputs of the first `count` of so many spans; the others get something to read.
static void run_spans(const convolution *p, span *spans, size_t count, size_t vectors) {
  for (size_t v = count; v < vectors; v++) spans[v] = (span){spans[0].x, spans[0].y, 0};
  const float *weights = p->packed;
  for (size_t n = 0; n < p->outputs; n += p->group, weights += p->patch * group_width) {
    size_t left = p->outputs - n < p->group ? p->outputs - n : p->group;
    (vectors == most_vectors ? blocks_8 : blocks_4)[left - 1](p, weights, n, spans);
  }
}

// One image, whose outputs begin at y.
static void convolve(const convolution *p, float *y) {
  const ck_windows *w = p->windows;
  const size_t columns = w->width + 2 * w->padding, vectors = p->group <= 3 ? most_vectors : most_vectors / 2;
  span spans[most_vectors];
  size_t count = 0;
  for (size_t oy = 0; oy < w->output_height; oy++)
    for (size_t ox = 0; ox < w->output_width; ox += lanes) {
      size_t left = w->output_width - ox;
      spans[count++] = (span){p->planes + oy * columns + ox, y + (oy * w->output_width + ox) * p->outputs, left < lanes ? left : lanes};
      if (count < vectors) continue;
      run_spans(p, spans, count, vectors);
      count = 0;
    }
  if (count > 0) run_spans(p, spans, count, vectors);
}

// ---- Scratch memory: places, planes, packed weights

static size_t patch_of(const ck_windows *w) { return w->window_height * w->window_width * w->channels; }
static size_t planes_count(const ck_windows *w) { return (ck_planes_count(w) + lanes + 3) / 4 * 4; }
static size_t groups_of(size_t outputs) { return (outputs + most_outputs - 1) / most_outputs; }

size_t ck_conv2d_workspace_bytes__neon(const ck_windows *w, size_t outputs) {
  size_t patch = patch_of(w);
  return patch * sizeof(size_t) + (planes_count(w) + groups_of(outputs) * patch * group_width) * sizeof(float);
}

static void list_places(const ck_windows *w, size_t *places) {
  size_t columns = w->width + 2 * w->padding, plane = (w->height + 2 * w->padding) * columns;
  for (size_t ky = 0; ky < w->window_height; ky++)
    for (size_t kx = 0; kx < w->window_width; kx++)
      for (size_t c = 0; c < w->channels; c++) *places++ = c * plane + ky * columns + kx;
}

static void pack_weights(const convolution *p, const float *weights, float *packed) {
  memset(packed, 0, groups_of(p->outputs) * p->patch * group_width * sizeof(float));
  for (size_t n = 0; n < p->outputs; n++)
    for (size_t i = 0; i < p->patch; i++) packed[(n / p->group * p->patch + i) * group_width + n % p->group] = weights[n * p->patch + i];
}

void ck_conv2d__neon(const float *images, size_t batch, const ck_windows *w, const float *weights, size_t outputs, const float *bias, int relu,
                     float *y, void *workspace) {
  size_t patch = patch_of(w), groups = groups_of(outputs), *places = workspace;
  float *planes = (float *)(void *)(places + patch), *packed = planes + planes_count(w);
  convolution p = {w, planes, places, patch, packed, bias, outputs, (outputs + groups - 1) / groups, relu};
  list_places(w, places);
  pack_weights(&p, weights, packed);
  for (size_t b = 0; b < batch; b++) {
    ck_make_planes(images + b * w->height * w->width * w->channels, w, planes, lanes);
    convolve(&p, y + b * w->output_height * w->output_width * outputs);
  }
}

CK_TARGET_END
#endif
