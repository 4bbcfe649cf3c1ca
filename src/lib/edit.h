/* SPDX-License-Identifier: MIT
 * The line editor of the prompt: parts of edit_lib.c, and what main.c has to know when the program ends while a line is
 * being edited. There is one terminal, so there is one editor, in the program's main state and thread. */
#ifndef PH_LIB_EDIT_H
#define PH_LIB_EDIT_H

#include <lua.h>
#include <stdbool.h>

#include "vm/vm.h"

/* --- for main.c ------------------------------------------------------------------------------------------- */

/* From a signal handler: true when a line was being edited, which is given up now; nothing else is interrupted. */
bool ph_edit_interrupt(void);
/* Gives the terminal back as it was. Async-signal-safe. */
void ph_edit_restore(void);
/* The program ends in the middle of a line (os.exit in a task): the cursor below it, and everything as it was. */
void ph_edit_leave(void);

/* --- the terminal and signals, from the beginning of a line to its end (edit_terminal.c) -------------------- */

void ph_edit_terminal_begin(struct ph_vm *vm);
void ph_edit_terminal_end(void);
/* Before each wait: notes the settings that libedit has made. */
void ph_edit_terminal_note(void);
bool ph_edit_interrupted(void);
/* What has happened to the terminal since this was last asked; whether anything has that ends a wait for a key. */
bool ph_edit_happened(void);
enum ph_edit_event { PH_EDIT_NOTHING, PH_EDIT_RESIZED, PH_EDIT_RESUMED };
enum ph_edit_event ph_edit_event(void);
unsigned ph_edit_width(void);

/* --- what is printed meanwhile (edit_output.c) ----------------------------------------------------------------
 * While the editor waits for a key, or progress is shown, other streams stand in for stdout and stderr, in C and in `io`:
 * they write whole lines above what stays below. The beginning of a line they keep until its end comes, or the end of
 * editing; with `passes` they write it, and nothing stays below it. */

/* Once, with the library `io` of the program's state. */
void ph_edit_output_open(lua_State *L);
void ph_edit_output_begin(bool passes);
void ph_edit_output_end(void);
/* The beginning of a line is on the terminal: nothing may be drawn now. */
bool ph_edit_output_is_open(void);
/* The line is entered: what is still kept goes out. */
void ph_edit_output_rest(void);

#endif
