// The page of one or several functions: a bar, and one view at a time.

import { MemoryView, CostView } from "./charts.js";
import { CodeView } from "./code.js";
import { h } from "./dom.js";
import { HistoryView } from "./history.js";
import { OverviewView } from "./overview.js";
import { Search } from "./search.js";
import { forget, functions, on, point, state, tell } from "./state.js";

const VIEWS = [
  ["overview", "Overview", OverviewView],
  ["code", "Code", CodeView],
  ["graph", "Graph", HistoryView],
  ["memory", "Memory", MemoryView],
  ["cost", "Cost", CostView],
];

class Page {
  constructor() {
    this.app = document.getElementById("app");
    this.main = h("main", {});
    this.tabs = h("nav", { "aria-label": "views" }, VIEWS.map(([name, text], k) => h("button", { "data-view": name, title: `key ${k + 1}`, onclick: () => this.open(name) }, text)));
    this.search = new Search((entry) => this.views.code?.panes[entry.pane]?.goto(entry.line));
    const many = functions.length > 1;
    const choice = h("select", { class: "function", "aria-label": "function", onchange: (event) => this.choose(Number(event.target.value)) }, functions.map((record, k) => h("option", { value: k }, `${k}  ${record.name}`)));
    this.where = h("span", { class: "where" });
    const theme = h("button", { class: "theme", title: "dark or light (d)", "aria-label": "dark or light", onclick: () => this.theme() }, "◐");
    const title = many ? choice : h("h1", {}, functions.length ? functions[0].name : "no functions");
    this.columns = h("div", { class: "columns", role: "group", "aria-label": "column" }, [["user", "program"], ["source", "source"], ["machine", "machine"]].map(([name, text]) => h("button", { "data-column": name, onclick: () => this.column(name) }, text)));
    this.app.append(h("header", { class: "bar" }, title, this.where, this.tabs, this.search.element, theme), this.columns, this.main);
    document.addEventListener("keydown", (event) => this.key(event));
    if (functions.length) this.choose(0);
  }

  choose(number) {
    forget();
    state.function = number;
    state.selected = null;
    state.pinned = false;
    this.views = {};
    this.main.replaceChildren();
    const record = functions[number];
    this.where.textContent = [record.target, record.line].filter(Boolean).join("  ");
    on("view", () => this.open(state.view));
    this.open(state.view);
  }

  open(name) {
    state.view = name;
    if (!this.views[name]) this.views[name] = new (VIEWS.find((view) => view[0] === name)[2])();
    const view = this.views[name];
    // views stay where they are, so that each keeps its place in its text
    if (view.element.parentNode !== this.main) this.main.append(view.element);
    for (const element of this.main.children) element.hidden = element !== view.element;
    document.body.dataset.view = name;
    for (const tab of this.tabs.children) tab.setAttribute("aria-current", String(tab.dataset.view === name));
    if (name === "graph") view.begin();
    if (name === "code") this.column(this.front || "source");
    tell("selected");
    if (state.pinned) tell("pinned");
  }

  column(name) {
    this.front = name;
    this.views.code?.narrow(name);
    for (const button of this.columns.children) button.setAttribute("aria-current", String(button.dataset.column === name));
    this.views.code?.reveal();
  }

  theme() {
    const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    document.documentElement.dataset.theme = dark ? "light" : "dark";
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    const number = Number(event.key);
    if (number >= 1 && number <= VIEWS.length) this.open(VIEWS[number - 1][0]);
    else if (event.key === "/") {
      this.search.input.focus();
      event.preventDefault();
    } else if (event.key === "d") this.theme();
    else if (event.key === "Escape") point(null, true);
    else if (state.view === "graph" && (event.key === "[" || event.key === "]")) this.views.graph.go(this.views.graph.step + (event.key === "]" ? 1 : -1));
  }
}

new Page();
