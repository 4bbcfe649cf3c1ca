-- SPDX-License-Identifier: MIT
-- Module `parhost`: the host itself.
local host = require "parhost.core.host"
local codec = require "parhost.core.codec"
local exit = require "parhost.exit"

return {
  version = host.version,
  cpu_count = host.cpu_count,
  monotonic = host.monotonic,
  worker = host.worker,
  check_cancelled = host.check_cancelled,
  progress = function(...) return require "parhost.progress".of(...) end,
  abort = host.abort,
  on_exit = exit.on_exit,
  register = codec.register,
  dump_value = codec.dump_value,
  load_value = codec.load_value,
}
