/* SPDX-License-Identifier: MIT
 * Inside of the codec. The format is described in docs/codec.md. */
#ifndef PH_CODEC_CODEC_INT_H
#define PH_CODEC_CODEC_INT_H

#include "base/buf.h"
#include "codec/codec.h"
#include "codec/ptrmap.h"

/* Lead bytes. 0x80 and above: the integers 0..127. */
enum ph_tag {
  PH_TAG_NIL,
  PH_TAG_FALSE,
  PH_TAG_TRUE,
  PH_TAG_INT,    /* zigzag varint */
  PH_TAG_FLOAT,  /* 8 bytes, as in memory */
  PH_TAG_STRING, /* varint length, bytes */
  PH_TAG_STRING_SHARED,
  PH_TAG_STRING_REF,   /* varint offset of an earlier STRING, of at most PH_SHORT_STRING bytes */
  PH_TAG_TABLE,        /* varint n, byte: number of pairs, n values, pairs, END */
  PH_TAG_TABLE_SHARED, /* the same, referred to later */
  PH_TAG_REF,          /* varint offset of an earlier ..._SHARED */
  PH_TAG_FUNCTION,     /* prototype, varint upvalues, upvalues */
  PH_TAG_FUNCTION_SHARED,
  PH_TAG_NAMED,  /* module STRING, field STRING: a function by name */
  PH_TAG_MODULE, /* STRING: package.loaded[name] */
  PH_TAG_GLOBALS,
  PH_TAG_LIGHT,    /* 8 bytes */
  PH_TAG_INSTANCE, /* class name STRING, varint blob + 1 or 0, byte: went through __dump, value */
  PH_TAG_INSTANCE_SHARED,
  PH_TAG_CLASS, /* name STRING, TABLE of its fields, its metatable or NIL: the definition of a class, in blobs */
  PH_TAG_CLASS_SHARED,
  PH_TAG_CLASS_NAMED, /* name STRING, varint blob + 1 or 0 */
  PH_TAG_EXTERN,      /* varint */
  PH_TAG_END,         /* of pairs; of the message */
  PH_TAG_CAPTURE,     /* behind the values: name STRING, value */
  PH_TAG_SMALL = 0x80,
};

/* A flag of ph_encode_options: registered classes with their definition. */
#define PH_ENCODE_DEFINE 0x100

#define PH_ERROR_CLASS "parhost.Error" /* error objects: always registered, by the name of their metatable */

/* In front of an upvalue. */
enum ph_cell_tag { PH_CELL, PH_CELL_SHARED, PH_CELL_REF };
/* In front of a prototype: its blob number, or its bytes. */
enum ph_proto_tag { PH_PROTO_BLOB, PH_PROTO_BYTES };

#define PH_SHORT_STRING 40  /* longer ones are objects with an identity for Lua, too */
#define PH_PAIRS_EXACT 128  /* a number of pairs from this on: this + the exponent of the power of two below it */
#define PH_DEPTH_MAX 190000 /* levels; two slots of the Lua stack each */
#define PH_MESSAGE_MAX ((size_t)1 << 31)
#define PH_CAPTURE_MAX (64u << 10) /* bytes of a captured global table */
#define PH_BIG_UPVALUE (1u << 20)

/* What is being written or read, and what hangs on the Lua stack. */
struct ph_level {
  uint8_t kind; /* enum ph_tag: TABLE, FUNCTION, INSTANCE or CLASS */
  uint8_t state;
  int index; /* stack index of the container */
  uint32_t pairs;
  lua_Integer i, n; /* array elements or upvalues: done, all; instance: goes through __dump */
  size_t start;     /* offset of the current upvalue, of the number of pairs */
};

struct ph_levels {
  struct ph_level *array;
  size_t count, cap;
};

enum ph_named { PH_NAMED_MODULE, PH_NAMED_CLASS };

