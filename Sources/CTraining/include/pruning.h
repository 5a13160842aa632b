// Saliencies of weights and the choice of what is pruned. Scores are float64; smaller ones go first.
#ifndef CTRAINING_PRUNING_H
#define CTRAINING_PRUNING_H

#include <stddef.h>
#include <stdint.h>

#include "compiler.h"

// scores[i] = |w[i]|, or w[i]² where `squared`.
void ck_magnitude_scores_f64(const float *_Nonnull w, size_t count, int squared, double *_Nonnull scores);
// scores[i] = a number in [0, 1), SplitMix64 at position i of `seed`.
void ck_random_scores_f64(uint64_t seed, size_t count, double *_Nonnull scores);
// sums[i] += factor · g[i].
void ck_add_gradient_f64(const float *_Nonnull g, size_t count, double factor, double *_Nonnull sums);
// sums[i] += factor · g[i]².
void ck_add_squares_f64(const float *_Nonnull g, size_t count, double factor, double *_Nonnull sums);
// sums[i] += factor · (g[i] · w[i])².
void ck_add_squared_products_f64(const float *_Nonnull g, const float *_Nonnull w, size_t count, double factor, double *_Nonnull sums);
// scores[i] = |w[i] · scores[i]|.
void ck_times_weight_f64(const float *_Nonnull w, size_t count, double *_Nonnull scores);
// squares[i] = x[i]².
void ck_squares_f64(const float *_Nonnull x, size_t count, double *_Nonnull squares);
// scores[i] = factor · scores[i] · w[i]².
void ck_times_square_f64(const float *_Nonnull w, size_t count, double factor, double *_Nonnull scores);
// scores[n, k] = |w[n, k]| · factors[k].
void ck_magnitude_times_column_f64(const float *_Nonnull w, size_t rows, size_t columns, const double *_Nonnull factors, double *_Nonnull scores);
// scores[n, k] = w[n, k]² · factors[k].
void ck_square_times_column_f64(const float *_Nonnull w, size_t rows, size_t columns, const double *_Nonnull factors, double *_Nonnull scores);
// sums[k] += Σ over rows of x[m, k]².
void ck_add_column_squares_f64(const float *_Nonnull x, size_t rows, size_t columns, double *_Nonnull sums);

// Means of `scores` [rows, columns] over blocks of block_rows × block_columns, which divide them: means[rows / block_rows,
// columns / block_columns]. A block of which `mask` (if any) keeps nothing gets −1, so that it goes before all others.
void ck_block_scores_f64(const double *_Nonnull scores, const uint8_t *_Nullable mask, size_t rows, size_t columns, size_t block_rows,
                         size_t block_columns, double *_Nonnull means);
// keep[i] = 0 for the `prune` smallest scores, of equal ones the last; 1 for the others. scratch[count].
void ck_prune_smallest_f64(const double *_Nonnull scores, size_t count, size_t prune, double *_Nonnull scratch, uint8_t *_Nonnull keep);
// The same for each group of `size` consecutive scores; size divides count.
void ck_prune_in_groups_f64(const double *_Nonnull scores, size_t count, size_t size, size_t prune, double *_Nonnull scratch,
                            uint8_t *_Nonnull keep);
// mask[rows, columns] = that of its block in keep[rows / block_rows, columns / block_columns].
void ck_expand_blocks_u8(const uint8_t *_Nonnull keep, size_t rows, size_t columns, size_t block_rows, size_t block_columns,
                         uint8_t *_Nonnull mask);
// mask[i] = 0 where other[i] is 0.
void ck_and_u8(uint8_t *_Nonnull mask, const uint8_t *_Nonnull other, size_t count);
// live[r] = whether mask keeps anything of row r.
void ck_live_rows_u8(const uint8_t *_Nonnull mask, size_t rows, size_t columns, uint8_t *_Nonnull live);
// reached[r] = whether mask (if any) keeps a weight of row r whose input, channel c mod period, is live. Whether any row is reached.
int ck_reached_rows_u8(const uint8_t *_Nullable mask, size_t rows, size_t columns, const uint8_t *_Nonnull live, size_t period,
                       uint8_t *_Nonnull reached);
// mask[r, c] = 0 where live[c mod period] is 0: columns of inputs whose channel, innermost, is dead.
void ck_mask_columns_u8(uint8_t *_Nonnull mask, size_t rows, size_t columns, const uint8_t *_Nonnull live, size_t period);
// Number of entries other than 0.
size_t ck_count_kept_u8(const uint8_t *_Nonnull mask, size_t count);
// Number of elements other than 0.
size_t ck_count_nonzero_f32(const float *_Nonnull x, size_t count);
// Index of the first score that is NaN or infinite; count if there is none.
size_t ck_first_not_finite_f64(const double *_Nonnull x, size_t count);

// sums[i] += x[i].
void ck_add_f64(const float *_Nonnull x, size_t count, double *_Nonnull sums);
// Sets w[n, k] to 0 where mask is 0, column after column, and corrects the columns behind it (SparseGPT, Frantar and Alistarh 2023).
// factor[columns, columns] is the upper Cholesky factor U of the inverse Hessian, H⁻¹ = UᵀU. scratch[columns].
void ck_prune_and_correct_f32(float *_Nonnull w, const uint8_t *_Nonnull mask, size_t rows, size_t columns, const double *_Nonnull factor,
                              double *_Nonnull scratch);

// destination[r, c] = source[rows[r], columns[c]] of a matrix with `stride` columns.
void ck_select_f32(const float *_Nonnull source, size_t stride, const int64_t *_Nonnull rows, size_t row_count,
                   const int64_t *_Nonnull columns, size_t column_count, float *_Nonnull destination);
void ck_select_u8(const uint8_t *_Nonnull source, size_t stride, const int64_t *_Nonnull rows, size_t row_count,
                  const int64_t *_Nonnull columns, size_t column_count, uint8_t *_Nonnull destination);

#endif
