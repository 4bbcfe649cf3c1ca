// SPDX-License-Identifier: MIT
// Rows of items on a canvas. What is narrower than a pixel is drawn together, as much coloured as it fills of that pixel:
// work goes by pixels, not by items.

class Painter {
  constructor(ctx, scene, view, left, width) {
    this.ctx = ctx;
    this.scene = scene;
    this.view = view;
    this.left = left;
    this.width = width;
    this.scale = width / view.width;
  }
  x(time) {
    return this.left + (time - this.view.from) * this.scale;
  }
  time(x) {
    return this.view.from + (x - this.left) / this.scale;
  }

  // One item that is wide enough, cut to what is in view.
  item(i, y, height) {
    const { ctx, scene } = this;
    const { items } = scene;
    const x0 = Math.max(this.left - 1, this.x(items.start[i]));
    const x1 = Math.min(this.left + this.width + 1, this.x(Math.min(items.end[i], scene.end)));
    ctx.globalAlpha = items.kind[i] === KIND.MAIN ? 0.35 : 1;
    ctx.fillStyle = theme.ofItem(scene, i);
    const gap = x1 - x0 > 4 ? 1 : 0; // neighbours are seen apart
    const wide = Math.max(1, x1 - x0 - gap);
    const hasPhases = items.kind[i] === KIND.REQUEST && wide > 8 && height > 3;
    if (hasPhases) this.phases(i, y, height, x0, x1 - gap);
    else ctx.fillRect(x0, y, wide, height);
    ctx.globalAlpha = 1;
    if (items.state[i] === STATE.running) this.open(x0, y, wide, height);
    if (wide > 40 && height >= 10 && !hasPhases) this.label(scene.trace.texts.list[items.name[i]], x0, y, wide, height, items.kind[i]);
  }

  // Not ended: striped.
  open(x, y, width, height) {
    const { ctx } = this;
    ctx.save();
    ctx.beginPath();
    ctx.rect(x, y, width, height);
    ctx.clip();
    ctx.strokeStyle = theme.panel;
    ctx.globalAlpha = 0.4;
    ctx.lineWidth = 3;
    ctx.beginPath();
    for (let at = x - height; at < x + width; at += 8) {
      ctx.moveTo(at, y + height);
      ctx.lineTo(at + height, y);
    }
    ctx.stroke();
    ctx.restore();
  }

  label(text, x, y, width, height, kind) {
    const { ctx } = this;
    const from = Math.max(x, this.left) + 4;
    const room = x + width - from - 4;
    const fits = Math.floor(room / 6.2);
    if (fits < 4) return;
    ctx.fillStyle = kind === KIND.MAIN ? theme.text : theme.panel;
    ctx.fillText(text.length > fits ? `${text.slice(0, fits - 1)}…` : text, from, y + height / 2 + 0.5);
  }

  // The phases of a request end with it; what is before them it waited for its turn.
  phases(i, y, height, x0, x1) {
    const { ctx, scene } = this;
    const { items } = scene;
    const phases = scene.trace.more.get(i)?.phases;
    if (!phases) {
      ctx.fillRect(x0, y, x1 - x0, height);
      return;
    }
    const clamp = (x) => Math.max(x0, Math.min(x1, x));
    let time = items.end[i] - phases.reduce((a, b) => a + b, 0);
    ctx.fillStyle = theme.queued;
    ctx.fillRect(x0, y, Math.max(0, clamp(this.x(time)) - x0), height);
    phases.forEach((length, phase) => {
      const from = clamp(this.x(time));
      time += length;
      ctx.fillStyle = theme.phases[phase];
      ctx.fillRect(from, y, clamp(this.x(time)) - from, height);
    });
    if (isBad(items.state[i])) {
      ctx.fillStyle = theme.bad;
      ctx.fillRect(x0, y + height - Math.max(1, height / 4), x1 - x0, Math.max(1, height / 4));
    }
  }

  row(row, y, height) {
    const { items } = this.scene;
    const list = row.items;
    const perPixel = 1 / this.scale;
    const to = this.view.to;
    let i = row.after(items.end, this.view.from);
    while (i < list.length && items.start[list[i]] < to) {
      const start = items.start[list[i]];
      const next = i + 1 < list.length ? items.start[list[i + 1]] : Infinity;
      if (items.end[list[i]] - start >= perPixel || next - start >= 2 * perPixel) {
        this.item(list[i++], y, height);
      } else {
        i = this.together(row, i, y, height);
      }
    }
    if (row.bad.length > 0) this.bad(row, y, height);
  }

  // All that starts within the pixel of item i, but what goes on behind it. Gives the place of the first that is not drawn.
  together(row, i, y, height) {
    const { items } = this.scene;
    const x = Math.floor(this.x(items.start[row.items[i]]));
    const until = this.time(x + 1);
    let j = row.after(items.start, until, i);
    if (j > i + 1 && items.end[row.items[j - 1]] > until + 1 / this.scale) j--;
    const share = Math.min(1, (row.filled[j] - row.filled[i]) * this.scale);
    this.ctx.globalAlpha = 0.2 + 0.8 * share;
    this.ctx.fillStyle = theme.ofItem(this.scene, row.items[i]);
    this.ctx.fillRect(x, y, 1, height);
    this.ctx.globalAlpha = 1;
    return Math.max(j, i + 1);
  }

  // Failures are seen at any zoom.
  bad(row, y, height) {
    const { ctx } = this;
    const { items } = this.scene;
    let last = -Infinity;
    ctx.fillStyle = theme.bad;
    for (let k = firstEndAfter(items, row.bad, this.view.from); k < row.bad.length; k++) {
      const i = row.bad[k];
      if (items.start[i] > this.view.to) break;
      const x = Math.max(this.left, this.x(items.start[i]));
      const width = this.x(items.end[i]) - x;
      if (width > 3 || x < last + 2) continue; // wide ones have their colour already
      ctx.fillRect(x - 1, y, 3, Math.min(4, height));
      last = x;
    }
  }
}

// In a list of items that do not overlap: the place of the first that ends after `time`.
function firstEndAfter(items, list, time) {
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (items.end[list[middle]] > time) high = middle;
    else low = middle + 1;
  }
  return low;
}
