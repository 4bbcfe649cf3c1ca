-- SPDX-License-Identifier: MIT
-- The public surface: every function that a module shows at run time has a stub in lua/meta, a line in docs/, and is
-- named in some spec.
local MODULES = { "futures", "proc_pool", "thread_pool", "parhost", "http", "async", "async.process", "plot" }

local function read(command)
  local pipe <close> = assert(io.popen(command))
  return pipe:read("a")
end

local docs = read("cat docs/*.md README.md")
local specs = read("cat tests/spec/*.lua tests/spec/support/*.lua tests/regress/*.lua 2>/dev/null")
local problems = 0

local function complain(name, what)
  problems = problems + 1
  io.stderr:write(("%s: %s\n"):format(name, what))
end

local function names(text, word)
  return text:find("%f[%w_]" .. word:gsub("%p", "%%%0") .. "%f[^%w_]") ~= nil
end

for _, module in ipairs(MODULES) do
  local base = "lua/meta/" .. module:gsub("%.", "_") -- a large module goes on in lua/meta/MODULE_part.lua
  local path = base .. ".lua"
  local stub = read(("cat %s %s_*.lua 2>/dev/null"):format(path, base))
  if stub == "" then complain(module, "no stub " .. path) end
  for key, value in pairs(require(module)) do
    if type(value) == "function" and key:sub(1, 1) ~= "_" then
      local name = module .. "." .. key
      if not stub:find("[.:]" .. key .. "%f[^%w_]") then complain(name, "no stub in " .. path) end
      if not names(docs, key) then complain(name, "no line in docs/") end
      if not names(specs, key) then complain(name, "named in no spec") end
    end
  end
end
os.exit(problems == 0 and 0 or 1)
