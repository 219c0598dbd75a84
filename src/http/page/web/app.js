// The page: what is looked at, and who hears of what.

import * as api from "./api.js";
import { $, painter, put } from "./dom.js";
import { bytes, count, filter } from "./text.js";
import { Away } from "./away.js";
import { Cluster } from "./cluster.js";
import { FileView } from "./file.js";
import { Live, load } from "./live.js";
import { Login } from "./login.js";
import { Past } from "./past.js";
import { Rate } from "./rate.js";
import { Status } from "./status.js";
import { Stream } from "./stream.js";
import { TreeView } from "./tree.js";
import { compared } from "./model.js";
import { keys } from "./keys.js";
import { toggle } from "./theme.js";

/** Revisions before the page was opened whose events are shown. */
const BACKLOG = 1_000;

/** Files up to which the comparison with the present follows each change, and how often. */
const FOLLOWED_MAX = 20_000;
const FOLLOW = 1_000;

/** How long something said stays, in milliseconds. */
const SAID = 6_000;

/** How long nobody has touched the page before it may be loaded again under their eyes. */
const UNTOUCHED = 60_000;

const UNAUTHORIZED = 401;

const view = { path: null, at: null, base: null };

const login = new Login();
const cluster = new Cluster();
const rate = new Rate();
const away = new Away({ view: address, stale: renew });
const past = new Past({ change: travel, times: () => tree.retime() });
const stream = new Stream({ select: (path, rev) => open(path, rev), brief: (rev) => past.brief(rev) });
const tree = new TreeView({ select: (path) => open(path), brief: (rev) => past.brief(rev) });
const file = new FileView({
  go: (rev) => past.go(rev),
  when: (rev) => past.when(rev),
  denied: () => login.check(),
  say,
  mayWrite: () => login.rights.write,
});

// What is looked at is in the address, so that it can be kept, sent, and taken to another node.

function address() {
  const query = new URLSearchParams();
  if (view.at !== null) query.set("rev", view.at);
  if (view.base !== null) query.set("base", view.base);
  if (tree.text !== "") query.set("filter", tree.text);
  return `${view.path ?? ""}?${query}`;
}

function readAddress() {
  const [path, query] = location.hash.slice(1).split("?");
  const params = new URLSearchParams(query);
  const number = (name) => (/^\d+$/.test(params.get(name) ?? "") ? Number(params.get(name)) : null);
  if (params.has("key")) api.secret.set(params.get("key"));
  if (params.has("from")) {
    cluster.note(`${params.get("from")} did not answer; this is ${location.host}`, "warn");
    say(`${params.get("from")} did not answer. Going on with ${location.host}.`, "warn");
  }
  Object.assign(view, { path: path || null, at: number("rev"), base: number("base") });
  $("filter").value = params.get("filter") ?? "";
  tree.filter($("filter").value);
}

function keepAddress(isNew) {
  const text = `#${address()}`.replace(/\?$/, "");
  const url = text === "#" ? location.pathname : text;
  if (isNew) history.pushState(null, "", url);
  else history.replaceState(null, "", url);
}

// A page that is open for weeks has to learn whom it may go to. Its policy comes with it, so it is loaded
// again, as it is, when that disturbs nobody.

let touched = Date.now();
for (const kind of ["keydown", "pointerdown", "pointermove", "wheel"]) {
  addEventListener(kind, () => {
    touched = Date.now();
  }, { passive: true });
}

function renew() {
  const isUsed = !document.hidden && Date.now() - touched < UNTOUCHED;
  const isBusy = file.draft !== null || stream.isPaused || view.at !== null;
  if (!isUsed && !isBusy && !document.querySelector("dialog[open]")) location.reload();
}

function say(text, kind = "good") {
  const box = $("said");
  box.className = kind;
  put(box, text);
  clearTimeout(say.timer);
  say.timer = setTimeout(() => put(box, ""), SAID);
}

/** Shows a file; with a revision, one that was chosen where it changed. */
function open(path, rev) {
  const isNew = path !== view.path;
  view.path = path;
  tree.select(path, rev !== undefined || isNew);
  file.show(path, view.at, view.base);
  keepAddress(isNew);
  tab("file");
}

