// SPDX-License-Identifier: MIT
// The page: feed -> trace -> scene -> panels and tables. Of a live run the scene is made anew now and then, the less often
// the longer that takes.

const byId = (id) => document.getElementById(id);
const LEAST_PAUSE = 250; // ms between two scenes of a live run
const TABLE_PAUSE = 1500;
const TICK = 1000; // ms: time goes on without events

class Page {
  constructor() {
    this.trace = new Trace();
    this.view = new View();
    this.scene = null;
    this.notes = JSON.parse(document.body.dataset.notes || "{}");
    this.live = document.body.dataset.feed !== "";
    this.tablesAt = -TABLE_PAUSE;
    theme.start();
    this.makePanels();
    this.histogram = new Histogram(byId("histogram"));
    this.table = new ItemTable(this.view, (item) => this.select(item, null, true));
    listenToKeys(this.view, () => this.goToFailed());
    this.view.onChange(() => this.viewChanged());
    theme.onChange(() => this.redraw());
    new ResizeObserver(() => this.redraw()).observe(byId("panels"));
  }

  makePanels() {
    const { view } = this;
    const parent = byId("panels");
    const onSelect = (item, panel) => this.select(item, panel, false);
    const panel = (options) => {
      const made = new Panel({ view, onSelect, ...options });
      parent.append(made.figure);
      return made;
    };
    const packed = (list, label) => (scene) => (scene[list].length > 0 ? [{ label, rows: scene[list] }] : []);
    const how = "Enter goes in, Tab and arrows go from one to the next, Esc leaves. The same is in the tables below.";
    this.panels = [
      panel({ title: "Workers and the main loop", label: `Timeline of workers. ${how}`, bands: (scene) =>
        scene.lanes.map((lane) => ({ label: lane.label, rows: lane.rows })) }),
    ];
    this.curves = [new Curves({ key: "flight", title: "Running at a time", view, parent }),
      new Curves({ key: "queue", title: "Waiting in queues", view, parent })];
    this.panels.push(
      panel({ title: "Tasks on coroutines", label: `Timeline of tasks. ${how}`, limit: 260, bands: packed("asyncRows", "tasks") }),
      panel({ title: "Requests", label: `Timeline of requests. ${how}`, limit: 260, bands: packed("requestRows", "requests") }),
      panel({ title: "Other programs", label: `Timeline of programs. ${how}`, limit: 160, bands: packed("programRows", "programs") }),
    );
  }

  // A new scene: of the whole trace, or of what there is of it.
  update() {
    const began = performance.now();
    this.scene = buildScene(this.trace, this.live ? this.now() : 0);
    this.findings = buildFindings(this.scene, this.notes, this.live);
    document.querySelector("main").hidden = false;
    this.showHead();
    for (const part of [...this.panels, ...this.curves]) part.setScene(this.scene);
    this.view.setEnd(this.scene.end);
    this.showLegend();
    this.cost = performance.now() - began;
    this.updateTablesLater();
  }

  // How long the program has run: it is on this machine. 0 when that cannot be told.
  now() {
    return Math.max(0, Date.now() * 1e3 - numberOf(this.trace.info?.start, Infinity) * 1e6);
  }

  // Tables of a live run are made anew now and then, but not under the hands of whoever reads or types in one.
  updateTablesLater() {
    clearTimeout(this.tableTimer);
    const pause = this.tablesAt + TABLE_PAUSE - performance.now();
    const isRead = document.activeElement?.closest(".scroll, #failed, #findings, select, #table") ||
      document.getSelection()?.type === "Range";
    if (!this.live || (pause <= 0 && !isRead)) this.updateTables();
    else this.tableTimer = setTimeout(() => this.updateTablesLater(), Math.max(pause, LEAST_PAUSE));
  }

  updateTables() {
    this.tablesAt = performance.now();
    const onSelect = (item) => this.select(item, null, true);
    showFindings(this.findings, (finding) => this.showFinding(finding));
    showFacts(buildFacts(this.scene, this.live));
    showFailed(byId("failures"), byId("failed"), this.scene, onSelect);
    showSlowest(byId("slowest"), this.scene, onSelect);
    showFunctions(byId("functions"), this.scene);
    showWorkers(byId("workers"), this.scene);
    this.showInView();
  }

