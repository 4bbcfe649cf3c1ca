// SPDX-License-Identifier: MIT
// Rows: items of which none overlaps another, in order of time, so that the part of them that is in view is found by
// halving, and what many of them fill of one pixel by a subtraction.

const SLACK = 0.01; // us; times are rounded to a thousandth

class Heap {
  constructor(less) {
    this.less = less;
    this.list = [];
  }
  get size() {
    return this.list.length;
  }
  get top() {
    return this.list[0];
  }
  push(value) {
    const { list, less } = this;
    let i = list.push(value) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!less(value, list[parent])) break;
      list[i] = list[parent];
      i = parent;
    }
    list[i] = value;
  }
  pop() {
    const { list, less } = this;
    const top = list[0];
    const value = list.pop();
    const n = list.length;
    if (n === 0) return top;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= n) break;
      if (child + 1 < n && less(list[child + 1], list[child])) child++;
      if (!less(list[child], value)) break;
      list[i] = list[child];
      i = child;
    }
    list[i] = value;
    return top;
  }
}

class Row {
  constructor(items) {
    this.items = items; // numbers, an array first, then an Int32Array
    this.bad = [];
    this.filled = null; // filled[i]: how much time items 0 .. i-1 take
  }
  close(columns, end) {
    this.items = Int32Array.from(this.items);
    this.filled = new Float64Array(this.items.length + 1);
    this.items.forEach((item, i) => {
      this.filled[i + 1] = this.filled[i] + Math.min(columns.end[item], end) - columns.start[item];
      if (isBad(columns.state[item])) this.bad.push(item);
    });
  }
  // The first place from `low` on whose item starts (array `start`) or ends (array `end`) after `time`.
  after(array, time, low = 0) {
    let high = this.items.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (array[this.items[middle]] > time) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

const rows = {
  // By start; of those that start together the longest first, as it is around the others.
  order(columns, list) {
    const { start, end } = columns;
    return list.sort((a, b) => start[a] - start[b] || end[b] - end[a] || a - b);
  },

  // Each item into the lowest row that is free: what lies inside of another comes below it.
  pack(columns, list, end) {
    const all = [];
    const free = new Heap((a, b) => a < b);
    const busy = new Heap((a, b) => a.until < b.until);
    for (const item of rows.order(columns, list)) {
      while (busy.size > 0 && busy.top.until <= columns.start[item] + SLACK) free.push(busy.pop().row);
      let row = free.size > 0 ? free.pop() : undefined;
      if (row === undefined) row = all.push(new Row([])) - 1;
      all[row].items.push(item);
      busy.push({ until: columns.end[item], row });
    }
    for (const row of all) row.close(columns, end);
    return all;
  },
};
