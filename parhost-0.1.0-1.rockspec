-- SPDX-License-Identifier: MIT
-- `luarocks --lua-version 5.4 make` builds and installs the modules for stock Lua from this folder: without the program and
-- the library, which `cmake --install` installs. Needs cmake, ninja or make, pkg-config, and what README names.
rockspec_format = "3.0"
package = "parhost"
version = "0.1.0-1"

source = { url = "file://parhost-0.1.0.tar.gz" }

description = {
  summary = "Process pools, thread pools and coroutine tasks, with one kind of future",
  detailed = "Executors as Python programmers know them: the same plain function runs in a process, a thread or a coroutine.",
  license = "MIT",
}

supported_platforms = { "linux" }
dependencies = { "lua == 5.4" }
external_dependencies = { UV = { header = "uv.h" }, JANSSON = { header = "jansson.h" } }

build = {
  type = "command",
  build_command = "cmake -S . -B build/rock -DCMAKE_BUILD_TYPE=Release && cmake --build build/rock --target parhost_stock --parallel",
  install = {
    lib = { ["parhost.stock"] = "build/rock/stock.so" },
    lua = {
      async = "lua/stock/module.lua",
      futures = "lua/stock/module.lua",
      http = "lua/stock/module.lua",
      parhost = "lua/stock/module.lua",
      plot = "lua/stock/module.lua",
      proc_pool = "lua/stock/module.lua",
      thread_pool = "lua/stock/module.lua",
    },
  },
}
