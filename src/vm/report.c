/* SPDX-License-Identifier: MIT
 * What a person gets to see of an error that nobody caught. */
#include <lauxlib.h>
#include <string.h>

#include "vm/error.h"
#include "vm/vm_int.h"

static bool is_parhost_error(lua_State *L, int idx) {
  if (luaL_getmetafield(L, idx, "__name") == LUA_TNIL) return false;
  bool is = lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), PH_ERROR_METATABLE) == 0;
  lua_pop(L, 1);
  return is;
}

/* What futures.describe says about the error at `idx`: where in which worker it happened. Pushes text, or nothing. */
static bool push_details(lua_State *L, int idx) {
  int top = lua_gettop(L);
  if (luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE) && lua_getfield(L, -1, "futures") == LUA_TTABLE &&
      lua_getfield(L, -1, "describe") == LUA_TFUNCTION) {
    lua_pushvalue(L, idx);
    if (lua_pcall(L, 1, 1, 0) == LUA_OK && lua_type(L, -1) == LUA_TSTRING) {
      lua_replace(L, top + 1);
      lua_settop(L, top + 1);
      return true;
    }
  }
  lua_settop(L, top);
  return false;
}

/* The text of the error value at idx. False: it has its own, and stock lua prints no traceback then. */
static bool push_error_text(lua_State *L, int idx) {
  if (lua_type(L, idx) == LUA_TSTRING || lua_type(L, idx) == LUA_TNUMBER) {
    lua_pushstring(L, lua_tostring(L, idx));
    return true;
  }
  if (luaL_callmeta(L, idx, "__tostring")) {
    if (lua_type(L, -1) == LUA_TSTRING) return is_parhost_error(L, idx);
    lua_pop(L, 1);
  }
  lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, idx));
  return true;
}

bool ph_vm_push_report(lua_State *L, int idx) {
  bool traced = push_error_text(L, idx);
  if (!push_details(L, idx)) return traced;
  lua_pushliteral(L, "\n");
  lua_insert(L, -2);
  lua_concat(L, 3);
  return true;
}

/* Does the error value at idx begin with a position in one of our modules? Then the fault is there. */
static bool is_own_fault(lua_State *L, int idx) {
  char chunkname[LUA_IDSIZE];
  const char *text = lua_type(L, idx) == LUA_TSTRING ? lua_tostring(L, idx) : "", *colon = strchr(text, ':');
  if (colon == NULL || colon - text >= LUA_IDSIZE - 1) return false;
  snprintf(chunkname, sizeof chunkname, "@%.*s", (int)(colon - text), text);
  return ph__is_module(chunkname);
}

/* Of the functions at the top, which are ours, the one that the program's own code has called; perhaps in a tail call. */
static int called_level(lua_State *L, int level) {
  lua_Debug ar;
  int ours = level;
  for (int i = level; lua_getstack(L, i, &ar); i++) {
    lua_getinfo(L, "S", &ar);
    if (*ar.what == 'C') continue;
    if (!ph__is_module(ar.source)) return i > level ? i - 1 : level;
    ours = i;
  }
  return ours;
}

/* The value of "module.field", pushed; nil where there is none. */
static void push_field_of(lua_State *L, const char *module, size_t module_len, const char *field, size_t len) {
  int top = lua_gettop(L);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushlstring(L, module, module_len);
  lua_rawget(L, -2);
  lua_pushlstring(L, field, len);
  if (lua_istable(L, -2))
    lua_rawget(L, -2);
  else
    lua_pushnil(L);
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
}

/* Replaces the function on the stack top by the name of the first of our public modules that has it as the field; pops it
 * where none has. */
static const char *take_public_module(lua_State *L, const char *field, size_t len) {
  static const char *const modules[] = {"async", "futures", "http", "parhost", "proc_pool", "thread_pool"};
  const char *found = NULL;
  for (size_t i = 0; i < sizeof modules / sizeof *modules && found == NULL && lua_isfunction(L, -1); i++) {
    push_field_of(L, modules[i], strlen(modules[i]), field, len);
    if (lua_rawequal(L, -1, -2)) found = modules[i];
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return found;
}

/* luaL_traceback calls a function by the first of its names that it meets, which may be one that nobody knows. */
void ph_vm_name_publicly(lua_State *L) {
  static const char before[] = "in function '";
  int top = lua_gettop(L);
  const char *rest = lua_tostring(L, top), *at;
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (; (at = strstr(rest, before)) != NULL;) {
    const char *name = at + sizeof before - 1, *dot = name, *end = name + strcspn(name, "'\n");
    for (const char *p = name; p < end; p++)
      if (*p == '.') dot = p;
    luaL_addlstring(&b, rest, (size_t)(name - rest));
    rest = name;
    if (dot == name) continue;
    push_field_of(L, name, (size_t)(dot - name), dot + 1, (size_t)(end - dot - 1));
    const char *module = take_public_module(L, dot + 1, (size_t)(end - dot - 1));
    if (module == NULL) continue;
    luaL_addstring(&b, module);
    rest = dot;
  }
  luaL_addstring(&b, rest);
  luaL_pushresult(&b);
  lua_replace(L, top);
  lua_settop(L, top);
}

void ph_vm_push_traceback(lua_State *L, int idx, const char *message, int level) {
  luaL_traceback(L, L, message, is_own_fault(L, idx) ? level : called_level(L, level));
  ph_vm_name_publicly(L);
}

int ph_vm_report(lua_State *L) {
  if (ph_cancel_is(L, 1)) return 1;
  if (ph_vm_push_report(L, 1)) ph_vm_push_traceback(L, 1, lua_tostring(L, -1), 1);
  return 1;
}