function tab(name) {
  document.body.dataset.tab = name;
  for (const button of document.querySelectorAll("nav button")) {
    button.setAttribute("aria-pressed", button.dataset.tab === name);
  }
}

// The past.

let travelling = new AbortController();
let was = null;

/** Shows a revision, compared with another one or with the present. */
async function travel(at, base) {
  Object.assign(view, { at, base });
  keepAddress(false);
  file.show(view.path, at, base);
  travelling.abort("over");
  was = null;
  if (at === null) {
    $("changes").hidden = true;
    tree.changesOnly(false);
    $("only-changes").checked = false;
    if (tree.tree && tree.tree !== live.tree) live.tree.openAs(tree.tree);
    return tree.show(live.tree);
  }
  travelling = new AbortController();
  const { signal } = travelling;
  try {
    const [shown, other] = await Promise.all([load(at, signal), base === null ? null : load(base, signal)]);
    if (signal.aborted) return;
    was = { shown, other, at, base };
    compare();
  } catch (error) {
    if (signal.aborted) return;
    const isForgotten = error.code === "TOO_LATE";
    say(isForgotten ? `Rev ${count(at)} is not retained any more.` : error.message, "bad");
    if (isForgotten) past.go(null);
  }
}

/** Marks what differs between what is shown and what it is compared with. */
function compare() {
  if (!was) return;
  const { shown, other, at, base } = was;
  const to = base ?? live.tree.rev;
  const both = compared(shown, other ?? live.tree, at < to);
  if (tree.tree) both.openAs(tree.tree);
  else both.openSome();
  tree.show(both);
  const found = { add: 0, mod: 0, del: 0 };
  for (const { mark } of both.files.values()) if (mark) found[mark] += 1;
  const [from, until] = at < to ? [at, to] : [to, at];
  put($("changes-text"), `From rev ${count(from)} to ${base === null && at < to ? "now" : `rev ${count(until)}`}`);
  for (const kind of ["add", "mod", "del"]) put($(`n-${kind}`), count(found[kind]));
  $("changes").hidden = false;
}

const followed = (() => {
  let last = 0;
  return () => {
    if (!was || was.base !== null || live.tree.files.size > FOLLOWED_MAX) return;
    if (Date.now() - last < FOLLOW) return;
    last = Date.now();
    compare();
  };
})();

// The present.

const live = new Live({
  loading: (n) => put($("tree-empty"), `Reading… ${count(n)} files`),
  tree(now) {
    $("tree-note").hidden = now.isWhole;
    if (view.at === null) tree.show(now);
    else compare();
    if (view.path !== null) tree.select(view.path, true);
  },
  events(events) {
    past.learn(events, true);
    stream.learn(events);
    rate.at(events.at(-1).rev);
    for (const event of events) {
      const process = /^\/ctl\/node\/([A-Z2-7]+)\/(\w+)$/.exec(event.path);
      if (process?.[2] === "applied") cluster.beat(process[1]);
      else if (process || event.path.startsWith("/ctl/cal/")) status.wake();
      file.changed(event);
    }
    tree.draw();
    followed();
  },
  gap: (from, to) => stream.gap(from, to),
  error: trouble,
});

const status = new Status({
  status(now) {
    document.body.classList.remove("starting");
    document.title = `${now.health === "healthy" ? "" : "⚠ "}${now.cluster} · Doozer`;
    put($("cluster-name"), now.cluster);
    const word = now.health.replace("-", " ");
    put($("health"), now.changing ? `${word}, changing` : word);
    $("health").className = now.health;
    put($("summary"), now.summary.replace(/^[^:]*: /, "").replace(/^[a-z ]*: /, ""));
    $("problems").replaceChildren(...now.problems.map((text) => {
      const line = document.createElement("li");
      line.textContent = text;
      return line;
    }));
    rate.at(now.rev);
    away.learn(now);
    cluster.show(now);
    live.compare(now.rev);
  },
  note: (text, kind) => cluster.note(text, kind),
  error: trouble,
});

