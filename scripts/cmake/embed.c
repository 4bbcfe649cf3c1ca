/* SPDX-License-Identifier: MIT
 * embed OUT ROOT FILE...: writes the C file OUT, which holds the Lua modules FILE... as ph_embedded_files[]
 * (src/vm/embedded.h): their text, and what Lua compiles it to. Run by the build.
 *
 * lua/a/b.lua below ROOT becomes the module "a.b", lua/a/init.lua becomes "a". Another file, lua/a/b.css, is there as text
 * alone, under the name "a/b.css". The table is sorted by module. */
#include <lauxlib.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct module {
  char name[256];
  bool is_lua;
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
  if (len < 5 || len >= sizeof m->name) fail(m->file, "not the name of a module");
  m->is_lua = strcmp(from + len - 4, ".lua") == 0;
  if (!m->is_lua) {
    memcpy(m->name, from, len + 1);
    return;
  }
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

/* --- bytecode without the names of local variables ---------------------------------------------------------
 * Lines and the names of upvalues stay, so tracebacks are those of the text; names of locals are a quarter of what there
 * is to load. Bytecode is as lundump.c of Lua 5.4 reads it. */

struct code {
  const unsigned char *bytes;
  size_t len, at;
  FILE *out;
};

static const unsigned char *step_over(struct code *c, size_t n) {
  if (n > c->len - c->at) fail("bytecode", "ends too soon");
  const unsigned char *from = c->bytes + c->at;
  c->at += n;
  return from;
}

static void copy(struct code *c, size_t n) {
  write_bytes(c->out, step_over(c, n), n);
}

static size_t read_size(struct code *c) {
  size_t x = 0;
  unsigned char b;
  do {
    b = *step_over(c, 1);
    x = x << 7 | (b & 0x7f);
  } while ((b & 0x80) == 0);
  return x;
}

static size_t copy_size(struct code *c) {
  size_t from = c->at, x = read_size(c);
  write_bytes(c->out, c->bytes + from, c->at - from);
  return x;
}

static void copy_string(struct code *c) {
  size_t n = copy_size(c);
  if (n > 0) copy(c, n - 1);
}

static void skip_string(struct code *c) {
  size_t n = read_size(c);
  if (n > 0) step_over(c, n - 1);
}

static void copy_constant(struct code *c) {
  enum { FLOAT = LUA_TNUMBER | 1 << 4, INTEGER = LUA_TNUMBER, LONG_STRING = LUA_TSTRING | 1 << 4 };
  int type = c->at < c->len ? c->bytes[c->at] : -1;
  copy(c, 1);
  if (type == FLOAT) copy(c, sizeof(lua_Number));
  if (type == INTEGER) copy(c, sizeof(lua_Integer));
  if (type == LUA_TSTRING || type == LONG_STRING) copy_string(c);
}

static void copy_debug(struct code *c) {
  copy(c, copy_size(c)); /* lines */
  for (size_t n = copy_size(c); n > 0; n--) {
    copy_size(c);
    copy_size(c);
  }
  for (size_t n = read_size(c); n > 0; n--) { /* locals */
    skip_string(c);
    read_size(c);
    read_size(c);
  }
  write_bytes(c->out, "\x80", 1); /* none */
  for (size_t n = copy_size(c); n > 0; n--) copy_string(c);
}

static void copy_function(struct code *c) {
  copy_string(c); /* source */
  copy_size(c);
  copy_size(c);
  copy(c, 3);
  copy(c, copy_size(c) * 4); /* instructions */
  for (size_t n = copy_size(c); n > 0; n--) copy_constant(c);
  copy(c, copy_size(c) * 3); /* upvalues */
  for (size_t n = copy_size(c); n > 0; n--) copy_function(c);
  copy_debug(c);
}

static void write_compiled(lua_State *L, FILE *out, const struct module *m, const char *text, size_t len) {
  char chunkname[sizeof m->name + 8];
  struct code c = {.out = out};
  snprintf(chunkname, sizeof chunkname, "@%s", m->path);
  lua_getglobal(L, "string");
  lua_getfield(L, -1, "dump");
  if (luaL_loadbufferx(L, text, len, chunkname, "t") != LUA_OK) fail(m->file, lua_tostring(L, -1));
  lua_call(L, 1, 1);
  c.bytes = (const unsigned char *)lua_tolstring(L, -1, &c.len);
  copy(&c, 4 + 1 + 1 + 6 + 3 + sizeof(lua_Integer) + sizeof(lua_Number) + 1); /* head, number of upvalues */
  copy_function(&c);
  if (c.at != c.len) fail(m->file, "became bytecode that this program does not know");
  lua_pop(L, 2);
}

static void write_text(FILE *out, const struct module *m, size_t number) {
  size_t len;
  char *text = read_file(m->file, &len);
  fprintf(out, "static const unsigned char text_%zu[] = {", number);
  write_bytes(out, text, len);
  fprintf(out, "0};\n");
  free(text);
}

static void write_code(lua_State *L, FILE *out, const struct module *m, size_t number) {
  size_t len;
  if (!m->is_lua) return;
  char *text = read_file(m->file, &len);
  fprintf(out, "static const unsigned char compiled_%zu[] = {", number);
  write_compiled(L, out, m, text, len);
  fprintf(out, "};\n");
  free(text);
}

static void write_entry(FILE *out, const struct module *m, size_t i) {
  fprintf(out, "  {\"%s\", \"@%s\", {text_%zu, sizeof text_%zu - 1}, ", m->name, m->path, i, i);
  if (m->is_lua) {
    fprintf(out, "{compiled_%zu, sizeof compiled_%zu}},\n", i, i);
  } else {
    fprintf(out, "{NULL, 0}},\n");
  }
}

int main(int argc, char **argv) {
  lua_State *L = luaL_newstate();
  FILE *out = argc > 3 ? fopen(argv[1], "wb") : NULL;
  if (L == NULL || out == NULL) fail(argc > 1 ? argv[1] : "OUT", "cannot be written");
  luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, 1);
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
  for (size_t i = 0; i < n; i++) write_text(out, &modules[i], i);
  for (size_t i = 0; i < n; i++) write_code(L, out, &modules[i], i); /* together: fewer pages to be read at each start */
  fprintf(out, "const struct ph_embedded_file ph_embedded_files[] = {\n");
  for (size_t i = 0; i < n; i++) write_entry(out, &modules[i], i);
  fprintf(out, "};\nconst size_t ph_embedded_count = %zu;\n", n);
  lua_close(L);
  if (fclose(out) != 0) fail(argv[1], "cannot be written");
  return EXIT_SUCCESS;
}
