// Loops that are compiled for several instruction sets: what a file of loops needs besides the list, loops.inc.
#ifndef CTRAINING_LOOPS_H
#define CTRAINING_LOOPS_H

#include "dispatch.h"

// Wider sets have FMA, and all of them give the same bits.
CK_NO_CONTRACTION

// The row of the sets, counted from 1, that the features in use allow; 0 is what every processor runs.
size_t ck_loop_set(void);

// What a row becomes in the file of its topic: name_body for each set, and the function that takes one of them in each call.
#define CK_RETURN_void
#define CK_RETURN_double return
#define CK_RETURN_size_t return
#define CK_CLONE(set, target_, result, name, parameters, arguments) \
  __attribute__((target(target_))) static result name##__##set parameters { CK_RETURN_##result name##_body arguments; }
#define CK_CLONE_NAME(set, target_, name) , name##__##set
#define CK_DEFINE_LOOP(result, name, parameters, arguments)                                                      \
  static result name##__portable parameters { CK_RETURN_##result name##_body arguments; }                        \
  CK_EACH_LOOP_SET(CK_CLONE, result, name, parameters, arguments)                                                \
  result name parameters {                                                                                       \
    static result(*const clones[]) parameters = {name##__portable CK_EACH_LOOP_SET(CK_CLONE_NAME, name)};         \
    CK_RETURN_##result clones[ck_loop_set()] arguments;                                                          \
  }

#endif
