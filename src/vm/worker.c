/* SPDX-License-Identifier: MIT
 * The worker: one thread, one Lua state, one source of frames. A `struct run` lives on that thread's stack; the signal
 * handler finds it through a thread-local pointer and compares the stop word of the slot with the item that runs, so a
 * request that comes too late stops nothing else. */
#include "vm/worker.h"

#include <errno.h>
#include <lauxlib.h>
#include <limits.h>
#include <lualib.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "codec/codec.h"
#include "pool/backend_proc.h"
#include "pool/wire.h"
#include "vm/error.h"

#define SPIN_NS 40000
#define SPIN_CREDIT_MAX 8
#define SPIN_RETRY 16
#define NO_ITEM UINT32_MAX

struct blob {
  void *bytes;
  size_t len;
};

struct run {
  struct ph_vm *vm;
  lua_State *L;
  uint32_t index;
  int externs;
  struct ph_blob_store store;
  struct blob *blobs;
  size_t n_blobs;

  int (*send)(struct run *r, const struct ph_frame *f, const void *body);
  void *out; /* what `send` needs: a link, a pool */

  struct ph_slot *volatile slot; /* of the running item, for the handler; NULL: none runs */
  volatile uint32_t item;

  const struct ph_task_wire *wire; /* the task at hand */
  const uint8_t *payload;
  size_t payload_len;
  struct ph_encoded reply;
  int64_t item_started;
  int spin_credit;
  unsigned spin_skipped;
  bool ran_something;
};

static _Thread_local struct run *current_run;

/* --- being stopped ---------------------------------------------------------------------------------------- */

static bool must_stop(struct run *r) {
  struct ph_slot *slot = r->slot;
  if (slot == NULL) return false;
  unsigned stop = atomic_load(&slot->stop);
  return stop == PH_STOP_ALL || (stop != 0 && stop == r->item + 1);
}

static void on_stop_signal(int number) {
  int saved = errno;
  struct run *r = current_run;
  (void)number;
  if (r != NULL && must_stop(r)) ph_vm_interrupt(r->vm, (enum ph_stop)atomic_load(&r->slot->stop_source));
  errno = saved;
}

void ph_worker_install_handler(void) {
  struct sigaction sa = {.sa_handler = on_stop_signal};
  sigemptyset(&sa.sa_mask); /* no SA_RESTART: blocking calls of C code return, and the hook gets its chance */
  sigaction(PH_STOP_SIGNAL_NUMBER, &sa, NULL);
}

/* --- one item --------------------------------------------------------------------------------------------- */

/* The message of a part of the payload; parts are preceded by their length when the task is a chunk. */
static int decode_part(struct run *r, const void *bytes, size_t len) {
  struct ph_err err;
  int n = ph_decode(r->L, &r->store, r->externs, bytes, len, &err);
  if (n < 0) ph_error_raise_err(r->L, &err);
  return n;
}

static const uint8_t *part_at(struct run *r, const uint8_t *p, size_t *len) {
  uint32_t n = 0;
  const uint8_t *end = r->payload + r->payload_len;
  if (end - p >= (ptrdiff_t)sizeof n) memcpy(&n, p, sizeof n);
  if ((size_t)(end - p) < sizeof n + (size_t)n) ph_error_raise(r->L, "not_serializable", "truncated task message");
  *len = n;
  return p + sizeof n;
}

static void push_chunk_item(struct run *r, uint32_t item) {
  size_t fn_len, len;
  const uint8_t *fn = part_at(r, r->payload, &fn_len), *p = fn + fn_len;
  for (uint32_t i = 0;; i++) {
    p = part_at(r, p, &len);
    if (i == item) break;
    p += len;
  }
  decode_part(r, fn, fn_len);
  decode_part(r, p, len);
}

