/* SPDX-License-Identifier: MIT
 * From Lua arguments to a task in the pool: the path of every submit. */
#include "lib/submit.h"

#include <errno.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/trace.h"
#include "lib/core.h"
#include "lib/station_lib.h"
#include "lib/trace_lib.h"
#include "pool/task_trace.h"
#include "vm/error.h"
#include "vm/worker.h"

/* --- for people: where it was submitted, what it is ------------------------------------------------------- */

/* As programs may write functions all the time, the older half of so many texts is forgotten: at once, as a table of Lua
 * that is full is counted through at each new key. A task that old has no text then. */
#define TEXTS_MAX 8192u

static bool is_known(const struct core *c, uint32_t text) {
  return text > c->texts_forgotten;
}

/* The table of texts is at `texts`. */
static void forget_texts(lua_State *L, struct core *c, int texts) {
  for (uint32_t n = TEXTS_MAX / 2; n > 0; n--) {
    lua_rawgeti(L, texts, ++c->texts_forgotten);
    lua_pushnil(L);
    lua_rawset(L, texts);
    lua_pushnil(L);
    lua_rawseti(L, texts, c->texts_forgotten);
  }
}

/* Number of the text on top of the stack; pops it. */
static uint32_t intern_text(lua_State *L, struct core *c, int core_idx) {
  lua_getiuservalue(L, core_idx, CORE_TEXTS);
  lua_pushvalue(L, -2);
  if (lua_rawget(L, -2) == LUA_TNIL) {
    uint32_t n = c->n_texts + 1;
    if (n - c->texts_forgotten > TEXTS_MAX) forget_texts(L, c, lua_gettop(L) - 1);
    lua_pushinteger(L, n);
    lua_replace(L, -2);
    lua_pushvalue(L, -3);
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
    lua_pushvalue(L, -3);
    lua_rawseti(L, -3, n);
    c->n_texts = n;
  }
  uint32_t n = (uint32_t)lua_tointeger(L, -1);
  lua_pop(L, 3);
  return n;
}

static bool is_own_code(const lua_Debug *ar) {
  return strncmp(ar->source, "@lua/", 5) == 0 || *ar->what == 'C';
}

static void push_site(lua_State *L, lua_Debug *ar) {
  lua_getinfo(L, "n", ar);
  if (*ar->what == 'm')
    lua_pushfstring(L, "%s:%d: in main chunk", ar->short_src, ar->currentline);
  else if (ar->name != NULL)
    lua_pushfstring(L, "%s:%d: in function '%s'", ar->short_src, ar->currentline, ar->name);
  else
    lua_pushfstring(L, "%s:%d: in function <%s:%d>", ar->short_src, ar->currentline, ar->short_src, ar->linedefined);
}

/* The text of the line in which the function is that is at this level, 0: it is not the one that submitted last, or the line
 * is not known yet. What is remembered is never our own code, so what lies between need not be looked at. */
static uint32_t known_line(lua_State *L, const struct core *c, int core_idx, int level) {
  lua_Debug ar;
  if (!lua_getstack(L, level, &ar)) return 0;
  lua_getinfo(L, "fl", &ar);
  lua_getiuservalue(L, core_idx, CORE_CALLER);
  lua_rawgeti(L, -1, 1);
  bool same = lua_topointer(L, -1) == lua_topointer(L, -3);
  lua_pop(L, 3);
  const struct core_line *l = &c->lines[(unsigned)ar.currentline % CORE_LINES];
  return same && l->line == ar.currentline && is_known(c, l->site) ? l->site : 0;
}

static void remember_line(lua_State *L, struct core *c, int core_idx, lua_Debug *ar, uint32_t site) {
  lua_getiuservalue(L, core_idx, CORE_CALLER);
  lua_rawgeti(L, -1, 1);
  lua_getinfo(L, "f", ar);
  if (!lua_rawequal(L, -1, -2)) {
    memset(c->lines, 0, sizeof c->lines);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -4, 1);
  }
  lua_pop(L, 3);
  c->lines[(unsigned)ar->currentline % CORE_LINES] = (struct core_line){.line = ar->currentline, .site = site};
}

