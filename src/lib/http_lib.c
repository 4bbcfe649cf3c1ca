/* SPDX-License-Identifier: MIT
 * parhost.core.http: sessions, URLs, and the news of exchanges (http_exchange.c). What requests may say is checked in
 * lua/http; here an argument of the wrong type is a bug of ours. */
#include "lib/http.h"

#include <stdlib.h>
#include <string.h>

#include "lib/task.h"
#include "loop/url.h"
#include "vm/error.h"

#define SESSION_METATABLE "parhost.core.http.Session"
#define URL_METATABLE "parhost.core.http.Url"

static const char state_key;

static struct http_state *state_of(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &state_key);
  struct http_state *h = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return h;
}

/* --- the source ------------------------------------------------------------------------------------------- */

/* Tells who waits for it. False: there was no memory, the error is on top. */
static bool tell(lua_State *L, const struct http_state *h, struct exchange *e) {
  if (e->task != NULL) {
    sched_wake(http_lib_state(L, h)->sched, e->task, WAKE_EVENT);
    e->task = NULL;
  }
  if (e->place == LUA_NOREF) return true;
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->deliver);
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->watched);
  lua_rawgeti(L, -1, e->place);
  lua_replace(L, -2);
  lua_getiuservalue(L, -1, EXCHANGE_WATCHER);
  if (!lib_deliver(L, 2)) return false;
  http_forget_watcher(L, h, e);
  return true;
}

static lua_Integer drain_news(lua_State *L, struct lib_source *source) {
  struct http_state *h = (struct http_state *)(void *)source;
  struct ph_exchange *x;
  lua_Integer n = 0;
  ph_curl_turn(h->curl);
  luaL_checkstack(L, 8, "too many deliveries");
  for (; h->curl != NULL && (x = ph_curl_news(h->curl)) != NULL; n++) {
    struct exchange *e = ph_exchange_ud(x);
    if (tell(L, h, e)) continue;
    ph_exchange_tell_again(x);
    lua_error(L);
  }
  return n;
}

static bool is_busy(const struct lib_source *source) {
  const struct http_state *h = (const struct http_state *)(const void *)source;
  return ph_curl_busy(h->curl);
}

static void close_source(struct lib_source *source) {
  struct http_state *h = (struct http_state *)(void *)source;
  ph_curl_close(h->curl);
  h->curl = NULL;
}

static void forget_source(struct lib_source *source) {
  struct http_state *h = (struct http_state *)(void *)source;
  ph_curl_forget(h->curl);
  h->curl = NULL;
}

static struct ph_curl *curl_of(lua_State *L) {
  struct http_state *h = state_of(L);
  struct ph_err err;
  lib_state_of(L); /* in a forked copy of the process: forgets what is the original's, as below */
  if (h->curl != NULL) return h->curl;
  h->curl = ph_curl_open(lib_loop_of(L), &err);
  if (h->curl == NULL) ph_error_raise_err(L, &err);
  h->source = (struct lib_source){.drain = drain_news, .alive = is_busy, .close = close_source, .forget = forget_source};
  lib_add_source(L, &h->source);
  return h->curl;
}

/* --- sessions --------------------------------------------------------------------------------------------- */

struct session *http_check_session(lua_State *L) {
  struct session *s = lua_touserdata(L, 1);
  if (s == NULL || !lua_getmetatable(L, 1) || !lua_rawequal(L, -1, HTTP_CLASS)) luaL_typeerror(L, 1, SESSION_METATABLE);
  lua_pop(L, 1);
  return s;
}

/* session(max_connections, max_per_host, cookies) -> session */
static int new_session(lua_State *L) {
  struct ph_curl_limits limits = {(long)luaL_optinteger(L, 1, 0), (long)luaL_optinteger(L, 2, 0), lua_toboolean(L, 3)};
  struct ph_err err;
  struct session *s = lua_newuserdatauv(L, sizeof *s, 0);
  s->multi = NULL;
  luaL_setmetatable(L, SESSION_METATABLE);
  s->multi = ph_curl_multi_new(curl_of(L), &limits, &err);
  if (s->multi == NULL) ph_error_raise_err(L, &err);
  return 1;
}

static int close_session(lua_State *L) {
  struct session *s = http_check_session(L);
  lib_state_of(L);
  struct ph_curl_multi *multi = s->multi;
  s->multi = NULL;
  if (multi != NULL) ph_curl_multi_free(multi);
  return 0;
}

