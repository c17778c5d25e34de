// Messages as elements, and an answer that is on its way.

import { show } from "/static/text.js";

export function make(name, kind, ...children) {
  const made = document.createElement(name);
  made.className = kind;
  made.append(...children);
  return made;
}

export function message(role, text) {
  const body = make("div", "body");
  if (role === "user") body.textContent = text;
  else show(body, text);
  const who = make("span", "hidden", role === "user" ? "You: " : "Answer: ");
  return make("article", `message ${role === "user" ? "user" : "answer"}`, who, body);
}

const MEANINGS = {
  completed: ["", false],
  cancelled: ["Cancelled", false],
  max_output_tokens: ["The answer was cut off: it reached its length limit.", true],
  content_filter: ["The answer was cut off by the model's content filter.", true],
};

function outcome(response) {
  return MEANINGS[response.incomplete_details?.reason ?? response.status] ?? [`Failed: ${response.error?.message ?? response.status}`, true];
}

/** An answer that is on its way: its text, its state, and the button that cancels it. `onCancel` is called for that.
 * `draw` is given what changes the screen: text that comes faster than it is drawn is drawn later, all at once. */
export class Answer {
  constructor(id = null) {
    this.id = id;
    this.text = "";
    this.started = false;
    this.ended = false;
    this.cancelled = false;
    this.onCancel = () => {};
    this.draw = (change) => change();
    this.timer = 0;
    this.pause = 0;
    this.element = message("assistant", "");
    this.word = make("span", "word", "Sending …");
    this.button = make("button", "quiet", "Cancel");
    this.button.type = "button";
    this.button.addEventListener("click", () => {
      this.cancelled = true;
      this.button.disabled = true;
      this.onCancel();
    });
    this.state = make("div", "state", make("span", "dot"), this.word, this.button);
    this.element.append(this.state);
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
    if (event.type === "response.in_progress" || event.type === "response.output_item.added") this.start();
    if (["response.output_text.delta", "response.refusal.delta"].includes(event.type)) this.write(this.text + event.delta);
    if (event.type === "error") this.end(event.message, true);
    if (["response.completed", "response.failed", "response.incomplete"].includes(event.type)) this.settle(event.response);
  }

  // Another attempt, after a worker was lost, begins the answer anew.
  start() {
    this.started = true;
    this.say("Answering …");
    this.write("");
  }

  settle(response) {
    const parts = response.output[0]?.content;
    if (parts) this.write(parts.map((part) => part.text ?? part.refusal ?? "").join(""));
    this.end(...outcome(response));
  }

  write(text) {
    this.text = text;
    // A long text takes its time to draw: what happens on the page otherwise has four times as much.
    this.timer ||= setTimeout(() => requestAnimationFrame(() => this.show()), this.pause);
  }

  show() {
    clearTimeout(this.timer);
    this.timer = 0;
    const began = performance.now();
    this.draw(() => show(this.element.querySelector(".body"), this.text));
    this.pause = 4 * (performance.now() - began);
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
