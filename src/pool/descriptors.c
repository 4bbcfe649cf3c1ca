/* SPDX-License-Identifier: MIT
 * Are the descriptors of a pool still its own? C code of the program may close descriptors wholesale, and what is opened
 * next gets their numbers: then nothing wakes who waits for the pool, and nobody tells. So whoever waits in vain for a while
 * looks.
 *
 * The pool's epoll is known by what it holds: the address of this pool, beside the number of its kick. /proc shows that
 * without changing anything, as it may be somebody else's. What lies in the pool's own epoll under this number is the same
 * file as before if the epoll finds the entry. */
#include <stdio.h>
#include <sys/epoll.h>

#include "pool/pool_int.h"

/* Where /proc does not tell, yes. */
static bool is_own_epoll(struct ph_pool *p) {
  char line[160];
  bool found = false;
  snprintf(line, sizeof line, "/proc/self/fdinfo/%d", p->epoll_fd);
  FILE *info = fopen(line, "re");
  if (info == NULL) return true;
  while (!found && fgets(line, sizeof line, info) != NULL) {
    int fd;
    unsigned long long data;
    found = sscanf(line, "tfd: %d events: %*x data: %llx", &fd, &data) == 2 && fd == p->kick_fd &&
            data == (unsigned long long)(uintptr_t)&p->kick_fd;
  }
  fclose(info);
  return found;
}

static bool has_own(struct ph_pool *p) {
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = &p->kick_fd};
  return is_own_epoll(p) && epoll_ctl(p->epoll_fd, EPOLL_CTL_MOD, p->kick_fd, &e) == 0;
}

void ph__look_at_descriptors(struct ph_pool *p) {
  if (p->over || p->bereft) return;
  bool own = has_own(p);
  if (own && (p->backend->is_intact == NULL || p->backend->is_intact(p))) return;
  p->bereft = true;
  if (!own) p->epoll_fd = p->kick_fd = -1; /* the one that is left stays open: nobody knows which */
  if (p->backend->bereave != NULL) p->backend->bereave(p);
}

void ph_client_look(struct ph_client *c) {
  pthread_mutex_lock(&c->pool->lock);
  if (!c->is_guest) ph__look_at_descriptors(c->pool);
  ph__let_go(c->pool);
}
