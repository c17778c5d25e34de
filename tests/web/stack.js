// The stack that the tests run against, and how to disturb it.

import { setTimeout as sleep } from "node:timers/promises";

export const { BASE_URL, GUARDED_URL, API_KEY, OPERATOR_KEY, CONTROL_URL, FOLDER, SCREENSHOTS, CHROMIUM } = process.env;

export async function control(action) {
  const answer = await fetch(`${CONTROL_URL}${action}`, { method: "POST" });
  if (!answer.ok) throw new Error(`${action}: ${answer.status}`);
}

export async function until(what, description, seconds = 30) {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await sleep(30)) {
    const result = await what();
    if (result) return result;
  }
  throw new Error(`waited ${seconds} s in vain until ${description}`);
}
