#include "loops.h"

#define PEAK_LOOP(quantity, set, function) {quantity, #set, peak_##function},
static const peak_loop loops[] = {PEAK_EACH_PORTABLE_LOOP(PEAK_LOOP) PEAK_EACH_SET_LOOP(PEAK_LOOP)};
#define PEAK_READER(set, function) {#set, peak_##function},
static const peak_reader readers[] = {PEAK_EACH_PORTABLE_READER(PEAK_READER) PEAK_EACH_SET_READER(PEAK_READER)};

const peak_loop *peak_loops(size_t *count) {
  *count = sizeof loops / sizeof *loops;
  return loops;
}

const peak_reader *peak_readers(size_t *count) {
  *count = sizeof readers / sizeof *readers;
  return readers;
}
