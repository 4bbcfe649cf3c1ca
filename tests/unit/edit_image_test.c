/* SPDX-License-Identifier: MIT
 * lib/edit_image.c: rows and columns of an edited line, and the bytes that draw it. */
#include <locale.h>
#include <stdbool.h>
#include <string.h>

#include "check.h"
#include "lib/edit_image.h"

static struct ph_edit_image image;

static void draw(const char *prompt, const wchar_t *text, size_t cursor, unsigned width) {
  ph_edit_draw(&image, prompt, text, wcslen(text), cursor, width);
}

static bool ends_at(unsigned row, unsigned column, unsigned last_row, unsigned last_column) {
  return image.row == row && image.column == column && image.last_row == last_row && image.last_column == last_column;
}

static bool is(const char *bytes) {
  return image.bytes.len == strlen(bytes) && memcmp(image.bytes.data, bytes, image.bytes.len) == 0;
}

int main(void) {
  CHECK(setlocale(LC_CTYPE, "C.UTF-8") != NULL);
  draw("> ", L"abc", 3, 80);
  CHECK(ends_at(0, 5, 0, 5) && is("> abc"));
  draw("> ", L"abc", 1, 80);
  CHECK(ends_at(0, 3, 0, 5) && is("> abc\r\033[3C"));
  draw("", L"", 0, 80);
  CHECK(ends_at(0, 0, 0, 0) && is(""));

  draw("> ", L"abcd", 4, 6); /* fills the row: the cursor is in the next one */
  CHECK(ends_at(1, 0, 1, 0) && is("> abcd\r\n"));
  draw("> ", L"abcdefg", 0, 6);
  CHECK(ends_at(0, 2, 1, 3) && is("> abcd\r\nefg\033[1A\r\033[2C"));

  draw("> ", L"中文字", 2, 7); /* the second one does not fit behind the first two */
  CHECK(ends_at(1, 0, 1, 2) && is("> 中文\r\n字\r"));
  draw("中> ", L"x", 1, 80);
  CHECK(ends_at(0, 5, 0, 5));

  draw("> ", L"a\nb\n", 2, 80);
  CHECK(ends_at(1, 0, 2, 0) && is("> a\r\nb\r\n\033[1A\r"));
  draw("", L"a\tb", 3, 80);
  CHECK(ends_at(0, 9, 0, 9) && is("a       b"));
  draw("", L"\001\x7f", 2, 80);
  CHECK(ends_at(0, 4, 0, 4) && is("^A^?"));

  draw("\033[1;32m>\033[0m ", L"x", 0, 80); /* colours take no room */
  CHECK(ends_at(0, 2, 0, 3) && is("\033[1;32m>\033[0m x\r\033[2C"));
  ph_buf_deinit(&image.bytes);
  return 0;
}
