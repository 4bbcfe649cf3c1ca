// SPDX-License-Identifier: MIT
// Findings, figures and the one task that is selected.

function showFindings(findings, onShow) {
  const list = findings.map((finding) => {
    const li = make("li", { class: finding.level, "data-kind": finding.kind },
      make("strong", {}, finding.title), " ", make("span", {}, `${finding.text}.`));
    if (finding.span) {
      const button = make("button", { type: "button", "aria-label": `show: ${finding.title}` }, "show");
      button.addEventListener("click", () => onShow(finding));
      li.append(" ", button);
    }
    return li;
  });
  byId("findings").replaceChildren(...list);
}

function showFacts(facts) {
  byId("facts").replaceChildren(...facts.map(([name, value, more]) =>
    make("div", {}, make("dt", {}, name), make("dd", {}, make("b", {}, value), make("small", {}, more)))));
}

// [name, value] of all that is known of an item.
function detailsOf(scene, i) {
  const { items, trace } = scene;
  const texts = trace.texts.list;
  const more = trace.more.get(i) ?? {};
  const list = [["state", STATES[items.state[i]]], ["ran", format.duration(run(scene, i))], ["start", format.duration(items.start[i])]];
  const add = (name, value) => { if (value) list.push([name, value]); };
  if (Number.isFinite(items.wait[i])) add("waited", format.duration(items.wait[i]));
  add("where", laneName(scene, i));
  add("source", texts[items.at[i]]);
  add("submitted at", texts[items.from[i]]);
  if (items.chunk[i] > 1) add("items", `${items.chunk[i]}${items.failed[i] > 0 ? `, of which ${items.failed[i]} failed` : ""}`);
  if (items.attempt[i] > 1) add("attempt", String(items.attempt[i]));
  if (items.kind[i] === KIND.TASK && Number.isFinite(items.in[i])) {
    add("bytes", `${format.bytes(items.in[i])} in, ${format.bytes(items.out[i])} out`);
  }
  if (more.steps) add("computed", `${format.duration(more.cpu)} in ${format.some(more.steps, "step")}`);
  if (more.phases) {
    add("status", Number.isFinite(more.status) && more.status > 0 ? String(more.status) : "");
    add("received", format.bytes(items.in[i]));
    const phases = PHASES.map((name, p) => (more.phases[p] > 0 ? `${name} ${format.duration(more.phases[p])}` : ""));
    add("phases", phases.filter(Boolean).join(", "));
    add("address", more.url);
  }
  add("result", more.result);
  return list;
}

function showDetail(parent, scene, i) {
  parent.hidden = i < 0;
  if (i < 0) {
    parent.replaceChildren();
    return;
  }
  const more = scene.trace.more.get(i) ?? {};
  const heading = make("h3", {}, nameOf(scene, i), make("small", {}, ` ${KIND_NAMES[scene.items.kind[i]]}`));
  const pairs = detailsOf(scene, i).map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)));
  const list = make("dl", {}, ...pairs);
  parent.replaceChildren(heading, list);
  const text = [more.error, more.traceback].filter(Boolean).join("\n");
  if (text) parent.append(make("pre", { tabindex: "0" }, text));
}
