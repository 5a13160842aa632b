// The walk over the strips of a slice, for vectors of LANES rows of X: sparse_f32.c includes this once for each width, within its target region.
// V ≤ MOST_VECTORS vectors of sums are in registers at a time, of H outputs of S strips.
#define NAMED_(name, lanes) name##_##lanes
#define NAMED__(name, lanes) NAMED_(name, lanes)
#define NAMED(name) NAMED__(name, LANES)
#if LANES == 16
#define vector __m512
#define VECTOR(operation) _mm512_##operation
#else
#define vector __m256
#define VECTOR(operation) _mm256_##operation
#endif

CK_INLINE vector NAMED(first_sum)(const tile_sums *to, int is_fresh, size_t n, int v) {
  if (!is_fresh) return VECTOR(loadu_ps)(to->sums + n * to->stride + LANES * (size_t)v);
  return VECTOR(set1_ps)(to->bias != NULL && n < to->outputs ? to->bias[n] : 0.0f);
}

// Adds one block to the sums of H outputs: C inputs of the panel from x on, R weights each.
CK_INLINE void NAMED(add_block)(int R, int C, int H, int V, const float *weights, const float *x, vector c[16][MOST_VECTORS]) {
  CK_UNROLL for (int k = 0; k < C; k++, x += LANES * V, weights += R) {
    vector a[MOST_VECTORS];
    if (H > 1) CK_UNROLL for (int v = 0; v < V; v++) a[v] = VECTOR(loadu_ps)(x + LANES * v);
    CK_UNROLL for (int h = 0; h < H; h++) {
      vector w = VECTOR(set1_ps)(weights[h]);
      CK_UNROLL for (int v = 0; v < V; v++) {
        c[h][v] = VECTOR(fmadd_ps)(w, H > 1 ? a[v] : VECTOR(loadu_ps)(x + LANES * v), c[h][v]);
        CK_KEEP32(c[h][v]);
      }
    }
  }
}

// Adds `count` ≤ 4 blocks of each of S strips, whose columns come with one load; `blocks` lie between the strips.
CK_INLINE void NAMED(add_blocks)(int R, int C, int S, int H, int V, int count, const uint16_t *columns, const float *values, size_t blocks,
                                 const float *panel, vector c[4][16][MOST_VECTORS]) {
  uint64_t fetched[4] = {0};
  CK_UNROLL for (int s = 0; s < S; s++) memcpy(&fetched[s], columns + (size_t)s * blocks, (size_t)count * sizeof *columns);
  CK_UNROLL for (int i = 0; i < count; i++) CK_UNROLL for (int s = 0; s < S; s++) {
    const float *x = in_register(panel + (fetched[s] >> (16 * i) & 0xffff) * (size_t)(LANES * V * C));
    NAMED(add_block)(R, C, H, V, values + ((size_t)s * blocks + (size_t)i) * (size_t)(R * C), x, c[s]);
  }
}

// Few rows are bound by the memory that the weights come from, of which short strips and narrow vectors ask for too little at a time: asks for
// `weights` of the strips to come.
CK_INLINE void NAMED(fetch_ahead)(int R, int C, int weights, int V, const float *values) {
  if (V > 1 || (R > 1 && (C > 1 || LANES > 8))) return;
  CK_UNROLL for (int i = 0; i < weights; i += 16) _mm_prefetch((const char *)(values + i), _MM_HINT_T0);
}

