// int8 N:M weights with VNNI: for LANES outputs vpshufb picks, from 8 codes of a row that all lanes hold, the four that each output keeps, and vpdpbusd multiplies
// and adds them: 4 · LANES stored weights, twice as many of the dense matrix, in two operations. avxvnni and avx512vnni include this within their target regions,
// with LANES, ROWS (of a tile), `ints`, `floats`, VECTOR (the prefix of intrinsics) and the functions that their file has.
//
// Layout panel16: values[N16/16][K8/8][16 outputs][4 slots]; codes[N16/16][K16/16][16 outputs][4 slots]: bits 0 … 2 the input of the slot in the first 8 of
// 16 inputs, bits 4 … 6 in the second. vpshufb reads bits 0 … 3 and 7 of a byte, so that the first needs no decoding and the second a shift, whatever it
// brings into bits 4 … 6 (bit 3 of the byte above, which lands in bit 7, is 0).
//
// vpdpbusd is exact: 255 · 127 · 32,768 stored weights < 2³¹. The 8 codes come by a broadcasting load; the shift and the weights serve all rows of a tile, whose sums
// are as many chains. One row is bound by bytes: 0.75 a weight of the dense matrix.
enum {
  block_pairs = 128,     // of groups of 8 inputs: 24 KB of weights and the rows of a tile stay in L1 while the rows pass
  l2_bytes = 512 << 10,  // of codes, rows at a time while all weights pass
};

// The part of K that a call passes, in pairs of groups.
typedef struct k_range {
  size_t begin, end, groups;  // groups: of all K
} k_range;

// Adds one group of 8 inputs, of H vectors of outputs and R rows; `pick` says which.
CK_INLINE void add_group(int R, int H, const uint8_t *const x[ROWS / 3], size_t stride, size_t at, const ints pick[4], const int8_t *const values[4],
                         ints c[ROWS][4]) {
  CK_UNROLL for (int h = 0; h < H; h++) {
    ints w = load_ints(values[h]);
    CK_UNROLL for (int r = 0; r < R; r++) {
      ints chosen = VECTOR(shuffle_epi8)(broadcast_eight(x[r / 3] + (size_t)(r % 3) * stride + at), pick[h]);
      c[r][h] = multiply_bytes(c[r][h], chosen, w);
      KEEP(c[r][h]);
    }
  }
}

// Brings the sums of LANES outputs of one row to Y, or keeps them in Y's memory while K goes on.
CK_INLINE void write_sums(const ck_nm_s8 *w, const ck_nm_activations *x, const ck_sparse_output *y, int is_last, size_t m, size_t n, ints sum) {
  if (n >= w->outputs) return;
  size_t left = w->outputs - n;
  float *to = y->data + m * y->stride + n;
  if (!is_last) {
    store_some(to, left, as_floats(sum));
    return;
  }
  ints zero = VECTOR(mullo_epi32)(VECTOR(set1_epi32)(x->zero_points[m]), as_ints(load_some(w->sums + n, left)));
  floats scale = VECTOR(mul_ps)(VECTOR(set1_ps)(x->scales[m]), load_some(w->scales + n, left));
  floats v = VECTOR(mul_ps)(VECTOR(cvtepi32_ps)(VECTOR(sub_epi32)(sum, zero)), scale);
  if (y->bias != NULL) v = VECTOR(add_ps)(v, load_some(y->bias + n, left));
  if (y->relu) v = VECTOR(max_ps)(VECTOR(setzero_ps)(), v);
  store_some(to, left, v);
}

