// Calls that wait for a person: what each would do, and the buttons that answer it.

import { button, make } from "/static/elements.js";
import { pretty } from "/static/parts.js";
import { code } from "/static/text.js";

/** A card for each open call. Once all have an answer, `send` is given the items that answer them, and words for it. */
export class OpenCalls {
  constructor(calls, send) {
    this.calls = calls;
    this.answers = new Map();
    this.send = send;
    this.element = make("section", "open-calls", ...calls.map((call) => this.card(call)));
    this.element.setAttribute("aria-label", "Waits for you");
  }

  card(call) {
    const asks = call.type === "mcp_approval_request";
    const field = make("input", "");
    field.placeholder = asks ? "Reason, if you reject it" : "Your answer";
    field.setAttribute("aria-label", field.placeholder);
    const choices = asks
      ? [["Approve", "Approved", () => ({ approve: true })],
        ["Reject", "Rejected", () => ({ approve: false, reason: field.value || null })]]
      : [["Answer", "Answered", () => ({ output: field.value })]];
    const made = choices.map(([word, done, given], n) =>
      button(n ? "quiet" : "", word, (event) => this.answer(call, given(), done, event.target)));
    const title = asks ? ["May ", make("strong", "", call.name), " run?"] : ["Needs an answer: ", make("strong", "", call.name)];
    const shown = [make("p", "", ...title), code(pretty(call.arguments), "Arguments"), field, make("div", "row", ...made)];
    return make("div", "card", ...shown);
  }

  answer(call, given, done, chosen) {
    const item = call.type === "mcp_approval_request"
      ? { type: "mcp_approval_response", approval_request_id: call.id, ...given }
      : { type: "function_call_output", call_id: call.call_id, ...given };
    this.answers.set(call, { item, said: `${done}: ${call.name}` });
    for (const other of chosen.parentNode.children) other.setAttribute("aria-pressed", String(other === chosen));
    if (this.answers.size < this.calls.length) return;
    const all = this.calls.map((one) => this.answers.get(one));
    this.send(all.map((one) => one.item), all.map((one) => one.said).join("\n"));
  }
}
