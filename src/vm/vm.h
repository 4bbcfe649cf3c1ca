/* SPDX-License-Identifier: MIT
 * One Lua state and what parhost knows of it. ph_vm_open builds every state there is: the main program's,
 * a worker's, an inline task's. A vm belongs to the thread that opened it; other threads may touch only the
 * fields marked atomic, and only through ph_vm_request_stop. */
#ifndef PH_VM_VM_H
#define PH_VM_VM_H

#include <lua.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/slab.h"

/* Why running code is asked to stop: CONTRACT "source". */
enum ph_stop { PH_STOP_NONE, PH_STOP_EXPLICIT, PH_STOP_DEADLINE, PH_STOP_GROUP, PH_STOP_SHUTDOWN, PH_STOP_SIGNAL };

struct ph_vm {
  lua_State *L;                /* the main thread of the state */
  lua_State *volatile running; /* the coroutine that runs now: the one to hook */
  size_t used, limit;          /* bytes of the Lua heap; limit 0: none */
  struct ph_slab slab;         /* the small blocks of it */
#ifdef PH_GCSTRESS
  size_t stress_credit;
  uint64_t stress_random;
  bool stress_retry;
#endif
  struct ph_warnings {
    bool on, continued; /* the last piece was not the end of its message */
  } warnings;
  bool limit_hit;       /* an allocation was refused since this was last cleared */
  bool leaves_memory;   /* nothing is freed any more: the process ends */
  jmp_buf *closed;      /* then: where lua_close goes on once the finalizers have run */
  bool is_worker;       /* os.exit leaves the worker, not the program */
  bool exit_raises;     /* os.exit raises "worker_exit": a worker that shares its process with others */
  bool is_program;      /* the main state of the host program */
  bool adopted;         /* the state is somebody else's: ph_vm_adopt */
  bool exits_on_close;  /* lua_close runs the exit sequence: ph_vm_exit_on_close */
  bool exited;          /* os.exit was called, where that ends no process: ph_vm_exit_unwinds */
  int exit_code;        /* with this code */
  bool level_triggered; /* a raised stop stays pending until ph_vm_clear_stop (tasks of workers) */
  atomic_int stop;      /* a stop request: enum ph_stop */
  volatile int wake_fd; /* eventfd that ends a wait of the state's loop; -1: none. For signal handlers */

  volatile sig_atomic_t armed; /* the interrupt hook waits on `running` (vm/cancel.c) */
  volatile int locals;         /* of the caller when a call has just ended; -1: not known, INT_MAX: none has */
  lua_State *hooked;           /* whose own hook the interrupt hook stands in for */
  lua_Hook own_hook;
  int own_mask, own_count;
  volatile sig_atomic_t requests; /* PH_REQUEST_...: what on_request is to be called for */
  void (*on_request)(lua_State *L, int requests);
  void (*on_inspect)(lua_State *L, lua_State *runs); /* the same for PH_REQUEST_INSPECT: see vm/inspect.h */
  void (*before_check)(void); /* called at every cancellation point: interrupts when it must. NULL: signals do */
  bool (*on_stop)(lua_State *L, enum ph_stop source); /* true: it has taken care of a stop request; may raise. NULL: none */
  bool (*is_delicate)(lua_State *L); /* what runs cannot be left in the middle: the hook waits. NULL: nothing is */
  lua_State *task;                   /* the coroutine that the task which runs was started in; NULL: plain code runs */
  bool task_shown;                   /* the program has got hold of it */
  lua_State *scope_co; /* the generator that the innermost scope of the running task was opened in; NULL: none */
  unsigned suspended;  /* generators that have yielded inside of scopes */
  void (*on_yield)(lua_State *L, lua_State *co); /* scope_co has yielded: its scopes do not count until it goes on */
  void (*on_entry)(lua_State *L, lua_State *co); /* a coroutine goes on; called while any are suspended */
  lua_State *closing;                            /* whose <close> variables run outside of it: they cannot park */
  lua_State *barred;                             /* whose C call was in the way of the last park that failed */
  const void *signal_class;                      /* identity of the metatable of signals */
  int calls;                                     /* nesting of ph_vm_call */
  struct ph_vm *outer;                           /* ph_vm_current before this vm was opened */
};

