/* SPDX-License-Identifier: MIT
 * What a pool and its workers say to each other over a link. Both ends are of one build: structs travel as they are. */
#ifndef PH_POOL_WIRE_H
#define PH_POOL_WIRE_H

#include <stdint.h>

/* host -> worker */
enum ph_frame_to_worker {
  PH_FRAME_SETUP = 1, /* body: the setup message; first of all */
  PH_FRAME_BLOB,      /* item: number; body: the bytes */
  PH_FRAME_TASK,      /* slot; body: struct ph_task_wire, payload */
  PH_FRAME_STOP,      /* leave when what came before is done */
  PH_FRAME_TASK_HERE, /* to a thread: slot; body: struct ph_task_wire, struct ph_bytes_here (the task's own) */
};

/* worker -> host */
enum ph_frame_to_host {
  PH_FRAME_READY = 1,    /* the setup is done; item: the pid of a process, which may come here sooner than from the zygote */
  PH_FRAME_SETUP_FAILED, /* body: error value, traceback; flags: 1 when there was no memory */
  PH_FRAME_REPLY,        /* slot, item, flags: enum ph_reply; reserved: run time in units of 100 ns */
  PH_FRAME_SKIPPED,      /* slot: found revoked */
  PH_FRAME_REPLY_HERE,   /* from a thread: as REPLY, but the body is a struct ph_bytes_here, which the pool takes */
};

/* LOST: there was no memory for the task message; it stands for all of its items. */
enum ph_reply { PH_REPLY_OK, PH_REPLY_ERROR, PH_REPLY_STOPPED, PH_REPLY_MEMORY, PH_REPLY_LOST };

struct ph_task_wire {
  uint64_t id;
  uint64_t memory_limit; /* 0: none */
  uint64_t seed;
  uint32_t count, first;
  uint32_t flags; /* PH_TASK_* */
  uint32_t seeded;
};

/* Bytes by reference, within one process. */
struct ph_bytes_here {
  uint8_t *data;
  uint64_t len;
};

#define PH_RUN_TIME_UNIT 100 /* ns */
#define PH_BLOBS_MAX 4096u   /* their numbers are below */

/* Exit code of a worker that has found no memory for its link, its Lua state, or its setup. */
#define PH_WORKER_EXIT_NO_MEMORY 125

/* In ph_slot.stop: every item that is left; those that have not begun; otherwise 1 + the item. */
#define PH_STOP_ALL 0xffffffffu
#define PH_STOP_REST 0xfffffffeu

#endif
