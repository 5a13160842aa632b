#include "CTraining.h"
#include "loops.h"

#include <math.h>
#include <string.h>

CK_INLINE void ck_magnitude_scores_f64_body(const float *w, size_t count, int squared, double *scores) {
  for (size_t i = 0; i < count; i++) {
    double value = w[i];
    scores[i] = squared ? value * value : fabs(value);
  }
}

CK_INLINE void ck_random_scores_f64_body(uint64_t seed, size_t count, double *scores) {
  for (size_t i = 0; i < count; i++) {
    uint64_t z = seed + (i + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    scores[i] = (double)((z ^ z >> 31) >> 11) * 0x1p-53;
  }
}

CK_INLINE void ck_add_gradient_f64_body(const float *g, size_t count, double factor, double *sums) {
  for (size_t i = 0; i < count; i++) sums[i] += factor * g[i];
}

CK_INLINE void ck_add_squares_f64_body(const float *g, size_t count, double factor, double *sums) {
  for (size_t i = 0; i < count; i++) sums[i] += factor * ((double)g[i] * g[i]);
}

CK_INLINE void ck_add_squared_products_f64_body(const float *g, const float *w, size_t count, double factor, double *sums) {
  for (size_t i = 0; i < count; i++) {
    double product = (double)g[i] * w[i];
    sums[i] += factor * (product * product);
  }
}

CK_INLINE void ck_times_weight_f64_body(const float *w, size_t count, double *scores) {
  for (size_t i = 0; i < count; i++) scores[i] = fabs(w[i] * scores[i]);
}

CK_INLINE void ck_squares_f64_body(const float *x, size_t count, double *squares) {
  for (size_t i = 0; i < count; i++) squares[i] = (double)x[i] * x[i];
}

CK_INLINE void ck_times_square_f64_body(const float *w, size_t count, double factor, double *scores) {
  for (size_t i = 0; i < count; i++) scores[i] *= factor * ((double)w[i] * w[i]);
}

CK_INLINE void ck_magnitude_times_column_f64_body(const float *w, size_t rows, size_t columns, const double *factors, double *scores) {
  for (size_t n = 0; n < rows; n++)
    for (size_t k = 0; k < columns; k++) scores[n * columns + k] = fabs((double)w[n * columns + k]) * factors[k];
}

CK_INLINE void ck_square_times_column_f64_body(const float *w, size_t rows, size_t columns, const double *factors, double *scores) {
  for (size_t n = 0; n < rows; n++)
    for (size_t k = 0; k < columns; k++) {
      double value = w[n * columns + k];
      scores[n * columns + k] = value * value * factors[k];
    }
}

CK_INLINE void ck_add_column_squares_f64_body(const float *x, size_t rows, size_t columns, double *sums) {
  for (size_t m = 0; m < rows; m++) ck_add_squares_f64_body(x + m * columns, columns, 1, sums);
}

void ck_block_scores_f64(const double *scores, const uint8_t *mask, size_t rows, size_t columns, size_t block_rows, size_t block_columns,
                         double *means) {
  size_t across = columns / block_columns;
  for (size_t strip = 0; strip < rows / block_rows; strip++)
    for (size_t block = 0; block < across; block++) {
      double sum = 0;
      int kept = mask == NULL;
      for (size_t r = 0; r < block_rows; r++) {
        size_t first = (strip * block_rows + r) * columns + block * block_columns;
        for (size_t c = 0; c < block_columns; c++) {
          sum += scores[first + c];
          if (mask && mask[first + c]) kept = 1;
        }
      }
      means[strip * across + block] = kept ? sum / (double)(block_rows * block_columns) : -1;
    }
}

// The element that is at index `at` when values are in ascending order (Hoare's quickselect in Wirth's form); reorders values.
static double ck_select_f64(double *values, size_t count, size_t at) {
  ptrdiff_t low = 0, high = (ptrdiff_t)count - 1, target = (ptrdiff_t)at;
  while (low < high) {
    double pivot = values[target];
    ptrdiff_t i = low, j = high;
    do {
      while (values[i] < pivot) i++;
      while (pivot < values[j]) j--;
      if (i <= j) {
        double swap = values[i];
        values[i++] = values[j];
        values[j--] = swap;
      }
    } while (i <= j);
    if (j < target) low = i;
    if (target < i) high = j;
  }
  return values[target];
}

void ck_prune_smallest_f64(const double *scores, size_t count, size_t prune, double *scratch, uint8_t *keep) {
  memset(keep, prune >= count ? 0 : 1, count);
  if (prune == 0 || prune >= count) return;
  memcpy(scratch, scores, count * sizeof(double));
  double threshold = ck_select_f64(scratch, count, prune - 1);
  size_t below = 0;
  for (size_t i = 0; i < count; i++) {
    if (scores[i] < threshold) {
      keep[i] = 0;
      below++;
    }
  }
  for (size_t i = count, left = prune - below; left > 0 && i > 0; i--) {
    if (scores[i - 1] == threshold) {
      keep[i - 1] = 0;
      left--;
    }
  }
}

void ck_prune_in_groups_f64(const double *scores, size_t count, size_t size, size_t prune, double *scratch, uint8_t *keep) {
  for (size_t first = 0; first < count; first += size) ck_prune_smallest_f64(scores + first, size, prune, scratch, keep + first);
}

void ck_expand_blocks_u8(const uint8_t *keep, size_t rows, size_t columns, size_t block_rows, size_t block_columns, uint8_t *mask) {
  size_t across = columns / block_columns;
  for (size_t r = 0; r < rows; r++)
    for (size_t block = 0; block < across; block++)
      memset(mask + r * columns + block * block_columns, keep[r / block_rows * across + block], block_columns);
}

CK_INLINE size_t ck_count_kept_u8_body(const uint8_t *mask, size_t count) {
  size_t kept = 0;
  for (size_t i = 0; i < count; i++) kept += mask[i] != 0;
  return kept;
}

CK_INLINE size_t ck_count_nonzero_f32_body(const float *x, size_t count) {
  size_t found = 0;
  for (size_t i = 0; i < count; i++) found += x[i] != 0;
  return found;
}

size_t ck_first_not_finite_f64(const double *x, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (!isfinite(x[i])) return i;
  return count;
}

CK_INLINE void ck_add_f64_body(const float *x, size_t count, double *sums) {
  for (size_t i = 0; i < count; i++) sums[i] += x[i];
}

CK_INLINE void ck_prune_and_correct_f32_body(float *w, const uint8_t *mask, size_t rows, size_t columns, const double *factor, double *scratch) {
  for (size_t n = 0; n < rows; n++) {
    float *row = w + n * columns;
    const uint8_t *keep = mask + n * columns;
    for (size_t k = 0; k < columns; k++) scratch[k] = row[k];
    for (size_t j = 0; j < columns; j++) {
      if (keep[j]) continue;
      const double *u = factor + j * columns;
      double error = scratch[j] / u[j];
      for (size_t k = j + 1; k < columns; k++) scratch[k] -= error * u[k];
    }
    for (size_t k = 0; k < columns; k++) {
      float corrected = (float)scratch[k];  // in any case, or the loop would have a branch
      row[k] = keep[k] ? corrected : 0;
    }
  }
}

void ck_select_f32(const float *source, size_t stride, const int64_t *rows, size_t row_count, const int64_t *columns, size_t column_count,
                   float *destination) {
  for (size_t r = 0; r < row_count; r++)
    for (size_t c = 0; c < column_count; c++)
      destination[r * column_count + c] = source[(size_t)rows[r] * stride + (size_t)columns[c]];
}

void ck_select_u8(const uint8_t *source, size_t stride, const int64_t *rows, size_t row_count, const int64_t *columns, size_t column_count,
                  uint8_t *destination) {
  for (size_t r = 0; r < row_count; r++)
    for (size_t c = 0; c < column_count; c++)
      destination[r * column_count + c] = source[(size_t)rows[r] * stride + (size_t)columns[c]];
}

CK_INLINE void ck_and_u8_body(uint8_t *mask, const uint8_t *other, size_t count) {
  for (size_t i = 0; i < count; i++) mask[i] = (uint8_t)((mask[i] != 0) & (other[i] != 0));
}

void ck_live_rows_u8(const uint8_t *mask, size_t rows, size_t columns, uint8_t *live) {
  for (size_t r = 0; r < rows; r++) {
    live[r] = 0;
    for (size_t c = 0; c < columns && !live[r]; c++) live[r] = mask[r * columns + c] != 0;
  }
}

int ck_reached_rows_u8(const uint8_t *mask, size_t rows, size_t columns, const uint8_t *live, size_t period, uint8_t *reached) {
  int any = 0;
  for (size_t r = 0; r < rows; r++) {
    reached[r] = 0;
    for (size_t c = 0; c < columns && !reached[r]; c++) reached[r] = (!mask || mask[r * columns + c]) && live[c % period];
    any |= reached[r];
  }
  return any;
}

void ck_mask_columns_u8(uint8_t *mask, size_t rows, size_t columns, const uint8_t *live, size_t period) {
  for (size_t r = 0; r < rows; r++)
    for (size_t c = 0; c < columns; c++)
      if (!live[c % period]) mask[r * columns + c] = 0;
}

#define CK_LOOPS_OF_PRUNING
#define CK_LOOP CK_DEFINE_LOOP
#include "loops.inc"