// H vectors of outputs, from number `vector` on, for R rows.
CK_INLINE void tile(int R, int H, const ck_nm_s8 *w, const ck_nm_activations *x, const ck_sparse_output *y, k_range k, size_t m, size_t vector) {
  const size_t pairs = (k.groups + 1) / 2, whole = k.end < k.groups / 2 ? k.end : k.groups / 2;
  const uint8_t *codes[4], *rows[ROWS / 3];
  const int8_t *values[4];
  size_t stride = x->stride;
  CK_UNROLL for (int i = 0; i < (R + 2) / 3; i++) {
    rows[i] = x->codes + (m + 3 * (size_t)i) * stride;
    __asm__("" : "+r"(rows[i]));
  }
  ints c[ROWS][4];
  CK_UNROLL for (int h = 0; h < H; h++) {
    size_t n = (vector + (size_t)h) * LANES, panel = n / ck_nm_panel16, lane = n % ck_nm_panel16;
    codes[h] = w->codes + (panel * pairs + k.begin) * 64 + 4 * lane;
    values[h] = w->values + (panel * k.groups + 2 * k.begin) * 64 + 4 * lane;
    CK_UNROLL for (int r = 0; r < R; r++) {
      c[r][h] = zero_ints();
      if (k.begin > 0 && n < w->outputs) c[r][h] = as_ints(load_some(y->data + (m + (size_t)r) * y->stride + n, w->outputs - n));
    }
  }
  for (size_t pair = k.begin; pair < whole; pair++) {
    ints pick[4];
    CK_UNROLL for (int h = 0; h < H; h++) pick[h] = load_ints(codes[h]);
    add_group(R, H, rows, stride, pair * 16, pick, values, c);
    CK_UNROLL for (int h = 0; h < H; h++) pick[h] = VECTOR(srli_epi32)(pick[h], 4), values[h] += 64;
    add_group(R, H, rows, stride, pair * 16 + 8, pick, values, c);
    CK_UNROLL for (int h = 0; h < H; h++) codes[h] += 64, values[h] += 64;
  }
  if (whole < k.end) {  // half a pair
    ints pick[4];
    CK_UNROLL for (int h = 0; h < H; h++) pick[h] = load_ints(codes[h]);
    add_group(R, H, rows, stride, whole * 16, pick, values, c);
  }
  CK_UNROLL for (int r = 0; r < R; r++) CK_UNROLL for (int h = 0; h < H; h++)
      write_sums(w, x, y, k.end == pairs, m + (size_t)r, (vector + (size_t)h) * LANES, c[r][h]);
}

typedef void tile_function(const ck_nm_s8 *w, const ck_nm_activations *x, const ck_sparse_output *y, k_range k, size_t m, size_t vector);
#define TILE(R, H)                                                                                                                    \
  static void tile_##R##_##H(const ck_nm_s8 *w, const ck_nm_activations *x, const ck_sparse_output *y, k_range k, size_t m, size_t vector) { \
    tile(R, H, w, x, y, k, m, vector);                                                                                                 \
  }
#define EACH(ITEM, H) ITEM(1, H) ITEM(2, H) ITEM(3, H) ITEM(4, H) ITEM(5, H) ITEM(6, H)
#define REST(ITEM, H) ITEM(7, H) ITEM(8, H) ITEM(9, H) ITEM(10, H) ITEM(11, H) ITEM(12, H)
#define NAME(R, H) tile_##R##_##H,
EACH(TILE, 1) REST(TILE, 1) TILE(1, 4) TILE(2, 4)
static tile_function *const tiles[ROWS + 1] = {NULL, EACH(NAME, 1) REST(NAME, 1)};

// One or two rows: 4 vectors at a time are as many chains as vpdpbusd needs.
static void few_rows(const ck_nm_s8 *w, const ck_nm_activations *x, const ck_sparse_output *y, size_t m, size_t rows, size_t vector, size_t end) {
  size_t groups = ck_nm_round_up(w->inputs, ck_nm_group) / ck_nm_group;
  k_range all = {0, (groups + 1) / 2, groups};
  for (; vector + 4 <= end; vector += 4) (rows == 1 ? tile_1_4 : tile_2_4)(w, x, y, all, m, vector);
  for (; vector < end; vector++) tiles[rows](w, x, y, all, m, vector);
}

static void nm_s8(const ck_nm_s8 *w, const ck_nm_activations *x, const ck_sparse_output *y, size_t row_begin, size_t row_end, size_t panel_begin,
                  size_t panel_end) {
  size_t first_vector = panel_begin * (ck_nm_panel16 / LANES), last_vector = panel_end * (ck_nm_panel16 / LANES);
  if (row_end - row_begin <= 2) {
    few_rows(w, x, y, row_begin, row_end - row_begin, first_vector, last_vector);
    return;
  }
  size_t groups = ck_nm_round_up(w->inputs, ck_nm_group) / ck_nm_group, pairs = (groups + 1) / 2;
  size_t chunk = l2_bytes / w->inputs / ROWS * ROWS;
  if (chunk < 4 * ROWS) chunk = 4 * ROWS;
  for (size_t m = row_begin; m < row_end; m += chunk) {
    size_t last = row_end - m < chunk ? row_end : m + chunk;
    for (size_t vector = first_vector; vector < last_vector; vector++)
      for (size_t first = 0; first < pairs; first += block_pairs) {
        k_range k = {first, pairs - first < block_pairs ? pairs : first + block_pairs, groups};
        for (size_t row = m; row < last; row += ROWS) tiles[last - row < ROWS ? last - row : ROWS](w, x, y, k, row, vector);
      }
  }
}
