// A product by way of a configuration: everything that it asks for, in guarded memory.
#ifndef CK_TEST_PACKED_PRODUCT_H
#define CK_TEST_PACKED_PRODUCT_H

#include "CKernels.h"

enum {
  ck_test_slot_source,
  ck_test_slot_workspace,
  ck_test_slot_activations,
  ck_test_slot_activation_scales,
  ck_test_slot_zero_points,
  ck_test_slot_codes,
  ck_test_slot_multipliers,
  ck_test_slot_sums,
  ck_test_slot_scales,
  ck_test_slot_starts,
  ck_test_slot_units,
  ck_test_slot_others,  // from here on for the checks
};

// Packs codes (int8 or bit patterns) [N, K], multipliers [N, groups] and scales [N], where there are any.
ck_gemm_weights ck_test_pack_weights(const ck_gemm_config *config, const ck_gemm_shape *shape, const void *codes, const int8_t *multipliers,
                                     const float *scales);
int ck_test_weights_are_intact(void);
// Packs all rows, in two calls where they can be cut.
ck_gemm_activations ck_test_pack_activations(const ck_gemm_config *config, const ck_gemm_source *source, void *workspace);
int ck_test_activations_are_intact(void);
// The product, whole or cut in up to four.
void ck_test_multiply(const ck_gemm_config *config, const ck_gemm_weights *w, const ck_gemm_activations *x, const ck_gemm_output *y, int is_cut,
                      void *workspace);

#endif
