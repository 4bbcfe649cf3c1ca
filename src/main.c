/* SPDX-License-Identifier: MIT
 * The program: what stock `lua` does, on top of a parhost state, and how the process ends.
 *
 *   options (lua/cli/options.lua) -> what to run, in order -> exit sequence (lua/parhost/exit.lua) -> lua_close -> end
 *
 * Scripts are called straight from here, so levels and tracebacks are those of stock lua. The first SIGINT, SIGTERM or
 * SIGHUP unwinds the script by the cancellation signal and runs the exit sequence, then the process dies by that
 * signal; the second ends it at once, and so does the first but for SIGINT when C code does not let it be heard. Signals are
 * handled in the main thread alone. */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lualib.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/edit.h"
#include "lib/inspect.h"
#include "lib/progress.h"
#include "lib/trace_lib.h"
#include "pool/backend_thread.h"
#include "pool/zygote.h"
#include "vm/error.h"
#include "vm/vm.h"
#include "vm/worker_stdio.h"

static struct ph_vm *volatile program; /* the main state, for the handler; NULL while it is closed, and after */
static pthread_t main_thread;
static pid_t program_pid;
static volatile sig_atomic_t ended_by; /* the signal that the process is to die of, 0: none yet */

/* --- signals ---------------------------------------------------------------------------------------------- */

/* Whoever terminates a program or hangs up does not come a second time: `timeout`, a service manager, a terminal that is
 * gone. This sends a signal again. */
static timer_t reminder;
static bool has_reminder;

#define HEARD_WITHIN 5 /* seconds */

static void make_reminder(int number) {
  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = number};
  event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
  has_reminder = timer_create(CLOCK_MONOTONIC, &event, &reminder) == 0;
}

static bool is_unheard(void) {
  return program != NULL && ph_vm_stop_pending(program) && ph_vm_stop_pending(ph_vm_current);
}

static void on_signal(int number, siginfo_t *info, void *context) {
  (void)context;
  if (!pthread_equal(pthread_self(), main_thread)) {
    pthread_kill(main_thread, number);
    return;
  }
  int saved = errno;
  bool again = info->si_code == SI_TIMER;
  if (again ? is_unheard() : ended_by != 0) {
    if (again) number = ended_by;
    ph_edit_restore();
    ph_progress_restore();
    signal(number, SIG_DFL);
    raise(number);
  } else if (!again) {
    ended_by = number;
    const struct itimerspec when = {.it_value.tv_sec = HEARD_WITHIN};
    if (has_reminder && number != SIGINT) timer_settime(reminder, 0, &when, NULL);
    if (program != NULL && !ph_edit_interrupt()) {
      ph_vm_interrupt(program, PH_STOP_SIGNAL);
      if (ph_vm_current != program) ph_vm_interrupt(ph_vm_current, PH_STOP_SIGNAL);
    }
  }
  errno = saved;
}

/* Not where our starter has them ignored (nohup, a shell's background job). No SA_RESTART: a read that blocks gives up,
 * so that the hook gets its chance. */
static void install_handlers(void) {
  static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO}, old;
  sigemptyset(&action.sa_mask);
  int handled = SIGINT;
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    if (sigaction(numbers[i], NULL, &old) != 0 || old.sa_handler != SIG_DFL) continue;
    if (sigaction(numbers[i], &action, NULL) == 0) handled = numbers[i];
  }
  if (handled != SIGINT) make_reminder(handled);
}

/* A thread that was abandoned may hold the lock of a stream, or be in the middle of a library that has work to do at
 * exit: fcloseall asks for no locks, and nothing else is torn down around it. */
_Noreturn static void leave(int code) {
  if (ph_threads_abandoned() == 0) exit(code);
  fcloseall();
  _exit(code);
}

_Noreturn static void die_of(int number) {
  sigset_t set;
  fcloseall();
  signal(number, SIG_DFL);
  sigemptyset(&set);
  sigaddset(&set, number);
  raise(number);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  _exit(128 + number);
}

/* --- messages --------------------------------------------------------------------------------------------- */

