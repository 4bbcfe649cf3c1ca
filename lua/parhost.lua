-- SPDX-License-Identifier: MIT
-- Module `parhost`: the host itself.
local host = require "parhost.core.host"

local parhost = {
  version = host.version,
  cpu_count = host.cpu_count,
  monotonic = host.monotonic,
  worker = host.worker,
  check_cancelled = host.check_cancelled,
  abort = host.abort,
}

function parhost.on_exit(hook)
  require("parhost.exit").on_exit(hook)
end

-- register, dump_value and load_value, at their first use.
return setmetatable(parhost, {
  __index = function(_, name)
    if name ~= "register" and name ~= "dump_value" and name ~= "load_value" then return nil end
    local codec = require "parhost.core.codec"
    parhost.register, parhost.dump_value, parhost.load_value = codec.register, codec.dump_value, codec.load_value
    return rawget(parhost, name)
  end,
})
