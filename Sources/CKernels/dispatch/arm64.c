// The features of an arm64 processor, as the operating system tells them: those that all cores have, where cores differ.
#include "instruction_sets.h"

#if defined(__aarch64__)

#if defined(__APPLE__)
#include <sys/sysctl.h>

static bool has(const char *name) {
  int value = 0;
  size_t bytes = sizeof value;
  return sysctlbyname(name, &value, &bytes, NULL, 0) == 0 && value != 0;
}

uint32_t ck_detected_features(void) {
  uint32_t found = ck_feature_neon;  // a part of every arm64 that Apple's systems run on
  if (has("hw.optional.arm.FEAT_DotProd")) found |= ck_feature_dotprod;
  if (has("hw.optional.arm.FEAT_I8MM")) found |= ck_feature_i8mm;
  if (has("hw.optional.arm.FEAT_BF16")) found |= ck_feature_armbf16;
  return found;
}

void ck_cpu_name(char *name, size_t capacity) {
  if (capacity == 0) return;
  name[0] = 0;
  if (sysctlbyname("machdep.cpu.brand_string", name, &capacity, NULL, 0) != 0) name[0] = 0;
}

#else
#include <sys/auxv.h>

// Bits of AT_HWCAP and AT_HWCAP2 (Linux, Documentation/arch/arm64/elf_hwcaps.rst).
enum { hwcap_asimd = 1 << 1, hwcap_asimddp = 1 << 20, hwcap2_i8mm = 1 << 13, hwcap2_bf16 = 1 << 14 };

uint32_t ck_detected_features(void) {
  unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
  uint32_t found = 0;
  if (first & hwcap_asimd) found |= ck_feature_neon;
  if (first & hwcap_asimddp) found |= ck_feature_dotprod;
  if (second & hwcap2_i8mm) found |= ck_feature_i8mm;
  if (second & hwcap2_bf16) found |= ck_feature_armbf16;
  return found;
}

void ck_cpu_name(char *name, size_t capacity) {
  if (capacity > 0) name[0] = 0;
}

#endif

bool ck_cpu_is_intel(void) { return false; }

#endif
