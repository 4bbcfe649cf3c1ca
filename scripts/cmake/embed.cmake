# SPDX-License-Identifier: MIT
# Run by EmbedLua.cmake with OUT, ROOT and FILES (comma separated).
# lua/a/b.lua becomes module "a.b"; lua/a/init.lua becomes "a". The table is sorted by module name.
string(REPLACE "," ";" files "${FILES}")
set(rows "")
set(arrays "")
set(n 0)
set(keys "")
foreach(file ${files})
  file(RELATIVE_PATH path ${ROOT} ${file})
  string(REGEX REPLACE "^lua/" "" module ${path})
  string(REGEX REPLACE "(/init)?\\.lua$" "" module ${module})
  string(REPLACE "/" "." module ${module})
  list(APPEND keys "${module}!${path}!${file}")
endforeach()
list(SORT keys)
foreach(key ${keys})
  string(REPLACE "!" ";" parts ${key}) # "!" sorts before "."
  list(GET parts 0 module)
  list(GET parts 1 path)
  list(GET parts 2 file)
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(APPEND arrays "static const unsigned char file_${n}[] = {${bytes}0};\n")
  string(APPEND rows "  {\"${module}\", \"@${path}\", file_${n}, sizeof file_${n} - 1},\n")
  math(EXPR n "${n} + 1")
endforeach()
file(WRITE ${OUT} "/* generated from lua/ */\n#include \"vm/embedded.h\"\n${arrays}
const struct ph_embedded_file ph_embedded_files[] = {\n${rows}};
const size_t ph_embedded_count = ${n};\n")
