/* SPDX-License-Identifier: MIT
 * A part of parhost.core.pool: see quick.c. */
#ifndef PH_LIB_QUICK_H
#define PH_LIB_QUICK_H

#include <lua.h>

/* quick_ways(Future) -> submit, value */
int quick_ways(lua_State *L);

#endif
