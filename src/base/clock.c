/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

#include <math.h>

int64_t ph_seconds_to_ns(double seconds) {
  double ns = ceil(seconds * 1e9);
  if (!(ns > 0)) return 0;
  return ns >= 9e18 ? PH_NEVER : (int64_t)ns;
}

int64_t ph_deadline_in(double seconds) {
  int64_t now = ph_now(), ns = ph_seconds_to_ns(seconds);
  return ns >= PH_NEVER - now ? PH_NEVER : now + ns;
}
