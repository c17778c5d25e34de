// Chromium for the tests of one file. Whatever a page complains of, or reaches out to, fails the test.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, afterEach, before } from "node:test";

import { chromium } from "playwright-core";

import { BASE_URL, CHROMIUM, SCREENSHOTS } from "./stack.js";

const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];
export const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

let profile;
let browser;
const opened = [];
export const complaints = [];

before(async () => {
  profile = await mkdtemp(path.join(tmpdir(), "page-"));
  browser = await chromium.launch({ executablePath: CHROMIUM, headless: true, args: FLAGS, env: { ...process.env, HOME: profile } });
});
after(async () => {
  await browser.close();
  await rm(profile, { recursive: true, force: true });
});
afterEach(async () => {
  for (const context of opened.splice(0)) await context.close();
  assert.deepEqual(complaints.splice(0), []);
});

/** Open a page; `prepare` gets it before anything is loaded. */
export async function visit(url = BASE_URL, options = {}, prepare = () => {}) {
  const context = await browser.newContext(options);
  opened.push(context);
  const page = await context.newPage();
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (line) => {
    if (line.type() === "error" && !/Failed to load resource|ERR_/.test(line.text())) complaints.push(line.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(new URL(url).origin)) complaints.push(`reached out to ${request.url()}`);
  });
  await prepare(page);
  await page.goto(url);
  return page;
}

export const picture = (page, name) => page.screenshot({ path: path.join(SCREENSHOTS, `${name}.png`) });
