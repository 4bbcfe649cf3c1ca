/* SPDX-License-Identifier: MIT
 * parhost.core.loop: the one place where a Lua state waits. A wait pumps the state's pools itself, runs the tasks of
 * module async, spins for a moment where that has paid, and then sleeps in the state's libuv loop on the pools' descriptors
 * until the next timer. */
#include <lauxlib.h>
#include <math.h>
#include <signal.h>

#include "base/clock.h"
#include "base/trace.h"
#include "lib/core.h"
#include "lib/inspect.h"
#include "lib/station_lib.h"
#include "lib/task.h"
#include "pool/backend_thread.h"
#include "pool/link.h"
#include "vm/error.h"
#include "vm/inspect.h"
#include "vm/vm.h"
#include "vm/worker.h"

struct ph_loop *lib_loop_of(lua_State *L) {
  struct lib_state *s = lib_state_of(L);
  struct ph_err err;
  if (s->loop == NULL) {
    s->loop = ph_loop_new(&err);
    if (s->loop == NULL) ph_error_raise_err(L, &err);
    ph_thread_wake_by(ph_loop_wake_fd(s->loop));
    lib_inspect_watch(s);
    struct ph_vm *vm = ph_vm_of(L);
    if (vm != NULL) vm->wake_fd = ph_loop_wake_fd(s->loop);
    if (vm != NULL && vm->adopted) ph_loop_give_way(s->loop);       /* whose signals are handled by somebody else */
    if (vm != NULL && vm->before_check != NULL) vm->before_check(); /* nobody could wake us before */
  }
  return s->loop;
}

static void watch_pools(lua_State *L, struct lib_state *s) {
  struct ph_err err;
  for (struct core *c = s->cores; c != NULL; c = c->next) {
    if (c->watch != NULL || c->pool == NULL || ph_client_fd(c->client) < 0) continue;
    c->watch = ph_loop_watch(lib_loop_of(L), ph_client_fd(c->client), &err);
    if (c->watch == NULL) ph_error_raise_err(L, &err);
  }
}

/* Tells the pools that we wait; false: one of them has something at once. `last` is the first one not told. */
static bool begin_waits(struct lib_state *s, int64_t *deadline, struct core **last) {
  for (*last = s->cores; *last != NULL; *last = (*last)->next)
    if ((*last)->pool != NULL && !ph_client_wait_begin((*last)->client, deadline)) return false;
  return true;
}

static void end_waits(struct lib_state *s, const struct core *last) {
  for (struct core *c = s->cores; c != last; c = c->next)
    if (c->pool != NULL) ph_client_wait_end(c->client);
}

/* Nothing has come of them for a while. */
static void look_at_pools(struct lib_state *s) {
  for (struct core *c = s->cores; c != NULL; c = c->next)
    if (c->pool != NULL) ph_client_look(c->client);
}

static bool spin(struct lib_state *s) {
  struct core *only = s->cores;
  return only != NULL && only->next == NULL && only->pool != NULL && ph_client_spin(only->client);
}

/* A stop request or the like has come, which an earlier round has not dealt with. */
static bool must_hurry(const struct lib_state *s, struct ph_vm *vm) {
  bool taken = s->sched != NULL && s->sched->run.stop_taken;
  return vm->requests != 0 || (ph_vm_stop_pending(vm) && !taken);
}

static void sleep_now(lua_State *L, struct lib_state *s, int64_t deadline) {
  struct core *last;
  struct ph_vm *vm = ph_vm_of(L);
  watch_pools(L, s);
  struct ph_loop *loop = lib_loop_of(L);
  if (ph_traced()) ph_trace_settle();
  bool wait = begin_waits(s, &deadline, &last);
  if (wait && (vm == NULL || !must_hurry(s, vm))) {
    ph_loop_beware(loop, ph_threads_running() > 0, s->cores != NULL);
    ph_inspect_rest(true);
    ph_loop_run_once(loop, deadline);
    ph_inspect_rest(false);
  }
  if (ph_loop_take_pulse(loop)) look_at_pools(s);
  end_waits(s, last);
}

static bool is_lost(const struct lib_state *s) {
  return s->loop != NULL && ph_loop_is_lost(s->loop);
}

static int64_t deadline_argument(lua_State *L, int idx) {
  if (lua_isnoneornil(L, idx)) return PH_NEVER;
  lua_Number seconds = luaL_checknumber(L, idx);
  return ph_seconds_to_ns(seconds);
}

static bool any_alive(const struct lib_state *s) {
  for (const struct core *c = s->cores; c != NULL; c = c->next)
    if (c->pool != NULL &&
        (ph_client_outstanding(c->client) > 0 || c->owes || c->at < c->records.len || ph_client_has_done(c->client)))
      return true;
  for (const struct lib_source *o = s->sources; o != NULL; o = o->next)
    if (o->alive(o)) return true;
  return false;
}

/* Something is under way outside of this state's tasks. */
static bool is_external_alive(const struct lib_state *s) {
  return (s->sched != NULL && s->sched->lively > 0) || any_alive(s);
}

/* A worker thread that waits for tasks of its own pool runs them itself when they have not begun. */
static bool help(lua_State *L, const struct lib_state *s, int subject) {
  const struct ph_pool *own = ph_worker_pool();
  struct ph_help_wish wish = {0};
  if (own == NULL) return false;
  for (struct core *c = s->cores; c != NULL; c = c->next)
    if (c->is_guest && c->pool == own && ph_client_outstanding(c->client) > 0) wish.client = c->client;
  wish.id = lib_awaited_task(L, subject, own);
  return (wish.id != 0 || wish.client != NULL) && ph_worker_help(L, &wish);
}

