// Steps of a client's script: each reports in one line of JSON whether it worked.

import { appendFileSync } from "node:fs";

export const BASE_URL = process.env.OPENAI_BASE_URL;
export const API_KEY = process.env.OPENAI_API_KEY;

export const QUESTION = "Hi! I'm bob";
export const ANSWER = "Hello Bob!";
export const SECOND = "Whats my name";
export const REMEMBERED = "Your name is Bob.";
// The offline model calls the tool that a line of the question names.
export const CALL = 'What is the weather in Paris?\ncall get_weather {"city": "Paris"}\n';
export const WEATHER = "sunny, 21 degrees";

// Run the function and report it; `way` tells several ways to use a client apart.
export async function step(name, run, way = "") {
  try {
    await run();
    report(name, way, "yes", "");
  } catch (error) {
    console.error(String(error?.stack).split("\n").slice(0, 4).join("\n"));
    report(name, way, "no", `${error?.name}: ${error?.message}`.split("\n")[0].slice(0, 120));
  }
}

// Report a step that the client does not have.
export function absent(name, why, way = "") {
  report(name, way, "-", why);
}

export function expect(found, wanted) {
  if (!String(found).includes(wanted)) throw new Error(`expected ${wanted} in ${String(found).slice(0, 120)}`);
}

export function streamed(pieces, wanted) {
  const told = pieces.filter(Boolean);
  expect(told.join(""), wanted);
  if (told.length < 2) throw new Error("the answer came in one piece");
}

function report(step, way, result, why) {
  appendFileSync(process.env.STEPS_REPORT, JSON.stringify({ step, way, result, why }) + "\n");
}
