/* SPDX-License-Identifier: MIT
 * A whole message: the values, then the globals that their functions read. */
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "codec/codec_int.h"

enum { OK = 0 };

#define KEEP ((size_t)1 << 20) /* bytes of the buffer, from one message to the next */

/* --- captured globals ------------------------------------------------------------------------------------- */

static bool is_user_global(lua_State *L, struct ph_codec *c) {
  lua_getiuservalue(L, c->self, PH_UV_BASELINE);
  lua_pushvalue(L, -3);
  lua_rawget(L, -2);
  bool same = lua_rawequal(L, -1, -3);
  lua_pop(L, 2);
  return !same;
}

/* The names that were ever sent: when such a global is nil later, that is sent, too. */
static bool was_sent(lua_State *L, struct ph_codec *c, int name) {
  lua_getiuservalue(L, c->self, PH_UV_SENT);
  lua_pushvalue(L, name);
  bool sent = lua_rawget(L, -2) != LUA_TNIL;
  lua_pop(L, 2);
  return sent;
}

/* Name and value are on the stack. */
static void note_sent(lua_State *L, struct ph_codec *c) {
  lua_getiuservalue(L, c->self, PH_UV_SENT);
  lua_pushvalue(L, -3);
  lua_pushboolean(L, true);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

/* The same. Why it is left out, for those who look for it in vain; NULL: it is not. */
static void note_left(lua_State *L, struct ph_codec *c, const struct ph_err *why) {
  if (why == NULL && !c->has_left) return;
  if (!c->has_left) {
    lua_newtable(L);
    lua_setiuservalue(L, c->self, PH_UV_LEFT);
    c->has_left = true;
  }
  lua_getiuservalue(L, c->self, PH_UV_LEFT);
  lua_pushvalue(L, -3);
  if (why == NULL)
    lua_pushnil(L);
  else if (*why->message == '\0')
    lua_pushfstring(L, "it takes more than %d KiB", PH_CAPTURE_MAX / 1024);
  else if (*why->path == '\0')
    lua_pushstring(L, why->message);
  else if (*why->path == '@')
    lua_pushfstring(L, "%s: %s", why->path + 1, why->message);
  else
    lua_pushfstring(L, "%s%s: %s", lua_tostring(L, -1), why->path, why->message);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

/* The same. What cannot travel, or is too big, is left out. */
static void put_capture(lua_State *L, struct ph_codec *c) {
  struct ph_err *outer = c->err, why = {.message = ""};
  size_t start = c->out.len, refs = c->refs.len;
  lua_Integer captures = c->n_captures;
  bool is_table = lua_istable(L, -1);
  ph__put_tag(L, c, PH_TAG_CAPTURE);
  lua_pushvalue(L, -2);
  ph__put_string(L, c, -1);
  lua_pop(L, 1);
  c->err = &why;
  c->limit = is_table ? start + PH_CAPTURE_MAX : SIZE_MAX;
  int status = ph__put_tree(L, c);
  c->limit = SIZE_MAX;
  c->err = outer;
  if (status == OK) {
    c->has_state = true;
    note_sent(L, c);
    note_left(L, c, NULL);
    return;
  }
  c->out.len = start;
  c->n_captures = captures;
  c->refs.len = refs;
  ph_ptrmap_forget_from(&c->seen, (uint32_t)start);
  c->open_dumps = 0;
  note_left(L, c, &why);
}

/* Marks an address as looked at; false when it was already. */
static bool first_time(lua_State *L, struct ph_codec *c, const void *key) {
  return !ph__seen(L, c, key, &(uint32_t){0});
}

static int get_global(lua_State *L) {
  lua_gettable(L, 1);
  return 1;
}

/* Pushes the value of the global whose name is on the stack top. */
static void push_global(lua_State *L, struct ph_codec *c) {
  if (c->stand_in == NULL) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_pushvalue(L, -2);
    lua_rawget(L, -2);
    lua_remove(L, -2);
  } else {
    lua_pushcfunction(L, get_global);
    lua_getiuservalue(L, c->self, PH_UV_STAND_IN);
    lua_pushvalue(L, -3);
    ph__call_out(L, c, 2, 1);
  }
}

/* The globals that a function reads; the list of their names is on the stack top. */
static void put_captures_of(lua_State *L, struct ph_codec *c) {
  int names = lua_gettop(L);
  lua_Integer n = (lua_Integer)lua_rawlen(L, names);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_settop(L, names);
    lua_rawgeti(L, names, i);
    if (!first_time(L, c, lua_tostring(L, -1) + 1)) continue; /* + 1: the string itself has a mark of its own */
    push_global(L, c);
    bool is_nil = lua_isnil(L, -1);
    if (is_nil) note_left(L, c, NULL);
    if (is_nil ? was_sent(L, c, names + 1) : is_user_global(L, c)) put_capture(L, c);
  }
  lua_settop(L, names);
}

