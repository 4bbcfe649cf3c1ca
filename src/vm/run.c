/* SPDX-License-Identifier: MIT
 * One task in a state: decode, call, encode, each item under protection. The handler of the stop signal finds the run
 * through a thread-local pointer and compares the stop word of the slot with the item that runs, so a request that
 * comes too late stops nothing else. */
#include "vm/run.h"

#include <errno.h>
#include <lauxlib.h>
#include <limits.h>
#include <lualib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/trace.h"
#include "pool/backend_proc.h"
#include "pool/backend_thread.h"
#include "pool/pool.h"
#include "vm/error.h"
#include "vm/run_trace.h"
#include "vm/worker.h"
#include "vm/worker_stdio.h"

#define NO_ITEM UINT32_MAX

static _Thread_local struct ph_run *current_run;

/* --- being stopped ---------------------------------------------------------------------------------------- */

static bool must_stop(struct ph_run *r) {
  struct ph_slot *slot = r->slot;
  if (slot == NULL) return false;
  if (r->deadline != PH_NEVER && ph_now() >= r->deadline) {
    atomic_store(&slot->stop_source, PH_STOP_DEADLINE);
    atomic_store(&slot->stop, r->item + 1);
  }
  unsigned stop = atomic_load(&slot->stop);
  return stop == PH_STOP_ALL || (stop != 0 && stop == r->item + 1);
}

static void look_for_stop(void) {
  struct ph_run *r = current_run;
  if (r != NULL && must_stop(r)) ph_vm_interrupt(r->vm, (enum ph_stop)atomic_load(&r->slot->stop_source));
}

static void on_stop_signal(int number) {
  int saved = errno;
  (void)number;
  look_for_stop();
  errno = saved;
}

/* Threads of programs that have not given us a signal look at every cancellation point instead. */
static void expect_stops(struct ph_vm *vm) {
  struct sigaction sa = {.sa_handler = on_stop_signal};
  int number = vm->exit_raises ? ph_threads_stop_signal() : PH_STOP_SIGNAL_NUMBER;
  sigemptyset(&sa.sa_mask); /* no SA_RESTART: blocking calls of C code return, and the hook gets its chance */
  if (number != 0)
    sigaction(number, &sa, NULL);
  else
    vm->before_check = look_for_stop;
}

/* --- one item --------------------------------------------------------------------------------------------- */

/* The message of a part of the payload; parts are preceded by their length when the task is a chunk. */
static int decode_part(struct ph_run *r, const void *bytes, size_t len) {
  struct ph_err err;
  int n = ph_decode(r->L, &r->store, r->externs, bytes, len, &err);
  if (n < 0) ph_error_raise_err(r->L, &err);
  return n;
}

static const uint8_t *part_at(struct ph_run *r, const uint8_t *p, size_t *len) {
  uint32_t n = 0;
  const uint8_t *end = r->payload + r->payload_len;
  if (end - p >= (ptrdiff_t)sizeof n) memcpy(&n, p, sizeof n);
  if ((size_t)(end - p) < sizeof n + (size_t)n) ph_error_raise(r->L, "not_serializable", "truncated task message");
  *len = n;
  return p + sizeof n;
}

/* What every item of a chunk calls. */
static void push_function(struct ph_run *r) {
  size_t len;
  const uint8_t *fn = part_at(r, r->payload, &len);
  decode_part(r, fn, len);
}

/* Sets next_part to the first item that is to run. In protected mode. */
static int do_find_first(lua_State *L) {
  struct ph_run *r = lua_touserdata(L, 1);
  size_t len;
  r->next_part = r->payload;
  for (uint32_t i = 0; i <= r->wire->first; i++) {
    r->next_part = part_at(r, r->next_part, &len);
    r->next_part += len;
  }
  return 0;
}

