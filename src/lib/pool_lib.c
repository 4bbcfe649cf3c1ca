/* SPDX-License-Identifier: MIT
 * parhost.core.pool: pools for Lua. Checks that come with policy (ranges, defaults, messages about options) are made
 * in lua/parhost; here an argument of the wrong type is a bug of ours. */
#include <errno.h>
#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/core.h"
#include "lib/inspect.h"
#include "lib/quick.h"
#include "lib/station_lib.h"
#include "lib/submit.h"
#include "pool/wire.h"
#include "pool/zygote.h"
#include "vm/error.h"
#include "vm/vm.h"

/* --- life ------------------------------------------------------------------------------------------------- */

static struct core *open_core(lua_State *L) {
  struct core *c = check_core(L, 1);
  if (c->pool == NULL) ph_error_raise(L, "shutdown", "the pool is gone");
  return c;
}

static void enlist(lua_State *L, struct core *c) {
  struct lib_state *s = lib_state_of(L);
  c->next = s->cores;
  c->place = &s->cores;
  c->forks = s->forks;
  if (c->next != NULL) c->next->place = &c->next;
  s->cores = c;
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, c); /* kept alive until it is finished */
  ph_vm_keep_exit_first(L);
}

static void delist(lua_State *L, struct core *c) {
  if (c->place == NULL) return;
  *c->place = c->next;
  if (c->next != NULL) c->next->place = c->place;
  c->place = NULL;
  if (L == NULL) return;
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, c);
}

static void release(lua_State *L, struct core *c) {
  lib_unwatch_core(c);
  if (c->pool != NULL && c->is_guest) ph_client_close(c->client);
  if (c->pool != NULL && !c->is_guest) ph_pool_free(c->pool);
  c->pool = NULL;
  c->client = NULL;
  delist(L, c);
  ph_buf_deinit(&c->scratch);
  ph_buf_deinit(&c->chunk_blobs);
  ph_buf_deinit(&c->note);
  ph_buf_deinit(&c->setup);
  ph_buf_deinit(&c->free_places);
  for (size_t at = c->at; at < c->records.len;) {
    struct ph_done *d = (struct ph_done *)(void *)(c->records.data + at);
    at += ph_done_stride(d);
    free(d->big);
  }
  ph_buf_deinit(&c->records);
  if (L != NULL && c->externs != LUA_NOREF) {
    luaL_unref(L, LUA_REGISTRYINDEX, c->externs);
    luaL_unref(L, LUA_REGISTRYINDEX, c->extern_values);
  }
  c->externs = c->extern_values = LUA_NOREF;
}

static int core_gc(lua_State *L) {
  release(L, check_core(L, 1));
  return 0;
}

/* --- new -------------------------------------------------------------------------------------------------- */

static lua_Number number_field(lua_State *L, const char *key, lua_Number otherwise) {
  lua_getfield(L, 1, key);
  lua_Number n = luaL_optnumber(L, -1, otherwise);
  lua_pop(L, 1);
  return n;
}

static lua_Integer integer_field(lua_State *L, const char *key, lua_Integer otherwise) {
  lua_getfield(L, 1, key);
  lua_Integer n = luaL_optinteger(L, -1, otherwise);
  lua_pop(L, 1);
  return n;
}

static bool string_field_is(lua_State *L, const char *key, const char *value) {
  lua_getfield(L, 1, key);
  const char *s = lua_tostring(L, -1);
  bool is = s != NULL && strcmp(s, value) == 0;
  lua_pop(L, 1);
  return is;
}

static int64_t duration_field(lua_State *L, const char *key) {
  lua_Number seconds = number_field(L, key, (lua_Number)INFINITY);
  return ph_seconds_to_ns(seconds);
}

static bool has_field(lua_State *L, int idx, const char *key) {
  bool has = lua_getfield(L, idx, key) != LUA_TNIL;
  lua_pop(L, 1);
  return has;
}

