// One search over nodes, the user's program, generated source and machine code.

import { cut, h, shortFile, textOf } from "./dom.js";
import { model, point, state, tell } from "./state.js";

const FOUND = 40;

export class Search {
  constructor(goto) {
    this.goto = goto;
    this.input = h("input", { type: "search", placeholder: "search  ( / )", "aria-label": "search", oninput: () => this.find(), onkeydown: (event) => this.key(event) });
    this.list = h("ul", { class: "found", hidden: true, role: "listbox" });
    this.element = h("div", { class: "search" }, this.input, this.list);
    this.input.addEventListener("blur", () => setTimeout(() => (this.list.hidden = true), 200));
    this.chosen = -1;
  }

  texts() {
    const known = model();
    if (this.known === known) return this.all;
    this.known = known;
    this.all = [];
    const last = new Set(known.graphs.at(-1)?.nodes || []);
    known.nodes.forEach((node, k) => last.has(k) && this.all.push({ where: "graph", text: `${node.name} ${node.op} ${node.text}`.trim(), target: { kind: "node", node: k }, view: "graph" }));
    for (const [file, lines] of Object.entries(known.files)) {
      lines.forEach((html, k) => this.all.push({ where: `${shortFile(file)}:${k + 1}`, text: textOf(html).trim(), target: { kind: "user", file, line: k + 1 }, view: "code", pane: "user", line: k + 1 }));
    }
    (known.record.source || []).forEach((html, k) => this.all.push({ where: `source ${k + 1}`, text: textOf(html).trim(), target: { kind: "source", line: k + 1 }, view: "code", pane: "source", line: k + 1 }));
    if (known.code.asm) known.code.asm.html.forEach((html, k) => this.all.push({ where: `asm ${k + 1}`, text: textOf(html).trim(), target: { kind: "code", stage: "asm", line: k + 1 }, view: "code", pane: "machine", line: k + 1 }));
    return this.all;
  }

  find() {
    const wanted = this.input.value.trim().toLowerCase();
    this.chosen = -1;
    if (!wanted) {
      this.list.hidden = true;
      return;
    }
    const all = this.texts().filter((entry) => entry.text.toLowerCase().includes(wanted));
    this.results = all.slice(0, FOUND);
    const rows = this.results.map((entry, k) => h("li", { role: "option", onmousedown: (event) => { event.preventDefault(); this.open(k); } }, h("b", {}, entry.where), h("code", {}, cut(entry.text, 90))));
    if (all.length > FOUND) rows.push(h("li", { class: "none" }, `and ${all.length - FOUND} more`));
    if (!all.length) rows.push(h("li", { class: "none" }, "nothing found"));
    this.list.replaceChildren(...rows);
    this.list.hidden = false;
  }

  key(event) {
    if (event.key === "Escape") {
      this.input.value = "";
      this.list.hidden = true;
      this.input.blur();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const count = (this.results || []).length;
      if (!count) return;
      this.chosen = (this.chosen + (event.key === "ArrowDown" ? 1 : count - 1) + (this.chosen < 0 && event.key === "ArrowUp" ? 1 : 0)) % count;
      [...this.list.children].forEach((row, k) => row.classList.toggle("on", k === this.chosen));
      this.list.children[this.chosen].scrollIntoView({ block: "nearest" });
      event.preventDefault();
    } else if (event.key === "Enter" && (this.results || []).length) {
      this.open(Math.max(this.chosen, 0));
    }
  }

  open(number) {
    const entry = this.results[number];
    state.view = entry.view;
    tell("view");
    point(entry.target, true);
    this.goto(entry);
    this.list.hidden = true;
  }
}
