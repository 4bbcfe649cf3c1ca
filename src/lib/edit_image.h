/* SPDX-License-Identifier: MIT
 * What an edited line looks like on the terminal: the rows that libedit breaks it into, and the bytes that draw the same
 * again elsewhere. Multibyte characters are those of the locale of the calling thread. */
#ifndef PH_LIB_EDIT_IMAGE_H
#define PH_LIB_EDIT_IMAGE_H

#include <locale.h>
#include <wchar.h>

#include "base/buf.h"

struct ph_edit_image {
  struct ph_buf bytes;                   /* leave the terminal's cursor at (row, column); incomplete without memory */
  unsigned row, column;                  /* of the cursor, from the first row of the prompt on */
  unsigned last_row, last_column, width; /* of the line's end; of the terminal */
};

/* Characters as the environment says; UTF-8 where it says nothing but bytes. Whoever asks keeps it. */
locale_t ph_edit_choose_locale(void);

/* The prompt (which may set colours) and `n` characters of text, with the cursor before the one at `cursor`. The image's
 * bytes are used again. */
void ph_edit_draw(struct ph_edit_image *image, const char *prompt, const wchar_t *text, size_t n, size_t cursor,
                  unsigned width);

#endif
