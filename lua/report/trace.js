// SPDX-License-Identifier: MIT
// Events -> what happened, in columns: a million tasks are a few typed arrays. Nothing in an event is believed: texts are
// made texts, numbers numbers, and what is neither is left out.

const KIND = { TASK: 0, ASYNC: 1, REQUEST: 2, PROGRAM: 3, STEP: 4, MAIN: 5 };
const KIND_NAMES = ["pool task", "async task", "request", "program", "long step", "script"];
const STATES = ["done", "failed", "cancelled", "timeout", "died", "running"];
const STATE = Object.assign(Object.create(null), Object.fromEntries(STATES.map((name, i) => [name, i])));
const SPANS = new Map([["main", KIND.MAIN], ["async", KIND.ASYNC], ["http", KIND.REQUEST], ["process", KIND.PROGRAM]]);
const PHASES = ["dns", "connect", "tls", "send", "wait", "receive"];

const isBad = (state) => state === STATE.failed || state === STATE.timeout || state === STATE.died;
const textOf = (value) => (typeof value === "string" ? value : value === undefined || value === null ? "" : JSON.stringify(value));
const numberOf = (value, otherwise = 0) => (typeof value === "number" && Number.isFinite(value) ? value : otherwise);
const objectOf = (value) => (typeof value === "object" && value !== null ? value : {});

const taskKey = (pool, id) => `${textOf(pool)} ${numberOf(id)}`;

// Texts that come often, as numbers. 0 is the empty one.
class Texts {
  constructor() {
    this.list = [];
    this.numbers = new Map();
    this.add("");
  }
  add(value) {
    const text = textOf(value);
    let number = this.numbers.get(text);
    if (number === undefined) {
      number = this.list.length;
      this.list.push(text);
      this.numbers.set(text, number);
    }
    return number;
  }
}

// Typed arrays that grow together.
class Columns {
  constructor(types) {
    this.types = types;
    this.length = 0;
    this.room = 0;
    this.grow(1024);
  }
  grow(room) {
    for (const [name, Type] of Object.entries(this.types)) {
      const wider = new Type(room);
      if (this.room > 0) wider.set(this[name]);
      this[name] = wider;
    }
    this.room = room;
  }
  add() {
    if (this.length === this.room) this.grow(this.room * 2);
    return this.length++;
  }
}

const ITEM_COLUMNS = {
  start: Float64Array, end: Float64Array, wait: Float64Array, in: Float64Array, out: Float64Array,
  lane: Int32Array, name: Int32Array, at: Int32Array, from: Int32Array, pool: Int32Array, chunk: Int32Array,
  failed: Int32Array, kind: Uint8Array, state: Uint8Array, attempt: Uint8Array,
};

class Trace {
  constructor() {
    this.texts = new Texts();
    this.items = new Columns(ITEM_COLUMNS);
    this.more = new Map(); // item -> { error, traceback, ... }: what few have
    this.lanes = [];
    this.laneOf = new Map();
    this.pools = new Map(); // name -> { name, kind, max_workers }
    this.counters = new Map(); // name -> { times, values: Map of key -> array }
    this.processNames = new Map();
    this.unfinished = new Map(); // key -> item that has begun and not ended
    this.submitted = new Map(); // key -> { name, time }: to a pool, and without an end so far
    this.settled = new Set(); // keys of those that have an end, but did not run to it
    this.deaths = [];
    this.dropped = []; // tasks that never ran
    this.info = null;
    this.ending = null;
    this.last = 0;
    this.events = 0;
    this.damaged = 0;
    this.mainLane = -1;
  }

  lane(anyPid, anyTid) {
    const pid = numberOf(anyPid);
    const tid = numberOf(anyTid, pid);
    const key = `${pid}/${tid}`;
    let number = this.laneOf.get(key);
    if (number === undefined) {
      number = this.lanes.length;
      this.lanes.push({ pid, tid, name: "", pool: 0, worker: 0 });
      this.laneOf.set(key, number);
    }
    return number;
  }

  pool(name) {
    let pool = this.pools.get(name);
    if (!pool) {
      pool = { name, kind: "", max_workers: 0 };
      this.pools.set(name, pool);
    }
    return pool;
  }

