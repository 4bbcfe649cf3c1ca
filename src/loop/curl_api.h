/* SPDX-License-Identifier: MIT
 * libcurl, loaded at the first request of the process: linking it would cost each start milliseconds. The table is
 * filled once, by whichever thread comes first, and never changes after that; the library is never unloaded. */
#ifndef PH_LOOP_CURL_API_H
#define PH_LOOP_CURL_API_H

#include <curl/curl.h>

#include "base/err.h"

/* The functions of libcurl that we use. The headers' type-checking macros do not apply to them: the compiler takes
 * `long` for options of numbers only where the caller writes it. */
#define PH_CURL_FUNCTIONS(X)                                                                                                \
  X(global_init, CURLcode, (long))                                                                                          \
  X(version, char *, (void))                                                                                                \
  X(easy_init, CURL *, (void))                                                                                              \
  X(easy_setopt, CURLcode, (CURL *, CURLoption, ...))                                                                       \
  X(easy_getinfo, CURLcode, (CURL *, CURLINFO, ...))                                                                        \
  X(easy_pause, CURLcode, (CURL *, int))                                                                                    \
  X(easy_reset, void, (CURL *))                                                                                             \
  X(easy_cleanup, void, (CURL *))                                                                                           \
  X(easy_strerror, const char *, (CURLcode))                                                                                \
  X(multi_init, CURLM *, (void))                                                                                            \
  X(multi_setopt, CURLMcode, (CURLM *, CURLMoption, ...))                                                                   \
  X(multi_add_handle, CURLMcode, (CURLM *, CURL *))                                                                         \
  X(multi_remove_handle, CURLMcode, (CURLM *, CURL *))                                                                      \
  X(multi_socket_action, CURLMcode, (CURLM *, curl_socket_t, int, int *))                                                   \
  X(multi_info_read, CURLMsg *, (CURLM *, int *))                                                                           \
  X(multi_cleanup, CURLMcode, (CURLM *))                                                                                    \
  X(multi_strerror, const char *, (CURLMcode))                                                                              \
  X(share_init, CURLSH *, (void))                                                                                           \
  X(share_setopt, CURLSHcode, (CURLSH *, CURLSHoption, ...))                                                                \
  X(share_cleanup, CURLSHcode, (CURLSH *))                                                                                  \
  X(slist_append, struct curl_slist *, (struct curl_slist *, const char *))                                                 \
  X(slist_free_all, void, (struct curl_slist *))                                                                            \
  X(url, CURLU *, (void))                                                                                                   \
  X(url_cleanup, void, (CURLU *))                                                                                           \
  X(url_set, CURLUcode, (CURLU *, CURLUPart, const char *, unsigned int))                                                   \
  X(url_get, CURLUcode, (CURLU *, CURLUPart, char **, unsigned int))                                                        \
  X(url_strerror, const char *, (CURLUcode))                                                                                \
  X(free, void, (void *))

struct ph_curl_api {
#define X(name, result, arguments) result(*name) arguments; /* NOLINT(bugprone-macro-parentheses): a declaration */
  PH_CURL_FUNCTIONS(X)
#undef X
};

/* The table; NULL with an error of kind "http" that says what is missing. */
const struct ph_curl_api *ph_curl_api(struct ph_err *err);

#endif
