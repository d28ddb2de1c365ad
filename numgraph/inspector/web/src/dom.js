// Elements by a call. Text is always text: what a user's names contain is never read as HTML.

const SVG = "http://www.w3.org/2000/svg";

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function h(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

export function table(columns, rows, kind = "") {
  const head = h("tr", {}, columns.map((column) => h("th", {}, column)));
  return h(
    "div",
    { class: "scroll" },
    h("table", { class: kind }, h("thead", {}, head), h("tbody", {}, rows.map((row) => h("tr", {}, row.map(cell))))),
  );
}

function cell(value) {
  const number = typeof value === "number";
  return h("td", number ? { class: "number" } : {}, number ? counted(value) : value ?? "?");
}

export function counted(number) {
  return number === null || number === undefined ? "?" : Math.round(number).toLocaleString("en-US");
}

export function bytes(number) {
  if (number === null || number === undefined) return "?";
  const units = ["B", "KiB", "MiB", "GiB"];
  let unit = 0;
  while (number >= 1000 && unit < 3) {
    number /= 1024;
    unit += 1;
  }
  return `${unit ? number.toFixed(1) : number} ${units[unit]}`;
}

export function micros(number) {
  if (number === null || number === undefined) return "?";
  if (number >= 1000) return `${(number / 1000).toPrecision(3)} ms`;
  return `${number >= 100 ? number.toFixed(0) : number.toPrecision(2)} µs`;
}

export function cut(text, length) {
  return text.length <= length ? text : text.slice(0, length - 1) + "…";
}

// the text of a line that numgraph.inspector.page has highlighted
const ENTITIES = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#x27;": "'" };
export function textOf(html) {
  return html.replace(/<[^>]+>/g, "").replace(/&(amp|lt|gt|quot|#x27);/g, (entity) => ENTITIES[entity]);
}

export function shortFile(file) {
  const parts = file.split(/[/\\]/);
  return parts.slice(-2).join("/");
}
