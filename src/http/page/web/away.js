// When the node is lost: says so, and goes on with another one of the cluster.
//
// It goes there rather than speak to it from here, so that no node has to let in pages of others.

import { secret } from "./api.js";
import { $, put } from "./dom.js";

/** How long the node has to come back before another one is taken, and between two looks. */
const GRACE = 1_200;
const PAUSE = 400;

/** How long a node may take to say that it is ready. */
const ANSWER_MAX = 1_500;

/** How long after its last answer a node is still looked for. */
const MEMORY = 3_600_000;

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function isReady(origin) {
  const response = await fetch(`${origin}/readyz`, {
    signal: AbortSignal.timeout(ANSWER_MAX),
    credentials: "omit",
    cache: "no-store",
  });
  if (!response.ok) throw new Error("not ready");
  return origin;
}

async function isAlive() {
  try {
    return (await fetch("/healthz", { signal: AbortSignal.timeout(ANSWER_MAX) })).ok;
  } catch {
    return false;
  }
}

export class Away {
  /** `on.view()` gives the view as it is written in the address; `on.stale()` is told when there are pages
   * that this one may not ask. */
  constructor(on) {
    this.on = on;
    this.webs = new Map();
    this.isLost = false;
  }

  /** Remembers who has a page. */
  learn(status) {
    const now = Date.now();
    for (const { web, role } of status.processes) {
      if (web && web !== location.host) this.webs.set(web, { at: now, role });
    }
    // The policy that came with the page names those that were there then.
    this.named ??= new Set(this.webs.keys());
    if ([...this.webs.keys()].some((web) => !this.named.has(web))) this.on.stale();
    for (const [web, { at }] of this.webs) if (now - at > MEMORY) this.webs.delete(web);
  }

  /** Waits until the node answers again, or leaves for another one. */
  async look() {
    if (this.isLost) return this.looking;
    this.isLost = true;
    this.looking = this.search();
    await this.looking;
    this.isLost = false;
  }

  async search() {
    const begin = Date.now();
    const name = location.host;
    document.body.classList.add("lost");
    $("lost").hidden = false;
    for (;;) {
      // A node that lives and is not ready still shows more than none.
      if (await isAlive()) break;
      const others = [...this.webs.keys()];
      const waits = Date.now() - begin < GRACE || others.length === 0;
      const what = others.length === 0
        ? "waiting for it"
        : `looking for another of the cluster: ${others.join(", ")}`;
      put($("lost-text"), `${name} does not answer; ${what}`);
      if (!waits && location.protocol === "http:") {
        const to = await Promise.any(others.map((web) => isReady(`http://${web}`))).catch(() => null);
        if (to) return this.go(to);
        put($("lost-text"), `${name} does not answer, and none of the others; trying again`);
      }
      await pause(PAUSE);
    }
    document.body.classList.remove("lost");
    $("lost").hidden = true;
  }

  /** What follows # is sent to nobody; the page that opens takes it out of the address at once. */
  async go(origin) {
    put($("lost-text"), `${location.host} does not answer; going on with ${origin.slice(7)}`);
    const carried = new URLSearchParams({ from: location.host });
    if (secret.get() !== "") carried.set("key", secret.get());
    location.replace(`${origin}/#${this.on.view()}&${carried}`);
    // The page goes with it.
    await new Promise(() => {});
  }
}
