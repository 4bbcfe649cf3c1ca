/* SPDX-License-Identifier: MIT
 * A state whose thread sleeps in an event loop of its own, and comes here when the descriptor of the state's loop is
 * readable. In between the pools' dispatchers drive: a pool rings the client's own descriptor, which lies in the loop in
 * place of the pool's. A wait of Lua code in such a state puts the pool's back until the next step. */
#include <lauxlib.h>

#include "base/clock.h"
#include "lib/core.h"
#include "lib/task.h"
#include "vm/error.h"
#include "vm/vm.h"

#define ROUNDS_MAX 16 /* of a step: then the other loop has its turn */

/* --- pools ------------------------------------------------------------------------------------------------ */

static void watch(lua_State *L, struct lib_state *s, struct core *c) {
  struct ph_err err;
  if (c->is_guest ? c->watch != NULL : c->drive != NULL && c->watch == NULL) return;
  lib_unwatch_core(c);
  struct ph_loop_watch *w = ph_loop_watch(s->loop, ph_client_poll_fd(c->client), &err);
  if (w == NULL) ph_error_raise_err(L, &err);
  *(c->is_guest ? &c->watch : &c->drive) = w;
}

/* From here on the pools go on by themselves. False: one of them has something. */
static bool leave_pools(lua_State *L, struct lib_state *s) {
  bool nothing = true;
  for (struct core *c = s->cores; c != NULL; c = c->next) {
    if (c->pool == NULL) continue;
    watch(L, s, c);
    if (!ph_client_poll_begin(c->client)) nothing = false;
  }
  return nothing;
}

static void take_pools(struct lib_state *s) {
  for (struct core *c = s->cores; c != NULL; c = c->next)
    if (c->pool != NULL) ph_client_poll_end(c->client);
}

/* --- a step ----------------------------------------------------------------------------------------------- */

/* Delivers and runs callbacks, if there is anything that has made some. */
static void flush(lua_State *L) {
  int top = lua_gettop(L);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, "parhost.block") == LUA_TTABLE && lua_getfield(L, -1, "poll") == LUA_TFUNCTION) lua_call(L, 0, 0);
  lua_settop(L, top);
}

static bool wake_pollers(struct sched *tasks) {
  bool any = tasks->poll_again && !ph_list_empty(&tasks->pollers);
  tasks->poll_again = false;
  if (any) sched_wake_pollers(tasks);
  return any;
}

/* True: something has happened, and may have made more. */
static bool round_of(lua_State *L, struct lib_state *s) {
  bool happened = ph_loop_turn(s->loop);
  ph_vm_check_stop(L);
  ph_vm_serve_requests(L, ph_vm_of(L));
  if (drain_all(L) > 0) happened = true;
  if (s->sched != NULL) {
    if (happened) s->sched->poll_again = true;
    if (task_run_ready(L, s, 0, false)) happened = true;
    if (wake_pollers(s->sched)) happened = true;
  }
  flush(L);
  return happened;
}

static int64_t first_timer(const struct lib_state *s) {
  if (s->sched == NULL) return PH_NEVER;
  return s->sched->n_ready > 0 ? 0 : sched_first(s->sched);
}

void lib_drive_step(lua_State *L) {
  struct lib_state *s = lib_state_of(L);
  int rounds = 0;
  lib_loop_of(L);
  take_pools(s);
  s->drives = true;
  s->drive_next = 0;
  if (s->sched != NULL) s->sched->poll_again = true;
  while (rounds < ROUNDS_MAX && round_of(L, s)) rounds++;
  bool nothing = leave_pools(L, s) && rounds < ROUNDS_MAX;
  if (ph_loop_turn(s->loop)) nothing = false; /* it takes up the watches; what it has found waits for the next step */
  s->drive_next = ph_loop_arm(s->loop, nothing ? first_timer(s) : 0);
}

int lib_drive_fd(lua_State *L) {
  struct ph_loop *loop = lib_loop_of(L);
  if (!lib_state_of(L)->drives) lib_drive_step(L);
  return ph_loop_fd(loop);
}
