/* SPDX-License-Identifier: MIT
 * A mutator that knows the format of messages (docs/codec.md): it finds the values in a message that is valid up to some
 * point, and replaces, repeats, wraps, drops and retags them, or lets references point to other values. libFuzzer's own
 * mutations of bytes have their turn, too. */
#ifndef PH_TESTS_FUZZ_DUMP_MUTATOR_H
#define PH_TESTS_FUZZ_DUMP_MUTATOR_H

#include <string.h>

#include "codec/codec_int.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

#define MUTATOR_SPANS 512
#define MUTATOR_DEPTH 64

struct span {
  size_t at, len;
  uint8_t tag;
};

struct mutator {
  const uint8_t *data;
  size_t size, p;
  struct span spans[MUTATOR_SPANS];
  unsigned n;
  uint64_t random;
};

static inline unsigned mutator_random(struct mutator *m, size_t below) {
  m->random = m->random * 6364136223846793005u + 1442695040888963407u;
  return below == 0 ? 0 : (unsigned)((m->random >> 33) % below);
}

/* --- finding values: each gives false where the message is not valid any more ------------------------------- */

static inline bool mutator_varint(struct mutator *m, uint64_t *v) {
  *v = 0;
  for (int shift = 0; m->p < m->size && shift < 64; shift += 7) {
    uint8_t b = m->data[m->p++];
    *v |= (uint64_t)(b & 0x7f) << shift;
    if (!(b & 0x80)) return true;
  }
  return false;
}

static inline bool mutator_skip(struct mutator *m, uint64_t n) {
  if (n > m->size - m->p) return false;
  m->p += (size_t)n;
  return true;
}

static bool mutator_value(struct mutator *m, int depth);

static inline bool mutator_values(struct mutator *m, int depth, uint64_t n) {
  for (; n > 0; n--)
    if (!mutator_value(m, depth)) return false;
  return true;
}

static inline bool mutator_table(struct mutator *m, int depth) {
  uint64_t n;
  if (!mutator_varint(m, &n) || !mutator_skip(m, 1) || !mutator_values(m, depth, n)) return false;
  while (m->p < m->size && m->data[m->p] != PH_TAG_END)
    if (!mutator_values(m, depth, 2)) return false;
  return mutator_skip(m, 1);
}

static inline bool mutator_content(struct mutator *m, int depth, uint8_t tag) {
  uint64_t v;
  switch (tag) {
    case PH_TAG_INT:
    case PH_TAG_STRING_REF:
    case PH_TAG_REF:
    case PH_TAG_EXTERN: return mutator_varint(m, &v);
    case PH_TAG_FLOAT:
    case PH_TAG_LIGHT: return mutator_skip(m, 8);
    case PH_TAG_STRING:
    case PH_TAG_STRING_SHARED: return mutator_varint(m, &v) && mutator_skip(m, v);
    case PH_TAG_TABLE:
    case PH_TAG_TABLE_SHARED: return mutator_table(m, depth);
    case PH_TAG_MODULE: return mutator_value(m, depth);
    case PH_TAG_CAPTURE:
    case PH_TAG_NAMED: return mutator_values(m, depth, 2);
    case PH_TAG_CLASS_NAMED: return mutator_value(m, depth) && mutator_varint(m, &v);
    case PH_TAG_CLASS: return mutator_values(m, depth, 4);
    case PH_TAG_INSTANCE:
    case PH_TAG_INSTANCE_SHARED:
      return mutator_value(m, depth) && mutator_varint(m, &v) && mutator_skip(m, 1) && mutator_value(m, depth);
    case PH_TAG_FUNCTION:
    case PH_TAG_FUNCTION_SHARED: return false;
    default: return true;
  }
}

static bool mutator_value(struct mutator *m, int depth) {
  if (m->p >= m->size || depth >= MUTATOR_DEPTH || m->n == MUTATOR_SPANS) return false;
  struct span *s = &m->spans[m->n++];
  s->at = m->p;
  s->tag = m->data[m->p++];
  bool whole = mutator_content(m, depth + 1, s->tag);
  s->len = m->p - s->at;
  return whole;
}

static inline void mutator_scan(struct mutator *m) {
  uint64_t n;
  if (mutator_varint(m, &n)) mutator_values(m, 0, n + 1); /* END is a value, too */
}

/* --- changing them ------------------------------------------------------------------------------------------ */

