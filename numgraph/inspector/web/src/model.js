// What belongs to what: lines of the user's program, nodes, lines of generated source, lines of machine code.

function put(map, key, value) {
  const known = map.get(key);
  if (known) known.push(value);
  else map.set(key, [value]);
}

export class Model {
  constructor(record) {
    this.record = record;
    const making = record.making || {};
    this.places = making.places || [];
    this.files = making.files || {};
    this.nodes = making.nodes || [];
    this.graphs = making.graphs || [];
    this.rewrites = making.rewrites || [];
    this.buffers = making.buffers || [];
    this.phases = making.phases || [];
    this.links = making.links || [];
    this.code = record.code || {};
    this.index();
  }

  index() {
    this.ofLine = new Map(); // "file:line" -> places
    this.places.forEach((place, k) => put(this.ofLine, `${place.file}:${place.line}`, k));
    this.sourceOfPlace = new Map();
    this.sourceOfNode = new Map();
    this.links.forEach((link, k) => {
      for (const place of link.places) put(this.sourceOfPlace, place, { line: k + 1, exact: link.exact });
      if (link.node >= 0) put(this.sourceOfNode, link.node, k + 1);
    });
    this.nodesOfPlace = new Map();
    this.nodes.forEach((node, k) => node.places.forEach((place) => put(this.nodesOfPlace, place, k)));
    this.becoming = new Map(); // node of the last graph -> variables that it was
    this.nodes.forEach((node, k) => node.becomes >= 0 && put(this.becoming, node.becomes, k));
    this.codeOfSource = {};
    for (const [stage, code] of Object.entries(this.code)) {
      const found = (this.codeOfSource[stage] = new Map());
      code.lines.forEach((line, k) => line && put(found, line, k + 1));
    }
  }

  // the hue of a line of the user's, the same in all panes
  hue(places) {
    return places.length ? (this.ofLine.get(this.key(places[0]))[0] * 47) % 360 : null;
  }

  key(place) {
    return `${this.places[place].file}:${this.places[place].line}`;
  }

  // exact lines of the source, or where there are none those around them
  sourceOf(places) {
    const found = places.flatMap((place) => this.sourceOfPlace.get(place) || []);
    const exact = found.filter((link) => link.exact);
    return (exact.length ? exact : found).map((link) => link.line);
  }

  relatives(node) {
    const last = this.nodes[node].becomes >= 0 ? this.nodes[node].becomes : node;
    return [node, last, ...(this.becoming.get(last) || [])];
  }

  // {kind, ...} of what is pointed at -> sets of what belongs to it
  related(target) {
    const found = { target, places: new Set(), user: new Set(), source: new Set(), nodes: new Set(), code: {} };
    const add = (set, values) => values.forEach((value) => set.add(value));
    if (target.kind === "user") {
      const places = this.ofLine.get(`${target.file}:${target.line}`) || [];
      add(found.places, places);
      add(found.source, this.sourceOf(places));
      add(found.nodes, places.flatMap((place) => this.nodesOfPlace.get(place) || []));
      found.user.add(`${target.file}:${target.line}`);
    } else if (target.kind === "source") {
      this.fromSource(found, target.line);
    } else if (target.kind === "code") {
      const line = this.code[target.stage].lines[target.line - 1];
      if (line) this.fromSource(found, line);
    } else if (target.kind === "node") {
      const nodes = this.relatives(target.node);
      add(found.nodes, nodes);
      add(found.places, nodes.flatMap((node) => this.nodes[node].places));
      add(found.source, nodes.flatMap((node) => this.sourceOfNode.get(node) || []));
      if (!found.source.size) add(found.source, this.sourceOf([...found.places]));
    }
    for (const place of found.places) found.user.add(this.key(place));
    for (const [stage, known] of Object.entries(this.codeOfSource)) {
      found.code[stage] = new Set([...found.source].flatMap((line) => known.get(line) || []));
    }
    return found;
  }

  fromSource(found, line) {
    const link = this.links[line - 1];
    found.source.add(line);
    if (!link) return;
    link.places.forEach((place) => found.places.add(place));
    if (link.node >= 0) this.relatives(link.node).forEach((node) => found.nodes.add(node));
  }
}