static void resolve_name(lua_State *L, int idx) {
  if (lua_type(L, idx) != LUA_TSTRING) return;
  const char *name = lua_tostring(L, idx), *colon = strrchr(name, ':');
  if (colon == NULL) luaL_error(L, "task '%s' is not of the form \"module:function\"", name);
  lua_getglobal(L, "require");
  lua_pushlstring(L, name, (size_t)(colon - name));
  lua_call(L, 1, 1);
  lua_getfield(L, -1, colon + 1);
  if (!lua_isfunction(L, -1)) luaL_error(L, "module '%s' has no function '%s'", lua_tostring(L, idx), colon + 1);
  lua_replace(L, idx);
  lua_pop(L, 1);
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

/* In protected mode: the whole item, up to the encoded results. */
static int do_item(lua_State *L) {
  struct run *r = lua_touserdata(L, 1);
  const struct ph_task_wire *w = r->wire;
  lua_settop(L, 0);
  if (w->flags & PH_TASK_CHUNK)
    push_chunk_item(r, r->item);
  else
    decode_part(r, r->payload, r->payload_len);
  resolve_name(L, 1);
  if (w->flags & PH_TASK_STAR) unpack_star(L, 2);
  if (w->seeded) seed_random(L, w->seed, w->id + r->item);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  struct ph_err err;
  const struct ph_encode_options options = {.root = "result", .externs = LUA_NOREF};
  if (ph_encode(L, &options, 1, lua_gettop(L), &r->reply, &err) != 0) ph_error_raise_err(L, &err);
  return 0;
}

/* In protected mode: error value and traceback, or what stands for them when the value cannot travel. */
static int do_error(lua_State *L) {
  struct run *r = lua_touserdata(L, 1);
  struct ph_err err;
  const struct ph_encode_options options = {.root = "error", .externs = LUA_NOREF};
  if (ph_encode(L, &options, 2, 2, &r->reply, &err) == 0) return 0;
  if (strncmp(err.path, "error[1]", 8) == 0) memmove(err.path + 5, err.path + 8, strlen(err.path + 8) + 1);
  ph_error_push_err(L, &err);
  lua_pushfstring(L, "the task raised an error value that cannot travel: %s", err.message);
  lua_setfield(L, -2, "message");
  lua_replace(L, 2);
  if (ph_encode(L, &options, 2, 2, &r->reply, &err) != 0) luaL_error(L, "%s", err.message);
  return 0;
}

static int do_error_text(lua_State *L) {
  struct run *r = lua_touserdata(L, 1);
  struct ph_err err;
  const struct ph_encode_options options = {.root = "error", .externs = LUA_NOREF};
  lua_pushliteral(L, "the error value of the task could not be sent (not enough memory, or its __dump failed)");
  lua_pushnil(L);
  ph_encode(L, &options, 2, 2, &r->reply, &err);
  return 0;
}

/* Encodes the error value and the traceback on top of the stack, and pops them. */
static void encode_error(struct run *r) {
  lua_State *L = r->L;
  lua_pushcfunction(L, do_error);
  lua_insert(L, -3);
  lua_pushlightuserdata(L, r);
  lua_insert(L, -3);
  r->reply = (struct ph_encoded){0};
  if (lua_pcall(L, 3, 0, 0) == LUA_OK) return;
  lua_settop(L, 0);
  lua_pushcfunction(L, do_error_text);
  lua_pushlightuserdata(L, r);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_settop(L, 0);
}

static enum ph_reply failed(struct run *r, int status) {
  lua_State *L = r->L;
  bool stopped = ph_cancel_is(L, -2), no_memory = status == LUA_ERRMEM && r->vm->limit_hit;
  if (stopped || no_memory)
    lua_settop(L, 0);
  else
    encode_error(r);
  if (status == LUA_ERRMEM) lua_gc(L, LUA_GCCOLLECT);
  if (stopped || no_memory) r->reply = (struct ph_encoded){0};
  return stopped ? PH_REPLY_STOPPED : no_memory ? PH_REPLY_MEMORY : PH_REPLY_ERROR;
}

static enum ph_reply run_protected(struct run *r) {
  lua_State *L = r->L;
  r->vm->limit_hit = false;
  r->vm->limit = r->wire->memory_limit;
  lua_pushcfunction(L, do_item);
  lua_pushlightuserdata(L, r);
  int status = ph_vm_call(L, 1, 0);
  r->vm->limit = 0;
  enum ph_reply reply = status == LUA_OK ? PH_REPLY_OK : failed(r, status);
  lua_settop(L, 0);
  return reply;
}

static uint32_t run_time_units(int64_t ns) {
  int64_t units = ns / PH_RUN_TIME_UNIT;
  return units > (int64_t)UINT32_MAX ? UINT32_MAX : (uint32_t)units;
}

static int run_item(struct run *r, struct ph_slot *slot, unsigned slot_number, uint32_t item) {
  enum ph_reply reply = PH_REPLY_STOPPED;
  r->item = item;
  r->reply = (struct ph_encoded){0};
  r->item_started = ph_now();
  atomic_store(&slot->item, item);
  atomic_store_explicit(&slot->started, r->item_started, memory_order_release);
  r->slot = slot;
  if (!must_stop(r)) reply = run_protected(r);
  r->slot = NULL;
  ph_vm_clear_stop(r->vm);
  if (__fpending(stdout) > 0) fflush(stdout);
  struct ph_frame f = {.len = (uint32_t)r->reply.len, .slot = (uint16_t)slot_number, .type = PH_FRAME_REPLY,
                       .flags = (uint8_t)reply, .item = item, .reserved = run_time_units(ph_now() - r->item_started)};
  return r->send(r, &f, r->reply.data);
}

/* --- frames ----------------------------------------------------------------------------------------------- */

static int run_task(struct run *r, struct ph_slot *slot, unsigned slot_number, const uint8_t *body, size_t len) {
  unsigned expected = PH_CLAIM_HANDED;
  struct ph_task_wire wire;
  if (!atomic_compare_exchange_strong(&slot->claim, &expected, PH_CLAIM_STARTED)) {
    struct ph_frame f = {.slot = (uint16_t)slot_number, .type = PH_FRAME_SKIPPED};
    return r->send(r, &f, NULL);
  }
  memcpy(&wire, body, sizeof wire);
  r->wire = &wire;
  r->payload = body + sizeof wire;
  r->payload_len = len - sizeof wire;
  r->ran_something = true;
  for (uint32_t item = wire.first; item < wire.count; item++)
    if (run_item(r, slot, slot_number, item) != 0) return -1;
  return 0;
}

static int take_blob(struct run *r, uint32_t number, const uint8_t *body, size_t len) {
  if (number >= r->n_blobs) {
    size_t n = (size_t)number + 16;
    struct blob *blobs = realloc(r->blobs, n * sizeof *blobs);
    if (blobs == NULL) return -1;
    memset(blobs + r->n_blobs, 0, (n - r->n_blobs) * sizeof *blobs);
    r->blobs = blobs;
    r->n_blobs = n;
  }
  struct blob *b = &r->blobs[number];
  free(b->bytes);
  b->bytes = malloc(len + 1);
  if (b->bytes == NULL) return -1;
  memcpy(b->bytes, body, len);
  b->len = len;
  return 0;
}

static int resolve_blob(void *ud, uint64_t number, const void **bytes, size_t *len) {
  struct run *r = ud;
  if (number >= r->n_blobs || r->blobs[number].bytes == NULL) return -1;
  *bytes = r->blobs[number].bytes;
  *len = r->blobs[number].len;
  return 0;
}

/* In protected mode: require("parhost.worker").setup(message, index). */
static int do_setup(lua_State *L) {
  struct run *r = lua_touserdata(L, 1);
  lua_settop(L, 0);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "parhost.worker");
  lua_call(L, 1, 1);
  lua_getfield(L, 1, "setup");
  decode_part(r, r->payload, r->payload_len);
  lua_pushinteger(L, (lua_Integer)r->index + 1);
  lua_call(L, 2, 0);
  return 0;
}