  seen(time) {
    if (time > this.last) this.last = time;
  }

  // Lines of a trace file; those that are no events are counted.
  addLines(text) {
    const body = text.trim().replace(/,$/, "");
    if (body === "") return;
    let events;
    try {
      events = JSON.parse(`[${body}]`);
    } catch {
      events = [];
      for (const line of body.split("\n")) {
        try {
          events.push(JSON.parse(line.trim().replace(/,$/, "")));
        } catch {
          if (!/^[\s[\],]*$/.test(line)) this.damaged++;
        }
      }
    }
    for (const event of events) this.add(event);
  }

  add(event) {
    if (typeof event !== "object" || event === null || typeof event.ph !== "string") {
      this.damaged++;
      return;
    }
    this.events++;
    const args = objectOf(event.args);
    const time = numberOf(event.ts, NaN);
    if (event.ph === "M") {
      this.addMeta(event, args);
    } else if (Number.isNaN(time)) {
      this.damaged++;
    } else {
      this.seen(time);
      if (event.ph === "X") this.addComplete(event, args, time);
      else if (event.ph === "b" || event.ph === "B") this.begin(event, args, time);
      else if (event.ph === "e" || event.ph === "E") this.finish(event, args, time);
      else if (event.ph === "C") this.addCounter(event, args, time);
      else if (event.ph === "i" || event.ph === "I") this.addInstant(event, args, time);
      else if (event.ph === "s") this.submitted.set(taskKey(args.pool, args.task), { name: textOf(event.name), time });
    }
  }

  addMeta(event, args) {
    if (event.name === "parhost") {
      this.info = args;
      this.mainLane = this.lane(event.pid, event.tid);
    } else if (event.name === "parhost_end") {
      this.ending = args;
      this.seen(numberOf(args.wall));
    } else if (event.name === "process_name") {
      this.processNames.set(numberOf(event.pid), textOf(args.name));
    } else if (event.name === "thread_name") {
      this.lanes[this.lane(event.pid, event.tid)].name = textOf(args.name);
    }
  }

  newItem(kind, event, start, end) {
    const { items } = this;
    const i = items.add();
    items.kind[i] = kind;
    items.start[i] = start;
    items.end[i] = end;
    items.wait[i] = items.in[i] = items.out[i] = NaN;
    items.lane[i] = this.lane(event.pid, event.tid);
    items.name[i] = this.texts.add(event.name);
    items.chunk[i] = 1;
    return i;
  }

  // What begins and ends alike tell; what few have stays an object.
  describe(i, args) {
    const { items, texts } = this;
    const state = STATE[textOf(args.state)];
    if (state !== undefined) items.state[i] = state;
    if (args.fn !== undefined || args.at !== undefined) items.at[i] = texts.add(args.fn ?? args.at);
    if (args.submitted !== undefined) items.from[i] = texts.add(args.submitted);
    if (args.error === undefined && args.traceback === undefined) return;
    this.more.set(i, { ...this.more.get(i), error: textOf(args.error), traceback: textOf(args.traceback) });
  }

  addComplete(event, args, time) {
    const { items, texts } = this;
    const end = time + Math.max(0, numberOf(event.dur));
    const kind = event.cat === "step" ? KIND.STEP : event.cat === "main" ? KIND.MAIN : KIND.TASK;
    const i = this.newItem(kind, event, time, end);
    this.seen(end);
    this.describe(i, args);
    if (kind !== KIND.TASK) return;
    const lane = this.lanes[items.lane[i]];
    this.submitted.delete(taskKey(args.pool, args.id));
    if (items.state[i] === STATE.died) this.settled.add(taskKey(args.pool, args.id));
    items.wait[i] = numberOf(args.wait, NaN);
    items.in[i] = numberOf(args.in, NaN);
    items.out[i] = numberOf(args.out, NaN);
    items.chunk[i] = Math.max(1, numberOf(args.chunk, 1));
    items.failed[i] = numberOf(args.failed);
    if (items.failed[i] > 0 && items.state[i] === STATE.done) items.state[i] = STATE.failed;
    items.attempt[i] = numberOf(args.attempt);
    items.pool[i] = texts.add(args.pool);
    if (items.pool[i] === 0) return;
    this.pool(textOf(args.pool));
    if (items.lane[i] === this.mainLane) return; // run in the caller
    lane.pool = items.pool[i];
    lane.worker = numberOf(args.worker, lane.worker);
  }

