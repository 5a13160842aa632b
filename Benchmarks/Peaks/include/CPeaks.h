// Loops that reach what a core can do at most: the limits that the benchmark compares kernels with.
#ifndef CPEAKS_H
#define CPEAKS_H

#include <stddef.h>

#include "compiler.h"

// What limits kernels. An operation is a multiply or an add: a multiply-add counts two.
typedef enum peak_quantity {
  peak_float32,      // float32 multiply-adds in registers
  peak_int8,         // int8 products, exact: vpdpbusd, sdot, usmmla, or multiply pairs, widen to int32, add
  peak_int8_folded,  // int8 products as W4 and W2 need them: multiply pairs, add in int16, widen once in eight
  peak_lookup,       // 1-bit products as W1 needs them: a shuffle looks up sums of four, and bytes are added
  peak_count,        // 1-bit products, counted: xor, vpopcntq or cnt, add
  peak_bf16,         // products of BF16 pairs: vdpbf16ps, bfmmla, or those of float32 after widening
  peak_quantity_count
} peak_quantity;

// One row of the list. A quantity has a row for each instruction set that reaches more than the sets below it, named as CK_ISA names them.
typedef struct peak_loop {
  peak_quantity quantity;
  const char *_Nonnull set;
  // Runs the loop so often and returns the number of operations done; the caller measures the time.
  double (*_Nonnull run)(size_t repetitions);
} peak_loop;

// One way to read memory.
typedef struct peak_reader {
  const char *_Nonnull set;
  // Reads `bytes` (a multiple of 2,048) at `memory`, aligned to 64 bytes.
  void (*_Nonnull run)(const void *_Nonnull memory, size_t bytes);
} peak_reader;

// All rows; those of sets that this machine lacks must not be run. Where a set has several of the same kind, the fastest counts.
const peak_loop *_Nonnull peak_loops(size_t *_Nonnull count);
const peak_reader *_Nonnull peak_readers(size_t *_Nonnull count);

#endif