static uint32_t look_for_caller(lua_State *L, struct core *c, int core_idx) {
  lua_Debug ar;
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (is_own_code(&ar)) continue;
    struct core_site *s = &c->sites[((uintptr_t)ar.source / 16 + (unsigned)ar.currentline) % CORE_SITES];
    bool same = s->source == ar.source && s->line == ar.currentline && strcmp(s->short_src, ar.short_src) == 0;
    if (!same || !is_known(c, s->text)) {
      push_site(L, &ar);
      *s = (struct core_site){.source = ar.source, .line = ar.currentline, .text = intern_text(L, c, core_idx)};
      memcpy(s->short_src, ar.short_src, sizeof s->short_src);
    }
    remember_line(L, c, core_idx, &ar, s->text);
    return s->text;
  }
  return 0;
}

static uint32_t label_of(lua_State *L, struct core *c, const struct submission *s, const struct ph_encoded *e) {
  bool is_lua = e->n_blobs > 0 && lua_isfunction(L, s->fn) && !lua_iscfunction(L, s->fn);
  uint32_t *known = is_lua ? &c->blob_labels[e->blobs[0]] : NULL;
  if (known != NULL && is_known(c, *known)) return *known;
  if (lua_isfunction(L, s->fn))
    ph_codec_push_label(L, s->fn);
  else
    lua_pushvalue(L, s->fn);
  uint32_t text = intern_text(L, c, s->core);
  if (known != NULL) *known = text;
  return text;
}

/* --- admission -------------------------------------------------------------------------------------------- */

#define DRAIN_EVERY 64 /* submissions */

/* Who submits and never waits gets its results in between, or they would pile up. */
static void take_what_is_done(lua_State *L, struct core *c, int core_idx) {
  if (c->pool != NULL && c->kind != CORE_INLINE && ++c->submissions % DRAIN_EVERY == 0) drain_core(L, c, core_idx);
}

/* True when the task may come; false: the queue is full. */
static bool admit(lua_State *L, struct core *c) {
  if (c->pool == NULL) ph_error_raise(L, "shutdown", "cannot schedule new futures after shutdown");
  switch (ph_pool_admits(c->pool)) {
    case PH_SUBMIT_OK: return true;
    case PH_SUBMIT_FULL: return false;
    case PH_SUBMIT_BROKEN:
      push_broken(L, c);
      lua_error(L);
      break;
    case PH_SUBMIT_CLOSED: ph_error_raise(L, "shutdown", "cannot schedule new futures after shutdown");
  }
  return false;
}

static int full(lua_State *L) {
  lua_pushnil(L);
  lua_pushliteral(L, "full");
  return 2;
}

/* --- submitting ------------------------------------------------------------------------------------------- */

/* What the task takes along besides its bytes. */
struct naming {
  const struct ph_task_options *options; /* NULL: the defaults */
  const uint8_t *log;                    /* behind the options: job log and keys, for the end of the message */
  size_t log_len;
  uint32_t label, site;
};

static struct naming name_task(lua_State *L, struct core *c, const struct submission *s, const struct ph_encoded *e) {
  struct naming n = {.options = luaL_testudata(L, s->options, OPTIONS_METATABLE)};
  if (n.options != NULL) {
    n.log = (const uint8_t *)(n.options + 1);
    n.log_len = lua_rawlen(L, s->options) - sizeof *n.options;
  }
  n.label = label_of(L, c, s, e);
  n.site = known_line(L, c, s->core, s->level);
  if (n.site == 0) n.site = look_for_caller(L, c, s->core);
  return n;
}

