// Convolution of stride 1 for few outputs. Images become planes (windows/planes.h), where neighbours lie side by side, and sums go through a window in the
// order of its weights. There are two ways; config.c says which is taken.
//
// Positions side by side: 4 vectors of 16 positions × up to 6 outputs are 24 sums; a number of the window is 4 loads of the image, which mostly cross
// a cache line, and 6 broadcasts for 24 multiply-adds, 12 cycles of the two ports against 7 of the loads. Lanes behind a row's end are lost.
// Outputs side by side, 9 to 16 of them: 2 rows of up to 12 positions × 16 outputs; one load of transposed weights and 24 pixels, broadcast by the
// multiply-adds that use them, for 24 multiply-adds: both are two a cycle. Nothing is transposed at the end.
//
// Limit: 2 × 16 multiply-adds a cycle, 87 a nanosecond where this was measured (Sapphire Rapids). LeNet-5's first layer, 28×28 with padding, 6 outputs 5×5:
// 117,600 multiply-adds, 134,400 with the lanes that are lost, 1.54 µs; measured 2.03: planes 0.1, the rest the ends (18 permutations and 6 stores a vector);
// AVX2 4.0. Its second, 14×14×6, 16 outputs 5×5: 2.74 µs; measured 3.5 (planes 0.3); AVX2 9.7, positions side by side 5.4. 32×32×3, 16 outputs
// 3×3: 5.06; 7.5 (planes 0.35); AVX2 13.5. Stores of single positions took as long as the products of 25 inputs: 28×28 2.9 µs.
#if defined(__x86_64__)
#include "../x86_intrinsics.h"

#include "../windows/planes.h"
#include "kernels.h"
#include "sparse_panel.h"

CK_TARGET_BEGIN(CK_TARGET_AVX512)

enum { lanes = 16, most_outputs = 6, most_vectors = 4, most_positions = 12 };

typedef struct convolution {
  const ck_windows *windows;
  const float *planes;
  const size_t *places;   // [patch]: of the numbers of a window in the planes, from its first one
  size_t columns, patch;  // of the planes; of a window
  const float *weights, *bias;
  size_t outputs;
  int relu;
} convolution;

// ---- Positions side by side

// 16 neighbouring positions, of which so many are written. Those behind a row's end hold nothing of worth: they are written to where the next row's go,
// which come later (to choose what is written takes longer than the products). None lies behind the image's outputs, which may be another thread's.
typedef struct span {
  const float *x;
  float *y;
  size_t count;
} span;

// Stores the four outputs of positions 4 · L + j, L = 0…3, that lie in a vector.
CK_INLINE void store_quads(float *y, size_t pitch, size_t j, __m512 v) {
  _mm_storeu_ps(y + j * pitch, _mm512_castps512_ps128(v));
  _mm_storeu_ps(y + (4 + j) * pitch, _mm512_extractf32x4_ps(v, 1));
  _mm_storeu_ps(y + (8 + j) * pitch, _mm512_extractf32x4_ps(v, 2));
  _mm_storeu_ps(y + (12 + j) * pitch, _mm512_extractf32x4_ps(v, 3));
}

// The two outputs of positions 4 · L + j and 4 · L + j + 1.
CK_INLINE void store_pairs(float *y, size_t pitch, size_t j, __m512 v) {
  const __m128 quarters[4] = {_mm512_castps512_ps128(v), _mm512_extractf32x4_ps(v, 1), _mm512_extractf32x4_ps(v, 2), _mm512_extractf32x4_ps(v, 3)};
  CK_UNROLL for (size_t i = 0; i < 4; i++) {
    _mm_storel_pi((__m64 *)(void *)(y + (4 * i + j) * pitch), quarters[i]);
    _mm_storeh_pi((__m64 *)(void *)(y + (4 * i + j + 1) * pitch), quarters[i]);
  }
}

