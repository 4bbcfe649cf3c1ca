/* SPDX-License-Identifier: MIT
 * A part of parhost.core.pool: see quick.c. */
#ifndef PH_LIB_QUICK_H
#define PH_LIB_QUICK_H

#include <lua.h>
#include <stdbool.h>

/* quick_submit(Future, ordinary) -> submit(pool, fn, ...); quick_value(Future) -> value(future) */
int quick_submitter(lua_State *L);
int quick_valuer(lua_State *L);
/* The function is such a submit: it hands on what parks the task. */
bool quick_is_submit(lua_CFunction f);

#endif
