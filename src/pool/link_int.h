/* SPDX-License-Identifier: MIT
 * Inside of links: what lies in the shared memory, and what the two kinds of links do differently. */
#ifndef PH_POOL_LINK_INT_H
#define PH_POOL_LINK_INT_H

#include "pool/link.h"

/* In the memory of a link between processes each part begins at a multiple of the biggest page of any kernel: struct
 * ph_link_shared, the answer, the ring to the worker, the ring to the host. What is not touched is not there. */
#define PH_LINK_PAGE 65536u
#define PH_LINK_HEADER (PH_LINK_PAGE + PH_LINK_ANSWER) /* in front of the rings */

struct ph_ring {
  _Alignas(64) _Atomic uint64_t head; /* bytes written */
  _Alignas(64) _Atomic uint64_t tail; /* bytes read */
};

struct ph_link_shared {
  struct ph_ring rings[2]; /* 0: to the worker, 1: to the host */
  struct {
    _Alignas(64) atomic_uint wishes;
  } parked[2];         /* 0: the worker, 1: the host */
  atomic_uint sides;   /* local: how many are open */
  atomic_bool hung_up; /* local: the host is not there any more */
  atomic_int also;     /* local: see ph_link_ring_also */
  _Alignas(64) struct ph_slot slots[PH_LINK_SLOTS];
  _Alignas(64) struct ph_question question;
};

/* link_local.c */
void ph__link_close_local(struct ph_link *l);
/* Wakes the other side, which had parked. */
void ph__link_ring_local(struct ph_link *l);
/* Worker: sleeps while `parked` stays as it is; also ends by a signal. */
void ph__link_sleep_local(atomic_uint *parked);
bool ph__link_hung_up(const struct ph_link *l);

#endif
