import assert from "node:assert/strict";
import { readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";

import { PHONE, complaints, picture, visit } from "./browser.js";
import { API_KEY, BASE_URL, FOLDER, GUARDED_URL, control, until } from "./stack.js";

async function ask(page, text) {
  await page.getByLabel("Your question").fill(text);
  await page.keyboard.press("Enter");
}

async function askAgent(page, name, text) {
  await page.getByLabel("Model").selectOption(name);
  await ask(page, text);
}

const answers = (page) => page.locator(".message.answer");
const bodies = (page) => page.locator(".message .body").allTextContents();
const settled = (page, count) =>
  until(async () => (await answers(page).count()) === count && (await page.locator('[aria-busy="true"]').count()) === 0,
    `${count} answers are there`);

test("an answer comes while it is written, and is there after a reload", async () => {
  const page = await visit();
  await picture(page, "empty");
  await ask(page, "Tell me about turnstiles [[tokens_per_second=5]]");
  const body = answers(page).first().locator(".body");
  const lengths = new Set();
  await until(async () => {
    const text = await body.textContent();
    if (text) lengths.add(text.length);
    return (await page.locator('[aria-busy="true"]').count()) === 0;
  }, "the answer is whole");
  assert.ok(lengths.size > 2, "the text grew");
  const before = await bodies(page);
  await page.reload();
  await until(async () => (await page.locator(".message").count()) === 2, "the history is there");
  assert.deepEqual(await bodies(page), before);
  assert.equal(await page.title(), "Turnstile");
  await picture(page, "desktop");
});

test("questions that wait are shown with their place, in order, and can be cancelled", async () => {
  const page = await visit();
  await ask(page, "First [[latency=60]]");
  await ask(page, "Second");
  await ask(page, "Third");
  await page.getByText("Waiting: 1 before it").waitFor();
  await page.getByText("Waiting: 2 before it").waitFor();
  await picture(page, "queued");
  const third = answers(page).nth(2);
  await third.getByRole("button", { name: "Cancel" }).click();
  await third.getByText("Cancelled").waitFor();
  await answers(page).nth(0).getByRole("button", { name: "Cancel" }).click();
  await settled(page, 3);
  assert.equal(await answers(page).nth(0).locator(".state").textContent(), "Cancelled");
  assert.equal(await answers(page).nth(1).locator(".state").count(), 0);
  assert.ok(await answers(page).nth(1).locator(".body").textContent());
  await page.reload();
  await until(async () => (await page.locator(".message").count()) === 2, "only what was answered is in the history");
});

test("a question cancelled while another is answered does not come back with a reload", async () => {
  const page = await visit();
  await ask(page, "First [[latency=60]]");
  await ask(page, "Second");
  await page.getByText("Waiting: 1 before it").waitFor();
  await answers(page).nth(1).getByRole("button", { name: "Cancel" }).click();
  await answers(page).nth(1).getByText("Cancelled").waitFor();
  await page.reload();
  await answers(page).nth(0).getByRole("button", { name: "Cancel" }).click();
  await answers(page).nth(0).getByText("Cancelled").waitFor();
  assert.deepEqual(await bodies(page), ["First [[latency=60]]", ""]);
});

test("a question that waits has its place at once after a reload", async () => {
  const page = await visit();
  await ask(page, "First [[latency=60]]");
  await ask(page, "Second");
  await page.getByText("Waiting: 1 before it").waitFor();
  // Nothing is asked for a second time.
  await page.addInitScript(() => {
    const later = window.setTimeout;
    window.setTimeout = (act, ms, ...more) => (ms === 2000 ? 0 : later(act, ms, ...more));
  });
  await page.reload();
  await page.getByText("Waiting: 1 before it").waitFor();
  await answers(page).nth(0).getByRole("button", { name: "Cancel" }).click();
  await settled(page, 2);
});

test("a refusal and a filtered answer are shown", async () => {
  const page = await visit();
  await ask(page, "Do harm [[finish=refusal]]");
  await ask(page, "Do more [[finish=content_filter]]");
  await settled(page, 2);
  assert.deepEqual((await bodies(page)).filter((_, n) => n % 2), ["You said: Do harm", "You said: Do more"]);
  await page.getByText("content filter").waitFor();
  await page.reload();
  await until(async () => (await page.locator(".message").count()) === 2, "the refusal is in the history");
  assert.equal((await bodies(page))[1], "You said: Do harm");
});

for (const [name, options] of [["docs", {}], ["docs-dark", { colorScheme: "dark" }], ["docs-phone", PHONE]]) {
  test(`the API is documented without help from elsewhere: ${name}`, async () => {
    const page = await visit(`${BASE_URL}/`, options);
    await page.goto(`${BASE_URL}/docs`);
    await page.locator('#calls[aria-busy="false"]').waitFor();
    const create = page.locator("details", { hasText: "POST/v1/responses " });
    await create.locator("summary").first().click();
    await create.getByText("previous_response_id").first().waitFor();
    await picture(page, name);
    await page.getByRole("link", { name: "ResponseObject" }).first().click();
    await page.locator("#ResponseObject").getByText("incomplete_details").waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth), false);
  });
}

