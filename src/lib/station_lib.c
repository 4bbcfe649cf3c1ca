/* SPDX-License-Identifier: MIT
 * parhost.core.station: futures that several states of this process see. cell() -> a new outcome, cell:settle(status, ...);
 * subscribe(number, sink): deliver(sink, 0, status, ...) when it is settled. Also how a state waits. */
#include "lib/station_lib.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "lib/core.h"
#include "lib/task.h"
#include "pool/backend_thread.h"
#include "vm/error.h"
#include "vm/vm.h"
#include "vm/worker.h"

#define CELL_METATABLE "parhost.core.Cell"
#define HOLDS_MAX 4096 /* cells kept for messages that no task came of: results */

static const char sinks_key, holds_key;

struct station {
  struct lib_source source;
  struct ph_station *place;
  struct ph_loop_watch *watch;
  bool delivering, failed; /* the first of its mailbox */
};

/* --- the source ------------------------------------------------------------------------------------------- */

static int decode_outcome(lua_State *L) {
  struct ph_cell *const *c = lua_touserdata(L, 1);
  struct ph_err err;
  const void *bytes;
  size_t len;
  ph_cell_outcome(*c, &bytes, &len);
  lua_settop(L, 0);
  int n = ph_decode(L, NULL, LUA_NOREF, bytes, len, &err);
  if (n < 0) ph_error_raise_err(L, &err);
  return n;
}

static void push_abandoned(lua_State *L) {
  lua_pushliteral(L, "cancelled");
  ph_error_push(L, "cancelled", "the state that was to settle the future has ended");
  lua_pushliteral(L, "shutdown");
  lua_setfield(L, -2, "source");
}

/* Pushes status, ...; the cell is at `idx`. */
static void push_outcome(lua_State *L, int idx) {
  struct ph_cell *const *c = lua_touserdata(L, idx);
  const void *bytes;
  size_t len;
  enum ph_cell_state state = ph_cell_outcome(*c, &bytes, &len);
  int top = lua_gettop(L);
  if (state == PH_CELL_ABANDONED) {
    push_abandoned(L);
    return;
  }
  lua_pushcfunction(L, decode_outcome);
  lua_pushvalue(L, idx);
  bool ok = lua_pcall(L, 1, LUA_MULTRET, 0) == LUA_OK;
  if (state == PH_CELL_CANCELLED && ok)
    lua_pushliteral(L, "cancelled");
  else
    lua_pushboolean(L, state == PH_CELL_OK && ok);
  lua_insert(L, top + 1);
}

static struct ph_cell **new_cell(lua_State *L) {
  struct ph_cell **c = lua_newuserdatauv(L, sizeof *c, 0);
  *c = NULL;
  luaL_setmetatable(L, CELL_METATABLE);
  return c;
}

/* The sink of the outcome that is to be delivered; with `release`, for the last time. */
static void push_sink(lua_State *L, int64_t key, bool release) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &sinks_key);
  lua_rawgeti(L, -1, key);
  if (release) {
    lua_pushnil(L);
    lua_rawseti(L, -3, key);
  }
  lua_remove(L, -2);
}

/* In protected mode: the key in slot 1, the cell in slot 2. */
static int deliver(lua_State *L) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, lib_state_of(L)->deliver);
  push_sink(L, lua_tointeger(L, 1), false);
  lua_pushinteger(L, 0);
  push_outcome(L, 2);
  lua_call(L, lua_gettop(L) - 3, 0);
  return 0;
}

/* What finds no memory stays where it is for the next time. */
static lua_Integer drain(lua_State *L, struct lib_source *source) {
  struct station *s = (struct station *)source;
  int64_t key;
  int top = lua_gettop(L);
  if (s->delivering) return 0;
  luaL_checkstack(L, 16, NULL);
  struct ph_cell **c = new_cell(L);
  *c = ph_station_first(s->place, &key);
  if (*c == NULL) {
    lua_settop(L, top);
    return 0;
  }
  lua_pushcfunction(L, deliver);
  lua_pushinteger(L, key);
  lua_pushvalue(L, top + 1);
  s->delivering = true;
  int status = lua_pcall(L, 2, 0, 0);
  s->delivering = false;
  if (status != LUA_OK && lib_no_memory(L, status) && !s->failed) {
    s->failed = true;
    lua_settop(L, top);
    return 1; /* once more, at once */
  }
  s->failed = false;
  if (status == LUA_OK || !lib_no_memory(L, status)) {
    ph_station_drop_first(s->place);
    push_sink(L, key, true);
    lua_pop(L, 1);
  }
  if (status != LUA_OK) lua_error(L);
  lua_settop(L, top);
  return 1;
}

