/* SPDX-License-Identifier: MIT
 * A part of parhost.core.pool: see quick.c. */
#ifndef PH_LIB_QUICK_H
#define PH_LIB_QUICK_H

#include <lua.h>

/* quick_submit(Future, ordinary) -> submit(pool, fn, ...); quick_result(Future, ordinary) -> result(future, timeout) */
int quick_submitter(lua_State *L);
int quick_resulter(lua_State *L);

#endif
