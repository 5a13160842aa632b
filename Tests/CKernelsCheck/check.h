// What the files of the check share: how a failure is told, and the families of kernels by sizes at the edges of tiles, panels and folds (edges.c).
#ifndef CK_CHECK_H
#define CK_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "instruction_sets.h"

// Of all random numbers.
extern uint64_t seed;

// Counts a check; prints the first few that did not pass.
void expect(int passed, ck_isa isa, const char *_Nonnull what, size_t rows, size_t inputs, size_t outputs, size_t more);

// Whole families: `is_product` asks for all M, N and K up to 40, else every size of each dimension comes with others drawn from edges.
typedef void check_edges(ck_isa isa, int is_product);
check_edges check_gemm_edges, check_bits_edges, check_floats_edges, check_sparse_edges, check_nm_edges, check_convolution_edges, check_weights_edges,
    check_elements_edges;

#endif
