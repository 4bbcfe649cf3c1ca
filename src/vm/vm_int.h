/* SPDX-License-Identifier: MIT
 * What the files of vm/ know of each other. All of these may raise and leave the stack as it was. */
#ifndef PH_VM_VM_INT_H
#define PH_VM_VM_INT_H

#include "vm/vm.h"

/* Replaces pcall, xpcall, load and the coroutine functions that catch errors (vm/protect.c). */
void ph__protect_install(lua_State *L, struct ph_vm *vm);
/* True for our pcall or xpcall; `guarded` says that the function has a message handler, in its stack slot 2. */
bool ph__protect_catches(lua_CFunction f, bool *guarded);

/* Puts the searcher for what is built in behind package.preload (vm/searcher.c). */
void ph__searcher_install(lua_State *L);
/* True for the chunk name of a Lua module that is built in, but for those of the command line. */
bool ph__is_module(const char *chunkname);

/* Makes the class of signals (vm/cancel.c). */
void ph__cancel_install(lua_State *L, struct ph_vm *vm);

/* Replaces os.exit in workers (vm/exit.c). */
void ph__exit_install(lua_State *L, struct ph_vm *vm);

/* Somebody has asked what the state does, of which `runs` runs (vm/inspect.c). */
void ph__inspect_serve(lua_State *runs, struct ph_vm *vm);

/* Of a state of ours. */
void *ph__allocate(void *vm, void *block, size_t old_size, size_t new_size); /* vm/alloc.c: a lua_Alloc */
void ph__warn_install(lua_State *L, struct ph_vm *vm);                       /* vm/warn.c */

#endif
