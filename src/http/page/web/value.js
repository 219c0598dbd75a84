// A value as text, as JSON, byte by byte, and beside another one.

import { h } from "./dom.js";
import { count, decode } from "./text.js";
import { diff } from "./diff.js";
import * as json from "./json.js";

/** Bytes that are written out one by one, and characters that are shown as text. */
const HEX_MAX = 16 << 10;
const TEXT_MAX = 512 << 10;

const more = (left, what) => h("p", { class: "more" }, `${count(left)} more ${what} are not shown`);

/** How a value can be looked at, the best way first. */
export function ways(bytes) {
  const text = decode(bytes);
  if (text === null) return ["hex"];
  return json.lines(text) === null ? ["text", "hex"] : ["json", "text", "hex"];
}

export function draw(way, bytes) {
  if (way === "hex") return hex(bytes);
  const text = decode(bytes) ?? "";
  return way === "json" ? coloured(json.lines(text) ?? text) : plain(text);
}

function plain(text) {
  if (text === "") return [h("p", { class: "more" }, "The file is empty.")];
  const all = [h("pre", {}, text.slice(0, TEXT_MAX))];
  if (text.length > TEXT_MAX) all.push(more(text.length - TEXT_MAX, "characters"));
  return all;
}

function coloured(text) {
  const pre = h("pre", { class: "json" });
  const kinds = /("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?|\b(true|false|null)\b|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/g;
  let end = 0;
  for (const found of text.slice(0, TEXT_MAX).matchAll(kinds)) {
    const [whole, string, colon, word] = found;
    pre.append(text.slice(end, found.index));
    const kind = string === undefined ? (word ? "word" : "number") : colon ? "key" : "string";
    pre.append(h("span", { class: kind }, string ?? whole), colon ?? "");
    end = found.index + whole.length;
  }
  pre.append(text.slice(end, TEXT_MAX));
  return text.length > TEXT_MAX ? [pre, more(text.length - TEXT_MAX, "characters")] : [pre];
}

function hex(bytes) {
  const lines = [];
  const shown = bytes.subarray(0, HEX_MAX);
  for (let at = 0; at < shown.length; at += 16) {
    const group = [...shown.subarray(at, at + 16)];
    const digits = group.map((byte) => byte.toString(16).padStart(2, "0"));
    const wide = `${digits.slice(0, 8).join(" ")}  ${digits.slice(8).join(" ")}`.padEnd(49);
    const seen = group.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : "·"));
    lines.push(`${at.toString(16).padStart(6, "0")}  ${wide} ${seen.join("")}`);
  }
  const all = [h("pre", { class: "hex" }, lines.join("\n") || "no bytes")];
  if (bytes.length > HEX_MAX) all.push(more(bytes.length - HEX_MAX, "bytes"));
  return all;
}

/** What has become of one value, in lines. */
export function changes(before, after) {
  const [old, now] = [before && decode(before), after && decode(after)];
  if ((before && old === null) || (after && now === null)) {
    return [h("p", { class: "more" }, "The bytes differ, and are no text.")];
  }
  const lines = diff(old ?? "", now ?? "").map(([sign, text]) => {
    const kind = { "+": "add", "-": "del", " ": "" }[sign];
    return h("span", { class: kind }, `${sign} ${text}\n`);
  });
  return [h("pre", { class: "diff" }, ...lines)];
}
