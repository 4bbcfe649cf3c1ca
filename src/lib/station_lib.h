/* SPDX-License-Identifier: MIT
 * What submits and waits need of stations. */
#ifndef PH_LIB_STATION_LIB_H
#define PH_LIB_STATION_LIB_H

#include <lua.h>
#include <stdbool.h>

#include "pool/station.h"

struct lib_state;
struct ph_link;

/* Pushes the table of cells that were put into the message just made (lib_state.n_holds is not 0), and forgets it. */
void lib_take_holds(lua_State *L);

/* Could it be that nobody ends a wait of this state? */
bool lib_may_be_stuck(const struct lib_state *state);

/* A worker thread with nothing to do sees to what its state has under way elsewhere. False: there is nothing. */
bool lib_idle(lua_State *L, struct ph_link *link);

/* The task that the future at this index stands for, when it is one of this pool; or 0. */
uint64_t lib_awaited_task(lua_State *L, int idx, const struct ph_pool *pool);

struct lib_blocking {
  struct ph_station *station;
  struct ph_wait wait;
};
/* Fills `b` for a wait for the subject at this index; pushes one value that must stay while the state is blocked. */
void lib_begin_blocking(lua_State *L, struct lib_state *state, int subject, bool has_limit, struct lib_blocking *b);

#endif
