/* SPDX-License-Identifier: MIT
 * What the bindings of pools share: one `struct core` per pool and state, a userdata of the state that made the pool or
 * got its handle; and what a state has one of. All of it belongs to the state's thread. */
#ifndef PH_LIB_CORE_H
#define PH_LIB_CORE_H

#include <lua.h>
#include <stdbool.h>

#include "codec/codec.h"
#include "loop/loop.h"
#include "pool/pool.h"

#define CORE_METATABLE "parhost.core.Pool"

/* User values of a core. */
enum {
  CORE_SINKS = 1, /* place -> sink, until its last delivery */
  CORE_TEXTS,     /* number -> label or place of submission, and back */
  CORE_REASONS,   /* id -> reason of a cancellation */
  CORE_HOLDS,     /* id -> cells that its message names */
  CORE_CALLER,    /* weak, [1]: the function that submitted last */
  CORE_USERVALUES = 5,
};

/* Slots and states of a future: see lua/futures/future.lua. */
enum { FUTURE_STATE = 1, FUTURE_VALUE, FUTURE_COUNT, FUTURE_CALLBACKS, FUTURE_SOURCE, FUTURE_ID };
enum { FUTURE_PENDING = 1, FUTURE_RUNNING, FUTURE_DONE };

enum core_kind { CORE_PROC, CORE_THREAD, CORE_INLINE };

#define CORE_SITES 64
#define CORE_LINES 8

struct core_site { /* cache: where a submit came from -> number of its text */
  const void *source;
  int line;
  uint32_t text;
  char short_src[LUA_IDSIZE];
};

struct core {
  const void *kind_of_userdata; /* core_mark */
  struct core *next, **place;   /* list of the state's open cores */
  struct lib_state *state;
  struct ph_pool *pool; /* NULL: over */
  struct ph_client *client;
  bool is_guest; /* the pool belongs to another thread */
  bool refuses;  /* the life of the pool says so, before the pool does */
  struct ph_pool_config config;
  enum core_kind kind;
  bool capture;
  int externs, extern_values; /* registry references, start method "fork" */
  struct ph_blob_store store;
  uint32_t blob_labels[4096];        /* text number of the task whose function is this blob; 0: not yet known */
  uint32_t n_texts, texts_forgotten; /* the last, and the last that is gone */
  struct core_site sites[CORE_SITES];
  struct core_line { /* cache: lines of the function in CORE_CALLER -> number of their text */
    int line;
    uint32_t site;
  } lines[CORE_LINES];
  struct ph_buf free_places; /* a stack of uint32_t, with room for all there are */
  uint32_t n_places, n_sinks;
  unsigned submissions;               /* see take_what_is_done */
  struct ph_buf scratch, chunk_blobs; /* a chunk being put together */
  struct ph_buf note;                 /* for the trace, of the task being put together; empty: none is written */
  struct ph_buf setup;
  struct ph_buf records; /* being delivered, up to `at` */
  size_t at;
  bool decoding, owes;
  struct ph_done owed; /* a record that there was no memory for to deliver: it comes next, without its bytes */
  bool has_holds;
  struct ph_pool_stats last;   /* when the pool was over */
  unsigned forks;              /* as in lib_state: of the process that made it */
  struct ph_loop_watch *watch; /* while the state waits */
  struct ph_loop_watch *drive; /* while its thread sleeps elsewhere (drive.c) */
};

/* Something else than a pool that delivers to Lua from the state's loop: HTTP exchanges, processes. Embedded in what its
 * module keeps per state, which outlives the state's loop. */
struct lib_source {
  struct lib_source *next;
  lua_Integer (*drain)(lua_State *L, struct lib_source *s); /* delivers what is ready; gives how much that was */
  bool (*alive)(const struct lib_source *s);                /* something is under way that will be delivered */
  void (*close)(struct lib_source *s);                      /* the state ends: off the loop, which is freed next */
  void (*forget)(struct lib_source *s); /* in a forked copy of the process: what it holds is the original's. Or NULL */
};

