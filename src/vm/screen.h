/* SPDX-License-Identifier: MIT
 * The terminal, shared by the program and its workers, and what stays below everything that is printed on it, if anything:
 * the line that is being edited, on standard output, or a line that shows progress, on standard error.
 *
 * The lock and an image of that line lie in a page that workers inherit. Who writes whole lines to the terminal
 * holds the lock, takes the line off before, and puts its image back after: so nobody has to be woken, and the
 * editor finds its cursor where it left it, further down. Who owns the line holds the lock while it draws itself. The mutex
 * is robust: when a worker dies with it, the next one goes on. */
#ifndef PH_VM_SCREEN_H
#define PH_VM_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

/* Makes the page. In the program, before the zygote is forked; once is enough. Without it there is no lock. */
void ph_screen_share(void);

void ph_screen_lock(void);
void ph_screen_unlock(void);

/* With the lock held. hide, before something is written to `fd`: true, when there was a line to take off; then the text that
 * follows has to end with a newline, and show has to come after it. */
bool ph_screen_hide(int fd);
void ph_screen_show(void);

/* For the editor, with the lock held: these bytes draw the line from the beginning of a row on, down to `last_row`, and
 * leave the cursor in `row`. n = 0: nothing is being edited. False: too long, nobody will put it back. */
bool ph_screen_set_image(const void *bytes, size_t n, unsigned row, unsigned last_row);

/* For the line of progress, with the lock held: these bytes draw it from the beginning of the row on, which is the cursor's,
 * and leave the cursor there; `columns` is the width of the terminal that they are meant for. n = 0: there is none. */
void ph_screen_set_line(const void *bytes, size_t n, unsigned columns);
/* What takes such a line off, also when the terminal has got narrower since and has broken it: async-signal-safe. */
void ph_screen_clear_line(unsigned columns);
unsigned ph_screen_columns(int fd); /* 80 where it cannot be told */

/* write(2), all of it. False: an error, see errno. */
bool ph_screen_put(int fd, const void *bytes, size_t n);

#endif