// G outputs of 16 positions, `pitch` numbers apart.
CK_INLINE void write_positions(int G, const __m512 rows[most_outputs], size_t pitch, float *y) {
  int g = 0;
  if (G >= 4) {
    __m512 a = _mm512_unpacklo_ps(rows[0], rows[1]), b = _mm512_unpackhi_ps(rows[0], rows[1]);
    __m512 c = _mm512_unpacklo_ps(rows[2], rows[3]), d = _mm512_unpackhi_ps(rows[2], rows[3]);
    store_quads(y, pitch, 0, _mm512_shuffle_ps(a, c, 0x44));
    store_quads(y, pitch, 1, _mm512_shuffle_ps(a, c, 0xee));
    store_quads(y, pitch, 2, _mm512_shuffle_ps(b, d, 0x44));
    store_quads(y, pitch, 3, _mm512_shuffle_ps(b, d, 0xee));
    g = 4;
  }
  if (G - g >= 2) {
    store_pairs(y + g, pitch, 0, _mm512_unpacklo_ps(rows[g], rows[g + 1]));
    store_pairs(y + g, pitch, 2, _mm512_unpackhi_ps(rows[g], rows[g + 1]));
    g += 2;
  }
  if (G - g == 1) {
    float last[lanes];
    _mm512_storeu_ps(last, rows[g]);
    for (size_t i = 0; i < lanes; i++) y[i * pitch + (size_t)g] = last[i];
  }
}

// The same for the first `count`: all 16 elsewhere, then those, in pieces as they were stored, which the processor forwards.
CK_INLINE void write_first_positions(int G, const __m512 rows[most_outputs], size_t pitch, size_t count, float *y) {
  enum { room = 8 };
  float all[lanes * room];
  write_positions(G, rows, room, all);
  for (size_t i = 0; i < count; i++, y += pitch) {
    const float *from = all + i * room;
    if (G >= 4) _mm_storeu_ps(y, _mm_loadu_ps(from));
    if (G & 2) memcpy(y + (G & 4), from + (G & 4), 2 * sizeof(float));
    if (G & 1) y[G - 1] = from[G - 1];
  }
}

// Three vectors in turn, a₀ b₀ c₀ a₁ …: number f of the result is f / 3 of vector f mod 3. Indices are constants when this is compiled.
CK_INLINE void in_turn3_ps(__m512 a, __m512 b, __m512 c, __m512 to[3]) {
  CK_UNROLL for (int i = 0; i < 3; i++) {
    int32_t of_two[16], of_third[16];
    CK_UNROLL for (int l = 0; l < 16; l++) {
      int f = 16 * i + l;
      of_two[l] = f % 3 == 1 ? 16 + f / 3 : f / 3;
      of_third[l] = f % 3 == 2 ? 16 + f / 3 : l;
    }
    to[i] = _mm512_permutex2var_ps(_mm512_permutex2var_ps(a, ck_load64(of_two), b), ck_load64(of_third), c);
  }
}
// The same for pairs of numbers.
CK_INLINE void in_turn3_pd(__m512d a, __m512d b, __m512d c, __m512 to[3]) {
  CK_UNROLL for (int i = 0; i < 3; i++) {
    int64_t of_two[8], of_third[8];
    CK_UNROLL for (int l = 0; l < 8; l++) {
      int f = 8 * i + l;
      of_two[l] = f % 3 == 1 ? 8 + f / 3 : f / 3;
      of_third[l] = f % 3 == 2 ? 8 + f / 3 : l;
    }
    to[i] = _mm512_castpd_ps(_mm512_permutex2var_pd(_mm512_permutex2var_pd(a, ck_load64(of_two), b), ck_load64(of_third), c));
  }
}
// a₀ b₀ a₁ … of the first or the last eight numbers.
CK_INLINE __m512d in_turn2(__m512 a, __m512 b, int is_last) {
  const __m512i first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  return _mm512_castps_pd(_mm512_permutex2var_ps(a, is_last ? _mm512_add_epi32(first, _mm512_set1_epi32(8)) : first, b));
}