/* The codec of a state: a userdata in the registry, with these user values. */
enum {
  PH_UV_FUNCTIONS = 1, /* weak: closure -> struct ph_function */
  PH_UV_CLASSES,       /* name -> class, class -> name */
  PH_UV_PLACES,        /* name -> where the class was registered, see class.c */
  PH_UV_BASELINE,      /* the globals as they were before user code ran */
  PH_UV_ANCHORS,       /* temporary objects of this message */
  PH_UV_CAPTURES,      /* lists of global names */
  PH_UV_MODULES,       /* weak: module -> its name, of those that were asked for */
  PH_UV_NAMES,         /* function -> { module, field } */
  PH_UV_LOADED,        /* blob number -> closure that needs no upvalues of its own */
  PH_UV_SENT,          /* names of the globals that were captured: name -> true */
  PH_UV_LEFT,          /* names of those that could not be: name -> why */
  PH_UV_TASK,          /* the function that ph_codec.task is about */
  PH_UV_STAND_IN,      /* the table that stands for the globals table */
  PH_UV_INNER,         /* the codec that is used while this one calls out */
  PH_UV_COUNT = PH_UV_INNER,
};

/* A function that is no more than a blob: not ours, no upvalues. */
struct ph_plain_function {
  const void *identity;
  uint64_t store; /* whose number this is */
  uint32_t number;
};

struct ph_codec {
  const void *mark; /* of the one in the registry, with its reference: see codec.c */
  int ref;
  const struct ph_encode_options *options; /* of the encode under way */
  struct ph_err *err;
  struct ph_buf out, refs; /* refs: blob numbers used */
  struct ph_ptrmap seen;   /* object, string, cell -> offset */
  struct ph_ptrmap named;  /* values of package.loaded, classes -> enum ph_named */
  struct ph_buf listed;    /* their addresses when that was made, in order; NULL: a number or boolean */
  size_t n_loaded;         /* of them: the first ones, of package.loaded */
  struct ph_levels levels;
  size_t limit;                         /* what would take more bytes is refused */
  uint32_t tried, found, passed;        /* short strings looked up; those that had come before; those not looked up */
  size_t open_dumps;                    /* levels of objects that go through __dump */
  lua_Integer n_captures;               /* lists of global names in PH_UV_CAPTURES, to be looked at */
  struct ph_plain_function plain, task; /* the last in this message; the last one that was a task, in PH_UV_TASK */
  const void *globals, *stand_in;       /* identity of the globals table, and of what stands for it (or NULL) */
  int self;                             /* stack index of this userdata */
  bool named_known;                     /* `named` is what holds now */
  bool has_code;
  bool has_state; /* a table, an upvalue or a captured global is in the message */
  bool has_anchors;
  bool has_left;    /* something is in PH_UV_LEFT */
  bool calling_out; /* user code runs (__dump, __load, require): use another codec */
};

/* What is known of a Lua function; a userdata in the cache; user value 1: array of the global names it reads,
 * 2: its label. */
struct ph_function {
  uint8_t hash[16];
  uint64_t warned; /* bit per upvalue */
  uint64_t store;  /* whose number this is */
  int64_t number;
  uint32_t n_globals;
  uint8_t n_upvalues;
  bool is_ours; /* a function of a built-in module, which may be known by name */
  size_t len;
  uint8_t bytes[];
};

/* codec.c */
struct ph_codec *ph__codec_push(lua_State *L); /* pushes the userdata */
/* Is the object at this address the globals table, or stands for it? */
static inline bool ph__is_globals(const struct ph_codec *c, const void *object) {
  return object == c->globals || (object == c->stand_in && object != NULL);
}
_Noreturn void ph__no_memory(lua_State *L);
/* NULL: too deep. */
struct ph_level *ph__level_push(lua_State *L, struct ph_codec *c, uint8_t kind, int index);
/* Runs a function and its arguments on the stack top, with calling_out set; errors go on. */
void ph__call_out(lua_State *L, struct ph_codec *c, int nargs, int nresults);

/* function.c */
/* Pushes the info (a userdata of the cache) of the Lua function at idx. */
struct ph_function *ph__function_push(lua_State *L, struct ph_codec *c, int idx);
/* Warns when the upvalue that was just written is big, once per upvalue. */
void ph__warn_big_upvalue(lua_State *L, struct ph_codec *c, const struct ph_level *l);

/* bytecode.c: appends to the list at stack index `names` the globals that the function in `dump` (as lua_dump writes it)
 * and those inside it read through the upvalues in env_upvalues (bit i: upvalue i + 1 is _ENV). -1: not understood. */
int ph__scan_globals(lua_State *L, const uint8_t *dump, size_t len, uint64_t env_upvalues, int names);

/* names.c */
/* Is the object of that address, which is alive, a module or a class: enum ph_named, or PH_PTRMAP_NONE. What package.loaded
 * holds under something else than a name passes for a module. */
