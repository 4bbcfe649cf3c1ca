/* SPDX-License-Identifier: MIT
 * base/trace.c: lines that are JSON whatever the texts are. */
#include <string.h>
#include <unistd.h>

#include "base/trace.h"
#include "check.h"

/* What has been written since the last call. */
static const char *written(void) {
  static char text[65536];
  static off_t at;
  ssize_t n = pread(ph_trace_fd(), text, sizeof text - 1, at);
  CHECK(n >= 0);
  text[n] = '\0';
  at += n;
  return text;
}

static void write_text(const char *text, size_t len) {
  struct ph_event e;
  ph_event_init(&e);
  ph_event_begin(&e, 'i', NULL, ph_trace_origin());
  ph_event_text(&e, "t", text, len);
  ph_event_end(&e);
  ph_event_write(&e);
}

static void check_text(const char *text, size_t len, const char *json) {
  char expected[256];
  snprintf(expected, sizeof expected, "{\"ph\":\"i\",\"ts\":0.000,\"t\":\"%s\"},\n", json);
  write_text(text, len);
  const char *got = written();
  CHECK(strcmp(got, expected) == 0);
}

#define BAD "\xef\xbf\xbd"

static void texts(void) {
  check_text("", 0, "");
  check_text("a\"b\\c/\n\t\r\0\x7f", 11, "a\\\"b\\\\c/\\n\\t\\u000d\\u0000\\u007f");
  check_text("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf", 13,
             "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf");
  check_text("\x80", 1, BAD);
  check_text("\xc0\xaf", 2, BAD BAD);                 /* longer than it need be */
  check_text("\xe0\x80\x80", 3, BAD BAD BAD);         /* the same */
  check_text("\xed\xa0\x80", 3, BAD BAD BAD);         /* half of a pair */
  check_text("\xf4\x90\x80\x80", 4, BAD BAD BAD BAD); /* beyond the last */
  check_text("\xff\xfe", 2, BAD BAD);
  check_text("\xe2\x82", 2, BAD BAD); /* cut off */
  check_text("\xe2\x82x", 3, BAD BAD "x");
}

static void long_text(void) {
  static char text[3 * PH_TRACE_TEXT_MAX];
  for (size_t i = 0; i < sizeof text; i += 3) memcpy(text + i, "\xe2\x82\xac", 3);
  write_text(text, sizeof text);
  size_t fits = PH_TRACE_TEXT_MAX / 3 * 3, head = strlen("{\"ph\":\"i\",\"ts\":0.000,\"t\":\"");
  const char *got = written();
  CHECK(strlen(got) == head + fits + strlen("\"},\n") && memcmp(got + head, text, fits) == 0);
}

static void numbers(void) {
  struct ph_event e;
  ph_event_init(&e);
  ph_event_begin(&e, 'X', "c", ph_trace_origin() + 1234567);
  ph_event_us(&e, "dur", 1);
  ph_event_us(&e, "less", -1500);
  ph_event_args(&e);
  ph_event_integer(&e, "n", INT64_MIN);
  ph_event_strings(&e, "list", (const char *const[]){"a", "\""}, 2);
  ph_event_string(&e, "none", NULL);
  ph_event_end(&e);
  ph_event_begin(&e, 'M', NULL, ph_trace_origin());
  ph_event_args(&e);
  ph_event_end(&e);
  ph_event_write(&e);
  CHECK(strcmp(written(), "{\"ph\":\"X\",\"cat\":\"c\",\"ts\":1234.567,\"dur\":0.001,\"less\":-1.500,\"args\":"
                          "{\"n\":-9223372036854775808,\"list\":[\"a\",\"\\\"\"]}},\n"
                          "{\"ph\":\"M\",\"ts\":0.000,\"args\":{}},\n") == 0);
}

static void end(void) {
  struct ph_event e;
  ph_event_init(&e);
  ph_event_begin(&e, 'M', NULL, ph_trace_origin());
  ph_event_end(&e);
  ph_event_write_last(&e);
  CHECK(strcmp(written(), "{\"ph\":\"M\",\"ts\":0.000}\n]\n") == 0);
  CHECK(ph_trace_close() == 0);
  write_text("x", 1);
  CHECK(strcmp(written(), "") == 0 && ph_trace_failure() == 0);
}

int main(void) {
  struct ph_err err;
  CHECK(!ph_traced() && ph_trace_fd() < 0);
  CHECK(ph_trace_open(NULL, &err) >= 0 && ph_traced());
  CHECK(ph_trace_open(NULL, &err) < 0 && strcmp(err.kind, "invalid_state") == 0);
  CHECK(strcmp(written(), "[\n") == 0);
  texts();
  long_text();
  numbers();
  end();
  return 0;
}
