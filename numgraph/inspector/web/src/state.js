// What is shown and what is pointed at. Views listen; nobody else keeps a state.

import { Model } from "./model.js";

const data = JSON.parse(document.getElementById("data").textContent);
export const functions = data.functions;
const models = functions.map(() => null);

export const state = { function: 0, view: "code", selected: null, pinned: false };
const listeners = new Map();

export function on(event, listener) {
  if (!listeners.has(event)) listeners.set(event, []);
  listeners.get(event).push(listener);
}

// a new function is drawn by new listeners
export function forget() {
  listeners.clear();
}

export function tell(event) {
  for (const listener of listeners.get(event) || []) listener();
}

export function model() {
  models[state.function] = models[state.function] || new Model(functions[state.function]);
  return models[state.function];
}

// pointed at, until something else is; a click holds it until the next one
export function point(target, held = false) {
  if (state.pinned && !held) return;
  state.selected = target ? model().related(target) : null;
  state.pinned = held && target !== null;
  tell("selected");
  if (state.pinned) tell("pinned");
}
