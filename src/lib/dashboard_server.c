/* SPDX-License-Identifier: MIT
 * The server: libmicrohttpd in this thread's own poll loop. One page, and one stream of server-sent events to each client,
 * which gets the lines of the trace from its beginning, and what is added as it comes.
 *
 *   GET /TOKEN/         the page
 *   GET /TOKEN/events   the trace; the id of an event is the place in the file behind it
 *
 * Who does not know the token, or came by another name than that of the loopback interface (a page that has made its own
 * name lead there), is sent away; nothing is told to pages of other origins. */
#include "lib/dashboard.h"

#ifndef PH_DASHBOARD

int lib_dashboard_serve(const struct lib_dashboard *d, struct ph_err *err) {
  (void)d;
  return ph_err_set(err, "os", 0, "this build has no dashboard (it was built without libmicrohttpd)");
}

#else

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"
#include "lib/dashboard_api.h"

#define CLIENTS_MAX 32
#define PIECE ((size_t)256 * 1024)      /* of the trace, in one event */
#define TICK_MS 100                     /* between two looks at a trace that is waited for */
#define ALIVE_NS ((int64_t)15000000000) /* without news: a comment, so that a client that is gone is noticed */
#define LINGER_NS ((int64_t)1000000000) /* at the end, for clients that read slowly */
#define READ_TIMEOUT_S 10U              /* of a client that sends half a request */

struct client {
  struct ph_list node;
  struct server *server;
  struct MHD_Connection *connection;
  uint64_t place; /* in the trace, behind what is in `out` */
  struct ph_buf out;
  size_t sent;  /* of out */
  int64_t last; /* when it got something */
  bool sleeps;  /* the connection is suspended */
  bool told_end;
};

struct server {
  const struct ph_dashboard_api *api;
  const struct lib_dashboard *d;
  struct MHD_Daemon *daemon;
  struct ph_list clients;
  char *piece; /* PIECE bytes */
  bool ending;
};

const struct ph_dashboard_api *ph_dashboard_api(void) {
  static struct ph_dashboard_api api;
  static const struct {
    const char *name;
    size_t offset;
  } functions[] = {
#define X(name, result, arguments) {#name, offsetof(struct ph_dashboard_api, name)},
      PH_DASHBOARD_FUNCTIONS(X)
#undef X
  };
  void *library = dlopen("libmicrohttpd.so.12", RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) library = dlopen("libmicrohttpd.so", RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) return NULL;
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    void *address = dlsym(library, functions[i].name);
    if (address == NULL) return NULL;
    *(void **)((char *)&api + functions[i].offset) = address;
  }
  return &api;
}

/* --- the stream ------------------------------------------------------------------------------------------- */

static int put_text(struct ph_buf *b, const char *text) {
  return ph_buf_put(b, text, strlen(text));
}

/* Whole lines as one event. */
static bool put_lines(struct client *c, const char *lines, size_t len) {
  char id[40];
  for (const char *at = lines, *end = lines + len; at < end;) {
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    size_t n = (size_t)(newline - at) + 1;
    if (put_text(&c->out, "data: ") != 0 || ph_buf_put(&c->out, at, n) != 0) return false;
    at += n;
  }
  snprintf(id, sizeof id, "id: %" PRIu64 "\n\n", c->place + len);
  return put_text(&c->out, id) == 0;
}

/* What the trace has more. A line that is longer than a piece is none of ours, and left out. */
static bool put_piece(struct client *c) {
  char *piece = c->server->piece;
  for (;;) {
    ssize_t n = pread(c->server->d->trace, piece, PIECE, (off_t)c->place);
    if (n <= 0) return false;
    const char *last = memrchr(piece, '\n', (size_t)n);
    if (last != NULL) {
      size_t len = (size_t)(last - piece) + 1;
      if (!put_lines(c, piece, len)) return false;
      c->place += len;
      return true;
    }
    if ((size_t)n < PIECE) return false;
    c->place += (uint64_t)n;
  }
}

static bool put_next(struct client *c) {
  ph_buf_reset(&c->out, 2 * PIECE);
  c->sent = 0;
  if (put_piece(c)) return true;
  ph_buf_reset(&c->out, 2 * PIECE); /* what there was no memory for comes later */
  if (c->told_end) return false;
  if (c->server->ending) {
    c->told_end = true;
    return put_text(&c->out, "event: ended\ndata: .\n\n") == 0;
  }
  return ph_now() - c->last >= ALIVE_NS && put_text(&c->out, ":\n\n") == 0;
}

