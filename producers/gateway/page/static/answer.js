// Messages as elements, and an answer that is on its way.

import { button, make } from "/static/elements.js";
import { Parts, textOf, told } from "/static/parts.js";
import { picture, show } from "/static/text.js";

function article(role, ...children) {
  const who = make("span", "hidden", role === "user" ? "You: " : "Answer: ");
  return make("article", `message ${role}`, who, ...children);
}

/** What somebody asked: a text, or parts of it and pictures. */
export function question(content) {
  const shown = typeof content === "string" ? [] : content.filter((part) => part.type === "input_image");
  const rest = typeof content === "string" ? content : content.filter((part) => part.type !== "input_image");
  return article("user", make("div", "body", ...shown.map((part) => picture(part.image_url, "A picture")), textOf(rest)));
}

/** What was answered, by the items of a conversation. */
export function answered(items) {
  const found = told(items);
  const parts = new Parts();
  const body = make("div", "body");
  parts.draw(found);
  show(body, found.text);
  return article("answer", parts.element, body);
}

const MEANINGS = {
  completed: ["", false],
  cancelled: ["Cancelled", false],
  max_output_tokens: ["The answer was cut off: it reached its length limit.", true],
  content_filter: ["The answer was cut off by the model's content filter.", true],
};
const PIECES = {
  "response.output_text.delta": "text",
  "response.refusal.delta": "text",
  "response.reasoning_summary_text.delta": "reasoning",
};

const MOST_PAUSE_MS = 1000;

function outcome(response) {
  const failure = [`Failed: ${response.error?.message ?? response.status}`, true];
  return MEANINGS[response.incomplete_details?.reason ?? response.status] ?? failure;
}

/** An answer that is on its way: what it says and does, its state, and the button that cancels it. `onCancel` is called for
 * that. `draw` is given what changes the screen: what comes faster than it is drawn is drawn later, all at once. */
export class Answer {
  constructor(id = null) {
    this.id = id;
    this.begin();
    this.steps = [];
    this.heard = -1;
    this.open = [];
    this.started = false;
    this.ended = false;
    this.failed = false;
    this.cancelled = false;
    this.onCancel = () => {};
    this.draw = (change) => change();
    this.timer = 0;
    this.pause = 0;
    this.parts = new Parts();
    this.body = make("div", "body");
    this.word = make("span", "word", "Sending …");
    this.button = button("quiet", "Cancel", () => {
      this.cancelled = true;
      this.button.disabled = true;
      this.onCancel();
    });
    this.state = make("div", "state", make("span", "dot"), this.word, this.button);
    this.element = article("answer", this.parts.element, this.body, this.state);
    this.element.setAttribute("aria-busy", "true");
  }

  accepted(response) {
    this.id = response.id;
    this.place(response);
  }

  place(response) {
    const before = Number(response.metadata?.turnstile_position ?? 0);
    if (!this.started) this.say(before ? `Waiting: ${before} before it` : "Waiting: next");
  }

  cancelFailed() {
    this.button.disabled = false;
  }

  tell(event) {
    if (this.ended) return;
    if (event.type === "response.in_progress") this.start();
    if (event.type in PIECES) this.write(PIECES[event.type], event.item_id, event.delta);
    // Another attempt, after a worker was lost, begins the answer anew.
    if (event.type === "response.output_item.done" && event.item.status === "incomplete") this.beginAnew();
    if (event.type === "turnstile.step") this.step(event);
    if (event.type === "error") this.end(event.message, true);
    if (["response.completed", "response.failed", "response.incomplete"].includes(event.type)) this.settle(event.response);
  }

  start() {
    this.started = true;
    this.say("Answering …");
  }

  begin() {
    this.found = { reasoning: "", text: "", calls: [] };
    this.last = null;
  }

  beginAnew() {
    this.begin();
    this.redraw();
  }

  write(kind, item, text) {
    const gap = this.last !== item && this.found[kind] ? "\n\n" : "";
    this.last = item;
    this.found[kind] += gap + text;
    this.redraw();
  }

  // A stream that is read on after a break tells some steps twice.
  step({ number, attempt, name, status }) {
    if (number <= this.heard) return;
    this.heard = number;
    this.steps = this.steps.filter((step) => step.done || step.attempt === attempt);
    const begun = this.steps.find((step) => !step.done && step.name === name);
    if (status === "started") this.steps.push({ number, attempt, name, done: false });
    else if (begun) begun.done = true;
    const running = this.steps.filter((step) => !step.done).map((step) => step.name);
    this.say(running.length ? `Running ${[...new Set(running)].slice(0, 5).join(", ")} …` : "Answering …");
    this.redraw();
  }

  settle(response) {
    if (response.output.length) this.found = told(response.output);
    this.open = this.found.open ?? [];
    this.failed = response.status === "failed";
    this.steps = [];
    this.end(...outcome(response));
  }

  redraw() {
    // A long text takes its time to draw: what happens on the page otherwise has four times as much.
    this.timer ||= setTimeout(() => requestAnimationFrame(() => this.show()), this.pause);
  }

  show() {
    clearTimeout(this.timer);
    this.timer = 0;
    const began = performance.now();
    this.draw(() => {
      this.parts.draw({ ...this.found, steps: this.steps });
      show(this.body, this.found.text);
    });
    this.pause = Math.min(4 * (performance.now() - began), MOST_PAUSE_MS);
  }

  say(word) {
    if (this.word.textContent !== word) this.word.textContent = word;
  }

  end(word, failed) {
    this.ended = true;
    this.show();
    this.element.setAttribute("aria-busy", "false");
    this.element.classList.toggle("failed", failed);
    if (word) this.state.replaceChildren(make("span", "word", word));
    else this.state.remove();
  }
}
