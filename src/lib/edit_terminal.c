/* SPDX-License-Identifier: MIT
 * The terminal's settings while a line is edited, and how they are put back whatever ends the program: signals that stop
 * or kill it are caught from the beginning of a line to its end, put the settings back, and then do what they do.
 * Everything is process-wide and used by the main thread, handlers apart. */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <termios.h>
#include <unistd.h>

#include "lib/edit.h"
#include "vm/screen.h"

#define PASTE_ON "\033[?2004h" /* pasted text comes in brackets: libedit can tell it from keys */
#define PASTE_OFF "\033[?2004l"

static struct {
  struct ph_vm *vm;
  pid_t owner; /* a forked copy of the process has no business with the terminal */
  struct termios ours, edited;
  bool has_ours, has_edited;
  volatile sig_atomic_t editing, interrupted, resized, resumed;
} terminal;

static void on_fatal(int number);
static void on_stop(int number);
static void on_resize(int number);

static struct caught {
  int number;
  void (*handler)(int);
  int flags;
  struct sigaction old;
  bool installed;
} caught[] = {
    {.number = SIGWINCH, .handler = on_resize, .flags = SA_RESTART},
    {.number = SIGTSTP, .handler = on_stop, .flags = SA_RESTART | SA_NODEFER},
    {.number = SIGQUIT, .handler = on_fatal, .flags = SA_RESETHAND | SA_NODEFER},
    {.number = SIGILL, .handler = on_fatal, .flags = SA_RESETHAND | SA_NODEFER | SA_ONSTACK},
    {.number = SIGABRT, .handler = on_fatal, .flags = SA_RESETHAND | SA_NODEFER},
    {.number = SIGBUS, .handler = on_fatal, .flags = SA_RESETHAND | SA_NODEFER | SA_ONSTACK},
    {.number = SIGFPE, .handler = on_fatal, .flags = SA_RESETHAND | SA_NODEFER | SA_ONSTACK},
    {.number = SIGSEGV, .handler = on_fatal, .flags = SA_RESETHAND | SA_NODEFER | SA_ONSTACK},
};

static void put(const char *text, size_t n) {
  ssize_t written = write(STDOUT_FILENO, text, n);
  (void)written;
}

static void put_back(void) {
  put(PASTE_OFF, sizeof PASTE_OFF - 1);
  if (terminal.has_ours) tcsetattr(STDIN_FILENO, TCSANOW, &terminal.ours);
}

void ph_edit_restore(void) {
  if (!terminal.editing || getpid() != terminal.owner) return;
  put_back();
  put("\r\n", 2);
}

/* --- signals ---------------------------------------------------------------------------------------------- */

static void on_fatal(int number) {
  ph_edit_restore();
  raise(number); /* SA_RESETHAND: as it would have been without us */
}

static void install(struct caught *c) {
  struct sigaction action = {.sa_handler = c->handler, .sa_flags = c->flags};
  sigemptyset(&action.sa_mask);
  sigaction(c->number, &action, NULL);
}

static void on_stop(int number) {
  int saved = errno;
  put_back();
  signal(number, SIG_DFL);
  raise(number); /* until somebody sends SIGCONT */
  install(&caught[1]);
  terminal.resumed = 1;
  ph_vm_wake(terminal.vm);
  errno = saved;
}

static void on_resize(int number) {
  int saved = errno;
  (void)number;
  terminal.resized = 1;
  ph_vm_wake(terminal.vm);
  errno = saved;
}

bool ph_edit_interrupt(void) {
  if (!terminal.editing || getpid() != terminal.owner) return false;
  terminal.interrupted = 1;
  ph_vm_wake(terminal.vm);
  return true;
}

/* Only where nobody else has a say: not what is ignored, and not the handler of a sanitizer, or of a task's run. */
static void catch_signals(void) {
  for (size_t i = 0; i < sizeof caught / sizeof *caught; i++) {
    struct caught *c = &caught[i];
    c->installed = sigaction(c->number, NULL, &c->old) == 0 && c->old.sa_handler == SIG_DFL;
    if (c->installed) install(c);
  }
}

static void release_signals(void) {
  for (size_t i = 0; i < sizeof caught / sizeof *caught; i++)
    if (caught[i].installed) sigaction(caught[i].number, &caught[i].old, NULL);
}

/* --- a line ----------------------------------------------------------------------------------------------- */

void ph_edit_terminal_begin(struct ph_vm *vm) {
  terminal.vm = vm;
  terminal.owner = getpid();
  terminal.interrupted = terminal.resized = terminal.resumed = 0;
  terminal.has_edited = false;
  terminal.has_ours = tcgetattr(STDIN_FILENO, &terminal.ours) == 0;
  catch_signals();
  terminal.editing = 1;
  put(PASTE_ON, sizeof PASTE_ON - 1);
}

void ph_edit_terminal_end(void) {
  if (!terminal.editing) return;
  put_back();
  terminal.editing = 0;
  release_signals();
}

void ph_edit_terminal_note(void) {
  if (!terminal.has_edited) terminal.has_edited = tcgetattr(STDIN_FILENO, &terminal.edited) == 0;
}

bool ph_edit_interrupted(void) {
  return terminal.interrupted;
}

bool ph_edit_happened(void) {
  return terminal.interrupted || terminal.resized || terminal.resumed;
}

enum ph_edit_event ph_edit_event(void) {
  if (terminal.resumed) {
    terminal.resumed = terminal.resized = 0;
    if (terminal.has_edited) tcsetattr(STDIN_FILENO, TCSADRAIN, &terminal.edited);
    put(PASTE_ON, sizeof PASTE_ON - 1);
    return PH_EDIT_RESUMED;
  }
  if (!terminal.resized) return PH_EDIT_NOTHING;
  terminal.resized = 0;
  return PH_EDIT_RESIZED;
}

unsigned ph_edit_width(void) {
  return ph_screen_columns(STDOUT_FILENO);
}
