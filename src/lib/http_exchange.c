/* SPDX-License-Identifier: MIT
 * parhost.core.http: exchanges. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "lib/http.h"
#include "lib/task.h"

/* --- starting --------------------------------------------------------------------------------------------- */

#define MORE 10 /* index of the table with what most requests do not say */

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

static struct exchange *new_exchange(lua_State *L, const struct http_state *h) {
  struct exchange *e = lua_newuserdatauv(L, sizeof *e, 3);
  *e = (struct exchange){.place = LUA_NOREF, .begun = ph_now(), .deadline = luaL_optnumber(L, 9, HUGE_VAL)};
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->exchange);
  lua_setmetatable(L, -2);
  for (int i = EXCHANGE_SESSION; i <= EXCHANGE_PLAN; i++) {
    lua_pushvalue(L, i);
    lua_setiuservalue(L, -2, i);
  }
  return e;
}

/* start(session, plan, url, protocols, user_agent, max_body | nil, window | nil, skip_redirects, deadline | nil [, more])
 * -> exchange | false: the session is not open | nil, number of libcurl's, text. `more` has the other fields of struct
 * ph_request; the body is kept by the plan. */
int http_start(lua_State *L) {
  const struct session *s = http_check_session(L);
  const struct http_state *h = lua_touserdata(L, HTTP_STATE);
  struct ph_err err;
  lua_settop(L, MORE);
  http_lib_state(L, h);
  if (s->multi == NULL || !ph_curl_multi_open(s->multi)) {
    lua_pushboolean(L, false);
    return 1;
  }
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
  struct exchange *e = new_exchange(L, h);
  if (!request.plain) read_more(L, &request);
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

static struct exchange *exchange_argument(lua_State *L) {
  struct exchange *e = lua_touserdata(L, 1);
  if (e == NULL || !lua_getmetatable(L, 1) || !lua_rawequal(L, -1, HTTP_CLASS)) luaL_typeerror(L, 1, EXCHANGE_METATABLE);
  lua_pop(L, 1);
  return e;
}

static struct ph_exchange *check_exchange(lua_State *L) {
  const struct exchange *e = exchange_argument(L);
  luaL_argcheck(L, e->x != NULL, 1, "open exchange expected");
  return e->x;
}

void http_forget_watcher(lua_State *L, const struct http_state *h, struct exchange *e) {
  if (e->place == LUA_NOREF) return;
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->watched);
  luaL_unref(L, -1, e->place);
  lua_pop(L, 1);
  e->place = LUA_NOREF;
}

/* Ends it where it stands. */
static void close_exchange(lua_State *L, struct exchange *e) {
  const struct http_state *h = lua_touserdata(L, HTTP_STATE);
  if (e->x == NULL) return;
  http_lib_state(L, h); /* in a forked copy of the process: makes it forget what is the original's */
  ph_exchange_free(e->x);
  e->x = NULL;
  e->task = NULL;
  http_forget_watcher(L, h, e);
}

static int free_exchange(lua_State *L) {
  close_exchange(L, exchange_argument(L));
  return 0;
}

/* __close: the block that it was made in is left. */
static int leave_exchange(lua_State *L) {
  struct exchange *e = exchange_argument(L);
  if (!e->kept) close_exchange(L, e);
  return 0;
}

/* keep(exchange, whether): it outlives the block that it is closed by */
static int keep(lua_State *L) {
  exchange_argument(L)->kept = lua_toboolean(L, 2);
  return 0;
}

/* --- as the subject of a wait --- */

/* _ready(exchange) -> whether what was wanted has come about; nothing more comes of one that is closed */
static int is_ready(lua_State *L) {
  const struct exchange *e = exchange_argument(L);
  lua_pushboolean(L, e->x == NULL || ph_exchange_is_ready(e->x));
  return 1;
}

/* pause(exchange, deadline | nil) -> true: the task that runs was parked until there was news. Otherwise block.wait has to
 * find out what there is to wait for, or to raise. */
static int pause_task(lua_State *L) {
  struct exchange *e = exchange_argument(L);
  struct sched *s = http_lib_state(L, lua_touserdata(L, HTTP_STATE))->sched;
  struct sched_task *t = s != NULL && e->x != NULL ? task_current(L, s) : NULL;
  if (t == NULL || t->scope->effective || !lua_isyieldable(L) || ph_exchange_is_ready(e->x)) return 0;
  e->task = t;
  return task_park_lively(L, s, t, lua_isnoneornil(L, 2) ? PH_NEVER : ph_seconds_to_ns(lua_tonumber(L, 2)));
}

