/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"

#include <stdbool.h>

size_t ph_utf8_at(const uint8_t *s, size_t len) {
  static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (s[0] < 0x80) return 1;
  size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
  if (s[0] < 0xc0 || s[0] >= 0xf8 || n > len) return 0;
  uint32_t code = s[0] & (0xffu >> (n + 1));
  for (size_t i = 1; i < n; i++) {
    if ((s[i] & 0xc0) != 0x80) return 0;
    code = code << 6 | (s[i] & 0x3fu);
  }
  bool surrogate = code >= 0xd800 && code <= 0xdfff;
  return code >= smallest[n] && code <= 0x10ffff && !surrogate ? n : 0;
}
