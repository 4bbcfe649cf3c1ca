// SPDX-License-Identifier: MIT
// What is worth knowing of a run, in plain words. A finding: { kind, level: "problem" | "note" | "good", title, text,
// span: [from, to] to look at, item: to select }.

const LIMITS = {
  smallTasks: 50, // fewer say nothing about hand-over
  smallTask: 1000, // us; what takes longer is worth a message of its own
  handOver: 0.5, // of a worker's time
  tail: 0.15, // of a pool's time
  tailTime: 20e3, // us
  step: 20e3, // us that the loop may be held,
  steps: 0.1, // of the run's time, unless one is
  longStep: 200e3,
  idle: 0.5, // of the workers' time
  idleTime: 50e3, // us,
  idlePart: 0.1, // of the run's time
  connecting: 0.5, // of the requests' time
};

const nameOf = (scene, i) => scene.trace.texts.list[scene.items.name[i]] || "?";
const placeOf = (scene, i) => scene.trace.texts.list[scene.items.at[i]];
const spanOf = (scene, i) => [scene.items.start[i], Math.min(scene.items.end[i], scene.end)];

// A task is so short that it costs more to hand over than to run. Told from workers that starve: these wait long between
// two tasks, those for a moment.
function tooSmall(scene, pool) {
  if (pool.tasks.length < LIMITS.smallTasks || !(pool.mean < LIMITS.smallTask)) return null;
  const lost = pool.span * pool.lanes.length - pool.busy;
  const perMessage = lost / pool.tasks.length;
  const share = lost / (pool.span * pool.lanes.length);
  if (share < LIMITS.handOver || perMessage > LIMITS.smallTask) return null;
  return {
    kind: "hand-over", level: "problem", span: [pool.first, pool.last],
    title: `The tasks of ${pool.name} are too small`,
    text: `${format.some(pool.tasks.length, "message")} with ${format.duration(pool.mean)} of work in each on average: ` +
      `${format.percent(share)} of the workers' time goes to handing over. Put more work into a task, or let the pool do it: ` +
      `pool:with{ chunk_size = "auto" }:map(...)`,
  };
}

// From when on at most half of the workers are busy, the others have run out of work, and one task outlasts them all.
function tailOf(scene, pool) {
  const ends = [];
  for (const lane of pool.lanes) {
    const row = lane.rows[0];
    const item = row.items.at(-1);
    ends.push({ item, start: scene.items.start[item], end: Math.min(scene.items.end[item], scene.end) });
  }
  ends.sort((a, b) => b.end - a.end);
  if (ends.length < 2) return null;
  const half = ends.length >> 1;
  const from = Math.max(ends[half].end, ends[0].start);
  const others = ends.filter(({ end }) => end <= from).length;
  return { item: ends[0].item, from, end: ends[0].end, time: ends[0].end - from, others };
}

function longTail(scene, pool) {
  const tail = tailOf(scene, pool);
  if (!tail || tail.time < LIMITS.tailTime || tail.time < LIMITS.tail * pool.span) return null;
  if (pool.tasks.length <= pool.lanes.length) return null; // each has one: that is how the work is cut
  const { others } = tail;
  const alone = others === pool.lanes.length - 1 ? " alone" : "";
  return {
    kind: "long-tail", level: "problem", span: [tail.from, tail.end], item: tail.item,
    title: `${pool.name} has a long tail`,
    text: `The last task, '${nameOf(scene, tail.item)}'${at(placeOf(scene, tail.item))}, ran ${format.duration(tail.time)}${alone} ` +
      `(${format.percent(tail.time / pool.span)} of the pool's time) while ${format.some(others, "other worker")} had nothing left ` +
      "to do. Submit the longest tasks first, or cut them into smaller ones",
  };
}

const at = (place) => (place ? ` (${place})` : "");

