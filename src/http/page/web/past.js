// The past that the cluster retains: which revision is looked at, and which it is compared with.

import * as api from "./api.js";
import { $, painter, put, s } from "./dom.js";
import { ago, clock, count } from "./text.js";

/** How long the slider rests before the tree is read as it was there, in milliseconds. */
const REST = 90;

/** Between two notes of when which revision came, in milliseconds. */
const NOTED = 900;

/** Between two looks at what is still retained. */
const REFRESH = 15_000;

/** Between two drawings of all marks at least, in milliseconds. */
const MARKS_GAP = 300;

/** The drawing above the slider, in its own units. */
const HEIGHT = 26;
const BUCKET = 4;

const isServers = (path) => path === "/" || path.startsWith("/ctl/");

export class Past {
  /** `on.change(rev, base)` is told what to show, nothing for the present; `on.times()` that more is known
   * of when revisions came. */
  constructor(on) {
    this.on = on;
    this.oldest = 1;
    this.rev = 1;
    this.times = [];
    /** What is looked at; nothing for the present. */
    this.at = null;
    /** What it is compared with; nothing for the present. */
    this.base = null;
    this.known = [];
    this.slider = $("when");
    this.marks = $("marks");
    this.lines = { servers: s("path", { class: "servers" }), users: s("path", { class: "users" }) };
    this.marks.append(this.lines.servers, this.lines.users);
    this.slider.addEventListener("input", () => this.moved());
    $("now").addEventListener("click", () => this.go(null));
    $("pin").addEventListener("click", () => this.pin());
    this.draw = painter(() => this.paint());
    this.drawMarks = painter(() => this.paintMarks(), MARKS_GAP);
    new ResizeObserver(this.draw).observe(this.marks);
    setInterval(() => this.refresh().catch(() => {}), REFRESH);
  }

  async refresh() {
    const { oldest, rev, now, times } = await api.json("/api/v1/history");
    // What the node notes is told by its clock.
    const skew = Date.now() - now;
    this.oldest = oldest;
    this.rev = Math.max(this.rev, rev);
    this.times = times.map(([of, at]) => [of, at + skew]);
    this.on.times();
    this.draw();
  }

  /** When a revision came, as far as it is known: at a moment, or before it. */
  timeOf(rev) {
    let [from, to] = [0, this.times.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.times[middle][0] < rev) from = middle + 1;
      else to = middle;
    }
    // What came since the last note came with the latest event at the latest.
    if (from === this.times.length) return rev <= this.rev && this.heard ? { at: this.heard } : null;
    return { at: this.times[from][1], isBefore: from === 0 && rev < this.times[0][0] };
  }

  /** The same in words. */
  when(rev, isLong = true) {
    const time = this.timeOf(rev);
    if (!time) return "";
    if (time.isBefore) return `before ${clock(time.at)}`;
    return isLong ? `${clock(time.at)} (${ago(Date.now() - time.at)})` : clock(time.at);
  }

  /** The same where there is little room: nothing where only a bound is known. */
  brief(rev) {
    const time = this.timeOf(rev);
    return time && !time.isBefore ? clock(time.at).replace(/ .*/, "") : "";
  }

  /** Learns of events, which come in the order of their revisions. */
  learn(events, isLive) {
    for (const { rev, path, at } of events) {
      this.known.push([rev, isServers(path)]);
      if (isLive && (this.times.at(-1)?.[1] ?? 0) < at - NOTED) {
        this.times.push([rev, at]);
        this.on.times();
      }
      if (!isLive) continue;
      this.rev = Math.max(this.rev, rev);
      this.heard = at;
    }
    if (!isLive) this.known.sort((a, b) => a[0] - b[0]);
    if (this.known.length > 50_000) this.known = this.known.slice(-40_000);
    this.draw();
  }

  moved() {
    const rev = Number(this.slider.value);
    this.at = rev >= this.rev ? null : rev;
    this.draw();
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.on.change(this.at, this.base), REST);
  }

  /** Looks at a revision; at the present without one. */
  go(rev, base = rev === null ? null : this.base) {
    this.at = rev === null || rev >= this.rev ? null : Math.max(rev, this.oldest);
    this.base = base;
    clearTimeout(this.resting);
    this.draw();
    this.on.change(this.at, this.base);
  }

  /** To the change of users before this one, or after it; by one where none is known. */
  step(by) {
    const here = this.at ?? this.rev;
    const revs = this.known.filter(([, isTheirs]) => !isTheirs).map(([rev]) => rev);
    const next = by < 0 ? revs.findLast((rev) => rev < here) : revs.find((rev) => rev > here);
    this.go(next ?? (by < 0 ? here - 1 : null));
  }

  pin() {
    this.go(this.at, this.base === null ? this.at : null);
  }

  paint() {
    const { slider, rev, oldest, at, base } = this;
    slider.min = oldest;
    slider.max = rev;
    if (document.activeElement !== slider || at === null || Number(slider.value) !== at) {
      slider.value = at ?? rev;
    }
    const text = at === null ? `rev ${count(rev)}, now` : `rev ${count(at)}, ${this.when(at)}`;
    slider.setAttribute("aria-valuetext", text);
    put($("when-text"), at === null ? "now" : `rev ${count(at)}`);
    put($("when-time"), at === null ? `rev ${count(rev)}` : this.when(at));
    put($("oldest"), `rev ${count(oldest)}${this.timeOf(oldest) ? ` · ${this.when(oldest, false)}` : ""}`);
    put($("newest"), `rev ${count(rev)}`);
    document.body.classList.toggle("past", at !== null);
    $("now").setAttribute("aria-pressed", at === null);
    $("pin").disabled = at === null;
    $("pin").setAttribute("aria-pressed", base !== null);
    put($("pin"), base === null ? "Compare from here" : `Compared with rev ${count(base)}`);
    this.drawMarks();
  }

  paintMarks() {
    const width = this.marks.clientWidth;
    if (width === 0) return;
    this.marks.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const all = Math.max(1, this.rev - this.oldest);
    const buckets = { servers: new Map(), users: new Map() };
    for (const [rev, isTheirs] of this.known) {
      if (rev < this.oldest) continue;
      const x = Math.floor((((rev - this.oldest) / all) * (width - 1)) / BUCKET);
      const into = isTheirs ? buckets.servers : buckets.users;
      into.set(x, (into.get(x) ?? 0) + 1);
    }
    for (const [kind, line] of Object.entries(this.lines)) {
      let path = "";
      for (const [x, n] of buckets[kind]) {
        const high = kind === "users" ? Math.min(HEIGHT, 8 + 4 * Math.log2(n)) : Math.min(7, 2 + n / 2);
        path += `M${x * BUCKET + BUCKET / 2} ${HEIGHT}v-${high.toFixed(1)}`;
      }
      if (this.base !== null && kind === "users") {
        const x = ((this.base - this.oldest) / all) * (width - 1);
        path += `M${x.toFixed(1)} 0V${HEIGHT}`;
      }
      line.setAttribute("d", path);
    }
  }
}
