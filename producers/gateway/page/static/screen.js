// The parts of the page that everything uses: where messages are shown, and where trouble is told.

import { ApiError, key } from "/static/api.js";

export const at = (id) => document.getElementById(id);
const log = at("log");

export function trouble(error) {
  at("trouble").textContent = error?.message ?? "";
  at("trouble").hidden = !error;
}

export function network(word) {
  if (at("network").textContent !== word) at("network").textContent = word;
}

/** Change the messages. What is new keeps the end in sight, unless the reader has scrolled up. */
export function keeping(change) {
  const end = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  change();
  if (end) log.scrollTop = log.scrollHeight;
}

/** Show messages: behind an element, or at the end. */
export function show(messages, behind = null) {
  log.querySelector(".empty")?.remove();
  keeping(() => (behind ? behind.after(...messages) : log.append(...messages)));
}

/** A key is asked for where one is missing; all else is told. */
export async function failed(error, again) {
  if (!(error instanceof ApiError) || error.status !== 401) {
    trouble(error);
    return;
  }
  await askKey(error.message);
  await again();
}

let asking = null;
export function askKey(why) {
  asking ??= new Promise((resolve) => {
    at("change-key").hidden = false;
    at("key-why").textContent = `${why} Keys are kept in this tab until you close it.`;
    at("key").value = "";
    at("key-dialog").showModal();
    at("key-dialog").addEventListener("close", () => { asking = null; resolve(); }, { once: true });
  });
  return asking;
}

at("key-form").addEventListener("submit", () => key.set(at("key").value.trim()));
at("change-key").hidden = !key.get();
