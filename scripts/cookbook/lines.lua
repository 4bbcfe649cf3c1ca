-- SPDX-License-Identifier: MIT
-- A filter: an expression for each line of stdin, in processes; order is kept, memory is bounded, input may be endless.
--   seq 100000 | parhost scripts/cookbook/lines.lua [expression = 'line:reverse()']
local parhost = require "parhost"
local proc_pool = require "proc_pool"

local expression = arg[1] or "line:reverse()"
local transform, why = load(("local line = ...; return %s"):format(expression), "=expression")
if not transform then
  io.stderr:write("lines.lua: ", why, "\n")
  os.exit(1)
end

io.stdout:setvbuf "full"
do
  local pool <close> = proc_pool.new()
  local buffered = pool:with { chunk_size = 100, buffer_size = 1000 * parhost.cpu_count() }
  for _, result in buffered:map(transform, (io.lines())) do io.write(tostring(result), "\n") end
end
