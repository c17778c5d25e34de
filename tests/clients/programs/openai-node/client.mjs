// OpenAI's SDK for JavaScript: Responses, and Chat Completions with its own loop of tools.

import OpenAI from "openai";
import { zodFunction } from "openai/helpers/zod";
import { z } from "zod";
import { ANSWER, API_KEY, BASE_URL, CALL, expect, QUESTION, REMEMBERED, SECOND, step, streamed, WEATHER } from "./steps.mjs";

// >>> javascript
const client = new OpenAI({ baseURL: BASE_URL, apiKey: API_KEY });
const response = await client.responses.create({ model: "gpt-4o-mini", input: QUESTION });
// <<<

const model = "gpt-4o-mini";
const parameters = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const RESPONSES = "Responses";
const CHAT = "Chat Completions";

await step("text", () => expect(response.output_text, ANSWER), RESPONSES);

await step(
  "stream",
  async () => {
    const pieces = [];
    const events = client.responses.stream({ model, input: QUESTION });
    for await (const event of events) {
      if (event.type === "response.output_text.delta") pieces.push(event.delta);
    }
    streamed(pieces, ANSWER);
    expect((await events.finalResponse()).output_text, ANSWER);
  },
  RESPONSES,
);

await step(
  "tools",
  async () => {
    const tools = [{ type: "function", name: "get_weather", description: "The weather", parameters, strict: true }];
    const input = [{ role: "user", content: CALL }];
    const first = await client.responses.create({ model, tools, input });
    input.push(...first.output);
    for (const call of first.output.filter((item) => item.type === "function_call")) {
      expect(JSON.parse(call.arguments).city, "Paris");
      input.push({ type: "function_call_output", call_id: call.call_id, output: WEATHER });
    }
    expect((await client.responses.create({ model, tools, input })).output_text, WEATHER);
  },
  RESPONSES,
);

await step(
  "continues",
  async () => {
    const again = await client.responses.create({ model, input: SECOND, previous_response_id: response.id });
    expect(again.output_text, REMEMBERED);
  },
  RESPONSES,
);

await step(
  "text",
  async () => {
    const answer = await client.chat.completions.create({ model, messages: [{ role: "user", content: QUESTION }] });
    expect(answer.choices[0].message.content, ANSWER);
  },
  CHAT,
);

await step(
  "stream",
  async () => {
    const pieces = [];
    for await (const chunk of client.chat.completions.stream({ model, messages: [{ role: "user", content: QUESTION }] })) {
      pieces.push(chunk.choices[0]?.delta?.content);
    }
    streamed(pieces, ANSWER);
  },
  CHAT,
);

await step(
  "tools",
  async () => {
    const runner = client.chat.completions.runTools({
      model,
      messages: [{ role: "user", content: CALL }],
      tools: [
        zodFunction({
          name: "get_weather",
          description: "The weather of a city",
          parameters: z.object({ city: z.string() }),
          function: ({ city }) => (city === "Paris" ? WEATHER : "unknown"),
        }),
      ],
    });
    expect(await runner.finalContent(), WEATHER);
  },
  CHAT,
);

await step(
  "continues",
  async () => {
    const messages = [{ role: "user", content: QUESTION }];
    messages.push((await client.chat.completions.create({ model, messages })).choices[0].message);
    messages.push({ role: "user", content: SECOND });
    expect((await client.chat.completions.create({ model, messages })).choices[0].message.content, REMEMBERED);
  },
  CHAT,
);
