// The page: one conversation, the list of all, and what happens when something is clicked.

import { answered, question as asked } from "/static/answer.js";
import { call, items, recent, unique } from "/static/api.js";
import { button, make } from "/static/elements.js";
import { markdown, save } from "/static/export.js";
import { exchanges } from "/static/parts.js";
import { read } from "/static/pictures.js";
import { askKey, at, failed, network, show, trouble } from "/static/screen.js";
import * as sessions from "/static/sessions.js";
import { Side, menu } from "/static/side.js";
import { picture } from "/static/text.js";
import { View } from "/static/view.js";

const MODEL = "turnstile.model";
const log = at("log");
let view = null;
let attached = null;
const side = new Side(open, () => view.session);

function ask(text) {
  const question = { key: unique(), text: text || "A picture", model: at("model").value || undefined };
  if (attached) {
    const content = [...(text ? [{ type: "input_text", text }] : []), { type: "input_image", image_url: attached }];
    question.input = [{ type: "message", role: "user", content }];
  }
  attach(null);
  sessions.asked(view.session, question);
  view.ask(question);
  log.scrollTop = log.scrollHeight;
  heading();
}

/** Put a picture, a `data:` URL, beside the question that is written; null for none. */
function attach(url) {
  attached = url;
  at("question").required = !url;
  at("attached").hidden = !url;
  const off = button("quiet", "×", () => attach(null));
  off.setAttribute("aria-label", "Remove the picture");
  at("attached").replaceChildren(...(url ? [picture(url, "The attached picture"), off] : []));
}

async function attachFile(file) {
  if (!file) return;
  trouble(null);
  await read(file).then(attach, trouble);
}

/** Whether an item of the history belongs to a response. */
const belongs = (item, response) => item.id.replace(/^[a-z]+_/, "").split("_")[0] === response?.replace("resp_", "");

/** The messages of a part of the history, below a button for what comes before it. */
function messages({ found, more }) {
  const earlier = button("quiet earlier", "Earlier messages", async () => {
    const session = view.session;
    const page = await recent(session, more).catch((error) => failed(error, () => {}));
    if (!page || session !== view.session) return;
    const below = log.scrollHeight - log.scrollTop;
    earlier.replaceWith(...messages(page));
    log.scrollTop = log.scrollHeight - below;
  });
  return [...(more ? [earlier] : []), ...exchanges(found).map((one) => (Array.isArray(one) ? answered(one) : asked(one.content)))];
}

async function open(session) {
  view?.leaving.abort();
  const opened = new View(session, () => open(session), () => side.draw());
  view = opened;
  history.replaceState(null, "", sessions.find(session) ? `#${session}` : location.pathname);
  heading();
  chooseModel();
  trouble(null);
  network("");
  log.replaceChildren();
  let past = { found: [], more: "" };
  try {
    if (sessions.find(session)) past = await recent(session);
  } catch (error) {
    if (view === opened) await failed(error, () => open(session));
    return;
  }
  if (view !== opened) return;
  show(messages(past));
  resume(past.found);
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

async function exportTo(write) {
  const { id, title } = sessions.find(view.session);
  try {
    write(title, await items(id));
  } catch (error) {
    await failed(error, () => exportTo(write));
  }
}

function rename() {
  const name = prompt("Name of the conversation", sessions.find(view.session).title);
  if (name !== null) sessions.rename(view.session, name);
  heading();
}

function heading() {
  at("more").hidden = !sessions.find(view.session);
  at("title").textContent = sessions.find(view.session)?.title ?? "New conversation";
  side.draw();
}

/** Offer the deployment's own model and chains, where there are several; the model's server may list a hundred others. */
async function offerModels() {
  const { data } = await call("/v1/models").catch(() => ({ data: [] }));
  const names = data.filter((model) => model.owned_by === "turnstile").map((model) => model.id);
  at("model").replaceChildren(...names.map((name, n) => new Option(name, n ? name : "")));
  at("model").hidden = names.length < 2;
  chooseModel();
}

/** Choose the model that the conversation had last, or for a new one that of the last choice. */
function chooseModel() {
  at("model").value = sessions.find(view.session)?.model ?? localStorage.getItem(MODEL) ?? "";
  if (at("model").selectedIndex < 0) at("model").selectedIndex = 0;
}

function fit() {
  const box = at("question");
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight + 2}px`;
}

at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = at("question").value;
  if (!text.trim() && !attached) return;
  at("question").value = "";
  fit();
  trouble(null);
  ask(text.trim() ? text : "");
});
at("question").addEventListener("input", fit);
at("question").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  at("ask").requestSubmit();
});
at("question").addEventListener("paste", ({ clipboardData }) =>
  attachFile([...clipboardData.files].find((file) => file.type.startsWith("image/"))));
at("attach").addEventListener("click", () => at("file").click());
at("file").addEventListener("change", () => { attachFile(at("file").files[0]); at("file").value = ""; });
at("rename").addEventListener("click", rename);
at("export-markdown").addEventListener("click", () =>
  exportTo((title, past) => save(title, "md", "text/markdown", markdown(title, exchanges(past)))));
at("export-json").addEventListener("click", () =>
  exportTo((title, past) => save(title, "json", "application/json", JSON.stringify({ title, items: past }, null, 2))));
document.addEventListener("click", (event) => { if (!event.target.closest("#more > summary")) at("more").open = false; });
at("new").addEventListener("click", () => { menu(false); open(sessions.fresh()); at("question").focus(); });
at("menu").addEventListener("click", () => menu(!at("side").classList.contains("open")));
at("shade").addEventListener("click", () => menu(false));
at("model").addEventListener("change", () => localStorage.setItem(MODEL, at("model").value));
at("change-key").addEventListener("click", () =>
  askKey("Another API key may see other conversations.").then(() => open(view.session)));
at("key-dialog").addEventListener("close", offerModels);
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  menu(false);
  at("more").open = false;
});
window.addEventListener("storage", () => side.draw());
window.addEventListener("online", () => network(""));

offerModels();
open(sessions.find(location.hash.slice(1))?.id ?? sessions.list()[0]?.id ?? sessions.fresh());