static ssize_t read_stream(void *cls, uint64_t position, char *to, size_t room) {
  struct client *c = cls;
  (void)position;
  if (c->sent == c->out.len && !put_next(c)) {
    if (c->told_end) return MHD_CONTENT_READER_END_OF_STREAM;
    c->sleeps = true;
    c->server->api->MHD_suspend_connection(c->connection);
    return 0;
  }
  size_t n = c->out.len - c->sent;
  if (n > room) n = room;
  memcpy(to, c->out.data + c->sent, n);
  c->sent += n;
  c->last = ph_now();
  return (ssize_t)n;
}

static void free_client(void *cls) {
  struct client *c = cls;
  ph_list_remove(&c->node);
  ph_buf_deinit(&c->out);
  free(c);
}

static void wake_clients(struct server *s) {
  struct stat now;
  int64_t time = ph_now();
  if (fstat(s->d->trace, &now) != 0) return;
  for (struct ph_list *node = s->clients.next; node != &s->clients; node = node->next) {
    struct client *c = ph_list_entry(node, struct client, node);
    if (!c->sleeps || ((uint64_t)now.st_size <= c->place && !s->ending && time - c->last < ALIVE_NS)) continue;
    c->sleeps = false;
    s->api->MHD_resume_connection(c->connection);
  }
}

/* --- requests --------------------------------------------------------------------------------------------- */

static enum MHD_Result answer(struct server *s, struct MHD_Connection *connection, unsigned status,
                              struct MHD_Response *response, const char *type) {
  const struct ph_dashboard_api *api = s->api;
  if (response == NULL) return MHD_NO;
  const char *const headers[][2] = {
      {"Content-Type", type},
      {"Cache-Control", "no-store"},
      {"Content-Security-Policy", "frame-ancestors 'none'"},
      {"Cross-Origin-Resource-Policy", "same-origin"},
      {"Referrer-Policy", "no-referrer"},
      {"X-Content-Type-Options", "nosniff"},
  };
  for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
    api->MHD_add_response_header(response, headers[i][0], headers[i][1]);
  if (status == MHD_HTTP_METHOD_NOT_ALLOWED) api->MHD_add_response_header(response, "Allow", "GET");
  enum MHD_Result result = api->MHD_queue_response(connection, status, response);
  api->MHD_destroy_response(response);
  return result;
}

static enum MHD_Result refuse(struct server *s, struct MHD_Connection *connection, unsigned status, const char *why) {
  struct MHD_Response *response =
      s->api->MHD_create_response_from_buffer(strlen(why), (void *)(uintptr_t)why, MHD_RESPMEM_PERSISTENT);
  return answer(s, connection, status, response, "text/plain; charset=utf-8");
}

static enum MHD_Result send_page(struct server *s, struct MHD_Connection *connection) {
  struct MHD_Response *response =
      s->api->MHD_create_response_from_buffer(s->d->page_len, (void *)(uintptr_t)s->d->page, MHD_RESPMEM_PERSISTENT);
  return answer(s, connection, MHD_HTTP_OK, response, "text/html; charset=utf-8");
}

/* A client that comes back says where it was. */
static uint64_t place_of(struct server *s, struct MHD_Connection *connection) {
  const char *id = s->api->MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Last-Event-ID");
  struct stat now;
  uint64_t place = id != NULL ? strtoull(id, NULL, 10) : 0;
  return fstat(s->d->trace, &now) == 0 && place <= (uint64_t)now.st_size ? place : 0;
}

static enum MHD_Result send_stream(struct server *s, struct MHD_Connection *connection) {
  struct client *c = calloc(1, sizeof *c);
  if (c == NULL) return MHD_NO;
  c->server = s;
  c->connection = connection;
  c->place = place_of(s, connection);
  c->last = ph_now();
  if (put_text(&c->out, "retry: 1000\n\n") != 0) {
    free(c);
    return MHD_NO;
  }
  ph_list_push_back(&s->clients, &c->node);
  struct MHD_Response *response =
      s->api->MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 64 * 1024, read_stream, c, free_client);
  if (response == NULL) free_client(c);
  s->api->MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT, 0U);
  return answer(s, connection, MHD_HTTP_OK, response, "text/event-stream");
}

/* Takes as long whatever the difference. */
static bool is_token(const char *text, const char *token) {
  unsigned char different = 0;
  size_t len = strlen(token);
  if (strnlen(text, len) < len) return false;
  for (size_t i = 0; i < len; i++) different |= (unsigned char)(text[i] ^ token[i]);
  return different == 0;
}

/* Is this the name that we have told, or "localhost"? */
static bool is_our_host(const struct server *s, const char *host) {
  const char *port = strchr(s->d->host, ':');
  if (host == NULL) return false;
  return strcmp(host, s->d->host) == 0 || (strncasecmp(host, "localhost", 9) == 0 && strcmp(host + 9, port) == 0);
}

