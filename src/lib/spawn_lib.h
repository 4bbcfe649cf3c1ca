/* SPDX-License-Identifier: MIT
 * What the two halves of parhost.core.spawn share: processes (spawn_lib.c) and the pipes to them (pipe_lib.c). */
#ifndef PH_LIB_SPAWN_LIB_H
#define PH_LIB_SPAWN_LIB_H

#include <lua.h>

#include "lib/core.h"
#include "loop/pipe.h"
#include "loop/process.h"

/* One per state and process, a userdata in the registry. */
struct spawn_state {
  struct lib_source source;
  struct ph_children children;
  struct ph_oneshot_queue pipes; /* those that have become ready */
};

#define PIPE_METATABLE "parhost.core.Pipe"

/* The state's; made on first use. */
struct spawn_state *spawn_state_of(lua_State *L);
/* C object -> userdata, while the program holds that: it is called back when something has happened. Both work on the
 * userdata on top of the stack. */
void spawn_remember(lua_State *L, const void *object);
/* Calls back what waits for the object: deliver(subject), the subject being the userdata's first user value. */
void spawn_deliver(lua_State *L, const void *object, struct ph_oneshot *w);

/* Pushes nil and the name and text of an error number; gives 3. */
int spawn_push_errno(lua_State *L, int code);

/* Pushes a new pipe userdata, which takes the descriptor. */
void spawn_push_pipe(lua_State *L, int fd);
/* For spawn_lib.c: makes the metatable. */
void spawn_open_pipes(lua_State *L);

#endif
