/* SPDX-License-Identifier: MIT
 * From done records to the one upcall: deliver(sink, tag, status, ...).
 *
 * The cursor into the records is in the core, and moves before the upcall: a delivery may wait, and that wait then
 * delivers what comes behind. Bytes are decoded before anything else runs. */
#include <lauxlib.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
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
    case SIGSEGV: return " (a crash in C code, or its stack overflowed)";
    case SIGBUS:
    case SIGILL:
    case SIGFPE: return " (a crash in C code)";
    case SIGABRT: return " (C code gave up)";
    case SIGXCPU: return " (CPU time limit)";
    case SIGXFSZ: return " (file size limit)";
    case SIGSYS: return " (a forbidden system call)";
    case SIGHUP:
    case SIGTERM: return " (asked to end from outside)";
    default: return "";
  }
}

static const char *signal_name(int number, char buffer[16]) {
  const char *name = sigabbrev_np(number);
  if (name != NULL)
    snprintf(buffer, 16, "SIG%s", name);
  else
    snprintf(buffer, 16, "signal %d", number); /* a real-time signal */
  return buffer;
}

static void push_died(lua_State *L, int core_idx, const struct ph_done *d) {
  char name[16];
  push_text(L, core_idx, d->label);
  const char *label = lua_isnil(L, -1) ? NULL : lua_tostring(L, -1);
  const char *running = label != NULL ? " while running " : "", *what = label != NULL ? label : "";
  if (d->signal_number != 0)
    ph_error_push(L, "worker_died", "worker %d (pid %d) was ended by %s%s%s%s", (int)d->worker, (int)d->pid,
                  signal_name(d->signal_number, name), likely_cause(d->signal_number), running, what);
  else
    ph_error_push(L, "worker_died", "worker %d (pid %d) exited with code %d%s%s", (int)d->worker, (int)d->pid,
                  (int)d->exit_code, running, what);
  set_integer(L, "pid", d->pid);
  if (d->signal_number != 0) {
    lua_pushstring(L, name);
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

static void push_lost(lua_State *L) {
  ph_error_push(L, "os", "not enough memory to receive the arguments or the result of the task");
  lua_pushliteral(L, "ENOMEM");
  lua_setfield(L, -2, "code");
}

/* Error value and traceback of the initializer: pushes the value. */
static void push_initializer_error(lua_State *L, const struct ph_broken *b) {
  struct ph_err err;
  int n = ph_decode(L, NULL, LUA_NOREF, b->error_bytes, b->error_len, &err);
  if (n < 1) {
    lua_pushstring(L, n < 0 ? err.message : "not enough memory");
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
    bool initializer = b != NULL && b->initializer;
    ph_error_push(L, initializer ? "initializer_failed" : "broken_pool",
                  initializer ? "the initializer of %s failed: %s" : "%s is broken: %s", c->config.name,
                  b != NULL ? b->err.message : "?");
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
    case PH_DONE_LOST: push_lost(L); break;
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

static void drop_big(struct record *r) {
  free(r->done.big);
  r->done.big = NULL;
}

/* A __load that waits must not overtake the record: hence `decoding`, which the protected caller takes back. */
static int decode_now(lua_State *L, const struct record *r) {
  struct ph_err err;
  r->core->decoding = true;
  int n = ph_decode(L, NULL, LUA_NOREF, r->bytes, r->done.len, &err);
  if (n < 0) ph_error_raise_err(L, &err);
  r->core->decoding = false;
  return n;
}

static int decode_record(lua_State *L) {
  const struct record *r = lua_touserdata(L, 1);
  lua_settop(L, 0);
  return decode_now(L, r);
}

/* Pushes what the bytes hold; false: the error of the decoding instead. */
static bool push_values(lua_State *L, struct core *c, struct record *r) {
  lua_pushcfunction(L, decode_record);
  lua_pushlightuserdata(L, r);
  int status = lua_pcall(L, 1, LUA_MULTRET, 0);
  c->decoding = false;
  drop_big(r);
  return status == LUA_OK;
}

/* Pushes status, ... and gives their number. */
static int push_outcome(lua_State *L, struct core *c, int core_idx, struct record *r) {
  int top = lua_gettop(L);
  const struct ph_done *d = &r->done;
  if (d->outcome == PH_DONE_CANCELLED) {
    drop_big(r);
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

/* After the last record of a task nothing more comes for its sink. */
static void release_sink(lua_State *L, int core_idx, const struct ph_done *d) {
  if (!d->last) return;
  struct core *c = lua_touserdata(L, core_idx);
  lua_getiuservalue(L, core_idx, CORE_SINKS);
  core_free_place(L, c, -1, d->place);
  lua_pop(L, 1);
  if (c->has_holds) drop_holds(L, core_idx, d->id);
}

static bool next_record(struct core *c, struct record *r) {
  if (c->pool == NULL || c->decoding) return false;
  r->core = c;
  if (c->owes) {
    c->owes = false;
    r->done = c->owed;
    r->bytes = NULL;
    return true;
  }
  if (c->at >= c->records.len) {
    c->at = 0;
    if (c->records.cap > (1u << 20)) ph_buf_reset(&c->records, 1 << 12);
    if (!ph_client_take_done(c->client, &c->records)) return false;
  }
  const struct ph_done *d = (const struct ph_done *)(const void *)(c->records.data + c->at);
  size_t head = ph_done_head(d);
  if (head < sizeof *d) memset(&r->done, 0, sizeof *d);
  memcpy(&r->done, d, head);
  r->bytes = r->done.big != NULL ? r->done.big : c->records.data + c->at + head;
  c->at += ph_done_stride(&r->done);
  return true;
}

/* --- without an upcall ------------------------------------------------------------------------------------ */

/* Most records bring one value to a sink that only keeps it. Those are settled here, as many in a row as there are,
 * under one protected call. */
struct quick {
  struct record record;
  const struct lib_state *state;
  lua_Integer settled;
  bool pending; /* `record` needs the upcall */
  bool decoded; /* and its values are given back */
  bool failed;  /* or the error of decoding them */
};

/* Stack indices while records are settled. */
enum { CORE = 2, SINKS, SINK, RESULT };

static bool slot_is_false(lua_State *L, int slot) {
  lua_rawgeti(L, SINK, slot);
  bool is = !lua_toboolean(L, -1);
  lua_pop(L, 1);
  return is;
}

/* Takes the value on the stack top, if there is one. */
static bool settle_future(lua_State *L, int n) {
  lua_rawgeti(L, SINK, FUTURE_STATE);
  bool open = lua_tointeger(L, -1) <= FUTURE_RUNNING;
  lua_pop(L, 1);
  if (!open || !slot_is_false(L, FUTURE_CALLBACKS)) return false;
  if (n == 0) lua_pushinteger(L, 0);
  lua_rawseti(L, SINK, n == 0 ? FUTURE_COUNT : FUTURE_VALUE);
  lua_pushinteger(L, FUTURE_DONE);
  lua_rawseti(L, SINK, FUTURE_STATE);
  return true;
}

/* The same; see lua/parhost/map.lua. */
static bool settle_map(lua_State *L, lua_Integer k) {
  enum { VALUES = 1, SLOW = 5 };
  if (lua_isnil(L, RESULT) || !slot_is_false(L, SLOW)) return false;
  lua_rawgeti(L, SINK, VALUES);
  lua_pushvalue(L, RESULT);
  lua_rawseti(L, -2, k);
  return true;
}

/* Puts the sink of a record in its place; the items of a chunk come in a row. Gives the identity of its metatable. */
static const void *find_sink(lua_State *L, const struct ph_done *d) {
  lua_settop(L, SINKS);
  const void *metatable = NULL;
  if (lua_rawgeti(L, SINKS, d->place) == LUA_TTABLE && lua_getmetatable(L, SINK)) {
    metatable = lua_topointer(L, -1);
    lua_pop(L, 1);
  }
  return metatable;
}

/* The sink lies below its values. */
static bool settle(lua_State *L, const struct quick *q, const void *metatable, int n) {
  if (n <= 1 && metatable == q->state->future) return settle_future(L, n);
  if (n == 1 && metatable == q->state->map) return settle_map(L, q->record.done.tag + q->record.done.item);
  return false;
}

/* In protected mode, with q and the core: gives the values of the first record that needs the upcall, when they are
 * decoded already. */
static int settle_run(lua_State *L) {
  struct quick *q = lua_touserdata(L, 1);
  const struct ph_done *d = &q->record.done;
  const void *metatable = NULL;
  uint64_t sink_of = 0; /* no task has this id */
  lua_getiuservalue(L, CORE, CORE_SINKS);
  while ((q->pending = next_record(q->record.core, &q->record))) {
    if (d->id != sink_of) metatable = find_sink(L, d);
    sink_of = d->id;
    lua_settop(L, SINK);
    if (lua_isnil(L, SINK)) { /* its submit has failed behind it */
      drop_big(&q->record);
      continue;
    }
    if (d->outcome != PH_DONE_OK || d->big != NULL) return 0;
    int n = decode_now(L, &q->record);
    if (!settle(L, q, metatable, n)) {
      q->decoded = true;
      return n;
    }
    q->settled++;
    if (!d->last) continue;
    core_free_place(L, q->record.core, SINKS, d->place);
    if (q->record.core->has_holds) drop_holds(L, CORE, d->id);
  }
  return 0;
}

/* --- with an upcall --------------------------------------------------------------------------------------- */

/* Pushes function, sink and tag. */
static void begin_upcall(lua_State *L, const struct record *r) {
  luaL_checkstack(L, 16, "too many deliveries");
  lua_rawgeti(L, LUA_REGISTRYINDEX, lib_state_of(L)->deliver);
  lua_getiuservalue(L, CORE, CORE_SINKS);
  lua_rawgeti(L, -1, r->done.place);
  lua_remove(L, -2);
  lua_pushinteger(L, r->done.tag + r->done.item);
}

/* In protected mode, with q and the core. */
static int deliver_record(lua_State *L) {
  struct quick *q = lua_touserdata(L, 1);
  begin_upcall(L, &q->record);
  int n = push_outcome(L, q->record.core, CORE, &q->record);
  lua_call(L, 2 + n, 0);
  return 0;
}

/* The same, and behind them the values of a successful record, or (q->failed) the error that decoding them gave. */
static int deliver_decoded(lua_State *L) {
  const struct quick *q = lua_touserdata(L, 1);
  begin_upcall(L, &q->record);
  lua_pushboolean(L, !q->failed);
  lua_rotate(L, CORE + 1, 4);
  if (q->failed) {
    lua_pushnil(L);
    push_info(L, q->record.core, CORE, &q->record.done);
  }
  lua_call(L, lua_gettop(L) - CORE - 1, 0);
  return 0;
}

/* The values or the error of a decoded record lie above `base`. Without memory for the upcall its sink is owed the news that
 * there was none: false, with the error on the stack. */
static bool deliver(lua_State *L, struct quick *q, int core_idx, int base) {
  struct core *c = q->record.core;
  lua_pushcfunction(L, q->decoded || q->failed ? deliver_decoded : deliver_record);
  lua_pushlightuserdata(L, q);
  lua_pushvalue(L, core_idx);
  lua_rotate(L, base + 1, 3);
  int status = lua_pcall(L, lua_gettop(L) - base - 1, 0, 0);
  drop_big(&q->record);
  if (status == LUA_OK || !lib_no_memory(L, status)) release_sink(L, core_idx, &q->record.done);
  if (status == LUA_OK) return true;
  if (!lib_no_memory(L, status)) lua_error(L);
  c->owes = true;
  c->owed = q->record.done;
  c->owed.outcome = PH_DONE_LOST;
  return false;
}

lua_Integer drain_core(lua_State *L, struct core *c, int core_idx) {
  struct quick q = {.record.core = c, .state = lib_state_of(L)};
  lua_Integer n = 0;
  int base = lua_gettop(L), failures = 0;
  core_idx = lua_absindex(L, core_idx);
  do {
    q.pending = q.decoded = false;
    lua_pushcfunction(L, settle_run);
    lua_pushlightuserdata(L, &q);
    lua_pushvalue(L, core_idx);
    q.failed = lua_pcall(L, 2, LUA_MULTRET, 0) != LUA_OK;
    c->decoding = false;
    if (q.failed && !q.pending) lua_error(L); /* of a hook that the program has set: no record is to blame */
    if (q.pending && !deliver(L, &q, core_idx, base) && ++failures > 1) lua_error(L);
    n += q.pending;
    lua_settop(L, base);
  } while (q.pending);
  return n + q.settled;
}

#define DELIVERY_DEPTH 16 /* of calls inside of an upcall, at the most */

/* A record that was taken has to reach its sink: whoever interrupts the program waits for that. What a __load does is not
 * meant: it is the user's, and may take its time. */
bool is_delivering(lua_State *L) {
  lua_Debug frame;
  bool is = false;
  if (!lua_checkstack(L, 3)) return false;
  lua_rawgeti(L, LUA_REGISTRYINDEX, lib_state_of(L)->deliver);
  for (int level = 0; level < DELIVERY_DEPTH && !is && lua_getstack(L, level, &frame); level++) {
    lua_getinfo(L, "f", &frame);
    lua_CFunction function = lua_tocfunction(L, -1);
    is = lua_rawequal(L, -1, -2) || (level == 0 && (function == settle_run || function == decode_record));
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return is;
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
