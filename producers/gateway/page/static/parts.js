// The parts of an answer beside its text: reasoning, steps, calls of tools. Each is folded.

import { make } from "/static/elements.js";
import { code, show } from "/static/text.js";

const MOST_STEPS = 30;

/** A call's arguments as they are read most easily. */
export function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function folded(kind, title, ...children) {
  return make("details", kind, make("summary", "", title), ...children);
}

export const textOf = (parts) => (typeof parts === "string" ? parts : (parts ?? [])
  .map((part) => part.text ?? part.refusal ?? (part.type.startsWith("input_") ? `[${part.type.slice(6)}]` : "")).join(""));

function callOf({ name, arguments: given, output, error }) {
  const result = error ? textOf(error.content) : output;
  const made = folded(error ? "call bad" : "call", name, code(pretty(given), "Arguments"));
  if (result !== undefined && result !== null) made.append(code(pretty(textOf(result)), error ? "Error" : "Result"));
  return made;
}

function stepsOf(steps) {
  const shown = steps.slice(-MOST_STEPS).map(({ name, done }) => make("li", done ? "done" : "running", name));
  return make("ul", "steps", ...(steps.length > MOST_STEPS ? [make("li", "done", "…")] : []), ...shown);
}

/** The parts of an answer, in the order in which they are read. `draw` changes only what has changed. */
export class Parts {
  constructor() {
    this.thoughts = folded("thoughts", "Reasoning", make("div", "text"));
    this.done = make("div", "");
    this.element = make("div", "parts", this.thoughts, this.done);
    this.draw({ reasoning: "", steps: [], calls: [] });
  }

  draw({ reasoning, steps, calls }) {
    this.thoughts.hidden = !reasoning;
    show(this.thoughts.lastChild, reasoning);
    const made = calls.length ? calls.map(callOf) : steps.length ? [stepsOf(steps)] : [];
    if (!this.done.isEqualNode(make("div", "", ...made))) this.done.replaceChildren(...made);
  }
}

/** A conversation's items, sorted: each question, and a list of all that was answered to it. */
export function exchanges(items) {
  const found = [];
  for (const item of items) {
    if (item.type === "message" && item.role === "user") found.push(item);
    else if (Array.isArray(found.at(-1))) found.at(-1).push(item);
    else found.push([item]);
  }
  return found;
}

/** What the items of one answer tell, whether a response has them or a conversation. */
export function told(items) {
  const of = (kind) => items.filter((item) => item.type === kind);
  const outputs = new Map(of("function_call_output").map((item) => [item.call_id, item.output]));
  const called = of("function_call").map((item) => ({ ...item, output: outputs.get(item.call_id) }));
  return {
    reasoning: of("reasoning").flatMap((item) => item.summary.map((part) => part.text)).join("\n\n"),
    text: of("message").map((item) => textOf(item.content)).filter(Boolean).join("\n\n"),
    calls: [...of("mcp_call"), ...called.filter((item) => item.output !== undefined)],
    open: [...of("mcp_approval_request"), ...called.filter((item) => item.output === undefined)],
    steps: [],
  };
}
