/* SPDX-License-Identifier: MIT
 * The parts of parhost.core.pool that live in submit.c, look_lib.c and process_lib.c. */
#ifndef PH_LIB_SUBMIT_H
#define PH_LIB_SUBMIT_H

#include <lua.h>
#include <stdbool.h>

#define OPTIONS_METATABLE "parhost.core.TaskOptions"
#define OPTIONS_NAME 1 /* their user value: the name of the tasks, or nil */

struct core;

/* Where what is submitted lies on the stack. */
struct submission {
  int core, sink, options; /* indices; options of task_options, or anything else for none */
  int fn, count;           /* the function, and with its arguments behind it so many values */
  int level;               /* where the program's code mostly is that has called, as lua_getstack counts */
  bool here;               /* run in this thread, now */
  lua_Integer tag;         /* what the sink is called with */
};

/* Gives the id; 0: the queue is full. Raises what refuses the task. */
lua_Integer core_submit_one(lua_State *L, struct core *c, const struct submission *s);

int core_submit(lua_State *L);
int core_submit_chunk(lua_State *L);
int core_run_here(lua_State *L);

int core_busy(lua_State *L);
int core_about(lua_State *L);
int core_stats(lua_State *L);
int core_count_retry(lua_State *L);
int core_workers(lua_State *L);

/* enter{ cwd =, env =, nice = }: what a worker process takes over from its host. environment() -> cwd, { NAME = value }. */
int process_enter(lua_State *L);
int process_environment(lua_State *L);

#endif
