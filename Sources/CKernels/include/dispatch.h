// The table of kernels: for each operation the fastest one that this machine can run.
#ifndef CK_DISPATCH_H
#define CK_DISPATCH_H

#include "cpu.h"
#include "convolution.h"
#include "gemm.h"
#include "quantize.h"
#include "round.h"
#include "sparse.h"
#include "sparse_nm.h"

// One declaration for each row of kernels.inc: ck_<operation>__<isa>, of the type ck_fn_<operation>.
#define CK_KERNEL(operation, isa) ck_fn_##operation ck_##operation##__##isa;
#include "../kernels.inc"
#undef CK_KERNEL

// The kernels in use: one member per operation. Every operation has a portable kernel, so its portable rows name the members.
typedef struct ck_kernels {
  ck_isa isa;
#define CK_MEMBER_portable(operation) ck_fn_##operation *_Nonnull operation;
#define CK_MEMBER_avx2(operation)
#define CK_MEMBER_avx512(operation)
#define CK_KERNEL(operation, isa) CK_MEMBER_##isa(operation)
#include "../kernels.inc"
#undef CK_KERNEL
#undef CK_MEMBER_portable
#undef CK_MEMBER_avx2
#undef CK_MEMBER_avx512
} ck_kernels;

// The table in use. The first call chooses the fastest available set, or the one that the environment variable CK_ISA
// names; if that one is unknown or not available here, it says so on standard error and ends the process.
const ck_kernels *_Nonnull ck_active_kernels(void);

// The table of one instruction set (what it lacks comes from the sets before it); null if this machine cannot run it.
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
