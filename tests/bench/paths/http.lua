-- SPDX-License-Identifier: MIT
-- HTTP exchange: n GETs of 1 KB, one after the other, over one connection. BENCH_URL is where.
local http, url = require "http", os.getenv "BENCH_URL"
local session <close> = http.session()
for _ = 1, tonumber(arg[1]) do assert(#session:get(url).body == 1024) end
