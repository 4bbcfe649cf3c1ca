/* SPDX-License-Identifier: MIT
 * URLs, exchanges and their multi without Lua, against sockets of our own. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "check.h"
#include "loop/exchange.h"
#include "loop/url.h"

#define SECOND 1000000000LL

static struct ph_loop *loop;
static struct ph_curl *curl;
static struct ph_curl_multi *multi;

static void test_urls(void) {
  struct ph_url url = {0};
  struct ph_err err;
  CHECK(ph_url_parse(&url, "HTTP://me:p%20w@Example.com/a b?c d", NULL, &err) == 0);
  CHECK(strcmp(url.whole, "http://Example.com/a%20b?c+d") == 0);
  CHECK(strcmp(url.scheme, "http") == 0 && strcmp(url.port, "80") == 0);
  CHECK(strcmp(url.user, "me") == 0 && strcmp(url.password, "p w") == 0);
  ph_url_deinit(&url);
  CHECK(ph_url_parse(&url, "../x", "https://h:81/a/b/c", &err) == 0);
  CHECK(strcmp(url.whole, "https://h:81/a/x") == 0);
  ph_url_deinit(&url);
  CHECK(ph_url_parse(&url, "nowhere", NULL, &err) == -1);
  CHECK(strcmp(err.kind, "http") == 0 && err.code == 3);
  ph_url_deinit(&url);
}

static int listening_socket(int *port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof address;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 8) == 0);
  CHECK(getsockname(fd, (struct sockaddr *)&address, &len) == 0);
  *port = ntohs(address.sin_port);
  return fd;
}

static struct ph_exchange *start(int port, size_t window, struct ph_err *err) {
  char url[64];
  snprintf(url, sizeof url, "http://127.0.0.1:%d/", port);
  const struct ph_request request = {
      .plain = true, .method = "GET", .url = url, .protocols = "http", .user_agent = "t", .max_body = -1, .window = window};
  return ph_exchange_start(multi, &request, &curl, err);
}

/* Lets things move until there is news, for ten seconds at the most. */
static struct ph_exchange *await_news(void) {
  int64_t end = ph_now() + 10 * SECOND;
  for (;;) {
    ph_curl_turn(curl);
    struct ph_exchange *x = ph_curl_news(curl);
    if (x != NULL || ph_now() > end) return x;
    ph_loop_run_once(loop, ph_now() + SECOND / 100);
  }
}

/* The request as it arrives at `fd`. */
static void read_request(int fd) {
  char text[1024];
  ssize_t n = 0;
  while (n < 4 || memcmp(text + n - 4, "\r\n\r\n", 4) != 0) {
    ph_curl_turn(curl);
    ph_loop_run_once(loop, ph_now());
    ssize_t more = recv(fd, text + n, sizeof text - (size_t)n, MSG_DONTWAIT);
    if (more > 0) n += more;
  }
}

static void test_exchange(void) {
  struct ph_err err;
  const char *head;
  size_t len;
  int port, listener = listening_socket(&port);
  struct ph_exchange *x = start(port, 0, &err);
  CHECK(x != NULL && ph_exchange_ud(x) == &curl && ph_curl_busy(curl));
  CHECK(!ph_exchange_want(x, PH_WANT_END));
  ph_curl_turn(curl);
  int server = accept(listener, NULL, NULL);
  read_request(server);
  const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
  CHECK(send(server, answer, strlen(answer), 0) == (ssize_t)strlen(answer));
  CHECK(await_news() == x && ph_exchange_over(x) && ph_exchange_ending(x) == PH_END_OK);
  CHECK(ph_exchange_head(x, &head, &len) == 200 && strncmp(head, "HTTP/1.1 200 OK\r\n", 17) == 0);
  CHECK(ph_exchange_data(x)->len == 5 && memcmp(ph_exchange_data(x)->data, "hello", 5) == 0);
  CHECK(ph_exchange_version(x) == PH_HTTP_1_1);
  CHECK(!ph_curl_busy(curl));
  ph_exchange_free(x);

  x = start(port, 0, &err); /* on the same connection; given up: that is closed at once */
  read_request(server);
  CHECK(strcmp(ph_exchange_phase(x), "waiting for the response") == 0);
  ph_exchange_free(x);
  char byte;
  CHECK(recv(server, &byte, 1, 0) == 0);
  CHECK(!ph_curl_busy(curl));
  close(server);
  close(listener);

  const char *text;
  x = start(port, 0, &err); /* nobody there any more */
  ph_exchange_want(x, PH_WANT_END);
  CHECK(await_news() == x && ph_exchange_ending(x) == PH_END_FAILED && ph_exchange_error(x, &text) == 7);
  ph_exchange_free(x);
}

/* What is not taken holds the sender up. */
static void test_backpressure(void) {
  static const char block[65536];
  struct ph_err err;
  int port, listener = listening_socket(&port);
  struct ph_exchange *x = start(port, 100000, &err);
  ph_curl_turn(curl);
  int server = accept(listener, NULL, NULL);
  read_request(server);
  const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n";
  CHECK(send(server, head, strlen(head), 0) == (ssize_t)strlen(head));
  size_t sent = 0, quiet = 0;
  while (quiet < 100) {
    ssize_t n = send(server, block, sizeof block, MSG_DONTWAIT);
    if (n > 0) sent += (size_t)n;
    quiet = n > 0 ? 0 : quiet + 1;
    ph_curl_turn(curl);
    CHECK(ph_exchange_data(x)->len <= 100000);
  }
  CHECK(sent < 100000000);
  CHECK(ph_exchange_want(x, PH_WANT_HEAD) && ph_exchange_want(x, PH_WANT_DATA));
  ph_exchange_taken(x);
  CHECK(ph_exchange_data(x)->len > 0);
  ph_curl_multi_free(multi); /* under way: over with that */
  CHECK(ph_exchange_over(x) && ph_exchange_ending(x) == PH_END_CANCELLED);
  ph_exchange_free(x);
  close(server);
  close(listener);
}

int main(void) {
  const struct ph_curl_limits limits = {.cookies = true};
  struct ph_err err;
  loop = ph_loop_new(&err);
  curl = ph_curl_open(loop, &err);
  CHECK(loop != NULL && curl != NULL);
  multi = ph_curl_multi_new(curl, &limits, &err);
  CHECK(multi != NULL && ph_curl_multi_open(multi));
  test_urls();
  test_exchange();
  test_backpressure();
  ph_curl_close(curl);
  ph_loop_free(loop);
  return 0;
}