/* Keeps the sink; gives its place. Small numbers, used again: the table of the sinks stays an array. */
static uint32_t take_place(lua_State *L, struct core *c, const struct submission *s) {
  uint32_t place;
  lua_getiuservalue(L, s->core, CORE_SINKS);
  lua_pushvalue(L, s->sink);
  if (c->free_places.len > 0) {
    c->free_places.len -= sizeof place;
    memcpy(&place, c->free_places.data + c->free_places.len, sizeof place);
  } else {
    if (ph_buf_reserve(&c->free_places, (c->n_places + 1) * sizeof place) != 0) luaL_error(L, "not enough memory");
    place = ++c->n_places;
  }
  lua_rawseti(L, -2, place);
  c->n_sinks++;
  lua_pop(L, 1);
  return place;
}

void core_free_place(lua_State *L, struct core *c, int sinks, uint32_t place) {
  sinks = lua_absindex(L, sinks);
  lua_pushnil(L);
  lua_rawseti(L, sinks, place);
  ph_buf_put(&c->free_places, &place, sizeof place);
  c->n_sinks--;
}

static void free_place(lua_State *L, struct core *c, int core_idx, uint32_t place) {
  lua_getiuservalue(L, core_idx, CORE_SINKS);
  core_free_place(L, c, -1, place);
  lua_pop(L, 1);
}

static void set_holds(lua_State *L, struct core *c, int core_idx, uint64_t id) {
  if (c->state->n_holds == 0) return;
  c->has_holds = true;
  lua_getiuservalue(L, core_idx, CORE_HOLDS);
  lib_take_holds(L);
  lua_rawseti(L, -2, (lua_Integer)id);
  lua_pop(L, 1);
}

#define AROUND_MIN ((size_t)1 << 20) /* bytes that a task takes over rather than copies */

/* For the trace: what follows the bytes of the task. */
static void make_note(lua_State *L, struct core *c, const struct submission *s, const struct naming *n) {
  int top = lua_gettop(L);
  luaL_checkstack(L, 5, NULL);
  push_text(L, s->core, n->label);
  push_text(L, s->core, n->site);
  if (n->options != NULL)
    lua_getiuservalue(L, s->options, OPTIONS_NAME);
  else
    lua_pushnil(L);
  struct ph_task_texts texts = {.pool = c->config.name, .label = lua_tostring(L, top + 1), .site = lua_tostring(L, top + 2)};
  texts.name = lua_tolstring(L, top + 3, &texts.name_len);
  if (ph_task_note_make(&c->note, &texts) != 0) luaL_error(L, "not enough memory");
  lua_settop(L, top);
}

static void begin_trace(const struct core *c, struct ph_task *t, uint64_t id, uint32_t count) {
  struct ph_task_about about;
  memcpy(ph_task_bytes(t) + t->len - c->note.len, c->note.data, c->note.len);
  t->flags |= PH_TASK_TRACED;
  size_t len = ph_task_note_read(ph_task_bytes(t), t->len, &about);
  ph_trace_submitted(&about, id, count, len);
}

/* The encoder's own block, with room for the note; NULL: the bytes are to be copied. */
static uint8_t *take_bytes(lua_State *L, const struct core *c, const struct ph_encoded *e) {
  uint8_t *taken = e->len >= AROUND_MIN ? ph_encode_take(L, e) : NULL;
  if (taken == NULL || c->note.len == 0) return taken;
  uint8_t *bigger = ph_realloc(taken, e->len + c->note.len);
  if (bigger == NULL) free(taken);
  return bigger;
}

/* `e` as a task without anything but its bytes; NULL without memory. */
static struct ph_task *wrap_task(lua_State *L, const struct core *c, const struct ph_encoded *e, const struct naming *n) {
  size_t len = e->len + n->log_len + c->note.len;
  uint8_t *taken = n->log_len == 0 ? take_bytes(L, c, e) : NULL;
  struct ph_task *t =
      taken != NULL ? ph_task_new_around(c->client, taken, len, e->n_blobs) : ph_task_new(c->client, len, e->n_blobs);
  if (t == NULL || (n->options != NULL && ph_task_set_options(t, n->options) != 0)) {
    if (t == NULL) free(taken);
    if (t != NULL) ph_task_unref(t);
    return NULL;
  }
  if (taken == NULL && e->len > 0) memcpy(ph_task_bytes(t), e->data, e->len);
  if (n->log_len > 0) {
    memcpy(ph_task_bytes(t) + e->len, n->log, n->log_len);
    t->flags |= PH_TASK_LOGGED;
  }
  if (e->n_blobs > 0) memcpy(t->blobs, e->blobs, e->n_blobs * sizeof *e->blobs);
  return t;
}

