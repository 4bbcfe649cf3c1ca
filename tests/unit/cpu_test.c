/* SPDX-License-Identifier: MIT
 * base/cpu.c: quotas of control groups, as made-up file trees show them. */
#include "base/cpu.h"

#include <sched.h>
#include <string.h>
#include <sys/stat.h>

#include "check.h"

static char root[] = "/tmp/ph_cpu_test_XXXXXX";

static void write_file(const char *path, const char *text) {
  char full[512];
  snprintf(full, sizeof full, "%s%s", root, path);
  for (char *slash = strchr(full + strlen(root) + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    mkdir(full, 0700);
    *slash = '/';
  }
  FILE *file = fopen(full, "w");
  CHECK(file != NULL);
  fputs(text, file);
  fclose(file);
}

static int quota_with(const char *cgroup, const char *path, const char *text) {
  char command[512];
  snprintf(command, sizeof command, "rm -rf %s/proc %s/sys", root, root);
  CHECK(system(command) == 0);
  write_file("/proc/self/cgroup", cgroup);
  if (path != NULL) write_file(path, text);
  return ph_cpu_quota(root);
}

static void reads_v2(void) {
  CHECK(quota_with("0::/\n", NULL, NULL) == 0);
  CHECK(quota_with("0::/\n", "/sys/fs/cgroup/cpu.max", "max 100000\n") == 0);
  CHECK(quota_with("0::/\n", "/sys/fs/cgroup/cpu.max", "150000 100000\n") == 2);
  CHECK(quota_with("0::/\n", "/sys/fs/cgroup/cpu.max", "20000 100000\n") == 1);
  CHECK(quota_with("0::/a/b\n", "/sys/fs/cgroup/a/b/cpu.max", "400000 100000\n") == 4);
  CHECK(quota_with("0::/a/b\n", "/sys/fs/cgroup/a/cpu.max", "300000 100000\n") == 3);
  write_file("/sys/fs/cgroup/a/b/cpu.max", "500000 100000\n");
  CHECK(ph_cpu_quota(root) == 3); /* the group above is narrower */
  CHECK(quota_with("0::/not/mounted/here\n", "/sys/fs/cgroup/cpu.max", "200000 100000\n") == 2);
  CHECK(quota_with("0::/\n", "/sys/fs/cgroup/cpu.max", "rubbish\n") == 0);
}

static void reads_v1(void) {
  const char *lines = "12:cpuset:/x\n4:cpuacct,cpu:/docker/x\n1:name=systemd:/y\n";
  CHECK(quota_with(lines, "/sys/fs/cgroup/cpuacct,cpu/docker/x/cpu.cfs_quota_us", "250000\n") == 0);
  write_file("/sys/fs/cgroup/cpuacct,cpu/docker/x/cpu.cfs_period_us", "100000\n");
  CHECK(ph_cpu_quota(root) == 3);
  CHECK(quota_with(lines, "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n") == 0);
  write_file("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  CHECK(ph_cpu_quota(root) == 0);
  write_file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000\n");
  CHECK(ph_cpu_quota(root) == 1);
}

static void counts(void) {
  cpu_set_t set;
  CHECK(sched_getaffinity(0, sizeof set, &set) == 0);
  CHECK(ph_cpu_count() >= 1 && ph_cpu_count() <= CPU_COUNT(&set));
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (!CPU_ISSET(cpu, &set)) continue;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    break;
  }
  CHECK(sched_setaffinity(0, sizeof set, &set) == 0);
  CHECK(ph_cpu_count() == 1);
}

int main(void) {
  char command[512];
  CHECK(mkdtemp(root) != NULL);
  CHECK(ph_cpu_quota(root) == 0); /* no /proc at all */
  reads_v2();
  reads_v1();
  counts();
  snprintf(command, sizeof command, "rm -rf %s", root);
  CHECK(system(command) == 0);
  return 0;
}
