import assert from "node:assert/strict";
import { test } from "node:test";

import { PHONE, picture, visit } from "./browser.js";
import { API_KEY, GUARDED_URL, OPERATOR_KEY, until } from "./stack.js";

const URL_OF_ADMIN = `${GUARDED_URL}/admin`;
const HOSTILE = '<img src=x onerror="document.title=1"><b>bold</b>';

async function send(path, { key = OPERATOR_KEY, ...options } = {}) {
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const answer = await fetch(`${GUARDED_URL}${path}`, { headers, ...options });
  assert.equal(answer.status, 200, await answer.clone().text());
  return answer.json();
}

async function ask(input) {
  const body = JSON.stringify({ input, background: true });
  const { id } = await send("/v1/responses", { key: API_KEY, method: "POST", body });
  return id;
}

const stateOf = async (turn) => (await send(`/admin/turns/${turn}`)).state;
const dialog = (page) => page.getByRole("dialog", { name: "API key" });

async function give(page, key) {
  await dialog(page).getByLabel("Key").fill(key);
  await page.keyboard.press("Enter");
}

async function enter(options = {}, prepare = () => {}) {
  const page = await visit(URL_OF_ADMIN, options, prepare);
  await give(page, OPERATOR_KEY);
  await page.locator('main[aria-busy="false"]').waitFor();
  return page;
}

const row = (page, section, turn) => page.locator(`#${section} tr`, { hasText: turn });

/** Change what the gateway tells before the page gets it. */
const telling = (change) => (page) => page.route("**/admin/overview", async (route) => {
  const answer = await route.fetch();
  if (!answer.ok()) return route.fulfill({ response: answer });
  const seen = await answer.json();
  change(seen);
  return route.fulfill({ response: answer, json: seen });
});

/** An hour of minutes, with a gap of ten. */
function hour(seen) {
  const minutes = Array.from({ length: 60 }, (_, n) => n).filter((n) => n < 20 || n > 30);
  const names = ["running", "ready", "blocked", "held", "slots", "accepted", "completed", "failed", "returned", "tokens", "cost", "ready_seconds"];
  seen.last_hour = minutes.map((n) => ({
    at: seen.at - 3540 + 60 * n, ...Object.fromEntries(names.map((name, k) => [name, Math.round(50 + 40 * Math.sin(n / (4 + k)))])),
  }));
}

test("an operator's key is asked for, and a tenant's is refused", async () => {
  const page = await visit(URL_OF_ADMIN);
  await dialog(page).getByText("no API key").waitFor();
  await give(page, API_KEY);
  await dialog(page).getByText("needs an operator's key").waitFor();
  assert.equal(await page.locator("#now div").count(), 0);
  await give(page, OPERATOR_KEY);
  await page.locator("#now div").first().waitFor();
  await page.reload();
  await page.locator("#now div").first().waitFor();
  assert.equal(await dialog(page).count(), 0);
  await page.goto(GUARDED_URL);
  assert.equal(await page.evaluate(() => sessionStorage.getItem("turnstile.key")), null, "the page for conversations has another key");
});

test("a turn at work is seen, looked at, and cancelled", async () => {
  const turn = await ask("a secret [[latency=300]]");
  const page = await enter();
  const line = row(page, "running", turn);
  await line.waitFor();
  await page.getByRole("button", { name: turn }).click();
  const looked = page.getByRole("dialog", { name: `Turn ${turn}` });
  await looked.getByText("running", { exact: true }).waitFor();
  assert.match(await looked.textContent(), /acme\//);
  const flower = looked.getByRole("link", { name: "In Flower" });
  assert.equal(await flower.getAttribute("href"), `/flower/task/${turn}`);
  await picture(page, "admin-turn");
  page.once("dialog", (question) => question.dismiss());
  await looked.getByRole("button", { name: "Cancel" }).click();
  assert.equal(await stateOf(turn), "running");
  page.once("dialog", (question) => question.accept());
  await looked.getByRole("button", { name: "Cancel" }).click();
  await until(async () => (await stateOf(turn)) === "cancelled", "it is cancelled");
  await line.waitFor({ state: "detached" });
  assert.doesNotMatch(await page.content(), /secret/);
});

test("a failed turn is seen with its code, and retried", async () => {
  const turn = await ask("a secret [[fail=400]]");
  await until(async () => (await stateOf(turn)) === "failed", "it has failed");
  const page = await enter();
  const line = row(page, "failed", turn);
  await line.getByText("invalid_request").waitFor();
  const retried = page.waitForResponse((answer) => answer.url().endsWith(`/${turn}/retry`));
  page.once("dialog", (question) => question.accept());
  await line.getByRole("button", { name: "Retry" }).click();
  assert.equal((await (await retried).json()).state, "queued");
});

test("the keyboard keeps its place while the page is drawn again", async () => {
  const turn = await ask("slow [[latency=300]]");
  const page = await enter();
  const name = page.getByRole("button", { name: turn });
  await name.focus();
  await page.waitForResponse((answer) => answer.url().endsWith("/admin/overview"));
  await page.waitForResponse((answer) => answer.url().endsWith("/admin/overview"));
  assert.equal(await page.evaluate(() => document.activeElement.textContent), turn);
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: `Turn ${turn}` }).waitFor();
  await page.keyboard.press("Escape");
  await send(`/admin/turns/${turn}/cancel`, { method: "POST" });
});