test("a reload in the middle resumes the answer and what waits behind it", async () => {
  const page = await visit();
  await ask(page, "Tell me a story [[tokens_per_second=6]]");
  await ask(page, "And another");
  await until(async () => (await answers(page).first().locator(".body").textContent()).length > 5, "the answer has begun");
  await page.reload();
  await settled(page, 2);
  const texts = await bodies(page);
  assert.equal(texts.length, 4);
  await page.reload();
  await until(async () => (await page.locator(".message").count()) === 4, "the history is there");
  assert.deepEqual(await bodies(page), texts);
});

test("the stream goes on after the gateway was gone", async () => {
  const page = await visit();
  await ask(page, "Tell me a long story [[tokens_per_second=5]]");
  await until(async () => (await answers(page).first().locator(".body").textContent()).length > 5, "the answer has begun");
  await control("/gateway/kill");
  await page.getByText("Connection lost").waitFor();
  await ask(page, "Asked while it was gone");
  await control("/gateway/start");
  await settled(page, 2);
  assert.equal(await page.getByText("Connection lost").count(), 0);
  const texts = await bodies(page);
  await page.reload();
  await until(async () => (await page.locator(".message").count()) === 4, "the history is there");
  assert.deepEqual(await bodies(page), texts);
});

test("the stream goes on after the network was gone", async () => {
  const page = await visit();
  await ask(page, "Tell me a long story [[tokens_per_second=6]]");
  await until(async () => (await answers(page).first().locator(".body").textContent()).length > 5, "the answer has begun");
  await page.context().setOffline(true);
  await ask(page, "Asked offline");
  await page.getByText("Connection lost").waitFor();
  await page.context().setOffline(false);
  await settled(page, 2);
  assert.equal((await bodies(page)).length, 4);
});

test("a lost worker's answer is begun anew, and not doubled", async () => {
  const page = await visit();
  await ask(page, "Tell me a long story [[tokens_per_second=6]]");
  const body = answers(page).first().locator(".body");
  await until(async () => (await body.textContent()).length > 5, "the answer has begun");
  await control("/worker/kill");
  await control("/worker/start");
  await settled(page, 1);
  const text = await body.textContent();
  await page.reload();
  await until(async () => (await page.locator(".message").count()) === 2, "the history is there");
  assert.equal((await bodies(page))[1], text);
});

test("conversations are kept apart, listed, and deleted", async () => {
  const page = await visit();
  await ask(page, "About apples");
  await settled(page, 1);
  await page.getByRole("button", { name: "New conversation" }).click();
  await ask(page, "About pears");
  await settled(page, 1);
  const list = page.getByRole("navigation").getByRole("listitem");
  assert.equal(await list.count(), 2);
  await page.getByRole("button", { name: "About apples", exact: true }).click();
  await page.locator(".message.user", { hasText: "About apples" }).waitFor();
  assert.equal(await page.locator(".message.user", { hasText: "About pears" }).count(), 0);
  page.on("dialog", (dialog) => dialog.accept());
  await page.getByRole("button", { name: "Delete conversation: About apples" }).click();
  await until(async () => (await list.count()) === 1, "it is gone");
  assert.equal(await page.locator(".message").count(), 0);
});

