/* SPDX-License-Identifier: MIT */
#include "loop/url.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/fault.h"
#include "loop/curl_api.h"

#define FLAGS (CURLU_URLENCODE | CURLU_NON_SUPPORT_SCHEME)

static CURLUcode get_parts(const struct ph_curl_api *api, CURLU *handle, struct ph_url *url) {
  CURLUcode code = api->url_get(handle, CURLUPART_SCHEME, &url->scheme, 0);
  if (code == CURLUE_OK) code = api->url_get(handle, CURLUPART_HOST, &url->host, 0);
  if (code != CURLUE_OK && strcmp(url->scheme != NULL ? url->scheme : "", "file") != 0) return code;
  api->url_get(handle, CURLUPART_PORT, &url->port, CURLU_DEFAULT_PORT);
  api->url_get(handle, CURLUPART_USER, &url->user, CURLU_URLDECODE);
  api->url_get(handle, CURLUPART_PASSWORD, &url->password, CURLU_URLDECODE);
  api->url_set(handle, CURLUPART_USER, NULL, 0);
  api->url_set(handle, CURLUPART_PASSWORD, NULL, 0);
  api->url_set(handle, CURLUPART_FRAGMENT, NULL, 0);
  return api->url_get(handle, CURLUPART_URL, &url->whole, 0);
}

int ph_url_parse(struct ph_url *url, const char *text, const char *base, struct ph_err *err) {
  const struct ph_curl_api *api = ph_curl_api(err);
  if (api == NULL) return -1;
  CURLU *handle = PH_FAULT(curl) ? NULL : api->url();
  CURLUcode code = handle == NULL ? CURLUE_OUT_OF_MEMORY : CURLUE_OK;
  if (code == CURLUE_OK && base != NULL) code = api->url_set(handle, CURLUPART_URL, base, FLAGS);
  if (code == CURLUE_OK) code = api->url_set(handle, CURLUPART_URL, text, FLAGS);
  if (code == CURLUE_OK) code = get_parts(api, handle, url);
  api->url_cleanup(handle);
  if (code == CURLUE_OK) return 0;
  if (code == CURLUE_OUT_OF_MEMORY) return ph_err_set(err, "os", ENOMEM, "not enough memory to read a URL");
  return ph_err_set(err, "http", CURLE_URL_MALFORMAT, "%s", api->url_strerror(code));
}

void ph_url_deinit(struct ph_url *url) {
  struct ph_err err;
  const struct ph_curl_api *api = ph_curl_api(&err);
  char *parts[] = {url->whole, url->scheme, url->user, url->password, url->host, url->port};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (parts[i] != NULL) api->free(parts[i]);
  memset(url, 0, sizeof *url);
}
