-- SPDX-License-Identifier: MIT
-- docs/embedding.md, followed by the letter: its files are written, its commands run, their output compared.
package.path = "tests/spec/?.lua;" .. package.path
local run = require "support.run"
local stage = require "support.stage"

local function read(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

local function write(path, text)
  local file <close> = assert(io.open(path, "w"))
  file:write(text)
end

-- The blocks of the page in order: { kind = "c", name = "minimal.c" or "", text = }.
local function blocks_of(page)
  local blocks = {}
  for kind, name, text in page:gmatch "\n```(%l+) ?([^\n]*)\n(.-)```" do
    blocks[#blocks + 1] = { kind = kind, name = name, text = text }
  end
  return blocks
end

local function without_licence(text)
  return (text:gsub("^/%* SPDX[^\n]*\n %* ", "/* "):gsub("^%p+ SPDX[^\n]*\n", ""))
end

describe("docs/embedding.md", function()
  local prefix, folder, blocks

  setup(function()
    prefix, folder = stage.install(), stage.folder()
    blocks = blocks_of(read "docs/embedding.md")
    for _, block in ipairs(blocks) do
      if block.name ~= "" then write(("%s/%s"):format(folder, block.name), block.text) end
    end
  end)

  teardown(function()
    stage.remove(prefix)
    stage.remove(folder)
  end)

  it("shows programs as they are in tests/embed", function()
    local shown = 0
    for _, block in ipairs(blocks) do
      if block.name ~= "" then
        assert.equal(without_licence(read("tests/embed/" .. block.name)), block.text)
        shown = shown + 1
      else
        assert.is_nil(("c lua cmake"):find(block.kind, 1, true), block.text)
      end
    end
    assert.equal(7, shown)
  end)

  it("says what to do, and what comes of it", function()
    local commands = 0
    for i, block in ipairs(blocks) do
      if block.kind == "sh" then
        local result = run.sh(("cd %s; PREFIX=%s CMAKE_GENERATOR=Ninja; export PREFIX CMAKE_GENERATOR\n"
          .. "export LD_LIBRARY_PATH=$PREFIX/lib\nset -e\n%s"):format(folder, prefix, block.text))
        assert.equal(0, result.code, block.text .. result.out .. result.err)
        local expected = blocks[i + 1] and blocks[i + 1].kind == "output" and blocks[i + 1].text
        if expected then assert.equal(expected, result.out) end
        commands = commands + 1
      end
    end
    assert.equal(5, commands)
  end)
end)
