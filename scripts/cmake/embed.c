/* SPDX-License-Identifier: MIT
 * embed OUT ROOT FILE...: writes the C file OUT, which holds the Lua modules FILE... as ph_embedded_files[]
 * (src/vm/embedded.h): their text, and what Lua compiles it to. Run by the build.
 *
 * lua/a/b.lua below ROOT becomes the module "a.b", lua/a/init.lua becomes "a". The table is sorted by module. */
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct module {
  char name[256];
  const char *file;
  const char *path; /* in the tree: "lua/a/b.lua" */
};

static _Noreturn void fail(const char *file, const char *what) {
  fprintf(stderr, "embed: %s: %s\n", file, what);
  exit(EXIT_FAILURE);
}

/* "lua/a/init.lua" -> "a" */
static void name_module(struct module *m) {
  const char *from = strncmp(m->path, "lua/", 4) == 0 ? m->path + 4 : m->path;
  size_t len = strlen(from);
  if (len < 5 || len >= sizeof m->name || strcmp(from + len - 4, ".lua") != 0) fail(m->file, "not the name of a Lua module");
  len -= 4;
  if (len > 5 && strncmp(from + len - 5, "/init", 5) == 0) len -= 5;
  for (size_t i = 0; i < len; i++) m->name[i] = from[i] == '/' ? '.' : from[i];
  m->name[len] = '\0';
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const struct module *)a)->name, ((const struct module *)b)->name);
}

static void write_bytes(FILE *out, const void *bytes, size_t n) {
  const unsigned char *b = bytes;
  for (size_t i = 0; i < n; i++) fprintf(out, "%d,", b[i]);
}

static char *read_file(const char *name, size_t *len) {
  FILE *f = fopen(name, "rb");
  if (f == NULL || fseek(f, 0, SEEK_END) != 0) fail(name, "cannot be read");
  long size = ftell(f);
  char *text = malloc((size_t)size + 1);
  rewind(f);
  if (text == NULL || fread(text, 1, (size_t)size, f) != (size_t)size) fail(name, "cannot be read");
  fclose(f);
  *len = (size_t)size;
  return text;
}

static int write_part(lua_State *L, const void *bytes, size_t n, void *out) {
  (void)L;
  write_bytes(out, bytes, n);
  return 0;
}

/* Nothing is stripped: tracebacks and messages are those of the text. */
static void write_module(lua_State *L, FILE *out, const struct module *m, size_t number) {
  size_t len;
  char *text = read_file(m->file, &len);
  char chunkname[sizeof m->name + 8];
  snprintf(chunkname, sizeof chunkname, "@%s", m->path);
  if (luaL_loadbufferx(L, text, len, chunkname, "t") != LUA_OK) fail(m->file, lua_tostring(L, -1));
  fprintf(out, "static const unsigned char text_%zu[] = {", number);
  write_bytes(out, text, len);
  fprintf(out, "0};\nstatic const unsigned char compiled_%zu[] = {", number);
  lua_dump(L, write_part, out, 0);
  fprintf(out, "};\n");
  lua_pop(L, 1);
  free(text);
}

int main(int argc, char **argv) {
  lua_State *L = luaL_newstate();
  FILE *out = argc > 3 ? fopen(argv[1], "wb") : NULL;
  if (L == NULL || out == NULL) fail(argc > 1 ? argv[1] : "OUT", "cannot be written");
  size_t n = (size_t)argc - 3, root = strlen(argv[2]);
  struct module *modules = calloc(n, sizeof *modules);
  if (modules == NULL) fail(argv[1], "not enough memory");
  for (size_t i = 0; i < n; i++) {
    const char *file = argv[3 + i];
    if (strncmp(file, argv[2], root) != 0 || file[root] != '/') fail(file, "is not below the root");
    modules[i] = (struct module){.file = file, .path = file + root + 1};
    name_module(&modules[i]);
  }
  qsort(modules, n, sizeof *modules, by_name);

  fprintf(out, "/* generated from lua/ */\n#include \"vm/embedded.h\"\n");
  for (size_t i = 0; i < n; i++) write_module(L, out, &modules[i], i);
  fprintf(out, "const struct ph_embedded_file ph_embedded_files[] = {\n");
  for (size_t i = 0; i < n; i++)
    fprintf(out, "  {\"%s\", \"@%s\", {text_%zu, sizeof text_%zu - 1}, {compiled_%zu, sizeof compiled_%zu}},\n",
            modules[i].name, modules[i].path, i, i, i, i);
  fprintf(out, "};\nconst size_t ph_embedded_count = %zu;\n", n);
  lua_close(L);
  if (fclose(out) != 0) fail(argv[1], "cannot be written");
  return EXIT_SUCCESS;
}
