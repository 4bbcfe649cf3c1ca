/* SPDX-License-Identifier: MIT
 * What a request says, as options of an easy handle. */
#include <string.h>

#include "loop/curl_int.h"
#include "loop/exchange.h"

struct setter { /* sets options until one is refused */
  const struct ph_curl_api *api;
  CURL *easy;
  CURLcode code;
  const char *what; /* the first that was refused */
};

static void note_refusal(struct setter *s, CURLcode code, const char *what) {
  if (code == CURLE_OK || s->code != CURLE_OK) return;
  s->code = code;
  s->what = what;
}

static void set_number(struct setter *s, CURLoption option, long value, const char *what) {
  note_refusal(s, s->api->easy_setopt(s->easy, option, value), what);
}

static void set_text(struct setter *s, CURLoption option, const char *value, const char *what) {
  if (value != NULL) note_refusal(s, s->api->easy_setopt(s->easy, option, value), what);
}

static void set_method(struct setter *s, const struct ph_request *r) {
  if (r->body != NULL) {
    note_refusal(s, s->api->easy_setopt(s->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len), "body");
    note_refusal(s, s->api->easy_setopt(s->easy, CURLOPT_POSTFIELDS, r->body), "body");
  } else if (strcmp(r->method, "HEAD") == 0) {
    set_number(s, CURLOPT_NOBODY, 1, "method");
    return;
  } else if (strcmp(r->method, "GET") == 0) {
    return; /* libcurl's default */
  }
  set_text(s, CURLOPT_CUSTOMREQUEST, r->method, "method");
}

static void set_ca_text(struct setter *s, const char *text) {
  struct curl_blob blob = {(void *)(uintptr_t)text, strlen(text), CURL_BLOB_COPY};
  note_refusal(s, s->api->easy_setopt(s->easy, CURLOPT_CAINFO_BLOB, &blob), "ca");
}

static void set_security(struct setter *s, const struct ph_request *r) {
  if (r->insecure) {
    set_number(s, CURLOPT_SSL_VERIFYPEER, 0, "verify");
    set_number(s, CURLOPT_SSL_VERIFYHOST, 0, "verify");
  }
  set_text(s, CURLOPT_CAINFO, r->ca_file, "ca");
  set_text(s, CURLOPT_CAPATH, r->ca_path, "ca");
  if (r->ca_text != NULL) set_ca_text(s, r->ca_text);
  set_text(s, CURLOPT_SSLCERT, r->cert, "cert");
  set_text(s, CURLOPT_SSLKEY, r->key, "cert");
  set_text(s, CURLOPT_KEYPASSWD, r->key_password, "cert");
  set_text(s, CURLOPT_USERNAME, r->user, "auth");
  set_text(s, CURLOPT_PASSWORD, r->password, "auth");
  if (r->digest) set_number(s, CURLOPT_HTTPAUTH, CURLAUTH_DIGEST, "auth");
}

static void set_version(struct setter *s, const char *version) {
  static const struct {
    const char *name;
    long number;
  } versions[] = {{"1.0", CURL_HTTP_VERSION_1_0},
                  {"1.1", CURL_HTTP_VERSION_1_1},
                  {"2", CURL_HTTP_VERSION_2TLS},
                  {"2-prior-knowledge", CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE}};
  for (size_t i = 0; version != NULL && i < sizeof versions / sizeof *versions; i++)
    if (strcmp(version, versions[i].name) == 0) set_number(s, CURLOPT_HTTP_VERSION, versions[i].number, "http_version");
}

static void set_connection(struct setter *s, const struct ph_request *r) {
  if (r->connect_timeout_ms > 0) set_number(s, CURLOPT_CONNECTTIMEOUT_MS, r->connect_timeout_ms, "connect_timeout");
  if (r->low_speed_seconds > 0) {
    set_number(s, CURLOPT_LOW_SPEED_LIMIT, r->low_speed_bytes, "low_speed");
    set_number(s, CURLOPT_LOW_SPEED_TIME, r->low_speed_seconds, "low_speed");
  }
  set_text(s, CURLOPT_PROXY, r->proxy, "proxy");
  set_text(s, CURLOPT_PROTOCOLS_STR, r->protocols, "protocols");
  set_version(s, r->http_version);
}

static void set_headers(struct setter *s, const struct ph_request *r, struct curl_slist **list) {
  for (size_t i = 0; i < r->n_headers; i++) {
    struct curl_slist *longer = s->api->slist_append(*list, r->headers[i]);
    if (longer == NULL) {
      note_refusal(s, CURLE_OUT_OF_MEMORY, "headers");
      return;
    }
    *list = longer;
  }
  note_refusal(s, s->api->easy_setopt(s->easy, CURLOPT_HTTPHEADER, *list), "headers");
}

CURLcode ph__request_apply(const struct ph_curl_api *api, CURL *easy, const struct ph_request *r,
                           struct curl_slist **headers, const char **refused) {
  struct setter s = {.api = api, .easy = easy};
  set_text(&s, CURLOPT_URL, r->url, "url");
  set_text(&s, CURLOPT_USERAGENT, r->user_agent, "headers");
  set_number(&s, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1, "proxy");
  if (!r->raw) set_text(&s, CURLOPT_ACCEPT_ENCODING, "", "headers");
  set_method(&s, r);
  set_headers(&s, r, headers);
  set_connection(&s, r);
  set_security(&s, r);
  *refused = s.what;
  return s.code;
}
