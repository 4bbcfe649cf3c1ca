/* SPDX-License-Identifier: MIT
 * The codec's format, byte for byte: golden.txt has pairs of lines, a Lua expression and the message of its values. Those
 * bytes are also read again, and must give values that encode to the same bytes. Function prototypes are blobs here, as
 * bytecode differs between releases of Lua.
 *
 *   codec_golden_test write     prints the file as it would be now */
#include <lauxlib.h>
#include <string.h>

#include "check.h"
#include "codec/codec.h"
#include "vm/vm.h"

#define BLOBS 8

static struct {
  uint8_t hash[16];
  char bytes[2048];
  size_t len;
} blobs[BLOBS];
static unsigned n_blobs;

static int64_t intern(void *ud, const uint8_t hash[16], const void *bytes, size_t len) {
  (void)ud;
  for (unsigned i = 0; i < n_blobs; i++)
    if (memcmp(blobs[i].hash, hash, 16) == 0) return i;
  CHECK(n_blobs < BLOBS && len <= sizeof blobs[0].bytes);
  memcpy(blobs[n_blobs].hash, hash, 16);
  memcpy(blobs[n_blobs].bytes, bytes, len);
  blobs[n_blobs].len = len;
  return n_blobs++;
}

static int resolve(void *ud, uint64_t number, const void **bytes, size_t *len) {
  (void)ud;
  if (number >= n_blobs) return -1;
  *bytes = blobs[number].bytes;
  *len = blobs[number].len;
  return 0;
}

static struct ph_blob_store store = {.intern = intern, .resolve = resolve};

static void start(void) {
  static uint64_t id;
  store.id = ++id; /* a store of its own for each message */
  n_blobs = 0;
}

static void fail(const char *expression, const char *what) {
  fprintf(stderr, "golden.txt: %s: %s\n", expression, what);
  exit(1);
}

static void write_hex(const uint8_t *bytes, size_t len, char *hex) {
  for (size_t i = 0; i < len; i++) sprintf(hex + 2 * i, "%02x", bytes[i]);
  hex[2 * len] = '\0';
}

/* Encodes all values on the stack. */
static void encode(lua_State *L, const char *expression, char *hex, size_t room) {
  struct ph_encoded e;
  struct ph_err err;
  const struct ph_encode_options options = {
      .flags = PH_ENCODE_CAPTURE, .root = "value", .blobs = &store, .externs = LUA_NOREF};
  if (ph_encode(L, &options, 1, lua_gettop(L), &e, &err) != 0) fail(expression, err.message);
  if (2 * e.len + 1 > room) fail(expression, "too long");
  write_hex(e.data, e.len, hex);
}

static void decode(lua_State *L, const char *expression, const char *hex) {
  static uint8_t bytes[4096];
  struct ph_err err;
  size_t len = strlen(hex) / 2;
  for (size_t i = 0; i < len; i++) {
    unsigned byte;
    CHECK(sscanf(hex + 2 * i, "%2x", &byte) == 1);
    bytes[i] = (uint8_t)byte;
  }
  if (ph_decode(L, &store, LUA_NOREF, bytes, len, &err) < 0) fail(expression, err.message);
}

/* Expression -> hex, in a fresh state. */
static void now(const char *expression, char *hex, size_t room) {
  static char again[8192];
  const struct ph_vm_options options = {0};
  struct ph_vm *vm = ph_vm_open(&options);
  lua_State *L = vm->L;
  start();
  CHECK(luaL_dostring(L,
                      "local p = require 'parhost' Point = {} p.register('point', Point)\n"
                      "Pair = { __dump = function(o) return o[1], o[2] end, __load = function(x) return Pair.new(x) end }\n"
                      "function Pair.new(x) return setmetatable({ x }, Pair) end p.register('pair', Pair)") == LUA_OK);
  lua_pushfstring(L, "return %s", expression);
  if (luaL_loadbuffer(L, lua_tostring(L, -1), lua_rawlen(L, -1), "=golden") != LUA_OK) fail(expression, lua_tostring(L, -1));
  lua_remove(L, 1);
  if (lua_pcall(L, 0, LUA_MULTRET, 0) != LUA_OK) fail(expression, lua_tostring(L, -1));
  encode(L, expression, hex, room);
  lua_settop(L, 0);
  decode(L, expression, hex);
  encode(L, expression, again, sizeof again);
  if (strcmp(hex, again) != 0) fail(expression, "what was read again is encoded to other bytes");
  ph_vm_close(vm);
}

int main(int argc, char **argv) {
  static char path[1024], line[1024], expected[8192], hex[8192];
  bool write = argc > 1 && strcmp(argv[1], "write") == 0;
  snprintf(path, sizeof path, "%.*sgolden.txt", (int)(strrchr(__FILE__, '/') + 1 - __FILE__), __FILE__);
  FILE *file = fopen(path, "r");
  CHECK(file != NULL);
  unsigned n = 0;
  while (fgets(line, sizeof line, file) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    if (*line == '#' || *line == '\0') {
      if (write) printf("%s\n", line);
      continue;
    }
    CHECK(fgets(expected, sizeof expected, file) != NULL);
    expected[strcspn(expected, "\n")] = '\0';
    now(line, hex, sizeof hex);
    if (write)
      printf("%s\n  %s\n", line, hex);
    else if (strcmp(expected + 2, hex) != 0)
      fail(line, hex);
    n++;
  }
  fclose(file);
  CHECK(n > 30);
  return 0;
}
