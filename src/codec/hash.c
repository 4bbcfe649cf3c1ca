/* SPDX-License-Identifier: MIT
 * MurmurHash3_x64_128, an algorithm by Austin Appleby (public domain): names function prototypes. Not for
 * adversaries: whoever can choose the functions of a program has it already. */
#include <string.h>

#include "codec/codec_int.h"

static uint64_t rotate(uint64_t x, int n) {
  return (x << n) | (x >> (64 - n));
}

static uint64_t mix(uint64_t k) {
  k ^= k >> 33;
  k *= 0xff51afd7ed558ccdu;
  k ^= k >> 33;
  k *= 0xc4ceb9fe1a85ec53u;
  return k ^ (k >> 33);
}

void ph__hash128(const void *bytes, size_t len, uint8_t hash[16]) {
  const uint64_t c1 = 0x87c37b91114253d5u, c2 = 0x4cf5ad432745937fu;
  const uint8_t *p = bytes;
  uint64_t h1 = 0, h2 = 0, k1, k2;
  uint8_t last[16] = {0};
  for (size_t left = len; left > 0; left -= left < 16 ? left : 16, p += 16) {
    const uint8_t *block = p;
    if (left < 16) {
      memcpy(last, p, left);
      block = last;
    }
    memcpy(&k1, block, 8);
    memcpy(&k2, block + 8, 8);
    h1 = rotate(h1 ^ (rotate(k1 * c1, 31) * c2), 27) + h2;
    h1 = h1 * 5 + 0x52dce729;
    h2 = rotate(h2 ^ (rotate(k2 * c2, 33) * c1), 31) + h1;
    h2 = h2 * 5 + 0x38495ab5;
  }
  h1 ^= len;
  h2 ^= len;
  h1 += h2;
  h2 += h1;
  h1 = mix(h1);
  h2 = mix(h2);
  h1 += h2;
  h2 += h1;
  memcpy(hash, &h1, 8);
  memcpy(hash + 8, &h2, 8);
}
