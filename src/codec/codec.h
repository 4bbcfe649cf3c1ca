/* SPDX-License-Identifier: MIT
 * Lua values <-> bytes: the one codec for processes, threads and dump_value/load_value.
 *
 * A message holds a row of values. Inside one message shared tables, cycles and shared upvalue cells keep their
 * identity; nothing is shared between messages. The bytes are for hosts of the same build (functions are bytecode);
 * dump_value/load_value put a header with a check of that in front (codec/dump.c).
 *
 * The codec of a state is a userdata in its registry: it owns every buffer, so that an error raised in the middle
 * leaks nothing. Encoding and decoding may run Lua code (__dump, __load) and may raise; they may be re-entered from
 * there. Neither recurses on the C stack. */
#ifndef PH_CODEC_CODEC_H
#define PH_CODEC_CODEC_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Big parts that a link sends once and then names by number: function prototypes and class definitions. */
struct ph_blob_store {
  /* Encoder: gives the number for these bytes (taking a copy when new), or -1: put them into the message. */
  int64_t (*intern)(void *ud, const uint8_t hash[16], const void *bytes, size_t len);
  /* Decoder: finds the bytes of a number; -1 when unknown. Borrowed for the duration of the decode. */
  int (*resolve)(void *ud, uint64_t number, const void **bytes, size_t *len);
  void *ud;
  uint64_t id; /* encoder: never 0, and never used again for another store; numbers are remembered under it */
};

enum {
  PH_ENCODE_CAPTURE = 1,      /* functions take the user globals that they read along */
  PH_ENCODE_SAME_PROCESS = 2, /* light userdata is meaningful at the other end */
};

struct ph_encode_options {
  unsigned flags;
  const char *root;   /* names value i in error paths as root[i]: "args", "result" */
  bool first_is_root; /* value 1 is root itself: "error.x" rather than "error[1].x" */
  bool first_is_task; /* value 1 is the task's function ("function" in paths); root[1] is the value behind it */
  lua_Integer item;   /* not 0: of a chunk, in front of the path: "item 7: args[1]" */
  const struct ph_blob_store *blobs; /* or NULL: everything goes into the message */
  int externs; /* registry reference of a table value -> integer: these values travel as that integer; or
                * LUA_NOREF. The other end needs the reverse table (fork: both ends hold the same objects). */
};

struct ph_encoded {
  const uint8_t *data; /* borrowed from the codec until the next encode in this state */
  size_t len;
  const uint32_t *blobs; /* the numbers used */
  size_t n_blobs;
  bool has_code; /* functions are in it: whoever decodes it must trust it */
  bool constant; /* nothing in it has a state of its own: decoded once, it will do for many times */
};

/* Encodes `count` values from stack index `first`. 0; or -1 with `err` filled (kind "not_serializable", path, type)
 * and nothing pushed. Raises what __dump raises, and memory errors. */
int ph_encode(lua_State *L, const struct ph_encode_options *options, int first, int count, struct ph_encoded *out,
              struct ph_err *err);

/* Gives the bytes of the last encode away (malloc'ed); the rest of `e` stays borrowed. NULL when it was not the last. */
uint8_t *ph_encode_take(lua_State *L, const struct ph_encoded *e);

/* Pushes the values of a message and gives their number (the stack is grown). Captured globals are set in the
 * globals table. `externs`: registry reference of a table integer -> value, or LUA_NOREF. -1 with `err` filled (kind
 * "not_serializable") and nothing pushed when the bytes are not a valid message: any bytes are safe except inside a
 * function's bytecode. Raises what __load raises, and memory errors. */
int ph_decode(lua_State *L, const struct ph_blob_store *blobs, int externs, const void *data, size_t len,
              struct ph_err *err);

/* A label for the Lua or C function at idx, for people: "fib (scripts/cpu.lua:14)". The name is guessed from the
 * caller's locals and upvalues, the globals and the loaded modules; "function <scripts/cpu.lua:14>" when unknown. Pushes
 * a string. */
void ph_codec_push_label(lua_State *L, int idx);

/* Takes what is in the globals table now as the baseline: user globals are what differs from it later. To be called
 * once, after the libraries are opened and before user code runs. */
void ph_codec_baseline(lua_State *L);
/* The same for a state in which user code has run already: the globals of the standard libraries that are still there. */
void ph_codec_late_baseline(lua_State *L);

/* Pushes why the global of that name (a string at idx) was left out of the last message that should have had it; nil. */
void ph_codec_push_left_out(lua_State *L, int idx);

/* From now on the table at idx stands for the globals table of this state, in functions and in what they read: another
 * environment that gives what the globals table has, as the one of busted. One at a time. */
void ph_codec_stand_in(lua_State *L, int idx);

/* Registers a class under a name, both ways. Raises on misuse, with the argument numbers of parhost.register. */
void ph_codec_register(lua_State *L);

/* With header and checksum: the bytes of dump_value. 0 with the string (the value) pushed, or -1 with err. Both raise
 * what __dump and __load raise, and memory errors. */
int ph_codec_dump(lua_State *L, int idx, struct ph_err *err);
int ph_codec_load(lua_State *L, const void *data, size_t len, struct ph_err *err);

/* Makes the key under which this process and those forked from it later know each other's dumps. Once is enough. */
void ph_codec_init_key(void);

#endif