uint32_t ph__named(lua_State *L, struct ph_codec *c, const void *object);
/* Of an object that passes for a module: is it a class? */
bool ph__is_listed_class(const struct ph_codec *c, const void *object);
/* Pushes module and field name of the function at idx; false (nothing pushed): it has none. */
bool ph__push_name(lua_State *L, struct ph_codec *c, int idx);
/* Pushes the function that "_G", field meant before user code ran; false: none. Both are strings on the stack. */
bool ph__push_original_global(lua_State *L, struct ph_codec *c, int module, int field);
/* Pushes the name under which the value at idx is loaded; false: it is no module. */
bool ph__push_module_name(lua_State *L, struct ph_codec *c, int idx);
/* Replaces the module name on the stack top by the module, running its code if that is allowed and needed. False: it
 * is not loaded; the name stays. */
bool ph__require(lua_State *L, struct ph_codec *c, bool may_run);
/* Pushes the name of the loaded module that was read from the file whose name is at idx, or "". */
void ph__push_module_of_file(lua_State *L, int idx);
/* Runs the module of the name on the stack top, which stays, and pushes its value; false: there is no such file. */
bool ph__require_file(lua_State *L, struct ph_codec *c);

/* class.c */
/* Pushes the class name for a metatable at idx; false: not registered. */
bool ph__push_class_name(lua_State *L, struct ph_codec *c, int idx);
/* Pushes the class of that name (a string at idx), taking it from the blob when unknown; false: none. */
bool ph__push_class(lua_State *L, struct ph_codec *c, int idx, const struct ph_blob_store *blobs, uint64_t blob_plus_1);
/* Pushes the name of the module that registers the class at idx when it is loaded, or "". */
void ph__push_class_module(lua_State *L, struct ph_codec *c, int class);
/* Enters a class under its name, both at stack indices. */
void ph__enter_class(lua_State *L, struct ph_codec *c, int name, int class);
/* Pushes a field of the class at idx, inherited ones too, and gives its type. */
int ph__push_class_field(lua_State *L, struct ph_codec *c, int idx, const char *name);
/* Number + 1 of the blob with the definition of the class at idx, 0: none. False: it cannot travel, c->err is filled. */
bool ph__class_blob(lua_State *L, struct ph_codec *c, int idx, uint64_t *blob_plus_1);

/* path.c: fills err->path from the levels, and the type of the value on the stack top. */
void ph__fill_path(lua_State *L, struct ph_codec *c);

/* encode.c: parts of messages */
/* Writes the value on the stack top with everything in it, and leaves it there. -1: refused, c->err filled. */
int ph__put_tree(lua_State *L, struct ph_codec *c);
/* Writes a nil, boolean, number or string; false: it is something else. */
bool ph__put_scalar(lua_State *L, struct ph_codec *c, int idx);
void ph__put_tag(lua_State *L, struct ph_codec *c, uint8_t tag);
void ph__put_string(lua_State *L, struct ph_codec *c, int idx);
/* True when the object, string or cell was written before: *at is its offset; otherwise *at becomes its offset. */
bool ph__seen(lua_State *L, struct ph_codec *c, const void *key, uint32_t *at);
/* The message needs the blob of this number. */
void ph__note_blob(lua_State *L, struct ph_codec *c, uint32_t number);
void ph__put(lua_State *L, struct ph_codec *c, const void *bytes, size_t n);
void ph__put_varint(lua_State *L, struct ph_codec *c, uint64_t v);

/* scalar.c: the message of one number, boolean or nil */
#define PH_NUMBER_MAX 11                  /* bytes: tag, varint */
#define PH_SCALAR_MAX (PH_NUMBER_MAX + 2) /* count, END */
/* Writes it for the value at idx; gives its length, 0: it is something else. */
size_t ph__scalar_message(lua_State *L, int idx, uint8_t bytes[PH_SCALAR_MAX]);
/* Pushes the number of such a message; false: the decoder is to look at it. The stack must have room. */
bool ph__push_scalar_message(lua_State *L, const uint8_t *bytes, size_t len);

/* siphash.c */
uint64_t ph__siphash(const uint8_t key[16], const uint8_t *p, size_t len);

/* hash.c */
void ph__hash128(const void *bytes, size_t len, uint8_t hash[16]);

#endif