struct ph_vm_options {
  size_t memory_limit; /* bytes, 0: none */
  bool is_worker;
  bool exit_raises;
};

/* Gives a vm with the standard libraries, the replaced functions of vm/protect.c and the searcher for embedded
 * modules; NULL without memory. */
struct ph_vm *ph_vm_open(const struct ph_vm_options *options);
void ph_vm_close(struct ph_vm *vm);
/* The same when the process is about to end: finalizers run, but memory is left to the system. */
void ph_vm_close_last(struct ph_vm *vm);

/* Runs the exit sequence of lua/parhost/exit.lua, if anything in the state has loaded it: hooks, then pools. The mode
 * is "normal", "error" or "signal". A later call goes on where one was left. Workers do this in ph_vm_close. */
void ph_vm_run_exit(struct ph_vm *vm, const char *mode);

/* Gives a state that somebody else made (stock lua, an embedding tool) the same functions and searcher. The vm dies
 * with the state; its heap is not counted. Gives the vm that the state has when it has one already. May raise. */
struct ph_vm *ph_vm_adopt(lua_State *L);

/* For adopted states. All may raise.
 * lua_close runs the exit sequence, before it finalizes what the sequence needs: whatever has a finalizer that ends work
 * calls ph_vm_keep_exit_first when it is made. (Elsewhere that does nothing.) */
void ph_vm_exit_on_close(lua_State *L, struct ph_vm *vm);
void ph_vm_keep_exit_first(lua_State *L);
/* os.exit runs the exit sequence, then does what it did before. */
void ph_vm_exit_in_order(lua_State *L);
/* os.exit unwinds the code that runs, as a stop request does, and leaves the code in the vm. */
void ph_vm_exit_unwinds(lua_State *L);

/* Makes the state of a forked copy of this process a worker's: os.exit leaves the worker, random numbers differ, no loop
 * wakes up. Gives a fresh coroutine to run tasks in, since the fork happened in the middle of what ran; NULL without memory.
 */
lua_State *ph_vm_become_worker(struct ph_vm *vm);

/* In a forked copy of the process: the state, which was made before and has run nothing, gets random numbers of its own. */
void ph_vm_part_ways(struct ph_vm *vm);

/* Pushes the main function of a Lua module that is built in; raises when there is none. Gives 1. */
int ph_vm_load_embedded(lua_State *L, const char *module);

/* The vm of a state; NULL in a state that ph_vm_open did not build and ph_vm_adopt has not seen. */
struct ph_vm *ph_vm_of(lua_State *L);

/* The vm that runs in this thread, of those that ph_vm_open built: for signal handlers. */
extern _Thread_local struct ph_vm *ph_vm_current;

/* --- the cancellation signal (vm/cancel.c) ---------------------------------------------------------------
 * One value per state, which pcall, xpcall, coroutine.resume and coroutine.wrap hand on instead of catching. */

/* Pushes the signal. It is a table { source = , reason = } with metatable "parhost.Cancelled". */
void ph_cancel_push(lua_State *L, enum ph_stop source, const char *reason);
/* True when the value at idx is a cancellation signal. */
bool ph_cancel_is(lua_State *L, int idx);
const char *ph_stop_name(enum ph_stop source);

/* Raises the signal at the top of the stack so that no message handler of an xpcall on the way runs for it. */
_Noreturn void ph_cancel_raise(lua_State *L);

/* Arms a one-shot hook on the running coroutine, which raises the signal, and ends a wait of the state's loop.
 * Async-signal-safe; to be called in the vm's own thread (from a signal handler). */
void ph_vm_interrupt(struct ph_vm *vm, enum ph_stop source);
/* Ends a wait of the state's loop; async-signal-safe. */
void ph_vm_wake(struct ph_vm *vm);

