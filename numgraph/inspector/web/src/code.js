// Three panes of text side by side: the user's program, generated source, machine code.

import { h, shortFile, textOf } from "./dom.js";
import { model, on, point, state } from "./state.js";

// Marks at the right edge of a pane, at most.
const MARKS = 300;

// Height of a line in pixels, as in page.css; lines that are drawn above and below what is seen.
const HEIGHT = 18;
const MORE = 60;

// Only the lines that are seen are in the document: machine code has tens of thousands.
// target: line number -> what is pointed at; lit: a selection -> the lines of this pane
export class Pane {
  constructor(name, label, lines, target, lit, hue) {
    this.lines = lines;
    this.hue = hue;
    this.on = new Set();
    this.target = target;
    this.lit = lit;
    this.rows = new Map();
    this.marks = h("div", { class: "marks", "aria-hidden": "true" });
    const longest = lines.reduce((most, line) => Math.max(most, textOf(line).length), 10);
    this.space = h("div", { class: "space", style: `height: ${lines.length * HEIGHT}px; min-width: calc(${longest}ch + 70px)` });
    this.body = h("div", { class: "lines", tabindex: "0", role: "region", "aria-label": label }, this.space);
    this.element = h("div", { class: `pane ${name}` }, this.body, this.marks);
    this.body.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(this.body);
    this.body.addEventListener("mouseover", (event) => this.over(event, false));
    this.body.addEventListener("click", (event) => this.over(event, true));
    this.body.addEventListener("mouseleave", () => point(null));
  }

  draw() {
    const height = this.body.clientHeight;
    if (!height) return;
    const first = Math.max(1, Math.floor(this.body.scrollTop / HEIGHT) - MORE);
    const last = Math.min(this.lines.length, Math.ceil((this.body.scrollTop + height) / HEIGHT) + MORE);
    for (const [number, row] of this.rows) {
      if (number < first || number > last) {
        row.remove();
        this.rows.delete(number);
      }
    }
    const made = [];
    for (let number = first; number <= last; number += 1) if (!this.rows.has(number)) made.push(this.row(number));
    this.space.append(...made);
  }

  row(number) {
    const text = h("code");
    text.innerHTML = this.lines[number - 1] || " "; // highlighted and escaped by numgraph.inspector.page
    const hue = this.hue(number);
    const style = `top: ${(number - 1) * HEIGHT}px${hue === null ? "" : `; --hue: ${hue}`}`;
    const kind = `l${hue === null ? "" : " linked"}${this.on.has(number) ? " on" : ""}`;
    const row = h("div", { class: kind, "data-n": number, style }, h("b", {}, String(number)), text);
    this.rows.set(number, row);
    return row;
  }

  over(event, held) {
    const line = event.target.closest(".l");
    if (!line) return;
    if (held && String(window.getSelection())) return;
    const number = Number(line.dataset.n);
    const again = held && state.pinned && state.selected && this.lit(state.selected).has(number);
    point(again ? null : this.target(number), held);
  }

  light(selected) {
    this.on = selected ? this.lit(selected) : new Set();
    for (const [number, row] of this.rows) row.classList.toggle("on", this.on.has(number));
    const height = 100 / Math.max(this.lines.length, 1);
    this.marks.replaceChildren(
      ...[...this.on].slice(0, MARKS).map((number) => h("i", { style: `top: ${(number - 1) * height}%` })),
    );
  }

  // bring the lit lines into view unless one is
  reveal() {
    if (!this.on.size || !this.body.offsetParent) return;
    const top = this.body.scrollTop;
    const bottom = top + this.body.clientHeight - HEIGHT;
    const places = [...this.on].sort((a, b) => a - b);
    if (!places.some((number) => (number - 1) * HEIGHT >= top && (number - 1) * HEIGHT <= bottom)) this.goto(places[0]);
  }

  goto(number) {
    this.body.scrollTop = Math.max(0, (number - 1) * HEIGHT - 3 * HEIGHT);
    this.draw();
  }
}

export class CodeView {
  constructor() {
    this.model = model();
    this.panes = {};
    this.element = h("div", { class: "code view" }, this.user(), this.source(), this.machine());
    this.narrow("source");
    on("selected", () => this.light());
    on("pinned", () => this.reveal());
  }

  light() {
    for (const pane of Object.values(this.panes)) pane.light(state.selected);
  }

  reveal() {
    for (const pane of Object.values(this.panes)) pane.reveal();
  }

  column(name, title, controls, body) {
    const heading = h("header", {}, h("h2", {}, title), ...controls);
    return h("section", { class: `column ${name}`, "data-column": name }, heading, body);
  }

  // on a narrow screen one column is shown
  narrow(name) {
    for (const column of this.element.querySelectorAll(".column")) column.classList.toggle("front", column.dataset.column === name);
  }

