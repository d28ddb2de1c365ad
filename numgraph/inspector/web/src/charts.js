// Memory over the phases, and the roofline.

import { bytes, cut, h, micros, svg, table } from "./dom.js";
import { model, on, point, state } from "./state.js";

// Rows of a chart of memory, the largest arrays first where there are more.
const ROWS = 120;
const PLACES = {
  arena: "the arena: temporaries of a call, kept between calls",
  private: "each chunk's own memory, in the arena",
  rows: "tiles of rows, in each chunk's own memory",
  output: "outputs, new arrays at each call",
  fresh: "new arrays that shared variables get",
  shared: "shared variables, written in place",
  base: "written over another array",
  moving: "rows that move from step to step of a scan",
  register: "registers, never in memory",
};

export class MemoryView {
  constructor() {
    this.model = model();
    const parts = Object.keys(PLACES).map((place) => this.part(place)).filter(Boolean);
    const resident = this.model.record.resident;
    const total = resident.reduce((sum, value) => sum + (value.nbytes || 0), 0);
    this.element = h(
      "div",
      { class: "memory view page" },
      h("h2", {}, "Memory over the phases"),
      parts.length ? parts : h("p", { class: "none" }, "Nothing is stored in between."),
      h("h2", {}, `Resident: ${bytes(total)}`),
      table(["array", "type", "bytes", "made at"], resident.map((value) => [value.name, value.type, bytes(value.nbytes), value.line])),
    );
    on("selected", () => this.light());
  }

  part(place) {
    const buffers = this.model.buffers.filter((buffer) => buffer.place === place);
    if (!buffers.length) return null;
    const stages = [...new Set(buffers.map((buffer) => buffer.stage))];
    const known = buffers.some((buffer) => buffer.nbytes !== null);
    const count = place === "register" ? "" : known ? `, ${bytes(buffers.reduce((sum, buffer) => sum + (buffer.nbytes || 0), 0))} in ${buffers.length} arrays` : `, ${buffers.length} arrays`;
    return h("section", {}, h("h3", {}, `${PLACES[place]}${count}`), stages.map((stage) => this.drawn(buffers.filter((buffer) => buffer.stage === stage), place)));
  }

  // one row for an array, from the phase that writes it to the last that reads it; those in an arena by their offset
  drawn(buffers, place) {
    const phases = this.model.phases;
    const label = 190;
    const column = Math.max(5, Math.min(130, 800 / Math.max(phases.length, 1)));
    const kept = buffers.length > ROWS ? [...buffers].sort((a, b) => (b.nbytes ?? 0) - (a.nbytes ?? 0)).slice(0, ROWS) : buffers;
    const every = Math.ceil(52 / column);
    const sorted = [...kept].sort((a, b) => (a.offset ?? 0) - (b.offset ?? 0) || a.first - b.first);
    const width = label + column * phases.length + 170;
    const height = 24 + sorted.length * 22;
    const heads = phases.map((name, k) => (k % every ? null : svg("text", { class: "head", x: label + k * column + 2, y: 14 }, name.replace("phase_", column < 52 ? "" : "phase ")))).filter(Boolean);
    const grid = phases.map((_, k) => k).filter((k) => k % every === 0).map((k) => svg("line", { class: "grid", x1: label + k * column, x2: label + k * column, y1: 20, y2: height }));
    const rows = sorted.map((buffer, k) => {
      const y = 24 + k * 22;
      const [first, last] = buffer.first < 0 ? [0, phases.length - 1] : [buffer.first, buffer.last];
      const more = [buffer.nbytes !== null ? bytes(buffer.nbytes) : "? bytes", ["arena", "private", "rows"].includes(place) && buffer.offset !== null ? `at ${buffer.offset.toLocaleString("en-US")}` : "", buffer.over ? `in ${buffer.over}` : ""].filter(Boolean).join(", ");
      const at = (held) => () => buffer.node >= 0 && point({ kind: "node", node: buffer.node }, held);
      return svg(
        "g",
        { class: "buffer", "data-node": buffer.node, onmouseenter: at(false), onmouseleave: () => point(null), onclick: at(true) },
        svg("text", { class: "name", x: 2, y: y + 14 }, cut(`${buffer.name} ${buffer.type}`, 27), svg("title", {}, `${buffer.name} ${buffer.type}`)),
        svg("rect", { x: label + first * column + 1, y: y + 2, width: (last - first + 1) * column - 2, height: 17, rx: 3 }),
        svg("text", { class: "more", x: label + (last + 1) * column + 6, y: y + 14 }, more),
      );
    });
    const rest = buffers.length - kept.length;
    return h("div", { class: "scroll" }, rest ? h("p", { class: "none" }, `The ${ROWS} largest; ${rest} more are not drawn.`) : null, svg("svg", { class: "chart", width, height, role: "img", "aria-label": `memory: ${PLACES[place]}` }, ...heads, ...grid, ...rows));
  }