/* Replaces `len` bytes at `at`; false when there is no room. */
static inline bool mutator_splice(uint8_t *data, size_t *size, size_t max, size_t at, size_t len, const void *with,
                                  size_t n) {
  if (*size - len + n > max || n > 4096) return false;
  uint8_t copy[4096];
  memcpy(copy, with, n);
  memmove(data + at + n, data + at + len, *size - at - len);
  memcpy(data + at, copy, n);
  *size = *size - len + n;
  return true;
}

static inline bool mutator_piece(struct mutator *m, uint8_t *data, size_t *size, size_t max, const struct span *s) {
  static const struct {
    uint8_t len;
    const char *bytes;
  } pieces[] = {{1, "\0"},
                {1, "\1"},
                {1, "\x85"},
                {1, "\17"},
                {1, "\xff"},
                {3, "\3\xff\x01"},
                {9, "\4\0\0\0\0\0\0\xf8\x7f"},
                {3, "\5\1x"},
                {3, "\6\1y"},
                {4, "\x8\0\0\x17"},
                {4, "\x9\0\0\x17"},
                {7, "\x8\1\1\x81\x81\x82\x17"},
                {16, "\xd\5\6string\5\6format"},
                {9, "\xe\5\6string"},
                {14, "\x11\5\5point\0\0\x8\0\0\x17"},
                {12, "\x11\5\6dumped\0\1\x81"},
                {13, "\x12\5\6dumped\0\1\x8\0"},
                {8, "\x15\5\5point\0"},
                {10, "\x18\5\4name\x81\x17"}};
  unsigned i = mutator_random(m, sizeof pieces / sizeof *pieces);
  return mutator_splice(data, size, max, s->at, s->len, pieces[i].bytes, pieces[i].len);
}

static inline bool mutator_refer(struct mutator *m, uint8_t *data, size_t *size, size_t max, const struct span *s) {
  size_t to = m->spans[mutator_random(m, m->n)].at;
  uint8_t bytes[4] = {mutator_random(m, 2) ? PH_TAG_REF : PH_TAG_STRING_REF, (uint8_t)to, 0, 0};
  size_t n = 2;
  if (to > 127) {
    bytes[1] = (uint8_t)(0x80 | (to & 0x7f));
    bytes[2] = (uint8_t)(to >> 7 & 0x7f);
    n = 3;
  }
  return mutator_splice(data, size, max, s->at, s->len, bytes, n);
}

static inline bool mutator_wrap(uint8_t *data, size_t *size, size_t max, const struct span *s) {
  static const char before[] = {PH_TAG_TABLE, 1, 0}, after[] = {PH_TAG_END};
  return mutator_splice(data, size, max, s->at + s->len, 0, after, sizeof after) &&
         mutator_splice(data, size, max, s->at, 0, before, sizeof before);
}

static inline bool mutator_step(struct mutator *m, uint8_t *data, size_t *size, size_t max) {
  const struct span *s = &m->spans[mutator_random(m, m->n)], *other = &m->spans[mutator_random(m, m->n)];
  switch (mutator_random(m, 8)) {
    case 0: return mutator_splice(data, size, max, s->at, s->len, data + other->at, other->len);
    case 1: return mutator_splice(data, size, max, s->at, 0, data + other->at, other->len);
    case 2: return mutator_splice(data, size, max, s->at, s->len, "", 0);
    case 3: data[s->at] = (uint8_t)mutator_random(m, PH_TAG_CAPTURE + 2); return true;
    case 4: return mutator_refer(m, data, size, max, s);
    case 5: return mutator_wrap(data, size, max, s);
    default: return mutator_piece(m, data, size, max, s);
  }
}

/* Changes the message of `size` bytes in place; gives the new size. */
static inline size_t mutate_dump(uint8_t *data, size_t size, size_t max, unsigned seed) {
  struct mutator m = {.random = seed * 2654435761u + 1};
  if (mutator_random(&m, 4) == 0) return LLVMFuzzerMutate(data, size, max);
  for (unsigned steps = 1 + mutator_random(&m, 3); steps > 0; steps--) {
    m.data = data;
    m.size = size;
    m.p = m.n = 0;
    mutator_scan(&m);
    if (m.n == 0 || !mutator_step(&m, data, &size, max)) return LLVMFuzzerMutate(data, size, max);
  }
  return size;
}

#endif
