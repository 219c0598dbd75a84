"use strict";
// The tables of a run, what of them is chosen, and where it is in the picture: a lane for each host,
// time from left to right.

const data = JSON.parse(document.getElementById("data").textContent);
const picture = data.picture;
const $ = (id) => document.getElementById(id);

// What messages look like; kinds that are alike share a colour.
const COLOURS = {
  Accept: "#2563eb", Accepted: "#16a34a", Reject: "#e11d48", Prepare: "#9333ea",
  Promise: "#c026d3", Learn: "#0d9488", Ask: "#5eaaa0", Truncated: "#5eaaa0", Follow: "#5eaaa0",
  SnapshotAsk: "#a16207", SnapshotPiece: "#ca8a04", Forward: "#ea580c", Where: "#0ea5e9",
  At: "#38bdf8", Beat: "#94a3b8",
};
// What besides messages can be shown, and whether it is at first.
const LAYERS = {
  lost: ["lost messages", true], applies: ["applied slots", true], records: ["records", true],
  notices: ["notices, seats, faults", true], links: ["connections", false],
  clients: ["clients", false],
};
const HEAD = 24; // Height of the time axis, in pixels.
const LEFT = 62; // Width of the names of lanes.
const NEAR = 7; // Pixels within which something is pointed at.
const BLOCK = 256; // Arrows that are skipped together if all of them are out of sight.
const HASTY = 12000; // Arrows that are drawn at most while the picture moves.
const HEADS = 2500; // Arrows that get heads at most.
const LABELS = 50; // Arrows that get labels at most.
const LEADING = 24; // Messages before a broken rule that are shown with it.
const NO_CONNECTION = "there is no connection"; // As the simulator words it.
const SPAN_MIN = 50; // Microseconds that the picture shows at least.

// ---- The tables, made ready for searching.

const sends = picture.sends;
const arrows = picture.arrows.map((a) => {
  const send = sends[a.send];
  return { ...a, send, from: send.time, kind: send.kind };
});
arrows.sort((a, b) => a.from - b.from);
const blocks = [];
for (let i = 0; i < arrows.length; i += BLOCK) {
  blocks.push(Math.max(...arrows.slice(i, i + BLOCK).map((a) => a.time)));
}
const marks = picture.marks;
const begin = Math.min(sends[0]?.time ?? 0, marks[0]?.time ?? 0, picture.end);
const end = Math.max(picture.end, begin + SPAN_MIN);
const shades = picture.shades.map((s) => ({ ...s, until: Math.min(s.until, end) }));
const delays = arrows.filter((a) => a.lost === null).map((a) => a.time - a.from);
delays.sort((a, b) => a - b);
const usual = delays[delays.length >> 1] ?? 1000;
const lanes = Math.max(0, ...picture.nodes.map((n) => n.lane + 1));
const hosts = picture.nodes.map((n) => Number(n.name.slice(1).split(".")[0]));
const laneOfHost = new Map();
picture.nodes.forEach((n, pid) => {
  if (!laneOfHost.has(hosts[pid])) laneOfHost.set(hosts[pid], n.lane);
});
// A broken rule names its culprits.
const accused = new Set();
if (picture.violation) {
  for (const [name] of picture.violation.text.matchAll(/\bn\d+(\.\d+)?\b/g)) accused.add(name);
}

// ---- What is chosen.

const kinds = Object.keys(COLOURS).filter((kind) => sends.some((s) => s.kind === kind));
const hidden = { kinds: new Set(), hosts: new Set() };
const layers = new Set(Object.keys(LAYERS).filter((name) => LAYERS[name][1]));
const chosen = { slot: null, client: null };
let view = { from: begin, span: end - begin };
let kept = null;
let pointed = null;
let hasty = false;

function chip(row, text, colour, isOn, turn) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  button.style.setProperty("--of", colour);
  button.setAttribute("aria-pressed", String(isOn));
  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    turn(on);
    redraw();
  });
  row.append(button);
}

const turn = (set, key) => (on) => (on ? set.delete(key) : set.add(key));
for (const kind of kinds) chip($("kinds"), kind, COLOURS[kind], true, turn(hidden.kinds, kind));
for (const [name, [text, on]] of Object.entries(LAYERS)) {
  chip($("layers"), text, "var(--faint)", on, (on) => (on ? layers.add(name) : layers.delete(name)));
}
for (const host of [...new Set(hosts)].sort((a, b) => a - b)) {
  chip($("nodes"), `n${host}`, "var(--ink)", true, turn(hidden.hosts, host));
}

