// The gateway's API: requests with the tab's key, and streams of events that outlive the connection.

// An operator's key is another one: it asks nothing.
const KEY = globalThis.location?.pathname === "/admin" ? "turnstile.operator" : "turnstile.key";
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5000;
// Keep-alives come every 15 s: a connection that is silent for longer is dead.
const LONGEST_SILENCE_MS = 40000;
const STEP = "turnstile.step";
const FINAL = new Set(["response.completed", "response.failed", "response.incomplete", "error"]);

/** An answer of the gateway that is no success; `wait` says how many ms it asks for before the next request. */
export class ApiError extends Error {
  constructor(status, body, wait = 0) {
    super(body?.error?.message ?? `The gateway answered ${status}.`);
    this.status = status;
    this.code = body?.error?.code ?? null;
    this.wait = wait;
  }

  /** Whether the same request may do better later. */
  get passing() {
    return this.status === 408 || this.status === 409 || this.status === 429 || this.status >= 500;
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (value) => sessionStorage.setItem(KEY, value),
};

/** Hexadecimal digits that nobody else has; works without a secure context too. */
export function unique() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function send(path, { method = "GET", body, headers = {}, signal } = {}) {
  const given = { ...headers };
  if (key.get()) given.authorization = `Bearer ${key.get()}`;
  if (body !== undefined) given["content-type"] = "application/json";
  const answer = await fetch(path, { method, headers: given, body: body && JSON.stringify(body), signal });
  if (!answer.ok) {
    const wait = Number(answer.headers.get("retry-after") ?? 0) * 1000;
    throw new ApiError(answer.status, await answer.json().catch(() => null), wait);
  }
  return answer;
}

/** The JSON that the gateway answers. Throws ApiError, or TypeError when it cannot be reached. */
export async function call(path, options) {
  return (await send(path, options)).json();
}

function noneYet(error) {
  if (error.status !== 404) throw error;
  return { data: [], has_more: false };
}

/** The newest items of a conversation, oldest first, or those before `before`; `more` is the item before which there are others. */
export async function recent(conversation, before = "") {
  const path = `/v1/conversations/${encodeURIComponent(conversation)}/items?limit=100`;
  const page = await call(`${path}${before && `&after=${encodeURIComponent(before)}`}`).catch(noneYet);
  return { found: page.data.toReversed(), more: page.has_more ? page.last_id : "" };
}

/** All items of a conversation, oldest first. */
export async function items(conversation) {
  let all = [];
  let more = "";
  do {
    const page = await recent(conversation, more);
    all = [...page.found, ...all];
    more = page.more;
  } while (more);
  return all;
}

async function* events(answer, watch) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    watch();
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const data = part.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("\n");
      if (data) yield JSON.parse(data);
    }
  }
}

/** Waits out what passes, longer each time, as long as it goes on; throws what does not pass. */
class Patience {
  constructor(network) {
    this.network = network;
    this.good();
  }

  good() {
    this.pause = FIRST_PAUSE_MS;
    this.network("");
  }

  async wait(error) {
    if (error instanceof ApiError && !error.passing) throw error;
    if (error) this.network(error instanceof ApiError ? "The gateway is busy, trying again …" : "Connection lost, trying again …");
    await sleep(Math.max(this.pause, error?.wait ?? 0));
    this.pause = Math.min(this.pause * 2, LONGEST_PAUSE_MS);
  }
}

/** The JSON that the gateway answers, asked for again until it answers: for requests that may be repeated. */
export async function insist(path, options, network, signal) {
  const patience = new Patience(network);
  while (!signal.aborted) {
    try {
      const answer = await call(path, options);
      patience.good();
      return answer;
    } catch (error) {
      await patience.wait(error);
    }
  }
  return null;
}

/**
 * All events of a response, each once but for steps, however often the connection breaks in between; fewer once `signal` says to stop.
 *
 * `network(word)` is told what is wrong with the gateway or the way to it; an empty word: nothing.
 */
export async function* follow(id, network, signal) {
  const patience = new Patience(network);
  let after = -1;
  while (!signal.aborted) {
    let broken = null;
    const connection = new AbortController();
    const hangUp = () => connection.abort();
    signal.addEventListener("abort", hangUp);
    let timer = 0;
    const watch = () => {
      clearTimeout(timer);
      timer = setTimeout(hangUp, LONGEST_SILENCE_MS);
    };
    try {
      watch();
      const path = `/v1/responses/${id}?stream=true&steps=true${after >= 0 ? `&starting_after=${after}` : ""}`;
      const answer = await send(path, { signal: connection.signal });
      patience.good();
      for await (const event of events(answer, watch)) {
        // A step has the number of the event before it.
        if (event.sequence_number < after || (event.sequence_number === after && event.type !== STEP)) continue;
        after = event.sequence_number;
        yield event;
        if (FINAL.has(event.type)) return;
      }
    } catch (error) {
      broken = error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", hangUp);
      connection.abort();
    }
    if (!signal.aborted) await patience.wait(broken);
  }
}
