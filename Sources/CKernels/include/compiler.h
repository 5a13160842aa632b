// What clang and gcc spell differently.
#ifndef CK_COMPILER_H
#define CK_COMPILER_H

#if !defined(__clang__)
#define _Nonnull
#define _Nullable
#endif

#define CK_PRAGMA(text) _Pragma(#text)

// The functions between these two are compiled for the named features, whatever the command line says: one binary serves all machines.
// Headers of intrinsics are included before the first of them.
#if defined(CK_SIMDE)  // emulated: x86_intrinsics.h
#define CK_TARGET_BEGIN(features)
#define CK_TARGET_END
#elif defined(__clang__)
#define CK_TARGET_BEGIN(features) CK_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define CK_TARGET_END CK_PRAGMA(clang attribute pop)
#else
#define CK_TARGET_BEGIN(features) CK_PRAGMA(GCC push_options) CK_PRAGMA(GCC target(features))
#define CK_TARGET_END CK_PRAGMA(GCC pop_options)
#endif

#if defined(CK_SIMDE)  // as code emulation is long enough
#define CK_UNROLL
#elif defined(__clang__)
#define CK_UNROLL CK_PRAGMA(clang loop unroll(full))
#else
#define CK_UNROLL CK_PRAGMA(GCC unroll 64)
#endif

#if defined(__clang__)
// No product and sum is fused unless the code says so, whatever the command line (Package.swift has -ffp-contract=off for all files, and so do checks with gcc,
// which has no such pragma).
#define CK_NO_CONTRACTION CK_PRAGMA(clang fp contract(off))
#else
#define CK_NO_CONTRACTION
#endif

#define CK_INLINE static inline __attribute__((always_inline))
#if defined(CK_SIMDE)  // vectors are arrays in memory
#define CK_KEEP(x) (void)(x)
#define CK_KEEP32(x) (void)(x)
#else
// Keeps a value in its vector register as written: the optimizer would otherwise reassociate integer sums into trees that spill.
#define CK_KEEP(x) __asm__("" : "+x"(x))
// The same for any of the 32 registers of AVX512.
#define CK_KEEP32(x) __asm__("" : "+v"(x))
#endif
// Keeps a tile in memory: the optimizer would otherwise hoist it into registers that the loop needs.
#define CK_KEEP_IN_MEMORY() __asm__ volatile("" ::: "memory")

#endif
