// SPDX-License-Identifier: MIT
// The curves, and the histogram of run times, drawn by uPlot. Curves keep step with the view; the histogram counts what
// is in view.

const COUNTS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6]; // steps of an axis

class Curves {
  constructor({ key, title, view, parent }) {
    Object.assign(this, { key, title, view });
    this.figure = make("figure", { class: "panel" });
    this.figure.append(make("figcaption", {}, title));
    this.holder = make("div", { role: "img", "aria-label": title });
    this.figure.append(this.holder);
    parent.append(this.figure);
    this.plot = null;
    this.curves = [];
    view.onChange(() => this.draw());
  }

  setScene(scene) {
    const curves = scene.curves.filter((curve) => curve.panel === this.key);
    const same = curves.length === this.curves.length && curves.every((curve, i) => curve.label === this.curves[i].label);
    this.curves = curves;
    this.figure.hidden = curves.length === 0;
    this.holder.setAttribute("aria-label", `${this.title}. ${curves.map(peakText).join("; ")}`);
    if (!same) this.make();
    else this.draw();
  }

  // Anew, when there are other curves, colours or another width.
  make() {
    this.plot?.destroy();
    this.plot = null;
    if (this.curves.length === 0) return;
    const { view } = this;
    const size = { width: this.width(), height: 130 };
    const series = this.curves.map((curve, i) => ({
      label: curve.label, stroke: theme.series[i % theme.series.length], width: 1.5, points: { show: false },
      dash: i >= theme.series.length ? [4, 3] : undefined, paths: uPlot.paths.stepped({ align: 1 }), value: (_, n) => n ?? "–",
    }));
    this.plot = new uPlot({
      ...size,
      cursor: { y: false, sync: { key: "parhost" }, drag: { x: true, y: false, setScale: false },
        bind: { dblclick: () => () => view.all() } },
      select: { show: true },
      scales: { x: { time: false }, y: { range: (_, low, high) => [0, Math.max(1, high * 1.05)] } },
      axes: [this.axis({ size: 24, splits: () => this.marks().list,
        values: (_, list) => list.map((time) => format.mark(time, this.marks().step)) }),
      this.axis({ size: gutterWidth(), incrs: COUNTS })],
      series: [{ label: "time", value: (_, time) => (time === null ? "–" : format.duration(time)) }, ...series],
      hooks: { setSelect: [(plot) => this.zoomTo(plot)] },
      padding: [6, 8, 0, 0],
    }, [[], ...this.curves.map(() => [])], this.holder);
    this.draw();
  }

  marks() {
    return this.view.marks(Math.min(0.5, 90 / this.width()));
  }

  axis(more) {
    const line = { stroke: () => theme.grid, width: 1 };
    return { stroke: () => theme.muted, font: FONT, grid: line, ticks: { ...line, size: 4 }, ...more };
  }

  width() {
    return Math.max(120, this.holder.clientWidth || this.figure.parentElement.clientWidth);
  }

  zoomTo(plot) {
    const { left, width } = plot.select;
    if (width > CLICK) this.view.set(plot.posToVal(left, "x"), plot.posToVal(left + width, "x"));
    plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
  }

  draw() {
    if (!this.plot || this.figure.hidden) return;
    const { from, to } = this.view;
    Object.assign(this.figure.dataset, { from, to });
    const n = Math.max(50, Math.min(2000, this.width() - gutterWidth()));
    const times = Array.from({ length: n + 1 }, (_, i) => from + ((to - from) * i) / n);
    this.plot.batch(() => {
      this.plot.setData([times, ...this.curves.map((curve) => samplePeaks(curve, from, to, n))], false);
      this.plot.setScale("x", { min: from, max: to });
    });
  }

  resize() {
    if (!this.plot || this.figure.hidden) return;
    this.make();
  }
}

function peakText(curve) {
  let peak = 0, when = 0;
  curve.values.forEach((value, i) => {
    if (value > peak) [peak, when] = [value, curve.times[i]];
  });
  return `${curve.label}: at most ${peak}, at ${format.duration(when)}`;
}

// Four parts of each power of ten.
const PER_DECADE = 4;

function countRuns(scene, list) {
  const { items } = scene;
  const bins = new Map();
  let low = Infinity, high = -Infinity;
  for (const i of list) {
    const run = Math.min(items.end[i], scene.end) - items.start[i];
    const bin = Math.floor(Math.log10(Math.max(run, 0.01)) * PER_DECADE + 1e-9);
    bins.set(bin, (bins.get(bin) ?? 0) + 1);
    low = Math.min(low, bin);
    high = Math.max(high, bin);
  }
  if (list.length === 0) return [];
  return Array.from({ length: high - low + 1 }, (_, k) => ({ bin: low + k, count: bins.get(low + k) ?? 0 }));
}

class Histogram {
  constructor(holder) {
    this.holder = holder;
    this.plot = null;
    this.bins = [];
  }

  show(scene, list) {
    this.bins = countRuns(scene, list);
    this.make();
    const most = this.bins.reduce((best, bin) => (bin.count > best.count ? bin : best), { bin: 0, count: 0 });
    const where = `most (${most.count}) between ${this.edge(most.bin)} and ${this.edge(most.bin + 1)}`;
    this.holder.setAttribute("aria-label",
      list.length === 0 ? "Run times: nothing in view" : `Run times of ${format.count(list.length)} in view, ${where}`);
  }

  edge(bin) {
    return format.duration(Number((10 ** (bin / PER_DECADE)).toPrecision(2)));
  }

  make() {
    this.plot?.destroy();
    this.plot = null;
    this.holder.replaceChildren();
    const { bins } = this;
    if (bins.length === 0) {
      this.holder.append(make("p", { class: "muted" }, "nothing in view"));
      return;
    }
    const axis = { stroke: () => theme.muted, font: FONT, grid: { show: false }, ticks: { show: false } };
    const places = [bins[0].bin - 0.5, ...bins.map(({ bin }) => bin + 0.5), bins.at(-1).bin + 1.5];
    const counts = [null, ...bins.map(({ count }) => count || null), null];
    const width = Math.max(120, this.holder.clientWidth);
    const every = Math.max(1, Math.ceil((bins.length * 62) / (width - 80)));
    this.plot = new uPlot({
      width, height: 170,
      cursor: { y: false, drag: { x: false, y: false } },
      scales: {
        x: { time: false, range: () => [bins[0].bin - 0.3, bins.at(-1).bin + 1.3] },
        y: { range: (_, low, high) => [0, Math.max(1, high * 1.08)] },
      },
      axes: [
        { ...axis, size: 26, splits: () => [...bins.map(({ bin }) => bin), bins.at(-1).bin + 1].filter((bin) => bin % every === 0),
          values: (_, list) => list.map((bin) => this.edge(bin)) },
        { ...axis, size: 60, grid: { show: true, stroke: () => theme.grid, width: 1 }, incrs: COUNTS,
          values: (_, list) => list.map(format.count) },
      ],
      series: [
        { label: "run time", value: (_, at) => (at === null ? "–" : `${this.edge(at - 0.5)} to ${this.edge(at + 0.5)}`) },
        { label: "how many", stroke: theme.series[0], fill: theme.series[0], points: { show: false },
          paths: uPlot.paths.bars({ size: [0.9, 120] }), value: (_, n) => (n === null ? "–" : format.count(n)) },
      ],
      padding: [8, 8, 0, 0],
    }, [places, counts], this.holder);
  }
}
