// How fast the cluster writes.

import { $, put, s } from "./dom.js";
import { count } from "./text.js";

/** Seconds that the little curve shows, and over which the figure is taken. */
const SECONDS = 60;
const MEAN = 5;

const [WIDTH, HEIGHT] = [96, 26];

export class Rate {
  constructor() {
    this.rev = 0;
    /** The revision at the end of each of the last seconds, the latest last. */
    this.ends = [];
    this.area = s("path", { class: "area" });
    this.curve = s("path", { class: "curve" });
    $("curve").setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    $("curve").append(this.area, this.curve);
  }

  at(rev) {
    if (rev < this.rev - 1_000) this.ends = [];
    else if (rev <= this.rev) return;
    this.rev = rev;
    put($("rev"), count(rev));
  }

  /** Once a second. */
  paint() {
    if (this.rev === 0) return;
    this.ends.push(this.rev);
    if (this.ends.length > SECONDS + 1) this.ends.shift();
    const per = this.ends.slice(1).map((rev, n) => rev - this.ends[n]);
    if (per.length === 0) return;
    const latest = per.slice(-MEAN);
    const mean = latest.reduce((sum, n) => sum + n, 0) / latest.length;
    put($("rate"), `${mean < 10 ? mean.toFixed(1) : count(Math.round(mean))}/s`);
    const top = Math.max(10, ...per);
    const points = per.map((n, at) => {
      const x = WIDTH - ((per.length - 1 - at) / (SECONDS - 1)) * WIDTH;
      return `${x.toFixed(1)} ${(HEIGHT - 1 - (n / top) * (HEIGHT - 4)).toFixed(1)}`;
    });
    const first = points[0].split(" ")[0];
    this.curve.setAttribute("d", `M${points.join("L")}`);
    this.area.setAttribute("d", `M${first} ${HEIGHT}L${points.join("L")}L${WIDTH} ${HEIGHT}Z`);
  }
}
