/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include <stdlib.h>

#include "base/big.h"
#include "base/mem.h"

void ph_buf_init(struct ph_buf *b) {
  *b = (struct ph_buf)PH_BUF_INIT;
}

void ph_buf_deinit(struct ph_buf *b) {
  free(b->data);
  ph_buf_init(b);
}

int ph_buf_grow(struct ph_buf *b, size_t extra) {
  if (extra > SIZE_MAX / 2 - b->len) return -1;
  size_t need = b->len + extra;
  size_t cap = b->cap < 64 ? 64 : b->cap;
  while (cap < need) cap += cap / 2 + 16;
  uint8_t *data = ph_big_advise(ph_realloc(b->data, cap), cap);
  if (data == NULL) return -1;
  b->data = data;
  b->cap = cap;
  return 0;
}

void ph_buf_reset(struct ph_buf *b, size_t keep) {
  b->len = 0;
  if (b->cap <= keep) return;
  if (keep == 0) {
    ph_buf_deinit(b);
    return;
  }
  uint8_t *data = realloc(b->data, keep);
  if (data == NULL) return;
  b->data = data;
  b->cap = keep;
}
