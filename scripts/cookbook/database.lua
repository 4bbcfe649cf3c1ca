-- SPDX-License-Identifier: MIT
-- One database connection for each worker: the initializer opens it, tasks use it, connections never travel.
--   parhost scripts/cookbook/database.lua [file.db]     needs luasql.sqlite3 (Debian: lua-sql-sqlite3)
local proc_pool = require "proc_pool"

local found, sqlite = pcall(require, "luasql.sqlite3")
if not found then
  io.stderr:write "database.lua: the module luasql.sqlite3 is missing (Debian: apt-get install lua-sql-sqlite3)\n"
  os.exit(1)
end

local function fill(path)
  local db = assert(sqlite.sqlite3():connect(path))
  db:setautocommit(false)
  assert(db:execute "create table if not exists orders (customer integer, cents integer)")
  assert(db:execute "delete from orders")
  for i = 1, 10000 do
    assert(db:execute(("insert into orders values (%d, %d)"):format(i % 10 + 1, i)))
  end
  assert(db:commit())
  db:close()
end

-- In each worker, once. A global of the worker: tasks find it there, and it stays when they end.
local function connect(path)
  db = assert(sqlite.sqlite3():connect(path))
end

local function revenue(customer)
  local query = "select count(*), sum(cents) from orders where customer = %d"
  local cursor = assert(db:execute(query:format(customer)))
  local orders, cents = cursor:fetch()
  cursor:close()
  return orders, cents
end

local path = arg[1] or os.tmpname()
fill(path)
do
  local pool <close> = proc_pool.new { initializer = connect, init_args = { path } }
  local customers = {}
  for i = 1, 10 do customers[i] = i end
  for customer, orders, cents in pool:map(revenue, customers) do
    print(("customer %2d: %4d orders, %10.2f"):format(customer, orders, cents / 100))
  end
end
if not arg[1] then os.remove(path) end
