// The list of loops, and what they share.
#ifndef PEAKS_LOOPS_H
#define PEAKS_LOOPS_H

#include "CPeaks.h"

// Keeps a value in a register and the loop from being simplified.
#if defined(__aarch64__)
#define PEAK_KEEP(x) __asm__ volatile("" : "+w"(x))
#else
#define PEAK_KEEP(x) __asm__ volatile("" : "+v"(x))
#endif

// PEAK_LOOP(quantity, set, function), PEAK_READER(set, function). bf16 without vdpbf16ps or bfmmla is float32's loop: widening comes on top.
// avx512bf16 is the one x86 set with vpopcntq.
#define PEAK_EACH_PORTABLE_LOOP(PEAK_LOOP)             \
  PEAK_LOOP(peak_float32, portable, float32_portable)  \
  PEAK_LOOP(peak_int8, portable, int8_portable)        \
  PEAK_LOOP(peak_int8_folded, portable, int8_portable) \
  PEAK_LOOP(peak_lookup, portable, int8_portable)      \
  PEAK_LOOP(peak_bf16, portable, float32_portable)
#define PEAK_EACH_PORTABLE_READER(PEAK_READER) PEAK_READER(portable, read_portable)

#if defined(__x86_64__)
#define PEAK_EACH_SET_LOOP(PEAK_LOOP)                     \
  PEAK_LOOP(peak_float32, avx2, float32_avx2)             \
  PEAK_LOOP(peak_int8, avx2, int8_avx2)                   \
  PEAK_LOOP(peak_int8_folded, avx2, int8_folded_avx2)     \
  PEAK_LOOP(peak_lookup, avx2, lookup_avx2)               \
  PEAK_LOOP(peak_bf16, avx2, float32_avx2)                \
  PEAK_LOOP(peak_int8, avxvnni, int8_avxvnni)             \
  PEAK_LOOP(peak_float32, avx512, float32_avx512)         \
  PEAK_LOOP(peak_int8, avx512, int8_avx512)               \
  PEAK_LOOP(peak_int8_folded, avx512, int8_folded_avx512) \
  PEAK_LOOP(peak_lookup, avx512, lookup_avx512)           \
  PEAK_LOOP(peak_bf16, avx512, float32_avx512)            \
  PEAK_LOOP(peak_int8, avx512vnni, int8_avx512vnni)       \
  PEAK_LOOP(peak_count, avx512bf16, count_avx512bf16)     \
  PEAK_LOOP(peak_bf16, avx512bf16, bf16_avx512bf16)
#define PEAK_EACH_SET_READER(PEAK_READER) \
  PEAK_READER(avx2, read_avx2)            \
  PEAK_READER(avx2, read_streams_avx2)    \
  PEAK_READER(avx512, read_avx512)        \
  PEAK_READER(avx512, read_streams_avx512)
#elif defined(__aarch64__)
#define PEAK_EACH_SET_LOOP(PEAK_LOOP)                   \
  PEAK_LOOP(peak_float32, neon, float32_neon)           \
  PEAK_LOOP(peak_int8, neon, int8_neon)                 \
  PEAK_LOOP(peak_int8_folded, neon, int8_folded_neon)   \
  PEAK_LOOP(peak_lookup, neon, lookup_neon)             \
  PEAK_LOOP(peak_count, neon, count_neon)               \
  PEAK_LOOP(peak_bf16, neon, float32_neon)              \
  PEAK_LOOP(peak_int8, dotprod, int8_dotprod)           \
  PEAK_LOOP(peak_int8, i8mm, int8_i8mm)                 \
  PEAK_LOOP(peak_bf16, armbf16, bf16_armbf16)
#define PEAK_EACH_SET_READER(PEAK_READER) \
  PEAK_READER(neon, read_neon)            \
  PEAK_READER(neon, read_streams_neon)
#else
#define PEAK_EACH_SET_LOOP(PEAK_LOOP)
#define PEAK_EACH_SET_READER(PEAK_READER)
#endif

#define PEAK_LOOP(quantity, set, function) double peak_##function(size_t repetitions);
PEAK_EACH_PORTABLE_LOOP(PEAK_LOOP)
PEAK_EACH_SET_LOOP(PEAK_LOOP)
#undef PEAK_LOOP
#define PEAK_READER(set, function) void peak_##function(const void *_Nonnull memory, size_t bytes);
PEAK_EACH_PORTABLE_READER(PEAK_READER)
PEAK_EACH_SET_READER(PEAK_READER)
#undef PEAK_READER

#endif
