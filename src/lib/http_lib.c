/* SPDX-License-Identifier: MIT
 * parhost.core.http: sessions and exchanges for Lua. What requests may say is checked in lua/http; here an argument of
 * the wrong type is a bug of ours.
 *
 * A subject is the Lua object that stands for an exchange. It holds the exchange, and is known here weakly: an exchange
 * for which nobody waits any more is collected, and with that given up. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "lib/core.h"
#include "loop/exchange.h"
#include "loop/url.h"
#include "vm/error.h"

#define SESSION_METATABLE "parhost.core.http.Session"
#define EXCHANGE_METATABLE "parhost.core.http.Exchange"
#define URL_METATABLE "parhost.core.http.Url"

struct http_state { /* one per Lua state, in its registry */
  struct lib_source source;
  struct ph_curl *curl;  /* NULL: not yet, or no longer */
  int deliver, subjects; /* registry references: a function, and exchange -> subject with weak values */
};

struct session {
  struct ph_curl_multi *multi;
};

struct exchange { /* user values: its session, the body that is being sent */
  struct ph_exchange *x;
};

static const char state_key;

static struct http_state *state_of(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &state_key);
  struct http_state *h = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return h;
}

/* --- the source ------------------------------------------------------------------------------------------- */

static lua_Integer drain_news(lua_State *L, struct lib_source *source) {
  struct http_state *h = (struct http_state *)(void *)source;
  struct ph_exchange *x;
  lua_Integer n = 0;
  ph_curl_turn(h->curl);
  luaL_checkstack(L, 4, "too many deliveries");
  for (; h->curl != NULL && (x = ph_curl_news(h->curl)) != NULL; n++) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->deliver);
    lua_rawgeti(L, LUA_REGISTRYINDEX, h->subjects);
    lua_rawgetp(L, -1, ph_exchange_ud(x));
    lua_remove(L, -2);
    if (lib_deliver(L, 1)) continue;
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

static struct session *check_session(lua_State *L, int idx) {
  return luaL_checkudata(L, idx, SESSION_METATABLE);
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
  struct session *s = check_session(L, 1);
  lib_state_of(L);
  struct ph_curl_multi *multi = s->multi;
  s->multi = NULL;
  if (multi != NULL) ph_curl_multi_free(multi);
  return 0;
}

static int is_usable(lua_State *L) {
  const struct session *s = check_session(L, 1);
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
  const struct session *s = check_session(L, 1);
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

/* --- starting --------------------------------------------------------------------------------------------- */

#define MORE 9 /* index of the table with what most requests do not say */

static const char *text_field(lua_State *L, const char *key) {
  const char *text = lua_getfield(L, MORE, key) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  lua_pop(L, 1); /* the table keeps it */
  return text;
}

static bool flag_field(lua_State *L, const char *key) {
  lua_getfield(L, MORE, key);
  bool flag = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return flag;
}

static long long_field(lua_State *L, const char *key) {
  lua_getfield(L, MORE, key);
  long n = (long)luaL_optinteger(L, -1, 0);
  lua_pop(L, 1);
  return n;
}

/* Leaves an array with the lines on the stack. */
static void read_headers(lua_State *L, struct ph_request *r) {
  lua_getfield(L, MORE, "headers");
  r->n_headers = lua_rawlen(L, -1);
  const char **lines = lua_newuserdatauv(L, (r->n_headers + 1) * sizeof *lines, 0);
  for (size_t i = 0; i < r->n_headers; i++) {
    lua_rawgeti(L, -2, (lua_Integer)i + 1);
    lines[i] = luaL_checkstring(L, -1);
    lua_pop(L, 1);
  }
  lua_remove(L, -2);
  r->headers = lines;
}

static void read_texts(lua_State *L, struct ph_request *r) {
  const struct {
    const char *key, **to;
  } rows[] = {
      {"method", &r->method},     {"proxy", &r->proxy},     {"http_version", &r->http_version}, {"user", &r->user},
      {"password", &r->password}, {"ca_file", &r->ca_file}, {"ca_path", &r->ca_path},           {"ca_text", &r->ca_text},
      {"cert", &r->cert},         {"key", &r->key},         {"key_password", &r->key_password}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) *rows[i].to = text_field(L, rows[i].key);
}

/* Leaves the body and the lines of the headers on the stack. */
static void read_more(lua_State *L, struct ph_request *r) {
  read_texts(L, r);
  r->connect_timeout_ms = long_field(L, "connect_timeout_ms");
  r->low_speed_bytes = long_field(L, "low_speed_bytes");
  r->low_speed_seconds = long_field(L, "low_speed_seconds");
  r->digest = flag_field(L, "digest");
  r->insecure = flag_field(L, "insecure");
  r->raw = flag_field(L, "raw");
  r->progress = flag_field(L, "progress");
  lua_getfield(L, MORE, "body");
  r->body = lua_tolstring(L, -1, &r->body_len);
  read_headers(L, r);
}

/* The exchange, known to its subject, but not started. */
static struct exchange *new_exchange(lua_State *L) {
  struct exchange *e = lua_newuserdatauv(L, sizeof *e, 2);
  e->x = NULL;
  luaL_setmetatable(L, EXCHANGE_METATABLE);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, state_of(L)->subjects);
  lua_pushvalue(L, 2);
  lua_rawsetp(L, -2, e);
  lua_pop(L, 1);
  return e;
}

