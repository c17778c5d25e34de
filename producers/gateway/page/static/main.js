// The page: what is shown, and what happens when something is clicked.

import { Answer, make, message } from "/static/answer.js";
import { ApiError, call, follow, insist, items, key, unique } from "/static/api.js";
import * as sessions from "/static/sessions.js";

const PLACE_MS = 2000;
const at = (id) => document.getElementById(id);
const log = at("log");
let view = null;

function trouble(error) {
  at("trouble").textContent = error?.message ?? "";
  at("trouble").hidden = !error;
}

function network(word) {
  if (at("network").textContent !== word) at("network").textContent = word;
}

// New text keeps the end in sight, unless the reader has scrolled up.
function keeping(change) {
  const end = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  change();
  if (end) log.scrollTop = log.scrollHeight;
}

function show(...messages) {
  log.querySelector(".empty")?.remove();
  keeping(() => log.append(...messages));
}

/**
 * One conversation on the screen. Questions are sent one after the other, in order; only the oldest unanswered one has its
 * stream open, for a browser has few connections to one server; those behind it ask for their place now and then.
 */
class View {
  constructor(session) {
    this.session = session;
    this.leaving = new AbortController();
    this.posting = Promise.resolve();
    this.reading = Promise.resolve();
    this.waiting = new Set();
    this.watching = false;
  }

  get left() {
    return this.leaving.signal.aborted;
  }

  attend(question, answer) {
    answer.onCancel = () => this.cancel(question, answer);
    answer.draw = keeping;
    const posted = this.posting.then(() => this.post(question, answer));
    this.posting = posted.catch(() => {});
    this.reading = this.reading
      .then(() => posted)
      .then(() => this.read(question, answer))
      .catch((error) => this.fail(question, answer, error));
  }

  async post(question, answer) {
    if (!answer.id) {
      const body = { background: true, conversation: this.session, input: question.text };
      const options = { method: "POST", body, headers: { "idempotency-key": question.key } };
      const response = await insist("/v1/responses", options, network, this.leaving.signal);
      if (!response) return;
      sessions.named(this.session, question.key, response.id);
      answer.accepted(response);
    } else {
      this.locate(answer);
    }
    if (answer.cancelled) await this.cancel(question, answer);
    this.waiting.add(answer);
    this.watch();
  }

  async read(question, answer) {
    if (this.left || !answer.id) return;
    for await (const event of follow(answer.id, network, this.leaving.signal)) {
      answer.tell(event);
    }
    if (!this.left) this.ended(question);
  }

  ended(question) {
    sessions.ended(this.session, question.key);
    list();
  }

  async fail(question, answer, error) {
    this.waiting.delete(answer);
    if (error.status !== 401) sessions.ended(this.session, question.key);
    answer.end(error.message, true);
    await failed(error, () => open(this.session));
  }

  async cancel(question, answer) {
    if (!answer.id) return;
    try {
      answer.settle(await call(`/v1/responses/${answer.id}/cancel`, { method: "POST" }));
      // Its stream is read, if ever, only after those before it.
      this.ended(question);
    } catch (error) {
      answer.cancelFailed();
      await failed(error, () => this.cancel(question, answer));
    }
  }

  async watch() {
    if (this.watching) return;
    this.watching = true;
    // One request at a time, for each answer in turn: an API key has only so many.
    while (this.waiting.size && !this.left) {
      const [answer] = this.waiting;
      this.waiting.delete(answer);
      if (answer.started || answer.ended) continue;
      this.waiting.add(answer);
      await new Promise((resolve) => setTimeout(resolve, PLACE_MS));
      await this.locate(answer);
    }
    this.watching = false;
  }

  async locate(answer) {
    const now = await call(`/v1/responses/${answer.id}`).catch(() => null);
    if (now?.status === "queued") answer.place(now);
  }
}

function ask(text) {
  const question = { key: unique(), text };
  const answer = new Answer();
  sessions.asked(view.session, question);
  show(message("user", text), answer.element);
  log.scrollTop = log.scrollHeight;
  heading();
  view.attend(question, answer);
}

function contents(item) {
  return item.content.map((part) => part.text ?? part.refusal ?? `[${part.type}]`).join("");
}

/** Whether an item of the history belongs to a response. */
const belongs = (item, response) => item.id === response || item.id.startsWith(`${response}_`);