static bool alive(const struct lib_source *source) {
  return ph_station_subscriptions(((const struct station *)source)->place) > 0;
}

static void close_station(struct lib_source *source) {
  struct station *s = (struct station *)source;
  if (s->watch != NULL) ph_loop_unwatch(s->watch);
  ph_station_close(s->place);
  free(s);
}

static struct station *station_of(lua_State *L) {
  struct lib_state *state = lib_state_of(L);
  for (struct lib_source *o = state->sources; o != NULL; o = o->next)
    if (o->close == close_station) return (struct station *)o;
  struct ph_err err;
  struct station *s = ph_calloc(1, sizeof *s);
  if (s == NULL) {
    luaL_error(L, "not enough memory to share futures");
    return NULL;
  }
  s->source = (struct lib_source){.drain = drain, .alive = alive, .close = close_station};
  s->place = ph_station_open(&err);
  if (s->place == NULL) {
    free(s);
    ph_error_raise_err(L, &err);
  }
  lib_add_source(L, &s->source);
  return s;
}

/* --- cells ------------------------------------------------------------------------------------------------ */

static struct ph_cell *check_cell(lua_State *L) {
  return *(struct ph_cell **)luaL_checkudata(L, 1, CELL_METATABLE);
}

/* cell([core, id]) */
static int make_cell(lua_State *L) {
  const struct core *core = lua_isnoneornil(L, 1) ? NULL : check_core(L, 1);
  uint64_t pool = core != NULL && core->pool != NULL ? ph_pool_number(core->pool) : 0;
  struct station *s = station_of(L);
  struct ph_cell **c = new_cell(L);
  *c = ph_cell_new(s->place, pool, (uint64_t)luaL_optinteger(L, 2, 0));
  return *c != NULL ? 1 : luaL_error(L, "not enough memory");
}

static int cell_gc(lua_State *L) {
  struct ph_cell **c = luaL_checkudata(L, 1, CELL_METATABLE);
  if (*c != NULL) ph_cell_unref(*c);
  *c = NULL;
  return 0;
}

static int cell_number(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)ph_cell_number(check_cell(L)));
  return 1;
}

/* settle(true, ...), settle(false, err, traceback), settle("cancelled", err). What cannot travel turns into an error. */
static int cell_settle(lua_State *L) {
  const struct ph_encode_options options = {.root = "result", .flags = PH_ENCODE_SAME_PROCESS, .externs = LUA_NOREF};
  struct ph_encoded e;
  struct ph_err err;
  struct ph_cell *c = check_cell(L);
  enum ph_cell_state state = lua_isstring(L, 2) ? PH_CELL_CANCELLED : lua_toboolean(L, 2) ? PH_CELL_OK : PH_CELL_ERROR;
  if (ph_encode(L, &options, 3, lua_gettop(L) - 2, &e, &err) != 0) {
    lua_settop(L, 1);
    ph_error_push_err(L, &err);
    state = PH_CELL_ERROR;
    if (ph_encode(L, &options, 2, 1, &e, &err) != 0) ph_error_raise_err(L, &err);
  }
  ph_cell_settle(c, state, e.data, e.len);
  return 0;
}

/* Keeps a cell for the message that is being made; the submit that comes of it takes over. */
static int hold(lua_State *L) {
  struct lib_state *s = lib_state_of(L);
  check_cell(L);
  if (s->n_holds == 0 || s->n_holds >= HOLDS_MAX) {
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &holds_key);
    s->n_holds = 0;
  }
  lua_rawgetp(L, LUA_REGISTRYINDEX, &holds_key);
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, (lua_Integer)++s->n_holds);
  return 0;
}

void lib_take_holds(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &holds_key);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &holds_key);
  lib_state_of(L)->n_holds = 0;
}

/* subscribe(number, sink) -> the cell; false: there is no such cell any more. */
static int subscribe(lua_State *L) {
  struct ph_err err;
  uint64_t number = (uint64_t)luaL_checkinteger(L, 1);
  luaL_checkany(L, 2);
  struct station *s = station_of(L);
  if (s->watch == NULL) s->watch = ph_loop_watch(lib_loop_of(L), ph_station_fd(s->place), &err);
  if (s->watch == NULL) ph_error_raise_err(L, &err);
  struct ph_cell **c = new_cell(L);
  *c = ph_cell_find(number);
  if (*c == NULL) {
    lua_pushboolean(L, 0);
    return 1;
  }
  lua_rawgetp(L, LUA_REGISTRYINDEX, &sinks_key);
  lua_pushvalue(L, 2);
  int key = luaL_ref(L, -2);
  if (ph_cell_subscribe(*c, s->place, key) != 0) luaL_error(L, "not enough memory");
  lua_pop(L, 1);
  return 1;
}

