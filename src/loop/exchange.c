/* SPDX-License-Identifier: MIT
 * The life of an exchange. libcurl's callbacks below run inside ph_curl_turn or ph_exchange_taken; they only take notes,
 * and put the exchange into the list of news once what its owner waits for has come about. */
#include "loop/exchange.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/trace.h"
#include "loop/curl_int.h"
#include "loop/exchange_trace.h"

#define HEAD_MAX (256 * 1024)   /* all header lines of an exchange, interim responses and trailers included */
#define SKIPPED_MAX (64 * 1024) /* of a redirect's body; with more than that a new connection is cheaper */
#define IDLE_MAX 128
#define KEPT_BYTES 8192
#define PRESIZE_MAX (1024 * 1024) /* what is believed of a Content-Length */

struct ph_exchange {
  struct ph_list node; /* in its multi */
  struct ph_list news;
  struct ph_curl_multi *multi; /* NULL, as `easy`: the multi is gone */
  CURL *easy;
  struct curl_slist *headers;
  CURLU *parsed;     /* of a plain request: so libcurl need not read the same URL again and again; NULL: it has to */
  struct ph_buf url; /* what is parsed, with its NUL */
  struct ph_buf head, body;
  bool plain; /* the handle has the options of a plain request */

  /* What follows is cleared for each use. */
  void *ud;
  size_t head_total, window, skipped;
  int64_t max_body, received;
  curl_off_t to_receive, sent, to_send;
  int status;
  enum ph_want want;
  enum ph_ending ending;
  bool over, head_done, body_begun, paused, skip, moved, unwatched;
  bool skip_redirects, digest, progress;
  CURLcode code;
  long version;
  struct ph_timings timings;
  struct ph_exchange_trace *trace; /* NULL: nobody watches */
  char text[CURL_ERROR_SIZE];
};

static const struct ph_curl_api *api_of(const struct ph_exchange *x) {
  return ph__curl_functions(x->multi->curl);
}

bool ph_exchange_is_ready(const struct ph_exchange *x) {
  if (x->over) return true;
  switch (x->want) {
    case PH_WANT_END: return false;
    case PH_WANT_HEAD: return x->head_done;
    case PH_WANT_DATA: return x->body.len > 0;
    case PH_WANT_PROGRESS: return x->body.len > 0 || x->moved;
  }
  return false;
}

static void tell(struct ph_exchange *x) {
  if (ph_exchange_is_ready(x)) ph__curl_tell(x->multi->curl, &x->news);
}

bool ph_exchange_want(struct ph_exchange *x, enum ph_want want) {
  x->want = want;
  return ph_exchange_is_ready(x);
}

void ph_exchange_tell_again(struct ph_exchange *x) {
  ph__curl_tell(x->multi->curl, &x->news);
}

struct ph_exchange *ph__exchange_of_news(struct ph_list *news_node) {
  return ph_list_entry(news_node, struct ph_exchange, news);
}

/* --- what libcurl calls ----------------------------------------------------------------------------------- */

static size_t refuse(struct ph_exchange *x, enum ph_ending why) {
  x->ending = why;
  return 0;
}

static bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static bool has_location(const struct ph_exchange *x) {
  const char *at = (const char *)x->head.data, *end = at + x->head.len;
  while (at < end) {
    if (end - at > 9 && strncasecmp(at, "location:", 9) == 0) return true;
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    if (newline == NULL) break;
    at = newline + 1;
  }
  return false;
}

/* The head is complete. An interim response is followed by another one, as is what asks for digest authentication. */
static void end_head(struct ph_exchange *x) {
  long status = 0;
  api_of(x)->easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
  x->status = (int)status;
  if (status < 200 || (x->digest && status == 401)) return;
  x->skip = x->skip_redirects && is_redirect(x->status) && has_location(x);
  x->head_done = true;
  tell(x);
}

