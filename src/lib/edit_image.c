/* SPDX-License-Identifier: MIT */
#include "lib/edit_image.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <wctype.h>

struct pen {
  struct ph_edit_image *image;
  unsigned row, column;
};

static void put_text(struct pen *p, const char *text) {
  ph_buf_put(&p->image->bytes, text, strlen(text));
}

static void put_bytes_of(struct pen *p, wchar_t c) {
  char bytes[MB_LEN_MAX];
  mbstate_t state = {0};
  size_t n = wcrtomb(bytes, c, &state);
  if (n != (size_t)-1) ph_buf_put(&p->image->bytes, bytes, n);
}

static void next_row(struct pen *p) {
  put_text(p, "\r\n");
  p->row++;
  p->column = 0;
}

/* One cell or two; what does not fit into the row is put into the next one. */
static void put_glyph(struct pen *p, wchar_t c) {
  int cells = wcwidth(c);
  unsigned width = cells > 0 ? (unsigned)cells : 1;
  if (p->column + width > p->image->width && p->column > 0) next_row(p);
  put_bytes_of(p, c);
  p->column += width;
  if (p->column >= p->image->width) next_row(p);
}

static void put_plain(struct pen *p, const char *text) {
  for (; *text != '\0'; text++) put_glyph(p, (wchar_t)*text);
}

static void put_character(struct pen *p, wchar_t c) {
  char visible[16];
  if (c == L'\n') {
    next_row(p);
  } else if (c == L'\t') {
    do put_glyph(p, L' ');
    while (p->column % 8 != 0);
  } else if (c < 256 && iswcntrl((wint_t)c)) {
    snprintf(visible, sizeof visible, "^%c", c == 0x7f ? '?' : (char)(c | 0x40));
    put_plain(p, visible);
  } else if (!iswprint((wint_t)c)) {
    snprintf(visible, sizeof visible, c > 0xffff ? "\\U+%05X" : "\\U+%04X", (unsigned)c);
    put_plain(p, visible);
  } else {
    put_glyph(p, c);
  }
}

/* How long the escape sequence (CSI) at `text` is; 0: there is none. */
static size_t escape_length(const char *text) {
  if (text[0] != '\033' || text[1] != '[') return 0;
  size_t n = 2 + strspn(text + 2, "0123456789;:?");
  return text[n] != '\0' ? n + 1 : 0;
}

static void put_prompt(struct pen *p, const char *prompt) {
  const char *end = prompt + strlen(prompt);
  mbstate_t state = {0};
  wchar_t c;
  while (prompt < end) {
    size_t n = escape_length(prompt);
    if (n > 0) {
      ph_buf_put(&p->image->bytes, prompt, n);
    } else {
      n = mbrtowc(&c, prompt, (size_t)(end - prompt), &state);
      if (n == 0 || n > (size_t)(end - prompt)) return; /* not text of this locale */
      put_character(p, c);
    }
    prompt += n;
  }
}

static void mark_cursor(struct pen *p, const wchar_t *next) {
  p->image->row = p->row;
  p->image->column = p->column;
  if (next == NULL || wcwidth(*next) <= 1 || p->column + 2 <= p->image->width) return;
  p->image->row++; /* the next character is about to go there */
  p->image->column = 0;
}

static void go_back(struct pen *p) {
  char keys[32];
  const struct ph_edit_image *image = p->image;
  if (image->row == p->row && image->column == p->column) return;
  if (image->row < p->row) {
    snprintf(keys, sizeof keys, "\033[%uA", p->row - image->row);
    put_text(p, keys);
  }
  put_text(p, "\r");
  if (image->column > 0) {
    snprintf(keys, sizeof keys, "\033[%uC", image->column);
    put_text(p, keys);
  }
}

void ph_edit_draw(struct ph_edit_image *image, const char *prompt, const wchar_t *text, size_t n, size_t cursor,
                  unsigned width) {
  struct pen p = {.image = image};
  ph_buf_reset(&image->bytes, 1 << 16);
  image->width = width > 0 ? width : 80;
  put_prompt(&p, prompt);
  for (size_t i = 0; i < n; i++) {
    if (i == cursor) mark_cursor(&p, &text[i]);
    put_character(&p, text[i]);
  }
  if (cursor >= n) mark_cursor(&p, NULL);
  image->last_row = p.row;
  image->last_column = p.column;
  go_back(&p);
}

locale_t ph_edit_choose_locale(void) {
  locale_t locale = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
  locale_t outer = locale != (locale_t)0 ? uselocale(locale) : uselocale((locale_t)0);
  bool wide = locale != (locale_t)0 && MB_CUR_MAX > 1;
  uselocale(outer);
  if (wide) return locale;
  locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
  if (utf8 == (locale_t)0) return locale;
  if (locale != (locale_t)0) freelocale(locale);
  return utf8;
}
