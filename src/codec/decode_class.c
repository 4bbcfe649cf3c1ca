/* SPDX-License-Identifier: MIT
 * Bytes -> objects of registered classes, and classes themselves. */
#include <lauxlib.h>

#include "codec/reader.h"

/* States of a level; IN_...: that part lies on the stack top, once it is whole. */
enum { AT_START, IN_INSTANCE, IN_FIELDS, IN_METATABLE };

static int unknown_class(lua_State *L, struct ph_reader *r, int name) {
  return ph_err_set(r->err, "not_serializable", 0,
                    "class '%.80s' is not registered here (call parhost.register in a module that both sides load)",
                    lua_tostring(L, name));
}

int ph__begin_instance(lua_State *L, struct ph_reader *r, size_t offset, bool shared) {
  uint64_t blob;
  uint8_t dumped = 0;
  if (ph__get_name(L, r) != PH_WHOLE) return PH_BAD;
  if (!ph__get_varint(r, &blob) || ph__get_bytes(r, &dumped, 1) != PH_WHOLE || dumped > 1) return ph__bad(r, "instance");
  if (*lua_tostring(L, -1) == '@' && !r->allow_code) return ph__bad(r, "instance of a module");
  if (!ph__push_class(L, r->c, -1, r->blobs, blob)) return unknown_class(L, r, -1);
  if (!dumped && ph__push_class_field(L, r->c, -1, "__dump") == LUA_TFUNCTION)
    return ph_err_set(r->err, "not_serializable", 0, "an object of class '%.80s' has not been through its __dump",
                      lua_tostring(L, -3));
  lua_settop(L, lua_gettop(L) - !dumped);
  lua_remove(L, -2);
  struct ph_level *l = ph__open_level(L, r, PH_TAG_INSTANCE, AT_START);
  if (l == NULL) return PH_BAD;
  l->n = dumped;
  if (shared && !dumped) r->share_next = offset;
  l->start = shared && dumped ? offset : PH_NO_OFFSET;
  return PH_BEGUN;
}

/* Pushes the class; its name and the module that registers it at the other end are on the stack. */
static bool push_registered(lua_State *L, struct ph_reader *r) {
  if (ph__push_class(L, r->c, -2, NULL, 0)) return true;
  if (!ph__require_file(L, r->c)) return false;
  lua_pop(L, 1);
  return ph__push_class(L, r->c, -2, NULL, 0);
}

/* The definition of a class. It is known by its name before its fields are read, which may refer to it. */
int ph__begin_class(lua_State *L, struct ph_reader *r, size_t offset, bool shared) {
  if (!r->allow_code) return ph__bad(r, "class");
  for (int i = 0; i < 2; i++) /* the class, its module */
    if (ph__get_name(L, r) != PH_WHOLE) return PH_BAD;
  int name = lua_gettop(L) - 1;
  bool known = push_registered(L, r);
  if (!known) {
    lua_newtable(L);
    ph__enter_class(L, r->c, name, lua_gettop(L));
  }
  lua_replace(L, name);
  lua_settop(L, name);
  if (shared) lua_pushvalue(L, -1), ph__share(L, r, offset, PH_OBJECT);
  struct ph_level *l = ph__open_level(L, r, PH_TAG_CLASS, AT_START);
  if (l == NULL) return PH_BAD;
  l->n = known;
  return PH_BEGUN;
}

int ph__get_class(lua_State *L, struct ph_reader *r) {
  uint64_t blob;
  if (ph__get_name(L, r) != PH_WHOLE) return PH_BAD;
  if (!ph__get_varint(r, &blob)) return ph__bad(r, "class");
  if (!ph__push_class(L, r->c, -1, r->blobs, blob)) return unknown_class(L, r, -1);
  lua_remove(L, -2);
  return PH_WHOLE;
}

static int load_instance(lua_State *L, struct ph_reader *r, struct ph_level *l) {
  if (ph__push_class_field(L, r->c, l->index, "__load") != LUA_TFUNCTION)
    return ph_err_set(r->err, "not_serializable", 0, "a class with __dump has no __load");
  lua_insert(L, -2);
  ph__call_out(L, r->c, 1, 1);
  if (lua_isnil(L, -1)) return ph_err_set(r->err, "not_serializable", 0, "the __load of a class gave nothing");
  if (l->start != PH_NO_OFFSET) lua_pushvalue(L, -1), ph__share(L, r, l->start, PH_OBJECT);
  return PH_WHOLE;
}

/* What did not go through __dump is a table of its own, and never one that exists already. */
int ph__read_instance(lua_State *L, struct ph_reader *r, struct ph_level *l) {
  int status;
  if (l->state == AT_START) {
    if (!l->n && (ph__left(r) == 0 || *r->p != PH_TAG_TABLE)) return ph__bad(r, "instance");
    l->state = IN_INSTANCE;
    if ((status = ph__get_value(L, r)) != PH_WHOLE) return status;
  }
  if (l->n) {
    if (load_instance(L, r, l) != PH_WHOLE) return PH_BAD;
  } else {
    lua_pushvalue(L, l->index);
    lua_setmetatable(L, -2);
  }
  lua_replace(L, l->index);
  return PH_WHOLE;
}

/* Fields are on the stack top. A class that was here already stays as it is. */
static void add_fields(lua_State *L, const struct ph_level *l) {
  int fields = lua_gettop(L);
  if (l->n) return;
  for (lua_pushnil(L); lua_next(L, fields);) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, l->index);
  }
}

int ph__read_class(lua_State *L, struct ph_reader *r, struct ph_level *l) {
  int status;
  if (l->state == AT_START) {
    if (ph__left(r) == 0 || *r->p != PH_TAG_TABLE) return ph__bad(r, "class");
    l->state = IN_FIELDS;
    if ((status = ph__get_value(L, r)) != PH_WHOLE) return status;
  }
  if (l->state == IN_FIELDS) {
    add_fields(L, l);
    lua_settop(L, l->index);
    l->state = IN_METATABLE;
    if ((status = ph__get_value(L, r)) != PH_WHOLE) return status;
  }
  if (!l->n && lua_istable(L, -1)) lua_setmetatable(L, l->index);
  lua_settop(L, l->index);
  return PH_WHOLE;
}
