/* SPDX-License-Identifier: MIT
 * The decoder with its one choice: whether the bytes may bring code. */
#ifndef PH_CODEC_DECODE_H
#define PH_CODEC_DECODE_H

#include "codec/codec.h"

/* As ph_decode; without allow_code, functions, captured globals and light userdata are refused, and then any bytes at
 * all are safe. */
int ph__decode(lua_State *L, const struct ph_blob_store *blobs, int externs, bool allow_code, const void *data, size_t len,
               struct ph_err *err);

#endif
