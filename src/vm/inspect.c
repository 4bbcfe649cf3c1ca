/* SPDX-License-Identifier: MIT */
#include "vm/inspect.h"

#include <errno.h>
#include <lauxlib.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>

#include "base/clock.h"
#include "vm/run.h"
#include "vm/vm_int.h"

#define FRAMES_FIRST 24 /* of a stack */
#define FRAMES_LAST 8

/* --- stacks ----------------------------------------------------------------------------------------------- */

/* As luaL_traceback names it, but for functions that only a search through the loaded modules would name. */
static int name_function(char *text, size_t size, const lua_Debug *ar) {
  if (ar->namewhat[0] != '\0') return snprintf(text, size, "%s '%.100s'", ar->namewhat, ar->name);
  if (ar->what[0] == 'm') return snprintf(text, size, "main chunk");
  if (ar->what[0] == 'C') return snprintf(text, size, "?");
  return snprintf(text, size, "function <%s:%d>", ar->short_src, ar->linedefined);
}

static void write_frame(struct ph_json *j, lua_State *L, lua_Debug *ar) {
  char text[512], line[32] = "", function[256];
  lua_getinfo(L, "Slnt", ar);
  name_function(function, sizeof function, ar);
  if (ar->currentline > 0) snprintf(line, sizeof line, ":%d", ar->currentline);
  snprintf(text, sizeof text, "%s%s: in %s%s", ar->short_src, line, function, ar->istailcall ? " (...tail calls...)" : "");
  ph_json_string(j, NULL, text);
}

/* Of a stack: 0, 1, 2, 4, ... is known to be there, then halves. */
static int count_frames(lua_State *L) {
  lua_Debug ar;
  int below = 0, above = 1;
  while (lua_getstack(L, above, &ar)) {
    below = above;
    above *= 2;
  }
  while (above - below > 1) {
    int middle = below + (above - below) / 2;
    if (lua_getstack(L, middle, &ar))
      below = middle;
    else
      above = middle;
  }
  return lua_getstack(L, 0, &ar) ? below + 1 : 0;
}

void ph_inspect_stack(struct ph_json *j, const char *key, lua_State *L) {
  lua_Debug ar;
  size_t mark = j->len;
  int n = count_frames(L), skipped = n - FRAMES_FIRST - FRAMES_LAST;
  ph_json_open(j, key, '[');
  for (int level = 0; level < n; level++) {
    if (level == FRAMES_FIRST && skipped > 0) {
      char text[64];
      snprintf(text, sizeof text, "... (%d levels)", skipped);
      ph_json_string(j, NULL, text);
      level += skipped;
    }
    if (lua_getstack(L, level, &ar)) write_frame(j, L, &ar);
  }
  ph_json_close(j, '[');
  ph_json_fits(j, mark);
}

void ph_inspect_place(struct ph_json *j, const char *key, lua_State *L) {
  lua_Debug ar;
  char text[LUA_IDSIZE + 32];
  for (int level = 0; level < FRAMES_FIRST + FRAMES_LAST && lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline <= 0 || ph__is_module(ar.source)) continue;
    snprintf(text, sizeof text, "%s:%d", ar.short_src, ar.currentline);
    ph_json_string(j, key, text);
    return;
  }
}

/* --- being asked ------------------------------------------------------------------------------------------ */

static _Thread_local struct {
  struct ph_vm *vm;
  struct ph_link *link; /* of a worker */
  ph_inspect_state *describe;
} asked;

_Thread_local atomic_uint *ph_inspect_resting;

static bool is_answered(const struct ph_link *link) {
  const struct ph_question *q = ph_link_question(link);
  return atomic_load(&q->given) == atomic_load(&q->wanted);
}

/* A thread that ran when it was looked at may have begun to sleep when the signal comes, in a call that is not restarted by
 * itself. Here it has slept for microseconds, and begins anew: its caller sees no EINTR. Elsewhere the call ends early. */
#if defined(__x86_64__)
/* The number of the call stands in the instruction in front, `mov $number, %eax`, where the C library has it. */
static void begin_sleep_anew(ucontext_t *context) {
  static const int sleeping[] = {SYS_nanosleep, SYS_clock_nanosleep, SYS_poll,       SYS_ppoll,
                                 SYS_select,    SYS_pselect6,        SYS_epoll_wait, SYS_epoll_pwait};
  greg_t *registers = context->uc_mcontext.gregs;
  const uint8_t *next = (const uint8_t *)(uintptr_t)registers[REG_RIP];
  int32_t call;
  if (registers[REG_RAX] != -EINTR || (uintptr_t)next % 4096 < 7) return; /* not across pages: there may be none */
  if (next[-2] != 0x0f || next[-1] != 0x05 || next[-7] != 0xb8) return;
  memcpy(&call, next - 6, sizeof call);
  for (size_t i = 0; i < sizeof sleeping / sizeof *sleeping; i++) {
    if (call != sleeping[i]) continue;
    registers[REG_RAX] = call;
    registers[REG_RIP] -= 2;
    return;
  }
}
#elif defined(__aarch64__)
/* The result has taken the register of the first argument. So only what can do without it begins anew: a sleep for some
 * time, by whichever clock, and waits for no descriptor. */
