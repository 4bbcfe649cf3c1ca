# SPDX-License-Identifier: MIT
# System libraries, through pkg-config. libcurl is needed for its headers only: it is loaded at run time.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(LIBUV REQUIRED IMPORTED_TARGET libuv)
pkg_check_modules(LIBCURL REQUIRED IMPORTED_TARGET libcurl)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson>=2.8)
pkg_search_module(LUA REQUIRED IMPORTED_TARGET lua5.4 lua-5.4 lua54 lua>=5.4)

# The static Lua library, whole: a C module loaded at run time may use a function that the host itself does not.
find_library(PH_LUA_STATIC NAMES liblua5.4.a liblua-5.4.a liblua54.a liblua.a
             HINTS ${LUA_LIBRARY_DIRS} ${LUA_LIBDIR})
add_library(ph_lua INTERFACE)
target_include_directories(ph_lua INTERFACE ${LUA_INCLUDE_DIRS})
add_library(ph_lua_whole INTERFACE)
if(PH_LUA_STATIC)
  target_link_libraries(ph_lua_whole INTERFACE
    -Wl,--whole-archive ${PH_LUA_STATIC} -Wl,--no-whole-archive m ${CMAKE_DL_LIBS})
else()
  target_link_libraries(ph_lua_whole INTERFACE PkgConfig::LUA)
endif()

# Static where there is such a library: one less to load at each start.
find_library(PH_JANSSON_STATIC NAMES libjansson.a HINTS ${JANSSON_LIBRARY_DIRS} ${JANSSON_LIBDIR})
add_library(ph_jansson INTERFACE)
target_include_directories(ph_jansson INTERFACE ${JANSSON_INCLUDE_DIRS})
if(PH_JANSSON_STATIC)
  target_link_libraries(ph_jansson INTERFACE ${PH_JANSSON_STATIC})
else()
  target_link_libraries(ph_jansson INTERFACE PkgConfig::JANSSON)
endif()
