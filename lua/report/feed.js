// SPDX-License-Identifier: MIT
// Where the events come from: blocks of the page itself, or a running program (server-sent events). Either way as lines of
// the trace file. on: { lines(text), progress(fraction), end(how) } with how = "all" | "ended" | "lost".

const nextFrame = () => new Promise((resolve) => { setTimeout(resolve, 0); });

async function readBlocks(on) {
  const blocks = [...document.querySelectorAll("script.trace")];
  for (const [i, block] of blocks.entries()) {
    on.lines(block.textContent);
    block.remove();
    on.progress((i + 1) / blocks.length);
    if (i % 2 === 1) await nextFrame();
  }
  on.end("all");
}

function listen(address, on) {
  const source = new EventSource(address);
  source.addEventListener("message", (event) => on.lines(event.data));
  source.addEventListener("ended", () => {
    source.close();
    on.end("ended");
  });
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) on.end("lost");
    else on.waiting();
  });
  source.addEventListener("open", () => on.open());
}
