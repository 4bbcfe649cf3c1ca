/* SPDX-License-Identifier: MIT
 * How libcurl's sockets are watched. libcurl takes a socket off and puts it on again for each request; the epoll keeps
 * it registered for reading meanwhile, which saves two system calls a request. Readiness that nobody asked for takes it
 * off. Only sockets that came through our own open and close functions are kept so: for these we know when their
 * descriptor is closed and its number may come back as something else. */
#include "loop/curl_multi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"
#include "loop/curl_int.h"
#include "loop/loop_int.h"

#define BATCH 128
#define KEPT_CONNECTIONS 256L /* libcurl's own figure follows the number of transfers, and drops those of a short lull */

struct slot { /* what is known of a descriptor */
  struct ph_curl_multi *multi;
  uint32_t wanted, registered; /* events of epoll */
  bool ours;                   /* opened by open_socket */
};

struct glue { /* the handles on the loop; freed when the last of them is closed */
  uv_poll_t poll;
  uv_prepare_t prepare;
  uv_timer_t timer;
  int open;
};

struct ph_curl {
  const struct ph_curl_api *api;
  struct glue *glue;
  struct ph_list multis, news;
  int epoll_fd;
  bool readable; /* the loop found something on the epoll */
  size_t running;
  int refused;        /* why no socket could be made: to libcurl that is a connection that failed */
  bool unwatched;     /* there are exchanges that wait for a socket that nobody watches */
  struct slot *slots; /* by descriptor */
  size_t n_slots;
};

/* --- sockets ---------------------------------------------------------------------------------------------- */

static struct slot *slot_of(struct ph_curl *c, int fd) {
  size_t need = (size_t)fd + 1;
  if (need <= c->n_slots) return &c->slots[fd];
  need += need / 2 + 16;
  struct slot *slots = ph_realloc(c->slots, need * sizeof *slots);
  if (slots == NULL) return NULL;
  memset(slots + c->n_slots, 0, (need - c->n_slots) * sizeof *slots);
  c->slots = slots;
  c->n_slots = need;
  return &slots[fd];
}

