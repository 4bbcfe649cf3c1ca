-- SPDX-License-Identifier: MIT
-- The options of the program are told alike by --help, by the manual page, by docs/command-line.md and by the completions
-- of shells, and these work in the shells that are installed.
package.path = "tests/spec/?.lua;" .. package.path
local run = require "support.run"
local stage = require "support.stage"

local function read(path)
  local file <close> = assert(io.open(path))
  return file:read("a")
end

local function set_of(text, pattern)
  local set = {}
  for name in text:gmatch(pattern) do set[name] = true end
  return set
end

local function list_of(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return list
end

local function join(...)
  local all = {}
  for _, set in ipairs { ... } do
    for name in pairs(set) do all[name] = true end
  end
  return all
end

-- The options that begin a line of a help text, also behind a comma. "-" and "--" are none.
local function options_of(help)
  local lines = help:match("options are:\n(.*)$"):gsub("\n      +[^\n]*", "")
  return join(set_of("\n" .. lines, "\n  (%-%-?%w+)"), set_of(lines, ", (%-%-%w+)"))
end

local function help(arguments)
  return run.sh(("exec %s %s --help"):format(run.parhost, arguments or "")).out
end

local program, setup_options = options_of(help()), options_of(help "setup")
local ps_options, report_options = options_of(help "ps"), options_of(help "report")
local all = join(program, setup_options, ps_options, report_options)

local function has(name)
  return run.sh("command -v " .. name).code == 0
end

describe("the options", function()
  it("are found in --help", function()
    assert.same({
      "--dashboard", "--help", "--progress", "--stats", "--tag", "--trace", "--version", "--workers",
      "-E", "-V", "-W", "-e", "-h", "-i", "-j", "-l", "-v",
    }, list_of(program))
    assert.same({ "--help", "--luacheck", "--modules", "--print", "-h" }, list_of(setup_options))
    assert.same({ "--help", "-h", "-o" }, list_of(report_options))
    assert.same({ "--help", "--json", "--timeout", "-h" }, list_of(ps_options))
    assert.same(ps_options, options_of(help "dump"))
  end)

  it("are those of the manual page", function()
    local told = {}
    for line in read("docs/man/parhost.1"):gmatch("\n%.It ([^\n]+)") do
      for name in line:gmatch("%f[%w]Fl (%-?%w+)") do told["-" .. name] = true end
    end
    assert.same(list_of(all), list_of(told))
  end)

  it("are those of docs/command-line.md", function()
    local told = {}
    for cell in read("docs/command-line.md"):gmatch("\n| (`%-[^|]+) |") do
      for name in cell:gmatch("`(%-%-?%w+)") do told[name] = true end
    end
    assert.same(list_of(all), list_of(told))
  end)

  it("are those of the completion for bash", function()
    local told = {}
    for words in read("scripts/completion/parhost.bash"):gmatch('compgen %-W "(%-[^"]*)"') do
      told = join(told, set_of(words, "%-%-?%w+"))
    end
    assert.same(list_of(all), list_of(told))
  end)

  it("are those of the completion for zsh", function()
    local text = read("scripts/completion/_parhost")
    local told = join(set_of(text, "'[*]?(%-%-?%w+)%+?=?%-?%["), set_of(text, "%)(%-%-?%w+)%+?=?%-?%["))
    for names in text:gmatch("'{(%-[%w,-]+)}'") do told = join(told, set_of(names, "%-%-?%w+")) end
    assert.same(list_of(all), list_of(told))
  end)

  it("are those of the completion for fish", function()
    local told = {}
    for line in read("scripts/completion/parhost.fish"):gmatch("\ncomplete [^\n]+") do
      local short, long = line:match(" %-s (%w)"), line:match(" %-l (%w+)")
      if short then told["-" .. short] = true end
      if long then told["--" .. long] = true end
    end
    assert.same(list_of(all), list_of(told))
  end)
end)

describe("the manual page", function()
  it("is well formed", function()
    if has "mandoc" then assert.equal("", run.sh("mandoc -T lint -W style docs/man/parhost.1").out) end
    if has "groff" then
      assert.equal("", run.sh("groff -mandoc -ww -Tutf8 docs/man/parhost.1 2>&1 >/dev/null").out)
    end
    if not has "mandoc" and not has "groff" then return pending("neither mandoc nor groff is installed") end
  end)
end)

-- What is typed behind "parhost ", the cursor at its end -> what becomes of the last word.
local rows = {
  { "--wo", "--workers" }, { "--he", "--help" }, { "-l proc", "proc_pool" }, { "-l p=thread", "thread_pool" },
  { "setu", "setup" }, { "-e 'x = 1' setu", "setup" }, { "scripts/cp", "scripts/cpu.lua" }, { "setup --lua", "--luacheck" },
  { "setup script", "scripts" }, { "test tests/spec/cli_s", "tests/spec/cli_spec.lua" }, { "x.lua LICEN", "LICENSE" },
  { "-- scripts/cp", "scripts/cpu.lua" }, { "dum", "dump" }, { "ps --js", "--json" }, { "dump --tim", "--timeout" },
}

-- A folder in which the program under test is named parhost.
local function with_program(fn)
  local folder = stage.folder()
  stage.sh(("ln -s $(readlink -f %s) %s/parhost"):format(run.parhost, folder))
  local ok, err = pcall(fn, folder)
  stage.remove(folder)
  if not ok then error(err, 0) end
end

describe("completion", function()
  it("works in bash", function()
    local script = [==[
      source scripts/completion/parhost.bash
      complete -p parhost >/dev/null || exit 1
      eval "words=($1)"; typed=()
      for word in parhost "${words[@]}"; do # bash takes them apart so
        case $word in [!-]*=*) typed+=("${word%%=*}" = "${word#*=}") ;; *) typed+=("$word") ;; esac
      done
      COMP_WORDS=("${typed[@]}") COMP_CWORD=$((${#typed[@]} - 1))
      compopt() { [[ $* != "-o default" ]] || default=1; }
      _parhost
      [[ -z $default ]] || COMPREPLY=($(compgen -f -- "${words[-1]}"))
      printf '%s\n' "${COMPREPLY[@]}"]==]
    with_program(function(folder)
      for _, row in ipairs(rows) do
        local result = run.sh(("PATH=%s:$PATH exec bash -c %s bash %s"):format(folder, run.quote(script), run.quote(row[1])))
        assert.same({ row[2] .. "\n", "" }, { result.out, result.err }, row[1])
      end
      local none = run.sh(("PATH=%s:$PATH exec bash -c %s bash '-j 4'"):format(folder, run.quote(script)))
      assert.same({ "\n", "" }, { none.out, none.err })
    end)
  end)

  it("works in fish", function()
    if not has "fish" then return pending("fish is not installed") end
    local script = [==[
      source scripts/completion/parhost.fish
      for typed in $argv
        echo (complete -C "parhost $typed" | string replace -r '\t.*' '')
      end]==]
    local words, expected = {}, {}
    for i, row in ipairs(rows) do words[i], expected[i] = run.quote(row[1]), row[2] end
    with_program(function(folder)
      local result = run.sh(("HOME=%s PATH=%s:$PATH exec fish --no-config -c %s -- %s"):format(
        folder, folder, run.quote(script), table.concat(words, " ")))
      local found = {}
      for line in result.out:gmatch("([^\n]*)\n") do found[#found + 1] = line:gsub("^%w=", ""):gsub("/$", "") end
      assert.same({ expected, "" }, { found, result.err })
    end)
  end)

  it("works in zsh", function()
    if not has "zsh" then return pending("zsh is not installed") end
    local script = [==[
      zmodload zsh/zpty
      zpty shell zsh -f -i
      zpty -w shell 'PS1= PS2= RPS1=; unsetopt zle_bracketed_paste; fpath=($PWD/scripts/completion $fpath)'
      zpty -w shell 'autoload -Uz compinit; compinit -u -D; bindkey "^I" complete-word'
      zpty -w shell 'tell() { print -r -- "<<$BUFFER>>"; BUFFER= }; zle -N tell; bindkey "^X" tell; echo re""ady'
      zpty -r shell line '*ready*'
      for typed; do
        zpty -w -n shell "parhost $typed"$'\t'$'\x18'
        zpty -r shell line '*<<*>>*'
        line=${line##*<<}
        print -r -- "${line%%>>*}"
      done
      zpty -d shell]==]
    with_program(function(folder)
      local words = {}
      for i, row in ipairs(rows) do words[i] = run.quote(row[1]) end
      local result = run.sh(("HOME=%s PATH=%s:$PATH TERM=dumb exec timeout 60 zsh -f -c %s zsh %s"):format(
        folder, folder, run.quote(script), table.concat(words, " ")))
      local i = 0
      for line in result.out:gmatch("[^\n]+") do
        i = i + 1
        assert.equal(rows[i][2], (line:match("(%S+)%s*$"):gsub("^%w=", ""):gsub("[=/]$", "")), rows[i][1])
      end
      assert.equal(#rows, i, result.err)
    end)
  end)
end)
