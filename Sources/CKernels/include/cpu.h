// Instruction sets, and which of them this CPU and operating system allow.
#ifndef CK_CPU_H
#define CK_CPU_H

#include <stdbool.h>
#include <stddef.h>

// Every instruction set the library has kernels for, from the slowest to the fastest. A set overrides the ones before it.
//   portable  C11 alone, the readable reference
//   avx2      x86-64 with AVX2, FMA and F16C
//   avx512    the above with AVX512 F, BW, DQ, VL and VNNI
#define CK_EACH_ISA(X) X(portable) X(avx2) X(avx512)

typedef enum ck_isa {
#define CK_ISA_ENUMERATOR(name) ck_isa_##name,
  CK_EACH_ISA(CK_ISA_ENUMERATOR)
#undef CK_ISA_ENUMERATOR
  ck_isa_count
} ck_isa;

// Name of an instruction set as CK_ISA spells it ("portable", "avx2", …).
const char *ck_isa_name(ck_isa isa);

// Finds the instruction set called `name`; false if there is none.
bool ck_isa_named(const char *name, ck_isa *isa);

// Whether the processor has the instructions (CPUID) and the operating system saves their registers (XGETBV).
bool ck_isa_is_available(ck_isa isa);

// Model name of the processor, zero-terminated, at most `capacity` bytes; empty where the processor does not tell.
void ck_cpu_name(char *name, size_t capacity);

// Tells the processor that a loop waits for another thread.
static inline void ck_pause(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

#endif
