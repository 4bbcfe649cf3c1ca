-- SPDX-License-Identifier: MIT
-- submit + settle: n small tasks to a pool of one process that is kept busy meanwhile, then their results. Both halves
-- are done in one go: how many replies come at once does not depend on who is faster.
local n = tonumber(arg[1])
local here = os.tmpname()
local go, done = here .. ".go", here .. ".done"
assert(os.execute(("rm %s; mkfifo %s %s"):format(here, go, done)))

local function wait_at(path) io.open(path):close() end
local function pass(path) io.open(path, "w"):close() end
local function same(x) return x end

local pool <close> = require "proc_pool".new(1)
local futures = {}
pool:submit(wait_at, go)
for i = 1, n do futures[i] = pool:submit(same, i) end
pool:submit(pass, done)
pass(go)
wait_at(done)
for i = 1, n do assert(futures[i]:result() == i) end
os.remove(go)
os.remove(done)