// All outputs of `count` positions, G = 1, 2, 3 or 6 of them, which lie in one piece: permutations and few stores, where single positions take 32.
CK_INLINE void write_all_outputs(int G, const __m512 rows[most_outputs], size_t count, float *y) {
  __m512 to[most_outputs];
  if (G == 1) to[0] = rows[0];
  if (G == 2) CK_UNROLL for (int i = 0; i < 2; i++) to[i] = _mm512_castpd_ps(in_turn2(rows[0], rows[1], i));
  if (G == 3) in_turn3_ps(rows[0], rows[1], rows[2], to);
  if (G == 6)
    CK_UNROLL for (int i = 0; i < 2; i++)
      in_turn3_pd(in_turn2(rows[0], rows[1], i), in_turn2(rows[2], rows[3], i), in_turn2(rows[4], rows[5], i), to + 3 * i);
  size_t left = count * (size_t)G;
  if (count == lanes) {
    CK_UNROLL for (size_t i = 0; i < (size_t)G; i++) _mm512_storeu_ps(y + lanes * i, to[i]);
  } else {
    CK_UNROLL for (size_t i = 0; i < (size_t)G; i++)
      if (left > lanes * i) _mm512_mask_storeu_ps(y + lanes * i, ck_first_lanes(left - lanes * i), to[i]);
  }
}

CK_INLINE void block(int G, int V, const convolution *p, const float *weights, const float *bias, const span spans[most_vectors], size_t n) {
  __m512 sums[most_vectors][most_outputs];
  const float *x[most_vectors];
  CK_UNROLL for (int v = 0; v < V; v++) {
    x[v] = spans[v].x;
    CK_UNROLL for (int g = 0; g < G; g++) sums[v][g] = bias != NULL ? _mm512_set1_ps(bias[g]) : _mm512_setzero_ps();
  }
  for (size_t k = 0; k < p->patch; k++) {
    size_t place = p->places[k];
    __m512 image[most_vectors];
    CK_UNROLL for (int v = 0; v < V; v++) image[v] = _mm512_loadu_ps(x[v] + place);
    CK_UNROLL for (int g = 0; g < G; g++) {
      __m512 weight = _mm512_set1_ps(weights[(size_t)g * p->patch + k]);
      CK_UNROLL for (int v = 0; v < V; v++) sums[v][g] = _mm512_fmadd_ps(weight, image[v], sums[v][g]);
    }
  }
  CK_UNROLL for (int v = 0; v < V; v++) {
    CK_UNROLL for (int g = 0; g < G; g++) sums[v][g] = p->relu ? ck_relu16(sums[v][g]) : sums[v][g];
    if ((G <= 3 || G == 6) && p->outputs == (size_t)G) write_all_outputs(G, sums[v], spans[v].count, spans[v].y);
    else if (spans[v].count == lanes) write_positions(G, sums[v], p->outputs, spans[v].y + n);
    else write_first_positions(G, sums[v], p->outputs, spans[v].count, spans[v].y + n);
  }
}

typedef void block_function(const convolution *, const float *, const float *, const span *, size_t);
#define BLOCK(G, V)                                                                                                                          \
  static void block_##G##_##V(const convolution *p, const float *weights, const float *bias, const span spans[most_vectors], size_t n) {     \
    block(G, V, p, weights, bias, spans, n);                                                                                                 \
  }
#define BLOCKS(G) BLOCK(G, 1) BLOCK(G, 2) BLOCK(G, 4)
BLOCKS(1) BLOCKS(2) BLOCKS(3) BLOCKS(4) BLOCKS(5) BLOCKS(6)
#define NAMES(G) {block_##G##_1, block_##G##_2, block_##G##_4}
static block_function *const blocks[most_outputs][3] = {NAMES(1), NAMES(2), NAMES(3), NAMES(4), NAMES(5), NAMES(6)};

