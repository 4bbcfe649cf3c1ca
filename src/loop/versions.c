/* SPDX-License-Identifier: MIT */
#include "loop/versions.h"

#include <stdio.h>
#include <uv.h>

#include "loop/curl_api.h"

const char *ph_loop_uv_version(void) {
  return uv_version_string();
}

const char *ph_loop_curl_version(char *version, size_t size) {
  struct ph_err err;
  const struct ph_curl_api *api = ph_curl_api(&err);
  int len = api != NULL ? snprintf(version, size, "%s", api->version()) : -1;
  return len > 0 ? version : NULL;
}