static bool set_up(struct run *r, const void *message, size_t len) {
  r->payload = message;
  r->payload_len = len;
  lua_pushcfunction(r->L, do_setup);
  lua_pushlightuserdata(r->L, r);
  bool ok = ph_vm_call(r->L, 1, 0) == LUA_OK;
  if (!ok) encode_error(r);
  if (__fpending(stdout) > 0) fflush(stdout);
  lua_settop(r->L, 0);
  return ok;
}

static int handle_setup(struct run *r, const uint8_t *body, size_t len) {
  struct ph_frame f = {.type = PH_FRAME_READY};
  r->reply = (struct ph_encoded){0};
  if (!set_up(r, body, len)) {
    f.type = PH_FRAME_SETUP_FAILED;
    f.len = (uint32_t)r->reply.len;
  }
  return r->send(r, &f, r->reply.data);
}

/* 0 go on, 1 leave, -1 the host is gone. */
static int handle_frame(struct run *r, struct ph_link *link, const struct ph_frame *f, const uint8_t *body) {
  switch (f->type) {
    case PH_FRAME_SETUP: return handle_setup(r, body, f->len);
    case PH_FRAME_BLOB: return take_blob(r, f->item, body, f->len);
    case PH_FRAME_TASK: return run_task(r, ph_link_slot(link, f->slot), f->slot, body, f->len);
    default: return 1;
  }
}

