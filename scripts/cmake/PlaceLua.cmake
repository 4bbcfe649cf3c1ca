# SPDX-License-Identifier: MIT
# ph_place_lua(<out-var> <archive>): the members of the static Lua library as one object, the interpreter first, at a place in
# a page of memory that does not depend on what else is linked. How fast a Lua loop runs depends by up to 12 % on that place
# (the branch predictors of processors look at the low bits of addresses); so every change of ours, wherever it was, made all
# Lua code faster or slower. Where tools or library do not fit, the result is the archive, to be linked as a whole.
set(PARHOST_LUA_PLACE 2240 CACHE STRING
    "where the interpreter begins: bytes into a page, 1 to 4095; the default is a fast one for Lua 5.4.4 of Debian 12")

function(ph_place_lua out archive)
  set(folder ${PROJECT_BINARY_DIR}/lua_objects)
  set(place ${PROJECT_SOURCE_DIR}/scripts/cmake/place.c)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${place})
  set(${out} -Wl,--whole-archive ${archive} -Wl,--no-whole-archive PARENT_SCOPE)
  file(REMOVE_RECURSE ${folder})
  file(MAKE_DIRECTORY ${folder})
  execute_process(COMMAND ${CMAKE_AR} x ${archive} WORKING_DIRECTORY ${folder} RESULT_VARIABLE failed)
  file(GLOB members ${folder}/*.o)
  list(FILTER members EXCLUDE REGEX "/lvm\\.o$")
  if(failed OR NOT EXISTS ${folder}/lvm.o)
    return()
  endif()
  execute_process(COMMAND ${CMAKE_C_COMPILER} -r -nostdlib -DPLACE=${PARHOST_LUA_PLACE} -o lua.o ${place} lvm.o ${members}
                  WORKING_DIRECTORY ${folder} RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
  if(NOT failed)
    set(${out} ${folder}/lua.o PARENT_SCOPE)
  endif()
endfunction()
