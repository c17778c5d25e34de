// Genkit, with its plugin for compatible servers.

import { openAICompatible } from "@genkit-ai/compat-oai";
import { genkit, z } from "genkit";
import { ANSWER, API_KEY, BASE_URL, CALL, expect, QUESTION, REMEMBERED, SECOND, step, streamed, WEATHER } from "./steps.mjs";

// >>> javascript
const plugins = [openAICompatible({ name: "turnstile", baseURL: BASE_URL, apiKey: API_KEY })];
const ai = genkit({ plugins, model: "turnstile/gpt-4o-mini" });
// <<<

const weather = ai.defineTool(
  { name: "get_weather", description: "The weather of a city", inputSchema: z.object({ city: z.string() }) },
  async ({ city }) => (city === "Paris" ? WEATHER : "unknown"),
);

await step("text", async () => expect((await ai.generate(QUESTION)).text, ANSWER));

await step("stream", async () => {
  const pieces = [];
  for await (const chunk of ai.generateStream(QUESTION).stream) pieces.push(chunk.text);
  streamed(pieces, ANSWER);
});

await step("tools", async () => expect((await ai.generate({ prompt: CALL, tools: [weather] })).text, WEATHER));

await step("continues", async () => {
  const { messages } = await ai.generate(QUESTION);
  expect((await ai.generate({ messages, prompt: SECOND })).text, REMEMBERED);
});
