// Where nodes and groups stand: each open group is laid out by itself, innermost first, and then is one box in the
// layout around it. So a folded graph takes no longer than what is seen of it.

import { Graph, layout } from "@dagrejs/dagre";

const LINE = 15;
const WIDTH = 7.1; // of a letter
const HEADER = 22;
const PAD = 12;

export function nodeSize(lines) {
  const longest = Math.max(...lines.map((line) => line.length), 4);
  return { width: longest * WIDTH + 18, height: lines.length * LINE + 10 };
}

// -> boxes: id -> {x, y, width, height} of nodes and groups; edges: [{from, to, points}]
export function laidOut(top, edges, texts) {
  const parent = new Map();
  const adopt = (part) => {
    part.nodes.forEach((node) => parent.set(node, part));
    part.groups.forEach((inner) => {
      parent.set(inner, part);
      adopt(inner);
    });
  };
  adopt(top);
  const chain = (start) => {
    const found = [start];
    while (found.at(-1) !== top) found.push(parent.get(found.at(-1)));
    return found;
  };
  // an edge belongs to the innermost group that contains both ends
  const lifted = new Map();
  for (const [from, to] of edges) {
    const a = chain(from);
    const b = chain(to);
    let k = 1;
    while (k < Math.min(a.length, b.length) && a.at(-1 - k) === b.at(-1 - k)) k += 1;
    const around = a.at(-k);
    const [one, other] = [a.at(-1 - k), b.at(-1 - k)];
    if (one === undefined || other === undefined) continue;
    if (!lifted.has(around)) lifted.set(around, new Map());
    const [i, j] = [idOf(one), idOf(other)];
    lifted.get(around).set(`${i} ${j}`, { from: i, to: j });
  }
  const boxes = new Map();
  const drawn = [];
  const size = place(top, lifted, texts, boxes, drawn);
  absolute(top, 0, 0, boxes, drawn);
  return { boxes, edges: drawn.filter((edge) => edge.points), size };
}

export function idOf(part) {
  return typeof part === "number" ? `n${part}` : part.id;
}

// the size of a group, with places of its parts relative to it
function place(part, lifted, texts, boxes, drawn) {
  if (!part.open) return { width: Math.max(part.label.length, 10) * WIDTH + 60, height: 40 };
  const graph = new Graph();
  graph.setGraph({ rankdir: "TB", nodesep: 14, ranksep: 26, marginx: PAD, marginy: PAD });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const node of part.nodes) graph.setNode(idOf(node), nodeSize(texts(node)));
  for (const inner of part.groups) graph.setNode(inner.id, place(inner, lifted, texts, boxes, drawn));
  for (const edge of (lifted.get(part) || new Map()).values()) graph.setEdge(edge.from, edge.to);
  layout(graph);
  for (const id of graph.nodes()) {
    const { x, y, width, height } = graph.node(id);
    boxes.set(id, { x: x - width / 2, y: y - height / 2 + (part.kind === "all" ? 0 : HEADER), width, height, part });
  }
  for (const { v, w } of graph.edges()) drawn.push({ from: v, to: w, around: part, raw: graph.edge(v, w).points });
  const { width, height } = graph.graph();
  return {
    width: Math.max(width || 0, part.label.length * WIDTH + 60),
    height: (height || 0) + (part.kind === "all" ? 0 : HEADER),
  };
}

function absolute(part, x, y, boxes, drawn) {
  const shift = part.kind === "all" ? 0 : HEADER;
  for (const edge of drawn) {
    if (edge.around === part) edge.points = edge.raw.map((point) => ({ x: point.x + x, y: point.y + y + shift }));
  }
  for (const inside of [...part.nodes, ...part.groups]) {
    const box = boxes.get(idOf(inside));
    box.x += x;
    box.y += y;
    if (typeof inside !== "number" && inside.open) absolute(inside, box.x, box.y, boxes, drawn);
  }
}
