-- SPDX-License-Identifier: MIT
-- The stubs as lua-language-server understands them, from what `parhost setup` writes. No package of Debian has that
-- program: where it is not on PATH, this is pending.
local json = require "http.json"
local run = require "tests.spec.support.run"

local function read(path)
  local file <close> = assert(io.open(path))
  return file:read("a")
end

-- File name -> line -> messages.
local function check(folder)
  run.sh(("cd %s && lua-language-server --check . --checklevel=Hint --check_format=json --check_out_path=out.json "
    .. "--logpath=log >log.txt 2>&1; true"):format(folder))
  local found = {}
  for uri, complaints in pairs(json.decode(read(folder .. "/out.json"), "out.json")) do
    local file = {}
    found[uri:match("[^/]+$")] = file
    for _, complaint in ipairs(complaints) do
      local line = complaint.range.start.line + 1
      file[line] = (file[line] or "") .. complaint.message
    end
  end
  return found
end

local function checked(files, is_user)
  if run.sh("command -v lua-language-server").code ~= 0 then return nil end
  local folder = run.sh("mktemp -d").out:match("%S+")
  run.sh(("cp %s %s"):format(files, folder))
  if is_user then run.sh(("XDG_DATA_HOME=%s/data %s setup %s"):format(folder, run.parhost, folder)) end
  local ok, found = pcall(check, folder)
  run.sh("rm -rf " .. folder)
  return assert(ok and found, found)
end

describe("the types", function()
  it("of results flow from a function into what its future gives", function()
    local found = checked("tests/types/flow.lua", true)
    if not found then return pending("lua-language-server is not installed") end
    local number, wanted = 0, 0
    for line in read("tests/types/flow.lua"):gmatch("([^\n]*)\n") do
      number = number + 1
      local type_name = line:match("%-%-> (%S+)$")
      local message = found["flow.lua"][number]
      if type_name then
        wanted = wanted + 1
        local place = ("flow.lua:%d: %s expected, got: %s"):format(number, type_name, message)
        assert.truthy(message and message:find(("`%s[`?]"):format(type_name:gsub("%p", "%%%0"))), place)
      else
        assert.is_nil(message, ("flow.lua:%d"):format(number))
      end
    end
    assert.truthy(wanted > 30)
  end)

  for what, files in pairs { ["usual code"] = "tests/types/quiet.lua scripts/*.lua", ["the stubs"] = "lua/meta/*.lua" } do
    it("leave nothing to complain of in " .. what, function()
      local found = checked(files, what ~= "the stubs")
      if not found then return pending("lua-language-server is not installed") end
      assert.same({}, found)
    end)
  end
end)
