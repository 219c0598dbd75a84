"use strict";
// Draws a run: a lane for each host, time from left to right. Only what is in sight is drawn.

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
const clients = [...picture.clients].sort((a, b) => a - b);
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
  return layers.has(LAYER_OF[m.what[0]] ?? "notices") && isOn(m.node)
    && (chosen.slot === null || m.slots.length === 0 || within(m.slots));
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

function shownClients() {
  if (!layers.has("clients")) return [];
  return chosen.client === null ? clients : clients.filter((c) => c === chosen.client);
}
function rows() {
  return lanes + shownClients().length * 0.5;
}
const rowHeight = () => (height - HEAD) / Math.max(1, rows());
const x = (time) => LEFT + ((time - view.from) / view.span) * (width - LEFT);
const timeAt = (px) => view.from + ((px - LEFT) / (width - LEFT)) * view.span;
const yOfLane = (lane) => HEAD + (lane + 0.5) * rowHeight();
const yOf = (pid) => yOfLane(picture.nodes[pid].lane);
const yOfClient = (client) => {
  const place = shownClients().indexOf(client);
  return HEAD + (lanes + place * 0.5 + 0.25) * rowHeight();
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

// ---- Drawing.

function readInk() {
  const style = getComputedStyle(document.documentElement);
  const names = ["back", "panel", "ink", "faint", "line", "lane", "lane-dead", "red", "red-back",
    "cut", "hold", "pause", "slow", "batch", "skip"];
  ink = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

function fit(canvas) {
  const scale = window.devicePixelRatio || 1;
  const box = canvas.getBoundingClientRect();
  const [w, h] = [Math.round(box.width * scale), Math.round(box.height * scale)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  canvas.getContext("2d").setTransform(scale, 0, 0, scale, 0, 0);
  return box;
}

function showTime(us) {
  return `${(us / 1000).toLocaleString("en", { maximumFractionDigits: 3 })} ms`;
}

let planned = false;
function redraw() {
  if (planned) return;
  planned = true;
  requestAnimationFrame(() => {
    planned = false;
    draw();
    drawOverview();
  });
}

function draw() {
  const box = fit(canvas);
  [width, height] = [box.width, box.height];
  pen.fillStyle = ink.back;
  pen.fillRect(0, 0, width, height);
  pen.save();
  pen.beginPath();
  pen.rect(LEFT, 0, width - LEFT, height);
  pen.clip();
  drawLanes();
  drawAxis();
  drawShades();
  const count = drawArrows();
  drawMarks();
  drawAsks();
  drawViolation();
  drawEmphasis();
  pen.restore();
  drawNames();
  const part = view.span < end - begin ? `, ${showTime(view.span)} in sight` : "";
  $("shown").textContent = `${count.toLocaleString("en")} messages${part}`;
}

function drawLanes() {
  const tall = rowHeight();
  for (let lane = 0; lane < lanes; lane++) {
    pen.fillStyle = ink["lane-dead"];
    pen.fillRect(LEFT, HEAD + lane * tall + 1, width, tall - 2);
  }
  picture.nodes.forEach((node, pid) => {
    const [from, to] = [x(node.from), x(node.to ?? end)];
    const top = HEAD + node.lane * tall + 1;
    pen.fillStyle = accused.has(node.name) ? ink["red-back"] : ink.lane;
    pen.fillRect(from, top, to - from, tall - 2);
    pen.strokeStyle = isOn(pid) ? ink.faint : ink.line;
    pen.lineWidth = 1;
    line(from, yOf(pid), to, yOf(pid));
    if (node.to !== null) cross(to, yOf(pid), 5, ink.red, 2);
    pen.fillStyle = ink.ink;
    pen.beginPath();
    pen.arc(from, yOf(pid), 3.5, 0, 7);
    pen.fill();
    if (node.name.includes(".") && to - from > 30) {
      pen.font = "11px sans-serif";
      pen.fillStyle = ink.faint;
      pen.fillText(node.name, Math.max(from, LEFT) + 6, yOf(pid) - 5);
    }
  });
  pen.strokeStyle = ink.line;
  for (const client of shownClients()) {
    line(x(begin), yOfClient(client), x(end), yOfClient(client));
  }
}

function drawAxis() {
  const steps = [1, 2, 5];
  const wanted = view.span / Math.max(2, (width - LEFT) / 110);
  let step = 1;
  for (let power = 0; step < wanted; power++) step = steps[power % 3] * 10 ** Math.floor(power / 3);
  pen.font = "11px sans-serif";
  pen.strokeStyle = ink.line;
  pen.fillStyle = ink.faint;
  for (let t = Math.ceil(view.from / step) * step; t < view.from + view.span; t += step) {
    line(x(t), HEAD - 5, x(t), height);
    pen.fillText(showTime(t), x(t) + 4, HEAD - 8);
  }
}

// Cuts and holds: a strip above the middle of a lane for what does not leave it, below for what does
// not reach it, the stronger the more others that is.
function drawShades() {
  const tall = rowHeight();
  const others = Math.max(1, laneOfHost.size - 1);
  for (const shade of shades) {
    if (shade.until < view.from || shade.from > view.from + view.span) continue;
    const [from, wide] = [x(shade.from), Math.max(1, x(shade.until) - x(shade.from))];
    pen.fillStyle = ink[shade.what];
    if (shade.to === null) {
      pen.globalAlpha = 0.3;
      pen.fillRect(from, HEAD + picture.nodes[shade.of].lane * tall + 1, wide, tall - 2);
      continue;
    }
    pen.globalAlpha = 0.45 / others;
    const [source, target] = [laneOfHost.get(shade.of), laneOfHost.get(shade.to)];
    const strip = Math.min(tall * 0.32, 22);
    if (source !== undefined) pen.fillRect(from, yOfLane(source) - strip, wide, strip);
    if (target !== undefined) pen.fillRect(from, yOfLane(target), wide, strip);
  }
  pen.globalAlpha = 1;
}

function line(x0, y0, x1, y1) {
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.lineTo(x1, y1);
  pen.stroke();
}

function cross(px, py, size, colour, wide) {
  pen.strokeStyle = colour;
  pen.lineWidth = wide;
  pen.beginPath();
  pen.moveTo(px - size, py - size);
  pen.lineTo(px + size, py + size);
  pen.moveTo(px - size, py + size);
  pen.lineTo(px + size, py - size);
  pen.stroke();
  pen.lineWidth = 1;
}

function drawArrows() {
  const seen = [...inSight()];
  const every = hasty ? Math.ceil(seen.length / HASTY) : 1;
  const crowd = seen.length / Math.max(1, width);
  const lines = new Map(kinds.map((kind) => [kind, new Path2D()]));
  const faded = new Path2D();
  const crosses = new Path2D();
  const withHeads = seen.length <= HEADS;
  for (let i = 0; i < seen.length; i += every) {
    const a = seen[i];
    const [x0, y0, x1, y1] = ends(a);
    const path = a.lost === null ? lines.get(a.kind) : faded;
    path.moveTo(x0, y0);
    path.lineTo(x1, y1);
    if (a.lost !== null) {
      const size = withHeads ? 4 : 2.5;
      crosses.moveTo(x1 - size, y1 - size);
      crosses.lineTo(x1 + size, y1 + size);
      crosses.moveTo(x1 - size, y1 + size);
      crosses.lineTo(x1 + size, y1 - size);
    } else if (withHeads) {
      arrowHead(path, x0, y0, x1, y1);
    }
  }
  pen.lineWidth = 1;
  for (const [kind, path] of lines) {
    pen.strokeStyle = COLOURS[kind];
    const strength = kind === "Beat" ? 0.35 : 0.9;
    pen.globalAlpha = Math.max(0.08, Math.min(strength, strength / Math.sqrt(crowd * 2)));
    pen.stroke(path);
  }
  pen.globalAlpha = Math.max(0.12, Math.min(0.6, 0.6 / Math.sqrt(crowd * 2)));
  pen.strokeStyle = ink.faint;
  pen.setLineDash([4, 3]);
  pen.stroke(faded);
  pen.setLineDash([]);
  pen.globalAlpha = 0.9;
  pen.strokeStyle = ink.red;
  pen.stroke(crosses);
  pen.globalAlpha = 1;
  return seen.length;
}

function arrowHead(path, x0, y0, x1, y1) {
  const angle = Math.atan2(y1 - y0, x1 - x0);
  for (const side of [-0.4, 0.4]) {
    path.moveTo(x1, y1);
    path.lineTo(x1 - 6 * Math.cos(angle + side), y1 - 6 * Math.sin(angle + side));
  }
}

// Applied slots are ticks, full for commands and grey for skips; records are squares; what happens
// to all of them is a line from top to bottom.
function drawMarks() {
  const strip = Math.min(rowHeight() * 0.22, 12);
  const ticks = { batch: new Path2D(), skip: new Path2D() };
  const squares = new Path2D();
  const rare = [];
  for (const m of marksInSight(0)) {
    const px = x(m.time);
    if (m.what[0] === "applies") {
      const path = m.skip ? ticks.skip : ticks.batch;
      const size = m.skip ? strip * 0.6 : strip;
      path.moveTo(px, yOf(m.node) - size);
      path.lineTo(px, yOf(m.node) + size);
    } else if (m.what[0] === "records") {
      squares.rect(px - 1.5, yOf(m.node) + strip + 1, 3, 3);
    } else {
      rare.push(m);
    }
  }
  pen.lineWidth = 1.5;
  for (const [name, path] of Object.entries(ticks)) {
    pen.strokeStyle = ink[name];
    pen.stroke(path);
  }
  pen.fillStyle = ink.faint;
  pen.fill(squares);
  pen.font = "11px sans-serif";
  let labelled = -Infinity;
  for (const m of rare) {
    const px = x(m.time);
    const colour = colourOf(m);
    pen.strokeStyle = colour;
    pen.fillStyle = colour;
    if (m.node === null || m.what[0] === "configures") {
      pen.lineWidth = 1;
      pen.setLineDash([3, 4]);
      line(px, HEAD, px, height);
      pen.setLineDash([]);
      if (px - labelled > 90) {
        pen.fillText(label(m), px + 4, HEAD + 11);
        labelled = px;
      }
    } else {
      diamond(px, yOf(m.node) - strip - 6);
    }
  }
  pen.lineWidth = 1;
}

function colourOf(m) {
  return { suffers: ink.cut, configures: COLOURS.Promise, heals: COLOURS.Accepted, halts: ink.red,
    links: COLOURS.Learn, unlinks: ink.red }[m.what[0]] ?? COLOURS.Forward;
}

function label(m) {
  if (m.what[0] === "suffers") return m.text.split(/[ {]/)[0];
  return m.what[0] === "configures" ? "seats" : m.what[0];
}

function diamond(px, py) {
  pen.beginPath();
  pen.moveTo(px, py - 5);
  pen.lineTo(px + 5, py);
  pen.lineTo(px, py + 5);
  pen.lineTo(px - 5, py);
  pen.fill();
}

function drawAsks() {
  for (const ask of picture.asks) {
    const last = ask.answer ? ask.answer[1] : end;
    if (last < view.from || ask.time > view.from + view.span || !showsAsk(ask)) continue;
    const py = yOfClient(ask.client);
    const is_write = ["set", "del", "nop"].includes(ask.kind);
    pen.fillStyle = is_write ? ink.batch : COLOURS.Learn;
    pen.globalAlpha = ask.answer ? 0.75 : 0.25;
    pen.fillRect(x(ask.time), py - 4, Math.max(2, x(last) - x(ask.time)), 8);
  }
  pen.globalAlpha = 1;
}

function drawViolation() {
  const broken = picture.violation;
  if (!broken) return;
  const px = x(broken.time);
  const glow = pen.createLinearGradient(px - 60, 0, px, 0);
  glow.addColorStop(0, "transparent");
  glow.addColorStop(1, ink.red);
  pen.globalAlpha = 0.25;
  pen.fillStyle = glow;
  pen.fillRect(px - 60, HEAD, 60, height);
  pen.globalAlpha = 1;
  pen.strokeStyle = ink.red;
  pen.lineWidth = 2.5;
  line(px, 0, px, height);
  pen.lineWidth = 1;
  pen.font = "bold 12px sans-serif";
  pen.fillStyle = ink.red;
  pen.textAlign = px > LEFT + 90 ? "right" : "left";
  pen.fillText("violated", px + (px > LEFT + 90 ? -6 : 6), HEAD + 12);
  pen.textAlign = "left";
}

function drawEmphasis() {
  for (const thing of [kept, pointed]) {
    if (!thing) continue;
    pen.strokeStyle = ink.ink;
    pen.lineWidth = 2.5;
    if (thing.arrow) {
      // All copies of one message belong together.
      for (const a of arrows) {
        if (a.send === thing.arrow.send && showsArrow(a)) line(...ends(a));
      }
    } else {
      pen.beginPath();
      pen.arc(thing.x(), thing.y(), 9, 0, 7);
      pen.stroke();
    }
    pen.lineWidth = 1;
  }
}

function drawNames() {
  pen.fillStyle = ink.back;
  pen.fillRect(0, 0, LEFT, height);
  pen.font = "600 13px sans-serif";
  pen.textBaseline = "middle";
  const named = new Set();
  picture.nodes.forEach((node, pid) => {
    if (named.has(node.lane)) return;
    named.add(node.lane);
    const lives = picture.nodes.filter((other) => other.lane === node.lane);
    pen.fillStyle = lives.some((life) => accused.has(life.name)) ? ink.red
      : isOn(pid) ? ink.ink : ink.line;
    pen.fillText(lives.length > 1 ? `n${hosts[pid]} ·${lives.length}` : node.name, 12,
      yOfLane(node.lane));
  });
  pen.font = "11px sans-serif";
  pen.fillStyle = ink.faint;
  for (const client of shownClients()) pen.fillText(`c${client}`, 18, yOfClient(client));
  pen.textBaseline = "alphabetic";
}

// ---- The whole run, below.

let density = null;
function drawOverview() {
  const box = fit(overview);
  const brush = overview.getContext("2d");
  const wide = box.width - LEFT;
  const place = (time) => LEFT + ((time - begin) / (end - begin)) * wide;
  if (!density || density.length !== Math.ceil(wide / 2)) {
    density = new Array(Math.max(1, Math.ceil(wide / 2))).fill(0);
    for (const send of sends) {
      const bin = Math.floor(((send.time - begin) / (end - begin)) * density.length);
      density[Math.min(density.length - 1, bin)] += 1;
    }
  }
  brush.fillStyle = ink.back;
  brush.fillRect(0, 0, box.width, box.height);
  const most = Math.max(1, ...density);
  brush.fillStyle = ink.faint;
  density.forEach((count, bin) => {
    const tall = (count / most) * (box.height - 14);
    brush.fillRect(LEFT + bin * 2, box.height - tall, 1.5, tall);
  });
  for (const shade of shades) {
    brush.fillStyle = ink[shade.what];
    brush.globalAlpha = 0.5;
    brush.fillRect(place(shade.from), 3, Math.max(1, place(shade.until) - place(shade.from)), 4);
  }
  brush.globalAlpha = 1;
  for (const m of marks) {
    if (m.what[0] === "suffers") {
      brush.fillStyle = ink.cut;
      brush.fillRect(place(m.time), 0, 1, 10);
    } else if (m.what[0] === "configures") {
      brush.fillStyle = COLOURS.Promise;
      brush.fillRect(place(m.time), 0, 1.5, box.height);
    }
  }
  if (picture.violation) {
    brush.fillStyle = ink.red;
    brush.fillRect(place(picture.violation.time) - 1.5, 0, 3, box.height);
  }
  brush.fillStyle = ink.batch;
  brush.globalAlpha = 0.16;
  const [from, until] = [place(view.from), place(view.from + view.span)];
  brush.fillRect(from, 0, Math.max(3, until - from), box.height);
  brush.globalAlpha = 1;
  brush.strokeStyle = ink.batch;
  brush.strokeRect(from, 0.5, Math.max(3, until - from), box.height - 1);
  brush.fillStyle = ink.faint;
  brush.font = "11px sans-serif";
  brush.fillText("whole run", 6, box.height / 2 + 4);
}

// ---- What something is.

const spans = (list) => list.map(([a, b]) => (a === b ? a : `${a}..${b}`)).join(",");

function describe(thing) {
  if (thing.arrow) {
    const { send, node, lost, number, time, kind } = thing.arrow;
    const [from, to] = [picture.nodes[send.node].name, picture.nodes[node].name];
    const slots = send.slots.length ? `   slots ${spans(send.slots)}` : "";
    const ballot = send.ballot ? `   ballot ${send.ballot}` : "";
    const fate = lost === null
      ? `arrives at event ${number}, ${showTime(time)}, after ${showTime(time - send.time)}`
      : `LOST at event ${number}, ${showTime(time)}: ${lost}`;
    return `${kind}  ${from} → ${to}${slots}${ballot}   ${send.bytes} bytes\n`
      + `leaves at event ${send.number}, ${showTime(send.time)}; ${fate}\n${send.text}`;
  }
  if (thing.ask) {
    const { client, number, time, answer, text } = thing.ask;
    const end = answer
      ? `answered at event ${answer[0]}, ${showTime(answer[1])}, after ${showTime(answer[1] - time)}: `
        + answer[2]
      : "never answered";
    return `c${client} asks ${text}\nat event ${number}, ${showTime(time)}; ${end}`;
  }
  if (thing.shade) {
    const { what, of, to, from, until, text } = thing.shade;
    const who = to === null ? picture.nodes[of].name : `host ${of} → host ${to}`;
    return `${what}  ${who}   ${showTime(from)} to ${showTime(until)}  ${text}`;
  }
  const m = thing.mark;
  const who = m.node === null ? "" : `${picture.nodes[m.node].name} `;
  const slots = m.slots.length ? `   slots ${spans(m.slots)}` : "";
  return `${who}${m.what.join(" ")}${slots}   event ${m.number}, ${showTime(m.time)}\n${m.text}`;
}

const numberOf = (thing) => thing.arrow?.send.number ?? thing.ask?.number ?? thing.mark?.number;

function showDetail(thing) {
  const number = numberOf(thing);
  const from = Math.max(0, number - 20);
  const again = number === undefined ? ""
    : `\ndoozer-sim replay ${data.run} --from-event ${from} --to-event ${number + 50}`;
  const slots = thing.arrow?.send.slots ?? thing.mark?.slots ?? [];
  const why = slots.length ? `\ndoozer-sim explain ${data.run} --slot ${slots[0][0]}` : "";
  $("detail").textContent = describe(thing) + again + why;
}

// The distance from a point to a line between two others.
function distance(px, py, [x0, y0, x1, y1]) {
  const [dx, dy] = [x1 - x0, y1 - y0];
  const t = Math.max(0, Math.min(1, ((px - x0) * dx + (py - y0) * dy) / (dx * dx + dy * dy || 1)));
  return Math.hypot(px - x0 - t * dx, py - y0 - t * dy);
}

function find(px, py) {
  if (px < LEFT) return null;
  let best = null;
  let least = NEAR;
  const margin = (NEAR / (width - LEFT)) * view.span;
  const strip = Math.min(rowHeight() * 0.22, 12);
  for (const m of marksInSight(margin)) {
    const isWhole = m.node === null || m.what[0] === "configures";
    const dx = Math.abs(px - x(m.time));
    const off = { applies: 0, records: strip + 2 }[m.what[0]] ?? -strip - 6;
    const dy = isWhole ? (py < HEAD + 16 ? 0 : NEAR) : Math.abs(py - yOf(m.node) - off) * 0.8;
    if (dx + dy < least) {
      least = dx + dy;
      const y = () => (isWhole ? HEAD + 8 : yOf(m.node) + off);
      best = { mark: m, x: () => x(m.time), y };
    }
  }
  for (const ask of picture.asks) {
    if (!showsAsk(ask) || Math.abs(py - yOfClient(ask.client)) > NEAR) continue;
    const last = ask.answer ? ask.answer[1] : end;
    if (px >= x(ask.time) - 2 && px <= x(last) + 2) {
      const middle = () => (Math.max(LEFT, x(ask.time)) + Math.min(width, x(last))) / 2;
      best = { ask, x: middle, y: () => yOfClient(ask.client) };
      least = 0;
    }
  }
  if (best) return best;
  for (const a of inSight()) {
    const d = distance(px, py, ends(a));
    if (d < least) {
      least = d;
      best = { arrow: a };
    }
  }
  return best ?? findShade(px, py);
}

function findShade(px, py) {
  const time = timeAt(px);
  const strip = Math.min(rowHeight() * 0.32, 22);
  for (const shade of shades) {
    if (time < shade.from || time > shade.until) continue;
    const lane = shade.to === null ? picture.nodes[shade.of].lane : laneOfHost.get(shade.of);
    const isThere = shade.to === null ? Math.abs(py - yOfLane(lane)) < rowHeight() / 2
      : py > yOfLane(lane) - strip && py < yOfLane(lane);
    if (isThere) return { shade, x: () => px, y: () => py };
  }
  return null;
}

// ---- Moving about.

function look(from, span) {
  const widest = (end - begin) * 1.06;
  view.span = Math.min(widest, Math.max(SPAN_MIN, span));
  const margin = view.span * 0.25;
  view.from = Math.min(end + margin - view.span, Math.max(begin - margin, from));
  if (view.span >= end - begin) view.from = begin - (view.span - (end - begin)) / 2;
  haste();
  redraw();
}

let calm = 0;
function haste() {
  hasty = true;
  clearTimeout(calm);
  calm = setTimeout(() => {
    hasty = false;
    redraw();
  }, 140);
}

function zoom(factor, px) {
  const time = timeAt(px);
  const span = Math.min((end - begin) * 1.06, Math.max(SPAN_MIN, view.span * factor));
  look(time - ((px - LEFT) / (width - LEFT)) * span, span);
}

const lookAll = () => look(begin, (end - begin) * 1.02);
const lookAt = (time, span) => look(time - span * 0.7, span);

let drag = null;
canvas.addEventListener("pointerdown", (event) => {
  drag = { x: event.offsetX, from: view.from, moved: false };
  canvas.setPointerCapture(event.pointerId);
});
canvas.addEventListener("pointermove", (event) => {
  if (drag) {
    const moved = event.offsetX - drag.x;
    drag.moved ||= Math.abs(moved) > 3;
    canvas.classList.toggle("dragging", drag.moved);
    if (drag.moved) look(drag.from - (moved / (width - LEFT)) * view.span, view.span);
    return;
  }
  point(event.offsetX, event.offsetY);
});
canvas.addEventListener("pointerup", (event) => {
  canvas.classList.remove("dragging");
  if (drag && !drag.moved) {
    kept = find(event.offsetX, event.offsetY);
    if (kept) showDetail(kept);
    redraw();
  }
  drag = null;
});
canvas.addEventListener("pointerleave", () => point(-1, -1));
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    look(view.from + (event.deltaX / (width - LEFT)) * view.span, view.span);
  } else {
    zoom(Math.exp(event.deltaY * 0.0016), Math.max(LEFT, event.offsetX));
  }
}, { passive: false });

function point(px, py) {
  pointed = px < 0 ? null : find(px, py);
  const tip = $("tip");
  tip.hidden = pointed === null;
  if (pointed) {
    tip.textContent = describe(pointed);
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.min(px + 14, Math.max(0, width - box.width - 8))}px`;
    tip.style.top = `${py + 18 + box.height > height ? Math.max(4, py - box.height - 12) : py + 18}px`;
  }
  redraw();
}

function follow(event) {
  const box = overview.getBoundingClientRect();
  const share = (event.clientX - box.left - LEFT) / (box.width - LEFT);
  look(begin + share * (end - begin) - view.span / 2, view.span);
}
let follows = false;
overview.addEventListener("pointerdown", (event) => {
  follows = true;
  overview.setPointerCapture(event.pointerId);
  follow(event);
});
overview.addEventListener("pointermove", (event) => follows && follow(event));
overview.addEventListener("pointerup", () => { follows = false; });

document.addEventListener("keydown", (event) => {
  if (event.target instanceof HTMLInputElement) return;
  const middle = (LEFT + width) / 2;
  const moves = {
    "+": () => zoom(0.6, middle), "=": () => zoom(0.6, middle), "-": () => zoom(1.6, middle),
    "0": lookAll, ArrowLeft: () => look(view.from - view.span * 0.2, view.span),
    ArrowRight: () => look(view.from + view.span * 0.2, view.span),
  };
  if (moves[event.key]) {
    event.preventDefault();
    moves[event.key]();
  }
});
$("in").addEventListener("click", () => zoom(0.6, (LEFT + width) / 2));
$("out").addEventListener("click", () => zoom(1.6, (LEFT + width) / 2));
$("fit").addEventListener("click", lookAll);

function number(input) {
  const digits = input.value.replace(/\D/g, "");
  return digits === "" ? null : Number(digits);
}
function choose() {
  chosen.slot = number($("slot"));
  chosen.client = number($("client"));
  if (chosen.client !== null) showLayer("clients");
  redraw();
}
function showLayer(name) {
  const place = Object.keys(LAYERS).indexOf(name);
  $("layers").children[place].setAttribute("aria-pressed", "true");
  layers.add(name);
}
$("slot").addEventListener("input", () => {
  choose();
  if (chosen.slot === null) return;
  // What happens to the slot, with some room around it.
  const about = marks.filter((m) => m.what[0] === "applies" && within(m.slots)).map((m) => m.time);
  const said = sends.filter((s) => s.kind !== "Beat" && within(s.slots)).map((s) => s.time);
  const times = [...about, ...said].sort((a, b) => a - b);
  if (times.length) {
    const span = Math.max(usual * 8, times[times.length - 1] - times[0]);
    look(times[0] - span * 0.2, span * 1.4);
  }
});
$("client").addEventListener("input", choose);
$("event").addEventListener("change", () => {
  const wanted = number($("event"));
  const found = wanted === null ? null
    : [...sends, ...marks].reduce((best, one) =>
      Math.abs(one.number - wanted) < Math.abs(best.number - wanted) ? one : best);
  if (found) lookAt(found.time, Math.min(view.span, usual * 30));
});

// ---- The beginning.

$("run").textContent = data.run;
document.title = `doozer-sim ${data.run}`;
$("summary").textContent = data.summary;
if (picture.violation) {
  $("violation").hidden = false;
  const button = $("violation").firstChild;
  button.textContent = `event ${picture.violation.number}, ${showTime(picture.violation.time)}: `
    + picture.violation.text;
  button.addEventListener("click", () => lookAt(picture.violation.time, usual * 40));
}
readInk();
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  readInk();
  redraw();
});
new ResizeObserver(redraw).observe(canvas);
// A part of the page's address chooses the view, so that it can be passed on: #slot=17, #event=123,
// #violation.
const wish = new URLSearchParams(location.hash.slice(1));
lookAll();
if (wish.has("slot")) {
  $("slot").value = wish.get("slot");
  $("slot").dispatchEvent(new Event("input"));
}
if (wish.has("clients")) showLayer("clients");
if (wish.has("event")) {
  $("event").value = wish.get("event");
  $("event").dispatchEvent(new Event("change"));
}
if (wish.has("violation") && picture.violation) lookAt(picture.violation.time, usual * 40);
