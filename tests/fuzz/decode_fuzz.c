/* SPDX-License-Identifier: MIT
 * The decoder without trust: any bytes give values or an error, and nothing of the state that was there before is
 * changed. What can be decoded can be encoded, decoded again, and encoded to the same bytes. */
#include <string.h>

#include "codec/decode.h"
#include "dump_mutator.h"
#include "support.h"

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

static void check_state(lua_State *L) {
  PH_CHECK(lua_getglobal(L, "string") == LUA_TTABLE && !lua_getmetatable(L, -1));
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  PH_CHECK(!lua_getmetatable(L, -1));
  lua_pop(L, 2);
}

static void encode_again(lua_State *L, int n) {
  struct ph_encoded e;
  struct ph_err err;
  const struct ph_encode_options options = {.root = "value", .externs = LUA_NOREF};
  if (ph_encode(L, &options, -n, n, &e, &err) != 0) return; /* __dump without a counterpart */
  lua_pushlstring(L, (const char *)e.data, e.len);
  size_t len;
  const char *bytes = lua_tolstring(L, -1, &len);
  PH_CHECK(ph__decode(L, NULL, LUA_NOREF, false, bytes, len, &err) == n);
  lua_pop(L, n + 1);
}

static int decode(lua_State *L) {
  const struct fuzz_input *in = lua_touserdata(L, 1);
  struct ph_err err = {0};
  int top = lua_gettop(L);
  int n = ph__decode(L, NULL, LUA_NOREF, false, in->data, in->size, &err);
  if (n < 0) PH_CHECK(err.kind != NULL && err.message[0] != '\0');
  PH_CHECK(lua_gettop(L) == top + (n > 0 ? n : 0));
  check_state(L);
  if (n > 0) encode_again(L, n);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz_run(decode, data, size);
  return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
  return mutate_dump(data, size, max_size, seed);
}
