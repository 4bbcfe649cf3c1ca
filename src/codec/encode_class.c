/* SPDX-License-Identifier: MIT
 * Objects of registered classes, and classes themselves -> bytes. */
#include <lauxlib.h>

#include "codec/writer.h"

/* States of a level. */
enum { AFTER_INSTANCE, AFTER_FIELDS, AFTER_CLASS };

/* An object that is written through __dump is whole for the reader only when __load has run: nothing inside may refer
 * to it. */
static bool is_being_dumped(lua_State *L, struct ph_codec *c, int object) {
  const struct ph_level *l = c->levels.array;
  for (size_t i = 0; c->open_dumps > 0 && i < c->levels.count; i++)
    if (l[i].kind == PH_TAG_INSTANCE && l[i].n && lua_rawequal(L, l[i].index, object)) return true;
  return false;
}

static int put_dumped(lua_State *L, struct ph_codec *c) { /* object, __dump */
  lua_pushvalue(L, -2);
  ph__call_out(L, c, 1, 1);
  lua_getiuservalue(L, c->self, PH_UV_ANCHORS); /* the map of seen objects goes by address */
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  lua_pop(L, 1);
  c->has_anchors = true;
  c->open_dumps++;
  return PH_PUSHED;
}

/* The stack top goes back to the object. */
int ph__refuse_object(lua_State *L, struct ph_codec *c, int object, const char *what) {
  lua_settop(L, object);
  return ph__refuse(L, c, "not_serializable", what);
}

/* The message of a handle that must not travel, pushed; or false. */
bool ph__push_nested(lua_State *L, int class) {
  lua_pushliteral(L, "__parhost_nested");
  if (lua_rawget(L, class) == LUA_TSTRING) return true;
  lua_pop(L, 1);
  return false;
}

int ph__refuse_nested(lua_State *L, struct ph_codec *c, int object) {
  const char *message = lua_tostring(L, -1); /* held by the metatable */
  lua_settop(L, object);
  return ph__refuse(L, c, "nested", message);
}

static int refuse_class(lua_State *L, struct ph_codec *c, int object, int class) {
  char what[140] = "its metatable is not a registered class (see parhost.register)";
  lua_pushliteral(L, "__name");
  if (lua_rawget(L, class) == LUA_TSTRING)
    snprintf(what, sizeof what, "its metatable (%.60s) is not a registered class (see parhost.register)",
             lua_tostring(L, -1));
  return ph__refuse_object(L, c, object, what);
}

/* Object and its metatable are on the stack. */
int ph__put_instance(lua_State *L, struct ph_codec *c) {
  int object = lua_gettop(L) - 1, class = object + 1;
  uint64_t blob;
  bool stays = c->options->flags & PH_ENCODE_SAME_PROCESS;
  if (!stays && ph__push_nested(L, class)) return ph__refuse_nested(L, c, object);
  if (!ph__push_class_name(L, c, class)) return refuse_class(L, c, object, class);
  if (is_being_dumped(L, c, object)) return ph__refuse_object(L, c, object, "what __dump gives refers to the object itself");
  if (ph__put_reference(L, c, lua_topointer(L, object), PH_TAG_INSTANCE)) {
    lua_settop(L, object);
    return PH_WRITTEN;
  }
  if (!ph__class_blob(L, c, class, &blob)) return PH_REFUSED;
  ph__put_tag(L, c, PH_TAG_INSTANCE);
  ph__put_string(L, c, -1);
  lua_pop(L, 1);
  ph__put_varint(L, c, blob);
  bool dumps = ph__push_class_field(L, c, class, "__dump") == LUA_TFUNCTION;
  lua_remove(L, class);
  ph__put_tag(L, c, dumps);
  struct ph_level *l = ph__level_push(L, c, PH_TAG_INSTANCE, object);
  if (l == NULL) return ph__too_deep(L, c);
  l->state = AFTER_INSTANCE;
  l->n = dumps;
  c->has_state = true;
  if (dumps) return put_dumped(L, c);
  lua_pop(L, 1);
  lua_pushvalue(L, object); /* its fields, as a table of their own */
  return ph__begin_table(L, c);
}

/* The class on the stack top: its name, or in the definition of a class all of it. */
int ph__put_class(lua_State *L, struct ph_codec *c) {
  int class = lua_gettop(L);
  uint64_t blob;
  bool define = c->options->flags & PH_ENCODE_DEFINE;
  if (define && ph__put_reference(L, c, lua_topointer(L, class), PH_TAG_CLASS)) return PH_WRITTEN;
  if (!define && !ph__class_blob(L, c, class, &blob)) return PH_REFUSED;
  ph__put_tag(L, c, define ? PH_TAG_CLASS : PH_TAG_CLASS_NAMED);
  ph__push_class_name(L, c, class);
  ph__put_string(L, c, -1);
  lua_pop(L, 1);
  if (!define) {
    ph__put_varint(L, c, blob);
    return PH_WRITTEN;
  }
  ph__push_class_module(L, c, class);
  ph__put_string(L, c, -1);
  lua_pop(L, 1);
  struct ph_level *l = ph__level_push(L, c, PH_TAG_CLASS, class);
  if (l == NULL) return ph__too_deep(L, c);
  l->state = AFTER_FIELDS;
  lua_pushvalue(L, class);
  return ph__begin_table(L, c);
}

int ph__next_in_class(lua_State *L, struct ph_level *l) {
  lua_settop(L, l->index);
  if (l->state == AFTER_CLASS) return PH_WRITTEN;
  l->state = AFTER_CLASS;
  if (!lua_getmetatable(L, l->index)) lua_pushnil(L);
  return PH_PUSHED;
}
