// Buffers between pages that may not be touched. A mapping for each slot and thread stays, so that a test of thousands of products maps memory seldom.
#include "guarded.h"

#include <string.h>

#include "CKernelsTestSupport.h"

enum { lead = 64 };

typedef struct slot {
  uint8_t *memory;
  size_t capacity, start, bytes;
} slot;

static _Thread_local slot slots[ck_test_slots];
static ck_test_placement placement = ck_test_at_end;

void ck_test_place(ck_test_placement at) { placement = at; }

// Guard bytes before and behind a buffer, as far as its pages go.
static size_t guarded_begin(const slot *s) { return s->start < lead ? 0 : s->start - lead; }
static size_t guarded_end(const slot *s) {
  size_t end = s->start + s->bytes + lead;
  return end < s->capacity ? end : s->capacity;
}

void *ck_test_guarded(int number, size_t bytes, size_t alignment) {
  slot *s = &slots[number];
  size_t rounded = placement == ck_test_at_exact_end ? bytes : (bytes + alignment - 1) / alignment * alignment;
  if (rounded + lead > s->capacity) {
    if (s->memory != NULL) ck_test_unmap_between_guards(s->memory, s->capacity);
    s->capacity = ck_test_mapped_bytes(2 * (rounded + lead));
    s->memory = ck_test_map_between_guards(s->capacity);
    if (s->memory == NULL) __builtin_trap();
  }
  s->start = placement == ck_test_at_beginning ? 0 : s->capacity - rounded;
  s->bytes = bytes;
  memset(s->memory + guarded_begin(s), ck_test_pattern, guarded_end(s) - guarded_begin(s));
  return s->memory + s->start;
}

static int is_pattern(const uint8_t *from, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (from[i] != ck_test_pattern) return 0;
  return 1;
}

int ck_test_guards_are_intact(int number) {
  const slot *s = &slots[number];
  size_t begin = guarded_begin(s), end = s->start + s->bytes;
  return is_pattern(s->memory + begin, s->start - begin) && is_pattern(s->memory + end, guarded_end(s) - end);
}
