// How numbers, times and values are written.

const UNITS = ["B", "KiB", "MiB"];

/** 12345 as 12,345. */
export const count = (n) => n.toLocaleString("en-US");

export function bytes(n) {
  let unit = 0;
  while (n >= 1024 && unit < UNITS.length - 1) {
    n /= 1024;
    unit += 1;
  }
  return `${unit && n < 10 ? n.toFixed(1) : Math.round(n)} ${UNITS[unit]}`;
}

/** A span of milliseconds, in one or two units. */
export function span(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = Math.floor(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** How long ago something was. */
export const ago = (ms) => (ms < 1000 ? "just now" : `${span(ms)} ago`);

export function roundTrip(us) {
  return us < 1000 ? `${us} µs` : `${(us / 1000).toFixed(us < 10_000 ? 1 : 0)} ms`;
}

/** The time of day, with the day where it is another one. */
export function clock(ms) {
  const date = new Date(ms);
  const time = date.toLocaleTimeString("en-GB");
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday ? time : `${date.toLocaleDateString("en-CA")} ${time}`;
}

/** The value of an event or an entry: text, or that it is none. */
export function preview(text, isBinary) {
  if (isBinary) return "binary";
  return text.replace(/[\s\u0000-\u001f]+/g, " ").slice(0, 200);
}

/** Text if these bytes are UTF-8. */
export function decode(buffer) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(buffer);
  } catch {
    return null;
  }
}

/** How the lines of a text end, "\n" where there is one only. Nothing if they end in different ways. */
export function lineEnding(text) {
  const endings = new Set(text.match(/\r\n|\r|\n/g) ?? ["\n"]);
  return endings.size === 1 ? [...endings][0] : null;
}

/** A pattern of the store as a regular expression, or nothing if it is none. */
export function pattern(text) {
  if (!/^\/(?:[A-Za-z0-9.*?-]+(?:\/[A-Za-z0-9.*?-]+)*)?$/.test(text)) return null;
  const parts = text.split(/(\*\*|\*|\?)/).map((part) => {
    if (part === "**") return ".*";
    if (part === "*") return "[^/]*";
    if (part === "?") return "[^/]";
    return part.replaceAll(".", "\\.");
  });
  return new RegExp(`^${parts.join("")}$`);
}

/** What a filter lets through: a pattern if it begins with a slash, otherwise part of a path. */
export function filter(text) {
  if (text === "") return () => true;
  if (!text.startsWith("/")) return (path) => path.includes(text);
  const exact = pattern(text);
  return exact && ((path) => exact.test(path));
}
