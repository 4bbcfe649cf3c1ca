-- SPDX-License-Identifier: MIT
-- Writes XML elements, one a line. Texts are clean already (plot.words).
local format = require "plot.format"

local xml = {}
xml.__index = xml

local ESCAPES <const> = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

function xml.escape(text)
  return (text:gsub("[&<>\"']", ESCAPES))
end

function xml.new()
  return setmetatable({ lines = {}, depth = 0 }, xml)
end

local function head(name, attributes)
  local parts = { "<" .. name }
  for i = 1, #attributes, 2 do
    local value = attributes[i + 1]
    if value ~= nil and value ~= "" then
      if math.type(value) then value = format.coordinate(value) end
      parts[#parts + 1] = ('%s="%s"'):format(attributes[i], xml.escape(value))
    end
  end
  return table.concat(parts, " ")
end

function xml:put(line)
  self.lines[#self.lines + 1] = ("  "):rep(self.depth) .. line
end

-- An element with a text, or without content. Attributes: name, value, name, value ... in an array.
function xml:element(name, attributes, text)
  if text then
    self:put(("%s>%s</%s>"):format(head(name, attributes), xml.escape(text), name))
  else
    self:put(head(name, attributes) .. "/>")
  end
end

-- An element whose content is what content() writes.
function xml:group(name, attributes, content)
  self:put(head(name, attributes) .. ">")
  self.depth = self.depth + 1
  content()
  self.depth = self.depth - 1
  self:put(("</%s>"):format(name))
end

function xml:text()
  return table.concat(self.lines, "\n") .. "\n"
end

return xml
