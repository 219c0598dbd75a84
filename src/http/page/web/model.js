// The tree as the page has it, and the rows in which it is seen.

/** Rows that are opened at first, so that much is seen and nothing is buried. */
const OPEN_AT_FIRST = 120;

const byName = (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);

/** Between two revisions a name may have become a directory: both are there then. */
const keyOf = (entry) => (entry.isDir ? `${entry.name}/` : entry.name);

class Dir {
  constructor(name, path, parent) {
    Object.assign(this, { name, path, parent, entries: new Map(), files: 0, marks: 0 });
    this.isDir = true;
    this.depth = parent ? parent.depth + 1 : -1;
    this.isOpen = parent === null;
    this.sorted = null;
    /** When something below it changed. */
    this.at = 0;
  }

  list() {
    this.sorted ??= [...this.entries.values()].sort(byName);
    return this.sorted;
  }

  add(entry) {
    this.entries.set(keyOf(entry), entry);
    this.sorted?.splice(this.place(entry.name), 0, entry);
  }

  remove(entry) {
    this.entries.delete(keyOf(entry));
    this.sorted?.splice(this.sorted.indexOf(entry, this.place(entry.name)), 1);
  }

  /** Where a name is in the list, or would be. */
  place(name) {
    let [from, to] = [0, this.sorted.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.sorted[middle].name < name) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}

export class Tree {
  constructor() {
    this.root = new Dir("", "", null);
    this.files = new Map();
    /** Counts what makes other rows necessary. */
    this.shape = 0;
  }

  /** Writes a file: `{rev, len, text, isBinary, at, mark}`. */
  set(path, fields) {
    const known = this.files.get(path);
    if (known) {
      Object.assign(known, fields);
      this.touch(known.parent, fields.at);
      return known;
    }
    const names = path.slice(1).split("/");
    const name = names.pop();
    let dir = this.root;
    for (const part of names) {
      let next = dir.entries.get(`${part}/`);
      if (!next) {
        next = new Dir(part, `${dir.path}/${part}`, dir);
        dir.add(next);
      }
      dir = next;
    }
    const file = { name, path, parent: dir, depth: dir.depth + 1, at: 0, ...fields };
    dir.add(file);
    this.files.set(path, file);
    for (let up = dir; up; up = up.parent) {
      up.files += 1;
      if (file.mark) up.marks += 1;
    }
    this.touch(dir, fields.at);
    this.shape += 1;
    return file;
  }

  delete(path, at) {
    const file = this.files.get(path);
    if (!file) return;
    this.files.delete(path);
    this.touch(file.parent, at);
    let [entry, dir] = [file, file.parent];
    for (let up = dir; up; up = up.parent) up.files -= 1;
    while (dir) {
      dir.remove(entry);
      if (dir.entries.size > 0) break;
      [entry, dir] = [dir, dir.parent];
    }
    this.shape += 1;
  }

  touch(dir, at) {
    if (!at) return;
    for (let up = dir; up; up = up.parent) up.at = at;
  }

  /** Opens what fits, the files of users before those of the servers. */
  openSome() {
    const queue = this.root.list().filter((entry) => entry.isDir && entry.name !== "ctl");
    let rows = this.root.list().length;
    while (queue.length > 0 && rows < OPEN_AT_FIRST) {
      const dir = queue.shift();
      if (rows + dir.entries.size > OPEN_AT_FIRST * 2 && queue.length > 0) continue;
      dir.isOpen = true;
      rows += dir.entries.size;
      queue.push(...dir.list().filter((entry) => entry.isDir));
    }
    this.shape += 1;
  }

  /** Opens the directories above a path. */
  reveal(path) {
    for (let up = this.files.get(path)?.parent; up; up = up.parent) up.isOpen = true;
    this.shape += 1;
  }

  /** As another tree was opened. */
  openAs(other) {
    const walk = (mine, theirs) => {
      mine.isOpen = theirs.isOpen;
      for (const entry of mine.entries.values()) {
        if (!entry.isDir) continue;
        const same = theirs.entries.get(`${entry.name}/`);
        if (same) walk(entry, same);
      }
    };
    walk(this.root, other.root);
    this.shape += 1;
  }

  /** What is seen, from top to bottom. With a filter: what it lets through, and what that is in. */
  rows(lets) {
    const rows = [];
    const open = (dir) => {
      for (const entry of dir.list()) {
        rows.push(entry);
        if (entry.isDir && entry.isOpen) open(entry);
      }
    };
    const search = (dir) => {
      let found = 0;
      for (const entry of dir.list()) {
        if (entry.isDir) {
          const at = rows.push(entry);
          const inside = search(entry);
          if (inside === 0) rows.length = at - 1;
          found += inside;
        } else if (lets(entry)) {
          rows.push(entry);
          found += 1;
        }
      }
      return found;
    };
    if (lets) search(this.root);
    else open(this.root);
    return rows;
  }
}

/**
 * A tree as it was, with what makes it differ from another revision: `add`, `mod` and `del` tell what
 * happened from the older one to the newer one. What is not there at the revision that is shown is a
 * ghost.
 */
export function compared(shown, other, isShownOlder) {
  const tree = new Tree();
  for (const file of shown.files.values()) {
    const twin = other.files.get(file.path);
    const { rev, len, text, isBinary } = file;
    let mark;
    if (!twin) mark = isShownOlder ? "del" : "add";
    else if (twin.rev !== rev) mark = "mod";
    tree.set(file.path, { rev, len, text, isBinary, mark });
  }
  for (const { path, rev, len, text, isBinary } of other.files.values()) {
    if (shown.files.has(path)) continue;
    tree.set(path, { rev, len, text, isBinary, mark: isShownOlder ? "add" : "del", isGhost: true });
  }
  return tree;
}
