// The cluster as a drawing, as a list, and what has become of it.

import { $, h, put, s } from "./dom.js";
import { clock, count, roundTrip, span } from "./text.js";
import { stateWord } from "./status.js";

/** The drawing, in its own units. */
const WIDTH = 360;
const CENTRE = { x: WIDTH / 2, y: 138 };
const RING = 88;
const SEAT = 23;
const STANDBY_Y = 286;
const STANDBY = 16;

/** How long somebody who has gone can still be seen going, in milliseconds. */
const LEAVING = 1_400;

/** Slots of the log that a process may be behind before it is worth a word: a busy cluster decides as many
 * between two looks. */
const LAG = 50;

const NOTES_MAX = 40;
const NOTES = "doozer-notes";

const isCalm = matchMedia("(prefers-reduced-motion: reduce)");

/** Seats in order: numbers by size, then names. */
function bySlot(a, b) {
  const [x, y] = [Number(a), Number(b)];
  if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
  return x - y || (a < b ? -1 : 1);
}

/** Addresses without a port that all have. */
function shortNames(processes) {
  const ports = new Set(processes.map(({ addr }) => addr.slice(addr.lastIndexOf(":"))));
  return ({ addr, id }) => {
    if (addr === "") return id.slice(0, 6);
    return ports.size === 1 && processes.length > 1 ? addr.slice(0, addr.lastIndexOf(":")) : addr;
  };
}

export class Cluster {
  constructor() {
    this.nodes = new Map();
    this.seats = new Map();
    this.lines = new Map();
    this.svg = $("drawing");
    this.under = s("g");
    this.over = s("g");
    this.word = s("text", { class: "centre", x: CENTRE.x, y: CENTRE.y - 2 });
    this.hint = s("text", { class: "centre hint", x: CENTRE.x, y: CENTRE.y + 15 });
    this.none = s("text", { class: "hint", x: CENTRE.x, y: STANDBY_Y + 26 });
    this.svg.setAttribute("viewBox", `0 0 ${WIDTH} ${STANDBY_Y + 50}`);
    this.svg.append(this.under, this.word, this.hint, this.none, this.over);
    this.rows = new Map();
    // A page that is loaded again remembers what it has seen.
    this.notes = JSON.parse(sessionStorage.getItem(NOTES) ?? "[]");
    this.drawNotes();
  }

  show(status) {
    const { processes, vacancies } = status;
    this.name = shortNames(processes);
    const members = processes.filter((process) => process.role === "member");
    const standbys = processes.filter((process) => process.role === "standby");
    const slots = members.map(({ slot }) => slot).filter((slot) => slot !== null);
    const seats = [...new Set([...slots, ...vacancies])].sort(bySlot);
    const extra = members.filter(({ slot }) => slot === null);
    const all = seats.length + extra.length;
    const place = (n) => {
      if (all === 1) return { x: CENTRE.x, y: CENTRE.y };
      const angle = (n / all) * 2 * Math.PI - Math.PI / 2;
      return { x: CENTRE.x + RING * Math.cos(angle), y: CENTRE.y + RING * Math.sin(angle) };
    };
    const places = new Map();
    for (const member of members) {
      const n = member.slot === null ? seats.length + extra.indexOf(member) : seats.indexOf(member.slot);
      places.set(member.id, place(n));
    }
    const gap = Math.min(92, WIDTH / Math.max(1, standbys.length));
    standbys.forEach(({ id }, n) => {
      places.set(id, { x: WIDTH / 2 + (n - (standbys.length - 1) / 2) * gap, y: STANDBY_Y });
    });
    put(this.none, standbys.length === 0 ? "no standby" : "");
    this.drawSeats(seats, place, vacancies, all);
    this.drawLines(members, places, all);
    for (const process of processes) this.drawNode(process, places.get(process.id));
    this.forget(this.nodes, new Set(places.keys()));
    const up = members.filter(({ state }) => ["up", "leaving", "unreached"].includes(state)).length;
    const isAlone = all === 1;
    put(this.word, isAlone ? "" : `${up} of ${members.length} up`);
    put(this.hint, isAlone ? "" : `${status.may_fail} may fail`);
    this.svg.setAttribute("aria-label", `${status.summary}. ${status.problems.join(". ")}`);
    this.list(status);
  }