test("conversations are renamed, and found by their name and by what was said", async () => {
  const page = await visit();
  await ask(page, "About apples");
  await settled(page, 1);
  page.once("dialog", (dialog) => dialog.accept("Fruit of all kinds"));
  await page.getByLabel("More").click();
  await page.getByRole("button", { name: "Rename" }).click();
  await page.getByRole("heading", { name: "Fruit of all kinds" }).waitFor();
  await page.getByRole("button", { name: "New conversation" }).click();
  await ask(page, "Bicycles are not eaten");
  await settled(page, 1);
  await page.reload();
  assert.equal(await page.getByLabel("Model").inputValue(), "");
  const list = page.getByRole("navigation").getByRole("listitem");
  const names = async () => (await list.locator(".open").allTextContents()).join();
  const search = page.getByLabel("Search conversations");
  await until(async () => (await names()) === "Bicycles are not eaten,Fruit of all kinds", "both are listed");
  await search.fill("fruit");
  await until(async () => (await names()) === "Fruit of all kinds", "it is found by its name");
  await search.fill("YOU SAID: ABOUT APP");
  await until(async () => (await names()) === "Fruit of all kinds", "it is found by its answer");
  await page.getByText("1 found").waitFor();
  await picture(page, "search");
  await search.fill("nothing of it");
  await page.getByText("0 found").waitFor();
  await search.fill("");
  await until(async () => (await list.count()) === 2, "both are listed again");
});

test("a conversation is exported as Markdown and as JSON", async () => {
  const page = await visit();
  await askAgent(page, "asks-first", "call in_a_thread 7 | end");
  await settled(page, 1);
  await page.getByLabel("Model").selectOption("");
  await ask(page, "And now? [[think]]");
  await settled(page, 2);
  const exported = async (name) => {
    await page.getByLabel("More").click();
    const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name }).click()]);
    return [file.suggestedFilename(), await readFile(await file.path(), "utf8")];
  };
  await page.getByLabel("More").click();
  await picture(page, "more");
  await page.keyboard.press("Escape");
  const [name, text] = await exported("Export as Markdown");
  assert.equal(name, "call in_a_thread 7  end.md");
  assert.match(text, /^# call in_a_thread 7 \| end\n\n## You\n\ncall in_a_thread 7 \| end\n\n## Answer\n\n\*\*in_a_thread\*\*\n/);
  assert.match(text, /```\nthreaded 7\n```\n\nround 1\. \n\ndone: threaded 7\n\n## You\n\nAnd now\? .*\n\n## Answer\n\n> The question/);
  const items = JSON.parse((await exported("Export as JSON"))[1]).items;
  assert.deepEqual(items.map((item) => item.type), ["message", "message", "mcp_call", "message", "message", "reasoning", "message"]);
});

test("a picture is attached, made small enough, and shown", async () => {
  const page = await visit();
  const chosen = await page.evaluate(async () => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 1800;
    const pen = canvas.getContext("2d");
    const noise = pen.createImageData(1800, 1800);
    for (let n = 0; n < noise.data.length; n += 4) {
      noise.data.set([n % 251, (n * 7) % 253, Math.random() * 256, 255], n);
    }
    pen.putImageData(noise, 0, 0);
    return canvas.toDataURL("image/png").split(",")[1];
  });
  const file = { name: "large.png", mimeType: "image/png", buffer: Buffer.from(chosen, "base64") };
  assert.ok(file.buffer.length > 2_000_000);
  await page.locator("#file").setInputFiles(file);
  const attached = page.getByAltText("The attached picture");
  await attached.waitFor();
  await page.getByRole("button", { name: "Remove the picture" }).click();
  assert.equal(await attached.count(), 0);
  await page.locator("#file").setInputFiles(file);
  await attached.waitFor();
  await picture(page, "attached");
  await ask(page, "What is this?");
  await settled(page, 1);
  assert.equal(await attached.count(), 0);
  const shown = page.locator(".message.user img");
  const width = () => shown.evaluate((image) => image.decode().then(() => image.naturalWidth));
  assert.ok((await shown.getAttribute("src")).length < 1_000_000);
  assert.ok(await width() >= 400);
  await page.reload();
  await shown.waitFor();
  assert.ok(await width() >= 400);
  await picture(page, "picture");
  await page.locator("#file").setInputFiles({ name: "no.png", mimeType: "image/png", buffer: Buffer.from("nothing") });
  await page.getByText("cannot read this file as a picture").waitFor();
});

