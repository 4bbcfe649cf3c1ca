/* SPDX-License-Identifier: MIT
 * UTF-8 (RFC 3629), where bytes of any kind are to become valid JSON. */
#ifndef PH_BASE_UTF8_H
#define PH_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* How many bytes the character at `s` has, of which there are `len` > 0; 0: it is none (a surrogate, one that is longer than
 * it need be, no end). */
size_t ph_utf8_at(const uint8_t *s, size_t len);

#endif
