// SPDX-License-Identifier: MIT
// What the canvases show, as text: real tables, sorted by the buttons in their heads.

const PAGE = 50;
const SLOWEST = 10;
const FAILED = 50;
const FUNCTIONS = 20;

const run = (scene, i) => Math.min(scene.items.end[i], scene.end) - scene.items.start[i];
const laneName = (scene, i) => laneLabel(scene.trace, scene.trace.lanes[scene.items.lane[i]], scene.items.lane[i]);

// columns: [{ title, text(row), number: true, cell(row) }]
function makeTable(caption, columns, list, { sorted, onSort } = {}) {
  const table = make("table", {}, make("caption", {}, caption));
  const head = make("tr");
  columns.forEach((column, c) => {
    const th = make("th", { scope: "col", class: column.number ? "number" : "" });
    if (onSort && column.key) {
      const button = make("button", { type: "button" }, column.title);
      button.addEventListener("click", () => onSort(c));
      th.append(button);
      th.setAttribute("aria-sort", sorted?.column === c ? (sorted.down ? "descending" : "ascending") : "none");
    } else {
      th.append(column.title);
    }
    head.append(th);
  });
  const body = make("tbody");
  for (const row of list) {
    const tr = make("tr");
    for (const column of columns) {
      const content = column.cell ? column.cell(row) : column.text(row);
      const attributes = { class: column.number ? "number" : "", ...(column.heads ? { scope: "row" } : {}) };
      tr.append(make(column.heads ? "th" : "td", attributes, content));
    }
    body.append(tr);
  }
  table.append(make("thead", {}, head), body);
  return table;
}

// The name of an item, as a button that shows it in the timeline.
function nameButton(scene, i, onSelect) {
  const button = make("button", { type: "button", class: "link" }, nameOf(scene, i));
  button.addEventListener("click", () => onSelect(i));
  return button;
}

function itemColumns(scene, onSelect) {
  const { items, trace } = scene;
  return [
    { title: "name", heads: true, cell: (i) => nameButton(scene, i, onSelect), key: (i) => items.name[i] },
    { title: "kind", text: (i) => KIND_NAMES[items.kind[i]], key: (i) => items.kind[i] },
    { title: "where", text: (i) => laneName(scene, i), key: (i) => items.lane[i] },
    { title: "start", number: true, text: (i) => format.duration(items.start[i]), key: (i) => items.start[i] },
    { title: "waited", number: true, text: (i) => format.duration(items.wait[i]), key: (i) => items.wait[i] || 0 },
    { title: "ran", number: true, text: (i) => format.duration(run(scene, i)), key: (i) => run(scene, i), down: true },
    { title: "state", key: (i) => items.state[i],
      cell: (i) => make("span", { class: isBad(items.state[i]) ? "bad" : "" }, STATES[items.state[i]]) },
    { title: "source", text: (i) => trace.texts.list[items.at[i]] || trace.more.get(i)?.url || "", key: (i) => items.at[i] },
  ];
}

function sortBy(list, key, down) {
  const keys = new Float64Array(list.length);
  list.forEach((item, i) => { keys[i] = key(item); });
  const order = Uint32Array.from(list, (_, i) => i).sort((a, b) => (down ? keys[b] - keys[a] : keys[a] - keys[b]) || a - b);
  return Int32Array.from(order, (i) => list[i]);
}

// The `n` greatest, greatest first, without sorting the rest.
function greatest(list, key, n) {
  const heap = new Heap((a, b) => a[0] < b[0]);
  for (const item of list) {
    const value = key(item);
    if (heap.size < n) heap.push([value, item]);
    else if (value > heap.top[0]) {
      heap.pop();
      heap.push([value, item]);
    }
  }
  const result = [];
  while (heap.size > 0) result.push(heap.pop()[1]);
  return result.reverse();
}

const isTask = (kind) => kind !== KIND.STEP && kind !== KIND.MAIN;

function itemsInView(scene, view) {
  const { items } = scene;
  const list = [];
  for (let i = 0; i < items.length; i++) {
    if (isTask(items.kind[i]) && items.start[i] <= view.to && items.end[i] >= view.from) list.push(i);
  }
  return list;
}

function showSlowest(parent, scene, onSelect) {
  const tasks = [];
  for (let i = 0; i < scene.items.length; i++) if (scene.items.kind[i] <= KIND.ASYNC) tasks.push(i);
  const list = greatest(tasks, (i) => run(scene, i), SLOWEST);
  parent.replaceChildren(list.length === 0 ? make("p", { class: "muted" }, "no tasks")
    : makeTable(`The ${list.length} that ran longest, of the whole run`, itemColumns(scene, onSelect), list));
}

function failureOf(scene, i, onSelect) {
  const more = scene.trace.more.get(i) ?? {};
  const { items, trace } = scene;
  const state = STATES[items.state[i]];
  const short = more.error ? `: ${more.error.split("\n", 1)[0]}` : "";
  const details = make("details", {}, make("summary", {}, make("strong", {}, nameOf(scene, i)), ` ${state}${short}`));
  const rest = [more.error, more.traceback].filter(Boolean).join("\n");
  if (rest) details.append(make("pre", { tabindex: "0" }, rest));
  const where = [placeOf(scene, i), trace.texts.list[items.from[i]] && `submitted at ${trace.texts.list[items.from[i]]}`,
    laneName(scene, i), `after ${format.duration(items.start[i])}`, `ran ${format.duration(run(scene, i))}`];
  const button = make("button", { type: "button" }, "show in the timeline");
  button.addEventListener("click", () => onSelect(i));
  details.append(make("p", {}, where.filter(Boolean).join(" · ")), button);
  return details;
}

