// What goes in and comes out, what stays, and what the compiler did.

import { bytes, counted, h, table } from "./dom.js";
import { model } from "./state.js";

export class OverviewView {
  constructor() {
    const record = model().record;
    const value = (role) => (v) => [role, v.name, v.type, v.nbytes === null ? "?" : bytes(v.nbytes), v.line];
    const values = [...record.inputs.map(value("in")), ...record.outputs.map(value("out")), ...record.resident.map(value("resident"))];
    const pairs = (title, verb, found) => (found.length ? [h("h2", {}, title), table(["variable", verb, "type", "made at"], found.map((pair) => [pair.target, code(pair.expression), pair.type, pair.line]))] : null);
    const phases = record.phases.map((p) => [p.name, p.kind, p.loops.join(" × "), p.statements, p.flops, p.bytes, p.reads.join(" "), p.writes.join(" ")]);
    const passes = record.passes.map((p) => [p.name, (1000 * p.seconds).toFixed(1), Object.entries(p.made).map(([what, count]) => `${counted(count)} ${what}`).join(", ")]);
    const facts = [record.cache_path ? `${record.cached ? "Loaded from the cache" : "Compiled"} in ${record.compile_seconds.toFixed(2)} s` : "", record.cache_path, Object.entries(record.versions).map(([name, version]) => `${name} ${version}`).join(", ")].filter(Boolean);
    this.element = h(
      "div",
      { class: "overview view page" },
      h("h2", {}, "Values"),
      table(["", "name", "type", "bytes", "made at"], values),
      pairs("Givens", "stands for", record.givens),
      pairs("Updates", "becomes", record.updates),
      pairs("Gradients", "is", record.gradients),
      phases.length ? [h("h2", {}, "Phases"), table(["phase", "kind", "loops", "statements", "flops", "bytes", "reads", "writes"], phases)] : null,
      passes.length ? [h("h2", {}, "Passes of the compiler"), table(["pass", "ms", "made"], passes)] : null,
      facts.map((fact) => h("p", { class: "none" }, fact)),
    );
  }
}

function code(text) {
  return h("code", {}, text);
}