static void read_config(lua_State *L, struct core *c) {
  struct ph_pool_config *config = &c->config;
  lua_getfield(L, 1, "name");
  strncpy(config->name, luaL_checkstring(L, -1), sizeof config->name - 1);
  lua_pop(L, 1);
  config->max_workers = (unsigned)integer_field(L, "max_workers", 1);
  config->min_workers = (unsigned)integer_field(L, "min_workers", 0);
  config->idle_timeout_ns = duration_field(L, "idle_timeout");
  config->grace_ns = duration_field(L, "grace");
  config->max_tasks_per_worker = (uint64_t)integer_field(L, "max_tasks_per_worker", 0);
  config->max_queue = (uint64_t)integer_field(L, "max_queue", 0);
  config->max_restarts = (unsigned)integer_field(L, "max_restarts", 3 * (lua_Integer)config->max_workers);
  config->break_on_death = string_field_is(L, "on_worker_death", "break");
  config->memory_limit = (size_t)integer_field(L, "memory_limit", 0);
  config->seeded = has_field(L, 1, "seed");
  config->seed = (uint64_t)integer_field(L, "seed", 0);
  lua_getfield(L, 1, "capture");
  c->capture = lua_toboolean(L, -1);
  lua_pop(L, 1);
  c->kind = string_field_is(L, "backend", "inline")   ? CORE_INLINE
            : string_field_is(L, "backend", "thread") ? CORE_THREAD
                                                      : CORE_PROC;
  lua_getfield(L, 1, "setup");
  if (lua_istable(L, -1)) config->has_initializer = has_field(L, lua_gettop(L), "initializer");
  lua_pop(L, 1);
}

/* Adds a part of the first message to each worker: its length, then the value of this option. */
static void encode_part(lua_State *L, struct core *c, const char *key) {
  struct ph_err err;
  struct ph_encoded e;
  const struct ph_encode_options options = {
      .root = "", .first_is_root = true, .flags = core_encode_flags(c), .externs = c->externs};
  lua_getfield(L, 1, key);
  if (ph_encode(L, &options, lua_gettop(L), 1, &e, &err) != 0) ph_error_raise_err(L, &err);
  uint32_t len = (uint32_t)e.len;
  if (ph_buf_reserve(&c->setup, sizeof len + e.len) != 0) luaL_error(L, "not enough memory");
  ph_buf_put(&c->setup, &len, sizeof len);
  ph_buf_put(&c->setup, e.data, e.len);
  lua_pop(L, 1);
}

/* The surroundings come first: what the rest names is looked for with the parent's package.path. */
static void encode_setup(lua_State *L, struct core *c) {
  encode_part(L, c, "surroundings");
  encode_part(L, c, "setup");
  c->config.setup = c->setup.data;
  c->config.setup_len = c->setup.len;
}

static int64_t intern_blob(void *ud, const uint8_t hash[16], const void *bytes, size_t len) {
  struct core *c = ud;
  return ph_pool_intern_blob(c->pool, hash, bytes, len);
}

/* Pushes a core without a pool. */
static struct core *new_core(lua_State *L) {
  static _Thread_local uint64_t stores; /* ids are compared within a state only */
  struct core *c = lua_newuserdatauv(L, sizeof *c, CORE_USERVALUES);
  memset(c, 0, sizeof *c);
  c->kind_of_userdata = &core_mark;
  c->state = lib_state_of(L);
  c->externs = c->extern_values = LUA_NOREF;
  c->last.wait_ms[0] = c->last.wait_ms[1] = c->last.run_ms[0] = c->last.run_ms[1] = (double)NAN;
  c->store = (struct ph_blob_store){.intern = intern_blob, .ud = c, .id = ++stores};
  luaL_setmetatable(L, CORE_METATABLE);
  for (int i = 1; i <= CORE_USERVALUES; i++) {
    lua_newtable(L);
    lua_setiuservalue(L, -2, i);
  }
  lua_getiuservalue(L, -1, CORE_CALLER);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_pop(L, 1);
  if (ph_buf_reserve(&c->records, sizeof(struct ph_done)) != 0) luaL_error(L, "not enough memory for a pool");
  return c;
}

/* guest(number, kind, capture) -> core for a pool of another state of this process, which may be over. */
static int pool_guest(lua_State *L) {
  static const char *const kinds[] = {"proc_pool", "thread_pool", "inline", NULL};
  struct ph_err err;
  uint64_t number = (uint64_t)luaL_checkinteger(L, 1);
  enum core_kind kind = (enum core_kind)luaL_checkoption(L, 2, NULL, kinds);
  struct core *c = new_core(L);
  c->client = ph_client_open(number, &err);
  c->is_guest = true;
  if (c->client == NULL) {
    if (err.kind != NULL) ph_error_raise_err(L, &err);
    return 1;
  }
  c->pool = ph_client_pool(c->client);
  c->config = *ph_pool_config_of(c->pool);
  c->kind = kind;
  c->capture = lua_toboolean(L, 3);
  enlist(L, c);
  return 1;
}

