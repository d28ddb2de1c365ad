// A graph as a tree of groups: by phase, by the user's function or line, none of them too large to read.

import { shortFile } from "./dom.js";

// Nodes in a group, beyond which it is divided; groups and nodes that are shown at first.
const LARGEST = 40;
const SHOWN = 45;

let serial = 0;

function group(label, nodes, kind) {
  return { id: `g${serial++}`, label, kind, nodes, groups: [], open: false, count: nodes.length };
}

function divided(nodes, key) {
  const parts = new Map();
  for (const node of nodes) {
    const name = key(node);
    if (!parts.has(name)) parts.set(name, []);
    parts.get(name).push(node);
  }
  return parts;
}

function keys(model) {
  const place = (node) => model.places[model.nodes[node].places[0]];
  return {
    phase: (node) => model.nodes[node].phases[0] || "",
    function: (node) => (place(node) ? `${place(node).function} (${shortFile(place(node).file)})` : ""),
    line: (node) => (place(node) ? `${shortFile(place(node).file)}:${place(node).line}` : ""),
  };
}

function grown(top, nodes, model, order) {
  const known = keys(model);
  if (!order.length || nodes.length <= (top.kind === "all" ? 0 : LARGEST)) {
    fill(top, nodes);
    return;
  }
  const [kind, ...rest] = order;
  const parts = divided(nodes, known[kind]);
  if (parts.size === 1 && top.kind !== "all") {
    grown(top, nodes, model, rest);
    return;
  }
  for (const [name, inside] of parts) {
    // what belongs to none, and a group of one, stands by itself
    if (!name || inside.length === 1) {
      if (inside.length <= LARGEST) top.nodes.push(...inside);
      else fill(top, inside);
      continue;
    }
    const made = group(name, [], kind);
    made.count = inside.length;
    grown(made, inside, model, rest);
    top.groups.push(made);
  }
  while (top.groups.length > LARGEST) gather(top);
}

// groups of groups, as they follow one another
function gather(top) {
  const size = Math.ceil(Math.sqrt(top.groups.length));
  const gathered = [];
  for (let begin = 0; begin < top.groups.length; begin += size) {
    const part = top.groups.slice(begin, begin + size);
    const made = group(`${part[0].label} to ${part.at(-1).label}`, [], "part");
    made.groups = part;
    made.count = part.reduce((sum, inner) => sum + inner.count, 0);
    gathered.push(part.length > 1 ? made : part[0]);
  }
  top.groups = gathered;
}

// nodes in a group, as parts of it where they are too many
function fill(top, nodes) {
  if (nodes.length <= LARGEST) {
    top.nodes.push(...nodes);
    return;
  }
  const size = Math.max(LARGEST, Math.ceil(nodes.length / LARGEST));
  for (let begin = 0; begin < nodes.length; begin += size) {
    const part = nodes.slice(begin, begin + size);
    const made = group(`nodes ${begin + 1} to ${begin + part.length}`, [], "part");
    made.count = part.length;
    fill(made, part);
    top.groups.push(made);
  }
}

export function tree(model, nodes, by) {
  const orders = { phase: ["phase", "line"], function: ["function", "line"], line: ["line"], none: [] };
  const top = group("all", [], "all");
  top.open = true;
  top.count = nodes.length;
  grown(top, nodes, model, orders[by]);
  let shown = top.nodes.length + top.groups.length;
  const waiting = [...top.groups];
  while (waiting.length) {
    const next = waiting.shift();
    const more = next.nodes.length + next.groups.length - 1;
    if (shown + more > SHOWN) continue;
    next.open = true;
    shown += more;
    waiting.push(...next.groups);
  }
  return top;
}

export function* all(top) {
  for (const part of top.groups) {
    yield part;
    yield* all(part);
  }
}

// opens the groups around a node; whether one was closed
export function reveal(top, node) {
  let changed = false;
  const within = (part) => part.nodes.includes(node) || part.groups.some((inner) => within(inner));
  let here = top;
  while (!here.nodes.includes(node)) {
    const next = here.groups.find(within);
    if (!next) return changed;
    changed = changed || !next.open;
    next.open = true;
    here = next;
  }
  return changed;
}
