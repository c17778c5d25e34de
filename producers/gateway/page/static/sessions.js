// The conversations that this browser knows, newest first, and the questions in them whose end it has not seen.

import { unique } from "/static/api.js";

const STORE = "turnstile.sessions";
const TITLE_LENGTH = 60;
const LONGEST_TITLE = 200;

function read() {
  try {
    const found = JSON.parse(localStorage.getItem(STORE) ?? "[]");
    return Array.isArray(found) ? found : [];
  } catch {
    return [];
  }
}

// A browser's store may be full: what was asked is then sent, but not remembered.
function write(all) {
  try {
    localStorage.setItem(STORE, JSON.stringify(all));
  } catch (error) {
    console.warn(error);
  }
}

// Other tabs write here too: each change starts from what is stored.
function change(id, edit) {
  const all = read();
  const found = all.find((session) => session.id === id);
  if (found) edit(found);
  write(all);
}

export const list = read;
export const find = (id) => read().find((session) => session.id === id);
export const fresh = () => `conv_${unique()}`;

/** Note that a question was asked, before it is sent: should the page be gone by then, the next one sends it again. */
export function asked(id, question) {
  if (!find(id)) {
    const title = question.text.trim().replace(/\s+/g, " ").slice(0, TITLE_LENGTH);
    write([{ id, title, open: [] }, ...read()]);
  }
  change(id, (session) => {
    session.open.push(question);
    // Answers go on with the chain that asked.
    if (!question.answers) session.model = question.model ?? "";
  });
}

export const named = (id, key, response) =>
  change(id, (session) => session.open.forEach((q) => { if (q.key === key) q.response = response; }));

export const ended = (id, key) => change(id, (session) => { session.open = session.open.filter((q) => q.key !== key); });

export const rename = (id, title) =>
  change(id, (session) => { session.title = title.trim().slice(0, LONGEST_TITLE) || session.title; });

/** Note the response whose calls the conversation waits for, or that it waits for none. */
export const held = (id, response) => change(id, (session) => { session.held = response; });

export function forget(id) {
  write(read().filter((session) => session.id !== id));
}