// Adds the blocks of S strips of equal number to V vectors of sums; H outputs of the R of each from n[s] and `values` on. Block b of
// strip s is block s · blocks + b. Each sum is a chain of its own, whatever S and V are. Four columns come with one load.
CK_INLINE void NAMED(add_strips)(int R, int C, int S, int H, int V, int is_fresh, const uint16_t *columns, const float *values, size_t blocks,
                                 const float *panel, const size_t *n, const tile_sums *to) {
  vector c[4][16][MOST_VECTORS];
  const size_t block = (size_t)(R * C);
  CK_UNROLL for (int s = 0; s < S; s++) CK_UNROLL for (int h = 0; h < H; h++)
    CK_UNROLL for (int v = 0; v < V; v++) c[s][h][v] = NAMED(first_sum)(to, is_fresh, n[s] + (size_t)h, v);
  size_t b = 0;
  if (C == 1) {
    for (; b + 4 <= blocks; b += 4) {
      NAMED(fetch_ahead)(R, C, 4 * S * R, V, values + ((size_t)S * blocks + (size_t)S * b) * block);
      NAMED(add_blocks)(R, C, S, H, V, 4, columns + b, values + b * block, blocks, panel, c);
    }
    if (blocks & 2) {
      NAMED(add_blocks)(R, C, S, H, V, 2, columns + b, values + b * block, blocks, panel, c);
      b += 2;
    }
    if (blocks & 1) NAMED(add_blocks)(R, C, S, H, V, 1, columns + b, values + b * block, blocks, panel, c);
  } else {
    for (; b < blocks; b++) {
      NAMED(fetch_ahead)(R, C, S * R * C, V, values + ((size_t)S * blocks + (size_t)S * b) * block);
      NAMED(add_blocks)(R, C, S, H, V, 1, columns + b, values + b * block, blocks, panel, c);
    }
  }
  CK_UNROLL for (int s = 0; s < S; s++) CK_UNROLL for (int h = 0; h < H; h++)
    CK_UNROLL for (int v = 0; v < V; v++) {
      if (to->relu) c[s][h][v] = VECTOR(max_ps)(VECTOR(setzero_ps)(), c[s][h][v]);
      VECTOR(storeu_ps)(to->sums + (n[s] + (size_t)h) * to->stride + LANES * (size_t)v, c[s][h][v]);
    }
}

// The next S strips, all their outputs.
CK_INLINE void NAMED(add_group)(int R, int C, int S, int V, int is_fresh, size_t blocks, cursor *at, const float *panel, const tile_sums *to) {
  // Sums of up to 16 registers: with few vectors more outputs share a load of x.
  const int most = V == 1 ? 16 : V == 2 ? 8 : 4, H = R < most ? R : most;
  for (int h = 0; h < R; h += H) {
    size_t n[4];
    CK_UNROLL for (int s = 0; s < S; s++) n[s] = (size_t)at->strip[s] * (size_t)R + (size_t)h;
    NAMED(add_strips)(R, C, S, H, V, is_fresh, at->column, at->value + h, blocks, panel, n, to);
  }
  at->strip += S;
  at->column += (size_t)S * blocks;
  at->value += (size_t)S * blocks * (size_t)(R * C);
}

// All blocks of a slice. Copies of cursor and target are locals: through pointers, each store of a sum would make them be read again.
CK_INLINE void NAMED(walk_slice)(int R, int C, int V, int is_fresh, const ck_sparse_run *run, const ck_sparse_run *end, cursor *at, const float *panel,
                          const tile_sums *target) {
  // A multiply-add takes 4 cycles and 2 start in each: 8 sums hide that, so few vectors need several strips at a time.
  const int S = R == 1 ? (V == 1 ? 4 : 2) : R == 4 && V <= 2 ? 2 : 1;
  cursor here = *at;
  tile_sums to = *target;
  for (; run < end; run++) {
    size_t blocks = run->blocks, strips = run->strips, i = 0;
    if (S > 1)
      for (; i + (size_t)S <= strips; i += (size_t)S) NAMED(add_group)(R, C, S, V, is_fresh, blocks, &here, panel, &to);
    for (; i < strips; i++) NAMED(add_group)(R, C, 1, V, is_fresh, blocks, &here, panel, &to);
  }
  *at = here;
}

#undef NAMED_
#undef NAMED__
#undef NAMED
#undef vector
#undef VECTOR
#undef LANES
#undef MOST_VECTORS
