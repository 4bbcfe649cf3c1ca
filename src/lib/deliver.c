/* SPDX-License-Identifier: MIT
 * From done records to the one upcall: deliver(sink, tag, status, ...).
 *
 * The cursor into the records is in the core, and moves before the upcall: a delivery may wait, and that wait then
 * delivers what comes behind. Bytes are decoded before anything else runs. */
#include <lauxlib.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "lib/core.h"
#include "vm/error.h"
#include "vm/vm.h"

static void set_integer(lua_State *L, const char *key, lua_Integer n) {
  lua_pushinteger(L, n);
  lua_setfield(L, -2, key);
}

static void set_seconds(lua_State *L, const char *key, int64_t ns) {
  lua_pushnumber(L, (lua_Number)ns / 1e9);
  lua_setfield(L, -2, key);
}

void push_text(lua_State *L, int core_idx, uint32_t n) {
  lua_getiuservalue(L, core_idx, CORE_TEXTS);
  lua_rawgeti(L, -1, n);
  lua_remove(L, -2);
}

/* --- error objects ---------------------------------------------------------------------------------------- */

static const char *likely_cause(int signal_number) {
  switch (signal_number) {
    case SIGKILL: return " (killed from outside; out of memory?)";
    case SIGSEGV:
    case SIGBUS: return " (a crash in C code)";
    case SIGABRT: return " (C code gave up)";
    case SIGXCPU: return " (CPU time limit)";
    case SIGTERM: return " (asked to end from outside)";
    default: return "";
  }
}

static void push_died(lua_State *L, int core_idx, const struct ph_done *d) {
  const char *label;
  push_text(L, core_idx, d->label);
  label = lua_isnil(L, -1) ? NULL : lua_tostring(L, -1);
  if (d->signal_number != 0)
    ph_error_push(L, "worker_died", "worker %d (pid %d) was ended by SIG%s%s%s%s", (int)d->worker, (int)d->pid,
                  sigabbrev_np(d->signal_number), likely_cause(d->signal_number), label != NULL ? " while running " : "",
                  label != NULL ? label : "");
  else
    ph_error_push(L, "worker_died", "worker %d (pid %d) exited with code %d%s%s", (int)d->worker, (int)d->pid,
                  (int)d->exit_code, label != NULL ? " while running " : "", label != NULL ? label : "");
  set_integer(L, "pid", d->pid);
  if (d->signal_number != 0) {
    lua_pushfstring(L, "SIG%s", sigabbrev_np(d->signal_number));
    lua_setfield(L, -2, "signal");
  } else {
    set_integer(L, "exit_code", d->exit_code);
  }
  set_integer(L, "max_rss", d->max_rss);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "task");
  lua_remove(L, -2);
}

static void push_cancelled(lua_State *L, int core_idx, const struct ph_done *d) {
  lua_getiuservalue(L, core_idx, CORE_REASONS);
  lua_rawgeti(L, -1, (lua_Integer)d->id);
  const char *reason = lua_tostring(L, -1);
  ph_error_push(L, "cancelled", reason != NULL ? "the task was cancelled: %s" : "the task was cancelled", reason);
  lua_pushstring(L, ph_stop_name((enum ph_stop)d->source));
  lua_setfield(L, -2, "source");
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "reason");
  lua_replace(L, -3);
  lua_pop(L, 1);
}

static void push_timeout(lua_State *L, const struct ph_done *d) {
  if (d->limit > 0) {
    ph_error_push(L, "timeout", "the task ran for more than %g s", (double)d->limit / 1e9);
    set_seconds(L, "seconds", d->limit);
  } else {
    ph_error_push(L, "timeout", "the deadline of the task has passed");
  }
}

static void push_memory(lua_State *L, const struct ph_done *d) {
  ph_error_push(L, "memory_limit", "the task needs more than its memory limit of %.1f MiB", (double)d->limit / (1 << 20));
  set_integer(L, "limit", d->limit);
}

/* Error value and traceback of the initializer: pushes the value. */
static void push_initializer_error(lua_State *L, const struct ph_broken *b) {
  struct ph_err err;
  int n = ph_decode(L, NULL, LUA_NOREF, b->error_bytes, b->error_len, &err);
  if (n < 1) {
    lua_pushnil(L);
    return;
  }
  lua_pop(L, n - 1);
}

void push_broken(lua_State *L, struct core *c) {
  const struct ph_broken *b = ph_pool_broken(c->pool);
  bool died = b != NULL && b->death.outcome == PH_DONE_DIED;
  if (b != NULL && b->error_bytes != NULL) {
    push_initializer_error(L, b);
    ph_error_push(L, "initializer_failed", "the initializer of %s failed: %s", c->config.name, luaL_tolstring(L, -1, NULL));
    lua_remove(L, -2);
  } else if (died) {
    lua_newuserdatauv(L, 0, CORE_USERVALUES); /* no label: nothing of this pool was running */
    lua_newtable(L);
    lua_setiuservalue(L, -2, CORE_TEXTS);
    push_died(L, lua_gettop(L), &b->death);
    lua_remove(L, -2);
    if (b->initializer)
      ph_error_push(L, "initializer_failed", "the initializer of %s ended its worker", c->config.name);
    else
      ph_error_push(L, "broken_pool", "%s is broken: %s", c->config.name, b->err.message);
  } else {
    lua_pushnil(L);
    ph_error_push(L, "broken_pool", "%s is broken: %s", c->config.name, b != NULL ? b->err.message : "?");
  }
  lua_insert(L, -2);
  lua_setfield(L, -2, "cause");
}