/* One per state, in its registry. */
struct lib_state {
  struct core *cores;
  struct lib_source *sources;
  struct ph_loop *loop;           /* made by the first wait */
  unsigned forks;                 /* of which process pools and loop are: see lib_state.c */
  struct sched *sched;            /* made by module async; NULL: no tasks */
  int deliver;                    /* registry reference */
  size_t n_holds;                 /* cells in the message that is being made (station_lib.c) */
  bool drives;                    /* its thread sleeps elsewhere (drive.c) */
  int64_t drive_next;             /* and comes back then, as ph_now(), 0 at once, or when the descriptor is readable */
  struct inspect_socket *inspect; /* where others may ask what the state does; NULL: nowhere */
  const void *future, *map;       /* metatables of sinks that can be settled without an upcall */
};

struct lib_state *lib_state_of(lua_State *L);
struct lib_state *lib_state_if_any(lua_State *L); /* NULL: none has been made; may be called unprotected */
/* For who keeps one and is called often: false after a fork, until lib_state_of has been called. */
bool lib_state_is_own(const struct lib_state *s);
void lib_add_source(lua_State *L, struct lib_source *source);
/* Something is under way that the state's loop will deliver, or run. */
bool lib_alive(const struct lib_state *s);
/* The state's loop, made when it is first asked for. */
struct ph_loop *lib_loop_of(lua_State *L);
/* Is on the path of every submit: knows a core by its size and mark, without looking for a metatable by name. */
extern const char core_mark;
struct core *check_core(lua_State *L, int idx);

static inline unsigned core_encode_flags(const struct core *c) {
  return (c->capture ? PH_ENCODE_CAPTURE : 0) | (c->kind == CORE_THREAD ? PH_ENCODE_SAME_PROCESS : 0);
}

/* Ends the place of a sink; the table of the sinks is at `sinks`. Never raises. */
void core_free_place(lua_State *L, struct core *c, int sinks, uint32_t place);
/* Has a protected call failed for want of memory? The error is on top. */
bool lib_no_memory(lua_State *L, int status);
/* lua_call of a delivery without results, tried once more when there is no memory for it. False: again there was none, the
 * error is on top, and what is delivered must be kept for the next time. Other errors go on. */
bool lib_deliver(lua_State *L, int nargs);
/* Takes the pool off the state's loop. */
void lib_unwatch_core(struct core *c);

/* Delivers what is ready; gives how many. May raise only what the delivery function raises. */
lua_Integer drain_core(lua_State *L, struct core *c, int core_idx);
lua_Integer drain_all(lua_State *L);

/* For vm->is_delicate. */
bool is_delivering(lua_State *L);

/* Pushes the error that a broken pool answers with. */
void push_broken(lua_State *L, struct core *c);
/* Pushes text number n, or nil. */
void push_text(lua_State *L, int core_idx, uint32_t n);

/* Forks the zygote early, while the process is small and has no threads; for_workers: some will be wanted. Does nothing when
 * there is one. */
int lib_prepare(bool for_workers, struct ph_err *err);
/* Makes the pool of a core whose configuration has been read. fork_here: start method "fork". */
void lib_start_pool(lua_State *L, struct core *c, bool fork_here);
#define LIB_WORKERS_MAX 10000
/* Of the whole process, for pools that say nothing else; 0: as many as there are processors. Set at start-up. */
void lib_set_default_workers(int n);

/* --- a state whose thread sleeps in an event loop of its own (lib/drive.c); all may raise ------------------- */
/* Readable when there is something to do. */
int lib_drive_fd(lua_State *L);
/* Does what there is to do, without waiting. When it has to be called again at the latest is in drive_next of the state. */
void lib_drive_step(lua_State *L);

/* For src/modules.c. */
int luaopen_parhost_core_pool(lua_State *L);
int luaopen_parhost_core_loop(lua_State *L);
int luaopen_parhost_core_codec(lua_State *L);
int luaopen_parhost_core_host(lua_State *L);
int luaopen_parhost_core_station(lua_State *L);
int luaopen_parhost_core_spawn(lua_State *L);
int luaopen_parhost_core_http(lua_State *L);
int luaopen_parhost_core_json(lua_State *L);
int luaopen_parhost_core_inspect(lua_State *L);
int luaopen_parhost_core_task(lua_State *L);
int luaopen_parhost_core_edit(lua_State *L);
int luaopen_parhost_core_history(lua_State *L);
int luaopen_parhost_core_joblog(lua_State *L);
int luaopen_parhost_core_progress(lua_State *L);
#ifdef PH_FAULTS
int luaopen_parhost_core_fault(lua_State *L);
#endif

#endif
