-- SPDX-License-Identifier: MIT
-- SVG files, read by Python's XML parser: a tree of { name =, text =, attributes..., children... }.
-- One Python process does it for the whole spec: svg.stop ends it.
local async = require "async"

local svg = {}

local READ <const> = [[
import sys, xml.etree.ElementTree as tree
def quoted(text):
    return '"' + "".join("\\%03d" % byte for byte in text.encode()) + '"'
def write(node):
    parts = ["name=" + quoted(node.tag.split("}")[-1]), "text=" + quoted(node.text or "")]
    parts += ["[%s]=%s" % (quoted(key), quoted(value)) for key, value in node.attrib.items()]
    return "{" + ",".join(parts + [write(child) for child in node]) + "}"
for line in sys.stdin:
    try:
        answer = write(tree.fromstring(bytes.fromhex(line)))
    except tree.ParseError as error:
        answer = "nil," + quoted(str(error))
    print("return", answer, flush=True)
]]

local reader

-- The text of an SVG file -> its tree; an error when it is no XML.
function svg.parse(text)
  reader = reader or async.process { "python3", "-c", READ, stdin = "pipe", stdout = "pipe" }
  reader:write((text:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end)), "\n")
  return assert(assert(load(assert(reader:read "l", "no answer from python3")))())
end

function svg.stop()
  if reader then reader:close() end
  reader = nil
end

-- All elements of this name, in order; `key` and `value`: those that have this attribute.
function svg.all(node, name, key, value, found)
  found = found or {}
  if node.name == name and (key == nil or node[key] == value) then found[#found + 1] = node end
  for _, child in ipairs(node) do svg.all(child, name, key, value, found) end
  return found
end

-- The first text element with these words, and this text-anchor when one is given.
function svg.text(node, words, anchor)
  for _, one in ipairs(svg.all(node, "text")) do
    if one.text == words and (anchor == nil or one["text-anchor"] == anchor) then return one end
  end
end

-- The title of an element: what viewers show.
function svg.title(node)
  for _, child in ipairs(node) do
    if child.name == "title" then return child.text end
  end
end

-- Numbers in a path or a list of points.
function svg.numbers(text)
  local list = {}
  for number in text:gmatch "%-?[%d.]+" do list[#list + 1] = tonumber(number) end
  return list
end

return svg
