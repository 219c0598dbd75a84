// The list of files: only the rows that can be seen are there.

import { $, h, painter, put } from "./dom.js";
import { bytes, count, filter, preview } from "./text.js";

/** Rows above and below what is seen, so that a quick hand finds something. */
const SPARE = 12;

/** How long a change glows, in milliseconds. */
const GLOW = 2400;

/** Levels that are told apart by where a row begins; the title of a row has its whole path. */
const DEEP = 18;

const MARKS = { add: "added", mod: "changed", del: "deleted" };

export class TreeView {
  /** `on.select(path)` is told of a choice; `on.brief(rev)` says when something was written. */
  constructor(on) {
    this.on = on;
    this.box = $("tree");
    this.sizer = $("tree-rows");
    this.empty = $("tree-empty");
    this.tree = null;
    this.shape = -1;
    this.times = 0;
    this.text = "";
    this.onlyChanges = false;
    this.rows = [];
    this.pool = [];
    this.at = 0;
    this.selected = null;
    this.draw = painter(() => this.paint());
    this.box.addEventListener("scroll", this.draw, { passive: true });
    this.box.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.measure()).observe(this.box);
    this.measure();
  }

  measure() {
    const style = getComputedStyle(this.box);
    const height = Number.parseInt(style.getPropertyValue("--row"), 10);
    if (height !== this.height) {
      // All rows are elsewhere now.
      this.height = height;
      this.shape = -1;
      for (const row of this.pool) row.entry = null;
    }
    this.seen = Math.ceil(this.box.clientHeight / this.height) || 1;
    this.draw();
  }

  /** Shows this tree from now on. */
  show(tree) {
    this.tree = tree;
    this.shape = -1;
    this.draw();
  }

  /** Lets only this through; says whether it is a filter. */
  filter(text) {
    const lets = filter(text);
    if (!lets) return false;
    this.text = text;
    this.lets = text === "" ? null : lets;
    this.shape = -1;
    this.draw();
    return true;
  }

  /** More is known of when revisions came. */
  retime() {
    this.times += 1;
    this.draw();
  }

  changesOnly(isSo) {
    this.onlyChanges = isSo;
    this.shape = -1;
    this.draw();
  }

  rebuild() {
    const { lets, onlyChanges } = this;
    const passes = lets || onlyChanges
      ? (file) => (!lets || lets(file.path)) && (!onlyChanges || file.mark)
      : null;
    const current = this.rows[this.at];
    this.rows = this.tree.rows(passes);
    this.isSearch = passes !== null;
    this.shape = this.tree.shape;
    this.sizer.style.height = `${this.rows.length * this.height}px`;
    const at = current ? this.rows.indexOf(current) : -1;
    this.at = at >= 0 ? at : Math.min(this.at, Math.max(0, this.rows.length - 1));
    this.matched = this.isSearch
      ? this.rows.reduce((n, row) => n + (row.isDir ? 0 : 1), 0)
      : this.tree.files.size;
  }

  paint() {
    if (!this.tree) return;
    if (this.shape !== this.tree.shape) this.rebuild();
    const all = this.tree.files.size;
    const some = this.isSearch ? `${count(this.matched)} of ${count(all)}` : count(all);
    put($("tree-count"), `${some}${this.tree.isWhole === false ? "+" : ""}`);
    this.empty.hidden = this.rows.length > 0;
    put(this.empty, this.isSearch ? "Nothing matches." : "No files.");
    const top = Math.floor(this.box.scrollTop / this.height);
    const first = Math.max(0, top - SPARE);
    const last = Math.min(this.rows.length, top + this.seen + SPARE);
    const wanted = this.seen + 2 * SPARE + 2;
    while (this.pool.length < wanted) this.pool.push(this.row());
    const now = Date.now();
    const used = new Set();
    for (let n = first; n < last; n += 1) {
      const row = this.pool[n % this.pool.length];
      used.add(row);
      this.fill(row, this.rows[n], n, now);
    }
    for (const row of this.pool) {
      if (!used.has(row)) row.element.hidden = true;
    }
  }

  row() {
    const parts = {
      twist: h("span", { class: "twist", "aria-hidden": "true" }),
      name: h("span", { class: "name" }),
      value: h("span", { class: "value" }),
      size: h("span", { class: "size" }),
      when: h("span", { class: "when" }),
      rev: h("span", { class: "rev" }),
    };
    const element = h("div", { class: "row", role: "treeitem" }, ...Object.values(parts));
    const row = { element, ...parts };
    element.addEventListener("click", () => this.choose(row.n));
    this.sizer.append(element);
    return row;
  }

  fill(row, entry, n, now) {
    const { element } = row;
    row.n = n;
    element.hidden = false;
    const isCurrent = n === this.at;
    const isSelected = entry.path === this.selected;
    const key = `${n} ${entry.rev ?? entry.files} ${entry.isOpen} ${entry.mark ?? entry.marks} ${isCurrent} ${isSelected} ${this.times}`;
    if (row.entry !== entry || row.key !== key) {
      Object.assign(row, { entry, key });
      element.id = `row-${n}`;
      element.style.transform = `translateY(${n * this.height}px)`;
      element.style.setProperty("--depth", Math.min(entry.depth, DEEP));
      element.title = entry.path;
      element.className = `row ${entry.isDir ? "dir" : "file"}`;
      element.classList.toggle("current", isCurrent);
      element.classList.toggle("selected", isSelected);
      element.setAttribute("aria-level", entry.depth + 1);
      element.setAttribute("aria-selected", isSelected);
      put(row.name, entry.name);
      if (entry.isDir) this.fillDir(row, entry);
      else this.fillFile(row, entry);
    }
    this.glow(element, entry, now);
  }

  fillDir({ element, twist, value, size, when, rev }, dir) {
    const isOpen = dir.isOpen || this.isSearch;
    element.setAttribute("aria-expanded", isOpen);
    element.setAttribute("aria-label", `${dir.name}, directory, ${count(dir.files)} files`);
    put(twist, isOpen ? "▾" : "▸");
    put(value, dir.marks > 0 && !isOpen ? `${count(dir.marks)} differ` : "");
    put(size, "");
    put(when, "");
    put(rev, count(dir.files));
  }

  fillFile({ element, twist, value, size, when, rev }, file) {
    element.removeAttribute("aria-expanded");
    const mark = file.mark ? `, ${MARKS[file.mark]}` : "";
    element.setAttribute("aria-label", `${file.name}, rev ${file.rev}, ${bytes(file.len)}${mark}`);
    if (file.mark) element.classList.add(file.mark);
    element.classList.toggle("ghost", file.isGhost === true);
    put(twist, "");
    put(value, preview(file.text, file.isBinary));
    value.classList.toggle("odd", file.isBinary);
    put(size, bytes(file.len));
    put(when, this.on.brief(file.rev));
    put(rev, String(file.rev));
  }

  /** Rows come and go by scrolling: a glow goes on where it was. */
  glow(element, entry, now) {
    const isHidden = entry.isDir && (entry.isOpen || this.isSearch);
    const age = now - entry.at;
    if (isHidden || !entry.at || age > GLOW) return;
    if (element.glowing === entry.at) return;
    element.glowing = entry.at;
    element.animate(
      [{ background: "var(--glow)" }, { background: "transparent" }],
      { duration: GLOW, delay: -age, easing: "ease-out" },
    );
  }

  choose(n) {
    const entry = this.rows[n];
    if (!entry) return;
    this.at = n;
    if (entry.isDir) this.toggle(entry, !entry.isOpen);
    else this.on.select(entry.path);
    this.follow();
  }

  toggle(dir, isOpen) {
    dir.isOpen = isOpen;
    this.tree.shape += 1;
    this.draw();
  }

  /** Marks a file as the one that is shown, and brings it into view if `reveals`. */
  select(path, reveals) {
    this.selected = path;
    if (reveals && this.tree?.files.has(path)) {
      this.tree.reveal(path);
      this.rebuild();
      const n = this.rows.indexOf(this.tree.files.get(path));
      if (n >= 0) {
        this.at = n;
        this.follow();
      }
    }
    this.draw();
  }

  /** Scrolls so that the current row is seen. */
  follow() {
    const top = this.at * this.height;
    const { scrollTop, clientHeight } = this.box;
    if (top < scrollTop) this.box.scrollTop = top;
    else if (top + this.height > scrollTop + clientHeight) {
      this.box.scrollTop = top + this.height - clientHeight;
    }
    this.box.setAttribute("aria-activedescendant", `row-${this.at}`);
    this.draw();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const entry = this.rows[this.at];
    const last = this.rows.length - 1;
    const to = {
      ArrowDown: this.at + 1,
      ArrowUp: this.at - 1,
      PageDown: this.at + this.seen - 1,
      PageUp: this.at - this.seen + 1,
      Home: 0,
      End: last,
    }[event.key];
    if (to !== undefined) this.at = Math.max(0, Math.min(last, to));
    else if (event.key === "Enter" || event.key === " ") this.choose(this.at);
    else if (event.key === "ArrowRight" && entry?.isDir) {
      if (entry.isOpen) this.at = Math.min(last, this.at + 1);
      else this.toggle(entry, true);
    } else if (event.key === "ArrowLeft" && entry) {
      if (entry.isDir && entry.isOpen && !this.isSearch) this.toggle(entry, false);
      else this.at = Math.max(0, this.rows.indexOf(entry.parent));
    } else return;
    event.preventDefault();
    this.follow();
  }
}