test("text is text, whatever a name says", async () => {
  const page = await enter({}, telling((seen) => {
    const one = { turn: "t1", session: HOSTILE, queue: HOSTILE, phase: HOSTILE, seconds: 1, attempts: 1, steps: 0, model_calls: 0, tokens: 0,
      behind: 0, worker: HOSTILE, waits_for: HOSTILE, code: HOSTILE };
    Object.assign(seen, { running: [one], waiting: [one], failed: [one], held: [{ session: HOSTILE, seconds: 1 }], queues: { [HOSTILE]: 1 },
      failures: { [HOSTILE]: 1 }, workers: [{ name: HOSTILE, version: HOSTILE, slots: 1, busy: 1, seconds: 1, hangs: [HOSTILE] }] });
  }));
  await until(async () => (await page.getByText(HOSTILE).count()) > 8, "the names are shown as they are");
  assert.equal(await page.locator("img:not(h1 img), main b").count(), 0);
  assert.equal(await page.title(), "Turnstile: operators");
});

test("the last hour is drawn, with its gaps", async () => {
  const page = await enter({}, telling(hour));
  const plots = page.locator("#plots figure");
  await until(async () => (await plots.count()) === 10, "all plots are there");
  assert.equal(await plots.first().locator("polyline").count(), 2);
  const points = (await plots.first().locator("polyline").last().getAttribute("points")).split(" ");
  assert.equal(points.length, 29);
  const [x, y] = points.at(-1).split(",").map(Number);
  assert.ok(x > 230 && x <= 240 && y >= 2 && y <= 54, `${x},${y}`);
  assert.match(await plots.first().locator("svg").getAttribute("aria-label"), /^At work: \d+ now, \d+ at most in the last hour$/);
});

test("minutes are noted by the workers", async () => {
  await until(async () => (await send("/admin/overview")).last_hour.length > 0, "two minutes are noted", 240);
});

test("an outage of the gateway is told, and over when it is", async () => {
  let broken = false;
  const page = await enter({}, (one) => one.route("**/admin/overview", (route) => (broken ? route.abort() : route.continue())));
  broken = true;
  await page.getByText("No answer").waitFor();
  broken = false;
  await until(async () => !(await page.getByText("No answer").count()), "it answers again");
});

for (const [name, options] of Object.entries({
  "light": {}, "dark": { colorScheme: "dark" }, "phone": PHONE, "phone-dark": { ...PHONE, colorScheme: "dark" },
})) {
  test(`it fits: ${name}`, async () => {
    const turn = await ask("slow [[latency=300]]");
    const page = await enter(options, telling(hour));
    await row(page, "running", turn).waitFor();
    const [width, scrolled] = await page.evaluate(() => [window.innerWidth, document.documentElement.scrollWidth]);
    assert.ok(scrolled <= width, `${scrolled} in ${width}`);
    const ground = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    assert.equal(ground === "rgb(255, 255, 255)", !name.includes("dark"));
    await picture(page, `admin-${name}`);
    await send(`/admin/turns/${turn}/cancel`, { method: "POST" });
  });
}
