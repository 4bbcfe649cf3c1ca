/* SPDX-License-Identifier: MIT
 * URLs as libcurl reads them: what is checked is what will be requested. */
#ifndef PH_LOOP_URL_H
#define PH_LOOP_URL_H

#include "base/err.h"

struct ph_url { /* strings of libcurl's; NULL: has none */
  char *whole;  /* without user, password and fragment */
  char *scheme, *user, *password, *host, *port;
};

/* Reads `text`, relative to `base` unless that is NULL; spaces and bytes above 127 get percent-encoded. 0, or -1 with
 * err: kind "http", code CURLE_URL_MALFORMAT. What it gives, ph_url_deinit takes back; that may be called any time after
 * the struct was zeroed. */
int ph_url_parse(struct ph_url *url, const char *text, const char *base, struct ph_err *err);
void ph_url_deinit(struct ph_url *url);

#endif
