/* SPDX-License-Identifier: MIT
 * parhost as a library: Lua states with process pools, thread pools, tasks and HTTP in a program of your own.
 * docs/embedding.md builds three such programs, step by step.
 *
 *   parhost_start()                    early in main, before there are threads
 *   L = parhost_newstate()             or parhost_open(L) for a state that you made
 *   parhost_run_file(L, ...)           any number of times, between calls of the Lua API as you like
 *   parhost_fd, _timeout, _step        when your own event loop is to keep things going in between
 *   parhost_close(L, PARHOST_WAIT)     ends pools, hooks and state
 *   parhost_finish()                   when no state is left
 *
 * Threads. A Lua state belongs to one thread at a time; different threads may have different states at once. Functions that
 * take a lua_State must be called in the thread that uses it. parhost_start and what is documented to come before it, and
 * parhost_finish, are for one thread while no other one calls parhost.
 *
 * What the library does not do. It never ends the process, prints nothing, listens nowhere, and installs no signal handler,
 * unless it is asked to (parhost_set_stop_signal, parhost_set_inspect_signal). Warnings of Lua are off in new states, as Lua
 * has it: turn them on with warn("@on") or lua_setwarnf to see what parhost reports.
 *
 * Errors. No function raises a Lua error. Those that return a status push what went wrong, as each of them says. */
#ifndef PARHOST_H
#define PARHOST_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#include <lua.h>

#define PARHOST_API __attribute__((visibility("default")))

/* The version of this header; parhost_version() is that of the library. */
#define PARHOST_VERSION_MAJOR 0
#define PARHOST_VERSION_MINOR 1
#define PARHOST_VERSION_PATCH 0

/* What running Lua code has come to. */
enum parhost_status {
  PARHOST_OK = 0,
  PARHOST_FAILED = 1,  /* an error. Two values were pushed: the error value, and on top the report: a string with what the
                          parhost program would print (message, task, tracebacks) */
  PARHOST_STOPPED = 2, /* parhost_interrupt has unwound the code. Nothing was pushed */
  PARHOST_EXITED = 3   /* os.exit was called, in a state of parhost_newstate. One integer was pushed: the exit code */
};

/* How the work of a state ends. */
enum parhost_end {
  PARHOST_WAIT = 0,  /* as at the end of a script: pools do what their option at_exit says, by default all their work */
  PARHOST_CANCEL = 1 /* as after an error: what waits is dropped, what runs has the pool's `grace` (5 s) to end */
};

/* "0.1.0": the library in use. Any thread. */
PARHOST_API const char *parhost_version(void);

/* --- the process ------------------------------------------------------------------------------------------- */

/* `open` is to be called in the fresh state of every worker (processes, threads, inline tasks), with `arg` as a light
 * userdata in slot 1, after the standard libraries are there and before the pool's `preload` and initializer: the place to
 * register C functions of your own, with luaL_requiref or as globals. It is called in the worker's thread or process; `arg`
 * must stay valid, and is a copy of what was there at parhost_start in process workers. An error that it raises breaks the
 * pool, with kind "initializer_failed". NULL: nothing is called. To be called before parhost_start and before the first
 * state is opened. 0, or -1: too late. */
PARHOST_API int parhost_on_worker(lua_CFunction open, void *arg);

/* The default of `max_workers` in every pool, 1 to 10000, as option -j of the program; 0: as many as there are processors
 * (threads: 4 more). 0, or -1: no such number. Before the first state is opened. */
PARHOST_API int parhost_set_workers(int n);

/* Lets parhost handle this signal, of this process and not otherwise in use, from the first thread pool or inline task on:
 * with it, tasks in worker threads are stopped in the middle of Lua code (timeout, cancel{ force = true }). SIGURG is a good
 * one: by default nothing happens when it comes. Without it, the default, such tasks are stopped at calls of parhost
 * functions only (parhost.check_cancelled() is one). Processes are not concerned: their tasks are always stopped. 0, or -1
 * with errno EINVAL: no such signal. Before the first state is opened. */
PARHOST_API int parhost_set_stop_signal(int number);

/* Lets the user that this process belongs to ask it what it does, by `parhost ps` and `parhost dump`: pools, workers, tasks,
 * where each is. From its first pool, or task of module async, on, each state that is opened after this listens on an
 * abstract unix socket, which answers that user alone, and a handler for this signal is installed, unless the signal has one
 * by then. Who asks sends it to the thread that made the pool, when that runs: what runs in the state is looked at, and goes
 * on. In its waits, and in parhost_step, a state answers without. A real-time signal is a good one (SIGRTMIN + 1); not the
 * stop signal. Such a state stays in its thread from then on. 0, or -1 with errno EINVAL: no such signal. Before the first
 * state is opened. */
PARHOST_API int parhost_set_inspect_signal(int number);

