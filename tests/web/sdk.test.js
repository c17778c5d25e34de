import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";

import { API_KEY, BASE_URL, GUARDED_URL, control, until } from "./stack.js";

const { default: OpenAI } = await import(process.env.SDK);
const client = new OpenAI({ baseURL: `${BASE_URL}/v1`, apiKey: "none" });
const ENDED = ["completed", "failed", "cancelled", "incomplete"];
const ended = (id) => until(async () => {
  const now = await client.responses.retrieve(id);
  return ENDED.includes(now.status) && now;
}, "the response has ended");

async function read(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

const deltas = (events) => events.filter((e) => e.type === "response.output_text.delta").map((e) => e.delta).join("");
const numbers = (events) => events.map((event) => event.sequence_number);
const upTo = (count) => Array.from({ length: count }, (_, n) => n);

test("a response in the background is created and polled", async () => {
  const response = await client.responses.create({ input: "Hello", background: true });
  assert.ok(!ENDED.includes(response.status));
  assert.match(response.id, /^resp_/);
  const done = await ended(response.id);
  assert.equal(done.status, "completed");
  assert.ok(done.output_text);
});

test("a response in the foreground is waited for", async () => {
  const response = await client.responses.create({ input: "Hello" });
  assert.equal(response.status, "completed");
  assert.ok(response.output_text);
  assert.ok(response.usage.total_tokens > 0);
});

test("a stream has every event of its response", async () => {
  const events = await read(await client.responses.create({ input: "Count to ten", stream: true }));
  assert.equal(events[0].type, "response.created");
  assert.equal(events.at(-1).type, "response.completed");
  assert.deepEqual(numbers(events), upTo(events.length));
  const done = await client.responses.retrieve(events[0].response.id);
  assert.equal(deltas(events), done.output_text);
});

test("a broken stream goes on where it broke", async () => {
  const stream = await client.responses.create({ input: "Tell me a story", background: true, stream: true });
  const seen = [];
  for await (const event of stream) {
    seen.push(event);
    if (event.type === "response.output_text.delta") break;
  }
  const { id } = seen[0].response;
  const rest = await read(await client.responses.retrieve(id, { stream: true, starting_after: seen.at(-1).sequence_number }));
  assert.deepEqual(numbers([...seen, ...rest]), upTo(seen.length + rest.length));
  assert.equal(deltas([...seen, ...rest]), (await client.responses.retrieve(id)).output_text);
});

test("the SDK's own helper reads a response that was created without a stream", async () => {
  const { id } = await client.responses.create({ input: "Hello again", background: true });
  const final = await client.responses.stream({ response_id: id }).finalResponse();
  assert.equal(final.status, "completed");
  assert.equal(final.output_text, (await client.responses.retrieve(id)).output_text);
});

test("the SDK's own helper survives a cancelled response", async () => {
  const { id } = await client.responses.create({ input: "Wait [[latency=60]]", background: true });
  const reading = client.responses.stream({ response_id: id }).finalResponse();
  const cancelled = await client.responses.cancel(id);
  assert.equal(cancelled.status, "cancelled");
  assert.equal((await reading).status, "cancelled");
  assert.equal((await client.responses.cancel(id)).status, "cancelled");
});

test("a stream outlives the gateway", async () => {
  const { id } = await client.responses.create({ input: "Tell me a long story [[tokens_per_second=8]]", background: true });
  const seen = [];
  try {
    for await (const event of await client.responses.retrieve(id, { stream: true })) {
      seen.push(event);
      if (seen.filter((e) => e.type === "response.output_text.delta").length === 2) await control("/gateway/kill");
    }
  } catch (error) {
    assert.ok(error, "the connection breaks");
  }
  await control("/gateway/start");
  const rest = await read(await client.responses.retrieve(id, { stream: true, starting_after: seen.at(-1).sequence_number }));
  assert.deepEqual(numbers([...seen, ...rest]), upTo(seen.length + rest.length));
  assert.equal(rest.at(-1).type, "response.completed");
});

test("a conversation's items come in order, in pages", async () => {
  const conversation = await client.conversations.create({ metadata: { topic: "counting" } });
  for (const n of [1, 2, 3]) await client.responses.create({ input: `Question ${n}`, conversation: conversation.id });
  const found = [];
  for await (const item of client.conversations.items.list(conversation.id, { order: "asc", limit: 2 })) found.push(item);
  assert.deepEqual(found.map((item) => item.role), ["user", "assistant", "user", "assistant", "user", "assistant"]);
  assert.deepEqual(found.filter((i) => i.role === "user").map((i) => i.content[0].text), ["Question 1", "Question 2", "Question 3"]);
  assert.equal((await client.conversations.retrieve(conversation.id)).metadata.topic, "counting");
  assert.equal((await client.conversations.delete(conversation.id)).deleted, true);
  await assert.rejects(client.conversations.retrieve(conversation.id), OpenAI.NotFoundError);
});

test("two requests at once on one conversation are both answered, in turn", async () => {
  const conversation = `conv_${randomUUID()}`;
  const both = await Promise.all(["First", "Second"].map((input) => client.responses.create({ input, conversation, background: true })));
  assert.equal(both.filter((response) => response.metadata.turnstile_position === "1").length, 1);
  for (const response of both) assert.equal((await ended(response.id)).status, "completed");
  const items = await client.conversations.items.list(conversation, { order: "asc" });
  assert.deepEqual(items.data.map((item) => item.role), ["user", "assistant", "user", "assistant"]);
});

test("the same idempotency key is the same response", async () => {
  const options = { headers: { "idempotency-key": randomUUID() } };
  const body = { input: "Once", background: true };
  const [one, two] = [await client.responses.create(body, options), await client.responses.create(body, options)];
  assert.equal(one.id, two.id);
  await assert.rejects(client.responses.create({ ...body, input: "Twice" }, { ...options, maxRetries: 0 }), OpenAI.UnprocessableEntityError);
});

test("a key is asked for, and one tenant's responses are not another's", async () => {
  const stranger = new OpenAI({ baseURL: `${GUARDED_URL}/v1`, apiKey: "wrong" });
  await assert.rejects(stranger.responses.create({ input: "Hello" }), OpenAI.AuthenticationError);
  const tenant = new OpenAI({ baseURL: `${GUARDED_URL}/v1`, apiKey: API_KEY });
  const { id } = await tenant.responses.create({ input: "Hello", background: true });
  assert.equal((await tenant.responses.retrieve(id)).id, id);
  await assert.rejects(client.responses.retrieve(id), OpenAI.NotFoundError);
});

test("chat completions stream", async () => {
  const stream = await client.chat.completions.create({ model: "any", messages: [{ role: "user", content: "Hello" }], stream: true });
  let text = "";
  for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? "";
  assert.ok(text);
});