test("a picture is a question, too", async () => {
  const page = await visit(BASE_URL, PHONE);
  const dot = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
  await page.locator("#file").setInputFiles({ name: "dot.png", mimeType: "image/png", buffer: Buffer.from(dot, "base64") });
  await page.getByAltText("The attached picture").waitFor();
  await picture(page, "attached-phone");
  await page.getByRole("button", { name: "Send" }).click();
  await settled(page, 1);
  assert.equal(await page.locator(".message.user img").getAttribute("src"), `data:image/png;base64,${dot}`);
  await page.getByRole("heading", { name: "A picture" }).waitFor();
});

test("a failure is told", async () => {
  const page = await visit();
  await ask(page, "Fail [[fail=400]]");
  await page.getByText(/^Failed: /).waitFor();
  await ask(page, "And now?");
  await settled(page, 2);
  assert.ok(await answers(page).nth(1).locator(".body").textContent());
});

const RICH = `

# Turnstiles

A **turnstile** lets *one person* through ~~or two~~, see [the list](https://example.com/x) and \`code\`.

1. Insert a coin
2. Push
   - not too hard
   - not twice

| Model | Speed | Use |
|---|--:|:-:|
| waist | 30 | metro |
| full height | 12 | stadium, where nobody watches the gate for most of the day |

> Who waits, waits in order.

\`\`\`python
def push(coin: int) -> bool:
    return coin > 0  # and a comment that is so long that it does not fit into the width of any screen, however wide
\`\`\`

---

![A picture from elsewhere](https://example.com/x.png)`;

for (const [name, options] of [["markdown", {}], ["markdown-dark", { colorScheme: "dark" }],
  ["markdown-phone", { ...PHONE, colorScheme: "dark" }]]) {
  test(`an answer is shown whole: ${name}`, async () => {
    const page = await visit(BASE_URL, { ...options, permissions: ["clipboard-read", "clipboard-write"] });
    await ask(page, `Say this:${RICH}`);
    await settled(page, 1);
    const body = answers(page).first().locator(".body");
    await body.getByRole("heading", { name: "Turnstiles", level: 3 }).waitFor();
    assert.equal(await body.getByRole("row").count(), 3);
    assert.equal(await body.getByRole("cell", { name: "12" }).evaluate((cell) => getComputedStyle(cell).textAlign), "right");
    assert.equal(await body.locator("ol ul li").count(), 2);
    assert.equal(await body.getByRole("link", { name: "the list" }).getAttribute("rel"), "noopener noreferrer nofollow");
    assert.equal(await body.getByRole("img").count(), 0);
    await body.getByRole("button", { name: "Copy" }).click();
    await body.getByRole("button", { name: "Copied" }).waitFor();
    assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^def push\(coin: int\) -> bool:\n    return/);
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth), false);
    await body.evaluate((shown) => shown.scrollIntoView());
    assert.equal(await page.evaluate(() => document.body.scrollTop + document.documentElement.scrollTop), 0);
    await picture(page, name);
    await page.reload();
    await body.getByRole("heading", { name: "Turnstiles", level: 3 }).waitFor();
  });
}

const ledger = async () => (await readFile(path.join(FOLDER, "ledger"), "utf8")).split("\n");

