/* SPDX-License-Identifier: MIT
 * codec/ptrmap.c: every pattern of addresses, generations, taking back. */
#include "check.h"
#include "codec/ptrmap.h"

static const void *address(uintptr_t i, uintptr_t stride) {
  return (const void *)(0x7f0000000000u + i * stride); // NOLINT
}

static void finds_what_was_added(uintptr_t stride) {
  struct ph_ptrmap m = {0};
  for (int round = 0; round < 3; round++) {
    CHECK(ph_ptrmap_get(&m, address(1, stride)) == PH_PTRMAP_NONE);
    for (uint32_t i = 0; i < 5000; i++) {
      uint32_t value = i;
      CHECK(ph_ptrmap_add(&m, address(i, stride), &value) == 0 && value == i);
    }
    for (uint32_t i = 0; i < 5000; i++) {
      uint32_t value = 7;
      CHECK(ph_ptrmap_get(&m, address(i, stride)) == i);
      CHECK(ph_ptrmap_add(&m, address(i, stride), &value) == 1 && value == i);
    }
    CHECK(ph_ptrmap_get(&m, address(5000, stride)) == PH_PTRMAP_NONE && m.count == 5000);
    ph_ptrmap_clear(&m);
  }
  ph_ptrmap_deinit(&m);
}

static void takes_back(void) {
  struct ph_ptrmap m = {0};
  for (uint32_t i = 0; i < 100; i++) ph_ptrmap_add(&m, address(i, 16), &(uint32_t){i});
  ph_ptrmap_forget_from(&m, 50);
  CHECK(ph_ptrmap_get(&m, address(49, 16)) == 49 && ph_ptrmap_get(&m, address(50, 16)) == PH_PTRMAP_NONE);
  uint32_t value = 200;
  CHECK(ph_ptrmap_add(&m, address(50, 16), &value) == 0 && ph_ptrmap_get(&m, address(50, 16)) == 200);
  CHECK(m.count == 100);
  ph_ptrmap_deinit(&m);
}

int main(void) {
  for (uintptr_t stride = 8; stride <= 1u << 20; stride *= 2) finds_what_was_added(stride);
  finds_what_was_added(56);
  takes_back();
  return 0;
}
