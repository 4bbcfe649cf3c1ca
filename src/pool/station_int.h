/* SPDX-License-Identifier: MIT
 * Shared by station.c and stuck.c. */
#ifndef PH_POOL_STATION_INT_H
#define PH_POOL_STATION_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "pool/station.h"

struct ph_subscription {
  struct ph_list node; /* in the cell, then in the mailbox */
  struct ph_list of_station;
  struct ph_station *station;
  struct ph_cell *cell;
  int64_t key;
};

struct ph_station {
  struct ph_list mailbox;
  struct ph_list subscriptions; /* all, by of_station */
  struct ph_list cells;         /* that it owns */
  atomic_uint n_open;           /* subscriptions that have not been taken */
  int fd;
  struct ph_list blocked; /* in the list of the process while it is */
  const struct ph_wait *wait;
  bool stuck; /* during a search */
};

struct ph_cell {
  atomic_uint refs;
  uint64_t number, pool, id;
  struct ph_cell *next; /* with the same hash */
  struct ph_list of_owner;
  struct ph_station *owner; /* NULL: gone, or settled */
  struct ph_list subscriptions;
  enum ph_cell_state state;
  uint8_t *bytes;
  size_t len;
};

extern pthread_mutex_t ph__stations_lock;

#endif