static int pool_new(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  struct core *c = new_core(L);
  read_config(L, c);
  if (has_field(L, 1, "externs")) {
    lua_getfield(L, 1, "externs");
    c->externs = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_getfield(L, 1, "extern_values");
    c->extern_values = luaL_ref(L, LUA_REGISTRYINDEX);
  }
  encode_setup(L, c);
  lib_inspect_open(L); /* before there are workers, who are asked by its signal */
  lib_start_pool(L, c, string_field_is(L, "start_method", "fork"));
  enlist(L, c);
  return 1;
}

/* prepare(for_workers). Errors wait until a pool is made. */
static int pool_prepare(lua_State *L) {
  struct ph_err err;
  lua_pushboolean(L, lib_prepare(lua_toboolean(L, 1), &err) == 0);
  return 1;
}

static int task_options(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  struct ph_task_options *o = lua_newuserdatauv(L, sizeof *o, OPTIONS_NAME);
  *o = ph_task_defaults;
  o->priority = (int32_t)integer_field(L, "priority", 0);
  o->retries = (uint32_t)integer_field(L, "retries", 0);
  o->timeout_ns = duration_field(L, "timeout");
  o->deadline = duration_field(L, "deadline");
  o->memory_limit = (size_t)integer_field(L, "memory_limit", 0);
  lua_getfield(L, 1, "name");
  lua_setiuservalue(L, -2, OPTIONS_NAME);
  luaL_setmetatable(L, OPTIONS_METATABLE);
  return 1;
}

/* --- methods ---------------------------------------------------------------------------------------------- */

static int core_cancel(lua_State *L) {
  static const char *const sources[] = {"", "explicit", "deadline", "group", "shutdown", "signal", NULL};
  struct core *c = open_core(L);
  lua_Integer id = luaL_checkinteger(L, 2);
  int64_t grace = lua_isnoneornil(L, 5) ? c->config.grace_ns : ph_seconds_to_ns(luaL_checknumber(L, 5));
  uint8_t source = (uint8_t)luaL_checkoption(L, 6, "explicit", sources);
  if (!lua_isnoneornil(L, 4)) {
    lua_getiuservalue(L, 1, CORE_REASONS);
    lua_pushvalue(L, 4);
    lua_rawseti(L, -2, id);
  }
  lua_pushboolean(L, ph_pool_cancel(c->pool, (uint64_t)id, lua_toboolean(L, 3), grace, source));
  return 1;
}

static int core_state(lua_State *L) {
  struct core *c = open_core(L);
  lua_pushstring(L, ph_pool_task_state(c->pool, (uint64_t)luaL_checkinteger(L, 2)) == 1 ? "running" : "pending");
  return 1;
}

/* For the short way of submit, which does not ask the life of the pool. */
static int core_refuse(lua_State *L) {
  check_core(L, 1)->refuses = true;
  return 0;
}

static int core_close(lua_State *L) {
  struct core *c = check_core(L, 1);
  if (c->pool != NULL) ph_pool_close(c->pool, lua_toboolean(L, 2));
  return 0;
}

static int core_terminate(lua_State *L) {
  struct core *c = check_core(L, 1);
  if (c->pool != NULL) ph_pool_terminate(c->pool, false);
  return 0;
}

static int core_kill(lua_State *L) {
  struct core *c = check_core(L, 1);
  if (c->pool != NULL) ph_pool_terminate(c->pool, true);
  return 0;
}

static bool is_over(struct core *c) {
  if (!c->is_guest) return ph_pool_finished(c->pool);
  return !ph_pool_is_open(c->pool) && ph_client_outstanding(c->client) == 0 && !ph_client_has_done(c->client);
}

/* Over and everything delivered: the pool's memory goes at once. */
static int core_finished(lua_State *L) {
  struct core *c = check_core(L, 1);
  bool finished = c->pool == NULL;
  if (!finished && !c->owes && c->at >= c->records.len && is_over(c)) {
    finished = true;
    if (c->n_sinks == 0) {
      ph_pool_stats(c->pool, &c->last);
      release(L, c);
    }
  }
  lua_pushboolean(L, finished);
  return 1;
}

