/* SPDX-License-Identifier: MIT
 * What is checked: options_fuzz.lua. */
#include "script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  script_run(PH_FUZZ_SCRIPTS "/options_fuzz.lua", data, size);
  return 0;
}