static void resolve_name(lua_State *L, int idx) {
  if (lua_type(L, idx) != LUA_TSTRING) return;
  const char *name = lua_tostring(L, idx), *colon = strrchr(name, ':');
  if (colon == NULL) luaL_error(L, "task '%s' is not of the form \"module:function\"", name);
  lua_pushlstring(L, name, (size_t)(colon - name));
  lua_getglobal(L, "require");
  lua_pushvalue(L, -2);
  lua_call(L, 1, 1);
  lua_getfield(L, -1, colon + 1);
  if (!lua_isfunction(L, -1)) luaL_error(L, "module '%s' has no function '%s'", lua_tostring(L, -3), colon + 1);
  lua_replace(L, idx);
  lua_pop(L, 2);
}

static void seed_random(lua_State *L, uint64_t seed, uint64_t index) {
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, LUA_MATHLIBNAME);
  lua_getfield(L, -1, "randomseed");
  lua_pushinteger(L, (lua_Integer)seed);
  lua_pushinteger(L, (lua_Integer)index);
  lua_call(L, 2, 0);
  lua_pop(L, 2);
}

static void unpack_star(lua_State *L, int idx) {
  if (lua_getfield(L, idx, "n") == LUA_TNIL) {
    lua_pop(L, 1);
    lua_pushinteger(L, (lua_Integer)lua_rawlen(L, idx));
  }
  lua_Integer n = lua_tointeger(L, -1);
  lua_pop(L, 1);
  if (n > INT_MAX / 2) luaL_error(L, "too many arguments");
  luaL_checkstack(L, (int)n + LUA_MINSTACK, "too many arguments");
  for (lua_Integer i = 1; i <= n; i++) lua_geti(L, idx, i);
  lua_remove(L, idx);
}

/* Calls the function at idx with what the message of the item holds, and encodes the results. */
static void call_item(lua_State *L, struct ph_run *r, int idx) {
  const struct ph_task_wire *w = r->wire;
  resolve_name(L, idx);
  if (w->flags & PH_TASK_STAR) unpack_star(L, idx + 1);
  if (w->seeded) seed_random(L, w->seed, w->id + r->item);
  lua_call(L, lua_gettop(L) - idx, LUA_MULTRET);
  struct ph_err err;
  const struct ph_encode_options options = {.root = "result", .flags = r->encode_flags, .externs = LUA_NOREF};
  if (ph_encode(L, &options, idx, lua_gettop(L) - idx + 1, &r->reply, &err) != 0) ph_error_raise_err(L, &err);
}

/* The item that is next. False: it is to be stopped before it has begun. */
static bool begin_item(struct ph_run *r) {
  r->reply = (struct ph_encoded){0};
  r->vm->limit_hit = false;
  r->vm->limit = r->wire->memory_limit;
  atomic_store_explicit(&r->own_slot->started, r->now, memory_order_relaxed);
  atomic_store(&r->own_slot->item, r->item); /* before `stop` is looked at: see struct ph_slot */
  r->slot = r->own_slot;
  return !must_stop(r) && atomic_load(&r->slot->stop) != PH_STOP_REST;
}

/* --- the job log ------------------------------------------------------------------------------------------ */

static void begin_log(struct ph_run *r, size_t sent) {
  struct ph_err err;
  r->log.sent = sent;
  if (ph_joblog_item_begin(&r->log, &err) != 0) ph_error_raise_err(r->L, &err);
}

static int write_log(struct ph_run *r, int exit_code, struct ph_err *err) {
  const struct ph_joblog_result result = {.run_ns = ph_now() - r->now, .received = r->reply.len, .exit_code = exit_code};
  return ph_joblog_item_end(&r->log, &result, err);
}

/* What has run and is not in the log is an error: it will run again. */
static void log_success(struct ph_run *r) {
  struct ph_err err;
  if (write_log(r, 0, &err) != 0) ph_error_raise_err(r->L, &err);
}

static void log_failure(struct ph_run *r, enum ph_reply reply) {
  if (r->log.pid != 0) write_log(r, reply == PH_REPLY_STOPPED ? -1 : EXIT_FAILURE, NULL);
}

/* --- item after item -------------------------------------------------------------------------------------- */

static uint32_t run_time_units(int64_t ns) {
  int64_t units = ns / PH_RUN_TIME_UNIT;
  return units > (int64_t)UINT32_MAX ? UINT32_MAX : (uint32_t)units;
}

