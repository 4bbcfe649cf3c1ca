/* SPDX-License-Identifier: MIT
 * Where the Lua states of a process meet: outcomes that several of them wait for, and the question whether anybody is left
 * who could end a wait.
 *
 * A cell is one outcome: settled once, by the state that made it, and then seen by all. It is found by its number, so a
 * message can name it without keeping it. A station is one state's place: settled cells that it has subscribed to come into
 * its mailbox, and while it waits it says here what for. Cells are shared by counting; a station belongs
 * to its state's thread. One lock guards what is not atomic, and is never taken inside a pool's lock. */
#ifndef PH_POOL_STATION_H
#define PH_POOL_STATION_H

#include "pool/link.h"
#include "pool/pool.h"

struct ph_cell;
struct ph_station;

/* NULL with err. */
struct ph_station *ph_station_open(struct ph_err *err);
/* Settles the cells that it has made as abandoned. */
void ph_station_close(struct ph_station *s);
/* Readable when the mailbox is not empty. */
int ph_station_fd(const struct ph_station *s);
/* Subscriptions that have not been taken. */
unsigned ph_station_subscriptions(const struct ph_station *s);
/* The next settled one: gives a reference, and the key under which it was subscribed. NULL: none. It stays the first until
 * it is dropped. */
struct ph_cell *ph_station_first(struct ph_station *s, int64_t *key);
void ph_station_drop_first(struct ph_station *s);

/* `pool`, `id`: the task that it stands for, or 0. */
struct ph_cell *ph_cell_new(struct ph_station *owner, uint64_t pool, uint64_t id);
/* The task that it stands for, when it is one of this pool; or 0. */
uint64_t ph_cell_task(const struct ph_cell *c, const struct ph_pool *pool);
uint64_t ph_cell_number(const struct ph_cell *c);
struct ph_cell *ph_cell_find(uint64_t number);
void ph_cell_unref(struct ph_cell *c);
/* -1 without memory. */
int ph_cell_subscribe(struct ph_cell *c, struct ph_station *s, int64_t key);

enum ph_cell_state { PH_CELL_OPEN, PH_CELL_OK, PH_CELL_ERROR, PH_CELL_CANCELLED, PH_CELL_ABANDONED };
/* Copies the bytes. Later ones are ignored. Without memory for them it is abandoned. */
void ph_cell_settle(struct ph_cell *c, enum ph_cell_state state, const void *bytes, size_t len);
/* Of a settled cell. */
enum ph_cell_state ph_cell_outcome(const struct ph_cell *c, const void **bytes, size_t *len);

/* --- waiting (stuck.c) --------------------------------------------------------------------- */

enum ph_prospect {
  PH_PROSPECT_WAIT,  /* somebody can end the wait: blocked until ph_station_unblock */
  PH_PROSPECT_HELP,  /* a worker: tasks of its pool wait, and nothing moves without them. Not blocked now */
  PH_PROSPECT_STUCK, /* nobody can. Not blocked now */
};

/* What a state waits with, borrowed while it is blocked. */
struct ph_wait {
  struct ph_client **clients;
  unsigned n_clients;
  struct ph_pool *serves;     /* the pool whose worker it is; or NULL */
  const struct ph_link *link; /* and that worker's side of its link */
  struct ph_client *client;   /* or NULL: one of them, for the sake of whose pool it waits, */
  bool for_room;              /* for room in its queue, or until nothing is left to do */
  bool can_help;              /* a worker on which tasks do not lie too deep already */
  bool has_limit;             /* ends by itself */
  bool is_lively;             /* another is to be told first that it is stuck */
  int wake_fd;                /* an eventfd that makes the state look again */
  char who[96];               /* for people */
  char what[96];
};

/* `text` (of `size` bytes): when stuck, who waits for what, a line each. */
enum ph_prospect ph_station_block(struct ph_station *s, const struct ph_wait *wait, char *text, size_t size);
void ph_station_unblock(struct ph_station *s);

#endif