  begin(event, args, time) {
    const kind = SPANS.get(event.cat);
    if (kind === undefined) return;
    const i = this.newItem(kind, event, time, Infinity);
    this.items.state[i] = STATE.running;
    this.describe(i, args);
    this.unfinished.set(Trace.key(event), i);
  }

  static key(event) {
    const { cat, pid, tid, id } = event;
    return `${textOf(cat)} ${numberOf(pid)} ${cat === "main" ? numberOf(tid) : textOf(id)}`;
  }

  finish(event, args, time) {
    const key = Trace.key(event);
    const i = this.unfinished.get(key);
    if (i === undefined) return;
    this.unfinished.delete(key);
    const { items } = this;
    items.end[i] = Math.max(time, items.start[i]);
    items.state[i] = STATE.done;
    this.describe(i, args);
    if (items.kind[i] === KIND.REQUEST) this.finishRequest(i, args);
    if (items.kind[i] === KIND.PROGRAM) {
      if (args.signal === "SIGTERM") items.state[i] = STATE.cancelled;
      else if (args.signal || numberOf(args.code) !== 0) items.state[i] = STATE.failed;
      const result = args.signal ? `signal ${textOf(args.signal)}` : `code ${numberOf(args.code)}`;
      this.more.set(i, { ...this.more.get(i), result });
    }
    if (args.steps !== undefined) {
      this.more.set(i, { ...this.more.get(i), steps: numberOf(args.steps), cpu: numberOf(args.cpu) });
    }
  }

  finishRequest(i, args) {
    const { items } = this;
    const phases = PHASES.map((name) => Math.max(0, numberOf(args[name])));
    items.in[i] = numberOf(args.bytes, NaN);
    if (args.error) items.state[i] = STATE.failed;
    this.more.set(i, { ...this.more.get(i), phases, status: numberOf(args.status, NaN), url: textOf(args.url) });
  }

  addCounter(event, args, time) {
    const name = textOf(event.name).trim();
    let series = this.counters.get(name);
    if (!series) {
      series = { times: [], values: new Map() };
      this.counters.set(name, series);
    }
    series.times.push(time);
    for (const [key, value] of Object.entries(args)) {
      let values = series.values.get(key);
      if (!values) {
        values = new Array(series.times.length - 1).fill(0);
        series.values.set(key, values);
      }
      values.push(numberOf(value));
    }
    for (const values of series.values.values()) {
      if (values.length < series.times.length) values.push(values.at(-1) ?? 0);
    }
  }

  addInstant(event, args, time) {
    if (event.cat === "pool" && event.name === "open") {
      const pool = this.pool(textOf(args.pool));
      pool.kind = textOf(args.kind);
      pool.max_workers = numberOf(args.max_workers);
    } else if (event.cat === "worker") {
      this.addWorker(event, args, time);
    } else if (event.cat === "task") {
      this.settled.add(taskKey(args.pool, args.id));
      this.dropped.push({ time, name: textOf(event.name), state: textOf(args.state), pool: textOf(args.pool) });
    }
  }

  addWorker(event, args, time) {
    const pid = numberOf(args.pid, event.pid);
    if (event.name === "start") {
      const lane = this.lanes[this.lane(event.pid, event.tid)];
      if (this.lanes[this.mainLane] === lane || args.pool === undefined) return;
      lane.pool = this.texts.add(args.pool);
      lane.worker = numberOf(args.worker, lane.worker);
    } else if (event.name === "exit" && (args.signal || numberOf(args.exit_code) !== 0)) {
      const why = args.signal ? `signal ${textOf(args.signal)}` : `exit code ${numberOf(args.exit_code)}`;
      this.deaths.push({ time, pid, pool: textOf(args.pool), worker: numberOf(args.worker), why });
    }
  }
}
