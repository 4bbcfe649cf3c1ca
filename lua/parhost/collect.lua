-- SPDX-License-Identifier: MIT
-- The method collect of iterators whose `next` gives a key, then values, or nothing at the end: the first values of all that
-- is left, as an array with n.
return function(iterator)
  local list, n = {}, 0
  while true do
    local k, value = iterator:next()
    if k == nil then break end
    n = n + 1
    list[n] = value
  end
  list.n = n
  return list
end
