/* SPDX-License-Identifier: MIT
 * What the two files of parhost.core.http know of each other.
 *
 * An exchange is a userdata, and the subject that is waited for. Unless somebody watches it nothing of ours holds it: one
 * that is lost is collected, and with that given up. */
#ifndef PH_LIB_HTTP_H
#define PH_LIB_HTTP_H

#include <lauxlib.h>

#include "lib/core.h"
#include "loop/exchange.h"

/* Upvalues of the methods of both classes: that is quicker than names. */
#define HTTP_CLASS lua_upvalueindex(1)
#define HTTP_STATE lua_upvalueindex(2)

#define EXCHANGE_METATABLE "parhost.core.http.Exchange"

struct http_state { /* one per Lua state, in its registry */
  struct lib_source source;
  struct lib_state *state;
  struct ph_curl *curl;           /* NULL: not yet, or no longer */
  int deliver, watched, exchange; /* registry references: a function (exchange, watcher); place -> exchange that is watched;
                                     the class of exchanges */
};

struct session {
  struct ph_curl_multi *multi;
};

enum { EXCHANGE_SESSION = 1, EXCHANGE_PLAN, EXCHANGE_WATCHER }; /* its user values; the plan has the body in it */

struct exchange {
  struct ph_exchange *x;   /* NULL: closed */
  struct sched_task *task; /* it waits for news, and has this exchange open; or NULL */
  int place;               /* in the table of those that are watched, or LUA_NOREF */
  bool kept;               /* survives the block that it was made in */
  lua_Number deadline;     /* infinite: none */
  int64_t begun;
};

/* The state's, as lib_state_of gives it. */
static inline struct lib_state *http_lib_state(lua_State *L, const struct http_state *h) {
  return lib_state_is_own(h->state) ? h->state : lib_state_of(L);
}

/* The session in slot 1 of one of its methods. */
struct session *http_check_session(lua_State *L);
void http_forget_watcher(lua_State *L, const struct http_state *h, struct exchange *e);

/* facts(text) -> elapsed, version or nil, resolved, connected, secured, sent, first byte, total: all in seconds */
int http_facts(lua_State *L);
/* start(session, ...), for the class of sessions */
int http_start(lua_State *L);
extern const luaL_Reg http_exchange_methods[];

#endif
