// SPDX-License-Identifier: MIT
// A panel of the timeline: a canvas with a gutter for names, an axis, and bands of rows. It knows where things are, what
// the pointer does with them, and which task the keyboard is at.

const AXIS = 20;
const FONT = "11px system-ui, sans-serif";

const gutterWidth = () => (window.innerWidth < 600 ? 76 : 132);

class Panel {
  // bands(scene) -> [{ label, rows }]
  constructor({ title, label, view, bands, onSelect, limit = 0 }) {
    Object.assign(this, { title, view, bandsOf: bands, onSelect, limit });
    this.scene = null;
    this.bands = [];
    this.selected = -1;
    this.cursor = null; // [x, y] of the pointer
    this.figure = make("figure", { class: "panel" });
    this.caption = make("figcaption", {}, title);
    this.canvas = make("canvas", { tabindex: "0", role: "application", "aria-roledescription": "timeline", "aria-label": label });
    this.figure.append(this.caption, this.canvas);
    this.ctx = this.canvas.getContext("2d");
    this.gestures = new Gestures(this.canvas, view, () => this.area(), {
      click: (x, y) => this.click(x, y),
      move: (x, y) => this.hover(x, y),
      mark: (marked) => { this.marked = marked; this.draw(); },
    });
    view.onChange(() => this.draw());
    this.keys = new PanelKeys(this);
  }

  setScene(scene) {
    this.scene = scene;
    this.bands = this.bandsOf(scene);
    this.figure.hidden = this.bands.length === 0;
    this.layOut();
  }

  area() {
    const left = gutterWidth();
    return { left, width: Math.max(10, this.canvas.clientWidth - left - 8) };
  }

  // Bands share what height there is; one that has more rows than pixels gets as many pixels.
  layOut() {
    let y = AXIS;
    for (const band of this.bands) {
      const lines = Math.max(1, band.rows.length);
      const height = this.limit > 0 ? Math.min(14 * lines, this.limit) : Math.max(3, Math.min(16, 640 / this.bands.length - 2)) * lines;
      Object.assign(band, { y, height, line: height / lines });
      y += height + 2;
    }
    this.height = y + 4;
    this.canvas.style.height = `${this.height}px`;
  }

  draw() {
    if (!this.scene || this.figure.hidden) return;
    const { canvas, ctx } = this;
    Object.assign(this.figure.dataset, { from: this.view.from, to: this.view.to, end: this.view.end });
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth;
    if (width === 0) return;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(this.height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(this.height * ratio);
    }
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.clearRect(0, 0, width, this.height);
    ctx.font = FONT;
    ctx.textBaseline = "middle";
    const { left, width: inner } = this.area();
    this.painter = new Painter(ctx, this.scene, this.view, left, inner);
    this.drawAxis(left, inner);
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, AXIS, inner, this.height);
    ctx.clip();
    for (const band of this.bands) this.drawBand(band);
    this.drawSelected();
    ctx.restore();
    this.drawLabels(left);
    this.drawMarked();
  }

  drawAxis(left, width) {
    const { ctx, painter } = this;
    const { step, list } = this.view.marks(Math.min(0.5, 90 / width));
    ctx.textAlign = "center";
    for (const time of list) {
      const x = painter.x(time);
      ctx.fillStyle = theme.grid;
      ctx.fillRect(x, AXIS - 4, 1, this.height);
      ctx.fillStyle = theme.muted;
      const text = format.mark(time, step);
      const half = ctx.measureText(text).width / 2;
      ctx.fillText(text, Math.max(left + half, Math.min(left + width - half, x)), AXIS / 2 - 1);
    }
    ctx.textAlign = "left";
  }

  drawBand(band) {
    const stride = Math.max(1, Math.floor(1 / band.line));
    for (let r = 0; r < band.rows.length; r += stride) {
      this.painter.row(band.rows[r], band.y + r * band.line, Math.max(1, band.line - (band.line > 4 ? 1 : 0)));
    }
  }

  drawLabels(left) {
    const { ctx } = this;
    const chars = Math.floor((left - 10) / 6);
    ctx.fillStyle = theme.text;
    let free = 0;
    for (const band of this.bands) {
      const middle = band.y + Math.min(band.height, 16) / 2;
      if (middle - 6 < free) continue;
      free = middle + 6;
      const text = band.label.length > chars ? `…${band.label.slice(-chars + 1)}` : band.label;
      ctx.fillText(text, 4, middle + 0.5);
    }
  }

  drawSelected() {
    if (this.selected < 0) return;
    const { ctx, painter, scene } = this;
    const place = this.placeOf(this.selected);
    if (!place) return;
    const x0 = painter.x(scene.items.start[this.selected]);
    const x1 = painter.x(Math.min(scene.items.end[this.selected], scene.end));
    ctx.strokeStyle = theme.mark;
    ctx.lineWidth = 2;
    ctx.strokeRect(x0 - 1, place.y - 1, Math.max(3, x1 - x0) + 1, Math.max(4, place.height) + 1);
  }

  drawMarked() {
    if (!this.marked) return;
    const [from, to] = this.marked;
    this.ctx.globalAlpha = 0.2;
    this.ctx.fillStyle = theme.mark;
    this.ctx.fillRect(Math.min(from, to), AXIS, Math.abs(to - from), this.height);
    this.ctx.globalAlpha = 1;
  }

  // Where an item is drawn; nothing when it is not here.
  placeOf(item) {
    for (const band of this.bands) {
      for (let r = 0; r < band.rows.length; r++) {
        const row = band.rows[r];
        const k = row.after(this.scene.items.start, this.scene.items.start[item]) - 1;
        for (let j = k; j >= 0 && this.scene.items.start[row.items[j]] === this.scene.items.start[item]; j--) {
          if (row.items[j] === item) return { band, row, index: j, y: band.y + r * band.line, height: band.line - 1 };
        }
      }
    }
    return null;
  }

  // The item under a point, or the nearest within a few pixels.
  at(x, y) {
    const { left, width } = this.area();
    if (!this.painter || x < left - 3 || x > left + width + 3) return -1;
    const band = this.bands.find((b) => y >= b.y - 1 && y < b.y + b.height + 1);
    if (!band || band.rows.length === 0) return -1;
    const row = band.rows[Math.max(0, Math.min(band.rows.length - 1, Math.floor((y - band.y) / band.line)))];
    const { items } = this.scene;
    const slack = 3 / this.painter.scale;
    const time = this.painter.time(x);
    const k = row.after(items.end, time - slack);
    let best = -1, nearest = slack;
    for (let j = k; j < Math.min(row.items.length, k + 50); j++) {
      const item = row.items[j];
      if (items.start[item] > time + slack) break;
      const away = Math.max(items.start[item] - time, time - items.end[item], 0);
      if (away <= nearest) {
        best = item;
        nearest = away - 1e-9;
      }
    }
    return best;
  }

  click(x, y) {
    const item = this.at(x, y);
    this.onSelect(item, this);
  }

  hover(x, y) {
    const item = this.at(x, y);
    this.canvas.style.cursor = item >= 0 ? "pointer" : "crosshair";
    this.canvas.title = item >= 0 ? titleOf(this.scene, item) : "";
  }
}

// One line about an item.
function titleOf(scene, i) {
  const { items } = scene;
  const place = placeOf(scene, i);
  return `${nameOf(scene, i)}: ${format.duration(Math.min(items.end[i], scene.end) - items.start[i])}, ${STATES[items.state[i]]}` +
    `${place ? `, ${place}` : ""}`;
}

// An element with attributes and text or children. Texts of a trace become text nodes, never markup.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}