static void print_message(const char *prefix, const char *message) {
  fflush(stdout);
  fprintf(stderr, "%s%s\n", prefix, message);
  fflush(stderr);
}

static int call_reported(lua_State *L, int nargs, int nresults) {
  int base = lua_gettop(L) - nargs;
  lua_pushcfunction(L, ph_vm_report);
  lua_insert(L, base);
  int status = lua_pcall(L, nargs, nresults, base);
  lua_remove(L, base);
  return status;
}

/* Prints the message on top unless all is well, and pops it. */
static bool report(lua_State *L, const char *prefix, int status) {
  if (status == LUA_OK) return true;
  if (!ph_cancel_is(L, -1)) {
    const char *message = lua_tostring(L, -1);
    print_message(prefix, message != NULL ? message : "(error object is not a string)");
  }
  lua_pop(L, 1);
  return false;
}

static bool run_chunk(lua_State *L, int status) {
  if (status == LUA_OK) status = call_reported(L, 0, 0);
  return report(L, "parhost: ", status);
}

static bool run_string(lua_State *L, const char *text, const char *name) {
  return run_chunk(L, luaL_loadbuffer(L, text, strlen(text), name));
}

/* --- the parts of a run ----------------------------------------------------------------------------------- */

static void create_arg_table(lua_State *L, char **argv, int argc, int script) {
  lua_createtable(L, argc - script, script + 1);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i - script);
  }
  lua_setglobal(L, "arg");
}

/* -l mod, -l g=mod. */
static bool require_library(lua_State *L, const char *text) {
  const char *equals = strchr(text, '=');
  const char *module = equals != NULL ? equals + 1 : text;
  lua_getglobal(L, "require");
  lua_pushstring(L, module);
  int status = call_reported(L, 1, 1);
  if (status == LUA_OK) {
    lua_pushlstring(L, text, equals != NULL ? (size_t)(equals - text) : strlen(text));
    lua_insert(L, -2);
    lua_pushglobaltable(L);
    lua_insert(L, -3);
    lua_settable(L, -3);
    lua_pop(L, 1);
  }
  return report(L, "parhost: ", status);
}

static bool run_init(lua_State *L) {
  const char *name = "=LUA_INIT_" LUA_VERSION_MAJOR "_" LUA_VERSION_MINOR;
  const char *init = getenv(name + 1);
  if (init == NULL) init = getenv((name = "=LUA_INIT") + 1);
  if (init == NULL) return true;
  if (init[0] == '@') return run_chunk(L, luaL_loadfile(L, init + 1));
  return run_string(L, init, name);
}

/* The values of `arg`, as the script may have been given others by LUA_INIT or -e. */
static int push_script_args(lua_State *L) {
  if (lua_getglobal(L, "arg") != LUA_TTABLE) return luaL_error(L, "'arg' is not a table");
  int n = (int)luaL_len(L, -1);
  luaL_checkstack(L, n + 3, "too many arguments to script");
  int i = 1;
  for (; i <= n; i++) lua_rawgeti(L, -i, i);
  lua_remove(L, -i);
  return n;
}

static bool run_script(lua_State *L, const char *file) {
  lib_inspect_script(file != NULL ? file : "(standard input)");
  int status = luaL_loadfile(L, file);
  if (status == LUA_OK) status = call_reported(L, push_script_args(L), LUA_MULTRET);
  return report(L, "parhost: ", status);
}

static bool run_built_in(lua_State *L, const char *module) {
  lib_inspect_script(strchr(module, '.') + 1);
  ph_vm_load_embedded(L, module);
  return report(L, "parhost: ", call_reported(L, push_script_args(L), 0));
}

/* --- the prompt ------------------------------------------------------------------------------------------- */

static void print_results(lua_State *L, int n) {
  if (n == 0) return;
  luaL_checkstack(L, LUA_MINSTACK, "too many results to print");
  lua_getglobal(L, "print");
  lua_insert(L, -(n + 1));
  if (lua_pcall(L, n, 0, 0) == LUA_OK || ph_cancel_is(L, -1)) return; /* the reader's loop looks for signals */
  print_message("", lua_pushfstring(L, "error calling 'print' (%s)", lua_tostring(L, -1)));
}

