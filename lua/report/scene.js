// SPDX-License-Identifier: MIT
// A trace -> what the page shows of it: lanes and packed rows, curves, sums for each pool, worker and function. Made anew
// from the columns whenever a live trace has grown.

// A name that distinguishes, and says what it is.
function laneLabel(trace, lane, number) {
  if (number === trace.mainLane) return "main";
  const pool = trace.texts.list[lane.pool];
  if (lane.name) return lane.name;
  if (pool) return lane.worker > 0 ? `${pool}/${lane.worker}` : pool;
  return trace.processNames.get(lane.pid) || `process ${lane.pid}`;
}

// What had been submitted to pools and had not ended. Which of these had begun, nobody has told yet.
function pendingTasks(trace) {
  return [...trace.submitted].filter(([key]) => !trace.settled.has(key)).map(([, task]) => task);
}

function sortLanes(trace, lanes) {
  const rank = (lane) => (lane.number === trace.mainLane ? 0 : lane.pool ? 2 : 1);
  const collator = new Intl.Collator("en", { numeric: true });
  return lanes.sort((a, b) => rank(a) - rank(b) || collator.compare(a.pool, b.pool) || a.worker - b.worker ||
    a.number - b.number);
}

// Time that at least one item of the row's lane takes: the outer ones.
const busyTime = (row) => (row ? row.filled.at(-1) : 0);

function laneOfScene(trace, number, list, end) {
  const lane = trace.lanes[number];
  const { items } = trace;
  const all = rows.pack(items, list, end);
  const tasks = list.filter((i) => items.kind[i] === KIND.TASK);
  return {
    number, pid: lane.pid, tid: lane.tid, worker: lane.worker, pool: trace.texts.list[lane.pool],
    label: laneLabel(trace, lane, number), rows: all, tasks,
    isWorker: lane.pool !== 0 && number !== trace.mainLane,
    busy: number === trace.mainLane ? NaN : busyTime(all[0]),
    first: tasks.length > 0 ? items.start[tasks[0]] : NaN,
    last: tasks.length > 0 ? Math.max(...lastEnds(items, tasks, end)) : NaN,
  };
}

// The ends of the last few: what is nested ends before what it is in.
function lastEnds(items, tasks, end) {
  return tasks.slice(-8).map((i) => Math.min(items.end[i], end));
}

function splitItems(trace) {
  const { items } = trace;
  const byLane = trace.lanes.map(() => []);
  const packed = { [KIND.ASYNC]: [], [KIND.REQUEST]: [], [KIND.PROGRAM]: [] };
  for (let i = 0; i < items.length; i++) {
    const kind = items.kind[i];
    if (packed[kind]) packed[kind].push(i);
    else byLane[items.lane[i]].push(i);
  }
  return { byLane, packed };
}

// Sums for each pool: over all the time that it had something to do.
function poolOfScene(trace, name, lanes, end) {
  const { items } = trace;
  const mine = lanes.filter((lane) => lane.isWorker && lane.pool === name && lane.tasks.length > 0);
  const tasks = mine.flatMap((lane) => lane.tasks);
  let first = Infinity, last = 0, run = 0, pieces = 0, waits = 0, failed = 0;
  for (const i of tasks) {
    const until = Math.min(items.end[i], end);
    first = Math.min(first, items.start[i] - (items.wait[i] || 0));
    last = Math.max(last, until);
    run += until - items.start[i];
    pieces += items.chunk[i];
    waits += items.wait[i] || 0;
    if (isBad(items.state[i])) failed++;
  }
  const busy = mine.reduce((sum, lane) => sum + lane.busy, 0);
  const span = Math.max(0, last - first);
  return { name, ...trace.pools.get(name), lanes: mine, tasks, first, last, span, run, busy, pieces, waits, failed,
    mean: run / pieces, efficiency: busy / (span * mine.length) };
}

function quantile(sorted, q) {
  return sorted.length === 0 ? NaN : sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}

// Requests count together that go to the same host the same way: "GET host/path" without the path.
function functionName(trace, i) {
  const name = trace.texts.list[trace.items.name[i]];
  return trace.items.kind[i] === KIND.REQUEST ? name.replace(/^(\w+ [^/?#]*).*$/s, "$1") : name;
}

// Sums for each function: what has the same kind, name, place and pool.
function functionsOfScene(trace, end) {
  const { items, texts } = trace;
  const found = new Map();
  for (let i = 0; i < items.length; i++) {
    if (items.kind[i] === KIND.MAIN || items.kind[i] === KIND.STEP) continue;
    const name = functionName(trace, i);
    const key = `${items.kind[i]} ${items.pool[i]} ${items.at[i]} ${name}`;
    let group = found.get(key);
    if (!group) {
      group = { kind: items.kind[i], name, color: items.at[i] || items.name[i], at: texts.list[items.at[i]],
        pool: texts.list[items.pool[i]], runs: [], total: 0, failed: 0, waits: 0, pieces: 0 };
      found.set(key, group);
    }
    const run = Math.min(items.end[i], end) - items.start[i];
    group.runs.push(run);
    group.total += run;
    group.pieces += items.chunk[i];
    group.waits += items.wait[i] || 0;
    if (isBad(items.state[i])) group.failed++;
  }
  const list = [...found.values()].sort((a, b) => b.total - a.total);
  for (const group of list) {
    const sorted = Float64Array.from(group.runs).sort();
    group.count = sorted.length;
    group.median = quantile(sorted, 0.5);
    group.p99 = quantile(sorted, 0.99);
    group.longest = sorted.at(-1);
    group.runs = null;
  }
  return list;
}

// Those that take most of the time get colours of their own.
function colorsOfScene(functions) {
  const colors = new Map();
  for (const group of functions) {
    if (group.kind <= KIND.ASYNC && !colors.has(group.color)) colors.set(group.color, colors.size);
  }
  return colors;
}

// now: the time until which a live run has come, without an event maybe.
function buildScene(trace, now = 0) {
  const end = Math.max(trace.last, now, 1);
  const { byLane, packed } = splitItems(trace);
  const isShown = (number) => byLane[number].length > 0 || trace.lanes[number].pool !== 0 || number === trace.mainLane;
  const used = [...byLane.keys()].filter(isShown);
  const lanes = sortLanes(trace, used.map((number) => laneOfScene(trace, number, byLane[number], end)));
  const { items } = trace;
  const pools = [...trace.pools.keys()].map((name) => poolOfScene(trace, name, lanes, end));
  const functions = functionsOfScene(trace, end);
  return {
    trace, items, end, lanes, pools, pending: pendingTasks(trace),
    functions, colors: colorsOfScene(functions),
    wall: trace.ending ? numberOf(trace.ending.wall, end) : end,
    async: packed[KIND.ASYNC], requests: packed[KIND.REQUEST], programs: packed[KIND.PROGRAM],
    asyncRows: rows.pack(items, packed[KIND.ASYNC], end),
    requestRows: rows.pack(items, packed[KIND.REQUEST], end),
    programRows: rows.pack(items, packed[KIND.PROGRAM], end),
    curves: buildCurves(trace, packed),
  };
}