/* start(session, subject, url, protocols, user_agent, max_body | nil, window | nil, skip_redirects [, more])
 * -> exchange | nil, number of libcurl's, text. `more` has the other fields of struct ph_request. */
static int start(lua_State *L) {
  struct session *s = check_session(L, 1);
  struct ph_err err;
  lua_settop(L, MORE);
  if (s->multi == NULL || !ph_curl_multi_open(s->multi)) return luaL_argerror(L, 1, "open session expected");
  struct ph_request request = {
      .plain = lua_isnil(L, MORE),
      .method = "GET",
      .url = luaL_checkstring(L, 3),
      .protocols = luaL_checkstring(L, 4),
      .user_agent = luaL_checkstring(L, 5),
      .max_body = luaL_optinteger(L, 6, -1),
      .window = (size_t)luaL_optinteger(L, 7, 0),
      .skip_redirects = lua_toboolean(L, 8),
  };
  struct exchange *e = new_exchange(L);
  if (!request.plain) {
    read_more(L, &request);
    lua_getfield(L, MORE, "body");
    lua_setiuservalue(L, MORE + 1, 2);
  }
  e->x = ph_exchange_start(s->multi, &request, e, &err);
  if (e->x == NULL) {
    lua_pushnil(L);
    lua_pushinteger(L, err.code);
    lua_pushstring(L, err.message);
    return 3;
  }
  lua_settop(L, MORE + 1);
  return 1;
}

/* --- exchanges -------------------------------------------------------------------------------------------- */

/* The methods have their metatable as upvalue: that is quicker than a name. */
static struct exchange *exchange_argument(lua_State *L) {
  struct exchange *e = lua_touserdata(L, 1);
  if (e == NULL || !lua_getmetatable(L, 1) || !lua_rawequal(L, -1, lua_upvalueindex(1)))
    luaL_typeerror(L, 1, EXCHANGE_METATABLE);
  lua_pop(L, 1);
  return e;
}

static struct ph_exchange *check_exchange(lua_State *L) {
  const struct exchange *e = exchange_argument(L);
  luaL_argcheck(L, e->x != NULL, 1, "open exchange expected");
  return e->x;
}

/* Ends it where it stands. */
static int free_exchange(lua_State *L) {
  lib_state_of(L);
  struct exchange *e = exchange_argument(L);
  if (e->x == NULL) return 0;
  ph_exchange_free(e->x);
  e->x = NULL;
  lua_rawgeti(L, LUA_REGISTRYINDEX, state_of(L)->subjects);
  lua_pushnil(L);
  lua_rawsetp(L, -2, e);
  return 0;
}

/* want(exchange, "end" | "head" | "data" | "progress") -> whether that has come about */
static int want(lua_State *L) {
  static const char *const wants[] = {"end", "head", "data", "progress", NULL};
  struct ph_exchange *x = check_exchange(L);
  lua_pushboolean(L, ph_exchange_want(x, (enum ph_want)luaL_checkoption(L, 2, NULL, wants)));
  return 1;
}

