/* SPDX-License-Identifier: MIT
 * The trace of the program, for Lua and for main.c. Nothing here is called unless something is to be watched. */
#ifndef PH_LIB_TRACE_LIB_H
#define PH_LIB_TRACE_LIB_H

#include <lauxlib.h>

/* Warns, once in the whole program, when the trace could not be written on. */
void lib_warn_of_trace(lua_State *L);
/* parhost.worker() is known: a worker has begun, or a task that is run inline. The description is on top of the stack. */
void lib_trace_worker(lua_State *L);
/* The end of the program, when no process and no pool of it is left: the trace is closed, and what has been asked for is
 * made of it, in a state of its own. Does nothing when nothing was watched. */
void lib_observe_end(int exit_code);

int luaopen_parhost_core_trace(lua_State *L);

#endif
