/* SPDX-License-Identifier: MIT
 * What the parts of the decoder share: the place in the message, and reading that checks. */
#ifndef PH_CODEC_READER_H
#define PH_CODEC_READER_H

#include <string.h>

#include "codec/codec_int.h"

/* What comes of reading. */
enum { PH_WHOLE = 0, PH_BEGUN = 1, PH_BAD = -1 };

#define PH_NO_OFFSET SIZE_MAX
#define PH_CACHED 32

struct ph_reader {
  struct ph_codec *c;
  const struct ph_blob_store *blobs;
  int externs;
  bool allow_code;
  const uint8_t *start, *p, *end;
  size_t room;                /* bytes that no table has claimed for its elements and pairs yet */
  int cache;                  /* stack index of the first of PH_CACHED strings that were referred to lately; 0: none */
  uint32_t cached[PH_CACHED]; /* their offsets + 1 */
  int objects;                /* stack index of the table of shared objects, nil until needed */
  size_t share_next;          /* an instance whose table, coming next, is shared; or NO_OFFSET */
  struct ph_err *err;
};

/* Three numbers per offset: the object, and for a cell the function and which of its upvalues. */
enum ph_shared { PH_OBJECT, PH_CELL_FUNCTION, PH_CELL_INDEX };

/* Fills the error: "malformed message: what at byte n of m". -1. */
int ph__bad(struct ph_reader *r, const char *what);

/* Pops the value on the stack top and keeps it for later references. */
void ph__share(lua_State *L, struct ph_reader *r, size_t offset, enum ph_shared what);
bool ph__push_shared(lua_State *L, struct ph_reader *r, uint64_t offset, enum ph_shared what);

/* A level for the container on the stack top; NULL with the error filled. */
struct ph_level *ph__open_level(lua_State *L, struct ph_reader *r, uint8_t kind, uint8_t state);

/* decode.c */
/* Pushes a value: PH_WHOLE; or a container whose content follows: PH_BEGUN. */
int ph__get_value(lua_State *L, struct ph_reader *r);
/* A string with its tag: names of classes, modules, fields and globals. */
int ph__get_name(lua_State *L, struct ph_reader *r);

/* decode_class.c */
int ph__begin_instance(lua_State *L, struct ph_reader *r, size_t offset, bool shared);
int ph__begin_class(lua_State *L, struct ph_reader *r, size_t offset, bool shared);
int ph__get_class(lua_State *L, struct ph_reader *r);
int ph__read_instance(lua_State *L, struct ph_reader *r, struct ph_level *l);
int ph__read_class(lua_State *L, struct ph_reader *r, struct ph_level *l);

/* decode_function.c: pushes a function: PH_BEGUN when its upvalues follow, PH_WHOLE when it needs none. */
int ph__begin_function(lua_State *L, struct ph_reader *r, size_t offset, bool shared, uint8_t state);
/* The next upvalue: PH_BEGUN its value follows in the message, PH_WHOLE it was joined to another cell. */
int ph__begin_upvalue(lua_State *L, struct ph_reader *r, struct ph_level *l);

static inline size_t ph__left(const struct ph_reader *r) {
  return (size_t)(r->end - r->p);
}

static inline bool ph__get_varint(struct ph_reader *r, uint64_t *v) {
  const uint8_t *p = r->p;
  uint64_t value = 0;
  bool whole = false;
  for (int shift = 0; p < r->end && shift < 64 && !whole; shift += 7) {
    value |= (uint64_t)(*p & 0x7f) << shift;
    whole = *p++ < 0x80;
  }
  r->p = p;
  *v = value;
  return whole;
}

static inline int ph__get_bytes(struct ph_reader *r, void *out, size_t n) {
  if (ph__left(r) < n) return ph__bad(r, "truncated value");
  memcpy(out, r->p, n);
  r->p += n;
  return PH_WHOLE;
}

#endif
