// Two texts, line by line.

/** Lines of the part that differs, of both texts together, that are compared one with each other. */
const COMPARED_MAX = 1_200;

/** Lines as `[sign, text]`, with sign ` `, `-` or `+`. */
export function diff(before, after) {
  const [old, now] = [before.split("\n"), after.split("\n")];
  let head = 0;
  while (head < old.length && head < now.length && old[head] === now[head]) head += 1;
  let tail = 0;
  while (
    tail < old.length - head && tail < now.length - head
    && old[old.length - 1 - tail] === now[now.length - 1 - tail]
  ) tail += 1;
  const [a, b] = [old.slice(head, old.length - tail), now.slice(head, now.length - tail)];
  const same = (text) => [" ", text];
  return [
    ...old.slice(0, head).map(same),
    ...(a.length + b.length > COMPARED_MAX ? replaced(a, b) : longest(a, b)),
    ...old.slice(old.length - tail).map(same),
  ];
}

const replaced = (a, b) => [...a.map((text) => ["-", text]), ...b.map((text) => ["+", text])];

/** By the longest sequence of lines that both have. */
function longest(a, b) {
  const width = b.length + 1;
  const lengths = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      const at = i * width + j;
      lengths[at] = a[i] === b[j]
        ? lengths[at + width + 1] + 1
        : Math.max(lengths[at + width], lengths[at + 1]);
    }
  }
  const lines = [];
  let [i, j] = [0, 0];
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) {
      lines.push([" ", a[i]]);
      i += 1;
      j += 1;
    } else if (lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]) {
      lines.push(["-", a[i]]);
      i += 1;
    } else {
      lines.push(["+", b[j]]);
      j += 1;
    }
  }
  return [...lines, ...replaced(a.slice(i), b.slice(j))];
}
