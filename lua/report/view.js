// SPDX-License-Identifier: MIT
// The part of the run that is in view: one for all panels. Whoever draws listens to it.

const SHORTEST = 1; // us

class View {
  constructor() {
    this.from = 0;
    this.to = 1;
    this.end = 1;
    this.follows = true; // the whole run, also when it grows
    this.listeners = [];
    this.pending = false;
  }
  onChange(listener) {
    this.listeners.push(listener);
  }
  get width() {
    return this.to - this.from;
  }
  setEnd(end) {
    const all = this.follows || this.to >= this.end * (1 - 1e-9);
    const width = this.width;
    this.end = Math.max(end, SHORTEST);
    if (this.follows) this.set(0, this.end, true);
    else if (all) this.set(this.end - width, this.end);
    else this.changed();
  }
  set(from, to, follows = false) {
    const width = Math.min(this.end, Math.max(SHORTEST, to - from));
    this.from = Math.max(0, Math.min(from, this.end - width));
    this.to = this.from + width;
    this.follows = follows || width >= this.end;
    this.changed();
  }
  all() {
    this.set(0, this.end, true);
  }
  // around: a time that stays where it is.
  zoom(factor, around = (this.from + this.to) / 2) {
    const width = Math.min(this.end, Math.max(SHORTEST, this.width * factor));
    const left = (around - this.from) / this.width;
    this.set(around - left * width, around + (1 - left) * width);
  }
  pan(part) {
    const by = this.width * part;
    this.set(this.from + by, this.to + by);
  }
  // With some room on both sides.
  show(from, to) {
    const room = Math.max((to - from) * 0.25, SHORTEST);
    this.set(Math.max(0, from - room), Math.min(this.end, to + room));
  }
  // In view, not only in part: else what is shown moves there.
  reveal(from, to) {
    if (to - from > this.width) this.show(from, to);
    else if (from < this.from) this.set(from - this.width * 0.1, from + this.width * 0.9);
    else if (to > this.to) this.set(to - this.width * 0.9, to + this.width * 0.1);
  }
  changed() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      for (const listener of this.listeners) listener(this);
    });
  }
  // Marks of an axis: round numbers, at least `apart` of the width from each other.
  marks(apart) {
    const least = this.width * apart;
    const power = 10 ** Math.floor(Math.log10(least));
    const step = power * ([1, 2, 5, 10].find((n) => n * power >= least) ?? 10);
    const list = [];
    for (let n = Math.ceil(this.from / step - 1e-9); n * step <= this.to * (1 + 1e-12); n++) list.push(n * step);
    return { step, list };
  }
}