static int is_usable(lua_State *L) {
  const struct session *s = http_check_session(L);
  lib_state_of(L);
  lua_pushboolean(L, s->multi != NULL && ph_curl_multi_open(s->multi));
  return 1;
}

static void add_line(void *ud, const char *line) {
  struct ph_buf *lines = ud;
  if (ph_buf_put(lines, line, strlen(line)) == 0) ph_buf_put_u8(lines, '\n');
}

static int free_lines(lua_State *L) {
  ph_buf_deinit(lua_touserdata(L, 1));
  return 0;
}

/* cookies(session) -> text: one line each, in the format of Netscape's cookie files */
static int get_cookies(lua_State *L) {
  const struct session *s = http_check_session(L);
  struct ph_buf *lines = lua_newuserdatauv(L, sizeof *lines, 0);
  ph_buf_init(lines);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, free_lines);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  if (s->multi != NULL) ph_curl_multi_cookies(s->multi, add_line, lines);
  lua_pushlstring(L, (const char *)lines->data, lines->len);
  return 1;
}

/* --- URLs ------------------------------------------------------------------------------------------------- */

static int free_url(lua_State *L) {
  ph_url_deinit(luaL_checkudata(L, 1, URL_METATABLE));
  return 0;
}

/* url(text [, base]) -> { whole, scheme, user, password, host, port } | nil, what is wrong */
static int parse_url(lua_State *L) {
  const char *text = luaL_checkstring(L, 1), *base = luaL_optstring(L, 2, NULL);
  struct ph_err err;
  struct ph_url *url = lua_newuserdatauv(L, sizeof *url, 0);
  memset(url, 0, sizeof *url);
  luaL_setmetatable(L, URL_METATABLE);
  if (ph_url_parse(url, text, base, &err) != 0) {
    if (err.code == 0 || strcmp(err.kind, "os") == 0) ph_error_raise_err(L, &err);
    lua_pushnil(L);
    lua_pushstring(L, err.message);
    return 2;
  }
  const char *const names[] = {"whole", "scheme", "user", "password", "host", "port"};
  const char *const values[] = {url->whole, url->scheme, url->user, url->password, url->host, url->port};
  lua_createtable(L, 0, 6);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    lua_pushstring(L, values[i]);
    lua_setfield(L, -2, names[i]);
  }
  ph_url_deinit(url);
  return 1;
}

static int set_deliver(lua_State *L) {
  struct http_state *h = state_of(L);
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  luaL_unref(L, LUA_REGISTRYINDEX, h->deliver);
  h->deliver = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

static void new_state(lua_State *L) {
  struct lib_state *state = lib_state_of(L); /* made before, ends after */
  struct http_state *h = lua_newuserdatauv(L, sizeof *h, 0);
  *h = (struct http_state){.state = state, .deliver = LUA_NOREF, .watched = LUA_NOREF, .exchange = LUA_NOREF};
  lua_newtable(L);
  h->watched = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &state_key);
}

/* Leaves the class on the stack. */
static void new_class(lua_State *L, const char *name, const luaL_Reg *methods) {
  luaL_newmetatable(L, name);
  lua_pushvalue(L, -1);
  lua_pushlightuserdata(L, state_of(L));
  luaL_setfuncs(L, methods, 2);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
}

int luaopen_parhost_core_http(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"session", new_session}, {"url", parse_url}, {"set_deliver", set_deliver}, {"facts", http_facts}, {NULL, NULL}};
  static const luaL_Reg session_methods[] = {{"start", http_start},    {"usable", is_usable},   {"cookies", get_cookies},
                                             {"close", close_session}, {"__gc", close_session}, {NULL, NULL}};
  static const luaL_Reg url_methods[] = {{"__gc", free_url}, {NULL, NULL}};
  if (state_of(L) == NULL) new_state(L);
  luaL_newlib(L, functions);
  new_class(L, URL_METATABLE, url_methods);
  lua_pop(L, 1);
  new_class(L, SESSION_METATABLE, session_methods);
  lua_setfield(L, -2, "Session");
  new_class(L, EXCHANGE_METATABLE, http_exchange_methods);
  lua_pushvalue(L, -1);
  state_of(L)->exchange = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_setfield(L, -2, "Exchange");
  return 1;
}
