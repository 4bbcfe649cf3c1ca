/* SPDX-License-Identifier: MIT
 * The line that shows progress, from its first drawing to its end; for main.c and the editor. It is on the terminal of
 * standard error, of the program's main state; its text comes from lua/parhost/progress.lua. */
#ifndef PH_LIB_PROGRESS_H
#define PH_LIB_PROGRESS_H

#include <stdbool.h>

/* While a line is edited, nothing else is drawn. */
void ph_progress_pause(bool pause);
/* The end of the program, or of the reason to show anything: the line is taken off, and streams are what they were. */
void ph_progress_leave(void);
/* The process ends right now. Async-signal-safe. */
void ph_progress_restore(void);

#endif
