/* SPDX-License-Identifier: MIT */
#include "loop/versions.h"

#include <dlfcn.h>
#include <stdio.h>
#include <uv.h>

const char *ph_loop_uv_version(void) {
  return uv_version_string();
}

const char *ph_loop_curl_version(char *version, size_t size) {
  void *library = dlopen("libcurl.so.4", RTLD_LAZY | RTLD_LOCAL);
  if (library == NULL) library = dlopen("libcurl-gnutls.so.4", RTLD_LAZY | RTLD_LOCAL);
  if (library == NULL) return NULL;
  char *(*curl_version)(void);
  *(void **)&curl_version = dlsym(library, "curl_version");
  int len = curl_version != NULL ? snprintf(version, size, "%s", curl_version()) : -1;
  return len > 0 ? version : NULL; /* the library stays: what it allocated at its loading would leak */
}