// A step of a task on coroutines that computes, or blocks: everything else in this state waits for it.
function blockedLoop(scene) {
  const { items } = scene;
  const steps = [];
  for (const lane of scene.lanes) {
    for (const row of lane.rows) {
      for (const i of row.items) if (items.kind[i] === KIND.STEP) steps.push(i);
    }
  }
  const time = (i) => Math.min(items.end[i], scene.end) - items.start[i];
  steps.sort((a, b) => time(b) - time(a));
  const long = steps.filter((i) => time(i) >= LIMITS.step);
  if (long.length === 0) return null;
  const worst = long[0];
  const total = long.reduce((sum, i) => sum + time(i), 0);
  if (total < LIMITS.steps * scene.end && time(worst) < LIMITS.longStep) return null;
  const place = placeOf(scene, worst);
  return {
    kind: "blocked-loop", level: "problem", span: spanOf(scene, worst), item: worst,
    title: "The event loop was blocked",
    text: `A step of task '${nameOf(scene, worst)}' held the loop for ${format.duration(time(worst))}` +
      `${place ? ` at ${place}` : ""}${long.length > 1 ? `; ${long.length} such steps took ${format.duration(total)} in all` : ""}. ` +
      "No other task of this loop could go on meanwhile. Hand the computing to a pool (async.to_process, async.to_thread), " +
      "wait with parhost's calls instead of those that block, or call async.checkpoint() now and then",
  };
}

// Workers that have nothing to do although it is not the end, nor hand-over.
function idleWorkers(scene, pool) {
  const workers = pool.lanes.length;
  const lost = pool.span * workers - pool.busy;
  if (workers < 2 || pool.efficiency > LIMITS.idle || lost < LIMITS.idleTime || lost < LIMITS.idlePart * workers * scene.end) return null;
  const waited = pool.waits / pool.tasks.length;
  const why = waited < pool.mean / 10
    ? "tasks did not wait for a worker: the program submits too slowly, or waits for results before it submits the next ones"
    : "tasks waited for a worker all the same: the workers took long to start, or the work is cut unevenly";
  return {
    kind: "idle-workers", level: "problem", span: [pool.first, pool.last],
    title: `The workers of ${pool.name} were idle for ${format.percent(1 - pool.efficiency)} of the time`,
    text: `${format.some(workers, "worker")} had work for ${format.duration(pool.busy)} in ${format.duration(pool.span)} each; ${why}`,
  };
}

function connecting(scene) {
  const { items } = scene;
  let total = 0, lost = 0, n = 0;
  for (const i of scene.requests) {
    const phases = scene.trace.more.get(i)?.phases;
    if (!phases) continue;
    n++;
    total += Math.min(items.end[i], scene.end) - items.start[i];
    lost += phases[0] + phases[1] + phases[2];
  }
  if (n < 10 || lost < LIMITS.connecting * total || lost < LIMITS.idleTime) return null;
  return {
    kind: "connecting", level: "note", span: [0, scene.end],
    title: "Requests spend most of their time on making connections",
    text: `${format.percent(lost / total)} of the time of ${format.some(n, "request")} went to dns, connect and tls. ` +
      "A session (http.session) keeps connections; max_connections and max_per_host say how many",
  };
}

function failures(scene) {
  const { items } = scene;
  let n = 0, first = -1;
  for (let i = 0; i < items.length; i++) {
    if (!isBad(items.state[i]) || items.kind[i] === KIND.PROGRAM) continue; // many have results other than 0
    n++;
    if (first < 0 || items.end[i] < items.end[first]) first = i;
  }
  const found = [];
  if (n > 0) {
    const error = scene.trace.more.get(first)?.error;
    found.push({
      kind: "failed", level: "problem", item: first, span: spanOf(scene, first),
      title: n === 1 ? "One task or request failed" : `${format.count(n)} tasks or requests failed`,
      text: `The first: '${nameOf(scene, first)}'${at(placeOf(scene, first))}${error ? `: ${error.split("\n", 1)[0]}` : ""}`,
    });
  }
  const deaths = scene.trace.deaths;
  if (deaths.length > 0) {
    const { pool, worker, why, time } = deaths[0];
    found.push({
      kind: "deaths", level: "problem", span: [time, time], title: `${format.some(deaths.length, "worker")} died`,
      text: `The first: worker ${worker} of ${pool}, ${why}, after ${format.duration(time)}`,
    });
  }
  return found;
}