const within = (slots) => slots.some(([first, last]) => first <= chosen.slot && chosen.slot <= last);
const isOn = (pid) => pid === null || !hidden.hosts.has(hosts[pid]);

function showsArrow(a) {
  return !hidden.kinds.has(a.kind) && (a.lost === null || layers.has("lost"))
    && isOn(a.send.node) && isOn(a.node)
    && (chosen.slot === null || within(a.send.slots) || within(a.send.given_up));
}

const LAYER_OF = {
  applies: "applies", records: "records", syncs: "records", links: "links", unlinks: "links",
};
function showsMark(m) {
  const layer = LAYER_OF[m.what[0]] ?? "notices";
  return layers.has(layer) && isOn(m.node)
    && (chosen.slot === null || layer === "notices" || within(m.slots));
}

function showsAsk(ask) {
  return layers.has("clients") && isOn(ask.node)
    && (chosen.client === null || ask.client === chosen.client);
}

// ---- Where things are.

const canvas = $("picture");
const overview = $("overview");
const pen = canvas.getContext("2d");
let ink = {};
let width = 0;
let height = 0;

// Clients that come and go one after the other share a row below the lanes.
const lives = new Map();
for (const ask of picture.asks) {
  const last = ask.answer ? ask.answer[1] : end;
  const [from, to] = lives.get(ask.client) ?? [ask.time, last];
  lives.set(ask.client, [Math.min(from, ask.time), Math.max(to, last)]);
}
const rowOf = new Map();
const rowsUntil = [];
for (const [client, [from, to]] of [...lives].sort((a, b) => a[1][0] - b[1][0])) {
  const free = rowsUntil.findIndex((until) => until < from);
  const row = free < 0 ? rowsUntil.length : free;
  rowsUntil[row] = to;
  rowOf.set(client, row);
}
const rows = () => (chosen.client === null ? rowsUntil.length : 1);
const clientArea = () =>
  (layers.has("clients") ? Math.min((height - HEAD) * 0.4, rows() * 18) : 0);
const rowHeight = () => (height - HEAD - clientArea()) / Math.max(1, lanes);
const x = (time) => LEFT + ((time - view.from) / view.span) * (width - LEFT);
const timeAt = (px) => view.from + ((px - LEFT) / (width - LEFT)) * view.span;
const yOfLane = (lane) => HEAD + (lane + 0.5) * rowHeight();
const yOf = (pid) => yOfLane(picture.nodes[pid].lane);
const yOfClient = (client) => {
  const row = chosen.client === null ? rowOf.get(client) : 0;
  return height - clientArea() + ((row + 0.5) / rows()) * clientArea();
};

// A message that is lost when it leaves ends on its way; one that is lost later ends where it would
// have arrived.
function ends(a) {
  const [y0, y1] = [yOf(a.send.node), yOf(a.node)];
  const isAtOnce = a.lost !== null && a.number === a.send.number;
  const to = isAtOnce ? a.from + usual * 0.6 : a.time;
  const share = a.lost === null ? 1 : isAtOnce ? 0.6 : 0.93;
  return [x(a.from), y0, x(to), y0 + (y1 - y0) * share];
}

function* inSight() {
  const last = view.from + view.span;
  for (let block = 0; block < blocks.length; block++) {
    const first = block * BLOCK;
    if (arrows[first].from > last) return;
    if (Math.max(blocks[block], arrows[first].from + usual) < view.from) continue;
    for (let i = first; i < Math.min(first + BLOCK, arrows.length); i++) {
      const a = arrows[i];
      if (a.from > last) return;
      if (Math.max(a.time, a.from + usual) >= view.from && showsArrow(a)) yield a;
    }
  }
}

function lowerBound(list, time) {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle].time < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

function* marksInSight(margin) {
  const last = view.from + view.span + margin;
  for (let i = lowerBound(marks, view.from - margin); i < marks.length; i++) {
    if (marks[i].time > last) return;
    if (showsMark(marks[i])) yield marks[i];
  }
}