static size_t on_header(const char *line, size_t size, size_t n, void *ud) {
  struct ph_exchange *x = ud;
  (void)size;
  x->head_total += n;
  if (x->head_total > HEAD_MAX) return refuse(x, PH_END_HEAD_TOO_LARGE);
  if (x->body_begun) return n; /* a trailer */
  if (n >= 5 && memcmp(line, "HTTP/", 5) == 0) {
    ph_buf_reset(&x->head, HEAD_MAX);
    x->head_done = false;
  }
  if (ph_buf_put(&x->head, line, n) != 0) return 0;
  if (n <= 2 && line[0] != ' ' && line[0] != '\t') end_head(x);
  return n;
}

/* False when the body is going to be too large, as far as the server tells. */
static bool begin_body(struct ph_exchange *x) {
  curl_off_t length = -1;
  x->body_begun = true;
  if (!x->head_done) {
    x->digest = false;
    end_head(x);
  }
  api_of(x)->easy_getinfo(x->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
  if (length <= 0 || x->skip) return true;
  if (x->max_body >= 0 && length > x->max_body) return false;
  size_t expected = length < PRESIZE_MAX ? (size_t)length : PRESIZE_MAX;
  return ph_buf_reserve(&x->body, x->window > 0 && expected > x->window ? x->window : expected) == 0;
}

static size_t on_body(const char *bytes, size_t size, size_t n, void *ud) {
  struct ph_exchange *x = ud;
  (void)size;
  if (!x->body_begun && !begin_body(x)) return refuse(x, PH_END_BODY_TOO_LARGE);
  if (x->skip) {
    x->skipped += n;
    return x->skipped <= SKIPPED_MAX ? n : 0;
  }
  if (x->max_body >= 0 && x->received + (int64_t)n > x->max_body) return refuse(x, PH_END_BODY_TOO_LARGE);
  if (x->window > 0 && x->body.len > 0 && x->body.len + n > x->window) {
    x->paused = true;
    return CURL_WRITEFUNC_PAUSE;
  }
  if (ph_buf_put(&x->body, bytes, n) != 0) return 0;
  x->received += (int64_t)n;
  tell(x);
  return n;
}

static int on_progress(void *ud, curl_off_t to_receive, curl_off_t received, curl_off_t to_send, curl_off_t sent) {
  struct ph_exchange *x = ud;
  (void)to_receive, (void)received, (void)to_send;
  if (sent == x->sent) return 0;
  x->sent = sent;
  x->moved = true;
  tell(x);
  return 0;
}

/* --- the end ---------------------------------------------------------------------------------------------- */

static void note_timings(struct ph_exchange *x) {
  const struct {
    CURLINFO info;
    int64_t *to;
  } rows[] = {{CURLINFO_NAMELOOKUP_TIME_T, &x->timings.resolved},      {CURLINFO_CONNECT_TIME_T, &x->timings.connected},
              {CURLINFO_APPCONNECT_TIME_T, &x->timings.secured},       {CURLINFO_PRETRANSFER_TIME_T, &x->timings.sent},
              {CURLINFO_STARTTRANSFER_TIME_T, &x->timings.first_byte}, {CURLINFO_TOTAL_TIME_T, &x->timings.total}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    curl_off_t us = 0;
    api_of(x)->easy_getinfo(x->easy, rows[i].info, &us);
    *rows[i].to = us;
  }
}

static void note_sizes(struct ph_exchange *x) {
  api_of(x)->easy_getinfo(x->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &x->to_receive);
  api_of(x)->easy_getinfo(x->easy, CURLINFO_CONTENT_LENGTH_UPLOAD_T, &x->to_send);
  api_of(x)->easy_getinfo(x->easy, CURLINFO_SIZE_UPLOAD_T, &x->sent);
}

static void end_trace(struct ph_exchange *x) {
  const char *why = NULL;
  static const char *const endings[] = {[PH_END_BODY_TOO_LARGE] = "body too large",
                                        [PH_END_HEAD_TOO_LARGE] = "head too large",
                                        [PH_END_CANCELLED] = "cancelled"};
  if (x->ending == PH_END_FAILED)
    ph_exchange_error(x, &why);
  else if (x->ending != PH_END_OK)
    why = endings[x->ending];
  ph__exchange_trace_end(x->trace, x->status, x->received, why, &x->timings);
  x->trace = NULL;
}

static void finish(struct ph_exchange *x) {
  note_timings(x);
  api_of(x)->easy_getinfo(x->easy, CURLINFO_HTTP_VERSION, &x->version);
  if (x->progress) note_sizes(x);
  api_of(x)->multi_remove_handle(x->multi->handle, x->easy);
  x->over = true;
  if (x->trace != NULL) end_trace(x);
  ph__curl_ended(x->multi);
}

static void note_refusal(struct ph_exchange *x) {
  int refused = ph__curl_refused(x->multi);
  if (refused != 0) snprintf(x->text, sizeof x->text, "cannot open a socket: %s", strerror(refused));
}

void ph__exchange_over(struct ph_exchange *x, CURLcode code) {
  if (code == CURLE_COULDNT_CONNECT) note_refusal(x);
  bool skipped_enough = code == CURLE_WRITE_ERROR && x->skipped > SKIPPED_MAX;
  x->code = code;
  if (code != CURLE_OK && !skipped_enough && x->ending == PH_END_OK) x->ending = PH_END_FAILED;
  finish(x);
  tell(x);
}

void ph__exchange_unwatched(struct ph_exchange *x) {
  x->unwatched = true;
}

void ph__exchange_end_unwatched(struct ph_list *node) {
  struct ph_exchange *x = ph_list_entry(node, struct ph_exchange, node);
  if (!x->unwatched || x->over) return;
  snprintf(x->text, sizeof x->text, "not enough memory to watch a socket");
  ph__exchange_over(x, CURLE_OUT_OF_MEMORY);
}

static void cancel(struct ph_exchange *x) {
  if (x->over) return;
  x->ending = PH_END_CANCELLED;
  finish(x);
}

static void forget_url(struct ph_exchange *x) {
  api_of(x)->url_cleanup(x->parsed);
  x->parsed = NULL;
  x->url.len = 0;
}

static void drop_handle(struct ph_exchange *x) {
  api_of(x)->easy_cleanup(x->easy);
  api_of(x)->slist_free_all(x->headers);
  forget_url(x);
  ph_list_remove(&x->node);
  x->easy = NULL;
  x->headers = NULL;
  x->multi = NULL;
}

static void free_memory(struct ph_exchange *x) {
  ph_list_remove(&x->news);
  ph_buf_deinit(&x->url);
  ph_buf_deinit(&x->head);
  ph_buf_deinit(&x->body);
  free(x->trace); /* still there in a forked copy of the process alone */
  free(x);
}

void ph__exchange_drop(struct ph_list *node, bool touch) {
  struct ph_exchange *x = ph_list_entry(node, struct ph_exchange, node);
  if (touch) {
    cancel(x);
    tell(x);
    drop_handle(x);
    return;
  }
  if (!x->over) x->ending = PH_END_CANCELLED;
  x->over = true;
  ph_list_remove(&x->news);
  ph_list_remove(&x->node);
  x->easy = NULL;
  x->multi = NULL;
}

void ph__exchange_discard(struct ph_list *node) {
  struct ph_exchange *x = ph_list_entry(node, struct ph_exchange, node);
  drop_handle(x);
  free_memory(x);
}

static void clear(struct ph_exchange *x) {
  size_t kept = offsetof(struct ph_exchange, ud);
  memset((char *)x + kept, 0, sizeof *x - kept);
}

/* Keeps it for the next request, unless this one came to a bad end or there are enough. */
static bool keep(struct ph_exchange *x) {
  struct ph_curl_multi *m = x->multi;
  if (x->ending != PH_END_OK || x->skipped > SKIPPED_MAX || m->n_idle >= IDLE_MAX) return false;
  ph_list_remove(&x->news);
  ph_list_remove(&x->node);
  ph_list_push_front(&m->idle, &x->node);
  ph_buf_reset(&x->head, KEPT_BYTES);
  ph_buf_reset(&x->body, KEPT_BYTES);
  m->n_idle++;
  return true;
}

void ph_exchange_free(struct ph_exchange *x) {
  if (x->multi != NULL) {
    cancel(x);
    if (keep(x)) return;
    drop_handle(x);
  }
  free_memory(x);
}

/* --- the start -------------------------------------------------------------------------------------------- */

static void set_callbacks(const struct ph_curl_api *api, struct ph_exchange *x, bool progress) {
  api->easy_setopt(x->easy, CURLOPT_PRIVATE, x);
  api->easy_setopt(x->easy, CURLOPT_ERRORBUFFER, x->text);
  api->easy_setopt(x->easy, CURLOPT_HEADERFUNCTION, on_header);
  api->easy_setopt(x->easy, CURLOPT_HEADERDATA, x);
  api->easy_setopt(x->easy, CURLOPT_WRITEFUNCTION, on_body);
  api->easy_setopt(x->easy, CURLOPT_WRITEDATA, x);
  if (!progress) return;
  api->easy_setopt(x->easy, CURLOPT_NOPROGRESS, 0L);
  api->easy_setopt(x->easy, CURLOPT_XFERINFOFUNCTION, on_progress);
  api->easy_setopt(x->easy, CURLOPT_XFERINFODATA, x);
}

static struct ph_exchange *make(struct ph_curl_multi *m) {
  struct ph_exchange *x = ph_calloc(1, sizeof *x);
  if (x == NULL) return NULL;
  x->multi = m;
  x->easy = ph__curl_handle(m);
  ph_list_init(&x->node);
  ph_list_init(&x->news);
  if (x->easy != NULL) return x;
  free(x);
  return NULL;
}

/* A new exchange, or an idle one; then its handle is reset, unless it serves as it is. */
static struct ph_exchange *take(struct ph_curl_multi *m, const struct ph_request *r) {
  struct ph_list *node = ph_list_pop_front(&m->idle);
  struct ph_exchange *x = node != NULL ? ph_list_entry(node, struct ph_exchange, node) : make(m);
  if (x == NULL) return NULL;
  ph_list_push_back(&m->exchanges, &x->node);
  if (node == NULL) return x;
  m->n_idle--;
  clear(x);
  x->plain = x->plain && r->plain && !ph__curl_needs_reset(m, x->easy);
  if (x->plain) return x;
  ph__curl_reset(m, x->easy);
  forget_url(x);
  api_of(x)->slist_free_all(x->headers);
  x->headers = NULL;
  return x;
}

/* libcurl 7.88 does not copy the zone of an address in brackets. */
static void parse_url(const struct ph_curl_api *api, struct ph_exchange *x, const char *url, size_t size) {
  const unsigned flags = CURLU_GUESS_SCHEME | CURLU_NON_SUPPORT_SCHEME; /* as libcurl itself reads what it is given */
  if (memchr(url, '[', size) != NULL || ph_buf_put(&x->url, url, size) != 0) return;
  x->parsed = api->url();
  if (x->parsed == NULL || api->url_set(x->parsed, CURLUPART_URL, url, flags) != CURLUE_OK) forget_url(x);
}

static CURLcode set_plain_url(const struct ph_curl_api *api, struct ph_exchange *x, const char *url) {
  size_t size = strlen(url) + 1;
  if (size == x->url.len && memcmp(url, x->url.data, size) == 0) return CURLE_OK;
  forget_url(x);
  parse_url(api, x, url, size);
  api->easy_setopt(x->easy, CURLOPT_CURLU, x->parsed);
  return api->easy_setopt(x->easy, CURLOPT_URL, url);
}

static int configure(struct ph_exchange *x, const struct ph_request *r, struct ph_err *err) {
  const struct ph_curl_api *api = api_of(x);
  const char *refused = "url";
  CURLcode code = CURLE_OK;
  if (!x->plain) {
    set_callbacks(api, x, r->progress);
    code = ph__request_apply(api, x->easy, r, &x->headers, &refused);
  }
  x->plain = r->plain;
  if (code == CURLE_OK && r->plain) code = set_plain_url(api, x, r->url);
  if (code == CURLE_OK) return 0;
  return ph_err_set(err, "http", (int)code, "option '%s': %s", refused, api->easy_strerror(code));
}

static int add_to_multi(struct ph_exchange *x, struct ph_err *err) {
  CURLMcode code = api_of(x)->multi_add_handle(x->multi->handle, x->easy);
  if (code == CURLM_OK) return 0;
  return ph_err_set(err, "http", CURLE_FAILED_INIT, "cannot start a request: %s", api_of(x)->multi_strerror(code));
}

struct ph_exchange *ph_exchange_start(struct ph_curl_multi *m, const struct ph_request *request, void *ud,
                                      struct ph_err *err) {
  struct ph_exchange *x = take(m, request);
  if (x == NULL) {
    ph_err_set(err, "http", CURLE_OUT_OF_MEMORY, "not enough memory for a request");
    return NULL;
  }
  x->ud = ud;
  x->window = request->window;
  x->max_body = request->max_body;
  x->skip_redirects = request->skip_redirects;
  x->digest = request->digest;
  x->progress = request->progress;
  if (configure(x, request, err) != 0 || add_to_multi(x, err) != 0) {
    drop_handle(x);
    free_memory(x);
    return NULL;
  }
  ph__curl_started(m);
  if (ph_watched()) x->trace = ph__exchange_trace_begin(request->method, request->url);
  return x;
}

/* --- asking ----------------------------------------------------------------------------------------------- */

void *ph_exchange_ud(const struct ph_exchange *x) {
  return x->ud;
}

bool ph_exchange_over(const struct ph_exchange *x) {
  return x->over;
}

enum ph_ending ph_exchange_ending(const struct ph_exchange *x) {
  return x->ending;
}

int ph_exchange_error(const struct ph_exchange *x, const char **text) {
  struct ph_err err;
  *text = x->text[0] != '\0' ? x->text : ph_curl_api(&err)->easy_strerror(x->code);
  return (int)x->code;
}

int ph_exchange_head(const struct ph_exchange *x, const char **head, size_t *len) {
  *head = (const char *)x->head.data;
  *len = x->head.len;
  return x->status;
}

const struct ph_buf *ph_exchange_data(const struct ph_exchange *x) {
  return &x->body;
}

void ph_exchange_taken(struct ph_exchange *x) {
  ph_buf_reset(&x->body, x->window);
  if (!x->paused || x->over) return;
  x->paused = false;
  CURLcode code = api_of(x)->easy_pause(x->easy, CURLPAUSE_CONT); /* may call on_body */
  if (code != CURLE_OK) ph__exchange_over(x, code);
}

void ph_exchange_progress(struct ph_exchange *x, struct ph_progress *progress) {
  if (!x->over) note_sizes(x);
  *progress = (struct ph_progress){x->received, x->to_receive, x->sent, x->to_send};
  x->moved = false;
}

const char *ph_exchange_phase(struct ph_exchange *x) {
  if (!x->over) {
    note_timings(x);
    note_sizes(x);
  }
  const struct ph_timings *t = &x->timings;
  if (x->head_done) return "receiving the body";
  if (t->sent > 0 && x->sent < x->to_send) return "sending the request";
  if (t->sent > 0) return "waiting for the response";
  if (t->connected > 0) return "making the connection secure";
  if (t->resolved > 0) return "connecting";
  return "resolving the name";
}

void ph_exchange_timings(const struct ph_exchange *x, struct ph_timings *timings) {
  *timings = x->timings;
}

enum ph_http_version ph_exchange_version(const struct ph_exchange *x) {
  switch (x->version) {
    case CURL_HTTP_VERSION_1_0: return PH_HTTP_1_0;
    case CURL_HTTP_VERSION_1_1: return PH_HTTP_1_1;
    case CURL_HTTP_VERSION_2_0: return PH_HTTP_2;
    case CURL_HTTP_VERSION_3: return PH_HTTP_3;
    default: return PH_HTTP_UNKNOWN;
  }
}
