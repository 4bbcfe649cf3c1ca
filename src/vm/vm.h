/* SPDX-License-Identifier: MIT
 * One Lua state and what parhost knows of it. ph_vm_open builds every state there is: the main program's,
 * a worker's, an inline task's. A vm belongs to the thread that opened it; other threads may touch only the
 * fields marked atomic, and only through ph_vm_request_stop. */
#ifndef PH_VM_VM_H
#define PH_VM_VM_H

#include <lua.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct ph_vm {
  lua_State *L;                 /* the main thread of the state */
  lua_State *volatile running;  /* the coroutine that runs now: the one to hook */
  size_t used, limit;           /* bytes of the Lua heap; limit 0: none */
  bool limit_hit;               /* an allocation was refused since this was last cleared */
  bool is_worker;               /* os.exit leaves the worker, not the program */
  bool level_triggered;         /* a raised stop stays pending until ph_vm_clear_stop (tasks of workers) */
  atomic_int stop;              /* a stop request: enum ph_stop */
  volatile int wake_fd;         /* eventfd that ends a wait of the state's loop; -1: none. For signal handlers */
};

/* Why running code is asked to stop: CONTRACT "source". */
enum ph_stop { PH_STOP_NONE, PH_STOP_EXPLICIT, PH_STOP_DEADLINE, PH_STOP_GROUP, PH_STOP_SHUTDOWN, PH_STOP_SIGNAL };

struct ph_vm_options {
  size_t memory_limit; /* bytes, 0: none */
  bool is_worker;
};

/* Gives a vm with the standard libraries, the replaced functions of vm/protect.c and the searcher for embedded
 * modules; NULL without memory. */
struct ph_vm *ph_vm_open(const struct ph_vm_options *options);
void ph_vm_close(struct ph_vm *vm);

/* The vm of a state; NULL in a state that ph_vm_open did not build and ph_vm_adopt has not seen. */
struct ph_vm *ph_vm_of(lua_State *L);

/* The vm that runs in this thread, for signal handlers. */
extern _Thread_local struct ph_vm *ph_vm_current;

/* --- the cancellation signal (vm/cancel.c) ---------------------------------------------------------------
 * One value per state, which pcall, xpcall, coroutine.resume and coroutine.wrap hand on instead of catching. */

/* Pushes the signal. It is a table { source = , reason = } with metatable "parhost.Cancelled". */
void ph_cancel_push(lua_State *L, enum ph_stop source, const char *reason);
/* True when the value at idx is a cancellation signal. */
bool ph_cancel_is(lua_State *L, int idx);
const char *ph_stop_name(enum ph_stop source);

/* Arms a one-shot hook on the running coroutine, which raises the signal. Async-signal-safe; to be called in the
 * vm's own thread (from a signal handler). */
void ph_vm_interrupt(struct ph_vm *vm, enum ph_stop source);

/* Raises the signal when a stop is pending: every parhost call that may wait is such a cancellation point. */
void ph_vm_check_stop(lua_State *L);
/* Forgets a stop that is pending or armed. In the vm's own thread. */
void ph_vm_clear_stop(struct ph_vm *vm);

/* --- calls ------------------------------------------------------------------------------------------------ */

/* lua_pcall with a message handler that takes the traceback where the error is raised. LUA_OK, or the status with
 * two values pushed: the error value and the traceback (a string, or nil when there is none: memory errors, the
 * cancellation signal). Tracebacks are cut to a few dozen lines. */
int ph_vm_call(lua_State *L, int nargs, int nresults);

#endif