/* The task in C memory, from here on nothing may raise. The sink is entered before. */
static struct ph_task *make_task(lua_State *L, struct core *c, const struct submission *s, const struct ph_encoded *e,
                                 const struct naming *n, uint32_t count) {
  c->note.len = 0;
  if (ph_traced()) make_note(L, c, s, n);
  uint64_t id = ph_pool_take_ids(c->pool, count);
  uint32_t place = take_place(L, c, s);
  set_holds(L, c, s->core, id);
  struct ph_task *t = wrap_task(L, c, e, n);
  if (t == NULL) {
    free_place(L, c, s->core, place);
    if (e->len > (size_t)INT_MAX) ph_error_raise(L, "not_serializable", "the arguments take more than 2 GiB");
    ph_error_raise(L, "os", "not enough memory for the arguments of a task");
  }
  t->id = id;
  t->count = count;
  t->tag = s->tag;
  t->label = n->label;
  t->site = n->site;
  t->place = place;
  if (c->note.len > 0) begin_trace(c, t, id, count);
  return t;
}

static void warn_of_trouble(lua_State *L, struct core *c) {
  int error = ph_pool_trouble(c->pool);
  if (error == 0) return;
  lua_pushfstring(L,
                  "parhost: the dispatcher of %s could not be started (%s): tasks are handed to workers only while the "
                  "program submits or waits",
                  c->config.name, strerror(error));
  lua_warning(L, lua_tostring(L, -1), 0);
  lua_pop(L, 1);
}

/* Takes the task; gives its id. */
static lua_Integer send(lua_State *L, struct core *c, const struct submission *s, struct ph_task *t) {
  struct ph_err err;
  lua_Integer id = (lua_Integer)t->id;
  uint32_t place = t->place;
  if (s->here || c->kind == CORE_INLINE) {
    if (ph_worker_run_here(c->client, &c->config, t, &err) != 0) {
      free_place(L, c, s->core, place);
      ph_error_raise_err(L, &err);
    }
  } else if (ph_client_submit(c->client, t) != PH_SUBMIT_OK) { /* closed or broken since it was admitted */
    ph_task_unref(t);
    free_place(L, c, s->core, place);
    admit(L, c);
  }
  warn_of_trouble(L, c);
  if (ph_traced()) lib_warn_of_trace(L);
  return id;
}

static struct ph_encode_options encode_options(const struct core *c, bool with_task) {
  return (struct ph_encode_options){
      .flags = core_encode_flags(c), .root = "args", .first_is_task = with_task, .blobs = &c->store, .externs = c->externs};
}

lua_Integer core_submit_one(lua_State *L, struct core *c, const struct submission *s) {
  struct ph_encoded e;
  struct ph_err err;
  const struct ph_encode_options options = encode_options(c, true);
  take_what_is_done(L, c, s->core);
  if (!s->here && !admit(L, c)) return 0;
  if (ph_encode(L, &options, s->fn, s->count, &e, &err) != 0) ph_error_raise_err(L, &err);
  struct naming n = name_task(L, c, s, &e);
  return send(L, c, s, make_task(L, c, s, &e, &n, 1));
}

/* core:submit(sink, tag, options, fn, ...) -> id, or nil, "full" */
static struct submission read_submission(lua_State *L) {
  return (struct submission){
      .core = 1, .sink = 2, .tag = luaL_checkinteger(L, 3), .options = 4, .fn = 5, .count = lua_gettop(L) - 4, .level = 2};
}

