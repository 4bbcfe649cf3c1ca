/* SPDX-License-Identifier: MIT
 * The socket that a state is asked by: see inspect.h. */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/memfd.h"
#include "base/poke.h"
#include "lib/inspect.h"
#include "pool/backend_thread.h"

#define ANSWER_MAX ((size_t)4 << 20)
#define AT_ONCE 8 /* who is answered together; the next ones later */
#define TEXT_MAX 4096

struct inspect_socket {
  struct ph_vm *vm;
  struct ph_loop_watch *watch; /* once there is a loop */
  int fd, signal;
  bool deaf; /* no descriptor could be had to answer: the loop looks away, or it would spin */
};

static int others_signal; /* of states that are not the program's. Set before there are any */
static const char *script;

void lib_inspect_by(int number) {
  others_signal = number;
}

void lib_inspect_script(const char *name) {
  script = name;
}

/* --- an answer -------------------------------------------------------------------------------------------- */

static void write_answer(struct ph_json *j, lua_State *L, lua_State *runs, bool tree) {
  const char *name = script != NULL ? script : program_invocation_short_name;
  ph_json_open(j, NULL, '{');
  ph_json_string(j, "parhost", PH_VERSION);
  ph_json_integer(j, "pid", getpid());
  ph_json_text(j, "script", name, strnlen(name, TEXT_MAX));
  ph_json_seconds(j, "now", ph_now());
  if (tree)
    lib_inspect_state(j, L, runs);
  else
    lib_inspect_summary(j, L);
  ph_json_close(j, '{');
}

/* A memfd with the answer; -1: there is none. */
static int make_answer(lua_State *L, lua_State *runs, bool tree) {
  int fd = PH_FAULT(memfd) ? -1 : memfd_create("parhost-ps", MFD_CLOEXEC);
  if (fd < 0) return -1;
  void *memory = MAP_FAILED;
  if (ph_memfd_resize(fd, (off_t)ANSWER_MAX) == 0 && !PH_FAULT(mmap))
    memory = mmap(NULL, ANSWER_MAX, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory != MAP_FAILED) {
    struct ph_json j = {.data = memory, .cap = ANSWER_MAX};
    write_answer(&j, L, runs, tree);
    munmap(memory, ANSWER_MAX);
    if (ph_memfd_resize(fd, (off_t)j.len) == 0) return fd;
  }
  close(fd);
  return -1;
}

/* One byte and a descriptor always have room in a socket that nothing was sent over. */
static void send_answer(int connection, int answer) {
  char byte = 'A';
  struct iovec iov = {&byte, 1};
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control;
  memset(&control, 0, sizeof control);
  struct msghdr msg = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(c), &answer, sizeof answer);
  ssize_t n = sendmsg(connection, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
  (void)n; /* gone already */
}

/* --- who asks --------------------------------------------------------------------------------------------- */

static bool is_ours(int connection) {
  struct ucred peer;
  socklen_t len = sizeof peer;
  return getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.uid == geteuid();
}

static bool asks_for_tree(const struct sockaddr_un *from, socklen_t len) {
  static const char tree[] = "\0parhost-ps.tree.";
  size_t n = sizeof tree - 1;
  return len >= offsetof(struct sockaddr_un, sun_path) + n && memcmp(from->sun_path, tree, n) == 0;
}

