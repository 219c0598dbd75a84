// What happens, one line each, the latest first.

import { $, h, painter, put } from "./dom.js";
import { bytes, clock, count, filter, preview } from "./text.js";

/** Events that are kept, and lines that are drawn. */
const KEPT = 5_000;
const LINES = 200;

/** Between two pictures at least, in milliseconds: nobody reads faster. */
const GAP = 120;

const SIGNS = { set: "set", del: "del", nop: "nop" };

export class Stream {
  /** `on.select(path, rev)` is told of a choice; `on.brief(rev)` says when something was. */
  constructor(on) {
    this.on = on;
    this.kept = [];
    this.waiting = [];
    this.isPaused = false;
    this.list = $("events");
    this.draw = painter(() => this.paint(), GAP);
    this.drawn = 0;
    $("pause").addEventListener("click", () => this.pause());
    $("events-filter").addEventListener("input", () => this.again());
    $("events-ctl").addEventListener("change", () => this.again());
    this.again();
  }

  /** Shows or hides, by what is asked for. */
  again() {
    const input = $("events-filter");
    const lets = filter(input.value.trim());
    input.setAttribute("aria-invalid", lets === null);
    const all = $("events-ctl").checked;
    const isServers = ({ path }) => path === "/" || path.startsWith("/ctl/");
    this.passes = (event) => (all || !isServers(event)) && (lets === null || lets(event.path));
    this.list.replaceChildren();
    this.drawn = 0;
    this.draw();
  }

  /** Events before those that are known. */
  before(events) {
    this.kept = [...events, ...this.kept];
    this.again();
  }

  learn(events) {
    const into = this.isPaused ? this.waiting : this.kept;
    for (const event of events) into.push(event);
    if (into.length > KEPT * 1.2) into.splice(0, into.length - KEPT);
    this.draw();
  }

  gap(from, to) {
    this.learn([{ rev: to, path: "", change: "gap", at: Date.now(), from }]);
  }

  pause() {
    this.isPaused = !this.isPaused;
    if (!this.isPaused) {
      this.kept = [...this.kept, ...this.waiting].slice(-KEPT);
      this.waiting = [];
    }
    $("pause").setAttribute("aria-pressed", this.isPaused);
    this.draw();
  }

  paint() {
    const waiting = this.waiting.filter(this.passes).length;
    const label = waiting > 0 ? `Paused · ${count(waiting)} new` : "Paused";
    put($("pause"), this.isPaused ? label : "Pause");
    const fresh = [];
    for (let n = this.kept.length - 1; n >= 0 && fresh.length < LINES; n -= 1) {
      const event = this.kept[n];
      if (event.rev <= this.drawn) break;
      if (this.passes(event)) fresh.push(this.line(event));
    }
    this.drawn = this.kept.at(-1)?.rev ?? 0;
    this.list.prepend(...fresh);
    while (this.list.children.length > LINES) this.list.lastChild.remove();
    $("events-none").hidden = this.list.children.length > 0;
  }

  line(event) {
    const { rev, path, change, text, base64, at, from, len } = event;
    if (change === "gap") {
      const words = `revisions ${count(from + 1)} to ${count(rev)} were not followed`;
      return h("li", { class: "gap" }, words);
    }
    const time = at ? clock(at) : this.on.brief(rev);
    const value = change === "set" ? preview(text ?? "", base64 !== undefined) : "";
    return h(
      "li",
      { class: change },
      h(
        "button",
        { type: "button", onclick: () => this.on.select(path, rev), disabled: change === "nop" },
        h("span", { class: "rev" }, String(rev)),
        h("time", {}, time),
        h("span", { class: "sign" }, SIGNS[change] ?? change),
        h("span", { class: "path" }, path),
        h("span", { class: "value", title: len === undefined ? "" : bytes(len) }, value),
      ),
    );
  }
}