for (const [name, options] of [["steps", {}], ["steps-phone", { ...PHONE, colorScheme: "dark" }]]) {
  test(`an agent's steps are shown while they run, and its calls afterwards: ${name}`, async () => {
    await rm(path.join(FOLDER, "go"), { force: true });
    const page = await visit(BASE_URL, options);
    await askAgent(page, "agent", "call pay 17; call slowly 4 | end");
    await page.getByText("Running slowly …").waitFor();
    const steps = answers(page).first().locator(".steps li");
    await until(async () => (await steps.allTextContents()).includes("slowly"), "the step is there");
    await page.locator(".steps .done", { hasText: "pay" }).waitFor();
    await picture(page, name);
    await writeFile(path.join(FOLDER, "go"), "");
    await settled(page, 1);
    const calls = answers(page).first().locator(".call");
    assert.deepEqual(await calls.locator("summary").allTextContents(), ["pay", "slowly"]);
    assert.equal(await steps.count(), 0);
    await calls.nth(0).locator("summary").click();
    await calls.nth(0).getByText('"what": "17"').waitFor();
    await calls.nth(0).getByText("paid 17", { exact: true }).waitFor();
    await picture(page, `${name}-done`);
    const text = (await bodies(page))[1];
    assert.match(text, /done: paid 17, ended 4/);
    await page.reload();
    await until(async () => (await page.locator(".message").count()) === 2, "the history is there");
    assert.deepEqual(await calls.locator("summary").allTextContents(), ["pay", "slowly"]);
    assert.match((await bodies(page))[1], /done: paid 17, ended 4/);
  });
}

for (const [name, options] of [["approval", {}], ["approval-phone", { ...PHONE, colorScheme: "dark" }]]) {
  test(`calls wait for a person's approval, also over a reload: ${name}`, async () => {
    const page = await visit(BASE_URL, options);
    const [yes, no] = [`${name}-${Date.now()}`, `${name}-no-${Date.now()}`];
    await askAgent(page, "asks-first", `call pay ${yes}; call pay ${no} | end`);
    const cards = page.getByRole("region", { name: "Waits for you" }).locator(".card");
    await until(async () => (await cards.count()) === 2, "both calls wait");
    assert.match(await cards.nth(1).textContent(), new RegExp(`pay.*"what": "${no}"`, "s"));
    await picture(page, name);
    await page.reload();
    await until(async () => (await cards.count()) === 2, "both calls wait still");
    await cards.nth(0).getByRole("button", { name: "Approve" }).click();
    assert.equal(await cards.nth(0).getByRole("button", { name: "Approve" }).getAttribute("aria-pressed"), "true");
    await cards.nth(1).getByLabel("Reason, if you reject it").fill("too much");
    await cards.nth(1).getByRole("button", { name: "Reject" }).click();
    await page.locator(".message.user", { hasText: /Approved: pay\s*Rejected: pay/ }).waitFor();
    await until(async () => /done: /.test((await bodies(page)).at(-1)), "the agent has gone on");
    assert.equal(await cards.count(), 0);
    await picture(page, `${name}-done`);
    const done = await ledger();
    assert.equal(done.filter((entry) => entry.startsWith(`paid ${yes} `)).length, 1);
    assert.equal(done.filter((entry) => entry.startsWith(`paid ${no} `)).length, 0);
    await page.reload();
    await page.locator(".call", { hasText: "too much" }).waitFor({ state: "attached" });
    assert.equal(await cards.count(), 0);
  });
}

test("calls wait anew when the turn that had their approvals fails, and what was done is not done twice", async () => {
  const page = await visit();
  const what = `anew-${Date.now()}`;
  await askAgent(page, "asks-first", `call pay ${what}; call fail 1`);
  const card = page.locator(".card");
  const approve = async () => {
    await card.getByRole("button", { name: "Approve" }).click();
    await until(async () => (await card.count()) === 1 && (await page.locator('[aria-busy="true"]').count()) === 0, "the call waits anew");
  };
  await approve();
  await page.getByText(/^Failed: /).waitFor();
  await page.reload();
  await card.waitFor();
  await approve();
  const done = await ledger();
  assert.equal(done.filter((entry) => entry.startsWith(`paid ${what} `)).length, 1);
});