function failedItems(scene) {
  const list = [];
  for (let i = 0; i < scene.items.length; i++) if (isBad(scene.items.state[i])) list.push(i);
  return list.sort((a, b) => scene.items.end[a] - scene.items.end[b]);
}

function showFailed(section, parent, scene, onSelect) {
  const list = failedItems(scene);
  const { deaths } = scene.trace;
  section.hidden = list.length === 0 && deaths.length === 0;
  const parts = list.slice(0, FAILED).map((i) => failureOf(scene, i, onSelect));
  for (const death of deaths.slice(0, FAILED)) {
    const who = `Worker ${death.worker} of ${death.pool} (pid ${death.pid})`;
    parts.push(make("p", {}, `${who} died of ${death.why} after ${format.duration(death.time)}`));
  }
  if (list.length > FAILED) {
    parts.push(make("p", { class: "muted" }, `and ${format.count(list.length - FAILED)} more, in the table below (state: failed)`));
  }
  parent.replaceChildren(...parts);
}

function showFunctions(parent, scene) {
  const columns = [
    { title: "function", heads: true, text: (f) => f.name || "?" },
    { title: "source", text: (f) => f.at },
    { title: "where", text: (f) => f.pool || KIND_NAMES[f.kind] },
    { title: "runs", number: true, text: (f) => format.count(f.count) },
    { title: "in all", number: true, text: (f) => format.duration(f.total) },
    { title: "mean", number: true, text: (f) => format.duration(f.total / f.count) },
    { title: "median", number: true, text: (f) => format.duration(f.median) },
    { title: "99 %", number: true, text: (f) => format.duration(f.p99) },
    { title: "longest", number: true, text: (f) => format.duration(f.longest) },
    { title: "failed", number: true, cell: (f) => make("span", { class: f.failed > 0 ? "bad" : "" }, format.count(f.failed)) },
  ];
  const list = scene.functions.slice(0, FUNCTIONS);
  const left = scene.functions.length - list.length;
  const caption = `The whole run, by time in all${left > 0 ? `; ${format.count(left)} more are not shown` : ""}`;
  parent.replaceChildren(makeTable(caption, columns, list));
}

function showWorkers(parent, scene) {
  const spans = new Map(scene.pools.map((pool) => [pool.name, pool.span]));
  const columns = [
    { title: "worker", heads: true, text: (lane) => lane.label },
    { title: "pid", number: true, text: (lane) => String(lane.pid) },
    { title: "thread", number: true, text: (lane) => (lane.tid === lane.pid ? "" : String(lane.tid)) },
    { title: "tasks", number: true, text: (lane) => format.count(lane.tasks.length) },
    { title: "at work", number: true, text: (lane) => format.duration(lane.busy) },
    { title: "of its pool's time", number: true, text: (lane) => format.percent(lane.busy / spans.get(lane.pool)) },
    { title: "first task", number: true, text: (lane) => format.duration(lane.first) },
    { title: "last end", number: true, text: (lane) => format.duration(lane.last) },
  ];
  const list = scene.lanes.filter((lane) => lane.isWorker);
  parent.replaceChildren(list.length > 0 ? makeTable("The whole run", columns, list) : make("p", { class: "muted" }, "no workers"));
}

// The table of everything in view, a page at a time.
class ItemTable {
  constructor(view, onSelect) {
    Object.assign(this, { view, onSelect, page: 0, sorted: { column: 5, down: true } });
    this.holder = byId("all");
    this.fill(byId("kind"), ["all", ...KIND_NAMES.slice(0, 4)]);
    this.fill(byId("state"), ["all", ...STATES]);
    byId("previous").addEventListener("click", () => this.turn(-1));
    byId("next").addEventListener("click", () => this.turn(1));
  }

  fill(select, names) {
    names.forEach((name, i) => select.append(make("option", { value: String(i - 1) }, name)));
    select.addEventListener("change", () => {
      this.page = 0;
      this.show(this.scene, this.inView);
    });
  }

  turn(by) {
    this.page += by;
    this.render();
  }

  show(scene, inView) {
    Object.assign(this, { scene, inView });
    const { items } = scene;
    const kind = Number(byId("kind").value), state = Number(byId("state").value);
    const list = inView.filter((i) => (kind < 0 || items.kind[i] === kind) && (state < 0 || items.state[i] === state));
    const column = itemColumns(scene, this.onSelect)[this.sorted.column];
    this.list = sortBy(list, column.key, this.sorted.down);
    this.render();
  }

  sort(column) {
    const down = this.sorted.column === column ? !this.sorted.down : Boolean(itemColumns(this.scene, this.onSelect)[column].down);
    Object.assign(this, { sorted: { column, down }, page: 0 });
    this.show(this.scene, this.inView);
    this.holder.querySelectorAll("thead button")[column]?.focus();
  }

  render() {
    const pages = Math.max(1, Math.ceil(this.list.length / PAGE));
    this.page = Math.max(0, Math.min(pages - 1, this.page));
    const part = this.list.subarray(this.page * PAGE, (this.page + 1) * PAGE);
    byId("previous").disabled = this.page === 0;
    byId("next").disabled = this.page >= pages - 1;
    byId("page").textContent = `page ${this.page + 1} of ${pages}, ${format.some(this.list.length, "row")}`;
    this.holder.replaceChildren(makeTable("Tasks, requests and programs that are in view", itemColumns(this.scene, this.onSelect), part,
      { sorted: this.sorted, onSort: (column) => this.sort(column) }));
  }
}