static int core_idle(lua_State *L) {
  struct core *c = check_core(L, 1);
  bool idle = c->pool == NULL;
  if (!idle) idle = ph_client_is_idle(c->client);
  lua_pushboolean(L, idle);
  return 1;
}

/* Before a submit is tried once more that found the queue full. */
static int core_seek_room(lua_State *L) {
  const struct core *c = check_core(L, 1);
  if (c->pool != NULL) ph_client_seek_room(c->client);
  return 0;
}

static int core_warm_up(lua_State *L) {
  struct core *c = open_core(L);
  ph_pool_warm_up(c->pool, (unsigned)luaL_checkinteger(L, 2));
  return 0;
}

static int core_fd(lua_State *L) {
  lua_pushinteger(L, ph_client_fd(open_core(L)->client));
  return 1;
}

static int core_is_open(lua_State *L) {
  struct core *c = check_core(L, 1);
  lua_pushboolean(L, c->pool != NULL && ph_pool_is_open(c->pool));
  return 1;
}

/* What `guest` finds the pool by. */
static int core_number(lua_State *L) {
  struct core *c = check_core(L, 1);
  lua_pushinteger(L, c->pool != NULL ? (lua_Integer)ph_pool_number(c->pool) : 0);
  return 1;
}

static int pool_drain(lua_State *L) {
  if (lua_isnoneornil(L, 1))
    lua_pushinteger(L, drain_all(L));
  else
    lua_pushinteger(L, drain_core(L, check_core(L, 1), 1));
  return 1;
}

static int set_deliver(lua_State *L) {
  struct lib_state *s = lib_state_of(L);
  luaL_checktype(L, 1, LUA_TFUNCTION);
  luaL_unref(L, LUA_REGISTRYINDEX, s->deliver);
  lua_settop(L, 1);
  s->deliver = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

/* set_keeper(kind, metatable): the metatable of sinks that can be settled without an upcall (deliver.c). */
static int set_keeper(lua_State *L) {
  static const char *const kinds[] = {"future", "map", NULL};
  struct lib_state *s = lib_state_of(L);
  const void **place = luaL_checkoption(L, 1, NULL, kinds) == 0 ? &s->future : &s->map;
  luaL_checktype(L, 2, LUA_TTABLE);
  *place = lua_topointer(L, 2);
  lua_settop(L, 2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, place); /* alive as long as it is known by its address */
  return 0;
}

/* Ends the process-wide zygote, if there is one: at the end of the program. */
static int pool_stop_zygote(lua_State *L) {
  (void)L;
  ph_zygote_stop();
  return 0;
}

int luaopen_parhost_core_pool(lua_State *L) {
  static const luaL_Reg methods[] = {{"submit", core_submit},
                                     {"submit_chunk", core_submit_chunk},
                                     {"run_here", core_run_here},
                                     {"cancel", core_cancel},
                                     {"state", core_state},
                                     {"close", core_close},
                                     {"terminate", core_terminate},
                                     {"kill", core_kill},
                                     {"refuse", core_refuse},
                                     {"finished", core_finished},
                                     {"idle", core_idle},
                                     {"seek_room", core_seek_room},
                                     {"warm_up", core_warm_up},
                                     {"busy", core_busy},
                                     {"about", core_about},
                                     {"stats", core_stats},
                                     {"count_retry", core_count_retry},
                                     {"workers", core_workers},
                                     {"fd", core_fd},
                                     {"number", core_number},
                                     {"open", core_is_open},
                                     {"__gc", core_gc},
                                     {NULL, NULL}};
  static const luaL_Reg functions[] = {{"new", pool_new},
                                       {"submit", core_submit},
                                       {"guest", pool_guest},
                                       {"prepare", pool_prepare},
                                       {"options", task_options},
                                       {"drain", pool_drain},
                                       {"set_deliver", set_deliver},
                                       {"set_keeper", set_keeper},
                                       {"quick_submit", quick_submitter},
                                       {"quick_value", quick_valuer},
                                       {"stop_zygote", pool_stop_zygote},
                                       {"enter", process_enter},
                                       {"environment", process_environment},
                                       {NULL, NULL}};
  lib_state_of(L);
  luaL_newmetatable(L, OPTIONS_METATABLE);
  luaL_newmetatable(L, CORE_METATABLE);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  luaL_newlib(L, functions);
  return 1;
}