  light() {
    const nodes = state.selected ? state.selected.nodes : new Set();
    for (const row of this.element.querySelectorAll(".buffer")) row.classList.toggle("on", nodes.has(Number(row.dataset.node)));
  }
}

// -- cost -----------------------------------------------------------------------------------------------------------

const BOX = { width: 620, height: 340, left: 58, right: 16, top: 16, bottom: 42 };

export class CostView {
  constructor() {
    const record = model().record;
    const found = record.explanation;
    const measured = new Map(((record.profile || {}).phases || []).map((phase) => [phase.name, phase.median ?? phase.mean]));
    if (!found) {
      this.element = h("div", { class: "cost view page" }, h("p", { class: "none" }, "This target does not say what a call costs."));
      return;
    }
    const rows = found.phases.map((phase) => [
      phase.name,
      cut(phase.makes.join(", "), 60),
      phase.loops.join(" × "),
      phase.flops,
      bytesOf(phase),
      micros(phase.alone),
      micros(phase.together),
      ...(measured.size ? [micros(measured.get(phase.name))] : []),
      phase.limit,
      phase.chunks === null ? "?" : String(phase.chunks),
      phase.reason,
    ]);
    const columns = ["phase", "makes", "loops", "flops", "bytes", "one thread", "predicted", ...(measured.size ? ["measured"] : []), "limit", "chunks", "why"];
    this.element = h(
      "div",
      { class: "cost view page" },
      h("h2", {}, "What a call costs"),
      h("p", {}, [found.lengths, `${found.threads} thread${found.threads > 1 ? "s" : ""}`, found.calls ? `${found.calls.toLocaleString("en-US")} calls so far, ${micros(found.measured)} on average` : "no calls so far"].filter(Boolean).join("; "), "."),
      table(columns, rows, "phases"),
      h("h2", {}, "Roofline"),
      roofline(found, measured),
      h("p", { class: "none" }, found.machine),
      record.profile ? threads(record.profile) : null,
      found.updates.length ? [h("h2", {}, "Updates"), table(["variable", "how", "why"], found.updates.map((update) => [update.target, update.how, update.why]))] : null,
      found.notes.length ? [h("h2", {}, "Notes"), h("ul", {}, found.notes.map((note) => h("li", {}, note)))] : null,
    );
  }
}

// who was at work, as a bar for each phase and thread
function threads(profile) {
  const rows = profile.phases.filter((phase) => phase.threads.length).flatMap((phase) => {
    const most = Math.max(...phase.threads.map((thread) => thread.busy), 1e-9);
    return phase.threads.map((thread, k) => [
      k ? "" : phase.name,
      thread.thread,
      h("span", { class: "bar-cell" }, h("i", { class: "busy", style: `width: ${(100 * thread.busy) / most}%` })),
      micros(thread.busy),
      String(Math.round(10 * thread.chunks) / 10),
    ]);
  });
  return rows.length ? [h("h2", {}, `Threads, mean of ${profile.calls.toLocaleString("en-US")} calls`), table(["phase", "thread", "", "busy", "chunks"], rows)] : null;
}

function bytesOf(phase) {
  return phase.read === null || phase.written === null ? null : phase.read + phase.written;
}

