// The graph: folded into groups, with a minimap; what is pointed at lights up here, too.

import { cut, h, svg } from "./dom.js";
import { all, reveal, tree } from "./groups.js";
import { idOf, laidOut } from "./layout.js";
import { model, on, point, state } from "./state.js";

const TEXT = 44; // letters of a line in a node
const MAP = { width: 150, height: 110 };

export class GraphView {
  constructor() {
    this.model = model();
    this.by = "phase";
    this.lengths = false;
    this.view = { x: 0, y: 0, scale: 1 };
    this.canvas = svg("svg", { class: "canvas", role: "img", "aria-label": "graph", tabindex: "0" });
    this.world = svg("g", {});
    const arrow = svg("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" }, svg("path", { d: "M0,1 L7,4 L0,7 z" }));
    this.canvas.append(svg("defs", {}, arrow), this.world);
    this.map = svg("svg", { class: "minimap", width: MAP.width, height: MAP.height, "aria-hidden": "true" });
    this.element = h("div", { class: "graph" }, this.controls(), h("div", { class: "stage" }, this.canvas, this.map));
    this.moving();
    on("selected", () => this.light());
    on("pinned", () => this.revealed());
  }

  controls() {
    const kinds = { phase: "phase", function: "your function", line: "your line", none: "nothing" };
    const by = h("select", { "aria-label": "groups", onchange: (event) => this.regroup(event.target.value) }, Object.entries(kinds).map(([value, text]) => h("option", { value }, text)));
    const lengths = h("input", { type: "checkbox", onchange: (event) => { this.lengths = event.target.checked; this.show(this.graph); } });
    return h(
      "div",
      { class: "controls" },
      h("label", {}, "groups by ", by),
      h("label", { title: "lengths, positions and bounds of slices" }, lengths, " lengths"),
      h("button", { onclick: () => this.fold(true) }, "unfold all"),
      h("button", { onclick: () => this.fold(false) }, "fold all"),
      h("button", { onclick: () => this.fit() }, "fit"),
    );
  }

  show(graph) {
    this.graph = graph;
    const shown = graph.nodes.filter((node) => this.isShown(node));
    this.shown = new Set(shown);
    // a node that is not shown passes its operands on
    const sources = new Map();
    for (const node of graph.nodes) {
      const found = new Set();
      for (const input of this.model.nodes[node].inputs) {
        if (this.shown.has(input)) found.add(input);
        else for (const far of sources.get(input) || []) found.add(far);
      }
      sources.set(node, found);
    }
    this.edges = shown.flatMap((node) => [...sources.get(node)].map((input) => [input, node]));
    this.roots = new Map();
    for (const root of graph.roots) this.roots.set(root.node, [...(this.roots.get(root.node) || []), root]);
    this.top = tree(this.model, shown, this.by);
    this.draw();
    this.fit();
  }

  isShown(node) {
    const record = this.model.nodes[node];
    if (record.kind === "constant" && !record.type.includes("[")) return false;
    const length = record.type === "int64" && !record.name && record.kind !== "input";
    return this.lengths || !(length || record.kind === "extent");
  }

  regroup(by) {
    this.by = by;
    this.show(this.graph);
  }

  fold(open) {
    for (const part of all(this.top)) part.open = open;
    this.draw();
    this.fit();
  }

  lines(node) {
    const record = this.model.nodes[node];
    const roots = (this.roots.get(node) || []).map((root) => (root.role === "update" ? `${root.name} :=` : `→ ${root.name}`));
    const head = record.kind === "op" ? record.op : record.name || record.text;
    const named = record.kind === "op" && record.name ? `${record.name} = ${head}` : head;
    return [...roots, cut(named, TEXT), record.type];
  }

  draw() {
    const found = laidOut(this.top, this.edges, (node) => this.lines(node));
    this.boxes = found.boxes;
    this.size = found.size;
    const parts = [];
    for (const part of all(this.top)) if (this.boxes.has(part.id)) parts.push(this.drawGroup(part, this.boxes.get(part.id)));
    const edges = found.edges.map((edge) => svg("path", { class: "edge", "data-from": edge.from, "data-to": edge.to, d: curve(edge.points), "marker-end": "url(#arrow)" }));
    const nodes = [...this.shown].filter((node) => this.boxes.has(idOf(node))).map((node) => this.drawNode(node, this.boxes.get(idOf(node))));
    this.world.replaceChildren(...parts, ...edges, ...nodes);
    this.drawMap();
    this.light();
  }

  drawGroup(part, box) {
    const toggle = () => {
      part.open = !part.open;
      this.draw();
    };
    const sign = part.open ? "−" : "+";
    const label = svg("text", { x: 10, y: part.open ? 16 : 24 }, `${sign} ${part.label}  (${part.count})`);
    return svg("g", { class: `group ${part.open ? "open" : "closed"}`, "data-group": part.id, transform: `translate(${box.x},${box.y})`, onclick: toggle, tabindex: "0", role: "button", "aria-expanded": String(part.open), onkeydown: (event) => event.key === "Enter" && toggle() }, svg("rect", { width: box.width, height: box.height, rx: 6 }), label);
  }

  drawNode(node, box) {
    const record = this.model.nodes[node];
    const lines = this.lines(node);
    const texts = lines.map((line, k) => svg("text", { x: 9, y: 17 + k * 15, class: k === lines.length - 1 ? "type" : "" }, line));
    const hue = this.model.hue(record.places);
    const title = svg("title", {}, `${record.text}\n${record.type}`);
    const point_ = (held) => (event) => {
      event.stopPropagation();
      point(held && state.pinned && state.selected?.nodes.has(node) ? null : { kind: "node", node }, held);
    };
    return svg("g", { class: `node ${record.kind}${this.roots.has(node) ? " root" : ""}`, "data-node": node, style: hue === null ? null : `--hue: ${hue}`, transform: `translate(${box.x},${box.y})`, onmouseenter: point_(false), onmouseleave: () => point(null), onclick: point_(true) }, svg("rect", { width: box.width, height: box.height, rx: 4 }), svg("rect", { class: "stripe", width: 4, height: box.height }), ...texts, title);
  }

  light() {
    const nodes = state.selected ? state.selected.nodes : new Set();
    for (const element of this.world.querySelectorAll(".node")) element.classList.toggle("on", nodes.has(Number(element.dataset.node)));
    const ids = new Set([...nodes].map(idOf));
    for (const edge of this.world.querySelectorAll(".edge")) edge.classList.toggle("on", ids.has(edge.dataset.from) || ids.has(edge.dataset.to));
    for (const part of all(this.top || { groups: [] })) {
      const element = this.world.querySelector(`[data-group="${part.id}"]`);
      if (element) element.classList.toggle("on", !part.open && nodes.size > 0 && contains(part, nodes));
    }
  }

  // what is held: opened, and brought into view
  revealed() {
    const node = [...state.selected.nodes].find((known) => this.shown?.has(known));
    if (node === undefined || state.view !== "graph") return;
    if (reveal(this.top, node)) this.draw();
    const box = this.boxes.get(idOf(node));
    const { width, height } = this.canvas.getBoundingClientRect();
    const at = { x: box.x * this.view.scale + this.view.x, y: box.y * this.view.scale + this.view.y };
    if (at.x < 0 || at.y < 0 || at.x > width - 40 || at.y > height - 40) {
      this.view.scale = Math.max(this.view.scale, 0.7);
      this.view.x = width / 2 - (box.x + box.width / 2) * this.view.scale;
      this.view.y = height / 2 - (box.y + box.height / 2) * this.view.scale;
      this.move();
    }
  }

  // -- moving ---------------------------------------------------------------------------------------------------------

  fit() {
    const { width, height } = this.canvas.getBoundingClientRect();
    if (!width || !this.size.width) return;
    const scale = Math.min(width / this.size.width, height / this.size.height, 1.2);
    // small enough to see much, large enough to read
    this.view.scale = Math.max(scale, Math.min(0.45, width / 500));
    this.view.x = (width - this.size.width * this.view.scale) / 2;
    this.view.y = Math.min((height - this.size.height * this.view.scale) / 2, 10);
    const wide = this.size.width * this.view.scale > width;
    if (wide || this.size.height * this.view.scale > height) {
      // too large to be seen whole: from its first node on
      const first = [...this.boxes.values()].reduce((a, b) => (b.y < a.y ? b : a));
      this.view.y = 10;
      if (wide) this.view.x = width / 2 - (first.x + Math.min(first.width, width / this.view.scale) / 2) * this.view.scale;
    }
    this.move();
  }

  move() {
    const { x, y, scale } = this.view;
    this.world.setAttribute("transform", `translate(${x},${y}) scale(${scale})`);
    const { width, height } = this.canvas.getBoundingClientRect();
    const frame = { x: -x / scale, y: -y / scale, width: width / scale, height: height / scale };
    for (const [name, value] of Object.entries(frame)) this.frame?.setAttribute(name, value);
  }

  drawMap() {
    const scale = Math.min(MAP.width / this.size.width, MAP.height / this.size.height);
    const shapes = [...this.boxes.values()].map((box) => svg("rect", { x: box.x, y: box.y, width: box.width, height: box.height }));
    this.frame = svg("rect", { class: "frame", x: 0, y: 0, width: 0, height: 0 });
    this.map.setAttribute("viewBox", `0 0 ${MAP.width / scale} ${MAP.height / scale}`);
    this.map.replaceChildren(...shapes, this.frame);
    this.move();
  }

  moving() {
    let from = null;
    this.canvas.addEventListener("pointerdown", (event) => {
      from = { x: event.clientX - this.view.x, y: event.clientY - this.view.y };
    });
    window.addEventListener("pointermove", (event) => {
      if (!from) return;
      this.view.x = event.clientX - from.x;
      this.view.y = event.clientY - from.y;
      this.move();
    });
    window.addEventListener("pointerup", () => (from = null));
    this.canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      const box = this.canvas.getBoundingClientRect();
      this.zoom(Math.exp(-event.deltaY / 500), event.clientX - box.left, event.clientY - box.top);
    }, { passive: false });
    this.canvas.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };
      if (steps[event.key]) {
        this.view.x += steps[event.key][0];
        this.view.y += steps[event.key][1];
        this.move();
        event.preventDefault();
      } else if (event.key === "+" || event.key === "-") {
        const { width, height } = this.canvas.getBoundingClientRect();
        this.zoom(event.key === "+" ? 1.25 : 0.8, width / 2, height / 2);
      }
    });
    this.map.addEventListener("pointerdown", (event) => this.jump(event));
    this.map.addEventListener("pointermove", (event) => event.buttons && this.jump(event));
  }

  zoom(factor, x, y) {
    const scale = Math.min(Math.max(this.view.scale * factor, 0.03), 3);
    this.view.x = x - ((x - this.view.x) * scale) / this.view.scale;
    this.view.y = y - ((y - this.view.y) * scale) / this.view.scale;
    this.view.scale = scale;
    this.move();
  }

  jump(event) {
    const box = this.map.getBoundingClientRect();
    const view = this.map.viewBox.baseVal;
    const { width, height } = this.canvas.getBoundingClientRect();
    this.view.x = width / 2 - ((event.clientX - box.left) / box.width) * view.width * this.view.scale;
    this.view.y = height / 2 - ((event.clientY - box.top) / box.height) * view.height * this.view.scale;
    this.move();
  }
}

function contains(part, nodes) {
  return part.nodes.some((node) => nodes.has(node)) || part.groups.some((inner) => contains(inner, nodes));
}

function curve(points) {
  const [first, ...rest] = points;
  let path = `M${first.x},${first.y}`;
  for (let k = 0; k < rest.length - 1; k += 1) {
    const [a, b] = [rest[k], rest[k + 1]];
    path += ` Q${a.x},${a.y} ${(a.x + b.x) / 2},${(a.y + b.y) / 2}`;
  }
  const last = rest.at(-1);
  return `${path} L${last.x},${last.y}`;
}
