-- SPDX-License-Identifier: MIT
-- Who may know whom: a file includes its own folder or a lower one; a third-party header, and a call that ends or
-- copies processes or makes states, has one home. Also the length of files, and their licence line.
local ALLOWED = {
  base = {},
  codec = { base = true },
  pool = { base = true },
  loop = { base = true },
  vm = { base = true, codec = true, pool = true },
  lib = { base = true, codec = true, pool = true, loop = true, vm = true },
}

local HOMES = { -- pattern in a source line -> folders or files where it may stand
  ['#include <uv%.h>'] = { "^src/loop/" , "^src/lib/host_lib" },
  ['#include <curl/'] = { "^src/loop/" },
  ['#include <histedit'] = { "^src/lib/edit" },
  ['#include <microhttpd'] = { "^src/lib/dashboard" },
  ['#include <jansson'] = { "^src/lib/json_lib" },
  ['%f[%w_]fork%('] = { "^src/pool/zygote" },
  ['%f[%w_]vfork%('] = { "^src/loop/spawn" },
  ['%f[%w_]waitpid%('] = { "^src/pool/zygote", "^src/loop/spawn", "^src/loop/process" },
  ['luaL_newstate%('] = { "^src/vm/", "^src/parhost%.c" },
  ['lua_newstate%('] = { "^src/vm/" },
  ['%f[%w_]exit%('] = { "^src/main%.c", "^src/vm/exit%.c", "^src/base/err%.c", "^src/pool/zygote" },
}

local MAX_LINES <const> = 500
local problems = 0

local function complain(path, line, text)
  problems = problems + 1
  io.stderr:write(("%s:%d: %s\n"):format(path, line, text))
end

local function lines_of(command)
  local pipe <close> = assert(io.popen(command))
  local list = {}
  for line in pipe:lines() do list[#list + 1] = line end
  return list
end

local function at_home(path, homes)
  for _, home in ipairs(homes) do
    if path:find(home) then return true end
  end
  return false
end

local function check_include(path, n, folder, line)
  local other = line:match('^#include "(%w+)/')
  if not other or not folder or other == folder then return end
  if not (ALLOWED[folder] and ALLOWED[folder][other]) then
    complain(path, n, ("%s/ must not know %s/"):format(folder, other))
  end
end

local function check_homes(path, n, line)
  if line:find("^%s*/?%*") or line:find("^%s*//") then return end
  local code = line:gsub('".-"', '""'):gsub("/%*.-%*/", "")
  for pattern, homes in pairs(HOMES) do
    if (code:find(pattern) or line:find("^" .. pattern)) and not at_home(path, homes) then
      complain(path, n, ("'%s' has its home elsewhere (%s)"):format(pattern, table.concat(homes, ", ")))
    end
  end
end

local function check_file(path)
  local folder = path:match("^src/(%w+)/")
  local n, licensed = 0, false
  for line in io.lines(path) do
    n = n + 1
    if n < 4 and line:find("SPDX-License-Identifier: MIT", 1, true) then licensed = true end
    if path:find("^src/") then
      check_include(path, n, folder, line)
      check_homes(path, n, line)
    end
  end
  if not licensed then complain(path, 1, "no SPDX-License-Identifier line at its head") end
  if n > MAX_LINES then complain(path, n, ("longer than %d lines"):format(MAX_LINES)) end
end

for _, path in ipairs(lines_of("git ls-files --cached --others --exclude-standard 'src/*.[ch]' '*.lua' 'tests/*.[ch]'")) do
  local file = io.open(path)
  if file then
    file:close()
    check_file(path)
  end
end
os.exit(problems == 0 and 0 or 1)