int core_submit(lua_State *L) {
  struct core *c = check_core(L, 1);
  struct submission s = read_submission(L);
  lua_Integer id = core_submit_one(L, c, &s);
  if (id == 0) return full(L);
  lua_pushinteger(L, id);
  return 1;
}

int core_run_here(lua_State *L) {
  struct core *c = check_core(L, 1);
  struct submission s = read_submission(L);
  s.here = true;
  lua_pushinteger(L, core_submit_one(L, c, &s));
  return 1;
}

/* --- chunks ----------------------------------------------------------------------------------------------- */

static void add_blobs(struct ph_buf *blobs, const struct ph_encoded *e) {
  for (size_t i = 0; i < e->n_blobs; i++) {
    const uint32_t *have = (const uint32_t *)(const void *)blobs->data;
    size_t n = blobs->len / sizeof *have, k = 0;
    while (k < n && have[k] != e->blobs[i]) k++;
    if (k == n) ph_buf_put(blobs, &e->blobs[i], sizeof *have);
  }
}

/* A part of the message: its length, then the `count` values from `first`. */
static void add_part(lua_State *L, struct core *c, int first, int count, const struct ph_encode_options *options,
                     struct ph_encoded *e) {
  struct ph_err err;
  if (ph_encode(L, options, first, count, e, &err) != 0) ph_error_raise_err(L, &err);
  uint32_t len = (uint32_t)e->len;
  if (ph_buf_reserve(&c->scratch, sizeof len + e->len) != 0) luaL_error(L, "not enough memory");
  ph_buf_put(&c->scratch, &len, sizeof len);
  ph_buf_put(&c->scratch, e->data, e->len);
  add_blobs(&c->chunk_blobs, e);
}

/* Pushes the lists themselves; gives their number. */
static int push_lists(lua_State *L) {
  int n = (int)lua_rawlen(L, 6);
  luaL_checkstack(L, 2 * n + LUA_MINSTACK, "too many lists");
  for (int i = 1; i <= n; i++) lua_rawgeti(L, 6, i);
  return n;
}

int core_submit_chunk(lua_State *L) {
  struct core *c = check_core(L, 1);
  struct ph_encoded e;
  struct ph_encode_options options = encode_options(c, true);
  lua_Integer first = luaL_checkinteger(L, 7), last = luaL_checkinteger(L, 8);
  luaL_checktype(L, 6, LUA_TTABLE);
  const struct submission s = read_submission(L);
  take_what_is_done(L, c, 1);
  if (!admit(L, c)) return full(L);
  ph_buf_reset(&c->scratch, 1 << 16);
  c->chunk_blobs.len = 0;
  add_part(L, c, 5, 1, &options, &e);
  struct naming n = name_task(L, c, &s, &e);
  bool constant = e.constant;
  int lists = lua_gettop(L), n_lists = push_lists(L), top = lists + n_lists;
  options = encode_options(c, false);
  options.first_is_root = lua_toboolean(L, 9); /* starmap: the one value of an item holds the arguments */
  for (lua_Integer k = first; k <= last; k++) {
    options.item = k;
    for (int i = 1; i <= n_lists; i++) lua_geti(L, lists + i, k);
    add_part(L, c, top + 1, n_lists, &options, &e);
    lua_settop(L, top);
  }
  const struct ph_encoded all = {.data = c->scratch.data,
                                 .len = c->scratch.len,
                                 .blobs = (const uint32_t *)(const void *)c->chunk_blobs.data,
                                 .n_blobs = c->chunk_blobs.len / sizeof *e.blobs};
  struct ph_task *t = make_task(L, c, &s, &all, &n, (uint32_t)(last - first + 1));
  t->flags |= PH_TASK_CHUNK | (lua_toboolean(L, 9) ? PH_TASK_STAR : 0) | (constant ? PH_TASK_CONSTANT : 0);
  lua_pushinteger(L, send(L, c, &s, t));
  return 1;
}