test("a call that was answered elsewhere is not answered twice", async () => {
  const page = await visit();
  await askAgent(page, "asks-first", `call pay elsewhere-${Date.now()}`);
  const card = page.locator(".card");
  await card.waitFor();
  const { id: conversation, held } = await page.evaluate(() => JSON.parse(localStorage.getItem("turnstile.sessions"))[0]);
  const asked = await (await fetch(`${BASE_URL}/v1/responses/${held}`)).json();
  const [request] = asked.output.filter((item) => item.type === "mcp_approval_request");
  const input = [{ type: "mcp_approval_response", approval_request_id: request.id, approve: true }];
  const body = JSON.stringify({ conversation, input });
  const answer = await fetch(`${BASE_URL}/v1/responses`, { method: "POST", body, headers: { "content-type": "application/json" } });
  assert.equal((await answer.json()).status, "completed");
  await card.getByRole("button", { name: "Reject" }).click();
  await page.locator(".message.failed").waitFor();
  await page.reload();
  await page.getByText(/done: paid elsewhere/).waitFor();
  assert.equal(await card.count(), 0);
});

test("a long conversation is shown from its end", async () => {
  const page = await visit();
  await ask(page, "The first question");
  await settled(page, 1);
  const [{ id }] = await page.evaluate(() => JSON.parse(localStorage.getItem("turnstile.sessions")));
  for (let n = 0; n < 12; n += 1) {
    const items = Array.from({ length: 20 }, (_, m) => ({ role: m % 2 ? "assistant" : "user", content: `message ${n * 20 + m}` }));
    const headers = { "content-type": "application/json" };
    const added = await fetch(`${BASE_URL}/v1/conversations/${id}/items`, { method: "POST", body: JSON.stringify({ items }), headers });
    assert.equal(added.status, 200);
  }
  await page.reload();
  await page.getByText("message 239", { exact: true }).waitFor();
  assert.equal(await page.locator(".message").count(), 100);
  const earlier = page.getByRole("button", { name: "Earlier messages" });
  await earlier.click();
  await until(async () => (await page.locator(".message").count()) === 200, "the earlier messages are there");
  await earlier.click();
  await page.getByText("You said: The first question").waitFor();
  assert.deepEqual((await bodies(page)).slice(0, 4), ["The first question", "You said: The first question", "message 0", "message 1"]);
  assert.equal(await page.locator(".message").count(), 242);
  assert.equal(await earlier.count(), 0);
});

test("a question that an agent asks is answered, and what was asked meanwhile comes after it", async () => {
  const page = await visit();
  await askAgent(page, "topic", "Ask me");
  const card = page.getByRole("region", { name: "Waits for you" });
  await card.getByText('"which": "topic"').waitFor();
  await page.getByLabel("Model").selectOption("");
  await ask(page, "Asked meanwhile");
  await card.getByLabel("Your answer").fill("tea");
  await card.getByRole("button", { name: "Answer" }).click();
  await settled(page, 3);
  assert.deepEqual(await bodies(page), ["Ask me", "", "Answered: interrupt", "The topic is tea.", "Asked meanwhile",
    "You said: Asked meanwhile"]);
});

test("reasoning is folded", async () => {
  const page = await visit();
  await ask(page, "Hello there [[think]]");
  await settled(page, 1);
  const thoughts = answers(page).first().locator(".thoughts");
  assert.equal(await thoughts.getByText("The question is").isVisible(), false);
  await thoughts.getByText("Reasoning").click();
  await thoughts.getByText("The question is").waitFor();
  assert.equal((await bodies(page))[1], "You said: Hello there");
  await picture(page, "reasoning");
  await page.reload();
  await answers(page).first().locator(".thoughts", { hasText: "The question is" }).waitFor();
  await ask(page, "And without");
  await settled(page, 2);
  assert.equal(await answers(page).nth(1).locator(".thoughts").isVisible(), false);
});