async function open(session) {
  view?.leaving.abort();
  const opened = new View(session);
  view = opened;
  history.replaceState(null, "", sessions.find(session) ? `#${session}` : location.pathname);
  heading();
  trouble(null);
  network("");
  log.replaceChildren();
  let past = [];
  try {
    if (sessions.find(session)) past = await items(session);
  } catch (error) {
    if (view === opened) await failed(error, () => open(session));
    return;
  }
  if (view !== opened) return;
  show(...past.filter((item) => item.type === "message").map((item) => message(item.role, contents(item))));
  for (const question of sessions.find(session)?.open ?? []) resume(question, past);
  if (!log.childElementCount) log.append(make("p", "empty", "Ask a question to begin."));
  log.scrollTop = log.scrollHeight;
}

function resume(question, past) {
  const known = question.response?.replace("resp_", "msg_");
  if (known && past.some((item) => belongs(item, known))) {
    sessions.ended(view.session, question.key);
    return;
  }
  const answer = new Answer(question.response);
  show(message("user", question.text), answer.element);
  view.attend(question, answer);
}

/** A key is asked for where one is missing; all else is told. */
async function failed(error, again) {
  if (!(error instanceof ApiError) || error.status !== 401) {
    trouble(error);
    return;
  }
  await askKey(error.message);
  await again();
}

let asking = null;
function askKey(why) {
  asking ??= new Promise((resolve) => {
    at("change-key").hidden = false;
    at("key-why").textContent = `${why} Keys are kept in this tab until you close it.`;
    at("key").value = "";
    at("key-dialog").showModal();
    at("key-dialog").addEventListener("close", () => { asking = null; resolve(); }, { once: true });
  });
  return asking;
}

function heading() {
  at("title").textContent = sessions.find(view.session)?.title ?? "New conversation";
  list();
}

function list() {
  const focused = document.activeElement?.dataset?.focus;
  at("sessions").replaceChildren(...sessions.list().map(entry));
  if (focused) at("sessions").querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
}

function entry(session) {
  const opener = make("button", session.open.length ? "open busy" : "open", session.title);
  opener.type = "button";
  opener.dataset.focus = session.id;
  if (session.id === view.session) opener.setAttribute("aria-current", "true");
  opener.addEventListener("click", () => { menu(false); open(session.id); at("question").focus(); });
  const bin = make("button", "forget", "×");
  bin.type = "button";
  bin.setAttribute("aria-label", `Delete conversation: ${session.title}`);
  bin.addEventListener("click", () => erase(session));
  return make("li", "", opener, bin);
}

async function erase(session) {
  if (!confirm(`Delete the conversation “${session.title}” for good?`)) return;
  try {
    await call(`/v1/conversations/${encodeURIComponent(session.id)}`, { method: "DELETE" });
  } catch (error) {
    if (error.status !== 404) {
      await failed(error, () => erase(session));
      return;
    }
  }
  sessions.forget(session.id);
  if (session.id === view.session) open(sessions.fresh());
  else list();
}

function menu(shown) {
  at("side").classList.toggle("open", shown);
  at("shade").hidden = !shown;
  at("menu").setAttribute("aria-expanded", String(shown));
}

function fit() {
  const box = at("question");
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight + 2}px`;
}

at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = at("question").value;
  if (!text.trim()) return;
  at("question").value = "";
  fit();
  trouble(null);
  ask(text);
});
at("question").addEventListener("input", fit);
at("question").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  at("ask").requestSubmit();
});
at("new").addEventListener("click", () => { menu(false); open(sessions.fresh()); at("question").focus(); });
at("menu").addEventListener("click", () => menu(!at("side").classList.contains("open")));
at("shade").addEventListener("click", () => menu(false));
at("change-key").addEventListener("click", () => askKey("Another API key may see other conversations.").then(() => open(view.session)));
at("key-form").addEventListener("submit", () => key.set(at("key").value.trim()));
document.addEventListener("keydown", (event) => { if (event.key === "Escape") menu(false); });
window.addEventListener("storage", list);
window.addEventListener("online", () => network(""));
at("change-key").hidden = !key.get();

open(sessions.find(location.hash.slice(1))?.id ?? sessions.list()[0]?.id ?? sessions.fresh());