// operations per byte against operations per second, both as powers of ten
function roofline(found, measured) {
  const limits = found.limits || {};
  const points = found.phases.map((phase) => ({ phase, x: phase.flops && bytesOf(phase) ? phase.flops / bytesOf(phase) : null, time: measured.get(phase.name) ?? phase.together })).filter((point) => point.x && point.time);
  if (!limits.peak || !points.length) return h("p", { class: "none" }, "There is no phase whose operations and bytes are known before a call.");
  const rates = points.map((point) => point.phase.flops / point.time / 1000);
  const span = (values, room) => [Math.floor(Math.log10(Math.min(...values)) - room), Math.ceil(Math.log10(Math.max(...values)) + room)];
  const [x0, x1] = span([...points.map((point) => point.x), 0.1, 100], 0);
  const [y0, y1] = span([...rates, limits.peak, limits.memory * 10 ** x0], 0);
  const x = (value) => BOX.left + ((Math.log10(value) - x0) / (x1 - x0)) * (BOX.width - BOX.left - BOX.right);
  const y = (value) => BOX.height - BOX.bottom - ((Math.log10(value) - y0) / (y1 - y0)) * (BOX.height - BOX.top - BOX.bottom);
  const power = (exponent) => (exponent < 0 ? (10 ** exponent).toFixed(-exponent) : String(10 ** exponent));
  const ticks = [];
  for (let k = x0; k <= x1; k += 1) ticks.push(svg("line", { class: "grid", x1: x(10 ** k), x2: x(10 ** k), y1: BOX.top, y2: BOX.height - BOX.bottom }), svg("text", { class: "tick", x: x(10 ** k), y: BOX.height - BOX.bottom + 16, "text-anchor": "middle" }, power(k)));
  for (let k = y0; k <= y1; k += 1) ticks.push(svg("line", { class: "grid", x1: BOX.left, x2: BOX.width - BOX.right, y1: y(10 ** k), y2: y(10 ** k) }), svg("text", { class: "tick", x: BOX.left - 6, y: y(10 ** k) + 4, "text-anchor": "end" }, power(k)));
  const roof = (speed, peak, name, kind) => {
    const knee = Math.min(Math.max(peak / speed, 10 ** x0), 10 ** x1);
    const low = Math.max(speed * 10 ** x0, 10 ** y0);
    const from = low / speed;
    return [svg("path", { class: `roof ${kind}`, d: `M${x(from)},${y(low)} L${x(knee)},${y(peak)} L${x(10 ** x1)},${y(peak)}` }), name ? svg("text", { class: "roofname", x: x(from) + 8, y: y(low) - 8, transform: `rotate(${(-Math.atan2(y(low) - y(peak), x(knee) - x(from)) * 180) / Math.PI} ${x(from) + 8} ${y(low) - 8})` }, name) : null];
  };
  const dots = points.map((point, k) => svg("g", { class: "dot" }, svg("circle", { cx: x(point.x), cy: y(Math.max(rates[k], 10 ** y0)), r: 5 }), svg("text", { x: x(point.x) + 8, y: y(Math.max(rates[k], 10 ** y0)) + 4 }, point.phase.name), svg("title", {}, `${point.phase.name}: ${point.x.toPrecision(3)} flops per byte, ${rates[k].toPrecision(3)} GFLOP/s`)));
  const chart = svg(
    "svg",
    { class: "chart roofline", viewBox: `0 0 ${BOX.width} ${BOX.height}`, role: "img", "aria-label": "roofline" },
    ...ticks,
    ...roof(limits.cache, limits.peak, `${limits.cache.toPrecision(3)} GB/s from the first cache`, "cache"),
    ...roof(limits.memory, limits.peak, `${limits.memory.toPrecision(3)} GB/s from memory`, "memory"),
    svg("text", { class: "roofname", x: BOX.width - BOX.right - 4, y: y(limits.peak) - 6, "text-anchor": "end" }, `${limits.peak.toPrecision(3)} GFLOP/s, float32, all threads`),
    svg("text", { class: "axis", x: (BOX.width + BOX.left) / 2, y: BOX.height - 6, "text-anchor": "middle" }, "operations per byte"),
    svg("text", { class: "axis", transform: `rotate(-90 14 ${BOX.height / 2})`, x: 14, y: BOX.height / 2, "text-anchor": "middle" }, "GFLOP/s"),
    ...dots,
  );
  return h("figure", {}, chart, h("figcaption", {}, measured.size ? "Times are measured." : "Times are predicted; f.profile() measures them."));
}
