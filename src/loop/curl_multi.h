/* SPDX-License-Identifier: MIT
 * libcurl on the loop of a state. Two things: `ph_curl`, of which a state has one, watches the sockets of all transfers
 * of the state on an epoll of its own, which is one descriptor for the loop; `ph_curl_multi` is a pool of connections
 * with its limits and cookies (a session). Nothing here calls back: the owner lets things move with ph_curl_turn, and
 * then takes what there is to tell. All of it belongs to the state's thread. */
#ifndef PH_LOOP_CURL_MULTI_H
#define PH_LOOP_CURL_MULTI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "loop/loop.h"

struct ph_curl;
struct ph_curl_multi;
struct ph_exchange;

struct ph_curl_limits {
  long max_connections, max_per_host; /* 0: none; requests beyond them wait their turn */
  bool cookies;                       /* kept, and sent where they belong */
};

/* Loads libcurl. NULL with err. The loop must outlive it. */
struct ph_curl *ph_curl_open(struct ph_loop *loop, struct ph_err *err);
/* Ends all exchanges and multis (which are freed by their owners), and takes itself off the loop. */
void ph_curl_close(struct ph_curl *c);
/* The same in a forked copy of the process, where sockets and loop are those of the original: touches neither. */
void ph_curl_forget(struct ph_curl *c);

/* Does what sockets and timers call for; never sleeps. */
void ph_curl_turn(struct ph_curl *c);
/* Takes one exchange for which what it waits for has come about; NULL: there is none. */
struct ph_exchange *ph_curl_news(struct ph_curl *c);
/* True while transfers are under way. */
bool ph_curl_busy(const struct ph_curl *c);

struct ph_curl_multi *ph_curl_multi_new(struct ph_curl *c, const struct ph_curl_limits *limits, struct ph_err *err);
/* False once its ph_curl was closed or forgotten. */
bool ph_curl_multi_open(const struct ph_curl_multi *m);
/* Ends its exchanges and closes its connections. */
void ph_curl_multi_free(struct ph_curl_multi *m);
/* Calls visit(ud, line) for each cookie, a line in the format of Netscape's cookie files. */
void ph_curl_multi_cookies(struct ph_curl_multi *m, void (*visit)(void *ud, const char *line), void *ud);

#endif
