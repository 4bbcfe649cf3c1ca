/* SPDX-License-Identifier: MIT
 * Which globals a function reads, from its bytecode in the format of lua_dump (Lua 5.4: ldump.c, lundump.c, lopcodes.h).
 * Read defensively: anything unexpected ends the scan. Nested functions recurse; the Lua parser limits their depth
 * to 200. */
#include <lauxlib.h>
#include <string.h>

#include "codec/codec_int.h"

#define HEADER_LEN 32 /* signature, version, format, data, sizes, test integer and number */
#define MAX_DEPTH 220

enum { OP_GETUPVAL = 9, OP_GETTABUP = 11 };
enum { TYPE_SHORT_STRING = 0x04, TYPE_LONG_STRING = 0x14, TYPE_INTEGER = 0x03, TYPE_FLOAT = 0x13, TYPE_LAST_SIMPLE = 0x11 };

struct scan {
  lua_State *L;
  const uint8_t *p, *end;
  int names;
  bool bad;
};

struct proto {
  uint64_t env;        /* bit i: upvalue i is _ENV */
  const uint8_t *code; /* instructions */
  size_t n_code;
  bool indirect; /* _ENV was loaded into a register: any string constant may be a name */
};

static const uint8_t *take(struct scan *s, size_t n) {
  if ((size_t)(s->end - s->p) < n) s->bad = true;
  if (s->bad) return NULL;
  const uint8_t *at = s->p;
  s->p += n;
  return at;
}

static uint8_t take_byte(struct scan *s) {
  const uint8_t *p = take(s, 1);
  return p != NULL ? *p : 0;
}

/* Groups of 7 bits, the highest first; the last has its top bit set. */
static size_t take_size(struct scan *s) {
  size_t v = 0;
  uint8_t b = 0;
  while (!s->bad && !(b & 0x80)) {
    b = take_byte(s);
    if (v > (SIZE_MAX >> 8)) s->bad = true;
    v = (v << 7) | (b & 0x7f);
  }
  return v;
}

static const uint8_t *take_string(struct scan *s, size_t *len) {
  size_t n = take_size(s);
  *len = n > 0 ? n - 1 : 0;
  return n > 0 ? take(s, n - 1) : NULL;
}

static void add_name(struct scan *s, const uint8_t *name, size_t len) {
  lua_State *L = s->L;
  lua_pushlstring(L, (const char *)name, len);
  lua_pushvalue(L, -1);
  if (lua_rawget(L, s->names + 1) == LUA_TNIL) { /* a set beside the list, dropped afterwards */
    lua_pushvalue(L, -2);
    lua_pushboolean(L, true);
    lua_rawset(L, s->names + 1);
    lua_pushvalue(L, -2);
    lua_rawseti(L, s->names, (lua_Integer)lua_rawlen(L, s->names) + 1);
  }
  lua_pop(L, 2);
}

static uint32_t instruction(const struct proto *f, size_t i) {
  uint32_t v;
  memcpy(&v, f->code + i * 4, 4);
  return v;
}

static bool is_env(const struct proto *f, uint32_t upvalue) {
  return upvalue < 64 && (f->env >> upvalue & 1);
}

/* Is constant k the name of a global in this function? */
static bool names_global(const struct proto *f, size_t k) {
  if (f->indirect) return true;
  for (size_t i = 0; i < f->n_code; i++) {
    uint32_t v = instruction(f, i);
    if ((v & 0x7f) == OP_GETTABUP && (v >> 24) == k && is_env(f, v >> 16 & 0xff)) return true;
  }
  return false;
}

static void scan_code(struct scan *s, struct proto *f) {
  f->n_code = take_size(s);
  f->code = f->n_code < SIZE_MAX / 4 ? take(s, f->n_code * 4) : NULL;
  if (f->code == NULL) f->n_code = 0;
  for (size_t i = 0; i < f->n_code; i++) {
    uint32_t v = instruction(f, i);
    if ((v & 0x7f) == OP_GETUPVAL && is_env(f, v >> 16 & 0xff)) f->indirect = true;
  }
}

static void scan_constants(struct scan *s, const struct proto *f) {
  size_t n = take_size(s), len;
  for (size_t k = 0; k < n && !s->bad; k++) {
    uint8_t type = take_byte(s);
    if (type == TYPE_SHORT_STRING || type == TYPE_LONG_STRING) {
      const uint8_t *name = take_string(s, &len);
      if (!s->bad && name != NULL && type == TYPE_SHORT_STRING && f->env != 0 && names_global(f, k)) add_name(s, name, len);
    } else if (type == TYPE_INTEGER || type == TYPE_FLOAT) {
      take(s, 8);
    } else if (type > TYPE_LAST_SIMPLE) {
      s->bad = true;
    }
  }
}

static void skip_debug(struct scan *s) {
  size_t len, n = take_size(s);
  take(s, n);
  for (n = take_size(s); n > 0 && !s->bad; n--) take_size(s), take_size(s);
  for (n = take_size(s); n > 0 && !s->bad; n--) take_string(s, &len), take_size(s), take_size(s);
  for (n = take_size(s); n > 0 && !s->bad; n--) take_string(s, &len);
}

/* parent_env: which upvalues of the enclosing function are _ENV; is_main: `parent_env` is about this one itself. */
static void scan_function(struct scan *s, uint64_t parent_env, bool is_main, int depth) {
  struct proto f = {.env = is_main ? parent_env : 0};
  size_t len;
  if (depth > MAX_DEPTH) s->bad = true;
  take_string(s, &len);
  take_size(s);
  take_size(s);
  take(s, 3);
  const uint8_t *start = s->p;
  if (!is_main) { /* the upvalues come behind code and constants, but say what the code means */
    struct scan ahead = *s;
    struct proto none = {0};
    scan_code(&ahead, &none);
    scan_constants(&ahead, &none);
    size_t n = take_size(&ahead);
    for (size_t i = 0; i < n && !ahead.bad; i++) {
      const uint8_t *u = take(&ahead, 3);
      if (u != NULL && u[0] == 0 && i < 64 && u[1] < 64 && (parent_env >> u[1] & 1)) f.env |= 1ull << i;
    }
  }
  s->p = start;
  scan_code(s, &f);
  scan_constants(s, &f);
  size_t n = take_size(s);
  take(s, n < SIZE_MAX / 3 ? n * 3 : SIZE_MAX);
  for (n = take_size(s); n > 0 && !s->bad; n--) scan_function(s, f.env, false, depth + 1);
  skip_debug(s);
}

int ph__scan_globals(lua_State *L, const uint8_t *dump, size_t len, uint64_t env_upvalues, int names) {
  struct scan s = {.L = L, .p = dump, .end = dump + len, .names = names};
  luaL_checkstack(L, 8, NULL);
  lua_newtable(L);
  PH_CHECK(lua_gettop(L) == names + 1);
  take(&s, HEADER_LEN - 1);
  take_byte(&s); /* number of upvalues of the main function */
  scan_function(&s, env_upvalues, true, 0);
  lua_pop(L, 1);
  return s.bad ? -1 : 0;
}
