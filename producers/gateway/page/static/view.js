// One conversation on the screen.

import { Answer, question as asked } from "/static/answer.js";
import { call, follow, insist, unique } from "/static/api.js";
import { make } from "/static/elements.js";
import { OpenCalls } from "/static/open_calls.js";
import { told } from "/static/parts.js";
import { at, failed, keeping, network, show } from "/static/screen.js";
import * as sessions from "/static/sessions.js";

const PLACE_MS = 2000;

/**
 * Questions are sent one after the other, in order; only the oldest unanswered one has its stream open, for a browser has few
 * connections to one server; those behind it ask for their place now and then. Answers to open calls go before all of them.
 * `again` opens the conversation anew; `changed` is told when the list of conversations has changed.
 */
export class View {
  constructor(session, again, changed) {
    this.session = session;
    this.again = again;
    this.changed = changed;
    this.leaving = new AbortController();
    this.posting = Promise.resolve();
    this.reading = Promise.resolve();
    this.waiting = new Set();
    this.watching = false;
  }

  get left() {
    return this.leaving.signal.aborted;
  }

  /** Ask a question that this browser remembers already. */
  ask(question, behind = null) {
    const answer = new Answer(question.response);
    show([asked(question.input?.[0]?.content ?? question.text), answer.element], behind);
    answer.onCancel = () => this.cancel(question, answer);
    answer.draw = keeping;
    const before = question.answers ? Promise.resolve() : this.posting;
    const posted = before.then(() => this.post(question, answer));
    this.posting = Promise.allSettled([this.posting, posted]);
    const read = (question.answers ? Promise.resolve() : this.reading)
      .then(() => posted)
      .then(() => this.read(question, answer))
      .catch((error) => this.fail(question, answer, error));
    this.reading = Promise.all([this.reading, read]);
  }

  async post(question, answer) {
    if (!answer.id) {
      const body = { background: true, conversation: this.session, input: question.input ?? question.text, model: question.model };
      const options = { method: "POST", body, headers: { "idempotency-key": question.key } };
      const response = await insist("/v1/responses", options, network, this.leaving.signal);
      if (!response) return;
      sessions.named(this.session, question.key, response.id);
      answer.accepted(response);
    } else {
      this.locate(answer);
    }
    if (answer.cancelled) await this.cancel(question, answer);
    this.waiting.add(answer);
    this.watch();
  }

  async read(question, answer) {
    if (this.left || !answer.id) return;
    for await (const event of follow(answer.id, network, this.leaving.signal)) {
      answer.tell(event);
    }
    if (!this.left) this.ended(question, answer);
  }

  ended(question, answer) {
    sessions.ended(this.session, question.key);
    if (answer.open.length) this.hold(answer.id, answer.open, answer.element);
    // The calls wait anew when the turn that had their answers has failed.
    else if (answer.failed && question.answers) this.holdAnew(question.answers, answer.element);
    this.changed();
  }

  /** Show the calls that a response has left open. */
  hold(response, calls, behind) {
    sessions.held(this.session, response);
    const cards = new OpenCalls(calls, (input, text) => {
      cards.element.remove();
      at("log").focus();
      const question = { key: unique(), text, input, answers: response };
      sessions.held(this.session, null);
      sessions.asked(this.session, question);
      this.ask(question, behind);
    });
    keeping(() => behind.append(cards.element));
  }

  async holdAnew(response, behind) {
    const found = await call(`/v1/responses/${response}`).catch(() => null);
    const open = found ? told(found.output).open : [];
    if (open.length && !this.left) this.hold(response, open, behind);
  }

  /** Show the calls of a response that may be open still. */
  async resumeHold(response) {
    const place = make("article", "message answer");
    show([place]);
    await this.holdAnew(response, place);
    if (!place.childElementCount) place.remove();
  }

  async fail(question, answer, error) {
    this.waiting.delete(answer);
    if (error.status !== 401) sessions.ended(this.session, question.key);
    answer.end(error.message, true);
    await failed(error, this.again);
  }

  async cancel(question, answer) {
    if (!answer.id) return;
    try {
      answer.settle(await call(`/v1/responses/${answer.id}/cancel`, { method: "POST" }));
      // Its stream is read, if ever, only after those before it.
      this.ended(question, answer);
    } catch (error) {
      answer.cancelFailed();
      await failed(error, () => this.cancel(question, answer));
    }
  }

  async watch() {
    if (this.watching) return;
    this.watching = true;
    // One request at a time, for each answer in turn: an API key has only so many.
    while (this.waiting.size && !this.left) {
      const [answer] = this.waiting;
      this.waiting.delete(answer);
      if (answer.started || answer.ended) continue;
      this.waiting.add(answer);
      await new Promise((resolve) => setTimeout(resolve, PLACE_MS));
      await this.locate(answer);
    }
    this.watching = false;
  }

  async locate(answer) {
    const now = await call(`/v1/responses/${answer.id}`).catch(() => null);
    if (now?.status === "queued") answer.place(now);
  }
}
