/* SPDX-License-Identifier: MIT */
#include "pool/joblog.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"

#define KEPT_MAX 4 /* files that a worker process keeps open */
enum { BYTE_PROGRAM = 0, BYTE_TASKS = 1, BYTE_HOST = 1000 };

struct ph_joblog {
  struct ph_joblog *next;
  uint64_t dev, ino, host;
  int fd;
  unsigned refs;
  bool is_first;
  char path[]; /* absolute */
};

struct ph__joblog_head {
  uint64_t dev, ino, host, seq;
  uint32_t path_len;
  uint32_t sync;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct ph_joblog *logs; /* that this process is the program of */
static struct kept {
  uint64_t dev, ino;
  int fd;
} kept[KEPT_MAX]; /* and that it runs tasks of, for another one */
static unsigned n_kept;
static pthread_once_t watching_forks = PTHREAD_ONCE_INIT;

/* In a copy of the process: what is open is the parent's. */
static void leave_to_parent(void) {
  pthread_mutex_init(&lock, NULL);
  logs = NULL;
  n_kept = 0;
}

static void watch_forks(void) {
  pthread_atfork(NULL, NULL, leave_to_parent);
}

/* --- locks ------------------------------------------------------------------------------------------------- */

/* 0, or an errno; EAGAIN: somebody else holds it. */
static int lock_byte(int fd, short type, uint64_t byte) {
  struct flock range = {.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
  int code = fcntl(fd, F_OFD_SETLK, &range) == 0 ? 0 : errno;
  return code == EACCES ? EAGAIN : code;
}

static bool is_held(int fd, uint64_t byte) {
  struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
  return fcntl(fd, F_OFD_GETLK, &range) != 0 || range.l_type != F_UNLCK;
}

/* Without locks on this file system it goes without. */
static int take_file(int fd, uint64_t host) {
  if (lock_byte(fd, F_WRLCK, BYTE_PROGRAM) == EAGAIN || lock_byte(fd, F_WRLCK, BYTE_TASKS) == EAGAIN) return -1;
  lock_byte(fd, F_UNLCK, BYTE_TASKS);
  lock_byte(fd, F_WRLCK, host);
  return 0;
}

/* --- opening ----------------------------------------------------------------------------------------------- */

static int64_t wall_clock(void) {
  struct timespec ts;
  clock_gettime(CLOCK_REALTIME, &ts);
  return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static struct ph_joblog *find(uint64_t dev, uint64_t ino) {
  struct ph_joblog *log = logs;
  while (log != NULL && (log->dev != dev || log->ino != ino)) log = log->next;
  return log;
}

static struct ph_joblog *new_log(int fd, const struct stat *info) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t len = readlink(link, path, sizeof path - 1);
  if (len < 0) return NULL;
  path[len] = '\0';
  struct ph_joblog *log = ph_malloc(sizeof *log + (size_t)len + 1);
  if (log == NULL) return NULL;
  *log = (struct ph_joblog){.dev = info->st_dev, .ino = info->st_ino, .fd = fd, .refs = 1, .is_first = true};
  log->host = BYTE_HOST + ((uint64_t)wall_clock() & (UINT64_MAX >> 2));
  memcpy(log->path, path, (size_t)len + 1);
  return log;
}

/* Takes the descriptor. NULL with errno. */
static struct ph_joblog *enter(int fd, const struct stat *info) {
  struct ph_joblog *log = find(info->st_dev, info->st_ino);
  if (log != NULL) {
    close(fd);
    log->refs++;
    log->is_first = false;
    return log;
  }
  log = new_log(fd, info);
  if (log != NULL && take_file(fd, log->host) == 0) {
    log->next = logs;
    logs = log;
    return log;
  }
  int code = log != NULL ? EBUSY : errno;
  free(log);
  close(fd);
  errno = code;
  return NULL;
}

struct ph_joblog *ph_joblog_open(const char *path, struct ph_err *err) {
  struct stat info;
  pthread_once(&watching_forks, watch_forks);
  int fd = PH_FAULT(joblog_open) ? -1 : open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
  if (fd < 0 || fstat(fd, &info) != 0) {
    int code = errno;
    if (fd >= 0) close(fd);
    ph_err_set(err, "os", code, "cannot open the job log '%s': %s", path, strerror(code));
    return NULL;
  }
  if (!S_ISREG(info.st_mode)) {
    close(fd);
    ph_err_set(err, "os", EINVAL, "the job log '%s' is not a regular file", path);
    return NULL;
  }
  pthread_mutex_lock(&lock);
  struct ph_joblog *log = enter(fd, &info);
  pthread_mutex_unlock(&lock);
  if (log != NULL) return log;
  if (errno == EBUSY)
    ph_err_set(err, "os", EBUSY, "the job log '%s' is in use by another program", path);
  else
    ph_err_set(err, "os", errno, "cannot open the job log '%s': %s", path, strerror(errno));
  return NULL;
}

void ph_joblog_unref(struct ph_joblog *log) {
  pthread_mutex_lock(&lock);
  struct ph_joblog **place = &logs;
  while (*place != NULL && *place != log) place = &(*place)->next;
  bool last = *place == log && --log->refs == 0; /* not of a list that was left to the parent */
  if (last) *place = log->next;
  pthread_mutex_unlock(&lock);
  if (!last) return;
  close(log->fd);
  free(log);
}

int ph_joblog_fd(const struct ph_joblog *log) {
  return log->fd;
}

bool ph_joblog_is_first(const struct ph_joblog *log) {
  return log->is_first;
}

/* --- messages ---------------------------------------------------------------------------------------------- */

size_t ph_joblog_size(const struct ph_joblog *log, size_t n_keys, size_t key_bytes) {
  return sizeof(struct ph__joblog_head) + strlen(log->path) + 1 + (n_keys + 1) * sizeof(uint32_t) + key_bytes;
}

void ph_joblog_begin(struct ph_buf *to, const struct ph_joblog *log, bool sync, uint64_t seq) {
  struct ph__joblog_head head = {.dev = log->dev, .ino = log->ino, .host = log->host, .seq = seq, .sync = sync};
  head.path_len = (uint32_t)strlen(log->path);
  ph_buf_put(to, &head, sizeof head);
  ph_buf_put(to, log->path, head.path_len + 1);
}

void ph_joblog_add_key(struct ph_buf *to, const char *key, size_t len) {
  uint32_t n = (uint32_t)len;
  ph_buf_put(to, &n, sizeof n);
  ph_buf_put(to, key, len);
}

void ph_joblog_end(struct ph_buf *to) {
  uint32_t n = (uint32_t)(to->len + sizeof n);
  ph_buf_put(to, &n, sizeof n);
}

/* The key of the item, which is empty where there is none; its length is in the message before it. */
static const uint8_t *key_of(const struct ph_joblog_item *item, uint32_t *len) {
  *len = 0;
  if (item->end - item->key < (ptrdiff_t)sizeof *len) return item->end;
  memcpy(len, item->key, sizeof *len);
  if (*len > (size_t)(item->end - item->key) - sizeof *len) *len = (uint32_t)(item->end - item->key - sizeof *len);
  return item->key + sizeof *len;
}

void ph_joblog_next(struct ph_joblog_item *item) {
  uint32_t len;
  const uint8_t *key = key_of(item, &len);
  item->seq++;
  item->key = key + len;
}

bool ph_joblog_split(const uint8_t *payload, size_t *len, uint32_t first, struct ph_joblog_item *item) {
  struct ph__joblog_head head;
  uint32_t n;
  if (*len < sizeof n) return false;
  memcpy(&n, payload + *len - sizeof n, sizeof n);
  if (n > *len || n < sizeof head + 1 + sizeof n) return false;
  const uint8_t *from = payload + *len - n;
  memcpy(&head, from, sizeof head);
  if (head.path_len >= n - sizeof head - sizeof n || from[sizeof head + head.path_len] != '\0') return false;
  *item = (struct ph_joblog_item){.dev = head.dev, .ino = head.ino, .host = head.host, .seq = head.seq, .fd = -1};
  item->sync = head.sync != 0;
  item->path = (const char *)from + sizeof head;
  item->key = from + sizeof head + head.path_len + 1;
  item->end = from + n - sizeof n;
  for (uint32_t i = 0; i < first; i++) ph_joblog_next(item);
  *len -= n;
  return true;
}

/* --- items ------------------------------------------------------------------------------------------------- */

static int open_again(const struct ph_joblog_item *item) {
  struct stat info;
  int fd = PH_FAULT(joblog_open) ? -1 : open(item->path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0) return -1;
  if (fstat(fd, &info) == 0 && info.st_dev == item->dev && info.st_ino == item->ino) return fd;
  close(fd);
  errno = ESTALE;
  return -1;
}

/* The file in a process that is not the log's program; the oldest one makes room. */
static int find_kept(const struct ph_joblog_item *item) {
  for (unsigned i = 0; i < n_kept; i++)
    if (kept[i].dev == item->dev && kept[i].ino == item->ino) return kept[i].fd;
  int fd = open_again(item);
  if (fd < 0) return -1;
  if (n_kept == KEPT_MAX) {
    close(kept[0].fd);
    memmove(kept, kept + 1, (KEPT_MAX - 1) * sizeof *kept);
    n_kept--;
  }
  kept[n_kept++] = (struct kept){item->dev, item->ino, fd};
  return fd;
}

static int fail(struct ph_err *err, const struct ph_joblog_item *item, const char *what) {
  int code = errno;
  return ph_err_set(err, "os", code, "cannot %s the job log '%s': %s", what, item->path,
                    code == ESTALE ? "another file has taken its place" : strerror(code));
}

int ph_joblog_item_begin(struct ph_joblog_item *item, struct ph_err *err) {
  pthread_once(&watching_forks, watch_forks);
  pthread_mutex_lock(&lock);
  item->log = find(item->dev, item->ino);
  if (item->log != NULL) item->log->refs++;
  item->fd = item->log != NULL ? item->log->fd : find_kept(item);
  pthread_mutex_unlock(&lock);
  if (item->fd < 0) return fail(err, item, "open");
  item->pid = getpid();
  item->started = wall_clock();
  if (item->log == NULL) lock_byte(item->fd, F_RDLCK, BYTE_TASKS);
  if (item->log != NULL || is_held(item->fd, item->host)) return 0;
  item->pid = 0;
  lock_byte(item->fd, F_UNLCK, BYTE_TASKS);
  errno = EOWNERDEAD;
  return fail(err, item, "use");
}

static int write_line(const struct ph_joblog_item *item, const struct ph_joblog_result *r) {
  char head[256];
  int64_t ms = item->started / 1000000, run_ms = r->run_ns / 1000000;
  int n = snprintf(head, sizeof head, "%" PRIu64 "\t:\t%" PRId64 ".%03d\t%6" PRId64 ".%03d\t%zu\t%zu\t%d\t%d\t", item->seq,
                   ms / 1000, (int)(ms % 1000), run_ms / 1000, (int)(run_ms % 1000), item->sent, r->received, r->exit_code,
                   r->signal_number);
  uint32_t len;
  const uint8_t *key = key_of(item, &len);
  const struct iovec parts[] = {{head, (size_t)n}, {(void *)(uintptr_t)key, len}, {"\n", 1}};
  ssize_t done = PH_FAULT(joblog_write) ? -1 : writev(item->fd, parts, 3);
  if (done < 0) return -1;
  if ((size_t)done == (size_t)n + len + 1) return item->sync ? fdatasync(item->fd) : 0;
  errno = ENOSPC; /* or a limit: there was no room for all of it */
  return -1;
}

int ph_joblog_item_end(struct ph_joblog_item *item, const struct ph_joblog_result *result, struct ph_err *err) {
  bool own = item->pid == getpid();
  item->pid = 0;
  if (!own) return 0;
  int status = write_line(item, result);
  if (status != 0) fail(err, item, "write to");
  if (item->log != NULL)
    ph_joblog_unref(item->log);
  else
    lock_byte(item->fd, F_UNLCK, BYTE_TASKS);
  return status;
}
