-- SPDX-License-Identifier: MIT
-- The command line: any arguments give a plan that main.c can follow, or a message and a verdict. Without the options that
-- stock lua does not know, the plan is what stock lua would do.
-- An input is the arguments, each ended by a NUL byte.
local host = require "parhost.core.host"

local printed
local sink = { write = function(_, ...) printed = printed .. table.concat({ ... }) end }
io.stderr, io.stdout, print = sink, sink, function(...) sink:write(...) end -- luacheck: ignore

local real_getenv = os.getenv
local environment
function os.getenv(name) -- luacheck: ignore
  if name == "PARHOST_WORKERS" then return environment end
  return real_getenv(name)
end

local options = assert(host.load_built_in("cli.options"))

local function split(bytes)
  local argv = {}
  for argument in bytes:gmatch("([^\0]*)\0") do argv[#argv + 1] = argument end
  return argv
end

-- The manual's rules of stock lua: nil where it would complain, else its plan in the same shape.
local function stock(argv)
  local plan, i = {}, 1
  while argv[i] do
    local option = argv[i]
    if option:sub(1, 1) ~= "-" or option == "-" then break end
    if option == "--" then
      i = i + 1
      break
    end
    local letter, attached = option:sub(2, 2), option:sub(3)
    if letter == "e" or letter == "l" then
      if attached == "" then
        i = i + 1
        attached = argv[i]
        if not attached or attached:sub(1, 1) == "-" then return nil end
      end
      plan[#plan + 1], plan[#plan + 2] = letter, attached
      if letter == "e" then plan.has_e = true end
    elseif attached ~= "" or not ("EWiv"):find(letter, 1, true) then
      return nil
    elseif letter == "W" then
      plan[#plan + 1], plan[#plan + 2] = "W", ""
    else
      plan[({ E = "no_environment", i = "interactive", v = "version" })[letter]] = true
      if letter == "i" then plan.version = true end
    end
    i = i + 1
  end
  plan.script = argv[i] and i or 0
  if not argv[i] then plan.reads_stdin = not (plan.has_e or plan.version) end
  if argv[i] == "-" and argv[i - 1] ~= "--" then plan.stdin = true end
  return plan
end

local function is_ours(argv)
  for _, argument in ipairs(argv) do
    if argument:find("^%-[jhV]") or argument:find("^%-%-.") or argument == "test" then return true end
  end
  return false
end

local function same(a, b)
  for key, value in pairs(a) do
    if (b[key] or false) ~= value then return false, key end
  end
  return true
end

local function check_plan(plan, argv)
  assert(math.type(plan.script) == "integer" and plan.script >= 0 and plan.script <= #argv, "script")
  for i = 1, #plan, 2 do
    assert(("elW"):find(plan[i], 1, true) and #plan[i] == 1 and type(plan[i + 1]) == "string", "action")
  end
  assert(#plan % 2 == 0, "actions")
  assert(plan.script > 0 or not (plan.stdin or plan.built_in), "input without script")
end

return function(bytes)
  printed, environment = "", nil
  local argv = split(bytes)
  if argv[1] and argv[1]:find("^PARHOST_WORKERS=") then environment = table.remove(argv, 1):sub(17) end
  local copy = table.move(argv, 1, #argv, 1, {})
  local plan = options(argv)
  assert(select(2, same(copy, argv)) == nil and #copy == #argv, "the arguments were changed")
  if type(plan) == "boolean" then
    assert(printed ~= "", "a verdict without a word")
    assert(plan or printed:find("^parhost: ") and printed:find("\n$"), "no message")
    assert(is_ours(copy) or environment or not stock(copy), "refused what stock lua takes")
    return
  end
  check_plan(plan, argv)
  if is_ours(copy) then return end
  local expected = assert(stock(copy), "taken what stock lua refuses")
  local ok, key = same(expected, plan)
  assert(ok, key)
  ok, key = same(plan, expected)
  assert(ok, key)
end
