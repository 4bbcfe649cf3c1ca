-- SPDX-License-Identifier: MIT
-- The pictures of docs/scale.md are those of the numbers beside them.
package.path = "tests/spec/?.lua;" .. package.path
local manual = require "support.manual"
local run = require "support.run"

describe("docs/img/scale-*.svg", function()
  it("are drawn from docs/img/scale-*.tsv", function()
    local folder = run.sh("mktemp -d").out:match "%S+"
    run.sh("cp docs/img/scale-*.tsv " .. folder)
    local drawn = run.sh(("%s tests/bench/scale.lua --draw --out %s"):format(run.parhost, folder))
    local names = run.sh("cd docs/img && ls scale-*.svg").out
    local made = run.sh(("cd %s && ls scale-*.svg"):format(folder)).out
    local texts = {}
    for name in names:gmatch "%S+" do
      texts[name] = { manual.text("docs/img/" .. name), manual.text(folder .. "/" .. name) }
    end
    run.sh("rm -rf " .. folder)
    assert.same({ "", 0 }, { drawn.err, drawn.code })
    assert.equal(names, made)
    for name, pair in pairs(texts) do assert.equal(pair[1], pair[2], name) end
  end)
end)
