// Draws what is in sight, and the whole run below it.

function readInk() {
  const style = getComputedStyle(document.documentElement);
  const names = ["back", "panel", "ink", "faint", "line", "lane", "lane-dead", "red", "red-back",
    "cut", "hold", "lag", "pause", "slow", "batch", "skip"];
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
  return `${(us / 1000 + 0).toLocaleString("en", { maximumFractionDigits: 3 })} ms`;
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
}

function drawAxis() {
  const steps = [1, 2, 5];
  const wanted = view.span / Math.max(2, (width - LEFT) / 110);
  let step = 1;
  for (let power = 0; step < wanted; power++) step = steps[power % 3] * 10 ** Math.floor(power / 3);
  pen.font = "11px sans-serif";
  pen.strokeStyle = ink.line;
  pen.fillStyle = ink.faint;
  for (let t = Math.max(0, Math.ceil(view.from / step) * step); t < view.from + view.span; t += step) {
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
  // What is sent without a connection is lost by itself; what the network loses is worth a look.
  const crosses = { vain: new Path2D(), lost: new Path2D() };
  const withHeads = seen.length <= HEADS;
  for (let i = 0; i < seen.length; i += every) {
    const a = seen[i];
    const [x0, y0, x1, y1] = ends(a);
    const path = a.lost === null ? lines.get(a.kind) : faded;
    path.moveTo(x0, y0);
    path.lineTo(x1, y1);
    if (a.lost !== null) {
      const size = withHeads ? 4 : 2.5;
      const path = a.lost === NO_CONNECTION ? crosses.vain : crosses.lost;
      path.moveTo(x1 - size, y1 - size);
      path.lineTo(x1 + size, y1 + size);
      path.moveTo(x1 - size, y1 + size);
      path.lineTo(x1 + size, y1 - size);
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
  pen.globalAlpha = 0.5;
  pen.strokeStyle = ink.faint;
  pen.stroke(crosses.vain);
  pen.globalAlpha = 1;
  pen.strokeStyle = ink.red;
  pen.lineWidth = 1.5;
  pen.stroke(crosses.lost);
  pen.lineWidth = 1;
  if (seen.length <= LABELS) seen.forEach(drawLabel);
  return seen.length;
}

function drawLabel(a) {
  const [x0, y0, x1, y1] = ends(a);
  const text = `${a.kind} ${spans(a.send.slots)}`.trim();
  pen.font = "11px sans-serif";
  pen.globalAlpha = a.lost === null ? 1 : 0.6;
  pen.strokeStyle = ink.lane;
  pen.lineWidth = 3;
  // Nearer to the receiver, so that copies of one message are told apart.
  const [px, py] = [x0 + (x1 - x0) * 0.62 + 5, y0 + (y1 - y0) * 0.62 + 4];
  pen.strokeText(text, px, py);
  pen.fillStyle = COLOURS[a.kind];
  pen.fillText(text, px, py);
  pen.lineWidth = 1;
  pen.globalAlpha = 1;
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
    const isWrite = ["set", "del", "nop"].includes(ask.kind);
    pen.fillStyle = isWrite ? ink.batch : COLOURS.Learn;
    pen.globalAlpha = ask.answer ? 0.75 : 0.25;
    const half = Math.min(5, clientArea() / rows() / 2 - 0.5);
    pen.fillRect(x(ask.time), py - half, Math.max(2, x(last) - x(ask.time)), 2 * half);
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
  if (layers.has("clients")) {
    pen.font = "11px sans-serif";
    pen.fillStyle = ink.faint;
    pen.fillText("clients", 12, height - clientArea() / 2);
  }
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