/* Other states may have to know that this one waits. True: nobody can end this wait; pushes who waits for what. */
static bool sleep_blocked(lua_State *L, struct lib_state *s, int64_t deadline, int subject) {
  struct lib_blocking b;
  char text[1024];
  int top = lua_gettop(L);
  watch_pools(L, s);
  lib_begin_blocking(L, s, subject, deadline != PH_NEVER, &b);
  ph_worker_waits();
  switch (ph_station_block(b.station, &b.wait, text, sizeof text)) {
    case PH_PROSPECT_WAIT:
      sleep_now(L, s, deadline);
      ph_station_unblock(b.station);
      break;
    case PH_PROSPECT_HELP: ph_worker_help(L, &(struct ph_help_wish){.any = true}); break;
    case PH_PROSPECT_STUCK: lua_pushstring(L, text); return true;
  }
  lua_settop(L, top);
  return false;
}

/* It sleeps: nobody else's work brings its end nearer. */
static bool is_timed(lua_State *L, int subject) {
  lua_getfield(L, subject, "_timed");
  bool timed = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return timed;
}

static bool wait_once(lua_State *L, struct lib_state *s, int64_t deadline, int subject) {
  bool stuck = false;
  bool done = subject != 0 && help(L, s, subject);
  if (!done && deadline > ph_now() && !spin(s)) {
    if (subject != 0 && lib_may_be_stuck(s) && !is_timed(L, subject))
      stuck = sleep_blocked(L, s, deadline, subject);
    else
      sleep_now(L, s, deadline);
  }
  ph_worker_helped();
  if (is_lost(s))
    ph_error_raise(L, "os", "the event loop cannot wait: something in this process has closed its descriptors");
  return stuck;
}

/* With a virtual clock: time jumps to what comes next. False: something real has to be waited for. */
static bool jump(const struct lib_state *state, int64_t deadline) {
  struct sched *s = state->sched;
  int64_t next = sched_first(s);
  if (deadline < next) next = deadline;
  if (next == PH_NEVER || is_external_alive(state)) return false;
  if (next > s->run.virtual_now) s->run.virtual_now = next;
  return true;
}

/* Nothing is ready: sleeps until something is, or the deadline or a timer is due. True: stuck, as wait_once. */
static bool rest(lua_State *L, struct lib_state *s, int64_t deadline, int subject) {
  struct sched *tasks = s->sched;
  bool stuck = false;
  if (tasks == NULL) return wait_once(L, s, deadline, subject);
  if (tasks->poll_again) {
    tasks->poll_again = false;
    if (!ph_list_empty(&tasks->pollers)) {
      sched_wake_pollers(tasks);
      return false;
    }
  }
  if (tasks->run.is_virtual) {
    if (!jump(s, deadline)) stuck = wait_once(L, s, PH_NEVER, subject);
  } else {
    int64_t next = sched_first(tasks);
    stuck = wait_once(L, s, next < deadline ? next : deadline, subject);
  }
  tasks->poll_again = true;
  int64_t now = sched_now(tasks);
  tasks->turn = SCHED_TURN(now);
  sched_fire(tasks, now);
  return stuck;
}

/* step([deadline [, patient [, subject]]]): one round: delivers, runs what is ready, or sleeps. Gives nothing, or who waits
 * for what when nobody can end this wait. patient: whoever calls has a watcher that calls stir, so tasks may run on without
 * coming back here in between. With the subject of a wait in plain code, a worker thread may run other tasks meanwhile. */
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
  if (rest(L, s, deadline, lua_isnoneornil(L, 3) ? 0 : 3)) return 1;
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

bool lib_alive(const struct lib_state *s) {
  bool tasks = s->sched != NULL && (s->sched->n_ready > 0 || sched_first(s->sched) != PH_NEVER);
  return tasks || is_external_alive(s);
}

static int loop_alive(lua_State *L) {
  lua_pushboolean(L, lib_alive(lib_state_of(L)));
  return 1;
}

/* The link in slot 1. Callbacks run in block.poll. */
static int wait_idly(lua_State *L) {
  struct ph_link *link = lua_touserdata(L, 1);
  struct lib_state *s = lib_state_of(L);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "parhost.block");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "poll");
  lua_call(L, 0, 0);
  watch_pools(L, s);
  ph_link_ring_also(link, ph_loop_wake_fd(lib_loop_of(L)));
  if (ph_link_park(link, false)) sleep_now(L, s, PH_NEVER);
  ph_link_clear_parked(link);
  ph_link_ring_also(link, -1);
  drain_all(L);
  lua_getfield(L, -1, "poll");
  lua_call(L, 0, 0);
  return 0;
}

bool lib_idle(lua_State *L, struct ph_link *link) {
  const struct lib_state *s = lib_state_if_any(L);
  if (s == NULL || !any_alive(s) || is_lost(s)) return false;
  lua_pushcfunction(L, wait_idly);
  lua_pushlightuserdata(L, link);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_pop(L, 1);
  return true;
}

int luaopen_parhost_core_loop(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"step", loop_step}, {"stir", loop_stir}, {"now", loop_now}, {"alive", loop_alive}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
