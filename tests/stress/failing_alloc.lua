-- SPDX-License-Identifier: MIT
-- What tests/stress/failing_alloc.c runs over and over: a little of everything, while a fault is armed, then once more
-- without. Whatever fails does so with an error that says why; what goes well gives the right result; and afterwards
-- everything works. The last line says whether the fault has tripped.
--   parhost tests/stress/failing_alloc.lua FAULT
local fault = require "parhost.core.fault"
local async = require "async"
local futures = require "futures"
local http = require "http"
local proc_pool = require "proc_pool"
local process = require "async.process"
local thread_pool = require "thread_pool"

local function double(n) return n * 2 end
local function list_of(n)
  local list = { name = "list", n = n }
  for i = 1, n do list[i] = { i, tostring(i) } end
  return list
end
local function length(text) return #text, text end
local function fail(text) error({ text = text }) end
local function inside(pool, n)
  local f = pool:submit(double, n)
  return f:result() + 1
end

local function same(wanted, got)
  if wanted ~= got then error({ wrong = ("wanted %s, got %s"):format(wanted, got) }, 0) end
end

local function check_list(list)
  same(20, #list)
  same("list", list.name)
  for i = 1, 20 do same(tostring(i), list[i][2]) end
end

-- A little of everything that pools do.
local function use(pool)
  local f, g = pool:submit(double, 21), pool:submit(list_of, 20)
  local failing = pool:submit(fail, "why")
  same(42, f:result())
  check_list(g:result())
  local ok, err = failing:outcome()
  same(false, ok)
  if type(err) ~= "table" or err.text ~= "why" then error(err, 0) end
  local sum = 0
  for _, value in pool:with { chunk_size = 3 }:map(double, { 1, 2, 3, 4, 5, 6, 7 }) do sum = sum + value end
  same(56, sum)
  local called = false
  local again = pool:with { priority = 2, deadline = require("parhost").monotonic() + 100 }:submit(double, 4)
  again:add_done_callback(function() called = true end)
  same(8, again:result())
  same(true, called)
  local text = ("x"):rep(300000)
  local n, back = pool:submit(length, text):result()
  same(300000, n)
  same(text, back)
  local done = 0
  for h in futures.as_completed { pool:submit(double, 1), pool:submit(double, 2) } do done = done + h:result() end
  same(6, done)
end

local parts = {
  function()
    local pool <close> = proc_pool.new { max_workers = 2 }
    use(pool)
  end,
  function()
    local pool <close> = thread_pool.new { max_workers = 2 }
    use(pool)
    same(19, pool:submit(inside, pool, 9):result())
  end,
  function()
    local pool <close> = proc_pool.new { inline = true }
    use(pool)
  end,
  function()
    local a, b = async.run(function()
      local pool <close> = thread_pool.new(1)
      local queue = async.queue(1)
      local first, second
      do
        local group <close> = async.task_group()
        first = group:create_task(function()
          for i = 1, 3 do queue:put(i) end
          return pool:submit(double, 1):result()
        end)
        second = group:create_task(function()
          local sum = 0
          for _ = 1, 3 do sum = sum + queue:get() end
          async.sleep(0.001)
          return sum
        end)
      end
      return first:result(), second:result()
    end)
    same(2, a)
    same(6, b)
  end,
  function()
    local ok, err = pcall(http.get, "http://127.0.0.1:1/", { timeout = 10 })
    same(false, ok)
    if not futures.is(err, "http") then error(err, 0) end
  end,
  function()
    local result = process.run_process { "cat", input = "over there" }
    same("over there", result.stdout)
  end,
}

-- Kinds of errors that want of memory may end in.
local EXPECTED <const> = { os = true, broken_pool = true, initializer_failed = true, worker_died = true, http = true,
                           group = true, closed = true, process = true }

local function is_expected(err)
  if type(err) == "table" and err.kind == "group" then
    for _, one in ipairs(err.errors) do
      if not is_expected(one) then return false end
    end
    return true
  end
  if type(err) == "table" and EXPECTED[err.kind] then return true end
  return tostring(err):find("not enough memory", 1, true) ~= nil
end

local function describe(err)
  return type(err) == "table" and err.wrong and "a wrong result: " .. err.wrong or tostring(err)
end

-- More connections and children than a zygote has room for at first.
local function use_many()
  local pools <close> = setmetatable({}, { __close = function(pools)
    for _, pool in ipairs(pools) do pool:close() end
  end })
  local list = {}
  for i = 1, 20 do
    pools[i] = proc_pool.new(1)
    list[i] = pools[i]:submit(double, i)
  end
  for i = 1, 20 do same(2 * i, list[i]:result()) end
end

-- A zygote that finds no memory for its own beginning is gone for good; later it allocates only when there is much to do.
if arg[1]:find "^zygote" then
  parts[1]()
  parts = { use_many, parts[1] }
end

local only = tonumber(arg[2])
local function run(i)
  if not only or only == i then return pcall(parts[i]) end
  return true
end

local errors = table.move(parts, 1, #parts, 1, {}) -- with room for all of them
for i = 1, #parts do errors[i] = false end
if arg[1] ~= "" then fault.arm(arg[1]) end
for i = 1, #parts do
  local ok, err = run(i)
  if not ok then errors[i] = err end
end
local tripped = fault.tripped "alloc" + fault.tripped "lua_alloc" + fault.tripped "slab" > 0
fault.arm ""
local good = true
for i = 1, #parts do
  if errors[i] and not is_expected(errors[i]) then
    good = false
    print(("part %d: %s"):format(i, describe(errors[i])))
  elseif errors[i] and os.getenv "VERBOSE" then
    print(("part %d: %s"):format(i, describe(errors[i])))
  end
end
for i = 1, #parts do
  local ok, err = run(i)
  if not ok then
    good = false
    print(("part %d, without the fault: %s"):format(i, describe(err)))
  end
end
print(tripped and "tripped" or "untripped")
os.exit(good, true)
