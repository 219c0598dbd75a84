// Dark or light: as the system has it, until somebody says otherwise.

import { $, put } from "./dom.js";

const KEY = "doozer-theme";
const NEXT = { "": "light", light: "dark", dark: "" };
const WORDS = { "": "as the system", light: "light", dark: "dark" };
const SIGNS = { "": "◐", light: "○", dark: "●" };

function show(theme) {
  document.documentElement.dataset.theme = theme;
  put($("theme"), SIGNS[theme]);
  $("theme").setAttribute("aria-label", `Colours: ${WORDS[theme]}`);
  $("theme").title = `Colours: ${WORDS[theme]} (t)`;
}

export function toggle() {
  const theme = NEXT[document.documentElement.dataset.theme ?? ""];
  localStorage.setItem(KEY, theme);
  show(theme);
}

show(localStorage.getItem(KEY) ?? "");
$("theme").addEventListener("click", toggle);
