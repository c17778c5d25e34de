// Mastra's agents.

import { Agent } from "@mastra/core/agent";
import { createTool } from "@mastra/core/tools";
import { z } from "zod";
import { ANSWER, API_KEY, BASE_URL, CALL, expect, QUESTION, REMEMBERED, SECOND, step, streamed, WEATHER } from "./steps.mjs";

// >>> javascript
const model = { id: "turnstile/gpt-4o-mini", url: BASE_URL, apiKey: API_KEY };
const agent = new Agent({ id: "assistant", name: "Assistant", instructions: "Be brief.", model });
// <<<

const weather = createTool({
  id: "get_weather",
  description: "The weather of a city",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => (city === "Paris" ? WEATHER : "unknown"),
});

await step("text", async () => expect((await agent.generate(QUESTION)).text, ANSWER));

await step("stream", async () => {
  const pieces = [];
  for await (const piece of (await agent.stream(QUESTION)).textStream) pieces.push(piece);
  streamed(pieces, ANSWER);
});

await step("tools", async () => {
  const tools = { get_weather: weather };
  const able = new Agent({ id: "able", name: "Able", instructions: "Be brief.", model, tools });
  expect((await able.generate(CALL)).text, WEATHER);
});

await step("continues", async () => {
  const { text } = await agent.generate(QUESTION);
  const messages = [
    { role: "user", content: QUESTION },
    { role: "assistant", content: text },
    { role: "user", content: SECOND },
  ];
  expect((await agent.generate(messages)).text, REMEMBERED);
});
