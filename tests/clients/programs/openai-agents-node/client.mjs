// OpenAI's Agents SDK for JavaScript, by both APIs.

import { Agent, OpenAIChatCompletionsModel, run, setDefaultOpenAIClient, setTracingDisabled, tool } from "@openai/agents";
import OpenAI from "openai";
import { z } from "zod";
import { ANSWER, API_KEY, BASE_URL, CALL, expect, QUESTION, REMEMBERED, SECOND, step, streamed, WEATHER } from "./steps.mjs";

// >>> javascript
const client = new OpenAI({ baseURL: BASE_URL, apiKey: API_KEY });
setDefaultOpenAIClient(client);
setTracingDisabled(true); // traces would go to OpenAI
// <<<

const weather = tool({
  name: "get_weather",
  description: "The weather of a city",
  parameters: z.object({ city: z.string() }),
  execute: async ({ city }) => (city === "Paris" ? WEATHER : "unknown"),
});

async function said(agent, question) {
  const pieces = [];
  const result = await run(agent, question, { stream: true });
  for await (const piece of result.toTextStream()) pieces.push(piece);
  await result.completed;
  return pieces;
}

for (const [way, model] of [
  ["Responses", "gpt-4o-mini"],
  ["Chat Completions", new OpenAIChatCompletionsModel(client, "gpt-4o-mini")],
]) {
  const how = { name: "Assistant", instructions: "You are a helpful assistant", model };
  const agent = new Agent(how);
  const able = new Agent({ ...how, tools: [weather] });

  await step("text", async () => expect((await run(agent, QUESTION)).finalOutput, ANSWER), way);
  await step("stream", async () => streamed(await said(agent, QUESTION), ANSWER), way);
  await step(
    "tools",
    async () => {
      expect((await run(able, CALL)).finalOutput, WEATHER);
      streamed(await said(able, CALL), WEATHER);
    },
    way,
  );
  await step(
    "continues",
    async () => {
      const first = await run(agent, QUESTION);
      const again = await run(agent, [...first.history, { role: "user", content: SECOND }]);
      expect(again.finalOutput, REMEMBERED);
    },
    way,
  );
}

await step(
  "continues",
  async () => {
    const agent = new Agent({ name: "Assistant", tools: [weather] });
    const { id } = await client.conversations.create();
    for (const question of [QUESTION, CALL]) await run(agent, question, { conversationId: id });
    expect((await run(agent, SECOND, { conversationId: id })).finalOutput, REMEMBERED);
    const first = await run(agent, QUESTION);
    const again = await run(agent, SECOND, { previousResponseId: first.lastResponseId });
    expect(again.finalOutput, REMEMBERED);
  },
  "Responses",
);