static void begin_sleep_anew(ucontext_t *context) {
  static const uint32_t svc = 0xd4000001;
  mcontext_t *m = &context->uc_mcontext;
  unsigned long long *x = m->regs, first;
  uint32_t before;
  if ((int64_t)x[0] != -EINTR || m->pc % 4096 < sizeof before) return; /* not across pages: there may be none */
  memcpy(&before, (const uint8_t *)(uintptr_t)m->pc - sizeof before, sizeof before);
  if (before != svc) return;
  if (x[8] == SYS_clock_nanosleep && x[1] == 0)
    first = CLOCK_MONOTONIC;
  else if ((x[8] == SYS_ppoll && x[1] == 0) || (x[8] == SYS_pselect6 && x[1] == 0 && x[2] == 0 && x[3] == 0))
    first = 0;
  else
    return;
  x[0] = first;
  m->pc -= sizeof svc;
}
#else
static void begin_sleep_anew(const ucontext_t *context) {
  (void)context;
}
#endif

static void on_inspect_signal(int number, siginfo_t *info, void *context) {
  int saved = errno;
  (void)number, (void)info;
  begin_sleep_anew(context);
  struct ph_vm *vm = ph_vm_current != NULL ? ph_vm_current : asked.vm; /* a task that runs inline comes first */
  if (asked.vm != NULL && (asked.link == NULL || !is_answered(asked.link))) ph_vm_request(vm, PH_REQUEST_INSPECT);
  errno = saved;
}

/* Other signals wait until this one is over: what they end, it must not begin anew. */
bool ph_inspect_by(int number) {
  struct sigaction action = {.sa_sigaction = on_inspect_signal, .sa_flags = SA_RESTART | SA_SIGINFO}, old;
  sigfillset(&action.sa_mask);
  if (sigaction(number, NULL, &old) != 0) return false;
  if ((old.sa_flags & SA_SIGINFO) && old.sa_sigaction == on_inspect_signal) return true;
  return old.sa_handler == SIG_DFL && sigaction(number, &action, NULL) == 0;
}

void ph_inspect_program(struct ph_vm *vm) {
  asked.vm = vm;
  asked.link = NULL;
}

void ph_inspect_forget(const struct ph_vm *vm) {
  if (asked.vm == vm) asked.vm = NULL;
}

/* Of a worker: into its link. */
static void answer(lua_State *L, lua_State *runs) {
  struct ph_link *link = asked.link;
  if (link == NULL || is_answered(link)) return;
  struct ph_question *q = ph_link_question(link);
  struct ph_json j = {.data = (char *)link->answer, .cap = PH_LINK_ANSWER};
  const struct ph_run *r = ph_run_current();
  unsigned wanted = atomic_load(&q->wanted);
  ph_json_open(&j, NULL, '{');
  asked.describe(&j, L, runs);
  ph_json_close(&j, '{');
  atomic_store(&q->task, r != NULL && r->wire != NULL ? r->wire->id : 0);
  atomic_store(&q->len, (unsigned)j.len);
  atomic_store(&q->at, ph_now());
  atomic_store(&q->given, wanted);
}

void ph_inspect_worker(struct ph_vm *vm, struct ph_link *link, int number, ph_inspect_state *describe) {
  asked.vm = NULL; /* a signal may come between any two of these lines */
  ph_inspect_resting = link != NULL ? &ph_link_question(link)->resting : NULL;
  asked.link = link;
  asked.describe = describe;
  if (link == NULL) return;
  vm->on_inspect = answer;
  asked.vm = vm;
  atomic_store(&ph_link_question(link)->hears, number != 0 && ph_inspect_by(number));
}

void ph__inspect_serve(lua_State *runs, struct ph_vm *vm) {
  struct ph_vm *outer = asked.vm;
  if (vm->on_inspect != NULL)
    vm->on_inspect(runs, runs);
  else if (outer != NULL && outer->on_inspect != NULL && outer != vm)
    outer->on_inspect(outer->running, runs);
}
