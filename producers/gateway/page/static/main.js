// The page: one conversation, the list of all, and what happens when something is clicked.

import { answered, question as asked } from "/static/answer.js";
import { call, items, unique } from "/static/api.js";
import { make } from "/static/parts.js";
import { askKey, at, failed, network, show, trouble } from "/static/screen.js";
import * as sessions from "/static/sessions.js";
import { Side, menu } from "/static/side.js";
import { View } from "/static/view.js";

const MODEL = "turnstile.model";
const log = at("log");
let view = null;
const side = new Side(open, () => view.session);

function ask(text) {
  const question = { key: unique(), text, model: at("model").value || undefined };
  sessions.asked(view.session, question);
  view.ask(question);
  log.scrollTop = log.scrollHeight;
  heading();
}

/** Whether an item of the history belongs to a response. */
const belongs = (item, response) => item.id.replace(/^[a-z]+_/, "").split("_")[0] === response?.replace("resp_", "");

/** The messages of a conversation: all that was answered between two questions is one. */
function messages(past) {
  const made = [];
  let run = [];
  const close = () => { if (run.length) made.push(answered(run)); run = []; };
  for (const item of past) {
    if (item.type === "message" && item.role === "user") {
      close();
      made.push(asked(item.content));
    } else {
      run.push(item);
    }
  }
  close();
  return made;
}

async function open(session) {
  view?.leaving.abort();
  const opened = new View(session, () => open(session), () => side.draw());
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
  show(messages(past));
  resume(past);
  if (!log.childElementCount) log.append(make("p", "empty", "Ask a question to begin."));
  log.scrollTop = log.scrollHeight;
}

/** Go on with what this browser has not seen the end of. */
function resume(past) {
  const found = sessions.find(view.session);
  let held = found?.held;
  for (const question of found?.open ?? []) {
    if (past.some((item) => belongs(item, question.response))) {
      sessions.ended(view.session, question.key);
      held = question.response;
    } else {
      view.ask(question);
    }
  }
  if (held && past.length && belongs(past.at(-1), held)) view.resumeHold(held);
}

function heading() {
  at("title").textContent = sessions.find(view.session)?.title ?? "New conversation";
  side.draw();
}

/** Offer the deployment's models, where it has more than one. */
async function offerModels() {
  const names = (await call("/v1/models").catch(() => ({ data: [] }))).data.map((model) => model.id);
  at("model").replaceChildren(...names.slice(0, 1).map((name) => new Option(name, "")), ...names.slice(1).map((name) => new Option(name, name)));
  at("model").hidden = names.length < 2;
  at("model").value = names.indexOf(localStorage.getItem(MODEL)) > 0 ? localStorage.getItem(MODEL) : "";
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
at("model").addEventListener("change", () => localStorage.setItem(MODEL, at("model").value));
at("change-key").addEventListener("click", () => askKey("Another API key may see other conversations.").then(() => open(view.session)));
at("key-dialog").addEventListener("close", offerModels);
document.addEventListener("keydown", (event) => { if (event.key === "Escape") menu(false); });
window.addEventListener("storage", () => side.draw());
window.addEventListener("online", () => network(""));

offerModels();
open(sessions.find(location.hash.slice(1))?.id ?? sessions.list()[0]?.id ?? sessions.fresh());
