/* SPDX-License-Identifier: MIT
 * What the tests of parhost.h share. */
#ifndef PH_TESTS_EMBED_SUPPORT_H
#define PH_TESTS_EMBED_SUPPORT_H

#include <stdio.h>
#include <time.h>

#include "check.h"
#include "parhost.h"

static inline int run(lua_State *L, const char *code) {
  return parhost_run_string(L, code, "=test", 0, NULL);
}

/* Runs it, and says what was wrong when that fails. */
static inline void must_run(lua_State *L, const char *code) {
  int status = run(L, code);
  if (status == PARHOST_FAILED) fprintf(stderr, "%s\n", lua_tostring(L, -1));
  CHECK(status == PARHOST_OK && lua_gettop(L) == 0);
}

static inline lua_State *new_state(void) {
  lua_State *L = parhost_newstate();
  CHECK(L != NULL);
  return L;
}

static inline double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#endif
