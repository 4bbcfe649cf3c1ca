/* SPDX-License-Identifier: MIT
 * Inside of loop/: what exchanges and their multi know of each other. */
#ifndef PH_LOOP_CURL_INT_H
#define PH_LOOP_CURL_INT_H

#include "base/list.h"
#include "loop/curl_api.h"
#include "loop/curl_multi.h"
#include "loop/exchange.h"

struct ph_curl_multi {
  struct ph_list node;  /* in its ph_curl */
  struct ph_curl *curl; /* NULL: closed */
  CURLM *handle;
  CURLSH *share;            /* holds the cookies; NULL: none */
  int64_t due;              /* when libcurl wants to be called */
  struct ph_list exchanges; /* those that are not freed */
  struct ph_list idle;      /* freed, and kept to be used again: making a handle costs more than a request */
  size_t n_idle;
  long running, kept; /* exchanges under way; connections that libcurl may have before it closes idle ones */
};

const struct ph_curl_api *ph__curl_functions(const struct ph_curl *c);
/* Takes all options back but those that concern sockets and cookies. */
void ph__curl_reset(struct ph_curl_multi *m, CURL *easy);
/* Whether its last transfer made a connection. A request that finds a kept one dead is sent again by libcurl, in a new one,
 * but five times in the life of a handle only: a reset begins another. */
bool ph__curl_needs_reset(struct ph_curl_multi *m, CURL *easy);
/* A new easy handle with these; NULL without memory. */
CURL *ph__curl_handle(struct ph_curl_multi *m);
/* The errno of a socket that could not be made, once; 0: none. */
int ph__curl_refused(struct ph_curl_multi *m);
void ph__curl_started(struct ph_curl_multi *m);
void ph__curl_ended(struct ph_curl_multi *m);
/* For ph_curl_news. */
void ph__curl_tell(struct ph_curl *c, struct ph_list *news_node);

/* In request.c: the first option that libcurl refuses is named in `refused`. The headers must outlive the transfer. */
CURLcode ph__request_apply(const struct ph_curl_api *api, CURL *easy, const struct ph_request *r,
                           struct curl_slist **headers, const char **refused);

/* In exchange.c. */
void ph__exchange_over(struct ph_exchange *x, CURLcode code);
/* There was no memory to watch a socket of it: noted, and then its end. */
void ph__exchange_unwatched(struct ph_exchange *x);
void ph__exchange_end_unwatched(struct ph_list *node);
/* Its multi goes. Without `touch` what is libcurl's stays as it is. */
void ph__exchange_drop(struct ph_list *node, bool touch);
/* The same for an idle one. */
void ph__exchange_discard(struct ph_list *node);
struct ph_exchange *ph__exchange_of_news(struct ph_list *news_node);

#endif
