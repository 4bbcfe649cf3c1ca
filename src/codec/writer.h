/* SPDX-License-Identifier: MIT
 * What the parts of the encoder share. */
#ifndef PH_CODEC_WRITER_H
#define PH_CODEC_WRITER_H

#include <string.h>

#include "codec/codec_int.h"

/* What comes of writing: written; refused; a container, its level was pushed; a value was pushed, to be written next. */
enum { PH_WRITTEN = 0, PH_REFUSED = -1, PH_BEGUN = 1, PH_PUSHED = 2 };

/* encode.c */
/* The value on the stack top cannot travel: its path and type go into c->err. PH_REFUSED. */
int ph__refuse(lua_State *L, struct ph_codec *c, const char *kind, const char *what);
int ph__too_deep(lua_State *L, struct ph_codec *c);
/* True when the object was written before: then this is a reference. */
bool ph__put_reference(lua_State *L, struct ph_codec *c, const void *object, uint8_t plain_tag);
/* Writes the tag and begins the table on the stack top. */
int ph__begin_table(lua_State *L, struct ph_codec *c);

/* encode_class.c */
/* Takes the stack back to the object, which is refused. */
int ph__refuse_object(lua_State *L, struct ph_codec *c, int object, const char *what);
/* Pushes what a metatable says of a handle that must not travel; false: nothing. */
bool ph__push_nested(lua_State *L, int class);
/* Refuses with that message. */
int ph__refuse_nested(lua_State *L, struct ph_codec *c, int object);
/* Object and its metatable are on the stack top. */
int ph__put_instance(lua_State *L, struct ph_codec *c);
/* The class on the stack top: its name, or in the definition of a class all of it. */
int ph__put_class(lua_State *L, struct ph_codec *c);
int ph__next_in_class(lua_State *L, struct ph_level *l);

/* Numbers take at most PH_NUMBER_MAX bytes; gives where they end. */
static inline uint8_t *ph__write_integer(lua_Integer v, uint8_t *to) {
  if (v >= 0 && v < 0x80) {
    *to++ = (uint8_t)(PH_TAG_SMALL | v);
    return to;
  }
  uint64_t rest = ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
  *to++ = PH_TAG_INT;
  for (; rest >= 0x80; rest >>= 7) *to++ = (uint8_t)(rest | 0x80);
  *to++ = (uint8_t)rest;
  return to;
}

static inline uint8_t *ph__write_float(lua_Number v, uint8_t *to) {
  *to++ = PH_TAG_FLOAT;
  memcpy(to, &v, sizeof v);
  return to + sizeof v;
}

/* The number at idx. */
static inline uint8_t *ph__write_number(lua_State *L, int idx, uint8_t *to) {
  return lua_isinteger(L, idx) ? ph__write_integer(lua_tointeger(L, idx), to) : ph__write_float(lua_tonumber(L, idx), to);
}

#endif
