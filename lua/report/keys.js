// SPDX-License-Identifier: MIT
// The keyboard: keys of the page that move the view, and those of a panel that go from task to task once Enter has gone
// into it. Esc leaves, so Tab traps nobody.

function pageKey(key, view, goToFailed) {
  const actions = new Map([
    ["ArrowLeft", () => view.pan(-0.2)],
    ["ArrowRight", () => view.pan(0.2)],
    ["+", () => view.zoom(0.5)],
    ["=", () => view.zoom(0.5)],
    ["-", () => view.zoom(2)],
    ["−", () => view.zoom(2)],
    ["0", () => view.all()],
    ["Home", () => view.set(0, view.width)],
    ["End", () => view.set(view.end - view.width, view.end)],
    ["f", goToFailed],
    ["F", goToFailed],
  ]);
  const action = actions.get(key);
  if (action) action();
  return action !== undefined;
}

function listenToKeys(view, goToFailed) {
  document.addEventListener("keydown", (event) => {
    const { target } = event;
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (target.closest?.("select, input, textarea, .scroll")) return;
    if (pageKey(event.key, view, goToFailed)) event.preventDefault();
  });
  for (const button of document.querySelectorAll("[data-key]")) {
    button.addEventListener("click", () => pageKey(button.dataset.key, view, goToFailed));
  }
}

class PanelKeys {
  constructor(panel) {
    this.panel = panel;
    this.inside = false;
    panel.canvas.addEventListener("keydown", (event) => this.key(event));
    panel.canvas.addEventListener("blur", () => { this.inside = false; });
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (!this.inside && event.key !== "Enter") return;
    if (this.act(event.key, event.shiftKey)) event.preventDefault();
  }

  act(key, shift) {
    const { panel } = this;
    if (key === "Enter") {
      if (!this.inside) this.enter();
      else panel.view.show(...spanOf(panel.scene, panel.selected));
      return true;
    }
    if (key === "Escape") {
      this.inside = false;
      panel.onSelect(-1, panel);
      return true;
    }
    if (key === "Tab") return this.step(shift ? -1 : 1);
    if (key === "ArrowRight") this.step(1);
    else if (key === "ArrowLeft") this.step(-1);
    else if (key === "ArrowDown") this.change(1);
    else if (key === "ArrowUp") this.change(-1);
    else return false;
    return true;
  }

  rows() {
    return this.panel.bands.flatMap((band) => band.rows).filter((row) => row.items.length > 0);
  }

  select(item) {
    this.panel.onSelect(item, this.panel);
    this.panel.view.reveal(...spanOf(this.panel.scene, item));
  }

  // To the task that is selected here, or to the first in view.
  enter() {
    const { panel } = this;
    if (panel.selected >= 0 && panel.placeOf(panel.selected)) {
      this.inside = true;
      return;
    }
    for (const row of this.rows()) {
      const index = row.after(panel.scene.items.end, panel.view.from);
      if (index >= row.items.length || panel.scene.items.start[row.items[index]] > panel.view.to) continue;
      this.inside = true;
      this.select(row.items[index]);
      return;
    }
  }

  // Along the row, and on to the next row. False at the end: the browser's Tab goes on from here.
  step(by) {
    const place = this.panel.placeOf(this.panel.selected);
    if (!place) return false;
    const all = this.rows();
    let row = all.indexOf(place.row);
    let index = place.index + by;
    if (index < 0) {
      row--;
      index = all[row]?.items.length - 1;
    } else if (index >= place.row.items.length) {
      row++;
      index = 0;
    }
    if (!all[row]) {
      this.inside = false;
      return false;
    }
    this.select(all[row].items[index]);
    return true;
  }

  // To what is at the same time in another row.
  change(by) {
    const { panel } = this;
    const place = panel.placeOf(panel.selected);
    if (!place) return;
    const all = this.rows();
    const row = all[all.indexOf(place.row) + by];
    if (!row) return;
    const index = row.after(panel.scene.items.end, panel.scene.items.start[panel.selected]);
    this.select(row.items[Math.min(index, row.items.length - 1)]);
  }
}
