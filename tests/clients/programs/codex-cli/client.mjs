// Codex, OpenAI's coding agent, run without its terminal.

import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { absent, ANSWER, API_KEY, BASE_URL, expect, QUESTION, REMEMBERED, SECOND, step } from "./steps.mjs";

const folder = `${process.env.HOME}/.codex`;
mkdirSync(folder, { recursive: true });
const config = readFileSync(new URL("config.toml", import.meta.url), "utf8");
writeFileSync(`${folder}/config.toml`, config.replace("BASE_URL", BASE_URL));

function codex(...words) {
  const options = ["exec", "--skip-git-repo-check", "--json", "--sandbox", "danger-full-access"];
  const env = { ...process.env, TURNSTILE_KEY: API_KEY };
  const how = { env, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], timeout: 100_000 };
  const output = execFileSync("codex", [...options, ...words], how);
  const items = output.split("\n").filter(Boolean).map((line) => JSON.parse(line).item);
  console.log(output);
  return items.filter(Boolean);
}

const said = (items) => items.filter((item) => item.type === "agent_message").map((item) => item.text).join("\n");

await step("text", () => expect(said(codex(QUESTION)), ANSWER));
await step("continues", () => expect(said(codex("resume", "--last", SECOND)), REMEMBERED));
await step("tools", () => {
  const items = codex('Look\ncall exec_command {"cmd": "echo sunny, $((7 * 3)) degrees"}\n');
  expect(said(items), "sunny, 21 degrees");
});
absent("stream", "it always streams, and prints whole answers");
