/* SPDX-License-Identifier: MIT
 * dump_value and load_value: a message behind a header that says who can read it.
 *
 *   "PHV1"  4 bytes
 *   flags   1 byte: 1 = holds functions
 *   build   7 bytes: Lua version and release, sizes of integer, number, instruction and size_t, byte order
 *   check   8 bytes: SipHash-2-4 of the message; under the key of this process tree when it holds functions, so that
 *           bytecode is only ever loaded from our own dumps; under a key of zeros otherwise, which only finds damage */
#include <errno.h>
#include <lauxlib.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>

#include "codec/codec_int.h"
#include "codec/decode.h"

#define MAGIC "PHV1"
#define BUILD_LEN 7
#define HEADER_LEN (4 + 1 + BUILD_LEN + 8)

enum { HAS_CODE = 1 };

/* Inherited by every process forked later: workers read what their host dumped, and the other way round. */
static uint8_t tree_key[16];

static void draw_key(void) {
  ssize_t n;
  do n = getrandom(tree_key, sizeof tree_key, 0);
  while (n < 0 && errno == EINTR);
  if (n < 0) memcpy(tree_key, (const void *)getauxval(AT_RANDOM), sizeof tree_key); /* forbidden: what the kernel gave */
}

/* States of several threads may be the first to need it. */
void ph_codec_init_key(void) {
  static pthread_once_t drawn = PTHREAD_ONCE_INIT;
  pthread_once(&drawn, draw_key);
}

static void build_id(uint8_t id[BUILD_LEN]) {
  const uint16_t order = 1;
  id[0] = LUA_VERSION_NUM / 100 * 16 + LUA_VERSION_NUM % 100;
  id[1] = (uint8_t)(LUA_VERSION_RELEASE[sizeof LUA_VERSION_RELEASE - 2] - '0');
  id[2] = sizeof(lua_Integer);
  id[3] = sizeof(lua_Number);
  id[4] = 4;
  id[5] = sizeof(size_t);
  memcpy(&id[6], &order, 1);
}

static uint64_t checksum(uint8_t flags, const uint8_t *message, size_t len) {
  static const uint8_t zeros[16];
  if (flags & HAS_CODE) ph_codec_init_key();
  return ph__siphash(flags & HAS_CODE ? tree_key : zeros, message, len);
}

int ph_codec_dump(lua_State *L, int idx, struct ph_err *err) {
  struct ph_encoded e;
  uint8_t header[HEADER_LEN] = MAGIC;
  const struct ph_encode_options options = {.root = "value", .first_is_root = true, .externs = LUA_NOREF};
  if (ph_encode(L, &options, idx, 1, &e, err) != 0) return -1;
  header[4] = e.has_code ? HAS_CODE : 0;
  build_id(header + 5);
  uint64_t check = checksum(header[4], e.data, e.len);
  memcpy(header + 5 + BUILD_LEN, &check, 8);
  luaL_Buffer b;
  luaL_buffinitsize(L, &b, HEADER_LEN + e.len);
  luaL_addlstring(&b, (const char *)header, HEADER_LEN);
  luaL_addlstring(&b, (const char *)e.data, e.len);
  luaL_pushresult(&b);
  return 0;
}

static int reject(struct ph_err *err, const char *why) {
  return ph_err_set(err, "not_serializable", 0, "%s", why);
}

static int check_header(const uint8_t *p, size_t len, struct ph_err *err) {
  uint8_t build[BUILD_LEN];
  uint64_t check;
  char text[160];
  if (len < HEADER_LEN || memcmp(p, MAGIC, 4) != 0) return reject(err, "not a dumped value (dump_value makes them)");
  build_id(build);
  if (memcmp(p + 5, build, 2) != 0) {
    snprintf(text, sizeof text, "dumped by Lua %d.%d.%d, this is %s", p[5] >> 4, p[5] & 15, p[6], LUA_RELEASE);
    return reject(err, text);
  }
  if (memcmp(p + 5, build, BUILD_LEN) != 0)
    return reject(err, "dumped on another kind of machine (word sizes or byte order)");
  memcpy(&check, p + 5 + BUILD_LEN, 8);
  if (p[4] & ~HAS_CODE) return reject(err, "dumped by a later version of parhost");
  if (check == checksum(p[4], p + HEADER_LEN, len - HEADER_LEN)) return 0;
  return reject(err, p[4] & HAS_CODE ? "damaged, or holds functions and was dumped by another program run"
                                     : "the dumped value is damaged");
}

int ph_codec_load(lua_State *L, const void *data, size_t len, struct ph_err *err) {
  const uint8_t *p = data;
  if (check_header(p, len, err) != 0) return -1;
  int n = ph__decode(L, NULL, LUA_NOREF, p[4] & HAS_CODE, p + HEADER_LEN, len - HEADER_LEN, err);
  if (n < 0) return -1;
  lua_settop(L, lua_gettop(L) - n + 1);
  return 0;
}
