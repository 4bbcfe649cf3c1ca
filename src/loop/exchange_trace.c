/* SPDX-License-Identifier: MIT */
#include "loop/exchange_trace.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/tally.h"

struct ph_exchange_trace {
  uint64_t id;
  size_t method_len, scheme_len; /* of the name "GET host/path"; of the beginning of the URL up to "//" */
  size_t name_len;
  char texts[]; /* name \0 scheme */
};

static size_t authority_length(const char *s) {
  return strcspn(s, "/?#");
}

/* What stands before an "@" may be a secret, as may a query. */
struct ph_exchange_trace *ph__exchange_trace_begin(const char *method, const char *url) {
  const char *slashes = strstr(url, "://"), *host = slashes != NULL ? slashes + 3 : url;
  for (size_t i = authority_length(host); i-- > 0;) {
    if (host[i] != '@') continue;
    host += i + 1;
    break;
  }
  size_t method_len = strlen(method), place = strcspn(host, "?#"),
         scheme = slashes != NULL ? (size_t)(slashes + 3 - url) : 0;
  struct ph_exchange_trace *t = ph_malloc(sizeof *t + method_len + 1 + place + 1 + scheme);
  if (t == NULL) return NULL;
  *t = (struct ph_exchange_trace){.method_len = method_len, .scheme_len = scheme, .name_len = method_len + 1 + place};
  memcpy(t->texts, method, method_len);
  t->texts[method_len] = ' ';
  memcpy(t->texts + method_len + 1, host, place);
  t->texts[t->name_len] = '\0';
  memcpy(t->texts + t->name_len + 1, url, scheme);
  if (!ph_traced()) return t;
  struct ph_event e;
  t->id = ph_trace_id();
  ph_trace_gauge(PH_GAUGE_REQUESTS, 1);
  ph_event_begin_async(&e, 'b', "http", t->texts, t->id);
  ph_event_end(&e);
  ph_event_write(&e);
  return t;
}

/* From "so many microseconds since the start" to how long each took. */
static void put_phases(struct ph_event *e, const struct ph_timings *t) {
  const struct {
    const char *name;
    int64_t until;
  } phases[] = {{"dns", t->resolved}, {"connect", t->connected}, {"tls", t->secured},
                {"send", t->sent},    {"wait", t->first_byte},   {"receive", t->total}};
  int64_t since = 0;
  for (size_t i = 0; i < sizeof phases / sizeof *phases; i++) {
    int64_t until = phases[i].until > since ? phases[i].until : since;
    ph_event_integer(e, phases[i].name, until - since);
    since = until;
  }
}

static void put_url(struct ph_event *e, const struct ph_exchange_trace *t) {
  char url[1024];
  size_t place = t->name_len - t->method_len - 1, scheme = t->scheme_len < 16 ? t->scheme_len : 16;
  if (place > sizeof url - scheme) place = sizeof url - scheme;
  memcpy(url, t->texts + t->name_len + 1, scheme);
  memcpy(url + scheme, t->texts + t->method_len + 1, place);
  ph_event_text(e, "url", url, scheme + place);
}

void ph__exchange_trace_end(struct ph_exchange_trace *t, int status, int64_t bytes, const char *error,
                            const struct ph_timings *timings) {
  struct ph_event e;
  if (ph_traced()) {
    ph_event_begin_async(&e, 'e', "http", t->texts, t->id);
    ph_event_text(&e, "method", t->texts, t->method_len);
    put_url(&e, t);
    ph_event_integer(&e, "status", status);
    ph_event_integer(&e, "bytes", bytes);
    ph_event_string(&e, "error", error);
    put_phases(&e, timings);
    ph_event_end(&e);
    ph_event_write(&e);
    ph_trace_gauge(PH_GAUGE_REQUESTS, -1);
  }
  if (ph_counted()) {
    ph_tally_add(PH_TALLY_REQUESTS, 1);
    ph_tally_add(PH_TALLY_REQUESTS_FAILED, error != NULL);
    ph_tally_add(PH_TALLY_REQUEST_BYTES, bytes);
    ph_tally_add(PH_TALLY_REQUEST_NS, timings->total * 1000);
  }
  free(t);
}