static void put_captures(lua_State *L, struct ph_codec *c) {
  if (c->n_captures > 0) {
    lua_getiuservalue(L, c->self, PH_UV_CAPTURES);
    for (lua_Integer i = 1; i <= c->n_captures; i++) { /* grows while it is walked */
      lua_rawgeti(L, -1, i);
      if (first_time(L, c, lua_topointer(L, -1))) put_captures_of(L, c);
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  ph__put_tag(L, c, PH_TAG_END);
}

/* --- a message -------------------------------------------------------------------------------------------- */

static void reset(lua_State *L, struct ph_codec *c, const struct ph_encode_options *options, struct ph_err *err) {
  c->options = options;
  c->err = err;
  c->levels.count = 0;
  c->refs.len = 0;
  c->limit = SIZE_MAX;
  c->open_dumps = 0;
  c->n_captures = 0;
  c->tried = c->found = c->passed = 0;
  c->named_known = c->has_code = c->has_state = false;
  c->plain.identity = NULL;
  ph_buf_reset(&c->out, c->out.cap > KEEP ? 0 : KEEP); /* what grows from nothing lies better: see base/big.h */
  ph_ptrmap_clear(&c->seen);
  if (!c->has_anchors) return;
  lua_newtable(L);
  lua_setiuservalue(L, c->self, PH_UV_ANCHORS);
  c->has_anchors = false;
}

/* Puts the name of the root in front of the path, and the path in front of the message. */
static void complete_error(const struct ph_encode_options *o, int i, struct ph_err *err) {
  char rest[sizeof err->path], what[sizeof err->message], item[40] = "";
  snprintf(rest, sizeof rest, "%s", err->path);
  snprintf(what, sizeof what, "%s", err->message);
  if (o->item != 0) snprintf(item, sizeof item, "item %lld: ", (long long)o->item);
  if (rest[0] == '@') /* begins with a function of its own */
    snprintf(err->path, sizeof err->path, "%s", rest + 1);
  else if (o->first_is_task && i == 0)
    snprintf(err->path, sizeof err->path, "function%.240s", rest);
  else if (o->first_is_root && i == 0)
    snprintf(err->path, sizeof err->path, "%s%s%.200s", item, o->root, *o->root == '\0' && rest[0] == '.' ? rest + 1 : rest);
  else
    snprintf(err->path, sizeof err->path, "%s%s[%d]%.180s", item, o->root, o->first_is_task ? i : i + 1, rest);
  snprintf(err->message, sizeof err->message, "%.130s: %.120s", err->path, what);
}

/* --- the same task again ----------------------------------------------------------------------------------- */

static void know_task(lua_State *L, struct ph_codec *c, int first) {
  if (c->plain.identity == NULL || c->plain.identity != lua_topointer(L, first)) return;
  lua_pushvalue(L, first);
  lua_setiuservalue(L, c->self, PH_UV_TASK); /* alive as long as it is known by its address */
  c->task = c->plain;
}

/* Writes the function at `first` as the last time, as put_function would; gives where, 0: it is another one. */
static uint32_t put_known_task(lua_State *L, struct ph_codec *c, int first) {
  const struct ph_encode_options *o = c->options;
  if (!o->first_is_task || o->blobs == NULL || o->externs != LUA_NOREF || c->task.store != o->blobs->id) return 0;
  if (c->task.identity != lua_topointer(L, first) || !lua_isfunction(L, first)) return 0;
  uint32_t at = (uint32_t)c->out.len;
  ph__put_tag(L, c, PH_TAG_FUNCTION);
  ph__put_tag(L, c, PH_PROTO_BLOB);
  ph__put_varint(L, c, c->task.number);
  ph__put_tag(L, c, 0); /* upvalues */
  ph__note_blob(L, c, c->task.number);
  c->has_code = true;
  return at;
}

static _Thread_local bool has_grown; /* the buffer of this thread's last message: the next one gives it back */

static bool encode_scalar(lua_State *L, int idx, struct ph_encoded *out) {
  static _Thread_local uint8_t bytes[PH_SCALAR_MAX];
  if (has_grown) return false;
  *out = (struct ph_encoded){.data = bytes, .len = ph__scalar_message(L, idx, bytes), .constant = true};
  return out->len > 0;
}

int ph_encode(lua_State *L, const struct ph_encode_options *options, int first, int count, struct ph_encoded *out,
              struct ph_err *err) {
  if (count == 1 && encode_scalar(L, first, out)) return OK;
  first = lua_absindex(L, first);
  int top = lua_gettop(L), status = OK;
  luaL_checkstack(L, 64, "too many values");
  struct ph_codec *c = ph__codec_push(L);
  c->self = lua_gettop(L);
  reset(L, c, options, err);
  ph__put_varint(L, c, (uint64_t)count);
  uint32_t task = put_known_task(L, c, first);
  for (int i = task != 0; i < count && status == OK; i++) {
    if (ph__put_scalar(L, c, first + i)) continue;
    if (task != 0) ph__seen(L, c, c->task.identity, &task); /* what comes now may refer to it */
    lua_pushvalue(L, first + i);
    status = ph__put_tree(L, c);
    if (i == 0) know_task(L, c, first);
    if (status != OK && err != NULL) complete_error(options, i, err);
    lua_pop(L, 1);
  }
  if (status == OK) put_captures(L, c);
  has_grown = c->out.cap > KEEP;
  out->data = c->out.data;
  out->len = c->out.len;
  out->blobs = (const uint32_t *)(const void *)c->refs.data;
  out->n_blobs = c->refs.len / sizeof *out->blobs;
  out->has_code = c->has_code;
  out->constant = !c->has_state;
  lua_settop(L, top);
  return status;
}

uint8_t *ph_encode_take(lua_State *L, const struct ph_encoded *e) {
  struct ph_codec *c = ph__codec_push(L);
  lua_pop(L, 1);
  uint8_t *bytes = c->out.data;
  if (bytes != e->data) return NULL;
  ph_buf_init(&c->out);
  return bytes;
}

void ph_codec_push_left_out(lua_State *L, int idx) {
  idx = lua_absindex(L, idx);
  const struct ph_codec *c = ph__codec_push(L);
  if (!c->has_left) {
    lua_pushnil(L);
  } else {
    lua_getiuservalue(L, -1, PH_UV_LEFT);
    lua_pushvalue(L, idx);
    lua_rawget(L, -2);
    lua_remove(L, -2);
  }
  lua_remove(L, -2);
}
