// Packing computes in the default floating-point environment, whatever its caller has set: to nearest, subnormals kept. So scales and codes
// are the same bits for every MXCSR and FPCR.
#ifndef CK_FLOAT_ENVIRONMENT_H
#define CK_FLOAT_ENVIRONMENT_H

#include <stdint.h>

#if !defined(__x86_64__) && !defined(__aarch64__)
#include <fenv.h>
#endif

// A function of its own for what is computed between begin and end: compilers move arithmetic on arguments past both, but no call that reads
// memory.
#define CK_APART __attribute__((noinline)) static

// Sets the default environment of this thread; returns what ck_end_default_floats restores.
static inline uint64_t ck_begin_default_floats(void) {
#if defined(__x86_64__)
  uint64_t control = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr((unsigned)control & ~(3u << 13 /* rounding */ | 1u << 15 /* FTZ */ | 1u << 6 /* DAZ */));
#elif defined(__aarch64__)
  uint64_t control;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control));
  // 0: to nearest, no FZ; nor DN or AHP, which change NaNs and FP16. Writing it takes some cycles, and it is 0 in most programs.
  if (control != 0) __asm__ volatile("msr fpcr, xzr");
#else
  uint64_t control = (uint64_t)fegetround();
  fesetround(FE_TONEAREST);
#endif
  __asm__ volatile("" ::: "memory");
  return control;
}

#if defined(__x86_64__)
// The environment of products of BF16: to nearest, subnormals flushed on input and output, all exceptions masked. Ended the same way.
static inline uint64_t ck_begin_flushing_floats(void) {
  uint64_t control = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(0x1F80u /* masks */ | 1u << 15 /* FTZ */ | 1u << 6 /* DAZ */);
  __asm__ volatile("" ::: "memory");
  return control;
}
#elif defined(__aarch64__)
// The same, but that Arm's processors find tininess before they round: a result that would become 2⁻¹²⁶ is flushed too. They tell of each result that is
// flushed (UFC of FPSR), so that it can be computed in another way. Ended by ck_end_flushing_floats, which restores the caller's flags as well.
static inline uint64_t ck_begin_flushing_floats(void) {
  uint64_t control, status;
  __asm__ volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(control), "=r"(status));
  __asm__ volatile("msr fpcr, %0\n\tmsr fpsr, xzr" ::"r"((uint64_t)1 << 24 /* FZ */) : "memory");
  return control | status << 32;
}
static inline void ck_end_flushing_floats(uint64_t control) {
  __asm__ volatile("msr fpcr, %0\n\tmsr fpsr, %1" ::"r"(control & 0xFFFFFFFFu), "r"(control >> 32) : "memory");
}
// Whether a result has been flushed since flushing began or since this was asked and true.
static inline int ck_has_flushed(void) {
  uint64_t status;
  __asm__ volatile("mrs %0, fpsr" : "=r"(status)::"memory");
  if (!(status & 1 << 3 /* UFC */)) return 0;
  __asm__ volatile("msr fpsr, xzr" ::: "memory");
  return 1;
}
// BFMMLA as gemm.h says, whatever FPCR does: of its bits the instruction asks EBF alone, which is 0 unless a program has set it.
static inline uint64_t ck_begin_rounding_pairs(void) {
  uint64_t control, extended = 1 << 13;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control));
  if (control & extended) __asm__ volatile("msr fpcr, %0" ::"r"(control & ~extended) : "memory");
  return control;
}
static inline void ck_end_rounding_pairs(uint64_t control) {
  if (control & 1 << 13) __asm__ volatile("msr fpcr, %0" ::"r"(control) : "memory");
}
#endif

static inline void ck_end_default_floats(uint64_t control) {
  __asm__ volatile("" ::: "memory");
#if defined(__x86_64__)
  __builtin_ia32_ldmxcsr((unsigned)control);
#elif defined(__aarch64__)
  if (control != 0) __asm__ volatile("msr fpcr, %0" ::"r"(control));
#else
  fesetround((int)control);
#endif
  __asm__ volatile("" ::: "memory");
}

#endif
