/* SPDX-License-Identifier: MIT
 * Writing JSON into memory of a fixed size, without an allocation: for what is told in the middle of other code. What does
 * not fit is left out as a whole: take a mark before an element, ask behind it whether it fits. Objects and arrays can
 * always be closed, and marked as cut. Bytes that are no UTF-8, and NUL, become U+FFFD. */
#ifndef PH_BASE_JSON_OUT_H
#define PH_BASE_JSON_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ph_json {
  char *data; /* borrowed */
  size_t len, cap;
  bool full; /* something did not fit since the last ph_json_fits */
};

/* A key is a plain name, NULL in arrays. The bracket is '{' or '['; its end is found by itself. */
void ph_json_open(struct ph_json *j, const char *key, char bracket);
void ph_json_close(struct ph_json *j, char bracket);
void ph_json_text(struct ph_json *j, const char *key, const char *text, size_t len);
void ph_json_string(struct ph_json *j, const char *key, const char *text);
void ph_json_integer(struct ph_json *j, const char *key, int64_t n);
/* Nanoseconds, as seconds. */
void ph_json_seconds(struct ph_json *j, const char *key, int64_t ns);
/* true; nothing is written for false */
void ph_json_flag(struct ph_json *j, const char *key, bool on);
/* In the object at hand: not all of it is here. */
void ph_json_cut(struct ph_json *j);

/* False: what was written since j->len was `mark` did not fit, and is taken back. */
bool ph_json_fits(struct ph_json *j, size_t mark);

#endif