  drawSeats(seats, place, vacancies, all) {
    for (const [n, slot] of seats.entries()) {
      let seat = this.seats.get(slot);
      if (!seat) {
        seat = s("g", { class: "seat" }, s("circle", { r: SEAT + 5 }), s("text", { class: "slot" }));
        this.seats.set(slot, seat);
        this.under.append(seat);
      }
      const { x, y } = place(n);
      seat.style.transform = `translate(${x}px, ${y}px)`;
      const isVacant = vacancies.includes(slot);
      seat.classList.toggle("vacant", isVacant);
      put(seat.lastChild, isVacant ? `${slot}: vacant` : "");
    }
    for (const [slot, seat] of this.seats) {
      if (seats.includes(slot)) continue;
      seat.remove();
      this.seats.delete(slot);
    }
    this.svg.classList.toggle("alone", all === 1);
  }

  /** How members hear each other: a line, with the round trip where there is room. */
  drawLines(members, places, all) {
    const wanted = new Set();
    const says = (from, to) => from.links.find((link) => link.to === to.id);
    members.forEach((one, n) => {
      for (const other of members.slice(n + 1)) {
        const key = `${one.id} ${other.id}`;
        wanted.add(key);
        let line = this.lines.get(key);
        if (!line) {
          line = s("g", { class: "line" }, s("line"), s("text"));
          this.lines.set(key, line);
          this.under.prepend(line);
        }
        const told = [says(one, other), says(other, one)].filter(Boolean);
        const [a, b] = [places.get(one.id), places.get(other.id)];
        line.classList.toggle("broken", told.length < 2 || told.some((link) => !link.heard));
        const [stroke, label] = line.children;
        for (const [name, value] of Object.entries({ x1: a.x, y1: a.y, x2: b.x, y2: b.y })) {
          stroke.setAttribute(name, value);
        }
        const trips = told.map((link) => link.round_trip_us).filter((us) => us !== null);
        const hasRoom = all <= 3;
        put(label, hasRoom && trips.length > 0 && told.length === 2 ? roundTrip(Math.max(...trips)) : "");
        // Outside of the ring, where nothing else is.
        const [x, y] = [(a.x + b.x) / 2, (a.y + b.y) / 2];
        label.setAttribute("x", x + (x - CENTRE.x) * 0.55);
        label.setAttribute("y", y + (y - CENTRE.y) * 0.16 + 3);
      }
    });
    for (const [key, line] of this.lines) {
      if (wanted.has(key)) continue;
      line.remove();
      this.lines.delete(key);
    }
  }

  drawNode(process, { x, y }) {
    const { id, role, state, owner, slot, lag, web } = process;
    let node = this.nodes.get(id);
    if (!node) {
      node = s(
        "g",
        { class: "node" },
        s("circle", { class: "ripple", r: SEAT }),
        s("circle", { class: "body", r: SEAT }),
        s("path", { class: "cross", d: "M-9-9 9 9M9-9-9 9" }),
        s("text", { class: "slot" }),
        s("text", { class: "label" }),
        s("text", { class: "lag" }),
        s("title"),
      );
      node.style.transform = `translate(${x}px, ${y + 24}px)`;
      node.style.opacity = 0;
      this.over.append(node);
      this.nodes.set(id, node);
      // From where it comes to where it belongs, so that it is seen coming.
      node.getBoundingClientRect();
    }
    const isMember = role === "member";
    const [ripple, body, , number, label, behind, title] = node.children;
    node.style.opacity = 1;
    node.style.transform = `translate(${x}px, ${y}px)`;
    node.setAttribute("class", `node ${role} ${state}`);
    node.classList.toggle("owner", owner);
    node.classList.toggle("here", web === location.host);
    const radius = isMember ? SEAT : STANDBY;
    ripple.setAttribute("r", radius);
    body.setAttribute("r", radius);
    put(number, isMember ? (slot ?? "–") : "S");
    put(label, this.name(process));
    // Outside of the ring, where no line is.
    const isAbove = isMember && y < CENTRE.y - RING / 3;
    label.setAttribute("y", isAbove ? -radius - 11 : radius + 19);
    put(behind, lag > LAG && state === "up" ? `${count(lag)} behind` : state === "up" ? "" : stateWord(state));
    behind.setAttribute("y", isAbove ? -radius - 24 : radius + 32);
    put(title, `${process.addr} ${id}`);
  }

