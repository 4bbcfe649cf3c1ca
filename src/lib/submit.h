/* SPDX-License-Identifier: MIT
 * The parts of parhost.core.pool that live in submit.c, look_lib.c and process_lib.c. */
#ifndef PH_LIB_SUBMIT_H
#define PH_LIB_SUBMIT_H

#include <lua.h>

#define OPTIONS_METATABLE "parhost.core.TaskOptions"
#define OPTIONS_NAME 1 /* their user value: the name of the tasks, or nil */

int core_submit(lua_State *L);
int core_submit_chunk(lua_State *L);
int core_run_here(lua_State *L);

int core_busy(lua_State *L);
int core_about(lua_State *L);
int core_stats(lua_State *L);
int core_workers(lua_State *L);

/* enter{ cwd =, env =, nice = }: what a worker process takes over from its host. environment() -> cwd, { NAME = value }. */
int process_enter(lua_State *L);
int process_environment(lua_State *L);

#endif
