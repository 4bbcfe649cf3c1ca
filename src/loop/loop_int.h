/* SPDX-License-Identifier: MIT
 * Inside of loop/: what lies on libuv's own loop. */
#ifndef PH_LOOP_LOOP_INT_H
#define PH_LOOP_LOOP_INT_H

#include <uv.h>

#include "loop/loop.h"

uv_loop_t *ph__loop_uv(struct ph_loop *loop);
/* Every callback says so. */
void ph__loop_note_event(uv_loop_t *uv);

#endif