  /** Who is not there any more fades away. */
  forget(nodes, wanted) {
    for (const [id, node] of nodes) {
      if (wanted.has(id)) continue;
      nodes.delete(id);
      node.classList.add("leaves");
      setTimeout(() => node.remove(), LEAVING);
    }
  }

  /** A member has written that it is there. */
  beat(id) {
    if (isCalm.matches || document.hidden) return;
    const ripple = this.nodes.get(id)?.firstChild;
    ripple?.animate(
      [
        { transform: "scale(1)", opacity: 0.55 },
        { transform: "scale(1.7)", opacity: 0 },
      ],
      { duration: 1_100, easing: "ease-out" },
    );
  }

  list({ processes, vacancies }) {
    const list = $("processes");
    const wanted = [];
    for (const process of processes) {
      let row = this.rows.get(process.id);
      if (!row) {
        row = h("li", {}, h("span", { class: "chip" }), h("div", {}, h("b"), h("i"), h("small")));
        this.rows.set(process.id, row);
      }
      this.fill(row, process);
      wanted.push(row);
    }
    for (const slot of vacancies) {
      const key = `vacant ${slot}`;
      let row = this.rows.get(key);
      if (!row) {
        const words = h("div", {}, h("b", {}, "vacant"), h("small", {}, "waits for a standby"));
        row = h("li", { class: "vacant" }, h("span", { class: "chip" }, slot), words);
        this.rows.set(key, row);
      }
      wanted.push(row);
    }
    for (const [key, row] of this.rows) if (!wanted.includes(row)) this.rows.delete(key);
    const isSame = wanted.length === list.children.length
      && wanted.every((row, n) => list.children[n] === row);
    if (!isSame) list.replaceChildren(...wanted);
  }

  fill(row, process) {
    const { addr, id, slot, role, state, owner, lag, note, version } = process;
    const [chip, words] = row.children;
    const [name, word, small] = words.children;
    row.className = `${role} ${state}`;
    row.classList.toggle("here", process.web === location.host);
    put(chip, slot ?? (role === "standby" ? "S" : "–"));
    put(name, addr || id);
    put(word, state === "up" ? (role === "standby" ? "standby" : "up") : stateWord(state));
    const facts = [
      process.web === location.host && "this page",
      owner && "owner",
      lag > LAG && `${count(lag)} behind`,
      process.uptime_ms !== null && `up ${span(process.uptime_ms)}`,
      process.uptime_ms === null && process.heard_ms !== null && `heard ${span(process.heard_ms)} ago`,
      process.durable && "durable",
      version && `v${version}`,
    ];
    put(small, note ? note : facts.filter(Boolean).join(" · "));
    row.title = `id ${id}`;
  }

  note(text, kind, at = Date.now()) {
    this.notes = [{ text, kind, at }, ...this.notes].slice(0, NOTES_MAX);
    sessionStorage.setItem(NOTES, JSON.stringify(this.notes));
    this.drawNotes();
  }

  drawNotes() {
    $("notes").replaceChildren(...this.notes.map(({ text, kind, at }) => h(
      "li",
      { class: kind },
      h("time", {}, clock(at)),
      h("span", {}, text),
    )));
    $("notes-none").hidden = this.notes.length > 0;
  }
}
