// SPDX-License-Identifier: MIT
// What pointer and wheel do on a panel: drag marks a part to zoom to, with Shift or a finger it pans, two fingers or the
// wheel with Ctrl zoom, a double click shows the whole run. The plain wheel is the page's.

const CLICK = 4; // px that a pointer may move in a click

class Gestures {
  // area() -> { left, width }; on: { click(x, y), move(x, y), mark([x, x] | null) }
  constructor(target, view, area, on) {
    Object.assign(this, { target, view, area, on });
    this.pointers = new Map();
    target.style.touchAction = "pan-y";
    target.addEventListener("pointerdown", (event) => this.down(event));
    target.addEventListener("pointermove", (event) => this.move(event));
    target.addEventListener("pointerup", (event) => this.up(event));
    target.addEventListener("pointercancel", (event) => this.cancel(event));
    target.addEventListener("dblclick", () => view.all());
    target.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  time(x) {
    const { left, width } = this.area();
    return this.view.from + ((x - left) / width) * this.view.width;
  }

  down(event) {
    if (event.button !== 0) return;
    const { offsetX: x, offsetY: y } = event;
    this.pointers.set(event.pointerId, { x, y, fromX: x, fromY: y, pans: event.shiftKey || event.pointerType === "touch" });
    this.target.setPointerCapture(event.pointerId);
  }

  move(event) {
    const { offsetX: x, offsetY: y } = event;
    const pointer = this.pointers.get(event.pointerId);
    if (!pointer) {
      this.on.move(x, y);
      return;
    }
    const before = pointer.x;
    if (this.pointers.size === 2) this.pinch(event.pointerId, x);
    else if (pointer.pans) this.view.pan((before - x) / this.area().width);
    else if (Math.abs(x - pointer.fromX) > CLICK) this.on.mark([pointer.fromX, x]);
    pointer.x = x;
    pointer.y = y;
  }

  pinch(id, x) {
    const other = [...this.pointers].find(([key]) => key !== id)[1];
    const mine = this.pointers.get(id);
    const before = Math.max(10, Math.abs(mine.x - other.x));
    const now = Math.max(10, Math.abs(x - other.x));
    this.view.zoom(before / now, this.time((x + other.x) / 2));
  }

  up(event) {
    const pointer = this.pointers.get(event.pointerId);
    if (!this.pointers.delete(event.pointerId)) return;
    const moved = Math.abs(pointer.x - pointer.fromX);
    this.on.mark(null);
    if (moved <= CLICK && Math.abs(pointer.y - pointer.fromY) <= CLICK) {
      this.on.click(pointer.x, pointer.y);
    } else if (!pointer.pans && moved > CLICK) {
      const times = [this.time(pointer.fromX), this.time(pointer.x)];
      this.view.set(Math.min(...times), Math.max(...times));
    }
  }

  cancel(event) {
    this.pointers.delete(event.pointerId);
    this.on.mark(null);
  }

  wheel(event) {
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (event.ctrlKey || event.metaKey) {
      this.view.zoom(Math.exp(event.deltaY * 0.005), this.time(event.offsetX));
    } else if (sideways || event.shiftKey) {
      this.view.pan((sideways ? event.deltaX : event.deltaY) / this.area().width);
    } else {
      return;
    }
    event.preventDefault();
  }
}
