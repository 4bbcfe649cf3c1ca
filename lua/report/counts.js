// SPDX-License-Identifier: MIT
// How many at a time: curves that go up and down in steps. When all has ended the items tell it exactly. Before, or when
// something never ran, only the counters of the trace know of what has no item.

// Beginnings and ends -> { times, values }.
function countOver(begins, ends) {
  begins.sort();
  ends.sort();
  const times = [], values = [];
  let b = 0, e = 0;
  while (b < begins.length || e < ends.length) {
    const time = Math.min(b < begins.length ? begins[b] : Infinity, e < ends.length ? ends[e] : Infinity);
    if (time === Infinity) break;
    while (b < begins.length && begins[b] <= time) b++;
    while (e < ends.length && ends[e] <= time) e++;
    times.push(time);
    values.push(b - e);
  }
  return { times, values };
}

function curveOfItems(items, list, from, to) {
  const begins = new Float64Array(list.length), ends = new Float64Array(list.length);
  list.forEach((item, i) => {
    begins[i] = from(item);
    ends[i] = to(item);
  });
  return countOver(begins, ends);
}

function curveOfCounter(counter, key) {
  const values = counter && counter.values.get(key);
  return values && { times: counter.times, values };
}

function poolCurves(trace, name) {
  const { items } = trace;
  const number = trace.texts.numbers.get(name);
  const mine = [];
  for (let i = 0; i < items.length; i++) if (items.kind[i] === KIND.TASK && items.pool[i] === number) mine.push(i);
  const isComplete = trace.ending && trace.dropped.length === 0;
  const counted = (key) => (isComplete ? undefined : curveOfCounter(trace.counters.get(name), key));
  return [
    { label: `${name}: running`, panel: "flight",
      ...(counted("running") ?? curveOfItems(items, mine, (i) => items.start[i], (i) => items.end[i])) },
    { label: `${name}: queued`, panel: "queue",
      ...(counted("queued") ?? curveOfItems(items, mine, (i) => items.start[i] - (items.wait[i] || 0), (i) => items.start[i])) },
  ];
}

function buildCurves(trace, packed) {
  const { items } = trace;
  const curves = [...trace.pools.keys()].flatMap((name) => poolCurves(trace, name));
  for (const [label, kind] of [["async tasks", KIND.ASYNC], ["requests", KIND.REQUEST], ["programs", KIND.PROGRAM]]) {
    if (packed[kind].length === 0) continue;
    curves.push({ label, panel: "flight", ...curveOfItems(items, packed[kind], (i) => items.start[i], (i) => items.end[i]) });
  }
  return curves.filter((curve) => curve.times.length > 0);
}

// The peak within each of `n` parts of [from, to]: what uPlot is given to draw.
function samplePeaks(curve, from, to, n) {
  const { times, values } = curve;
  const peaks = new Array(n + 1);
  let i = firstAfter(times, from);
  let now = i > 0 ? values[i - 1] : 0;
  for (let part = 0; part <= n; part++) {
    const until = from + ((to - from) * (part + 1)) / n;
    let peak = now;
    while (i < times.length && times[i] < until) {
      now = values[i++];
      if (now > peak) peak = now;
    }
    peaks[part] = peak;
  }
  return peaks;
}

function firstAfter(times, time) {
  let low = 0, high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] > time) high = middle;
    else low = middle + 1;
  }
  return low;
}
