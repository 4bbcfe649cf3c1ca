/* SPDX-License-Identifier: MIT
 * JSON into memory of a fixed size: what is escaped, what is left out, and that the rest is whole. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_out.h"
#include "check.h"

static char memory[4096];

static struct ph_json on(size_t cap) {
  memset(memory, '#', sizeof memory);
  return (struct ph_json){.data = memory, .cap = cap};
}

static bool is(const struct ph_json *j, const char *text) {
  return j->len == strlen(text) && memcmp(j->data, text, j->len) == 0;
}

static void writes_values(void) {
  struct ph_json j = on(sizeof memory);
  ph_json_open(&j, NULL, '{');
  ph_json_integer(&j, "n", INT64_MIN);
  ph_json_seconds(&j, "t", 1500000);
  ph_json_seconds(&j, "u", -2000001000);
  ph_json_flag(&j, "yes", true);
  ph_json_flag(&j, "no", false);
  ph_json_open(&j, "list", '[');
  ph_json_string(&j, NULL, "a");
  ph_json_open(&j, NULL, '{');
  ph_json_close(&j, '{');
  ph_json_close(&j, '[');
  ph_json_close(&j, '{');
  CHECK(is(&j, "{\"n\":-9223372036854775808,\"t\":0.001500,\"u\":-2.000001,\"yes\":true,\"list\":[\"a\",{}]}"));
}

static void escapes_texts(void) {
  static const struct {
    const char *text;
    size_t len;
    const char *json;
  } rows[] = {
      {"\"\\/\n\x1b\x7f", 6, "\"\\\"\\\\/\\u000a\\u001b\x7f\""},
      {"a\0b", 3,
       "\"a\xef\xbf\xbd"
       "b\""},
      {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
      {"\xc3", 1, "\"\xef\xbf\xbd\""},                                                 /* cut off */
      {"\xc0\x80", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\""},                                 /* longer than it need be */
      {"\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},                 /* a surrogate */
      {"\xf4\x90\x80\x80", 4, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* beyond the last one */
      {"\xff\x80", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\""},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct ph_json j = on(sizeof memory);
    ph_json_text(&j, NULL, rows[i].text, rows[i].len);
    CHECK(is(&j, rows[i].json));
  }
}

/* An array of objects, into less and less memory: always an array, with as many of them as have room. */
static void leaves_out_what_does_not_fit(void) {
  size_t before = 100;
  for (size_t cap = 1400; cap >= 300; cap--) {
    struct ph_json j = on(cap);
    ph_json_open(&j, NULL, '{');
    ph_json_open(&j, "list", '[');
    bool all = true;
    for (int i = 0; i < 20; i++) {
      size_t mark = j.len;
      ph_json_open(&j, NULL, '{');
      ph_json_string(&j, "text", "twenty bytes of text");
      ph_json_integer(&j, "i", i);
      ph_json_close(&j, '{');
      if (!ph_json_fits(&j, mark)) all = false;
    }
    ph_json_close(&j, '[');
    if (!all) ph_json_cut(&j);
    ph_json_close(&j, '{');
    CHECK(j.len <= cap && memory[cap] == '#');
    json_t *root = json_loadb(memory, j.len, 0, NULL);
    CHECK(root != NULL);
    size_t n = json_array_size(json_object_get(root, "list"));
    CHECK(n <= before && (n == 20) == all && json_is_true(json_object_get(root, "cut")) == !all);
    before = n;
    json_decref(root);
  }
  CHECK(before < 20);
}

int main(void) {
  writes_values();
  escapes_texts();
  leaves_out_what_does_not_fit();
  return EXIT_SUCCESS;
}