static bool is_our_origin(const struct server *s, const char *origin) {
  return origin == NULL || (strncmp(origin, "http://", 7) == 0 && is_our_host(s, origin + 7));
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_size, void **state) {
  struct server *s = cls;
  size_t len = strlen(s->d->token);
  (void)version;
  (void)upload;
  if (strcmp(method, "GET") != 0) return refuse(s, connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET only\n");
  if (!is_our_host(s, s->api->MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host")) ||
      !is_our_origin(s, s->api->MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Origin")))
    return refuse(s, connection, MHD_HTTP_FORBIDDEN, "not for you\n");
  if (url[0] != '/' || !is_token(url + 1, s->d->token)) return refuse(s, connection, MHD_HTTP_NOT_FOUND, "not found\n");
  if (*state == NULL) { /* the head alone is here; what may follow it is not wanted */
    *state = s;
    return MHD_YES;
  }
  if (*upload_size > 0) {
    *upload_size = 0;
    return MHD_YES;
  }
  const char *rest = url + 1 + len;
  if (strcmp(rest, "/") == 0) return send_page(s, connection);
  if (strcmp(rest, "/events") == 0) return send_stream(s, connection);
  return refuse(s, connection, MHD_HTTP_NOT_FOUND, "not found\n");
}

/* --- the loop --------------------------------------------------------------------------------------------- */

/* SIGTERM comes when the program ends, in whatever way. */
static int watch_signals(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  sigprocmask(SIG_BLOCK, &set, NULL);
  if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0) return -1;
  return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int timeout_of(struct server *s) {
  MHD_UNSIGNED_LONG_LONG wanted;
  int timeout = ph_list_empty(&s->clients) ? -1 : s->ending ? 1 : TICK_MS;
  if (s->api->MHD_get_timeout(s->daemon, &wanted) != MHD_YES) return timeout;
  return timeout < 0 || wanted < (MHD_UNSIGNED_LONG_LONG)timeout ? (int)wanted : timeout;
}

static void run(struct server *s, int signals) {
  struct pollfd fds[] = {
      {.fd = signals, .events = POLLIN},
      {.fd = s->api->MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd, .events = POLLIN}};
  int64_t until = PH_NEVER;
  while (!s->ending || (!ph_list_empty(&s->clients) && ph_now() < until)) {
    if (poll(fds, 2, timeout_of(s)) < 0 && errno != EINTR) return;
    if (!s->ending && fds[0].revents != 0) {
      s->ending = true;
      until = ph_now() + LINGER_NS;
      fds[0].fd = -1;
    }
    wake_clients(s);
    s->api->MHD_run(s->daemon);
  }
}

static int start_and_run(struct server *s, int signals, struct ph_err *err) {
  s->daemon = s->api->MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, s,
                                       MHD_OPTION_LISTEN_SOCKET, s->d->socket, MHD_OPTION_CONNECTION_LIMIT, CLIENTS_MAX,
                                       MHD_OPTION_CONNECTION_TIMEOUT, READ_TIMEOUT_S, MHD_OPTION_END);
  if (s->daemon == NULL) return ph_err_set(err, "os", 0, "libmicrohttpd does not start");
  ssize_t written = write(STDOUT_FILENO, s->d->line, strlen(s->d->line)); /* the program that waits for it may have ended */
  (void)written;
  close(STDOUT_FILENO);
  run(s, signals);
  for (struct ph_list *node = s->clients.next; node != &s->clients; node = node->next) {
    struct client *c = ph_list_entry(node, struct client, node);
    if (c->sleeps) s->api->MHD_resume_connection(c->connection);
  }
  s->api->MHD_stop_daemon(s->daemon);
  return 0;
}

int lib_dashboard_serve(const struct lib_dashboard *d, struct ph_err *err) {
  struct server s = {.api = ph_dashboard_api(), .d = d};
  struct stat trace;
  if (s.api == NULL)
    return ph_err_set(err, "os", 0, "libmicrohttpd is not installed (Debian: apt-get install libmicrohttpd12)");
  if (fstat(d->trace, &trace) != 0 || !S_ISREG(trace.st_mode) || pread(d->trace, &(char){0}, 1, 0) < 0)
    return ph_err_set(err, "os", 0, "the trace cannot be read: a regular file is needed");
  ph_list_init(&s.clients);
  int signals = watch_signals();
  if (signals < 0) return ph_err_os(err, "cannot wait for signals");
  s.piece = malloc(PIECE);
  int status = s.piece == NULL ? ph_err_set(err, "os", ENOMEM, "not enough memory") : start_and_run(&s, signals, err);
  free(s.piece);
  close(signals);
  return status;
}

#endif