/* Ctrl-C goes back to the prompt; the other signals end the loop. */
static bool interrupted_at_prompt(lua_State *L, const char *message) {
  ph_vm_clear_stop(ph_vm_of(L));
  if (ended_by != SIGINT) return false;
  ended_by = 0;
  if (message != NULL) print_message("", message);
  return true;
}

/* The chunk on top gives values; in their place, and of `show` below it, what that makes of them. */
static int run_entry(lua_State *L, int show) {
  int status = call_reported(L, 0, LUA_MULTRET);
  return status == LUA_OK ? call_reported(L, lua_gettop(L) - show, LUA_MULTRET) : status;
}

/* One line or more. Gives false at the end of the input. The reader gives a chunk, and a function for its values: what of
 * them is printed | false, message | nothing. */
static bool read_and_run(lua_State *L, int reader) {
  lua_settop(L, reader);
  lua_pushvalue(L, reader);
  int status = call_reported(L, 0, 2);
  if (status == LUA_OK && lua_isfunction(L, reader + 1)) {
    lua_insert(L, reader + 1);
    status = run_entry(L, reader + 1);
    if (status == LUA_OK) print_results(L, lua_gettop(L) - reader);
  } else if (status == LUA_OK) {
    if (lua_isnil(L, reader + 1)) return ended_by != 0 && interrupted_at_prompt(L, NULL);
    print_message("", lua_tostring(L, reader + 2));
  }
  if (ended_by != 0) return interrupted_at_prompt(L, isatty(STDIN_FILENO) ? "\ninterrupted!" : "interrupted!");
  report(L, "", status);
  return true;
}

static void run_prompt(lua_State *L) {
  ph_vm_load_embedded(L, "cli.prompt");
  lua_call(L, 0, 1);
  int reader = lua_gettop(L);
  while (read_and_run(L, reader)) continue;
  lua_settop(L, reader - 1);
  putchar('\n');
  fflush(stdout);
}

/* --- following the plan ------------------------------------------------------------------------------------ */

static const char *plan_text(lua_State *L, int plan, const char *name) {
  lua_getfield(L, plan, name);
  const char *text = lua_tostring(L, -1);
  lua_pop(L, 1); /* the plan keeps it */
  return text;
}

