/* SPDX-License-Identifier: MIT
 * What the host and the zygote say to each other. */
#ifndef PH_POOL_ZYGOTE_INT_H
#define PH_POOL_ZYGOTE_INT_H

#include "pool/zygote.h"

enum ph_zygote_request { PH_ZYGOTE_CONNECT, PH_ZYGOTE_SPAWN, PH_ZYGOTE_SIGNAL, PH_ZYGOTE_POKE };

/* CONNECT carries a socket, SPAWN the two descriptors of a link. */
struct ph_zygote_message {
  enum ph_zygote_request type;
  uint32_t index;
  int number; /* signal */
  bool group;
  bool asleep; /* POKE */
  char name[16];
};

int ph__send_message(int socket, const struct ph_zygote_message *m, const int *fds, int n_fds);

/* In a worker: the zygote that it comes from is its own for pools that it makes; `control` leads there. */
void ph__zygote_adopt(int control);

/* The life of a zygote: returns when the host (its pid) is gone. Requests may come over `socket` itself, and over the
 * sockets that CONNECT brings. A snapshot keeps the descriptors of the process that it is a copy of. */
void ph__zygote_serve(int socket, pid_t host, bool is_snapshot, const struct ph_zygote_program *program);

#endif