/* Replies, and goes on to the next item unless `send` fails. */
static bool end_item(struct ph_run *r, enum ph_reply reply) {
  int64_t started = r->now;
  r->slot = NULL;
  r->vm->limit = 0;
  ph_vm_clear_stop(r->vm);
  ph_worker_stdio_flush();
  r->now = ph_now();
  if (__builtin_expect(r->trace != NULL, 0)) ph_run_trace_item(r, reply, r->reply.len);
  struct ph_frame f = {.len = (uint32_t)r->reply.len,
                       .slot = r->slot_number,
                       .type = PH_FRAME_REPLY,
                       .flags = (uint8_t)reply,
                       .item = r->item++,
                       .reserved = run_time_units(r->now - started)};
  if (r->wire->flags & PH_TASK_LOGGED) ph_joblog_next(&r->log);
  r->send_status = r->send(r, &f, r->reply.data);
  return r->send_status == 0;
}

/* In protected mode: item after item, until one fails. A function without state is decoded once. */
static int do_items(lua_State *L) {
  struct ph_run *r = lua_touserdata(L, 1);
  bool chunk = r->wire->flags & PH_TASK_CHUNK, constant = r->wire->flags & PH_TASK_CONSTANT;
  bool logged = r->wire->flags & PH_TASK_LOGGED;
  enum ph_reply reply;
  lua_settop(L, 0);
  if (constant) push_function(r);
  do {
    size_t len = r->payload_len;
    const uint8_t *part = chunk ? part_at(r, r->next_part, &len) : r->payload;
    if (chunk) r->next_part = part + len;
    reply = PH_REPLY_STOPPED;
    lua_settop(L, constant);
    if (begin_item(r)) {
      if (logged) begin_log(r, len);
      if (constant) lua_pushvalue(L, 1);
      if (chunk && !constant) push_function(r);
      decode_part(r, part, len);
      call_item(L, r, constant + 1);
      if (logged) log_success(r);
      reply = PH_REPLY_OK;
    }
  } while (end_item(r, reply) && r->item < r->wire->count);
  return 0;
}

/* An error that came out of a future here has been on its way before: its earlier traceback goes in front. */
static void chain_traceback(lua_State *L, int err, int traceback) {
  int top = lua_gettop(L);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, "futures.trace") == LUA_TTABLE) {
    lua_getfield(L, -1, "chain");
    lua_pushvalue(L, err);
    lua_pushvalue(L, traceback);
    lua_call(L, 2, 1);
    lua_replace(L, traceback);
  }
  lua_settop(L, top);
}

static int to_text(lua_State *L) {
  luaL_tolstring(L, 1, NULL);
  return 1;
}

/* What an error value of the program's own says of itself, as the end of a message; else "". */
static void push_own_words(lua_State *L, int idx) {
  if (luaL_getmetafield(L, idx, "__tostring") == LUA_TNIL) {
    lua_pushliteral(L, "");
    return;
  }
  lua_pop(L, 1);
  lua_pushcfunction(L, to_text);
  lua_pushvalue(L, idx);
  bool ok = lua_pcall(L, 1, 1, 0) == LUA_OK;
  if (!ok && ph_cancel_is(L, -1)) lua_error(L);
  lua_pushfstring(L, ok ? "; its text: %s" : "", lua_tostring(L, -1));
  lua_remove(L, -2);
}

/* In protected mode: error value and traceback, or what stands for them when the value cannot travel. */
static int do_error(lua_State *L) {
  struct ph_run *r = lua_touserdata(L, 1);
  struct ph_err err;
  const struct ph_encode_options options = {
      .root = "error", .first_is_root = true, .flags = r->encode_flags, .externs = LUA_NOREF};
  chain_traceback(L, 2, 3);
  if (r->trace != NULL) ph_run_trace_error(r, L, 2, 3);
  if (ph_encode(L, &options, 2, 2, &r->reply, &err) == 0) return 0;
  ph_error_push_err(L, &err);
  push_own_words(L, 2);
  lua_pushfstring(L, "the task raised an error value that cannot travel: %s%s", err.message, lua_tostring(L, -1));
  lua_setfield(L, -3, "message");
  lua_pop(L, 1);
  lua_replace(L, 2);
  if (ph_encode(L, &options, 2, 2, &r->reply, &err) != 0) luaL_error(L, "%s", err.message);
  return 0;
}

