# SPDX-License-Identifier: MIT
# ph_embed_lua(<out-var> <files...>): a C file that holds the Lua sources as ph_embedded_files[] (src/vm/embedded.h).
function(ph_embed_lua out)
  set(generated ${PROJECT_BINARY_DIR}/embedded.c)
  string(REPLACE ";" "," files "${ARGN}")
  add_custom_command(OUTPUT ${generated}
    COMMAND ${CMAKE_COMMAND} -DOUT=${generated} -DROOT=${PROJECT_SOURCE_DIR} "-DFILES=${files}"
            -P ${PROJECT_SOURCE_DIR}/scripts/cmake/embed.cmake
    DEPENDS ${ARGN} ${PROJECT_SOURCE_DIR}/scripts/cmake/embed.cmake
    COMMENT "Embedding Lua sources" VERBATIM)
  set(${out} ${generated} PARENT_SCOPE)
endfunction()