// All outputs, in groups of about the same size, of `count` spans: 1, 2 or 4.
static void run_spans(const convolution *p, const span *spans, size_t count) {
  size_t groups = (p->outputs + most_outputs - 1) / most_outputs, size = (p->outputs + groups - 1) / groups;
  for (size_t n = 0; n < p->outputs; n += size) {
    size_t group = p->outputs - n < size ? p->outputs - n : size;
    blocks[group - 1][count / 2](p, p->weights + n * p->patch, p->bias != NULL ? p->bias + n : NULL, spans, n);
  }
}

static void convolve_positions(const convolution *p, float *y) {
  const ck_windows *w = p->windows;
  span spans[most_vectors];
  size_t count = 0;
  for (size_t oy = 0; oy < w->output_height; oy++)
    for (size_t ox = 0; ox < w->output_width; ox += lanes) {
      size_t first = oy * w->output_width + ox, left = w->output_height * w->output_width - first;
      spans[count++] = (span){p->planes + oy * p->columns + ox, y + first * p->outputs, left < lanes ? left : lanes};
      if (count == most_vectors) run_spans(p, spans, count), count = 0;
    }
  if (count >= 2) run_spans(p, spans, 2);
  if (count % 2 == 1) run_spans(p, spans + count - 1, 1);
}

// ---- Outputs side by side

// packed[patch][16]: outputs n … n + 16, zeros for those that are not there.
static void pack_outputs(const convolution *p, size_t n, float *packed) {
  size_t count = p->outputs - n < lanes ? p->outputs - n : lanes;
  for (size_t k = 0; k < p->patch; k += lanes)
    ck_transpose_part16(p->weights + n * p->patch + k, p->patch, packed + k * lanes, lanes, p->patch - k < lanes ? p->patch - k : lanes, count);
}

// R neighbouring rows of P positions.
CK_INLINE void tile(int R, int P, const convolution *p, const float *x, const float *packed, __m512 bias, __mmask16 mask, float *y) {
  size_t columns = p->columns, patch = p->patch, y_row = p->windows->output_width * p->outputs;
  __m512 sums[2][most_positions];
  CK_UNROLL for (int r = 0; r < R; r++)
      CK_UNROLL for (int i = 0; i < P; i++) sums[r][i] = bias;
  for (size_t k = 0; k < patch; k++, packed += lanes) {
    const float *pixel = x + p->places[k];
    __m512 weight = _mm512_load_ps(packed);
    CK_UNROLL for (int r = 0; r < R; r++)
        CK_UNROLL for (int i = 0; i < P; i++) sums[r][i] = _mm512_fmadd_ps(_mm512_set1_ps(pixel[(size_t)r * columns + (size_t)i]), weight, sums[r][i]);
  }
  CK_UNROLL for (int r = 0; r < R; r++)
      CK_UNROLL for (int i = 0; i < P; i++) {
      __m512 v = p->relu ? ck_relu16(sums[r][i]) : sums[r][i];
      _mm512_mask_storeu_ps(y + (size_t)r * y_row + (size_t)i * p->outputs, mask, v);
    }
}

typedef void tile_function(const convolution *, const float *, const float *, __m512, __mmask16, float *);
#define TILE(R, P)                                                                                                                         \
  static void tile_##R##_##P(const convolution *p, const float *x, const float *packed, __m512 bias, __mmask16 mask, float *y) {            \
    tile(R, P, p, x, packed, bias, mask, y);                                                                                               \
  }
#define TILES(P) TILE(1, P) TILE(2, P)
TILES(1) TILES(2) TILES(3) TILES(4) TILES(5) TILES(6) TILES(7) TILES(8) TILES(9) TILES(10) TILES(11) TILES(12)
#define TILE_NAMES(P) {tile_1_##P, tile_2_##P}
static tile_function *const tiles[most_positions][2] = {TILE_NAMES(1), TILE_NAMES(2), TILE_NAMES(3), TILE_NAMES(4), TILE_NAMES(5), TILE_NAMES(6),
                                                        TILE_NAMES(7), TILE_NAMES(8), TILE_NAMES(9), TILE_NAMES(10), TILE_NAMES(11), TILE_NAMES(12)};

