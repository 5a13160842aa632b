#include "cpu.h"

#include <stdint.h>
#include <string.h>

static const char *const isa_names[] = {
#define CK_ISA_NAME(name) #name,
    CK_EACH_ISA(CK_ISA_NAME)
#undef CK_ISA_NAME
};

const char *ck_isa_name(ck_isa isa) { return isa_names[isa]; }

bool ck_isa_named(const char *name, ck_isa *isa) {
  for (int i = 0; i < ck_isa_count; i++) {
    if (strcmp(name, isa_names[i]) == 0) {
      *isa = (ck_isa)i;
      return true;
    }
  }
  return false;
}

#if defined(__x86_64__)
#include <cpuid.h>

// Intel SDM volume 1, chapter 14: bits of CPUID leaves 1 and 7 and of XCR0.
enum {
  leaf1_ecx_needed = 1u << 12 /* FMA */ | 1u << 27 /* OSXSAVE */ | 1u << 28 /* AVX */ | 1u << 29 /* F16C */,
  leaf7_ebx_avx2 = 1u << 5,
  xcr0_ymm = 1u << 1 | 1u << 2,
  xcr0_zmm = xcr0_ymm | 1u << 5 | 1u << 6 | 1u << 7,
};
static const uint32_t leaf7_ebx_avx512 = 1u << 16 /* F */ | 1u << 17 /* DQ */ | 1u << 30 /* BW */ | 1u << 31 /* VL */;
static const uint32_t leaf7_ecx_vnni = 1u << 11;

static uint64_t xgetbv0(void) {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
}

bool ck_isa_is_available(ck_isa isa) {
  if (isa == ck_isa_portable) return true;
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || (c & leaf1_ecx_needed) != leaf1_ecx_needed) return false;
  uint64_t saved = xgetbv0();
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  bool avx2 = (b & leaf7_ebx_avx2) && (saved & xcr0_ymm) == xcr0_ymm;
  if (isa == ck_isa_avx2) return avx2;
  return avx2 && (b & leaf7_ebx_avx512) == leaf7_ebx_avx512 && (c & leaf7_ecx_vnni) && (saved & xcr0_zmm) == xcr0_zmm;
}

void ck_cpu_name(char *name, size_t capacity) {
  uint32_t words[13] = {0};
  uint32_t a, b, c, d;
  if (__get_cpuid(0x80000000u, &a, &b, &c, &d) && a >= 0x80000004u) {
    for (uint32_t leaf = 0; leaf < 3; leaf++) {
      uint32_t *w = words + 4 * leaf;
      __get_cpuid(0x80000002u + leaf, w, w + 1, w + 2, w + 3);
    }
  }
  const char *text = (const char *)words;
  while (*text == ' ') text++;
  size_t length = strlen(text);
  while (length > 0 && text[length - 1] == ' ') length--;
  if (capacity == 0) return;
  if (length > capacity - 1) length = capacity - 1;
  memcpy(name, text, length);
  name[length] = 0;
}

#else

bool ck_isa_is_available(ck_isa isa) { return isa == ck_isa_portable; }

void ck_cpu_name(char *name, size_t capacity) {
  if (capacity > 0) name[0] = 0;
}

#endif
