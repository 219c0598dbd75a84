// Elements without markup: text stays text, whatever a file holds.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** An HTML element. */
export function h(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** An SVG element. */
export function s(tag, props = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

export const $ = (id) => document.getElementById(id);

/** Sets text where it is another one, so that nothing is laid out for nothing. */
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Between two pictures where nobody looks, in milliseconds: what waits for them must not grow. */
const HIDDEN = 250;

/** Calls `draw` once before the next picture, however often it is asked for, and not sooner than `gap`
 * milliseconds after the last time. */
export function painter(draw, gap = 0) {
  let [isAsked, last] = [false, -gap];
  const run = () => {
    isAsked = false;
    last = performance.now();
    draw();
  };
  return () => {
    if (isAsked) return;
    isAsked = true;
    const wait = document.hidden ? HIDDEN : last + gap - performance.now();
    if (wait > 0) setTimeout(run, wait);
    else requestAnimationFrame(run);
  };
}
