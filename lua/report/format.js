// SPDX-License-Identifier: MIT
// Numbers as people read them. Times are in microseconds, as in the trace.

const UNITS = [[1, "µs", 1], [1e3, "ms", 1e3], [1e6, "s", 1e6]];

const format = {
  // 18.4 µs, 1.23 ms, 350 ms, 2.5 s, 3 min 20 s
  duration(us) {
    if (!Number.isFinite(us)) return "–";
    const size = Math.abs(us);
    if (size >= 99.95e6) {
      const minutes = Math.floor(size / 60e6);
      return `${us < 0 ? "−" : ""}${minutes} min ${Math.floor((size - minutes * 60e6) / 1e6)} s`;
    }
    if (size === 0) return "0 s";
    const [, name, unit] = UNITS.findLast(([from]) => size >= from * 0.9995) ?? UNITS[0];
    return `${format.digits(us / unit, 3)} ${name}`;
  },

  // Three digits that count; integers keep theirs.
  digits(number, n) {
    if (Math.abs(number) >= 10 ** (n - 1)) return Math.round(number).toString();
    return Number(number.toPrecision(n)).toString();
  },

  count(n) {
    return Math.round(n).toString().replace(/\B(?=(\d{3})+$)/g, "\u202f");
  },

  // 1 task, 2 tasks
  some(n, noun) {
    return `${format.count(n)} ${noun}${n === 1 ? "" : "s"}`;
  },

  percent(fraction) {
    if (!Number.isFinite(fraction)) return "–";
    const percent = fraction * 100;
    return `${percent > 0 && percent < 10 ? format.digits(percent, 2) : Math.round(percent)} %`;
  },

  bytes(n) {
    if (!Number.isFinite(n)) return "–";
    const units = ["B", "kB", "MB", "GB"];
    let i = 0;
    while (n >= 999.5 && i < units.length - 1) {
      n /= 1000;
      i++;
    }
    return `${i === 0 ? n : format.digits(n, 3)} ${units[i]}`;
  },

  // A place on an axis whose marks are `step` apart.
  mark(us, step) {
    const [, name, unit] = UNITS.findLast(([from]) => Math.max(Math.abs(us), step) >= from) ?? UNITS[0];
    const places = Math.max(0, Math.min(9, Math.ceil(-Math.log10(step / unit) - 1e-9)));
    return us === 0 ? "0" : `${(us / unit).toFixed(places)} ${name}`;
  },

  date(seconds) {
    const date = new Date(seconds * 1000);
    return Number.isNaN(date.getTime()) ? "" : date.toISOString().replace("T", " ").replace(/\.\d+Z/, " UTC");
  },
};