  user() {
    const files = Object.keys(this.model.files);
    const holder = h("div", { class: "holder" });
    const show = (file) => {
      const pane = new Pane(
        "user",
        "your program",
        this.model.files[file],
        (line) => ({ kind: "user", file, line }),
        (selected) => new Set([...selected.user].filter((key) => key.startsWith(`${file}:`)).map((key) => Number(key.slice(file.length + 1)))),
        (line) => this.model.hue(this.model.ofLine.get(`${file}:${line}`) || []),
      );
      this.panes.user = pane;
      holder.replaceChildren(pane.element);
      pane.light(state.selected);
      requestAnimationFrame(() => pane.goto(Math.min(...this.model.places.filter((place) => place.file === file).map((place) => place.line)) || 1));
    };
    if (!files.length) return this.column("user", "Your program", [], h("p", { class: "none" }, "Its text was not found."));
    const counts = new Map(files.map((file) => [file, this.model.places.filter((place) => place.file === file).length]));
    files.sort((a, b) => counts.get(b) - counts.get(a));
    show(files[0]);
    const choice = h("select", { "aria-label": "file", onchange: (event) => show(event.target.value) }, files.map((file) => h("option", { value: file }, shortFile(file))));
    return this.column("user", "Your program", [files.length > 1 ? choice : h("span", { class: "file" }, shortFile(files[0]))], holder);
  }

  source() {
    const lines = this.model.record.source || [];
    if (!lines.length) return this.column("source", "Generated source", [], h("p", { class: "none" }, "This target generates none."));
    const pane = new Pane(
      "source",
      "generated source",
      lines,
      (line) => ({ kind: "source", line }),
      (selected) => selected.source,
      (line) => this.model.hue((this.model.links[line - 1] || { places: [] }).places),
    );
    this.panes.source = pane;
    const begins = new Map();
    this.model.links.forEach((link, k) => link.function && !begins.has(link.function) && begins.set(link.function, k + 1));
    const jump = h("select", { "aria-label": "function", onchange: (event) => pane.goto(begins.get(event.target.value)) }, [...begins.keys()].map((name) => h("option", {}, name)));
    const first = begins.get(this.model.phases[0]) || 1;
    if (this.model.phases[0]) jump.value = this.model.phases[0];
    requestAnimationFrame(() => pane.goto(first));
    return this.column("source", "Generated source", [jump], pane.element);
  }

  machine() {
    const names = { asm: "asm", llvm: "LLVM IR", ptx: "PTX", sass: "SASS" };
    const stages = ["asm", "llvm"].filter((stage) => this.model.code[stage]);
    const plain = ["ptx", "sass"].filter((stage) => (this.model.record.stages || {})[stage]);
    if (!stages.length && !plain.length) return this.column("machine", "Machine code", [], h("p", { class: "none" }, "This target compiles nothing."));
    const holder = h("div", { class: "holder" });
    const jump = h("select", { "aria-label": "function of the machine code" });
    const show = (stage) => {
      const code = this.model.code[stage] || plainCode(this.model.record.stages[stage]);
      const pane = new Pane(
        "machine",
        names[stage],
        code.html,
        (line) => (this.model.code[stage] ? { kind: "code", stage, line } : null),
        (selected) => selected.code[stage] || new Set(),
        (line) => (code.lines[line - 1] ? this.model.hue((this.model.links[code.lines[line - 1] - 1] || { places: [] }).places) : null),
      );
      this.panes.machine = pane;
      holder.replaceChildren(pane.element);
      pane.light(state.selected);
      const begins = labels(pane, stage);
      jump.replaceChildren(...[...begins.keys()].map((name) => h("option", {}, name)));
      jump.onchange = () => pane.goto(begins.get(jump.value));
      const first = this.model.phases[0];
      if (begins.has(first)) {
        jump.value = first;
        requestAnimationFrame(() => pane.goto(begins.get(first)));
      }
    };
    const all = [...stages, ...plain];
    show(all[0]);
    const choice = h("select", { "aria-label": "kind of machine code", onchange: (event) => show(event.target.value) }, all.map((stage) => h("option", { value: stage }, names[stage])));
    return this.column("machine", "Machine code", [choice, jump], holder);
  }
}

function plainCode(text) {
  const escape = (line) => line.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const lines = text.split("\n");
  return { html: lines.map(escape), lines: lines.map(() => 0) };
}

// where functions begin in a pane of machine code
function labels(pane, stage) {
  const found = new Map();
  pane.lines.forEach((line, k) => {
    const text = textOf(line);
    const match = stage === "llvm" ? /^define .*?@"?([^"(]+)"?\(/.exec(text) : stage === "ptx" ? /\.entry\s+(\w+)/.exec(text) : /^([^.\s][^\s:]*):/.exec(text);
    if (match) found.set(match[1].replace(/^.*\./, ""), k + 1);
  });
  return found;
}