/* --- the loop --------------------------------------------------------------------------------------------- */

static int send_on_link(struct run *r, const struct ph_frame *f, const void *body) {
  struct ph_link *link = r->out;
  if (ph_link_send(link, f, body) != 0) return -1;
  ph_link_wake(link);
  return 0;
}

/* Garbage of the last tasks goes while there is nothing else to do: finalizers run soon, not at the next task. */
static void collect_while_idle(struct run *r, struct ph_link *link) {
  if (!r->ran_something) return;
  r->ran_something = false;
  for (int cycles = 0; cycles < 2 && !ph_link_readable(link);)
    if (lua_gc(r->L, LUA_GCSTEP, 0)) cycles++;
}

static int wait_for_work(struct run *r, struct ph_link *link) {
  bool spin = r->spin_credit > 0 || ++r->spin_skipped % SPIN_RETRY == 0;
  if (spin) {
    int64_t end = ph_now() + SPIN_NS;
    while (!ph_link_readable(link) && ph_now() < end)
      for (int i = 0; i < 32; i++) __builtin_ia32_pause();
    if (ph_link_readable(link)) {
      if (r->spin_credit < SPIN_CREDIT_MAX) r->spin_credit += 2;
      return 0;
    }
    if (r->spin_credit > 0) r->spin_credit--;
  }
  collect_while_idle(r, link);
  return ph_link_wait(link, false, 0);
}

static int serve(struct run *r, struct ph_link *link) {
  for (;;) {
    struct ph_frame f;
    const uint8_t *body;
    int status = ph_link_read(link, &f, &body);
    if (status < 0) return -1;
    ph_link_wake(link); /* a big message: there is room again */
    status = status > 0 ? handle_frame(r, link, &f, body) : wait_for_work(r, link);
    if (status != 0) return status;
  }
}

static void begin(struct run *r, struct ph_vm *vm) {
  r->vm = vm;
  r->L = vm->L;
  r->item = NO_ITEM;
  r->spin_credit = 1;
  r->store.resolve = resolve_blob;
  r->store.ud = r;
  vm->level_triggered = true;
  current_run = r;
  ph_worker_install_handler();
}

static void end(struct run *r) {
  current_run = NULL;
  for (size_t i = 0; i < r->n_blobs; i++) free(r->blobs[i].bytes);
  free(r->blobs);
}

int ph_worker_run(struct ph_link *link, uint32_t index, struct ph_vm *vm, int externs) {
  const struct ph_vm_options options = {.is_worker = true};
  struct run r = {.index = index, .externs = externs, .send = send_on_link, .out = link};
  bool own = vm == NULL;
  if (own) vm = ph_vm_open(&options);
  if (vm == NULL) return EXIT_FAILURE;
  begin(&r, vm);
  int status = serve(&r, link);
  end(&r);
  if (own && status > 0) ph_vm_close(vm);
  fflush(NULL);
  return status > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