  showHead() {
    const info = this.trace.info ?? {};
    const script = textOf(info.script) || "parhost";
    document.title = `${script} – parhost`;
    byId("title").textContent = script;
    const words = Array.isArray(info.argv) ? ["parhost", ...info.argv.map(textOf)].join(" ") : "";
    const parts = [words, format.date(numberOf(info.start, NaN)), info.version ? `parhost ${textOf(info.version)}` : "",
      info.cpus ? format.some(numberOf(info.cpus), "processor") : ""];
    byId("about").textContent = parts.filter(Boolean).join(" · ");
  }

  showLegend() {
    const parts = [];
    const add = (color, text) => {
      const box = make("i", {});
      box.style.background = color;
      parts.push(make("span", {}, box, text));
    };
    if (this.scene.requests.length > 0) PHASES.forEach((name, i) => add(theme.phases[i], name));
    add(theme.bad, "failed");
    add(theme.cancelled, "cancelled");
    byId("legend").replaceChildren(...parts);
  }

  viewChanged() {
    const { from, to } = this.view;
    byId("range").textContent = `${format.duration(from)} to ${format.duration(to)} (${format.duration(to - from)})`;
    clearTimeout(this.timer);
    if (this.scene && !this.live && this.range !== this.rangeOfTable) this.timer = setTimeout(() => this.showInView(), 120);
  }

  get range() {
    return `${this.view.from} ${this.view.to}`;
  }

  showInView() {
    if (this.range !== this.rangeOfTable && !this.live) this.table.page = 0;
    this.rangeOfTable = this.range;
    const inView = itemsInView(this.scene, this.view);
    this.histogram.show(this.scene, inView);
    this.table.show(this.scene, inView);
  }

  redraw() {
    if (!this.scene) return;
    for (const panel of this.panels) {
      panel.layOut();
      panel.draw();
    }
    for (const curves of this.curves) curves.resize();
    this.showLegend();
    this.histogram.make();
  }

  // item -1: nothing. `moves`: the view and the page go there.
  select(item, panel, moves) {
    for (const each of this.panels) each.selected = item;
    showDetail(byId("detail"), this.scene, item);
    if (item >= 0 && moves) {
      this.view.show(...spanOf(this.scene, item));
      byId("timeline").scrollIntoView({ block: "start" });
    }
    for (const each of this.panels) each.draw();
  }

  showFinding(finding) {
    if (finding.item !== undefined) this.select(finding.item, null, true);
    if (finding.span) this.view.show(...finding.span);
    byId("timeline").scrollIntoView({ block: "start" });
  }

  goToFailed() {
    if (!this.scene) return;
    const list = failedItems(this.scene);
    if (list.length === 0) return;
    const now = list.indexOf(this.panels[0].selected);
    this.select(list[(now + 1) % list.length], null, true);
  }
}

async function start() {
  const page = new Page();
  const status = byId("status");
  let timer = null;
  const later = () => {
    timer ??= setTimeout(() => {
      timer = null;
      page.update();
    }, Math.max(LEAST_PAUSE, (page.cost ?? 0) * 4));
  };
  const finish = (text) => {
    clearTimeout(timer);
    page.live = false;
    page.update();
    status.textContent = text;
  };
  const on = {
    lines: (text) => {
      page.trace.addLines(text);
      if (page.live) later();
    },
    progress: (part) => { status.textContent = `reading … ${format.percent(part)}`; },
    open: () => { status.textContent = "live"; },
    waiting: () => { status.textContent = "the connection is interrupted; trying again"; },
    end: (how) => finish(how === "all" ? "" : endText(page.trace, how)),
  };
  if (page.live) setInterval(() => { if (page.live && page.scene && !document.hidden) later(); }, TICK);
  if (page.live) listen(document.body.dataset.feed, on);
  else await readBlocks(on);
}

function endText(trace, how) {
  if (trace.ending) return `the program has ended (exit code ${numberOf(trace.ending.exit_code)})`;
  return how === "ended" ? "the program was killed" : "the connection is lost; this is what was seen";
}

start();
