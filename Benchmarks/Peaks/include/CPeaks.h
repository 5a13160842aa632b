// Loops that reach what a core can do at most: the limits that the benchmark compares kernels with. Each returns the number of
// operations done (a multiply and an add are two) or bytes moved in one call; the caller measures the time.
#ifndef CPEAKS_H
#define CPEAKS_H

#include <stddef.h>

// float32 multiply-adds in registers.
double peak_float32_operations(size_t repetitions);
// int8 products as W8 kernels need them: with VNNI one instruction for 64 products, else multiply pairs, widen to int32, add: three
// instructions for 32. has_vnni: whether the kernels in use have AVX512-VNNI.
double peak_int8_operations(size_t repetitions, int has_vnni);
// int8 products as W4 and W2 kernels need them: multiply pairs, add in int16, widen once in eight.
double peak_int8_folded_operations(size_t repetitions);
// 1-bit products as W1 kernels need them: a shuffle looks up sums of four, 32 at a time, and bytes are added.
double peak_lookup_operations(size_t repetitions);
// Reads `bytes` (a multiple of 512) at `memory`, aligned to 64 bytes.
double peak_read_bytes(const void *_Nonnull memory, size_t bytes);

#endif
