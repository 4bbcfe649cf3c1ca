# SPDX-License-Identifier: MIT
# The library in its three forms (shared, static, module for stock Lua), and `cmake --install`.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(PARHOST_LUA_DIR ${CMAKE_INSTALL_DATADIR}/lua/5.4 CACHE STRING "where stock Lua looks for Lua modules")
set(PARHOST_LUA_CDIR ${CMAKE_INSTALL_LIBDIR}/lua/5.4 CACHE STRING "where stock Lua looks for C modules")
set(PARHOST_ZSH_DIR ${CMAKE_INSTALL_DATADIR}/zsh/site-functions CACHE STRING "where zsh looks for completions")

# Neither is linked with Lua: its functions are those of the program that loads them, and there is one copy of them.
# Neither is unloaded once it is there: threads and handlers may be in it.
function(ph_link_for_loading target map)
  set(map ${PROJECT_SOURCE_DIR}/scripts/cmake/${map})
  target_link_libraries(${target} PRIVATE ph_options ph_lua PkgConfig::LIBUV PkgConfig::JANSSON
                        Threads::Threads ${CMAKE_DL_LIBS})
  target_link_options(${target} PRIVATE -Wl,--version-script,${map} -Wl,-z,nodelete -Wl,--as-needed)
  set_target_properties(${target} PROPERTIES LINK_DEPENDS ${map} C_VISIBILITY_PRESET hidden)
endfunction()

add_library(parhost_shared SHARED $<TARGET_OBJECTS:parhost_objects>)
ph_link_for_loading(parhost_shared parhost.map)
set_target_properties(parhost_shared PROPERTIES OUTPUT_NAME parhost VERSION ${PROJECT_VERSION}
                      SOVERSION ${PROJECT_VERSION_MAJOR})

# One object, in which all that is hidden is local: no name of ours meets one of the program's.
add_custom_command(OUTPUT libparhost.a
  COMMAND ${CMAKE_LINKER} -r -o libparhost.o $<TARGET_OBJECTS:parhost_objects>
  COMMAND ${CMAKE_OBJCOPY} --localize-hidden libparhost.o
  COMMAND ${CMAKE_COMMAND} -E rm -f libparhost.a
  COMMAND ${CMAKE_AR} rcs libparhost.a libparhost.o
  DEPENDS parhost_objects $<TARGET_OBJECTS:parhost_objects>
  COMMENT "Linking static library libparhost.a" COMMAND_EXPAND_LISTS VERBATIM)
add_custom_target(parhost_static ALL DEPENDS libparhost.a)

add_library(parhost_stock MODULE src/stock.c $<TARGET_OBJECTS:parhost_objects>)
target_include_directories(parhost_stock PRIVATE ${PROJECT_SOURCE_DIR}/src)
ph_link_for_loading(parhost_stock stock.map)
set_target_properties(parhost_stock PROPERTIES OUTPUT_NAME stock PREFIX "")

# Where the parts are, as pkg-config wants to have it: by its own place, so that the tree may be installed anywhere.
file(RELATIVE_PATH PH_PC_UP ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" PH_PC_UP ${PH_PC_UP})
foreach(name INCLUDEDIR LIBDIR)
  if(IS_ABSOLUTE ${CMAKE_INSTALL_${name}})
    set(PH_PC_${name} ${CMAKE_INSTALL_${name}})
  else()
    set(PH_PC_${name} "\${prefix}/${CMAKE_INSTALL_${name}}")
  endif()
endforeach()
set(PH_PC_LUA ${LUA_MODULE_NAME})
configure_file(scripts/cmake/parhost.pc.in parhost.pc @ONLY)
set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/parhost)
configure_package_config_file(scripts/cmake/parhostConfig.cmake.in parhostConfig.cmake INSTALL_DESTINATION ${config_dir}
                              PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(parhostConfigVersion.cmake COMPATIBILITY SameMajorVersion)

install(TARGETS parhost RUNTIME)
install(TARGETS parhost_shared LIBRARY)
install(FILES ${PROJECT_BINARY_DIR}/libparhost.a DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES src/parhost.h TYPE INCLUDE)
install(FILES ${PROJECT_BINARY_DIR}/parhost.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES ${PROJECT_BINARY_DIR}/parhostConfig.cmake ${PROJECT_BINARY_DIR}/parhostConfigVersion.cmake
        DESTINATION ${config_dir})
install(TARGETS parhost_stock LIBRARY DESTINATION ${PARHOST_LUA_CDIR}/parhost)
foreach(module async futures http parhost plot proc_pool thread_pool)
  install(FILES lua/stock/module.lua DESTINATION ${PARHOST_LUA_DIR} RENAME ${module}.lua)
endforeach()
install(DIRECTORY lua/meta DESTINATION ${CMAKE_INSTALL_DATADIR}/parhost FILES_MATCHING PATTERN "*.lua")
install(DIRECTORY docs/ TYPE DOC FILES_MATCHING PATTERN "*.md" PATTERN "*.png" PATTERN "*.svg" PATTERN man EXCLUDE)
install(FILES docs/man/parhost.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES scripts/completion/parhost.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME parhost)
install(FILES scripts/completion/_parhost DESTINATION ${PARHOST_ZSH_DIR})
install(FILES scripts/completion/parhost.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
install(FILES README.md CHANGELOG.md LICENSE TYPE DOC)
install(DIRECTORY scripts/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples FILES_MATCHING PATTERN "*.lua"
        PATTERN dev EXCLUDE PATTERN cmake EXCLUDE PATTERN completion EXCLUDE)

# What is linked statically is handed on with the program, and so is what its licence wants to have said (Debian's names).
if(PARHOST_STATIC_LIBS)
  foreach(package liblua5.4-dev libuv1-dev libjansson-dev)
    if(EXISTS /usr/share/doc/${package}/copyright)
      install(FILES /usr/share/doc/${package}/copyright DESTINATION ${CMAKE_INSTALL_DOCDIR}/licences RENAME ${package})
    endif()
  endforeach()
endif()

# cpack: a tree in an archive, to be unpacked anywhere.
set(CPACK_GENERATOR TGZ)
set(CPACK_PACKAGE_NAME parhost)
set(CPACK_PACKAGE_VENDOR "the parhost authors")
set(CPACK_PACKAGE_FILE_NAME parhost-${PROJECT_VERSION}-${CMAKE_SYSTEM_NAME}-${CMAKE_SYSTEM_PROCESSOR})
set(CPACK_STRIP_FILES ON)
include(CPack)
