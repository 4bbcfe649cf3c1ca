/* SPDX-License-Identifier: MIT */
#include "base/cpu.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 4096 };

int ph_cpu_allowed(void) {
  for (int cpus = CPU_SETSIZE; cpus <= 64 * CPU_SETSIZE; cpus *= 2) {
    cpu_set_t *set = CPU_ALLOC((size_t)cpus);
    if (set == NULL) break;
    size_t size = CPU_ALLOC_SIZE((size_t)cpus);
    bool got = sched_getaffinity(0, size, set) == 0;
    int count = got ? CPU_COUNT_S(size, set) : 0;
    CPU_FREE(set);
    if (got) return count;
  }
  long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? (int)online : 1;
}

static bool read_line(const char *path, char *line, int size) {
  FILE *file = fopen(path, "re");
  if (file == NULL) return false;
  bool got = fgets(line, size, file) != NULL;
  fclose(file);
  return got;
}

static int processors(long long quota, long long period) {
  if (quota <= 0 || period <= 0) return 0;
  long long whole = (quota + period - 1) / period;
  return whole > 1 << 20 ? 0 : (int)whole;
}

/* cgroup v2: "max 100000" or "150000 100000". */
static int quota_v2(const char *directory) {
  char path[PATH_SIZE + 32], line[128];
  snprintf(path, sizeof path, "%s/cpu.max", directory);
  long long quota, period;
  if (!read_line(path, line, sizeof line) || sscanf(line, "%lld %lld", &quota, &period) != 2) return 0;
  return processors(quota, period);
}

/* cgroup v1: two files, -1 for none. */
static int quota_v1(const char *directory) {
  char path[PATH_SIZE + 32], quota[64], period[64];
  snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", directory);
  if (!read_line(path, quota, sizeof quota)) return 0;
  snprintf(path, sizeof path, "%s/cpu.cfs_period_us", directory);
  if (!read_line(path, period, sizeof period)) return 0;
  return processors(atoll(quota), atoll(period));
}

static int smaller_quota(int a, int b) {
  if (a == 0) return b;
  return b == 0 || a < b ? a : b;
}

/* A group is bound by the quotas of all groups above it. Inside a container the path that /proc shows may not exist
 * below the mount: going up to the mount point itself finds the container's own group. */
static int smallest_quota(const char *mount, const char *group, int (*read_quota)(const char *directory)) {
  char directory[PATH_SIZE];
  size_t top = strlen(mount);
  if (snprintf(directory, sizeof directory, "%s%s", mount, group) >= (int)sizeof directory) return 0;
  int smallest = 0;
  for (;;) {
    smallest = smaller_quota(smallest, read_quota(directory));
    char *slash = strrchr(directory, '/');
    if (strlen(directory) <= top || slash == NULL) return smallest;
    *slash = '\0';
  }
}

/* True when `controllers` ("cpu,cpuacct") names cpu. */
static bool names_cpu(const char *controllers) {
  for (const char *at = controllers; (at = strstr(at, "cpu")) != NULL; at += 3) {
    bool begins = at == controllers || at[-1] == ',';
    if (begins && (at[3] == '\0' || at[3] == ',')) return true;
  }
  return false;
}

/* One line of /proc/self/cgroup: "0::/user.slice" (v2) or "4:cpu,cpuacct:/docker/x" (v1). */
static int quota_of_line(const char *root, char *line) {
  line[strcspn(line, "\n")] = '\0';
  char *controllers = strchr(line, ':');
  char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
  if (group == NULL) return 0;
  *controllers++ = '\0';
  *group++ = '\0';
  if (strcmp(group, "/") == 0) group = "";

  char mount[PATH_SIZE];
  if (controllers[0] == '\0') {
    snprintf(mount, sizeof mount, "%s/sys/fs/cgroup", root);
    return smallest_quota(mount, group, quota_v2);
  }
  if (!names_cpu(controllers)) return 0;
  snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/%s", root, controllers);
  int quota = smallest_quota(mount, group, quota_v1);
  if (quota != 0) return quota;
  snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/cpu", root);
  return smallest_quota(mount, group, quota_v1);
}

int ph_cpu_quota(const char *root) {
  char path[PATH_SIZE], line[PATH_SIZE];
  snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
  FILE *file = fopen(path, "re");
  if (file == NULL) return 0;
  int quota = 0;
  while (fgets(line, sizeof line, file) != NULL) quota = smaller_quota(quota, quota_of_line(root, line));
  fclose(file);
  return quota;
}

int ph_cpu_count(void) {
  int count = ph_cpu_allowed();
  int quota = ph_cpu_quota("");
  if (quota > 0 && quota < count) count = quota;
  return count > 0 ? count : 1;
}