static int do_error_text(lua_State *L) {
  struct ph_run *r = lua_touserdata(L, 1);
  struct ph_err err;
  const struct ph_encode_options options = {
      .root = "error", .first_is_root = true, .flags = r->encode_flags, .externs = LUA_NOREF};
  lua_pushliteral(L, "the error value of the task could not be sent (not enough memory, or its __dump failed)");
  lua_pushnil(L);
  ph_encode(L, &options, 2, 2, &r->reply, &err);
  return 0;
}

/* Encodes the error value and the traceback on top of the stack, and pops them. False: it was stopped meanwhile. */
static bool encode_error(struct ph_run *r) {
  lua_State *L = r->L;
  lua_pushcfunction(L, do_error);
  lua_insert(L, -3);
  lua_pushlightuserdata(L, r);
  lua_insert(L, -3);
  r->reply = (struct ph_encoded){0};
  if (lua_pcall(L, 3, 0, 0) == LUA_OK) return true;
  bool stopped = ph_cancel_is(L, -1);
  lua_settop(L, 0);
  if (stopped) return false;
  lua_pushcfunction(L, do_error_text);
  lua_pushlightuserdata(L, r);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_settop(L, 0);
  return true;
}

static enum ph_reply failed(struct ph_run *r, int status) {
  lua_State *L = r->L;
  bool stopped = ph_cancel_is(L, -2), no_memory = status == LUA_ERRMEM && r->vm->limit_hit;
  if (stopped || no_memory)
    lua_settop(L, 0);
  else
    stopped = !encode_error(r);
  if (status == LUA_ERRMEM) lua_gc(L, LUA_GCCOLLECT);
  if (stopped || no_memory) r->reply = (struct ph_encoded){0};
  return stopped ? PH_REPLY_STOPPED : no_memory ? PH_REPLY_MEMORY : PH_REPLY_ERROR;
}

/* Runs what is left of the task up to its end, or to an item that fails, which is answered with the error. */
static void run_protected(struct ph_run *r) {
  lua_State *L = r->L;
  lua_pushcfunction(L, do_items);
  lua_pushlightuserdata(L, r);
  int status = ph_vm_call_in(r->vm, L, 1, 0);
  r->vm->limit = 0;
  if (status == LUA_OK) return;
  enum ph_reply reply = failed(r, status);
  if (r->wire->flags & PH_TASK_LOGGED) log_failure(r, reply);
  lua_settop(L, 0);
  end_item(r, reply);
}

static lua_CFunction on_open; /* of the whole process: ph_worker_on_open */
static void *on_open_arg;

void ph_worker_on_open(lua_CFunction open, void *arg) {
  on_open = open;
  on_open_arg = arg;
}

/* What the embedding program adds is no global of the user's. */
static void call_on_open(lua_State *L) {
  if (on_open == NULL) return;
  lua_pushcfunction(L, on_open);
  lua_pushlightuserdata(L, on_open_arg);
  lua_call(L, 1, 0);
  ph_codec_baseline(L);
}

/* In protected mode: require("parhost.worker").enter(first part, index), then .setup(second part). */
static int do_setup(lua_State *L) {
  struct ph_run *r = lua_touserdata(L, 1);
  size_t len;
  lua_settop(L, 0);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "parhost.worker");
  lua_call(L, 1, 1);
  lua_getfield(L, 1, "enter");
  const uint8_t *part = part_at(r, r->payload, &len);
  decode_part(r, part, len);
  lua_pushinteger(L, (lua_Integer)r->index + 1);
  lua_call(L, 2, 0);
  if (r->is_fresh) call_on_open(L);
  lua_getfield(L, 1, "setup");
  part = part_at(r, part + len, &len);
  decode_part(r, part, len);
  lua_call(L, 1, 0);
  return 0;
}

