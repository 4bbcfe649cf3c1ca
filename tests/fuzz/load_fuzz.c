/* SPDX-License-Identifier: MIT
 * load_value: the header with a valid check in front of any bytes, and any bytes as a whole. */
#include <stdlib.h>
#include <string.h>

#include "codec/codec_int.h"
#include "dump_mutator.h"
#include "support.h"

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

#define CHECK_AT 12
#define BODY_AT 20

/* The check of a dump without functions has no secret: hostile bytes can have a right one. */
static void repair(uint8_t *data, size_t size) {
  static const uint8_t zeros[16];
  if (size < BODY_AT) return;
  uint64_t check = ph__siphash(zeros, data + BODY_AT, size - BODY_AT);
  memcpy(data + CHECK_AT, &check, sizeof check);
}

static int load(lua_State *L) {
  const struct fuzz_input *in = lua_touserdata(L, 1);
  struct ph_err err = {0};
  int top = lua_gettop(L);
  uint8_t *copy = lua_newuserdatauv(L, in->size + 1, 0);
  if (in->size > 0) memcpy(copy, in->data, in->size);
  for (int i = 0; i < 2; i++) {
    int status = ph_codec_load(L, copy, in->size, &err);
    if (status != 0) PH_CHECK(err.kind != NULL && err.message[0] != '\0');
    lua_settop(L, top + 1);
    repair(copy, in->size);
  }
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz_run(load, data, size);
  return 0;
}

/* Now and then the header, too. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
  if (size <= BODY_AT || seed % 16 == 0) return LLVMFuzzerMutate(data, size, max_size);
  return BODY_AT + mutate_dump(data + BODY_AT, size - BODY_AT, max_size - BODY_AT, seed);
}