test("what is shown already stays while more is written", async () => {
  const page = await visit();
  const kept = await page.evaluate(async () => {
    const { show } = await import("/static/text.js");
    const box = document.createElement("div");
    show(box, "# A\n\none\n\ntwo");
    const before = [...box.children];
    show(box, "# A\n\none\n\ntwo three\n\n- four");
    return [...box.children].map((child, n) => child === before[n]);
  });
  assert.deepEqual(kept, [true, true, false, false]);
});

test("text is text: nothing of an answer or a question becomes markup of the page", async () => {
  const page = await visit();
  await ask(page, "<img src=x onerror=alert(1)><b>bold</b> [bad](javascript:alert(1))");
  await settled(page, 1);
  assert.equal(await page.locator("#log img, #log b, #log a").count(), 0);
  assert.equal((await bodies(page))[1], "You said: <img src=x onerror=alert(1)><b>bold</b> [bad](javascript:alert(1))");
  const refused = await page.evaluate(() => {
    try {
      document.createElement("div").innerHTML = "<b>x</b>";
      return false;
    } catch {
      return true;
    }
  });
  assert.ok(refused);
  complaints.splice(0);
});

test("no answer keeps the page busy, or ends it", async () => {
  const page = await visit();
  const floods = ["[".repeat(50_000), `${"*".repeat(50_000)}a${"*".repeat(50_000)}`, "> ".repeat(25_000), "*_".repeat(25_000),
    `${"|a".repeat(1000)}\n${"|-".repeat(1000)}\n${"x\n".repeat(1000)}`, "a\n".repeat(25_000)];
  for (const flood of floods) {
    const height = await page.evaluate(async (text) => {
      const { show } = await import("/static/text.js");
      const box = document.createElement("div");
      document.getElementById("log").replaceChildren(box);
      show(box, text);
      return box.getBoundingClientRect().height;
    }, flood);
    assert.ok(height > 0);
  }
  await ask(page, "And now?");
  await settled(page, 1);
});

test("a key is asked for, kept for the tab, and asked for again when it is wrong", async () => {
  const page = await visit(GUARDED_URL);
  await ask(page, "Hello");
  const dialog = page.getByRole("dialog", { name: "API key" });
  await dialog.getByLabel("Key").fill("wrong");
  await dialog.getByRole("button", { name: "Use this key" }).click();
  await dialog.getByText("unknown").waitFor();
  await picture(page, "key");
  await dialog.getByLabel("Key").fill(API_KEY);
  await page.keyboard.press("Enter");
  await settled(page, 1);
  assert.ok(await answers(page).first().locator(".body").textContent());
  await page.reload();
  await until(async () => (await page.locator(".message").count()) === 2, "the history is there");
  assert.equal(await dialog.count(), 0);
  assert.equal(await page.evaluate(() => Object.values(localStorage).join().includes("tsk_")), false);
});

test("on a phone, in the dark", async () => {
  const page = await visit(BASE_URL, { ...PHONE, colorScheme: "dark" });
  await ask(page, "What fits on a phone?");
  await settled(page, 1);
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390);
  assert.notEqual(await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor), "rgb(255, 255, 255)");
  await picture(page, "phone-dark");
  const menu = page.getByRole("button", { name: "Conversations" });
  await menu.click();
  assert.equal(await menu.getAttribute("aria-expanded"), "true");
  await page.getByRole("button", { name: "What fits on a phone?", exact: true }).waitFor();
  await page.waitForTimeout(300);
  await picture(page, "phone-menu");
});

test("on a phone, in the light, and on a desktop in the dark", async () => {
  const phone = await visit(BASE_URL, PHONE);
  await ask(phone, "What fits on a phone?");
  await settled(phone, 1);
  await picture(phone, "phone");
  const desktop = await visit(BASE_URL, { colorScheme: "dark" });
  await ask(desktop, "And in the dark?");
  await settled(desktop, 1);
  await picture(desktop, "desktop-dark");
});

test("the keyboard is enough", async () => {
  const page = await visit();
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the question");
  await page.keyboard.press("Enter");
  await page.keyboard.type("Two lines");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("in one question");
  await page.keyboard.press("Enter");
  await settled(page, 1);
  assert.equal((await bodies(page))[0], "Two lines\nin one question");
});
