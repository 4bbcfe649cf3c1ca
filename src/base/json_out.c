/* SPDX-License-Identifier: MIT */
#include "base/json_out.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

#define RESERVE 256 /* for the ends of what is open, and marks of what was cut */

static void put_up_to(struct ph_json *j, size_t cap, const char *bytes, size_t n) {
  if (j->full || n > cap || j->len > cap - n) {
    j->full = true;
    return;
  }
  memcpy(j->data + j->len, bytes, n);
  j->len += n;
}

static void put(struct ph_json *j, const char *bytes, size_t n) {
  put_up_to(j, j->cap > RESERVE ? j->cap - RESERVE : 0, bytes, n);
}

static bool needs_comma(const struct ph_json *j) {
  return j->len > 0 && strchr("{[:", j->data[j->len - 1]) == NULL;
}

static void begin(struct ph_json *j, const char *key) {
  if (needs_comma(j)) put(j, ",", 1);
  if (key == NULL) return;
  put(j, "\"", 1);
  put(j, key, strlen(key));
  put(j, "\":", 2);
}

void ph_json_open(struct ph_json *j, const char *key, char bracket) {
  begin(j, key);
  put(j, &bracket, 1);
}

void ph_json_close(struct ph_json *j, char bracket) {
  put_up_to(j, j->cap, bracket == '{' ? "}" : "]", 1);
}

void ph_json_cut(struct ph_json *j) {
  const char *mark = needs_comma(j) ? ",\"cut\":true" : "\"cut\":true";
  put_up_to(j, j->cap, mark, strlen(mark));
}

bool ph_json_fits(struct ph_json *j, size_t mark) {
  if (!j->full) return true;
  j->len = mark;
  j->full = false;
  return false;
}

/* Gives how many bytes of the text were taken. */
static size_t put_character(struct ph_json *j, const char *s, size_t n) {
  char escape[8];
  unsigned char c = (unsigned char)*s;
  size_t len = ph_utf8_at((const uint8_t *)s, n);
  if (len == 0 || c == 0) {
    put(j, "\xef\xbf\xbd", 3);
    return 1;
  }
  if (c == '"' || c == '\\')
    put(j, escape, (size_t)snprintf(escape, sizeof escape, "\\%c", c));
  else if (c < 0x20)
    put(j, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", c));
  else
    put(j, s, len);
  return len;
}

void ph_json_text(struct ph_json *j, const char *key, const char *text, size_t len) {
  begin(j, key);
  put(j, "\"", 1);
  for (size_t at = 0; at < len && !j->full;) at += put_character(j, text + at, len - at);
  put(j, "\"", 1);
}

void ph_json_string(struct ph_json *j, const char *key, const char *text) {
  ph_json_text(j, key, text, strlen(text));
}

void ph_json_integer(struct ph_json *j, const char *key, int64_t n) {
  char text[24];
  begin(j, key);
  put(j, text, (size_t)snprintf(text, sizeof text, "%" PRId64, n));
}

void ph_json_seconds(struct ph_json *j, const char *key, int64_t ns) {
  char text[40];
  bool negative = ns < 0;
  uint64_t us = (negative ? 0 - (uint64_t)ns : (uint64_t)ns) / 1000;
  begin(j, key);
  put(j, text,
      (size_t)snprintf(text, sizeof text, "%s%" PRIu64 ".%06" PRIu64, negative ? "-" : "", us / 1000000, us % 1000000));
}

void ph_json_flag(struct ph_json *j, const char *key, bool on) {
  if (!on) return;
  begin(j, key);
  put(j, "true", 4);
}
