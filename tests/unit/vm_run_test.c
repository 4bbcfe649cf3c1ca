/* SPDX-License-Identifier: MIT
 * vm/run.c: the items of a chunk, with a stop request that comes before an item has begun. */
#include "vm/run.h"

#include <lauxlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "check.h"
#include "pool/pool.h"

enum { ITEMS = 4 };

struct replies {
  unsigned count;
  uint8_t kind[ITEMS];
  lua_Integer value[ITEMS];
};

static int note_reply(struct ph_run *r, const struct ph_frame *f, const void *body) {
  struct replies *seen = r->out;
  struct ph_err err;
  CHECK(f->item == seen->count && seen->count < ITEMS);
  seen->kind[f->item] = f->flags;
  if (f->flags == PH_REPLY_OK) {
    int top = lua_gettop(r->L);
    CHECK(ph_decode(r->L, NULL, LUA_NOREF, body, f->len, &err) == 1);
    seen->value[f->item] = lua_tointeger(r->L, -1);
    lua_settop(r->L, top);
  }
  seen->count++;
  return 0;
}

/* Takes the value on the stack top. */
static bool add_part(lua_State *L, struct ph_buf *payload) {
  const struct ph_encode_options options = {.root = "args", .externs = LUA_NOREF};
  struct ph_encoded e;
  struct ph_err err;
  CHECK(ph_encode(L, &options, lua_gettop(L), 1, &e, &err) == 0);
  uint32_t len = (uint32_t)e.len;
  CHECK(ph_buf_put(payload, &len, sizeof len) == 0 && ph_buf_put(payload, e.data, e.len) == 0);
  lua_pop(L, 1);
  return e.constant;
}

/* A chunk of items 10, 20, ... for the function that `text` gives; item `stopped` is not to begin. */
static struct replies run(const char *text, bool constant, unsigned stopped) {
  const struct ph_vm_options options = {.is_worker = true};
  struct ph_vm *vm = ph_vm_open(&options);
  CHECK(vm != NULL);
  lua_State *L = vm->L;
  struct ph_buf payload = PH_BUF_INIT;
  struct replies seen = {0};
  struct ph_slot slot = {.stop = stopped + 1, .stop_source = PH_STOP_EXPLICIT};
  struct ph_task_wire wire = {.id = 1, .count = ITEMS, .flags = PH_TASK_CHUNK | (constant ? PH_TASK_CONSTANT : 0)};
  struct ph_run r = {.externs = LUA_NOREF, .send = note_reply, .out = &seen, .deadline = PH_NEVER};
  CHECK(luaL_dostring(L, text) == LUA_OK);
  CHECK(add_part(L, &payload) == constant);
  for (int i = 1; i <= ITEMS; i++) {
    lua_pushinteger(L, 10 * i);
    CHECK(add_part(L, &payload));
  }
  struct ph_run *outer = ph_run_begin(&r, vm, L);
  CHECK(ph_run_message(&r, &slot, 0, &wire, payload.data, payload.len) == 0);
  ph_run_end(&r, outer);
  ph_buf_deinit(&payload);
  ph_vm_close(vm);
  return seen;
}

/* Whatever happens to one item, the others get their own arguments. */
static void check_others(const struct replies *seen, unsigned odd, enum ph_reply kind) {
  CHECK(seen->count == ITEMS);
  for (unsigned i = 0; i < ITEMS; i++) {
    CHECK(seen->kind[i] == (i == odd ? kind : PH_REPLY_OK));
    if (i != odd) CHECK(seen->value[i] == 10 * ((lua_Integer)i + 1) + 1);
  }
}

static void stopped_before_it_begins(void) {
  for (unsigned stopped = 0; stopped < ITEMS; stopped++) {
    struct replies constant = run("return function(x) return x + 1 end", true, stopped);
    struct replies other = run("local one = 1 return function(x) return x + one end", false, stopped);
    check_others(&constant, stopped, PH_REPLY_STOPPED);
    check_others(&other, stopped, PH_REPLY_STOPPED);
  }
}

static void failed(void) {
  struct replies seen = run("return function(x) if x == 20 then error 'no' end return x + 1 end", false, ITEMS);
  check_others(&seen, 1, PH_REPLY_ERROR);
  seen = run("return function(x) return x == 30 and {} + 1 or x + 1 end", true, ITEMS);
  check_others(&seen, 2, PH_REPLY_ERROR);
}

/* What a task assigns to the upvalues of its function is not seen by the next item. */
static void state(void) {
  struct replies seen = run("local n = 0 return function(x) n = n + 1 return x + n end", false, ITEMS);
  check_others(&seen, ITEMS, PH_REPLY_OK);
}

int main(void) {
  stopped_before_it_begins();
  failed();
  state();
  return 0;
}
