/* SPDX-License-Identifier: MIT
 * parhost.core.loop: the one place where a Lua state waits. A wait pumps the state's pools itself, runs the tasks of
 * module async, spins for a moment where that has paid, and then sleeps in the state's libuv loop on the pools' descriptors
 * until the next timer. */
#include <lauxlib.h>
#include <math.h>
#include <signal.h>

#include "base/clock.h"
#include "lib/task.h"
#include "vm/error.h"
#include "vm/vm.h"

struct ph_loop *lib_loop_of(lua_State *L) {
  struct lib_state *s = lib_state_of(L);
  struct ph_err err;
  if (s->loop == NULL) {
    s->loop = ph_loop_new(&err);
    if (s->loop == NULL) ph_error_raise_err(L, &err);
    struct ph_vm *vm = ph_vm_of(L);
    if (vm != NULL) vm->wake_fd = ph_loop_wake_fd(s->loop);
  }
  return s->loop;
}

static void watch_pools(lua_State *L, struct lib_state *s) {
  struct ph_err err;
  for (struct core *c = s->cores; c != NULL; c = c->next) {
    if (c->watch != NULL || c->pool == NULL) continue;
    c->watch = ph_loop_watch(lib_loop_of(L), ph_pool_fd(c->pool), &err);
    if (c->watch == NULL) ph_error_raise_err(L, &err);
  }
}

/* Tells the pools that we wait; false: one of them has something at once. `last` is the first one not told. */
static bool begin_waits(struct lib_state *s, int64_t *deadline, struct core **last) {
  for (*last = s->cores; *last != NULL; *last = (*last)->next)
    if ((*last)->pool != NULL && !ph_pool_wait_begin((*last)->pool, deadline)) return false;
  return true;
}

static void end_waits(struct lib_state *s, const struct core *last) {
  for (struct core *c = s->cores; c != last; c = c->next)
    if (c->pool != NULL) ph_pool_wait_end(c->pool);
}

static bool spin(struct lib_state *s) {
  struct core *only = s->cores;
  return only != NULL && only->next == NULL && only->pool != NULL && ph_pool_spin(only->pool);
}

/* A stop request or the like has come, which an earlier round has not dealt with. */
static bool must_hurry(const struct lib_state *s, struct ph_vm *vm) {
  bool taken = s->sched != NULL && s->sched->stop_taken;
  return vm->requests != 0 || (ph_vm_stop_pending(vm) && !taken);
}

static void sleep_until(lua_State *L, struct lib_state *s, int64_t deadline) {
  struct core *last;
  struct ph_vm *vm = ph_vm_of(L);
  if (deadline <= ph_now() || spin(s)) return;
  watch_pools(L, s);
  struct ph_loop *loop = lib_loop_of(L);
  bool wait = begin_waits(s, &deadline, &last);
  if (wait && (vm == NULL || !must_hurry(s, vm))) ph_loop_run_once(loop, deadline);
  end_waits(s, last);
}

static int64_t deadline_argument(lua_State *L, int idx) {
  if (lua_isnoneornil(L, idx)) return PH_NEVER;
  lua_Number seconds = luaL_checknumber(L, idx);
  return ph_seconds_to_ns(seconds);
}

/* Something is under way outside of this state's tasks. */
static bool is_external_alive(const struct lib_state *s) {
  if (s->sched != NULL && s->sched->lively > 0) return true;
  for (struct core *c = s->cores; c != NULL; c = c->next)
    if (c->pool != NULL && (ph_pool_outstanding(c->pool) > 0 || c->at < c->records.len || ph_pool_has_done(c->pool)))
      return true;
  for (struct lib_source *o = s->sources; o != NULL; o = o->next)
    if (o->alive(o)) return true;
  return false;
}

/* With a virtual clock: time jumps to what comes next. False: something real has to be waited for. */
static bool jump(const struct lib_state *state, int64_t deadline) {
  struct sched *s = state->sched;
  int64_t next = sched_first(s);
  if (deadline < next) next = deadline;
  if (next == PH_NEVER || is_external_alive(state)) return false;
  if (next > s->virtual_now) s->virtual_now = next;
  return true;
}

/* Nothing is ready: sleeps until something is, or the deadline or a timer is due. */
static void rest(lua_State *L, struct lib_state *s, int64_t deadline) {
  struct sched *tasks = s->sched;
  if (tasks != NULL && tasks->poll_again) {
    tasks->poll_again = false;
    if (!ph_list_empty(&tasks->pollers)) {
      sched_wake_pollers(tasks);
      return;
    }
  }
  if (tasks != NULL && tasks->is_virtual) {
    if (!jump(s, deadline)) sleep_until(L, s, PH_NEVER);
  } else {
    int64_t next = tasks != NULL ? sched_first(tasks) : PH_NEVER;
    sleep_until(L, s, next < deadline ? next : deadline);
  }
  if (tasks == NULL) return;
  tasks->poll_again = true;
  sched_fire(tasks, sched_now(tasks));
}

/* step(deadline, patient): one round: delivers, runs what is ready, or sleeps. patient: whoever calls has a watcher that
 * calls stir, so tasks may run on without coming back here in between. */
static int loop_step(lua_State *L) {
  struct lib_state *s = lib_state_of(L);
  int64_t deadline = deadline_argument(L, 1);
  bool patient = lua_toboolean(L, 2);
  struct ph_vm *vm = ph_vm_of(L);
  ph_vm_check_stop(L);
  if (vm != NULL) ph_vm_serve_requests(L, vm);
  bool delivered = drain_all(L) > 0;
  if (s->sched != NULL) {
    if (delivered) s->sched->poll_again = true;
    if (task_run_ready(L, s, deadline, patient && !delivered)) return 0;
  }
  if (delivered) return 0;
  rest(L, s, deadline);
  ph_vm_check_stop(L);
  drain_all(L);
  return 0;
}

static int loop_stir(lua_State *L) {
  struct sched *s = lib_state_of(L)->sched;
  if (s != NULL) s->stirred = true;
  return 0;
}

/* The time by which deadlines count: virtual, in a run with such a clock. */
static int loop_now(lua_State *L) {
  const struct sched *s = lib_state_of(L)->sched;
  lua_pushnumber(L, (lua_Number)(s != NULL ? sched_now(s) : ph_now()) / 1e9);
  return 1;
}

static int loop_alive(lua_State *L) {
  const struct lib_state *s = lib_state_of(L);
  bool tasks = s->sched != NULL && (s->sched->n_ready > 0 || sched_first(s->sched) != PH_NEVER);
  lua_pushboolean(L, tasks || is_external_alive(s));
  return 1;
}

int luaopen_parhost_core_loop(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"step", loop_step}, {"stir", loop_stir}, {"now", loop_now}, {"alive", loop_alive}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
