/* SPDX-License-Identifier: MIT */
#include "vm/screen.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fault.h"

#define IMAGE_MAX ((size_t)1 << 16)
#define ROWS_MAX 500

struct page {
  pthread_mutex_t lock;
  size_t len;             /* of the image; 0: nothing is being edited. What another process may have left here is checked */
  unsigned row, last_row; /* of the cursor, of the line's end */
  unsigned columns;       /* 0: of standard output, for the editor; else a line of progress, on standard error */
  char image[IMAGE_MAX];
};

static struct page *page;

void ph_screen_share(void) {
  pthread_mutexattr_t attr;
  if (page != NULL) return;
  struct page *p =
      PH_FAULT(mmap) ? MAP_FAILED : mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return;
  pthread_mutexattr_init(&attr);
  pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&p->lock, &attr);
  pthread_mutexattr_destroy(&attr);
  page = p;
}

void ph_screen_lock(void) {
  if (page != NULL && pthread_mutex_lock(&page->lock) == EOWNERDEAD) pthread_mutex_consistent(&page->lock);
}

void ph_screen_unlock(void) {
  if (page != NULL) pthread_mutex_unlock(&page->lock);
}

bool ph_screen_put(int fd, const void *bytes, size_t n) {
  const char *from = bytes;
  while (n > 0) {
    ssize_t done = PH_FAULT(write) ? -1 : write(fd, from, PH_FAULT(write_short) ? 1 : n);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return false;
    from += done;
    n -= (size_t)done;
  }
  return true;
}

static bool is_edited(void) {
  return page != NULL && page->len > 0 && page->len <= IMAGE_MAX && page->row <= page->last_row && page->last_row < ROWS_MAX;
}

unsigned ph_screen_columns(int fd) {
  struct winsize size;
  return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void ph_screen_clear_line(unsigned columns) {
  bool broken = ph_screen_columns(STDERR_FILENO) != columns;
  ph_screen_put(STDERR_FILENO, broken ? "\r\033[J" : "\r\033[K", 4);
}

/* Row by row, upwards from the last one: "clear to the end of the screen" makes some terminals keep what was there. */
bool ph_screen_hide(int fd) {
  char keys[ROWS_MAX * 8 + 32];
  if (!is_edited()) return false;
  if (page->columns > 0) {
    if (!isatty(fd)) return false;
    ph_screen_clear_line(page->columns);
    return true;
  }
  unsigned last_row = page->last_row, down = last_row - page->row;
  int n = down > 0 ? snprintf(keys, 32, "\033[%uB\r\033[K", down) : snprintf(keys, 32, "\r\033[K");
  for (unsigned i = 0; i < last_row; i++) {
    memcpy(keys + n, "\033[A\033[K", 6);
    n += 6;
  }
  ph_screen_put(STDOUT_FILENO, keys, (size_t)n);
  return true;
}

void ph_screen_show(void) {
  if (is_edited()) ph_screen_put(page->columns > 0 ? STDERR_FILENO : STDOUT_FILENO, page->image, page->len);
}

bool ph_screen_set_image(const void *bytes, size_t n, unsigned row, unsigned last_row) {
  if (page == NULL) return false;
  page->len = 0;
  if (n > IMAGE_MAX || last_row >= ROWS_MAX) return false;
  if (n > 0) memcpy(page->image, bytes, n);
  page->columns = 0;
  page->row = row;
  page->last_row = last_row;
  page->len = n;
  return true;
}

void ph_screen_set_line(const void *bytes, size_t n, unsigned columns) {
  if (ph_screen_set_image(bytes, n, 0, 0)) page->columns = columns;
}