/* _watch(exchange, watcher) */
static int watch(lua_State *L) {
  struct exchange *e = exchange_argument(L);
  const struct http_state *h = lua_touserdata(L, HTTP_STATE);
  lua_settop(L, 2);
  lua_setiuservalue(L, 1, EXCHANGE_WATCHER);
  if (e->place != LUA_NOREF) return 0;
  lua_rawgeti(L, LUA_REGISTRYINDEX, h->watched);
  lua_pushvalue(L, 1);
  e->place = luaL_ref(L, -2);
  return 0;
}

/* _unwatch(exchange, watcher) */
static int unwatch(lua_State *L) {
  struct exchange *e = exchange_argument(L);
  if (e->place == LUA_NOREF) return 0;
  lua_getiuservalue(L, 1, EXCHANGE_WATCHER);
  if (lua_rawequal(L, 2, -1)) http_forget_watcher(L, lua_touserdata(L, HTTP_STATE), e);
  return 0;
}

static int plan_of(lua_State *L) {
  exchange_argument(L);
  lua_getiuservalue(L, 1, EXCHANGE_PLAN);
  return 1;
}

static int deadline(lua_State *L) {
  const struct exchange *e = exchange_argument(L);
  if (e->deadline == HUGE_VAL)
    lua_pushnil(L);
  else
    lua_pushnumber(L, e->deadline);
  return 1;
}

/* --- what comes of it --- */

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

struct facts {              /* what a response tells when it is asked */
  int64_t elapsed, version; /* nanoseconds since the start */
  struct ph_timings timings;
};

static void push_facts(lua_State *L, const struct exchange *e) {
  struct facts f = {.elapsed = ph_now() - e->begun, .version = ph_exchange_version(e->x)};
  ph_exchange_timings(e->x, &f.timings);
  lua_pushlstring(L, (const char *)&f, sizeof f);
}

/* facts(exchange) -> text for facts(text) of the module: as it stands now */
static int get_facts(lua_State *L) {
  check_exchange(L);
  push_facts(L, lua_touserdata(L, 1));
  return 1;
}

int http_facts(lua_State *L) {
  static const char *const versions[] = {NULL, "1.0", "1.1", "2", "3"};
  struct facts f;
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  luaL_argcheck(L, len == sizeof f, 1, "facts expected");
  memcpy(&f, text, sizeof f);
  const int64_t all[] = {f.timings.resolved, f.timings.connected,  f.timings.secured,
                         f.timings.sent,     f.timings.first_byte, f.timings.total};
  lua_pushnumber(L, (lua_Number)f.elapsed / 1e9);
  lua_pushstring(L, versions[f.version]);
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) lua_pushnumber(L, (lua_Number)all[i] / 1e6);
  return 8;
}

/* result(exchange) -> status, lines, body, facts of one that has come to a good end, which is closed with that; nil of any
 * other */
static int result(lua_State *L) {
  struct ph_exchange *x = check_exchange(L);
  struct exchange *e = lua_touserdata(L, 1);
  if (!ph_exchange_over(x) || ph_exchange_ending(x) != PH_END_OK) return 0;
  const struct ph_buf *body = ph_exchange_data(x);
  get_head(L);
  lua_pushlstring(L, (const char *)body->data, body->len);
  push_facts(L, e);
  close_exchange(L, e);
  return 4;
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

const luaL_Reg http_exchange_methods[] = {{"want", want},
                                          {"ending", ending},
                                          {"head", get_head},
                                          {"take", take},
                                          {"result", result},
                                          {"facts", get_facts},
                                          {"progress", progress},
                                          {"phase", phase},
                                          {"plan", plan_of},
                                          {"keep", keep},
                                          {"deadline", deadline},
                                          {"close", free_exchange},
                                          {"__gc", free_exchange},
                                          {"__close", leave_exchange},
                                          {"_ready", is_ready},
                                          {"_watch", watch},
                                          {"_unwatch", unwatch},
                                          {"pause", pause_task},
                                          {NULL, NULL}};
