// What is pointed at, moving about, and the beginning.

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

// With what led to it.
function lookAtViolation() {
  const { time } = picture.violation;
  const first = sends[Math.max(0, lowerBound(sends, time) - LEADING)];
  lookAt(time, Math.max(usual * 10, (time - (first?.time ?? begin)) * 1.3));
}

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
  const said = sends.filter((s) => within(s.slots)).map((s) => s.time);
  const about = marks.filter((m) => within(m.slots)).map((m) => m.time);
  const times = said.length ? said : about;
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
  button.addEventListener("click", lookAtViolation);
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
if (wish.has("violation") && picture.violation) lookAtViolation();
