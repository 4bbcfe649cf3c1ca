/* SPDX-License-Identifier: MIT
 * The versions of the libraries in use, for --version. */
#ifndef PH_LOOP_VERSIONS_H
#define PH_LOOP_VERSIONS_H

#include <stddef.h>

const char *ph_loop_uv_version(void);
/* The libcurl that the first request would load; loads it. Fills `version`, and gives it; NULL when there is none. */
const char *ph_loop_curl_version(char *version, size_t size);

#endif
