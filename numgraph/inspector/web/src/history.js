// How the graph became what it is: a slider over passes and rules, and what is known of the node pointed at.

import { cut, h, shortFile } from "./dom.js";
import { GraphView } from "./graph.js";
import { model, on, point, state, tell } from "./state.js";

// one step for each graph, one for each rule, and one for each transformation of the loop program
export function stepsOf(known) {
  const steps = [];
  known.graphs.forEach((graph, k) => {
    for (const rewrite of known.rewrites.filter((rule) => rule.graph === k)) steps.push({ kind: "rule", graph: k, rewrite });
    steps.push({ kind: "graph", graph: k, name: graph.name, why: graph.why });
  });
  const text = (known.record.stages || {}).loops || "";
  const parts = text.split(/^-- /m).slice(1);
  for (const part of parts) steps.push({ kind: "loops", name: part.split("\n")[0], text: part.split("\n").slice(1).join("\n").trim() });
  return steps;
}

export class HistoryView {
  constructor() {
    this.model = model();
    this.steps = stepsOf(this.model);
    this.graph = new GraphView();
    this.loops = h("pre", { class: "loops", hidden: true, tabindex: "0" });
    this.says = h("div", { class: "says" });
    this.details = h("aside", { class: "details", "aria-live": "polite" });
    this.slider = h("input", { type: "range", min: 0, max: Math.max(this.steps.length - 1, 0), step: 1, "aria-label": "passes and rules", oninput: () => this.go(Number(this.slider.value)) });
    const buttons = [
      h("button", { onclick: () => this.go(this.step - 1), "aria-label": "step before" }, "‹"),
      h("button", { onclick: () => this.go(this.step + 1), "aria-label": "next step" }, "›"),
    ];
    const choice = h("select", { "aria-label": "pass", onchange: (event) => this.go(Number(event.target.value)) }, this.steps.flatMap((step, k) => (step.kind === "rule" ? [] : [h("option", { value: k }, step.kind === "graph" ? step.name : `loops: ${step.name.split(":")[0]}`)])));
    this.choice = choice;
    const bar = h("div", { class: "slider" }, choice, buttons[0], this.slider, buttons[1]);
    const left = h("div", { class: "left" }, this.graph.element, this.loops, bar, this.says);
    this.element = h("div", { class: "history view" }, left, this.details);
    on("selected", () => this.describe());
    this.begun = false;
  }

  // when it is first seen: the last graph, which is compiled
  begin() {
    if (this.begun || !this.steps.length) return;
    this.begun = true;
    const graphs = this.steps.map((step, k) => (step.kind === "graph" ? k : -1)).filter((k) => k >= 0);
    this.go(graphs.length ? graphs.at(-1) : 0);
  }

  go(number) {
    this.step = Math.min(Math.max(number, 0), this.steps.length - 1);
    this.slider.value = this.step;
    const step = this.steps[this.step];
    const loops = step.kind === "loops";
    this.graph.element.hidden = loops;
    this.loops.hidden = !loops;
    this.choice.value = [...this.steps.keys()].find((k) => k >= this.step && this.steps[k].kind !== "rule");
    if (loops) this.loops.textContent = step.text || "nothing changed";
    else this.show(step);
    this.says.replaceChildren(...this.said(step));
  }

  show(step) {
    const graph = this.model.graphs[step.graph];
    if (this.graph.graph !== graph) this.graph.show(graph);
    if (step.kind === "rule") point({ kind: "node", node: step.rewrite.new }, true);
    else if (state.pinned && state.selected.target.kind === "node") point(null, true);
    this.describe();
  }

  said(step) {
    const count = h("b", {}, `${this.step + 1} of ${this.steps.length}: `);
    if (step.kind === "rule") {
      const rule = step.rewrite;
      return [
        h("p", {}, count, h("b", {}, this.model.graphs[step.graph].name), " by ", h("code", {}, rule.rule), ` — ${rule.why}`),
        h("p", {}, h("code", {}, cut(rule.before, 160)), " → ", h("code", {}, cut(rule.after, 160))),
      ];
    }
    if (step.kind === "loops") return [h("p", {}, count, "the loop program: ", step.name)];
    const graph = this.model.graphs[step.graph];
    const rules = this.model.rewrites.filter((rule) => rule.graph === step.graph).length;
    return [h("p", {}, count, h("b", {}, step.name), ` — ${step.why}. ${graph.nodes.length} nodes${rules ? `, by ${rules} rules` : ""}.`)];
  }

  describe() {
    const selected = state.selected;
    const nodes = selected ? [...selected.nodes].filter((node) => this.graph.shown?.has(node)) : [];
    const node = selected?.target.kind === "node" ? selected.target.node : nodes[0];
    if (node === undefined) {
      this.details.replaceChildren(h("p", { class: "none" }, "Point at a node to see its formula, your line, and its generated code. Click to hold it."));
      return;
    }
    const record = this.model.nodes[node];
    const row = (name, ...value) => [h("dt", {}, name), h("dd", {}, ...value)];
    const places = record.places.map((place) => this.placeLink(this.model.places[place]));
    const source = [...selected.source].sort((a, b) => a - b);
    this.details.replaceChildren(
      h("h2", {}, record.name || record.op || record.kind),
      h("pre", {}, record.text),
      h("dl", {}, row("type", record.type), record.op ? row("op", record.op) : [], record.phases.length ? row("computed in", record.phases.join(", ")) : [], places.length ? row("your line", places) : []),
      source.length ? h("h3", {}, `generated source, ${source.length} line${source.length > 1 ? "s" : ""}`) : null,
      source.length ? h("pre", { class: "lines small" }, source.slice(0, 60).map((line) => this.sourceLine(line))) : null,
    );
  }

  placeLink(place) {
    const open = () => {
      point({ kind: "user", file: place.file, line: place.line }, true);
      state.view = "code";
      tell("view");
    };
    const text = this.model.files[place.file]?.[place.line - 1];
    const shown = h("code", { class: "quoted" });
    if (text) shown.innerHTML = text.trim(); // highlighted and escaped by numgraph.inspector.page
    return h("div", {}, h("button", { class: "link", onclick: open }, `${shortFile(place.file)}:${place.line}${place.function.startsWith("<") ? "" : ` in ${place.function}`}`), shown);
  }

  sourceLine(line) {
    const open = () => {
      point({ kind: "source", line }, true);
      state.view = "code";
      tell("view");
    };
    const text = h("code");
    text.innerHTML = this.model.record.source[line - 1]; // as above
    return h("div", { class: "l", onclick: open }, h("b", {}, String(line)), text);
  }
}
