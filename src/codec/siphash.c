/* SPDX-License-Identifier: MIT
 * SipHash-2-4 by Jean-Philippe Aumasson and Daniel J. Bernstein (2012). */
#include <string.h>

#include "codec/codec_int.h"

static uint64_t rotate(uint64_t x, int n) {
  return (x << n) | (x >> (64 - n));
}

static void sip_round(uint64_t v[4]) {
  v[0] += v[1];
  v[2] += v[3];
  v[1] = rotate(v[1], 13) ^ v[0];
  v[3] = rotate(v[3], 16) ^ v[2];
  v[0] = rotate(v[0], 32);
  v[2] += v[1];
  v[0] += v[3];
  v[1] = rotate(v[1], 17) ^ v[2];
  v[3] = rotate(v[3], 21) ^ v[0];
  v[2] = rotate(v[2], 32);
}

static void sip_block(uint64_t v[4], uint64_t block) {
  v[3] ^= block;
  sip_round(v);
  sip_round(v);
  v[0] ^= block;
}

uint64_t ph__siphash(const uint8_t key[16], const uint8_t *p, size_t len) {
  uint64_t k0, k1, block;
  memcpy(&k0, key, 8);
  memcpy(&k1, key + 8, 8);
  uint64_t v[4] = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u, k1 ^ 0x7465646279746573u};
  for (size_t left = len; left >= 8; left -= 8, p += 8) {
    memcpy(&block, p, 8);
    sip_block(v, block);
  }
  block = 0;
  memcpy(&block, p, len % 8);
  sip_block(v, block | (uint64_t)len << 56);
  v[2] ^= 0xff;
  for (int i = 0; i < 4; i++) sip_round(v);
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}
