// One file: its value, when it was written, what it was before; and writing it.

import * as api from "./api.js";
import { $, h, put } from "./dom.js";
import { bytes, count, decode, lineEnding } from "./text.js";
import { changes, draw, ways } from "./value.js";

/** Versions that are looked up. */
const VERSIONS = 7;

const NAMES = { text: "Text", json: "JSON", hex: "Hex", changes: "Changes" };

export class FileView {
  /** `on` has `go(rev)`, `when(rev)`, `denied()`, `say(text)`, `mayWrite()`. */
  constructor(on) {
    this.on = on;
    this.path = null;
    this.at = null;
    this.base = null;
    this.file = undefined;
    this.versions = [];
    this.way = null;
    this.draft = null;
    /** How the lines of what is edited end. */
    this.ending = "\n";
    /** The path and the revision that the question is about whether to delete them. */
    this.doomed = null;
    $("edit").addEventListener("click", () => this.edit());
    $("delete").addEventListener("click", () => this.askDelete());
    $("save").addEventListener("click", () => this.save());
    $("cancel").addEventListener("click", () => this.stop());
    $("take").addEventListener("click", () => this.take());
    $("insist").addEventListener("click", () => this.insist());
    $("draft").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.save();
    });
    $("deletion").addEventListener("close", () => {
      if ($("deletion").returnValue === "yes") this.delete();
    });
    setInterval(() => this.times(), 1_000);
  }

  /** Shows a file at a revision, or as it is. */
  async show(path, at, base) {
    if (this.draft !== null && (path !== this.path || at !== null)) this.stop();
    const isOther = path !== this.path;
    Object.assign(this, { path, at, base });
    if (isOther) Object.assign(this, { file: undefined, versions: [], way: null, other: undefined });
    this.over?.abort("over");
    this.over = new AbortController();
    const { signal } = this.over;
    if (path === null) return this.paint();
    if (isOther) this.paint();
    try {
      this.file = await api.read(path, at ?? undefined, signal);
      this.paint();
      await this.lookBack(signal);
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === 401) return this.on.denied();
      put($("file-error"), error.message);
      $("file-error").hidden = false;
    }
  }

  /** Looks up what the file was before, version by version. */
  async lookBack(signal) {
    const { path, at, base, file } = this;
    const newest = at === null ? (file?.rev ?? null) : await api.revOf(path, undefined, signal);
    const versions = [newest ?? file?.rev].filter((rev) => rev !== undefined && rev !== null);
    try {
      while (versions.length > 0 && versions.length < VERSIONS) {
        const before = await api.revOf(path, versions.at(-1) - 1, signal);
        if (before === null) break;
        versions.push(before);
      }
    } catch (error) {
      if (error.code !== "TOO_LATE") throw error;
    }
    Object.assign(this, { versions, newest });
    // Beside what is shown: what it is compared with, or else what was before it.
    const beside = at === null ? versions[1] : (base ?? newest);
    this.other = beside ? await api.read(path, beside, signal) : null;
    this.paint();
  }

  /** The file has changed just now, if it is this one. */
  changed(event) {
    if (event.path !== this.path || this.at !== null) return;
    if (this.draft !== null) {
      this.mine = this.mine === event.rev ? 0 : this.mine;
      if (event.rev !== this.saved) {
        put($("draft-note"), `Somebody has changed the file at rev ${event.rev} since you began.`);
        $("draft-note").hidden = false;
      }
      return;
    }
    clearTimeout(this.later);
    this.later = setTimeout(() => this.show(this.path, null, null), 60);
    if ($("value").animate) {
      $("value").animate([{ background: "var(--glow)" }, { background: "transparent" }], 1_600);
    }
  }

  paint() {
    const { path, file, at } = this;
    const isNone = path === null;
    $("file").classList.toggle("none", isNone);
    $("file-error").hidden = true;
    if (isNone) return;
    put($("file-path"), path);
    const isThere = file !== null && file !== undefined;
    const where = at === null ? "" : ` at rev ${count(at)}`;
    $("missing").hidden = isThere || file === undefined;
    put($("missing"), `There is no such file${where}.`);
    $("facts").hidden = !isThere;
    this.paintButtons();
    this.paintVersions();
    if (!isThere) {
      $("ways").replaceChildren();
      if (!this.other) $("value").replaceChildren();
    }
    if (isThere) {
      put($("file-rev"), count(file.rev));
      put($("file-size"), bytes(file.bytes.length));
      this.times();
    }
    this.paintValue(isThere);
  }

  paintValue(isThere) {
    const possible = isThere ? ways(this.file.bytes) : [];
    if (this.other !== undefined && (this.other || isThere)) possible.push("changes");
    const way = possible.includes(this.way) ? this.way : possible[0];
    $("ways").replaceChildren(...possible.map((name) => h(
      "button",
      {
        type: "button",
        role: "tab",
        "aria-selected": String(name === way),
        onclick: () => {
          this.way = name;
          this.paint();
        },
      },
      NAMES[name],
    )));
    if (!way) return;
    $("value").replaceChildren(...(way === "changes" ? this.changes() : draw(way, this.file.bytes)));
  }

  changes() {
    let [old, now] = [this.other, this.file];
    if (this.at !== null && (this.base === null || this.base > this.at)) [old, now] = [now, old];
    const name = (file) => (file ? `rev ${count(file.rev)}` : "no file");
    const title = h("p", { class: "more" }, `${name(old)} → ${name(now)}`);
    if (old && now && old.rev === now.rev) return [h("p", { class: "more" }, "Nothing has changed.")];
    return [title, ...changes(old?.bytes ?? null, now?.bytes ?? null)];
  }

  paintButtons() {
    const isNow = this.at === null;
    const may = this.on.mayWrite();
    const isThere = this.file !== null && this.file !== undefined;
    const isText = isThere && decode(this.file.bytes) !== null;
    $("edit").disabled = !may || !isNow || !isText || this.draft !== null;
    $("delete").disabled = !may || !isNow || !isThere;
    const why = may ? "" : "Reading only: this takes the secret that writes";
    for (const id of ["edit", "delete", "new"]) $(id).title = why || $(id).dataset.title;
    if (may && !isNow) $("edit").title = "The past cannot be written: go back to now first";
  }

  paintVersions() {
    const chips = this.versions.map((rev) => h(
      "button",
      {
        type: "button",
        "aria-pressed": String(rev === this.file?.rev),
        title: this.on.when(rev),
        onclick: () => this.on.go(rev === this.newest ? null : rev),
      },
      rev === this.newest ? `${count(rev)} now` : count(rev),
    ));
    $("versions").replaceChildren(...chips);
    $("versions-row").hidden = chips.length < 2 && this.at === null;
  }

  times() {
    if (this.file) put($("file-when"), this.on.when(this.file.rev) || "some time ago");
  }

  edit() {
    if ($("edit").disabled) return;
    const text = decode(this.file.bytes);
    const ending = lineEnding(text);
    if (ending === null) {
      this.on.say(`Not edited here: the lines of ${this.path} end in different ways, which would be lost`, "bad");
      return;
    }
    this.draft = this.file.rev;
    this.ending = ending;
    this.saved = 0;
    $("draft").value = text;
    $("file").classList.add("editing");
    for (const id of ["conflict", "draft-note"]) $(id).hidden = true;
    put($("draft-title"), `Editing rev ${count(this.draft)}`);
    this.paintButtons();
    $("draft").focus();
  }

  /** What is to be written. Fields of browsers have one ending of lines only. */
  drafted() {
    return $("draft").value.replaceAll("\n", this.ending);
  }

  stop() {
    this.draft = null;
    $("file").classList.remove("editing");
    if (this.path !== null) this.show(this.path, this.at, this.base);
  }

  async save() {
    try {
      const rev = await api.write(this.path, this.draft, this.drafted());
      this.saved = rev;
      this.on.say(`${this.path} is written, at rev ${count(rev)}`);
      this.stop();
    } catch (error) {
      if (error.code === "REV_MISMATCH") await this.conflict(error);
      else this.on.say(error.message, "bad");
    }
  }

  /** Somebody else was faster: shows what is there now beside what was to be written. */
  async conflict(error) {
    const theirs = error.rev === 0 ? null : await api.read(this.path, undefined);
    this.theirs = theirs;
    const was = `You began with rev ${count(this.draft)}.`;
    const now = theirs
      ? `Meanwhile somebody has written rev ${count(theirs.rev)}, so nothing was saved.`
      : "Meanwhile somebody has deleted the file, so nothing was saved.";
    put($("conflict-text"), `${was} ${now}`);
    const mine = new TextEncoder().encode(this.drafted());
    $("conflict-diff").replaceChildren(...changes(theirs?.bytes ?? null, mine));
    $("conflict").hidden = false;
    $("draft-note").hidden = true;
    $("conflict").focus();
  }

  /** Goes on with what the other one has written. */
  take() {
    $("conflict").hidden = true;
    this.stop();
  }

  /** Writes over exactly what was shown, and nothing that came after it. */
  async insist() {
    this.draft = this.theirs?.rev ?? 0;
    $("conflict").hidden = true;
    put($("draft-title"), this.draft === 0 ? "Writing it anew" : `Editing rev ${count(this.draft)}`);
    await this.save();
  }

  askDelete() {
    if ($("delete").disabled) return;
    this.doomed = { path: this.path, rev: this.file.rev };
    put($("deletion-text"), `Delete ${this.path}, as it is at rev ${count(this.file.rev)}?`);
    $("deletion").returnValue = "";
    $("deletion").showModal();
  }

  /** Deletes what was asked about, and nothing that came after it. */
  async delete() {
    const { path, rev } = this.doomed;
    try {
      await api.remove(path, rev);
    } catch (error) {
      const isOther = error.code === "REV_MISMATCH";
      if (!isOther || error.rev !== 0) {
        const told = isOther
          ? `Not deleted: somebody has changed ${path} meanwhile, at rev ${count(error.rev)}`
          : error.message;
        this.on.say(told, "bad");
        return;
      }
      // Somebody was faster.
    }
    this.on.say(`${path} is deleted`);
    if (path === this.path) this.show(path, null, null);
  }
}
