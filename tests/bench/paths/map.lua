-- SPDX-License-Identifier: MIT
-- map: n items in chunks of a hundred to a pool of one process that is kept busy meanwhile, then their results.
local n = tonumber(arg[1])
local here = os.tmpname()
local go, done = here .. ".go", here .. ".done"
assert(os.execute(("rm %s; mkfifo %s %s"):format(here, go, done)))

local function wait_at(path) io.open(path):close() end
local function pass(path) io.open(path, "w"):close() end
local function same(x) return x end

local pool <close> = require "proc_pool".new(1)
local list, sum = {}, 0
for i = 1, n do list[i] = i end
pool:submit(wait_at, go)
local results = pool:with({ chunk_size = 100 }):map(same, list)
pool:submit(pass, done)
pass(go)
wait_at(done)
for _, x in results do sum = sum + x end
assert(sum == n * (n + 1) // 2)
os.remove(go)
os.remove(done)
