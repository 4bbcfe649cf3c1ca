/* SPDX-License-Identifier: MIT
 * What a thread is doing, told when it is asked. A signal (base/poke.h) arms the hook of the code that runs, or ends the
 * wait of the loop; then on_inspect of the vm is called, in the middle of whatever runs. So what it does may neither raise,
 * nor allocate in Lua, nor run Lua code, nor wait: it looks at frames and writes into memory that is there.
 *
 * Two answer: the state that the program's socket belongs to (lib/inspect_socket.c), and every worker, into its link. */
#ifndef PH_VM_INSPECT_H
#define PH_VM_INSPECT_H

#include "base/json_out.h"
#include "pool/link.h"
#include "vm/vm.h"

/* Handles the signal from now on, unless somebody else does. False: then nobody can be asked by it. */
bool ph_inspect_by(int number);
/* The vm that is asked when a signal comes to this thread and no worker runs in it: the last one. */
void ph_inspect_program(struct ph_vm *vm);
void ph_inspect_forget(const struct ph_vm *vm);

/* Describes the state of L, of which `runs` runs (which may be a state inside of it, for a task that runs inline). */
typedef void ph_inspect_state(struct ph_json *j, lua_State *L, lua_State *runs);

/* This thread is a worker with that link, asked by that signal (0: not at all), until the next call with NULL. */
void ph_inspect_worker(struct ph_vm *vm, struct ph_link *link, int number, ph_inspect_state *describe);

/* Around a sleep in the state's own loop. */
extern _Thread_local atomic_uint *ph_inspect_resting; /* of a worker, or NULL */
static inline void ph_inspect_rest(bool rests) {
  if (ph_inspect_resting != NULL) atomic_store_explicit(ph_inspect_resting, rests, memory_order_relaxed);
}

/* Writes array `key`: a line for each frame, the innermost first, as in tracebacks; of many, both ends. */
void ph_inspect_stack(struct ph_json *j, const char *key, lua_State *L);
/* Writes text `key`: file and line of the innermost frame of the program's own, unless there is none. */
void ph_inspect_place(struct ph_json *j, const char *key, lua_State *L);

#endif