static void convolve_outputs(const convolution *p, const float *packed, float *y) {
  const ck_windows *w = p->windows;
  size_t cuts = (w->output_width + most_positions - 1) / most_positions, size = (w->output_width + cuts - 1) / cuts;
  for (size_t n = 0; n < p->outputs; n += lanes, packed += p->patch * lanes) {
    __mmask16 mask = ck_first_lanes(p->outputs - n);
    __m512 bias = p->bias != NULL ? _mm512_maskz_loadu_ps(mask, p->bias + n) : _mm512_setzero_ps();
    for (size_t oy = 0; oy < w->output_height; oy += 2)
      for (size_t ox = 0; ox < w->output_width; ox += size) {
        size_t count = w->output_width - ox < size ? w->output_width - ox : size, rows = w->output_height - oy < 2 ? 1 : 2;
        tiles[count - 1][rows - 1](p, p->planes + oy * p->columns + ox, packed, bias, mask, y + (oy * w->output_width + ox) * p->outputs + n);
      }
  }
}

// ---- Which of them, and the memory

static size_t round_up(size_t count) { return (count + lanes - 1) / lanes * lanes; }

// Whether lanes are outputs: where fewer of them are empty.
static int takes_outputs(const ck_windows *w, size_t outputs) {
  size_t patch = w->window_height * w->window_width * w->channels;
  return round_up(w->output_width) * outputs * (patch + ck_conv2d_ends_avx512) > w->output_width * round_up(outputs) * patch;
}

// Scratch memory: planes, packed weights where lanes are outputs, places.
static size_t planes_count(const ck_windows *w) { return round_up(ck_planes_count(w) + lanes); }
static size_t packed_count(const ck_windows *w, size_t outputs) {
  return takes_outputs(w, outputs) ? w->window_height * w->window_width * w->channels * round_up(outputs) : 0;
}

size_t ck_conv2d_workspace_bytes__avx512(const ck_windows *w, size_t outputs) {
  size_t patch = w->window_height * w->window_width * w->channels;
  return (planes_count(w) + packed_count(w, outputs)) * sizeof(float) + patch * sizeof(size_t);
}

static void list_places(const ck_windows *w, size_t *places) {
  size_t columns = w->width + 2 * w->padding, plane = (w->height + 2 * w->padding) * columns;
  for (size_t ky = 0; ky < w->window_height; ky++)
    for (size_t kx = 0; kx < w->window_width; kx++)
      for (size_t c = 0; c < w->channels; c++) *places++ = c * plane + ky * columns + kx;
}

void ck_conv2d__avx512(const float *images, size_t batch, const ck_windows *w, const float *weights, size_t outputs, const float *bias, int relu,
                       float *y, void *workspace) {
  float *planes = workspace, *packed = planes + planes_count(w);
  size_t *places = (size_t *)(void *)(packed + packed_count(w, outputs)), patch = w->window_height * w->window_width * w->channels;
  convolution p = {w, planes, places, w->width + 2 * w->padding, patch, weights, bias, outputs, relu};
  list_places(w, places);
  int by_outputs = takes_outputs(w, outputs);
  for (size_t n = 0; by_outputs && n < outputs; n += lanes) pack_outputs(&p, n, packed + n * patch);
  for (size_t b = 0; b < batch; b++) {
    ck_make_planes(images + b * w->height * w->width * w->channels, w, planes, lanes);
    float *to = y + b * w->output_height * w->output_width * outputs;
    if (by_outputs) convolve_outputs(&p, packed, to);
    else convolve_positions(&p, to);
  }
}

CK_TARGET_END
#endif
