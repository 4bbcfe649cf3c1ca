-- SPDX-License-Identifier: MIT
-- What lua-language-server makes of the stubs: each line with --> passes values to a parameter of another type, and the
-- complaint has to name the type behind the arrow (tests/spec/types_spec.lua). Never run.
local async = require "async"
local futures = require "futures"
local http = require "http"
local parhost = require "parhost"
local proc_pool = require "proc_pool"
local thread_pool = require "thread_pool"

---@param _ thread
local function is(_) end

---@param n integer
---@return integer, string
local function f(n) return n, "x" end

local pool <close> = proc_pool.new()
is(pool:submit(f, 1):result()) --> integer
is(pool:with({ timeout = 1 }):submit(f, 1):result()) --> integer
is(thread_pool.new(3):submit(f):result()) --> integer
is(pool:submit(function() return "text" end):result()) --> string
is(pool:submit(f):name()) --> string

local list = { pool:submit(f, 1), pool:submit(f, 2) }
for future in futures.as_completed(list) do is(future:result()) end --> integer
for future in proc_pool.as_completed(list, 2) do is(future:result()) end --> integer
local done, rest = futures.wait(list)
is(done[1]:result()) --> integer
is(rest[1]:result()) --> integer

for i, _ in pool:map(f, { 1 }) do is(i) end --> integer
for _, v in pool:map(f, { 1 }) do is(v) end --> integer
for _, v in pool:starmap(f, { { 1 } }) do is(v) end --> integer
for _, v in pool:map_unordered(f, { 1 }) do is(v) end --> integer
is(pool:map(f, { 1 }):collect()) --> integer[]

local task = async.create_task(f, 1)
is(task:result()) --> integer
is(task:name()) --> string
local tasks = { task, async.create_task(f, 2) }
for one in async.as_completed(tasks) do is(one:name()) end --> string
for one in async.as_completed(tasks) do is(one:result()) end --> integer
is(async.gather(tasks)) --> integer[]
is(async.gather(list)) --> integer[]
is(async.wait_for(task, 1)) --> integer
is(async.wait_for(list[1], 1)) --> integer
is(async.wait_for(f, 1, 2)) --> integer
is(async.run({ name = "x" }, f, 1)) --> integer
is(async.to_thread(f, 1)) --> integer
is(async.shield({ timeout = 1 }, f, 1)) --> integer
is(async.with({ name = "x" }):create_task(f):result()) --> integer
is(async.with({ name = "x" }):to_process(f)) --> integer
for _, v in async.map(f, { 1, 2 }, { rate = 1 }) do is(v) end --> integer

local group <close> = async.task_group()
is(group:create_task(f):result()) --> integer
is(group:with({ name = "x" }):create_task(f):result()) --> integer
is(group:service(f):result()) --> integer

local in_time, value = async.move_on_after(1, f, 2)
is(in_time) --> boolean
is(value) --> integer
is(async.run_process({ "ls" }).stdout) --> string
is(async.process({ "ls" }):wait()) --> integer
is(http.get("http://localhost").status) --> integer
is(parhost.cpu_count()) --> integer
