/* SPDX-License-Identifier: MIT
 * For the unit tests: CHECK says what failed and where, and ends the program. */
#ifndef PH_TESTS_CHECK_H
#define PH_TESTS_CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(c)                                                                                                            \
  do {                                                                                                                      \
    if (!(c)) {                                                                                                             \
      fprintf(stderr, "%s:%d: CHECK failed: %s\n", __FILE__, __LINE__, #c);                                                 \
      exit(1);                                                                                                              \
    }                                                                                                                       \
  } while (0)

#endif
