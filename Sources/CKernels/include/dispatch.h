// The table of kernels: for each operation the fastest one that this machine can run.
#ifndef CK_DISPATCH_H
#define CK_DISPATCH_H

#include "convolution.h"
#include "gemm.h"
#include "instruction_sets.h"
#include "quantize.h"
#include "round.h"
#include "sparse.h"
#include "sparse_nm.h"

// One declaration for each row of kernels.inc.
#define CK_KERNEL(operation, isa) ck_fn_##operation ck_##operation##__##isa;
#define CK_CONFIG(operation, isa) extern const ck_config_##operation ck_##operation##__##isa;
#include "../dispatch/kernels.inc"

// The kernels in use: one member per operation.
typedef struct ck_kernels {
  ck_isa isa;         // the set of highest priority among them
  uint32_t features;  // what kernels may ask for
#define CK_KERNEL(operation, isa)
#define CK_CONFIG(operation, isa)
#define CK_KERNEL_OPERATION(operation) ck_fn_##operation *_Nonnull operation;
#define CK_CONFIG_OPERATION(operation) const ck_config_##operation *_Nonnull operation;
#include "../dispatch/kernels.inc"
} ck_kernels;

// The table in use: that of ck_selected_isa, unless ck_use_isa has set another.
const ck_kernels *_Nonnull ck_active_kernels(void);

// Whether the features of `isa` may be used, for loops that are compiled for some sets outside of the table.
bool ck_isa_is_active(ck_isa isa);

// How the first set in use was chosen.
typedef enum ck_isa_reason {
  ck_isa_best,         // CK_ISA is not set: all features of this machine
  ck_isa_requested,    // the set that CK_ISA names
  ck_isa_unknown,      // CK_ISA names no set: the best one
  ck_isa_unavailable,  // CK_ISA names a set that this machine cannot run: the best one
} ck_isa_reason;

typedef struct ck_isa_selection {
  const char *_Nullable requested;  // null where nothing was asked for
  ck_isa used;
  ck_isa_reason reason;
} ck_isa_selection;

// What is used where CK_ISA is `requested`; null and "" ask for nothing.
ck_isa_selection ck_select_isa(const char *_Nullable requested);

// The same for the environment variable CK_ISA (at most 63 bytes of it) as it was when the first function here was called: what the set in use
// was chosen by. A library does not end its host: programs for which only the requested set will do ask here, and refuse.
ck_isa_selection ck_selected_isa(void);

// A selection as a line of text without its end, at most `capacity` bytes with the terminating zero (none if 0; text may be null then). Returns
// the length of the whole line.
size_t ck_describe_isa_selection(ck_isa_selection selection, char *_Nullable text, size_t capacity);

// The table of one instruction set: for each operation the kernel of highest priority among those whose features the set has; null if this machine
// cannot run it.
const ck_kernels *_Nullable ck_kernels_of(ck_isa isa);

// Makes `isa` the set in use, for tests and benchmarks; false, and no change, if this machine cannot run it.
bool ck_use_isa(ck_isa isa);

// The rows of kernels.inc, for tests of the names and for listings.
typedef struct ck_kernel_row {
  const char *_Nonnull operation;
  ck_isa isa;
  const char *_Nonnull function;
} ck_kernel_row;
size_t ck_kernel_rows(const ck_kernel_row *_Nullable *_Nonnull rows);

#endif