/* The error at idx was caught by C code that cannot raise it there: if it is the signal, its stop is requested anew. */
void ph_cancel_again(lua_State *L, int idx);

/* Raises the signal when a stop is pending: every parhost call that may wait is such a cancellation point. */
void ph_vm_check_stop(lua_State *L);
static inline bool ph_vm_stop_pending(struct ph_vm *vm) {
  return atomic_load_explicit(&vm->stop, memory_order_relaxed) != PH_STOP_NONE;
}
/* For signal handlers, in the vm's own thread: on_request is called soon, by the hook from the code that runs, or by the
 * loop, whose wait ends (ph_vm_serve_requests). */
enum { PH_REQUEST_SLOW = 1, PH_REQUEST_DUMP = 2, PH_REQUEST_INSPECT = 4 };
void ph_vm_request(struct ph_vm *vm, int requests);
void ph_vm_serve_requests(lua_State *L, struct ph_vm *vm);

/* Takes the hook of a coroutine off, whoever has set it. */
void ph_vm_unhook(lua_State *L);

/* Forgets a pending stop and its hook; in the vm's own thread. */
void ph_vm_clear_stop(struct ph_vm *vm);
enum ph_stop ph_vm_take_stop(struct ph_vm *vm); /* the same; gives what has come */

/* --- coroutines -------------------------------------------------------------------------------------------
 * Whoever resumes a coroutine from C says so on both sides: the interrupt hook goes where the code runs. */
void ph_vm_move_hook(struct ph_vm *vm, lua_State *from);
static inline void ph_vm_switch(struct ph_vm *vm, lua_State *from, lua_State *to) {
  vm->running = to;
  if (vm->armed) ph_vm_move_hook(vm, from);
}

/* Ends a dead or suspended coroutine: runs its <close> variables, as coroutine.close does. LUA_OK, or a status with
 * the error value on top of co. */
int ph_vm_close_coroutine(struct ph_vm *vm, lua_State *L, lua_State *co);

/* A task parks by yielding with this light userdata in slot 1 of its C function's frame: coroutine.resume and
 * coroutine.wrap hand such a yield on to whoever resumed them. Where a C call bars the way, the parking coroutine is
 * resumed at once with the key (vm->barred: by whom), and must raise. */
extern char ph_vm_park_key;

/* To be returned by a C function; `resumed` begins with ph_vm_unpark: false, this is no place to park at. The values
 * on the stack stay there. */
int ph_vm_park(lua_State *L, lua_KFunction resumed);
bool ph_vm_unpark(lua_State *L);
/* One of the replaced functions that may lie between a task and where it parks. */
bool ph_vm_can_be_suspended(lua_CFunction f);

/* --- calls ------------------------------------------------------------------------------------------------ */

/* lua_pcall with a message handler that takes the traceback where the error is raised. LUA_OK, or the status with
 * two values pushed: the error value and the traceback (a string, or nil when there is none: memory errors, the
 * cancellation signal). Tracebacks are cut to a few dozen lines. */
int ph_vm_call(lua_State *L, int nargs, int nresults);
/* The same for who knows the vm of L already. */
int ph_vm_call_in(struct ph_vm *vm, lua_State *L, int nargs, int nresults);

/* --- reports (vm/report.c) -------------------------------------------------------------------------------- */

/* Pushes what a person is told of the error value at idx: its text, and of a task's error where that happened. False: the
 * value has a text of its own, which no traceback is to follow. May raise. */
bool ph_vm_push_report(lua_State *L, int idx);
/* Pushes what luaL_traceback gives for the error at idx, without what one of our functions has called: the program's own
 * call is what counts, unless the error is about our code. */
void ph_vm_push_traceback(lua_State *L, int idx, const char *message, int level);
/* In the traceback on the stack top, functions of ours get the names by which programs know them. */
void ph_vm_name_publicly(lua_State *L);
/* Message handler: error value -> its report with a traceback, but for the cancellation signal. */
int ph_vm_report(lua_State *L);

#endif
