/* SPDX-License-Identifier: MIT
 * Standard output, shared by the program and its workers, and the line that is being edited on it, if any.
 *
 * The lock and an image of the edited line lie in a page that workers inherit. Who writes whole lines to standard output
 * holds the lock, takes the edited line off before, and puts its image back after: so nobody has to be woken, and the
 * editor finds its cursor where it left it, further down. The editor holds the lock while it draws itself. The mutex is
 * robust: when a worker dies with it, the next one goes on. */
#ifndef PH_VM_SCREEN_H
#define PH_VM_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

/* Makes the page. In the program, before the zygote is forked; once is enough. Without it there is no lock. */
void ph_screen_share(void);

void ph_screen_lock(void);
void ph_screen_unlock(void);

/* With the lock held. hide: true, when there was an edited line to take off; then the text that follows has to end with a
 * newline, and show has to come after it. */
bool ph_screen_hide(void);
void ph_screen_show(void);

/* For the editor, with the lock held: these bytes draw the line from the beginning of a row on, down to `last_row`, and
 * leave the cursor in `row`. n = 0: nothing is being edited. False: too long, nobody will put it back. */
bool ph_screen_set_image(const void *bytes, size_t n, unsigned row, unsigned last_row);

/* write(2), all of it. False: an error, see errno. */
bool ph_screen_put(int fd, const void *bytes, size_t n);

#endif