/* Forks the small process from which workers are forked later. To be called early in main: before this process starts
 * threads, opens connections that children must not have, or grows. Without it, the first `require` of a module of parhost
 * does the same, which fails for process pools once there are threads. A second call does nothing.
 * 0, or -1: *error (`size` bytes, always terminated; may be NULL) says why, in one line. Process pools then raise
 * "invalid_state"; everything else works. */
PARHOST_API int parhost_start(char *error, size_t size);

/* Ends that process, and with it every worker process that is left, and waits until it is gone. After all states are
 * closed. Idempotent; parhost_start may follow. In a forked copy of the process it does nothing. */
PARHOST_API void parhost_finish(void);

/* --- states ------------------------------------------------------------------------------------------------ */

/* A new state with the standard libraries and the modules of parhost (for `require`); os.exit in it ends the code that runs,
 * with PARHOST_EXITED, and not the process. NULL: not enough memory. To be closed by parhost_close, or lua_close. */
PARHOST_API lua_State *parhost_newstate(void);

/* Opens the modules into a state that somebody else has made, which needs the libraries base, package, coroutine, table,
 * string, math, io and os. `pcall`, `xpcall`, `load` and some functions of `coroutine` are replaced by ones that do the same
 * and hand on cancellation, so take local copies of them later. Opening a state again does nothing. Nothing has to be undone
 * before lua_close. PARHOST_OK or PARHOST_FAILED, as when the state belongs to another copy of the Lua library than this one
 * uses. */
PARHOST_API int parhost_open(lua_State *L);

/* Ends what a state has under way, and waits for it: on_exit hooks, then its pools, as `how` says. The state stays, but
 * takes no more work. May run Lua code. For plain C code, not for C functions that Lua has called. Errors of hooks are
 * warnings. */
PARHOST_API void parhost_shutdown(lua_State *L, enum parhost_end how);

/* parhost_shutdown, then lua_close. (lua_close alone is clean, too: workers are stopped at once, what they were to do is
 * lost.) */
PARHOST_API void parhost_close(lua_State *L, enum parhost_end how);

/* --- running code ------------------------------------------------------------------------------------------ *
 * From here on L is a state of parhost_newstate, or one that parhost_open has opened. For another one what gives a status
 * gives PARHOST_FAILED, and says so. */

/* lua_pcall with a report: calls the function below the top `nargs` values, all of which it pops, and pushes
 * `nresults` results (LUA_MULTRET: all). Any status. A cancellation point, as all that follows. */
PARHOST_API int parhost_call(lua_State *L, int nargs, int nresults);

/* Runs a file, or a string that is called `name` in messages ("=tool" shows as tool, "@tool.lua" as a file), with arguments:
 * they are its `...`, and arg[1] to arg[argc]; arg[0] is the path or name. Results are dropped. Any status. */
PARHOST_API int parhost_run_file(lua_State *L, const char *path, int argc, const char *const *argv);
PARHOST_API int parhost_run_string(lua_State *L, const char *code, const char *name, int argc, const char *const *argv);

/* What parhost_interrupt knows a state by. Valid until the state is closed. NULL: parhost_open has not seen it. */
struct parhost_vm;
PARHOST_API struct parhost_vm *parhost_vm(lua_State *L);

/* Stops the code that runs in a state, as Ctrl-C does in the program: the main task of an async.run is cancelled, everything
 * else is unwound through its <close> variables, `pcall` does not catch it, and the call returns PARHOST_STOPPED. When
 * nothing runs, the next call is stopped. Async-signal-safe, for signal handlers, in the thread that uses the state; from
 * another thread send that one a signal. */
PARHOST_API void parhost_interrupt(struct parhost_vm *vm);

/* --- your own event loop ----------------------------------------------------------------------------------- */

/* A descriptor that is readable when parhost_step has something to do; for poll, epoll and the like. The same one as long as
 * the state lives, -1 when there is none: no memory, or no descriptors. Neither read nor close it.
 * Between two calls of parhost_step, and from the first call of this on, work goes on by itself: a step delivers results. */
PARHOST_API int parhost_fd(lua_State *L);

/* Seconds until parhost_step has to be called even if the descriptor does not get readable: 0 at once, negative: no limit.
 * To be asked after the last call that ran Lua code in this state, before you wait. */
PARHOST_API double parhost_timeout(lua_State *L);

/* One round without waiting: delivers results, runs callbacks and the tasks of module async that are ready. PARHOST_OK, also
 * when there was nothing to do; PARHOST_FAILED (out of memory), PARHOST_STOPPED, PARHOST_EXITED. Errors in callbacks and
 * tasks are theirs: warnings, or the outcome of their futures. */
PARHOST_API int parhost_step(lua_State *L);

/* 1 while something is under way in this state that steps will bring to an end: tasks of pools and of async, requests,
 * processes. */
PARHOST_API int parhost_pending(lua_State *L);

#ifdef __cplusplus
}
#endif

#endif
