# SPDX-License-Identifier: MIT
# ph_embed_lua(<out-var> <files...>): a C file that holds the Lua modules, as text and compiled, and other files as text, as
# ph_embedded_files[] (src/vm/embedded.h). The program that writes it runs on the machine that builds: to cross-compile, set
# CMAKE_CROSSCOMPILING_EMULATOR.
add_executable(ph_embed ${CMAKE_CURRENT_LIST_DIR}/embed.c)
target_link_libraries(ph_embed PRIVATE ph_lua ph_lua_whole)

function(ph_embed_lua out)
  set(generated ${PROJECT_BINARY_DIR}/embedded.c)
  add_custom_command(OUTPUT ${generated}
    COMMAND ph_embed ${generated} ${PROJECT_SOURCE_DIR} ${ARGN}
    DEPENDS ph_embed ${ARGN}
    COMMENT "Compiling Lua modules" VERBATIM)
  set(${out} ${generated} PARENT_SCOPE)
endfunction()