/* A future (lua/futures/future.lua): slot 5 its source, 6 the id. */
uint64_t lib_awaited_task(lua_State *L, int idx, const struct ph_pool *pool) {
  int top = lua_gettop(L);
  uint64_t id = 0;
  if (!lua_istable(L, idx)) return 0;
  if (lua_rawgeti(L, idx, 5) == LUA_TTABLE) {
    lua_getfield(L, -1, "core");
    const struct core *core = luaL_testudata(L, -1, CORE_METATABLE);
    lua_getfield(L, top + 1, "cell");
    struct ph_cell *const *cell = luaL_testudata(L, -1, CELL_METATABLE);
    lua_rawgeti(L, idx, 6);
    if (core != NULL && core->pool == pool) id = (uint64_t)lua_tointeger(L, -1);
    if (cell != NULL && *cell != NULL) id = ph_cell_task(*cell, pool);
  }
  lua_settop(L, top);
  return id;
}

/* --- waiting ------------------------------------------------------------------------------ */

/* The subject of block.wait in slot 1. */
static int describe_subject(lua_State *L) {
  lua_getfield(L, 1, "_describe");
  lua_pushvalue(L, 1);
  lua_call(L, 1, 1);
  lua_tostring(L, -1);
  return 1;
}

static void copy_description(lua_State *L, int subject, char *text, size_t size) {
  lua_pushcfunction(L, describe_subject);
  lua_pushvalue(L, subject);
  bool ok = lua_pcall(L, 1, 1, 0) == LUA_OK && lua_isstring(L, -1);
  if (!ok) ph_cancel_again(L, -1);
  snprintf(text, size, "%s", ok ? lua_tostring(L, -1) : "something");
  lua_pop(L, 1);
}

static bool others_alive(const struct lib_state *state) {
  for (const struct lib_source *o = state->sources; o != NULL; o = o->next)
    if (o->close != close_station && o->alive(o)) return true;
  return false;
}

bool lib_may_be_stuck(const struct lib_state *state) {
  bool lively = state->sched != NULL && state->sched->lively > 0;
  return ph_threads_running() > 0 && !lively && !others_alive(state);
}

static bool boolean_field(lua_State *L, int idx, const char *name) {
  lua_getfield(L, idx, name);
  bool is = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return is;
}

static struct ph_client *client_of(lua_State *L, int subject) {
  lua_getfield(L, subject, "_pool");
  const struct core *core = luaL_testudata(L, -1, CORE_METATABLE);
  lua_pop(L, 1);
  return core != NULL && core->pool != NULL ? core->client : NULL;
}

void lib_begin_blocking(lua_State *L, struct lib_state *state, int subject, bool has_limit, struct lib_blocking *b) {
  struct ph_wait *w = &b->wait;
  *b = (struct lib_blocking){.station = station_of(L)->place};
  unsigned n = 0;
  for (const struct core *c = state->cores; c != NULL; c = c->next) n++;
  w->clients = lua_newuserdatauv(L, (n + 1) * sizeof *w->clients, 0);
  for (const struct core *c = state->cores; c != NULL; c = c->next)
    if (c->client != NULL) w->clients[w->n_clients++] = c->client;
  w->wake_fd = ph_loop_wake_fd(lib_loop_of(L));
  w->has_limit = has_limit;
  w->serves = ph_worker_pool();
  w->can_help = ph_worker_can_help();
  w->link = ph_worker_link();
  ph_worker_describe(w->who, sizeof w->who);
  copy_description(L, subject, w->what, sizeof w->what);
  w->is_lively = boolean_field(L, subject, "_lively");
  w->client = client_of(L, subject);
  w->for_room = boolean_field(L, subject, "_for_room");
}

int luaopen_parhost_core_station(lua_State *L) {
  static const luaL_Reg methods[] = {{"number", cell_number}, {"settle", cell_settle}, {"__gc", cell_gc}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"cell", make_cell}, {"hold", hold}, {"subscribe", subscribe}, {NULL, NULL}};
  lua_newtable(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &sinks_key);
  luaL_newmetatable(L, CELL_METATABLE);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  luaL_newlib(L, functions);
  return 1;
}