static void push_error_for(lua_State *L, struct core *c, int core_idx, const struct ph_done *d) {
  switch (d->outcome) {
    case PH_DONE_CANCELLED: push_cancelled(L, core_idx, d); break;
    case PH_DONE_TIMEOUT: push_timeout(L, d); break;
    case PH_DONE_DIED: push_died(L, core_idx, d); break;
    case PH_DONE_MEMORY: push_memory(L, d); break;
    default: push_broken(L, c);
  }
}

/* --- records ---------------------------------------------------------------------------------------------- */

/* For people: where the task came from and who ran it. */
static void push_info(lua_State *L, struct core *c, int core_idx, const struct ph_done *d) {
  static const char *const backends[] = {"proc_pool", "thread_pool", "inline"};
  lua_createtable(L, 0, 8);
  push_text(L, core_idx, d->label);
  lua_setfield(L, -2, "task");
  push_text(L, core_idx, d->site);
  lua_setfield(L, -2, "submitted");
  set_integer(L, "id", (lua_Integer)d->id);
  lua_pushstring(L, c->config.name);
  lua_setfield(L, -2, "pool");
  lua_pushstring(L, backends[c->kind]);
  lua_setfield(L, -2, "backend");
  if (d->worker == 0) return;
  set_integer(L, "worker", d->worker);
  set_integer(L, c->kind == CORE_THREAD ? "tid" : "pid", d->pid);
  set_seconds(L, "seconds", d->run_ns);
}

struct record {
  struct core *core;
  struct ph_done done;
  const uint8_t *bytes;
};

static int decode_record(lua_State *L) {
  const struct record *r = lua_touserdata(L, 1);
  struct ph_err err;
  lua_settop(L, 0);
  int n = ph_decode(L, NULL, LUA_NOREF, r->bytes, r->done.len, &err);
  if (n < 0) ph_error_raise_err(L, &err);
  return n;
}

/* Pushes what the bytes hold; false: the error of the decoding instead. */
static bool push_values(lua_State *L, struct core *c, const struct record *r) {
  lua_pushcfunction(L, decode_record);
  lua_pushlightuserdata(L, (void *)(uintptr_t)r);
  c->decoding = true;
  int status = lua_pcall(L, 1, LUA_MULTRET, 0);
  c->decoding = false;
  free(r->done.big);
  return status == LUA_OK;
}

/* Pushes status, ... and gives their number. */
static int push_outcome(lua_State *L, struct core *c, int core_idx, const struct record *r) {
  int top = lua_gettop(L);
  const struct ph_done *d = &r->done;
  if (d->outcome == PH_DONE_CANCELLED) {
    free(d->big);
    lua_pushliteral(L, "cancelled");
    push_cancelled(L, core_idx, d);
    return 2;
  }
  lua_pushboolean(L, d->outcome == PH_DONE_OK);
  if (d->outcome <= PH_DONE_ERROR) {
    if (push_values(L, c, r)) {
      if (d->outcome == PH_DONE_OK) return lua_gettop(L) - top;
    } else {
      lua_pushboolean(L, false);
      lua_replace(L, top + 1);
      lua_pushnil(L);
    }
  } else {
    push_error_for(L, c, core_idx, d);
    lua_pushnil(L);
  }
  push_info(L, c, core_idx, d);
  return 4;
}

static void drop_holds(lua_State *L, int core_idx, uint64_t id) {
  lua_getiuservalue(L, core_idx, CORE_HOLDS);
  lua_pushnil(L);
  lua_rawseti(L, -2, (lua_Integer)id);
  lua_pop(L, 1);
}

static void deliver_record(lua_State *L, struct core *c, int core_idx, const struct record *r, int deliver) {
  luaL_checkstack(L, 16, "too many deliveries");
  lua_rawgeti(L, LUA_REGISTRYINDEX, deliver);
  lua_getiuservalue(L, core_idx, CORE_SINKS);
  lua_rawgeti(L, -1, (lua_Integer)r->done.id);
  if (r->done.last) {
    lua_pushnil(L);
    lua_rawseti(L, -3, (lua_Integer)r->done.id);
  }
  lua_remove(L, -2);
  if (r->done.last && c->has_holds) drop_holds(L, core_idx, r->done.id);
  lua_pushinteger(L, r->done.tag + r->done.item);
  int n = push_outcome(L, c, core_idx, r);
  lua_call(L, 2 + n, 0);
}

static bool next_record(struct core *c, struct record *r) {
  if (c->pool == NULL || c->decoding) return false;
  if (c->at >= c->records.len) {
    c->at = 0;
    if (c->records.cap > (1u << 20)) ph_buf_reset(&c->records, 0);
    if (!ph_client_take_done(c->client, &c->records)) return false;
  }
  r->core = c;
  memcpy(&r->done, c->records.data + c->at, sizeof r->done);
  r->bytes = r->done.big != NULL ? r->done.big : c->records.data + c->at + sizeof r->done;
  c->at += ph_done_stride(&r->done);
  return true;
}

lua_Integer drain_core(lua_State *L, struct core *c, int core_idx) {
  struct record r;
  lua_Integer n = 0;
  core_idx = lua_absindex(L, core_idx);
  while (next_record(c, &r)) {
    deliver_record(L, c, core_idx, &r, lib_state_of(L)->deliver);
    n++;
  }
  return n;
}

/* The list may change under a delivery, so it is walked from its head until a round finds nothing. */
lua_Integer drain_all(lua_State *L) {
  lua_Integer n = 0, round;
  do {
    round = 0;
    for (struct core *c = lib_state_of(L)->cores; c != NULL && round == 0; c = c->next) {
      lua_rawgetp(L, LUA_REGISTRYINDEX, c);
      round = drain_core(L, c, -1);
      lua_pop(L, 1);
    }
    for (struct lib_source *o = lib_state_of(L)->sources; o != NULL && round == 0; o = o->next) round = o->drain(L, o);
    n += round;
  } while (round > 0);
  return n;
}
