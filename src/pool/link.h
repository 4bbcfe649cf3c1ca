/* SPDX-License-Identifier: MIT
 * One duplex link between a pool (the host side) and one worker: two byte rings and a table of slots in shared memory,
 * and a doorbell. For a worker process the bell is a socket pair; a worker thread waits on a futex, and rings an eventfd
 * that all threads of a pool share (link_local.c).
 *
 * Either side writes frames into its own ring without a system call; only when the other side has parked (it waits
 * in poll) does the writer ring the bell, once per batch. The bell of a process is at end of file when the other side is
 * gone; a thread finds its link hung up.
 * Each side of a link belongs to one thread at a time; the host side is guarded by its pool's mutex.
 * The other side may die in the middle of anything, so nothing here locks across processes, and whatever is read
 * from the shared memory is checked before it is believed. */
#ifndef PH_POOL_LINK_H
#define PH_POOL_LINK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/fd_mark.h"

#define PH_LINK_RING (256u * 1024u) /* bytes in each direction, between processes; a power of two, whole pages */
#define PH_LINK_SLOTS 64u           /* tasks that may be handed to a worker at once */
#define PH_FRAME_MAX ((size_t)1 << 31)
#define PH_LINK_ANSWER (64u * 1024u) /* bytes; memory that nobody touches before somebody asks */

/* In front of every message. Both sides are of one build and one machine: the struct travels as it is. */
struct ph_frame {
  uint32_t len; /* bytes of the body */
  uint16_t slot;
  uint8_t type; /* the pool's business */
  uint8_t flags;
  uint32_t item;
  uint32_t reserved;
};

/* What both sides know of one handed task without sending a message. */
enum ph_claim { PH_CLAIM_FREE, PH_CLAIM_HANDED, PH_CLAIM_STARTED, PH_CLAIM_REVOKED };

struct ph_slot {
  atomic_uint claim; /* enum ph_claim; HANDED -> STARTED by the worker, HANDED -> REVOKED by the host: by compare-exchange */
  /* The item of the task that runs now. The worker writes `started`, then `item`, then looks at `stop`; the host reads
   * `item`, then `started`: it is that of this item or of a later one. Who writes `stop` and does not find an item begun
   * then may give it to another worker: hence both that store and the one of `item` are sequentially consistent. */
  atomic_uint item;
  atomic_uint stop;        /* host: 1 + the item that is to be stopped, 0 none */
  atomic_uint stop_source; /* host: why, written before `stop` */
  _Atomic int64_t started; /* ph_now() when the current item began; 0 before */
};

/* What a worker is doing, when somebody asks. The host counts `wanted` up, and reads the answer when `given` has followed;
 * the worker writes it in between. Nothing here is waited for. */
struct ph_question {
  atomic_uint wanted;  /* host */
  atomic_uint given;   /* worker, like the rest */
  atomic_uint hears;   /* it has a handler for PH_INSPECT_SIGNAL */
  atomic_uint resting; /* it sleeps in its own loop: a signal is harmless */
  atomic_uint len;     /* of the answer, PH_LINK_ANSWER at the most: JSON */
  _Atomic uint64_t task;
  _Atomic int64_t at; /* ph_now() */
};

struct ph_link_shared; /* the mapped memory */

struct ph_link {
  struct ph_link_shared *shared;
  uint8_t *answer;               /* PH_LINK_ANSWER bytes */
  uint8_t *out_bytes, *in_bytes; /* each ring is mapped twice in a row, so every span of it is contiguous */
  size_t out_size, in_size;      /* bytes of the rings: powers of two */
  int bell;                      /* this side's end, non-blocking; -1 when closed. Local: borrowed, the worker's only */
  struct ph_fd_mark bell_mark;   /* of the host's end to a process */
  bool is_host;
  bool is_local;            /* both sides are threads of this process */
  bool corrupt;             /* the other side wrote nonsense */
  uint64_t pending_consume; /* bytes of the frame that the last read lent out */
  uint64_t known;           /* those, or the beginning of a frame whose rest is not there yet: no news */
  /* The other side's index as last seen: read again, at the price of a cache line's way, only when it says too little. */
  uint64_t seen_tail; /* of the outgoing ring */
  uint64_t seen_head; /* of the incoming ring */
  uint8_t *big;       /* a frame that is larger than half the ring is gathered here */
  size_t big_len, big_have, big_cap;
  struct ph_frame big_frame;
};

/* Makes the shared memory and both ends. `worker_fds` = { memfd, bell }: for the worker, owned by the caller. */
int ph_link_open(struct ph_link *host, int worker_fds[2], struct ph_err *err);
/* The worker's end; takes both descriptors. */
int ph_link_attach(struct ph_link *worker, int memfd, int bell, struct ph_err *err);
void ph_link_close(struct ph_link *link);

/* Both ends of a link to a thread. `bell`: the eventfd that the worker rings, which must outlive its side. Each side
 * closes its own end, in any order. */
int ph_link_open_local(struct ph_link *host, struct ph_link *worker, int bell, struct ph_err *err);
/* Worker, local: the host also writes to this eventfd when it rings; -1: not. */
void ph_link_ring_also(struct ph_link *worker, int fd);
/* Host, local: from now on every wait and send of the worker fails. */
void ph_link_hang_up(struct ph_link *host);

/* Copies as much as fits into the outgoing ring and publishes it; gives the number of bytes taken (0 when full).
 * Does not wake the other side. */
size_t ph_link_write(struct ph_link *link, const void *bytes, size_t len);
/* Room in the outgoing ring. */
size_t ph_link_room(const struct ph_link *link);
/* Rings the other side's bell if it has parked. Call once per batch, after writing or after reading. */
void ph_link_wake(struct ph_link *link);

/* The next whole frame: 1 with *body lent until the next ph_link_read or ph_link_close; 0 none yet; -1 corrupt.
 * *body is NULL when there was no memory for a big one: its bytes are lost. */
int ph_link_read(struct ph_link *link, struct ph_frame *frame, const uint8_t **body);
/* The frame that the last read gave comes again with the next one. Its bytes must not have been taken. */
void ph_link_unread(struct ph_link *link);
/* Takes the memory of a gathered big frame away from the link (give: malloc'ed), or NULL when the body lies in the ring. */
uint8_t *ph_link_take_big(struct ph_link *link);
/* True when there are bytes that the last read has not seen. Cheap: two loads from shared memory. */
bool ph_link_readable(const struct ph_link *link);

/* Before waiting in poll on `bell`: true when parked (the other side will ring), false when there is something to do
 * at once (bytes to read, or `want_room` and the outgoing ring has room again). */
bool ph_link_park(struct ph_link *link, bool want_room);
/* No more ringing needed, for who did not wait after all. */
void ph_link_clear_parked(struct ph_link *link);
/* After waiting: no more ringing needed; empties the bell. -1 when the other side is gone (end of file). */
int ph_link_unpark(struct ph_link *link);

/* Blocking, for the worker: waits until bytes can be read (or room, when want_room): spins up to `spin_ns` first.
 * 0, or -1 when the host is gone. Interrupted by no signal (restarts). */
int ph_link_wait(struct ph_link *link, bool want_room, int64_t spin_ns);
/* Blocking, for the worker: writes a whole frame. -1 when the host is gone. */
int ph_link_send(struct ph_link *link, const struct ph_frame *frame, const void *body);

struct ph_slot *ph_link_slot(struct ph_link *link, unsigned slot);
struct ph_question *ph_link_question(const struct ph_link *link);

#endif
