/* SPDX-License-Identifier: MIT
 * A growing byte buffer. Owned by one thread at a time; the bytes move when it grows.
 * Growing fails only for want of memory: every appending call then returns -1 and leaves the buffer as it was. */
#ifndef PH_BASE_BUF_H
#define PH_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct ph_buf {
  uint8_t *data;
  size_t len, cap;
};

#define PH_BUF_INIT                                                                                                         \
  { NULL, 0, 0 }

void ph_buf_init(struct ph_buf *b);
void ph_buf_deinit(struct ph_buf *b);

/* Makes room for `extra` more bytes behind len. 0, or -1 without memory. */
int ph_buf_grow(struct ph_buf *b, size_t extra);

/* Empties the buffer, and gives memory above `keep` bytes back. */
void ph_buf_reset(struct ph_buf *b, size_t keep);

static inline int ph_buf_reserve(struct ph_buf *b, size_t extra) {
  return b->cap - b->len >= extra ? 0 : ph_buf_grow(b, extra);
}

static inline int ph_buf_put(struct ph_buf *b, const void *bytes, size_t n) {
  if (ph_buf_reserve(b, n) != 0) return -1;
  if (n > 0) memcpy(b->data + b->len, bytes, n);
  b->len += n;
  return 0;
}

static inline int ph_buf_put_u8(struct ph_buf *b, uint8_t v) {
  if (ph_buf_reserve(b, 1) != 0) return -1;
  b->data[b->len++] = v;
  return 0;
}

#endif
