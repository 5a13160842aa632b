// Buffers between pages that may not be touched. A mapping for each slot and thread stays, so that a test of thousands of products maps memory seldom.
#include "guarded.h"

#include <string.h>

#include "CKernelsTestSupport.h"

enum { pattern = 0xA5, lead = 64 };

typedef struct slot {
  uint8_t *memory;
  size_t capacity, start, bytes;
} slot;

static _Thread_local slot slots[ck_test_slots];

void *ck_test_guarded(int number, size_t bytes, size_t alignment) {
  slot *s = &slots[number];
  size_t needed = (bytes + alignment - 1) / alignment * alignment + lead;
  if (needed > s->capacity) {
    if (s->memory != NULL) ck_test_unmap_between_guards(s->memory, s->capacity);
    s->capacity = ck_test_mapped_bytes(2 * needed);
    s->memory = ck_test_map_between_guards(s->capacity);
    if (s->memory == NULL) __builtin_trap();
  }
  s->start = s->capacity - (needed - lead);
  s->bytes = bytes;
  memset(s->memory + s->start - lead, pattern, needed);
  return s->memory + s->start;
}

static int is_pattern(const uint8_t *from, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (from[i] != pattern) return 0;
  return 1;
}

int ck_test_guards_are_intact(int number) {
  const slot *s = &slots[number];
  size_t end = s->start + s->bytes;
  return is_pattern(s->memory + s->start - lead, lead) && is_pattern(s->memory + end, s->capacity - end);
}