/* ending(exchange) -> nil while under way | how [, number, text] */
static int ending(lua_State *L) {
  static const char *const endings[] = {"ok", "failed", "body_too_large", "head_too_large", "cancelled"};
  struct ph_exchange *x = check_exchange(L);
  const char *text;
  if (!ph_exchange_over(x)) return 0;
  enum ph_ending how = ph_exchange_ending(x);
  lua_pushstring(L, endings[how]);
  if (how != PH_END_FAILED) return 1;
  lua_pushinteger(L, ph_exchange_error(x, &text));
  lua_pushstring(L, text);
  return 3;
}

/* head(exchange) -> status (0: none yet), lines */
static int get_head(lua_State *L) {
  const char *head;
  size_t len;
  lua_pushinteger(L, ph_exchange_head(check_exchange(L), &head, &len));
  lua_pushlstring(L, head, len);
  return 2;
}

/* take(exchange) -> the bytes of the body that wait, "" when none */
static int take(lua_State *L) {
  struct ph_exchange *x = check_exchange(L);
  const struct ph_buf *data = ph_exchange_data(x);
  lua_pushlstring(L, (const char *)data->data, data->len);
  ph_exchange_taken(x);
  return 1;
}

/* result(exchange) -> status, lines, body of one that has come to a good end; nil of any other */
static int result(lua_State *L) {
  struct ph_exchange *x = check_exchange(L);
  if (!ph_exchange_over(x) || ph_exchange_ending(x) != PH_END_OK) return 0;
  return get_head(L) + take(L);
}

static void push_size(lua_State *L, int64_t n) {
  if (n >= 0)
    lua_pushinteger(L, n);
  else
    lua_pushnil(L);
}

/* progress(exchange) -> received, to_receive, sent, to_send; nil for what is not known */
static int progress(lua_State *L) {
  struct ph_progress p;
  ph_exchange_progress(check_exchange(L), &p);
  push_size(L, p.received);
  push_size(L, p.to_receive);
  push_size(L, p.sent);
  push_size(L, p.to_send);
  return 4;
}

static int phase(lua_State *L) {
  lua_pushstring(L, ph_exchange_phase(check_exchange(L)));
  return 1;
}

/* timings(exchange) -> resolved, connected, secured, sent, first byte, total; seconds since the start */
static int timings(lua_State *L) {
  struct ph_timings t;
  ph_exchange_timings(check_exchange(L), &t);
  int64_t all[] = {t.resolved, t.connected, t.secured, t.sent, t.first_byte, t.total};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) lua_pushnumber(L, (lua_Number)all[i] / 1e6);
  return 6;
}

static int version(lua_State *L) {
  lua_pushstring(L, ph_exchange_version(check_exchange(L)));
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
  lib_state_of(L); /* made before, ends after */
  struct http_state *h = lua_newuserdatauv(L, sizeof *h, 0);
  *h = (struct http_state){.deliver = LUA_NOREF, .subjects = LUA_NOREF};
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  h->subjects = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &state_key);
}

static void new_class(lua_State *L, const char *name, const luaL_Reg *methods) {
  luaL_newmetatable(L, name);
  lua_pushvalue(L, -1);
  luaL_setfuncs(L, methods, 1);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

int luaopen_parhost_core_http(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"session", new_session}, {"url", parse_url}, {"set_deliver", set_deliver}, {NULL, NULL}};
  static const luaL_Reg session_methods[] = {{"start", start},         {"usable", is_usable},   {"cookies", get_cookies},
                                             {"close", close_session}, {"__gc", close_session}, {NULL, NULL}};
  static const luaL_Reg exchange_methods[] = {{"want", want},           {"ending", ending},      {"head", get_head},
                                              {"take", take},           {"result", result},      {"progress", progress},
                                              {"phase", phase},         {"timings", timings},    {"version", version},
                                              {"close", free_exchange}, {"__gc", free_exchange}, {NULL, NULL}};
  static const luaL_Reg url_methods[] = {{"__gc", free_url}, {NULL, NULL}};
  if (state_of(L) == NULL) new_state(L);
  new_class(L, SESSION_METATABLE, session_methods);
  new_class(L, EXCHANGE_METATABLE, exchange_methods);
  new_class(L, URL_METATABLE, url_methods);
  luaL_newlib(L, functions);
  return 1;
}
