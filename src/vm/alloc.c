/* SPDX-License-Identifier: MIT
 * The memory of a Lua state: counted, limited, small blocks from the state's own slab. */
#include <stdlib.h>
#include <string.h>

#include "base/big.h"
#include "base/fault.h"
#include "vm/vm_int.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer)
#define SLAB_MAX 0 /* every block from malloc, which is watched */
#else
#define SLAB_MAX PH_SLAB_MAX
#endif

static void release(struct ph_vm *vm, void *block, size_t size) {
  if (block != NULL && size <= SLAB_MAX)
    ph_slab_put(&vm->slab, block, size);
  else
    free(block);
}

static void *resize(struct ph_vm *vm, void *block, size_t old_size, size_t new_size) {
  bool was_small = block == NULL || old_size <= SLAB_MAX, is_small = new_size <= SLAB_MAX;
  if (!is_small && (!was_small || block == NULL)) return ph_big_advise(realloc(block, new_size), new_size);
  void *moved = is_small ? ph_slab_get(&vm->slab, new_size) : malloc(new_size);
  if (moved == NULL || block == NULL) return moved;
  memcpy(moved, block, old_size < new_size ? old_size : new_size);
  release(vm, block, old_size);
  return moved;
}

#ifdef PH_GCSTRESS
/* Refuses a new object now and then: Lua then collects all garbage, whatever it is in the middle of, and asks again. What
 * nothing holds is gone at once. Each allocation pays for so many bytes of heap to be walked, so small states collect at
 * every few, big ones stay usable. */
#define STRESS_BYTES 4096

static bool must_collect(struct ph_vm *vm, bool is_object) {
  if (!is_object || vm->L == NULL) return false; /* a state that is being made would not ask again */
  if (vm->stress_retry) {
    vm->stress_retry = false;
    return false;
  }
  vm->stress_random = vm->stress_random * 6364136223846793005u + 1442695040888963407u;
  vm->stress_credit += (size_t)(vm->stress_random >> 32) % (2 * STRESS_BYTES);
  if (vm->stress_credit < vm->used) return false;
  vm->stress_credit = 0;
  vm->stress_retry = true;
  return true;
}
#endif

void *ph__allocate(void *ud, void *block, size_t old_size, size_t new_size) {
  struct ph_vm *vm = ud;
#ifdef PH_GCSTRESS
  if (must_collect(vm, block == NULL && old_size != 0))
    return NULL; /* 0: no object; perhaps of lauxlib, which would give up */
#endif
  if (block == NULL) old_size = 0; /* for new blocks it is a type tag */
  if (new_size == 0) {
    if (!vm->leaves_memory) release(vm, block, old_size);
    vm->used -= old_size;
    return NULL;
  }
  if (vm->limit != 0 && new_size > old_size && vm->used + (new_size - old_size) > vm->limit) {
    vm->limit_hit = true;
    return NULL;
  }
  if (new_size > old_size && PH_FAULT(lua_alloc)) return NULL;
  void *moved = resize(vm, block, old_size, new_size);
  if (moved != NULL) vm->used += new_size - old_size;
  return moved;
}
