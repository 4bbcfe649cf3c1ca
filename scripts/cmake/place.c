/* SPDX-License-Identifier: MIT
 * What goes in front of Lua's interpreter, see PlaceLua.cmake: its distance from the beginning of a page. */
#define TEXT(x) #x
#define SKIP(n) ".skip " TEXT(n) "\n"

__asm__(".text\n"
        ".balign 4096\n" SKIP(PLACE));