/** What to do about an error of what goes on for ever. */
async function trouble(error) {
  if (error.status === UNAUTHORIZED) return login.check();
  if (error instanceof api.Unreached) {
    // One answer that is lost is nothing yet: only who is gone does not answer again.
    await away.look();
    return past.refresh().catch(() => {});
  }
  say(error.message, "bad");
}

/** What happened shortly before the page was opened. */
async function backlog() {
  const to = live.tree.rev;
  const from = Math.max(past.oldest, to - BACKLOG);
  if (from > to) return;
  const over = new AbortController();
  const known = [];
  try {
    for await (const events of api.events(from, over.signal)) {
      known.push(...events.filter(({ rev }) => rev <= to));
      if (events.at(-1).rev >= to) break;
    }
  } catch {
    // What is forgotten meanwhile is not missed.
  }
  over.abort("over");
  past.learn(known, false);
  stream.before(known);
}

// What people do.

$("filter").addEventListener("input", () => {
  const isOne = tree.filter($("filter").value.trim());
  $("filter").setAttribute("aria-invalid", !isOne);
  keepAddress(false);
});
$("only-changes").addEventListener("change", () => tree.changesOnly($("only-changes").checked));
for (const button of document.querySelectorAll("nav button")) {
  button.addEventListener("click", () => tab(button.dataset.tab));
}
$("help").addEventListener("click", () => $("help-box").showModal());
$("help-close").addEventListener("click", () => $("help-box").close());
addEventListener("popstate", () => {
  readAddress();
  past.go(view.at, view.base);
  tree.select(view.path, true);
});

function create() {
  if (!login.rights.write) return login.ask();
  const folder = view.path ? view.path.replace(/[^/]*$/, "") : "/";
  $("new-path").value = folder;
  $("new-value").value = "";
  put($("new-error"), "");
  $("new-box").showModal();
  $("new-path").focus();
}
$("new").addEventListener("click", create);
$("new-cancel").addEventListener("click", () => $("new-box").close());
$("new-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const path = $("new-path").value.trim();
  try {
    if (!filter(path) || !/^\/[^*?]+$/.test(path)) {
      throw new Error("A path is like /app/master, of letters, digits, dots and dashes.");
    }
    const rev = await api.write(path, 0, $("new-value").value);
    $("new-box").close();
    say(`${path} is written, at rev ${count(rev)} (${bytes($("new-value").value.length)})`);
    past.go(null);
    open(path, rev);
  } catch (error) {
    const isThere = error.code === "REV_MISMATCH";
    put($("new-error"), isThere ? `${path} is there already, at rev ${count(error.rev)}.` : error.message);
  }
});

const focus = (id, name) => () => {
  tab(name);
  $(id).focus();
};
keys([
  [["/"], "filter the files", focus("filter", "tree")],
  [["↑", "↓", "←", "→"], "walk through the files, open and close"],
  [["["], "to the change before", () => past.step(-1)],
  [["]"], "to the change after", () => past.step(1)],
  [["Esc"], "back to now", () => past.go(null)],
  [["c"], "compare from here", () => view.at !== null && past.pin()],
  [["e"], "edit the file (Ctrl Enter saves)", () => file.edit()],
  [["n"], "new file", create],
  [["Delete"], "delete the file", () => file.askDelete()],
  [["p"], "pause the stream of events", () => stream.pause()],
  [["f"], "to the files", focus("tree", "tree")],
  [["s"], "to the slider of revisions", focus("when", document.body.dataset.tab)],
  [["t"], "dark or light", toggle],
  [["?"], "this help", () => $("help-box").showModal()],
]);

login.onchange = () => {
  file.paint();
  status.wake();
};

readAddress();
keepAddress(false);
tab(view.path ? "file" : "tree");
put($("node"), location.host);
await login.check().catch(trouble);
status.run();
live.run();
await past.refresh().catch(trouble);
if (view.path !== null || view.at !== null) past.go(view.at, view.base);
const begun = setInterval(() => {
  if (live.next === null) return;
  clearInterval(begun);
  backlog();
}, 50);
setInterval(painter(() => rate.paint()), 1_000);