/* -1: nobody, or errno says why not. */
static int accept_one(int fd, bool *tree) {
  struct sockaddr_un from;
  for (;;) {
    socklen_t len = sizeof from;
    int connection = accept4(fd, (struct sockaddr *)&from, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (connection < 0) return -1;
    if (is_ours(connection)) {
      *tree = asks_for_tree(&from, len);
      return connection;
    }
    close(connection);
    errno = EAGAIN;
    return -1;
  }
}

static void watch(struct inspect_socket *i, struct ph_loop *loop);

static void hear_again(struct lib_state *s, struct inspect_socket *i) {
  i->deaf = false;
  if (s->loop != NULL) watch(i, s->loop);
}

static void fall_deaf(struct inspect_socket *i) {
  i->deaf = true;
  if (i->watch != NULL) ph_loop_unwatch(i->watch);
  i->watch = NULL;
}

/* on_inspect of the vm. All that ask at the moment get one answer. */
static void serve(lua_State *L, lua_State *runs) {
  struct lib_state *s = lib_state_if_any(L);
  struct inspect_socket *i = s != NULL ? s->inspect : NULL;
  int connections[AT_ONCE], n = 0, answer = -1;
  bool any_tree = false, tree = false;
  if (i == NULL) return;
  while (n < AT_ONCE && (connections[n] = accept_one(i->fd, &tree)) >= 0) {
    any_tree |= tree;
    n++;
  }
  bool failed = n < AT_ONCE && errno != EAGAIN;
  if (n > 0) answer = make_answer(L, runs, any_tree);
  for (int k = 0; k < n; k++) {
    if (answer >= 0) send_answer(connections[k], answer);
    close(connections[k]);
  }
  if (answer >= 0) close(answer);
  if (failed && !i->deaf) fall_deaf(i);
  if (!failed && i->deaf) hear_again(s, i);
}

/* --- the socket ------------------------------------------------------------------------------------------- */

static void on_connection(void *arg) {
  ph_vm_request(arg, PH_REQUEST_INSPECT);
}

static void watch(struct inspect_socket *i, struct ph_loop *loop) {
  struct ph_err err;
  if (i->watch == NULL && !i->deaf) i->watch = ph_loop_watch_by(loop, i->fd, on_connection, i->vm, &err);
}

void lib_inspect_watch(struct lib_state *s) {
  if (s->inspect != NULL) watch(s->inspect, s->loop);
}

static int listen_at(int signal_number) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  uint64_t random;
  if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random) return -1;
  int fd = PH_FAULT(inspect) ? -1 : socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  int n = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "parhost.%d.%d.%d.%016" PRIx64, (int)getpid(),
                   (int)syscall(SYS_gettid), signal_number, random);
  socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
  if (bind(fd, (struct sockaddr *)&address, len) == 0 && listen(fd, SOMAXCONN) == 0) return fd;
  close(fd);
  return -1;
}

static int signal_for(const struct ph_vm *vm) {
  if (vm == NULL || vm->is_worker) return 0;
  return vm->is_program ? PH_INSPECT_SIGNAL : vm->adopted ? others_signal : 0;
}

void lib_inspect_open(lua_State *L) {
  struct lib_state *s = lib_state_of(L);
  struct ph_vm *vm = ph_vm_of(L);
  int number = s->inspect == NULL ? signal_for(vm) : 0;
  if (number == 0) return;
  struct inspect_socket *i = ph_calloc(1, sizeof *i);
  int fd = i != NULL && ph_inspect_by(number) ? listen_at(number) : -1;
  if (fd < 0) {
    free(i);
    return;
  }
  *i = (struct inspect_socket){.vm = vm, .fd = fd, .signal = number};
  s->inspect = i;
  vm->on_inspect = serve;
  ph_inspect_program(vm);
  ph_threads_inspect_by(number);
  if (s->loop != NULL) watch(i, s->loop);
}

/* The loop of a copy of the process is not ours to touch. */
static void end(struct lib_state *s, bool is_copy) {
  struct inspect_socket *i = s->inspect;
  if (i == NULL) return;
  if (i->vm->on_inspect == serve) { /* else it has become a worker */
    i->vm->on_inspect = NULL;
    ph_inspect_forget(i->vm);
  }
  if (i->watch != NULL && !is_copy) ph_loop_unwatch(i->watch);
  close(i->fd);
  free(i);
  s->inspect = NULL;
}

void lib_inspect_close(struct lib_state *s) {
  end(s, false);
}

void lib_inspect_forget(struct lib_state *s) {
  end(s, true);
}