function pendingText(scene) {
  const { pending } = scene;
  if (pending.length === 0) return "";
  return `; ${format.some(pending.length, "task")} of pools had been submitted and had not, the first of them '${pending[0].name}'`;
}

// What is not in the trace: a reader has to know.
function incomplete(scene, notes, live) {
  const { trace } = scene;
  const found = [];
  const add = (kind, title, text) => found.push({ kind, level: "note", title, text });
  if (!trace.ending && !live) {
    add("no-end", "The trace has no end", "The program was killed, or still ran when this page was made. What had finished by " +
      `then is all here${pendingText(scene)}`);
  }
  if (notes.torn) add("torn", "The last line of the trace is torn", "The program was killed while it wrote it; that event is left out");
  const damaged = trace.damaged + (notes.damaged ?? 0);
  if (damaged > 0) add("damaged", `${format.some(damaged, "line")} of the trace could not be read`, "They are left out");
  if (notes.left_out > 0) {
    add("left-out", `${format.some(notes.left_out, "event")} left out`, "The trace is too big for one page. From " +
      `${format.duration(notes.left_out_from)} on it shows only failures, workers and the script; sums and curves end there`);
  }
  return found;
}

// The order is that of importance: of causes that explain the same loss only the first is told.
function buildFindings(scene, notes, live) {
  const found = failures(scene);
  for (const pool of scene.pools) {
    if (pool.tasks.length === 0) continue;
    const cause = tooSmall(scene, pool) ?? longTail(scene, pool) ?? idleWorkers(scene, pool);
    if (cause) found.push(cause);
  }
  for (const cause of [blockedLoop(scene), connecting(scene)]) if (cause) found.push(cause);
  if (found.length === 0 && scene.items.length > 0) {
    const text = "No failures, no idle workers, no blocked loop, no long tail";
    found.push({ kind: "fine", level: "good", title: "Nothing stands out", text });
  }
  return found.concat(incomplete(scene, notes, live));
}

// Figures of the whole run: [name, value, explanation].
function buildFacts(scene, live) {
  const { trace, items } = scene;
  const states = STATES.map(() => 0);
  for (let i = 0; i < items.length; i++) if (items.kind[i] <= KIND.ASYNC) states[items.state[i]]++;
  const until = trace.ending ? "from the start of the program to its end" : live ? "so far" : "up to the last event";
  const facts = [["wall time", format.duration(scene.wall), until]];
  const cpus = numberOf(trace.info?.cpus);
  const cpu = numberOf(trace.ending?.cpu, NaN);
  if (Number.isFinite(cpu)) {
    facts.push(["processors", `${format.digits(cpu / scene.wall, 2)} of ${cpus || "?"}`, `${format.duration(cpu)} of processor time`]);
  }
  for (const pool of scene.pools) {
    if (pool.tasks.length === 0) continue;
    const atWork = format.digits(pool.busy / pool.span || 0, 2);
    facts.push([pool.name, `${format.percent(pool.efficiency)} busy`,
      `parallel efficiency: ${format.some(pool.lanes.length, "worker")}, on average ${atWork} at work`]);
  }
  facts.push(["tasks", format.count(states.reduce((a, b) => a + b, 0)),
    STATES.map((name, i) => (states[i] > 0 ? `${format.count(states[i])} ${name}` : "")).filter(Boolean).join(", ")]);
  if (scene.pending.length > 0) {
    facts.push(["not finished", format.count(scene.pending.length), "submitted to pools, and queued or running"]);
  }
  if (trace.dropped.length > 0) facts.push(["never ran", format.count(trace.dropped.length), "cancelled while they were queued"]);
  if (scene.requests.length > 0) facts.push(["requests", format.count(scene.requests.length), requestText(scene)]);
  if (scene.programs.length > 0) facts.push(["programs", format.count(scene.programs.length), "started with async.process"]);
  return facts;
}

function requestText(scene) {
  let bytes = 0, failed = 0;
  for (const i of scene.requests) {
    bytes += scene.items.in[i] || 0;
    if (isBad(scene.items.state[i])) failed++;
  }
  return `${format.bytes(bytes)} received${failed > 0 ? `, ${format.count(failed)} failed` : ""}`;
}
