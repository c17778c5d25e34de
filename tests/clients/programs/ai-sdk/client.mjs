// Vercel's AI SDK with its two providers: OpenAI's (which speaks Responses), and the one for compatible servers.

import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, isStepCount, streamText, tool } from "ai";
import { z } from "zod";
import { ANSWER, API_KEY, BASE_URL, CALL, expect, QUESTION, REMEMBERED, SECOND, step, streamed, WEATHER } from "./steps.mjs";

// >>> javascript
const openai = createOpenAI({ baseURL: BASE_URL, apiKey: API_KEY });
const compatible = createOpenAICompatible({ name: "turnstile", baseURL: BASE_URL, apiKey: API_KEY });
// <<<

const weather = tool({
  description: "The weather of a city",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => (city === "Paris" ? WEATHER : "unknown"),
});

for (const [way, model] of [
  ["@ai-sdk/openai", openai("gpt-4o-mini")],
  ["@ai-sdk/openai-compatible", compatible("gpt-4o-mini")],
]) {
  await step("text", async () => expect((await generateText({ model, prompt: QUESTION })).text, ANSWER), way);

  await step(
    "stream",
    async () => {
      const pieces = [];
      for await (const piece of streamText({ model, prompt: QUESTION }).textStream) pieces.push(piece);
      streamed(pieces, ANSWER);
    },
    way,
  );

  await step(
    "tools",
    async () => {
      const how = { model, tools: { get_weather: weather }, stopWhen: isStepCount(4), prompt: CALL };
      expect((await generateText(how)).text, WEATHER);
      const pieces = [];
      for await (const piece of streamText(how).textStream) pieces.push(piece);
      streamed(pieces, WEATHER);
    },
    way,
  );

  await step(
    "continues",
    async () => {
      const messages = [{ role: "user", content: QUESTION }];
      messages.push(...(await generateText({ model, messages })).response.messages);
      messages.push({ role: "user", content: SECOND });
      expect((await generateText({ model, messages })).text, REMEMBERED);
    },
    way,
  );
}
