// opencode, a coding agent, run without its terminal.

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { absent, ANSWER, API_KEY, BASE_URL, expect, QUESTION, REMEMBERED, SECOND, step } from "./steps.mjs";

const config = readFileSync(new URL("opencode.jsonc", import.meta.url), "utf8");
writeFileSync("opencode.jsonc", config.replace("BASE_URL", BASE_URL).replace("API_KEY", API_KEY));

function opencode(question, ...words) {
  const { OPENAI_API_KEY, OPENAI_BASE_URL, ...env } = process.env; // else it takes them for OpenAI's own
  const how = { env, input: question, encoding: "utf8", stdio: ["pipe", "pipe", "inherit"], timeout: 100_000 };
  const output = execFileSync("opencode", ["run", ...words], how);
  console.log(output);
  return output;
}

await step("text", () => expect(opencode(QUESTION), ANSWER));
await step("continues", () => expect(opencode(SECOND, "--continue"), REMEMBERED));
await step("tools", () => {
  const call = 'call bash {"command": "echo sunny, $((7 * 3)) degrees", "description": "look"}';
  expect(opencode(`Look\n${call}\n`), "sunny, 21 degrees");
});
absent("stream", "it always streams, and prints whole answers");
