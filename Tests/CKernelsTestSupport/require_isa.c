// Tests that run on another instruction set than CK_ISA asks for would prove nothing: their process ends before the first of them.
#include <stdio.h>
#include <stdlib.h>

#include "CKernelsTestSupport.h"

__attribute__((constructor)) static void require_isa(void) {
  ck_isa_selection selection = ck_selected_isa();
  if (selection.reason != ck_isa_unknown && selection.reason != ck_isa_unavailable) return;
  char line[256];
  ck_describe_isa_selection(selection, line, sizeof line);
  fprintf(stderr, "%s\n", line);
  exit(78);  // EX_CONFIG of sysexits.h
}
