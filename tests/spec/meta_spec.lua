-- SPDX-License-Identifier: MIT
-- The stubs of lua/meta say what there is, and nothing else: modules and classes, in both directions.
local async = require "async"
local futures = require "futures"
local http = require "http"
local plot = require "plot"
local proc_pool = require "proc_pool"
package.path = "tests/spec/?.lua;" .. package.path
local servers = require "support.servers"

-- functions[owner][name] = "." or ":"; owners are modules and classes, by name. And the set of modules.
local function read_stubs()
  local functions, modules = {}, {}
  local pipe <close> = assert(io.popen("ls lua/meta/*.lua"))
  for path in pipe:lines() do
    local owners, class, returned = {}, nil, nil -- local name in the file -> table of functions
    local lines = {}
    for line in io.lines(path) do
      lines[#lines + 1] = line
      returned = line:match("^return ([%w_]+)$") or returned
    end
    local module = lines[1]:match("^%-%-%-@meta ([%w_.]+)$")
    assert(module, path .. ": ---@meta with a name expected in its first line")
    for number, line in ipairs(lines) do
      class = line:match("^%-%-%-@class ([%w_.]+)") or class
      local owner = line:match("^local ([%w_]+) = {}$") or line:match("^([%w_.]+) = {}$")
      if owner then
        local name = class or module
        if owner == returned then modules[module] = true end
        functions[name] = functions[name] or {}
        owners[owner], class = functions[name], nil
      end
      local of, mark, name = line:match("^function ([%w_.]-)([.:])([%w_]+)%(")
      if of then
        local place = ("%s:%d: no table '%s'"):format(path, number, of)
        assert(owners[of], place)[name] = mark
      end
    end
  end
  return functions, modules
end

local functions, modules = read_stubs()

-- The methods of an object. Where __index is a function, they are in its first upvalue that is a table.
local function methods_of(object)
  local found = {}
  local index = debug.getmetatable(object).__index
  local i = 1
  while type(index) == "function" do
    local _, upvalue = debug.getupvalue(index, i)
    if type(upvalue) == "table" and upvalue ~= _G then index = upvalue end
    i = i + 1
  end
  while type(index) == "table" do
    for name, value in pairs(index) do
      if type(value) == "function" and type(name) == "string" and name:sub(1, 1) ~= "_" then found[name] = true end
    end
    local metatable = getmetatable(index)
    index = metatable and metatable.__index
  end
  return found
end

local function closable(object)
  local metatable = debug.getmetatable(object)
  return metatable and metatable.__close and object or nil
end

local function sorted(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return list
end

local server

local function inline_pool()
  return proc_pool.new { inline = true }
end

local function view()
  local pool = inline_pool()
  return pool:with { name = "x" }, pool
end

local function group_view()
  local group = async.task_group()
  return group:with { name = "x" }, group
end

local function map_iterator()
  local pool = inline_pool()
  return pool:map("math:abs", {}), pool
end

local function stream()
  local process = async.process { "true", stdin = "pipe" }
  return process.stdin, process
end

-- Each makes an object of the class, and gives what else is to be closed then.
local samples = {
  ["parhost.Future"] = futures.new,
  ["parhost.AsCompleted"] = function() return futures.as_completed {} end,
  ["parhost.MapIterator"] = map_iterator,
  ["parhost.View"] = view,
  ["parhost.Pool"] = inline_pool,
  ["parhost.Task"] = function() return async.create_task(function() end) end,
  ["parhost.AsyncView"] = function() return async.with { name = "x" } end,
  ["parhost.Runner"] = function() return async.runner() end,
  ["parhost.Timeout"] = function() return async.timeout(1) end,
  ["parhost.Scope"] = function() return select(2, async.scope(function(scope) return scope end)) end,
  ["parhost.TaskGroup"] = function() return async.task_group() end,
  ["parhost.TaskGroupView"] = group_view,
  ["parhost.AsyncMap"] = function() return async.map(math.abs, {}) end,
  ["parhost.Lock"] = function() return async.lock() end,
  ["parhost.Guard"] = function() return async.lock():guard() end,
  ["parhost.Condition"] = function() return async.condition() end,
  ["parhost.Event"] = function() return async.event() end,
  ["parhost.Semaphore"] = function() return async.semaphore() end,
  ["parhost.Barrier"] = function() return async.barrier(2) end,
  ["parhost.Queue"] = function() return async.queue() end,
  ["parhost.Items"] = function() return async.queue():items() end,
  ["parhost.Sender"] = function() return (async.channel()) end,
  ["parhost.Receiver"] = function() return select(2, async.channel()) end,
  ["parhost.Process"] = function() return async.process { "true" } end,
  ["parhost.Stream"] = stream,
  ["parhost.Error"] = function() return futures.error("os", "x") end,
  ["plot.Chart"] = function() return plot.bar { y = { 1 } } end,
  ["http.Session"] = function() return http.session() end,
  ["http.Response"] = function() return http.get(server.url) end,
  ["http.Headers"] = function() return http.get(server.url).headers end,
}
-- Methods that the stub has from the class it says it comes from.
local parents = {
  ["parhost.Condition"] = "parhost.Lock", ["parhost.Pool"] = "parhost.View", ["parhost.Task"] = "parhost.Future",
}

describe("the stubs", function()
  setup(function() server = servers.bad() end)
  teardown(function() server:stop() end)

  for _, module in ipairs(sorted(modules)) do
    it("have the functions of " .. module .. ", and no other", function()
      local real = {}
      for name, value in pairs(require(module)) do
        if type(value) == "function" and name:sub(1, 1) ~= "_" then real[name] = true end
      end
      assert.same(sorted(real), sorted(functions[module]))
    end)
  end

  for _, class in ipairs(sorted(functions)) do
    if not modules[class] then
      it("have the methods of " .. class .. ", and no other", function()
        local make = assert(samples[class], "tests/spec/meta_spec.lua: no sample")
        local real = async.run(function()
          local object, other = make()
          local _ <close> = closable(other)
          local _ <close> = closable(object)
          return methods_of(object)
        end)
        local stub = {}
        local of = class
        repeat
          for name, mark in pairs(functions[of]) do stub[name] = assert(mark == ":", name .. ": a method expected") end
          of = parents[of]
        until not of
        assert.same(sorted(real), sorted(stub))
      end)
    end
  end
end)
