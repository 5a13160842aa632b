// Buffers of the checks, and their random numbers.
#ifndef CK_TEST_GUARDED_H
#define CK_TEST_GUARDED_H

#include <stddef.h>
#include <stdint.h>

enum { ck_test_slots = 32, ck_test_pattern = 0xA5 };

// Memory of `bytes` against a page that may not be touched, where ck_test_place says; where there is no such page lie guard bytes
// (ck_test_pattern), and the memory is filled with them. It belongs to this thread until the slot is asked again.
void *ck_test_guarded(int slot, size_t bytes, size_t alignment);
// Whether nobody has written outside of it.
int ck_test_guards_are_intact(int slot);

// xorshift64 (Marsaglia 2003); the state is not 0.
static inline uint64_t ck_test_next(uint64_t *state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  return *state ^= *state << 17;
}
static inline int ck_test_between(uint64_t *state, int lowest, int highest) {
  return lowest + (int)((ck_test_next(state) >> 33) % (uint64_t)(highest - lowest + 1));
}
static inline int ck_test_coin(uint64_t *state) { return ck_test_next(state) >> 40 & 1; }
// In −1 … 1.
static inline float ck_test_number(uint64_t *state) { return (float)(int32_t)(ck_test_next(state) >> 40) * 0x1p-23f - 1.0f; }

#endif