bool ph_run_setup(struct ph_run *r, const void *message, size_t len, bool *no_memory) {
  r->payload = message;
  r->payload_len = len;
  lua_pushcfunction(r->L, do_setup);
  lua_pushlightuserdata(r->L, r);
  int status = ph_vm_call(r->L, 1, 0);
  bool ok = status == LUA_OK;
  *no_memory = status == LUA_ERRMEM;
  if (!ok) encode_error(r);
  ph_worker_stdio_flush();
  lua_settop(r->L, 0);
  return ok;
}

static void find_first(struct ph_run *r) {
  lua_pushcfunction(r->L, do_find_first);
  lua_pushlightuserdata(r->L, r);
  if (lua_pcall(r->L, 1, 0, 0) != LUA_OK) r->next_part = r->payload + r->payload_len; /* every item will say so */
  lua_settop(r->L, 0);
}

/* A message that makes no sense names no file: its items cannot be run. */
static void read_log(struct ph_run *r) {
  if (!ph_joblog_split(r->payload, &r->payload_len, r->wire->first, &r->log))
    r->log = (struct ph_joblog_item){.path = "", .key = r->payload, .end = r->payload};
}

static int run_items(struct ph_run *r, struct ph_slot *slot, unsigned slot_number, const struct ph_task_wire *wire,
                     const uint8_t *payload, size_t len) {
  struct ph_run_trace trace;
  r->wire = wire;
  r->payload = payload;
  r->payload_len = len;
  r->ran_something = true;
  r->own_slot = slot;
  r->slot_number = (uint16_t)slot_number;
  r->now = ph_now();
  if ((wire->flags & PH_TASK_TRACED) && ph_traced()) ph_run_trace_begin(r, &trace);
  if (wire->flags & PH_TASK_LOGGED) read_log(r);
  if (r->trace != NULL) r->trace->in = r->payload_len;
  if (wire->flags & PH_TASK_CHUNK) find_first(r);
  r->item = wire->first;
  r->send_status = 0;
  while (r->send_status == 0 && r->item < wire->count) run_protected(r);
  if (r->trace != NULL) ph_run_trace_end(r);
  return r->send_status;
}

int ph_run_message(struct ph_run *r, struct ph_slot *slot, unsigned slot_number, const struct ph_task_wire *wire,
                   const uint8_t *payload, size_t len) {
  return run_items(r, slot, slot_number, wire, payload, len);
}

const struct ph_run *ph_run_current(void) {
  return current_run;
}

void ph_run_catch_up(struct ph_run *r) {
  if (must_stop(r)) ph_vm_interrupt(r->vm, (enum ph_stop)atomic_load(&r->slot->stop_source));
}

int ph_run_task(struct ph_run *r, struct ph_slot *slot, unsigned slot_number, const struct ph_task_wire *wire,
                const uint8_t *payload, size_t len) {
  unsigned expected = PH_CLAIM_HANDED;
  struct ph_frame f = {.slot = (uint16_t)slot_number, .type = PH_FRAME_SKIPPED};
  if (!atomic_compare_exchange_strong(&slot->claim, &expected, PH_CLAIM_STARTED)) return r->send(r, &f, NULL);
  if (payload == NULL) {
    f.type = PH_FRAME_REPLY;
    f.flags = PH_REPLY_LOST;
    return r->send(r, &f, NULL);
  }
  return run_items(r, slot, slot_number, wire, payload, len);
}

struct ph_run *ph_run_begin(struct ph_run *r, struct ph_vm *vm, lua_State *L) {
  struct ph_run *outer = current_run;
  r->vm = vm;
  r->L = L;
  r->item = NO_ITEM;
  if (r->deadline == 0) r->deadline = PH_NEVER;
  vm->level_triggered = true;
  current_run = r;
  expect_stops(vm);
  return outer;
}

void ph_run_end(struct ph_run *r, struct ph_run *outer) {
  PH_CHECK(current_run == r);
  current_run = outer;
}
