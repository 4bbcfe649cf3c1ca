# SPDX-License-Identifier: MIT
# System libraries, through pkg-config. libcurl, libedit and libmicrohttpd are needed for their headers only: they are loaded
# at run time. Without the last there is no --dashboard.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(LIBUV REQUIRED IMPORTED_TARGET libuv)
pkg_check_modules(LIBCURL REQUIRED IMPORTED_TARGET libcurl)
pkg_check_modules(LIBEDIT REQUIRED IMPORTED_TARGET libedit)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson>=2.8)
if(PARHOST_DASHBOARD)
  pkg_check_modules(MICROHTTPD libmicrohttpd>=0.9.73)
endif()
pkg_search_module(LUA REQUIRED IMPORTED_TARGET lua5.4 lua-5.4 lua54 lua>=5.4)

# The static Lua library, whole: a C module loaded at run time may use a function that the host itself does not.
if(PARHOST_STATIC_LIBS)
  find_library(PH_LUA_STATIC NAMES liblua5.4.a liblua-5.4.a liblua54.a liblua.a
               HINTS ${LUA_LIBRARY_DIRS} ${LUA_LIBDIR})
endif()
add_library(ph_lua INTERFACE)
target_include_directories(ph_lua INTERFACE ${LUA_INCLUDE_DIRS})
add_library(ph_lua_whole INTERFACE)
if(PH_LUA_STATIC)
  target_link_libraries(ph_lua_whole INTERFACE
    -Wl,--whole-archive ${PH_LUA_STATIC} -Wl,--no-whole-archive m ${CMAKE_DL_LIBS})
else()
  target_link_libraries(ph_lua_whole INTERFACE PkgConfig::LUA)
endif()
if(PARHOST_SANITIZE MATCHES "thread")
  target_sources(ph_lua_whole INTERFACE ${PROJECT_SOURCE_DIR}/tests/support/tsan_longjmp.c)
  target_sources(ph_lua_whole INTERFACE ${PROJECT_SOURCE_DIR}/tests/support/tsan_syscall.c)
endif()

# ph_prefer_static(<target> <pkg-config prefix> <archive names...>): the static library where there is one, which is one
# less to load at each start. What it defines stays inside: C modules that a program loads may bring the shared one.
function(ph_prefer_static target prefix)
  if(PARHOST_STATIC_LIBS)
    find_library(PH_${prefix}_STATIC NAMES ${ARGN} HINTS ${${prefix}_LIBRARY_DIRS} ${${prefix}_LIBDIR})
  endif()
  add_library(${target} INTERFACE)
  target_include_directories(${target} INTERFACE ${${prefix}_INCLUDE_DIRS})
  if(PH_${prefix}_STATIC)
    get_filename_component(archive ${PH_${prefix}_STATIC} NAME)
    target_link_libraries(${target} INTERFACE ${PH_${prefix}_STATIC} ${CMAKE_DL_LIBS} Threads::Threads)
    target_link_options(${target} INTERFACE -Wl,--exclude-libs,${archive})
  else()
    target_link_libraries(${target} INTERFACE PkgConfig::${prefix})
  endif()
endfunction()
ph_prefer_static(ph_jansson JANSSON libjansson.a)
ph_prefer_static(ph_uv LIBUV libuv_a.a libuv.a)
