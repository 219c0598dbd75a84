// The tree as it is: read once, and then kept up to date by what happens.

import * as api from "./api.js";
import { Tree } from "./model.js";

/** Files that are asked for at a time, and bytes of each that are seen in a list. */
const PAGE = 10_000;
const CUT = 160;

/** Files that the page holds at most. */
export const FILES_MAX = 200_000;

/** Revisions that the page may be behind before it reads everything anew. */
const BEHIND_MAX = 20_000;

/** Answers in a row that may be older than what has been heard. */
const AHEAD_MAX = 10;

const PAUSE = 500;
const FORGOTTEN = 410;

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const encoder = new TextEncoder();

/** What members write to show that they are there. It would make the list flicker. */
const isPulse = (path) => path.startsWith("/ctl/node/") && path.endsWith("/applied");

/** What the list shows of a value. */
const shown = ({ text, base64 }) => ({ text: text?.slice(0, CUT) ?? "", isBinary: base64 !== undefined });

/** Bytes of the value of an event. */
export function size({ text, base64 }) {
  if (text !== undefined) return encoder.encode(text).length;
  return base64 ? (base64.length / 4) * 3 - (/=*$/.exec(base64)?.[0].length ?? 0) : 0;
}

/** Reads the tree as it was at a revision, or as it is. `told` hears how many files there are so far. */
export async function load(rev, signal, told = () => {}) {
  const tree = new Tree();
  let offset = 0;
  do {
    const params = { pattern: "/**", local: true, values: true, cut: CUT, limit: PAGE, offset, rev };
    const page = await api.json("/api/v1/walk", params, { signal });
    rev ??= page.rev;
    for (const file of page.files) {
      tree.set(file.path, { rev: file.rev, len: file.len, ...shown(file) });
    }
    offset = page.next;
    told(tree.files.size);
  } while (offset !== null && tree.files.size < FILES_MAX);
  tree.isWhole = offset === null;
  tree.rev = rev;
  return tree;
}

export class Live {
  /** `on` has `tree(tree)`, `events(events)`, `loading(count)`, `gap(from, to)`, `error(error)`. */
  constructor(on) {
    this.on = on;
    this.tree = new Tree();
    /** The first revision that is not known; nothing before the tree has been read. */
    this.next = null;
    this.over = new AbortController();
  }

  /** Goes on until told not to. */
  async run() {
    for (;;) {
      try {
        if (this.next === null) await this.begin();
        this.over = new AbortController();
        for await (const events of api.events(this.next, this.over.signal)) this.apply(events);
      } catch (error) {
        if (error instanceof api.Failure && error.status === FORGOTTEN) this.next = null;
        else if (this.over.signal.aborted) continue;
        else await this.on.error(error);
        await pause(PAUSE);
      }
    }
  }

  async begin() {
    const before = this.tree;
    const tree = await load(undefined, undefined, this.on.loading);
    if (before.rev) {
      tree.openAs(before);
      this.on.gap(before.rev, tree.rev);
    } else {
      tree.openSome();
    }
    this.tree = tree;
    this.next = tree.rev + 1;
    this.on.tree(tree);
  }

  apply(events) {
    const now = Date.now();
    for (const event of events) {
      event.at = now;
      this.next = event.rev + 1;
      const seen = isPulse(event.path) ? 0 : now;
      if (event.change === "del") this.tree.delete(event.path, seen);
      if (event.change !== "set") continue;
      event.len = size(event);
      const isNew = !this.tree.files.has(event.path);
      if (isNew && this.tree.files.size >= FILES_MAX) this.tree.isWhole = false;
      else this.tree.set(event.path, { rev: event.rev, len: event.len, at: seen, ...shown(event) });
    }
    this.tree.rev = this.next - 1;
    this.on.events(events);
  }

  /** The node is at this revision. Whoever is far behind reads what is there instead of what was. */
  compare(rev) {
    if (this.next === null) return;
    // A cluster that was founded anew counts from the beginning.
    this.ahead = rev < this.next - 1 ? (this.ahead ?? 0) + 1 : 0;
    if (rev - this.next < BEHIND_MAX && this.ahead < AHEAD_MAX) return;
    this.next = null;
    this.over.abort("over");
  }
}
