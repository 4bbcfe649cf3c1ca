-- SPDX-License-Identifier: MIT
-- Map and reduce: workers count the words of a part of the text each, the counts are added up as they come.
--   parhost scripts/cookbook/word_count.lua [file...]     without arguments: a text of 300,000 words, made up
local thread_pool = require "thread_pool"

-- Some words are common, most are rare, as in any language.
local function made_up_text(words)
  local state, list = 1, {}
  for i = 1, words do
    state = (state * 1103515245 + 12345) % 2147483648
    list[i] = "word" .. 2147483648 // (state + 1)
  end
  return table.concat(list, " ")
end

local function read(path)
  local file <close> = assert(io.open(path))
  return file:read "a"
end

-- Parts of about `size` bytes that end where a word does.
local function parts(text, size)
  local at = 1
  return function()
    if at > #text then return nil end
    local first, last = at, text:find("%f[^%w]", at + size) or #text
    at = last + 1
    return text:sub(first, last)
  end
end

local function count_words(text)
  local counts = {}
  for word in text:lower():gmatch "%w+" do counts[word] = (counts[word] or 0) + 1 end
  return counts
end

local texts = {}
for i, path in ipairs(arg) do texts[i] = read(path) end
local text = #arg > 0 and table.concat(texts, "\n") or made_up_text(300000)

local totals, ranking = {}, {}
do
  local pool <close> = thread_pool.new()
  for _, counts in pool:map_unordered(count_words, parts(text, 100000)) do
    for word, n in pairs(counts) do totals[word] = (totals[word] or 0) + n end
  end
end
for word in pairs(totals) do ranking[#ranking + 1] = word end
table.sort(ranking, function(a, b)
  if totals[a] ~= totals[b] then return totals[a] > totals[b] end
  return a < b
end)
for i = 1, math.min(10, #ranking) do print(("%7d %s"):format(totals[ranking[i]], ranking[i])) end
