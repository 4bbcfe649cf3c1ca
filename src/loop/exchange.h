/* SPDX-License-Identifier: MIT
 * One HTTP exchange: a request, and what comes of it. An exchange does not follow redirects, and knows no deadline but
 * that of connecting: both are matters of policy. It belongs to its multi; when that is closed, it is over. */
#ifndef PH_LOOP_EXCHANGE_H
#define PH_LOOP_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "loop/curl_multi.h"

/* NULL and 0 stand for "as libcurl does". Borrowed until the start has returned, `body` until the exchange is over. */
struct ph_request {
  const char *url, *method;
  const char *const *headers; /* "Name: value" */
  size_t n_headers;
  const char *body; /* NULL: none */
  size_t body_len;
  long connect_timeout_ms;
  long low_speed_bytes, low_speed_seconds;
  const char *user, *password;
  bool digest; /* instead of basic */
  const char *proxy;
  bool insecure;
  const char *ca_file, *ca_path, *ca_text;
  const char *cert, *key, *key_password;
  const char *http_version;
  const char *protocols; /* separated by commas */
  const char *user_agent;
  int64_t max_body;    /* negative: none */
  size_t window;       /* 0: the body is kept whole; else at most so many bytes of it wait to be taken */
  bool skip_redirects; /* the body of a redirect that can be followed is of no interest */
  bool raw;            /* no decompression */
  bool progress;       /* sending counts as news */
  bool plain;          /* a GET with nothing but url, user_agent, protocols, max_body, window and skip_redirects; the two
                          in the middle are the same for all plain requests of a multi */
};

enum ph_want { PH_WANT_END, PH_WANT_HEAD, PH_WANT_DATA, PH_WANT_PROGRESS };

enum ph_ending { PH_END_OK, PH_END_FAILED, PH_END_BODY_TOO_LARGE, PH_END_HEAD_TOO_LARGE, PH_END_CANCELLED };

struct ph_timings { /* microseconds since the start */
  int64_t resolved, connected, secured, sent, first_byte, total;
};

enum ph_http_version { PH_HTTP_UNKNOWN, PH_HTTP_1_0, PH_HTTP_1_1, PH_HTTP_2, PH_HTTP_3 };

struct ph_exchange;

/* NULL with err: kind "http", and for what libcurl refuses its number. `ud` is for ph_exchange_ud. */
struct ph_exchange *ph_exchange_start(struct ph_curl_multi *m, const struct ph_request *request, void *ud,
                                      struct ph_err *err);
/* Ends it where it stands, if it is still under way: its connection is closed at once. */
void ph_exchange_free(struct ph_exchange *x);
void *ph_exchange_ud(const struct ph_exchange *x);
/* What the exchange has had news of comes once more with ph_curl_news. */
void ph_exchange_tell_again(struct ph_exchange *x);

/* What it is to become news for, at first its end; and whether that is the case already. */
bool ph_exchange_want(struct ph_exchange *x, enum ph_want want);
bool ph_exchange_is_ready(const struct ph_exchange *x);
bool ph_exchange_over(const struct ph_exchange *x);
enum ph_ending ph_exchange_ending(const struct ph_exchange *x);
/* For PH_END_FAILED: libcurl's number and words. */
int ph_exchange_error(const struct ph_exchange *x, const char **text);

/* The status, 0 while there is no head; `head` gets its lines. */
int ph_exchange_head(const struct ph_exchange *x, const char **head, size_t *len);
/* The bytes of the body that wait; to be followed by ph_exchange_taken. */
const struct ph_buf *ph_exchange_data(const struct ph_exchange *x);
void ph_exchange_taken(struct ph_exchange *x);

struct ph_progress {
  int64_t received, to_receive, sent, to_send; /* to_*: -1 when not known */
};
void ph_exchange_progress(struct ph_exchange *x, struct ph_progress *progress);
/* Where it stands: "resolving", "connecting", ... */
const char *ph_exchange_phase(struct ph_exchange *x);
void ph_exchange_timings(const struct ph_exchange *x, struct ph_timings *timings);
enum ph_http_version ph_exchange_version(const struct ph_exchange *x);

#endif