static void set_interest(struct ph_curl *c, int fd, struct slot *s, uint32_t events) {
  struct epoll_event event = {.events = events, .data.fd = fd};
  if (s->registered == events) return;
  if (events == 0)
    epoll_ctl(c->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
  else if (epoll_ctl(c->epoll_fd, s->registered == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event) != 0)
    epoll_ctl(c->epoll_fd, s->registered == 0 ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
  s->registered = events;
}

/* No memory to watch it: its exchange ends soon. An error here would be the whole multi's, and leave libcurl (7.88) with
 * handles in its tables that are freed. */
static int leave_unwatched(struct ph_curl *c, CURL *easy, int what) {
  struct ph_exchange *x = NULL;
  if (what == CURL_POLL_REMOVE) return 0;
  c->api->easy_getinfo(easy, CURLINFO_PRIVATE, &x);
  if (x != NULL) ph__exchange_unwatched(x);
  c->unwatched = true;
  return 0;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ud, void *socket_ud) {
  (void)socket_ud;
  struct ph_curl_multi *m = ud;
  if (m->curl == NULL) return 0;
  struct slot *s = slot_of(m->curl, fd);
  if (s == NULL) return leave_unwatched(m->curl, easy, what);
  s->multi = m;
  s->wanted = what == CURL_POLL_REMOVE ? 0 : (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
  bool keep = s->wanted == 0 && s->ours && s->registered == EPOLLIN;
  if (!keep) set_interest(m->curl, fd, s, s->wanted);
  return 0;
}

static curl_socket_t open_socket(void *ud, curlsocktype purpose, struct curl_sockaddr *address) {
  (void)purpose;
  struct ph_curl *c = ud;
  int fd = PH_FAULT(socket) ? -1 : socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  if (fd >= 0 && slot_of(c, fd) == NULL) {
    close(fd);
    errno = ENOMEM;
    fd = -1;
  }
  if (fd < 0) {
    c->refused = errno;
    return CURL_SOCKET_BAD;
  }
  c->slots[fd] = (struct slot){.ours = true};
  return fd;
}

static int close_socket(void *ud, curl_socket_t fd) {
  struct ph_curl *c = ud;
  if ((size_t)fd < c->n_slots) {
    set_interest(c, fd, &c->slots[fd], 0);
    c->slots[fd] = (struct slot){0};
  }
  return close(fd);
}

static int on_timer_change(CURLM *handle, long ms, void *ud) {
  (void)handle;
  struct ph_curl_multi *m = ud;
  m->due = ms < 0 ? PH_NEVER : ph_now() + (int64_t)ms * 1000000;
  return 0;
}

/* --- the loop --------------------------------------------------------------------------------------------- */

static void on_readable(uv_poll_t *poll, int status, int events) {
  struct ph_curl *c = poll->data;
  (void)status, (void)events;
  ph__loop_note_event(poll->loop);
  c->readable = true;
}

static void on_timer(uv_timer_t *timer) {
  ph__loop_note_event(timer->loop);
}

static int64_t next_due(const struct ph_curl *c) {
  int64_t due = c->unwatched ? 0 : PH_NEVER;
  for (struct ph_list *n = c->multis.next; n != &c->multis; n = n->next) {
    const struct ph_curl_multi *m = ph_list_entry(n, struct ph_curl_multi, node);
    if (m->due < due) due = m->due;
  }
  return due;
}

/* The loop is about to sleep: no longer than libcurl allows. */
static void before_sleep(uv_prepare_t *prepare) {
  struct ph_curl *c = prepare->data;
  int64_t due = next_due(c), now = ph_now();
  if (due == PH_NEVER)
    uv_timer_stop(&c->glue->timer);
  else
    uv_timer_start(&c->glue->timer, on_timer, due <= now ? 0 : (uint64_t)((due - now + 999999) / 1000000), 0);
}

static void on_closed(uv_handle_t *handle) {
  struct glue *g = handle->data;
  if (--g->open == 0) free(g);
}

static void close_glue(struct glue *g) {
  uv_handle_t *handles[] = {(uv_handle_t *)&g->poll, (uv_handle_t *)&g->prepare, (uv_handle_t *)&g->timer};
  for (size_t i = 0; i < sizeof handles / sizeof *handles; i++) {
    handles[i]->data = g;
    uv_close(handles[i], on_closed);
  }
}

static struct glue *open_glue(struct ph_curl *c, struct ph_loop *loop, struct ph_err *err) {
  struct glue *g = ph_calloc(1, sizeof *g);
  int status = g == NULL || PH_FAULT(uv_poll) ? UV_ENOMEM : uv_poll_init(ph__loop_uv(loop), &g->poll, c->epoll_fd);
  if (status != 0) {
    ph_err_set(err, "os", -status, "cannot watch HTTP connections: %s", uv_strerror(status));
    free(g);
    return NULL;
  }
  uv_prepare_init(ph__loop_uv(loop), &g->prepare);
  uv_timer_init(ph__loop_uv(loop), &g->timer);
  g->poll.data = g->prepare.data = g->timer.data = c;
  g->open = 3;
  uv_poll_start(&g->poll, UV_READABLE, on_readable);
  uv_prepare_start(&g->prepare, before_sleep);
  return g;
}

struct ph_curl *ph_curl_open(struct ph_loop *loop, struct ph_err *err) {
  const struct ph_curl_api *api = ph_curl_api(err);
  if (api == NULL) return NULL;
  struct ph_curl *c = ph_calloc(1, sizeof *c);
  if (c == NULL) {
    ph_err_set(err, "os", ENOMEM, "not enough memory for HTTP");
    return NULL;
  }
  c->api = api;
  ph_list_init(&c->multis);
  ph_list_init(&c->news);
  c->epoll_fd = PH_FAULT(epoll_create) ? -1 : epoll_create1(EPOLL_CLOEXEC);
  if (c->epoll_fd < 0) ph_err_os(err, "cannot watch HTTP connections");
  if (c->epoll_fd < 0 || (c->glue = open_glue(c, loop, err)) == NULL) {
    if (c->epoll_fd >= 0) close(c->epoll_fd);
    free(c);
    return NULL;
  }
  return c;
}

static void end_exchanges(struct ph_curl_multi *m, bool touch) {
  while (!ph_list_empty(&m->exchanges)) ph__exchange_drop(m->exchanges.next, touch);
}

static void close_multi(struct ph_curl_multi *m) {
  const struct ph_curl_api *api = m->curl->api;
  end_exchanges(m, true);
  while (!ph_list_empty(&m->idle)) ph__exchange_discard(m->idle.next);
  api->multi_cleanup(m->handle);
  if (m->share != NULL) api->share_cleanup(m->share);
  ph_list_remove(&m->node);
  m->curl = NULL;
}

static void free_curl(struct ph_curl *c) {
  while (ph_list_pop_front(&c->news) != NULL) {
  } /* exchanges may outlive us */
  close(c->epoll_fd);
  free(c->slots);
  free(c);
}

void ph_curl_close(struct ph_curl *c) {
  while (!ph_list_empty(&c->multis)) close_multi(ph_list_entry(c->multis.next, struct ph_curl_multi, node));
  close_glue(c->glue);
  free_curl(c);
}

void ph_curl_forget(struct ph_curl *c) {
  while (!ph_list_empty(&c->multis)) {
    struct ph_curl_multi *m = ph_list_entry(c->multis.next, struct ph_curl_multi, node);
    end_exchanges(m, false);
    ph_list_remove(&m->node);
    m->curl = NULL;
  }
  free_curl(c);
}

/* --- moving ----------------------------------------------------------------------------------------------- */

static void collect_ended(struct ph_curl_multi *m) {
  CURLMsg *message;
  int left;
  while ((message = m->curl->api->multi_info_read(m->handle, &left)) != NULL) {
    struct ph_exchange *x = NULL;
    if (message->msg != CURLMSG_DONE) continue;
    CURLcode code = message->data.result; /* the message dies with the removal of its handle */
    m->curl->api->easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &x);
    ph__exchange_over(x, code);
  }
}

static void act(struct ph_curl_multi *m, int fd, int bits) {
  int running;
  m->curl->api->multi_socket_action(m->handle, fd, bits, &running);
  collect_ended(m);
}

static void on_event(struct ph_curl *c, const struct epoll_event *event) {
  int fd = event->data.fd, bits = 0;
  struct slot *s = &c->slots[fd];
  if (s->wanted == 0) {
    set_interest(c, fd, s, 0);
    return;
  }
  uint32_t trouble = event->events & (EPOLLERR | EPOLLHUP);
  if ((event->events & EPOLLIN) || (trouble && (s->wanted & EPOLLIN))) bits |= CURL_CSELECT_IN;
  if ((event->events & EPOLLOUT) || (trouble && (s->wanted & EPOLLOUT))) bits |= CURL_CSELECT_OUT;
  act(s->multi, fd, bits);
}

static void end_unwatched(struct ph_curl *c) {
  c->unwatched = false;
  for (struct ph_list *n = c->multis.next; n != &c->multis; n = n->next) {
    struct ph_curl_multi *m = ph_list_entry(n, struct ph_curl_multi, node);
    for (struct ph_list *x = m->exchanges.next; x != &m->exchanges; x = x->next) ph__exchange_end_unwatched(x);
  }
}

static void run_timers(struct ph_curl *c) {
  int64_t now = ph_now();
  for (struct ph_list *n = c->multis.next; n != &c->multis; n = n->next) {
    struct ph_curl_multi *m = ph_list_entry(n, struct ph_curl_multi, node);
    if (m->due > now) continue;
    m->due = PH_NEVER;
    act(m, CURL_SOCKET_TIMEOUT, 0);
  }
}

void ph_curl_turn(struct ph_curl *c) {
  struct epoll_event events[BATCH];
  if (c->running == 0 && !c->readable && next_due(c) == PH_NEVER) return;
  c->readable = false;
  int n = epoll_wait(c->epoll_fd, events, BATCH, 0);
  for (int i = 0; i < n; i++) on_event(c, &events[i]);
  run_timers(c);
  if (c->unwatched) end_unwatched(c);
}

struct ph_exchange *ph_curl_news(struct ph_curl *c) {
  struct ph_list *node = ph_list_pop_front(&c->news);
  return node != NULL ? ph__exchange_of_news(node) : NULL;
}

bool ph_curl_busy(const struct ph_curl *c) {
  return c->running > 0 || !ph_list_empty(&c->news);
}

/* --- multis ----------------------------------------------------------------------------------------------- */

static int share_cookies(struct ph_curl_multi *m) {
  m->share = m->curl->api->share_init();
  if (m->share == NULL) return -1;
  return m->curl->api->share_setopt(m->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_COOKIE) == CURLSHE_OK ? 0 : -1;
}

static void keep_connections(struct ph_curl_multi *m, long kept) {
  m->kept = kept;
  m->curl->api->multi_setopt(m->handle, CURLMOPT_MAXCONNECTS, kept);
}

struct ph_curl_multi *ph_curl_multi_new(struct ph_curl *c, const struct ph_curl_limits *limits, struct ph_err *err) {
  struct ph_curl_multi *m = ph_calloc(1, sizeof *m);
  CURLM *handle = m != NULL && !PH_FAULT(curl) ? c->api->multi_init() : NULL;
  if (handle == NULL) {
    ph_err_set(err, "os", ENOMEM, "not enough memory for an HTTP session");
    free(m);
    return NULL;
  }
  m->curl = c;
  m->handle = handle;
  m->due = PH_NEVER;
  ph_list_init(&m->exchanges);
  ph_list_init(&m->idle);
  ph_list_push_back(&c->multis, &m->node);
  c->api->multi_setopt(handle, CURLMOPT_SOCKETFUNCTION, on_socket);
  c->api->multi_setopt(handle, CURLMOPT_SOCKETDATA, m);
  c->api->multi_setopt(handle, CURLMOPT_TIMERFUNCTION, on_timer_change);
  c->api->multi_setopt(handle, CURLMOPT_TIMERDATA, m);
  keep_connections(m, KEPT_CONNECTIONS);
  c->api->multi_setopt(handle, CURLMOPT_MAX_TOTAL_CONNECTIONS, limits->max_connections);
  c->api->multi_setopt(handle, CURLMOPT_MAX_HOST_CONNECTIONS, limits->max_per_host);
  if (limits->cookies && share_cookies(m) != 0) {
    ph_err_set(err, "os", ENOMEM, "not enough memory for the cookies of an HTTP session");
    ph_curl_multi_free(m);
    return NULL;
  }
  return m;
}

bool ph_curl_multi_open(const struct ph_curl_multi *m) {
  return m->curl != NULL;
}

void ph_curl_multi_free(struct ph_curl_multi *m) {
  if (m->curl != NULL) close_multi(m);
  free(m);
}

void ph_curl_multi_cookies(struct ph_curl_multi *m, void (*visit)(void *ud, const char *line), void *ud) {
  struct curl_slist *list = NULL;
  CURL *easy = m->share != NULL ? ph__curl_handle(m) : NULL;
  if (easy == NULL) return;
  m->curl->api->easy_getinfo(easy, CURLINFO_COOKIELIST, &list);
  for (const struct curl_slist *item = list; item != NULL; item = item->next) visit(ud, item->data);
  m->curl->api->slist_free_all(list);
  m->curl->api->easy_cleanup(easy);
}

/* --- for exchanges ---------------------------------------------------------------------------------------- */

const struct ph_curl_api *ph__curl_functions(const struct ph_curl *c) {
  return c->api;
}

static void set_basics(struct ph_curl_multi *m, CURL *easy) {
  const struct ph_curl_api *api = m->curl->api;
  api->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  api->easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
  api->easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
  api->easy_setopt(easy, CURLOPT_OPENSOCKETDATA, m->curl);
  api->easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
  api->easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, m->curl);
  if (m->share == NULL) return;
  api->easy_setopt(easy, CURLOPT_SHARE, m->share);
  api->easy_setopt(easy, CURLOPT_COOKIEFILE, "");
}

CURL *ph__curl_handle(struct ph_curl_multi *m) {
  CURL *easy = PH_FAULT(curl) ? NULL : m->curl->api->easy_init();
  if (easy != NULL) set_basics(m, easy);
  return easy;
}

void ph__curl_reset(struct ph_curl_multi *m, CURL *easy) {
  if (m->share != NULL) m->curl->api->easy_setopt(easy, CURLOPT_COOKIEFILE, NULL); /* 7.88's reset forgets to free it */
  m->curl->api->easy_reset(easy);
  set_basics(m, easy);
}

bool ph__curl_needs_reset(struct ph_curl_multi *m, CURL *easy) {
  long connects = 0;
  m->curl->api->easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &connects);
  return connects > 0;
}

int ph__curl_refused(struct ph_curl_multi *m) {
  int refused = m->curl->refused;
  m->curl->refused = 0;
  return refused;
}

/* libcurl counts connections in use as well: with more of them than it may keep, each request would close one and the
 * next one open another. */
void ph__curl_started(struct ph_curl_multi *m) {
  m->curl->running++;
  if (++m->running > m->kept) keep_connections(m, 2 * m->running);
}

void ph__curl_ended(struct ph_curl_multi *m) {
  m->curl->running--;
  if (--m->running == 0 && m->kept > KEPT_CONNECTIONS) keep_connections(m, KEPT_CONNECTIONS);
}

void ph__curl_tell(struct ph_curl *c, struct ph_list *news_node) {
  if (ph_list_empty(news_node)) ph_list_push_back(&c->news, news_node);
}
