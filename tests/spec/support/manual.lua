-- SPDX-License-Identifier: MIT
-- Pages of the manual as programs: reads their fenced blocks, and runs them as a reader would. CONTRIBUTING.md, "The
-- manual", says what may stand around a block.
local run = require "support.run"

local manual = {}

local RUN = { lua = true, sh = true, python = true }
local SHOWN = { output = true, text = true, c = true, json = true }

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

-- The text of a file, or of several.
function manual.text(...)
  local texts = {}
  for i, path in ipairs { ... } do texts[i] = read(path) end
  return table.concat(texts, "\n")
end

-- The pages of the manual, in the order of their names.
function manual.pages()
  local pages = {}
  for path in run.sh("ls README.md README.*.md docs/*.md").out:gmatch "[^\n]+" do pages[#pages + 1] = path end
  return pages
end

local function write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  file:write(text)
end

-- Reading ---------------------------------------------------------------------------------------------------

-- The lines of a page, up to one that matches the pattern -> text, the number of that line.
local function text_until(lines, first, pattern, where)
  for last = first, #lines do
    if lines[last]:find(pattern) then return table.concat(lines, "\n", first, last - 1) .. "\n", last end
  end
  error(where .. ": never ends")
end

-- A comment for this test: what it says goes to the block that comes (`after`: to the one that has come).
local function note(notes, block, words, code, where)
  local word, reason = words:match "^(%l[%l ]*):? ?(.*)$"
  if word == "before" then notes.before = code
  elseif word == "after" and block then block.after = code
  elseif word == "skip" and reason ~= "" then notes.skip = reason
  elseif word == "continue" or word == "fails" or word == "any order" then notes[word] = true
  else error(("%s: what does 'test: %s' mean?"):format(where, words)) end
end

-- The blocks of a page in order: { language, name, text, line, output =, skip =, before =, after =, ... }.
function manual.blocks(path)
  local lines, blocks, notes, i = {}, {}, {}, 1
  for line in (read(path) .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = line end
  while i <= #lines do
    local where, words = ("%s:%d"):format(path, i), lines[i]:match "^<!%-%- test: (.*)$"
    local language, name = lines[i]:match "^```(%l*) ?(%S*)$"
    if words then
      local single, code = words:match "^(.-) %-%->$", nil
      if not single then code, i = text_until(lines, i + 1, "^%-%->$", where) end
      note(notes, blocks[#blocks], single or words, code, where)
    elseif language then
      local text
      text, i = text_until(lines, i + 1, "^```$", where)
      assert(RUN[language] or SHOWN[language], ("%s: what to do with '%s'?"):format(where, language))
      if language == "output" then
        assert(blocks[#blocks], where .. ": the output of what?").output = text
      elseif RUN[language] then
        notes.language, notes.name, notes.text, notes.line = language, name, text, tonumber(where:match "%d+$")
        notes.where, blocks[#blocks + 1], notes = where, notes, {}
      end
    elseif lines[i]:find "^%s*```" then
      error(where .. ": a block that starts in the middle of a line, or whose head is not understood")
    end
    i = i + 1
  end
  return blocks
end

-- Running ---------------------------------------------------------------------------------------------------

-- A folder to run a page in: it has the program as ./parhost and `parhost`, and scripts/.
function manual.folder()
  local here = run.sh("pwd").out:match "[^\n]+"
  local folder = run.sh("mktemp -d").out:match "[^\n]+"
  local program = run.path:find "^/" and run.path or here .. "/" .. run.path
  local made = run.sh(("cd %s && mkdir bin && ln -s %s bin/parhost && ln -s bin/parhost parhost && ln -s %s/scripts scripts")
    :format(folder, run.quote(program), run.quote(here)))
  assert(made.code == 0, made.err)
  return folder
end

function manual.remove(folder)
  run.sh("rm -rf " .. run.quote(folder))
end

-- Blocks that continue one another become one program. Each part says when it begins, so that outputs can be told apart.
local PART = "\1\n"

local function source_of(parts)
  local text = {}
  for i, block in ipairs(parts) do
    if i > 1 then text[#text + 1] = 'print "\\1"\n' end
    text[#text + 1] = (block.before or "") .. block.text .. (block.after or "")
  end
  return table.concat(text)
end

local COMMANDS = {
  lua = "exec timeout 60 parhost -e 'io.stdout:setvbuf \"line\"' %s",
  sh = "exec timeout 60 sh -e %s",
  python = "exec timeout 60 python3 -u %s",
}

local function execute(parts, folder)
  local first = parts[1]
  local name = first.name ~= "" and first.name or "block." .. first.language
  write(folder .. "/" .. name, source_of(parts))
  return run.sh(("cd %s; PATH=$PWD/bin:$PATH; export PATH; exec 2>&1; %s"):format(
    run.quote(folder), COMMANDS[first.language]:format(name)))
end

-- What differs from run to run, and from change to change: processes, addresses, ports, times, lines of our own modules.
local function steady(text)
  return (text:gsub("pid %d+", "pid N"):gsub("0x%x%x%x%x+", "0xN"):gsub("127%.0%.0%.1:%d%d%d%d+", "127.0.0.1:N")
    :gsub("%d+%.%d%d+ s", "N s"):gsub("(lua/[%w_/]+%.lua):%d+", "%1:N"))
end

local function sorted_lines(text)
  local lines = {}
  for line in text:gmatch "[^\n]*\n" do lines[#lines + 1] = line end
  table.sort(lines)
  return table.concat(lines)
end

-- Comments `--> text` are lines of the output, in this order; spaces and tabs count alike.
local function check_comments(block, output)
  local place = 1
  output = output:gsub("[ \t]+", " ")
  for expected in block.text:gmatch "%-%->%s+([^\n]+)" do
    local _, last = ("\n" .. output):find("\n" .. expected .. "\n", place, true)
    assert(last, ("%s: no line '%s' (there, or behind the one before it) in\n%s"):format(block.where, expected, output))
    place = last
  end
end

local function check_output(block, output)
  check_comments(block, output)
  if not block.output then return end
  local expected, got = steady(block.output), steady(output)
  if block["any order"] then expected, got = sorted_lines(expected), sorted_lines(got) end
  require "luassert".equal(expected, got, block.where)
end

-- Runs a program, given as its parts, and compares what the page shows of its output.
function manual.run(parts, folder)
  local result = execute(parts, folder)
  local last, place = parts[#parts], 1
  assert((result.code ~= 0) == (last.fails or false), ("%s: exit code %d\n%s"):format(last.where, result.code, result.out))
  for i, block in ipairs(parts) do
    local stop = i < #parts and result.out:find(PART, place, true) or #result.out + 1
    check_output(block, result.out:sub(place, stop - 1))
    place = stop + #PART
  end
end

-- Blocks that are named are files for later blocks, unless their output is shown.
local function only_a_file(block)
  return block.name ~= "" and not block.output
end

-- The programs of a page, in order: arrays of blocks.
function manual.programs(path)
  local programs = {}
  for _, block in ipairs(manual.blocks(path)) do
    if block.continue then
      table.insert(assert(programs[#programs], block.where .. ": nothing to continue"), block)
    else
      programs[#programs + 1] = { block, file = only_a_file(block) }
    end
  end
  return programs
end

-- For a program that is not run: it must be Lua at least, and be there for those that are.
function manual.save(block, folder)
  if block.language == "lua" then assert(load(source_of { block }, "@" .. block.where)) end
  if block.name ~= "" then write(folder .. "/" .. block.name, block.text) end
end

return manual
