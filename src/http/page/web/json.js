// JSON in lines, token by token: numbers, repeated keys and escapes stay as they are written, which those
// of JavaScript would not.

const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/** Levels that are indented. What is deeper stays there: else a few brackets would fill the memory. */
const DEPTH_MAX = 32;

/** An object or a list in lines. Nothing if the text is no such thing. */
export function lines(text) {
  if (!/^\s*[[{]/.test(text)) return null;
  try {
    JSON.parse(text);
  } catch {
    return null;
  }
  const tokens = text.match(TOKEN);
  let [all, depth] = ["", 0];
  const newLine = () => `\n${"  ".repeat(Math.min(depth, DEPTH_MAX))}`;
  const opens = (token) => token === "{" || token === "[";
  const closes = (token) => token === "}" || token === "]";
  tokens.forEach((token, at) => {
    if (closes(token)) {
      depth -= 1;
      if (!opens(tokens[at - 1])) all += newLine();
    }
    all += token === ":" ? ": " : token;
    if (opens(token)) depth += 1;
    if (token === "," || (opens(token) && !closes(tokens[at + 1]))) all += newLine();
  });
  return all;
}