static int plan_number(lua_State *L, int plan, const char *name) {
  lua_getfield(L, plan, name);
  int number = lua_isboolean(L, -1) ? lua_toboolean(L, -1) : (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return number;
}

/* -E: as if LUA_PATH and the like were not set. */
static void forget_environment(lua_State *L) {
  lua_pushboolean(L, 1);
  lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
  lua_getglobal(L, LUA_LOADLIBNAME);
  lua_pushliteral(L, LUA_PATH_DEFAULT);
  lua_setfield(L, -2, "path");
  lua_pushliteral(L, LUA_CPATH_DEFAULT);
  lua_setfield(L, -2, "cpath");
  lua_pop(L, 1);
}

/* The plan's array: option letter, text, option letter, text, ... */
static bool run_actions(lua_State *L, int plan) {
  for (int i = 1; lua_rawgeti(L, plan, i) == LUA_TSTRING; i += 2) {
    char letter = lua_tostring(L, -1)[0];
    lua_rawgeti(L, plan, i + 1);
    const char *text = lua_tostring(L, -1);
    bool ok = true;
    if (letter == 'W') {
      lua_warning(L, "@on", 0);
    } else {
      ok = letter == 'e' ? run_string(L, text, "=(command line)") : require_library(L, text);
    }
    if (!ok) return false;
    lua_pop(L, 2);
  }
  lua_pop(L, 1);
  return true;
}

static void print_version(void) {
  puts(LUA_COPYRIGHT);
  fflush(stdout);
}

static bool run_input(lua_State *L, int plan, char **argv) {
  const char *built_in = plan_text(L, plan, "built_in");
  int script = plan_number(L, plan, "script");
  if (built_in != NULL && !run_built_in(L, built_in)) return false;
  if (built_in == NULL && script > 0 && !run_script(L, plan_number(L, plan, "stdin") ? NULL : argv[script])) return false;
  if (plan_number(L, plan, "interactive")) {
    run_prompt(L);
  } else if (plan_number(L, plan, "reads_stdin")) {
    if (!isatty(STDIN_FILENO)) return run_script(L, NULL);
    print_version();
    run_prompt(L);
  }
  return true;
}

static bool follow(lua_State *L, int plan, char **argv, int argc) {
  if (plan_number(L, plan, "version")) print_version();
  bool no_environment = plan_number(L, plan, "no_environment");
  if (no_environment) forget_environment(L);
  create_arg_table(L, argv, argc, plan_number(L, plan, "script"));
  install_handlers();
  if (!no_environment && !run_init(L)) return false;
  return run_actions(L, plan) && run_input(L, plan, argv);
}

/* --- the end ---------------------------------------------------------------------------------------------- */

/* From here on a signal is only noted: there is nothing left that it could interrupt. */
static void close_program(void) {
  struct ph_vm *vm = program;
  program = NULL;
  ph_vm_close_last(vm);
}

/* os.exit of the main state. A forked worker that has a copy of this state just leaves. */
static int exit_program(lua_State *L) {
  int code = lua_isboolean(L, 1) ? !lua_toboolean(L, 1) : (int)luaL_optinteger(L, 1, EXIT_SUCCESS);
  bool close = lua_toboolean(L, 2);
  if (getpid() != program_pid) {
    fflush(NULL);
    _exit(code);
  }
  ph_edit_leave();
  if (program != NULL) ph_vm_run_exit(program, "normal"); /* else: of a finalizer, while the state is closed */
  ph_progress_leave();
  ph_zygote_dismiss();
  if (close && program != NULL) close_program();
  ph_zygote_stop();
  lib_observe_end(ended_by != 0 ? 128 + ended_by : code);
  if (ended_by != 0) die_of(ended_by);
  leave(code);
}

/* argv in slot 1 as light userdata, argc in slot 2. Gives a boolean: all went well. */
static int run_program(lua_State *L) {
  char **argv = lua_touserdata(L, 1);
  int argc = (int)lua_tointeger(L, 2);
  lua_warning(L, "@on", 0);
  lua_getglobal(L, LUA_OSLIBNAME);
  lua_pushcfunction(L, exit_program);
  lua_setfield(L, -2, "exit");

  ph_vm_load_embedded(L, "cli.options");
  lua_createtable(L, argc, 0);
  for (int i = 1; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i);
  }
  lua_call(L, 1, 1); /* the plan, or the exit status of an option that has done its work */
  int plan = lua_gettop(L);
  bool ok = lua_isboolean(L, plan) ? lua_toboolean(L, plan) : follow(L, plan, argv, argc);
  lua_pushboolean(L, ok);
  return 1;
}

/* Where our starter has closed them: what we open must not become anybody's standard input or output. */
static void open_missing_stdio(void) {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY) != fd) return;
}

int main(int argc, char **argv) {
  const struct ph_vm_options options = {0};
  open_missing_stdio();
  ph_worker_stdio_keep(stdout);
  main_thread = pthread_self();
  program_pid = getpid();
  program = ph_vm_open(&options);
  if (program == NULL) {
    print_message("parhost: ", "cannot create state: not enough memory");
    return EXIT_FAILURE;
  }
  program->is_program = true;
  lua_State *L = program->L;
  lua_pushcfunction(L, run_program);
  lua_pushlightuserdata(L, argv);
  lua_pushinteger(L, argc);
  int status = lua_pcall(L, 2, 1, 0);
  bool ok = status == LUA_OK && lua_toboolean(L, -1);
  report(L, "parhost: ", status);

  ph_vm_run_exit(program, ended_by != 0 ? "signal" : ok ? "normal" : "error");
  ph_progress_leave();
  ph_zygote_dismiss();
  close_program();
  ph_zygote_stop();
  int code = ok ? EXIT_SUCCESS : EXIT_FAILURE;
  lib_observe_end(ended_by != 0 ? 128 + ended_by : code);
  if (ended_by != 0) die_of(ended_by);
  leave(code);
}
