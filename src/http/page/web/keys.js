// What the keyboard does outside of fields.

import { $, h } from "./dom.js";

/** Whether keys belong to what has the focus. */
function isTyping(target) {
  return target.matches("textarea, select, input:not([type=range]):not([type=checkbox])");
}

/** `all` has `[keys, words, action]`; the words are those of the help. */
export function keys(all) {
  const actions = new Map();
  for (const [names, words, action] of all) {
    for (const name of names) if (action) actions.set(name, action);
    const marks = names.map((name) => h("kbd", {}, name));
    $("keys").append(h("div", {}, h("dt", {}, ...marks), h("dd", {}, words)));
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.key === "Escape" && isTyping(event.target)) return event.target.blur();
    if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
    const action = actions.get(event.key === "Escape" ? "Esc" : event.key);
    if (!action) return;
    event.preventDefault();
    action();
  });
}
