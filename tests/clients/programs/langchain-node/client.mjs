// LangChain for JavaScript: ChatOpenAI by both APIs, and agents on top of it.

import { ChatOpenAI } from "@langchain/openai";
import { createAgent, tool } from "langchain";
import { z } from "zod";
import { ANSWER, API_KEY, BASE_URL, CALL, expect, QUESTION, REMEMBERED, SECOND, step, streamed, WEATHER } from "./steps.mjs";

// >>> javascript
const server = { model: "gpt-4o-mini", apiKey: API_KEY, configuration: { baseURL: BASE_URL } };
const chat = new ChatOpenAI(server);
const responses = new ChatOpenAI({ ...server, useResponsesApi: true });
// <<<

const weather = tool(({ city }) => (city === "Paris" ? WEATHER : "unknown"), {
  name: "get_weather",
  description: "The weather of a city",
  schema: z.object({ city: z.string() }),
});

for (const [way, model] of [
  ["Chat Completions", chat],
  ["Responses", responses],
]) {
  await step("text", async () => expect((await model.invoke(QUESTION)).text, ANSWER), way);

  await step(
    "stream",
    async () => {
      const pieces = [];
      for await (const chunk of await model.stream(QUESTION)) pieces.push(chunk.text);
      streamed(pieces, ANSWER);
    },
    way,
  );

  await step(
    "tools",
    async () => {
      const agent = createAgent({ model, tools: [weather] });
      const { messages } = await agent.invoke({ messages: [{ role: "user", content: CALL }] });
      expect(messages.at(-1).text, WEATHER);
    },
    way,
  );

  await step(
    "continues",
    async () => {
      const agent = createAgent({ model, tools: [] });
      const { messages } = await agent.invoke({ messages: [{ role: "user", content: QUESTION }] });
      const again = await agent.invoke({ messages: [...messages, { role: "user", content: SECOND }] });
      expect(again.messages.at(-1).text, REMEMBERED);
    },
    way,
  );
}
