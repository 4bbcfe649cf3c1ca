// SPDX-License-Identifier: MIT
// Colours: those of the style sheet, light or dark as the reader's system has it.

const theme = {
  listeners: [],
  read() {
    const style = getComputedStyle(document.documentElement);
    const get = (name) => style.getPropertyValue(name).trim();
    theme.text = get("--text");
    theme.muted = get("--muted");
    theme.line = get("--line");
    theme.grid = get("--grid");
    theme.panel = get("--panel");
    theme.bad = get("--bad");
    theme.cancelled = get("--cancelled");
    theme.step = get("--step");
    theme.script = get("--script");
    theme.mark = get("--mark");
    theme.series = Array.from({ length: 8 }, (_, i) => get(`--series-${i + 1}`));
    theme.phases = PHASES.map((name) => get(`--phase-${name}`));
    theme.queued = get("--phase-queued");
  },
  onChange(listener) {
    theme.listeners.push(listener);
  },
  start() {
    theme.read();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      theme.read();
      for (const listener of theme.listeners) listener();
    });
  },
  // Functions are told apart by colour, states by theirs.
  ofItem(scene, i) {
    const { items } = scene;
    const kind = items.kind[i];
    if (isBad(items.state[i])) return theme.bad;
    if (items.state[i] === STATE.cancelled) return theme.cancelled;
    if (kind === KIND.STEP) return theme.step;
    if (kind === KIND.MAIN) return theme.script;
    if (kind === KIND.REQUEST) return theme.phases[4];
    return theme.series[(scene.colors.get(items.at[i] || items.name[i]) ?? 0) % theme.series.length];
  },
};
