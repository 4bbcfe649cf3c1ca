/* SPDX-License-Identifier: MIT
 * Fault points: places where something outside of us may fail, which tests can make fail.
 *
 *   int fd = PH_FAULT(memfd) ? -1 : memfd_create(...);
 *
 * Only builds with PARHOST_FAULTS have them (the presets for tests); elsewhere PH_FAULT is the constant false. They are
 * armed by the environment when the program starts, PARHOST_FAULT=fork:2, or by parhost.core.fault. What is armed lies in
 * memory that the program shares with its zygote and its workers, so a fault may trip in any of them, whoever armed it. */
#ifndef PH_BASE_FAULT_H
#define PH_BASE_FAULT_H

#include <stdbool.h>

/* Sorted by name: X(name, the errno it leaves, what fails). */
#define PH_FAULT_POINTS(X)                                                                                                  \
  X(alloc, ENOMEM, "malloc, calloc or realloc of C code")                                                                   \
  X(curl, ENOMEM, "libcurl makes no handle")                                                                                \
  X(dlopen, ENOENT, "libcurl is not there")                                                                                 \
  X(dup, EMFILE, "a worker, or a child before its exec, moves its descriptors")                                             \
  X(epoll_create, EMFILE, "the epoll of a pool, or of a state's HTTP connections")                                          \
  X(epoll_ctl, ENOSPC, "a pool watches a descriptor")                                                                       \
  X(epoll_wait, EINTR, "the dispatcher sleeps")                                                                             \
  X(eventfd, EMFILE, "the bell of a pool, of a guest, of shared futures, of a loop")                                        \
  X(exec, EACCES, "a child becomes another program")                                                                        \
  X(fork, EAGAIN, "the zygote is forked, or forks a worker")                                                                \
  X(ftruncate, ENOSPC, "the memory of a link gets its size")                                                                \
  X(futex, EINTR, "a worker thread sleeps")                                                                                 \
  X(getrandom, EAGAIN, "a state is seeded")                                                                                 \
  X(inspect, EMFILE, "the socket by which a program is asked what it does")                                                 \
  X(joblog_open, EACCES, "the file of a job log")                                                                           \
  X(joblog_write, ENOSPC, "a line of a job log")                                                                            \
  X(lua_alloc, ENOMEM, "a Lua heap grows (Lua collects garbage then, and asks a second time)")                              \
  X(lua_state, ENOMEM, "a Lua state is made")                                                                               \
  X(memfd, EMFILE, "the memory of a link to a process")                                                                     \
  X(mmap, ENOMEM, "the memory of a link is mapped, by either side")                                                         \
  X(mremap, EINVAL, "the ring of a thread is mapped a second time; a file does it instead")                                 \
  X(open, EMFILE, "/dev/null as a standard stream")                                                                         \
  X(pidfd_open, EMFILE, "a child is watched")                                                                               \
  X(pipe, EMFILE, "the pipes of a child")                                                                                   \
  X(poll, EINTR, "a worker process waits at its bell")                                                                      \
  X(pthread_create, EAGAIN, "a dispatcher or a worker thread is started")                                                   \
  X(read, EIO, "the output of a child is read")                                                                             \
  X(read_short, 0, "the output of a child comes byte by byte")                                                              \
  X(recv, EINTR, "a pool hears from the zygote")                                                                            \
  X(recvmsg, EINTR, "the zygote hears from a pool")                                                                         \
  X(ring_short, 0, "the ring of a link takes one byte at a time")                                                           \
  X(search, 0, "a search for who can end a wait pauses, so often for a millisecond, before it looks at a state")            \
  X(search_pool, 0, "the same, before it looks at the pool whose end or room a state waits for")                            \
  X(search_records, 0, "the same, between a look at tasks and the one at what has come of them")                            \
  X(send, EAGAIN, "the zygote tells a pool what happened")                                                                  \
  X(sendmsg, ENOBUFS, "a pool asks the zygote for something")                                                               \
  X(signalfd, EMFILE, "the zygote listens for the ends of its children")                                                    \
  X(slab, ENOMEM, "the small blocks of a Lua heap get more room")                                                           \
  X(socket, EMFILE, "libcurl opens a connection")                                                                           \
  X(socketpair, EMFILE, "the bell of a link, a pool's way to the zygote")                                                   \
  X(timer_create, EAGAIN, "the time limit of a task that runs inline, the watchdog of slow steps")                          \
  X(timerfd, EMFILE, "the timer of a loop")                                                                                 \
  X(trace, ENOSPC, "an event of the trace is written")                                                                      \
  X(uv_loop, EMFILE, "libuv makes a loop")                                                                                  \
  X(uv_poll, ENOMEM, "libuv watches a descriptor")                                                                          \
  X(vfork, EAGAIN, "a child is started")                                                                                    \
  X(write, EIO, "a worker writes to standard output, or somebody to the input of a child")                                  \
  X(write_short, 0, "the same, byte by byte")

#ifdef PH_FAULTS

enum ph_fault_point {
#define X(name, code, meaning) PH_FAULT_##name,
  PH_FAULT_POINTS(X)
#undef X
      PH_FAULT_COUNT
};

/* Who a fault may be meant for. Threads of a process that are no workers count as that process. */
enum ph_fault_place { PH_FAULT_HOST, PH_FAULT_THREAD, PH_FAULT_WORKER, PH_FAULT_ZYGOTE, PH_FAULT_PLACES };

/* True: it is to fail now; errno says how. */
bool ph_fault_trips(enum ph_fault_point point);
#define PH_FAULT(name) ph_fault_trips(PH_FAULT_##name)

/* From now on this process is a zygote, or a worker. */
void ph_fault_become(enum ph_fault_place place);
/* From now on this thread is a worker thread. */
void ph_fault_become_thread(void);
#define PH_FAULT_BECOME(place) ph_fault_become(PH_FAULT_##place)
#define PH_FAULT_BECOME_THREAD() ph_fault_become_thread()

/* Arms what a text says, in place of all that was armed: "[place.]point[:first[+|*times]][=ERRNO]", separated by commas: the
 * first time it is asked (1) or a later one, one time, so many times, or (+) from then on. NULL, or what is wrong with it:
 * then nothing is armed. */
const char *ph_fault_arm(const char *text);
/* How often a point has tripped, anywhere, since it was armed. */
unsigned long ph_fault_tripped(enum ph_fault_point point);
/* Name and meaning. */
const char *ph_fault_name(enum ph_fault_point point, const char **meaning);

#else

#define PH_FAULT(name) false
#define PH_FAULT_BECOME(place) ((void)0)
#define PH_FAULT_BECOME_THREAD() ((void)0)

#endif

#endif
