// The node that this page came from, asked as anybody would ask it.

const SECRET = "doozer-secret";
const ANSWER_MAX = 15_000;

/** The node says no, and why. */
export class Failure extends Error {
  constructor({ code, message, status, rev }) {
    super(message);
    Object.assign(this, { code, status, rev });
  }
}

/** The node does not answer. */
export class Unreached extends Error {}

export const secret = {
  get: () => sessionStorage.getItem(SECRET) ?? "",
  set: (text) => sessionStorage.setItem(SECRET, text),
  forget: () => sessionStorage.removeItem(SECRET),
};

function head(headers = {}) {
  const text = secret.get();
  if (text === "") return headers;
  // Headers take bytes, one for each character.
  const bytes = String.fromCharCode(...new TextEncoder().encode(text));
  return { ...headers, Authorization: `Bearer ${bytes}` };
}

async function fetched(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (options.signal?.reason === "over") throw error;
    throw new Unreached(`${location.host} does not answer`);
  }
}

async function failure(response) {
  try {
    return new Failure((await response.json()).error);
  } catch {
    return new Failure({ code: "OTHER", message: response.statusText, status: response.status });
  }
}

/** Asks, and gives the response if it is a success. */
export async function ask(path, { params = {}, headers, signal, max = ANSWER_MAX, ...rest } = {}) {
  const given = Object.entries(params).filter(([, value]) => value !== undefined);
  const query = new URLSearchParams(given).toString();
  const limit = AbortSignal.timeout(max);
  const response = await fetched(query ? `${path}?${query}` : path, {
    ...rest,
    headers: head(headers),
    signal: signal ? AbortSignal.any([signal, limit]) : limit,
  });
  if (!response.ok) throw await failure(response);
  return response;
}

export async function json(path, params, options) {
  const response = await ask(path, { params, ...options });
  try {
    return await response.json();
  } catch {
    throw new Unreached(`${location.host} broke off`);
  }
}

const fileAt = (path) => `/api/v1/files${path}`;

/** A file at a revision, or now. Nothing if there is none. */
export async function read(path, rev, signal) {
  try {
    const response = await ask(fileAt(path), { params: { rev, local: true, format: "raw" }, signal });
    const of = Number(response.headers.get("doozer-rev"));
    return { path, rev: of, bytes: new Uint8Array(await response.arrayBuffer()) };
  } catch (error) {
    if (error instanceof Failure && error.code === "NOENT") return null;
    throw error;
  }
}

/** The revision of a file at a revision, or now. Nothing if there is none. */
export async function revOf(path, rev, signal) {
  const stat = await json("/api/v1/stat", { path, rev, local: true }, { signal });
  return stat.type === "file" ? stat.rev : null;
}

/** Writes a file that has not changed since `rev`; 0 says that there is none. Gives its revision. */
export async function write(path, rev, body) {
  const condition = rev === 0 ? { "If-None-Match": "*" } : { "If-Match": `"${rev}"` };
  const response = await ask(fileAt(path), { method: "PUT", headers: condition, body });
  return (await response.json()).rev;
}

export async function remove(path, rev) {
  await ask(fileAt(path), { method: "DELETE", headers: { "If-Match": `"${rev}"` } });
}

/** Groups of events from a revision on, as they come. Ends by an error, always. */
export async function* events(from, signal) {
  const response = await fetched(`/api/v1/watch?pattern=/**&from=${from}`, { headers: head(), signal });
  if (!response.ok) throw await failure(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    let chunk;
    try {
      chunk = await reader.read();
    } catch (error) {
      if (signal.aborted) throw error;
      throw new Unreached(`${location.host} broke off`);
    }
    if (chunk.done) throw new Unreached(`${location.host} broke off`);
    const blocks = (rest + chunk.value).split("\n\n");
    rest = blocks.pop();
    const told = [];
    for (const block of blocks) {
      const data = /^data: (.*)$/m.exec(block);
      if (!data) continue;
      const value = JSON.parse(data[1]);
      if (/^event: failure$/m.test(block)) throw new Failure(value.error);
      told.push(value);
    }
    if (told.length > 0) yield told;
  }
}
