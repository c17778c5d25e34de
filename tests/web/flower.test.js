import assert from "node:assert/strict";
import { test } from "node:test";

import { picture, visit } from "./browser.js";
import { API_KEY, until } from "./stack.js";

const { PROXY_URL, FLOWER_USER, FLOWER_PASSWORD } = process.env;
const FLOWER = `${PROXY_URL}/flower`;
const SECRET = "a-secret-question";
const LOGIN = { username: FLOWER_USER, password: FLOWER_PASSWORD };

async function send(path, body) {
  const headers = { authorization: `Bearer ${API_KEY}`, "content-type": "application/json" };
  const answer = await fetch(`${PROXY_URL}${path}`, { headers, method: "POST", body: JSON.stringify(body) });
  assert.equal(answer.status, 200, await answer.clone().text());
  return (await answer.json()).id;
}

async function ask(input) {
  const conversation = await send("/v1/conversations", {});
  return { conversation, turn: await send("/v1/responses", { input, conversation, background: true }) };
}

const authorization = ({ username, password }) => ({ authorization: `Basic ${btoa(`${username}:${password}`)}` });
const status = async (headers, path = "/tasks") => (await fetch(`${FLOWER}${path}`, { headers })).status;
const row = (page, turn) => page.locator("#tasks-table tbody tr", { hasText: turn });

/** Open a page of Flower as somebody who has the password, and keep all that it gets. */
async function enter(path, received = []) {
  return visit(`${FLOWER}${path}`, { httpCredentials: LOGIN, viewport: { width: 1500, height: 700 } }, (page) => {
    page.on("response", (answer) => received.push(answer));
  });
}

async function shows(page, turn, state) {
  const found = row(page, turn).filter({ hasText: state });
  await until(async () => {
    await page.reload();
    return found.first().waitFor({ timeout: 2000 }).then(() => true, () => false);
  }, `Flower shows ${turn} as ${state}`, 60);
  return found.first().innerText();
}

test("a password is asked for, and only the right one is taken", async () => {
  const refused = await fetch(`${FLOWER}/tasks`);
  assert.equal(refused.status, 401);
  assert.match(refused.headers.get("www-authenticate"), /^Basic /);
  assert.equal(await status(authorization({ ...LOGIN, password: "wrong" })), 401);
  assert.equal(await status(authorization(LOGIN)), 200);
  for (const path of ["/metrics", "/healthcheck"]) assert.equal(await status(authorization(LOGIN), path), 404);
  const page = await enter("/");
  await page.getByRole("link", { name: "Tasks" }).click();
  await page.locator("#tasks-table").waitFor();
  assert.equal(new URL(page.url()).pathname, "/flower/tasks");
});

test("state and session of each turn are shown, and no content anywhere", async () => {
  const received = [];
  const page = await enter("/workers", received);
  await until(async () => {
    await page.reload();
    return (await page.locator("#workers-table tbody tr", { hasText: "@" }).count()) > 0;
  }, "Flower hears the worker", 60);
  const turns = {
    SUCCESS: await ask(`${SECRET} hello`), FAILURE: await ask(`${SECRET} [[fail=400]]`), STARTED: await ask(`${SECRET} [[hang]]`),
    REVOKED: await ask(`${SECRET} [[hang]] too`),
  };
  await page.goto(`${FLOWER}/tasks`);
  await shows(page, turns.REVOKED.turn, "STARTED");
  await picture(page, "flower-tasks");
  await send(`/v1/responses/${turns.REVOKED.turn}/cancel`, {});
  for (const [state, { turn, conversation }] of Object.entries(turns)) {
    const shown = await shows(page, turn, state);
    assert.ok(shown.includes(conversation), `${state}: the session is shown in ${shown}`);
  }
  await picture(page, "flower-tasks");
  await row(page, turns.SUCCESS.turn).getByRole("link").first().click();
  await page.waitForURL(`${FLOWER}/task/${turns.SUCCESS.turn}`);
  await page.getByText(turns.SUCCESS.conversation).first().waitFor();
  await picture(page, "flower-task");
  for (const { turn } of Object.values(turns)) await page.goto(`${FLOWER}/task/${turn}`);
  await page.goto(`${FLOWER}/broker`);
  await page.getByText("chat").first().waitFor();
  for (const answer of received) {
    assert.ok(answer.url().startsWith(`${FLOWER}/`), answer.url());
    if (answer.request().resourceType() === "document" || answer.request().resourceType() === "xhr") {
      const text = await answer.text().catch(() => "");
      assert.ok(!text.includes(SECRET), `${answer.url()} shows content`);
    }
  }
  assert.ok(received.some((answer) => answer.url().includes("/tasks/datatable")), "the table is asked for below the prefix");
  await send(`/v1/responses/${turns.STARTED.turn}/cancel`, {});
});
